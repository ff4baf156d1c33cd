/* The client's side of a handshake (RFC 8446, appendix A.1):
 *
 *     ClientHello -> ServerHello (or, once, HelloRetryRequest) -> EncryptedExtensions ->
 *     [CertificateRequest] Certificate, CertificateVerify, unless resumed -> Finished -> ours;
 *     then tickets */
#include "base/error.h"
#include "crypto/spki.h"
#include "tls/inside.h"

enum { LIFETIME_MAX = 7 * 24 * 3600 };

/* ---- ServerHello, HelloRetryRequest ---- */

typedef struct server_hello {
    bool retry;
    tern_aead_kind cipher;
    uint16_t group;
    tern_span share, cookie;
    bool psk;
} server_hello;

static int read_key_share(tern_handshake *h, tern_span v, server_hello *s)
{
    bool ok =
        tls_take16(&v, &s->group) && (s->retry || tls_take_vector(&v, 2, &s->share)) && v.len == 0;
    return ok ? 0 : tls_malformed(h, "the server's key_share does not parse");
}

static int read_psk(tern_handshake *h, tern_span v, server_hello *s)
{
    uint16_t at;
    if (!tls_take16(&v, &at) || v.len != 0) {
        return tls_malformed(h, "the server's pre_shared_key does not parse");
    }
    if (!h->offered || at != 0) {
        return tls_illegal(h, "the server takes a ticket that nobody offered");
    }
    s->psk = true;
    return 0;
}

static int read_cookie(tern_handshake *h, tern_span v, server_hello *s)
{
    tern_span inner;
    s->cookie = v;
    return tls_take_vector(&v, 2, &inner) && inner.len > 0 && v.len == 0
               ? 0
               : tls_malformed(h, "the server's cookie does not parse");
}

static int read_version(tern_handshake *h, tern_span v, uint16_t *ret)
{
    return tls_take16(&v, ret) && v.len == 0
               ? 0
               : tls_malformed(h, "the server's supported_versions does not parse");
}

static int read_hello_extensions(tern_handshake *h, tern_span list, server_hello *s)
{
    uint16_t type, version = 0;
    tern_span v;
    unsigned seen = 0;
    int e = 0;
    while (e == 0 && list.len > 0) {
        if (!tls_take_extension(&list, &type, &v)) {
            return tls_malformed(h, "the ServerHello's extensions do not parse");
        }
        bool ours = type == TLS_EXT_SUPPORTED_VERSIONS || type == TLS_EXT_KEY_SHARE ||
                    type == (s->retry ? TLS_EXT_COOKIE : TLS_EXT_PRE_SHARED_KEY);
        if (!ours) {
            return tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_UNSUPPORTED_EXTENSION,
                            "the ServerHello has an extension that may not be there");
        }
        unsigned bit = 1u << (type - TLS_EXT_PRE_SHARED_KEY);
        if (seen & bit) {
            return tls_illegal(h, "the ServerHello has an extension twice");
        }
        seen |= bit;
        e = type == TLS_EXT_SUPPORTED_VERSIONS ? read_version(h, v, &version)
            : type == TLS_EXT_KEY_SHARE        ? read_key_share(h, v, s)
            : type == TLS_EXT_COOKIE           ? read_cookie(h, v, s)
                                               : read_psk(h, v, s);
    }
    if (e == 0 && version == 0) {
        return tls_fail(h, TERN_E_NEGOTIATION, TERN_ALERT_PROTOCOL_VERSION,
                        "the server speaks an older version of TLS");
    }
    return e == 0 && version != TLS_VERSION ? tls_illegal(h, "the server chose no version of ours")
                                            : e;
}

static int read_server_hello(tern_handshake *h, tern_span body, server_hello *s)
{
    uint16_t version, suite;
    uint8_t compression;
    tern_span random, session, extensions;
    memset(s, 0, sizeof *s);
    if (!tls_take16(&body, &version) || !tls_take(&body, TLS_RANDOM, &random) ||
        !tls_take_vector(&body, 1, &session) || !tls_take16(&body, &suite) ||
        !tls_take8(&body, &compression) || !tls_take_vector(&body, 2, &extensions) ||
        body.len != 0) {
        return tls_malformed(h, "the ServerHello does not parse");
    }
    if (version != TLS_LEGACY_VERSION || session.len != 0 || compression != 0 ||
        !tls_cipher_of(suite, &s->cipher)) {
        return tls_illegal(h, "the ServerHello chooses what nobody offered");
    }
    s->retry = memcmp(random.data, tls_retry_random, TLS_RANDOM) == 0;
    return read_hello_extensions(h, extensions, s);
}

static int on_retry(tern_handshake *h, const server_hello *s, tern_span whole)
{
    uint8_t first[TLS_HEAD + TERN_HASH_MAX];
    tern_hash_kind kind = tls_hash(s->cipher);
    if (h->retried) {
        return tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_UNEXPECTED_MESSAGE,
                        "the server asks for a third ClientHello");
    }
    if (s->group == 0 ? s->cookie.len == 0
                      : s->group == h->share.group || tls_share_size(s->group) == 0) {
        return tls_illegal(h, "the server asks for the same ClientHello, or for the impossible");
    }
    h->retried = 1;
    h->cipher = s->cipher;
    if (h->offered && tls_hash(h->psk.cipher) != kind) {
        h->offered = 0;
    }
    int e = s->group != 0 ? tls_share_make(h, s->group) : 0;
    if (e != 0) {
        return e;
    }
    size_t n = tls_put_message_hash(
        kind, (tern_span){tern_buf_data(&h->hello), tern_buf_len(&h->hello)}, first);
    if (n == 0) {
        return TERN_E_CRYPTO;
    }
    tern_buf_consume(&h->hello, tern_buf_len(&h->hello));
    e = tern_buf_append(&h->hello, first, n);
    if (e == 0) {
        e = tern_buf_append(&h->hello, whole.data, whole.len);
    }
    return e == 0 ? tls_send_hello(h, s->cookie) : e;
}

/* Both hellos are known: from here on everything is encrypted. */
static int on_hellos(tern_handshake *h, const server_hello *s, tern_span whole)
{
    uint8_t shared[TERN_X25519];
    int e = tls_share_shared(&h->share, s->share, shared);
    if (e != 0) {
        return e == TERN_E_INVALID ? tls_illegal(h, "the server's key share is no key") : e;
    }
    h->transcript = tern_hash_new(tls_hash(h->cipher));
    e = h->transcript == NULL ? TERN_E_NOMEM
                              : tern_hash_add(h->transcript, (tern_span){tern_buf_data(&h->hello),
                                                                         tern_buf_len(&h->hello)});
    tern_buf_free(&h->hello);
    if (e == 0) {
        e = tern_hash_add(h->transcript, whole);
    }
    if (e == 0) {
        e = tls_early_secret(h, h->cipher, h->resumed ? h->psk.key : NULL);
    }
    if (e == 0) {
        e = tls_next_secret(h, shared, sizeof shared);
    }
    tern_wipe(shared, sizeof shared);
    if (e == 0) {
        e = tls_handshake_secrets(h);
    }
    if (e == 0) {
        e = tls_tell(h, TERN_LEVEL_HANDSHAKE, false);
    }
    return e == 0 ? tls_tell(h, TERN_LEVEL_HANDSHAKE, true) : e;
}

static int on_server_hello(tern_handshake *h, tern_span body, tern_span whole)
{
    server_hello s;
    int e = read_server_hello(h, body, &s);
    if (e != 0) {
        return e;
    }
    if (h->retried && s.cipher != h->cipher) {
        return tls_illegal(h, "the server changed its mind about the cipher");
    }
    if (s.retry) {
        return on_retry(h, &s, whole);
    }
    if (s.group != h->share.group) {
        return s.share.data == NULL ? tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_MISSING_EXTENSION,
                                               "the ServerHello has no key share")
                                    : tls_illegal(h, "the server's key share is of another group");
    }
    if (s.psk && tls_hash(h->psk.cipher) != tls_hash(s.cipher)) {
        return tls_illegal(h, "the server takes a ticket of another hash");
    }
    h->cipher = s.cipher;
    h->resumed = s.psk;
    h->state = TLS_WAIT_ENCRYPTED_EXTENSIONS;
    return on_hellos(h, &s, whole);
}

/* ---- the encrypted part ---- */

static int read_chosen(tern_handshake *h, tern_span v)
{
    tern_span list, name;
    if (!tls_take_vector(&v, 2, &list) || v.len != 0 || !tls_take_vector(&list, 1, &name) ||
        list.len != 0) {
        return tls_malformed(h, "the server's ALPN does not parse");
    }
    for (unsigned i = 0; i < TERN_ALPN_MAX && h->config.alpn[i].len > 0; i++) {
        const tern_span *offered = &h->config.alpn[i];
        if (name.len == offered->len && memcmp(name.data, offered->data, name.len) == 0) {
            h->alpn = *offered;
            return 0;
        }
    }
    return tls_illegal(h, "the server chose a protocol that was not offered");
}

static int read_early(tern_handshake *h, tern_span v)
{
    if (v.len != 0) {
        return tls_malformed(h, "the server's early_data does not parse");
    }
    if (!h->resumed || h->retried || h->cipher != h->psk.cipher) {
        return tls_illegal(h, "the server takes early data that it cannot read");
    }
    h->early = 1;
    return 0;
}

static int read_tickets(tern_handshake *h, tern_span v)
{
    uint8_t n;
    if (!tls_take8(&v, &n) || v.len != 0) {
        return tls_malformed(h, "the server's ticket_request does not parse");
    }
    h->tickets = n;
    return 0;
}

enum { SEEN_ALPN = 1, SEEN_EARLY = 2, SEEN_TICKETS = 4, SEEN_GROUPS = 8, SEEN_PARAMS = 16 };

static int read_encrypted(tern_handshake *h, uint16_t type, tern_span v, unsigned *ret_bit)
{
    const tern_handshake_config *c = &h->config;
    if (c->params != 0 && type == c->params) {
        *ret_bit = SEEN_PARAMS;
        return tls_params_come(h, v);
    }
    switch (type) {
    case TLS_EXT_ALPN:
        *ret_bit = SEEN_ALPN;
        return h->config.alpn[0].len > 0 ? read_chosen(h, v) : TERN_E_UNSUPPORTED;
    case TLS_EXT_SUPPORTED_GROUPS: /* what it would have liked better */
        *ret_bit = SEEN_GROUPS;
        return 0;
    case TLS_EXT_EARLY_DATA:
        *ret_bit = SEEN_EARLY;
        return h->early_offered ? read_early(h, v) : TERN_E_UNSUPPORTED;
    case TLS_EXT_TICKET_REQUEST:
        *ret_bit = SEEN_TICKETS;
        return c->asks ? read_tickets(h, v) : TERN_E_UNSUPPORTED;
    default:
        return TERN_E_UNSUPPORTED;
    }
}

static int on_encrypted_extensions(tern_handshake *h, tern_span body)
{
    tern_span list, v;
    uint16_t type;
    unsigned seen = 0, bit = 0;
    if (!tls_take_vector(&body, 2, &list) || body.len != 0) {
        return tls_malformed(h, "the EncryptedExtensions do not parse");
    }
    while (list.len > 0) {
        if (!tls_take_extension(&list, &type, &v)) {
            return tls_malformed(h, "the EncryptedExtensions do not parse");
        }
        int e = read_encrypted(h, type, v, &bit);
        if (e == TERN_E_UNSUPPORTED && h->state != TLS_FAILED) {
            return tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_UNSUPPORTED_EXTENSION,
                            "the server answers an extension that was not sent");
        }
        if (e != 0) {
            return e;
        }
        if (seen & bit) {
            return tls_illegal(h, "the server sends an extension twice");
        }
        seen |= bit;
    }
    if ((seen & SEEN_ALPN) == 0 && !h->config.no_alpn) {
        return tls_fail(h, TERN_E_NEGOTIATION, TERN_ALERT_NO_APPLICATION_PROTOCOL,
                        "the server chose no protocol");
    }
    if (h->config.params != 0 && (seen & SEEN_PARAMS) == 0) {
        return tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_MISSING_EXTENSION,
                        "the server sent no transport parameters");
    }
    h->state = h->resumed ? TLS_WAIT_FINISHED : TLS_WAIT_CERTIFICATE_OR_REQUEST;
    return 0;
}

static int on_request(tern_handshake *h, tern_span body)
{
    tern_span context, list, v, schemes = {NULL, 0};
    uint16_t type;
    if (!tls_take_vector(&body, 1, &context) || context.len != 0 ||
        !tls_take_vector(&body, 2, &list) || body.len != 0) {
        return tls_malformed(h, "the CertificateRequest does not parse");
    }
    while (list.len > 0) {
        if (!tls_take_extension(&list, &type, &v)) {
            return tls_malformed(h, "the CertificateRequest does not parse");
        }
        if (type != TLS_EXT_SIGNATURE_ALGORITHMS) {
            continue;
        }
        if (schemes.data != NULL) {
            return tls_illegal(h, "the CertificateRequest has an extension twice");
        }
        if (!tls_take_vector(&v, 2, &schemes) || v.len != 0 || schemes.len == 0 ||
            schemes.len % 2 != 0) {
            return tls_malformed(h, "the CertificateRequest does not parse");
        }
    }
    if (schemes.data == NULL) {
        return tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_MISSING_EXTENSION,
                        "the CertificateRequest names no signature algorithms");
    }
    h->ask = 1;
    if (!tls_has16(schemes, TERN_ECDSA_P256)) {
        h->cert = NULL; /* section 4.4.2: then it is told that there is none */
    }
    h->state = TLS_WAIT_CERTIFICATE;
    return 0;
}

/* Ours behind the server's Finished. */
static int finish(tern_handshake *h)
{
    h->out_level = TERN_LEVEL_HANDSHAKE;
    int e = tls_next_secret(h, NULL, 0);
    if (e == 0) {
        e = tls_app_secrets(h);
    }
    if (e == 0) {
        e = tls_tell(h, TERN_LEVEL_TRAFFIC, false);
    }
    if (e == 0 && h->ask) {
        e = tls_put_certificate(h, h->cert);
    }
    if (e == 0) {
        e = tls_put_finished(h);
    }
    if (e == 0) {
        e = tls_resumption(h);
    }
    if (e == 0) {
        e = tls_flush(h);
    }
    if (e == 0) {
        e = tls_tell(h, TERN_LEVEL_TRAFFIC, true);
    }
    return e == 0 ? tls_complete(h) : e;
}

/* ---- tickets ---- */

static int on_ticket(tern_handshake *h, tern_span body)
{
    tern_ticket t = {.lifetime = 0};
    tern_span nonce, list, v;
    uint16_t type;
    if (!tls_take32(&body, &t.lifetime) || !tls_take32(&body, &t.age_add) ||
        !tls_take_vector(&body, 1, &nonce) || !tls_take_vector(&body, 2, &t.bytes) ||
        t.bytes.len == 0 || !tls_take_vector(&body, 2, &list) || body.len != 0) {
        return tls_malformed(h, "a NewSessionTicket does not parse");
    }
    while (list.len > 0) {
        uint32_t most;
        if (!tls_take_extension(&list, &type, &v)) {
            return tls_malformed(h, "a NewSessionTicket does not parse");
        }
        if (type == TLS_EXT_EARLY_DATA) {
            if (!tls_take32(&v, &most) || v.len != 0) {
                return tls_malformed(h, "a NewSessionTicket does not parse");
            }
            if (h->config.params != 0 && most != UINT32_MAX) { /* RFC 9001, section 4.6.1 */
                return tls_illegal(h, "a ticket for early data names a length other than QUIC's");
            }
            t.early = most == UINT32_MAX;
        }
    }
    if (t.lifetime > LIFETIME_MAX) {
        t.lifetime = LIFETIME_MAX;
    }
    if (t.lifetime > 0 && t.bytes.len <= TERN_TICKET_MAX && tls_ticket_psk(h, nonce, &t.psk) == 0) {
        h->ops->ticket(h->owner, &t);
    }
    tern_wipe(&t.psk, sizeof t.psk);
    return 0;
}

/* ---- which message when ---- */

static int unexpected(tern_handshake *h)
{
    return tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_UNEXPECTED_MESSAGE,
                    "the server sends a message that may not come here");
}

/* Messages that go into the transcript behind what they prove. */
static int on_encrypted(tern_handshake *h, uint8_t type, tern_span body)
{
    int e;
    switch (h->state) {
    case TLS_WAIT_ENCRYPTED_EXTENSIONS:
        return type == TLS_ENCRYPTED_EXTENSIONS ? on_encrypted_extensions(h, body) : unexpected(h);
    case TLS_WAIT_CERTIFICATE_OR_REQUEST:
        if (type == TLS_CERTIFICATE_REQUEST) {
            return on_request(h, body);
        }
        /* fall through */
    case TLS_WAIT_CERTIFICATE:
        e = type == TLS_CERTIFICATE ? tls_read_certificate(h, body) : unexpected(h);
        h->state = e == 0 ? TLS_WAIT_CERTIFICATE_VERIFY : h->state;
        return e;
    case TLS_WAIT_CERTIFICATE_VERIFY:
        e = type == TLS_CERTIFICATE_VERIFY ? tls_read_verify(h, body) : unexpected(h);
        h->state = e == 0 ? TLS_WAIT_FINISHED : h->state;
        return e;
    case TLS_WAIT_FINISHED:
        return type == TLS_FINISHED ? tls_read_finished(h, body) : unexpected(h);
    default:
        return unexpected(h);
    }
}

int tls_client_message(tern_handshake *h, uint8_t type, tern_span body, tern_span whole)
{
    bool last = h->state == TLS_WAIT_FINISHED;
    if (h->state == TLS_WAIT_SERVER_HELLO) {
        return type == TLS_SERVER_HELLO ? on_server_hello(h, body, whole) : unexpected(h);
    }
    if (h->state == TLS_DONE) {
        return type == TLS_NEW_SESSION_TICKET ? on_ticket(h, body) : unexpected(h);
    }
    int e = on_encrypted(h, type, body);
    if (e == 0) {
        e = tern_hash_add(h->transcript, whole);
    }
    return e == 0 && last ? finish(h) : e;
}
