/* Inside quic/: the tickets that a server gave out and that were not used yet (RFC 8446, section
 * 8.1; docs/quic-resumption.md). A ticket is a random number, and all that it stands for is kept
 * here under it: so it works once, and there is no key that could be stolen to read what tickets
 * protect.
 *
 *     given -> offered: found -> resumed: forgotten
 *          \-> too old, too many: forgotten, and refused when it is offered */
#ifndef TERN_QUIC_TICKETS_H
#define TERN_QUIC_TICKETS_H

#include "base/list.h"
#include "base/map.h"
#include "core/net.h"
#include "tls/handshake.h"

enum {
    QUIC_TICKETS_MAX = 16384, /* remembered: the oldest goes for a new one */
    QUIC_TICKET = 32,         /* bytes of one */
};
#define QUIC_TICKET_LIFE   (24 * 3600 * TERN_SEC)
#define QUIC_PROOF_LIFE    (7 * 24 * 3600 * TERN_SEC) /* of a full handshake */
#define QUIC_AGE_TOLERANCE (10 * TERN_SEC)            /* of a first flight with 0-RTT data */

/* What is known of a ticket that was not used. */
typedef struct quic_ticket {
    tern_list link;
    uint8_t bytes[QUIC_TICKET];
    tern_psk psk;
    tern_key *client;        /* whose it is; a reference */
    uint64_t issued, proven; /* the loop's clock; proven: of the full handshake it comes from */
    uint64_t until;          /* wall clock: the end of the client's certificate */
    uint32_t age_add;
} quic_ticket;

typedef struct quic_tickets {
    tern_loop *loop;
    tern_map by_bytes;
    tern_list by_age; /* the oldest first */
    tern_timer timer; /* for what is too old */
} quic_tickets;

void quic_tickets_init(quic_tickets *t, tern_loop *loop);
void quic_tickets_free(quic_tickets *t);

/* Remembers a new one, whose `bytes`, `psk`, `client` (a reference of the caller's), `proven`,
 * `until` and `age_add` are filled. TERN_E_NOMEM: it must not be given out. */
int quic_tickets_note(quic_tickets *t, const quic_ticket *ticket);
/* The ticket if it may be used, else NULL; valid until the next call. */
quic_ticket *quic_tickets_find(quic_tickets *t, tern_span bytes);
/* Whether the age that the client states fits: its first flight was not held back. */
bool quic_tickets_timely(const quic_tickets *t, const quic_ticket *ticket, uint32_t ob_age);
/* It was used: the same will be refused. Wipes its key. */
void quic_tickets_forget(quic_tickets *t, quic_ticket *ticket);

#endif
