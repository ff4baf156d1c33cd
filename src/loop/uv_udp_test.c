/* Tests of real UDP sockets on loopback: classes, segments, ECN, sizes, closing inside a handler.
 */
#include "loop/uv_backend.h"

#include "loop/uv_test.h"

#include "loop/udp.h"

#include <tern/error.h>

static tern_udp *a, *b;
static tern_endpoint a_at, b_at;
static unsigned got[TERN_UDP_CLASSES];
static unsigned total, wanted;
static size_t last_len, bytes;
static uint8_t last_ecn, last_byte;
static tern_endpoint last_from;

static void on_datagram(void *owner, tern_udp *u, tern_datagram *d)
{
    assert_ptr_equal(u, b);
    got[(unsigned *)owner - got]++;
    total++;
    last_len = d->len;
    last_ecn = d->ecn;
    last_from = d->from;
    last_byte = d->data[d->len - 1];
    bytes += d->len;
    memset(d->data, 0xee, d->len); /* the handler's to change */
    if (total == wanted) {
        tern_loop_stop(loop);
    }
}

static void expect(unsigned n)
{
    total = 0;
    wanted = n;
    bytes = 0;
    run();
    assert_int_equal(total, n);
}

static void open_pair(uint8_t family)
{
    tern_endpoint at = loopback(family, 0);
    assert_int_equal(tern_udp_bind(loop, &at, &a), 0);
    assert_int_equal(tern_udp_bind(loop, &at, &b), 0);
    tern_udp_local(a, &a_at);
    tern_udp_local(b, &b_at);
    assert_int_not_equal(a_at.port, 0);
    assert_int_not_equal(a_at.port, b_at.port);
    memset(got, 0, sizeof got);
    for (unsigned i = 0; i < TERN_UDP_CLASSES; i++) {
        tern_udp_register(b, i, on_datagram, &got[i]);
    }
}

static void close_pair(void)
{
    tern_udp_close(a);
    tern_udp_close(b);
}

static void first_bytes_have_classes(void **state)
{
    (void)state;
    static const struct {
        uint8_t byte;
        enum tern_udp_class class;
    } table[] = {
        {0, TERN_UDP_STUN},     {3, TERN_UDP_STUN},   {4, TERN_UDP_CLASSES}, {16, TERN_UDP_CLASSES},
        {19, TERN_UDP_CLASSES}, {20, TERN_UDP_DTLS},  {63, TERN_UDP_DTLS},   {64, TERN_UDP_QUIC},
        {79, TERN_UDP_QUIC},    {128, TERN_UDP_QUIC}, {192, TERN_UDP_QUIC},  {255, TERN_UDP_QUIC},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(tern_udp_classify(table[i].byte), table[i].class);
    }
}

static void datagrams_go_to_their_class(void **state)
{
    (void)state;
    open_pair(4);
    static const uint8_t first[] = {0x00, 0x16, 0xc0, 0x05 /* nobody's */, 0x40};
    for (size_t i = 0; i < sizeof first; i++) {
        assert_int_equal(tern_udp_send(a, &b_at, &first[i], 1, 0, 0), 0);
    }
    expect(4);
    assert_int_equal(got[TERN_UDP_STUN], 1);
    assert_int_equal(got[TERN_UDP_DTLS], 1);
    assert_int_equal(got[TERN_UDP_QUIC], 2);
    assert_true(tern_endpoint_eq(&last_from, &a_at));
    tern_udp_register(b, TERN_UDP_STUN, NULL, NULL);
    tern_udp_send(a, &b_at, &first[0], 1, 0, 0);
    tern_udp_send(a, &b_at, &first[1], 1, 0, 0);
    expect(1);
    assert_int_equal(got[TERN_UDP_STUN], 1);
    close_pair();
}

static void ecn_bits_travel(void **state)
{
    (void)state;
    for (uint8_t family = 4; family <= 6; family += 2) {
        open_pair(family);
        for (uint8_t ecn = 0; ecn < 4; ecn++) {
            assert_int_equal(tern_udp_send(a, &b_at, "\x40", 1, 0, ecn), 0);
            expect(1);
            assert_int_equal(last_ecn, ecn);
        }
        close_pair();
    }
}

static void a_block_is_sent_as_segments(void **state)
{
    (void)state;
    static uint8_t data[100 * 1200 + 7];
    memset(data, 0x40, sizeof data);
    data[sizeof data - 1] = 0x77;
    open_pair(4);
    /* in parts that loopback buffers hold, the last with a shorter end */
    for (size_t at = 0; at < sizeof data; at += 25 * 1200) {
        size_t n = sizeof data - at < 25 * 1200 ? sizeof data - at : 25 * 1200;
        assert_int_equal(tern_udp_send(a, &b_at, data + at, n, 1200, 2), 0);
        expect((unsigned)((n + 1199) / 1200));
        assert_int_equal(bytes, n);
        assert_int_equal(last_ecn, 2);
    }
    assert_int_equal(last_len, 7);
    assert_int_equal(last_byte, 0x77);
    /* more segments than the kernel takes at once */
    assert_int_equal(tern_udp_send(a, &b_at, data, 100 * 100, 100, 0), 0);
    expect(100);
    /* a segment longer than the data is one datagram */
    assert_int_equal(tern_udp_send(a, &b_at, data, 50, 100, 0), 0);
    expect(1);
    assert_int_equal(last_len, 50);
    close_pair();
}

/* Kernels, devices and sandboxes that lack something: whoever sends notices nothing. */
static void what_is_lacking_is_done_without(void **state)
{
    (void)state;
    static const unsigned lacks[] = {
        TERN_UV_NO_GSO,      TERN_UV_NO_GRO,
        TERN_UV_NO_RECVMMSG, TERN_UV_NO_GSO | TERN_UV_NO_GRO | TERN_UV_NO_RECVMMSG,
        TERN_UV_GSO_FAILS,   TERN_UV_GSO_REFUSED,
    };
    static uint8_t data[20 * 1200 + 7];
    for (size_t i = 0; i < sizeof lacks / sizeof lacks[0]; i++) {
        for (uint8_t family = 4; family <= 6; family += 2) {
            tern_uv_of(loop)->test_lacks = lacks[i];
            open_pair(family);
            for (unsigned time = 0; time < 2; time++) { /* it may have learned the first time */
                memset(data, 0x40, sizeof data);
                data[sizeof data - 1] = (uint8_t)(0x70 + i);
                assert_int_equal(tern_udp_send(a, &b_at, data, sizeof data, 1200, 1), 0);
                expect(21);
                assert_int_equal(bytes, sizeof data);
                assert_int_equal(last_len, 7);
                assert_int_equal(last_byte, 0x70 + i);
                assert_int_equal(last_ecn, 1);
            }
            /* what only one call refused is not given up for the others */
            if (lacks[i] == TERN_UV_GSO_REFUSED) {
                tern_uv_of(loop)->test_lacks = 0;
                assert_int_equal(tern_udp_send(a, &b_at, data, sizeof data, 1200, 1), 0);
                expect(21);
            }
            close_pair();
        }
    }
}

static void large_and_empty_datagrams(void **state)
{
    (void)state;
    static uint8_t data[70000];
    memset(data, 0x40, sizeof data);
    open_pair(4);
    assert_int_equal(tern_udp_send(a, &b_at, data, 65507, 0, 0), 0);
    expect(1);
    assert_int_equal(last_len, 65507);
    assert_int_equal(tern_udp_send(a, &b_at, data, 65508, 0, 0), TERN_E_TOO_LARGE);
    assert_int_equal(tern_udp_send(a, &b_at, data, 0, 0, 0), 0); /* arrives, is of no class */
    assert_int_equal(tern_udp_send(a, &b_at, data, 1, 0, 0), 0);
    expect(1);
    assert_int_equal(last_len, 1);
    close_pair();
}

static void errors_have_names(void **state)
{
    (void)state;
    open_pair(4);
    tern_udp *c = NULL;
    assert_int_equal(tern_udp_bind(loop, &a_at, &c), TERN_E_ADDRINUSE);
    tern_endpoint e;
    tern_endpoint_parse_ip(&e, "192.0.2.1");
    assert_int_equal(tern_udp_bind(loop, &e, &c), TERN_E_UNREACHABLE);
    e.family = 0;
    assert_int_equal(tern_udp_bind(loop, &e, &c), TERN_E_INVALID);
    e = loopback(6, 9);
    assert_int_equal(tern_udp_send(a, &e, "x", 1, 0, 0), TERN_E_UNREACHABLE);
    e = loopback(4, 0);
    assert_int_equal(tern_udp_send(a, &e, "x", 1, 0, 0), TERN_E_UNREACHABLE);
    tern_mem_fail_at(1, 0);
    assert_int_equal(tern_udp_bind(loop, &e, &c), TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    assert_null(c);
    close_pair();
}

static void close_inside(void *owner, tern_udp *u, tern_datagram *d)
{
    (void)owner;
    (void)d;
    total++;
    tern_udp_close(u);
    tern_loop_stop(loop);
}

static void closing_inside_a_handler_is_the_last_event(void **state)
{
    (void)state;
    open_pair(4);
    tern_udp_register(b, TERN_UDP_QUIC, close_inside, NULL);
    uint8_t data[1000];
    memset(data, 0x40, sizeof data);
    assert_int_equal(tern_udp_send(a, &b_at, data, sizeof data, 100, 0), 0);
    assert_int_equal(tern_udp_send(a, &b_at, data, sizeof data, 100, 0), 0);
    total = 0;
    run();
    assert_int_equal(total, 1);
    /* nobody listens there now: lost, as on any network */
    assert_int_equal(tern_udp_send(a, &b_at, data, 1, 0, 0), 0);
    tern_udp_close(a);
}

static bool room;

static void on_room(void *owner)
{
    assert_ptr_equal(owner, &room);
    assert_false(room);
    room = true;
    tern_loop_stop(loop);
}

static void a_full_buffer_brings_room_once(void **state)
{
    (void)state;
    static uint8_t data[60000];
    memset(data, 0x40, sizeof data);
    open_pair(4);
    tern_udp_on_room(a, on_room, &room);
    room = false;
    int rc = 0;
    /* On loopback the receiver drops before the sender fills; so this only says what holds when it
     * does fill. */
    for (int i = 0; i < 1000 && rc == 0; i++) {
        rc = tern_udp_send(a, &b_at, data, sizeof data, 1000, 0);
    }
    assert_true(rc == 0 || rc == TERN_E_STATE);
    if (rc == TERN_E_STATE) {
        run();
        assert_true(room);
    }
    close_pair();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_bytes_have_classes),
        TEST(datagrams_go_to_their_class),
        TEST(ecn_bits_travel),
        TEST(a_block_is_sent_as_segments),
        TEST(what_is_lacking_is_done_without),
        TEST(large_and_empty_datagrams),
        TEST(errors_have_names),
        TEST(closing_inside_a_handler_is_the_last_event),
        TEST(a_full_buffer_brings_room_once),
    };
    return TERN_TEST_MAIN(tests);
}
