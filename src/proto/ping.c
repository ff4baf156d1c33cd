/* Ping, the answering side: every 32-byte block comes back as it is. The asking side is pinger.c.
 */
#include "proto/ping.h"

#include "base/mem.h"

enum { BLOCK = 32, STREAMS_PER_CONN = 2 };

typedef struct echo {
    uint8_t block[BLOCK];
    size_t len;     /* bytes of the block that have come */
    size_t written; /* of a whole block: bytes on their way back */
    bool ended;     /* the peer's end came while a block waited for room */
} echo;

/* Writes what is left of a whole block; false when there is no room: on_room follows. */
static bool send_back(echo *e, tern_stream *s)
{
    e->written += tern_stream_write(s, e->block + e->written, BLOCK - e->written);
    if (e->written < BLOCK) {
        return false;
    }
    e->len = e->written = 0;
    return true;
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    echo *e = owner;
    size_t used = 0;
    while (used < n && e->len < BLOCK) {
        size_t part = n - used < BLOCK - e->len ? n - used : BLOCK - e->len;
        memcpy(e->block + e->len, data + used, part);
        e->len += part;
        used += part;
        if (e->len == BLOCK && !send_back(e, s)) {
            break; /* the rest is kept: a peer who does not read its answers is not read either */
        }
    }
    return used;
}

static void on_room(void *owner, tern_stream *s)
{
    echo *e = owner;
    if (e->len == BLOCK && send_back(e, s)) {
        if (e->ended) {
            tern_stream_end(s);
        }
        tern_stream_resume(s);
    }
}

static void on_end(void *owner, tern_stream *s)
{
    echo *e = owner;
    if (e->len == BLOCK) {
        e->ended = true;
    } else if (e->len > 0) {
        tern_stream_reset(s, 0);
    } else {
        tern_stream_end(s);
    }
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    tern_free(owner);
}

static const tern_stream_events events = {
    .on_data = on_data, .on_end = on_end, .on_room = on_room, .on_closed = on_closed};

static void on_stream(void *ctx, tern_conn *conn, tern_stream *s, const char *id)
{
    tern_net *net = ctx;
    echo *e = tern_calloc(1, sizeof *e);
    (void)conn;
    (void)id;
    if (e == NULL) {
        net->counters.allocation_failures++;
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
        return;
    }
    tern_stream_take(s, &events, e);
}

int tern_ping_serve(tern_net *net)
{
    static const char id[] = TERN_PING_ID;
    tern_protocol protocol = {.id = id,
                              .on_stream = on_stream,
                              .ctx = net,
                              .per_peer = STREAMS_PER_CONN,
                              .over_limited = true,
                              .replay_safe = true};
    return net->ops->handle(net, &protocol);
}
