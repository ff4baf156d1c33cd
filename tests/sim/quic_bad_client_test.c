/* Bad clients of QUIC, made by the test itself: what they show of themselves in the handshake, and
 * what they say on a connection that was let in. Each is refused with the right word and counted,
 * what it cost is given back, and the node serves the next one. */
#include <stddef.h>
#include <stdio.h>

#include "crypto/cert_forge_test.h"
#include "sim/quic_pair.h"
#include "sim/raw_quic.h"

#define DELAY (10 * TERN_MS)

typedef struct world {
    sim_nodes w;
    sim_node *b; /* the node */
    char addr[256];
    tern_endpoint at;
    tern_key *identity; /* the bad client's */
    tern_loop *host;
    size_t bytes; /* allocated before */
    unsigned honest;
} world;

/* An honest one connects and pings. */
static void serves(world *x)
{
    sim_dial d;
    sim_ping p;
    char ip[20];
    snprintf(ip, sizeof ip, "-10.0.1.%u", ++x->honest);
    sim_node *c = sim_nodes_add(&x->w, ip, NULL);
    sim_nodes_dial_one(c, x->addr, &d);
    if (d.conn == NULL) {
        fail_msg("an honest dial: %s: %s", d.error.layer, d.error.text);
    }
    sim_nodes_ping(c, d.conn, &p);
    assert_int_equal(p.error.code, 0);
    sim_node_end(c);
    sim_nodes_run(&x->w, 60 * TERN_SEC);
    assert_int_equal(tern_node_net(x->b->node)->natives, 0);
    assert_int_equal(tern_node_net(x->b->node)->pending.count, 0);
}

static void set_up(world *x)
{
    memset(x, 0, sizeof *x);
    sim_nodes_init(&x->w, DELAY);
    tern_sim_set_wall(x->w.sim, FORGE_WALL);
    x->b = sim_nodes_add(&x->w, "-10.0.0.2", NULL);
    quic_pair_listen(x->b, "10.0.0.2", x->addr, sizeof x->addr);
    assert_int_equal(tern_endpoint_parse_ip(&x->at, "10.0.0.2"), 0);
    x->at.port = 4001;
    assert_int_equal(tern_sim_host(x->w.sim, "10.0.0.9", &x->host), 0);
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &x->identity), 0);
    serves(x); /* what a first connection leaves behind is there */
    x->bytes = tern_mem_bytes();
}

/* Nothing of the bad one is left, and others are served. */
static void tear_down(world *x)
{
    sim_nodes_run(&x->w, 60 * TERN_SEC);
    assert_int_equal(tern_node_net(x->b->node)->natives, 0);
    assert_int_equal(tern_node_net(x->b->node)->pending.count, 0);
    assert_in_range(tern_mem_bytes(), 0,
                    x->bytes + 12288); /* the heap of timers stays as long as it was */
    serves(x);
    tern_key_unref(x->identity);
    sim_nodes_clear(&x->w);
}

/* ---- what it shows ---- */

typedef struct shown {
    const char *what;
    forge f;
    bool none, other_signer;
    const char *alpn;
    uint8_t alert;
    size_t counter; /* in tern_counters */
} shown;

#define COUNT(name) offsetof(tern_counters, name)

static void shows(const shown *c)
{
    world x;
    raw_quic r;
    set_up(&x);
    tern_cert *cert = forge_cert(x.identity, &c->f);
    tern_cert *other = forge_cert(x.identity, &(forge){0});
    raw_quic_options o = {.cert = c->none ? NULL : cert,
                          .signer = c->other_signer ? other : NULL,
                          .alpn = c->alpn != NULL ? c->alpn : "libp2p"};
    uint64_t *count = (uint64_t *)(void *)((char *)sim_counters(x.b) + c->counter);
    uint64_t before = *count, failures = sim_counters(x.b)->upgrade_failures;
    unsigned known = x.b->connected;
    raw_quic_dial(&r, x.host, "10.0.0.9", &x.at, &o);
    sim_nodes_run(&x.w, TERN_SEC);
    if (r.closed != 1 || r.app || r.code != 0x100u + c->alert) {
        fail_msg("%s: closed %u, app %u, code 0x%llx, not 0x%x", c->what, r.closed, r.app,
                 (unsigned long long)r.code, 0x100u + c->alert);
    }
    if (*count != before + 1) {
        fail_msg("%s: is not counted", c->what);
    }
    assert_int_equal(sim_counters(x.b)->upgrade_failures, failures + 1);
    assert_int_equal(x.b->connected, known);
    raw_quic_clear(&r);
    tern_cert_free(cert);
    tern_cert_free(other);
    tear_down(&x);
}

static void certificates(void **state)
{
    static const shown cases[] = {
        {"no certificate", .none = true, .alert = 116, .counter = COUNT(tls_malformed)},
        {"no extension",
         {.no_extension = true},
         .alert = 42,
         .counter = COUNT(tls_bad_certificate)},
        {"a wrong extension",
         {.trailing_outside = true},
         .alert = 42,
         .counter = COUNT(tls_bad_certificate)},
        {"a wrong signature of the identity",
         {.wrong_identity = true},
         .alert = 42,
         .counter = COUNT(tls_bad_signature)},
        {"another identity's signature",
         {.other_identity = true},
         .alert = 42,
         .counter = COUNT(tls_bad_signature)},
        {"a signature for another purpose",
         {.wrong_domain = true},
         .alert = 42,
         .counter = COUNT(tls_bad_signature)},
        {"a wrong signature of its own",
         {.wrong_self = true},
         .alert = 42,
         .counter = COUNT(tls_bad_signature)},
        {"expired", {.to = FORGE_NOW - 60}, .alert = 42, .counter = COUNT(tls_bad_certificate)},
        {"not valid yet",
         {.from = FORGE_NOW + 100000, .to = FORGE_NOW + 200000},
         .alert = 42,
         .counter = COUNT(tls_bad_certificate)},
        {"the key of another certificate", .other_signer = true, .alert = 51,
         .counter = COUNT(tls_bad_signature)},
        {"another protocol", .alpn = "h3", .alert = 120, .counter = COUNT(tls_nothing_common)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        shows(&cases[i]);
    }
}

/* ---- what it says ---- */

static void let_in(world *x, raw_quic *r, tern_cert **ret_cert)
{
    set_up(x);
    *ret_cert = forge_cert(x->identity, &(forge){0});
    raw_quic_options o = {.cert = *ret_cert, .alpn = "libp2p"};
    unsigned known = x->b->connected;
    raw_quic_dial(r, x->host, "10.0.0.9", &x->at, &o);
    sim_nodes_run(&x->w, TERN_SEC);
    assert_true(r->completed);
    assert_int_equal(x->b->connected, known + 1);
}

static void send_away(world *x, raw_quic *r, tern_cert *cert)
{
    raw_quic_clear(r);
    tern_cert_free(cert);
    tear_down(x);
}

typedef struct said {
    const char *what;
    uint8_t type;
    uint64_t ints[4]; /* the frame's numbers, ... */
    unsigned count;
    unsigned bytes; /* ... and so many bytes behind them */
    uint64_t code;  /* of the close; UINT64_MAX: goes on */
} said;

enum {
    RESET_STREAM = 0x04,
    STOP_SENDING = 0x05,
    CRYPTO = 0x06,
    NEW_TOKEN = 0x07,
    STREAM = 0x0e, /* offset and length */
    STREAM_FIN = 0x0f,
    MAX_STREAMS = 0x12,
    NEW_CONNECTION_ID = 0x18,
    RETIRE_CONNECTION_ID = 0x19,
    PATH_RESPONSE = 0x1b,
    HANDSHAKE_DONE = 0x1e,
    IN = 256, /* streams that we permit, both ways, ... */
    UNI = 3,  /* ... and one way */
};

static size_t write_frame(const said *c, uint8_t *out)
{
    uint8_t *p = out;
    *p++ = c->type;
    for (unsigned i = 0; i < c->count; i++) {
        p = raw_quic_int(p, c->ints[i]);
    }
    memset(p, 0, c->bytes);
    return (size_t)(p - out) + c->bytes;
}

static void says(const said *c)
{
    world x;
    raw_quic r;
    tern_cert *cert;
    uint8_t frame[RAW_QUIC_FRAMES];
    let_in(&x, &r, &cert);
    uint64_t violations = sim_counters(x.b)->quic_violations;
    unsigned gone = x.b->disconnected;
    raw_quic_frames(&r, frame, write_frame(c, frame));
    sim_nodes_run(&x.w, TERN_SEC);
    bool stays = c->code == UINT64_MAX;
    if (r.closed != !stays || (!stays && (r.app || r.code != c->code))) {
        fail_msg("%s: closed %u, app %u, code 0x%llx", c->what, r.closed, r.app,
                 (unsigned long long)r.code);
    }
    if (stays) { /* at least as far as we are concerned */
        assert_int_equal(sim_counters(x.b)->quic_violations, violations);
    } else {
        assert_int_equal(x.b->disconnected, gone + 1);
        assert_int_equal(x.b->why.code, c->code >= 0x100 ? TERN_E_CRYPTO : TERN_E_PROTOCOL);
        bool counted = sim_counters(x.b)->quic_violations == violations + (c->code < 0x100);
        if (!counted) {
            fail_msg("%s: is not counted", c->what);
        }
    }
    send_away(&x, &r, cert);
}

static void frames(void **state)
{
    static const said cases[] = {
        {"the last stream that is permitted", STREAM, {4 * (IN - 1), 0, 1}, 3, 1, UINT64_MAX},
        {"a stream beyond the limit", STREAM, {4 * IN, 0, 1}, 3, 1, 4},
        {"a reset beyond the limit", RESET_STREAM, {4 * IN, 7, 0}, 3, 0, 4},
        {"a stop beyond the limit", STOP_SENDING, {4 * IN, 7}, 2, 0, 4},
        {"the last one-way stream", STREAM, {4 * (UNI - 1) + 2, 0, 1}, 3, 1, UINT64_MAX},
        {"a one-way stream beyond the limit", STREAM, {4 * UNI + 2, 0, 1}, 3, 1, 4},
        {"a stream of ours that is none", STREAM, {4 * 200 + 1, 0, 1}, 3, 1, 5},
        {"a stop of ours that is none", STOP_SENDING, {4 * 200 + 1, 7}, 2, 0, 5},
        {"a stop of what only it writes", STOP_SENDING, {2, 7}, 2, 0, 5},
        {"bytes behind the window", STREAM, {0, 1 << 20, 1}, 3, 1, 3},
        {"bytes behind every window", STREAM, {0, (UINT64_C(1) << 62) - 1, 1}, 3, 1, 3},
        {"a reset of more than the window", RESET_STREAM, {0, 0, 1 << 20}, 3, 0, 3},
        {"more streams than there can be", MAX_STREAMS, {(UINT64_C(1) << 60) + 1}, 1, 0, 7},
        {"an unknown frame", 0x21, {0}, 0, 0, 7},
        {"a frame that ends too early", STREAM, {0, 0, 500}, 3, 1, 7},
        {"HANDSHAKE_DONE", HANDSHAKE_DONE, {0}, 0, 0, 0xa},
        {"a token", NEW_TOKEN, {20}, 1, 20, 0xa},
        {"an id that it gave back, in use", RETIRE_CONNECTION_ID, {1000}, 1, 0, 0xa},
        {"an id that retires what is to come", NEW_CONNECTION_ID, {1, 2}, 2, 40, 7},
        {"bytes of a handshake that is over", CRYPTO, {0x7000, 100}, 2, 100, UINT64_MAX},
        {"too many of them", CRYPTO, {1 << 20, 100}, 2, 100, 0xd},
        {"an answer that nobody asked for", PATH_RESPONSE, {0}, 0, 8, UINT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        says(&cases[i]);
    }
}

/* ---- floods ---- */

enum { FLOOD = 20000, MEMORY = 1 << 20 };

/* What is kept while it goes on. */
static void bounded(world *x)
{
    assert_in_range(tern_mem_bytes(), 0, x->bytes + MEMORY);
    if (x->b->conn != NULL) {
        assert_in_range(x->b->conn->stream_count, 0, IN + 8);
    }
}

/* Opens a stream and resets it, as fast as it is permitted. */
static void open_and_reset(void **state)
{
    world x;
    raw_quic r;
    tern_cert *cert;
    unsigned opened = 0;
    (void)state;
    let_in(&x, &r, &cert);
    for (unsigned round = 0; round < 1000 && opened < FLOOD && r.q != NULL; round++) {
        int64_t id;
        while ((id = raw_quic_open(&r, true, "\x13/multistream/1.0.0\n", 20)) >= 0) {
            raw_quic_reset(&r, id, 7);
            opened++;
        }
        bounded(&x);
        sim_nodes_run(&x.w, 2 * DELAY);
        bounded(&x);
    }
    print_message("# %u streams opened and reset\n", opened);
    assert_true(opened >= FLOOD || r.closed);
    send_away(&x, &r, cert);
}

/* RESET_STREAM and STOP_SENDING for every stream that is permitted, again and again. */
static void resets_and_stops(void **state)
{
    world x;
    raw_quic r;
    tern_cert *cert;
    uint8_t packet[RAW_QUIC_FRAMES], *p;
    (void)state;
    let_in(&x, &r, &cert);
    for (unsigned round = 0; round < 300 && r.q != NULL; round++) {
        p = packet;
        for (unsigned i = 0; i < 20; i++) {
            uint64_t id = 4 * ((round * 20 + i) % IN);
            *p++ = RESET_STREAM;
            p = raw_quic_int(raw_quic_int(raw_quic_int(p, id), 7), 0);
            *p++ = STOP_SENDING;
            p = raw_quic_int(raw_quic_int(p, id), 7);
        }
        raw_quic_frames(&r, packet, (size_t)(p - packet));
        bounded(&x);
        sim_nodes_run(&x.w, DELAY / 5);
    }
    bounded(&x);
    send_away(&x, &r, cert);
}

/* Connection ids, each of which retires the ones before; challenges of the path. */
static void ids_and_challenges(void **state)
{
    world x;
    raw_quic r;
    tern_cert *cert;
    uint8_t packet[RAW_QUIC_FRAMES], *p;
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        let_in(&x, &r, &cert);
        for (uint64_t seq = 10; seq < 6000 && r.q != NULL; seq += 10) {
            p = packet;
            for (uint64_t i = 0; i < 10; i++) {
                *p++ = kind == 0 ? NEW_CONNECTION_ID : 0x1a;
                if (kind == 0) {
                    p = raw_quic_int(raw_quic_int(p, seq + i), seq + i);
                    *p++ = 8;
                    memset(p, 0x77, 24);
                    tern_put64(p, seq + i);
                    tern_put64(p + 8, seq + i);
                    p += 24;
                } else {
                    tern_put64(p, seq + i);
                    p += 8;
                }
            }
            raw_quic_frames(&r, packet, (size_t)(p - packet));
            bounded(&x);
            sim_nodes_run(&x.w, DELAY / 5);
        }
        bounded(&x);
        send_away(&x, &r, cert);
    }
}

/* Pieces of one-way streams that nobody reads, and of streams with holes, up to the window. */
static void bytes_with_holes(void **state)
{
    world x;
    raw_quic r;
    tern_cert *cert;
    uint8_t packet[RAW_QUIC_FRAMES], *p;
    (void)state;
    let_in(&x, &r, &cert);
    for (unsigned round = 0; round < 400 && r.q != NULL; round++) {
        p = packet;
        for (unsigned i = 0; i < 30; i++) { /* one byte of every three */
            *p++ = STREAM;
            p = raw_quic_int(raw_quic_int(raw_quic_int(p, 4), 1 + 3 * (30 * round + i)), 1);
            *p++ = 'x';
        }
        raw_quic_frames(&r, packet, (size_t)(p - packet));
        bounded(&x);
        sim_nodes_run(&x.w, DELAY / 5);
    }
    bounded(&x);
    send_away(&x, &r, cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates),       cmocka_unit_test(frames),
        cmocka_unit_test(open_and_reset),     cmocka_unit_test(resets_and_stops),
        cmocka_unit_test(ids_and_challenges), cmocka_unit_test(bytes_with_holes),
    };
    return TERN_TEST_MAIN(tests);
}
