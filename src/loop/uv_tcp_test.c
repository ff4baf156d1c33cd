/* Tests of real TCP sockets on loopback: connecting, exchange with backpressure, all ways to
 * end, and everything an owner may do to a socket inside one of its events. In one file: every
 * test works with the same pair of recording ends. */
#include "loop/uv_test.h"

#include "loop/tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tern/error.h>

enum { AMOUNT = 10 * 1024 * 1024, CHUNK = 192 * 1024 };

typedef struct end {
    tern_tcp *t;
    int connected; /* calls of on_connected */
    int code;      /* its outcome, or of on_error */
    int ends, errors, writables;
    size_t received, sent, to_send;
    unsigned pauses;
    bool shut_when_sent;
    enum { NOTHING, CLOSE, ABORT, PAUSE } in_data, in_end;
    tern_deferred resume;
} end;

static tern_tcp_listener *listener;
static tern_endpoint at;
static end dialler, acceptor;
static unsigned accepted, refused;
static bool (*finished)(void);
static uint8_t chunk[CHUNK];

static void check(void)
{
    if (finished != NULL && finished()) {
        tern_loop_stop(loop);
    }
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

static void shut(end *e, bool abort)
{
    tern_tcp *t = e->t;
    e->t = NULL;
    tern_deferred_cancel(&e->resume);
    tern_tcp_close(t, abort);
}

static void send_more(end *e)
{
    while (e->t != NULL && e->sent < e->to_send) {
        size_t n = e->to_send - e->sent < CHUNK ? e->to_send - e->sent : CHUNK;
        for (size_t i = 0; i < n; i++) {
            chunk[i] = pattern(e->sent + i);
        }
        /* as many spans, some empty, as a stream layer could bring */
        tern_span v[100];
        for (size_t i = 0; i < 100; i++) {
            v[i] = (tern_span){chunk + n * i / 100, n * (i + 1) / 100 - n * i / 100};
        }
        ssize_t k = tern_tcp_write(e->t, v, 100);
        assert_true(k >= 0);
        e->sent += (size_t)k;
        if ((size_t)k < n) {
            return;
        }
    }
    if (e->t != NULL && e->shut_when_sent && e->sent == e->to_send) {
        e->shut_when_sent = false;
        tern_tcp_shutdown(e->t);
    }
}

static void on_connected(void *owner, int code)
{
    end *e = owner;
    e->connected++;
    e->code = code;
    if (code == 0) {
        tern_tcp_read(e->t);
        send_more(e);
    }
    check();
}

static void on_resume(tern_deferred *d)
{
    tern_tcp_read(TERN_CONTAINER(d, end, resume)->t);
}

static void on_data(void *owner, uint8_t *data, size_t n)
{
    end *e = owner;
    assert_int_equal(e->ends, 0);
    for (size_t i = 0; i < n; i++) {
        if (data[i] != pattern(e->received + i)) {
            fail_msg("byte %zu is wrong", e->received + i);
        }
    }
    e->received += n;
    memset(data, 0, n); /* the owner's to change */
    if (e->in_data == CLOSE || e->in_data == ABORT) {
        shut(e, e->in_data == ABORT);
    } else if (e->in_data == PAUSE) {
        e->pauses++;
        tern_tcp_pause(e->t);
        tern_defer(loop, &e->resume);
    }
    check();
}

static void on_end(void *owner)
{
    end *e = owner;
    e->ends++;
    if (e->in_end == CLOSE || e->in_end == ABORT) {
        shut(e, e->in_end == ABORT);
    } else {
        tern_tcp_read(e->t); /* changes nothing */
    }
    check();
}

static void on_writable(void *owner)
{
    end *e = owner;
    e->writables++;
    send_more(e);
    check();
}

static void on_error(void *owner, int code)
{
    end *e = owner;
    e->errors++;
    e->code = code;
    check();
}

static const tern_tcp_events events = {
    .on_connected = on_connected,
    .on_data = on_data,
    .on_end = on_end,
    .on_writable = on_writable,
    .on_error = on_error,
};

static void on_accept(void *owner, tern_tcp *t)
{
    assert_ptr_equal(owner, &at);
    if (t == NULL) {
        refused++;
        check();
        return;
    }
    accepted++;
    if (acceptor.t != NULL) {
        tern_tcp_close(t, false); /* one is enough */
    } else {
        acceptor.t = t;
        tern_tcp_set_owner(t, &events, &acceptor);
        tern_tcp_read(t);
        send_more(&acceptor);
    }
    check();
}

static int setup(void **state)
{
    memset(&dialler, 0, sizeof dialler);
    memset(&acceptor, 0, sizeof acceptor);
    tern_deferred_init(&dialler.resume, on_resume);
    tern_deferred_init(&acceptor.resume, on_resume);
    accepted = refused = 0;
    finished = NULL;
    listener = NULL;
    return loop_setup(state);
}

static int teardown(void **state)
{
    if (dialler.t != NULL) {
        shut(&dialler, false);
    }
    if (acceptor.t != NULL) {
        shut(&acceptor, false);
    }
    tern_tcp_listener_close(listener);
    return loop_teardown(state);
}

static void listen_on(uint8_t family)
{
    tern_endpoint any = loopback(family, 0);
    assert_int_equal(tern_tcp_listen(loop, &any, on_accept, &at, &listener), 0);
    tern_tcp_listener_local(listener, &at);
    assert_int_not_equal(at.port, 0);
}

static void dial(const tern_endpoint *from)
{
    assert_int_equal(tern_tcp_dial(loop, &at, from, &events, &dialler, &dialler.t), 0);
    assert_int_equal(dialler.connected, 0);
}

static bool both_there(void)
{
    return dialler.connected == 1 && acceptor.t != NULL;
}

static void connect_pair(void)
{
    if (listener == NULL) {
        listen_on(4);
    }
    finished = both_there;
    dial(NULL);
    run();
    assert_int_equal(dialler.code, 0);
}

/* --- connecting --- */

static void both_ends_know_their_addresses(void **state)
{
    (void)state;
    for (uint8_t family = 4; family <= 6; family += 2) {
        dialler.connected = 0;
        listen_on(family);
        connect_pair();
        tern_endpoint a, b;
        tern_tcp_remote(dialler.t, &a);
        assert_true(tern_endpoint_eq(&a, &at));
        tern_tcp_local(acceptor.t, &b);
        assert_true(tern_endpoint_eq(&b, &at));
        tern_tcp_local(dialler.t, &a);
        tern_tcp_remote(acceptor.t, &b);
        assert_true(tern_endpoint_eq(&a, &b));
        shut(&dialler, false);
        shut(&acceptor, false);
        tern_tcp_listener_close(listener);
        listener = NULL;
    }
}

static bool dial_over(void)
{
    return dialler.connected == 1;
}

static void a_closed_port_refuses(void **state)
{
    (void)state;
    listen_on(4);
    tern_tcp_listener_close(listener);
    listener = NULL;
    finished = dial_over;
    dial(NULL);
    tern_tcp_read(dialler.t); /* early, and harmless */
    run();
    assert_int_equal(dialler.code, TERN_E_REFUSED);
    assert_int_equal(tern_tcp_write(dialler.t, NULL, 0), TERN_E_STATE);
}

static void a_refused_dial_closed_at_once_is_silent(void **state)
{
    (void)state;
    listen_on(4);
    tern_tcp_listener_close(listener);
    listener = NULL;
    dial(NULL);
    shut(&dialler, true);
    tern_loop_run(loop);
    assert_int_equal(dialler.connected, 0);
}

static void a_dial_closed_at_once_is_silent(void **state)
{
    (void)state;
    listen_on(4);
    dial(NULL);
    shut(&dialler, true);
    tern_tcp_listener_close(listener);
    listener = NULL;
    tern_loop_run(loop);
    assert_int_equal(dialler.connected, 0);
}

static void impossible_dials_fail_at_once(void **state)
{
    (void)state;
    tern_endpoint to = loopback(4, 0);
    assert_int_equal(tern_tcp_dial(loop, &to, NULL, &events, &dialler, &dialler.t),
                     TERN_E_UNREACHABLE);
    to.family = 0;
    assert_int_equal(tern_tcp_dial(loop, &to, NULL, &events, &dialler, &dialler.t),
                     TERN_E_UNREACHABLE);
    listen_on(4);
    tern_mem_fail_at(1, 0);
    assert_int_equal(tern_tcp_dial(loop, &at, NULL, &events, &dialler, &dialler.t), TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    assert_null(dialler.t);
}

static void a_dial_leaves_from_the_listening_port(void **state)
{
    (void)state;
    tern_endpoint any = loopback(4, 0), from, seen;
    tern_tcp_listener *ours;
    assert_int_equal(tern_tcp_listen(loop, &any, on_accept, &at, &ours), 0);
    tern_tcp_listener_local(ours, &from);
    listen_on(4);
    finished = both_there;
    dial(&from);
    run();
    assert_int_equal(dialler.code, 0);
    tern_tcp_remote(acceptor.t, &seen);
    assert_true(tern_endpoint_eq(&seen, &from));

    /* The same pair of addresses again cannot be had: any port will do. */
    end first = dialler;
    memset(&dialler, 0, sizeof dialler);
    tern_deferred_init(&dialler.resume, on_resume);
    finished = dial_over;
    dial(&from);
    run();
    assert_int_equal(dialler.code, 0);
    tern_tcp_local(dialler.t, &seen);
    assert_int_not_equal(seen.port, from.port);
    tern_tcp_close(first.t, false);
    tern_tcp_listener_close(ours);
}

static void a_source_that_is_not_ours_is_let_go(void **state)
{
    (void)state;
    tern_endpoint from;
    tern_endpoint_parse_ip(&from, "192.0.2.1");
    listen_on(4);
    finished = both_there;
    dial(&from);
    run();
    assert_int_equal(dialler.code, 0);
}

static void a_dial_never_meets_itself(void **state)
{
    (void)state;
    listen_on(4);
    tern_tcp_listener_close(listener);
    listener = NULL;
    finished = dial_over;
    dial(&at); /* from the port to the port, where nobody listens */
    run();
    assert_int_equal(dialler.code, TERN_E_REFUSED);
}

/* --- exchange --- */

static bool exchanged(void)
{
    return dialler.received == AMOUNT && acceptor.received == AMOUNT && dialler.ends == 1 &&
           acceptor.ends == 1;
}

static void ten_megabytes_both_ways(void **state)
{
    (void)state;
    dialler.to_send = acceptor.to_send = AMOUNT;
    dialler.shut_when_sent = acceptor.shut_when_sent = true;
    dialler.in_data = acceptor.in_data = PAUSE;
    listen_on(4);
    finished = exchanged;
    dial(NULL);
    run();
    assert_true(exchanged());
    assert_true(dialler.writables > 0 && acceptor.writables > 0);
    assert_true(dialler.pauses > 1 && acceptor.pauses > 1);
    assert_int_equal(dialler.errors + acceptor.errors, 0);
}

static tern_timer tick;
static unsigned turns;

static void on_turn(tern_timer *timer)
{
    if (++turns == 20) {
        tern_loop_stop(loop);
        return;
    }
    tern_timer_start(loop, timer, 0, on_turn); /* at the next turn */
}

static bool received_all(void)
{
    return acceptor.received == dialler.to_send && acceptor.ends == 1;
}

static void a_paused_reader_slows_the_writer(void **state)
{
    (void)state;
    connect_pair();
    finished = NULL;
    tern_tcp_pause(acceptor.t);
    dialler.to_send = 100 * (size_t)AMOUNT; /* more than the system holds for a socket */
    send_more(&dialler);
    assert_true(dialler.sent < dialler.to_send);
    turns = 0;
    tern_timer_start(loop, &tick, 0, on_turn);
    run();
    assert_int_equal(acceptor.received, 0);
    assert_true(dialler.sent < dialler.to_send);
    dialler.to_send = dialler.sent + AMOUNT;
    dialler.shut_when_sent = true;
    tern_tcp_read(acceptor.t);
    finished = received_all;
    run();
    assert_true(received_all());
}

static void writing_before_the_connection_waits_for_it(void **state)
{
    (void)state;
    listen_on(4);
    acceptor.in_data = NOTHING;
    dial(NULL);
    uint8_t byte = pattern(0);
    tern_span v = {&byte, 1};
    assert_int_equal(tern_tcp_write(dialler.t, &v, 1), 0);
    finished = both_there;
    run();
    assert_int_equal(dialler.code, 0);
}

/* --- ending --- */

static bool dialler_ended(void)
{
    return dialler.ends == 1;
}

static bool acceptor_ended(void)
{
    return acceptor.ends == 1;
}

static bool acceptor_has_100(void)
{
    return acceptor.received == 100;
}

static bool dialler_has_100(void)
{
    return dialler.received == 100;
}

static void half_closed_by_the_dialler(void **state)
{
    (void)state;
    connect_pair();
    tern_tcp_shutdown(dialler.t);
    finished = acceptor_ended;
    run();
    /* the other direction is open */
    acceptor.to_send = 100;
    send_more(&acceptor);
    finished = dialler_has_100;
    run();
    assert_int_equal(dialler.ends, 0);
    tern_tcp_shutdown(acceptor.t);
    finished = dialler_ended;
    run();
    uint8_t byte = 0;
    tern_span v = {&byte, 1};
    assert_int_equal(tern_tcp_write(dialler.t, &v, 1), TERN_E_STATE);
}

static void half_closed_by_the_acceptor(void **state)
{
    (void)state;
    connect_pair();
    acceptor.to_send = 100;
    acceptor.shut_when_sent = true;
    send_more(&acceptor);
    finished = dialler_ended;
    run();
    assert_int_equal(dialler.received, 100);
    dialler.to_send = 100;
    dialler.shut_when_sent = true;
    send_more(&dialler);
    finished = acceptor_ended;
    run();
    assert_true(acceptor_has_100());
    assert_int_equal(dialler.errors + acceptor.errors, 0);
}

static bool acceptor_failed(void)
{
    return acceptor.errors == 1;
}

static void an_abort_is_a_reset(void **state)
{
    (void)state;
    connect_pair();
    shut(&dialler, true);
    finished = acceptor_failed;
    run();
    assert_int_equal(acceptor.code, TERN_E_RESET);
    assert_int_equal(acceptor.ends, 0);
}

static void a_reset_reaches_a_paused_writer(void **state)
{
    (void)state;
    connect_pair();
    finished = NULL;
    tern_tcp_pause(acceptor.t);
    tern_tcp_pause(dialler.t);
    acceptor.to_send = 8 * (size_t)AMOUNT;
    send_more(&acceptor);
    assert_true(acceptor.sent < acceptor.to_send);
    shut(&dialler, true);
    finished = acceptor_failed;
    run();
    assert_int_equal(acceptor.code, TERN_E_RESET);
}

static bool dialler_closed(void)
{
    return dialler.t == NULL;
}

static void closing_inside_data(void **state)
{
    (void)state;
    connect_pair();
    dialler.in_data = CLOSE;
    acceptor.to_send = AMOUNT;
    send_more(&acceptor);
    finished = dialler_closed;
    run();
    assert_true(dialler.received > 0);
    size_t n = dialler.received;
    finished = acceptor_failed; /* the rest meets a closed socket */
    run();
    assert_int_equal(dialler.received, n);
}

static void aborting_inside_end(void **state)
{
    (void)state;
    connect_pair();
    dialler.in_end = ABORT;
    acceptor.to_send = 100;
    acceptor.shut_when_sent = true;
    send_more(&acceptor);
    finished = dialler_closed;
    run();
    assert_int_equal(dialler.received, 100);
}

static void close_inside_connected(void *owner, int code)
{
    end **e = owner;
    assert_int_equal(code, 0);
    tern_tcp_close((*e)->t, false);
    memset(*e, 0xa5, sizeof **e);
    tern_free(*e); /* the owner is gone with it */
    *e = NULL;
    tern_loop_stop(loop);
}

static void closing_and_freeing_the_owner_inside_connected(void **state)
{
    (void)state;
    static const tern_tcp_events closing = {.on_connected = close_inside_connected};
    listen_on(4);
    end *owned = tern_calloc(1, sizeof *owned);
    assert_non_null(owned);
    assert_int_equal(tern_tcp_dial(loop, &at, NULL, &closing, &owned, &owned->t), 0);
    run();
    assert_null(owned);
    finished = acceptor_ended;
    if (!finished()) {
        run();
    }
}

/* --- listening --- */

static void an_address_in_use_is_told(void **state)
{
    (void)state;
    tern_tcp_listener *second = NULL;
    listen_on(4);
    assert_int_equal(tern_tcp_listen(loop, &at, on_accept, &at, &second), TERN_E_ADDRINUSE);
    tern_endpoint any = {.family = 4, .port = at.port};
    assert_int_equal(tern_tcp_listen(loop, &any, on_accept, &at, &second), TERN_E_ADDRINUSE);
    /* free again with connections of the port still open */
    connect_pair();
    tern_tcp_listener_close(listener);
    listener = NULL;
    assert_int_equal(tern_tcp_listen(loop, &at, on_accept, &at, &listener), 0);
    assert_null(second);
}

static void listening_errors_have_names(void **state)
{
    (void)state;
    tern_endpoint e;
    tern_tcp_listener *l = NULL;
    tern_endpoint_parse_ip(&e, "192.0.2.1");
    assert_int_equal(tern_tcp_listen(loop, &e, on_accept, &at, &l), TERN_E_UNREACHABLE);
    e.port = 4001;
    assert_int_equal(tern_tcp_listen(loop, &e, on_accept, &at, &l), TERN_E_UNREACHABLE);
    e.family = 0;
    assert_int_equal(tern_tcp_listen(loop, &e, on_accept, &at, &l), TERN_E_INVALID);
    e = loopback(4, 0);
    tern_mem_fail_at(1, 0);
    assert_int_equal(tern_tcp_listen(loop, &e, on_accept, &at, &l), TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    assert_null(l);
}

static void both_families_on_one_port(void **state)
{
    (void)state;
    listen_on(4);
    tern_tcp_listener *six;
    tern_endpoint e = loopback(6, at.port);
    assert_int_equal(tern_tcp_listen(loop, &e, on_accept, &at, &six), 0);
    tern_tcp_listener_close(six);
}

static bool one_refused(void)
{
    return refused == 1;
}

static void out_of_memory_a_connection_is_closed_and_counted(void **state)
{
    (void)state;
    listen_on(4);
    dial(NULL);
    finished = one_refused;
    /* No allocation happens between here and the accepted socket's. */
    tern_timer_start(loop, &watchdog, tern_loop_now(loop) + WATCHDOG, on_watchdog);
    tern_mem_fail_at(1, 0);
    tern_loop_run(loop);
    tern_mem_fail_at(0, 0);
    assert_true(tern_timer_armed(&watchdog));
    tern_timer_stop(&watchdog);
    assert_int_equal(accepted, 0);
}

static void out_of_descriptors_a_connection_is_closed_and_counted(void **state)
{
    (void)state;
    listen_on(4);
    dial(NULL);
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(STDIN_FILENO); /* the lowest free number: nothing at or above it can be opened */
    assert_true(next >= 0);
    close(next);
    tight = before;
    tight.rlim_cur = (rlim_t)next;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    finished = one_refused;
    run();
    tern_endpoint to = at;
    tern_tcp *none = NULL;
    int rc = tern_tcp_dial(loop, &to, NULL, &events, &acceptor, &none);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(rc, TERN_E_LIMIT);
    assert_int_equal(accepted, 0);
    /* and it goes on */
    shut(&dialler, false);
    memset(&dialler, 0, sizeof dialler);
    tern_deferred_init(&dialler.resume, on_resume);
    connect_pair();
    assert_int_equal(accepted, 1);
}

static void close_listener(void *owner, tern_tcp *t)
{
    (void)owner;
    assert_non_null(t);
    accepted++;
    tern_tcp_close(t, true); /* refused without ever having an owner */
    tern_tcp_listener_close(listener);
    listener = NULL;
    tern_loop_stop(loop);
}

static void a_listener_may_close_inside_accept(void **state)
{
    (void)state;
    tern_endpoint any = loopback(4, 0);
    assert_int_equal(tern_tcp_listen(loop, &any, close_listener, NULL, &listener), 0);
    tern_tcp_listener_local(listener, &at);
    dial(NULL);
    tern_tcp *second;
    end other = {.t = NULL};
    tern_deferred_init(&other.resume, on_resume);
    assert_int_equal(tern_tcp_dial(loop, &at, NULL, &events, &other, &second), 0);
    run();
    assert_int_equal(accepted, 1);
    tern_tcp_close(second, false);
}

/* Listening, accepted and dialled sockets alike: the system ends those whose peer is silent for a
 * minute, or does not acknowledge for half of one. */
static void a_peer_that_vanishes_is_noticed(void **state)
{
    int found = 0;
    (void)state;
    connect_pair();
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in local = {0}, remote = {0};
        socklen_t n = sizeof local, m = sizeof remote;
        getpeername(fd, (struct sockaddr *)&remote, &m);
        if (getsockname(fd, (struct sockaddr *)&local, &n) != 0 || local.sin_family != AF_INET ||
            (ntohs(local.sin_port) != at.port && ntohs(remote.sin_port) != at.port)) {
            continue;
        }
        int value = 0;
        n = sizeof value;
        found++;
        assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &n), 0);
        assert_int_not_equal(value, 0);
#ifdef TCP_USER_TIMEOUT
        int idle, each, count;
        getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &n);
        getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &each, &n);
        getsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, &n);
        assert_int_equal(idle + each * count, 60);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &n), 0);
        assert_int_equal(value, 30000);
#endif
    }
    assert_int_equal(found, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_ends_know_their_addresses),
        TEST(a_closed_port_refuses),
        TEST(a_refused_dial_closed_at_once_is_silent),
        TEST(a_dial_closed_at_once_is_silent),
        TEST(impossible_dials_fail_at_once),
        TEST(a_dial_leaves_from_the_listening_port),
        TEST(a_source_that_is_not_ours_is_let_go),
        TEST(a_dial_never_meets_itself),
        TEST(ten_megabytes_both_ways),
        TEST(a_paused_reader_slows_the_writer),
        TEST(writing_before_the_connection_waits_for_it),
        TEST(half_closed_by_the_dialler),
        TEST(half_closed_by_the_acceptor),
        TEST(an_abort_is_a_reset),
        TEST(a_reset_reaches_a_paused_writer),
        TEST(closing_inside_data),
        TEST(aborting_inside_end),
        TEST(closing_and_freeing_the_owner_inside_connected),
        TEST(an_address_in_use_is_told),
        TEST(listening_errors_have_names),
        TEST(both_families_on_one_port),
        TEST(out_of_memory_a_connection_is_closed_and_counted),
        TEST(out_of_descriptors_a_connection_is_closed_and_counted),
        TEST(a_listener_may_close_inside_accept),
        TEST(a_peer_that_vanishes_is_noticed),
    };
    return TERN_TEST_MAIN(tests);
}
