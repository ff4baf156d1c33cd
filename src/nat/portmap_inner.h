/* Inside nat/: what portmap.c (which gateway, which ports, PCP and NAT-PMP), portmap_upnp.c and
 * portmap_tell.c (what others hear of it) share. */
#ifndef TERN_NAT_PORTMAP_INNER_H
#define TERN_NAT_PORTMAP_INNER_H

#include "loop/igd.h"
#include "loop/udp.h"
#include "nat/portmap.h"
#include "nat/portmap_core.h"

/* Where a port of ours is reached, as others have been told. */
typedef struct portmap_told {
    uint32_t transport;
    uint16_t port;
    tern_endpoint external;
} portmap_told;

struct tern_portmap {
    tern_net *net;
    tern_watch watch;
    tern_timer timer, stop_timer;
    tern_deferred stopped_call;
    tern_endpoint gateway, own; /* family 0: no gateway, or nothing private faces it */
    tern_udp *udp;
    tern_portmap_core core; /* the list of ports is UPnP's too */
    portmap_told told[TERN_PORTMAP_PORTS];
    size_t told_count;
    tern_error told_error; /* the last one, until something works */
    tern_igd igd;
    bool igd_found;       /* control and service in igd.round are known */
    bool igd_absent;      /* it was looked for, and there is none */
    bool igd_holds;       /* the ports are mapped by UPnP */
    uint64_t igd_next;    /* when something is to be done about it */
    uint64_t igd_expires; /* when what it holds ends */
    bool stopping, stopped_told;
    void (*stopped)(void *owner);
    void *owner;
};

/* portmap.c: sends what is due, tells what has changed, sets the timer. */
void portmap_work(tern_portmap *m);
/* Whether PCP and NAT-PMP have to keep still. */
bool portmap_upnp_in_charge(const tern_portmap *m);

/* portmap_upnp.c: does what is due. */
void portmap_upnp_work(tern_portmap *m);
/* When that will be; TERN_NEVER. */
uint64_t portmap_upnp_deadline(const tern_portmap *m);
/* The gateway is another one: what is under way is dropped. */
void portmap_upnp_forget(tern_portmap *m);
/* Takes back what is mapped; false: there is nothing to wait for. Else portmap_stopped follows. */
bool portmap_upnp_stop(tern_portmap *m);
void portmap_stopped(tern_portmap *m);

/* portmap_tell.c: a port of ours is reached there; external NULL: nowhere any more. */
void portmap_tell(tern_portmap *m, tern_portmap_protocol protocol, uint32_t transport,
                  uint16_t port, const tern_endpoint *external, uint32_t lifetime);
/* It cannot be had. port 0: none of them. Said once, until something else is the case. */
void portmap_tell_why(tern_portmap *m, tern_portmap_protocol protocol, const tern_portmap_port *p);
/* All that was told is void. */
void portmap_tell_gone(tern_portmap *m);

#endif
