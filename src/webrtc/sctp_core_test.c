/* SCTP between two cores over a link of the test's own: virtual time, loss, reordering, duplicates;
 * every byte arrives, in order, in bounded time. And packets that break the rules. In
 * one file: every test works with the same link and its two ends. */
#include "webrtc/sctp_core.h"

#include <stdio.h>

#include "base/crc32c.h"
#include "base/test.h"

#define MS  UINT64_C(1000000)
#define SEC UINT64_C(1000000000)

enum { STREAMS = 8, QUEUE = 1 << 15 };

typedef struct packet {
    uint64_t at;
    uint8_t to;
    uint16_t n;
    uint8_t data[TERN_SCTP_PACKET];
} packet;

typedef struct side {
    struct world *w;
    tern_sctp s;
    tern_sctp_stream streams[STREAMS];
    uint64_t to_send[STREAMS], sent[STREAMS], got[STREAMS], messages[STREAMS];
    bool inside[STREAMS], hoard;
    size_t hoarded;
    unsigned up, down, resets, reset_done, rooms, faults[3];
    tern_error why;
} side;

typedef struct world {
    side side[2];
    packet *queue;
    size_t count;
    uint64_t now, delay, jitter;
    unsigned loss, duplicate; /* of 1000 */
    uint32_t seed;
    uint64_t packets;
} world;

static uint32_t random_of(world *w)
{
    w->seed = w->seed * 1664525 + 1013904223;
    return w->seed >> 8;
}

static uint8_t byte_at(uint16_t sid, uint64_t i)
{
    return (uint8_t)(sid * 31 + i * 7 + (i >> 8));
}

static void on_up(void *owner)
{
    ((side *)owner)->up++;
}

static void on_data(void *owner, uint16_t sid, uint32_t ppid, uint8_t *data, size_t n, bool first,
                    bool last)
{
    side *s = owner;
    assert_true(sid < STREAMS);
    assert_int_equal(ppid, 53);
    assert_int_equal(first, !s->inside[sid]);
    s->inside[sid] = !last;
    s->messages[sid] += last;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(data[i], byte_at(sid, s->got[sid] + i));
    }
    s->got[sid] += n;
    if (s->hoard) {
        s->hoarded += n;
    } else {
        tern_sctp_consumed(&s->s, n);
    }
}

static void on_room(void *owner, uint16_t sid)
{
    ((side *)owner)->rooms += sid < STREAMS;
}

static void on_reset(void *owner, uint16_t sid)
{
    ((side *)owner)->resets += sid < STREAMS;
}

static void on_reset_done(void *owner, uint16_t sid)
{
    ((side *)owner)->reset_done += sid < STREAMS;
}

static void on_fault(void *owner, tern_sctp_fault fault)
{
    ((side *)owner)->faults[fault]++;
}

static void on_down(void *owner, const tern_error *why)
{
    side *s = owner;
    assert_int_equal(s->down++, 0);
    s->why = *why;
}

static const tern_sctp_events events = {.on_up = on_up,
                                        .on_data = on_data,
                                        .on_room = on_room,
                                        .on_reset = on_reset,
                                        .on_reset_done = on_reset_done,
                                        .on_fault = on_fault,
                                        .on_down = on_down};

static void make(world *w, uint64_t delay)
{
    memset(w, 0, sizeof *w);
    w->queue = test_malloc(QUEUE * sizeof(packet));
    w->delay = delay;
    w->seed = 1;
    for (unsigned i = 0; i < 2; i++) {
        side *s = &w->side[i];
        /* TSNs that wrap on the way. */
        const uint8_t random[8] = {1, 2, 3, (uint8_t)i, 0xff, 0xff, 0xff, 0xf0};
        s->w = w;
        tern_sctp_init(&s->s, &events, s, random);
        for (uint16_t k = 0; k < STREAMS; k++) {
            tern_sctp_stream_init(&s->streams[k], k);
        }
    }
}

static void clear(world *w)
{
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned k = 0; k < STREAMS; k++) {
            w->side[i].streams[k].inside = false;
            tern_sctp_stream_clear(&w->side[i].s, &w->side[i].streams[k]);
        }
        tern_sctp_free(&w->side[i].s);
    }
    test_free(w->queue);
}

static void put(world *w, unsigned to, const uint8_t *data, size_t n)
{
    if (random_of(w) % 1000 < w->loss) {
        return;
    }
    assert_true(w->count < QUEUE);
    packet *p = &w->queue[w->count++];
    p->at = w->now + w->delay + (w->jitter > 0 ? random_of(w) % w->jitter : 0);
    p->to = (uint8_t)to;
    p->n = (uint16_t)n;
    memcpy(p->data, data, n);
}

/* Messages of up to 16 KiB, as far as half a window of them waits. */
static void write_more(side *s)
{
    uint8_t message[16384];
    for (uint16_t k = 0; k < STREAMS; k++) {
        while (s->sent[k] < s->to_send[k] && s->streams[k].queued < 32768) {
            uint64_t left = s->to_send[k] - s->sent[k];
            size_t n = 1 + random_of(s->w) % sizeof message;
            n = n < left ? n : (size_t)left;
            for (size_t i = 0; i < n; i++) {
                message[i] = byte_at(k, s->sent[k] + i);
            }
            const tern_span v[] = {{message, n / 3}, {message + n / 3, n - n / 3}};
            assert_int_equal(tern_sctp_send(&s->s, &s->streams[k], 53, v, 2, n % 3 ? 0 : 20), 0);
            s->sent[k] += n;
        }
    }
}

static void flush(world *w, unsigned i)
{
    uint8_t out[TERN_SCTP_PACKET];
    size_t n;
    write_more(&w->side[i]);
    while ((n = tern_sctp_output(&w->side[i].s, w->now, out)) > 0) {
        w->packets++;
        assert_true(n <= sizeof out);
        put(w, 1 - i, out, n);
        if (random_of(w) % 1000 < w->duplicate) {
            put(w, 1 - i, out, n);
        }
        write_more(&w->side[i]);
    }
}

/* The next event; false when there is none before `until`. */
static bool step(world *w, uint64_t until)
{
    size_t first = w->count;
    uint64_t at = UINT64_MAX;
    for (size_t i = 0; i < w->count; i++) {
        if (w->queue[i].at < at) {
            at = w->queue[i].at;
            first = i;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        uint64_t d = tern_sctp_deadline(&w->side[i].s);
        if (d < at) {
            at = d;
            first = w->count;
        }
    }
    if (at > until) {
        w->now = until;
        return false;
    }
    w->now = at > w->now ? at : w->now;
    if (first < w->count) {
        packet p = w->queue[first];
        memmove(&w->queue[first], &w->queue[first + 1], (w->count - first - 1) * sizeof p);
        w->count--;
        uint8_t *exact = test_malloc(p.n);
        memcpy(exact, p.data, p.n);
        tern_sctp_input(&w->side[p.to].s, w->now, exact, p.n);
        test_free(exact);
    }
    for (unsigned i = 0; i < 2; i++) {
        tern_sctp_tick(&w->side[i].s, w->now);
        flush(w, i);
    }
    return true;
}

static void run(world *w, uint64_t time)
{
    uint64_t until = w->now + time;
    flush(w, 0);
    flush(w, 1);
    while (step(w, until)) {
    }
}

static void start(world *w)
{
    tern_sctp_start(&w->side[0].s, w->now);
    tern_sctp_start(&w->side[1].s, w->now);
}

static bool all_there(const world *w)
{
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned k = 0; k < STREAMS; k++) {
            if (w->side[1 - i].got[k] < w->side[i].to_send[k]) {
                return false;
            }
        }
    }
    return true;
}

static uint64_t run_until_there(world *w, uint64_t most)
{
    uint64_t begin = w->now;
    flush(w, 0);
    flush(w, 1);
    while (!all_there(w)) {
        assert_true(step(w, begin + most));
    }
    return w->now - begin;
}

static void a_round_trip_and_a_half(void **state)
{
    (void)state;
    world w;
    make(&w, 50 * MS);
    w.side[0].to_send[1] = 100; /* travels with the cookie */
    start(&w);
    assert_int_equal(run_until_there(&w, SEC), 150 * MS);
    run(&w, SEC);
    assert_int_equal(w.side[0].up, 1);
    assert_int_equal(w.side[1].up, 1);
    assert_int_equal(w.side[0].s.state, TERN_SCTP_ESTABLISHED);
    assert_int_equal(tern_sctp_deadline(&w.side[0].s), UINT64_MAX); /* idle: no timer runs */
    clear(&w);
}

/* One begins, the other only answers. */
static void one_side_begins(void **state)
{
    (void)state;
    world w;
    make(&w, 50 * MS);
    w.side[0].to_send[1] = 100;
    tern_sctp_start(&w.side[0].s, 0);
    w.side[1].s.state = TERN_SCTP_COOKIE_WAIT; /* its INIT is on no way */
    run_until_there(&w, SEC);
    run(&w, SEC);
    assert_int_equal(w.side[0].up + w.side[1].up, 2);
    clear(&w);
}

/* A path that reorders and loses nothing is not taken for one that loses. */
static void reordering_is_no_loss(void **state)
{
    (void)state;
    world w;
    make(&w, 50 * MS);
    w.jitter = 20 * MS;
    for (unsigned k = 0; k < STREAMS; k++) {
        w.side[0].to_send[k] = 500000;
    }
    start(&w);
    run_until_there(&w, 6 * SEC); /* 4 MB at 100 KB a round trip would take half as long again */
    assert_true(w.side[0].s.cwnd > 200 * TERN_SCTP_PACKET);
    clear(&w);
}

static void bytes_arrive(void **state)
{
    static const struct {
        unsigned loss, duplicate;
        uint64_t jitter, most;
    } nets[] = {{0, 0, 0, 4 * SEC},          {10, 0, 0, 20 * SEC},        {50, 0, 0, 60 * SEC},
                {0, 100, 20 * MS, 30 * SEC}, {50, 50, 20 * MS, 90 * SEC}, {200, 0, 0, 300 * SEC}};
    (void)state;
    for (size_t net = 0; net < sizeof nets / sizeof *nets; net++) {
        for (uint32_t seed = 1; seed <= 3; seed++) {
            world w;
            make(&w, 20 * MS);
            w.seed = seed;
            w.loss = nets[net].loss;
            w.duplicate = nets[net].duplicate;
            w.jitter = nets[net].jitter;
            for (unsigned k = 0; k < STREAMS; k++) {
                w.side[0].to_send[k] = 100000 + 1000 * k;
                w.side[1].to_send[k] = k % 2 ? 30000 : 0;
            }
            start(&w);
            run_until_there(&w, nets[net].most);
            run(&w, 60 * SEC);
            assert_true(tern_sctp_idle(&w.side[0].s));
            assert_int_equal(w.side[0].s.flight + w.side[1].s.flight, 0);
            assert_int_equal(w.side[0].s.held_count + w.side[1].s.held_count, 0);
            assert_int_equal(w.side[0].down + w.side[1].down, 0);
            clear(&w);
        }
    }
}

/* A reader that keeps everything stops the writer at the window; reading lets it go on. */
static void the_window(void **state)
{
    (void)state;
    world w;
    make(&w, MS);
    w.side[0].to_send[3] = 4 << 20;
    w.side[1].hoard = true;
    start(&w);
    run(&w, 20 * SEC);
    uint64_t got = w.side[1].got[3];
    assert_true(got >= TERN_SCTP_WINDOW - 20000 && got <= TERN_SCTP_WINDOW + 16 * 1024);
    w.side[1].hoard = false;
    tern_sctp_consumed(&w.side[1].s, w.side[1].hoarded);
    run_until_there(&w, 20 * SEC);
    clear(&w);
}

/* A packet for side 1 with these chunks. */
static void inject(world *w, const char *hex, bool good_sum)
{
    uint8_t p[1400] = {0x13, 0x88, 0x13, 0x88};
    tern_put32(p + 4, w->side[1].s.tag);
    size_t n = 12 + tern_test_unhex(p + 12, sizeof p - 12, hex);
    if (p[12] == 1) {
        memset(p + 4, 0, 4);
    }
    uint32_t crc = tern_crc32c(p, n) ^ !good_sum;
    for (unsigned i = 0; i < 4; i++) {
        p[8 + i] = (uint8_t)(crc >> 8 * i);
    }
    uint8_t *exact = test_malloc(n);
    memcpy(exact, p, n);
    tern_sctp_input(&w->side[1].s, w->now, exact, n);
    test_free(exact);
}

/* The next TSN of side 1's that is not acknowledged. */
static uint32_t first_tsn(const world *w)
{
    return w->side[1].s.acked_tsn + 1;
}

/* Side 1 gets a SACK: all before the first, and of what follows the chunks from .. to. */
static void inject_sack(world *w, uint32_t cum, uint32_t window, unsigned from, unsigned to)
{
    char hex[64];
    snprintf(hex, sizeof hex, "030000%02x%08x%08x%04x0000%04x%04x", from > 0 ? 20 : 16, cum, window,
             from > 0, from, to);
    hex[from > 0 ? 40 : 32] = 0;
    inject(w, hex, true);
}

/* Side 1 has some chunks out that nobody got. */
static void chunks_on_no_way(world *w)
{
    make(w, 10 * MS);
    start(w);
    run(w, SEC);
    w->loss = 1000;
    w->side[1].to_send[3] = 9000;
    flush(w, 1);
    assert_true(w->side[1].s.flight == 9000);
}

/* Of two acknowledgements that overtake each other the older one's window is no more: what came
 * since takes place in it. */
static void overtaken_acknowledgements(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 2; order++) {
        world w;
        chunks_on_no_way(&w);
        const tern_sctp *s = &w.side[1].s;
        uint32_t cum = first_tsn(&w) - 1;
        size_t all = s->flight;
        inject_sack(&w, cum, 20000, 2, order == 0 ? 3 : 5);
        size_t some = all - s->flight;
        assert_int_equal(s->peer_window, 20000 - s->flight);
        inject_sack(&w, cum, order == 0 ? 20000 - 2000 : 20000 + 2000, 2, order == 0 ? 5 : 3);
        if (order == 0) {
            assert_int_equal(s->peer_window, 18000 - s->flight);
        } else {
            assert_int_equal(all - s->flight, some);
            assert_true(s->peer_window <= 20000 - s->flight);
        }
        assert_int_equal(w.side[1].faults[TERN_SCTP_BAD_CHUNK], 0);
        w.loss = 0;
        w.side[0].got[3] = 0;
        run_until_there(&w, 20 * SEC);
        clear(&w);
    }
}

/* A peer may throw away what it has acknowledged behind a gap (RFC 9260, 6.2): it comes again. */
static void a_peer_that_reneges(void **state)
{
    (void)state;
    world w;
    chunks_on_no_way(&w);
    uint32_t cum = first_tsn(&w) - 1;
    inject_sack(&w, cum, 20000, 2, 5);
    assert_true(w.side[1].s.ahead > 0);
    w.loss = 0;
    run_until_there(&w, 20 * SEC);
    run(&w, SEC);
    assert_int_equal(w.side[1].s.ahead, 0);
    assert_true(tern_sctp_idle(&w.side[1].s));
    clear(&w);
}

static void resets(void **state)
{
    (void)state;
    for (unsigned loss = 0; loss <= 300; loss += 100) {
        world w;
        make(&w, 10 * MS);
        w.loss = loss;
        for (unsigned k = 0; k < STREAMS; k++) {
            w.side[0].to_send[k] = 5000;
        }
        start(&w);
        run_until_there(&w, 60 * SEC);
        for (uint16_t k = 0; k < STREAMS; k++) {
            assert_int_equal(tern_sctp_reset(&w.side[0].s, k), 0);
            assert_int_equal(tern_sctp_reset(&w.side[1].s, k), 0);
        }
        run(&w, 60 * SEC);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(w.side[i].resets, STREAMS);
            assert_int_equal(w.side[i].reset_done, STREAMS);
        }
        clear(&w);
    }
}

/* A reset is carried out after the data before it. */
static void a_reset_waits_for_data(void **state)
{
    (void)state;
    world w;
    make(&w, 10 * MS);
    start(&w);
    run(&w, SEC);
    w.side[0].to_send[2] = 3000;
    w.loss = 1000;
    flush(&w, 0);
    w.loss = 0;
    tern_sctp_reset(&w.side[0].s, 2);
    run(&w, 15 * MS);
    assert_int_equal(w.side[1].resets, 0);
    run(&w, 10 * SEC);
    assert_int_equal(w.side[1].got[2], 3000);
    assert_int_equal(w.side[1].resets, 1);
    assert_int_equal(w.side[0].reset_done, 1);
    clear(&w);
}

static void closing(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        world w;
        make(&w, 10 * MS);
        w.side[0].to_send[2] = how < 2 ? 50000 : 0;
        start(&w);
        run(&w, 45 * MS);
        flush(&w, 0);
        if (how == 2) {
            tern_sctp_abort(&w.side[0].s);
        } else {
            w.loss = how * 100;
            tern_sctp_shutdown(&w.side[0].s, w.now);
            if (how == 1) {
                tern_sctp_shutdown(&w.side[1].s, w.now);
            }
        }
        w.side[0].to_send[2] = w.side[0].sent[2];
        run(&w, 120 * SEC);
        assert_int_equal(w.side[0].down, 1);
        assert_int_equal(w.side[1].down, 1);
        assert_int_equal(w.side[0].why.code, 0);
        assert_int_equal(w.side[1].why.code, 0);
        assert_int_equal(w.side[1].got[2], w.side[0].sent[2]);
        clear(&w);
    }
}

static void a_silent_peer(void **state)
{
    (void)state;
    world w;
    make(&w, MS);
    tern_sctp_start(&w.side[0].s, 0);
    w.loss = 1000;
    run(&w, 300 * SEC);
    assert_int_equal(w.side[0].why.code, TERN_E_TIMEOUT);
    clear(&w);
    make(&w, MS);
    start(&w);
    run(&w, SEC);
    w.loss = 1000;
    w.side[0].to_send[0] = 1;
    run(&w, 300 * SEC);
    assert_int_equal(w.side[0].why.code, TERN_E_TIMEOUT);
    assert_int_equal(w.side[1].down, 0);
    clear(&w);
}

/* ---- what no peer should send ---- */

static void bad_chunks(void **state)
{
    static const struct {
        const char *hex;
        tern_sctp_fault fault;
    } cases[] = {
        {"00", TERN_SCTP_BAD_PACKET},
        {"00030003", TERN_SCTP_BAD_CHUNK},                                 /* length below 4 */
        {"00030020000000", TERN_SCTP_BAD_CHUNK},                           /* beyond the packet */
        {"0003001000000000000000000000003500", TERN_SCTP_BAD_CHUNK},       /* no user data */
        {"00030011000f0000000000000000003501000000", TERN_SCTP_BEYOND},    /* TSN far away */
        {"0300000c0000000000000000", TERN_SCTP_BAD_CHUNK},                 /* short SACK */
        {"0300001000000000ffffffff00000000", TERN_SCTP_BAD_CHUNK},         /* acks the unsent */
        {"0300001400000000ffffffffffff0000", TERN_SCTP_BAD_CHUNK},         /* gaps beyond it */
        {"0100000400000000", TERN_SCTP_BAD_CHUNK},                         /* short INIT */
        {"0100001400000000000100000001000100000001", TERN_SCTP_BAD_CHUNK}, /* tag 0 */
        {"0100001400000009000100000000000100000001", TERN_SCTP_BAD_CHUNK}, /* no streams */
        {"0100001400000009000100000001000100000001", TERN_SCTP_BAD_CHUNK}, /* a restart */
        {"0a00000c1122334455667788", TERN_SCTP_BAD_CHUNK},                 /* not our cookie */
        {"07000004", TERN_SCTP_BAD_CHUNK},                                 /* short SHUTDOWN */
        {"8200000c000d000400000000", TERN_SCTP_BAD_CHUNK},                 /* short request */
        {"8200000c000d00ff00000000", TERN_SCTP_BAD_CHUNK},
        {"8200001a000d0016000000010000000100000001000100020003", TERN_SCTP_BAD_CHUNK}, /* number */
        {"c00000080fffffff", TERN_SCTP_BAD_CHUNK}, /* FORWARD TSN */
        {"7f000004", TERN_SCTP_BAD_CHUNK},         /* unknown: stop */
    };
    (void)state;
    world w;
    make(&w, MS);
    start(&w);
    run(&w, SEC);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned before = w.side[1].faults[cases[i].fault];
        inject(&w, cases[i].hex, true);
        if (w.side[1].faults[cases[i].fault] != before + 1) {
            fail_msg("case %zu", i);
        }
    }
    unsigned before = w.side[1].faults[TERN_SCTP_BAD_PACKET];
    inject(&w, "05000004", false);
    assert_int_equal(w.side[1].faults[TERN_SCTP_BAD_PACKET], before + 1);
    inject(&w, "ff000004", true); /* unknown, to be skipped */
    assert_int_equal(w.side[1].faults[TERN_SCTP_BAD_PACKET], before + 1);
    /* All that did no harm. */
    w.side[0].to_send[1] = 10000;
    run_until_there(&w, SEC);
    assert_int_equal(w.side[1].down, 0);
    clear(&w);
}

/* A flood of what has to be answered: what waits is bounded. */
static void floods(void **state)
{
    (void)state;
    world w;
    make(&w, MS);
    start(&w);
    run(&w, SEC);
    for (unsigned i = 0; i < 5000; i++) {
        inject(&w, "0400000c0001000800000000", true);
    }
    assert_true(tern_buf_len(&w.side[1].s.control) <= 4096);
    run(&w, SEC);
    /* Single bytes far apart: held chunks are bounded by the window and by their number. */
    char hex[64];
    for (uint32_t i = 2; i < 6000; i++) {
        snprintf(hex, sizeof hex, "00030011%08x0001000000000035aa000000", w.side[1].s.cum_in + i);
        inject(&w, hex, true);
    }
    assert_true(w.side[1].s.held_count < TERN_SCTP_HELD);
    run(&w, SEC);
    clear(&w);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t at = 1; at < 200; at++) {
        world w;
        make(&w, MS);
        start(&w);
        tern_mem_fail_at(at, 0);
        uint8_t data[3000] = {0};
        const tern_span v = {data, sizeof data};
        for (uint16_t k = 0; k < 3; k++) {
            int e = tern_sctp_send(&w.side[0].s, &w.side[0].streams[k], 53, &v, 1, 0);
            assert_true(e == 0 || e == TERN_E_NOMEM);
            tern_sctp_stream_clear(&w.side[0].s, &w.side[0].streams[k]);
            tern_sctp_reset(&w.side[0].s, k);
        }
        w.loss = 100;
        w.side[0].got[7] = 0;
        run(&w, 5 * SEC);
        bool over = tern_mem_count() < at;
        tern_mem_fail_at(0, 0);
        clear(&w);
        if (over) {
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_trip_and_a_half),
        cmocka_unit_test(one_side_begins),
        cmocka_unit_test(reordering_is_no_loss),
        cmocka_unit_test(bytes_arrive),
        cmocka_unit_test(the_window),
        cmocka_unit_test(overtaken_acknowledgements),
        cmocka_unit_test(a_peer_that_reneges),
        cmocka_unit_test(resets),
        cmocka_unit_test(a_reset_waits_for_data),
        cmocka_unit_test(closing),
        cmocka_unit_test(a_silent_peer),
        cmocka_unit_test(bad_chunks),
        cmocka_unit_test(floods),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return TERN_TEST_MAIN(tests);
}
