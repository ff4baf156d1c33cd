/* SCTP: DATA out, SACK in (RFC 9260, 6). See sctp_core.h.
 *
 * A chunk lies in its stream's queue, then, with a TSN, in `sent` until it is acknowledged. Streams
 * take turns by the message. */
#include "base/mem.h"
#include "webrtc/sctp_core.h"

enum {
    FIRST = 2,
    LAST = 1,
    ERRORS_MAX = 8, /* timeouts in a row */
};

#define RTO_MIN UINT64_C(200000000)
#define RTO_MAX UINT64_C(10000000000)

typedef struct sctp_chunk {
    tern_list link;
    uint64_t sent_at;
    uint32_t tsn, ppid;
    uint16_t sid, ssn, len;
    uint8_t flags;
    bool acked, lost, again; /* again: sent more than once */
    uint8_t data[];
} sctp_chunk;

static sctp_chunk *chunk_of(tern_list *l)
{
    return TERN_CONTAINER(l, sctp_chunk, link);
}

/* ---- queues ---- */

void tern_sctp_stream_init(tern_sctp_stream *st, uint16_t sid)
{
    *st = (tern_sctp_stream){.sid = sid};
    tern_list_init(&st->link);
    tern_list_init(&st->queue);
}

void tern_sctp_stream_clear(tern_sctp *s, tern_sctp_stream *st)
{
    tern_list *l = st->queue.next;
    bool keep = st->inside; /* a peer must not wait for the end of a message for ever */
    while (l != &st->queue) {
        sctp_chunk *c = chunk_of(l);
        l = l->next;
        if (keep) {
            keep = (c->flags & LAST) == 0;
            continue;
        }
        tern_list_remove(&c->link);
        st->queued -= c->len;
        s->queued -= c->len;
        tern_free(c);
    }
    if (tern_list_empty(&st->queue)) {
        tern_list_remove(&st->link);
        st->inside = false;
    }
}

/* Copies up to n bytes from the spans, stepping over them. */
static void gather(uint8_t *out, size_t n, const tern_span **v, size_t *at)
{
    while (n > 0) {
        size_t left = (*v)->len - *at, k = left < n ? left : n;
        memcpy(out, (*v)->data + *at, k);
        out += k;
        n -= k;
        *at += k;
        if (*at == (*v)->len) {
            ++*v;
            *at = 0;
        }
    }
}

int tern_sctp_send(tern_sctp *s, tern_sctp_stream *st, uint32_t ppid, const tern_span *v,
                   unsigned n, size_t spare)
{
    size_t total = tern_span_total(v, n), left = total, at = 0;
    tern_list made;
    if (total == 0 || s->state > TERN_SCTP_ESTABLISHED) {
        return TERN_E_STATE;
    }
    while (v->len == 0) {
        v++;
    }
    tern_list_init(&made);
    while (left > 0) {
        size_t most = TERN_SCTP_FRAGMENT - (left == total ? spare : 0);
        size_t len = left < most ? left : most;
        sctp_chunk *c = tern_malloc(sizeof *c + len);
        if (c == NULL) {
            tern_list *l;
            while ((l = tern_list_pop(&made)) != NULL) {
                tern_free(chunk_of(l));
            }
            return TERN_E_NOMEM;
        }
        *c = (sctp_chunk){.ppid = ppid, .sid = st->sid, .ssn = st->ssn, .len = (uint16_t)len};
        c->flags = (uint8_t)((left == total ? FIRST : 0) | (left == len ? LAST : 0));
        gather(c->data, len, &v, &at);
        left -= len;
        tern_list_push(&made, &c->link);
    }
    st->ssn++;
    tern_list_splice(&st->queue, &made);
    st->queued += total;
    s->queued += total;
    if (tern_list_empty(&st->link)) {
        tern_list_push(&s->ready, &st->link);
    }
    return 0;
}

/* ---- output ---- */

static size_t put_chunk(const sctp_chunk *c, uint8_t *out)
{
    size_t n = SCTP_DATA_HEAD + (size_t)c->len, padded = (n + 3) & ~(size_t)3;
    out[0] = SCTP_DATA;
    out[1] = c->flags;
    tern_put16(out + 2, (uint16_t)n);
    tern_put32(out + 4, c->tsn);
    tern_put16(out + 8, c->sid);
    tern_put16(out + 10, c->ssn);
    tern_put32(out + 12, c->ppid);
    memcpy(out + SCTP_DATA_HEAD, c->data, c->len);
    memset(out + n, 0, padded - n);
    return padded;
}

static size_t size_of(const sctp_chunk *c)
{
    return (SCTP_DATA_HEAD + (size_t)c->len + 3) & ~(size_t)3;
}

static void departs(tern_sctp *s, uint64_t now, sctp_chunk *c)
{
    c->sent_at = now;
    s->flight += c->len;
    s->peer_window -= c->len < s->peer_window ? c->len : s->peer_window;
    if (s->t3 == UINT64_MAX) {
        s->t3 = now + s->rto;
    }
}

/* Chunks marked as lost, oldest first. */
static size_t put_lost(tern_sctp *s, uint64_t now, uint8_t *out, size_t room)
{
    size_t n = 0;
    for (tern_list *l = s->sent.next; l != &s->sent && s->lost > 0; l = l->next) {
        sctp_chunk *c = chunk_of(l);
        if (!c->lost) {
            continue;
        }
        if (size_of(c) > room - n || (s->flight >= s->cwnd && !s->fast)) {
            break;
        }
        c->lost = false;
        c->again = true;
        s->lost--;
        departs(s, now, c);
        n += put_chunk(c, out + n);
    }
    s->fast = false;
    return n;
}

static bool may_send(const tern_sctp *s, const sctp_chunk *c)
{
    if (s->flight == 0) {
        return true; /* also into a closed window: a probe (6.1, A) */
    }
    return s->flight < s->cwnd && c->len <= s->peer_window;
}

static size_t put_new(tern_sctp *s, uint64_t now, uint8_t *out, size_t room)
{
    size_t n = 0;
    while (!tern_list_empty(&s->ready)) {
        tern_sctp_stream *st = TERN_CONTAINER(s->ready.next, tern_sctp_stream, link);
        sctp_chunk *c = chunk_of(st->queue.next);
        if (size_of(c) > room - n || !may_send(s, c)) {
            break;
        }
        tern_list_remove(&c->link);
        tern_list_push(&s->sent, &c->link);
        c->tsn = s->next_tsn++;
        st->queued -= c->len;
        s->queued -= c->len;
        st->inside = (c->flags & LAST) == 0;
        departs(s, now, c);
        n += put_chunk(c, out + n);
        if (!st->inside || tern_list_empty(&st->queue)) {
            tern_list_remove(&st->link);
            if (!tern_list_empty(&st->queue)) {
                tern_list_push(&s->ready, &st->link);
            }
        }
        s->events->on_room(s->owner, c->sid);
    }
    return n;
}

size_t sctp_put_data(tern_sctp *s, uint64_t now, uint8_t *out, size_t room)
{
    size_t n = 0;
    if (s->lost > 0) {
        n = put_lost(s, now, out, room);
        if (s->lost > 0) {
            return n;
        }
    }
    return n + put_new(s, now, out + n, room - n);
}

/* ---- time and loss ---- */

static void measured(tern_sctp *s, uint64_t rtt)
{
    if (s->srtt == 0) {
        s->srtt = rtt > 0 ? rtt : 1;
        s->rttvar = rtt / 2;
    } else {
        uint64_t off = s->srtt > rtt ? s->srtt - rtt : rtt - s->srtt;
        s->rttvar = (3 * s->rttvar + off) / 4;
        s->srtt = (7 * s->srtt + rtt) / 8;
    }
    uint64_t rto = s->srtt + 4 * s->rttvar;
    s->rto = rto < RTO_MIN ? RTO_MIN : rto > RTO_MAX ? RTO_MAX : rto;
}

void sctp_t3(tern_sctp *s, uint64_t now)
{
    bool probing = s->peer_window == 0 && s->flight > 0 && s->srtt > 0;
    if (++s->errors > ERRORS_MAX && !probing) {
        sctp_down(s, TERN_E_TIMEOUT, 0, "the peer does not acknowledge what was sent");
        return;
    }
    if (!probing) {
        sctp_cc_timeout(s);
        s->recovering = false;
    }
    /* The first acknowledged and not counted in: the peer has thrown away what it had told of. */
    bool gone = !tern_list_empty(&s->sent) && chunk_of(s->sent.next)->acked;
    for (tern_list *l = s->sent.next; l != &s->sent; l = l->next) {
        sctp_chunk *c = chunk_of(l);
        if (c->acked && gone) {
            c->acked = false;
            c->lost = true;
            s->lost++;
            s->ahead -= c->len;
        } else if (!c->acked && !c->lost) {
            c->lost = true;
            s->lost++;
            s->flight -= c->len;
        }
    }
    s->rto = 2 * s->rto < RTO_MAX ? 2 * s->rto : RTO_MAX;
    s->t3 = s->lost > 0 ? now + s->rto : UINT64_MAX;
    s->fast = s->lost > 0;
}

/* ---- SACK ---- */

typedef struct progress {
    uint64_t now;
    size_t bytes;     /* acknowledged for the first time */
    size_t ahead;     /* reported to be behind a gap */
    bool timed;       /* sent_at is set */
    uint64_t sent_at; /* of the latest that was sent once */
    bool any;
    size_t spurious; /* chunks that were not lost */
} progress;

/* Whether a chunk left before the latest of what has arrived. */
static bool sent_before(const tern_sctp *s, const sctp_chunk *c)
{
    return c->sent_at < s->rack || (c->sent_at == s->rack && sctp_before(c->tsn, s->rack_tsn));
}

static void arrived(tern_sctp *s, sctp_chunk *c, progress *p)
{
    if (c->acked) {
        return;
    }
    c->acked = true;
    if (c->lost) {
        c->lost = false;
        s->lost--;
        p->spurious++; /* it was not */
    } else {
        s->flight -= c->len;
    }
    p->bytes += c->len;
    s->ahead += c->len;
    p->any = true;
    if (!c->again) {
        p->timed = true;
        p->sent_at = c->sent_at;
    } else if (p->now - c->sent_at < s->srtt / 2) {
        p->spurious++; /* sooner than an answer to the second can be: it is one to the first */
        return;
    }
    if (!sent_before(s, c)) {
        s->rack = c->sent_at;
        s->rack_tsn = c->tsn;
    }
}

/* All up to tsn; whether that is more than before. */
static bool take_cumulative(tern_sctp *s, uint32_t tsn, progress *p)
{
    bool moved = sctp_before(s->acked_tsn, tsn);
    while (!tern_list_empty(&s->sent)) {
        sctp_chunk *c = chunk_of(s->sent.next);
        if (sctp_before(tsn, c->tsn)) {
            break;
        }
        arrived(s, c, p);
        s->ahead -= c->len;
        tern_list_remove(&c->link);
        tern_free(c);
    }
    if (moved) {
        s->acked_tsn = tsn;
    }
    return moved;
}

/* Blocks must ascend; false when they do not. What is between them and older than the newest
 * acknowledged one is reported missing. */
static bool take_gaps(tern_sctp *s, uint32_t cum, const uint8_t *blocks, size_t count, progress *p)
{
    tern_list *l = s->sent.next;
    uint32_t before = 1;
    for (size_t i = 0; i < count; i++) {
        uint32_t first = tern_get16(blocks + 4 * i), last = tern_get16(blocks + 4 * i + 2);
        if (first <= before || last < first || sctp_before(s->next_tsn - 1, cum + last)) {
            return false;
        }
        before = last;
        for (; l != &s->sent && !sctp_before(cum + last, chunk_of(l)->tsn); l = l->next) {
            if (!sctp_before(chunk_of(l)->tsn, cum + first)) {
                p->ahead += chunk_of(l)->len;
                arrived(s, chunk_of(l), p);
            }
        }
    }
    return true;
}

/* The latest that arrived was sent at s->rack: what was sent before that, by more than the path
 * reorders, is lost; the rest of it is looked at again when it would be. */
void sctp_overtaken(tern_sctp *s, uint64_t now)
{
    size_t marked = 0;
    uint64_t slack = sctp_cc_reorder(s);
    s->lost_at = UINT64_MAX;
    for (tern_list *l = s->sent.next; l != &s->sent; l = l->next) {
        sctp_chunk *c = chunk_of(l);
        if (c->acked || c->lost) {
            continue;
        }
        if (!sent_before(s, c)) {
            if (!c->again) {
                break; /* nor was anything behind it sent earlier */
            }
            continue;
        }
        uint64_t at = c->sent_at + s->srtt + slack;
        if (s->rack - c->sent_at > slack || now >= at) {
            c->lost = true;
            s->lost++;
            s->flight -= c->len;
            marked++;
        } else if (at < s->lost_at) {
            s->lost_at = at;
        }
    }
    if (marked > 0 && !s->recovering) {
        sctp_cc_loss(s);
        s->undo_left = 0;
        s->recovering = true;
        s->recover = s->next_tsn - 1;
        s->fast = true;
    }
    s->undo_left += marked;
}

static void after(tern_sctp *s, uint64_t now, bool moved, bool full, const progress *p)
{
    if (s->recovering && !sctp_before(s->acked_tsn, s->recover)) {
        s->recovering = false;
    }
    if (p->timed) {
        measured(s, now - p->sent_at);
    }
    if (p->any) {
        s->errors = 0;
    }
    if (full && p->bytes > 0 && !s->recovering) {
        sctp_cc_grow(s, now, p->bytes); /* an unused window does not grow (7.2.1) */
    }
    if (tern_list_empty(&s->sent)) {
        s->t3 = UINT64_MAX;
    } else if (moved) {
        s->t3 = now + s->rto;
    }
}

void sctp_sack(tern_sctp *s, uint64_t now, const uint8_t *chunk, size_t n)
{
    progress p = {.now = now};
    if (n < 16 || s->state < TERN_SCTP_ESTABLISHED) {
        sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        return;
    }
    uint32_t cum = tern_get32(chunk + 4);
    size_t window = tern_get32(chunk + 8), count = tern_get16(chunk + 12);
    if (16 + 4 * count + 4 * (size_t)tern_get16(chunk + 14) > n ||
        sctp_before(s->next_tsn - 1, cum)) {
        sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        return;
    }
    if (sctp_before(cum, s->acked_tsn)) {
        return; /* overtaken by a later one: its window is no more */
    }
    bool full = s->flight + TERN_SCTP_PACKET >= s->cwnd;
    bool moved = take_cumulative(s, cum, &p);
    if (count > 0) {
        if (!take_gaps(s, cum, chunk + 16, count, &p)) {
            sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        }
    }
    for (size_t i = 0; i < p.spurious; i++) {
        sctp_cc_spurious(s);
    }
    s->lost_at = UINT64_MAX;
    if (p.any && !tern_list_empty(&s->sent)) {
        sctp_overtaken(s, now);
    }
    /* What it does not tell of and another did has come since, and takes place in its window. */
    size_t taken = s->flight + s->ahead - p.ahead;
    s->peer_window = window > taken ? window - taken : 0;
    after(s, now, moved, full, &p);
}

void sctp_cumulative(tern_sctp *s, uint64_t now, uint32_t tsn)
{
    progress p = {.now = now};
    if (sctp_before(s->acked_tsn, tsn) && sctp_before(tsn, s->next_tsn)) {
        take_cumulative(s, tsn, &p);
        after(s, now, true, false, &p);
    }
}
