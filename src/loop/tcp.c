/* TCP for callers: checks and hands over to the loop's backend. */
#include "loop/tcp.h"

#include <tern/error.h>

#include "loop/backend.h"

static int dial(tern_loop *loop, const tern_endpoint *to, const tern_endpoint *from, bool fast,
                const tern_tcp_events *events, void *owner, tern_tcp **ret)
{
    if ((to->family != 4 && to->family != 6) || to->port == 0) {
        return TERN_E_UNREACHABLE;
    }
    if (from != NULL && from->family != to->family) {
        from = NULL;
    }
    tern_tcp *t = NULL;
    int rc = loop->ops->tcp_dial(loop, to, from, fast, &t);
    if (rc < 0) {
        return rc;
    }
    tern_tcp_set_owner(t, events, owner);
    *ret = t;
    return 0;
}

int tern_tcp_dial(tern_loop *loop, const tern_endpoint *to, const tern_endpoint *from,
                  const tern_tcp_events *events, void *owner, tern_tcp **ret)
{
    return dial(loop, to, from, false, events, owner, ret);
}

int tern_tcp_dial_fast(tern_loop *loop, const tern_endpoint *to, const tern_endpoint *from,
                       const tern_tcp_events *events, void *owner, tern_tcp **ret)
{
    return dial(loop, to, from, true, events, owner, ret);
}

bool tern_tcp_opening(const tern_tcp *t)
{
    return t->opening;
}

void tern_tcp_set_owner(tern_tcp *t, const tern_tcp_events *events, void *owner)
{
    t->events = events;
    t->owner = owner;
}

ssize_t tern_tcp_write(tern_tcp *t, const tern_span *v, unsigned n)
{
    return t->loop->ops->tcp_write(t, v, n);
}

void tern_tcp_read(tern_tcp *t)
{
    t->loop->ops->tcp_read(t);
}

void tern_tcp_pause(tern_tcp *t)
{
    t->loop->ops->tcp_pause(t);
}

void tern_tcp_shutdown(tern_tcp *t)
{
    t->loop->ops->tcp_shutdown(t);
}

void tern_tcp_close(tern_tcp *t, bool abort)
{
    if (t != NULL) {
        t->loop->ops->tcp_close(t, abort);
    }
}

void tern_tcp_local(const tern_tcp *t, tern_endpoint *ret)
{
    *ret = t->local;
}

void tern_tcp_remote(const tern_tcp *t, tern_endpoint *ret)
{
    *ret = t->remote;
}

static int listen_at(tern_loop *loop, const tern_endpoint *at, bool fast,
                     void (*on_accept)(void *owner, tern_tcp *t), void *owner,
                     tern_tcp_listener **ret)
{
    if (at->family != 4 && at->family != 6) {
        return TERN_E_INVALID;
    }
    tern_tcp_listener *l = NULL;
    int rc = loop->ops->tcp_listen(loop, at, fast, &l);
    if (rc < 0) {
        return rc;
    }
    l->on_accept = on_accept;
    l->owner = owner;
    *ret = l;
    return 0;
}

int tern_tcp_listen(tern_loop *loop, const tern_endpoint *at,
                    void (*on_accept)(void *owner, tern_tcp *t), void *owner,
                    tern_tcp_listener **ret)
{
    return listen_at(loop, at, false, on_accept, owner, ret);
}

int tern_tcp_listen_fast(tern_loop *loop, const tern_endpoint *at,
                         void (*on_accept)(void *owner, tern_tcp *t), void *owner,
                         tern_tcp_listener **ret)
{
    return listen_at(loop, at, true, on_accept, owner, ret);
}

void tern_tcp_listener_local(const tern_tcp_listener *l, tern_endpoint *ret)
{
    *ret = l->local;
}

void tern_tcp_listener_close(tern_tcp_listener *l)
{
    if (l != NULL) {
        l->loop->ops->tcp_listener_close(l);
    }
}
