/* Resumption, server and client: see resume.h. */
#include "quic/resume.h"

#include "base/error.h"
#include "quic/tls.h"

enum { FRESH_MOST = 4, AGAIN_MOST = 1 }; /* tickets given after a full and a resumed handshake */
enum { TICKET_FIXED = 4 + 4 + 4 + 1 };   /* handshake header, lifetime, age_add, nonce's length */

/* ---- the server ---- */

static bool early_welcome(const quic_conn *c)
{
    return c->endpoint->quic->early_conns < QUIC_EARLY_CONNS &&
           tern_limits_pressure(&c->net->limits) < TERN_PRESSURE_HIGH;
}

void quic_resume_hello(quic_conn *c, const uint8_t *p, size_t n)
{
    quic_tickets *tickets = &c->endpoint->quic->tickets;
    quic_resumption *r = &c->resumption;
    quic_hello hello;
    r->offered = NULL;
    if (!quic_hello_read(p, n, &hello) || c->net->no_resumption) {
        return; /* what is wrong with it GnuTLS says; without a key it takes no tickets */
    }
    r->takes_part = hello.asks && hello.libp2p;
    r->fresh = hello.fresh < FRESH_MOST ? hello.fresh : FRESH_MOST;
    r->again = hello.again < AGAIN_MOST ? hello.again : AGAIN_MOST;
    bool usable = hello.offered == 1 && hello.libp2p;
    quic_ticket *t = usable ? quic_tickets_find(tickets, hello.ticket) : NULL;
    r->offered = t;
    c->net->counters.quic_tickets_refused += hello.offered > 0 && t == NULL;
    if (r->key != 0) {
        return; /* the second one of a connection: what GnuTLS may take is settled */
    }
    bool early = t != NULL && hello.early_data && early_welcome(c) &&
                 quic_tickets_timely(tickets, t, hello.ob_age);
    c->net->counters.quic_early_refused += hello.early_data && !early;
    uint32_t key = t != NULL ? t->key : r->takes_part ? quic_tickets_key(tickets) : 0;
    if (t == NULL && hello.offered > 0 && quic_tickets_made_with(tickets, key, hello.ticket)) {
        return; /* GnuTLS would take it once more */
    }
    r->key = quic_tickets_enable(tickets, key, c->tls, early) ? key : 0;
}

bool quic_resume_decided(quic_conn *c)
{
    quic_resumption *r = &c->resumption;
    quic_ticket *t = r->offered;
    bool resumed = gnutls_session_is_resumed(c->tls);
    r->offered = NULL;
    if (t == NULL) {
        return !resumed || r->resumed;
    }
    if (resumed) {
        r->proven = t->proven;
        r->resumed = 1;
    } else {
        c->net->counters.quic_tickets_refused++;
    }
    quic_tickets_forget(&c->endpoint->quic->tickets, t);
    return true;
}

bool quic_resume_issued(quic_conn *c, const uint8_t *p, size_t n)
{
    size_t at = TICKET_FIXED, len;
    if (n < TICKET_FIXED) {
        return false;
    }
    at += p[TICKET_FIXED - 1];
    if (n < at + 2 || n - at - 2 < (len = tern_get16(p + at))) {
        return false;
    }
    tern_span ticket = {p + at + 2, len};
    if (quic_tickets_note(&c->endpoint->quic->tickets, ticket, tern_get32(p + 8), c->resumption.key,
                          c->resumption.proven) != 0) {
        c->net->counters.allocation_failures++;
        return false;
    }
    c->net->counters.quic_tickets_given++;
    return true;
}

/* A token that proves the address to us for as long as tickets live; by the wall clock, since its
 * key survives a restart. */
static void give_token(quic_conn *c)
{
    uint8_t token[NGTCP2_CRYPTO_MAX_REGULAR_TOKENLEN];
    tern_quic *quic = c->endpoint->quic;
    quic_address remote;
    quic_address_from(&remote, &c->remote);
    ngtcp2_ssize n = ngtcp2_crypto_generate_regular_token(
        token, quic->token_key, sizeof quic->token_key, remote.view.addr, remote.view.addrlen,
        tern_loop_wall(c->base.loop));
    if (n > 0) {
        ngtcp2_conn_submit_new_token(c->q, token, (size_t)n);
    }
}

/* A failure here costs tickets, not the connection. */
static void give_tickets(quic_conn *c)
{
    quic_resumption *r = &c->resumption;
    int n = !r->takes_part ? 0 : r->resumed ? r->again : r->fresh;
    if (!r->resumed) {
        r->proven = tern_loop_now(c->base.loop);
    }
    if (n > 0 && r->key != 0 && tern_limits_pressure(&c->net->limits) < TERN_PRESSURE_FULL &&
        gnutls_session_ticket_send(c->tls, (unsigned)n, 0) == 0) {
        give_token(c);
    }
}

/* ---- the client ---- */

void quic_resume_offer(quic_conn *c, quic_kept *kept)
{
    quic_resumption *r = &c->resumption;
    if (kept->session == NULL ||
        gnutls_session_set_data(c->tls, kept->session, kept->session_n) != 0) {
        return;
    }
    r->tried = 1;
    if (kept->params_n > 0 && c->net->early_data &&
        ngtcp2_conn_decode_and_set_0rtt_transport_params(c->q, kept->params, kept->params_n) == 0) {
        r->early = 1;
    }
}

void quic_resume_keep(quic_conn *c)
{
    quic_resumption *r = &c->resumption;
    uint8_t params[128];
    gnutls_datum_t session;
    const tern_key *key = c->given ? c->base.facts.key : c->key;
    if (!r->takes_part || r->fresh == 0 || key == NULL) {
        return;
    }
    r->fresh--;
    ngtcp2_ssize n = gnutls_record_get_max_early_data_size(c->tls) == UINT32_MAX
                         ? ngtcp2_conn_encode_0rtt_transport_params(c->q, params, sizeof params)
                         : 0;
    if (gnutls_session_get_data2(c->tls, &session) != 0) {
        return;
    }
    quic_kept_add(c->endpoint->quic, key, (tern_span){session.data, session.size},
                  (tern_span){params, n > 0 ? (size_t)n : 0}, QUIC_TICKET_LIFE);
    gnutls_memset(session.data, 0, session.size);
    gnutls_free(session.data);
}

/* ---- both ---- */

int quic_resume_done(quic_conn *c)
{
    quic_resumption *r = &c->resumption;
    bool server = c->base.facts.inbound;
    if (!server) {
        r->resumed = r->tried && gnutls_session_is_resumed(c->tls);
        r->fresh = r->resumed ? QUIC_ASK_AGAIN : QUIC_ASK_FRESH;
        if (r->tried && !r->resumed) { /* nor are the others of its kind (RFC 9149, section 3) */
            quic_kept_forget(c->endpoint->quic, &c->expected);
        }
    }
    c->net->counters.quic_resumed += r->resumed;
    c->base.facts.resumed = r->resumed;
    int e = c->key == NULL && !c->given ? quic_conn_judge(c) : 0;
    if (e == 0 && server) {
        give_tickets(c);
    } else if (e == 0) {
        e = quic_early_answered(c);
    }
    return e;
}
