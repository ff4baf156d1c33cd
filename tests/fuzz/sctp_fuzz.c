/* SCTP: two cores that are connected, and packets from outside between theirs. Input: records of
 * | control | length | chunks |, whose packet gets the right ports, tag and checksum; control's
 * bits say to whom, how long the clock goes on, what is sent, and whether the first packet after it
 * is lost. Neither core may crash, hold more than its bounds, or go on after its end. */
#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "webrtc/sctp_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { STREAMS = 4 };

typedef struct side {
    tern_sctp s;
    tern_sctp_stream streams[STREAMS];
    bool down;
} side;

static void alive(const side *s)
{
    if (s->down) {
        abort();
    }
}

static void on_up(void *owner)
{
    alive(owner);
}

static void on_data(void *owner, uint16_t sid, uint32_t ppid, uint8_t *data, size_t n, bool first,
                    bool last)
{
    side *s = owner;
    (void)ppid;
    (void)first;
    (void)last;
    alive(s);
    data[0] ^= 1;
    data[n - 1] ^= 1;
    if (sid % 2 == 0) { /* the others are never read */
        tern_sctp_consumed(&s->s, n);
    }
}

static void on_stream(void *owner, uint16_t sid)
{
    (void)sid;
    alive(owner);
}

static void on_fault(void *owner, tern_sctp_fault fault)
{
    (void)fault;
    alive(owner);
}

static void on_down(void *owner, const tern_error *why)
{
    side *s = owner;
    (void)why;
    alive(s);
    s->down = true;
}

static const tern_sctp_events events = {.on_up = on_up,
                                        .on_data = on_data,
                                        .on_room = on_stream,
                                        .on_reset = on_stream,
                                        .on_reset_done = on_stream,
                                        .on_fault = on_fault,
                                        .on_down = on_down};

/* Both say all that they have to say; `lose` drops the first packet of it. */
static void exchange(side *sides, uint64_t now, bool lose)
{
    uint8_t out[TERN_SCTP_PACKET];
    for (int turn = 0; turn < 6; turn++) {
        side *from = &sides[turn % 2], *to = &sides[1 - turn % 2];
        size_t n;
        for (int k = 0; k < 32 && (n = tern_sctp_output(&from->s, now, out)) > 0; k++) {
            if (!lose) {
                tern_sctp_input(&to->s, now, out, n);
            }
            lose = false;
        }
    }
}

static void inject(side *to, uint64_t now, const uint8_t *chunks, size_t n)
{
    uint8_t *p = tern_malloc(SCTP_HEADER + n);
    if (p == NULL) {
        return;
    }
    tern_put16(p, 5000);
    tern_put16(p + 2, 5000);
    tern_put32(p + 4, n > 0 && chunks[0] == SCTP_INIT ? 0 : to->s.tag);
    memset(p + 8, 0, 4);
    memcpy(p + SCTP_HEADER, chunks, n);
    uint32_t crc = tern_crc32c(p, SCTP_HEADER + n);
    for (unsigned i = 0; i < 4; i++) {
        p[8 + i] = (uint8_t)(crc >> 8 * i);
    }
    tern_sctp_input(&to->s, now, p, SCTP_HEADER + n);
    tern_free(p);
}

static void act(side *s, uint8_t what, uint64_t now)
{
    static const uint8_t much[9000];
    const tern_span v = {much, (what & 8) != 0 ? sizeof much : 23};
    tern_sctp_stream *st = &s->streams[what % STREAMS];
    switch (what >> 4 & 3) {
    case 1:
        tern_sctp_send(&s->s, st, 53, &v, 1, 0);
        break;
    case 2:
        tern_sctp_reset(&s->s, st->sid);
        break;
    case 3:
        if (what == 0xff) {
            tern_sctp_shutdown(&s->s, now);
        }
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    side sides[2] = {{.down = false}, {.down = false}};
    uint64_t now = 1;
    for (int i = 0; i < 2; i++) {
        const uint8_t random[8] = {0, 0, 0, (uint8_t)(i + 1), 0, 0, 0, 1};
        tern_sctp_init(&sides[i].s, &events, &sides[i], random);
        for (uint16_t k = 0; k < STREAMS; k++) {
            tern_sctp_stream_init(&sides[i].streams[k], k);
        }
        tern_sctp_start(&sides[i].s, now);
    }
    exchange(sides, now, false);
    for (size_t at = 0; at + 2 <= n;) {
        uint8_t control = data[at];
        size_t len = data[at + 1];
        at += 2;
        len = len < n - at ? len : n - at;
        side *to = &sides[control & 1];
        act(to, control, now);
        inject(to, now, data + at, len);
        at += len;
        now += (control & 2) != 0 ? UINT64_C(300000000) : 1000;
        for (int i = 0; i < 2; i++) {
            tern_sctp_tick(&sides[i].s, now);
            if (sides[i].s.held_count > TERN_SCTP_HELD ||
                sides[i].s.unread + sides[i].s.held_bytes > TERN_SCTP_WINDOW + 64 * 1024) {
                abort();
            }
        }
        exchange(sides, now, (control & 4) != 0);
    }
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < STREAMS; k++) {
            sides[i].streams[k].inside = false;
            tern_sctp_stream_clear(&sides[i].s, &sides[i].streams[k]);
        }
        tern_sctp_free(&sides[i].s);
    }
    return 0;
}
