/* Opening the way for a dial that comes from the other side: see knock.h. */
#include "quic/knock.h"

#include "base/error.h"
#include "base/mem.h"

#define KNOCK_LEAST (10 * TERN_MS) /* from one to the next */
#define KNOCK_MOST  (200 * TERN_MS)

typedef struct knocker {
    quic_endpoint *endpoint;
    tern_endpoint to;
    tern_timer timer;
} knocker;

static void on_time(tern_timer *timer)
{
    knocker *k = TERN_CONTAINER(timer, knocker, timer);
    tern_loop *loop = k->endpoint->net->loop;
    uint8_t bytes[QUIC_KNOCK];
    uint32_t random;
    tern_loop_random(loop, bytes, sizeof bytes);    /* who gets them takes them for nothing */
    bytes[0] = (uint8_t)(0x60 | (bytes[0] & 0x1f)); /* among what comes to QUIC on a shared port */
    tern_loop_random(loop, &random, sizeof random);
    tern_udp_send(k->endpoint->udp, &k->to, bytes, sizeof bytes, 0, 0);
    tern_timer_start(loop, timer,
                     tern_loop_now(loop) + KNOCK_LEAST + random % (KNOCK_MOST - KNOCK_LEAST),
                     on_time);
}

static void cancel(tern_op *o)
{
    tern_dial_op *op = TERN_CONTAINER(o, tern_dial_op, op);
    knocker *k = op->state;
    op->state = NULL;
    if (k != NULL) {
        tern_timer_stop(&k->timer);
        quic_endpoint_unuse(k->endpoint);
        tern_free(k);
    }
}

int quic_knock(quic_endpoint *e, tern_dial_op *op, const tern_endpoint *to, tern_error *reterr)
{
    knocker *k = tern_calloc(1, sizeof *k);
    if (k == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "quic", "out of memory");
    }
    k->endpoint = e;
    k->to = *to;
    e->users++;
    op->state = k;
    tern_op_start(&op->op, "quic", cancel, k);
    on_time(&k->timer);
    return 0;
}
