/* The ClientHello that a client sends (RFC 8446, section 4.1.2), and what goes with it: the binder
 * of a ticket, the secret of early data. */
#include "base/error.h"
#include "tls/inside.h"

enum { PSK_DHE_KE = 1 };

static void put_share(tern_handshake *h)
{
    tls_out *o = &h->out;
    size_t extension = tls_open_extension(o, TLS_EXT_KEY_SHARE), list = tls_open(o, 2);
    tls_put16(o, h->share.group);
    size_t at = tls_open(o, 2);
    tls_put(o, h->share.public, tls_share_size(h->share.group));
    tls_close(o, at, 2);
    tls_close(o, list, 2);
    TLS_CLOSE_EXTENSION(o, extension);
}

static void put_alpn(tern_handshake *h)
{
    const tern_span *names = h->config.alpn;
    tls_out *o = &h->out;
    if (names[0].len == 0) {
        return;
    }
    size_t extension = tls_open_extension(o, TLS_EXT_ALPN), list = tls_open(o, 2);
    for (unsigned i = 0; i < TERN_ALPN_MAX && names[i].len > 0; i++) {
        size_t at = tls_open(o, 1);
        tls_put(o, names[i].data, names[i].len);
        tls_close(o, at, 1);
    }
    tls_close(o, list, 2);
    TLS_CLOSE_EXTENSION(o, extension);
}

static int put_extensions(tern_handshake *h, tern_span cookie)
{
    tls_out *o = &h->out;
    static const uint8_t groups[] = {0, 4, 0, TLS_X25519, 0, TLS_P256};
    static const uint8_t versions[] = {2, TLS_VERSION >> 8, TLS_VERSION & 0xff};
    size_t at = tls_open_extension(o, TLS_EXT_SUPPORTED_GROUPS);
    tls_put(o, groups, sizeof groups);
    TLS_CLOSE_EXTENSION(o, at);
    at = tls_open_extension(o, TLS_EXT_SIGNATURE_ALGORITHMS);
    tls_put_schemes(o);
    TLS_CLOSE_EXTENSION(o, at);
    put_alpn(h);
    at = tls_open_extension(o, TLS_EXT_SUPPORTED_VERSIONS);
    tls_put(o, versions, sizeof versions);
    TLS_CLOSE_EXTENSION(o, at);
    put_share(h);
    if (cookie.len > 0) {
        at = tls_open_extension(o, TLS_EXT_COOKIE);
        tls_put(o, cookie.data, cookie.len);
        TLS_CLOSE_EXTENSION(o, at);
    }
    if (h->config.asks) {
        const uint8_t counts[] = {h->config.ask_fresh, h->config.ask_again};
        at = tls_open_extension(o, TLS_EXT_TICKET_REQUEST);
        tls_put(o, counts, sizeof counts);
        TLS_CLOSE_EXTENSION(o, at);
    }
    if (h->config.asks || h->offered) {
        static const uint8_t modes[] = {1, PSK_DHE_KE};
        at = tls_open_extension(o, TLS_EXT_PSK_MODES);
        tls_put(o, modes, sizeof modes);
        TLS_CLOSE_EXTENSION(o, at);
    }
    if (h->early_offered && !h->retried) {
        at = tls_open_extension(o, TLS_EXT_EARLY_DATA);
        TLS_CLOSE_EXTENSION(o, at);
    }
    return tls_put_params(h);
}

/* pre_shared_key with a binder of zeros; where its list of binders begins. */
static size_t put_ticket(tern_handshake *h)
{
    static const uint8_t zeros[TERN_HASH_MAX];
    tls_out *o = &h->out;
    size_t extension = tls_open_extension(o, TLS_EXT_PRE_SHARED_KEY), list = tls_open(o, 2);
    size_t at = tls_open(o, 2);
    tls_put(o, tern_buf_data(&h->ticket), tern_buf_len(&h->ticket));
    tls_close(o, at, 2);
    tls_put32(o, h->config.ticket_age);
    tls_close(o, list, 2);
    size_t binders = tls_open(o, 2), one = tls_open(o, 1);
    tls_put(o, zeros, tern_hash_size(tls_hash(h->psk.cipher)));
    tls_close(o, one, 1);
    tls_close(o, binders, 2);
    TLS_CLOSE_EXTENSION(o, extension);
    return binders;
}

/* The binder is of all that was said before, and of this message up to the binders. */
static int bind(tern_handshake *h, size_t binders)
{
    uint8_t hash[TERN_HASH_MAX];
    const tern_span v[] = {{tern_buf_data(&h->hello), tern_buf_len(&h->hello)},
                           {tern_buf_data(&h->out.buf), binders}};
    int e = tern_hash_of(tls_hash(h->psk.cipher), v, 2, hash);
    if (e == 0) {
        e = tls_early_secret(h, h->psk.cipher, h->psk.key);
    }
    return e == 0 ? tls_binder(h, h->psk.cipher, hash, tern_buf_data(&h->out.buf) + binders + 3)
                  : e;
}

static int tell_early(tern_handshake *h)
{
    uint8_t hash[TERN_HASH_MAX];
    const tern_span hello = {tern_buf_data(&h->hello), tern_buf_len(&h->hello)};
    int e = tern_hash_of(tls_hash(h->psk.cipher), &hello, 1, hash);
    return e == 0 ? tls_early_traffic(h, h->psk.cipher, hash) : e;
}

int tls_send_hello(tern_handshake *h, tern_span cookie)
{
    static const uint8_t no_session[] = {0}, no_compression[] = {1, 0};
    tls_out *o = &h->out;
    size_t message = tls_open_message(o, TLS_CLIENT_HELLO), binders = 0;
    tls_put16(o, TLS_LEGACY_VERSION);
    tls_put(o, h->random, sizeof h->random);
    tls_put(o, no_session, sizeof no_session);
    size_t suites = tls_open(o, 2);
    for (unsigned i = 0; i < TLS_CIPHERS; i++) {
        tls_put16(o, tls_suite(tls_ciphers[i]));
    }
    tls_close(o, suites, 2);
    tls_put(o, no_compression, sizeof no_compression);
    size_t extensions = tls_open(o, 2);
    int e = put_extensions(h, cookie);
    if (e != 0) {
        return e;
    }
    if (h->offered) {
        binders = put_ticket(h);
    }
    tls_close(o, extensions, 2);
    TLS_CLOSE_MESSAGE(o, message);
    e = o->failed ? TERN_E_NOMEM : h->offered ? bind(h, binders) : 0;
    if (e == 0) {
        e = tern_buf_append(&h->hello, tern_buf_data(&o->buf), tern_buf_len(&o->buf));
    }
    h->out_level = TERN_LEVEL_INITIAL;
    return e == 0 ? tls_flush(h) : e;
}

int tls_client_start(tern_handshake *h)
{
    tern_random(h->random, sizeof h->random);
    h->cert = h->config.cert;
    int e = tls_share_make(h, TLS_X25519);
    if (e == 0) {
        e = tls_send_hello(h, (tern_span){NULL, 0});
    }
    return e == 0 && h->early_offered ? tell_early(h) : e;
}
