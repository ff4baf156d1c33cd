/* What arrives on a QUIC connection: datagrams go into ngtcp2, which tells us what they mean. See
 * conn.h for what may be done meanwhile. */
#include "base/error.h"
#include "base/mem.h"
#include "quic/reset_at.h"
#include "quic/resume.h"
#include "quic/tls.h"

/* ---- streams ---- */

static int on_stream_open(ngtcp2_conn *q, int64_t id, void *user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    bool both_ways = ngtcp2_is_bidi_stream(id) != 0;
    if (!both_ways && c->app == NULL) {
        return 0; /* libp2p has no use for them: what comes is dropped */
    }
    quic_stream *s = quic_stream_new(c, id);
    if (s == NULL) {
        c->net->counters.allocation_failures++;
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    ngtcp2_conn_set_stream_user_data(q, id, s);
    if (c->app == NULL) {
        tern_conn_accept(&c->base, &s->base);
        return 0;
    }
    if (!both_ways) { /* there is no other half to be ended */
        s->base.ended = s->fin_sent = 1;
    }
    quic_stream_own(s);
    c->app->on_stream(c->session, &s->base, both_ways);
    return 0;
}

static int on_stream_data(ngtcp2_conn *q, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t n, void *user_data, void *stream_user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    quic_stream *s = stream_user_data;
    (void)offset;
    if (s != NULL && s->stop_owed && n > 0 && s->fin_sent && s->acked == s->written) {
        s->stop_owed = 0;
        s->want_stop = 1;
        if (tern_list_empty(&s->act)) {
            tern_list_push(&c->acts, &s->act);
        }
    }
    if (s == NULL || s->gone) {
        ngtcp2_conn_extend_max_stream_offset(q, id, n);
        ngtcp2_conn_extend_max_offset(q, n);
        return 0;
    }
    if (n > 0) {
        c->unread += n;
        s->unread += n;
        /* ngtcp2 is done with the bytes when we return: the owner may overwrite them */
        tern_stream_deliver(&s->base, (uint8_t *)(uintptr_t)data, n);
    }
    if (flags & NGTCP2_STREAM_DATA_FLAG_FIN) {
        tern_stream_deliver_end(&s->base);
    }
    return 0;
}

static int on_acked(ngtcp2_conn *q, int64_t id, uint64_t offset, uint64_t n, void *user_data,
                    void *stream_user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    quic_stream *s = stream_user_data;
    (void)q;
    (void)id;
    if (s != NULL && !s->over && n > 0) {
        quic_stream_acked(s, offset + n);
    }
    if (c->closing && c->unacked == 0) {
        quic_conn_want_turn(c);
    }
    return 0;
}

static void finish_stream(quic_stream *s, int code, uint64_t wire, const char *text)
{
    tern_error why;
    if (!s->gone) {
        tern_fail_wire(&why, code, wire, "quic", "%s", text);
        tern_stream_finish(&s->base, &why);
    }
}

/* What a code says to the stream's owner. */
static uint64_t code_in(const quic_stream *s, uint64_t wire)
{
    const tern_quic_app *app = s->conn->app;
    return app != NULL && !s->own ? app->code_in(wire) : wire;
}

/* Both halves are over and acknowledged. */
static int on_stream_close(ngtcp2_conn *q, uint32_t flags, int64_t id, uint64_t code,
                           void *user_data, void *stream_user_data)
{
    quic_stream *s = stream_user_data;
    (void)user_data;
    if (ngtcp2_is_bidi_stream(id) && !ngtcp2_conn_is_local_stream(q, id)) {
        ngtcp2_conn_extend_max_streams_bidi(q, 1);
    } else if (!ngtcp2_is_bidi_stream(id) && !ngtcp2_conn_is_local_stream(q, id)) {
        ngtcp2_conn_extend_max_streams_uni(q, 1);
    }
    if (s != NULL) {
        bool bad = (flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET) != 0 &&
                   (!s->base.ended || !s->base.peer_ended);
        if (bad && s->base.peer_ended &&
            !s->gone) { /* it has said all, and wants no more of ours */
            tern_error why;
            tern_fail_wire(&why, TERN_E_RESET, code_in(s, code), "quic", "stopped by the peer");
            tern_stream_finish_after(&s->base, &why);
        } else {
            finish_stream(s, bad ? TERN_E_RESET : 0, bad ? code_in(s, code) : 0,
                          bad ? "reset by the peer" : "both sides ended");
        }
        quic_stream_over(s);
    }
    return 0;
}

/* RESET_STREAM: the peer's half is cut off; libp2p's resets are of both halves. But to a
 * STOP_SENDING of ours it is the answer, which QUIC itself gives (RFC 9000, section 3.5): our half
 * goes on. */
static int on_stream_reset(ngtcp2_conn *q, int64_t id, uint64_t final_size, uint64_t code,
                           void *user_data, void *stream_user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    quic_stream *s = stream_user_data;
    (void)q;
    (void)id;
    (void)final_size;
    if (s != NULL && !s->gone && s->base.stopped && !s->mute) {
        tern_stream_deliver_end(&s->base);
    } else if (s != NULL && !s->gone) {
        s->mute = s->want_reset = 1;
        s->code = code;
        if (tern_list_empty(&s->act)) {
            tern_list_push(&c->acts, &s->act);
        }
        finish_stream(s, TERN_E_RESET, code_in(s, code), "reset by the peer");
        quic_conn_want_turn(c);
    }
    return 0;
}

static int on_stream_credit(ngtcp2_conn *q, int64_t id, uint64_t max, void *user_data,
                            void *stream_user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    quic_stream *s = stream_user_data;
    (void)q;
    (void)id;
    (void)max;
    if (s != NULL && s->blocked) {
        s->blocked = 0;
        if (quic_stream_wants(s) && tern_list_empty(&s->ready)) {
            tern_list_push(&c->ready, &s->ready);
        }
        quic_conn_want_turn(c);
    }
    return 0;
}

void quic_conn_open_waiting(quic_conn *c)
{
    while (c->complete && !tern_list_empty(&c->unopened)) {
        quic_stream *s = TERN_CONTAINER(c->unopened.next, quic_stream, ready);
        int64_t id;
        if (ngtcp2_conn_open_bidi_stream(c->q, &id, s) != 0) {
            break;
        }
        quic_stream_opened(s, id);
    }
}

/* The peer permits more streams of ours: those that wait are opened, in order. */
static int on_stream_places(ngtcp2_conn *q, uint64_t max, void *user_data)
{
    (void)q;
    (void)max;
    quic_conn_open_waiting(quic_conn_of(user_data));
    return 0;
}

/* ---- the connection ---- */

static int on_handshake(ngtcp2_conn *q, void *user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    (void)q;
    if (c->app != NULL) {
        c->complete = 1;
        if (!c->base.facts.inbound) {
            c->app->begin(c->session, c);
        }
        return 0;
    }
    if (quic_resume_done(c) != 0) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    quic_conn_ready(c);
    return 0;
}

/* A server may write before the client has answered. */
static int on_tx_key(ngtcp2_conn *q, ngtcp2_encryption_level level, void *user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    (void)q;
    if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT && c->app != NULL && c->base.facts.inbound) {
        c->app->begin(c->session, c);
    }
    return 0;
}

/* The server's, for our next dial of its address. */
static int on_token(ngtcp2_conn *q, const uint8_t *token, size_t n, void *user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    (void)q;
    if (c->given && c->app == NULL) {
        quic_kept_token(c->endpoint->quic, &c->base.facts.peer, &c->remote, (tern_span){token, n});
    }
    return 0;
}

/* The peer has lost the connection, as one that was restarted. */
static int on_stateless_reset(ngtcp2_conn *q, const ngtcp2_pkt_stateless_reset *sr, void *user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    tern_error why;
    (void)q;
    (void)sr;
    tern_fail(&why, TERN_E_RESET, "quic", "the peer knows the connection no more");
    if (c->failure == NULL) {
        c->failure = tern_memdup(&why, sizeof why);
    }
    return 0;
}

static void on_rand(uint8_t *dest, size_t n, const ngtcp2_rand_ctx *ctx)
{
    tern_loop_random(ctx->native_handle, dest, n);
}

static int on_new_cid(ngtcp2_conn *q, ngtcp2_cid *cid, uint8_t *token, size_t n, void *user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    tern_quic *quic = c->endpoint->quic;
    (void)q;
    cid->datalen = n;
    tern_loop_random(c->base.loop, cid->data, n);
    return ngtcp2_crypto_generate_stateless_reset_token(token, quic->reset_key,
                                                        sizeof quic->reset_key, cid) != 0 ||
                   quic_endpoint_add_cid(c->endpoint, cid, c) != 0
               ? NGTCP2_ERR_CALLBACK_FAILURE
               : 0;
}

static int on_cid_gone(ngtcp2_conn *q, const ngtcp2_cid *cid, void *user_data)
{
    (void)q;
    quic_conn *c = quic_conn_of(user_data);
    quic_endpoint_remove_cid(c->endpoint, cid, c);
    return 0;
}

/* A path of the peer's answered our challenge. Until then, and for good if it does not, the facts
 * name the one before: anybody could have sent a copy of a packet from there. */
static int on_path(ngtcp2_conn *q, uint32_t flags, const ngtcp2_path *path, const ngtcp2_path *old,
                   ngtcp2_path_validation_result result, void *user_data)
{
    quic_conn *c = quic_conn_of(user_data);
    tern_endpoint to;
    (void)flags;
    (void)old;
    quic_address_to(&to, &path->remote);
    if (result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS && !tern_endpoint_eq(&to, &c->remote) &&
        ngtcp2_path_eq(path, ngtcp2_conn_get_path(q))) {
        quic_conn_moved(c, &to);
    }
    return 0;
}

/* On connections that may be of an app: what ngtcp2 does not know is made known to it. */
static int decrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                   const ngtcp2_crypto_aead_ctx *context, const uint8_t *ciphertext, size_t n,
                   const uint8_t *nonce, size_t nonce_n, const uint8_t *aad, size_t aad_n)
{
    int r =
        ngtcp2_crypto_decrypt_cb(dest, aead, context, ciphertext, n, nonce, nonce_n, aad, aad_n);
    if (r == 0) {
        quic_reset_at_rewrite(dest, n - aead->max_overhead);
    }
    return r;
}

void quic_conn_callbacks(ngtcp2_callbacks *ret, bool server, bool app)
{
    *ret = (ngtcp2_callbacks){
        .client_initial = server ? NULL : quic_tls_begin,
        .recv_client_initial = server ? ngtcp2_crypto_recv_client_initial_cb : NULL,
        .recv_crypto_data = quic_tls_feed,
        .handshake_completed = on_handshake,
        .encrypt = ngtcp2_crypto_encrypt_cb,
        .decrypt = app ? decrypt : ngtcp2_crypto_decrypt_cb,
        .hp_mask = ngtcp2_crypto_hp_mask_cb,
        .recv_stream_data = on_stream_data,
        .acked_stream_data_offset = on_acked,
        .stream_open = on_stream_open,
        .stream_close = on_stream_close,
        .recv_stateless_reset = on_stateless_reset,
        .recv_new_token = server ? NULL : on_token,
        .recv_retry = server ? NULL : ngtcp2_crypto_recv_retry_cb,
        .extend_max_local_streams_bidi = on_stream_places,
        .rand = on_rand,
        .get_new_connection_id = on_new_cid,
        .remove_connection_id = on_cid_gone,
        .update_key = ngtcp2_crypto_update_key_cb,
        .path_validation = on_path,
        .stream_reset = on_stream_reset,
        .extend_max_stream_data = on_stream_credit,
        .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
        .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
        .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
        .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
        .recv_tx_key = on_tx_key,
    };
}

/* ---- datagrams ---- */

/* The codes of libp2p's specs for the end of a connection; NULL for others. */
static const char *close_name(uint64_t code)
{
    static const char *const names[] = {"PROTOCOL_NEGOTIATION_FAILED",
                                        "RESOURCE_LIMIT_EXCEEDED",
                                        "RATE_LIMITED",
                                        "PROTOCOL_VIOLATION",
                                        "SUPPLANTED",
                                        "GARBAGE_COLLECTED",
                                        "SHUTDOWN",
                                        "GATED",
                                        "CODE_OUT_OF_RANGE"};
    return code >= 0x1000 && code - 0x1000 < sizeof names / sizeof *names ? names[code - 0x1000]
                                                                          : NULL;
}

static bool refusal(uint64_t code)
{
    return code == 0x1001 || code == 0x1002 || code == 0x1007;
}

/* The peer has closed: why. */
static void drained(quic_conn *c)
{
    const ngtcp2_ccerr *e = ngtcp2_conn_get_ccerr(c->q);
    tern_error why;
    bool app = e->type == NGTCP2_CCERR_TYPE_APPLICATION;
    int reason = e->reasonlen < 80 ? (int)e->reasonlen : 80;
    if (c->failure != NULL) { /* it said why before */
        why = *c->failure;
    } else if (app && e->error_code == (c->app != NULL ? c->app->no_error : 0)) {
        tern_fail(&why, 0, "quic", "the peer closed the connection");
    } else {
        /* 0x100 to 0x1ff are TLS alerts (RFC 9001, section 4.8) */
        c->net->counters.tls_refused += !app && e->error_code >= 0x100 && e->error_code < 0x200;
        const char *name = app ? close_name(e->error_code) : NULL;
        int code = !app ? TERN_E_PROTOCOL : refusal(e->error_code) ? TERN_E_REFUSED : TERN_E_RESET;
        tern_fail_wire(&why, code, e->error_code, "quic",
                       "the peer closed the connection with %s code 0x%llx%s%s%s%.*s",
                       app ? "its" : "QUIC's", (unsigned long long)e->error_code,
                       name != NULL ? " " : "", name != NULL ? name : "", reason > 0 ? ": " : "",
                       reason, (const char *)e->reason);
    }
    quic_conn_fail(c, &why);
}

/* What the alert that we send says about the peer's handshake. */
static void judge_alert(quic_conn *c, tern_error *ret_why)
{
    tern_counters *count = &c->net->counters;
    uint8_t alert = ngtcp2_conn_get_tls_alert(c->q);
    const char *text = c->tls != NULL ? tern_handshake_why(c->tls) : "the peer says too much";
    int code = TERN_E_CRYPTO;
    switch (alert) {
    case TERN_ALERT_NO_APPLICATION_PROTOCOL:
    case TERN_ALERT_PROTOCOL_VERSION:
    case TERN_ALERT_HANDSHAKE_FAILURE:
        count->tls_nothing_common++;
        code = TERN_E_NEGOTIATION;
        break;
    case TERN_ALERT_DECRYPT_ERROR:
        count->tls_bad_signature++;
        break;
    default:
        count->tls_malformed++;
    }
    tern_fail_wire(ret_why, code, alert, "quic", "the TLS handshake fails: %s (alert %u)", text,
                   alert);
}

/* What ngtcp2 or TLS found wrong. */
static void broken(quic_conn *c, int r)
{
    tern_error why;
    if (c->failure != NULL) {
        why = *c->failure;
    } else if (r == NGTCP2_ERR_CRYPTO) {
        judge_alert(c, &why);
    } else if (r == NGTCP2_ERR_RECV_VERSION_NEGOTIATION) {
        c->net->counters.quic_versions++;
        tern_fail(&why, TERN_E_UNSUPPORTED, "quic", "the server speaks no version of QUIC of ours");
    } else {
        c->net->counters.quic_violations++;
        tern_fail(&why, r == NGTCP2_ERR_NOMEM ? TERN_E_NOMEM : TERN_E_PROTOCOL, "quic",
                  "the peer breaks the rules: %s", ngtcp2_strerror(r));
    }
    quic_conn_say_goodbye(c, false, 0, r);
    quic_conn_fail(c, &why);
}

void quic_conn_read(quic_conn *c, tern_datagram *d)
{
    quic_address local, remote;
    if (c->over) {
        return;
    }
    if (!tern_endpoint_eq(&d->from, &c->remote) && c->net->ops != NULL &&
        c->net->ops->admits != NULL && !c->net->ops->admits(c->net, &d->from)) {
        c->net->counters.accept_gated++; /* it may not move to where it may not come from */
        return;
    }
    quic_address_from(&local, &c->endpoint->local);
    quic_address_from(&remote, &d->from);
    ngtcp2_path path = {local.view, remote.view, NULL};
    ngtcp2_pkt_info info = {.ecn = d->ecn};
    bool handshaking = !c->complete;
    int r = ngtcp2_conn_read_pkt(c->q, &path, &info, d->data, d->len, tern_loop_now(c->base.loop));
    if (r == NGTCP2_ERR_DRAINING || r == NGTCP2_ERR_CLOSING) {
        drained(c);
    } else if (r == NGTCP2_ERR_DROP_CONN || r == NGTCP2_ERR_RETRY) {
        tern_error why;
        tern_fail(&why, TERN_E_PROTOCOL, "quic", "the peer's first datagram is of no use");
        c->net->counters.quic_malformed++;
        quic_conn_fail(c, &why);
    } else if (r != 0) {
        broken(c, r);
    } else {
        /* the first 0-RTT data of a client that was recognised: its conn need not wait */
        if (c->resumption.early && !c->given && c->base.stream_count > 0) {
            quic_conn_give(c);
        }
        if (handshaking && !c->over) {
            tern_defer_soon(c->base.loop, &c->turn);
        }
        quic_conn_want_turn(c);
        tern_net_grew(c->net);
    }
}
