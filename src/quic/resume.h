/* Inside quic/: resumption of a connection (docs/quic-resumption.md): which tickets a server gives
 * and takes, what a client keeps and offers, and 0-RTT data. */
#ifndef TERN_QUIC_RESUME_H
#define TERN_QUIC_RESUME_H

#include "quic/conn.h"
#include "quic/kept.h"

/* ---- the server ---- */
/* A ClientHello for libp2p has come: which ticket may be used, and how many will be given. */
void quic_resume_hello(quic_conn *c, const tern_hello *hello, tern_answer *answer);
/* The client has the key of its ticket: the ticket is used, and the client known. */
void quic_resume_accepted(quic_conn *c);

/* ---- the client ---- */
/* The ticket that a dial took, as the handshake takes it; *ret_age is how old it is. False: there
 * is none. `ret` is in *kept. */
bool quic_resume_ticket(const quic_conn *c, const quic_kept *kept, tern_ticket *ret,
                        uint32_t *ret_age);
/* It is offered; once the TLS session is made. Takes the server's key. */
void quic_resume_offer(quic_conn *c, quic_kept *kept);
/* The server gave us a ticket. */
void quic_resume_keep(quic_conn *c, const tern_ticket *ticket);

/* ---- both ---- */
/* The handshake is done. 0, or ngtcp2's error. */
int quic_resume_done(quic_conn *c);

/* ---- early.c: 0-RTT data ---- */
/* The client's: the server has answered. 0, or ngtcp2's error. */
int quic_early_answered(quic_conn *c);
/* The server's: it takes early data of this conn / that time is over. */
void quic_early_accepted(quic_conn *c);
void quic_early_over(quic_conn *c);

#endif
