/* Dialling, listening and addresses through the public API: texts in, requests to the swarm. */
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "host/host.h"

enum { DIAL_TEXTS_MAX = TERN_DIAL_ADDRS_MAX };

typedef struct node_dial {
    tern_list link;
    tern_node *node;
    tern_dial_request request;
    tern_dial_done *done;
    void *owner;
} node_dial;

static void finish(node_dial *d, const tern_error *error)
{
    tern_dial_request *r = &d->request;
    tern_dial_report *reports = tern_calloc(r->attempt_count + 1, sizeof *reports);
    size_t n = 0;
    for (; reports != NULL && n < r->attempt_count; n++) {
        reports[n] = (tern_dial_report){r->attempts[n].addr, r->attempts[n].error};
    }
    tern_list_remove(&d->link);
    d->done(d->owner, error->code == 0 ? r->conn : NULL, error, reports, n);
    tern_free(reports);
    tern_dial_request_clear(r);
    tern_free(d);
}

static void dialled(tern_op *op, const tern_error *error)
{
    finish(TERN_CONTAINER(op, node_dial, request.op), error);
}

void tern_node_cancel_dials(tern_node *node)
{
    tern_error why;
    tern_fail(&why, TERN_E_CANCELLED, "host", "the node is stopping");
    while (!tern_list_empty(&node->dials)) {
        node_dial *d = TERN_CONTAINER(node->dials.next, node_dial, link);
        tern_op_cancel(&d->request.op);
        d->request.conn = NULL;
        finish(d, &why);
    }
}

/* The peer that all addresses name; len 0 if none does. */
static int common_peer(tern_multiaddr *const *addrs, size_t n, tern_peer_id *ret,
                       tern_error *reterr)
{
    ret->len = 0;
    for (size_t i = 0; i < n; i++) {
        tern_ma_part part;
        tern_peer_id id;
        size_t whole;
        const uint8_t *bytes = tern_multiaddr_bytes(addrs[i], &whole);
        if (!tern_ma_find_last(addrs[i], TERN_MA_P2P, &part) ||
            part.whole.data + part.whole.len != bytes + whole) {
            continue;
        }
        int code = tern_peer_id_from_bytes(&id, part.value.data, part.value.len);
        if (code != 0) {
            return tern_fail(reterr, code, "host", "%s: the peer id is not one",
                             tern_multiaddr_text(addrs[i]));
        }
        if (ret->len > 0 && !tern_peer_id_equal(ret, &id)) {
            return tern_fail(reterr, TERN_E_INVALID, "host",
                             "the addresses name different peers; dial one peer at a time");
        }
        *ret = id;
    }
    return 0;
}

static int parse_all(const char *const *texts, size_t n, tern_multiaddr **ret, tern_error *reterr)
{
    if (n == 0 || n > DIAL_TEXTS_MAX) {
        return tern_fail(reterr, TERN_E_INVALID, "host", "%s",
                         n == 0 ? "no address to dial" : "more than 100 addresses");
    }
    for (size_t i = 0; i < n; i++) {
        tern_error error;
        ret[i] = tern_multiaddr_parse(texts[i], &error);
        if (ret[i] == NULL) {
            return tern_fail(reterr, error.code, error.layer, "%s", error.text);
        }
    }
    return 0;
}

int tern_node_dial(tern_node *node, const char *const *texts, size_t n, uint32_t timeout_ms,
                   bool fresh, tern_dial_done *done, void *owner, tern_error *reterr)
{
    tern_multiaddr *addrs[DIAL_TEXTS_MAX] = {NULL};
    tern_peer_id peer;
    node_dial *d = NULL;
    int code = parse_all(texts, n, addrs, reterr);
    if (code == 0) {
        code = common_peer(addrs, n, &peer, reterr);
    }
    if (code == 0) {
        d = tern_calloc(1, sizeof *d);
        code = d == NULL ? tern_fail(reterr, TERN_E_NOMEM, "host", "out of memory") : 0;
    }
    if (code == 0) {
        d->node = node;
        d->done = done;
        d->owner = owner;
        d->request.peer = peer;
        d->request.addrs = addrs;
        d->request.addr_count = n;
        d->request.fresh = fresh;
        tern_list_push(&node->dials, &d->link);
        tern_op_init(&d->request.op, node->loop,
                     tern_loop_now(node->loop) +
                         (timeout_ms > 0 ? timeout_ms * TERN_MS : 15 * TERN_SEC),
                     dialled);
        code = tern_swarm_dial(node->swarm, &d->request);
        if (code != 0) {
            tern_list_remove(&d->link);
            tern_free(d);
            tern_fail(reterr, code, "host", "out of memory");
        }
    }
    for (size_t i = 0; i < n && i < DIAL_TEXTS_MAX; i++) {
        tern_multiaddr_unref(addrs[i]);
    }
    return code;
}

tern_conn *tern_node_find(tern_node *node, const tern_peer_id *peer)
{
    return tern_swarm_find(node->swarm, peer);
}

size_t tern_node_disconnect(tern_node *node, const tern_peer_id *peer)
{
    return tern_swarm_close_peer(node->swarm, peer, 0, "closed by the owner");
}

void tern_node_close(tern_node *node, tern_conn *conn)
{
    (void)node;
    tern_conn_close(conn, 0, "closed by the owner");
}

/* ---- listening ---- */

static tern_multiaddr *with_self(tern_node *node, const tern_multiaddr *addr)
{
    tern_peer_id *self = &node->swarm->net.self;
    return tern_ma_with(addr, TERN_MA_P2P, self->bytes, self->len);
}

int tern_node_listen(tern_node *node, const char *text, char *bound, size_t cap, tern_error *reterr)
{
    tern_error error;
    tern_multiaddr *at = NULL;
    tern_multiaddr *addr = tern_multiaddr_parse(text, &error);
    if (addr == NULL) {
        return tern_fail(reterr, error.code, error.layer, "%s", error.text);
    }
    int code = tern_swarm_listen(node->swarm, addr, &at, reterr);
    tern_multiaddr_unref(addr);
    if (code != 0) {
        return code;
    }
    if (bound != NULL && cap > 0) {
        tern_multiaddr *full = with_self(node, at);
        snprintf(bound, cap, "%s", full != NULL ? tern_multiaddr_text(full) : "");
        tern_multiaddr_unref(full);
    }
    tern_multiaddr_unref(at);
    tern_identify_push(node->identify);
    if (node->portmap != NULL) {
        tern_portmap_look(node->portmap);
    }
    return 0;
}

int tern_node_announce(tern_node *node, const char *text, tern_error *reterr)
{
    tern_error error;
    tern_multiaddr *addr = tern_multiaddr_parse(text, &error);
    if (addr == NULL) {
        return tern_fail(reterr, error.code, error.layer, "%s", error.text);
    }
    tern_multiaddr *bare = tern_ma_without_p2p(addr);
    int code = bare != NULL ? tern_swarm_announce(node->swarm, bare) : TERN_E_NOMEM;
    tern_multiaddr_unref(bare);
    tern_multiaddr_unref(addr);
    if (code == 0) {
        tern_identify_push(node->identify);
    }
    return code == 0 ? 0 : tern_fail(reterr, code, "host", "%s", tern_code_text(code));
}

void tern_node_addresses(tern_node *node, void (*fn)(void *arg, const char *addr), void *arg)
{
    tern_multiaddr *const *addrs;
    size_t n = tern_swarm_addresses(tern_node_net(node), &addrs);
    for (size_t i = 0; i < n; i++) {
        tern_multiaddr *full = with_self(node, addrs[i]);
        if (full != NULL) {
            fn(arg, tern_multiaddr_text(full));
        }
        tern_multiaddr_unref(full);
    }
}
