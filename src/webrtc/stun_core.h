/* STUN messages (RFC 8489) as ICE uses them (RFC 8445, 7), without I/O: binding requests and their
 * answers, read and written.
 *
 *     | type, 2 | length, 2 | 2112a442 | transaction, 12 | attributes: | type | length | value, pad
 * |
 *
 * Reading checks the form and the FINGERPRINT; MESSAGE-INTEGRITY is verified with the key that the
 * caller finds by the USERNAME. */
#ifndef TERN_WEBRTC_STUN_CORE_H
#define TERN_WEBRTC_STUN_CORE_H

#include "base/bytes.h"
#include "base/endpoint.h"

enum {
    TERN_STUN_HEADER = 20,
    TERN_STUN_ID = 12,
    TERN_STUN_MAX = 1280, /* of a message: ICE's fit into a packet */
    TERN_STUN_REQUEST = 0x0001,
    TERN_STUN_INDICATION = 0x0011,
    TERN_STUN_SUCCESS = 0x0101,
    TERN_STUN_ERROR = 0x0111,
};

typedef struct tern_stun {
    uint16_t type;
    uint8_t id[TERN_STUN_ID];
    tern_span username;   /* in place; empty if absent */
    tern_endpoint mapped; /* XOR-MAPPED-ADDRESS; family 0 if absent */
    uint32_t priority;
    uint16_t error; /* ERROR-CODE; 0 if absent */
    bool use_candidate, controlling, controlled;
    bool unknown;          /* an attribute that must be understood is not */
    uint16_t integrity_at; /* offset of MESSAGE-INTEGRITY; 0 = absent */
    bool fingerprint;
} tern_stun;

/* 0; TERN_E_MALFORMED (no STUN, wrong lengths, a repeated or misplaced attribute),
 * TERN_E_TOO_LARGE, TERN_E_CRYPTO (the FINGERPRINT is wrong). */
int tern_stun_read(const uint8_t *p, size_t n, tern_stun *ret);
/* Whether MESSAGE-INTEGRITY is there and right under the short-term password. */
bool tern_stun_verify(const uint8_t *p, const tern_stun *message, tern_span password);

typedef struct tern_stun_request {
    uint8_t id[TERN_STUN_ID];
    tern_span username, password;
    uint32_t priority;
    uint64_t tie_breaker; /* ICE-CONTROLLING */
    bool use_candidate;
} tern_stun_request;

/* A binding request, a success answer with the address that was seen, an error answer. `out` has
 * room for TERN_STUN_MAX. The length, or TERN_E_TOO_LARGE, TERN_E_CRYPTO. */
ssize_t tern_stun_put_request(uint8_t *out, const tern_stun_request *request);
ssize_t tern_stun_put_success(uint8_t *out, const uint8_t id[TERN_STUN_ID],
                              const tern_endpoint *seen, tern_span password);
ssize_t tern_stun_put_error(uint8_t *out, const uint8_t id[TERN_STUN_ID], uint16_t code,
                            tern_span password);

#endif
