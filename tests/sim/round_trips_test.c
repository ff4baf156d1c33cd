/* Round trips until the first ping answer, counted in virtual time (the TCP handshake included): a
 * link of 100 ms round trip, two whole nodes, one dials the other and pings at once.
 *
 *   tcp + noise + yamux   3: SYN | proposal and m1 | m3, the ping's proposal and the ping
 *   ws  + noise + yamux   4: one more for the upgrade
 *   TCP Fast Open, with a cookie, saves one: the first flight travels with the SYN
 *   webrtc-direct         6: STUN | DTLS 1.2, two | SCTP with Noise's first message | the second,
 *                         the third | the ping's proposal and the ping
 *   no early muxer        the same: the muxer's proposal travels with what follows it
 *   optimism refused      the first dial falls back on a second connection; from then on the peer
 * is known, and its connections take one round trip more */
#include "base/test.h"

#include "host/host.h"
#include "host/parts.h"
#include "loop/sim.h"

#define RTT (100 * TERN_MS)

typedef struct world {
    tern_sim *sim;
    tern_loop *near, *far;
    tern_node *dialler, *listener;
    uint64_t answered; /* virtual time of the first answer, 0 = none yet */
    tern_conn *conn;
    bool disconnected;
} world;

static void on_disconnected(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    world *w = owner;
    (void)node;
    (void)conn;
    (void)why;
    w->disconnected = true;
}

static void ponged(void *owner, uint64_t rtt, const tern_error *error)
{
    world *w = owner;
    (void)rtt;
    assert_int_equal(error->code, 0);
    w->answered = tern_sim_now(w->sim);
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    world *w = owner;
    (void)reports;
    (void)report_count;
    if (conn == NULL) {
        fail_msg("dial: %s: %s", error->layer, error->text);
    }
    w->conn = conn;
    assert_int_equal(tern_node_ping(w->dialler, conn, ponged, w), 0);
}

static bool has_answer(void *arg)
{
    return ((world *)arg)->answered != 0;
}

static bool has_disconnected(void *arg)
{
    return ((world *)arg)->disconnected;
}

static void open_world_with(world *w, const tern_options *with)
{
    static const tern_node_events events = {.on_disconnected = on_disconnected};
    tern_sim_link link = {.delay = RTT / 2};
    tern_options options;
    tern_error error;
    memset(w, 0, sizeof *w);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    tern_sim_set_default_link(w->sim, &link);
    assert_int_equal(tern_sim_host(w->sim, "192.0.2.1", &w->near), 0);
    assert_int_equal(tern_sim_host(w->sim, "192.0.2.2", &w->far), 0);
    options = *with;
    options.events = &events;
    options.owner = w;
    assert_int_equal(tern_node_new_on(w->near, &options, &w->dialler, &error), 0);
    options.events = NULL;
    assert_int_equal(tern_node_new_on(w->far, &options, &w->listener, &error), 0);
}

static void open_world(world *w)
{
    tern_options options;
    tern_options_init(&options);
    open_world_with(w, &options);
}

static void close_world(world *w)
{
    tern_node_stop(w->dialler);
    tern_node_stop(w->listener);
    tern_sim_run(w->sim, tern_sim_now(w->sim) + 60 * TERN_SEC, NULL, NULL);
    assert_true(w->dialler->stopped && w->listener->stopped);
    tern_node_free(w->dialler);
    tern_node_free(w->listener);
    tern_sim_free(w->sim);
}

static void listen_at(world *w, const char *addr, char bound[256])
{
    tern_error error;
    if (tern_node_listen(w->listener, addr, bound, 256, &error) != 0) {
        fail_msg("listen: %s", error.text);
    }
}

/* Dials, pings, returns the whole round trips until the answer. */
static unsigned measure(world *w, const char *addr)
{
    tern_error error;
    uint64_t start = tern_sim_now(w->sim);
    w->answered = 0;
    assert_int_equal(tern_node_dial(w->dialler, &addr, 1, 0, false, dialled, w, &error), 0);
    tern_sim_run(w->sim, start + 30 * TERN_SEC, has_answer, w);
    assert_true(w->answered != 0);
    uint64_t took = w->answered - start;
    assert_int_equal(took % RTT, 0);
    return (unsigned)(took / RTT);
}

static void test_tcp(void **state)
{
    world w;
    char bound[256];
    (void)state;
    open_world(&w);
    listen_at(&w, "/ip4/192.0.2.2/tcp/4001", bound);
    assert_int_equal(measure(&w, bound), 3);
    close_world(&w);
}

static void test_ws(void **state)
{
    world w;
    char bound[256];
    (void)state;
    open_world(&w);
    listen_at(&w, "/ip4/192.0.2.2/tcp/4001/ws", bound);
    assert_int_equal(measure(&w, bound), 4);
    close_world(&w);
}

/* ---- TCP Fast Open ---- */

static void disconnect(world *w)
{
    tern_peer_id peer = tern_conn_get_facts(w->conn)->peer;
    w->disconnected = false;
    assert_int_equal(tern_node_disconnect(w->dialler, &peer), 1);
    tern_sim_run(w->sim, tern_sim_now(w->sim) + 30 * TERN_SEC, has_disconnected, w);
    assert_true(w->disconnected);
}

/* The first connection brings the cookie. */
static void fast(const char *addr, const char *security, unsigned first, unsigned later)
{
    world w;
    char bound[256];
    tern_options options;
    tern_options_init(&options);
    options.security = security;
    options.tcp_fast_open = true;
    open_world_with(&w, &options);
    listen_at(&w, addr, bound);
    assert_int_equal(measure(&w, bound), first);
    disconnect(&w);
    assert_int_equal(measure(&w, bound), later);
    disconnect(&w);
    assert_int_equal(measure(&w, bound), later);
    close_world(&w);
}

static void test_fast_noise(void **state)
{
    (void)state;
    fast("/ip4/192.0.2.2/tcp/4001", "noise", 3, 2);
}

static void test_fast_tls(void **state)
{
    (void)state;
    fast("/ip4/192.0.2.2/tcp/4001", "tls", 3, 2);
}

static void test_fast_ws(void **state)
{
    (void)state;
    fast("/ip4/192.0.2.2/tcp/4001/ws", NULL, 4, 3);
}

static void test_webrtc_direct(void **state)
{
    world w;
    char bound[256];
    (void)state;
    open_world(&w);
    listen_at(&w, "/ip4/192.0.2.2/udp/4001/webrtc-direct", bound);
    assert_int_equal(measure(&w, bound), 6);
    close_world(&w);
}

/* ---- a peer without early muxers ---- */

static int silent_begin(tern_secure_op *op)
{
    op->silent_early = true;
    return tern_parts_secures[0]->begin(op);
}

static void silent_attach(tern_secure_op *op)
{
    tern_parts_secures[0]->attach(op);
}

static void test_no_early_muxer(void **state)
{
    static const tern_secure silent = {
        .id = "/noise", .name = "noise", .begin = silent_begin, .attach = silent_attach};
    world w;
    char bound[256];
    (void)state;
    open_world(&w);
    w.listener->secures[0] = &silent;
    listen_at(&w, "/ip4/192.0.2.2/tcp/4001", bound);
    assert_int_equal(measure(&w, bound), 3);
    close_world(&w);
}

/* ---- a peer that refuses whatever comes with bytes behind it ---- */

enum { HEADER_AND_PROPOSAL = 20 + 8 };

typedef struct doorkeeper {
    const tern_listener_events *events;
    void *owner;
    tern_listener *listener;
    tern_multiaddr *local, *remote;
    tern_stream *s;
    uint64_t deadline;
    tern_deferred decide;
    uint8_t bytes[256];
    size_t seen;
    unsigned refused;
} doorkeeper;

static doorkeeper door; /* one listener at a time in this program */

/* Decided at the end of the turn: what came in one segment may be delivered in pieces. Whoever is
 * let in gets what was read of him again. */
static void door_decide(tern_deferred *d)
{
    static const uint8_t answer[] = "\x13/multistream/1.0.0\n\x03na\n";
    (void)d;
    if (door.seen > HEADER_AND_PROPOSAL) {
        door.refused++;
        tern_stream_write(door.s, answer, sizeof answer - 1);
        tern_stream_drop(door.s);
    } else {
        door.events->on_stream(door.owner, door.listener, door.s, door.local, door.remote,
                               door.deadline);
        tern_stream_deliver(door.s, door.bytes, door.seen);
    }
    door.seen = 0;
}

static size_t door_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    assert_true(door.seen + n <= sizeof door.bytes);
    memcpy(door.bytes + door.seen, data, n);
    door.seen += n;
    door.s = s;
    tern_defer(s->loop, &door.decide);
    return n;
}

static void door_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)owner;
    (void)s;
    (void)why;
}

static const tern_stream_events door_events = {.on_data = door_data, .on_closed = door_closed};

static void door_stream(void *owner, tern_listener *l, tern_stream *s, tern_multiaddr *local,
                        tern_multiaddr *remote, uint64_t deadline)
{
    (void)owner;
    door.listener = l;
    door.deadline = deadline;
    tern_multiaddr_unref(door.local);
    tern_multiaddr_unref(door.remote);
    door.local = tern_multiaddr_ref(local);
    door.remote = tern_multiaddr_ref(remote);
    tern_stream_take(s, &door_events, NULL);
}

static const tern_transport *guarded; /* the transport behind the door */

static bool door_listens(const tern_multiaddr *addr)
{
    return guarded->listens(addr);
}

static int door_listen(tern_net *net, const tern_multiaddr *addr,
                       const tern_listener_events *events, void *owner, tern_listener **ret,
                       tern_error *reterr)
{
    static const tern_listener_events ours = {.on_stream = door_stream};
    door.events = events;
    door.owner = owner;
    return guarded->listen(net, addr, &ours, NULL, ret, reterr);
}

static const tern_transport *find_transport(const char *name)
{
    for (size_t i = 0; tern_parts_transports[i] != NULL; i++) {
        if (strcmp(tern_parts_transports[i]->name, name) == 0) {
            return tern_parts_transports[i];
        }
    }
    return NULL;
}

static void refusing_peer(const char *transport, const char *addr, unsigned first, unsigned later)
{
    const tern_transport behind = {
        .name = transport, .dials = door_listens, .listens = door_listens, .listen = door_listen};
    const tern_transport *const transports[] = {&behind, NULL};
    world w;
    char bound[256];
    memset(&door, 0, sizeof door);
    tern_deferred_init(&door.decide, door_decide);
    guarded = find_transport(transport);
    open_world(&w);
    w.listener->swarm->transports = transports;
    listen_at(&w, addr, bound);
    assert_int_equal(measure(&w, bound), first);
    assert_int_equal(door.refused, 1);
    disconnect(&w);
    assert_int_equal(measure(&w, bound), later);
    assert_int_equal(door.refused, 1);
    close_world(&w);
    tern_multiaddr_unref(door.local);
    tern_multiaddr_unref(door.remote);
}

static void test_refused_tcp(void **state)
{
    (void)state;
    refusing_peer("tcp", "/ip4/192.0.2.2/tcp/4001", 6, 4);
}

static void test_refused_ws(void **state)
{
    (void)state;
    refusing_peer("ws", "/ip4/192.0.2.2/tcp/4001/ws", 8, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),           cmocka_unit_test(test_ws),
        cmocka_unit_test(test_fast_noise),    cmocka_unit_test(test_fast_tls),
        cmocka_unit_test(test_fast_ws),       cmocka_unit_test(test_no_early_muxer),
        cmocka_unit_test(test_refused_tcp),   cmocka_unit_test(test_refused_ws),
        cmocka_unit_test(test_webrtc_direct),
    };
    return TERN_TEST_MAIN(tests);
}
