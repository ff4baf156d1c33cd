/* ClientHellos: what they say, and that none is read beyond its end. */
#include "tls/hello.h"

#include "tls/ends_test.h"

/* RFC 8448, section 4 has no ALPN and no ticket_request: these extensions are put together here. */
typedef struct maker {
    uint8_t bytes[512];
    size_t n;
} maker;

static void put(maker *m, const void *p, size_t n)
{
    if (n > 0) {
        memcpy(m->bytes + m->n, p, n);
    }
    m->n += n;
}

static void begin(maker *m)
{
    static const uint8_t head[2 + 32] = {3, 3};
    static const uint8_t rest[] = {0, 0, 2, 0x13, 1, 1, 0, 0, 0};
    m->n = 0;
    put(m, head, sizeof head);
    put(m, rest, sizeof rest);
}

static void extension(maker *m, uint16_t id, const void *p, size_t n)
{
    uint8_t head[4];
    tern_put16(head, id);
    tern_put16(head + 2, (uint16_t)n);
    put(m, head, 4);
    put(m, p, n);
    tern_put16(m->bytes + 41, (uint16_t)(m->n - 43));
}

static const tern_span name = {(const uint8_t *)"libp2p", 6};

static int read_hello(const uint8_t *p, size_t n, tern_hello *ret)
{
    return tern_hello_read((tern_span){p, n}, 57, ret);
}

static const uint8_t libp2p[] = {0, 7, 6, 'l', 'i', 'b', 'p', '2', 'p'};
static const uint8_t two_names[] = {0, 10, 6, 'l', 'i', 'b', 'p', '2', 'p', 2, 'h', '3'};
static const uint8_t other[] = {0, 3, 2, 'h', '3'};
static const uint8_t ask[] = {2, 1};
static const uint8_t psk[] = {0, 9, 0, 3, 'a', 'b', 'c', 1, 2, 3, 4, 0, 33, 32, [45] = 7};
static const uint8_t psks[] = {0, 16,  0, 3, 'a', 'b', 'c', 1,  2,  3,         4,       0,
                               1, 'z', 0, 0, 0,   9,   0,   66, 32, [53] = 32, [85] = 7};

static void test_whole(void **state)
{
    maker m;
    tern_hello h;
    (void)state;
    begin(&m);
    assert_int_equal(read_hello(m.bytes, m.n, &h), 0);
    assert_false(tern_hello_offers_only(&h, name) || h.asks || h.early_data || h.offered > 0);
    extension(&m, 16, libp2p, sizeof libp2p);
    extension(&m, 58, ask, sizeof ask);
    extension(&m, 0xfafa, "x", 1);
    extension(&m, 42, NULL, 0);
    extension(&m, 41, psk, sizeof psk);
    assert_int_equal(read_hello(m.bytes, m.n, &h), 0);
    assert_true(tern_hello_offers_only(&h, name) && h.asks && h.early_data);
    assert_int_equal(h.fresh, 2);
    assert_int_equal(h.again, 1);
    assert_int_equal(h.offered, 1);
    assert_int_equal(h.ticket.len, 3);
    assert_memory_equal(h.ticket.data, "abc", 3);
    assert_int_equal(h.ob_age, 0x01020304);
}

static void test_others(void **state)
{
    maker m;
    tern_hello h;
    (void)state;
    begin(&m);
    extension(&m, 16, two_names, sizeof two_names);
    extension(&m, 41, psks, sizeof psks);
    assert_int_equal(read_hello(m.bytes, m.n, &h), 0);
    assert_false(tern_hello_offers_only(&h, name));
    assert_int_equal(h.offered, 2);
    begin(&m);
    extension(&m, 16, other, sizeof other);
    assert_int_equal(read_hello(m.bytes, m.n, &h), 0);
    assert_false(tern_hello_offers_only(&h, name));
}

/* Cut anywhere, and with any byte changed: it parses or not, and nothing is read beyond. */
static void test_hostile(void **state)
{
    maker m;
    tern_hello h;
    (void)state;
    begin(&m);
    extension(&m, 16, libp2p, sizeof libp2p);
    extension(&m, 58, ask, sizeof ask);
    extension(&m, 41, psk, sizeof psk);
    for (size_t n = 0; n < m.n; n++) {
        uint8_t *exact = tern_memdup(m.bytes, n > 0 ? n : 1);
        /* without extensions it is an older version's */
        assert_int_equal(read_hello(exact, n, &h) == 0, n == 41);
        assert_false(h.tls13);
        tern_free(exact);
    }
    for (size_t i = 0; i < m.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            uint8_t *exact = tern_memdup(m.bytes, m.n);
            exact[i] ^= (uint8_t)(1u << bit);
            if (read_hello(exact, m.n, &h) == 0 && h.offered > 0) {
                assert_true(h.ticket.data >= exact && h.ticket.data + h.ticket.len <= exact + m.n);
            }
            tern_free(exact);
        }
    }
    begin(&m);
    extension(&m, 58, ask, 1);
    assert_int_not_equal(read_hello(m.bytes, m.n, &h), 0);
}

/* ---- a browser's ---- */

/* An extension with a list, whose length has `size` bytes; 0: it has none. */
static void list(tls_out *o, uint16_t type, unsigned size, const void *p, size_t n)
{
    size_t extension = tls_open_extension(o, type), at = tls_open(o, size);
    tls_put(o, p, n);
    if (size > 0) {
        tls_close(o, at, size);
    }
    TLS_CLOSE_EXTENSION(o, extension);
}

static void put_shares(tls_out *o)
{
    static const uint8_t key[1216] = {9}; /* ML-KEM's with X25519 has so many bytes */
    static const struct {
        uint16_t group, n;
    } shares[] = {{0x5a5a, 1}, {4588, sizeof key}, {TLS_X25519, TERN_X25519}};
    size_t extension = tls_open_extension(o, TLS_EXT_KEY_SHARE), all = tls_open(o, 2);
    for (size_t i = 0; i < 3; i++) {
        tls_put16(o, shares[i].group);
        tls_put16(o, shares[i].n);
        tls_put(o, key, shares[i].n);
    }
    tls_close(o, all, 2);
    TLS_CLOSE_EXTENSION(o, extension);
}

/* As browsers write it: values that mean nothing in every list (RFC 8701), groups, algorithms and
 * extensions that we know nothing of, and more bytes than a datagram has. */
static void put_browser(tls_out *o, const char *alpn, size_t alpn_n)
{
    static const uint8_t random[TLS_RANDOM] = {1}, hidden[600] = {0};
    size_t whole = tls_open_message(o, TLS_CLIENT_HELLO);
    tls_put16(o, TLS_LEGACY_VERSION);
    tls_put(o, random, sizeof random);
    tls_put(o, "\0\0\10\x4a\x4a\x13\1\x13\2\x13\3\1\0", 13);
    size_t extensions = tls_open(o, 2);
    list(o, 0xaaaa, 0, NULL, 0);
    list(o, 0, 2, "\0\0\7example", 10);
    list(o, TLS_EXT_SUPPORTED_GROUPS, 2, "\x5a\x5a\x11\xec\0\x1d\0\x17\0\x18", 10);
    list(o, TLS_EXT_SIGNATURE_ALGORITHMS, 2, "\x8a\x8a\4\3\10\4\4\1\5\3\10\5\5\1\10\6\6\1", 18);
    list(o, TLS_EXT_ALPN, 2, alpn, alpn_n);
    list(o, 17513, 2, "\2h3", 3);   /* application settings */
    list(o, 27, 1, "\0\2", 2);      /* compressed certificates */
    list(o, 65037, 0, hidden, 600); /* an encrypted hello, or what looks like it */
    list(o, TLS_EXT_SUPPORTED_VERSIONS, 1, "\x6a\x6a\3\4", 4);
    list(o, TLS_EXT_PSK_MODES, 1, "\1", 1);
    put_shares(o);
    list(o, END_PARAMS, 0, "of a browser", 12);
    list(o, 0x2a2a, 0, "", 1);
    tls_close(o, extensions, 2);
    TLS_CLOSE_MESSAGE(o, whole);
    assert_false(o->failed);
}

static void test_browser(void **state)
{
    static const struct {
        const char *alpn;
        size_t n;
        bool fits;
    } all[] = {{"\2h3", 3, true}, {"\2\xca\xca\2h3\2h2", 9, true}, {"\2h2\5h3-29", 9, false}};
    const tern_handshake_config config = {.server = true, .params = END_PARAMS};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (size_t piece = 1; piece < 4000; piece += 500) {
            tls_out o = {.failed = false};
            end e = {.alpn = "h3", .answer = {.tickets = -1}};
            put_browser(&o, all[i].alpn, all[i].n);
            size_t n = tern_buf_len(&o.buf);
            assert_true(n > 1500);
            end_begin(&e, &config);
            for (size_t at = 0; at < n; at += piece) {
                end_feed(&e, TERN_LEVEL_INITIAL, tern_buf_data(&o.buf) + at,
                         n - at < piece ? n - at : piece);
            }
            assert_string_equal(e.said, all[i].fits ? "params hello send0 out2 in2 send2 out3"
                                                    : "params hello");
            assert_int_equal(e.error, all[i].fits ? 0 : TERN_E_NEGOTIATION);
            assert_true(!all[i].fits || e.h->share.group == TLS_X25519);
            assert_true(!all[i].fits || e.h->cipher == TERN_AES_128_GCM);
            end_clear(&e);
            tern_buf_free(&o.buf);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_others),
                                       cmocka_unit_test(test_hostile),
                                       cmocka_unit_test(test_browser)};
    return TERN_TEST_MAIN(tests);
}
