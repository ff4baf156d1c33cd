/* Identify and identify/push (libp2p specs, identify): /ipfs/id/1.0.0, /ipfs/id/push/1.0.0. */
#ifndef TERN_PROTO_IDENTIFY_H
#define TERN_PROTO_IDENTIFY_H

#include "core/net.h"

#define TERN_IDENTIFY_ID      "/ipfs/id/1.0.0"
#define TERN_IDENTIFY_PUSH_ID "/ipfs/id/push/1.0.0"

enum {
    TERN_IDENTIFY_MESSAGE_MAX = 8192, /* one message received */
    TERN_IDENTIFY_MESSAGES_MAX = 10,  /* of one answer, merged */
    TERN_IDENTIFY_SEND_MAX = 4096,    /* ours, a whole first message: rust reads no more */
    TERN_IDENTIFY_ADDRS_MAX = 500,
    TERN_IDENTIFY_PROTOCOLS_MAX = 1024,
};

/* One net's identify: the state of pushes. */
typedef struct tern_identify tern_identify;

/* Serves both ids and is ready to ask. NULL when memory is short. */
tern_identify *tern_identify_new(tern_net *net);
void tern_identify_free(tern_identify *id);
/* Asks a new connection's peer; the answer goes to net->ops->identified. Optimistic. */
void tern_identify_ask(tern_identify *id, tern_conn *conn);
/* Our addresses or protocols changed: a full message to every peer that speaks push, collected over
 * one second, at most 32 at once. */
void tern_identify_push(tern_identify *id);
/* The net has stopped: nobody is there to be told. NULL is nothing. */
void tern_identify_stop(tern_identify *id);

#endif
