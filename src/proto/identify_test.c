/* Tests of identify between two whole nodes in a simulated world, where one is sometimes a peer
 * that answers in its own way. */
#include "proto/identify.h"

#include <stdio.h>

#include "codec/protobuf.h"
#include "codec/varint.h"
#include "proto/identify_message.h"
#include "sim/nodes.h"
#include "suite/ear.h"

#define DELAY (50 * TERN_MS)
#define RTT   (2 * DELAY)

static void mute(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    (void)ctx;
    (void)node;
    (void)conn;
    tern_stream_drop(s);
}

/* ---- pushes ---- */

static void test_push_after_a_new_protocol(void **state)
{
    sim_nodes w;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "10.0.0.1", NULL);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    sim_nodes_connect(&w, a, b);
    sim_nodes_run(&w, 10 * TERN_SEC);
    unsigned before = a->identified;
    assert_int_equal(tern_node_handle(b->node, "/test/1", NULL, mute, NULL), 0);
    assert_int_equal(tern_node_handle(b->node, "/test/2", NULL, mute, NULL), 0);
    sim_nodes_run(&w, TERN_SEC); /* collected for a second */
    assert_int_equal(a->identified, before);
    sim_nodes_run(&w, DELAY);
    assert_int_equal(a->identified, before + 1);
    assert_non_null(strstr(a->protocols, "/test/1,/test/2,"));
    assert_true(tern_peerstore_speaks(&a->node->swarm->store, &b->id, "/test/2"));
    tern_node_unhandle(b->node, "/test/1");
    sim_nodes_run(&w, 2 * TERN_SEC);
    assert_int_equal(a->identified, before + 2);
    assert_null(strstr(a->protocols, "/test/1"));
    /* A new address as well. */
    assert_int_equal(tern_node_listen(b->node, "/ip4/10.0.0.2/tcp/4002/ws", NULL, 0, NULL), 0);
    sim_nodes_run(&w, 2 * TERN_SEC);
    assert_int_equal(a->identified, before + 3);
    assert_non_null(strstr(a->addrs, "/ip4/10.0.0.2/tcp/4002/ws,"));
    assert_true(a->signed_record);
    sim_nodes_clear(&w);
}

static void test_many_peers_hear_a_push(void **state)
{
    sim_nodes w;
    sim_node *others[12];
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *hub = sim_nodes_add(&w, "10.0.1.1", NULL);
    for (int i = 0; i < 12; i++) {
        char ip[32];
        snprintf(ip, sizeof ip, "-10.0.0.%d", i + 1);
        others[i] = sim_nodes_add(&w, ip, NULL);
        sim_nodes_connect(&w, others[i], hub);
    }
    sim_nodes_run(&w, 10 * TERN_SEC);
    assert_int_equal(tern_node_handle(hub->node, "/test/1", NULL, mute, NULL), 0);
    sim_nodes_run(&w, 2 * TERN_SEC);
    for (int i = 0; i < 12; i++) {
        assert_non_null(strstr(others[i]->protocols, "/test/1,"));
    }
    sim_nodes_clear(&w);
}

static void test_no_push_to_who_does_not_speak_it(void **state)
{
    sim_nodes w;
    tern_options o;
    (void)state;
    sim_nodes_init(&w, DELAY);
    tern_options_init(&o);
    o.no_identify = true;
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", &o);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    sim_nodes_connect(&w, a, b);
    sim_nodes_run(&w, 10 * TERN_SEC);
    assert_int_equal(a->identified, 0); /* nor does it ask */
    assert_int_equal(b->identified, 0);
    uint64_t streams = sim_counters(a)->streams_in;
    assert_int_equal(tern_node_handle(b->node, "/test/1", NULL, mute, NULL), 0);
    sim_nodes_run(&w, 10 * TERN_SEC);
    assert_int_equal(sim_counters(a)->streams_in, streams);
    sim_nodes_clear(&w);
}

/* ---- whom what is told ---- */

static void test_audiences(void **state)
{
    sim_nodes w;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    sim_node *private = sim_nodes_add(&w, "-10.0.0.3", NULL);
    sim_node *public = sim_nodes_add(&w, "-8.8.8.8", NULL);
    assert_int_equal(tern_sim_add_address(b->host, "8.8.4.4"), 0);
    assert_int_equal(tern_node_listen(b->node, "/ip4/8.8.4.4/tcp/4002", NULL, 0, NULL), 0);
    assert_int_equal(tern_node_listen(b->node, "/ip4/127.0.0.1/tcp/4003", NULL, 0, NULL), 0);
    sim_dial d;
    sim_nodes_dial_one(private, "/ip4/10.0.0.2/tcp/4001", &d);
    sim_nodes_dial_one(public, "/ip4/8.8.4.4/tcp/4002", &d);
    sim_nodes_run(&w, TERN_SEC);
    assert_string_equal(private->addrs, "/ip4/10.0.0.2/tcp/4001,/ip4/8.8.4.4/tcp/4002,");
    assert_string_equal(public->addrs, "/ip4/8.8.4.4/tcp/4002,");
    assert_true(private->signed_record && public->signed_record);
    /* Somebody on the same machine hears all, whichever address he comes from: ICE chooses any, */
    tern_conn *conn = tern_swarm_find(b->node->swarm, &private->id);
    assert_non_null(conn);
    tern_multiaddr_unref(conn->facts.local);
    conn->facts.local = tern_multiaddr_parse("/ip4/127.0.0.1/tcp/4003", NULL);
    assert_int_equal(tern_node_handle(b->node, "/test/1", NULL, mute, NULL), 0);
    sim_nodes_run(&w, 2 * TERN_SEC);
    assert_non_null(strstr(private->addrs, "/ip4/127.0.0.1/tcp/4003,"));
    assert_null(strstr(public->addrs, "127.0.0.1"));
    /* ... the loopback one as well. */
    tern_node *local;
    tern_options o;
    tern_options_init(&o);
    sim_node record = {.world = &w};
    o.owner = &record;
    assert_int_equal(tern_node_new_on(b->host, &o, &local, NULL), 0);
    const char *at = "/ip4/127.0.0.1/tcp/4003";
    b->identified = 0;
    assert_int_equal(tern_node_dial(local, &at, 1, 0, false, sim_nodes_ignore_dial, NULL, NULL), 0);
    sim_nodes_run(&w, TERN_SEC);
    tern_known_peer *known = tern_peerstore_get(&local->swarm->store, &b->id);
    assert_non_null(known);
    assert_int_equal(known->addr_count, 3);
    tern_node_stop(local);
    sim_nodes_run(&w, TERN_SEC);
    tern_node_free(local);
    sim_nodes_clear(&w);
}

static void test_announced_addresses(void **state)
{
    sim_nodes w;
    (void)state;
    sim_nodes_init(&w, DELAY);
    sim_node *a = sim_nodes_add(&w, "-10.0.0.1", NULL);
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", NULL);
    assert_int_equal(tern_node_announce(b->node, "/dns4/b.example/tcp/443/tls/ws", NULL), 0);
    sim_nodes_connect(&w, a, b);
    sim_nodes_run(&w, TERN_SEC);
    assert_string_equal(a->addrs, "/dns4/b.example/tcp/443/tls/ws,");
    sim_nodes_clear(&w);
}

/* ---- peers that answer in their own way ---- */

struct pair {
    sim_nodes w;
    sim_node *a, *b;
    ear answer; /* b's side of a's question */
    tern_buf bytes;
    uint64_t start;
};

static void asked(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    struct pair *p = ctx;
    (void)node;
    (void)conn;
    ear_take(&p->answer, s);
}

static void setup(struct pair *p)
{
    tern_options o;
    tern_options_init(&o);
    o.no_identify = true;
    memset(p, 0, sizeof *p);
    sim_nodes_init(&p->w, DELAY);
    p->a = sim_nodes_add(&p->w, "-10.0.0.1", NULL);
    p->b = sim_nodes_add(&p->w, "10.0.0.2", &o);
    ear_init(&p->answer);
    tern_buf_init(&p->bytes, 0);
    assert_int_equal(tern_node_handle(p->b->node, TERN_IDENTIFY_ID, NULL, asked, p), 0);
    sim_nodes_connect(&p->w, p->a, p->b);
    sim_nodes_run(&p->w, RTT);
    assert_non_null(p->answer.s);
    p->start = sim_nodes_now(&p->w);
}

static void teardown(struct pair *p)
{
    ear_clear(&p->answer);
    tern_buf_free(&p->bytes);
    sim_nodes_clear(&p->w);
}

/* Adds one message to what b will write. */
static void message(struct pair *p, uint32_t field, const char *text)
{
    tern_buf body;
    uint8_t prefix[TERN_VARINT_MAX];
    tern_buf_init(&body, 0);
    assert_int_equal(tern_pb_put_string(&body, field, text), 0);
    size_t n = tern_varint_put(prefix, tern_buf_len(&body));
    assert_int_equal(tern_buf_append(&p->bytes, prefix, n), 0);
    assert_int_equal(tern_buf_append(&p->bytes, tern_buf_data(&body), tern_buf_len(&body)), 0);
    tern_buf_free(&body);
}

static void answer(struct pair *p, size_t chunk, bool end)
{
    size_t n = tern_buf_len(&p->bytes);
    for (size_t i = 0; i < n && p->answer.s != NULL; i += chunk) {
        size_t part = n - i < chunk ? n - i : chunk;
        assert_int_equal(ear_write(&p->answer, tern_buf_data(&p->bytes) + i, part), part);
        sim_nodes_run(&p->w, chunk < n ? TERN_MS : 0);
    }
    if (end && p->answer.s != NULL) {
        EAR(&p->answer, tern_stream_end(p->answer.s));
    }
    sim_nodes_run(&p->w, RTT);
}

static void test_messages_are_merged(void **state)
{
    static const size_t chunks[] = {100000, 1, 7};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct pair p;
        setup(&p);
        message(&p, 6, "in/two");
        message(&p, 3, "/first");
        message(&p, 3, "/second");
        answer(&p, chunks[i], true);
        assert_int_equal(p.a->identified, 1);
        assert_string_equal(p.a->agent, "in/two");
        assert_string_equal(p.a->protocols, "/first,/second,");
        assert_int_equal(p.answer.closed, 1);
        assert_int_equal(p.answer.why.code, 0);
        teardown(&p);
    }
}

static void test_too_many_messages(void **state)
{
    struct pair p;
    (void)state;
    setup(&p);
    for (int i = 0; i < TERN_IDENTIFY_MESSAGES_MAX; i++) {
        message(&p, 6, "x");
    }
    answer(&p, 100000, true);
    assert_int_equal(p.a->identified, 1);
    teardown(&p);
    setup(&p);
    for (int i = 0; i <= TERN_IDENTIFY_MESSAGES_MAX; i++) {
        message(&p, 6, "x");
    }
    answer(&p, 100000, true);
    assert_int_equal(p.a->identified, 0);
    assert_int_equal(sim_counters(p.a)->identify_too_large, 1);
    teardown(&p);
}

static void test_oversize_message(void **state)
{
    struct pair p;
    (void)state;
    setup(&p);
    assert_int_equal(tern_buf_append(&p.bytes, "\x81\x40", 2), 0); /* announces 8193 bytes */
    answer(&p, 100000, false);
    assert_int_equal(sim_counters(p.a)->identify_too_large, 1);
    assert_int_equal(p.answer.why.code, TERN_E_RESET);
    assert_int_equal(p.a->disconnected, 0); /* it costs the stream only */
    teardown(&p);
}

static void test_malformed_answers(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } table[] = {
        {"\x03\x0a\x05\x01", 4}, /* a field longer than its message */
        {"\x05\x32\x03", 3},     /* ended inside the message */
        {"\x80", 1},             /* ended inside the length */
        {"\x80\x00", 2},         /* a length that is not minimal */
        {"", 0},                 /* nothing at all */
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct pair p;
        setup(&p);
        assert_int_equal(tern_buf_append(&p.bytes, table[i].bytes, table[i].n), 0);
        answer(&p, 1, true);
        assert_int_equal(p.a->identified, 0);
        assert_int_equal(sim_counters(p.a)->identify_malformed, 1);
        assert_int_equal(p.a->disconnected, 0);
        teardown(&p);
    }
}

static void test_wrong_key(void **state)
{
    struct pair p;
    (void)state;
    setup(&p);
    message(&p, 1, "not a key");
    answer(&p, 100000, true);
    assert_int_equal(p.a->identified, 0);
    assert_int_equal(sim_counters(p.a)->identify_wrong_key, 1);
    teardown(&p);
}

static void test_silent_peer(void **state)
{
    struct pair p;
    (void)state;
    setup(&p);
    message(&p, 6, "never ends");
    answer(&p, 100000, false);
    sim_nodes_run(&p.w, 4 * TERN_SEC);
    assert_int_equal(sim_counters(p.a)->identify_timeout, 0);
    sim_nodes_run(&p.w, 2 * TERN_SEC);
    assert_int_equal(sim_counters(p.a)->identify_timeout, 1);
    assert_int_equal(p.answer.why.code, TERN_E_RESET);
    assert_int_equal(p.a->identified, 0);
    assert_int_equal(p.a->disconnected, 0);
    teardown(&p);
}

static void test_stop_while_reading(void **state)
{
    struct pair p;
    (void)state;
    setup(&p);
    message(&p, 6, "x");
    answer(&p, 100000, false);
    sim_node_end(p.a);
    assert_int_equal(p.answer.closed, 1);
    teardown(&p);
}

/* What a peer pushes without a list leaves what was known. */
static void test_partial_push(void **state)
{
    struct pair p;
    ear push;
    tern_error error;
    (void)state;
    setup(&p);
    message(&p, 3, "/kept");
    answer(&p, 100000, true);
    assert_true(tern_peerstore_speaks(&p.a->node->swarm->store, &p.b->id, "/kept"));
    ear_init(&push);
    tern_stream *s = tern_node_open(p.b->node, p.b->conn, TERN_IDENTIFY_PUSH_ID,
                                    sim_nodes_ear_opened, &push, &error);
    assert_non_null(s);
    sim_nodes_run(&p.w, RTT);
    assert_non_null(push.s);
    tern_buf_free(&p.bytes);
    message(&p, 6, "renamed");
    ear_write(&push, tern_buf_data(&p.bytes), tern_buf_len(&p.bytes));
    EAR(&push, tern_stream_end(push.s));
    sim_nodes_run(&p.w, RTT);
    assert_int_equal(p.a->identified, 2);
    assert_string_equal(p.a->agent, "renamed");
    assert_true(tern_peerstore_speaks(&p.a->node->swarm->store, &p.b->id, "/kept"));
    assert_int_equal(push.why.code, 0);
    ear_clear(&push);
    teardown(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_after_a_new_protocol),
        cmocka_unit_test(test_many_peers_hear_a_push),
        cmocka_unit_test(test_no_push_to_who_does_not_speak_it),
        cmocka_unit_test(test_audiences),
        cmocka_unit_test(test_announced_addresses),
        cmocka_unit_test(test_messages_are_merged),
        cmocka_unit_test(test_too_many_messages),
        cmocka_unit_test(test_oversize_message),
        cmocka_unit_test(test_malformed_answers),
        cmocka_unit_test(test_wrong_key),
        cmocka_unit_test(test_silent_peer),
        cmocka_unit_test(test_stop_while_reading),
        cmocka_unit_test(test_partial_push),
    };
    return TERN_TEST_MAIN(tests);
}
