/* Addresses that come and go on a real machine: a network of this program's own, whose loopback
 * interface is given a second address. Skipped where no such network can be made. */
#include "loop/uv_test.h"

#include <stdio.h>

#ifdef __linux__
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tern/error.h>

#include "loop/tcp.h"

#define ALIAS "lo:1"

static int control = -1; /* a socket for ioctl */
static tern_watch watch;
static unsigned told;

static bool up_or_down(const char *name, bool up)
{
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(control, SIOCGIFFLAGS, &request) != 0) {
        return false;
    }
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    return ioctl(control, SIOCSIFFLAGS, &request) == 0;
}

static struct sockaddr in(uint32_t ip)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip)};
    struct sockaddr plain;
    memcpy(&plain, &in, sizeof plain);
    return plain;
}

/* 10.1.2.3, alone in its network. */
static void give_address(void)
{
    struct ifreq request = {.ifr_name = ALIAS, .ifr_addr = in(0x0a010203)};
    assert_int_equal(ioctl(control, SIOCSIFADDR, &request), 0);
    request.ifr_netmask = in(0xffffffff);
    assert_int_equal(ioctl(control, SIOCSIFNETMASK, &request), 0);
}

/* A road to 10.9.9.9 on which nobody answers. */
static void give_route(void)
{
    char device[] = "lo";
    struct rtentry route = {.rt_dst = in(0x0a090909),
                            .rt_genmask = in(0xffffffff),
                            .rt_flags = RTF_UP | RTF_HOST,
                            .rt_dev = device};
    assert_int_equal(ioctl(control, SIOCADDRT, &route), 0);
}

static void take_address(void)
{
    assert_true(up_or_down(ALIAS, false));
}

static bool own_network(void)
{
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        return false;
    }
    control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return control >= 0 && up_or_down("lo", true);
}

static bool has(const char *ip)
{
    tern_endpoint own[64], e;
    assert_int_equal(tern_endpoint_parse_ip(&e, ip), 0);
    size_t n = tern_loop_addresses(loop, own, 64);
    for (size_t i = 0; i < n && i < 64; i++) {
        if (tern_endpoint_eq(&own[i], &e)) {
            return true;
        }
    }
    return false;
}

static void on_change(tern_watch *w, tern_change change)
{
    (void)w;
    if (change == TERN_CHANGE_ADDRESSES) {
        told++;
        tern_loop_stop(loop);
    }
}

static void test_told(void **state)
{
    (void)state;
    tern_watch_start(loop, &watch, on_change);
    give_address();
    run();
    assert_int_equal(told, 1);
    assert_true(has("10.1.2.3"));
    take_address();
    run();
    assert_int_equal(told, 2);
    assert_false(has("10.1.2.3"));
    tern_watch_stop(&watch);
    tern_watch_start(loop, &watch, on_change); /* again, on another socket */
    give_address();
    run();
    assert_int_equal(told, 3);
    take_address();
    run();
    tern_watch_stop(&watch);
}

/* ---- a dial whose address goes ---- */

static int code = 1;

static void on_connected(void *owner, int result)
{
    (void)owner;
    code = result;
    tern_loop_stop(loop);
}

static void on_error(void *owner, int result)
{
    (void)owner;
    (void)result;
    fail();
}

static void test_dial_ends(void **state)
{
    static const tern_tcp_events events = {.on_connected = on_connected, .on_error = on_error};
    tern_tcp *t;
    tern_endpoint to, from, local;
    (void)state;
    tern_watch_start(loop, &watch, on_change);
    give_address();
    give_route();
    run();
    assert_int_equal(tern_endpoint_parse_ip(&to, "10.9.9.9"), 0);
    to.port = 4001;
    assert_int_equal(tern_endpoint_parse_ip(&from, "10.1.2.3"), 0);
    assert_int_equal(tern_tcp_dial(loop, &to, &from, &events, NULL, &t), 0);
    tern_tcp_local(t, &local);
    assert_int_equal(local.ip[3], 3);
    take_address();
    run(); /* of the change, in whose turn the dial ends */
    if (code == 1) {
        run();
    }
    tern_tcp_close(t, false);
    tern_watch_stop(&watch);
    assert_int_equal(code, TERN_E_UNREACHABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_told, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(test_dial_ends, loop_setup, loop_teardown),
    };
    if (!own_network()) {
        puts("1..0 # SKIP no network namespace can be made here");
        return 0;
    }
    int failed = TERN_TEST_MAIN(tests);
    close(control);
    return failed;
}
#else
int main(void)
{
    puts("1..0 # SKIP the system is not Linux: addresses are looked at every five seconds");
    return 0;
}
#endif
