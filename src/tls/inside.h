/* Inside tls/: a handshake. One file a verb:
 *
 *   handshake.c  messages, the end    client.c  client_hello.c  server.c  who says what when
 *   proof.c      certificates, Finished     schedule.c  keys     group.c  key exchange
 *   hello.c      a ClientHello, taken apart         wire.c       bytes
 *   mutual.c     records around all of it: libp2p's TLS over TCP */
#ifndef TERN_TLS_INSIDE_H
#define TERN_TLS_INSIDE_H

#include "crypto/p256.h"
#include "crypto/tls_record.h"
#include "tls/handshake.h"
#include "tls/wire.h"

enum { /* HandshakeType */
       TLS_CLIENT_HELLO = 1,
       TLS_SERVER_HELLO = 2,
       TLS_NEW_SESSION_TICKET = 4,
       TLS_ENCRYPTED_EXTENSIONS = 8,
       TLS_CERTIFICATE = 11,
       TLS_CERTIFICATE_REQUEST = 13,
       TLS_CERTIFICATE_VERIFY = 15,
       TLS_FINISHED = 20,
       TLS_MESSAGE_HASH = 254,
};

enum { TLS_HEAD = 4, TLS_LEGACY_VERSION = 0x0303, TLS_VERSION = 0x0304, TLS_RANDOM = 32 };

/* Which message is waited for. */
typedef enum tls_state {
    TLS_WAIT_CLIENT_HELLO,
    TLS_WAIT_SERVER_HELLO,
    TLS_WAIT_ENCRYPTED_EXTENSIONS,
    TLS_WAIT_CERTIFICATE_OR_REQUEST,
    TLS_WAIT_CERTIFICATE,
    TLS_WAIT_CERTIFICATE_VERIFY,
    TLS_WAIT_FINISHED,
    TLS_DONE,
    TLS_FAILED,
} tls_state;

/* NamedGroup, and a key pair of one. */
enum { TLS_X25519 = 29, TLS_P256 = 23, TLS_SHARE_MAX = TERN_P256_POINT };
typedef struct tls_share {
    uint16_t group; /* 0: none */
    uint8_t secret[TERN_X25519];
    tern_p256 *p256;
    uint8_t public[TLS_SHARE_MAX];
} tls_share;

struct tern_handshake {
    tern_handshake_config config;
    const tern_handshake_ops *ops;
    void *owner;
    tls_state state;
    tern_alert alert;
    const char *why;
    tern_buf in; /* a message that did not come whole */
    tls_out out; /* messages that go out together */
    tern_level out_level;

    tern_aead_kind cipher;
    tern_hash *transcript;         /* NULL until the hash is known */
    uint8_t secret[TERN_HASH_MAX]; /* the schedule's: early, handshake, master */
    uint8_t client[TERN_HASH_MAX], server[TERN_HASH_MAX];         /* handshake traffic secrets */
    uint8_t client_app[TERN_HASH_MAX], server_app[TERN_HASH_MAX]; /* application traffic secrets */
    uint8_t resumption[TERN_HASH_MAX];

    tls_share share;
    uint8_t random[TLS_RANDOM]; /* the client's; a second ClientHello has it, too */
    tern_buf hello;             /* the client's: its ClientHello, until the hash is known */
    tern_psk psk;               /* that is offered or taken */
    tern_buf ticket;            /* client: the ticket that is offered */
    tern_cert const *cert;      /* that we show; NULL: none */
    tern_span alpn;             /* client: that the server chose */
    tern_buf spki;              /* the peer's certificate's key, until it has signed */
    int tickets;
    uint8_t given;
    unsigned retried : 1; /* there was a HelloRetryRequest */
    unsigned offered : 1; /* client: a ticket */
    unsigned early_offered : 1;
    unsigned early : 1; /* ... and its early data are accepted */
    unsigned resumed : 1;
    unsigned ask : 1; /* the server asks for the client's certificate */
    unsigned params_came : 1;
};

static inline tern_hash_kind tls_hash(tern_aead_kind cipher)
{
    return cipher == TERN_AES_256_GCM ? TERN_HASH_SHA384 : TERN_HASH_SHA256;
}

/* ---- handshake.c ---- */
/* The handshake fails: `code`, what the peer is told, and a sentence. Returns code. */
int tls_fail(tern_handshake *h, int code, tern_alert alert, const char *why);
/* Of what an op or a primitive said. */
int tls_fail_inside(tern_handshake *h, int code);
static inline int tls_malformed(tern_handshake *h, const char *why)
{
    return tls_fail(h, TERN_E_MALFORMED, TERN_ALERT_DECODE_ERROR, why);
}
static inline int tls_illegal(tern_handshake *h, const char *why)
{
    return tls_fail(h, TERN_E_PROTOCOL, TERN_ALERT_ILLEGAL_PARAMETER, why);
}
/* Starts a message of `type` in h->out; ends it, so that the transcript has it. */
size_t tls_begin(tern_handshake *h, uint8_t type);
int tls_finish(tern_handshake *h, size_t at);
/* Sends what h->out has. */
int tls_flush(tern_handshake *h);
/* The peer's transport parameters; once. */
int tls_params_come(tern_handshake *h, tern_span params);
/* Ours, as an extension. */
int tls_put_params(tern_handshake *h);
/* The handshake is done: what only it needed is wiped. */
int tls_complete(tern_handshake *h);
/* The ciphers, the best first, and their suites; false for others. */
enum { TLS_CIPHERS = 3 };
extern const tern_aead_kind tls_ciphers[TLS_CIPHERS];
uint16_t tls_suite(tern_aead_kind cipher);
bool tls_cipher_of(uint16_t suite, tern_aead_kind *ret);
/* The random bytes that make a ServerHello a HelloRetryRequest. */
extern const uint8_t tls_retry_random[TLS_RANDOM];
/* The transcript begins anew with the first ClientHello's hash (section 4.4.1). */
size_t tls_put_message_hash(tern_hash_kind kind, tern_span hello, uint8_t *out);

/* ---- client_hello.c ---- */
/* A client's key share and its first ClientHello. */
int tls_client_start(tern_handshake *h);
/* A ClientHello, alone in h->out, goes out and into h->hello. */
int tls_send_hello(tern_handshake *h, tern_span cookie);

/* ---- client.c, server.c: a message that fits the state; `whole` has its header ---- */
int tls_client_message(tern_handshake *h, uint8_t type, tern_span body, tern_span whole);
int tls_server_message(tern_handshake *h, uint8_t type, tern_span body, tern_span whole);

/* ---- proof.c: 0, or the handshake has failed ---- */
/* Ours into h->out, certificate and signature. `cert` NULL: an empty one, unsigned. */
int tls_put_certificate(tern_handshake *h, const tern_cert *cert);
int tls_put_finished(tern_handshake *h);
/* The peer's. The transcript does not have it yet. */
int tls_read_certificate(tern_handshake *h, tern_span body);
int tls_read_verify(tern_handshake *h, tern_span body);
int tls_read_finished(tern_handshake *h, tern_span body);
/* The signature algorithms that we verify, as a list with its length. */
void tls_put_schemes(tls_out *out);

/* ---- schedule.c (section 7.1): 0, TERN_E_CRYPTO ---- */
/* h->secret becomes the early secret, of a PSK or none; `binder`: of a hash of what it binds. */
int tls_early_secret(tern_handshake *h, tern_aead_kind cipher, const uint8_t *psk);
int tls_binder(tern_handshake *h, tern_aead_kind cipher, const uint8_t *hash, uint8_t *ret);
/* The secret of 0-RTT data, of the ClientHello's hash, goes to the owner. */
int tls_early_traffic(tern_handshake *h, tern_aead_kind cipher, const uint8_t *hash);
/* The next secret, mixed with `input` (NULL: zeros). */
int tls_next_secret(tern_handshake *h, const uint8_t *input, size_t n);
/* The traffic secrets of the handshake, or of the application, of the transcript so far. */
int tls_handshake_secrets(tern_handshake *h);
int tls_app_secrets(tern_handshake *h);
int tls_resumption(tern_handshake *h);
int tls_ticket_psk(tern_handshake *h, tern_span nonce, tern_psk *ret);
/* The Finished message of one side, of the transcript so far. */
int tls_finished(tern_handshake *h, bool server, uint8_t *ret);
/* Tells the owner a direction's secret. */
int tls_tell(tern_handshake *h, tern_level level, bool out);

/* ---- group.c ---- */
/* A fresh pair into h->share. TERN_E_CRYPTO, TERN_E_NOMEM. */
int tls_share_make(tern_handshake *h, uint16_t group);
size_t tls_share_size(uint16_t group); /* 0: not one of ours */
void tls_share_clear(tls_share *s);
/* With the peer's; TERN_E_INVALID: that is none. */
int tls_share_shared(tls_share *s, tern_span peer, uint8_t ret[TERN_X25519]);

#endif
