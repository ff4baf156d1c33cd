/* The driver of multistream-select: bytes between a stream and the core, deadlines and counters. */
#include "swarm/negotiate.h"

#include "base/error.h"

static void release(tern_negotiation *n)
{
    tern_ms_free(&n->core);
    tern_buf_free(&n->out);
}

static void on_cancel(tern_op *op)
{
    tern_negotiation *n = TERN_CONTAINER(op, tern_negotiation, op);
    release(n);
    if (n->stream != NULL) {
        bool late = op->deadline <= tern_loop_now(op->loop);
        n->net->counters.multistream_timeout += late && n->error.code == 0;
        tern_stream_reset(n->stream, 0);
        tern_stream_drop(n->stream);
        n->stream = NULL;
    }
}

static void count(tern_negotiation *n, int code)
{
    tern_counters *c = &n->net->counters;
    switch (code) {
    case TERN_E_NEGOTIATION:
        c->multistream_refused++;
        break;
    case TERN_E_TOO_LARGE:
    case TERN_E_LIMIT:
        c->multistream_too_large++;
        break;
    case TERN_E_MALFORMED:
        c->multistream_malformed++;
        break;
    case TERN_E_NOMEM:
        c->allocation_failures++;
        break;
    default:
        break;
    }
}

static const char *explain(int code)
{
    switch (code) {
    case TERN_E_NEGOTIATION:
        return "none of what the peer proposed is spoken here";
    case TERN_E_MALFORMED:
        return "the peer's negotiation message is malformed";
    case TERN_E_TOO_LARGE:
        return "a negotiation message is longer than 1024 bytes";
    case TERN_E_LIMIT:
        return "the peer proposed too many protocols";
    case TERN_E_EOF:
        return "the peer ended the stream while negotiating";
    default:
        return tern_code_text(code);
    }
}

/* Resets the stream; on_closed tells. But an optimistic initiator whose proposal we refused sends
 * what is garbage to us, and needs to read the refusal: then our half ends in good order. */
static void fail(tern_negotiation *n, int code)
{
    bool refused = !n->initiator && n->core.proposals > 0 &&
                   (code == TERN_E_MALFORMED || code == TERN_E_TOO_LARGE || code == TERN_E_EOF);
    code = refused ? TERN_E_NEGOTIATION : code;
    count(n, code);
    if (n->initiator && code == TERN_E_NEGOTIATION) {
        tern_fail(&n->error, code, "multistream",
                  "the peer speaks none of the protocols proposed (last: %s)",
                  n->ids[n->core.at > 0 ? n->core.at - 1 : 0]);
    } else {
        tern_fail(&n->error, code, "multistream", "%s", explain(code));
    }
    if (refused) {
        tern_stream_end(n->stream);
    } else {
        tern_stream_reset(n->stream, 0);
    }
}

/* Answers are a few dozen bytes: a stream without room for them is not worth waiting for. */
static int write_out(tern_negotiation *n)
{
    size_t len = tern_buf_len(&n->out);
    if (len == 0) {
        return 0;
    }
    if (tern_stream_room(n->stream) < len) {
        return TERN_E_LIMIT;
    }
    size_t taken = tern_stream_write(n->stream, tern_buf_data(&n->out), len);
    tern_buf_consume(&n->out, taken);
    return taken == len ? 0 : TERN_E_NOMEM;
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t len)
{
    tern_negotiation *n = owner;
    size_t used = 0;
    if (n->error.code != 0) {
        return len; /* waits for the peer to read its refusal */
    }
    int code = tern_ms_feed(&n->core, data, len, &n->out, &used, &n->id);
    int written = write_out(n); /* also a refusal with garbage behind it */
    (void)s;
    if (code < 0 || written < 0) {
        fail(n, code < 0 ? code : written);
        return len;
    }
    if (code == 1) {
        release(n);
        tern_stream_take(n->stream, NULL, NULL); /* silent until done: what follows is kept */
        tern_op_finish(&n->op, NULL);
    }
    return used;
}

static void on_end(void *owner, tern_stream *s)
{
    tern_negotiation *n = owner;
    (void)s;
    if (n->error.code == 0) {
        fail(n, TERN_E_EOF);
    }
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    tern_negotiation *n = owner;
    tern_error copy = n->error.code != 0 ? n->error : *why; /* lost may free n */
    (void)s;
    n->stream = NULL;
    tern_op_cancel(&n->op);
    n->lost(n, &copy);
}

static const tern_stream_events events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_closed = on_closed,
};

int tern_negotiate(tern_negotiation *n)
{
    n->id = NULL;
    n->error.code = 0;
    tern_buf_init(&n->out, 0);
    if (tern_ms_start(&n->core, n->initiator, n->ids, &n->out) != 0 || write_out(n) != 0) {
        release(n);
        return TERN_E_NOMEM;
    }
    tern_stream_take(n->stream, &events, n);
    tern_op_start(&n->op, "multistream", on_cancel, n);
    return 0;
}
