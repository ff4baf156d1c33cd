/* ClientHellos: what they say, and that none is read beyond its end. */
#include "tls/hello.h"

#include "base/test.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_others),
                                       cmocka_unit_test(test_hostile)};
    return TERN_TEST_MAIN(tests);
}
