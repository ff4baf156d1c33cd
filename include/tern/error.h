/* Errors as values.
 *
 * A function that can fail returns 0 or a negative code of this list. A terminal event (a closed
 * stream, a failed dial) brings a tern_error: the code, the wire code if a peer sent one, the layer
 * that noticed, and a sentence that a person can act on. The numbers are part of the ABI: append
 * only. */
#ifndef TERN_ERROR_H
#define TERN_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef TERN_API
#if defined(__GNUC__)
#define TERN_API __attribute__((visibility("default")))
#else
#define TERN_API
#endif
#endif

typedef enum tern_code {
    TERN_OK = 0,
    TERN_E_NOMEM = -1,        /* an allocation failed */
    TERN_E_INVALID = -2,      /* a malformed argument or configuration: the caller's mistake */
    TERN_E_STATE = -3,        /* the call does not fit the object's state (closed, not started) */
    TERN_E_CANCELLED = -4,    /* the caller cancelled, or the node is stopping */
    TERN_E_TIMEOUT = -5,      /* a deadline passed */
    TERN_E_UNSUPPORTED = -6,  /* nothing in this build handles it (transport, protocol, key type) */
    TERN_E_NOT_FOUND = -7,    /* no such thing: a name that does not resolve, an unknown peer */
    TERN_E_REFUSED = -8,      /* the other machine refused the connection */
    TERN_E_UNREACHABLE = -9,  /* no route to the address */
    TERN_E_ADDRINUSE = -10,   /* the address to listen on is taken */
    TERN_E_ACCESS = -11,      /* the system does not permit it */
    TERN_E_IO = -12,          /* any other failure of the system below */
    TERN_E_EOF = -13,         /* the peer ended in the middle of something */
    TERN_E_RESET = -14,       /* the peer (or we) reset the stream */
    TERN_E_CONN_CLOSED = -15, /* the connection under the stream is gone */
    TERN_E_MALFORMED = -16,   /* bytes that do not parse */
    TERN_E_TOO_LARGE = -17,   /* a length beyond its limit */
    TERN_E_PROTOCOL = -18,    /* well-formed bytes that the protocol forbids here */
    TERN_E_NEGOTIATION = -19, /* no protocol in common */
    TERN_E_CRYPTO = -20,      /* decryption or key agreement failed */
    TERN_E_SIGNATURE = -21,   /* a signature does not verify */
    TERN_E_PEER_ID = -22,     /* the peer is not the one that was asked for */
    TERN_E_LIMIT = -23,       /* a limit of ours (connections, streams, memory) is reached */
    TERN_E_GATED = -24,       /* refused by a gater or deny list */
    TERN_E_SELF = -25,        /* an attempt to dial ourselves */
    TERN_E_LIMITED = -26      /* not allowed over a limited (relayed) connection, or ended by the
                                 relay's limit */
} tern_code;

/* What ended something. `layer` is a static string ("tcp", "noise", "yamux", "swarm" ...). */
typedef struct tern_error {
    int code;          /* a tern_code */
    uint64_t wire;     /* the code the peer sent, 0 if none */
    const char *layer; /* who noticed; never NULL */
    char text[160];    /* one sentence: what, where, what to try */
} tern_error;

/* The name of a code as in this header without the prefix ("TIMEOUT"); "UNKNOWN" for others. */
TERN_API const char *tern_code_name(int code);

/* A short sentence for a code ("a deadline passed"). Never NULL. */
TERN_API const char *tern_code_text(int code);

#ifdef __cplusplus
}
#endif
#endif
