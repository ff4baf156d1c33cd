/* The base of every connection: facts, the terminal event after all streams', streams that come
 * before an owner does. See core/conn.h for the contract. */
#include "core/conn.h"

#include "base/error.h"
#include "base/mem.h"

static const tern_error out_of_memory = {
    .code = TERN_E_NOMEM, .layer = "conn", .text = "out of memory"};

static void run(tern_deferred *d);

void tern_conn_facts_copy(tern_conn_facts *to, const tern_conn_facts *from)
{
    *to = *from;
    tern_key_ref(from->key);
    tern_multiaddr_ref(from->local);
    tern_multiaddr_ref(from->remote);
}

void tern_conn_facts_clear(tern_conn_facts *facts)
{
    tern_key_unref(facts->key);
    tern_multiaddr_unref(facts->local);
    tern_multiaddr_unref(facts->remote);
    facts->key = NULL;
    facts->local = facts->remote = NULL;
}

void tern_conn_init(tern_conn *c, const tern_conn_ops *ops, tern_loop *loop,
                    const tern_conn_facts *facts)
{
    memset(c, 0, sizeof *c);
    c->ops = ops;
    c->loop = loop;
    c->facts = *facts;
    tern_deferred_init(&c->deferred, run);
}

const tern_conn_facts *tern_conn_get_facts(const tern_conn *conn)
{
    return &conn->facts;
}

static void wake(tern_conn *c)
{
    if (c->events != NULL && !c->closed) {
        tern_defer(c->loop, &c->deferred);
    }
}

int tern_conn_accept(tern_conn *c, tern_stream *s)
{
    if (c->events != NULL && c->waiting_count == 0) {
        c->events->on_stream(c->owner, c, s);
        return 0;
    }
    tern_stream **grown = tern_realloc(c->waiting, (c->waiting_count + 1) * sizeof(*c->waiting));
    if (grown == NULL) {
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
        return TERN_E_NOMEM;
    }
    c->waiting = grown;
    c->waiting[c->waiting_count++] = s;
    wake(c);
    return 0;
}

/* Streams that waited: to the owner, or away when the connection is over. */
static void hand_out(tern_conn *c)
{
    tern_stream **waiting = c->waiting;
    size_t n = c->waiting_count;
    c->waiting = NULL;
    c->waiting_count = 0;
    for (size_t i = 0; i < n; i++) {
        if (c->finished) {
            tern_stream_drop(waiting[i]);
        } else {
            c->events->on_stream(c->owner, c, waiting[i]);
        }
    }
    tern_free(waiting);
}

static void run(tern_deferred *d)
{
    tern_conn *c = TERN_CONTAINER(d, tern_conn, deferred);
    if (c->events == NULL || c->closed) {
        return;
    }
    if (c->waiting_count > 0) {
        hand_out(c);
    }
    if (!c->finished || c->stream_count > 0) {
        return;
    }
    tern_error why = c->why != NULL ? *c->why : out_of_memory;
    c->closed = 1;
    tern_deferred_cancel(&c->deferred);
    c->events->on_closed(c->owner, c, &why);
    tern_deferred_cancel(&c->deferred);
    tern_conn_facts_clear(&c->facts);
    tern_free(c->why);
    tern_free(c->waiting);
    c->ops->destroy(c);
}

void tern_conn_finish(tern_conn *c, const tern_error *why)
{
    if (!c->finished) {
        c->why = tern_memdup(why, sizeof *why);
        c->finished = 1;
        wake(c);
    }
}

void tern_conn_stream_born(tern_conn *c)
{
    c->stream_count++;
}

void tern_conn_stream_gone(tern_conn *c)
{
    c->stream_count--;
    if (c->stream_count == 0 && c->finished) {
        wake(c);
    }
}

void tern_conn_take(tern_conn *c, const tern_conn_events *events, void *owner)
{
    c->events = events;
    c->owner = owner;
    wake(c);
}

void tern_conn_prove(tern_conn *c)
{
    c->facts.unproven = false;
    if (c->events != NULL && c->events->on_proven != NULL && !c->finished) {
        c->events->on_proven(c->owner, c);
    }
}

tern_stream *tern_conn_open(tern_conn *c, tern_error *reterr)
{
    if (c->closing || c->finished) {
        tern_fail(reterr, TERN_E_CONN_CLOSED, c->ops->name, "the connection is closing");
        return NULL;
    }
    return c->ops->open(c, reterr);
}

void tern_conn_hurry(tern_conn *c, tern_stream *s)
{
    if (c->facts.unproven && c->ops->hurry != NULL) {
        c->ops->hurry(c, s);
    }
}

void tern_conn_close(tern_conn *c, uint64_t code, const char *text)
{
    if (!c->closing && !c->finished) {
        c->closing = 1;
        c->ops->close(c, code, text);
    }
}

void tern_conn_abort(tern_conn *c, uint64_t code, const char *text)
{
    if (!c->finished) {
        c->closing = 1;
        c->ops->close(c, code != 0 ? code : 1, text);
    }
}

static void drop_stream(void *owner, tern_conn *c, tern_stream *s)
{
    (void)owner;
    (void)c;
    tern_stream_reset(s, 0);
    tern_stream_drop(s);
}

static void no_more(void *owner, tern_conn *c, const tern_error *why)
{
    (void)owner;
    (void)c;
    (void)why;
}

static const tern_conn_events discard = {.on_stream = drop_stream, .on_closed = no_more};

void tern_conn_drop(tern_conn *c, uint64_t code, const char *text)
{
    tern_conn_take(c, &discard, NULL);
    tern_conn_close(c, code, text);
}

bool tern_conn_relayed(const tern_conn *c)
{
    return strcmp(c->facts.transport, "circuit") == 0;
}
