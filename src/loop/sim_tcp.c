/* Simulated TCP, the owner's calls and what leaves: dial, listen, write, read, end, close.
 *
 *   dialler                listener          An ordered byte stream without sequence numbers: what
 * is | ---- SYN ------->  |                sent arrives in order (sim_wire.c lets no segment
 * overtake | <--- SYN-ACK ----  | half open      another), so loss and retransmission are only
 * time. connected (1 RTT)       | | ---- ACK ------->  | on_accept (1.5 RTT), before the first byte
 *      | ---- DATA ------>  |                A write is taken while less than tcp_buffer bytes are
 *      | <--- ACK --------  | read           written and not yet read by the peer's owner; ACKs say
 *      | ---- FIN ------->  | on_end         how many arrived and how many were read.
 *
 * A socket hands the link one segment at a time, so that connections which share a link share its
 * rate. A link that is down makes it try again (200 ms, doubling up to a minute); 15 minutes
 * without an acknowledgement end it with TERN_E_TIMEOUT. Two that dial each other from their ports
 * at the same time become one connection. There is no congestion control, no Nagle and no
 * TIME_WAIT: a port is free again when both FINs have left.
 *
 * Fast Open: a dial that asks for it gets a cookie with the SYN-ACK of a listener that gives them.
 * With one for that address the next says connected at once; its first write leaves with the SYN
 * and is given to an accepted socket at once. A SYN that is repeated carries no data. The cookie
 * names the host, so another one at the same address does not take it.
 *
 * A closed socket lives on without an owner until its queue and FIN have left. Closing with unread
 * bytes, or bytes arriving after a close, answer with a RST, as Linux does. */
#include <string.h>

#include <tern/error.h>

#include "base/mem.h"
#include "loop/sim_world.h"

enum { TRIES_MAX = 24 }; /* sends into a link that is down: about SIM_GIVE_UP */

static struct sim_tcp *tcp_of(tern_tcp *base)
{
    return (struct sim_tcp *)(void *)base;
}

/* For one whose address was taken away it is down. */
static enum sim_way path_of(const struct sim_tcp *t, struct sim_path *ret)
{
    enum sim_way way = tern_sim_path(t->host, &t->base.remote, ret);
    return t->orphan ? SIM_WAY_DOWN : way;
}

static void conn_key(uint8_t out[SIM_CONN_KEY], const tern_endpoint *local,
                     const tern_endpoint *remote)
{
    tern_sim_key(out, local);
    tern_sim_key(out + SIM_ENDPOINT_KEY, remote);
}

struct sim_tcp *tern_sim_tcp_find(const struct sim_host *host, const tern_endpoint *local,
                                  const tern_endpoint *remote)
{
    uint8_t key[SIM_CONN_KEY];
    conn_key(key, local, remote);
    return tern_map_get(&host->conns, key, sizeof key);
}

struct sim_tcp *tern_sim_tcp_new(struct sim_host *host, enum sim_tcp_state state,
                                 const tern_endpoint *local, const tern_endpoint *remote)
{
    struct sim_tcp *t = tern_calloc(1, sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    uint8_t key[SIM_CONN_KEY];
    conn_key(key, local, remote);
    if (tern_map_set(&host->conns, key, sizeof key, t) < 0) {
        tern_free(t);
        return NULL;
    }
    t->base = (tern_tcp){.loop = &host->loop, .local = *local, .remote = *remote};
    t->host = host;
    t->state = state;
    t->id = ++host->sim->last_socket;
    tern_list_init(&t->tx);
    tern_list_init(&t->rx);
    tern_list_push(&host->tcps, &t->link);
    return t;
}

static void drop_queue(tern_list *queue)
{
    while (!tern_list_empty(queue)) {
        tern_sim_packet_free(TERN_CONTAINER(queue->next, struct sim_packet, link));
    }
}

/* Nothing arrives or leaves any more. */
static void detach(struct sim_tcp *t)
{
    uint8_t key[SIM_CONN_KEY];
    conn_key(key, &t->base.local, &t->base.remote);
    if (tern_map_get(&t->host->conns, key, sizeof key) == t) {
        tern_map_remove(&t->host->conns, key, sizeof key);
    }
    drop_queue(&t->tx);
    drop_queue(&t->rx);
    tern_timer_stop(&t->send);
    tern_timer_stop(&t->deliver);
    tern_timer_stop(&t->give_up);
}

void tern_sim_tcp_free(struct sim_tcp *t)
{
    if (t->state != SIM_TCP_DEAD) {
        detach(t);
        t->state = SIM_TCP_DEAD;
    }
    tern_timer_stop(&t->deliver);
    if (t->in_event) {
        t->closed = true; /* whoever runs the event frees it */
        return;
    }
    tern_list_remove(&t->link);
    tern_free(t);
}

void tern_sim_tcp_fail(struct sim_tcp *t, int code)
{
    bool dialling = t->state == SIM_TCP_SYN_SENT;
    bool half_open = t->state == SIM_TCP_SYN_RCVD;
    if (half_open || t->closed) {
        tern_sim_tcp_free(t);
        return;
    }
    detach(t);
    t->state = SIM_TCP_DEAD;
    t->error = code;
    if (dialling && !t->base.opening) {
        t->base.events->on_connected(t->base.owner, code);
    } else {
        tern_sim_tcp_wake_reader(t);
    }
}

/* --- what leaves --- */

static void on_send(tern_timer *timer)
{
    struct sim_tcp *t = TERN_CONTAINER(timer, struct sim_tcp, send);
    if (t->state == SIM_TCP_SYN_SENT) {
        tern_sim_tcp_send(t, SIM_SYN);
        tern_timer_start(t->base.loop, &t->send,
                         t->base.loop->sched->now + (SIM_SYN_RTO << t->tries), on_send);
        t->tries++; /* give_up ends it after seven */
        return;
    }
    tern_sim_tcp_output(t);
}

void tern_sim_tcp_on_give_up(tern_timer *timer)
{
    struct sim_tcp *t = TERN_CONTAINER(timer, struct sim_tcp, give_up);
    uint64_t end = t->progress + SIM_GIVE_UP;
    if (t->state == SIM_TCP_OPEN && end > t->base.loop->sched->now) {
        tern_timer_start(t->base.loop, &t->give_up, end, tern_sim_tcp_on_give_up);
        return;
    }
    tern_sim_tcp_fail(t, TERN_E_TIMEOUT);
}

static void on_orphaned(tern_timer *timer)
{
    tern_sim_tcp_fail(TERN_CONTAINER(timer, struct sim_tcp, give_up), TERN_E_UNREACHABLE);
}

/* The link is down, or memory short: the same again after a while. */
static void try_later(struct sim_tcp *t)
{
    if (t->tries >= TRIES_MAX) {
        if (!tern_list_empty(&t->tx) || t->fin_wanted) {
            tern_sim_tcp_fail(t, TERN_E_TIMEOUT);
        }
        return;
    }
    uint64_t wait = t->tries < 9 ? SIM_RTO_MIN << t->tries : SIM_RTO_MAX;
    t->tries++;
    tern_timer_start(t->base.loop, &t->send, t->base.loop->sched->now + wait, on_send);
}

bool tern_sim_tcp_send(struct sim_tcp *t, enum sim_kind kind)
{
    struct sim_path path;
    enum sim_way way = path_of(t, &path);
    if (way != SIM_WAY_OPEN) {
        return way == SIM_WAY_NONE;
    }
    struct sim_packet *p = tern_sim_packet(t->host, kind, &t->base.local, &t->base.remote, 0);
    if (p == NULL) {
        return false;
    }
    p->src_id = t->id;
    p->dst_id = kind == SIM_SYN ? 0 : t->peer_id;
    p->received = t->received;
    p->consumed = t->consumed;
    p->fast = t->fast;
    p->cookie = kind == SIM_SYNACK && t->fast ? t->host->id : 0;
    bool handshake = kind == SIM_SYN || kind == SIM_SYNACK;
    bool plain_ack = kind == SIM_ACK && t->greeted;
    tern_sim_send_segment(p, &path, handshake || plain_ack ? NULL : &t->order);
    return true;
}

/* Hands the link what it can take now; false when the rest needs a timer, which is armed. */
static bool send_queue(struct sim_tcp *t, const struct sim_path *path, enum sim_way way)
{
    while (!tern_list_empty(&t->tx)) {
        uint64_t now = t->base.loop->sched->now;
        if (t->link_free > now) {
            tern_timer_start(t->base.loop, &t->send, t->link_free, on_send);
            return false;
        }
        struct sim_packet *p = TERN_CONTAINER(tern_list_pop(&t->tx), struct sim_packet, link);
        p->src_id = t->id;
        p->dst_id = t->peer_id;
        if (way == SIM_WAY_NONE) {
            t->host->sim->stats.lost++;
            tern_sim_packet_free(p);
        } else {
            t->link_free = tern_sim_send_segment(p, path, &t->order);
        }
    }
    return true;
}

void tern_sim_tcp_output(struct sim_tcp *t)
{
    if (t->host->crashed || t->state != SIM_TCP_OPEN) {
        return;
    }
    struct sim_path path;
    enum sim_way way = path_of(t, &path);
    if (way == SIM_WAY_DOWN || (t->ack_due && !tern_sim_tcp_send(t, SIM_ACK))) {
        if (!tern_timer_armed(&t->send)) {
            try_later(t);
        }
        return;
    }
    t->tries = 0;
    t->greeted = t->greeted || t->ack_due;
    t->ack_due = false;
    if (!send_queue(t, &path, way)) {
        return;
    }
    if (t->fin_wanted && !t->fin_out) {
        t->fin_out = tern_sim_tcp_send(t, SIM_FIN);
        if (!t->fin_out) {
            try_later(t);
            return;
        }
    }
    if (t->closed && t->fin_out) {
        tern_sim_tcp_free(t);
    }
}

/* --- dialling and listening --- */

uint32_t tern_sim_cookie(const struct sim_host *host, const tern_endpoint *to)
{
    uint8_t key[SIM_ENDPOINT_KEY];
    tern_sim_key(key, to);
    return (uint32_t)(uintptr_t)tern_map_get(&host->cookies, key, SIM_IP_KEY);
}

/* A local endpoint for a dial: the wanted one, or any port when the 4-tuple is in use. */
static int choose_local(struct sim_host *host, const tern_endpoint *to, const tern_endpoint *from,
                        tern_endpoint *ret)
{
    if (!tern_sim_source(host, to, ret)) {
        return TERN_E_UNREACHABLE;
    }
    if (from != NULL && from->port != 0) {
        tern_endpoint local = tern_endpoint_is_unspecified(from) ? *ret : *from;
        local.port = from->port;
        bool itself = tern_endpoint_eq(&local, to); /* would connect to itself, not to a listener */
        if (!itself && tern_sim_owns(host, &local) && tern_sim_tcp_find(host, &local, to) == NULL) {
            *ret = local;
            return 0;
        }
    }
    for (unsigned tries = 0; tries < 1u << 14; tries++) {
        ret->port = tern_sim_next_port(host);
        if (tern_sim_tcp_find(host, ret, to) == NULL &&
            tern_sim_bound(&host->listeners, ret) == NULL) {
            return 0;
        }
    }
    return TERN_E_LIMIT;
}

static void on_opening(tern_timer *timer)
{
    struct sim_tcp *t = TERN_CONTAINER(timer, struct sim_tcp, deliver);
    t->base.events->on_connected(t->base.owner, 0);
}

int tern_sim_tcp_dial(tern_loop *loop, const tern_endpoint *to, const tern_endpoint *from,
                      bool fast, tern_tcp **ret)
{
    struct sim_host *host = tern_sim_host_of(loop);
    tern_endpoint local;
    int rc = choose_local(host, to, from, &local);
    if (rc < 0) {
        return rc;
    }
    struct sim_tcp *t = tern_sim_tcp_new(host, SIM_TCP_SYN_SENT, &local, to);
    if (t == NULL) {
        return TERN_E_NOMEM;
    }
    uint64_t now = loop->sched->now;
    t->fast = fast;
    if (fast && tern_sim_cookie(host, to) != 0) {
        t->base.opening = t->syn_held = true;
        tern_timer_start(loop, &t->deliver, now, on_opening);
    } else {
        tern_sim_tcp_send(t, SIM_SYN);
        tern_timer_start(loop, &t->send, now + SIM_SYN_RTO, on_send);
        t->tries = 1;
    }
    tern_timer_start(loop, &t->give_up, now + SIM_CONNECT_MAX, tern_sim_tcp_on_give_up);
    *ret = &t->base;
    return 0;
}

int tern_sim_tcp_listen(tern_loop *loop, const tern_endpoint *at, bool fast,
                        tern_tcp_listener **ret)
{
    struct sim_host *host = tern_sim_host_of(loop);
    struct sim_listener *l = tern_calloc(1, sizeof *l);
    if (l == NULL) {
        return TERN_E_NOMEM;
    }
    l->base = (tern_tcp_listener){.loop = loop, .local = *at};
    l->host = host;
    l->fast = fast;
    int rc = tern_sim_bind(host, &host->listeners, &l->base.local, l);
    if (rc < 0) {
        tern_free(l);
        return rc;
    }
    *ret = &l->base;
    return 0;
}

void tern_sim_tcp_listener_close(tern_tcp_listener *base)
{
    struct sim_listener *l = (struct sim_listener *)(void *)base;
    uint8_t key[SIM_ENDPOINT_KEY];
    tern_sim_key(key, &base->local);
    tern_map_remove(&l->host->listeners, key, sizeof key);
    tern_free(l);
}

void tern_sim_tcp_orphans(tern_loop *loop)
{
    struct sim_host *host = tern_sim_host_of(loop);
    tern_list *next;
    for (tern_list *l = host->tcps.next; l != &host->tcps; l = next) {
        struct sim_tcp *t = TERN_CONTAINER(l, struct sim_tcp, link);
        next = l->next;
        if (t->orphan && t->state == SIM_TCP_SYN_SENT && t->error == 0) {
            t->error = TERN_E_UNREACHABLE;
            tern_timer_start(loop, &t->give_up, tern_loop_now(loop), on_orphaned);
        }
    }
}

/* --- the owner's calls on a socket --- */

/* Fills up the last segment, or appends one of `cap` bytes; returns how many bytes it took. */
static size_t enqueue(struct sim_tcp *t, const uint8_t *data, size_t n, size_t cap)
{
    struct sim_packet *p = NULL;
    if (!tern_list_empty(&t->tx)) {
        p = TERN_CONTAINER(t->tx.prev, struct sim_packet, link);
    }
    if (p == NULL || p->len >= p->cap) {
        p = tern_sim_packet(t->host, SIM_DATA, &t->base.local, &t->base.remote, cap);
        if (p == NULL) {
            return 0;
        }
        tern_list_push(&t->tx, &p->link);
    }
    size_t k = n < p->cap - p->len ? n : p->cap - p->len;
    memcpy(p->data + p->len, data, k);
    p->len += k;
    return k;
}

/* Queues up to `want` bytes in segments; returns how many found memory. */
static size_t enqueue_spans(struct sim_tcp *t, const tern_span *v, size_t want, size_t chunk,
                            bool waits)
{
    size_t taken = 0, at = 0; /* at: in *v */
    while (taken < want) {
        if (at == v->len) {
            v++;
            at = 0;
            continue;
        }
        size_t len = v->len - at < want - taken ? v->len - at : want - taken;
        size_t cap = want - taken < chunk ? want - taken : chunk;
        size_t k = enqueue(t, v->data + at, len, waits && cap < SIM_MSS ? SIM_MSS : cap);
        if (k == 0) {
            break;
        }
        at += k;
        taken += k;
    }
    return taken;
}

/* The SYN, with a copy of what one segment holds. The rest stays until the handshake is done, and
 * this too, in case the peer takes no data with a SYN. */
static void send_syn_data(struct sim_tcp *t)
{
    uint64_t now = t->base.loop->sched->now;
    const struct sim_packet *first = TERN_CONTAINER(t->tx.next, struct sim_packet, link);
    size_t n = first->len < SIM_MSS ? first->len : SIM_MSS;
    struct sim_path path;
    t->syn_held = false;
    t->syn_len = n;
    enum sim_way way = path_of(t, &path);
    if (way == SIM_WAY_OPEN && path.link->no_syn_data) {
        t->host->sim->stats.lost++;
    } else if (way == SIM_WAY_OPEN) {
        struct sim_packet *p =
            tern_sim_packet(t->host, SIM_SYN, &t->base.local, &t->base.remote, n);
        if (p != NULL) {
            p->src_id = t->id;
            p->fast = true;
            p->cookie = tern_sim_cookie(t->host, &t->base.remote);
            p->len = n;
            memcpy(p->data, first->data, n);
            tern_sim_send_segment(p, &path, NULL);
        }
    }
    tern_timer_start(t->base.loop, &t->send, now + SIM_SYN_RTO, on_send);
    t->tries = 1;
}

ssize_t tern_sim_tcp_write(tern_tcp *base, const tern_span *v, unsigned n)
{
    struct sim_tcp *t = tcp_of(base);
    uint64_t now = base->loop->sched->now;
    if (t->state == SIM_TCP_DEAD) {
        return TERN_E_RESET;
    }
    bool opening = t->state == SIM_TCP_SYN_SENT && base->opening;
    if ((t->state != SIM_TCP_OPEN && !opening) || t->fin_wanted) {
        return TERN_E_STATE;
    }
    struct sim_path path;
    enum sim_way way = path_of(t, &path);
    size_t window = tern_sim_tcp_window(path.link);
    uint64_t flying = t->written - t->consumed_by;
    size_t room = flying < window ? window - (size_t)flying : 0;
    size_t total = tern_span_total(v, n);
    size_t want = total < room ? total : room;
    /* A segment that has to wait gets room for the small writes that may follow. */
    bool waits = way == SIM_WAY_DOWN || t->link_free > now;
    size_t taken = enqueue_spans(t, v, want, tern_sim_chunk(path.link), waits);
    if (taken == 0 && want > 0 && flying == 0) {
        return TERN_E_NOMEM; /* nothing on the way would bring on_writable */
    }
    t->want_room = taken < total;
    if (taken > 0 && t->written == t->received_by && !opening) {
        t->progress = now;
        tern_timer_start(base->loop, &t->give_up, now + SIM_GIVE_UP, tern_sim_tcp_on_give_up);
    }
    t->written += taken;
    if (t->syn_held && taken > 0) {
        send_syn_data(t);
    }
    tern_sim_tcp_output(t);
    return (ssize_t)taken;
}

void tern_sim_tcp_read(tern_tcp *base)
{
    struct sim_tcp *t = tcp_of(base);
    t->reading = true;
    tern_sim_tcp_wake_reader(t);
}

void tern_sim_tcp_pause(tern_tcp *base)
{
    tcp_of(base)->reading = false;
}

void tern_sim_tcp_shutdown(tern_tcp *base)
{
    struct sim_tcp *t = tcp_of(base);
    if ((t->state == SIM_TCP_OPEN || base->opening) && !t->fin_wanted) {
        t->fin_wanted = true;
        tern_sim_tcp_output(t);
    }
}

void tern_sim_tcp_close(tern_tcp *base, bool abort)
{
    struct sim_tcp *t = tcp_of(base);
    if (t->state != SIM_TCP_OPEN || t->host->crashed) {
        tern_sim_tcp_free(t);
        return;
    }
    if (abort || !tern_list_empty(&t->rx)) {
        tern_sim_tcp_send(t, SIM_RST);
        tern_sim_tcp_free(t);
        return;
    }
    t->closed = true;
    t->reading = t->want_room = false;
    t->fin_wanted = true;
    tern_timer_stop(&t->deliver);
    tern_sim_tcp_output(t);
}
