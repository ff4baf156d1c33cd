/* Inside quic/: what a client keeps of a server, under its peer id: tickets of its own with what
 * 0-RTT data must keep to, and a token that proves our address (docs/quic-resumption.md, section
 * 3.1). It may survive the process in a file; what we did not write ourselves, with this identity,
 * is not believed. */
#ifndef TERN_QUIC_KEPT_H
#define TERN_QUIC_KEPT_H

#include "quic/endpoint.h"

enum { QUIC_KEPT_TICKETS = 4, QUIC_KEPT_MAX = 16 << 10, QUIC_TOKEN_MAX = 256 };

/* What one dial takes out. */
typedef struct quic_kept {
    uint8_t *session; /* a ticket and its keys, as resume.c writes them; NULL: none */
    size_t session_n;
    uint8_t params[128]; /* the server's transport parameters for 0-RTT data; none: it takes none */
    size_t params_n;
    tern_key *key;                 /* the server's, with a ticket; a reference */
    uint8_t token[QUIC_TOKEN_MAX]; /* for the address that is dialled */
    size_t token_n;
} quic_kept;

/* Takes a ticket out, so that no other dial uses it, and copies the token for `to`. */
void quic_kept_take(tern_quic *q, const tern_peer_id *peer, const tern_endpoint *to,
                    quic_kept *ret);
void quic_kept_clear(quic_kept *k); /* wipes, frees, lets go of the key */

/* Keeps a ticket of a server with this key for so many nanoseconds; when there are too many the
 * oldest goes. */
void quic_kept_add(tern_quic *q, const tern_key *server, tern_span session, tern_span params,
                   uint64_t life);
/* Keeps the token that the server at this address gave. */
void quic_kept_token(tern_quic *q, const tern_peer_id *peer, const tern_endpoint *from,
                     tern_span token);
/* No ticket of this server is of use any more. */
void quic_kept_forget(tern_quic *q, const tern_peer_id *peer);

#endif
