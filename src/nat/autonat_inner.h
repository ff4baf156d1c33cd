/* Inside nat/: the parts of AutoNAT's server. autonat.c has a request's life, autonat_serve.c what
 * version 2 does with it and autonat_1_serve.c what version 1 does. */
#ifndef TERN_NAT_AUTONAT_INNER_H
#define TERN_NAT_AUTONAT_INNER_H

#include "nat/autonat.h"
#include "nat/autonat_message.h"
#include "nat/rate.h"
#include "streams/frame.h"

enum {
    TERN_AUTONAT_REQUESTS_MAX = 32, /* at once */
    TERN_AUTONAT_PER_PEER = 2,
};
#define TERN_AUTONAT_ASK_TIME (30 * TERN_SEC) /* the request, and what it is paid with */
#define TERN_AUTONAT_DIAL_TIME                                                                     \
    (6 * TERN_SEC) /* with the wait below less than the ten seconds that rust waits for an answer  \
                    */
#define TERN_AUTONAT_BACK_TIME (5 * TERN_SEC)
#define TERN_AUTONAT_WAIT_TIME (3 * TERN_SEC) /* before somebody else's IP is dialled, at most */

struct tern_autonat {
    tern_net *net;
    tern_list requests;
    size_t count;
    tern_rate rate;   /* dials of version 2 ... */
    tern_rate paid;   /* ... of these, to another IP than the peer's */
    tern_rate rate_1; /* dials of version 1 */
};

typedef enum phase { ASKING, PAYING, WAITING, DIALLING, GREETING } phase;

/* A request: from its stream to the answer. It is freed when neither stream nor dial is left. */
typedef struct request {
    tern_list link;
    tern_autonat *autonat;
    bool old; /* of version 1 */
    tern_peer_id peer;
    tern_endpoint from; /* where we see the peer */
    tern_stream *s;     /* NULL once answered or gone */
    tern_frame frame;
    tern_timer timer;
    phase phase;
    tern_multiaddr *addr; /* the one that is dialled */
    uint32_t index;
    uint64_t nonce;
    size_t owed; /* bytes to be paid still */
    tern_net *stranger;
    tern_net_dial *dial;
    tern_conn *back_conn; /* while `back` lives */
    tern_stream *back;    /* the dial-back */
    tern_frame back_frame;
} request;

/* autonat.c: whether we may and can dial it: a public IP, directly, by a transport of ours. */
bool autonat_dialable(tern_autonat *a, const tern_multiaddr *addr, tern_endpoint *ret);
/* Arms the request's timer for its next phase. */
void autonat_phase(request *q, phase next, uint64_t time, void (*fn)(tern_timer *timer));
/* Dials as a stranger; on_dialled of the version follows. False: it cannot be begun. */
bool autonat_dial(request *q, tern_multiaddr *const *addrs, size_t n,
                  void (*done)(void *owner, tern_conn *conn, const tern_error *error));
/* Writes these bytes as the answer (none: resets); the stream is dropped. */
void autonat_answer(request *q, const tern_buf *message);
/* Breaks off: the peer broke a rule (counted here), or is gone. */
void autonat_break(request *q);
void autonat_free_request(request *q);

/* autonat_serve.c, autonat_1_serve.c: a message of the peer's has come. */
void autonat_serve(request *q, tern_span message);
void autonat_1_serve(request *q, tern_span message);

#endif
