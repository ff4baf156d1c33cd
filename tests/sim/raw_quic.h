/* A QUIC end that a test makes of ngtcp2 and GnuTLS on a host of the simulated world, client or
 * server, to be a bad peer of a node's: any certificate or none, any ALPN, and packets whose frames
 * the test writes itself. It judges nobody. */
#ifndef TERN_TESTS_SIM_RAW_QUIC_H
#define TERN_TESTS_SIM_RAW_QUIC_H

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "crypto/cert.h"
#include "loop/sim.h"
#include "loop/udp.h"

enum { RAW_QUIC_FRAMES = 1000 }; /* bytes of frames in a packet */

typedef struct raw_quic_options {
    const tern_cert *cert;   /* NULL: shows none; a server needs one */
    const tern_cert *signer; /* signs with the key of this one; NULL: its own */
    const char *alpn;        /* NULL: says nothing of it */
    uint16_t port;           /* of a client; 0 = 9 */
    uint64_t streams;        /* that the peer may open; 0 = 100 */
    bool silent;             /* sends nothing: what it would have sent first is kept in `first` */
} raw_quic_options;

typedef struct raw_quic {
    tern_loop *host;
    tern_udp *u;
    tern_endpoint local, to;
    raw_quic_options options;
    bool server;
    ngtcp2_conn *q; /* NULL: nobody came yet, or it is over */
    gnutls_session_t tls;
    gnutls_certificate_credentials_t credentials;
    ngtcp2_crypto_conn_ref ref;
    tern_timer timer;
    bool completed;
    int64_t carrier;                 /* of frames that the test writes; -1: none yet */
    uint8_t forged[RAW_QUIC_FRAMES]; /* the frames of the next packet */
    size_t forged_n;
    unsigned closed, app; /* the peer has closed; with a code of the application's */
    uint64_t code;
    int broke;             /* what ngtcp2 says of the peer, if it finds something */
    size_t received, sent; /* bytes of datagrams */
    uint8_t first[1200];   /* the newest datagram that begins with an Initial */
    size_t first_n;
    unsigned retries, resets; /* RESET_STREAMs that came */
} raw_quic;

/* From a host whose address is ip. Both begin at once; the world must run. */
void raw_quic_dial(raw_quic *r, tern_loop *host, const char *ip, const tern_endpoint *to,
                   const raw_quic_options *options);
/* On a host that is made for it. */
void raw_quic_listen(raw_quic *r, tern_sim *sim, const char *ip, uint16_t port,
                     const raw_quic_options *options);
void raw_quic_clear(raw_quic *r);

/* Sends a packet with these frames and nothing else, once the handshake is done. */
void raw_quic_frames(raw_quic *r, const void *frames, size_t n);
/* A variable-length integer (RFC 9000, section 16) of eight bytes at p; behind it. */
uint8_t *raw_quic_int(uint8_t *p, uint64_t value);
/* Opens a stream in order and says something on it, or an error of ngtcp2's. */
int64_t raw_quic_open(raw_quic *r, bool both_ways, const void *bytes, size_t n);
/* RESET_STREAM and STOP_SENDING in order. */
void raw_quic_reset(raw_quic *r, int64_t id, uint64_t code);

#endif
