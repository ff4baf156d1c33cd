/* The wires between a handshake and ngtcp2 (RFC 9001, section 4): see tls.h. Whom we talk to is
 * judged by crypto/cert, as over TCP. */
#include "quic/tls.h"

#include "base/error.h"
#include "core/spare_pair.h"
#include "quic/reset_at.h"
#include "quic/resume.h"

enum { PARAMS_MAX = 512 };

/* ---- what a net's connections have in common ---- */

int quic_tls_prepare(tern_quic *quic)
{
    tern_net *net = quic->net;
    return quic->cert != NULL ? 0
                              : tern_cert_make(net->key, tern_loop_wall(net->loop), &quic->cert);
}

void quic_tls_release(tern_quic *quic)
{
    tern_cert_free(quic->cert);
}

/* ---- the handshake tells ---- */

static ngtcp2_encryption_level level_to(tern_level level)
{
    static const ngtcp2_encryption_level to[] = {
        [TERN_LEVEL_INITIAL] = NGTCP2_ENCRYPTION_LEVEL_INITIAL,
        [TERN_LEVEL_EARLY] = NGTCP2_ENCRYPTION_LEVEL_0RTT,
        [TERN_LEVEL_HANDSHAKE] = NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE,
        [TERN_LEVEL_TRAFFIC] = NGTCP2_ENCRYPTION_LEVEL_1RTT};
    return to[level];
}

static tern_level level_from(ngtcp2_encryption_level level)
{
    return level == NGTCP2_ENCRYPTION_LEVEL_INITIAL     ? TERN_LEVEL_INITIAL
           : level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE ? TERN_LEVEL_HANDSHAKE
                                                        : TERN_LEVEL_TRAFFIC;
}

static int on_send(void *owner, tern_level level, const uint8_t *p, size_t n)
{
    quic_conn *c = owner;
    int r = ngtcp2_conn_submit_crypto_data(c->q, level_to(level), p, n);
    if (r != 0) {
        ngtcp2_conn_set_tls_error(c->q, r);
    }
    return r == 0 ? 0 : TERN_E_NOMEM;
}

static int on_secret(void *owner, tern_level level, bool out, tern_aead_kind cipher,
                     const uint8_t *secret, size_t n)
{
    quic_conn *c = owner;
    if (level == TERN_LEVEL_EARLY && out && !c->resumption.early) {
        return 0; /* it has nothing to say */
    }
    if (quic_keys_install(c, level, out, cipher, secret, n) != 0) {
        return TERN_E_NOMEM;
    }
    if (level == TERN_LEVEL_EARLY && !out) {
        quic_early_accepted(c);
    }
    return 0;
}

static int on_params(void *owner, tern_span params)
{
    quic_conn *c = owner;
    int r = ngtcp2_conn_decode_and_set_remote_transport_params(c->q, params.data, params.len);
    if (r != 0) {
        ngtcp2_conn_set_tls_error(c->q, r);
    }
    return r == 0 ? 0 : TERN_E_PROTOCOL;
}

static ssize_t put_params(void *owner, uint8_t *out, size_t cap)
{
    const quic_conn *c = owner;
    if (cap < PARAMS_MAX + QUIC_RESET_AT_PARAM_MAX) {
        return TERN_E_TOO_LARGE;
    }
    ngtcp2_ssize n = ngtcp2_conn_encode_local_transport_params(c->q, out, PARAMS_MAX);
    if (n >= 0 && c->app != NULL) {
        n += (ngtcp2_ssize)quic_reset_at_param(out + n);
    }
    return n < 0 ? TERN_E_NOMEM : n;
}

static int on_hello(void *owner, const tern_hello *hello, tern_answer *answer)
{
    quic_conn *c = owner;
    int e = quic_app_choose(c, hello, answer);
    if (e == 0 && answer->alpn.len == 0 && c->endpoint->listener != NULL &&
        tern_hello_offers(hello, quic_alpn)) {
        answer->alpn = quic_alpn;
        answer->cert = c->endpoint->quic->cert;
        answer->ask = true;
        quic_resume_hello(c, hello, answer);
    }
    return e;
}

static void on_resumed(void *owner)
{
    quic_resume_accepted(owner);
}

static int on_certificate(void *owner, tern_span der, unsigned count)
{
    return quic_conn_judge(owner, der, count);
}

static int on_done(void *owner)
{
    quic_conn *c = owner;
    ngtcp2_conn_tls_handshake_completed(c->q);
    return 0;
}

static int new_pair(void *owner, tern_x25519_pair *ret)
{
    return tern_spare_pair_take(((quic_conn *)owner)->net, ret);
}

static void on_ticket(void *owner, const tern_ticket *ticket)
{
    quic_resume_keep(owner, ticket);
}

static const tern_handshake_ops ops = {
    .send = on_send,
    .secret = on_secret,
    .params_in = on_params,
    .params_out = put_params,
    .pair = new_pair,
    .hello = on_hello,
    .resumed = on_resumed,
    .certificate = on_certificate,
    .done = on_done,
    .ticket = on_ticket,
};

/* ---- the handshake is told ---- */

int quic_tls_new(quic_conn *c, const tern_ticket *ticket, uint32_t age, bool early)
{
    bool server = c->base.facts.inbound;
    tern_handshake_config config = {.server = server,
                                    .params = NGTCP2_TLSEXT_QUIC_TRANSPORT_PARAMETERS_V1};
    if (!server) {
        bool own = c->app == NULL;
        config.alpn[0] =
            own ? quic_alpn : (tern_span){(const uint8_t *)c->app->alpn, strlen(c->app->alpn)};
        config.cert = own ? c->endpoint->quic->cert : NULL;
        config.ticket = ticket;
        config.ticket_age = age;
        config.early = early;
        config.asks = own && !c->net->no_resumption;
        config.ask_fresh = QUIC_ASK_FRESH;
        config.ask_again = QUIC_ASK_AGAIN;
    }
    c->tls = tern_handshake_new(&config, &ops, c);
    return c->tls != NULL ? 0 : TERN_E_NOMEM;
}

void quic_tls_free(quic_conn *c)
{
    tern_handshake_free(c->tls);
    c->tls = NULL;
}

/* What ngtcp2 shall tell the peer. */
static int failed(quic_conn *c)
{
    int r = ngtcp2_conn_get_tls_error(c->q);
    ngtcp2_conn_set_tls_alert(c->q, (uint8_t)tern_handshake_alert(c->tls));
    return r != 0 ? r : NGTCP2_ERR_CRYPTO;
}

int quic_tls_begin(ngtcp2_conn *q, void *user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    /* the keys of Initials, of either side; TLS is no part of it */
    int r = ngtcp2_crypto_recv_client_initial_cb(q, ngtcp2_conn_get_dcid(q), user_data);
    return r != 0 || tern_handshake_start(c->tls) == 0 ? r : NGTCP2_ERR_CALLBACK_FAILURE;
}

/* Once TLS is let go, nothing is expected of the peer: a server's tickets are of no use, and of a
 * client there is nothing that it may send (RFC 9001, sections 4.4 and 6). */
int quic_tls_feed(ngtcp2_conn *q, ngtcp2_encryption_level level, uint64_t offset,
                  const uint8_t *data, size_t n, void *user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    (void)offset;
    if (c->tls != NULL) {
        int e = tern_handshake_feed(c->tls, level_from(level), data, n);
        c->resumption.offered = NULL; /* others may take its place from now on */
        return e == 0 ? 0 : failed(c);
    }
    if (!c->base.facts.inbound) {
        return 0;
    }
    ngtcp2_conn_set_tls_alert(q, TERN_ALERT_UNEXPECTED_MESSAGE);
    return NGTCP2_ERR_CRYPTO;
}
