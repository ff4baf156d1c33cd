/* SCTP: DATA in, SACK out. See sctp_core.h. */
#include "base/mem.h"
#include "webrtc/sctp_core.h"

enum {
    FIRST = 2,
    LAST = 1,          /* flags of DATA */
    PROBE = 16 * 1024, /* so much beyond the window is taken: it was on its way, or is a probe */
    BLOCKS_MAX = 128,  /* gaps told in one SACK */
};

/* A chunk that came before its turn. */
typedef struct tern_sctp_held {
    uint32_t ppid;
    uint16_t sid, len;
    uint8_t flags;
    uint8_t data[];
} tern_sctp_held;

static tern_sctp_held **slot(const tern_sctp *s, uint32_t tsn)
{
    return &s->held[tsn % TERN_SCTP_HELD];
}

void sctp_held_free(tern_sctp *s)
{
    for (size_t i = 0; s->held != NULL && s->held_count > 0 && i < TERN_SCTP_HELD; i++) {
        tern_free(s->held[i]);
    }
    tern_free(s->held);
    s->held = NULL;
    s->held_count = s->held_bytes = 0;
}

static void give(tern_sctp *s, uint16_t sid, uint32_t ppid, uint8_t flags, uint8_t *data, size_t n)
{
    s->unread += n;
    s->events->on_data(s->owner, sid, ppid, data, n, (flags & FIRST) != 0, (flags & LAST) != 0);
}

/* What waited for cum_in to get here. */
static void drain(tern_sctp *s)
{
    while (s->held_count > 0 && s->state != TERN_SCTP_DEAD) {
        tern_sctp_held *h = *slot(s, s->cum_in + 1);
        if (h == NULL) {
            return;
        }
        *slot(s, s->cum_in + 1) = NULL;
        s->held_count--;
        s->held_bytes -= h->len;
        s->cum_in++;
        give(s, h->sid, h->ppid, h->flags, h->data, h->len);
        tern_free(h);
    }
    if (s->held_count == 0) {
        sctp_held_free(s);
    }
}

static bool is_here(const tern_sctp *s, uint32_t tsn)
{
    return !sctp_before(s->cum_in, tsn) ||
           (s->held != NULL && tsn - s->cum_in < TERN_SCTP_HELD && *slot(s, tsn) != NULL);
}

static void hold(tern_sctp *s, uint32_t tsn, const uint8_t *chunk, size_t n)
{
    if (s->held == NULL) {
        s->held = tern_calloc(TERN_SCTP_HELD, sizeof(*s->held));
    }
    if (s->held == NULL) {
        return; /* it will come again */
    }
    tern_sctp_held *h = tern_malloc(sizeof *h + n);
    if (h == NULL) {
        return;
    }
    h->flags = chunk[1];
    h->sid = tern_get16(chunk + 8);
    h->ppid = tern_get32(chunk + 12);
    h->len = (uint16_t)n;
    memcpy(h->data, chunk + SCTP_DATA_HEAD, n);
    *slot(s, tsn) = h;
    s->held_count++;
    s->held_bytes += n;
    if (sctp_before(s->highest_in, tsn)) {
        s->highest_in = tsn;
    }
}

void sctp_data(tern_sctp *s, uint64_t now, uint8_t *chunk, size_t len)
{
    (void)now;
    if (len <= SCTP_DATA_HEAD || s->state < TERN_SCTP_ESTABLISHED) {
        sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        return;
    }
    uint32_t tsn = tern_get32(chunk + 4);
    size_t n = len - SCTP_DATA_HEAD;
    if (is_here(s, tsn)) {
        s->duplicates++;
        s->wants |= WANT_SACK;
        return;
    }
    /* What all wait for is taken beside what is held, or nothing would move any more. */
    size_t beside = tsn == s->cum_in + 1 ? 0 : s->held_bytes;
    if (tsn - s->cum_in >= TERN_SCTP_HELD || s->unread + beside + n > TERN_SCTP_WINDOW + PROBE) {
        s->wants |= WANT_SACK;
        sctp_fault(s, TERN_SCTP_BEYOND);
        return;
    }
    if (tsn != s->cum_in + 1) {
        hold(s, tsn, chunk, n);
        s->wants |= WANT_SACK;
        return;
    }
    bool gap = s->held_count > 0;
    s->cum_in = tsn;
    if (sctp_before(s->highest_in, tsn)) {
        s->highest_in = tsn;
    }
    give(s, tern_get16(chunk + 8), tern_get32(chunk + 12), chunk[1], chunk + SCTP_DATA_HEAD, n);
    if (gap) {
        drain(s);
        s->wants |= WANT_SACK;
    }
    sctp_reset_check(s);
}

/* A peer that gives data up (RFC 3758). Ours is reliable and we do not offer it, but a hole that
 * would never close is worse than bytes that are missing: the stream's framing will notice. */
void sctp_forward(tern_sctp *s, const uint8_t *chunk, size_t n)
{
    uint32_t to = n >= 8 ? tern_get32(chunk + 4) : s->cum_in;
    if (n < 8 || s->state < TERN_SCTP_ESTABLISHED || to - s->cum_in >= TERN_SCTP_HELD) {
        if (n < 8 || sctp_before(s->cum_in, to)) {
            sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        }
        return;
    }
    while (sctp_before(s->cum_in, to) && s->state != TERN_SCTP_DEAD) {
        tern_sctp_held *h = s->held != NULL ? *slot(s, s->cum_in + 1) : NULL;
        s->cum_in++;
        if (h != NULL) {
            *slot(s, s->cum_in) = NULL;
            s->held_count--;
            s->held_bytes -= h->len;
            give(s, h->sid, h->ppid, h->flags, h->data, h->len);
            tern_free(h);
        }
    }
    if (sctp_before(s->highest_in, s->cum_in)) {
        s->highest_in = s->cum_in;
    }
    drain(s);
    sctp_reset_check(s);
    s->wants |= WANT_SACK;
}

static size_t window(const tern_sctp *s)
{
    size_t used = s->unread + s->held_bytes;
    return used < TERN_SCTP_WINDOW ? TERN_SCTP_WINDOW - used : 0;
}

void tern_sctp_consumed(tern_sctp *s, size_t n)
{
    s->unread = n < s->unread ? s->unread - n : 0;
    if (s->told_window < TERN_SCTP_WINDOW / 2 &&
        window(s) >= s->told_window + TERN_SCTP_WINDOW / 4) {
        s->wants |= WANT_SACK;
    }
}

/* The next run of held chunks from *at (an offset from cum_in) on. */
static bool next_block(const tern_sctp *s, uint32_t *at, uint32_t *ret_first, uint32_t *ret_last)
{
    uint32_t end = s->highest_in - s->cum_in;
    while (*at <= end && *slot(s, s->cum_in + *at) == NULL) {
        ++*at;
    }
    *ret_first = *at;
    while (*at <= end && *slot(s, s->cum_in + *at) != NULL) {
        ++*at;
    }
    *ret_last = *at - 1;
    return *ret_first <= end;
}

size_t sctp_put_sack(tern_sctp *s, uint8_t *out, size_t cap)
{
    size_t n = 16;
    uint16_t blocks = 0;
    uint32_t at = 2, first, last;
    if (cap < n) {
        return 0;
    }
    while (s->held_count > 0 && blocks < BLOCKS_MAX && n + 4 <= cap &&
           next_block(s, &at, &first, &last)) {
        tern_put16(out + n, (uint16_t)first);
        tern_put16(out + n + 2, (uint16_t)last);
        n += 4;
        blocks++;
    }
    out[0] = SCTP_SACK;
    out[1] = 0;
    tern_put16(out + 2, (uint16_t)n);
    tern_put32(out + 4, s->cum_in);
    s->told_window = window(s);
    tern_put32(out + 8, (uint32_t)s->told_window);
    tern_put16(out + 12, blocks);
    tern_put16(out + 14, 0);
    return n;
}
