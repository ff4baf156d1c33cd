/* Inside quic/: resumption of a connection (docs/quic-resumption.md): which tickets a server gives
 * and takes, what a client keeps and offers, and 0-RTT data. */
#ifndef TERN_QUIC_RESUME_H
#define TERN_QUIC_RESUME_H

#include "quic/conn.h"
#include "quic/hello.h"
#include "quic/kept.h"

/* ---- the server ---- */
/* A ClientHello has come, GnuTLS has not read it yet. */
void quic_resume_hello(quic_conn *c, const uint8_t *p, size_t n);
/* GnuTLS has decided whether it resumes. False: with a ticket that it must not take. */
bool quic_resume_decided(quic_conn *c);
/* A NewSessionTicket of ours, whole: whether it may leave. */
bool quic_resume_issued(quic_conn *c, const uint8_t *p, size_t n);

/* ---- the client ---- */
/* Offers the ticket that a dial took; once its TLS session is made. */
void quic_resume_offer(quic_conn *c, quic_kept *kept);
/* The server gave us a ticket. */
void quic_resume_keep(quic_conn *c);

/* ---- both ---- */
/* The handshake is done. An error when the peer that we resumed with is not who it must be. */
int quic_resume_done(quic_conn *c);

/* ---- early.c: 0-RTT data ---- */
/* The client's: the server has answered. 0, or ngtcp2's error. */
int quic_early_answered(quic_conn *c);
/* The server's: it takes early data of this conn / that time is over. */
void quic_early_accepted(quic_conn *c);
void quic_early_over(quic_conn *c);

#endif
