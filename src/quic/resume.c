/* Resumption, server and client: see resume.h. */
#include "quic/resume.h"

#include "base/error.h"
#include "quic/tls.h"

enum { FRESH_MOST = 4, AGAIN_MOST = 1 }; /* tickets given after a full and a resumed handshake */

/* ---- the server ---- */

static bool early_welcome(const quic_conn *c)
{
    return c->endpoint->quic->early_conns < QUIC_EARLY_CONNS &&
           tern_limits_pressure(&c->net->limits) < TERN_PRESSURE_HIGH;
}

static uint8_t least(uint8_t a, uint8_t b)
{
    return a < b ? a : b;
}

void quic_resume_hello(quic_conn *c, const tern_hello *hello, tern_answer *answer)
{
    quic_tickets *tickets = &c->endpoint->quic->tickets;
    quic_resumption *r = &c->resumption;
    if (c->net->no_resumption) {
        return;
    }
    bool own = tern_hello_offers_only(hello, quic_alpn);
    r->takes_part = hello->asks && own;
    r->fresh = least(hello->fresh, FRESH_MOST);
    r->again = least(hello->again, AGAIN_MOST);
    quic_ticket *t = hello->offered == 1 && own ? quic_tickets_find(tickets, hello->ticket) : NULL;
    bool early = t != NULL && hello->early_data && early_welcome(c) &&
                 quic_tickets_timely(tickets, t, hello->ob_age);
    c->net->counters.quic_tickets_refused += hello->offered > 0 && t == NULL;
    c->net->counters.quic_early_refused += hello->early_data && !early;
    r->offered = t;
    r->tried = t != NULL;
    answer->psk = t != NULL ? &t->psk : NULL;
    answer->early = early;
    answer->tickets = !r->takes_part ? -1 : t != NULL ? r->again : r->fresh;
}

void quic_resume_accepted(quic_conn *c)
{
    quic_resumption *r = &c->resumption;
    quic_ticket *t = r->offered;
    r->offered = NULL;
    r->resumed = 1;
    r->proven = t->proven;
    r->until = t->until;
    c->key = tern_key_ref(t->client);
    quic_tickets_forget(&c->endpoint->quic->tickets, t);
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

static int give_ticket(quic_conn *c)
{
    quic_resumption *r = &c->resumption;
    const tern_key *client = c->given ? c->base.facts.key : c->key;
    uint64_t wall = tern_loop_wall(c->base.loop);
    uint64_t left = r->until > wall ? r->until - wall : 0;
    uint64_t life = left < QUIC_TICKET_LIFE ? left : QUIC_TICKET_LIFE;
    quic_ticket t = {.proven = r->proven, .until = r->until};
    tern_loop_random(c->base.loop, t.bytes, sizeof t.bytes);
    tern_loop_random(c->base.loop, (uint8_t *)&t.age_add, sizeof t.age_add);
    t.client = (tern_key *)(uintptr_t)client; /* a reference more is all that changes */
    int e = tern_handshake_give(c->tls, (tern_span){t.bytes, sizeof t.bytes},
                                (uint32_t)(life / TERN_SEC), t.age_add, true, &t.psk);
    if (e == 0) { /* one that is not noted will be refused */
        e = quic_tickets_note(&c->endpoint->quic->tickets, &t);
    }
    tern_wipe(&t, sizeof t);
    return e;
}

/* A failure here costs tickets, not the connection. */
static void give_tickets(quic_conn *c)
{
    quic_resumption *r = &c->resumption;
    int n = !r->takes_part ? 0 : r->resumed ? r->again : r->fresh;
    if (!r->resumed) {
        r->proven = tern_loop_now(c->base.loop);
    }
    if (n == 0 || tern_limits_pressure(&c->net->limits) >= TERN_PRESSURE_FULL) {
        return;
    }
    for (int i = 0; i < n; i++) {
        if (give_ticket(c) != 0) {
            c->net->counters.allocation_failures++;
            return;
        }
        c->net->counters.quic_tickets_given++;
    }
    give_token(c);
}

/* ---- the client ----
 *
 * A ticket as it is kept: | cipher: 1 | early data: 1 | age_add: 4 | came, ms since 1970: 8 |
 * end of the server's certificate, ns since 1970: 8 | key: 48 | ticket | */

enum {
    CIPHER = 0,
    EARLY = 1,
    AGE_ADD = 2,
    CAME = 6,
    UNTIL = 14,
    KEY = 22,
    BYTES = KEY + TERN_HASH_MAX
};

static uint64_t wall_ms(const quic_conn *c)
{
    return tern_loop_wall(c->base.loop) / TERN_MS;
}

bool quic_resume_ticket(const quic_conn *c, const quic_kept *kept, tern_ticket *ret,
                        uint32_t *ret_age)
{
    const uint8_t *p = kept->session;
    if (p == NULL || kept->session_n <= BYTES || p[CIPHER] > TERN_AES_256_GCM) {
        return false;
    }
    *ret = (tern_ticket){.psk.cipher = (tern_aead_kind)p[CIPHER],
                         .early = p[EARLY] != 0,
                         .age_add = tern_get32(p + AGE_ADD),
                         .bytes = {p + BYTES, kept->session_n - BYTES}};
    memcpy(ret->psk.key, p + KEY, sizeof ret->psk.key);
    uint64_t now = wall_ms(c), came = tern_get64(p + CAME);
    *ret_age = now > came ? (uint32_t)(now - came) : 0;
    return true;
}

void quic_resume_offer(quic_conn *c, quic_kept *kept)
{
    quic_resumption *r = &c->resumption;
    r->tried = 1;
    r->until = tern_get64(kept->session + UNTIL);
    r->kept = kept->key;
    kept->key = NULL;
    if (kept->params_n > 0 && c->net->early_data &&
        ngtcp2_conn_decode_and_set_0rtt_transport_params(c->q, kept->params, kept->params_n) == 0) {
        r->early = 1;
    }
}

void quic_resume_keep(quic_conn *c, const tern_ticket *ticket)
{
    quic_resumption *r = &c->resumption;
    uint8_t params[128], session[BYTES + TERN_TICKET_MAX];
    const tern_key *key = c->given ? c->base.facts.key : c->key;
    uint64_t wall = tern_loop_wall(c->base.loop);
    if (!r->takes_part || r->fresh == 0 || key == NULL || r->until <= wall) {
        return;
    }
    r->fresh--;
    ngtcp2_ssize n =
        ticket->early ? ngtcp2_conn_encode_0rtt_transport_params(c->q, params, sizeof params) : 0;
    uint64_t life = ticket->lifetime * TERN_SEC;
    life = life < QUIC_TICKET_LIFE ? life : QUIC_TICKET_LIFE;
    life = life < r->until - wall ? life : r->until - wall;
    session[CIPHER] = (uint8_t)ticket->psk.cipher;
    session[EARLY] = ticket->early;
    tern_put32(session + AGE_ADD, ticket->age_add);
    tern_put64(session + CAME, wall_ms(c));
    tern_put64(session + UNTIL, r->until);
    memcpy(session + KEY, ticket->psk.key, TERN_HASH_MAX);
    memcpy(session + BYTES, ticket->bytes.data, ticket->bytes.len);
    quic_kept_add(c->endpoint->quic, key, (tern_span){session, BYTES + ticket->bytes.len},
                  (tern_span){params, n > 0 ? (size_t)n : 0}, life);
    tern_wipe(session, sizeof session);
}

/* ---- both ---- */

static void client_done(quic_conn *c)
{
    quic_resumption *r = &c->resumption;
    r->resumed = tern_handshake_resumed(c->tls);
    r->takes_part = tern_handshake_tickets(c->tls) >= 0;
    r->fresh = r->resumed ? QUIC_ASK_AGAIN : QUIC_ASK_FRESH;
    if (r->resumed && c->key == NULL && !c->given) {
        c->key = tern_key_ref(r->kept);
    }
    if (!r->resumed && r->tried) { /* nor are the others of its kind (RFC 9149, section 3) */
        quic_kept_forget(c->endpoint->quic, &c->expected);
    }
}

int quic_resume_done(quic_conn *c)
{
    bool server = c->base.facts.inbound;
    if (!server) {
        client_done(c);
    }
    c->net->counters.quic_resumed += c->resumption.resumed;
    c->base.facts.resumed = c->resumption.resumed;
    if (server) {
        c->net->counters.quic_tickets_refused += c->resumption.tried && !c->resumption.resumed;
        give_tickets(c);
        return 0;
    }
    return quic_early_answered(c);
}
