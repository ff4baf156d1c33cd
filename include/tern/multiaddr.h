/* Multiaddrs: self-describing network addresses (multiformats "multiaddr" specification).
 *
 * A tern_multiaddr is immutable and counted by reference; a function that returns one gives the
 * caller a reference. References may be counted on one thread at a time only. */
#ifndef TERN_MULTIADDR_H
#define TERN_MULTIADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tern/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tern_multiaddr tern_multiaddr;

/* From text ("/ip4/192.0.2.1/tcp/4001/p2p/12D3..."). NULL on error; *reterr (may be NULL) says what
 * is wrong and at which character (from 1): TERN_E_MALFORMED, TERN_E_UNSUPPORTED (an unknown name),
 * TERN_E_TOO_LARGE (over 2 KiB), TERN_E_NOMEM. */
TERN_API tern_multiaddr *tern_multiaddr_parse(const char *text, tern_error *reterr);
/* From bytes, whole and valid; the error says at which byte offset. */
TERN_API tern_multiaddr *tern_multiaddr_from_bytes(const uint8_t *bytes, size_t n,
                                                   tern_error *reterr);

TERN_API tern_multiaddr *tern_multiaddr_ref(const tern_multiaddr *a); /* NULL gives NULL */
TERN_API void tern_multiaddr_unref(tern_multiaddr *a);                /* NULL is nothing */

/* The canonical text; valid as long as the address. Made at the first call; "" if there is no
 * memory for it then. */
TERN_API const char *tern_multiaddr_text(const tern_multiaddr *a);
TERN_API const uint8_t *tern_multiaddr_bytes(const tern_multiaddr *a, size_t *ret_n);
TERN_API bool tern_multiaddr_equal(const tern_multiaddr *a, const tern_multiaddr *b);

/* Walks the components as text: *at starts at 0; false at the end. `value` (capacity cap) gets the
 * value's text, "" for those without one. */
TERN_API bool tern_multiaddr_next(const tern_multiaddr *a, size_t *at, const char **ret_name,
                                  char *value, size_t cap);

#ifdef __cplusplus
}
#endif
#endif
