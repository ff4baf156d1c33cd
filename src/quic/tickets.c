/* The server's tickets: see tickets.h. */
#include "quic/tickets.h"

#include "base/error.h"
#include "base/mem.h"

void quic_tickets_init(quic_tickets *t, tern_loop *loop)
{
    memset(t, 0, sizeof *t);
    t->loop = loop;
    tern_map_init(&t->by_bytes);
    tern_list_init(&t->by_age);
}

static quic_ticket *oldest(const quic_tickets *t)
{
    return tern_list_empty(&t->by_age) ? NULL : TERN_CONTAINER(t->by_age.next, quic_ticket, link);
}

void quic_tickets_free(quic_tickets *t)
{
    quic_ticket *one;
    while ((one = oldest(t)) != NULL) {
        quic_tickets_forget(t, one);
    }
    tern_map_free(&t->by_bytes);
    tern_timer_stop(&t->timer);
}

static void on_timer(tern_timer *timer);

/* What is too old goes, and the timer is set for what is left: keys are not kept longer than they
 * are of use. */
static void forget_old(quic_tickets *t)
{
    uint64_t now = tern_loop_now(t->loop);
    quic_ticket *one;
    while ((one = oldest(t)) != NULL && now - one->issued >= QUIC_TICKET_LIFE) {
        quic_tickets_forget(t, one);
    }
    if (one != NULL && !tern_timer_armed(&t->timer)) {
        tern_timer_start(t->loop, &t->timer, one->issued + QUIC_TICKET_LIFE, on_timer);
    }
}

static void on_timer(tern_timer *timer)
{
    forget_old(TERN_CONTAINER(timer, quic_tickets, timer));
}

int quic_tickets_note(quic_tickets *t, const quic_ticket *ticket)
{
    forget_old(t);
    if (tern_map_len(&t->by_bytes) >= QUIC_TICKETS_MAX) {
        quic_tickets_forget(t, oldest(t));
    }
    quic_ticket *n = tern_memdup(ticket, sizeof *ticket);
    if (n == NULL) {
        return TERN_E_NOMEM;
    }
    n->issued = tern_loop_now(t->loop);
    int e = tern_map_set(&t->by_bytes, n->bytes, sizeof n->bytes, n);
    if (e != 0) {
        tern_wipe(n, sizeof *n);
        tern_free(n);
        return e;
    }
    tern_key_ref(n->client);
    tern_list_init(&n->link);
    tern_list_push(&t->by_age, &n->link);
    if (!tern_timer_armed(&t->timer)) {
        tern_timer_start(t->loop, &t->timer, n->issued + QUIC_TICKET_LIFE, on_timer);
    }
    return 0;
}

quic_ticket *quic_tickets_find(quic_tickets *t, tern_span bytes)
{
    forget_old(t);
    quic_ticket *n =
        bytes.len == QUIC_TICKET ? tern_map_get(&t->by_bytes, bytes.data, bytes.len) : NULL;
    bool stale = n != NULL && (tern_loop_now(t->loop) - n->proven >= QUIC_PROOF_LIFE ||
                               tern_loop_wall(t->loop) > n->until);
    return stale ? NULL : n;
}

bool quic_tickets_timely(const quic_tickets *t, const quic_ticket *ticket, uint32_t ob_age)
{
    uint64_t ours = tern_loop_now(t->loop) - ticket->issued;
    uint64_t theirs = (uint64_t)(uint32_t)(ob_age - ticket->age_add) * TERN_MS;
    uint64_t apart = ours > theirs ? ours - theirs : theirs - ours;
    return apart <= QUIC_AGE_TOLERANCE;
}

void quic_tickets_forget(quic_tickets *t, quic_ticket *ticket)
{
    tern_map_remove(&t->by_bytes, ticket->bytes, sizeof ticket->bytes);
    tern_list_remove(&ticket->link);
    tern_key_unref(ticket->client);
    tern_wipe(ticket, sizeof *ticket);
    tern_free(ticket);
}
