/* TCP Fast Open on real sockets: in a network of this program's own, where it is allowed both ways;
 * and where the system says no, the ordinary connection. Skipped where no such network can be
 * made. */
#include "loop/uv_test.h"

#include <stdio.h>

#ifdef __linux__
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tern/error.h>

#include "loop/tcp.h"

typedef struct end {
    tern_tcp *t;
    int connected, code, errors;
    size_t received;
    bool echo;
} end;

static tern_tcp_listener *listener;
static tern_endpoint at;
static end dialler, acceptor;
static uint8_t host = 2; /* 127.0.0.host */

static void hello(end *e)
{
    tern_span v = {(const uint8_t *)"hello", 5};
    ssize_t n = tern_tcp_write(e->t, &v, 1);
    if (n < 0) { /* on_error will not follow */
        e->errors++;
        e->code = (int)n;
        tern_loop_stop(loop);
    }
}

static void on_connected(void *owner, int code)
{
    end *e = owner;
    e->connected++;
    e->code = code;
    if (code == 0) {
        tern_tcp_read(e->t);
        hello(e);
    } else {
        tern_loop_stop(loop);
    }
}

static void on_data(void *owner, uint8_t *data, size_t n)
{
    end *e = owner;
    (void)data;
    e->received += n;
    if (e->echo) {
        hello(e);
    } else {
        tern_loop_stop(loop);
    }
}

static void on_end(void *owner)
{
    (void)owner;
}

static void on_error(void *owner, int code)
{
    end *e = owner;
    e->errors++;
    e->code = code;
    tern_loop_stop(loop);
}

static const tern_tcp_events events = {.on_connected = on_connected,
                                       .on_data = on_data,
                                       .on_end = on_end,
                                       .on_writable = on_end,
                                       .on_error = on_error};

static void on_accept(void *owner, tern_tcp *t)
{
    (void)owner;
    acceptor = (end){.t = t, .echo = true};
    tern_tcp_set_owner(t, &events, &acceptor);
    tern_tcp_read(t);
}

/* ---- the network ---- */

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        close(fd);
    }
    return done;
}

static bool allow(const char *bits)
{
    return write_file("/proc/sys/net/ipv4/tcp_fastopen", bits);
}

static bool own_network(void)
{
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        return false;
    }
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags |= IFF_UP;
    up = up && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return up && allow("3");
}

/* A number of TcpExt in /proc/net/netstat: names on one line, values on the next. */
static long counted(const char *name)
{
    char names[8192], values[8192];
    long found = -1;
    FILE *f = fopen("/proc/net/netstat", "re");
    assert_non_null(f);
    if (fgets(names, sizeof names, f) != NULL && fgets(values, sizeof values, f) != NULL) {
        char *rest_names, *rest_values;
        char *a = strtok_r(names, " \n", &rest_names);
        char *b = strtok_r(values, " \n", &rest_values);
        while (a != NULL && b != NULL) {
            if (strcmp(a, name) == 0) {
                found = strtol(b, NULL, 10);
            }
            a = strtok_r(NULL, " \n", &rest_names);
            b = strtok_r(NULL, " \n", &rest_values);
        }
    }
    fclose(f);
    assert_true(found >= 0);
    return found;
}

/* ---- tests ---- */

static int setup(void **state)
{
    memset(&dialler, 0, sizeof dialler);
    memset(&acceptor, 0, sizeof acceptor);
    assert_true(allow("3"));
    loop_setup(state);
    tern_endpoint any = loopback(4, 0);
    any.ip[3] = host++; /* the system remembers cookies by address */
    assert_int_equal(tern_tcp_listen_fast(loop, &any, on_accept, &at, &listener), 0);
    tern_tcp_listener_local(listener, &at);
    return 0;
}

static void hang_up(void)
{
    tern_tcp_close(dialler.t, false);
    tern_tcp_close(acceptor.t, false);
    dialler.t = acceptor.t = NULL;
}

static int teardown(void **state)
{
    hang_up();
    tern_tcp_listener_close(listener);
    return loop_teardown(state);
}

static void dial(void)
{
    dialler = (end){0};
    assert_int_equal(tern_tcp_dial_fast(loop, &at, NULL, &events, &dialler, &dialler.t), 0);
}

static void exchange(bool opening)
{
    dial();
    assert_int_equal(tern_tcp_opening(dialler.t), opening);
    run();
    assert_int_equal(dialler.connected, 1);
    assert_int_equal(dialler.code, 0);
    assert_int_equal(acceptor.received, 5);
    assert_int_equal(dialler.received, 5);
    assert_false(tern_tcp_opening(dialler.t));
    hang_up();
}

static void test_data_with_syn(void **state)
{
    (void)state;
    exchange(false); /* gets the cookie */
    long active = counted("TCPFastOpenActive"), passive = counted("TCPFastOpenPassive");
    exchange(true);
    assert_int_equal(counted("TCPFastOpenActive"), active + 1);
    assert_int_equal(counted("TCPFastOpenPassive"), passive + 1);
}

/* The dial was told connected; then the truth. */
static void test_refused(void **state)
{
    (void)state;
    exchange(false);
    exchange(true);
    tern_tcp_listener_close(listener);
    listener = NULL;
    dial();
    assert_true(tern_tcp_opening(dialler.t));
    run();
    assert_int_equal(dialler.connected, 1);
    assert_int_equal(dialler.errors, 1);
    assert_int_equal(dialler.code, TERN_E_REFUSED);
    assert_true(tern_tcp_opening(dialler.t));
}

/* The system does not do it for servers: no cookie is given. */
static void test_server_without(void **state)
{
    (void)state;
    assert_true(allow("1"));
    exchange(false);
    exchange(false);
}

static void test_client_without(void **state)
{
    (void)state;
    assert_true(allow("2"));
    exchange(false);
    exchange(false);
}

/* A cookie is at hand, but the listener gives none any more: the data is sent again. */
static void test_listener_changed(void **state)
{
    (void)state;
    exchange(false);
    tern_tcp_listener_close(listener);
    long passive = counted("TCPFastOpenPassive");
    assert_int_equal(tern_tcp_listen(loop, &at, on_accept, &at, &listener), 0);
    exchange(true);
    assert_int_equal(counted("TCPFastOpenPassive"), passive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_server_without, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_without, setup, teardown),
        cmocka_unit_test_setup_teardown(test_data_with_syn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listener_changed, setup, teardown),
    };
    if (!own_network()) {
        puts("1..0 # SKIP no network namespace with TCP Fast Open can be made here");
        return 0;
    }
    return TERN_TEST_MAIN(tests);
}
#else
int main(void)
{
    puts("1..0 # SKIP TCP Fast Open is for Linux");
    return 0;
}
#endif
