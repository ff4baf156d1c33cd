/* Simulated TCP, what arrives: handshakes, segments, acknowledgements, resets, and the events that
 * the owner hears of them.
 *
 * Segments that arrive at the same instant are collected and given to the owner together, up to
 * SIM_READ_MAX bytes an event. A packet that fits no socket is answered with a RST where a real
 * host would do so. Segments of an earlier connection between the same ports are told by the
 * socket's id, as sequence numbers tell them. */
#include <string.h>

#include <tern/error.h>

#include "base/mem.h"
#include "loop/sim_world.h"

/* --- events for the owner --- */

/* The bytes of the next on_data: one segment in place, which *ret_first then is (to be freed
 * afterwards), or several copied together and freed. */
static uint8_t *gather(struct sim_tcp *t, size_t *ret_n, struct sim_packet **ret_first)
{
    tern_sim *sim = t->host->sim;
    struct sim_packet *p = TERN_CONTAINER(tern_list_pop(&t->rx), struct sim_packet, link);
    *ret_first = p;
    *ret_n = p->len - p->at;
    if (tern_list_empty(&t->rx)) {
        return p->data + p->at;
    }
    if (sim->read_buffer == NULL) {
        sim->read_buffer = tern_malloc(SIM_READ_MAX);
        if (sim->read_buffer == NULL) {
            return p->data + p->at;
        }
    }
    *ret_first = NULL;
    size_t n = 0;
    for (;;) {
        memcpy(sim->read_buffer + n, p->data + p->at, p->len - p->at);
        n += p->len - p->at;
        tern_sim_packet_free(p);
        if (tern_list_empty(&t->rx)) {
            break;
        }
        p = TERN_CONTAINER(t->rx.next, struct sim_packet, link);
        if (n + p->len > SIM_READ_MAX) {
            break;
        }
        tern_list_remove(&p->link);
    }
    *ret_n = n;
    return sim->read_buffer;
}

/* A link that lets its reader have few bytes at once: a copy of the oldest segment's next ones, as
 * the owner may close the socket, and the segment with it, while it reads them. */
static void give_some(struct sim_tcp *t, size_t most)
{
    uint8_t bytes[SIM_READ_SOME];
    struct sim_packet *p = TERN_CONTAINER(t->rx.next, struct sim_packet, link);
    size_t n = p->len - p->at;
    n = n < most ? n : most;
    n = n < sizeof bytes ? n : sizeof bytes;
    memcpy(bytes, p->data + p->at, n);
    p->at += n;
    if (p->at == p->len) {
        tern_sim_packet_free(p);
    }
    t->consumed += n;
    t->ack_due = true;
    t->base.events->on_data(t->base.owner, bytes, n);
}

static void give_data(struct sim_tcp *t)
{
    struct sim_path path;
    tern_sim_path(t->host, &t->base.remote, &path);
    if (path.link->tcp_read > 0) {
        give_some(t, path.link->tcp_read);
        return;
    }
    size_t n;
    struct sim_packet *first;
    uint8_t *data = gather(t, &n, &first);
    t->consumed += n;
    t->ack_due = true;
    t->base.events->on_data(t->base.owner, data, n);
    if (first != NULL) {
        tern_sim_packet_free(first);
    }
}

/* One event for the owner, then the ACK of what happened since the last one. */
static void on_deliver(tern_timer *timer)
{
    struct sim_tcp *t = TERN_CONTAINER(timer, struct sim_tcp, deliver);
    const tern_tcp_events *events = t->base.events;
    if (t->state == SIM_TCP_DEAD) {
        if (events != NULL && t->error < 0) {
            int code = t->error;
            t->error = 0;
            events->on_error(t->base.owner, code);
        }
        return;
    }
    t->in_event = true;
    bool reading = t->reading && events != NULL;
    if (reading && !tern_list_empty(&t->rx)) {
        give_data(t);
    } else if (t->reset_in) {
        tern_sim_tcp_fail(t, TERN_E_RESET);
    } else if (reading && t->fin_in && !t->end_told) {
        t->end_told = true;
        events->on_end(t->base.owner);
    }
    t->in_event = false;
    if (t->state == SIM_TCP_DEAD) {
        if (t->closed) {
            tern_sim_tcp_free(t);
        }
        return;
    }
    if (!t->closed) {
        tern_sim_tcp_wake_reader(t);
    }
    if (t->ack_due) {
        tern_sim_tcp_output(t);
    }
}

static void arm_deliver(struct sim_tcp *t)
{
    if (!tern_timer_armed(&t->deliver)) {
        tern_timer_start(t->base.loop, &t->deliver, t->base.loop->sched->now, on_deliver);
    }
}

void tern_sim_tcp_wake_reader(struct sim_tcp *t)
{
    bool due = t->state == SIM_TCP_DEAD ? t->error < 0 && t->base.events != NULL
                                        : t->reset_in || (t->reading && !tern_list_empty(&t->rx)) ||
                                              (t->reading && t->fin_in && !t->end_told);
    if (due) {
        arm_deliver(t);
    }
}

/* --- handshakes --- */

/* A RST to whoever sent p. */
static void refuse(struct sim_host *host, const struct sim_packet *p)
{
    struct sim_path path;
    if (tern_sim_path(host, &p->src, &path) != SIM_WAY_OPEN) {
        return;
    }
    struct sim_packet *rst = tern_sim_packet(host, SIM_RST, &p->dst, &p->src, 0);
    if (rst != NULL) {
        rst->dst_id = p->src_id;
        tern_sim_send_segment(rst, &path, NULL);
    }
}

/* A SYN with data from one who has our cookie: open already. True when p was kept. */
static bool open_fast(struct sim_listener *l, struct sim_tcp *t, struct sim_packet *p)
{
    bool welcome = l->fast && p->cookie == t->host->id && p->len > 0;
    if (welcome) {
        t->state = SIM_TCP_OPEN;
        t->received = p->len;
        tern_list_remove(&p->link);
        tern_list_push(&t->rx, &p->link);
        arm_deliver(t);
    }
    tern_sim_tcp_send(t, SIM_SYNACK);
    if (welcome) {
        l->base.on_accept(l->base.owner, &t->base);
    } else {
        tern_timer_start(t->base.loop, &t->give_up, t->base.loop->sched->now + SIM_CONNECT_MAX,
                         tern_sim_tcp_on_give_up);
    }
    return welcome;
}

/* True when p was kept. */
static bool on_syn(struct sim_host *host, struct sim_tcp *t, struct sim_packet *p)
{
    if (t != NULL && (t->peer_id == p->src_id || t->state == SIM_TCP_SYN_SENT)) {
        t->peer_id = p->src_id; /* a SYN repeated, or both dial at once */
        tern_sim_tcp_send(t, SIM_SYNACK);
        return false;
    }
    if (t != NULL) {
        tern_sim_tcp_fail(t, TERN_E_RESET); /* the peer has forgotten that connection */
    }
    struct sim_listener *l = tern_sim_bound(&host->listeners, &p->dst);
    if (l == NULL) {
        refuse(host, p);
        return false;
    }
    t = tern_sim_tcp_new(host, SIM_TCP_SYN_RCVD, &p->dst, &p->src);
    if (t == NULL) {
        return false; /* the dialler repeats its SYN */
    }
    t->peer_id = p->src_id;
    t->greeted = true;
    t->fast = l->fast && p->fast;
    return open_fast(l, t, p);
}

/* The dialler's side is open. */
static void connected(struct sim_tcp *t)
{
    t->state = SIM_TCP_OPEN;
    tern_timer_stop(&t->send);
    tern_timer_stop(&t->give_up);
    t->tries = 0;
    t->ack_due = true;
    if (!t->base.opening) {
        tern_sim_tcp_output(t);
        t->base.events->on_connected(t->base.owner, 0);
        return;
    }
    t->base.opening = false; /* its owner believes so for a round trip */
    if (t->written > t->received_by) {
        t->progress = t->base.loop->sched->now;
        tern_timer_start(t->base.loop, &t->give_up, t->progress + SIM_GIVE_UP,
                         tern_sim_tcp_on_give_up);
    }
    tern_sim_tcp_output(t);
}

/* The peer has what went with the SYN. */
static void syn_data_arrived(struct sim_tcp *t)
{
    struct sim_packet *p = TERN_CONTAINER(t->tx.next, struct sim_packet, link);
    t->received_by += t->syn_len;
    p->len -= t->syn_len;
    memmove(p->data, p->data + t->syn_len, p->len);
    if (p->len == 0) {
        tern_sim_packet_free(p);
    }
    t->syn_len = 0;
}

static void on_synack(struct sim_tcp *t, const struct sim_packet *p)
{
    uint8_t key[SIM_ENDPOINT_KEY];
    if (t->state != SIM_TCP_SYN_SENT) {
        return;
    }
    if (t->fast && p->fast) { /* short of memory it is only not kept */
        tern_sim_key(key, &p->src);
        tern_map_set(&t->host->cookies, key, SIM_IP_KEY, (void *)(uintptr_t)p->cookie);
    }
    if (t->syn_len > 0 && p->received > 0) {
        syn_data_arrived(t);
    }
    t->peer_id = p->src_id;
    connected(t);
}

/* The listener's side is open. */
static void accepted(struct sim_tcp *t, const struct sim_packet *p)
{
    struct sim_listener *l = tern_sim_bound(&t->host->listeners, &t->base.local);
    if (l == NULL) {
        refuse(t->host, p);
        tern_sim_tcp_free(t);
        return;
    }
    t->state = SIM_TCP_OPEN;
    tern_timer_stop(&t->give_up);
    l->base.on_accept(l->base.owner, &t->base);
}

/* --- segments --- */

static void on_ack(struct sim_tcp *t, const struct sim_packet *p)
{
    if (t->state == SIM_TCP_SYN_RCVD) {
        accepted(t, p);
        return;
    }
    if (t->state == SIM_TCP_SYN_SENT) {
        if (t->peer_id == p->src_id) {
            connected(t); /* both dialled at once, and the peer's SYN-ACK was lost */
        }
        return;
    }
    if (p->received > t->received_by) {
        t->received_by = p->received;
        t->progress = t->base.loop->sched->now;
        if (t->received_by == t->written) {
            tern_timer_stop(&t->give_up);
        }
    }
    if (p->consumed > t->consumed_by) {
        t->consumed_by = p->consumed;
        if (t->want_room) {
            t->want_room = false;
            t->base.events->on_writable(t->base.owner);
        }
    }
}

static void on_rst(struct sim_tcp *t)
{
    if (t->state == SIM_TCP_SYN_SENT) {
        tern_sim_tcp_fail(t, TERN_E_REFUSED);
    } else if (t->reading && !tern_list_empty(&t->rx)) {
        t->reset_in = true; /* what arrived before it is still read */
    } else {
        tern_sim_tcp_fail(t, TERN_E_RESET);
    }
}

/* True when the socket has kept p. */
static bool on_data(struct sim_tcp *t, struct sim_packet *p)
{
    if (t->state != SIM_TCP_OPEN || t->closed) {
        tern_sim_tcp_send(t, SIM_RST);
        tern_sim_tcp_free(t);
        return false;
    }
    t->received += p->len;
    t->ack_due = true;
    tern_list_push(&t->rx, &p->link);
    arm_deliver(t); /* also when paused: for the ACK */
    return true;
}

void tern_sim_tcp_arrive(struct sim_host *host, struct sim_packet *p)
{
    struct sim_tcp *t = tern_sim_tcp_find(host, &p->dst, &p->src);
    bool kept = false;
    if (t != NULL && t->orphan) {
        tern_sim_packet_free(p);
        return;
    }
    if (p->kind != SIM_SYN && (t == NULL || p->dst_id != t->id)) {
        if (p->kind == SIM_SYNACK || p->kind == SIM_DATA) {
            refuse(host, p);
        }
        tern_sim_packet_free(p);
        return;
    }
    bool answers = p->kind == SIM_DATA || p->kind == SIM_ACK || p->kind == SIM_FIN;
    if (answers && t->state == SIM_TCP_SYN_SENT && t->syn_len > 0 && t->peer_id == 0) {
        t->peer_id = p->src_id; /* its SYN-ACK was lost: this could not be sent without our data */
        syn_data_arrived(t);
        connected(t);
    }
    switch (p->kind) {
    case SIM_SYN:
        kept = on_syn(host, t, p);
        break;
    case SIM_SYNACK:
        on_synack(t, p);
        break;
    case SIM_ACK:
        on_ack(t, p);
        break;
    case SIM_DATA:
        kept = on_data(t, p);
        break;
    case SIM_FIN:
        t->fin_in = true;
        tern_sim_tcp_wake_reader(t);
        break;
    case SIM_RST:
        on_rst(t);
        break;
    case SIM_UDP:
        break;
    }
    if (!kept) {
        tern_sim_packet_free(p);
    }
}
