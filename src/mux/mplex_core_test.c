/* mplex_core: the vectors of the spec; every way a frame can be wrong, each with its counter;
 * numbers that both sides use; limits and budgets. Scripts run whole and again byte by byte. In
 * one file: every test speaks the rig's script language, which nobody else needs. */
#include "mux/mplex_core.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/test.h"

#define MAX_STREAMS 600

/* A driver that keeps everything it is told as text, so that a test compares one string. */
typedef struct rig {
    tern_limits limits;
    tern_counters counters;
    tern_mplex_core core;
    uint64_t now;
    tern_mplex_stream streams[MAX_STREAMS];
    size_t count;
    bool refuse;  /* answer opens with a refusal */
    bool consume; /* take bytes at once */
    bool failed;
    tern_error why;
    char log[4096];
    size_t log_len;
} rig;

static rig *rig_new(void)
{
    rig *r = tern_calloc(1, sizeof *r);
    assert_non_null(r);
    tern_limits_default(&r->limits);
    r->now = 1000 * TERN_SEC;
    r->consume = true;
    tern_mplex_core_init(&r->core, &r->limits, &r->counters, r->now);
    return r;
}

static void rig_free(rig *r)
{
    for (size_t i = 0; i < r->count; i++) {
        tern_mplex_core_forget(&r->core, &r->streams[i]);
    }
    assert_int_equal(r->core.in_count + r->core.ours_count, 0);
    assert_int_equal(r->core.unread, 0);
    assert_int_equal(tern_map_len(&r->core.streams), 0);
    assert_true(tern_list_empty(&r->core.unsent));
    tern_mplex_core_free(&r->core);
    tern_free(r);
}

static void __attribute__((format(printf, 2, 3))) note(rig *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(r->log + r->log_len, sizeof r->log - r->log_len, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof r->log - r->log_len) {
        r->log_len += (size_t)n;
    }
}

static tern_mplex_stream *slot(rig *r)
{
    assert_true(r->count < MAX_STREAMS);
    return &r->streams[r->count];
}

static tern_mplex_stream *rig_open(rig *r)
{
    tern_mplex_stream *s = slot(r);
    assert_int_equal(tern_mplex_core_open(&r->core, s), 0);
    r->count++;
    return s;
}

/* "<" marks streams of ours: the same number may be theirs, too. */
static void note_stream(rig *r, const char *what, const tern_mplex_stream *s)
{
    note(r, "%s %s%" PRIu64 ";", what, s->ours ? "<" : "", s->number);
}

static void on_event(rig *r, const tern_mplex_event *e)
{
    switch (e->kind) {
    case TERN_MPLEX_NOTHING:
        break;
    case TERN_MPLEX_OPENED:
        note(r, "open %" PRIu64 ";", r->core.opened);
        if (r->refuse) {
            tern_mplex_core_refuse(&r->core);
        } else {
            assert_int_equal(tern_mplex_core_accept(&r->core, slot(r)), 0);
            r->count++;
        }
        break;
    case TERN_MPLEX_BYTES:
        assert_true(e->stream->live && e->len > 0);
        for (size_t i = 0; i < e->len; i++) { /* the same whole and byte by byte */
            note(r, "%s%" PRIu64 ":%02x ", e->stream->ours ? "<" : "", e->stream->number,
                 e->data[i]);
        }
        if (r->consume) {
            tern_mplex_core_consumed(&r->core, e->stream, e->len);
        }
        break;
    case TERN_MPLEX_ENDED:
        note_stream(r, "end", e->stream);
        break;
    case TERN_MPLEX_STOPPED:
        note_stream(r, "reset", e->stream);
        break;
    case TERN_MPLEX_OVERFULL:
        note_stream(r, "overfull", e->stream);
        break;
    case TERN_MPLEX_FAILED:
        note(r, "failed;");
        r->failed = true;
        r->why = e->why;
        break;
    }
}

static void feed(rig *r, uint8_t *data, size_t n, size_t step)
{
    tern_mplex_event e;
    for (size_t at = 0; at < n && !r->failed;) {
        size_t part = step < n - at ? step : n - at;
        size_t used = 0;
        do {
            used += tern_mplex_core_receive(&r->core, r->now, data + at + used, part - used, &e);
            on_event(r, &e);
        } while (!r->failed && e.kind != TERN_MPLEX_NOTHING);
        assert_true(r->failed || used == part);
        at += part;
    }
}

static void feed_hex(rig *r, const char *hex, size_t step)
{
    size_t n = strlen(hex) / 2;
    uint8_t *data = malloc(n == 0 ? 1 : n); /* exactly: sanitizers see a byte too far */
    assert_non_null(data);
    assert_int_equal(tern_test_unhex(data, n, hex), n);
    feed(r, data, n, step);
    free(data);
}

/* A frame with a body of zeros. */
static void feed_frame(rig *r, uint64_t header, size_t length)
{
    uint8_t head[2 * TERN_VARINT_MAX];
    size_t n = tern_varint_put(head, header);
    n += tern_varint_put(head + n, length);
    feed(r, head, n, n);
    uint8_t *body = calloc(1, length == 0 ? 1 : length);
    assert_non_null(body);
    r->log_len = 0;
    feed(r, body, length, 65536);
    free(body);
}

static const char *sent(rig *r)
{
    static char hex[4096];
    size_t n = tern_buf_len(&r->core.out);
    assert_true(n < sizeof hex / 2);
    tern_hex(hex, tern_buf_data(&r->core.out), n);
    hex[2 * n] = 0;
    tern_buf_consume(&r->core.out, n);
    return hex;
}

#define assert_log(r, text)                                                                        \
    do {                                                                                           \
        (r)->log[(r)->log_len] = 0;                                                                \
        assert_string_equal((r)->log, text);                                                       \
        (r)->log_len = 0;                                                                          \
    } while (0)

/* --- vectors --- */

static void vectors_out(void **state)
{
    (void)state;
    rig *r = rig_new();
    uint8_t header[TERN_MPLEX_HEADER_MAX];
    char hex[2 * TERN_MPLEX_HEADER_MAX + 1] = "";
    tern_mplex_stream *s = rig_open(r);
    assert_int_equal(tern_mplex_core_announcement(s), 3);
    tern_mplex_core_announce(&r->core, s);
    assert_int_equal(tern_mplex_core_announcement(s), 0);
    assert_string_equal(sent(r), "000130");
    assert_int_equal(tern_mplex_core_message(s, 2, header), 2);
    tern_hex(hex, header, 2);
    assert_string_equal(hex, "0202");
    tern_mplex_core_end(&r->core, s);
    assert_string_equal(sent(r), "0400");
    tern_mplex_core_reset(&r->core, s);
    assert_string_equal(sent(r), "0600");
    rig_free(r);
}

static void vectors_in(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *log, *answer;
    } all[] = {
        {"000130", "open 0;", ""},
        {"000130"
         "02026869"
         "0400",
         "open 0;0:68 0:69 end 0;", ""},
        {"0000"
         "02026869"
         "02026869"
         "0600",
         "open 0;0:68 0:69 0:68 0:69 reset 0;", ""},
        {"88010568656c6c6f" /* number 17, a longer name */
         "8a0101ff",
         "open 17;17:ff ", ""},
        {"f8ffffffffffffff7f00" /* 2^60 - 1 */
         "faffffffffffffff7f0101"
         "fcffffffffffffff7f00",
         "open 1152921504606846975;1152921504606846975:01 end 1152921504606846975;", ""},
        {"000130"
         "0801ab"
         "02026869"
         "0a0141"
         "0e00"
         "0201ff",
         "open 0;open 1;0:68 0:69 1:41 reset 1;0:ff ", ""},
        {"000130"
         "0403616263", /* a close with a body, which means nothing */
         "open 0;end 0;", ""},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (size_t step = 1; step < 100; step += 98) {
            rig *r = rig_new();
            feed_hex(r, all[i].hex, step);
            assert_log(r, all[i].log);
            assert_string_equal(sent(r), all[i].answer);
            assert_false(tern_mplex_core_inside_frame(&r->core));
            rig_free(r);
        }
    }
}

static void header_lengths(void **state)
{
    (void)state;
    tern_mplex_stream s = {.number = TERN_MPLEX_NUMBER_MAX, .ours = 1, .told = 1};
    uint8_t header[TERN_MPLEX_HEADER_MAX];
    assert_int_equal(tern_mplex_core_message(&s, TERN_MPLEX_BODY_MAX, header),
                     TERN_MPLEX_HEADER_MAX);
    s.told = 0;
    assert_int_equal(tern_mplex_core_announcement(&s), 9 + 1 + 19);
    s.number = 12;
    assert_int_equal(tern_mplex_core_announcement(&s), 4);
}

/* --- whose stream it is --- */

static void both_sides_may_use_a_number(void **state)
{
    (void)state;
    for (size_t step = 1; step < 100; step += 98) {
        rig *r = rig_new();
        tern_mplex_stream *ours = rig_open(r);
        tern_mplex_core_announce_all(&r->core);
        feed_hex(r,
                 "000130"
                 "020141"  /* they, as initiator: on theirs */
                 "010142"  /* as receiver: on ours */
                 "0300"    /* close ours */
                 "020143", /* theirs goes on */
                 step);
        assert_log(r, "open 0;0:41 <0:42 end <0;0:43 ");
        tern_mplex_stream *theirs = tern_mplex_core_find(&r->core, 0, false);
        assert_ptr_equal(tern_mplex_core_find(&r->core, 0, true), ours);
        assert_string_equal(sent(r), "000130");
        uint8_t header[TERN_MPLEX_HEADER_MAX];
        tern_mplex_core_message(ours, 1, header);
        assert_int_equal(header[0], 2);
        tern_mplex_core_message(theirs, 1, header);
        assert_int_equal(header[0], 1);
        tern_mplex_core_end(&r->core, ours);
        tern_mplex_core_end(&r->core, theirs);
        assert_string_equal(sent(r), "04000300");
        assert_false(ours->live);
        assert_true(theirs->live);
        tern_mplex_core_reset(&r->core, theirs);
        assert_string_equal(sent(r), "0500");
        rig_free(r);
    }
}

static void a_number_may_come_again(void **state)
{
    (void)state;
    rig *r = rig_new();
    feed_hex(r, "000130", 99);
    feed_hex(r, "0600", 99);
    feed_hex(r, "000130020141", 99);
    assert_log(r, "open 0;reset 0;open 0;0:41 ");
    assert_int_equal(r->core.in_count, 2); /* the old one's work is not done */
    rig_free(r);
}

static void late_frames_are_skipped(void **state)
{
    (void)state;
    rig *r = rig_new();
    tern_mplex_stream *s = rig_open(r);
    feed_hex(r, "0102aabb", 1); /* we told nobody of it yet */
    tern_mplex_core_announce_all(&r->core);
    tern_mplex_core_reset(&r->core, s);
    feed_hex(r, "0102aabb03000500", 1);           /* crossed our reset */
    feed_hex(r, "920103aabbcc94010096010106", 1); /* never heard of */
    assert_log(r, "");
    assert_string_equal(sent(r), "000130"
                                 "0600");
    assert_false(tern_mplex_core_inside_frame(&r->core));
    rig_free(r);
}

static void nothing_follows_a_close(void **state)
{
    (void)state;
    rig *r = rig_new();
    feed_hex(r, "000130040002026869040002", 1);
    assert_log(r, "open 0;end 0;");
    assert_true(tern_mplex_core_inside_frame(&r->core));
    tern_mplex_stream *s = tern_mplex_core_find(&r->core, 0, false);
    assert_non_null(s);
    tern_mplex_core_end(&r->core, s);
    assert_false(s->live);
    tern_mplex_core_end(&r->core, s); /* once */
    tern_mplex_core_reset(&r->core, s);
    assert_string_equal(sent(r), "0300");
    rig_free(r);
}

/* A reset before the announcement was never there. */
static void unsent_streams(void **state)
{
    (void)state;
    rig *r = rig_new();
    tern_mplex_stream *a = rig_open(r), *b = rig_open(r), *c = rig_open(r);
    tern_mplex_core_reset(&r->core, a);
    tern_mplex_core_announce(&r->core, c); /* numbers need not grow */
    tern_mplex_core_end(&r->core, b);
    assert_string_equal(sent(r), "100132"
                                 "080131"
                                 "0c00");
    tern_mplex_core_announce_all(&r->core);
    assert_string_equal(sent(r), "");
    rig_free(r);
}

/* --- what is wrong --- */

static void malformed(void **state)
{
    (void)state;
    const size_t bad = offsetof(tern_counters, mplex_malformed);
    const size_t large = offsetof(tern_counters, mplex_too_large);
    const size_t stream = offsetof(tern_counters, mplex_bad_stream);
    const struct {
        const char *hex;
        size_t counter;
    } all[] = {
        {"0700", bad},                   /* flag 7 */
        {"ff0100", bad},                 /* flag 7, number 31 */
        {"800000", bad},                 /* not minimal */
        {"028000", bad},                 /* a length not minimal */
        {"80808080808080808001", bad},   /* number 2^60 */
        {"ffffffffffffffffffff01", bad}, /* 2^64 - 1 */
        {"02ffffffffffffffffff01", bad},
        {"02818040", large}, /* 1 MiB and a byte, for a stream that is not there */
        {"00818040", large}, /* ... of a name */
        {"04818040", large},
        {"02ffffffffffffffff7f", large},
        {"000130000130", stream},
        {"00013004000000", stream}, /* half closed is open */
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        for (size_t step = 1; step < 100; step += 98) {
            rig *r = rig_new();
            feed_hex(r, all[i].hex, step);
            if (!r->failed || r->why.code != TERN_E_PROTOCOL) {
                fail_msg("%s is taken", all[i].hex);
            }
            uint64_t count;
            memcpy(&count, (const char *)&r->counters + all[i].counter, sizeof count);
            assert_int_equal(count, 1);
            assert_string_equal(r->why.layer, "mplex");
            assert_string_equal(sent(r), "");
            rig_free(r);
        }
    }
}

/* --- limits --- */

static void the_largest_frame(void **state)
{
    (void)state;
    rig *r = rig_new();
    feed_frame(r, 0, TERN_MPLEX_LENGTH_MAX); /* a name */
    feed_frame(r, 2, TERN_MPLEX_LENGTH_MAX);
    assert_false(r->failed);
    assert_false(tern_mplex_core_inside_frame(&r->core));
    rig_free(r);
}

static void what_is_not_read_has_an_end(void **state)
{
    (void)state;
    rig *r = rig_new();
    r->consume = false;
    feed_hex(r, "000130080131", 99);
    feed_frame(r, 2, TERN_MPLEX_UNREAD_MAX);
    assert_int_equal(r->core.unread, TERN_MPLEX_UNREAD_MAX);
    r->log_len = 0;
    feed_hex(r, "0a0141", 99); /* the other one goes on */
    assert_log(r, "1:41 ");
    feed_hex(r, "020141", 99);
    assert_log(r, "overfull 0;");
    assert_string_equal(sent(r), "0500");
    assert_int_equal(r->counters.mplex_overflow, 1);
    feed_hex(r,
             "02050102030405"
             "0a0142",
             1); /* what follows is skipped */
    assert_log(r, "1:42 ");
    tern_mplex_core_forget(&r->core, &r->streams[0]);
    assert_int_equal(r->core.unread, 2);
    assert_false(r->failed);
    rig_free(r);
}

/* In the middle of a body, too. */
static void the_session_has_an_end(void **state)
{
    (void)state;
    rig *r = rig_new();
    r->consume = false;
    r->limits.conn_window_max = 100;
    feed_hex(r, "000130080131", 99);
    feed_frame(r, 2, 90);
    feed_frame(r, 10, 11);
    assert_log(r, "overfull 1;");
    feed_hex(r, "020a00010203040506070809", 99);
    r->log_len = 0;
    assert_int_equal(r->core.unread, 100);
    feed_hex(r, "100132", 99); /* nor is there an open */
    assert_log(r, "");
    assert_string_equal(sent(r), "0d00"
                                 "1500");
    assert_int_equal(r->counters.streams_limit, 1);
    tern_mplex_core_consumed(&r->core, &r->streams[0], 100);
    feed_hex(r, "100132", 99);
    assert_log(r, "open 2;");
    rig_free(r);
}

static void streams_are_limited(void **state)
{
    (void)state;
    rig *r = rig_new();
    r->limits.streams_per_conn = 2;
    feed_hex(r, "000130080131100132", 1);
    assert_log(r, "open 0;open 1;");
    assert_string_equal(sent(r), "1500");
    assert_int_equal(r->counters.streams_limit, 1);
    feed_hex(r, "06000e00", 1); /* resets free nothing while the work is not done */
    feed_hex(r, "180133", 1);
    assert_log(r, "reset 0;reset 1;");
    assert_string_equal(sent(r), "1d00");
    tern_mplex_core_forget(&r->core, &r->streams[0]);
    feed_hex(r, "180133", 1);
    assert_log(r, "open 3;");
    r->refuse = true;
    tern_mplex_core_forget(&r->core, &r->streams[1]);
    feed_hex(r, "200134", 1);
    assert_log(r, "open 4;");
    assert_string_equal(sent(r), "2500");
    rig_free(r);
}

static void our_streams_are_limited(void **state)
{
    (void)state;
    rig *r = rig_new();
    for (int i = 0; i < TERN_MPLEX_ALIVE_MAX; i++) {
        rig_open(r);
    }
    assert_int_equal(tern_mplex_core_open(&r->core, slot(r)), TERN_E_LIMIT);
    tern_mplex_core_forget(&r->core, &r->streams[7]);
    rig_open(r);
    r->core.next = TERN_MPLEX_NUMBER_MAX;
    tern_mplex_core_forget(&r->core, &r->streams[8]);
    tern_mplex_core_forget(&r->core, &r->streams[9]);
    assert_int_equal(rig_open(r)->number, TERN_MPLEX_NUMBER_MAX);
    assert_int_equal(tern_mplex_core_open(&r->core, slot(r)), TERN_E_CONN_CLOSED);
    rig_free(r);
}

/* --- budgets --- */

typedef struct flood {
    const char *hex;
    unsigned cost;
} flood;

static unsigned until_failed(rig *r, const char *hex, unsigned most)
{
    for (unsigned i = 0; i < most; i++) {
        feed_hex(r, hex, 99);
        r->log_len = 0;
        tern_buf_consume(&r->core.out, tern_buf_len(&r->core.out));
        if (r->failed) {
            return i;
        }
    }
    return most;
}

static void floods_end_the_session(void **state)
{
    (void)state;
    static const flood all[] = {
        {"920100", 1},  /* an empty message on a stream never heard of */
        {"940100", 1},  /* a close */
        {"960100", 10}, /* a reset */
        {"080131", 4},  /* a refused open: 1000 / 257 + 1 */
        {"0200", 1},    /* an empty message */
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        rig *r = rig_new();
        feed_hex(r, "000130", 99);
        r->core.in_count += r->limits.streams_per_conn; /* all places are taken */
        unsigned most = TERN_MPLEX_COSTS / all[i].cost;
        assert_int_equal(until_failed(r, all[i].hex, most), most);
        r->now += TERN_SEC; /* the same again each second */
        assert_int_equal(until_failed(r, all[i].hex, most), most);
        assert_int_equal(until_failed(r, all[i].hex, 2), 0);
        assert_int_equal(r->why.code, TERN_E_LIMIT);
        assert_int_equal(r->counters.mplex_flood, 1);
        r->core.in_count -= r->limits.streams_per_conn;
        rig_free(r);
    }
}

/* Opened and reset at once, however fast its work is done. */
static void rapid_resets_end_the_session(void **state)
{
    (void)state;
    rig *r = rig_new();
    for (int i = 0; i < TERN_MPLEX_COSTS / 10; i++) {
        feed_hex(r, "0001300600", 99);
        assert_log(r, "open 0;reset 0;");
        tern_mplex_core_forget(&r->core, &r->streams[0]);
        r->count = 0;
    }
    feed_hex(r, "0001300600", 99);
    assert_true(r->failed);
    assert_int_equal(r->counters.mplex_flood, 1);
    rig_free(r);
}

static void honest_traffic_is_free(void **state)
{
    (void)state;
    rig *r = rig_new();
    for (int i = 0; i < 20000; i++) {
        feed_hex(r,
                 "000130020141010141" /* one byte each way */
                 "0400",
                 99);
        r->log_len = 0;
        tern_mplex_core_end(&r->core, &r->streams[0]);
        tern_mplex_core_forget(&r->core, &r->streams[0]);
        tern_buf_consume(&r->core.out, tern_buf_len(&r->core.out));
        r->count = 0;
    }
    assert_false(r->failed);
    assert_int_equal(r->core.costs, TERN_MPLEX_COSTS);
    rig_free(r);
}

static void out_is_bounded(void **state)
{
    (void)state;
    rig *r = rig_new();
    for (int i = 0; i < 300 && r->core.broken == 0; i++) {
        tern_mplex_stream *s = slot(r);
        for (int k = 0; k < 200 && tern_mplex_core_open(&r->core, s) == 0; k++) {
            tern_mplex_core_announce(&r->core, s);
            tern_mplex_core_reset(&r->core, s);
            tern_mplex_core_forget(&r->core, s);
        }
    }
    assert_int_equal(r->core.broken, 0); /* opens are refused before */
    assert_int_equal(tern_mplex_core_open(&r->core, slot(r)), TERN_E_LIMIT);
    for (int i = 0; i < 100000 && r->core.broken == 0; i++) {
        tern_mplex_core_refuse(&r->core);
    }
    assert_int_equal(r->core.broken, TERN_E_LIMIT);
    assert_true(tern_buf_len(&r->core.out) < TERN_MPLEX_OUT_MAX + 40);
    rig_free(r);
}

static void without_memory(void **state)
{
    (void)state;
    rig *r = rig_new();
    tern_mem_fail_at(1, 1);
    assert_int_equal(tern_mplex_core_open(&r->core, slot(r)), TERN_E_NOMEM);
    assert_int_equal(tern_mplex_core_accept(&r->core, slot(r)), TERN_E_NOMEM);
    tern_mplex_core_refuse(&r->core);
    assert_int_equal(r->core.broken, TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    assert_int_equal(r->core.in_count + r->core.ours_count, 0);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_out),
        cmocka_unit_test(vectors_in),
        cmocka_unit_test(header_lengths),
        cmocka_unit_test(both_sides_may_use_a_number),
        cmocka_unit_test(a_number_may_come_again),
        cmocka_unit_test(late_frames_are_skipped),
        cmocka_unit_test(nothing_follows_a_close),
        cmocka_unit_test(unsent_streams),
        cmocka_unit_test(malformed),
        cmocka_unit_test(the_largest_frame),
        cmocka_unit_test(what_is_not_read_has_an_end),
        cmocka_unit_test(the_session_has_an_end),
        cmocka_unit_test(streams_are_limited),
        cmocka_unit_test(our_streams_are_limited),
        cmocka_unit_test(floods_end_the_session),
        cmocka_unit_test(rapid_resets_end_the_session),
        cmocka_unit_test(honest_traffic_is_free),
        cmocka_unit_test(out_is_bounded),
        cmocka_unit_test(without_memory),
    };
    return TERN_TEST_MAIN(tests);
}
