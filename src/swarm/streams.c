/* Protocols: incoming streams are negotiated and given to their handler, outgoing ones are opened
 * and negotiated. Of a connection's incoming streams so many negotiate at once; the next ones wait,
 * in order, with what they bring kept within their windows: a peer that opens a thousand at once
 * loses none. How many there can be at all is the muxer's to limit. */
#include "swarm/swarm.h"

#include "base/error.h"
#include "base/mem.h"

/* Wire codes that go sends with resets (libp2p specs, error codes; the numbers of go's streams). */
enum { RESET_NEGOTIATION = 0x1001, RESET_LIMIT = 0x1002 };

typedef struct incoming {
    tern_list link; /* in c->negotiations */
    tern_swarm_conn *c;
    tern_negotiation negotiation;
    bool unhandled; /* the id agreed on is not served any more */
    bool held;      /* agreed on, and waits for the conn to be proven */
    bool queued;    /* waits for its turn to negotiate */
} incoming;

/* ---- the table of protocols ---- */

static size_t slot_of(const tern_swarm *swarm, const char *id)
{
    for (size_t i = 0; i < TERN_PROTOCOLS_MAX; i++) {
        if (swarm->protocols[i].id != NULL && strcmp(swarm->protocols[i].id, id) == 0) {
            return i;
        }
    }
    return TERN_PROTOCOLS_MAX;
}

static void protocols_changed(tern_swarm *swarm)
{
    size_t n = 0;
    for (size_t i = 0; i < TERN_PROTOCOLS_MAX; i++) {
        if (swarm->protocols[i].id != NULL) {
            swarm->protocol_ids[n++] = swarm->protocols[i].id;
        }
    }
    swarm->protocol_ids[n] = NULL;
    if (swarm->events->on_protocols != NULL) {
        swarm->events->on_protocols(swarm->owner);
    }
}

int tern_swarm_handle(tern_net *net, const tern_protocol *protocol)
{
    tern_swarm *swarm = tern_swarm_of(net);
    if (slot_of(swarm, protocol->id) < TERN_PROTOCOLS_MAX) {
        return TERN_E_STATE;
    }
    for (size_t i = 0; i < TERN_PROTOCOLS_MAX; i++) {
        if (swarm->protocols[i].id == NULL) {
            swarm->protocols[i] = *protocol;
            protocols_changed(swarm);
            return 0;
        }
    }
    return TERN_E_LIMIT;
}

/* The id of a negotiation that has ended is the handler's string: it goes with the handler. */
static void forget_agreed(tern_swarm *swarm, const char *id)
{
    for (tern_list *l = swarm->conns.next; l != &swarm->conns; l = l->next) {
        tern_swarm_conn *c = TERN_CONTAINER(l, tern_swarm_conn, link);
        for (tern_list *k = c->negotiations.next; k != &c->negotiations; k = k->next) {
            incoming *in = TERN_CONTAINER(k, incoming, link);
            const char *agreed = in->unhandled ? NULL : in->negotiation.id;
            in->unhandled |= agreed != NULL && strcmp(agreed, id) == 0;
        }
    }
}

void tern_swarm_unhandle(tern_net *net, const char *id)
{
    tern_swarm *swarm = tern_swarm_of(net);
    size_t slot = slot_of(swarm, id);
    if (slot < TERN_PROTOCOLS_MAX) {
        forget_agreed(swarm, id);
        swarm->protocols[slot] = (tern_protocol){0};
        protocols_changed(swarm);
    }
}

bool tern_swarm_replay_safe(const tern_swarm *swarm, const char *id)
{
    size_t slot = slot_of(swarm, id);
    return slot < TERN_PROTOCOLS_MAX && swarm->protocols[slot].replay_safe;
}

size_t tern_swarm_protocols(tern_net *net, const char *const **ret)
{
    tern_swarm *swarm = tern_swarm_of(net);
    size_t n = 0;
    while (swarm->protocol_ids[n] != NULL) {
        n++;
    }
    *ret = swarm->protocol_ids;
    return n;
}

/* ---- incoming ---- */

static void free_incoming(incoming *in)
{
    tern_list_remove(&in->link);
    if (!in->queued) {
        in->c->negotiating--;
        tern_defer(in->c->swarm->net.loop, &in->c->admit);
    }
    tern_free(in);
}

static void refuse(tern_stream *s, uint64_t code)
{
    tern_stream_reset(s, code);
    tern_stream_drop(s);
}

static void held_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    free_incoming(owner);
}

/* Takes nothing: what comes is kept, within the window. */
static size_t held_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    (void)s;
    (void)data;
    (void)n;
    return 0;
}

static const tern_stream_events held_events = {.on_data = held_data, .on_closed = held_closed};

/* To its handler, if that is there and has a place. */
static void hand_over(incoming *in)
{
    tern_swarm_conn *c = in->c;
    tern_swarm *swarm = c->swarm;
    tern_stream *s = in->negotiation.stream;
    size_t slot = in->unhandled ? TERN_PROTOCOLS_MAX : slot_of(swarm, in->negotiation.id);
    if (slot < TERN_PROTOCOLS_MAX && c->conn->facts.unproven &&
        !swarm->protocols[slot].replay_safe) {
        in->held = true;
        swarm->net.counters.quic_held++;
        tern_stream_take(s, &held_events, in);
        return;
    }
    free_incoming(in);
    if (slot == TERN_PROTOCOLS_MAX) {
        refuse(s, RESET_NEGOTIATION);
        return;
    }
    const tern_protocol *protocol = &swarm->protocols[slot];
    uint16_t *tally = &c->peer->tallies[slot];
    bool too_many = protocol->per_peer > 0 && *tally >= protocol->per_peer;
    swarm->net.counters.refused_per_protocol += too_many;
    if (too_many || *tally == UINT16_MAX || (c->conn->facts.limited && !protocol->over_limited)) {
        swarm->net.counters.streams_limit++;
        refuse(s, RESET_LIMIT);
        return;
    }
    ++*tally;
    s->tally = tally;
    protocol->on_stream(protocol->ctx, c->conn, s, protocol->id);
}

static void incoming_agreed(tern_op *op, const tern_error *error)
{
    incoming *in = TERN_CONTAINER(op, incoming, negotiation.op);
    if (error->code != 0) {
        free_incoming(in);
    } else {
        hand_over(in);
    }
}

void tern_swarm_proven(tern_swarm_conn *c)
{
    tern_list *next;
    for (tern_list *l = c->negotiations.next; l != &c->negotiations; l = next) {
        incoming *in = TERN_CONTAINER(l, incoming, link);
        next = l->next;
        if (in->held) {
            in->held = false;
            tern_stream_take(in->negotiation.stream, NULL, NULL);
            hand_over(in);
        }
    }
}

static void incoming_lost(tern_negotiation *n, const tern_error *why)
{
    (void)why;
    free_incoming(TERN_CONTAINER(n, incoming, negotiation));
}

/* Its turn. The deadline counts from when it came: who holds up the queue with silence does so
 * once.
 */
static void begin(incoming *in)
{
    tern_swarm_conn *c = in->c;
    in->queued = false;
    c->negotiating++;
    if (tern_negotiate(&in->negotiation) != 0) {
        c->swarm->net.counters.allocation_failures++;
        refuse(in->negotiation.stream, RESET_LIMIT);
        free_incoming(in);
    }
}

void tern_swarm_admit(tern_deferred *d)
{
    tern_swarm_conn *c = TERN_CONTAINER(d, tern_swarm_conn, admit);
    tern_list *next;
    for (tern_list *l = c->negotiations.next; l != &c->negotiations; l = next) {
        incoming *in = TERN_CONTAINER(l, incoming, link);
        next = l->next;
        if (c->negotiating >= c->swarm->net.limits.streams_unnegotiated) {
            return;
        }
        if (in->queued) {
            begin(in);
        }
    }
}

void tern_swarm_incoming(tern_swarm_conn *c, tern_stream *s)
{
    tern_net *net = &c->swarm->net;
    net->counters.streams_in++;
    c->used = tern_loop_now(net->loop);
    if (tern_connmgr_relieve(c->swarm) >= TERN_PRESSURE_FULL) {
        net->counters.memory_streams++;
        refuse(s, RESET_LIMIT);
        return;
    }
    incoming *in = tern_calloc(1, sizeof *in);
    if (in == NULL) {
        net->counters.allocation_failures++;
        refuse(s, RESET_LIMIT);
        return;
    }
    in->c = c;
    in->negotiation = (tern_negotiation){
        .net = net, .stream = s, .ids = c->swarm->protocol_ids, .lost = incoming_lost};
    tern_op_init(&in->negotiation.op, net->loop,
                 tern_loop_now(net->loop) + net->limits.negotiation_time, incoming_agreed);
    in->queued = true;
    tern_list_push(&c->negotiations, &in->link);
    tern_stream_take(s, &held_events, in);
    if (c->negotiating < net->limits.streams_unnegotiated) {
        begin(in);
    } else {
        net->counters.streams_queued++;
    }
}

/* ---- outgoing ---- */

typedef struct outgoing {
    tern_negotiation negotiation;
    void (*done)(void *owner, tern_stream *s, const char *id, const tern_error *error);
    void *owner;
} outgoing;

static void outgoing_agreed(tern_op *op, const tern_error *error)
{
    outgoing *out = TERN_CONTAINER(op, outgoing, negotiation.op);
    outgoing copy = *out;
    tern_free(out);
    copy.done(copy.owner, error->code == 0 ? copy.negotiation.stream : NULL, copy.negotiation.id,
              error);
}

static void outgoing_lost(tern_negotiation *n, const tern_error *why)
{
    outgoing *out = TERN_CONTAINER(n, outgoing, negotiation);
    outgoing copy = *out;
    tern_free(out);
    copy.done(copy.owner, NULL, NULL, why);
}

tern_stream *
tern_swarm_open(tern_net *net, tern_conn *conn, const char *const *ids, bool replay_safe,
                void (*done)(void *owner, tern_stream *s, const char *id, const tern_error *error),
                void *owner, tern_error *reterr)
{
    tern_stream *s = tern_conn_open(conn, reterr);
    if (s == NULL) {
        return NULL;
    }
    if (replay_safe) {
        tern_conn_hurry(conn, s);
    }
    net->counters.streams_out++;
    tern_swarm_conn *c = conn->owner; /* the swarm's, as every conn that is given out */
    c->used = tern_loop_now(net->loop);
    outgoing *out = tern_calloc(1, sizeof *out);
    if (out != NULL) {
        out->done = done;
        out->owner = owner;
        out->negotiation = (tern_negotiation){
            .net = net, .stream = s, .initiator = true, .ids = ids, .lost = outgoing_lost};
        tern_op_init(&out->negotiation.op, net->loop,
                     tern_loop_now(net->loop) + net->limits.negotiation_time, outgoing_agreed);
    }
    if (out == NULL || tern_negotiate(&out->negotiation) != 0) {
        tern_free(out);
        net->counters.allocation_failures++;
        refuse(s, 0);
        tern_fail(reterr, TERN_E_NOMEM, "swarm", "out of memory");
        return NULL;
    }
    return s;
}
