/* The transport contract, tried on every transport: see transports.h. Each test
 * gets a fresh world and must leave nothing allocated. */
#include "suite/transports.h"

#include <stdio.h>

#include "base/test.h"
#include "loop/sim.h"
#include "quic/quic.h"
#include "secure/noise.h"
#include "suite/ear.h"
#include "suite/web_cert.h"
#include "transport/web_tls.h"
#include "webtransport/webtransport.h"

static const tern_transport_subject *subject; /* the one under test */

enum { PORT = 4001 };
#define DELAY      (50 * TERN_MS)
#define ROUND_TRIP (2 * DELAY)

/* The dialler is a, the listener b. */
typedef struct world {
    tern_sim *sim;
    tern_net net[2];
    tern_listener *listener;
    tern_multiaddr *target;
    tern_dial_op dial;
    tern_conn *conn[2]; /* where it yields them */
    ear a, b;
    unsigned accepts, done;
    tern_error error;
    uint64_t done_at;
    char local[100], remote[100]; /* what on_stream said */
    size_t alive;                 /* allocations before the world */
} world;

static const char *layer(void)
{
    return subject->transport->native ? "udp" : "tcp";
}

static tern_multiaddr *address(const char *ip, unsigned port)
{
    char text[100];
    snprintf(text, sizeof text, "/ip4/%s/%s/%u%s", ip, layer(), port, subject->suffix);
    tern_multiaddr *addr = tern_multiaddr_parse(text, NULL);
    assert_non_null(addr);
    return addr;
}

static void on_stream(void *owner, tern_listener *l, tern_stream *s, tern_multiaddr *local,
                      tern_multiaddr *remote, uint64_t deadline)
{
    world *w = owner;
    assert_true(deadline > tern_sim_now(w->sim));
    assert_ptr_equal(l, w->listener);
    assert_int_equal(w->accepts++, 0);
    snprintf(w->local, sizeof w->local, "%s", tern_multiaddr_text(local));
    snprintf(w->remote, sizeof w->remote, "%s", tern_multiaddr_text(remote));
    ear_take(&w->b, s);
}

static void on_opened(void *owner, tern_conn *c, tern_stream *s)
{
    world *w = owner;
    assert_ptr_equal(c, w->conn[1]);
    ear_take(&w->b, s);
}

static void on_conn_closed(void *owner, tern_conn *c, const tern_error *why)
{
    world *w = owner;
    (void)why;
    w->conn[w->conn[0] == c ? 0 : 1] = NULL;
}

static const tern_conn_events conn_events = {.on_stream = on_opened, .on_closed = on_conn_closed};

static void on_conn(void *owner, tern_listener *l, tern_conn *c)
{
    world *w = owner;
    const tern_conn_facts *f = tern_conn_get_facts(c);
    assert_ptr_equal(l, w->listener);
    assert_int_equal(w->accepts++, 0);
    assert_true(f->inbound && tern_peer_id_equal(&f->peer, &w->net[0].self));
    assert_string_equal(f->transport, subject->transport->name);
    snprintf(w->local, sizeof w->local, "%s", tern_multiaddr_text(f->local));
    snprintf(w->remote, sizeof w->remote, "%s", tern_multiaddr_text(f->remote));
    w->conn[1] = c;
    tern_conn_take(c, &conn_events, w);
}

static const tern_listener_events listener_events = {.on_stream = on_stream, .on_conn = on_conn};

static int listen_at(world *w, const char *ip, unsigned port, tern_listener **ret)
{
    tern_error error = {0};
    tern_multiaddr *addr = address(ip, port);
    int code = subject->transport->listen(&w->net[1], addr, &listener_events, w, ret, &error);
    tern_multiaddr_unref(addr);
    if (code != 0) {
        assert_int_equal(error.code, code);
        assert_true(strlen(error.text) > 0);
    }
    return code;
}

static void make(world *w)
{
    const tern_sim_link link = {.delay = DELAY};
    memset(w, 0, sizeof *w);
    w->alive = tern_mem_alive();
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    tern_sim_set_default_link(w->sim, &link);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->net[0].loop), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.2", &w->net[1].loop), 0);
    for (int i = 0; i < 2; i++) {
        tern_net_init(&w->net[i]);
        if (subject->web) {
            web_cert_use(&w->net[i], i == 1);
        }
        if (subject->transport->native) {
            assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &w->net[i].key), 0);
            tern_key_peer_id(w->net[i].key, &w->net[i].self);
        }
    }
    ear_init(&w->a);
    ear_init(&w->b);
    w->target = address("10.0.0.2", PORT);
}

static void make_listening(world *w)
{
    make(w);
    const char *ip = subject->hashed ? "10.0.0.2" : "0.0.0.0";
    assert_int_equal(listen_at(w, ip, PORT, &w->listener), 0);
    if (subject->hashed) {
        tern_multiaddr_unref(w->target);
        w->target = tern_multiaddr_ref(w->listener->addr);
    }
}

static void run_for(world *w, uint64_t time)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

static void clear(world *w)
{
    tern_op_cancel(&w->dial.op);
    tern_multiaddr_unref(w->dial.local);
    tern_multiaddr_unref(w->target);
    ear_clear(&w->a);
    ear_clear(&w->b);
    for (int i = 0; i < 2; i++) {
        if (w->conn[i] != NULL) {
            tern_conn_close(w->conn[i], 0, NULL);
        }
    }
    if (w->listener != NULL) {
        tern_listener_close(w->listener);
    }
    run_for(w, 60 * TERN_SEC);
    for (int i = 0; i < 2; i++) {
        assert_null(w->net[i].ports);
        assert_null(w->conn[i]);
        assert_int_equal(w->net[i].natives, 0);
        tern_web_free(&w->net[i]);
        tern_noise_identity_free(w->net[i].noise);
        tern_webtransport_free(&w->net[i]);
        tern_quic_free(&w->net[i]);
        assert_null(w->net[i].udp_ports);
        tern_key_unref(w->net[i].key);
    }
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), w->alive);
}

static void on_done(tern_op *op, const tern_error *error)
{
    world *w = TERN_CONTAINER(op, world, dial.op);
    assert_int_equal(w->done++, 0);
    w->error = *error;
    w->done_at = tern_sim_now(w->sim);
    if (error->code == 0 && subject->transport->native) {
        assert_null(w->dial.stream);
        w->conn[0] = w->dial.conn;
        tern_conn_take(w->conn[0], &conn_events, w);
        tern_stream *s = tern_conn_open(w->conn[0], NULL);
        if (s != NULL) { /* there may be no memory for it */
            ear_take(&w->a, s);
        }
    } else if (error->code == 0) {
        assert_non_null(w->dial.stream);
        assert_null(w->dial.conn);
        assert_non_null(w->dial.local);
        ear_take(&w->a, w->dial.stream);
    } else {
        assert_null(w->dial.stream);
        assert_null(w->dial.local);
        assert_true(strlen(error->text) > 0);
    }
}

static int dial(world *w, uint64_t time)
{
    w->dial.net = &w->net[0];
    w->dial.addr = w->target;
    w->dial.expected = w->net[1].self;
    tern_op_init(&w->dial.op, w->net[0].loop, tern_loop_now(w->net[0].loop) + time, on_done);
    return subject->transport->dial(&w->dial, &w->error);
}

static void say_opening(world *w)
{
    size_t n = strlen(subject->opening);
    assert_int_equal(ear_write(&w->a, subject->opening, n), n);
}

/* Takes the opening off what b got. */
static void hear_opening(world *w)
{
    size_t n = strlen(subject->opening);
    assert_int_equal(w->accepts, 1);
    assert_true(tern_buf_len(&w->b.got) >= n);
    if (n > 0) {
        assert_memory_equal(tern_buf_data(&w->b.got), subject->opening, n);
    }
    tern_buf_consume(&w->b.got, n);
}

/* A connected pair: ears a and b have its ends. */
static void make_connected(world *w)
{
    make_listening(w);
    assert_int_equal(dial(w, 5 * TERN_SEC), 0);
    assert_int_equal(w->done, 0); /* not from inside the call */
    run_for(w, TERN_SEC);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->error.code, 0);
    say_opening(w);
    run_for(w, TERN_SEC);
    hear_opening(w);
}

/* ---- addresses ---- */

static void addresses(void **state)
{
    (void)state;
    const tern_transport *t = subject->transport;
    static const char *const begins[] = {"/ip4/1.2.3.4", "/ip6/::1", "/dns4/x.org",
                                         "/ip6zone/eth0/ip6/fe80::1"};
    static const char hash[] = "/certhash/uEiAtcRZCtyawRAFifKn7rDL1yFMPsZA8xNsCJYcXkhpIgQ";
    static const char *const others[] = {"/ip4/1.2.3.4/udp/1",
                                         "/ip4/1.2.3.4",
                                         "/dnsaddr/x.org",
                                         "/ip4/1.2.3.4/udp/1/quic-v1/http",
                                         "/memory/7",
                                         "/ip4/1.2.3.4/tcp/1/tls",
                                         "/ip4/1.2.3.4/tcp/1/tls/http",
                                         "/unix/x",
                                         "/ip4/1.2.3.4/tcp/1/quic-v1"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        char text[200];
        bool name = strncmp(begins[i], "/dns", 4) == 0;
        for (int hashed = 0; hashed <= subject->hashed; hashed++) {
            snprintf(text, sizeof text, "%s/%s/1%s%s", begins[i], layer(), subject->suffix,
                     hashed ? hash : "");
            tern_multiaddr *addr = tern_multiaddr_parse(text, NULL);
            assert_non_null(addr);
            assert_int_equal(t->dials(addr), hashed || !subject->hashed);
            assert_int_equal(t->listens(addr), !name);
            tern_multiaddr_unref(addr);
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        tern_multiaddr *addr = tern_multiaddr_parse(others[i], NULL);
        assert_non_null(addr);
        assert_false(t->dials(addr) || t->listens(addr));
        tern_multiaddr_unref(addr);
    }
}

static void addresses_are_told(void **state)
{
    (void)state;
    world w;
    char expected[100];
    make_connected(&w);
    if (subject->transport->native) { /* which address of ours it was nobody knows with 0.0.0.0 */
        assert_non_null(strstr(w.local, subject->suffix));
        assert_memory_equal(w.remote, "/ip4/10.0.0.1/udp/", 18);
        const tern_conn_facts *f = tern_conn_get_facts(w.conn[0]);
        assert_true(tern_peer_id_equal(&f->peer, &w.net[1].self) && !f->inbound);
    } else {
        assert_string_equal(w.local, tern_multiaddr_text(w.target));
        assert_string_equal(w.remote, tern_multiaddr_text(w.dial.local));
    }
    snprintf(expected, sizeof expected, "/ip4/%s/%s/%u%s", subject->hashed ? "10.0.0.2" : "0.0.0.0",
             layer(), PORT, subject->suffix);
    assert_memory_equal(tern_multiaddr_text(w.listener->addr), expected, strlen(expected));
    clear(&w);
}

static void port_0_picks_one(void **state)
{
    (void)state;
    world w;
    tern_endpoint at;
    uint32_t kind;
    make(&w);
    assert_int_equal(listen_at(&w, "10.0.0.2", 0, &w.listener), 0);
    assert_true(tern_ma_endpoint(w.listener->addr, &at, &kind));
    assert_true(at.port != 0);
    tern_multiaddr_unref(w.target);
    w.target = tern_multiaddr_ref(w.listener->addr);
    assert_int_equal(dial(&w, TERN_SEC), 0);
    run_for(&w, TERN_SEC);
    assert_int_equal(w.error.code, 0);
    clear(&w);
}

/* ---- dialling ---- */

static void round_trips(void **state)
{
    (void)state;
    world w;
    make_listening(&w);
    uint64_t start = tern_sim_now(w.sim);
    assert_int_equal(dial(&w, TERN_SEC), 0);
    run_for(&w, TERN_SEC);
    assert_int_equal(w.error.code, 0);
    assert_int_equal(w.done_at - start, subject->round_trips * ROUND_TRIP);
    clear(&w);
}

static void refused(void **state)
{
    (void)state;
    world w;
    if (subject->hashed) { /* somebody was there, and told it */
        make_listening(&w);
        tern_listener_close(w.listener);
        w.listener = NULL;
    } else {
        make(&w);
    }
    assert_int_equal(dial(&w, 5 * TERN_SEC), 0);
    bool silent = subject->transport->native; /* nobody says that no one is there */
    run_for(&w, silent ? 6 * TERN_SEC : TERN_SEC);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.error.code, silent ? TERN_E_TIMEOUT : TERN_E_REFUSED);
    clear(&w);
}

static void deadline(void **state)
{
    (void)state;
    const tern_sim_link down = {.delay = DELAY, .down = true};
    world w;
    make_listening(&w);
    tern_sim_set_default_link(w.sim, &down);
    uint64_t start = tern_sim_now(w.sim);
    assert_int_equal(dial(&w, 3 * TERN_SEC), 0);
    run_for(&w, 10 * TERN_SEC);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.error.code, TERN_E_TIMEOUT);
    assert_int_equal(w.done_at - start, 3 * TERN_SEC);
    clear(&w);
}

static void crashed_listener(void **state)
{
    (void)state;
    world w;
    make_listening(&w);
    assert_int_equal(dial(&w, 2 * TERN_SEC), 0);
    /* nothing of it is to be left where nothing runs any more */
    run_for(&w, subject->transport->native ? DELAY / 2 : ROUND_TRIP + DELAY / 2);
    tern_sim_crash(w.net[1].loop);
    run_for(&w, 10 * TERN_SEC);
    assert_int_equal(w.done, 1);
    assert_true(w.error.code == 0 || w.error.code == TERN_E_TIMEOUT);
    ear_clear(&w.a);
    clear(&w);
}

/* At every moment of a dial, done never runs and nothing is left. */
static void cancelled(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < subject->round_trips * ROUND_TRIP; at += DELAY / 5) {
        world w;
        make_listening(&w);
        assert_int_equal(dial(&w, 5 * TERN_SEC), 0);
        run_for(&w, at);
        assert_int_equal(w.done, 0);
        tern_op_cancel(&w.dial.op);
        assert_null(w.dial.stream);
        run_for(&w, 5 * TERN_SEC);
        assert_int_equal(w.done, 0);
        clear(&w);
    }
}

static bool is_finished(void *arg)
{
    return ((world *)arg)->dial.op.state == TERN_OP_FINISHED;
}

/* Between the end of the dial and its telling. */
static void cancelled_at_the_last_moment(void **state)
{
    (void)state;
    world w;
    make_listening(&w);
    assert_int_equal(dial(&w, 5 * TERN_SEC), 0);
    tern_sim_run(w.sim, tern_sim_now(w.sim) + TERN_SEC, is_finished, &w);
    tern_op_cancel(&w.dial.op);
    run_for(&w, 5 * TERN_SEC);
    assert_true(w.done == 0 || w.a.s != NULL);
    clear(&w);
}

static void no_endpoint(void **state)
{
    (void)state;
    world w;
    make(&w);
    char text[100];
    snprintf(text, sizeof text, "/dns4/x.org/%s/1%s", layer(), subject->suffix);
    tern_multiaddr_unref(w.target);
    w.target = tern_multiaddr_parse(text, NULL);
    assert_int_equal(dial(&w, TERN_SEC), TERN_E_INVALID); /* names are resolved above */
    tern_listener *l;
    assert_int_equal(
        subject->transport->listen(&w.net[1], w.target, &listener_events, &w, &l, NULL),
        TERN_E_INVALID);
    clear(&w);
}

/* ---- listening ---- */

static void twice_on_one_port(void **state)
{
    (void)state;
    world w;
    tern_listener *second;
    make_listening(&w);
    const char *ip = subject->hashed ? "10.0.0.2" : "0.0.0.0";
    assert_int_equal(listen_at(&w, ip, PORT, &second), TERN_E_ADDRINUSE);
    tern_listener_close(w.listener);
    assert_int_equal(listen_at(&w, ip, PORT, &w.listener), 0);
    clear(&w);
}

static void not_our_address(void **state)
{
    (void)state;
    world w;
    tern_listener *l;
    make(&w);
    assert_int_equal(listen_at(&w, "10.9.9.9", PORT, &l), TERN_E_UNREACHABLE);
    clear(&w);
}

/* The port closes at every moment of a peer's dial: its connection lives on or is cut. */
static void closed_while_a_peer_dials(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < 4 * ROUND_TRIP; at += DELAY / 5) {
        world w;
        make_listening(&w);
        assert_int_equal(dial(&w, 5 * TERN_SEC), 0);
        run_for(&w, at);
        tern_listener_close(w.listener);
        w.listener = NULL;
        unsigned accepts = w.accepts;
        run_for(&w, 10 * TERN_SEC);
        assert_int_equal(w.accepts, accepts);
        assert_int_equal(w.done, 1);
        if (!subject->transport->native) {
            assert_int_equal(accepts == 1, w.b.s != NULL || w.b.closed == 1);
        }
        clear(&w);
    }
}

static void conns_outlive_their_listener(void **state)
{
    (void)state;
    world w;
    make_connected(&w);
    tern_listener_close(w.listener);
    w.listener = NULL;
    assert_int_equal(ear_write(&w.a, "still there?", 12), 12);
    run_for(&w, TERN_SEC);
    assert_int_equal(tern_buf_len(&w.b.got), 12);
    clear(&w);
}

/* ---- streams ---- */

static void exchange(void **state)
{
    (void)state;
    world w;
    make_connected(&w);
    assert_int_equal(ear_write(&w.a, "from a", 6), 6);
    assert_int_equal(ear_write(&w.b, "from b!", 7), 7);
    run_for(&w, TERN_SEC);
    assert_int_equal(tern_buf_len(&w.b.got), 6);
    assert_memory_equal(tern_buf_data(&w.b.got), "from a", 6);
    assert_int_equal(tern_buf_len(&w.a.got), 7);
    assert_memory_equal(tern_buf_data(&w.a.got), "from b!", 7);
    clear(&w);
}

/* What the dialler writes in done is there one way later. */
static void first_bytes(void **state)
{
    (void)state;
    world w;
    make_listening(&w);
    assert_int_equal(dial(&w, TERN_SEC), 0);
    run_for(&w, subject->round_trips * ROUND_TRIP + 1);
    assert_int_equal(w.done, 1);
    say_opening(&w);
    assert_int_equal(ear_write(&w.a, "at once", 7), 7);
    run_for(&w, DELAY);
    hear_opening(&w);
    assert_int_equal(tern_buf_len(&w.b.got), 7);
    clear(&w);
}

static void ends(void **state)
{
    (void)state;
    world w;
    make_connected(&w);
    assert_int_equal(ear_write(&w.b, "bye", 3), 3);
    EAR(&w.b, tern_stream_end(w.b.s));
    run_for(&w, subject->half_close ? 60 * TERN_SEC : TERN_SEC);
    assert_true(w.a.ended);
    assert_int_equal(tern_buf_len(&w.a.got), 3);
    assert_int_equal(w.a.closed + w.b.closed, 0);
    assert_int_equal(ear_write(&w.a, "answer", 6), 6);
    EAR(&w.a, tern_stream_end(w.a.s));
    run_for(&w, TERN_SEC);
    assert_int_equal(tern_buf_len(&w.b.got), 6);
    assert_true(w.b.ended);
    assert_int_equal(w.a.closed + w.b.closed, 2);
    assert_int_equal(w.a.why.code, 0);
    assert_int_equal(w.b.why.code, 0);
    clear(&w);
}

static void reset(void **state)
{
    (void)state;
    world w;
    make_connected(&w);
    EAR(&w.a, tern_stream_reset(w.a.s, 0));
    run_for(&w, TERN_SEC);
    assert_int_equal(w.a.why.code, TERN_E_RESET);
    assert_int_equal(w.b.closed, 1);
    assert_int_equal(w.b.why.code, TERN_E_RESET);
    clear(&w);
}

/* Both ends write as much as fits; then everything goes at once. */
static void stopped_under_load(void **state)
{
    (void)state;
    static const uint8_t block[50000];
    world w;
    make_connected(&w);
    for (int i = 0; i < 10; i++) {
        while (ear_write(&w.a, block, sizeof block) == sizeof block) {
        }
        while (ear_write(&w.b, block, sizeof block) == sizeof block) {
        }
        run_for(&w, DELAY / 3);
    }
    assert_true(tern_buf_len(&w.a.got) > 0 && tern_buf_len(&w.b.got) > 0);
    tern_listener_close(w.listener);
    w.listener = NULL;
    ear_clear(&w.a);
    ear_clear(&w.b);
    clear(&w);
}

/* ---- memory ---- */

static void listening_short_of_memory(void **state)
{
    (void)state;
    for (size_t at = 1;; at++) {
        world w;
        make(&w);
        tern_multiaddr *addr = address("0.0.0.0", PORT);
        tern_mem_fail_at(at, 0);
        int code = subject->transport->listen(&w.net[1], addr, &listener_events, &w, &w.listener,
                                              &w.error);
        tern_mem_fail_at(0, 0);
        tern_multiaddr_unref(addr);
        w.listener = code == 0 ? w.listener : NULL;
        assert_true(code == 0 || code == TERN_E_NOMEM);
        clear(&w);
        if (code == 0) {
            assert_true(at > 3);
            return;
        }
    }
}

/* Each allocation of a dial fails in turn, on either side: the dial fails or is not hurt. */
static void dialling_short_of_memory(void **state)
{
    (void)state;
    for (size_t at = 1; at < 1000; at += 1 + at / 40) {
        world w;
        make_listening(&w);
        tern_mem_fail_at(at, 0);
        int code = dial(&w, 5 * TERN_SEC);
        if (code == 0) {
            run_for(&w, 20 * TERN_SEC);
            assert_int_equal(w.done, 1);
        }
        bool over = tern_mem_count() < at;
        tern_mem_fail_at(0, 0);
        clear(&w);
        if (over) {
            assert_int_equal(w.error.code, 0);
            return;
        }
    }
    fail_msg("a dial makes 1000 allocations");
}

int tern_suite_transports(const tern_transport_subject *of)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(addresses_are_told),
        cmocka_unit_test(port_0_picks_one),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(refused),
        cmocka_unit_test(deadline),
        cmocka_unit_test(crashed_listener),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(cancelled_at_the_last_moment),
        cmocka_unit_test(no_endpoint),
        cmocka_unit_test(twice_on_one_port),
        cmocka_unit_test(not_our_address),
        cmocka_unit_test(closed_while_a_peer_dials),
        cmocka_unit_test(conns_outlive_their_listener),
        cmocka_unit_test(exchange),
        cmocka_unit_test(first_bytes),
        cmocka_unit_test(ends),
        cmocka_unit_test(reset),
        cmocka_unit_test(stopped_under_load),
        cmocka_unit_test(listening_short_of_memory),
        cmocka_unit_test(dialling_short_of_memory),
    };
    subject = of;
    return tern_suite_run(of->transport->name, tests, sizeof tests / sizeof *tests, NULL);
}
