/* Messages of DCUtR: known bytes, everything that may be in one, and what does not parse. */
#include "nat/punch_message.h"

#include <tern/error.h>

#include "base/test.h"

static tern_multiaddr *addr(const char *text)
{
    tern_multiaddr *a = tern_multiaddr_parse(text, NULL);
    assert_non_null(a);
    return a;
}

static int parse(const char *hex, tern_punch_message *ret)
{
    uint8_t bytes[512];
    size_t n = tern_test_unhex(bytes, sizeof bytes, hex);
    return tern_punch_parse((tern_span){bytes, n}, ret);
}

static void expect_built(const tern_punch_message *m, const char *hex)
{
    uint8_t want[512];
    tern_buf out;
    tern_buf_init(&out, 0);
    size_t n = tern_test_unhex(want, sizeof want, hex);
    assert_int_equal(tern_punch_build(m, &out), 0);
    assert_int_equal(tern_buf_len(&out), n);
    assert_memory_equal(tern_buf_data(&out), want, n);
    tern_buf_free(&out);
}

static void known_bytes(void **state)
{
    (void)state;
    tern_punch_message m = {.kind = TERN_PUNCH_SYNC};
    expect_built(&m, "08ac02");
    m.kind = TERN_PUNCH_CONNECT;
    m.addrs[m.addr_count++] = addr("/ip4/192.0.2.1/udp/4001/quic-v1");
    expect_built(&m, "0864120b04c000020191020fa1cd03");
    tern_punch_clear(&m);
    assert_int_equal(parse("0864120b04c000020191020fa1cd03", &m), 0);
    assert_int_equal(m.kind, TERN_PUNCH_CONNECT);
    assert_int_equal(m.addr_count, 1);
    assert_string_equal(tern_multiaddr_text(m.addrs[0]), "/ip4/192.0.2.1/udp/4001/quic-v1");
    tern_punch_clear(&m);
}

/* Addresses that do not parse, lead through a relay, or are too many, are left out. */
static void addresses_are_chosen(void **state)
{
    static const char *const texts[] = {
        "/ip4/192.0.2.1/tcp/4001",
        "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/"
        "p2p-circuit",
    };
    tern_punch_message m = {.kind = TERN_PUNCH_CONNECT}, back;
    tern_buf out;
    (void)state;
    tern_buf_init(&out, 0);
    for (size_t i = 0; i < 2; i++) {
        m.addrs[m.addr_count++] = addr(texts[i]);
    }
    assert_int_equal(tern_punch_build(&m, &out), 0);
    tern_punch_clear(&m);
    static const uint8_t odd[] = {0x12, 3, 4, 192, 0};
    assert_int_equal(tern_buf_append(&out, odd, sizeof odd), 0);
    static const uint8_t one[] = {0x12, 8, 4, 192, 0, 2, 1, 6, 15, 161};
    for (size_t i = 0; i < 2 * TERN_PUNCH_ADDRS_MAX; i++) {
        assert_int_equal(tern_buf_append(&out, one, sizeof one), 0);
    }
    assert_int_equal(tern_punch_parse((tern_span){tern_buf_data(&out), tern_buf_len(&out)}, &back),
                     0);
    assert_int_equal(back.addr_count, TERN_PUNCH_ADDRS_MAX);
    for (size_t i = 0; i < back.addr_count; i++) {
        assert_string_equal(tern_multiaddr_text(back.addrs[i]), texts[0]);
    }
    tern_punch_clear(&back);
    tern_buf_free(&out);
}

static void malformed(void **state)
{
    static const char *const rows[] = {"",         "0801", "08", "12", "120b04c000020191020fa1cd03",
                                       "08641205", "08ac", "0b"};
    tern_punch_message m;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(parse(rows[i], &m), TERN_E_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_bytes),
        cmocka_unit_test(addresses_are_chosen),
        cmocka_unit_test(malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
