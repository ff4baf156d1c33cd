/* A QUIC end made by a test: see raw_quic.h. */
#include "sim/raw_quic.h"

#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include "base/test.h"
#include "crypto/cert_pair.h"
#include "crypto/key_evp.h"
#include "quic/endpoint.h"

enum { CID = 8, PACKET = 1200 };

static void flush(raw_quic *r);

/* ---- what ngtcp2 asks ---- */

static ngtcp2_conn *get_conn(ngtcp2_crypto_conn_ref *ref)
{
    return ((raw_quic *)ref->user_data)->q;
}

static void on_rand(uint8_t *dest, size_t n, const ngtcp2_rand_ctx *ctx)
{
    tern_loop_random(ctx->native_handle, dest, n);
}

static int on_new_cid(ngtcp2_conn *q, ngtcp2_cid *cid, uint8_t *token, size_t n, void *user_data)
{
    raw_quic *r = user_data;
    (void)q;
    cid->datalen = n;
    tern_loop_random(r->host, cid->data, n);
    tern_loop_random(r->host, token, NGTCP2_STATELESS_RESET_TOKENLEN);
    return 0;
}

static int on_completed(ngtcp2_conn *q, void *user_data)
{
    (void)q;
    ((raw_quic *)user_data)->completed = true;
    return 0;
}

static int on_retry(ngtcp2_conn *q, const ngtcp2_pkt_hd *hd, void *user_data)
{
    ((raw_quic *)user_data)->retries++;
    return ngtcp2_crypto_recv_retry_cb(q, hd, user_data);
}

static int on_reset(ngtcp2_conn *q, int64_t id, uint64_t size, uint64_t code, void *user_data,
                    void *stream_user_data)
{
    (void)q;
    (void)id;
    (void)size;
    (void)code;
    (void)stream_user_data;
    ((raw_quic *)user_data)->resets++;
    return 0;
}

static raw_quic *forger; /* whose packet is being written */

/* The frames of the next packet are what the test says. */
static int encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead,
                   const ngtcp2_crypto_aead_ctx *context, const uint8_t *plain, size_t n,
                   const uint8_t *nonce, size_t nonce_n, const uint8_t *aad, size_t aad_n)
{
    uint8_t other[2 * PACKET];
    if (forger != NULL && forger->forged_n > 0) {
        assert_true(forger->forged_n <= n && n <= sizeof other);
        memset(other, 0, n); /* PADDING */
        memcpy(other, forger->forged, forger->forged_n);
        forger->forged_n = 0;
        plain = other;
    }
    return ngtcp2_crypto_encrypt_cb(dest, aead, context, plain, n, nonce, nonce_n, aad, aad_n);
}

static void fill_callbacks(ngtcp2_callbacks *ret, bool server)
{
    *ret = (ngtcp2_callbacks){
        .client_initial = server ? NULL : ngtcp2_crypto_client_initial_cb,
        .recv_client_initial = server ? ngtcp2_crypto_recv_client_initial_cb : NULL,
        .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
        .handshake_completed = on_completed,
        .encrypt = encrypt,
        .decrypt = ngtcp2_crypto_decrypt_cb,
        .hp_mask = ngtcp2_crypto_hp_mask_cb,
        .recv_retry = server ? NULL : on_retry,
        .rand = on_rand,
        .get_new_connection_id = on_new_cid,
        .update_key = ngtcp2_crypto_update_key_cb,
        .stream_reset = on_reset,
        .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
        .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
        .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
        .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
    };
}

/* ---- TLS ---- */

static void make_credentials(raw_quic *r)
{
    uint8_t der[4096];
    gnutls_certificate_credentials_t made;
    assert_int_equal(gnutls_certificate_allocate_credentials(&made), 0);
    r->credentials = made;
    if (r->options.cert == NULL) {
        return;
    }
    const tern_cert *signer = r->options.signer != NULL ? r->options.signer : r->options.cert;
    ssize_t n = tern_evp_write_private(signer->pkey, der, sizeof der);
    assert_true(n > 0);
    tern_span shown = tern_cert_der(r->options.cert);
    gnutls_datum_t chain = {(uint8_t *)(uintptr_t)shown.data, (unsigned)shown.len};
    gnutls_datum_t key = {der, (unsigned)n};
    gnutls_certificate_set_flags(made, GNUTLS_CERTIFICATE_SKIP_KEY_CERT_MATCH);
    assert_true(gnutls_certificate_set_x509_key_mem(made, &chain, &key, GNUTLS_X509_FMT_DER) >= 0);
}

static void make_tls(raw_quic *r)
{
    gnutls_session_t s;
    const char *alpn = r->options.alpn;
    gnutls_datum_t name = {(uint8_t *)(uintptr_t)alpn, alpn != NULL ? (unsigned)strlen(alpn) : 0};
    assert_int_equal(gnutls_init(&s, r->server ? GNUTLS_SERVER : GNUTLS_CLIENT), 0);
    assert_int_equal(gnutls_priority_set_direct(
                         s, "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE", NULL),
                     0);
    make_credentials(r);
    gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, r->credentials);
    assert_int_equal(r->server ? ngtcp2_crypto_gnutls_configure_server_session(s)
                               : ngtcp2_crypto_gnutls_configure_client_session(s),
                     0);
    if (alpn != NULL) {
        gnutls_alpn_set_protocols(s, &name, 1, 0);
    }
    if (r->server) {
        gnutls_certificate_server_set_request(s, GNUTLS_CERT_REQUEST);
    }
    r->ref = (ngtcp2_crypto_conn_ref){get_conn, r};
    gnutls_session_set_ptr(s, &r->ref);
    r->tls = s;
}

/* ---- the connection ---- */

static void make_conn(raw_quic *r, const ngtcp2_pkt_hd *hd)
{
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_callbacks callbacks;
    quic_address local, remote;
    ngtcp2_cid scid = {.datalen = CID}, dcid = {.datalen = CID};
    ngtcp2_settings_default(&settings);
    settings.initial_ts = tern_loop_now(r->host);
    settings.rand_ctx.native_handle = r->host;
    settings.max_tx_udp_payload_size = PACKET;
    settings.no_pmtud = 1;
    ngtcp2_transport_params_default(&params);
    params.initial_max_stream_data_bidi_local = params.initial_max_stream_data_bidi_remote = 1
                                                                                             << 20;
    params.initial_max_stream_data_uni = 1 << 20;
    params.initial_max_data = 8 << 20;
    params.initial_max_streams_bidi = params.initial_max_streams_uni =
        r->options.streams != 0 ? r->options.streams : 100;
    tern_loop_random(r->host, scid.data, CID);
    tern_loop_random(r->host, dcid.data, CID);
    quic_address_from(&local, &r->local);
    quic_address_from(&remote, &r->to);
    ngtcp2_path path = {local.view, remote.view, NULL};
    fill_callbacks(&callbacks, r->server);
    if (r->server) {
        params.original_dcid = hd->dcid;
        params.original_dcid_present = 1;
    }
    assert_int_equal(r->server
                         ? ngtcp2_conn_server_new(&r->q, &hd->scid, &scid, &path, hd->version,
                                                  &callbacks, &settings, &params, NULL, r)
                         : ngtcp2_conn_client_new(&r->q, &dcid, &scid, &path, NGTCP2_PROTO_VER_V1,
                                                  &callbacks, &settings, &params, NULL, r),
                     0);
    make_tls(r);
    ngtcp2_conn_set_tls_native_handle(r->q, r->tls);
}

static void end_conn(raw_quic *r)
{
    tern_timer_stop(&r->timer);
    ngtcp2_conn_del(r->q);
    r->q = NULL;
    if (r->tls != NULL) {
        gnutls_deinit(r->tls);
        gnutls_certificate_free_credentials(r->credentials);
        r->tls = NULL;
    }
}

static void on_timer(tern_timer *timer)
{
    raw_quic *r = TERN_CONTAINER(timer, raw_quic, timer);
    if (ngtcp2_conn_handle_expiry(r->q, tern_loop_now(r->host)) != 0) {
        end_conn(r);
    } else {
        flush(r);
    }
}

static void send_out(raw_quic *r, const uint8_t *p, size_t n)
{
    if ((p[0] & 0xf0) == 0xc0) {
        memcpy(r->first, p, n);
        r->first_n = n;
    }
    if (!r->options.silent) {
        tern_udp_send(r->u, &r->to, p, n, 0, 0);
        r->sent += n;
    }
}

/* One packet: what there is to send, or the bytes of a stream. Its length. */
static ngtcp2_ssize write_packet(raw_quic *r, int64_t id, const void *bytes, size_t n, bool fin)
{
    uint8_t out[PACKET];
    ngtcp2_path_storage path;
    ngtcp2_pkt_info info;
    ngtcp2_ssize taken;
    ngtcp2_vec v = {(uint8_t *)(uintptr_t)bytes, n};
    ngtcp2_path_storage_zero(&path);
    forger = r;
    ngtcp2_ssize len = ngtcp2_conn_writev_stream(r->q, &path.path, &info, out, sizeof out, &taken,
                                                 fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0, id, &v,
                                                 n > 0, tern_loop_now(r->host));
    forger = NULL;
    if (len > 0) {
        send_out(r, out, (size_t)len);
    }
    return len;
}

static void flush(raw_quic *r)
{
    ngtcp2_ssize n = 1;
    while (r->q != NULL && (n = write_packet(r, -1, NULL, 0, false)) > 0) {
    }
    if (n < 0) {
        r->broke = (int)n;
        end_conn(r);
    } else if (r->q != NULL) {
        uint64_t at = ngtcp2_conn_get_expiry(r->q);
        if (at != UINT64_MAX) {
            tern_timer_start(r->host, &r->timer, at, on_timer);
        }
    }
}

static void goodbye(raw_quic *r, int liberr)
{
    uint8_t out[PACKET];
    ngtcp2_ccerr why;
    ngtcp2_pkt_info info;
    ngtcp2_ccerr_default(&why);
    if (liberr == NGTCP2_ERR_CRYPTO) {
        ngtcp2_ccerr_set_tls_alert(&why, ngtcp2_conn_get_tls_alert(r->q), NULL, 0);
    } else {
        ngtcp2_ccerr_set_liberr(&why, liberr, NULL, 0);
    }
    ngtcp2_ssize n = ngtcp2_conn_write_connection_close(r->q, NULL, &info, out, sizeof out, &why,
                                                        tern_loop_now(r->host));
    if (n > 0) {
        tern_udp_send(r->u, &r->to, out, (size_t)n, 0, 0);
    }
}

static void on_datagram(void *owner, tern_udp *u, tern_datagram *d)
{
    raw_quic *r = owner;
    quic_address local, remote;
    ngtcp2_pkt_hd hd;
    ngtcp2_pkt_info info = {0};
    (void)u;
    r->received += d->len;
    if (r->server && r->q == NULL && r->closed == 0 && ngtcp2_accept(&hd, d->data, d->len) == 0) {
        r->to = d->from;
        make_conn(r, &hd);
    }
    if (r->q == NULL) {
        return;
    }
    quic_address_from(&local, &r->local);
    quic_address_from(&remote, &d->from);
    ngtcp2_path path = {local.view, remote.view, NULL};
    int e = ngtcp2_conn_read_pkt(r->q, &path, &info, d->data, d->len, tern_loop_now(r->host));
    if (e == 0) {
        flush(r);
        return;
    }
    if (e == NGTCP2_ERR_DRAINING) {
        const ngtcp2_ccerr *why = ngtcp2_conn_get_ccerr(r->q);
        r->closed++;
        r->app = why->type == NGTCP2_CCERR_TYPE_APPLICATION;
        r->code = why->error_code;
    } else {
        r->broke = e;
        goodbye(r, e);
    }
    end_conn(r);
}

static void bind_at(raw_quic *r, tern_loop *host, const char *ip, uint16_t port)
{
    r->host = host;
    assert_int_equal(tern_endpoint_parse_ip(&r->local, ip), 0);
    r->local.port = port;
    assert_int_equal(tern_udp_bind(host, &r->local, &r->u), 0);
    tern_udp_register(r->u, TERN_UDP_QUIC, on_datagram, r);
}

void raw_quic_dial(raw_quic *r, tern_loop *host, const char *ip, const tern_endpoint *to,
                   const raw_quic_options *options)
{
    memset(r, 0, sizeof *r);
    r->carrier = -1;
    r->options = *options;
    r->to = *to;
    bind_at(r, host, ip, options->port != 0 ? options->port : 9);
    make_conn(r, NULL);
    flush(r);
}

void raw_quic_listen(raw_quic *r, tern_sim *sim, const char *ip, uint16_t port,
                     const raw_quic_options *options)
{
    tern_loop *host;
    memset(r, 0, sizeof *r);
    r->carrier = -1;
    assert_int_equal(tern_sim_host(sim, ip, &host), 0);
    r->options = *options;
    r->server = true;
    bind_at(r, host, ip, port);
}

void raw_quic_clear(raw_quic *r)
{
    if (r->q != NULL) {
        end_conn(r);
    }
    tern_udp_close(r->u);
}

/* ---- what a test makes it say ---- */

/* The bytes of a stream that the peer never hears of are where the frames go. */
void raw_quic_frames(raw_quic *r, const void *frames, size_t n)
{
    static const uint8_t carried[RAW_QUIC_FRAMES];
    assert_true(r->completed && r->q != NULL && n <= RAW_QUIC_FRAMES);
    if (r->carrier < 0) {
        assert_int_equal(ngtcp2_conn_open_bidi_stream(r->q, &r->carrier, NULL), 0);
    }
    memcpy(r->forged, frames, n);
    r->forged_n = n;
    assert_true(write_packet(r, r->carrier, carried, n, false) > 0);
    assert_int_equal(r->forged_n, 0);
    flush(r);
}

uint8_t *raw_quic_int(uint8_t *p, uint64_t value)
{
    tern_put64(p, value | UINT64_C(3) << 62);
    return p + 8;
}

int64_t raw_quic_open(raw_quic *r, bool both_ways, const void *bytes, size_t n)
{
    int64_t id;
    int e = r->q == NULL ? NGTCP2_ERR_CLOSING
            : both_ways  ? ngtcp2_conn_open_bidi_stream(r->q, &id, NULL)
                         : ngtcp2_conn_open_uni_stream(r->q, &id, NULL);
    if (e != 0) {
        return e;
    }
    ngtcp2_ssize len = write_packet(r, id, bytes, n, false);
    flush(r);
    return len < 0 ? len : id;
}

void raw_quic_reset(raw_quic *r, int64_t id, uint64_t code)
{
    if (r->q != NULL) {
        ngtcp2_conn_shutdown_stream(r->q, 0, id, code);
        flush(r);
    }
}
