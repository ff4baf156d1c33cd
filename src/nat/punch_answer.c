/* A, who dialled through the relay, and answers: see punch.h. */
#include "base/error.h"
#include "nat/punch_inner.h"

static void dialled(void *owner, tern_conn *conn, const tern_error *error)
{
    punch *p = owner;
    (void)error; /* B knows how many attempts there are */
    p->dial = NULL;
    if (conn != NULL || punch_direct(p) != NULL) {
        punch_won(p);
    } else {
        punch_end(p);
    }
}

static void silent(punch *p)
{
    p->net->counters.punch_timeouts++;
    punch_end(p);
}

static void on_sync(punch *p)
{
    tern_stream *s = p->s;
    p->s = NULL;
    tern_stream_end(s);
    tern_stream_drop(s);
    tern_timer_stop(&p->timer);
    if (!punch_dial(p, dialled)) {
        punch_end(p);
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
    if (code < 0 || tern_punch_parse(message, &m) != 0) {
        p->net->counters.punch_malformed++;
        punch_end(p);
        return n;
    }
    bool ok = on_message(p, &m);
    tern_punch_clear(&m);
    if (!ok) {
        punch_end(p);
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
    (void)why;
    if (!punch_stream_gone(p)) {
        punch_end(p);
    }
}

static const tern_stream_events events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void refuse(tern_stream *s)
{
    tern_stream_reset(s, 0);
    tern_stream_drop(s);
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
    punch *p = punch_new(all, conn, false);
    if (p == NULL) {
        refuse(s);
        return;
    }
    p->s = s;
    punch_in(p, TERN_PUNCH_STREAM_TIME, silent);
    tern_stream_take(s, &events, p);
}
