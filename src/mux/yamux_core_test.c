/* yamux_core: the vectors of the spec and of go, rust and js; every way a frame can be wrong,
 * each with its own counter; windows, budgets, keep-alive. Scripts run whole and again byte by
 * byte. In one file: every test speaks the rig's script language, which nobody else needs. */
#include "mux/yamux_core.h"

#include <stdio.h>

#include "base/test.h"

#define MAX_STREAMS 600

/* A driver that keeps everything it is told as text, so that a test compares one string. */
typedef struct rig {
    tern_limits limits;
    tern_counters counters;
    tern_yamux_core core;
    uint64_t now;
    tern_yamux_stream streams[MAX_STREAMS];
    size_t count;
    bool refuse;  /* answer opens with a refusal */
    bool consume; /* take bytes at once */
    bool failed;
    char log[4096];
    size_t log_len;
    uint8_t bytes[4096]; /* bodies, in order */
    size_t bytes_len;
} rig;

static rig *rig_new(bool client)
{
    rig *r = tern_calloc(1, sizeof *r);
    assert_non_null(r);
    tern_limits_default(&r->limits);
    r->now = 1000 * TERN_SEC;
    r->consume = true;
    tern_yamux_core_init(&r->core, client, &r->limits, &r->counters, r->now);
    return r;
}

static void rig_free(rig *r)
{
    for (size_t i = 0; i < r->count; i++) {
        tern_yamux_core_forget(&r->core, &r->streams[i]);
    }
    assert_int_equal(r->core.in_count + r->core.ours_count, 0);
    assert_int_equal(r->core.unread, 0);
    assert_int_equal(r->core.windows, 0);
    assert_int_equal(r->core.unacked, 0);
    assert_true(tern_list_empty(&r->core.unsent));
    tern_yamux_core_free(&r->core);
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

static tern_yamux_stream *slot(rig *r)
{
    assert_true(r->count < MAX_STREAMS);
    return &r->streams[r->count];
}

static tern_yamux_stream *rig_open(rig *r)
{
    tern_yamux_stream *s = slot(r);
    assert_int_equal(tern_yamux_core_open(&r->core, s, r->now), 0);
    r->count++;
    return s;
}

static void on_bytes(rig *r, const tern_yamux_event *e)
{
    for (size_t i = 0; i < e->len && r->bytes_len < sizeof r->bytes; i++) {
        r->bytes[r->bytes_len++] = e->data[i];
    }
    if (r->consume) {
        tern_yamux_core_consumed(&r->core, e->stream, e->len, r->now);
    }
}

static void on_event(rig *r, const tern_yamux_event *e)
{
    switch (e->kind) {
    case TERN_YAMUX_NOTHING:
        break;
    case TERN_YAMUX_BYTES:
        on_bytes(r, e);
        break;
    case TERN_YAMUX_OPENED:
        note(r, "open %u;", e->id);
        if (r->refuse) {
            tern_yamux_core_refuse(&r->core, 7);
        } else {
            assert_int_equal(tern_yamux_core_accept(&r->core, slot(r), r->now), 0);
            r->count++;
        }
        break;
    case TERN_YAMUX_ENDED:
        note(r, "end %u;", e->stream->id);
        break;
    case TERN_YAMUX_RESET:
        note(r, "reset %u %u;", e->stream->id, e->code);
        break;
    case TERN_YAMUX_OVERFULL:
        note(r, "overfull %u;", e->stream->id);
        break;
    case TERN_YAMUX_CREDIT:
        note(r, "credit %u %u;", e->stream->id, e->stream->send_window);
        break;
    case TERN_YAMUX_LEAVING:
        note(r, "leaving %u;", e->code);
        break;
    case TERN_YAMUX_FAILED:
        note(r, "failed;");
        r->failed = true;
        assert_true(e->why.code != 0);
        assert_string_equal(e->why.layer, "yamux");
        break;
    }
}

static void feed_piece(rig *r, uint8_t *data, size_t n)
{
    size_t used = 0;
    tern_yamux_event e;
    do {
        memset(&e, 0, sizeof e);
        used += tern_yamux_core_receive(&r->core, r->now, data + used, n - used, &e);
        on_event(r, &e);
    } while (e.kind != TERN_YAMUX_NOTHING && !r->failed);
    assert_true(r->failed || used == n);
}

static void feed(rig *r, const char *hex, size_t chunk)
{
    uint8_t data[2048];
    size_t n = tern_test_unhex(data, sizeof data, hex);
    for (size_t at = 0; at < n && !r->failed; at += chunk) {
        feed_piece(r, data + at, n - at < chunk ? n - at : chunk);
    }
}

static void feed_frame(rig *r, unsigned type, unsigned flags, uint32_t id, uint32_t length)
{
    uint8_t h[TERN_YAMUX_HEADER];
    tern_yamux_header(h, type, flags, id, length);
    if (!r->failed) {
        feed_piece(r, h, sizeof h);
    }
}

static void feed_zeros(rig *r, size_t n)
{
    static uint8_t zeros[65536];
    while (n > 0 && !r->failed) {
        size_t part = n < sizeof zeros ? n : sizeof zeros;
        feed_piece(r, zeros, part);
        n -= part;
    }
}

/* What the core wants sent, as hex, taken. */
static const char *sent(rig *r)
{
    static char hex[8192];
    size_t n = tern_buf_len(&r->core.out);
    assert_true(n < sizeof hex / 2);
    tern_hex(hex, tern_buf_data(&r->core.out), n);
    hex[2 * n] = 0;
    tern_yamux_core_sent(&r->core, n);
    return hex;
}

#define assert_sent(r, hex) assert_string_equal(sent(r), hex)

/* --- vectors --- */

static void vectors_out(void **state)
{
    (void)state;
    rig *r = rig_new(true);
    uint8_t h[TERN_YAMUX_HEADER];
    char hex[2 * TERN_YAMUX_HEADER + 1];

    tern_yamux_stream *s = rig_open(r);
    assert_sent(r, ""); /* nothing is sent before there is something to say */
    tern_yamux_core_announce(&r->core, NULL);
    assert_sent(r, "000100010000000100000000");
    tern_yamux_core_end(&r->core, s);
    assert_sent(r, "000100040000000100000000");

    s = rig_open(r); /* the open rides on the data */
    tern_yamux_core_data(&r->core, s, 5, h);
    tern_hex(hex, h, sizeof h);
    assert_string_equal(hex, "000000010000000300000005");
    tern_yamux_core_data(&r->core, s, 6, h);
    tern_hex(hex, h, sizeof h);
    assert_string_equal(hex, "000000000000000300000006");
    assert_int_equal(s->send_window, TERN_YAMUX_WINDOW - 11);
    tern_yamux_core_reset(&r->core, s, 0);
    assert_sent(r, "000100080000000300000000");

    s = rig_open(r);
    tern_yamux_core_announce(&r->core, NULL);
    tern_yamux_core_reset(&r->core, s, 0x1001);
    assert_sent(r, "000100010000000500000000"
                   "000100080000000500001001");
    s = rig_open(r);
    tern_yamux_core_announce(&r->core, NULL);
    tern_yamux_core_reset(&r->core, s, UINT64_C(1) << 32);
    assert_sent(r, "000100010000000700000000"
                   "000100080000000700001008");
    s = rig_open(r); /* never announced: its reset needs no frame either */
    tern_yamux_core_reset(&r->core, s, 1);
    assert_sent(r, "");
    tern_yamux_core_goaway(&r->core, TERN_YAMUX_NORMAL);
    tern_yamux_core_goaway(&r->core, TERN_YAMUX_PROTOCOL_ERROR);
    assert_sent(r, "000300000000000000000000");
    rig_free(r);
}

/* What a script brings about, in events and frames sent. */
typedef struct script {
    const char *name;
    bool client;
    const char *in, *events, *out, *bytes;
} script;

static const script scripts[] = {
    {"open by update", false, "000100010000000100000000", "open 1;", "000100020000000100000000",
     ""},
    {"open by data", false,
     "000000010000000100000005"
     "68656c6c6f",
     "open 1;", "000100020000000100000000", "68656c6c6f"},
    {"open, data and end in one frame", false,
     "000000050000000100000002"
     "6869",
     "open 1;end 1;", "000100020000000100000000", "6869"},
    {"open with extra credit", false,
     "000100010000000100000100"
     "000100000000000100000001",
     "open 1;credit 1 262401;", "000100020000000100000000", ""},
    {"end, twice is once", false,
     "000100010000000100000000"
     "000100040000000100000000"
     "000000040000000100000000",
     "open 1;end 1;", "000100020000000100000000", ""},
    {"reset", false,
     "000100010000000100000000"
     "000100080000000100000000",
     "open 1;reset 1 0;", "000100020000000100000000", ""},
    {"reset with a code", false,
     "000100010000000100000000"
     "000100080000000100001001",
     "open 1;reset 1 4097;", "000100020000000100000000", ""},
    {"reset by data with a body", false,
     "000100010000000100000000"
     "000000080000000100000002"
     "6869",
     "open 1;reset 1 0;", "000100020000000100000000", ""},
    {"what comes after a reset is skipped", false,
     "000100010000000100000000"
     "000100080000000100000000"
     "000000000000000100000003"
     "010203"
     "000100000000000100000009"
     "000100080000000100000000"
     "000100040000000100000000"
     "000100010000000300000000",
     "open 1;reset 1 0;open 3;",
     "000100020000000100000000"
     "000100020000000300000000",
     ""},
    {"ping and GoAway", false,
     "000200010000000000000007"
     "000300000000000000000000",
     "leaving 0;", "000200020000000000000007", ""},
    {"GoAway with a code", true, "000300000000000000000002", "leaving 2;", "", ""},
    {"no opens after GoAway", true,
     "000300000000000000000000"
     "000000010000000200000001"
     "aa",
     "leaving 0;", "000100080000000200001001", ""},
    {"opened and reset in one frame", false,
     "000100090000000100000000"
     "000100010000000300000000",
     "open 3;", "000100020000000300000000", ""},
    {"a lazy opener's ids come out of order", false,
     "000000010000000500000001"
     "01"
     "000000010000000100000001"
     "02"
     "000000010000000300000001"
     "03",
     "open 5;open 1;open 3;",
     "000100020000000500000000"
     "000100020000000100000000"
     "000100020000000300000000",
     "010203"},
    {"an answer to a ping nobody sent is ignored", true, "000200020000000000000007", "", "", ""},
    {"empty data", false,
     "000100010000000100000000"
     "000000000000000100000000",
     "open 1;", "000100020000000100000000", ""},
};

static void run_script(const script *t, size_t chunk)
{
    rig *r = rig_new(t->client);
    char hex[sizeof r->bytes];
    feed(r, t->in, chunk);
    if (strcmp(r->log, t->events) != 0) {
        print_error("script: %s\n", t->name);
    }
    assert_string_equal(r->log, t->events);
    assert_sent(r, t->out);
    tern_hex(hex, r->bytes, r->bytes_len);
    hex[2 * r->bytes_len] = 0;
    assert_string_equal(hex, t->bytes);
    assert_false(tern_yamux_core_inside_frame(&r->core));
    rig_free(r);
}

static void vectors_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        for (size_t chunk = 1; chunk <= 13; chunk++) {
            run_script(&scripts[i], chunk);
        }
        run_script(&scripts[i], SIZE_MAX / 2);
    }
}

/* --- what must be refused --- */

#define COUNTER(name) offsetof(tern_counters, name)

typedef struct bad {
    const char *name;
    const char *in; /* after we opened stream 1 and announced it; we are the client */
    size_t counter;
} bad;

static const bad bads[] = {
    {"version 1", "010000000000000100000000", COUNTER(yamux_bad_version)},
    {"version 255", "ff0200010000000000000000", COUNTER(yamux_bad_version)},
    {"type 4", "000400000000000100000000", COUNTER(yamux_bad_type)},
    {"type 255", "00ff00000000000000000000", COUNTER(yamux_bad_type)},
    {"unknown flag", "000100100000000100000000", COUNTER(yamux_bad_flags)},
    {"high flag", "000080000000000100000000", COUNTER(yamux_bad_flags)},
    {"open that answers", "000100030000000200000000", COUNTER(yamux_bad_flags)},
    {"ping without question", "000200000000000000000001", COUNTER(yamux_bad_flags)},
    {"ping both ways", "000200030000000000000001", COUNTER(yamux_bad_flags)},
    {"ping that ends", "000200050000000000000001", COUNTER(yamux_bad_flags)},
    {"data after the end",
     "000100040000000100000000"
     "000000000000000100000001"
     "00",
     COUNTER(yamux_bad_flags)},
    {"ping on a stream", "000200010000000100000001", COUNTER(yamux_bad_stream)},
    {"GoAway on a stream", "000300000000000100000000", COUNTER(yamux_bad_stream)},
    {"data without a stream", "000000000000000000000000", COUNTER(yamux_bad_stream)},
    {"update without a stream", "000100000000000000000001", COUNTER(yamux_bad_stream)},
    {"open without a stream", "000100010000000000000000", COUNTER(yamux_bad_stream)},
    {"open with our parity", "000100010000000300000000", COUNTER(yamux_bad_stream)},
    {"open of our stream", "000100010000000100000000", COUNTER(yamux_bad_stream)},
    {"open of a live stream",
     "000100010000000200000000"
     "000100010000000200000000",
     COUNTER(yamux_bad_stream)},
    {"open of a used stream",
     "000100010000000200000000"
     "000100080000000200000000"
     "000100010000000200000000",
     COUNTER(yamux_bad_stream)},
    {"data of a stream never opened", "000000000000000200000000", COUNTER(yamux_bad_stream)},
    {"reset of a stream never opened", "000100080000000200000000", COUNTER(yamux_bad_stream)},
    {"end of a stream we never opened", "000100040000000300000000", COUNTER(yamux_bad_stream)},
    {"open beyond the window", "000000010000000200040001", COUNTER(yamux_window)},
    {"open with 4 GiB", "0000000100000002ffffffff", COUNTER(yamux_window)},
    {"open with credit that overflows", "0001000100000002ffffffff", COUNTER(yamux_window)},
    {"open with credit one too large", "0001000100000002fffc0000", COUNTER(yamux_window)},
    {"credit that overflows", "0001000000000001ffffffff", COUNTER(yamux_window)},
    {"credit that overflows in the sum",
     "00010000000000017fffffff"
     "00010000000000018fffffff",
     COUNTER(yamux_window)},
    {"data beyond the window", "000000000000000100040001", COUNTER(yamux_window)},
    {"late data beyond any window",
     "000100080000000100000000"
     "000000000000000108000001",
     COUNTER(yamux_window)},
};

static uint64_t all_errors(const tern_counters *n)
{
    return n->yamux_bad_version + n->yamux_bad_type + n->yamux_bad_flags + n->yamux_bad_stream +
           n->yamux_window + n->yamux_flood + n->yamux_goaway_in;
}

static void run_bad(const bad *t, size_t chunk)
{
    rig *r = rig_new(true);
    uint64_t counted;
    rig_open(r);
    tern_yamux_core_announce(&r->core, NULL);
    sent(r);
    feed(r, t->in, chunk);
    if (!r->failed) {
        print_error("not refused: %s\n", t->name);
    }
    assert_true(r->failed);
    memcpy(&counted, (const char *)&r->counters + t->counter, sizeof counted);
    assert_int_equal(counted, 1);
    assert_int_equal(all_errors(&r->counters), 1);
    const char *out = sent(r); /* ends with GoAway 1 */
    assert_true(strlen(out) >= 24);
    assert_string_equal(out + strlen(out) - 24, "000300000000000000000001");
    rig_free(r);
}

static void malformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        run_bad(&bads[i], 1);
        run_bad(&bads[i], SIZE_MAX / 2);
    }
}

/* The stream is checked before it is made (rust-yamux CVE-2026-32314). */
static void beyond_the_window_makes_no_stream(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    feed(r, "000000010000000100040001", 100);
    assert_string_equal(r->log, "failed;");
    assert_int_equal(r->core.in_count, 0);
    rig_free(r);
    r = rig_new(false);
    feed(r, "000000010000000100040000", 100); /* exactly the window */
    assert_string_equal(r->log, "open 1;");
    rig_free(r);
}

/* --- ids --- */

static void ids_grow_on_the_wire(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    uint8_t h[TERN_YAMUX_HEADER];
    char hex[2 * TERN_YAMUX_HEADER + 1];
    rig_open(r);
    rig_open(r);
    tern_yamux_stream *third = rig_open(r);
    tern_yamux_core_announce(&r->core, third);
    assert_sent(r, "000100010000000200000000"
                   "000100010000000400000000");
    tern_yamux_core_data(&r->core, third, 1, h);
    tern_hex(hex, h, sizeof h);
    assert_string_equal(hex, "000000010000000600000001");
    rig_free(r);
}

static void old_ids_are_refused_not_judged(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1001, 0);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1001 - 126, 0); /* the oldest remembered */
    sent(r);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1001 - 128, 0);
    assert_string_equal(r->log, "open 1001;open 875;");
    assert_sent(r, "000100080000036900001001");
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, UINT32_MAX, 0);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, UINT32_MAX - 2, 0);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, UINT32_MAX, 0);
    assert_string_equal(r->log, "open 1001;open 875;open 4294967295;open 4294967293;failed;");
    rig_free(r);
}

static void our_ids_run_out(void **state)
{
    (void)state;
    rig *r = rig_new(true);
    r->core.next_id = UINT32_MAX - 2;
    assert_int_equal(rig_open(r)->id, UINT32_MAX - 2);
    assert_int_equal(tern_yamux_core_open(&r->core, slot(r), r->now), TERN_E_CONN_CLOSED);
    rig_free(r);
}

/* --- limits --- */

static void unanswered_opens_are_bounded(void **state)
{
    (void)state;
    rig *r = rig_new(true);
    for (int i = 0; i < TERN_YAMUX_UNACKED_MAX; i++) {
        rig_open(r);
    }
    assert_int_equal(tern_yamux_core_open(&r->core, slot(r), r->now), TERN_E_LIMIT);
    tern_yamux_core_announce(&r->core, NULL);
    sent(r);
    for (uint32_t id = 1; id < 2 * TERN_YAMUX_UNACKED_MAX; id += 2) {
        feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_ACK, id, 0);
    }
    while (r->count < TERN_YAMUX_ALIVE_MAX) {
        rig_open(r);
    }
    assert_int_equal(tern_yamux_core_open(&r->core, slot(r), r->now), TERN_E_LIMIT);
    tern_yamux_core_reset(&r->core, &r->streams[0], 0);
    assert_int_equal(tern_yamux_core_open(&r->core, slot(r), r->now), TERN_E_LIMIT);
    tern_yamux_core_forget(&r->core, &r->streams[0]); /* only now its memory is free */
    rig_open(r);
    rig_free(r);
}

static void incoming_streams_are_bounded(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    r->limits.streams_per_conn = 2;
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1, 0);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 3, 0);
    sent(r);
    feed(r,
         "000000010000000500000002"
         "6869",
         100);
    assert_sent(r, "000100080000000500001001");
    assert_int_equal(r->bytes_len, 0);
    assert_int_equal(r->counters.streams_limit, 1);
    /* A stream that is over counts until it is forgotten. */
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_RST, 1, 0);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 7, 0);
    assert_int_equal(r->counters.streams_limit, 2);
    tern_yamux_core_forget(&r->core, &r->streams[0]);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 9, 0);
    assert_string_equal(r->log, "open 1;open 3;reset 1 0;open 9;");
    rig_free(r);
}

static void unread_bytes_of_the_session_are_bounded(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    r->consume = false;
    r->limits.conn_window_max = 300000;
    feed_frame(r, TERN_YAMUX_DATA, TERN_YAMUX_SYN, 1, 200000);
    feed_zeros(r, 200000);
    feed_frame(r, TERN_YAMUX_DATA, TERN_YAMUX_SYN, 3, 100000);
    feed_zeros(r, 100000);
    sent(r);
    feed_frame(r, TERN_YAMUX_DATA, 0, 3, 1);
    feed_zeros(r, 1);
    assert_string_equal(r->log, "open 1;open 3;overfull 3;");
    assert_sent(r, "000100080000000300001001");
    feed_frame(r, TERN_YAMUX_DATA, TERN_YAMUX_SYN, 5, 1);
    feed_zeros(r, 1);
    assert_sent(r, "000100080000000500001001");
    tern_yamux_core_consumed(&r->core, &r->streams[0], 200000, r->now);
    feed_frame(r, TERN_YAMUX_DATA, TERN_YAMUX_SYN, 7, 1);
    feed_zeros(r, 1);
    assert_string_equal(r->log, "open 1;open 3;overfull 3;open 7;");
    rig_free(r);
}

static void refused_stream_is_answered(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    r->refuse = true;
    feed(r,
         "000000050000000100000002"
         "6869"
         "000200010000000000000001",
         100);
    assert_string_equal(r->log, "open 1;");
    assert_sent(r, "000100080000000100000007"
                   "000200020000000000000001");
    assert_int_equal(r->bytes_len, 0);
    rig_free(r);
}

/* --- floods --- */

typedef struct flood {
    const char *name;
    unsigned type, flags;
    uint32_t length;
    bool opens;   /* each frame on a new id */
    size_t bound; /* so many in one instant are too many */
} flood;

static const flood floods[] = {
    {"pings", TERN_YAMUX_PING, TERN_YAMUX_SYN, 1, false, 300},
    {"answers", TERN_YAMUX_PING, TERN_YAMUX_ACK, 1, false, 300},
    {"updates", TERN_YAMUX_UPDATE, 0, 0, false, 10100},
    {"empty data", TERN_YAMUX_DATA, 0, 0, false, 10100},
    {"resets", TERN_YAMUX_UPDATE, TERN_YAMUX_SYN | TERN_YAMUX_RST, 0, true, 1100},
    {"opens", TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 0, true, 4000},
};

static size_t flood_until(rig *r, const flood *f, size_t n, uint64_t pause)
{
    uint32_t id = f->type == TERN_YAMUX_PING ? 0 : 1;
    for (size_t i = 0; i < n; i++) {
        feed_frame(r, f->type, f->flags, id, f->length);
        if (r->failed) {
            return i;
        }
        tern_yamux_core_sent(&r->core, tern_buf_len(&r->core.out));
        id += f->opens ? 2 : 0;
        r->now += pause;
    }
    return n;
}

static void floods_end_the_session(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        const flood *f = &floods[i];
        rig *r = rig_new(false);
        if (!f->opens) {
            feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1, 0);
        }
        size_t n = flood_until(r, f, 20000, 0);
        if (n >= f->bound) {
            print_error("flood of %s: %zu\n", f->name, n);
        }
        assert_true(n < f->bound);
        assert_int_equal(r->counters.yamux_flood, 1);
        rig_free(r);
        /* A tenth of the pace is nobody's flood. */
        r = rig_new(false);
        if (!f->opens) {
            feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1, 0);
        }
        r->refuse = true;
        flood_until(r, f, 5000, 10 * TERN_SEC / f->bound);
        assert_false(r->failed);
        rig_free(r);
    }
}

/* A peer that gives back the window after each read (py) sends as many updates as we send frames.
 */
static void updates_that_answer_are_free(void **state)
{
    (void)state;
    rig *r = rig_new(true);
    uint8_t h[TERN_YAMUX_HEADER];
    tern_yamux_stream *s = rig_open(r);
    for (int i = 0; i < 30000; i++) {
        tern_yamux_core_data(&r->core, s, 1, h);
    }
    for (int i = 0; i < 30000; i++) {
        feed_frame(r, TERN_YAMUX_UPDATE, 0, 1, 1);
    }
    assert_false(r->failed);
    assert_int_equal(s->send_window, TERN_YAMUX_WINDOW);
    rig_free(r);
}

static void waiting_answers_are_bounded(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    for (uint32_t i = 0; i < 40; i++) {
        feed_frame(r, TERN_YAMUX_PING, TERN_YAMUX_SYN, 0, i);
    }
    assert_int_equal(tern_buf_len(&r->core.out), TERN_YAMUX_PONGS_MAX * TERN_YAMUX_HEADER);
    sent(r);
    feed_frame(r, TERN_YAMUX_PING, TERN_YAMUX_SYN, 0, 99);
    assert_sent(r, "000200020000000000000063");
    rig_free(r);
}

static void control_frames_that_wait_are_bounded(void **state)
{
    (void)state;
    rig *r = rig_new(true);
    int code = 0;
    for (int i = 0; i < 10000 && code == 0; i++) {
        tern_yamux_stream *s = &r->streams[0];
        code = tern_yamux_core_open(&r->core, s, r->now);
        if (code == 0) {
            tern_yamux_core_announce(&r->core, NULL);
            tern_yamux_core_reset(&r->core, s, 0);
            tern_yamux_core_forget(&r->core, s);
        }
    }
    assert_int_equal(code, TERN_E_LIMIT);
    assert_int_equal(r->core.broken, 0);
    for (int i = 0; i < 10000; i++) {
        tern_yamux_emit(&r->core, TERN_YAMUX_UPDATE, 0, 1, 0);
    }
    assert_int_equal(r->core.broken, TERN_E_LIMIT);
    assert_true(tern_buf_len(&r->core.out) < TERN_YAMUX_OUT_MAX + TERN_YAMUX_HEADER);
    rig_free(r);
}

/* --- windows --- */

static void window_comes_back_at_half(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    r->core.rtt = 1; /* known, and so short that no window grows */
    r->core.ping_sent = r->now;
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1, 0);
    sent(r);
    r->now += TERN_SEC;
    feed_frame(r, TERN_YAMUX_DATA, 0, 1, 131071);
    feed_zeros(r, 131071);
    assert_sent(r, "");
    feed_frame(r, TERN_YAMUX_DATA, 0, 1, 1);
    feed_zeros(r, 1);
    assert_sent(r, "000100000000000100020000");
    assert_int_equal(r->streams[0].recv_window, TERN_YAMUX_WINDOW);
    /* What lies unread is not given back. */
    r->consume = false;
    feed_frame(r, TERN_YAMUX_DATA, 0, 1, 262144);
    feed_zeros(r, 262144);
    assert_sent(r, "");
    feed_frame(r, TERN_YAMUX_DATA, 0, 1, 1);
    assert_true(r->failed);
    assert_int_equal(r->counters.yamux_window, 1);
    rig_free(r);
}

/* Consumes a full window, half at a time, `took` after the last. */
static void pass_window(rig *r, tern_yamux_stream *s, uint64_t took)
{
    uint32_t n = s->recv_max / 2;
    r->now += took;
    feed_frame(r, TERN_YAMUX_DATA, 0, s->id, n);
    feed_zeros(r, n);
    tern_yamux_core_sent(&r->core, tern_buf_len(&r->core.out));
}

static void window_grows_with_the_delay(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    r->limits.stream_window_max = 16 << 20;
    r->limits.conn_window_max = 64 << 20;
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1, 0);
    tern_yamux_stream *s = &r->streams[0];
    sent(r);
    feed_frame(r, TERN_YAMUX_DATA, 0, 1, 65536);
    feed_zeros(r, 65536);
    assert_sent(r, "000200010000000000000001"); /* worth a ping now */
    r->now += 100 * TERN_MS;
    feed_frame(r, TERN_YAMUX_PING, TERN_YAMUX_ACK, 0, 1);
    assert_int_equal(r->core.rtt, 100 * TERN_MS);
    uint32_t last = TERN_YAMUX_WINDOW;
    for (int i = 0; i < 6; i++) {
        pass_window(r, s, 40 * TERN_MS);
        assert_int_equal(s->recv_max, 2 * last);
        last = s->recv_max;
    }
    pass_window(r, s, TERN_SEC); /* a slow reader's window stays */
    assert_int_equal(s->recv_max, last);
    pass_window(r, s, 40 * TERN_MS);
    assert_int_equal(s->recv_max, r->limits.stream_window_max); /* its limit */
    /* Never beyond the limit of the session. */
    r->limits.stream_window_max = UINT32_MAX;
    r->limits.conn_window_max = 3 * s->recv_max / 2;
    pass_window(r, s, 40 * TERN_MS);
    assert_int_equal(s->recv_max, r->limits.conn_window_max);
    pass_window(r, s, 40 * TERN_MS);
    assert_int_equal(s->recv_max, r->limits.conn_window_max);
    assert_false(r->failed);
    rig_free(r);
}

/* A round trip that was short while nothing was done does not keep a window small that is used up
 * within a moment. */
static void window_grows_where_much_is_done(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1, 0);
    tern_yamux_stream *s = &r->streams[0];
    r->core.rtt = TERN_MS / 10;
    r->core.ping_sent = r->now;
    pass_window(r, s, TERN_MS);
    assert_int_equal(s->recv_max, 2 * TERN_YAMUX_WINDOW);
    pass_window(r, s, 3 * TERN_MS);
    assert_int_equal(s->recv_max, 2 * TERN_YAMUX_WINDOW);
    assert_false(r->failed);
    rig_free(r);
}

static void windows_stay_without_a_round_trip(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1, 0);
    for (int i = 0; i < 10; i++) {
        pass_window(r, &r->streams[0], 0);
    }
    assert_int_equal(r->streams[0].recv_max, TERN_YAMUX_WINDOW);
    rig_free(r);
}

/* Short of memory, a window that has grown is not given back beyond that of a new stream. */
static void windows_shrink_under_pressure(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1, 0);
    tern_yamux_stream *s = &r->streams[0];
    r->core.rtt = 100 * TERN_MS;
    r->core.ping_sent = r->now;
    pass_window(r, s, 40 * TERN_MS);
    pass_window(r, s, 40 * TERN_MS);
    assert_int_equal(s->recv_max, 4 * TERN_YAMUX_WINDOW);
    r->limits.memory = tern_mem_bytes() / 4 * 5; /* four fifths are used */
    assert_int_equal(tern_limits_pressure(&r->limits), TERN_PRESSURE_HIGH);
    uint32_t promised = s->recv_window;
    feed_frame(r, TERN_YAMUX_DATA, 0, 1, promised - TERN_YAMUX_WINDOW / 2 - 1);
    feed_zeros(r, promised - TERN_YAMUX_WINDOW / 2 - 1);
    assert_int_equal(s->recv_max, TERN_YAMUX_WINDOW);
    assert_int_equal(s->recv_window, TERN_YAMUX_WINDOW / 2 + 1); /* nothing new so far */
    feed_frame(r, TERN_YAMUX_DATA, 0, 1, 1);
    feed_zeros(r, 1);
    assert_int_equal(s->recv_window, TERN_YAMUX_WINDOW); /* as a new stream's */
    assert_int_equal(r->core.windows, TERN_YAMUX_WINDOW);
    assert_false(r->failed);
    rig_free(r);
}

/* A frame that began while there was memory does not go on filling it when there is none. */
static void a_long_frame_ends_with_the_memory(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    r->consume = false;
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, 1, 0);
    feed_frame(r, TERN_YAMUX_DATA, 0, 1, 2000);
    feed_zeros(r, 1000);
    assert_int_equal(r->core.unread, 1000);
    sent(r);
    r->limits.memory = 1;
    feed_zeros(r, 1000);
    assert_int_equal(r->core.unread, 1000);
    assert_false(r->streams[0].live);
    assert_int_equal(r->counters.memory_streams, 1);
    assert_sent(r, "000100080000000100001001");
    feed_frame(r, TERN_YAMUX_PING, TERN_YAMUX_SYN, 0, 7); /* the session goes on */
    assert_false(r->failed);
    rig_free(r);
}

/* --- ends --- */

static void halves_end_in_each_order(void **state)
{
    (void)state;
    rig *r = rig_new(true);
    tern_yamux_stream *s = rig_open(r);
    tern_yamux_core_announce(&r->core, NULL);
    tern_yamux_core_end(&r->core, s);
    assert_true(s->live);
    feed_frame(r, TERN_YAMUX_DATA, TERN_YAMUX_FIN | TERN_YAMUX_ACK, 1, 1);
    feed_zeros(r, 1);
    assert_false(s->live);
    s = rig_open(r);
    tern_yamux_core_announce(&r->core, NULL);
    feed_frame(r, TERN_YAMUX_UPDATE, TERN_YAMUX_FIN, 3, 0);
    assert_true(s->live);
    tern_yamux_core_end(&r->core, s);
    assert_false(s->live);
    assert_string_equal(r->log, "end 1;end 3;");
    assert_null(tern_yamux_core_any(&r->core));
    rig_free(r);
}

/* The stream goes while its body arrives: the rest is skipped. */
static void reset_inside_a_body(void **state)
{
    (void)state;
    rig *r = rig_new(false);
    feed(r,
         "000000050000000100000005"
         "6869",
         100);
    tern_yamux_core_reset(&r->core, &r->streams[0], 0);
    feed(r,
         "aabbcc"
         "000100010000000300000000",
         1);
    assert_string_equal(r->log, "open 1;open 3;");
    assert_int_equal(r->bytes_len, 2);
    rig_free(r);
}

static void no_opens_after_goaway(void **state)
{
    (void)state;
    rig *r = rig_new(true);
    feed(r, "000300000000000000000000", 100);
    assert_int_equal(tern_yamux_core_open(&r->core, slot(r), r->now), TERN_E_CONN_CLOSED);
    feed(r, "000300000000000000000001", 100); /* told once */
    assert_string_equal(r->log, "leaving 0;");
    assert_int_equal(r->counters.yamux_goaway_in, 0);
    rig_free(r);
    r = rig_new(true);
    feed(r, "000300000000000000000001", 100);
    assert_int_equal(r->counters.yamux_goaway_in, 1);
    rig_free(r);
}

/* --- time --- */

static void silence_is_asked_then_ends(void **state)
{
    (void)state;
    rig *r = rig_new(true);
    assert_int_equal(tern_yamux_core_deadline(&r->core), r->now + 30 * TERN_SEC);
    assert_int_equal(tern_yamux_core_tick(&r->core, r->now + 29 * TERN_SEC), 0);
    assert_sent(r, "");
    r->now += 30 * TERN_SEC;
    assert_int_equal(tern_yamux_core_tick(&r->core, r->now), 0);
    assert_sent(r, "000200010000000000000001");
    r->now += 10 * TERN_SEC; /* answered */
    feed(r, "000200020000000000000001", 1);
    assert_int_equal(r->core.rtt, 10 * TERN_SEC);
    assert_int_equal(tern_yamux_core_deadline(&r->core), r->now + 30 * TERN_SEC);
    r->now += 30 * TERN_SEC;
    assert_int_equal(tern_yamux_core_tick(&r->core, r->now), 0);
    assert_sent(r, "000200010000000000000002");
    r->now += 30 * TERN_SEC;
    assert_int_equal(tern_yamux_core_tick(&r->core, r->now - 1), 0);
    assert_int_equal(tern_yamux_core_tick(&r->core, r->now), TERN_E_TIMEOUT);
    rig_free(r);
}

/* Any byte shows that the peer lives, also when it answers no ping. */
static void other_frames_keep_alive(void **state)
{
    (void)state;
    rig *r = rig_new(true);
    for (int i = 0; i < 10; i++) {
        r->now = tern_yamux_core_deadline(&r->core);
        assert_int_equal(tern_yamux_core_tick(&r->core, r->now), 0);
        assert_int_equal(tern_buf_len(&r->core.out), TERN_YAMUX_HEADER);
        sent(r);
        feed_frame(r, TERN_YAMUX_PING, TERN_YAMUX_SYN, 0, 1);
        sent(r);
    }
    assert_int_equal(r->core.rtt, 0);
    rig_free(r);
}

/* --- memory --- */

static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t at = 1; at < 6; at++) {
        rig *r = rig_new(false);
        tern_mem_fail_at(at, 0);
        tern_yamux_stream *s = slot(r);
        int code = tern_yamux_core_open(&r->core, s, r->now);
        r->count += code == 0;
        tern_yamux_core_announce(&r->core, NULL);
        tern_mem_fail_at(0, 0);
        assert_true(code == 0 || code == TERN_E_NOMEM);
        if (code == TERN_E_NOMEM) {
            assert_int_equal(r->core.ours_count, 0);
        } else {
            assert_true(r->core.broken == 0 || r->core.broken == TERN_E_NOMEM);
        }
        rig_free(r);
    }
}

static void an_idle_session_is_small(void **state)
{
    (void)state;
    rig *r = rig_new(true);
    tern_yamux_stream *s = rig_open(r);
    tern_yamux_core_reset(&r->core, s, 0);
    tern_yamux_core_forget(&r->core, s);
    assert_int_equal(r->core.in.cap + r->core.ours.cap, 0);
    assert_true(sizeof(tern_yamux_core) <= 400);
    assert_true(sizeof(tern_yamux_stream) <= 64);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_out),
        cmocka_unit_test(vectors_in),
        cmocka_unit_test(malformed),
        cmocka_unit_test(beyond_the_window_makes_no_stream),
        cmocka_unit_test(ids_grow_on_the_wire),
        cmocka_unit_test(old_ids_are_refused_not_judged),
        cmocka_unit_test(our_ids_run_out),
        cmocka_unit_test(unanswered_opens_are_bounded),
        cmocka_unit_test(incoming_streams_are_bounded),
        cmocka_unit_test(unread_bytes_of_the_session_are_bounded),
        cmocka_unit_test(refused_stream_is_answered),
        cmocka_unit_test(floods_end_the_session),
        cmocka_unit_test(updates_that_answer_are_free),
        cmocka_unit_test(waiting_answers_are_bounded),
        cmocka_unit_test(control_frames_that_wait_are_bounded),
        cmocka_unit_test(window_comes_back_at_half),
        cmocka_unit_test(window_grows_with_the_delay),
        cmocka_unit_test(window_grows_where_much_is_done),
        cmocka_unit_test(windows_stay_without_a_round_trip),
        cmocka_unit_test(windows_shrink_under_pressure),
        cmocka_unit_test(a_long_frame_ends_with_the_memory),
        cmocka_unit_test(halves_end_in_each_order),
        cmocka_unit_test(reset_inside_a_body),
        cmocka_unit_test(no_opens_after_goaway),
        cmocka_unit_test(silence_is_asked_then_ends),
        cmocka_unit_test(other_frames_keep_alive),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(an_idle_session_is_small),
    };
    return TERN_TEST_MAIN(tests);
}
