/* A whole session of two nodes with a stranger on the wire between them: the input says what the
 * nodes do (dial, ping, echo, perf, ends, resets, protocols that come and go, closes) and what the
 * stranger does to the bytes in either direction (flips, drops, doubles, injects, cuts). So both
 * roles of multistream, security, muxer and protocols meet bytes that are almost right.
 *
 * With Noise or TLS the wire carries what was encrypted. With `open` security, which is only here,
 * it carries the muxer's frames and the protocols' messages themselves: the stranger writes frames
 * and opens streams that make sense, and the mutations reach what lies behind the decryption.
 *
 *     node A --- TCP --- the stranger (relay) --- TCP --- node B        one simulated world
 *
 * Whatever happens: each question is answered once, each beginning has an end, no memory stays. */
#include <stdlib.h>

#include <tern/perf.h>

#include "base/mem.h"
#include "host/host.h"
#include "loop/sim.h"
#include "loop/tcp.h"
#include "mux/yamux_core.h"
#include "sim/fixed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { PORT = 4001, STREAMS = 12, OPS_MAX = 200, QUEUE_MAX = 1 << 20, ASKED_MAX = 64 };
enum { TO_B, TO_A };

/* What the input's bytes stand for. */
enum {
    WAIT,
    PING,
    TALK, /* opens an echo, or writes on one that is open */
    PERF,
    HALF_CLOSE,
    RESET,
    STOP,
    DIAL,
    CLOSE,
    PROTOCOL, /* comes or goes: identify/push */
    FLIP,     /* from here on: the stranger */
    DROP,
    DOUBLE,
    INJECT,
    FRAME,
    STREAM, /* opens a yamux stream for a protocol and says something on it */
    CUT,
    HOLD, /* keeps what comes until the next op on that direction */
    OPS
};

typedef struct side {
    tern_loop *loop;
    tern_node *node;
    tern_conn *conn; /* the newest that lives */
    unsigned connected, disconnected, stopped;
    bool extra; /* serves a protocol more */
} side;

/* One direction of the relay. */
typedef struct lane {
    tern_tcp *from, *to;
    tern_buf kept;
    bool hold, ended, end_sent;
    uint32_t flip_at, drop, doubled; /* what to do to the bytes to come */
    uint8_t flip_with;
} lane;

typedef struct world {
    tern_sim *sim;
    tern_loop *middle;
    tern_tcp_listener *door;
    side side[2]; /* A, B */
    lane lane[2];
    tern_tcp *leg[2]; /* the relay's sockets towards A and B */
    bool leg_open;    /* the one to B */
    tern_stream *streams[STREAMS];
    unsigned asked, answered, echoing;
    bool fine; /* the links give few bytes at once */
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

/* ---- security in the open ---- */

static void open_cancel(tern_op *op)
{
    tern_secure_op *s = TERN_CONTAINER(op, tern_secure_op, op);
    tern_stream *lower = s->stream != NULL ? s->stream : s->lower;
    tern_key_unref(s->key);
    if (lower != NULL) {
        tern_stream_reset(lower, 0);
        if (s->stream != NULL) {
            tern_stream_drop(lower);
        }
    }
    s->stream = NULL;
    s->key = NULL;
}

static int open_begin(tern_secure_op *s)
{
    tern_op_start(&s->op, "open", open_cancel, s);
    return 0;
}

static void open_attach(tern_secure_op *s)
{
    side *self = s->net == tern_node_net(w.side[0].node) ? &w.side[0] : &w.side[1];
    side *peer = self == &w.side[0] ? &w.side[1] : &w.side[0];
    s->stream = s->lower;
    s->lower = NULL;
    s->key = tern_key_ref(keys[peer - w.side]);
    tern_node_peer_id(peer->node, &s->peer);
    tern_op_finish(&s->op, NULL);
}

static const tern_secure open_security = {
    .id = "/open/1.0.0", .name = "open", .begin = open_begin, .attach = open_attach};

/* ---- the stranger ---- */

static void lane_forward(lane *l);

static void put(lane *l, const uint8_t *bytes, size_t n)
{
    if (tern_buf_len(&l->kept) + n <= QUEUE_MAX) {
        check(tern_buf_append(&l->kept, bytes, n) == 0);
    }
}

static void lane_forward(lane *l)
{
    bool there = l->to != NULL && (l->to != w.leg[1] || w.leg_open);
    while (there && !l->hold && tern_buf_len(&l->kept) > 0) {
        tern_span v = {tern_buf_data(&l->kept), tern_buf_len(&l->kept)};
        ssize_t taken = tern_tcp_write(l->to, &v, 1);
        if (taken <= 0) {
            return;
        }
        tern_buf_consume(&l->kept, (size_t)taken);
    }
    if (there && l->ended && !l->end_sent && tern_buf_len(&l->kept) == 0) {
        l->end_sent = true;
        tern_tcp_shutdown(l->to);
    }
}

static void hang_up(void)
{
    for (size_t i = 0; i < 2; i++) {
        if (w.leg[i] != NULL) {
            tern_tcp_close(w.leg[i], true);
        }
        w.leg[i] = NULL;
        tern_buf_free(&w.lane[i].kept);
        w.lane[i] = (lane){.flip_at = UINT32_MAX};
    }
    w.leg_open = false;
}

static lane *lane_of(const void *owner) /* the direction that this leg's bytes take */
{
    return (lane *)(uintptr_t)owner;
}

static void on_data(void *owner, uint8_t *data, size_t n)
{
    lane *l = lane_of(owner);
    size_t drop = n < l->drop ? n : l->drop;
    l->drop -= (uint32_t)drop;
    data += drop;
    n -= drop;
    if (l->flip_at < n) {
        data[l->flip_at] ^= l->flip_with;
        l->flip_at = UINT32_MAX;
    } else if (l->flip_at != UINT32_MAX) {
        l->flip_at -= (uint32_t)n;
    }
    put(l, data, n);
    if (l->doubled > 0 && n > 0) {
        put(l, data, n < l->doubled ? n : l->doubled);
        l->doubled = 0;
    }
    lane_forward(l);
}

static void on_end(void *owner)
{
    lane *l = lane_of(owner);
    l->ended = true;
    lane_forward(l);
}

/* Room on the leg whose bytes go the other way. */
static void on_writable(void *owner)
{
    lane_forward(lane_of(owner) == &w.lane[TO_B] ? &w.lane[TO_A] : &w.lane[TO_B]);
}

static void on_error(void *owner, int code)
{
    (void)owner;
    (void)code;
    hang_up();
}

static void on_reached(void *owner, int code)
{
    (void)owner;
    w.leg_open = code == 0;
    if (code != 0) {
        hang_up();
        return;
    }
    tern_tcp_read(w.leg[1]);
    tern_tcp_read(w.leg[0]);
    lane_forward(&w.lane[TO_B]);
}

static const tern_tcp_events relay_events = {.on_connected = on_reached,
                                             .on_data = on_data,
                                             .on_end = on_end,
                                             .on_writable = on_writable,
                                             .on_error = on_error};

/* A dials the stranger, who dials B; one at a time. */
static void on_accept(void *owner, tern_tcp *t)
{
    tern_endpoint b = {.family = 4, .ip = {10, 0, 0, 2}, .port = PORT};
    (void)owner;
    hang_up();
    w.leg[0] = t;
    w.lane[TO_B].from = t;
    w.lane[TO_A].to = t;
    tern_tcp_set_owner(t, &relay_events, &w.lane[TO_B]);
    if (tern_tcp_dial(w.middle, &b, NULL, &relay_events, &w.lane[TO_A], &w.leg[1]) != 0) {
        w.leg[1] = NULL;
        hang_up();
        return;
    }
    w.lane[TO_A].from = w.lane[TO_B].to = w.leg[1];
}

static void say(unsigned to, const uint8_t *bytes, size_t n)
{
    put(&w.lane[to], bytes, n);
    w.lane[to].hold = false;
    lane_forward(&w.lane[to]);
}

static void say_frame(unsigned to, unsigned type, unsigned flags, uint32_t id, const uint8_t *body,
                      size_t n)
{
    uint8_t head[TERN_YAMUX_HEADER];
    tern_yamux_header(head, type, flags, id, (uint32_t)n);
    say(to, head, sizeof head);
    if (type == TERN_YAMUX_DATA) {
        say(to, body, n);
    }
}

/* The beginning of a stream for one of the protocols, then bytes of the input. */
static void say_stream(unsigned to, uint8_t what, const uint8_t *bytes, size_t n)
{
    static const char *const ids[] = {"/ipfs/id/1.0.0",
                                      "/ipfs/id/push/1.0.0",
                                      "/ipfs/ping/1.0.0",
                                      "/perf/1.0.0",
                                      "/fuzz/echo/1.0.0",
                                      "/none/1.0.0",
                                      "ls",
                                      ""};
    static const char header[] = "\x13/multistream/1.0.0\n";
    uint8_t body[400];
    const char *id = ids[what & 7];
    size_t len = sizeof header - 1;
    memcpy(body, header, len);
    body[len] = (uint8_t)(strlen(id) + 1);
    memcpy(body + len + 1, id, strlen(id));
    len += 1 + strlen(id);
    body[len++] = '\n';
    if ((what & 8) != 0) {
        body[len++] = (uint8_t)n; /* the length before a message */
    }
    memcpy(body + len, bytes, n);
    len += n;
    uint32_t number = (uint32_t)(what >> 4) * 2 + 101 + (to == TO_B ? 0 : 1);
    unsigned end = (what & 0x80) != 0 ? TERN_YAMUX_FIN : 0;
    say_frame(to, TERN_YAMUX_DATA, TERN_YAMUX_SYN | end, number, body, len);
}

/* ---- what the nodes tell ---- */

static void on_connected(void *owner, tern_node *node, tern_conn *conn)
{
    side *s = owner;
    (void)node;
    s->connected++;
    s->conn = conn;
}

static void on_disconnected(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    side *s = owner;
    (void)node;
    check(why->layer != NULL);
    s->disconnected++;
    if (s->conn == conn) {
        s->conn = NULL;
    }
}

static void on_stopped(void *owner, tern_node *node)
{
    side *s = owner;
    (void)node;
    s->stopped++;
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t n)
{
    (void)owner;
    (void)reports;
    (void)n;
    check((conn != NULL) == (error->code == 0));
    w.answered++;
}

static void ponged(void *owner, uint64_t rtt, const tern_error *error)
{
    (void)owner;
    (void)rtt;
    (void)error;
    w.answered++;
}

static void measured(void *owner, const tern_perf_result *result, const tern_error *error)
{
    (void)owner;
    (void)result;
    (void)error;
    w.answered++;
}

/* ---- echoes ---- */

static size_t echo_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    return tern_stream_write(s, data, n);
}

static void echo_on_room(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_resume(s);
}

static void echo_on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_end(s);
}

static void echo_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)owner;
    (void)s;
    check(why->layer != NULL && w.echoing > 0);
    w.echoing--;
}

static void on_echo(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    static const tern_stream_events events = {echo_on_data, echo_on_end, echo_on_room,
                                              echo_on_closed};
    (void)node;
    (void)conn;
    w.echoing++;
    tern_stream_take(s, &events, ctx);
}

static size_t talk_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    (void)s;
    memset(data, 0xaa, n); /* ours to overwrite */
    return n;
}

static void talk_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    tern_stream **place = owner;
    check(*place == s && why->layer != NULL);
    *place = NULL;
}

static void talk_opened(void *owner, tern_stream *s, const tern_error *error)
{
    static const tern_stream_events events = {.on_data = talk_on_data, .on_closed = talk_on_closed};
    tern_stream **place = owner;
    w.answered++;
    check((s != NULL) == (error->code == 0));
    if (s == NULL) {
        return;
    }
    if (*place != NULL) {
        tern_stream_drop(s); /* another was quicker */
        return;
    }
    *place = s;
    tern_stream_take(s, &events, place);
}

/* ---- acts ---- */

static void dial(unsigned who)
{
    /* B knows A's address too, and no stranger is there */
    static const char *const texts[] = {"/ip4/10.0.0.3/tcp/4001", "/ip4/10.0.0.1/tcp/4001"};
    const char *text = texts[who];
    if (w.side[who].node != NULL &&
        tern_node_dial(w.side[who].node, &text, 1, 0, true, dialled, NULL, NULL) == 0) {
        w.asked++;
    }
}

static void talk(side *s, uint8_t arg)
{
    static const uint8_t block[70000];
    tern_stream **place = &w.streams[arg % STREAMS];
    if (*place != NULL) {
        tern_stream_write(*place, block, arg < 128 ? arg : w.fine ? 300 : sizeof block);
    } else if (s->conn != NULL && tern_node_open(s->node, s->conn, "/fuzz/echo/1.0.0", talk_opened,
                                                 place, NULL) != NULL) {
        w.asked++;
    }
}

static void protocol(side *s)
{
    if (s->extra) {
        tern_node_unhandle(s->node, "/fuzz/more/1.0.0");
    } else {
        check(tern_node_handle(s->node, "/fuzz/more/1.0.0", NULL, on_echo, NULL) == 0);
    }
    s->extra = !s->extra;
}

/* What a node, or the owner of a stream, does. */
static void act(unsigned what, side *s, uint8_t arg)
{
    tern_stream *stream = w.streams[arg % STREAMS];
    tern_peer_id peer;
    uint64_t unit;
    tern_node_peer_id(w.side[s == &w.side[0]].node, &peer);
    switch (what) {
    case WAIT:
        run((uint64_t)arg * arg * TERN_MS);
        break;
    case PING:
        w.asked += s->conn != NULL && tern_node_ping(s->node, s->conn, ponged, NULL) == 0;
        break;
    case TALK:
        talk(s, arg);
        break;
    case PERF:
        unit = w.fine ? 2 : 97;
        w.asked +=
            s->conn != NULL && tern_node_perf(s->node, s->conn, arg * unit, (arg ^ 0x5a) * unit,
                                              NULL, measured, NULL, NULL) == 0;
        break;
    case HALF_CLOSE:
        if (stream != NULL) {
            tern_stream_end(stream);
        }
        break;
    case RESET:
        if (stream != NULL) {
            tern_stream_reset(stream, arg);
        }
        break;
    case STOP:
        if (stream != NULL) {
            tern_stream_stop(stream, arg);
        }
        break;
    case DIAL:
        dial((unsigned)(s - w.side));
        break;
    case CLOSE:
        tern_node_disconnect(s->node, &peer);
        break;
    case PROTOCOL:
        protocol(s);
        break;
    default:
        break;
    }
}

/* What the stranger does; returns how many bytes of the input it has used besides. */
static size_t interfere(unsigned what, unsigned to, uint8_t arg, const uint8_t *more, size_t n)
{
    lane *l = &w.lane[to];
    size_t len = arg < n ? arg : n;
    switch (what) {
    case FLIP:
        l->flip_at = arg;
        l->flip_with = n > 0 ? more[0] | 1 : 1;
        return n > 0;
    case DROP:
        l->drop = arg;
        return 0;
    case DOUBLE:
        l->doubled = (uint32_t)arg + 1;
        return 0;
    case INJECT:
        say(to, more, len);
        return len;
    case FRAME:
        if (n < 3) {
            return 0;
        }
        len = more[2] < n - 3 ? more[2] : n - 3;
        say_frame(to, arg & 3, arg >> 2 & 15, more[0] & 31, more + 3, len);
        return 3 + ((arg & 3) == TERN_YAMUX_DATA ? len : 0);
    case STREAM:
        len = n > 0 && more[0] < n - 1 ? more[0] : n > 0 ? n - 1 : 0;
        say_stream(to, arg, more + (n > 0), len);
        return n > 0 ? 1 + len : 0;
    case CUT:
        if ((arg & 1) != 0) {
            hang_up();
        } else {
            l->ended = true;
            lane_forward(l);
        }
        return 0;
    case HOLD:
        l->hold = true;
        return 0;
    default:
        return 0;
    }
}

/* ---- a session ---- */

static void birth(unsigned who, const char *ip, uint8_t kind, const char *listen)
{
    static const tern_node_events events = {
        .on_connected = on_connected, .on_disconnected = on_disconnected, .on_stopped = on_stopped};
    static const char *const muxers[] = {NULL, "yamux", "yamux", "mplex"};
    static const char *const securities[] = {NULL, NULL, "noise", "tls"};
    side *s = &w.side[who];
    tern_options o;
    tern_options_init(&o);
    o.key = keys[who];
    o.events = &events;
    o.owner = s;
    o.muxer = muxers[kind >> 2 & 3];
    o.security = securities[kind & 3];
    check(tern_sim_host(w.sim, ip, &s->loop) == 0);
    check(tern_node_new_on(s->loop, &o, &s->node, NULL) == 0);
    if ((kind & 3) < 2) {
        s->node->secures[0] = &open_security;
        s->node->secures[1] = NULL;
    }
    check(tern_node_handle(s->node, "/fuzz/echo/1.0.0", NULL, on_echo, NULL) == 0);
    check(tern_node_serve_perf(s->node) == 0);
    check(tern_node_listen(s->node, listen, NULL, 0, NULL) == 0);
}

static void begin(uint8_t kind)
{
    static const size_t reads[] = {0, 0, 1, 7};
    static const size_t buffers[] = {0, 0, 100, 5000};
    const tern_endpoint at = {.family = 4, .ip = {10, 0, 0, 3}, .port = PORT};
    for (size_t i = 0; i < 2; i++) {
        keys[i] = keys[i] != NULL ? keys[i] : sim_fixed_key((uint8_t)i);
        check(keys[i] != NULL);
    }
    memset(&w, 0, sizeof w);
    sim_fixed_random(kind);
    w.fine = kind >> 4 != 0;
    check(tern_sim_new(kind, &w.sim) == 0);
    tern_sim_set_default_link(w.sim, &(tern_sim_link){.tcp_read = reads[kind >> 4 & 3],
                                                      .tcp_buffer = buffers[kind >> 6]});
    check(tern_sim_host(w.sim, "10.0.0.3", &w.middle) == 0);
    check(tern_tcp_listen(w.middle, &at, on_accept, NULL, &w.door) == 0);
    w.lane[TO_A].flip_at = w.lane[TO_B].flip_at = UINT32_MAX;
    birth(0, "10.0.0.1", kind, "/ip4/10.0.0.1/tcp/4001");
    birth(1, "10.0.0.2", kind, "/ip4/10.0.0.2/tcp/4001");
    dial(0);
}

/* Past every deadline; whoever was asked has answered, and nothing is left. */
static void end(void)
{
    for (size_t i = 0; i < STREAMS; i++) {
        if (w.streams[i] != NULL) {
            tern_stream_reset(w.streams[i], 1);
        }
    }
    hang_up();
    run(100 * TERN_SEC);
    tern_node_stop(w.side[0].node);
    tern_node_stop(w.side[1].node);
    run(10 * TERN_SEC);
    check(w.asked == w.answered && w.echoing == 0);
    for (size_t i = 0; i < 2; i++) {
        side *s = &w.side[i];
        check(s->stopped == 1 && s->connected == s->disconnected && s->conn == NULL);
        check(s->node->swarm->pending_count == 0 && s->node->swarm->conn_count == 0);
        tern_node_free(s->node);
    }
    hang_up();
    tern_tcp_listener_close(w.door);
    tern_sim_free(w.sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t alive = 0;
    if (n == 0) {
        return 0;
    }
    if (keys[0] != NULL) {
        alive = tern_mem_alive();
    }
    begin(data[0]);
    size_t at = 1;
    for (unsigned ops = 0; at + 1 < n && ops < OPS_MAX; ops++) {
        unsigned what = (data[at] & 31) % OPS;
        unsigned who = data[at] >> 7;
        uint8_t arg = data[at + 1];
        at += 2;
        if (what < FLIP) {
            act(what, &w.side[who], arg);
        } else {
            at += interfere(what, who, arg, data + at, n - at);
        }
        if ((data[at - 1] & 0x40) == 0) {
            run(0);
        }
    }
    end();
    check(alive == 0 || tern_mem_alive() == alive);
    return 0;
}
