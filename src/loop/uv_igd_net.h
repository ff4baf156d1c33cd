/* UPnP's network, on the thread of a job: blocking, with an end to every wait and every answer,
 * which miniupnpc has not. It speaks to the gateway alone. */
#ifndef TERN_LOOP_UV_IGD_NET_H
#define TERN_LOOP_UV_IGD_NET_H

#include <sys/types.h>

#include "base/endpoint.h"

enum { TERN_IGD_ANSWER = 64 * 1024 }; /* an answer with its head; a description has some KB */

/* Searches for a device of that kind (SSDP; UPnP Device Architecture 1.1, section 1.3) from our
 * address, for a second: its description's URL, which is at the gateway. False: none answers. */
bool tern_igd_search(const tern_endpoint *own, const tern_endpoint *gateway, const char *kind,
                     char *ret_url, size_t cap);
/* One exchange over HTTP, in five seconds: a POST with that SOAP action and body, or without a body
 * a GET. The answer's body is in out (TERN_IGD_ANSWER bytes), with a zero behind; its length.
 * TERN_E_INVALID (the URL is not at the gateway), TERN_E_TOO_LARGE, TERN_E_TIMEOUT,
 * TERN_E_MALFORMED, and what sockets fail with. */
ssize_t tern_igd_exchange(const tern_endpoint *gateway, const char *url, const char *action,
                          const char *body, char *out, unsigned *ret_status);

/* The parts of these that read what came, a zero behind it. Where a search's answer says that the
 * description is; false if it does not. */
bool tern_igd_location(const char *answer, char *out, size_t cap);
/* Whether an answer over HTTP is there as a whole, as far as its head says. */
bool tern_igd_whole(const char *answer, size_t n);
/* Its body to the front of it, without what cuts it in chunks; the length, or TERN_E_MALFORMED. */
ssize_t tern_igd_body(char *answer, size_t n, unsigned *ret_status);
/* What is between <NAME> and the next tag, whatever namespace is before the name; false without. */
bool tern_igd_value(const char *xml, const char *name, char *out, size_t cap);

#endif
