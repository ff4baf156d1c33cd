/* Simulated TCP, what arrives: handshakes, segments, acknowledgements, resets, and the events that the
 * owner hears of them.
 *
 * Segments that arrive at the same instant are collected and given to the owner together, up to
 * SIM_READ_MAX bytes an event. A packet that fits no socket is answered with a RST where a real host
 * would do so. Segments of an earlier connection between the same ports are told by the socket's id,
 * as sequence numbers tell them. */
#include <string.h>

#include <tern/error.h>

#include "base/mem.h"
#include "loop/sim_world.h"

/* --- events for the owner --- */

/* The bytes of the next on_data: one segment in place, or several copied together. Frees nothing but
 * what it copied; *ret_first is the segment to free afterwards, if any. */
static uint8_t *gather(struct sim_tcp *t, size_t *ret_n, struct sim_packet **ret_first)
{
    tern_sim *sim = t->host->sim;
    struct sim_packet *p = TERN_CONTAINER(tern_list_pop(&t->rx), struct sim_packet, link);
    *ret_first = p;
    *ret_n = p->len;
    if (tern_list_empty(&t->rx)) {
        return p->data;
    }
    if (sim->read_buffer == NULL) {
        sim->read_buffer = tern_malloc(SIM_READ_MAX);
        if (sim->read_buffer == NULL) {
            return p->data;
        }
    }
    *ret_first = NULL;
    size_t n = 0;
    for (;;) {
        memcpy(sim->read_buffer + n, p->data, p->len);
        n += p->len;
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
    if (t->reading && events != NULL && !tern_list_empty(&t->rx)) {
        size_t n;
        struct sim_packet *first;
        uint8_t *data = gather(t, &n, &first);
        t->consumed += n;
        t->ack_due = true;
        events->on_data(t->base.owner, data, n);
        if (first != NULL) {
            tern_sim_packet_free(first);
        }
    } else if (t->reading && events != NULL && t->fin_in && !t->end_told) {
        t->end_told = true;
        events->on_end(t->base.owner);
    }
    t->in_event = false;
    if (t->state == SIM_TCP_DEAD && t->closed) {
        tern_sim_tcp_free(t);
        return;
    }
    if (!t->closed) {
        tern_sim_tcp_wake_reader(t);
    }
    if (t->ack_due) {
        tern_sim_tcp_output(t);
    }
}

void tern_sim_tcp_wake_reader(struct sim_tcp *t)
{
    bool due = t->state == SIM_TCP_DEAD
                   ? t->error < 0 && t->base.events != NULL
                   : t->reading && (!tern_list_empty(&t->rx) || (t->fin_in && !t->end_told));
    if (due && !tern_timer_armed(&t->deliver)) {
        tern_timer_start(t->base.loop, &t->deliver, t->base.loop->sched->now, on_deliver);
    }
}
