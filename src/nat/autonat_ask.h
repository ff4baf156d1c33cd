/* The client's side of AutoNAT: one question to one server, whether it can reach us at an address.
 * In version 2 a yes is believed only when the nonce of the question came back to us by that very
 * address; a server's word alone is nothing. Version 1 has no such proof. */
#ifndef TERN_NAT_AUTONAT_ASK_H
#define TERN_NAT_AUTONAT_ASK_H

#include "nat/autonat_message.h"
#include "nat/reach_core.h"
#include "streams/frame.h"

#include "core/net.h"

enum { TERN_AUTONAT_ASKED_MAX = 8 }; /* addresses of one question */
#define TERN_AUTONAT_ANSWER_TIME (40 * TERN_SEC)

/* An address that is asked about, and where a connection to it would arrive. */
typedef struct tern_autonat_way {
    tern_multiaddr *addr; /* a reference, the question's */
    uint32_t transport;
    tern_endpoint at; /* the address's own IP and port */
    uint16_t port;    /* ours that it leads to; 0 = any */
    bool own;         /* the IP is one of the machine's */
    bool proven;      /* a nonce came by it */
} tern_autonat_way;

typedef struct tern_autonat_ask {
    tern_list link; /* in the asker's list, where nonces are looked up */
    tern_net *net;
    bool old; /* version 1 */
    tern_stream *s;
    tern_frame frame;
    tern_timer timer;
    tern_autonat_way ways[TERN_AUTONAT_ASKED_MAX]; /* by priority; the server takes the first that
                                                      it can dial */
    size_t way_count;
    uint64_t nonce;
    bool paying; /* the server asked to be paid, once */
    size_t owed; /* bytes still */
    tern_buf unsent;
    tern_endpoint server; /* the asker's */
    /* Once, unless it was cancelled: which way the answer is about; a NOTHING may be about none
     * (way_count). The question is freed when it returns. */
    void (*done)(void *owner, struct tern_autonat_ask *ask, tern_reach_answer said, size_t way);
    void *owner;
} tern_autonat_ask;

/* A question to be filled: ways, done and owner. NULL when memory is short. */
tern_autonat_ask *tern_autonat_ask_new(tern_net *net, bool old);
/* Asks over a connection; `list` is where nonces are looked up. 0, or an error: nothing follows,
 * and it is freed. */
int tern_autonat_ask_start(tern_autonat_ask *ask, tern_conn *conn, tern_list *list);
/* done does not come any more. */
void tern_autonat_ask_cancel(tern_autonat_ask *ask);

/* Serves the dial-back protocol, for the questions of net->reach, from anybody: dial_back.c. */
int tern_autonat_hear_dial_backs(tern_net *net);

#endif
