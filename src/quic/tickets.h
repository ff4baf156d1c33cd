/* Inside quic/: the tickets that a server gave out and that were not used yet (RFC 8446, section
 * 8.1; docs/quic-resumption.md). A ticket is opaque to the client: GnuTLS encrypts in it what it
 * needs to resume. What we need, above all that it works once, is kept here under its digest.
 *
 *     issue -> noted -> offered: found -> resumed: forgotten
 *                   \-> too old, too many: forgotten, and refused when it is offered
 *
 * The keys that tickets are encrypted under live in memory only. */
#ifndef TERN_QUIC_TICKETS_H
#define TERN_QUIC_TICKETS_H

#include <gnutls/gnutls.h>

#include "base/list.h"
#include "base/map.h"
#include "core/net.h"
#include "crypto/symmetric.h"

enum {
    QUIC_TICKETS_MAX = 16384, /* remembered: the oldest goes for a new one */
    QUIC_TICKET_KEYS = 4,     /* today's and those that tickets still live under */
};
#define QUIC_TICKET_LIFE     (24 * 3600 * TERN_SEC)
#define QUIC_TICKET_KEY_LIFE (12 * 3600 * TERN_SEC)     /* then a new one is made */
#define QUIC_PROOF_LIFE      (7 * 24 * 3600 * TERN_SEC) /* of a full handshake */
#define QUIC_AGE_TOLERANCE   (10 * TERN_SEC)            /* of a first flight with 0-RTT data */

/* What is known of a ticket that was not used. */
typedef struct quic_ticket {
    tern_list link;
    uint8_t digest[TERN_SHA256];
    uint64_t issued, proven; /* the loop's clock; proven: of the full handshake it comes from */
    uint32_t age_add;
    uint32_t key; /* the number of its key */
} quic_ticket;

typedef struct quic_tickets {
    tern_loop *loop;
    tern_map by_digest;
    tern_list by_age; /* the oldest first */
    struct {
        uint8_t bytes[64];
        uint8_t name[16]; /* what tickets made with it begin with (RFC 5077, section 4) */
        uint32_t number;  /* 0: none */
        uint64_t made;
        gnutls_anti_replay_t guard;
    } keys[QUIC_TICKET_KEYS];
    uint32_t newest;  /* number of today's key; 0: none yet */
    tern_timer timer; /* for what is too old */
} quic_tickets;

void quic_tickets_init(quic_tickets *t, tern_loop *loop);
void quic_tickets_free(quic_tickets *t); /* wipes the keys */

/* The number of today's key. 0 without memory. */
uint32_t quic_tickets_key(quic_tickets *t);
/* Lets GnuTLS encrypt or decrypt a session's tickets with a key; `early` also lets it take 0-RTT
 * data. Once a session. False: the key is gone. */
bool quic_tickets_enable(quic_tickets *t, uint32_t key, gnutls_session_t session, bool early);

/* Whether a ticket looks like one of that key. */
bool quic_tickets_made_with(const quic_tickets *t, uint32_t key, tern_span ticket);

/* A ticket that is given out. TERN_E_NOMEM, TERN_E_CRYPTO: it must not be given out. */
int quic_tickets_note(quic_tickets *t, tern_span ticket, uint32_t age_add, uint32_t key,
                      uint64_t proven);
/* The ticket if it may be used, else NULL; valid until the next call. */
quic_ticket *quic_tickets_find(quic_tickets *t, tern_span ticket);
/* Whether the age that the client states fits: its first flight was not held back. */
bool quic_tickets_timely(const quic_tickets *t, const quic_ticket *ticket, uint32_t ob_age);
/* It was used: the same will be refused. */
void quic_tickets_forget(quic_tickets *t, quic_ticket *ticket);

#endif
