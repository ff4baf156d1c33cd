/* The owner of a handshake that is fuzzed: says little, writes down what it hears, and aborts where
 * the core breaks its word. */
#ifndef TERN_TESTS_FUZZ_TLS_OWNER_H
#define TERN_TESTS_FUZZ_TLS_OWNER_H

#include "base/buf.h"
#include "tls/handshake.h"

enum { TLS_OWNER_LEVELS = TERN_LEVEL_TRAFFIC + 1, TLS_OWNER_PARAMS = 57 };

typedef struct tls_owner {
    tern_handshake *h;
    bool server, done;
    int error;          /* of start or feed */
    tern_answer answer; /* server: but for the protocol, which is libp2p */
    /* client: it offers this suite alone, and this group instead of X25519; 0: as it comes */
    uint16_t suite, share, group;
    tern_buf sent[TLS_OWNER_LEVELS]; /* all bytes so far */
    size_t taken[TLS_OWNER_LEVELS];  /* of these, by the test */
    struct {
        uint8_t *bytes;
        size_t n;
    } fed[TLS_OWNER_LEVELS]; /* all that it took without an error */
    struct {
        bool known;
        size_t n;
        uint8_t bytes[TERN_HASH_MAX];
    } secrets[TLS_OWNER_LEVELS][2];
    unsigned tickets;
} tls_owner;

/* The same randomness for each input, and what all inputs share; before anything else. */
void tls_owner_fix(void);
const tern_cert *tls_owner_cert(void);
/* Starts it; its `error` says how that went. `h` NULL: there was no memory. */
void tls_owner_begin(tls_owner *o, const tern_handshake_config *config);
/* Feeds bytes that are as long as their memory, unless it has failed. */
void tls_owner_feed(tls_owner *o, tern_level level, const uint8_t *p, size_t n);
void tls_owner_end(tls_owner *o);
/* Since `tls_owner_fix` nothing was left behind. */
void tls_owner_check_memory(void);

#endif
