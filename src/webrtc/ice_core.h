/* The rules of WebRTC Direct's ICE (libp2p specs, webrtc-direct; RFC 8445), without I/O. The server
 * is ICE-lite and controlled: it learns all it needs from the USERNAME of the client's check.
 *
 *     scheme   USERNAME                                          key of the client's checks
 *     v1       U:U, U = libp2p+webrtc+v1/ and random             U
 *     v2       S:client_ufrag, S = libp2p+webrtc+v2/client_pwd   S
 *
 * A server that checks back, as go's does, has the halves the other way round, and the client's
 * password for a key: U, or client_pwd. An answer has the key of what it answers.
 *
 * Anybody can make a check that verifies, so it proves nothing about its sender: what it may cost
 * is bounded by the endpoint. */
#ifndef TERN_WEBRTC_ICE_CORE_H
#define TERN_WEBRTC_ICE_CORE_H

#include "webrtc/stun_core.h"

enum {
    TERN_ICE_UFRAG_MIN = 4,
    TERN_ICE_UFRAG_MAX = 256,
    TERN_ICE_PWD_MIN = 22,
    TERN_ICE_RANDOM = 32, /* characters behind the prefix in our own */
    TERN_ICE_PREFIX = 17, /* strlen("libp2p+webrtc+v1/") */
    TERN_ICE_NAME = TERN_ICE_PREFIX + TERN_ICE_RANDOM,
    TERN_ICE_UFRAG = 8, /* characters of our own ufrag in the second scheme */
    TERN_ICE_SEED = TERN_ICE_RANDOM + TERN_ICE_UFRAG + 8, /* random bytes for a client */
};

/* A USERNAME taken apart, in place. */
typedef struct tern_ice_user {
    unsigned version; /* 1 or 2 */
    tern_span server; /* the server's ufrag and password */
    tern_span client; /* the client's ufrag */
    tern_span key;    /* of the request and of its answer */
} tern_ice_user;

typedef struct tern_ice_client {
    unsigned version;           /* of the scheme */
    char name[TERN_ICE_NAME];   /* the server's ufrag and password; in the first scheme ours too */
    char ufrag[TERN_ICE_UFRAG]; /* ours in the second; our password is what name ends with */
    uint8_t id[TERN_STUN_ID];   /* of the last check */
    uint64_t tie_breaker;
} tern_ice_client;

/* 0, or TERN_E_PROTOCOL: neither scheme, a wrong length, or a character that is not ICE's. */
int tern_ice_read_user(tern_span username, tern_ice_user *ret);

/* What to do about a message. */
typedef enum tern_ice_verdict {
    TERN_ICE_MALFORMED, /* no STUN, or not what ICE sends */
    TERN_ICE_BAD_USER,  /* a user name of no scheme, or of another client */
    TERN_ICE_FORGED,    /* MESSAGE-INTEGRITY or FINGERPRINT is missing or wrong */
    TERN_ICE_CHECK,     /* a check that verifies */
    TERN_ICE_CONFLICT,  /* the same of a client that claims to be controlled: to a server alone */
    TERN_ICE_ANSWER,    /* an answer: a client's business */
    TERN_ICE_NOTHING,   /* an indication: nobody answers */
} tern_ice_verdict;

/* `client`: who dialled the address that it came from; NULL where we are the server. *ret_user is
 * set with CHECK and CONFLICT. */
tern_ice_verdict tern_ice_judge(const uint8_t *p, size_t n, const tern_ice_client *client,
                                tern_stun *ret_message, tern_ice_user *ret_user);

/* The answer to TERN_ICE_CHECK (success) or TERN_ICE_CONFLICT (487); never longer than the
 * request. The length, or an error when there is none to give. */
ssize_t tern_ice_answer(uint8_t out[TERN_STUN_MAX], tern_ice_verdict verdict,
                        const tern_stun *request, size_t request_n, const tern_ice_user *user,
                        const tern_endpoint *seen);

/* ---- the client ---- */

/* With credentials of scheme 1 or 2. */
void tern_ice_client_init(tern_ice_client *c, unsigned version,
                          const uint8_t random[TERN_ICE_SEED]);
/* A check that nominates at once, under a new transaction id. Its length or an error. */
ssize_t tern_ice_client_check(tern_ice_client *c, const uint8_t id[TERN_STUN_ID],
                              uint8_t out[TERN_STUN_MAX]);
/* Whether this is the server's good answer to the last check; *ret_seen: our address as it sees
 * it. */
bool tern_ice_client_confirmed(const tern_ice_client *c, const uint8_t *p, const tern_stun *message,
                               tern_endpoint *ret_seen);

#endif
