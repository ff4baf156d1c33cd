/* yamux, receiving: the core's events to the conn and its streams.
 *
 * All bytes of the lower stream are taken, always; bodies go to their stream's owner from where
 * they lie. An owner may end, reset or open anything while it is told, so the state is looked at
 * after each event. */
#include "mux/yamux_conn.h"

#include "base/error.h"
#include "base/mem.h"

static void opened(yamux_conn *conn, uint64_t now, const tern_yamux_event *e)
{
    yamux_stream *s = yamux_stream_new(conn);
    if (s == NULL || tern_yamux_core_accept(&conn->core, &s->y, now) != 0) {
        conn->net->counters.allocation_failures += s != NULL;
        tern_free(s);
        tern_yamux_core_refuse(&conn->core, TERN_YAMUX_RESOURCE_LIMIT);
        return;
    }
    tern_stream_init(&s->base, &yamux_stream_ops, conn->base.loop, e->id);
    tern_conn_stream_born(&conn->base);
    if (tern_conn_accept(&conn->base, &s->base) != 0) {
        conn->net->counters.allocation_failures++;
    }
}

static void closed_by(yamux_stream *s, int code, uint32_t wire, const char *text)
{
    tern_error why;
    tern_fail_wire(&why, code, wire, "yamux", "%s (code 0x%x)", text, (unsigned)wire);
    tern_list_remove(&s->link);
    tern_stream_finish(&s->base, &why);
}

static void leaving(yamux_conn *conn, const tern_yamux_event *e)
{
    if (e->code == TERN_YAMUX_NORMAL) {
        yamux_want_turn(conn); /* winds down when no stream is left */
        return;
    }
    tern_error why;
    tern_fail_wire(&why, TERN_E_CONN_CLOSED, e->code, "yamux",
                   "the peer ended the session with code 0x%x", (unsigned)e->code);
    yamux_conn_fail(conn, &why);
}

static void dispatch(yamux_conn *conn, uint64_t now, const tern_yamux_event *e)
{
    yamux_stream *s = e->stream != NULL ? yamux_of(e->stream) : NULL;
    switch (e->kind) {
    case TERN_YAMUX_NOTHING:
        break;
    case TERN_YAMUX_OPENED:
        opened(conn, now, e);
        break;
    case TERN_YAMUX_BYTES:
        tern_stream_deliver(&s->base, e->data, e->len);
        break;
    case TERN_YAMUX_ENDED:
        tern_stream_deliver_end(&s->base);
        if (s->y.fin_sent) {
            yamux_stream_done(s);
        }
        break;
    case TERN_YAMUX_RESET:
        closed_by(s, TERN_E_RESET, e->code, "the peer reset the stream");
        yamux_want_turn(conn);
        break;
    case TERN_YAMUX_OVERFULL:
        closed_by(s, TERN_E_LIMIT, 0, "the connection's streams hold too many unread bytes");
        break;
    case TERN_YAMUX_CREDIT:
        tern_stream_signal_room(&s->base);
        break;
    case TERN_YAMUX_LEAVING:
        leaving(conn, e);
        break;
    case TERN_YAMUX_FAILED:
        yamux_conn_fail(conn, &e->why);
        break;
    }
}

size_t yamux_on_data(void *owner, tern_stream *lower, uint8_t *data, size_t n)
{
    yamux_conn *conn = owner;
    uint64_t now = tern_loop_now(conn->base.loop);
    tern_yamux_event e;
    size_t used = 0;
    (void)lower;
    while (!conn->over) {
        used += tern_yamux_core_receive(&conn->core, now, data + used, n - used, &e);
        if (e.kind == TERN_YAMUX_NOTHING) {
            break;
        }
        dispatch(conn, now, &e);
    }
    conn->base.facts.rtt = conn->core.rtt;
    if (!conn->over && (tern_buf_len(&conn->core.out) > 0 || conn->core.broken != 0)) {
        yamux_want_turn(conn);
    }
    return n;
}
