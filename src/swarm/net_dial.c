/* Dials for parts below the swarm (net->ops->dial): direct ones, by the swarm's own requests. */
#include "base/mem.h"
#include "swarm/swarm.h"

struct tern_net_dial {
    tern_dial_request request;
    void (*done)(void *owner, tern_conn *conn, const tern_error *error);
    void *owner;
};

static void dialled(tern_op *op, const tern_error *error)
{
    tern_net_dial *d = TERN_CONTAINER(op, tern_net_dial, request.op);
    tern_net_dial copy = *d;
    tern_error why = *error;
    tern_dial_request_clear(&d->request);
    tern_free(d);
    copy.done(copy.owner, why.code == 0 ? copy.request.conn : NULL, &why);
}

/* What every one of them is asked for. */
typedef struct way {
    bool only;
    tern_punch_role punch;
    uint64_t deadline;
} way;

static tern_net_dial *start(tern_net *net, const tern_peer_id *peer, tern_multiaddr *const *addrs,
                            size_t n, way how,
                            void (*done)(void *owner, tern_conn *conn, const tern_error *error),
                            void *owner)
{
    tern_net_dial *d = tern_calloc(1, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    d->request.peer = *peer;
    d->request.addrs = addrs;
    d->request.addr_count = n;
    d->request.direct = true;
    d->request.only = how.only;
    d->request.punch = how.punch;
    d->done = done;
    d->owner = owner;
    tern_op_init(&d->request.op, net->loop, how.deadline, dialled);
    if (tern_swarm_dial(tern_swarm_of(net), &d->request) != 0) {
        tern_free(d);
        return NULL;
    }
    return d;
}

tern_net_dial *
tern_swarm_net_dial(tern_net *net, const tern_peer_id *peer, tern_multiaddr *const *addrs, size_t n,
                    void (*done)(void *owner, tern_conn *conn, const tern_error *error),
                    void *owner)
{
    return start(net, peer, addrs, n, (way){.deadline = TERN_NEVER}, done, owner);
}

tern_net_dial *tern_swarm_net_dial_only(
    tern_net *net, const tern_peer_id *peer, tern_multiaddr *const *addrs, size_t n,
    void (*done)(void *owner, tern_conn *conn, const tern_error *error), void *owner)
{
    return start(net, peer, addrs, n, (way){.only = true, .deadline = TERN_NEVER}, done, owner);
}

tern_net_dial *
tern_swarm_net_punch(tern_net *net, const tern_peer_id *peer, tern_multiaddr *const *addrs,
                     size_t n, tern_punch_role role, uint64_t deadline,
                     void (*done)(void *owner, tern_conn *conn, const tern_error *error),
                     void *owner)
{
    way how = {.only = true, .punch = role, .deadline = deadline};
    return start(net, peer, addrs, n, how, done, owner);
}

void tern_swarm_cancel_net_dial(tern_net_dial *d)
{
    tern_op_cancel(&d->request.op);
    tern_dial_request_clear(&d->request);
    tern_free(d);
}
