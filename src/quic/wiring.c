/* GnuTLS to ngtcp2: see wiring.h. ngtcp2's packet protection takes the secrets as they come. */
#include "quic/wiring.h"

#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "base/error.h"
#include "quic/reset_at.h"
#include "quic/resume.h"

enum { PARAMS_MAX = 512 };

static quic_conn *conn_of(gnutls_session_t session)
{
    ngtcp2_crypto_conn_ref *ref = gnutls_session_get_ptr(session);
    return ref->user_data;
}

static int on_secret(gnutls_session_t session, gnutls_record_encryption_level_t level,
                     const void *rx, const void *tx, size_t n)
{
    quic_conn *c = conn_of(session);
    ngtcp2_encryption_level to = ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(level);
    bool server = c->base.facts.inbound;
    if (server && !quic_resume_decided(c)) {
        return -1;
    }
    /* RFC 9001, section 8.2. Without them ngtcp2 must not be asked for packets. */
    if (!c->params_came && (server || level == GNUTLS_ENCRYPTION_LEVEL_APPLICATION)) {
        ngtcp2_conn_set_tls_alert(c->q, GNUTLS_A_MISSING_EXTENSION);
        return -1;
    }
    if ((rx != NULL &&
         ngtcp2_crypto_derive_and_install_rx_key(c->q, NULL, NULL, NULL, to, rx, n) != 0) ||
        (tx != NULL &&
         ngtcp2_crypto_derive_and_install_tx_key(c->q, NULL, NULL, NULL, to, tx, n) != 0)) {
        return -1;
    }
    if (server && rx != NULL && level == GNUTLS_ENCRYPTION_LEVEL_EARLY) {
        quic_early_accepted(c);
    }
    return 0;
}

/* A handshake message of ours, whole. */
static int on_message(gnutls_session_t session, gnutls_record_encryption_level_t level,
                      gnutls_handshake_description_t type, const void *data, size_t n)
{
    quic_conn *c = conn_of(session);
    if (type == GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC ||
        (type == GNUTLS_HANDSHAKE_NEW_SESSION_TICKET && !quic_resume_issued(c, data, n))) {
        return 0;
    }
    int r = ngtcp2_conn_submit_crypto_data(
        c->q, ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(level), data, n);
    if (r != 0) {
        ngtcp2_conn_set_tls_error(c->q, r);
        return -1;
    }
    return 0;
}

static int on_alert(gnutls_session_t session, gnutls_record_encryption_level_t level,
                    gnutls_alert_level_t severity, gnutls_alert_description_t alert)
{
    (void)level;
    (void)severity;
    ngtcp2_conn_set_tls_alert(conn_of(session)->q, (uint8_t)alert);
    return 0;
}

static int params_come(gnutls_session_t session, const unsigned char *data, size_t n)
{
    quic_conn *c = conn_of(session);
    int r = ngtcp2_conn_decode_and_set_remote_transport_params(c->q, data, n);
    if (r != 0) {
        ngtcp2_conn_set_tls_error(c->q, r);
        return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
    }
    c->params_came = 1;
    return 0;
}

static int params_go(gnutls_session_t session, gnutls_buffer_t out)
{
    uint8_t params[PARAMS_MAX + QUIC_RESET_AT_PARAM_MAX];
    const quic_conn *c = conn_of(session);
    ngtcp2_ssize n = ngtcp2_conn_encode_local_transport_params(c->q, params, PARAMS_MAX);
    if (n >= 0 && c->app != NULL) {
        n += (ngtcp2_ssize)quic_reset_at_param(params + n);
    }
    return n < 0 ? GNUTLS_E_INTERNAL_ERROR : gnutls_buffer_append_data(out, params, (size_t)n);
}

/* The server's answer to ticket_request says that it takes part; what a client asks for was read
 * with its ClientHello. */
static int request_comes(gnutls_session_t session, const unsigned char *data, size_t n)
{
    quic_conn *c = conn_of(session);
    (void)data;
    if (!c->base.facts.inbound) {
        if (n != 1) {
            return GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
        }
        c->resumption.takes_part = 1;
    }
    return 0;
}

static int request_goes(gnutls_session_t session, gnutls_buffer_t out)
{
    const quic_conn *c = conn_of(session);
    const quic_resumption *r = &c->resumption;
    const uint8_t asks[] = {QUIC_ASK_FRESH, QUIC_ASK_AGAIN};
    const uint8_t gives[] = {r->resumed ? r->again : r->fresh};
    if (!c->base.facts.inbound) {
        bool silent = c->net->no_resumption || c->app != NULL;
        return silent ? 0 : gnutls_buffer_append_data(out, asks, sizeof asks);
    }
    return r->takes_part ? gnutls_buffer_append_data(out, gives, sizeof gives) : 0;
}

static int on_handshake_message(gnutls_session_t session, unsigned type, unsigned when,
                                unsigned incoming, const gnutls_datum_t *msg)
{
    quic_conn *c = conn_of(session);
    gnutls_datum_t chosen;
    if (!incoming) {
        return 0;
    }
    if (type == GNUTLS_HANDSHAKE_FINISHED && when == GNUTLS_HOOK_PRE &&
        gnutls_alpn_get_selected_protocol(session, &chosen) != 0) {
        return GNUTLS_E_NO_APPLICATION_PROTOCOL; /* RFC 9001, section 8.1: a server must choose */
    }
    if (type == GNUTLS_HANDSHAKE_CLIENT_HELLO && when == GNUTLS_HOOK_PRE) {
        quic_resume_hello(c, msg->data, msg->size);
    } else if (type == GNUTLS_HANDSHAKE_NEW_SESSION_TICKET && when == GNUTLS_HOOK_POST) {
        quic_resume_keep(c);
    }
    return 0;
}

int quic_wire(gnutls_session_t session)
{
    unsigned where = GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE;
    gnutls_handshake_set_secret_function(session, on_secret);
    gnutls_handshake_set_read_function(session, on_message);
    gnutls_alert_set_read_function(session, on_alert);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH,
                                       on_handshake_message);
    return gnutls_session_ext_register(session, "quic_transport_parameters",
                                       NGTCP2_TLSEXT_QUIC_TRANSPORT_PARAMETERS_V1, GNUTLS_EXT_TLS,
                                       params_come, params_go, NULL, NULL, NULL, where) != 0 ||
                   gnutls_session_ext_register(session, "ticket_request", QUIC_EXT_TICKET_REQUEST,
                                               GNUTLS_EXT_TLS, request_comes, request_goes, NULL,
                                               NULL, NULL, where) != 0
               ? TERN_E_NOMEM
               : 0;
}
