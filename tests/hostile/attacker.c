/* An attacker over real sockets, for tests/hostile/run: from an address of its own it opens
 * connections to a node and misuses them.
 *
 *     attacker ADDRESS_OF_ITS_OWN IP PORT ATTACK COUNT [again]
 *
 *     silent    COUNT sockets that say nothing
 *     idle      COUNT secured yamux sessions, each with an identity of its own, that do nothing
 *     opens     one session: COUNT streams opened, none negotiated
 *     resets    one session: COUNT streams opened and reset at once
 *     pings     one session: COUNT pings, whose answers are not read (with `again` they are)
 *     updates   one session: a stream and COUNT window updates for it
 *     writes    one session: a stream and COUNT KiB of garbage on it
 *     half      COUNT sockets that stop in the middle of the Noise handshake
 *     hello     COUNT sockets that stop in the middle of a TLS ClientHello
 *     request   COUNT sockets that stop in the middle of an HTTP request
 *     web       COUNT sockets that ask over HTTP, and neither read the answer nor leave
 *
 * With `again` whatever the node closes, or is done, is begun anew at once, for as long as the
 * attacker runs.
 *
 * Prints a JSON line when its part is done ("attacking"), and one when the node has closed all of
 * it ("gone"), with the time that the one which stayed longest had from connected to closed; ends
 * with its standard input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/uv.h"
#include "mux/yamux_core.h"
#include "secure/noise.h"
#include "streams/tcp.h"
#include "swarm/negotiate.h"

enum attack {
    SILENT,
    IDLE,
    OPENS,
    RESETS,
    PINGS,
    UPDATES,
    WRITES,
    HALF,
    HELLO,
    REQUEST,
    WEB,
    ATTACKS
};

static const char *const names[ATTACKS] = {"silent", "idle", "opens", "resets",  "pings", "updates",
                                           "writes", "half", "hello", "request", "web"};

/* What a socket says before it falls silent, of the attacks that are no more than that. */
static tern_span first_words(enum attack attack)
{
    static const uint8_t hello[] = {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3};
    static const char request[] = "GET / HTTP/1.1\r\nHost: ";
    static const char whole[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    switch (attack) {
    case HELLO:
        return (tern_span){hello, sizeof hello};
    case REQUEST:
        return (tern_span){(const uint8_t *)request, sizeof request - 1};
    case WEB:
        return (tern_span){(const uint8_t *)whole, sizeof whole - 1};
    default:
        return (tern_span){NULL, 0};
    }
}

static bool only_words(enum attack attack)
{
    return attack == SILENT || attack == HELLO || attack == REQUEST || attack == WEB;
}

typedef struct attacker attacker;

typedef struct victim { /* one connection */
    attacker *a;
    tern_net net;
    tern_tcp_dial_op dial;
    tern_negotiation negotiation;
    tern_secure_op secure;
    tern_stream *s;
    uint64_t connected;        /* loop time */
    long sent;                 /* of the attack's acts */
    bool ready, gone, refused; /* refused: the dial failed at once */
} victim;

struct attacker {
    tern_loop *loop;
    enum attack attack;
    long count, made, ready, gone, again;
    uint64_t longest; /* from connected to closed */
    bool forever;     /* what is gone is begun again */
    tern_endpoint from, to;
    victim *victims;
    bool told, ended;
};

static void connect_next(attacker *a);
static void connect_to(victim *v);

static void say(attacker *a, const char *event)
{
    printf("{\"event\":\"%s\",\"ready\":%ld,\"gone\":%ld,\"longest_ms\":%.1f}\n", event, a->ready,
           a->gone, (double)a->longest / TERN_MS);
    fflush(stdout);
}

/* So many of them count as the attack's connections. */
static long wanted(const attacker *a)
{
    return only_words(a->attack) || a->attack == IDLE || a->attack == HALF ? a->count : 1;
}

static void check(attacker *a)
{
    if (!a->told && a->ready + a->gone + a->again >= wanted(a)) {
        a->told = true;
        say(a, "attacking");
    }
    if (a->told && a->gone >= a->made && a->made >= wanted(a) && !a->ended) {
        a->ended = true;
        say(a, "gone");
    }
}

static void lost(victim *v)
{
    attacker *a = v->a;
    if (v->gone) {
        return;
    }
    uint64_t stayed = v->connected != 0 ? tern_loop_now(a->loop) - v->connected : 0;
    a->longest = stayed > a->longest ? stayed : a->longest;
    a->ready -= v->ready;
    v->s = NULL;
    v->gone = true;
    if (a->forever && !v->refused) {
        a->again++;
        check(a);
        connect_to(v);
        return;
    }
    a->gone++;
    check(a);
    connect_next(a);
}

static void ready(victim *v)
{
    v->ready = true;
    v->a->ready++;
    check(v->a);
    connect_next(v->a);
}

/* ---- what is done with a session ---- */

static size_t put_act(attacker *a, long i, uint8_t *out)
{
    uint32_t id = (uint32_t)(2 * i + 1);
    switch (a->attack) {
    case OPENS:
        tern_yamux_header(out, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, id, 0);
        return TERN_YAMUX_HEADER;
    case RESETS:
        tern_yamux_header(out, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, id, 0);
        tern_yamux_header(out + TERN_YAMUX_HEADER, TERN_YAMUX_UPDATE, TERN_YAMUX_RST, id, 0);
        return 2 * TERN_YAMUX_HEADER;
    case PINGS:
        tern_yamux_header(out, TERN_YAMUX_PING, TERN_YAMUX_SYN, 0, (uint32_t)i);
        return TERN_YAMUX_HEADER;
    case UPDATES:
        tern_yamux_header(out, TERN_YAMUX_UPDATE, i == 0 ? TERN_YAMUX_SYN : 0, 1, i == 0 ? 0 : 1);
        return TERN_YAMUX_HEADER;
    case WRITES:
        tern_yamux_header(out, TERN_YAMUX_DATA, i == 0 ? TERN_YAMUX_SYN : 0, 1, 1024);
        memset(out + TERN_YAMUX_HEADER, 'x', 1024);
        return TERN_YAMUX_HEADER + 1024;
    default:
        return 0;
    }
}

static void act(victim *v)
{
    uint8_t bytes[2048];
    attacker *a = v->a;
    while (v->s != NULL && v->sent < a->count) {
        size_t n = put_act(a, v->sent, bytes);
        if (n == 0 || tern_stream_room(v->s) < n) {
            if (n > 0) {
                tern_stream_write(v->s, bytes, 0);
                v->s->short_write = 1; /* wants to hear of room */
            }
            break;
        }
        tern_stream_write(v->s, bytes, n);
        v->sent++;
    }
    if (!v->ready && (v->sent >= a->count || wanted(a) > 1)) {
        ready(v);
        if (a->forever && wanted(a) == 1) {
            tern_stream_reset(v->s, 0); /* lost and begun again */
        }
    }
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)s;
    (void)data;
    victim *v = owner;
    if (v->a->attack == WEB) { /* the answer has begun: the next one may ask */
        if (!v->ready) {
            ready(v);
        }
        return 0;
    }
    return v->a->attack == PINGS && !v->a->forever ? 0 : n;
}

static void on_room(void *owner, tern_stream *s)
{
    (void)s;
    act(owner);
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    lost(owner);
}

static void on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_end(s);
}

static const tern_stream_events events = {
    .on_data = on_data, .on_room = on_room, .on_end = on_end, .on_closed = on_closed};

/* ---- getting there ---- */

static void secured(tern_op *op, const tern_error *error)
{
    victim *v = TERN_CONTAINER(op, victim, secure.op);
    if (error->code != 0) {
        lost(v);
        return;
    }
    tern_key_unref(v->secure.key);
    tern_buf_free(&v->secure.peer_certhashes);
    v->s = v->secure.stream;
    tern_stream_take(v->s, &events, v);
    act(v);
}

static void agreed(tern_op *op, const tern_error *error)
{
    static const char *const muxers[] = {"/yamux/1.0.0", NULL};
    victim *v = TERN_CONTAINER(op, victim, negotiation.op);
    if (error->code != 0) {
        lost(v);
        return;
    }
    v->secure = (tern_secure_op){
        .net = &v->net, .lower = v->dial.stream, .initiator = true, .muxers = muxers};
    tern_op_init(&v->secure.op, v->a->loop, TERN_NEVER, secured);
    if (v->a->attack == HALF) { /* a first message that never comes whole */
        v->s = v->dial.stream;
        tern_stream_take(v->s, &events, v);
        tern_stream_write(v->s, "\0\x20half", 6);
        ready(v);
    } else if (tern_noise.begin(&v->secure) == 0) {
        tern_noise.attach(&v->secure);
    }
}

static void negotiation_lost(tern_negotiation *n, const tern_error *why)
{
    (void)why;
    lost(TERN_CONTAINER(n, victim, negotiation));
}

static void connected(tern_op *op, const tern_error *error)
{
    static const char *const ids[] = {"/noise", NULL};
    victim *v = TERN_CONTAINER(op, victim, dial.op);
    if (error->code != 0) {
        lost(v);
        return;
    }
    v->connected = tern_loop_now(v->a->loop);
    if (only_words(v->a->attack)) {
        tern_span words = first_words(v->a->attack);
        v->s = v->dial.stream;
        tern_stream_take(v->s, &events, v);
        if (words.len > 0) {
            tern_stream_write(v->s, words.data, words.len);
        }
        if (v->a->attack != WEB) {
            ready(v);
        }
        return;
    }
    v->negotiation = (tern_negotiation){.net = &v->net,
                                        .stream = v->dial.stream,
                                        .initiator = true,
                                        .ids = ids,
                                        .lost = negotiation_lost};
    tern_op_init(&v->negotiation.op, v->a->loop, TERN_NEVER, agreed);
    tern_negotiate(&v->negotiation);
}

static void connect_to(victim *v)
{
    tern_error error;
    attacker *a = v->a;
    v->ready = v->gone = false;
    v->sent = 0;
    v->connected = 0;
    v->dial = (tern_tcp_dial_op){
        .to = a->to, .from = a->from, .write_queue = 1 << 20, .stall = 600 * TERN_SEC};
    tern_op_init(&v->dial.op, a->loop, TERN_NEVER, connected);
    if (tern_tcp_stream_dial(&v->dial, &error) != 0) {
        v->refused = true;
        lost(v);
    }
}

static void connect_next(attacker *a)
{
    if (a->made >= wanted(a)) {
        return;
    }
    victim *v = &a->victims[a->made++];
    v->a = a;
    tern_net_init(&v->net);
    v->net.loop = a->loop;
    if (tern_key_generate(TERN_KEY_ED25519, &v->net.key) != 0) {
        exit(1);
    }
    connect_to(v);
}

static void on_line(void *arg, char *line, size_t n)
{
    (void)arg;
    (void)n;
    if (line == NULL) {
        exit(0);
    }
}

int main(int argc, char **argv)
{
    attacker a = {.attack = ATTACKS};
    a.forever = argc == 7 && strcmp(argv[6], "again") == 0;
    for (size_t i = 0; argc == 6 + a.forever && i < ATTACKS; i++) {
        a.attack = strcmp(argv[4], names[i]) == 0 ? (enum attack)i : a.attack;
    }
    if (a.attack == ATTACKS || tern_endpoint_parse_ip(&a.from, argv[1]) != 0 ||
        tern_endpoint_parse_ip(&a.to, argv[2]) != 0) {
        fprintf(stderr, "usage: attacker OWN_IP IP PORT ATTACK COUNT [again]\n");
        return 2;
    }
    a.to.port = (uint16_t)strtoul(argv[3], NULL, 10);
    a.count = strtol(argv[5], NULL, 10);
    a.victims = calloc((size_t)wanted(&a), sizeof *a.victims);
    if (a.victims == NULL || a.count < 1 || tern_loop_new_uv(NULL, &a.loop) != 0 ||
        tern_loop_on_stdin(a.loop, on_line, &a) != 0) {
        return 1;
    }
    connect_next(&a);
    tern_loop_run(a.loop);
    return 0;
}
