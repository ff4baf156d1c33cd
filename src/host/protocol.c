/* Protocols through the public API: handlers, outgoing streams, pings. */
#include "base/error.h"
#include "base/mem.h"
#include "host/host.h"

typedef struct node_handler {
    tern_list link;
    tern_node *node;
    char *id;
    tern_protocol_handler *handler;
    void *ctx;
} node_handler;

static void on_stream(void *ctx, tern_conn *conn, tern_stream *s, const char *id)
{
    node_handler *h = ctx;
    (void)id;
    h->handler(h->ctx, h->node, conn, s);
}

static void free_handler(node_handler *h)
{
    tern_list_remove(&h->link);
    tern_free(h->id);
    tern_free(h);
}

int tern_node_handle(tern_node *node, const char *id, const tern_protocol_options *options,
                     tern_protocol_handler *handler, void *ctx)
{
    node_handler *h = tern_calloc(1, sizeof *h);
    if (h == NULL) {
        return TERN_E_NOMEM;
    }
    h->node = node;
    h->id = tern_strdup(id);
    h->handler = handler;
    h->ctx = ctx;
    tern_list_push(&node->handlers, &h->link);
    tern_protocol protocol = {.id = h->id, .on_stream = on_stream, .ctx = h};
    if (options != NULL) {
        protocol.per_peer = options->per_peer;
        protocol.over_limited = options->over_limited;
        protocol.replay_safe = options->replay_safe;
    }
    int code = h->id == NULL ? TERN_E_NOMEM : tern_swarm_handle(tern_node_net(node), &protocol);
    if (code != 0) {
        free_handler(h);
    }
    return code;
}

void tern_node_unhandle(tern_node *node, const char *id)
{
    for (tern_list *l = node->handlers.next; l != &node->handlers; l = l->next) {
        node_handler *h = TERN_CONTAINER(l, node_handler, link);
        if (strcmp(h->id, id) == 0) {
            tern_swarm_unhandle(tern_node_net(node), id);
            free_handler(h);
            return;
        }
    }
}

/* ---- outgoing streams ---- */

typedef struct node_open {
    const char *ids[2];
    char *id;
    tern_open_done *done;
    void *owner;
} node_open;

static void opened(void *owner, tern_stream *s, const char *id, const tern_error *error)
{
    node_open copy = *(node_open *)owner;
    (void)id;
    tern_free(copy.id);
    tern_free(owner);
    copy.done(copy.owner, s, error);
}

tern_stream *tern_node_open(tern_node *node, tern_conn *conn, const char *id, tern_open_done *done,
                            void *owner, tern_error *reterr)
{
    node_open *o = tern_calloc(1, sizeof *o);
    char *copy = tern_strdup(id);
    tern_stream *s = NULL;
    if (o == NULL || copy == NULL) {
        tern_fail(reterr, TERN_E_NOMEM, "host", "out of memory");
    } else {
        *o = (node_open){.ids = {copy, NULL}, .id = copy, .done = done, .owner = owner};
        s = tern_swarm_open(tern_node_net(node), conn, o->ids,
                            tern_swarm_replay_safe(node->swarm, id), opened, o, reterr);
    }
    if (s == NULL) {
        tern_free(copy);
        tern_free(o);
    }
    return s;
}

/* ---- pings ---- */

typedef struct node_pinger {
    tern_list link;
    tern_conn *conn;
    tern_pinger *pinger;
} node_pinger;

static node_pinger *find_pinger(tern_node *node, const tern_conn *conn)
{
    for (tern_list *l = node->pingers.next; l != &node->pingers; l = l->next) {
        node_pinger *p = TERN_CONTAINER(l, node_pinger, link);
        if (p->conn == conn) {
            return p;
        }
    }
    return NULL;
}

static void free_pinger(node_pinger *p)
{
    tern_list_remove(&p->link);
    tern_pinger_free(p->pinger);
    tern_free(p);
}

int tern_node_ping(tern_node *node, tern_conn *conn, tern_ping_done *done, void *owner)
{
    node_pinger *p = find_pinger(node, conn);
    if (p == NULL) {
        p = tern_calloc(1, sizeof *p);
        tern_pinger *pinger = tern_pinger_new(tern_node_net(node), conn);
        if (p == NULL || pinger == NULL) {
            tern_free(p);
            if (pinger != NULL) {
                tern_pinger_free(pinger);
            }
            return TERN_E_NOMEM;
        }
        p->conn = conn;
        p->pinger = pinger;
        tern_list_push(&node->pingers, &p->link);
    }
    return tern_pinger_ping(p->pinger, done, owner);
}

void tern_node_forget_pinger(tern_node *node, tern_conn *conn)
{
    node_pinger *p = find_pinger(node, conn);
    if (p != NULL) {
        free_pinger(p);
    }
}

void tern_node_free_protocols(tern_node *node)
{
    while (!tern_list_empty(&node->pingers)) {
        free_pinger(TERN_CONTAINER(node->pingers.next, node_pinger, link));
    }
    while (!tern_list_empty(&node->handlers)) {
        free_handler(TERN_CONTAINER(node->handlers.next, node_handler, link));
    }
}
