/* So many times a minute: in all, of a block, of a peer. */
#include "nat/rate.h"

#include <stdio.h>

#include "base/test.h"

static tern_endpoint at(const char *ip)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, ip), 0);
    return e;
}

static tern_peer_id peer(uint8_t number)
{
    uint8_t bytes[] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20, [6 ... 36] = 7, [37] = number};
    tern_peer_id id;
    assert_int_equal(tern_peer_id_from_bytes(&id, bytes, sizeof bytes), 0);
    return id;
}

static unsigned admitted(tern_rate *r, uint64_t now, const char *ip, uint8_t number, unsigned times)
{
    tern_endpoint from = at(ip);
    tern_peer_id id = peer(number);
    unsigned n = 0;
    for (unsigned i = 0; i < times; i++) {
        n += tern_rate_admit(r, now, &from, &id);
    }
    return n;
}

static void three_bounds(void **state)
{
    (void)state;
    static tern_rate r;
    r = (tern_rate){.most = 10, .most_of_block = 5, .most_of_peer = 3};
    assert_int_equal(admitted(&r, 1, "5.0.0.1", 1, 9), 3);
    assert_int_equal(admitted(&r, 1, "5.0.0.1", 2, 9), 2); /* the block is full */
    assert_int_equal(admitted(&r, 1, "5.0.0.2", 1, 9), 0); /* the peer has had his */
    assert_int_equal(admitted(&r, 1, "2a00::1", 3, 9), 3);
    assert_int_equal(admitted(&r, 1, "2a00::2:0:0:0:1", 4, 9), 2); /* the same /56 */
    assert_int_equal(admitted(&r, 1, "7.0.0.1", 5, 9), 0);         /* all are full */
    assert_int_equal(admitted(&r, TERN_RATE_TIME, "7.0.0.1", 5, 1), 0);
    assert_int_equal(admitted(&r, 1 + TERN_RATE_TIME, "7.0.0.1", 5, 9), 3);
}

/* Over an hour it is so many a minute, whoever comes when. */
static void over_time(void **state)
{
    (void)state;
    static tern_rate r;
    r = (tern_rate){.most = TERN_RATE_MAX, .most_of_block = 12, .most_of_peer = 12};
    unsigned n = 0;
    for (uint64_t s = 0; s < 3600; s++) {
        n += admitted(&r, 1 + s * TERN_SEC, "5.0.0.1", 1, 3);
    }
    assert_int_equal(n, 60 * 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_bounds),
        cmocka_unit_test(over_time),
    };
    return TERN_TEST_MAIN(tests);
}
