/* The server's side of a handshake (RFC 8446, appendix A.2):
 *
 *     ClientHello (twice after a HelloRetryRequest) -> ServerHello, EncryptedExtensions,
 *     [CertificateRequest] Certificate, CertificateVerify, unless resumed, Finished ->
 *     [Certificate, CertificateVerify] Finished */
#include "base/error.h"
#include "crypto/spki.h"
#include "tls/inside.h"

/* ---- what the client offers ---- */

static bool choose_cipher(const tern_hello *hello, tern_aead_kind *ret)
{
    for (unsigned i = 0; i < TLS_CIPHERS; i++) {
        if (tls_has16(hello->ciphers, tls_suite(tls_ciphers[i]))) {
            *ret = tls_ciphers[i];
            return true;
        }
    }
    return false;
}

static tern_span share_of(tern_span list, uint16_t group)
{
    uint16_t g;
    tern_span key;
    while (tls_take16(&list, &g) && tls_take_vector(&list, 2, &key)) {
        if (g == group) {
            return key;
        }
    }
    return (tern_span){NULL, 0};
}

/* Whether it is one that TLS 1.3 can be spoken with at all (section 9.2). */
static int check(tern_handshake *h, const tern_hello *hello)
{
    if (!hello->tls13) {
        return tls_fail(h, TERN_E_NEGOTIATION, TERN_ALERT_PROTOCOL_VERSION,
                        "the client speaks an older version of TLS");
    }
    if (hello->compression.len != 1 || hello->compression.data[0] != 0) {
        return tls_illegal(h, "the client wants compression");
    }
    if (hello->groups.data == NULL || hello->shares.data == NULL ||
        (hello->schemes.data == NULL && hello->offered == 0) ||
        (hello->offered > 0 && !hello->modes) ||
        (h->config.params != 0 && hello->params.data == NULL)) {
        return tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_MISSING_EXTENSION,
                        "the ClientHello lacks an extension that must be there");
    }
    if (hello->alpn.data == NULL && !h->config.no_alpn) {
        return tls_fail(h, TERN_E_NEGOTIATION, TERN_ALERT_NO_APPLICATION_PROTOCOL,
                        "the client names no protocol");
    }
    if (hello->early_data && (hello->offered == 0 || h->retried)) {
        return tls_illegal(h, "the client offers early data that may not be there");
    }
    return 0;
}

/* ---- ServerHello, HelloRetryRequest ---- */

static int put_server_hello(tern_handshake *h, const tern_hello *hello, bool retry)
{
    tls_out *o = &h->out;
    uint8_t random[TLS_RANDOM];
    tern_random(random, sizeof random);
    size_t message = tls_begin(h, TLS_SERVER_HELLO);
    tls_put16(o, TLS_LEGACY_VERSION);
    tls_put(o, retry ? tls_retry_random : random, TLS_RANDOM);
    size_t at = tls_open(o, 1);
    tls_put(o, hello->session_id.data, hello->session_id.len);
    tls_close(o, at, 1);
    tls_put16(o, tls_suite(h->cipher));
    tls_put8(o, 0); /* no compression */
    size_t extensions = tls_open(o, 2);
    at = tls_open_extension(o, TLS_EXT_SUPPORTED_VERSIONS);
    tls_put16(o, TLS_VERSION);
    TLS_CLOSE_EXTENSION(o, at);
    at = tls_open_extension(o, TLS_EXT_KEY_SHARE);
    tls_put16(o, h->share.group);
    if (!retry) {
        size_t key = tls_open(o, 2);
        tls_put(o, h->share.public, tls_share_size(h->share.group));
        tls_close(o, key, 2);
    }
    TLS_CLOSE_EXTENSION(o, at);
    if (h->resumed) {
        at = tls_open_extension(o, TLS_EXT_PRE_SHARED_KEY);
        tls_put16(o, 0);
        TLS_CLOSE_EXTENSION(o, at);
    }
    tls_close(o, extensions, 2);
    h->out_level = TERN_LEVEL_INITIAL;
    int e = tls_finish(h, message);
    return e == 0 ? tls_flush(h) : e;
}

/* The client has a group of ours, and guessed another. */
static int retry(tern_handshake *h, const tern_hello *hello, tern_span whole)
{
    uint8_t first[TLS_HEAD + TERN_HASH_MAX];
    tern_hash_kind kind = tls_hash(h->cipher);
    h->share.group = tls_has16(hello->groups, TLS_X25519) ? TLS_X25519
                     : tls_has16(hello->groups, TLS_P256) ? TLS_P256
                                                          : 0;
    if (h->share.group == 0) {
        return tls_fail(h, TERN_E_NEGOTIATION, TERN_ALERT_HANDSHAKE_FAILURE,
                        "the client has neither X25519 nor P-256");
    }
    if (h->retried) {
        return tls_illegal(h, "the client does not send the key share that it was asked for");
    }
    h->retried = 1;
    size_t n = tls_put_message_hash(kind, whole, first);
    h->transcript = tern_hash_new(kind);
    int e = h->transcript == NULL ? TERN_E_NOMEM
            : n == 0              ? TERN_E_CRYPTO
                                  : tern_hash_add(h->transcript, (tern_span){first, n});
    return e == 0 ? put_server_hello(h, hello, true) : e;
}

/* ---- resumption ---- */

/* Whether the client has the key of the ticket that it offers (section 4.2.11.2). */
static int check_binder(tern_handshake *h, const tern_hello *hello, const uint8_t *hash)
{
    uint8_t binder[TERN_HASH_MAX];
    int e = tls_early_secret(h, h->psk.cipher, h->psk.key);
    if (e == 0) {
        e = tls_binder(h, h->psk.cipher, hash, binder);
    }
    if (e == 0 && (hello->binder.len != tern_hash_size(tls_hash(h->psk.cipher)) ||
                   !tern_eq_ct(binder, hello->binder.data, hello->binder.len))) {
        return tls_fail(h, TERN_E_CRYPTO, TERN_ALERT_DECRYPT_ERROR,
                        "the client has not the key of the ticket that it offers");
    }
    return e;
}

/* The transcript goes on with the ClientHello; *ret_bound: of what the binder binds. */
static int add_hello(tern_handshake *h, const tern_hello *hello, tern_span whole,
                     uint8_t ret_bound[TERN_HASH_MAX])
{
    size_t bound = hello->offered > 0 ? TLS_HEAD + hello->unbound : whole.len;
    if (h->transcript == NULL) {
        h->transcript = tern_hash_new(tls_hash(h->cipher));
    }
    int e = h->transcript == NULL ? TERN_E_NOMEM
                                  : tern_hash_add(h->transcript, (tern_span){whole.data, bound});
    if (e == 0 && hello->offered > 0) {
        e = tern_hash_now(h->transcript, ret_bound);
    }
    return e == 0 ? tern_hash_add(h->transcript, (tern_span){whole.data + bound, whole.len - bound})
                  : e;
}

static int resume(tern_handshake *h, const tern_hello *hello, const tern_answer *answer,
                  const uint8_t *bound)
{
    uint8_t hash[TERN_HASH_MAX];
    if (answer->psk == NULL || !hello->dhe || hello->offered == 0 ||
        tls_hash(answer->psk->cipher) != tls_hash(h->cipher)) {
        return tls_early_secret(h, h->cipher, NULL);
    }
    h->psk = *answer->psk;
    int e = check_binder(h, hello, bound);
    if (e != 0) {
        return e;
    }
    h->resumed = 1;
    h->early = answer->early && hello->early_data && h->psk.cipher == h->cipher;
    h->ops->resumed(h->owner);
    if (!h->early) {
        return 0;
    }
    e = tern_hash_now(h->transcript, hash);
    return e == 0 ? tls_early_traffic(h, h->cipher, hash) : e;
}

/* ---- our flight ---- */

static int put_encrypted_extensions(tern_handshake *h, const tern_answer *answer)
{
    tls_out *o = &h->out;
    size_t message = tls_begin(h, TLS_ENCRYPTED_EXTENSIONS), extensions = tls_open(o, 2);
    size_t at;
    if (answer->alpn.len > 0) {
        size_t alpn = tls_open_extension(o, TLS_EXT_ALPN), list = tls_open(o, 2);
        at = tls_open(o, 1);
        tls_put(o, answer->alpn.data, answer->alpn.len);
        tls_close(o, at, 1);
        tls_close(o, list, 2);
        TLS_CLOSE_EXTENSION(o, alpn);
    }
    if (h->early) {
        at = tls_open_extension(o, TLS_EXT_EARLY_DATA);
        TLS_CLOSE_EXTENSION(o, at);
    }
    if (answer->tickets >= 0) {
        at = tls_open_extension(o, TLS_EXT_TICKET_REQUEST);
        tls_put8(o, (uint8_t)answer->tickets);
        TLS_CLOSE_EXTENSION(o, at);
    }
    int e = tls_put_params(h);
    tls_close(o, extensions, 2);
    return e == 0 ? tls_finish(h, message) : e;
}

static int put_request(tern_handshake *h)
{
    tls_out *o = &h->out;
    size_t message = tls_begin(h, TLS_CERTIFICATE_REQUEST);
    tls_put8(o, 0);
    size_t extensions = tls_open(o, 2);
    size_t at = tls_open_extension(o, TLS_EXT_SIGNATURE_ALGORITHMS);
    tls_put_schemes(o);
    TLS_CLOSE_EXTENSION(o, at);
    tls_close(o, extensions, 2);
    return tls_finish(h, message);
}

static int put_flight(tern_handshake *h, const tern_answer *answer)
{
    h->out_level = TERN_LEVEL_HANDSHAKE;
    int e = put_encrypted_extensions(h, answer);
    if (e == 0 && !h->resumed && answer->ask) {
        h->ask = 1;
        e = put_request(h);
    }
    if (e == 0 && !h->resumed) {
        e = tls_put_certificate(h, answer->cert);
    }
    if (e == 0) {
        e = tls_put_finished(h);
    }
    return e == 0 ? tls_flush(h) : e;
}

/* From the key exchange to the keys of what we may say before the client has answered. */
static int respond(tern_handshake *h, const tern_hello *hello, const tern_answer *answer,
                   tern_span share)
{
    uint8_t shared[TERN_X25519];
    int e = put_server_hello(h, hello, false);
    if (e != 0) {
        return e;
    }
    e = tls_share_shared(&h->share, share, shared);
    if (e != 0) {
        return e == TERN_E_INVALID ? tls_illegal(h, "the client's key share is no key") : e;
    }
    e = tls_next_secret(h, shared, sizeof shared);
    tern_wipe(shared, sizeof shared);
    if (e == 0) {
        e = tls_handshake_secrets(h);
    }
    if (e == 0) {
        e = tls_tell(h, TERN_LEVEL_HANDSHAKE, true);
    }
    if (e == 0) {
        e = tls_tell(h, TERN_LEVEL_HANDSHAKE, false);
    }
    if (e == 0) {
        e = put_flight(h, answer);
    }
    if (e == 0) {
        e = tls_next_secret(h, NULL, 0);
    }
    if (e == 0) {
        e = tls_app_secrets(h);
    }
    h->state = h->ask ? TLS_WAIT_CERTIFICATE : TLS_WAIT_FINISHED;
    return e == 0 ? tls_tell(h, TERN_LEVEL_TRAFFIC, true) : e;
}

static int ask_owner(tern_handshake *h, const tern_hello *hello, tern_answer *answer)
{
    *answer = (tern_answer){.tickets = -1};
    int e = h->ops->hello(h->owner, hello, answer);
    if (e != 0) {
        return e;
    }
    if (answer->alpn.len == 0 && hello->alpn.data != NULL) {
        return tls_fail(h, TERN_E_NEGOTIATION, TERN_ALERT_NO_APPLICATION_PROTOCOL,
                        "no protocol in common");
    }
    return 0;
}

static int on_client_hello(tern_handshake *h, tern_span body, tern_span whole)
{
    tern_hello hello;
    tern_answer answer;
    tern_aead_kind cipher;
    uint8_t bound[TERN_HASH_MAX];
    int alert = tern_hello_read(body, h->config.params, &hello);
    if (alert != 0) {
        return tls_fail(h, alert == TERN_ALERT_DECODE_ERROR ? TERN_E_MALFORMED : TERN_E_PROTOCOL,
                        (tern_alert)alert, "the ClientHello does not parse");
    }
    int e = check(h, &hello);
    if (e != 0) {
        return e;
    }
    if (!choose_cipher(&hello, &cipher) || (h->retried && cipher != h->cipher)) {
        return tls_fail(h, TERN_E_NEGOTIATION, TERN_ALERT_HANDSHAKE_FAILURE, "no cipher in common");
    }
    h->cipher = cipher;
    e = h->config.params != 0 ? tls_params_come(h, hello.params) : 0;
    if (e != 0) {
        return e;
    }
    uint16_t group = TLS_X25519;
    tern_span share = share_of(hello.shares, group);
    if (share.data == NULL) {
        group = TLS_P256;
        share = share_of(hello.shares, group);
    }
    if (share.data == NULL || (h->retried && group != h->share.group)) {
        return retry(h, &hello, whole);
    }
    e = add_hello(h, &hello, whole, bound);
    if (e == 0) {
        e = ask_owner(h, &hello, &answer);
    }
    if (e == 0) {
        e = resume(h, &hello, &answer, bound);
    }
    if (e == 0 && !h->resumed && !tls_has16(hello.schemes, TERN_ECDSA_P256)) {
        return tls_fail(h, TERN_E_NEGOTIATION, TERN_ALERT_HANDSHAKE_FAILURE,
                        "the client does not verify ECDSA on P-256");
    }
    if (e == 0) {
        e = tls_share_make(h, group);
    }
    return e == 0 ? respond(h, &hello, &answer, share) : e;
}

/* ---- the client's flight ---- */

static int finish(tern_handshake *h)
{
    int e = tls_resumption(h);
    if (e == 0) {
        e = tls_tell(h, TERN_LEVEL_TRAFFIC, false);
    }
    return e == 0 ? tls_complete(h) : e;
}

int tls_server_message(tern_handshake *h, uint8_t type, tern_span body, tern_span whole)
{
    static const struct {
        uint8_t type;
        int (*read)(tern_handshake *h, tern_span body);
        tls_state next;
    } steps[] = {
        [TLS_WAIT_CERTIFICATE] = {TLS_CERTIFICATE, tls_read_certificate,
                                  TLS_WAIT_CERTIFICATE_VERIFY},
        [TLS_WAIT_CERTIFICATE_VERIFY] = {TLS_CERTIFICATE_VERIFY, tls_read_verify,
                                         TLS_WAIT_FINISHED},
        [TLS_WAIT_FINISHED] = {TLS_FINISHED, tls_read_finished, TLS_DONE},
    };
    if (h->state == TLS_WAIT_CLIENT_HELLO && type == TLS_CLIENT_HELLO) {
        return on_client_hello(h, body, whole);
    }
    if (h->state >= sizeof steps / sizeof *steps || steps[h->state].read == NULL ||
        steps[h->state].type != type) {
        return tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_UNEXPECTED_MESSAGE,
                        "the client sends a message that may not come here");
    }
    int e = steps[h->state].read(h, body);
    if (e == 0) {
        e = tern_hash_add(h->transcript, whole);
    }
    if (e != 0) {
        return e;
    }
    if (steps[h->state].next == TLS_DONE) {
        return finish(h);
    }
    h->state = steps[h->state].next;
    return 0;
}
