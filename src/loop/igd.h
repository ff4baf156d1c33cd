/* The router as UPnP knows it (an Internet Gateway Device, UPnP WANIPConnection:1), in either
 * backend: is there one, and what it leads to us. The real one blocks, on a thread of its own; the
 * loop never waits for it. */
#ifndef TERN_LOOP_IGD_H
#define TERN_LOOP_IGD_H

#include "loop/op.h"

enum { TERN_IGD_PORTS = 16, TERN_IGD_URL = 256, TERN_IGD_SERVICE = 96, TERN_IGD_OTHERS = 3 };

typedef enum tern_igd_act {
    TERN_IGD_FIND,  /* looks for the device at the gateway's address; fills control and service */
    TERN_IGD_MAP,   /* has the ports led to us, for that lifetime; fills outside and each port */
    TERN_IGD_UNMAP, /* takes away what is mapped of them */
} tern_igd_act;

typedef struct tern_igd_port {
    bool udp;
    uint16_t port;   /* ours */
    uint16_t wanted; /* outside */
    uint16_t mapped; /* outside, what it became; 0 = not mapped */
    int code;        /* why not: UPnP's, or negative */
} tern_igd_port;

/* What is asked and what is answered. */
typedef struct tern_igd_round {
    tern_igd_act act;
    tern_endpoint gateway, own; /* IPv4; only that gateway is believed */
    char control[TERN_IGD_URL], service[TERN_IGD_SERVICE];
    tern_endpoint outside; /* the gateway's own address outside, family 0 if it has none; when it is
                              not public nothing is mapped */
    tern_igd_port ports[TERN_IGD_PORTS];
    size_t count;
    uint32_t lifetime;                /* seconds */
    uint16_t others[TERN_IGD_OTHERS]; /* tried outside when the wanted port is somebody else's */
} tern_igd_round;

/* One act. A cancelled MAP takes away what it has mapped. */
typedef struct tern_igd {
    tern_op op; /* initialise with tern_op_init; NOT_FOUND (no such device), IO (it does not answer,
                   or not as it should) */
    tern_igd_round round; /* filled before; the answer is in it when done comes without error */
    tern_timer timer;     /* the simulation's */
} tern_igd;

/* The deadline is the op's. TERN_E_UNSUPPORTED: built without UPnP. TERN_E_LIMIT: too many
 * are stuck. TERN_E_NOMEM. */
int tern_igd_start(tern_igd *igd);

#endif
