/* A peer that speaks HTTP/3 in words of the test's own, over QUIC in the simulated world: what it
 * says on which stream is the test's business, and what it is answered is kept. It has a node for
 * its host, its key and its certificate, and is no part of that node's swarm.
 *
 *     h3_peer p;
 *     h3_peer_dial(&p, node, "10.0.0.2");           or h3_peer_listen(&p, node, "10.0.0.2")
 *     h3_stream *s = h3_open(&p, true);
 *     h3_say(s, "...", n);
 *     sim_nodes_run(...); assert_int_equal(p.why.wire, TERN_H3_FRAME_ERROR);
 *     h3_peer_clear(&p);
 *
 * Calls run from the test, between runs of the world. */
#ifndef TERN_TESTS_SIM_H3_PEER_H
#define TERN_TESTS_SIM_H3_PEER_H

#include "quic/conn.h"
#include "sim/nodes.h"
#include "webtransport/h3_core.h"
#include "webtransport/session.h"

typedef struct h3_peer h3_peer;

typedef struct h3_stream {
    struct h3_stream *next;
    h3_peer *peer;
    tern_stream *s; /* NULL once it is over */
    bool both_ways, theirs;
    uint8_t bytes[512]; /* the first that came */
    size_t n;           /* of them; more are only counted */
    unsigned ended, closed;
    tern_error why; /* of closed: its wire code is the other's */
} h3_stream;

struct h3_peer {
    sim_node *node;
    struct quic_conn *q;  /* NULL before it has begun and once it is over */
    unsigned came;        /* conns: its own, or those that were accepted */
    unsigned begun, gone; /* may write; is over, for this reason: */
    tern_error why;
    h3_stream *streams;           /* all, the newest first */
    void (*on_begin)(h3_peer *p); /* from inside QUIC, may open and write; NULL is nothing */
    bool keeps; /* of a session's streams of the other's only the first three bytes, the prefix, are
                   taken: for h3_noise */
    tern_dial_op dial;
    tern_listener listener;
    struct quic_endpoint *endpoint; /* NULL: it dialled */
    char addr[512];                 /* where it listens, with certhashes and /p2p */
    tern_secure_op noise;           /* out: noise_done and noise_error; key and hashes are freed */
    unsigned noise_done;
    tern_error noise_error;
    tern_peer_id noise_peer;
    tern_span hashes[4]; /* those that it vouches for; a server has its own here at first */
    size_t hash_count;
};

/* ---- birth and end ---- */

/* Dials UDP port 4001 of `ip`; begun says when. */
void h3_peer_dial(h3_peer *p, sim_node *node, const char *ip);
/* Listens on UDP port 4001 of `ip`, which is the node's. One conn at a time. */
void h3_peer_listen(h3_peer *p, sim_node *node, const char *ip);
/* Ends what is left, without a word that arrives: the world is run for that. */
void h3_peer_clear(h3_peer *p);

/* ---- streams ---- */

h3_stream *h3_open(h3_peer *p, bool both_ways);
void h3_say(h3_stream *s, const void *bytes, size_t n);
/* Opens one, says that and nothing more; `end` closes its half. */
h3_stream *h3_open_saying(h3_peer *p, bool both_ways, const void *bytes, size_t n, bool end);
/* The nth stream of the other's, of the kind; NULL when there are not so many. */
h3_stream *h3_theirs(h3_peer *p, bool both_ways, unsigned nth);
/* Finds a number in what came: the HTTP status of an answer; 0 without one. */
unsigned h3_status(const h3_stream *s);

/* ---- what a good peer says ---- */

void h3_say_settings(h3_peer *p);
/* The beginning of a stream of a session's. */
h3_stream *h3_open_in(h3_peer *p, bool both_ways, uint64_t session);
/* Fields as a HEADERS frame, each literal; pairs up to a NULL. */
size_t h3_headers(uint8_t *out, size_t cap, const char *const *fields);
/* A CONNECT for the path. */
h3_stream *h3_connect(h3_peer *p, const char *path);
/* A stream of session 0 for Noise, as the dialler or the listener does. */
void h3_noise(h3_peer *p, h3_stream *s);
/* A client to the end of its Noise handshake: the session's CONNECT stream. */
h3_stream *h3_establish(h3_peer *p);
/* A DATAGRAM frame; false: congestion control is against it. */
bool h3_datagram(h3_peer *p, const void *bytes, size_t n);

#endif
