/* SCTP: RE-CONFIG, by which data channels are closed (RFC 6525; RFC 8831, 6.7). See sctp_core.h.
 *
 *     request, 13:   | 13 | length | our sequence | peer's sequence | last TSN | stream ids ... |
 *     answer, 16:    | 16 | length | the request's sequence | result |
 *
 * One request of each side is outstanding at a time. The peer's is answered once all data before it
 * has come. */
#include "base/mem.h"
#include "webrtc/sctp_core.h"

enum {
    OUTGOING = 13,
    INCOMING = 14,
    TSN = 15,
    ANSWER = 16,
    ADD_OUT = 17,
    ADD_IN = 18,
    PERFORMED = 1,
    DENIED = 2,
    BAD_SEQUENCE = 5,
    IN_PROGRESS = 6,
    WAITING_MAX = 4096,
};

/* The peer's request. */
typedef struct tern_sctp_asked {
    uint32_t seq, tsn;
    uint16_t count;
    uint16_t sids[];
} tern_sctp_asked;

/* ---- ours ---- */

int tern_sctp_reset(tern_sctp *s, uint16_t sid)
{
    if (s->waiting_count == s->waiting_cap) {
        size_t cap = s->waiting_cap == 0 ? 8 : 2 * s->waiting_cap;
        uint16_t *grown = cap <= WAITING_MAX ? tern_realloc(s->waiting, cap * sizeof *grown) : NULL;
        if (grown == NULL) {
            return TERN_E_NOMEM;
        }
        s->waiting = grown;
        s->waiting_cap = cap;
    }
    s->waiting[s->waiting_count++] = sid;
    sctp_reset_next(s);
    return 0;
}

/* Takes one out of a list; whether it was there. */
static bool give_up(uint16_t *sids, size_t count, uint16_t sid)
{
    for (size_t i = 0; i < count; i++) {
        if (sids[i] == sid) {
            sids[i] = sids[count - 1];
            return true;
        }
    }
    return false;
}

bool tern_sctp_reset_over(tern_sctp *s, uint16_t sid)
{
    for (unsigned i = 0; s->out.sent && i < s->out.count; i++) {
        uint64_t bit = UINT64_C(1) << i;
        if (s->out.sids[i] == sid && (s->out.over & bit) == 0) {
            s->out.over |= bit;
            return true;
        }
    }
    s->waiting_count -= give_up(s->waiting, s->waiting_count, sid);
    if (!s->out.sent) {
        s->out.count = (uint16_t)(s->out.count - give_up(s->out.sids, s->out.count, sid));
    }
    return false;
}

void sctp_reset_next(tern_sctp *s)
{
    if (s->out.count > 0 || s->waiting_count == 0) {
        return;
    }
    size_t n = s->waiting_count < TERN_SCTP_RESETS ? s->waiting_count : TERN_SCTP_RESETS;
    memcpy(s->out.sids, s->waiting, n * sizeof *s->waiting);
    s->out.count = (uint16_t)n;
    s->out.over = 0;
    s->out.sent = false;
    s->out.seq = s->reset_seq++;
    s->out.tsn = s->next_tsn - 1;
    s->waiting_count -= n;
    memmove(s->waiting, s->waiting + n, s->waiting_count * sizeof *s->waiting);
    if (s->waiting_count == 0) {
        tern_free(s->waiting);
        s->waiting = NULL;
        s->waiting_cap = 0;
    }
    s->wants |= WANT_RESET;
}

static void outgoing_done(tern_sctp *s)
{
    uint16_t sids[TERN_SCTP_RESETS];
    size_t n = s->out.count;
    uint64_t over = s->out.over;
    memcpy(sids, s->out.sids, n * sizeof *sids);
    s->out.count = 0;
    s->reset_at = UINT64_MAX;
    s->wants &= ~(unsigned)WANT_RESET;
    for (size_t i = 0; i < n && s->state != TERN_SCTP_DEAD; i++) {
        if ((over >> i & 1) == 0) {
            s->events->on_reset_done(s->owner, sids[i]);
        }
    }
    sctp_reset_next(s);
}

size_t sctp_put_reset(tern_sctp *s, uint64_t now, uint8_t *out, size_t room)
{
    size_t n = 4 + 16 + 2 * (size_t)s->out.count;
    if ((s->wants & WANT_RESET) == 0 || s->out.count == 0 || n + 2 > room) {
        return 0;
    }
    if (!s->peer_resets) { /* it would not know the chunk: our half is over for us */
        outgoing_done(s);
        return 0;
    }
    s->wants &= ~(unsigned)WANT_RESET;
    out[0] = SCTP_RECONFIG;
    out[1] = 0;
    tern_put16(out + 2, (uint16_t)n);
    tern_put16(out + 4, OUTGOING);
    tern_put16(out + 6, (uint16_t)(n - 4));
    tern_put32(out + 8, s->out.seq);
    tern_put32(out + 12, s->peer_seq - 1);
    tern_put32(out + 16, s->out.tsn);
    for (size_t i = 0; i < s->out.count; i++) {
        tern_put16(out + 20 + 2 * i, s->out.sids[i]);
    }
    memset(out + n, 0, 2);
    s->reset_at = now + s->rto;
    s->out.sent = true;
    return (n + 3) & ~(size_t)3;
}

static void on_answer(tern_sctp *s, uint32_t seq, uint32_t result)
{
    if (s->out.count == 0 || seq != s->out.seq) {
        return; /* a late one */
    }
    if (result != IN_PROGRESS) { /* done, or denied: it will not be better */
        outgoing_done(s);
    }
}

/* ---- the peer's ---- */

static void answer(tern_sctp *s, uint32_t seq, uint32_t result)
{
    uint8_t chunk[16] = {SCTP_RECONFIG, 0, 0, 16, 0, ANSWER, 0, 12};
    tern_put32(chunk + 8, seq);
    tern_put32(chunk + 12, result);
    sctp_answer(s, chunk, sizeof chunk);
}

/* The peer's request can be carried out. */
void sctp_reset_check(tern_sctp *s)
{
    tern_sctp_asked *r = s->in;
    if (r == NULL || sctp_before(s->cum_in, r->tsn)) {
        return;
    }
    s->in = NULL;
    s->last_result = PERFORMED;
    s->reset_tsn = r->tsn;
    answer(s, r->seq, PERFORMED);
    for (size_t i = 0; i < r->count && s->state != TERN_SCTP_DEAD; i++) {
        s->events->on_reset(s->owner, r->sids[i]);
    }
    tern_free(r);
}

static void on_outgoing(tern_sctp *s, const uint8_t *p, size_t n)
{
    uint32_t seq = tern_get32(p + 4);
    size_t count = (n - 16) / 2;
    if (s->in != NULL && seq == s->in->seq) {
        answer(s, seq, IN_PROGRESS);
        return;
    }
    if (seq == s->peer_seq - 1) { /* again: our answer was lost */
        answer(s, seq, s->last_result);
        return;
    }
    if (seq != s->peer_seq || s->in != NULL) {
        answer(s, seq, BAD_SEQUENCE);
        sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        return;
    }
    bool takes = count > 0 && count <= TERN_SCTP_RESETS * 8;
    tern_sctp_asked *r = takes ? tern_malloc(sizeof *r + count * sizeof *r->sids) : NULL;
    if (r == NULL) { /* all streams at once, or a number no packet needs */
        s->peer_seq++;
        s->last_result = DENIED;
        answer(s, seq, DENIED);
        return;
    }
    s->peer_seq++;
    r->seq = seq;
    r->tsn = tern_get32(p + 12);
    r->count = (uint16_t)count;
    for (size_t i = 0; i < count; i++) {
        r->sids[i] = tern_get16(p + 16 + 2 * i);
    }
    s->in = r;
    sctp_reset_check(s);
}

static bool on_param(tern_sctp *s, const uint8_t *p, size_t n)
{
    uint16_t type = tern_get16(p);
    switch (type) {
    case OUTGOING:
        if (n < 16) {
            return false;
        }
        on_outgoing(s, p, n);
        return true;
    case ANSWER:
        if (n < 12) {
            return false;
        }
        on_answer(s, tern_get32(p + 4), tern_get32(p + 8));
        return true;
    case INCOMING:
    case TSN:
    case ADD_OUT:
    case ADD_IN:
        if (n < 8) {
            return false;
        }
        if (tern_get32(p + 4) == s->peer_seq) {
            s->peer_seq++;
            s->last_result = DENIED;
        }
        answer(s, tern_get32(p + 4), DENIED);
        return true;
    default:
        return (type & 0x8000) != 0;
    }
}

void sctp_reconfig(tern_sctp *s, uint8_t *chunk, size_t n)
{
    if (s->state < TERN_SCTP_ESTABLISHED) {
        sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        return;
    }
    for (size_t at = 4; at + 4 <= n && s->state != TERN_SCTP_DEAD;) {
        size_t len = tern_get16(chunk + at + 2);
        if (len < 4 || len > n - at || !on_param(s, chunk + at, len)) {
            sctp_fault(s, TERN_SCTP_BAD_CHUNK);
            return;
        }
        len = (len + 3) & ~(size_t)3;
        at = len < n - at ? at + len : n;
    }
}
