/* The whole chain of WebRTC Direct under datagrams of the input's: two nodes of a simulated world,
 * A has dialled B, and a stranger knows B's port. The input is a list of
 *
 *     what, 1 | length, 1 | bytes                                      what & 0x80: B sends it to A
 *
 * A datagram as it is from the stranger or from the peer; a binding request that verifies, with the
 * bytes as part of its user name; a DTLS handshake record with the bytes as its body; and, sealed
 * with the connection's own keys, so that they reach what lies behind: a packet of SCTP's, its
 * chunks with ports, tag and checksum put before them, a message on a data channel.
 *
 * Whatever happens: memory is bounded while it happens, and nothing is left at the end. */
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "host/host.h"
#include "loop/sim.h"
#include "loop/udp_port.h"
#include "sim/fixed.h"
#include "webrtc/conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { PORT = 4001, OPS_MAX = 300, STREAMS = 64, MEMORY = 16 << 20, HEAD = 12 };

enum { WAIT, STRANGER, PEER, CHECK, HANDSHAKE, PACKET, CHUNKS, MESSAGE, OPS };

typedef struct side {
    tern_loop *loop;
    tern_node *node;
    tern_conn *conn; /* NULL when it has ended */
    unsigned stopped;
    tern_sctp_stream streams[STREAMS]; /* of MESSAGE */
} side;

typedef struct world {
    tern_sim *sim;
    side side[2]; /* A, B */
    tern_udp *stranger;
    tern_endpoint b;
    uint64_t records;
} world;

static world w;
static tern_key *keys[2];

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void run(uint64_t time)
{
    tern_sim_run(w.sim, tern_sim_now(w.sim) + time, NULL, NULL);
}

static void on_connected(void *owner, tern_node *node, tern_conn *conn)
{
    (void)node;
    ((side *)owner)->conn = conn;
}

static void on_disconnected(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    side *s = owner;
    (void)node;
    (void)why;
    if (s->conn == conn) {
        s->conn = NULL;
    }
}

static void on_stopped(void *owner, tern_node *node)
{
    (void)node;
    ((side *)owner)->stopped++;
}

static void on_dialled(void *owner, tern_conn *conn, const tern_error *error,
                       const tern_dial_report *reports, size_t count)
{
    (void)owner;
    (void)conn;
    (void)error;
    (void)reports;
    (void)count;
}

/* ---- what the input does ---- */

static void say_check(const uint8_t *bytes, size_t n)
{
    static const char start[] = "libp2p+webrtc+v2/abcdefghijklmnopqrstuvwx";
    uint8_t user[sizeof start + 300], out[TERN_STUN_MAX];
    size_t len = sizeof start - 1;
    memcpy(user, start, len);
    for (size_t i = 0; i < n && i < 32; i++) {
        user[len++] = (uint8_t)('a' + bytes[i] % 26);
    }
    tern_stun_request r = {.password = {user, len}, .priority = 1, .use_candidate = n % 2 == 0};
    memcpy(user + len, ":abcd", 5);
    r.username = (tern_span){user, len + 5};
    ssize_t k = tern_stun_put_request(out, &r);
    check(k > 0);
    tern_udp_send(w.stranger, &w.b, out, (size_t)k, 0, 0);
}

static void say_handshake(const uint8_t *bytes, size_t n)
{
    uint8_t d[13 + 256] = {22, 0xfe, 0xfd};
    tern_put64(d + 3, ++w.records);
    tern_put16(d + 11, (uint16_t)n);
    memcpy(d + 13, bytes, n);
    tern_udp_send(w.stranger, &w.b, d, 13 + n, 0, 0);
}

static void seal_and_send(webrtc_conn *c, uint8_t *record, size_t n)
{
    ssize_t len = tern_dtls_engine_seal(c->dtls, record, n);
    check(len > 0);
    webrtc_endpoint_send(c->endpoint, &c->remote, record, (size_t)len);
}

static void say_packet(webrtc_conn *c, const uint8_t *bytes, size_t n, bool whole)
{
    uint8_t record[TERN_DTLS_OVERHEAD + HEAD + 256];
    uint8_t *out = record + TERN_DTLS_BEFORE;
    if (whole) {
        memcpy(out, bytes, n);
        seal_and_send(c, record, n);
        return;
    }
    tern_put16(out, 5000);
    tern_put16(out + 2, 5000);
    tern_put32(out + 4, n > 0 && bytes[0] == SCTP_INIT ? 0 : c->sctp.peer_tag);
    memset(out + 8, 0, 4);
    memcpy(out + HEAD, bytes, n);
    /* A TSN or its like is relative to what is next, or nothing the fuzzer makes would be taken. */
    if (n >= 8 && (bytes[0] == SCTP_DATA || bytes[0] == SCTP_FORWARD_TSN)) {
        tern_put32(out + HEAD + 4, c->sctp.next_tsn + bytes[7]);
    }
    uint32_t crc = tern_crc32c(out, HEAD + n);
    for (unsigned i = 0; i < 4; i++) {
        out[8 + i] = (uint8_t)(crc >> 8 * i);
    }
    seal_and_send(c, record, HEAD + n);
}

static void say_message(side *s, webrtc_conn *c, const uint8_t *bytes, size_t n)
{
    static const uint32_t ppids[] = {TERN_PPID_BINARY, TERN_PPID_DCEP, TERN_PPID_TEXT, 57};
    if (n < 2) {
        return;
    }
    tern_sctp_stream *st = &s->streams[bytes[0] % STREAMS];
    const tern_span open = {tern_dcep_open, TERN_DCEP_OPEN_N}, v = {bytes + 1, n - 1};
    bool opens = (bytes[0] & 0x80) != 0;
    tern_sctp_send(&c->sctp, st, opens ? TERN_PPID_DCEP : ppids[bytes[0] >> 6 & 1],
                   opens ? &open : &v, 1, 0);
    if (opens) {
        tern_sctp_send(&c->sctp, st, TERN_PPID_BINARY, &v, 1, 0);
    }
    webrtc_want_turn(c);
}

static void act(unsigned what, side *s, const uint8_t *bytes, size_t n)
{
    webrtc_conn *c = (webrtc_conn *)(void *)s->conn;
    if (what == WAIT) {
        run((uint64_t)n * n * TERN_MS);
    } else if (what == STRANGER && n > 0) {
        tern_udp_send(w.stranger, &w.b, bytes, n, 0, 0);
    } else if (what == CHECK) {
        say_check(bytes, n);
    } else if (what == HANDSHAKE) {
        say_handshake(bytes, n);
    } else if (c == NULL || c->phase != WEBRTC_OPEN) {
        return;
    } else if (what == PEER && n > 0) {
        webrtc_endpoint_send(c->endpoint, &c->remote, bytes, n);
    } else if (what == PACKET || what == CHUNKS) {
        say_packet(c, bytes, n, what == PACKET);
    } else if (what == MESSAGE) {
        say_message(s, c, bytes, n);
    }
}

/* ---- the world ---- */

static void birth(unsigned who, const char *ip)
{
    static const tern_node_events events = {
        .on_connected = on_connected, .on_disconnected = on_disconnected, .on_stopped = on_stopped};
    side *s = &w.side[who];
    tern_options o;
    tern_options_init(&o);
    o.key = keys[who];
    o.events = &events;
    o.owner = s;
    check(tern_sim_host(w.sim, ip, &s->loop) == 0);
    check(tern_node_new_on(s->loop, &o, &s->node, NULL) == 0);
    check(tern_node_serve_perf(s->node) == 0);
    for (uint16_t i = 0; i < STREAMS; i++) {
        tern_sctp_stream_init(&s->streams[i], (uint16_t)(2 * i + (who == 0 ? 100 : 101)));
    }
}

static void begin(void)
{
    char bound[256];
    tern_loop *host;
    const tern_endpoint at = {.family = 4, .ip = {10, 0, 0, 3}, .port = 9};
    const char *texts[] = {bound};
    for (size_t i = 0; i < 2; i++) {
        keys[i] = keys[i] != NULL ? keys[i] : sim_fixed_key((uint8_t)i);
        check(keys[i] != NULL);
    }
    memset(&w, 0, sizeof w);
    w.b = (tern_endpoint){.family = 4, .ip = {10, 0, 0, 2}, .port = PORT};
    sim_fixed_random(1);
    check(tern_sim_new(1, &w.sim) == 0);
    /* An input may ask for a terabyte of perf's. */
    tern_sim_set_default_link(w.sim, &(tern_sim_link){.rate = 100000});
    check(tern_sim_host(w.sim, "10.0.0.3", &host) == 0);
    check(tern_udp_bind(host, &at, &w.stranger) == 0);
    birth(0, "10.0.0.1");
    birth(1, "10.0.0.2");
    check(tern_node_listen(w.side[1].node, "/ip4/10.0.0.2/udp/4001/webrtc-direct", bound,
                           sizeof bound, NULL) == 0);
    check(tern_node_dial(w.side[0].node, texts, 1, 0, false, on_dialled, NULL, NULL) == 0);
    run(2 * TERN_SEC);
    check(w.side[0].conn != NULL && w.side[1].conn != NULL);
}

static void end(void)
{
    run(100 * TERN_SEC);
    tern_node_stop(w.side[0].node);
    tern_node_stop(w.side[1].node);
    run(10 * TERN_SEC);
    for (size_t i = 0; i < 2; i++) {
        side *s = &w.side[i];
        check(s->stopped == 1 && s->node->swarm->conn_count == 0);
        check(tern_node_net(s->node)->pending.count == 0);
        tern_node_free(s->node);
    }
    tern_udp_close(w.stranger);
    tern_sim_free(w.sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t alive = keys[0] != NULL ? tern_mem_alive() : 0, at = 0;
    begin();
    for (unsigned ops = 0; at + 2 <= n && ops < OPS_MAX; ops++) {
        size_t len = data[at + 1] < n - at - 2 ? data[at + 1] : n - at - 2;
        act((data[at] & 0x3f) % OPS, &w.side[data[at] >> 7], data + at + 2, len);
        if ((data[at] & 0x40) == 0) {
            run(TERN_MS);
        }
        at += 2 + len;
        check(tern_mem_bytes() < MEMORY);
    }
    end();
    check(alive == 0 || tern_mem_alive() == alive);
    return 0;
}
