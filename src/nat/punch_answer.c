/* A, who dialled through the relay, and answers: see punch.h. */
#include "base/error.h"
#include "nat/punch_inner.h"

/* B has not asked again: it has given up. */
static void not_asked(punch *p)
{
    punch_lost(p, &p->why);
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error)
{
    punch *p = owner;
    p->dial = NULL;
    if (conn != NULL || punch_direct(p) != NULL) {
        punch_won(p);
    } else if (p->conn == NULL || p->conn->closing) {
        punch_lost(p, error);
    } else { /* B knows how many attempts there are */
        p->why = *error;
        punch_in(p, TERN_PUNCH_WAIT_TIME, not_asked);
    }
}

static void silent(punch *p)
{
    tern_error why;
    p->net->counters.punch_timeouts++;
    tern_fail(&why, TERN_E_TIMEOUT, "dcutr", "the peer did not go on with the exchange");
    punch_lost(p, &why);
}

static void on_sync(punch *p)
{
    tern_stream *s = p->s;
    tern_error why;
    p->s = NULL;
    tern_stream_end(s);
    tern_stream_drop(s);
    tern_timer_stop(&p->timer);
    if (!punch_dial(p, dialled, &why)) {
        punch_lost(p, &why);
    }
}

/* CONNECT comes first, SYNC behind our answer. False: it must not come now. */
static bool on_message(punch *p, tern_punch_message *m)
{
    bool first = p->their_count == 0;
    if (first && m->kind == TERN_PUNCH_CONNECT && punch_take_addrs(p, m)) {
        punch_in(p, TERN_PUNCH_STREAM_TIME, silent);
        return punch_say(p, TERN_PUNCH_CONNECT) == 0;
    }
    if (!first && m->kind == TERN_PUNCH_SYNC) {
        on_sync(p);
        return true;
    }
    p->net->counters.punch_malformed++;
    return false;
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    punch *p = owner;
    size_t used = 0;
    tern_span message;
    tern_punch_message m;
    (void)s;
    if (p->over) {
        return n;
    }
    int code = tern_frame_feed(&p->frame, data, n, &used, &message);
    if (code == 0) {
        return used;
    }
    bool ok = code > 0 && tern_punch_parse(message, &m) == 0;
    if (ok) {
        ok = on_message(p, &m);
        tern_punch_clear(&m);
    } else {
        p->net->counters.punch_malformed++;
    }
    if (!ok) {
        tern_error why;
        tern_fail(&why, TERN_E_MALFORMED, "dcutr", "the peer's message does not belong here");
        punch_lost(p, &why);
        return n;
    }
    return used;
}

static void on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_reset(s, 0);
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    punch *p = owner;
    (void)s;
    if (!punch_stream_gone(p)) {
        tern_error copy = *why;
        if (copy.code == 0) {
            tern_fail(&copy, TERN_E_EOF, "dcutr", "the peer ended the exchange");
        }
        punch_lost(p, &copy);
    }
}

static const tern_stream_events events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void refuse(tern_stream *s)
{
    tern_stream_reset(s, 0);
    tern_stream_drop(s);
}

/* The punch that a stream belongs to: a new one, or the one whose attempt failed. NULL: refused. */
static punch *punch_for(tern_puncher *all, tern_conn *conn)
{
    punch *p = punch_find(all, conn);
    if (p == NULL) {
        return punch_new(all, conn, false);
    }
    if (p->s != NULL || (p->won && punch_direct(p) != NULL)) {
        all->net->counters.punches_refused++;
        return NULL;
    }
    if (p->dial != NULL) { /* B has given that attempt up */
        p->net->ops->cancel_dial(p->dial);
        p->dial = NULL;
    }
    p->won = false;
    punch_drop_addrs(p);
    return p;
}

/* Only whom we dialled through a relay has a reason to ask. */
void punch_on_stream(void *ctx, tern_conn *conn, tern_stream *s, const char *id)
{
    tern_puncher *all = ctx;
    (void)id;
    if (conn->facts.inbound || !tern_conn_relayed(conn)) {
        all->net->counters.punches_refused++;
        refuse(s);
        return;
    }
    punch *p = punch_for(all, conn);
    if (p == NULL) {
        refuse(s);
        return;
    }
    p->s = s;
    punch_in(p, TERN_PUNCH_STREAM_TIME, silent);
    tern_stream_take(s, &events, p);
}
