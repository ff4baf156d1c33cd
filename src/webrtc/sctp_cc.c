/* SCTP: how much may be in flight, and what counts as lost. See sctp_core.h.
 *
 * The window grows as CUBIC has it (RFC 9438), which fills a long fast path in seconds where the
 * additive growth of RFC 9260 takes minutes. Loss is told by time (RFC 8985): a chunk is lost when
 * one that was sent later, by more than the path is known to reorder, has arrived; so a lost
 * retransmission is noticed as well, and reordering is not taken for loss. */
#include "webrtc/sctp_core.h"

enum {
    CWND_MIN = 4 * TERN_SCTP_PACKET,
    CWND_MAX = 8 << 20,
    REORDER_MAX = 8, /* quarters of a round trip that are waited for what is overtaken */
};

#define MS UINT64_C(1000000)

/* The cube root, rounded down. */
static uint64_t root3(uint64_t x)
{
    uint64_t y = 0;
    for (int bit = 20; bit >= 0; bit--) {
        uint64_t z = y | UINT64_C(1) << bit;
        if (z * z * z <= x) {
            y = z;
        }
    }
    return y;
}

/* A loss: the window to seven tenths (4.6). */
void sctp_cc_loss(tern_sctp *s)
{
    size_t less = s->cwnd / 10 * 7;
    s->undo_cwnd = s->cwnd;
    s->undo_ssthresh = s->ssthresh;
    s->w_max = s->cwnd < s->w_max ? s->cwnd / 20 * 17 : s->cwnd; /* leaves room to others (4.7) */
    s->ssthresh = less > CWND_MIN ? less : CWND_MIN;
    s->cwnd = s->ssthresh;
    s->epoch = 0;
}

void sctp_cc_timeout(tern_sctp *s)
{
    sctp_cc_loss(s);
    s->cwnd = TERN_SCTP_PACKET;
    s->undo_cwnd = 0;
}

/* W(t) = C (t - K)^3 + w_max in packets and seconds, C = 0.4; here in bytes and milliseconds. */
static size_t cubic(const tern_sctp *s, uint64_t now)
{
    uint64_t t = (now - s->epoch + s->srtt) / MS;
    bool below = t < s->k;
    uint64_t off = below ? s->k - t : t - s->k;
    off = off < 100000 ? off : 100000;
    size_t change = (size_t)(off * off * off / 1000 * (2 * TERN_SCTP_PACKET) / 5 / 1000000);
    if (below) {
        return change < s->w_max ? s->w_max - change : 0;
    }
    return s->w_max + change;
}

static void begin_epoch(tern_sctp *s, uint64_t now)
{
    s->epoch = now;
    s->partial = 0;
    s->w_reno = s->cwnd;
    s->w_max = s->w_max > s->cwnd ? s->w_max : s->cwnd;
    /* K^3 = (w_max - cwnd) / C, in milliseconds */
    s->k = root3((uint64_t)(s->w_max - s->cwnd) * 1000000 / TERN_SCTP_PACKET * 1000 / 2 * 5);
}

/* After `acked` bytes were acknowledged while the window was full. */
void sctp_cc_grow(tern_sctp *s, uint64_t now, size_t acked)
{
    if (s->cwnd < s->ssthresh) {
        s->cwnd += acked;
    } else {
        if (s->epoch == 0) {
            begin_epoch(s, now);
        }
        size_t target = cubic(s, now), most = s->cwnd + s->cwnd / 2;
        target = target < most ? target : most;
        /* What additive growth would have reached (4.3); 9/17 a round trip while recovering. */
        s->partial += s->w_reno < s->w_max ? acked * 9 / 17 : acked;
        if (s->partial >= s->w_reno) {
            s->partial -= s->w_reno;
            s->w_reno += TERN_SCTP_PACKET;
        }
        target = target > s->w_reno ? target : s->w_reno;
        if (target > s->cwnd) {
            size_t step = (size_t)((uint64_t)(target - s->cwnd) * acked / s->cwnd);
            s->cwnd += step < target - s->cwnd ? step : target - s->cwnd;
        }
    }
    s->cwnd = s->cwnd < CWND_MAX ? s->cwnd : CWND_MAX;
}

/* How much later than a chunk one must have been sent that arrived before it. */
uint64_t sctp_cc_reorder(const tern_sctp *s)
{
    return s->srtt / 4 * s->reorder;
}

/* A chunk that was taken for lost was not. When that holds for all of them, nothing was lost. */
void sctp_cc_spurious(tern_sctp *s)
{
    s->reorder += s->reorder < REORDER_MAX;
    s->undo_left -= s->undo_left > 0;
    if (s->undo_left == 0 && s->undo_cwnd > s->cwnd) {
        s->cwnd = s->undo_cwnd;
        s->ssthresh = s->undo_ssthresh;
        s->epoch = 0;
        s->recovering = false;
    }
}
