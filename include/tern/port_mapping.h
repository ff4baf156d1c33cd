/* What came of asking the gateway (a home's router) to let others in. */
#ifndef TERN_PORT_MAPPING_H
#define TERN_PORT_MAPPING_H

#include <stdint.h>

#include <tern/multiaddr.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Valid during the event. */
typedef struct tern_port_mapping {
    const char *protocol; /* "pcp", "nat-pmp", "upnp"; NULL: the gateway answers none of them */
    const char *gateway;  /* its IP */
    const tern_multiaddr *addr;     /* IP, transport and port of ours; NULL: all of them */
    const tern_multiaddr *external; /* where others find it; NULL: nowhere (any more) */
    uint32_t lifetime;              /* seconds, of the mapping; it is renewed before */
} tern_port_mapping;

#ifdef __cplusplus
}
#endif
#endif
