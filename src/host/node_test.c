/* Tests of the node itself: options, listening and its errors, addresses, events, timers, handlers,
 * stop. Two nodes at work: tests/sim; blocking calls: sync_test.c. */
#include <stdio.h>

#include "sim/nodes.h"
#include "suite/ear.h"

#define DELAY (5 * TERN_MS)

/* ---- options ---- */

static void test_defaults(void **state)
{
    tern_node *node;
    tern_error error;
    tern_peer_id id, from_key;
    (void)state;
    assert_int_equal(tern_node_new(NULL, &node, &error), 0);
    const tern_limits *l = &tern_node_net(node)->limits;
    assert_int_equal(l->conns, 1024);
    assert_int_equal(l->conns_per_peer, 8);
    assert_int_equal(l->conns_per_ip, 8);
    assert_int_equal(l->pending, 64);
    assert_int_equal(l->streams_per_conn, 256);
    assert_int_equal(l->write_queue, 1 << 20);
    assert_int_equal(l->stream_window_max, l->memory < 512 << 20 ? l->memory / 4 : 128 << 20);
    assert_int_equal(l->conns_high, 896);
    assert_int_equal(l->conns_low, 768);
    assert_int_equal(l->conns_grace, 60 * TERN_SEC);
    assert_int_equal(l->pending_per_ip, 8);
    assert_true(l->memory >= 64 << 20 && l->memory <= 1 << 30);
    assert_int_equal(l->dial_time, 15 * TERN_SEC);
    assert_int_equal(l->upgrade_time, 10 * TERN_SEC);
    tern_node_peer_id(node, &id);
    tern_key_peer_id(tern_node_key(node), &from_key);
    assert_true(tern_peer_id_equal(&id, &from_key));
    assert_int_equal(tern_key_type_of(tern_node_key(node)), TERN_KEY_ED25519);
    tern_node_free(node); /* never ran */
    tern_node_free(NULL);
}

static void test_all_options(void **state)
{
    tern_node *node;
    tern_options o;
    tern_error error;
    tern_key *key;
    char agent[] = "mine/1", security[] = "noise";
    (void)state;
    assert_int_equal(tern_key_generate(TERN_KEY_ECDSA, &key), 0);
    tern_options_init(&o);
    o.key = key;
    o.agent = agent;
    o.security = security;
    o.muxer = "yamux";
    o.no_ping = true;
    o.max_connections = 1;
    o.max_connections_per_peer = 2;
    o.max_connections_per_ip = -1;
    o.max_pending = 4;
    o.max_streams = 5;
    o.max_write_queue = 6;
    o.max_window = 1 << 30;
    o.max_memory = UINT64_C(8) << 30;
    o.dial_timeout_ms = 7;
    o.handshake_timeout_ms = 8;
    o.max_unnegotiated = 9;
    o.negotiation_timeout_ms = 10;
    o.identify_timeout_ms = 11;
    o.stall_timeout_ms = 12;
    assert_int_equal(tern_node_new(&o, &node, &error), 0);
    memset(agent, 'x', 6); /* copied */
    memset(security, 'x', 5);
    tern_net *net = tern_node_net(node);
    assert_string_equal(net->agent, "mine/1");
    assert_int_equal(net->limits.conns, 1);
    assert_int_equal(net->limits.conns_per_peer, 2);
    assert_int_equal(net->limits.conns_per_ip, 0); /* none */
    assert_int_equal(net->limits.pending, 4);
    assert_int_equal(net->limits.streams_per_conn, 5);
    assert_int_equal(net->limits.write_queue, 6);
    assert_int_equal(net->limits.stream_window_max, 1 << 30);
    assert_true(net->limits.conn_window_max >= 1 << 30);
    assert_int_equal(net->limits.dial_time, 7 * TERN_MS);
    assert_int_equal(net->limits.upgrade_time, 8 * TERN_MS);
    assert_int_equal(net->limits.streams_unnegotiated, 9);
    assert_int_equal(net->limits.negotiation_time, 10 * TERN_MS);
    assert_int_equal(net->limits.identify_time, 11 * TERN_MS);
    assert_int_equal(net->limits.write_stall_time, 12 * TERN_MS);
    assert_string_equal(node->secures[0]->name, "noise");
    assert_null(node->secures[1]);
    const char *const *ids;
    assert_int_equal(net->ops->protocols(net, &ids), 2); /* identify and push */
    tern_key_unref(key);
    assert_ptr_equal(tern_node_key(node), key); /* referenced */
    tern_node_free(node);
}

/* An older program knows a shorter struct. */
static void test_shorter_options(void **state)
{
    tern_node *node;
    union {
        tern_options o;
        uint8_t bytes[sizeof(tern_options)];
    } old;
    (void)state;
    memset(&old, 0xff, sizeof old); /* what is behind the old struct is not ours to read */
    tern_options_init_sized(&old.o, offsetof(tern_options, max_connections));
    assert_int_equal(old.o.size, offsetof(tern_options, max_connections));
    assert_int_equal(tern_node_new(&old.o, &node, NULL), 0);
    assert_int_equal(tern_node_net(node)->limits.conns, 1024);
    tern_node_free(node);
}

static void test_unknown_parts(void **state)
{
    tern_node *node;
    tern_options o;
    tern_error error;
    (void)state;
    tern_options_init(&o);
    o.security = "rot13";
    assert_int_equal(tern_node_new(&o, &node, &error), TERN_E_UNSUPPORTED);
    assert_int_equal(error.code, TERN_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, "'rot13'"));
    o.security = NULL;
    o.muxer = "carrier pigeon";
    assert_int_equal(tern_node_new(&o, &node, &error), TERN_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, "'carrier pigeon'"));
    o.muxer = NULL;
    o.webrtc_credentials = "v3";
    assert_int_equal(tern_node_new(&o, &node, &error), TERN_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, "'v3'"));
    assert_int_equal(tern_node_new(&o, &node, NULL), TERN_E_UNSUPPORTED);
}

static void test_public_key_only(void **state)
{
    tern_node *node;
    tern_options o;
    tern_error error;
    tern_key *pair, *half;
    size_t n;
    (void)state;
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &pair), 0);
    const uint8_t *bytes = tern_key_public(pair, &n);
    assert_int_equal(tern_key_from_public(bytes, n, &half), 0);
    tern_options_init(&o);
    o.key = half;
    assert_int_not_equal(tern_node_new(&o, &node, &error), 0);
    assert_non_null(strstr(error.text, "cannot sign"));
    tern_key_unref(half);
    tern_key_unref(pair);
}

static void test_features(void **state)
{
    const tern_feature *features;
    size_t n = tern_features(&features);
    bool noise = false, tcp = false, ping = false;
    (void)state;
    for (size_t i = 0; i < n; i++) {
        noise |=
            strcmp(features[i].kind, "security") == 0 && strcmp(features[i].name, "noise") == 0;
        tcp |= strcmp(features[i].kind, "transport") == 0 && strcmp(features[i].name, "tcp") == 0;
        ping |= strcmp(features[i].id, "/ipfs/ping/1.0.0") == 0;
    }
    assert_true(noise && tcp && ping);
    tern_multiaddr *a = tern_multiaddr_parse("/dns4/x.example/tcp/1/ws", NULL);
    assert_string_equal(tern_transport_for(a), "ws");
    tern_multiaddr_unref(a);
    a = tern_multiaddr_parse("/ip4/10.0.0.1/sctp/1", NULL);
    assert_null(tern_transport_for(a));
    tern_multiaddr_unref(a);
    assert_non_null(tern_version());
}

/* ---- listening ---- */

static void test_listen_errors(void **state)
{
    static const struct {
        const char *addr;
        int code;
    } table[] = {
        {"", TERN_E_MALFORMED},
        {"10.0.0.1:4001", TERN_E_MALFORMED},
        {"/ip4/10.0.0.1/tcp/70000", TERN_E_MALFORMED},
        {"/ip4/10.0.0.1", TERN_E_UNSUPPORTED},
        {"/ip4/10.0.0.1/udp/1", TERN_E_UNSUPPORTED},
        {"/dns4/a.example/tcp/1", TERN_E_UNSUPPORTED},  /* a name is no place to listen on */
        {"/ip4/10.0.0.9/tcp/4001", TERN_E_UNREACHABLE}, /* not ours */
        {"/ip4/10.0.0.1/tcp/4001", TERN_E_ADDRINUSE},
        {"/ip6/::/tcp/4001", 0},
        {"/ip4/10.0.0.1/tcp/4001/ws", 0}, /* shares the port */
        {"/ip4/10.0.0.1/tcp/4001/ws", TERN_E_ADDRINUSE},
        {"/ip4/10.0.0.1/tcp/0", 0},
    };
    sim_nodes w;
    tern_error error;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *n = sim_nodes_add(&w, "10.0.0.1", NULL);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        error.code = 0;
        int code = tern_node_listen(n->node, table[i].addr, NULL, 0, &error);
        if (code != table[i].code || error.code != table[i].code) {
            fail_msg("%s: %s", table[i].addr, tern_code_name(code));
        }
        assert_int_equal(tern_node_listen(n->node, "/ip4/1.2.3.4/tcp/1", NULL, 0, NULL),
                         TERN_E_UNREACHABLE);
    }
    sim_nodes_clear(&w);
}

static void test_bound_address(void **state)
{
    sim_nodes w;
    char bound[256], id[TERN_PEER_ID_TEXT], want[256];
    unsigned port;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *n = sim_nodes_add(&w, "-10.0.0.1", NULL);
    assert_int_equal(tern_node_listen(n->node, "/ip4/10.0.0.1/tcp/0", bound, sizeof bound, NULL),
                     0);
    assert_int_equal(sscanf(bound, "/ip4/10.0.0.1/tcp/%u/", &port), 1);
    assert_true(port > 0);
    snprintf(want, sizeof want, "/ip4/10.0.0.1/tcp/%u/p2p/%s", port, tern_peer_id_text(&n->id, id));
    assert_string_equal(bound, want);
    char little[8]; /* cut, and ended */
    assert_int_equal(tern_node_listen(n->node, "/ip4/10.0.0.1/tcp/0", little, sizeof little, NULL),
                     0);
    assert_string_equal(little, "/ip4/10");
    sim_nodes_clear(&w);
}

static void add_text(void *arg, const char *text)
{
    char *list = arg;
    strcat(list, text);
    *strstr(list, "/p2p/") = ' ';
    strstr(list, " p2p/")[1] = '\0'; /* "ADDRESS " each */
}

static void expect_addresses(sim_node *n, const char *want)
{
    char list[2048] = "";
    tern_node_addresses(n->node, add_text, list);
    assert_string_equal(list, want);
}

static void test_addresses(void **state)
{
    sim_nodes w;
    tern_error error;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *n = sim_nodes_add(&w, "-10.0.0.1", NULL);
    assert_int_equal(tern_sim_add_address(n->host, "2001:db8::1"), 0);
    assert_int_equal(tern_sim_add_address(n->host, "fe80::1"), 0);
    expect_addresses(n, "");
    assert_int_equal(tern_node_listen(n->node, "/ip4/0.0.0.0/tcp/4001", NULL, 0, NULL), 0);
    expect_addresses(n, "/ip4/10.0.0.1/tcp/4001 /ip4/127.0.0.1/tcp/4001 ");
    assert_int_equal(tern_node_listen(n->node, "/ip6/::/tcp/4001/ws", NULL, 0, NULL), 0);
    expect_addresses(n, "/ip4/10.0.0.1/tcp/4001 /ip4/127.0.0.1/tcp/4001 "
                        "/ip6/2001:db8::1/tcp/4001/ws /ip6/::1/tcp/4001/ws ");
    assert_int_equal(tern_node_announce(n->node, "nonsense", &error), TERN_E_MALFORMED);
    assert_int_equal(tern_node_announce(n->node, "/dns4/a.example/tcp/443/tls/ws", &error), 0);
    assert_int_equal(tern_node_announce(n->node, "/ip4/8.8.8.8/tcp/1", &error), 0);
    expect_addresses(n, "/dns4/a.example/tcp/443/tls/ws /ip4/8.8.8.8/tcp/1 "); /* instead */
    sim_nodes_clear(&w);
}

/* New interfaces are noticed after a second. */
static void test_new_interface(void **state)
{
    sim_nodes w;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *n = sim_nodes_add(&w, "-10.0.0.1", NULL);
    assert_int_equal(tern_node_listen(n->node, "/ip4/0.0.0.0/tcp/4001", NULL, 0, NULL), 0);
    expect_addresses(n, "/ip4/10.0.0.1/tcp/4001 /ip4/127.0.0.1/tcp/4001 ");
    assert_int_equal(tern_sim_add_address(n->host, "10.0.0.7"), 0);
    sim_nodes_run(&w, 2 * TERN_SEC);
    expect_addresses(n, "/ip4/10.0.0.1/tcp/4001 /ip4/10.0.0.7/tcp/4001 /ip4/127.0.0.1/tcp/4001 ");
    sim_nodes_clear(&w);
}

/* ---- protocols ---- */

static void keep(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)node;
    (void)conn;
    ear_take(ctx, s);
}

static void test_handlers(void **state)
{
    sim_nodes w;
    ear served, asked, refused;
    tern_error error;
    (void)state;
    sim_nodes_init(&w, DELAY);
    ear_init(&served);
    ear_init(&asked);
    ear_init(&refused);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    assert_int_equal(tern_node_handle(b->node, "/x/1", NULL, keep, &served), 0);
    assert_int_equal(tern_node_handle(b->node, "/x/1", NULL, keep, &served), TERN_E_STATE);
    assert_int_equal(tern_node_handle(b->node, "/ipfs/ping/1.0.0", NULL, keep, &served),
                     TERN_E_STATE);
    tern_conn *c = sim_nodes_connect(&w, a, b);
    tern_stream *s = tern_node_open(a->node, c, "/x/1", sim_nodes_ear_opened, &asked, &error);
    assert_non_null(s);
    assert_int_equal(tern_stream_write(s, "early", 5), 5);
    uint64_t start = sim_nodes_now(&w);
    sim_nodes_run(&w, DELAY);
    assert_non_null(served.s); /* half a round trip: nothing was waited for */
    assert_int_equal(sim_nodes_now(&w) - start, DELAY);
    assert_memory_equal(tern_buf_data(&served.got), "early", 5);
    sim_nodes_run(&w, DELAY);
    assert_ptr_equal(asked.s, s);
    tern_stats stats = {.size = sizeof stats};
    tern_node_stats(b->node, &stats);
    assert_int_equal(stats.connections, 1);
    assert_true(stats.streams >= 1);
    assert_true(stats.bytes_in > 100);
    tern_node_unhandle(b->node, "/x/1");
    tern_node_unhandle(b->node, "/x/1");
    tern_node_unhandle(b->node, "/never/1");
    assert_non_null(tern_node_open(a->node, c, "/x/1", sim_nodes_ear_opened, &refused, &error));
    sim_nodes_run(&w, TERN_SEC);
    assert_int_equal(refused.why.code, TERN_E_NEGOTIATION);
    assert_non_null(strstr(refused.why.text, "/x/1"));
    assert_int_equal(asked.closed, 0); /* the stream that was open goes on */
    ear_clear(&served);
    ear_clear(&asked);
    ear_clear(&refused);
    sim_nodes_clear(&w);
}

static void test_too_many_handlers(void **state)
{
    sim_nodes w;
    char id[16];
    int code = 0;
    unsigned n = 0;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    while (code == 0 && n < 1000) {
        snprintf(id, sizeof id, "/x/%u", n++);
        code = tern_node_handle(a->node, id, NULL, keep, NULL);
    }
    assert_int_equal(code, TERN_E_LIMIT);
    assert_true(n > 50);
    sim_nodes_clear(&w);
}

static void unhandle_other(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)ctx;
    (void)conn;
    tern_node_unhandle(node, "/other/1");
    tern_stream_drop(s);
}

/* Two proposals arrive together; the first one's handler unregisters the second, which is agreed on
 * already: it is refused. */
static void test_unhandled_too_late(void **state)
{
    sim_nodes w;
    ear served, first, second;
    (void)state;
    sim_nodes_init(&w, DELAY);
    ear_init(&served);
    ear_init(&first);
    ear_init(&second);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    assert_int_equal(tern_node_handle(b->node, "/one/1", NULL, unhandle_other, NULL), 0);
    assert_int_equal(tern_node_handle(b->node, "/other/1", NULL, keep, &served), 0);
    tern_conn *c = sim_nodes_connect(&w, a, b);
    sim_nodes_run(&w, TERN_SEC);
    assert_non_null(tern_node_open(a->node, c, "/one/1", sim_nodes_ear_opened, &first, NULL));
    assert_non_null(tern_node_open(a->node, c, "/other/1", sim_nodes_ear_opened, &second, NULL));
    sim_nodes_run(&w, TERN_SEC);
    assert_null(served.s);
    assert_int_equal(second.closed, 1);
    assert_int_equal(second.why.code, TERN_E_RESET);
    ear_clear(&served);
    ear_clear(&first);
    ear_clear(&second);
    sim_nodes_clear(&w);
}

/* ---- time, posts, stop ---- */

static void count(void *arg)
{
    ++*(unsigned *)arg;
}

static void test_after_and_post(void **state)
{
    sim_nodes w;
    unsigned calls = 0, never = 0;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    assert_int_equal(tern_node_now(a->node), sim_nodes_now(&w));
    assert_int_equal(tern_node_after(a->node, 100, count, &calls), 0);
    assert_int_equal(tern_node_after(a->node, 300, count, &never), 0);
    assert_int_equal(tern_node_post(a->node, count, &calls), 0);
    assert_int_equal(calls, 0);
    sim_nodes_run(&w, 100 * TERN_MS - 1);
    assert_int_equal(calls, 1);
    sim_nodes_run(&w, 1);
    assert_int_equal(calls, 2);
    tern_node_stop(a->node);
    assert_true(sim_nodes_wait(&w, &a->stopped, 1, TERN_SEC));
    sim_nodes_run(&w, TERN_SEC);
    assert_int_equal(never, 0);
    assert_int_equal(tern_node_post(a->node, count, &calls), TERN_E_STATE);
    tern_node_stop(a->node);
    sim_nodes_run(&w, TERN_SEC);
    assert_int_equal(a->stopped, 1);
    tern_node_free(a->node);
    a->node = NULL;
    sim_nodes_clear(&w);
}

/* The peer has vanished: a stop takes three seconds at most. */
static void test_stop_is_bounded(void **state)
{
    sim_nodes w;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    sim_nodes_connect(&w, a, b);
    sim_nodes_run(&w, TERN_SEC);
    tern_sim_set_link(w.sim, a->host, b->host, &(tern_sim_link){.down = true});
    uint64_t start = sim_nodes_now(&w);
    tern_node_stop(a->node);
    assert_true(sim_nodes_wait(&w, &a->stopped, 1, 60 * TERN_SEC));
    assert_true(sim_nodes_now(&w) - start <= 4 * TERN_SEC);
    tern_node_free(a->node);
    a->node = NULL;
    sim_nodes_run(&w, 100 * TERN_SEC);
    assert_int_equal(b->disconnected, 1); /* by its own keep-alive */
    assert_int_equal(b->why.code, TERN_E_TIMEOUT);
    sim_nodes_clear(&w);
}

/* A stop is not lost when memory is short at that moment. */
static void test_stop_without_memory(void **state)
{
    sim_nodes w;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    tern_mem_fail_at(1, true);
    tern_node_stop(a->node);
    tern_mem_fail_at(0, false);
    sim_nodes_run(&w, TERN_SEC);
    assert_int_equal(a->stopped, 1);
    tern_node_free(a->node);
    a->node = NULL;
    sim_nodes_clear(&w);
}

/* An owner of a public stream who hears of nothing at all, and one who only listens. */
static void take_deaf(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    static const tern_stream_events nothing = {0};
    (void)node;
    (void)conn;
    ++*(unsigned *)ctx;
    tern_stream_take(s, &nothing, NULL);
}

static void keep_stream(void *owner, tern_stream *s, const tern_error *error)
{
    assert_int_equal(error->code, 0);
    *(tern_stream **)owner = s;
}

static void test_owner_without_events(void **state)
{
    static const tern_stream_events nothing = {0};
    static const char id[] = "/deaf/1.0.0";
    sim_nodes w;
    tern_error error;
    unsigned taken = 0;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    assert_int_equal(tern_node_handle(b->node, id, NULL, take_deaf, &taken), 0);
    tern_conn *conn = sim_nodes_connect(&w, a, b);
    for (int end = 0; end < 3; end++) { /* in good order, by reset, with the connection */
        tern_stream *s = NULL;
        tern_stream *open = tern_node_open(a->node, conn, id, keep_stream, &s, &error);
        assert_non_null(open);
        tern_stream_write(open, "hello", 5);
        sim_nodes_run(&w, TERN_SEC);
        assert_ptr_equal(s, open);
        tern_stream_take(s, &nothing, NULL);
        if (end == 0) {
            tern_stream_end(s);
        } else if (end == 1) {
            tern_stream_reset(s, 0);
        } else {
            tern_node_disconnect(a->node, &b->id);
        }
        sim_nodes_run(&w, TERN_SEC);
    }
    assert_int_equal(taken, 3);
    assert_int_equal(a->disconnected, 1);
    sim_nodes_clear(&w);
}

static void stop_inside(void *owner, tern_node *node, tern_conn *conn)
{
    (void)owner;
    (void)conn;
    tern_node_stop(node);
}

static void test_stop_inside_an_event(void **state)
{
    static const tern_node_events events = {.on_connected = stop_inside};
    sim_nodes w;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    a->node->options.events = &events;
    const char *texts[] = {b->addr};
    assert_int_equal(tern_node_dial(a->node, texts, 1, 0, false, sim_nodes_ignore_dial, NULL, NULL),
                     0);
    sim_nodes_run(&w, 10 * TERN_SEC);
    assert_true(a->node->stopped);
    tern_node_free(a->node);
    a->node = NULL;
    assert_int_equal(b->disconnected, 1);
    sim_nodes_clear(&w);
}

/* A node on a loop of its own, in this thread. */
static void stop_it(void *arg)
{
    tern_node_stop(arg);
}

static void test_run(void **state)
{
    tern_node *node;
    tern_error error;
    char bound[256];
    (void)state;
    assert_int_equal(tern_node_new(NULL, &node, &error), 0);
    assert_int_equal(tern_node_listen(node, "/ip4/127.0.0.1/tcp/0", bound, sizeof bound, &error),
                     0);
    assert_int_equal(tern_node_after(node, 1, stop_it, node), 0);
    assert_int_equal(tern_node_run(node), 0);
    assert_int_equal(tern_node_run(node), TERN_E_STATE);
    assert_int_equal(tern_node_start(node), TERN_E_STATE);
    tern_node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_all_options),
        cmocka_unit_test(test_shorter_options),
        cmocka_unit_test(test_unknown_parts),
        cmocka_unit_test(test_public_key_only),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_listen_errors),
        cmocka_unit_test(test_bound_address),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_new_interface),
        cmocka_unit_test(test_handlers),
        cmocka_unit_test(test_too_many_handlers),
        cmocka_unit_test(test_unhandled_too_late),
        cmocka_unit_test(test_after_and_post),
        cmocka_unit_test(test_stop_is_bounded),
        cmocka_unit_test(test_stop_without_memory),
        cmocka_unit_test(test_owner_without_events),
        cmocka_unit_test(test_stop_inside_an_event),
        cmocka_unit_test(test_run),
    };
    return TERN_TEST_MAIN(tests);
}
