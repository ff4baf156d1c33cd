/* An IP address with a port: what sockets connect. Text form "192.0.2.1:4001",
 * "[2001:db8::1]:4001". */
#ifndef TERN_BASE_ENDPOINT_H
#define TERN_BASE_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tern_endpoint {
    uint8_t family; /* 4 or 6; 0 = none */
    uint16_t port;
    uint32_t scope; /* IPv6 zone as an interface index, 0 = none */
    uint8_t ip[16]; /* network order; the first 4 for IPv4, the rest 0 */
} tern_endpoint;

enum { TERN_ENDPOINT_TEXT = 80 }; /* room for any text form with its end */

bool tern_endpoint_eq(const tern_endpoint *a, const tern_endpoint *b);
/* Writes the text form into out[TERN_ENDPOINT_TEXT] and returns out. */
char *tern_endpoint_text(char *out, const tern_endpoint *e);
/* The same without port and brackets: RFC 5952, IPv4-mapped as "::ffff:192.0.2.1", no zone. */
char *tern_endpoint_ip_text(char *out, const tern_endpoint *e);
/* Parses an IP in text form (no port, no zone). 0 or TERN_E_MALFORMED; port and scope become 0. */
int tern_endpoint_parse_ip(tern_endpoint *ret, const char *text);
/* IPv4-mapped IPv6 addresses become IPv4 (what dual-stack sockets report). */
void tern_endpoint_unmap(tern_endpoint *e);

bool tern_endpoint_is_loopback(const tern_endpoint *e);
bool tern_endpoint_is_unspecified(const tern_endpoint *e);
bool tern_endpoint_is_link_local(const tern_endpoint *e);
/* Globally routable: not loopback, private, link-local, carrier NAT, documentation, multicast ...
 */
bool tern_endpoint_is_public(const tern_endpoint *e);
/* Whether a socket that is bound to `local` can dial `to`: the same family, loopback meets loopback
 * only, and it is not the socket itself. */
bool tern_endpoint_reaches(const tern_endpoint *local, const tern_endpoint *to);

/* What limits per address count: an IPv4 address, an IPv6 /56; port and scope 0, family as of e. */
tern_endpoint tern_endpoint_block(const tern_endpoint *e);
/* What belongs to one provider, roughly: an IPv4 /16, an IPv6 /32; else as above. */
tern_endpoint tern_endpoint_network(const tern_endpoint *e);

#endif
