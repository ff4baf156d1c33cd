/* What a net's WebTransport has in common: the certificates of servers, derived from the identity,
 * and their change in time. */
#ifndef TERN_WEBTRANSPORT_CERTS_H
#define TERN_WEBTRANSPORT_CERTS_H

#include "quic/app.h"

enum {
    WT_HASH = 34,  /* a SHA-256 multihash */
    WT_HASHES = 3, /* of the last certificate, of the one that is shown, of the next */
};

/* One of them is shown at a time. */
typedef struct tern_webtransport {
    tern_net *net;
    tern_list listeners;
    uint64_t phase, number;
    tern_cert *shown, *before; /* the listeners hear of the change a moment later */
    uint8_t hashes[WT_HASHES][WT_HASH];
    tern_timer change;
} tern_webtransport;

/* The net's, made when first needed: TERN_E_NOMEM, TERN_E_CRYPTO, TERN_E_STATE. */
int wt_of(tern_net *net, tern_webtransport **ret, tern_error *reterr);
/* ip, port and the two hashes that hold longest; NULL hashes: none. */
tern_multiaddr *wt_addr(const tern_endpoint *e, const tern_webtransport *w);
/* Told by certs.c to webtransport.c when another certificate is shown. */
void wt_listeners_changed(tern_webtransport *w);

#endif
