/* A storm over whole nodes: see storm.h. */
#include "sim/storm.h"

#include <stdio.h>
#include <stdlib.h>

#include <tern/perf.h>

#include "sim/fixed.h"
#include "sim/nodes.h"

#define ECHO_ID "/storm/echo/1.0.0"

enum {
    NODES = 4,
    KEYS = NODES,
    STEPS = 40,      /* acts of the workload */
    BIRTHS_MAX = 12, /* nodes of one storm, those that came back counted */
    TALKS_MAX = 64,  /* streams that ask for an echo */
    ASKS_MAX = 128,  /* dials, pings and perfs */
    BLOCK = 4096,
    EVENTS_MAX = 4000000,
};

typedef struct storm storm;

/* One asking side of an echo. */
typedef struct talk {
    storm *s;
    tern_stream *stream; /* NULL once closed */
    uint8_t tag;         /* the bytes depend on it */
    uint32_t total, sent, got;
    uint32_t leave_at; /* bytes sent when it does `leave` */
    enum { STAY, RESET, STOP, DROP, DEAF } leave;
    bool left, ended, refuse;
    unsigned opened, closed;
    int code;
} talk;

/* A dial, a ping or a perf. */
typedef struct ask {
    storm *s;
    uint64_t up, down;
    uint64_t *ok;
    unsigned done;
    bool asked;
} ask;

struct storm {
    sim_nodes w;
    uint64_t random;
    sim_storm_tally *tally;
    sim_node *nodes[NODES]; /* who lives at each address now */
    tern_options options[NODES];
    bool wild[NODES]; /* listens for WebSocket too, and is dialled there */
    char ws[NODES][256];
    bool cut[NODES][NODES];
    tern_sim_link link;
    talk talks[TALKS_MAX];
    ask asks[ASKS_MAX];
    size_t talk_count, ask_count, births;
    size_t echoing; /* answering sides alive */
};

static tern_key *keys[KEYS]; /* made once a process: the storm is not about key generation */

void sim_storm_free_keys(void)
{
    for (size_t i = 0; i < KEYS; i++) {
        tern_key_unref(keys[i]);
        keys[i] = NULL;
    }
}

static uint64_t draw(storm *s, uint64_t below)
{
    uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

static bool chance(storm *s, unsigned percent)
{
    return draw(s, 100) < percent;
}

static uint8_t byte_at(uint8_t tag, uint32_t at)
{
    return (uint8_t)(tag + at * 7 + (at >> 8) * 13 + (at >> 16));
}

/* ---- the answering side of an echo ---- */

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
    storm *st = owner;
    (void)s;
    assert_non_null(why->layer);
    assert_true(st->echoing > 0);
    st->echoing--;
}

static void on_echo(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    static const tern_stream_events events = {.on_data = echo_on_data,
                                              .on_end = echo_on_end,
                                              .on_room = echo_on_room,
                                              .on_closed = echo_on_closed};
    storm *st = ctx;
    (void)node;
    (void)conn;
    st->echoing++;
    tern_stream_take(s, &events, st);
}

/* ---- the asking side ---- */

/* Leaves in the way that was drawn for it, once; whether the stream may still be written. */
static bool leave(talk *t)
{
    if (t->left || t->leave == STAY || t->sent < t->leave_at) {
        return true;
    }
    t->left = true;
    switch (t->leave) {
    case RESET:
        tern_stream_reset(t->stream, 7);
        return false;
    case STOP:
        tern_stream_stop(t->stream, 7);
        return true;
    case DEAF:
        t->refuse = true;
        return true;
    case DROP:
    case STAY:
        break;
    }
    return true;
}

static void talk_on(talk *t)
{
    uint8_t block[BLOCK];
    while (t->stream != NULL && t->sent < t->total && leave(t)) {
        uint32_t n = t->total - t->sent < BLOCK ? t->total - t->sent : BLOCK;
        for (uint32_t i = 0; i < n; i++) {
            block[i] = byte_at(t->tag, t->sent + i);
        }
        size_t taken = tern_stream_write(t->stream, block, n);
        t->sent += (uint32_t)taken;
        if (taken < n) {
            return;
        }
    }
    if (t->stream != NULL && t->sent == t->total) {
        tern_stream_end(t->stream);
    }
}

static size_t talk_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    talk *t = owner;
    assert_ptr_equal(t->stream, s);
    assert_int_equal(t->closed, 0);
    assert_false(t->ended);
    if (t->refuse) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (data[i] != byte_at(t->tag, t->got + (uint32_t)i)) {
            fail_msg("byte %zu of a stream is wrong", t->got + i);
        }
    }
    t->got += (uint32_t)n;
    assert_true(t->got <= t->sent);
    t->s->tally->bytes += n;
    return n;
}

static void talk_on_end(void *owner, tern_stream *s)
{
    talk *t = owner;
    assert_ptr_equal(t->stream, s);
    assert_false(t->ended);
    t->ended = true;
}

static void talk_on_room(void *owner, tern_stream *s)
{
    (void)s;
    talk_on(owner);
}

static void talk_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    talk *t = owner;
    assert_ptr_equal(t->stream, s);
    assert_non_null(why->layer);
    t->closed++;
    t->code = why->code;
    t->stream = NULL;
}

static void talk_opened(void *owner, tern_stream *stream, const tern_error *error)
{
    static const tern_stream_events events = {.on_data = talk_on_data,
                                              .on_end = talk_on_end,
                                              .on_room = talk_on_room,
                                              .on_closed = talk_on_closed};
    talk *t = owner;
    t->opened++;
    assert_true((stream != NULL) == (error->code == 0));
    t->stream = stream;
    if (stream == NULL) {
        t->closed++;
        t->code = error->code;
        return;
    }
    tern_stream_take(stream, &events, t);
    if (t->leave == DROP) {
        t->left = true;
        t->stream = NULL;
        t->closed++;
        tern_stream_drop(stream);
        return;
    }
    talk_on(t);
}

static void start_talk(storm *s, sim_node *n, tern_conn *conn)
{
    static const uint32_t sizes[] = {0, 1, 100, 5000, 70000, 400000};
    tern_error error;
    if (s->talk_count == TALKS_MAX) {
        return;
    }
    talk *t = &s->talks[s->talk_count++];
    bool bytewise = s->link.tcp_read > 0 || s->link.rate > 0;
    *t = (talk){.s = s, .tag = (uint8_t)draw(s, 256)};
    t->total = sizes[draw(s, bytewise ? 4 : 6)];
    t->leave_at = (uint32_t)draw(s, t->total + 1);
    t->leave = chance(s, 60) ? STAY : 1 + (unsigned)draw(s, 4);
    s->tally->echoes++;
    if (tern_node_open(n->node, conn, ECHO_ID, talk_opened, t, &error) == NULL) {
        assert_true(error.code != 0);
        t->opened = t->closed = 1;
        t->code = error.code;
    }
}

/* Those that had stopped reading go on; the paths that only resume knows are walked too. */
static void resume_talks(storm *s)
{
    for (size_t i = 0; i < s->talk_count; i++) {
        talk *t = &s->talks[i];
        if (t->refuse && t->stream != NULL) {
            t->refuse = false;
            tern_stream_resume(t->stream);
        }
    }
}

/* ---- other questions ---- */

static ask *new_ask(storm *s, uint64_t *ok)
{
    ask *a = &s->asks[s->ask_count++];
    *a = (ask){.s = s, .ok = ok, .asked = true};
    return a;
}

static void answered(ask *a, int code)
{
    a->done++;
    assert_int_equal(a->done, 1);
    if (code == 0) {
        ++*a->ok;
    }
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    (void)reports;
    (void)report_count;
    assert_true((conn != NULL) == (error->code == 0));
    answered(owner, error->code);
}

static void ponged(void *owner, uint64_t rtt, const tern_error *error)
{
    (void)rtt;
    answered(owner, error->code);
}

static void measured(void *owner, const tern_perf_result *result, const tern_error *error)
{
    ask *a = owner;
    if (error->code == 0) {
        assert_int_equal(result->sent, a->up);
        assert_int_equal(result->received, a->down);
    }
    assert_true(result->sent <= a->up && result->received <= a->down);
    answered(a, error->code);
}

static void start_dial(storm *s, size_t from, size_t to)
{
    const char *texts[2] = {s->nodes[to]->addr, s->ws[to]};
    size_t first = s->wild[to] ? draw(s, 2) : 0;
    size_t count = s->wild[to] && first == 0 && chance(s, 50) ? 2 : 1;
    s->tally->dials++;
    ask *a = new_ask(s, &s->tally->dials_ok);
    a->asked = tern_node_dial(s->nodes[from]->node, texts + first, count, 0, chance(s, 30), dialled,
                              a, NULL) == 0;
}

static void start_ping(storm *s, sim_node *n, tern_conn *conn)
{
    s->tally->pings++;
    ask *a = new_ask(s, &s->tally->pings_ok);
    a->asked = tern_node_ping(n->node, conn, ponged, a) == 0;
}

static void start_perf(storm *s, sim_node *n, tern_conn *conn)
{
    bool bytewise = s->link.tcp_read > 0 || s->link.rate > 0;
    ask *a = new_ask(s, &s->tally->perfs_ok);
    a->up = draw(s, bytewise ? 2000 : 300000);
    a->down = draw(s, bytewise ? 2000 : 300000);
    s->tally->perfs++;
    a->asked = tern_node_perf(n->node, conn, a->up, a->down, NULL, measured, a, NULL) == 0;
}

/* ---- the world's part ---- */

static void draw_link(storm *s)
{
    static const uint64_t delays[] = {0, 1, 20, 150, 700, 2000};
    static const uint64_t rates[] = {0, 0, 0, 20 << 10, 1 << 20};
    static const size_t buffers[] = {0, 0, 1, 700, 20000};
    static const size_t reads[] = {0, 0, 0, 1, 3, 1000};
    s->link.delay = delays[draw(s, 6)] * TERN_MS;
    s->link.jitter = chance(s, 50) ? draw(s, 200) * TERN_MS : 0;
    s->link.loss = chance(s, 60) ? (double)draw(s, 31) / 100 : 0;
    s->link.duplicate = chance(s, 30) ? 0.1 : 0;
    s->link.rate = rates[draw(s, 5)];
    s->link.tcp_read = reads[draw(s, 6)];
    s->link.tcp_buffer = buffers[draw(s, 5)];
    if (s->link.tcp_buffer == 1) { /* a round trip for each byte: only where one takes no time */
        s->link.delay = s->link.jitter = 0;
        s->link.loss = 0;
        s->link.tcp_read = 1;
    }
}

static void set_links(storm *s)
{
    for (size_t i = 0; i < NODES; i++) {
        for (size_t k = 0; k < i; k++) {
            tern_sim_link link = s->link;
            link.down = s->cut[i][k];
            assert_int_equal(
                tern_sim_set_link(s->w.sim, s->nodes[i]->host, s->nodes[k]->host, &link), 0);
        }
    }
}

static void birth(storm *s, size_t i)
{
    char ip[32], text[64];
    snprintf(ip, sizeof ip, "10.0.0.%zu", i + 1);
    s->births++;
    sim_node *n = s->nodes[i] = sim_nodes_add(&s->w, ip, &s->options[i]);
    assert_int_equal(tern_node_handle(n->node, ECHO_ID, NULL, on_echo, s), 0);
    assert_int_equal(tern_node_serve_perf(n->node), 0);
    if (s->wild[i]) {
        snprintf(text, sizeof text, "/ip4/%s/tcp/%d/ws", ip, SIM_NODE_PORT);
        assert_int_equal(tern_node_listen(n->node, text, s->ws[i], sizeof s->ws[i], NULL), 0);
    }
}

static void begin(storm *s)
{
    static const char *const secures[] = {NULL, NULL, "noise", "tls"};
    static const char *const muxers[] = {NULL, NULL, "yamux", "mplex"};
    for (size_t i = 0; i < NODES; i++) {
        tern_options *o = &s->options[i];
        tern_options_init(o);
        o->key = keys[i];
        o->security = secures[draw(s, 4)];
        o->muxer = muxers[draw(s, 4)];
        o->max_write_queue = chance(s, 30) ? 5000 : 0;
        s->wild[i] = chance(s, 40);
        birth(s, i);
    }
    set_links(s);
}

static void cut_or_heal(storm *s)
{
    size_t i = draw(s, NODES), k = draw(s, NODES);
    if (i == k) {
        return;
    }
    bool cut = chance(s, 60);
    for (size_t tries = 0; !cut && !s->cut[i][k] && tries < NODES * NODES; tries++) {
        i = (i + 1) % NODES; /* one that is cut, if there is any */
        k = i == 0 ? (k + 1) % NODES : k;
    }
    if (s->cut[i][k] == cut) {
        return;
    }
    s->cut[i][k] = s->cut[k][i] = cut;
    s->tally->cuts += cut;
    s->tally->heals += !cut;
    set_links(s);
}

/* A machine vanishes without a word, and another one comes in its place. */
static void vanish(storm *s)
{
    if (s->births == BIRTHS_MAX) {
        return;
    }
    size_t i = draw(s, NODES);
    sim_node_vanish(s->nodes[i]);
    s->tally->vanished++;
    birth(s, i);
    set_links(s);
}

static void jump(storm *s)
{
    static const uint64_t walls[] = {UINT64_C(1600000000), UINT64_C(1735689600),
                                     UINT64_C(1893456000)};
    tern_sim_set_wall(s->w.sim, walls[draw(s, 3)] * TERN_SEC + draw(s, TERN_SEC));
    s->tally->jumps++;
}

static void act(storm *s)
{
    size_t i = draw(s, NODES), k = draw(s, NODES);
    sim_node *n = s->nodes[i];
    uint64_t what = draw(s, 100);
    if (s->ask_count >= ASKS_MAX - 1) {
        return;
    }
    if (what < 30 || n->conn == NULL) {
        start_dial(s, i, k);
    } else if (what < 45) {
        start_ping(s, n, n->conn);
    } else if (what < 72) {
        start_talk(s, n, n->conn);
    } else if (what < 80) {
        start_perf(s, n, n->conn);
    } else if (what < 84) {
        tern_node_disconnect(n->node, &s->nodes[k]->id);
    } else if (what < 91) {
        cut_or_heal(s);
    } else if (what < 94) {
        vanish(s);
    } else if (what < 96) {
        jump(s);
    } else {
        resume_talks(s);
    }
}

static void let_time_pass(storm *s)
{
    static const uint64_t times[] = {0, 1, 50, 500, 3000, 12000};
    uint64_t time = times[draw(s, 6)] * TERN_MS;
    sim_nodes_run(&s->w, time > 0 ? draw(s, time) : 0);
}

/* ---- what must hold ---- */

static void check_talks(const storm *s)
{
    for (size_t i = 0; i < s->talk_count; i++) {
        const talk *t = &s->talks[i];
        assert_int_equal(t->opened, 1);
        assert_int_equal(t->closed, 1);
        assert_null(t->stream);
        if (t->code == 0 && !t->left) {
            assert_true(t->ended);
            assert_int_equal(t->sent, t->total);
            assert_int_equal(t->got, t->total);
            s->tally->echoes_ok++;
        }
    }
}

static void check_asks(const storm *s)
{
    for (size_t i = 0; i < s->ask_count; i++) {
        assert_int_equal(s->asks[i].done, s->asks[i].asked);
    }
}

static void check_node(sim_node *n)
{
    const tern_counters *c = sim_counters(n);
    assert_int_equal(n->node->swarm->pending_count, 0);
    assert_int_equal(n->node->swarm->conn_count, 0);
    assert_int_equal(c->conns_opened, c->conns_closed);
    assert_int_equal(c->conns_opened, n->connected);
    assert_true(c->upgrades >= c->conns_opened);
}

/* Every connection is closed; then time goes by until all deadlines are past. */
static void calm(storm *s)
{
    for (size_t i = 0; i < NODES; i++) {
        for (size_t k = 0; k < NODES; k++) {
            tern_node_disconnect(s->nodes[i]->node, &s->nodes[k]->id);
        }
    }
    sim_nodes_run(&s->w, 200 * TERN_SEC);
    for (size_t i = 0; i < NODES; i++) {
        for (size_t k = 0; k < NODES; k++) { /* dials that were under way then */
            tern_node_disconnect(s->nodes[i]->node, &s->nodes[k]->id);
        }
    }
    sim_nodes_run(&s->w, 200 * TERN_SEC);
}

/* Dials and pings until an answer comes: what is left of a peer that vanished is found dead by the
 * first who uses it, one connection at a time. */
static void reach(sim_node *from, sim_node *to)
{
    enum { TRIES = 10 };
    int code = TERN_E_TIMEOUT;
    for (unsigned i = 0; i < TRIES && code != 0; i++) {
        sim_dial d;
        sim_ping p;
        sim_nodes_dial_one(from, to->addr, &d);
        code = d.error.code;
        if (code == TERN_E_NEGOTIATION) {
            return; /* they have no security or muxer in common */
        }
        if (code == 0) {
            sim_nodes_ping(from, d.conn, &p);
            code = p.error.code;
        }
    }
    assert_int_equal(code, 0);
}

/* In a world at rest all of them answer. */
static void check_recovery(storm *s)
{
    s->link = (tern_sim_link){.delay = TERN_MS};
    memset(s->cut, 0, sizeof s->cut);
    set_links(s);
    tern_sim_set_wall(s->w.sim, UINT64_C(1735689600) * TERN_SEC);
    sim_nodes_run(&s->w, 200 * TERN_SEC);
    for (size_t i = 0; i < NODES; i++) {
        reach(s->nodes[i], s->nodes[(i + 1) % NODES]);
    }
}

void sim_storm(uint64_t seed, sim_storm_tally *tally)
{
    storm *s = calloc(1, sizeof *s); /* not counted */
    assert_non_null(s);
    s->random = seed;
    s->tally = tally;
    for (size_t i = 0; i < KEYS; i++) {
        keys[i] = keys[i] != NULL ? keys[i] : sim_fixed_key((uint8_t)i);
        assert_non_null(keys[i]);
    }
    sim_fixed_random(seed);
    draw_link(s);
    sim_nodes_init_seeded(&s->w, seed, &s->link);
    begin(s);
    for (unsigned step = 0; step < STEPS; step++) {
        act(s);
        let_time_pass(s);
    }
    if (chance(s, 50)) {
        check_recovery(s);
    }
    resume_talks(s);
    calm(s);
    check_talks(s);
    check_asks(s);
    assert_int_equal(s->echoing, 0);
    for (size_t i = 0; i < NODES; i++) {
        check_node(s->nodes[i]);
    }
    tern_sim_stats stats = tern_sim_get_stats(s->w.sim);
    assert_true(stats.events < EVENTS_MAX);
    tally->events += stats.events;
    tally->lost += stats.lost;
    sim_nodes_clear(&s->w);
    free(s);
}
