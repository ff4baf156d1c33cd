/* The ends of an SCTP association: in good order (RFC 9260, section 9.2), and at once (9.1). */
#include "webrtc/sctp_core.h"

#include "base/error.h"

void sctp_shutdown_step(tern_sctp *s, uint64_t now)
{
    if (!tern_sctp_idle(s)) {
        return;
    }
    if (s->state == TERN_SCTP_SHUTDOWN_PENDING) {
        s->state = TERN_SCTP_SHUTDOWN_SENT;
        s->wants |= WANT_SHUTDOWN;
        s->t1 = now + s->rto;
        s->t1_count = 0;
    } else if (s->state == TERN_SCTP_SHUTDOWN_RECEIVED) {
        s->state = TERN_SCTP_SHUTDOWN_ACK_SENT;
        s->wants |= WANT_SHUTDOWN_ACK;
        s->t1 = now + s->rto;
        s->t1_count = 0;
    }
}

void tern_sctp_shutdown(tern_sctp *s, uint64_t now)
{
    if (s->state == TERN_SCTP_ESTABLISHED) {
        s->state = TERN_SCTP_SHUTDOWN_PENDING;
        sctp_shutdown_step(s, now);
    } else if (s->state < TERN_SCTP_ESTABLISHED) {
        tern_sctp_abort(s);
    }
}

void tern_sctp_abort(tern_sctp *s)
{
    if (s->state != TERN_SCTP_DEAD) {
        s->wants = WANT_ABORT;
        s->abort_cause = SCTP_CAUSE_USER;
    }
}

void sctp_on_shutdown(tern_sctp *s, uint64_t now, const uint8_t *chunk, size_t n)
{
    if (n != 8 || s->state < TERN_SCTP_ESTABLISHED) {
        sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        return;
    }
    sctp_cumulative(s, now, tern_get32(chunk + 4));
    if (s->state == TERN_SCTP_SHUTDOWN_SENT) { /* both at once */
        s->state = TERN_SCTP_SHUTDOWN_ACK_SENT;
        s->wants |= WANT_SHUTDOWN_ACK;
    } else if (s->state < TERN_SCTP_SHUTDOWN_RECEIVED) {
        s->state = TERN_SCTP_SHUTDOWN_RECEIVED;
    }
}

void sctp_on_shutdown_ack(tern_sctp *s)
{
    if (s->state == TERN_SCTP_SHUTDOWN_SENT || s->state == TERN_SCTP_SHUTDOWN_ACK_SENT) {
        s->wants = WANT_SHUTDOWN_COMPLETE;
        s->t1 = UINT64_MAX;
    }
}

void sctp_on_abort(tern_sctp *s, const uint8_t *chunk, size_t n)
{
    uint16_t cause = n >= 8 ? tern_get16(chunk + 4) : 0;
    if (cause == SCTP_CAUSE_USER || cause == 0) {
        sctp_down(s, TERN_OK, cause, "the peer closed the connection");
    } else {
        sctp_down(s, TERN_E_CONN_CLOSED, cause, "the peer aborted the association");
    }
}

size_t sctp_put_closing(tern_sctp *s, uint8_t *out, size_t n)
{
    if (sctp_take_want(s, WANT_ABORT)) {
        n += sctp_put_plain(out + n, SCTP_ABORT, 0, 8);
        tern_put16(out + n - 4, (uint16_t)s->abort_cause);
        tern_put16(out + n - 2, 4);
        sctp_down(s, TERN_OK, 0, "closed on this side");
    } else if (sctp_take_want(s, WANT_SHUTDOWN_COMPLETE)) {
        n += sctp_put_plain(out + n, SCTP_SHUTDOWN_COMPLETE, 0, 4);
        sctp_down(s, TERN_OK, 0, "closed on this side");
    } else if (sctp_take_want(s, WANT_SHUTDOWN_ACK)) {
        n += sctp_put_plain(out + n, SCTP_SHUTDOWN_ACK, 0, 4);
    } else if (sctp_take_want(s, WANT_SHUTDOWN)) {
        n += sctp_put_plain(out + n, SCTP_SHUTDOWN, 0, 8);
        tern_put32(out + n - 4, s->cum_in);
    }
    return n;
}
