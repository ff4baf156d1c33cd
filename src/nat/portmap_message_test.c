/* PCP and NAT-PMP, byte for byte as RFC 6887 (sections 7.1, 7.2, 11.1) and RFC 6886 (sections 3.2
 * to 3.5) draw them. */
#include "nat/portmap_message.h"

#include <tern/error.h>

#include "base/test.h"
#include "codec/multiaddr.h"

static tern_endpoint at(const char *ip, uint16_t port)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, ip), 0);
    e.port = port;
    return e;
}

static const uint8_t nonce[TERN_PORTMAP_NONCE] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

/* 192.168.1.2, UDP 4001, 7200 s; 203.0.113.7 port 4002 is asked for. */
static const uint8_t pcp_request[60] = {
    2,    1,    0,    0,    0, 0, 0x1c, 0x20, 0, 0, 0, 0, 0, 0,  0,    0,    0,   0, 0xff, 0xff,
    192,  168,  1,    2,    1, 2, 3,    4,    5, 6, 7, 8, 9, 10, 11,   12,   17,  0, 0,    0,
    0x0f, 0xa1, 0x0f, 0xa2, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0,  0xff, 0xff, 203, 0, 113,  7};

static const uint8_t pcp_answer[60] = {
    2,    0x81, 0,    0,    0, 0, 0x0e, 0x10, 0, 1, 0, 2, 0, 0,  0,    0,    0, 0, 0, 0,
    0,    0,    0,    0,    1, 2, 3,    4,    5, 6, 7, 8, 9, 10, 11,   12,   6, 0, 0, 0,
    0x0f, 0xa1, 0x10, 0x00, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0,  0xff, 0xff, 5, 6, 7, 8};

static void pcp_requests(void **state)
{
    (void)state;
    uint8_t out[TERN_PORTMAP_REQUEST_MAX];
    tern_portmap_request r = {.protocol = TERN_PORTMAP_PCP,
                              .own = at("192.168.1.2", 0),
                              .transport = TERN_MA_UDP,
                              .port = 4001,
                              .external = at("203.0.113.7", 4002),
                              .lifetime = 7200};
    memcpy(r.nonce, nonce, sizeof nonce);
    assert_int_equal(tern_portmap_build(&r, out), 60);
    assert_memory_equal(out, pcp_request, 60);
    /* Taken away: no lifetime, nothing suggested, all zeros in IPv4. */
    static const uint8_t none[16] = {[10] = 0xff, [11] = 0xff};
    memset(&r.external, 0, sizeof r.external);
    r.lifetime = 0;
    r.transport = TERN_MA_TCP;
    assert_int_equal(tern_portmap_build(&r, out), 60);
    assert_int_equal(tern_get32(out + 4), 0);
    assert_int_equal(out[36], 6);
    assert_int_equal(tern_get16(out + 42), 0);
    assert_memory_equal(out + 44, none, 16);
}

static void pcp_answers(void **state)
{
    (void)state;
    tern_portmap_answer a;
    uint8_t bytes[1104] = {0};
    assert_int_equal(tern_portmap_parse(TERN_PORTMAP_PCP, pcp_answer, 60, &a), 0);
    tern_endpoint external = at("5.6.7.8", 4096);
    assert_int_equal(a.result, 0);
    assert_int_equal(a.lifetime, 3600);
    assert_int_equal(a.epoch, 65538);
    assert_int_equal(a.transport, TERN_MA_TCP);
    assert_int_equal(a.port, 4001);
    assert_true(tern_endpoint_eq(&a.external, &external));
    assert_memory_equal(a.nonce, nonce, sizeof nonce);
    memcpy(bytes, pcp_answer, 60);
    assert_int_equal(tern_portmap_parse(TERN_PORTMAP_PCP, bytes, 1100, &a), 0); /* with options */
    /* What is none: every shorter one, an odd length, one too long, a request, another operation,
     * version and transport. */
    static const struct {
        size_t n, place;
        uint8_t value;
    } wrong[] = {{62, 0, 2},    {1104, 0, 2}, {60, 1, 1}, {60, 1, 0x80},
                 {60, 1, 0x82}, {60, 0, 1},   {60, 0, 0}, {60, 36, 1}};
    for (size_t n = 0; n < 60; n++) {
        assert_int_equal(tern_portmap_parse(TERN_PORTMAP_PCP, pcp_answer, n, &a), TERN_E_MALFORMED);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(bytes, pcp_answer, 60);
        bytes[wrong[i].place] = wrong[i].value;
        assert_int_equal(tern_portmap_parse(TERN_PORTMAP_PCP, bytes, wrong[i].n, &a),
                         TERN_E_MALFORMED);
    }
    /* It does not know PCP: PCP's own words, and NAT-PMP's (RFC 6887, appendix A). */
    static const uint8_t older[8] = {0, 0x81, 0, 1, 0, 0, 0, 9};
    memcpy(bytes, pcp_answer, 60);
    bytes[3] = TERN_PCP_UNSUPP_VERSION;
    assert_int_equal(tern_portmap_parse(TERN_PORTMAP_PCP, bytes, 24, &a), TERN_E_UNSUPPORTED);
    assert_int_equal(tern_portmap_parse(TERN_PORTMAP_PCP, older, 8, &a), TERN_E_UNSUPPORTED);
}

static void nat_pmp(void **state)
{
    (void)state;
    static const uint8_t udp[12] = {0, 1, 0, 0, 0x0f, 0xa1, 0x0f, 0xa2, 0, 0, 0x1c, 0x20};
    static const uint8_t address[12] = {0, 128, 0, 0, 0, 0, 1, 0, 5, 6, 7, 8};
    static const uint8_t mapped[16] = {0,    130,  0,    0,    0, 0, 1,    0,
                                       0x0f, 0xa1, 0x10, 0x00, 0, 0, 0x0e, 0x10};
    uint8_t out[TERN_PORTMAP_REQUEST_MAX], bytes[16];
    tern_portmap_answer a;
    tern_portmap_request r = {.protocol = TERN_PORTMAP_NAT_PMP,
                              .transport = TERN_MA_UDP,
                              .port = 4001,
                              .external = {.port = 4002},
                              .lifetime = 7200};
    assert_int_equal(tern_portmap_build(&r, out), 12);
    assert_memory_equal(out, udp, 12);
    r.transport = TERN_MA_TCP;
    tern_portmap_build(&r, out);
    assert_int_equal(out[1], 2);
    r.address = true;
    assert_int_equal(tern_portmap_build(&r, out), 2);
    assert_memory_equal(out, "\0\0", 2);

    tern_endpoint outside = at("5.6.7.8", 0);
    assert_int_equal(tern_portmap_parse(TERN_PORTMAP_NAT_PMP, address, 12, &a), 0);
    assert_true(a.address);
    assert_int_equal(a.epoch, 256);
    assert_true(tern_endpoint_eq(&a.external, &outside));
    assert_int_equal(tern_portmap_parse(TERN_PORTMAP_NAT_PMP, mapped, 16, &a), 0);
    assert_false(a.address);
    assert_int_equal(a.transport, TERN_MA_TCP);
    assert_int_equal(a.port, 4001);
    assert_int_equal(a.external.port, 4096);
    assert_int_equal(a.lifetime, 3600);
    for (size_t n = 0; n < 16; n++) {
        assert_int_equal(tern_portmap_parse(TERN_PORTMAP_NAT_PMP, mapped, n, &a), TERN_E_MALFORMED);
        if (n < 12) {
            assert_int_equal(tern_portmap_parse(TERN_PORTMAP_NAT_PMP, address, n, &a),
                             TERN_E_MALFORMED);
        }
    }
    static const uint8_t kinds[] = {0, 1, 2, 127, 131, 255};
    for (size_t i = 0; i < sizeof kinds; i++) {
        memcpy(bytes, mapped, 16);
        bytes[1] = kinds[i];
        assert_int_equal(tern_portmap_parse(TERN_PORTMAP_NAT_PMP, bytes, 16, &a), TERN_E_MALFORMED);
    }
    memcpy(bytes, address, 12);
    bytes[3] = TERN_NAT_PMP_NETWORK_FAILURE; /* an error needs no address */
    assert_int_equal(tern_portmap_parse(TERN_PORTMAP_NAT_PMP, bytes, 8, &a), 0);
    assert_int_equal(a.result, TERN_NAT_PMP_NETWORK_FAILURE);
    assert_int_equal(a.external.family, 0);
    bytes[0] = 2;
    assert_int_equal(tern_portmap_parse(TERN_PORTMAP_NAT_PMP, bytes, 12, &a), TERN_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pcp_requests),
        cmocka_unit_test(pcp_answers),
        cmocka_unit_test(nat_pmp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
