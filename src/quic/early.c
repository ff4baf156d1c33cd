/* 0-RTT data: conns that are given before the handshake is done (docs/quic-resumption.md, section
 * 5). The base's facts say so until it is (`unproven`): the swarm lets only protocols that may be
 * played twice have what came, and send.
 *
 *     client: streams that may are opened at once, the others wait in `unopened`
 *             accepted -> the others are opened
 *             refused  -> all are opened again, in their order, and send from their first byte */
#include "quic/resume.h"

/* ---- the client ---- */

bool quic_early_open(quic_conn *c, quic_stream *s)
{
    int64_t id;
    if (!c->resumption.early || c->complete || s->id >= 0 || s->over ||
        ngtcp2_conn_open_bidi_stream(c->q, &id, s) != 0) {
        return false;
    }
    quic_stream_opened(s, id);
    return true;
}

/* Streams that the server never heard of: as before they were opened. */
static void close_again(quic_conn *c)
{
    tern_list early, *next;
    tern_list_init(&early);
    for (tern_list *l = c->streams.next; l != &c->streams; l = next) {
        quic_stream *s = TERN_CONTAINER(l, quic_stream, link);
        next = l->next;
        if (s->id < 0 || s->over) {
            continue;
        }
        if (s->gone) {
            quic_stream_over(s);
            continue;
        }
        tern_list_remove(&s->ready);
        s->id = -1;
        s->sent = s->acked;
        s->fin_sent = s->blocked = 0;
        tern_list_push(&early, &s->ready);
        c->unopened_count++;
    }
    tern_list_splice(&early, &c->unopened); /* they came first */
    tern_list_splice(&c->unopened, &early);
}

int quic_early_answered(quic_conn *c)
{
    quic_resumption *r = &c->resumption;
    if (!r->early) {
        return 0;
    }
    r->early = 0;
    if (tern_handshake_early(c->tls)) {
        c->net->counters.quic_early++;
        return 0;
    }
    c->net->counters.quic_early_refused++;
    close_again(c);
    return ngtcp2_conn_tls_early_data_rejected(c->q);
}

/* ---- the server ---- */

void quic_early_accepted(quic_conn *c)
{
    c->resumption.early = 1;
    c->endpoint->quic->early_conns++;
    c->net->counters.quic_early++;
}

void quic_early_over(quic_conn *c)
{
    if (c->base.facts.inbound && c->resumption.early) {
        c->resumption.early = 0;
        c->endpoint->quic->early_conns--;
    }
}
