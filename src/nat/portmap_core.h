/* Asking the default gateway to let others in, without I/O: bytes, time and what is wanted go in;
 * bytes, what has changed and one deadline come out. PCP first (RFC 6887), NAT-PMP (RFC 6886) where
 * the gateway says that it does not know PCP, or says nothing.
 *
 *     PCP, each port   --UNSUPP_VERSION, or nothing after 9 s-->   NAT-PMP: its address, each port
 *          ^                                                            |
 *          '---------- PAUSE <----------- nothing after 8 s ------------'
 *
 * A mapping is renewed at half of its lifetime, and again and again until it ends; then all begins
 * anew. The gateway counts its seconds: when the count goes back it has forgotten what it had
 * mapped, and all is mapped again. What it says is believed only from its address, about a port
 * that was asked for and, of PCP, with the nonce that was sent. */
#ifndef TERN_NAT_PORTMAP_CORE_H
#define TERN_NAT_PORTMAP_CORE_H

#include "loop/loop.h"
#include "nat/portmap_message.h"

enum {
    TERN_PORTMAP_PORTS = 16,       /* of ours, at most */
    TERN_PORTMAP_LIFETIME = 1200,  /* s that are asked for: so long a port stays open when we crash,
                                      and half of it until we notice a gateway that restarted */
    TERN_PORTMAP_LIFE_MIN = 10,    /* s; shorter ones are renewed as if they were that long ... */
    TERN_PORTMAP_LIFE_MAX = 86400, /* ... and longer ones as if that (RFC 6887, section 15) */
};
#define TERN_PORTMAP_PAUSE (900 * TERN_SEC) /* after silence, and after most refusals */

/* Why there is no mapping. */
typedef enum tern_portmap_why {
    TERN_PORTMAP_FINE, /* there is one, or it is not known yet */
    TERN_PORTMAP_SILENT,
    TERN_PORTMAP_REFUSED,    /* not allowed there */
    TERN_PORTMAP_FULL,       /* no more ports, or no more for us */
    TERN_PORTMAP_NO_NETWORK, /* the gateway itself has none */
    TERN_PORTMAP_DOUBLE_NAT, /* its own address outside is not public */
    TERN_PORTMAP_FAILED,     /* any other code */
    TERN_PORTMAP_LOST,       /* it was not renewed until it ended */
} tern_portmap_why;

typedef struct tern_portmap_port {
    uint32_t transport; /* TERN_MA_TCP or TERN_MA_UDP */
    uint16_t port;
    tern_endpoint external; /* where the gateway leads to it from; family 0: nowhere */
    tern_portmap_why why;
    unsigned code;         /* the protocol's, with FAILED and others */
    tern_endpoint outside; /* with DOUBLE_NAT: the gateway's address */
    uint32_t lifetime;     /* s, of the mapping */
    /* the core's */
    uint8_t nonce[TERN_PORTMAP_NONCE];
    uint64_t expires;  /* of the mapping; TERN_NEVER without one */
    uint64_t next;     /* when something is to be sent; TERN_NEVER: nothing */
    unsigned tries;    /* sent in a row without an answer */
    tern_endpoint had; /* the external address of before: asked for again */
    bool asked;        /* the gateway may have mapped it */
    bool undo;         /* the next message takes it away ... */
    bool undone;       /* ... and has, unless the answer to it came */
    bool changed;      /* since tern_portmap_core_changed */
} tern_portmap_port;

typedef struct tern_portmap_core {
    tern_endpoint gateway, own;     /* the gateway's port is set */
    tern_portmap_protocol protocol; /* that is spoken */
    bool answered;                  /* the gateway has, in this protocol */
    bool silent;                    /* it says nothing in either; paused */
    bool closing;
    bool epoch_known;
    uint32_t epoch; /* the gateway's seconds, as of epoch_at */
    uint64_t epoch_at;
    unsigned restarts;     /* of the gateway, that were noticed */
    tern_endpoint address; /* NAT-PMP: the gateway's outside; family 0 = not known */
    uint64_t address_at, address_next;
    unsigned address_tries;
    uint64_t random;
    tern_portmap_port ports[TERN_PORTMAP_PORTS];
    size_t count;
} tern_portmap_core;

/* Of a gateway (IPv4), from our address in its network. random: any number, for the jitter. */
void tern_portmap_core_init(tern_portmap_core *c, const tern_endpoint *gateway,
                            const tern_endpoint *own, uint64_t random);
/* This port is to be mapped. The nonce should be the same in each life of the node: a gateway lets
 * nobody else touch a mapping. False: there are as many as may be. Known ones stay as they are. */
bool tern_portmap_core_want(tern_portmap_core *c, uint32_t transport, uint16_t port,
                            const uint8_t nonce[TERN_PORTMAP_NONCE], uint64_t now);
/* A datagram that is due, for the gateway; its length, 0 = none. To be called until then. */
size_t tern_portmap_core_send(tern_portmap_core *c, uint64_t now,
                              uint8_t out[TERN_PORTMAP_REQUEST_MAX]);
/* A datagram came. Whether it was the gateway's answer to something that was asked. */
bool tern_portmap_core_receive(tern_portmap_core *c, uint64_t now, const tern_endpoint *from,
                               const uint8_t *p, size_t n);
/* When send has something, or something ends; TERN_NEVER: never. */
uint64_t tern_portmap_core_deadline(const tern_portmap_core *c);
/* One port whose external or why is another than before; NULL = no more. */
tern_portmap_port *tern_portmap_core_changed(tern_portmap_core *c);
/* Whether any port is mapped. */
bool tern_portmap_core_maps(const tern_portmap_core *c);
/* All mappings are renewed at once: nobody knows whether they still stand. */
void tern_portmap_core_renew(tern_portmap_core *c, uint64_t now);
/* The mappings are taken away, each with three messages at most, within a second. */
void tern_portmap_core_close(tern_portmap_core *c, uint64_t now);
/* ... and that is done. */
bool tern_portmap_core_closed(const tern_portmap_core *c);

#endif
