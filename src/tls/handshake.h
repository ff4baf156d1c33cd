/* The handshake of TLS 1.3 (RFC 8446), client and server, as a core: messages come in; messages,
 * secrets and questions go out. No records, no socket, no clock: QUIC carries the messages in
 * CRYPTO frames and protects packets with the secrets (RFC 9001, section 4); over TCP mutual.h
 * carries them in records.
 *
 *     feed -> message -> hello, certificate, extension: the owner decides
 *                     -> send, secret:                  what goes out, what it is protected with
 *                     -> done;  after it: ticket, and on the server tern_handshake_give
 *
 * What peers of libp2p and browsers need, and no more: X25519 and P-256, AES-GCM and
 * ChaCha20-Poly1305, certificates of one P-256 key on our side, resumption by tickets with a fresh
 * key exchange, early data. No renegotiation, PSKs by hand, post-handshake authentication, cookies
 * or older versions. */
#ifndef TERN_TLS_HANDSHAKE_H
#define TERN_TLS_HANDSHAKE_H

#include "base/buf.h"
#include "crypto/cert.h"
#include "crypto/symmetric.h"
#include "tls/hello.h"

/* AlertDescription (RFC 8446, section 6) of what we send. */
typedef enum tern_alert {
    TERN_ALERT_UNEXPECTED_MESSAGE = 10,
    TERN_ALERT_HANDSHAKE_FAILURE = 40,
    TERN_ALERT_BAD_CERTIFICATE = 42,
    TERN_ALERT_ILLEGAL_PARAMETER = 47,
    TERN_ALERT_DECODE_ERROR = 50,
    TERN_ALERT_DECRYPT_ERROR = 51,
    TERN_ALERT_PROTOCOL_VERSION = 70,
    TERN_ALERT_INTERNAL_ERROR = 80,
    TERN_ALERT_MISSING_EXTENSION = 109,
    TERN_ALERT_UNSUPPORTED_EXTENSION = 110,
    TERN_ALERT_CERTIFICATE_REQUIRED = 116,
    TERN_ALERT_NO_APPLICATION_PROTOCOL = 120,
} tern_alert;

/* What protects a message, in the order in which they come. */
typedef enum tern_level {
    TERN_LEVEL_INITIAL,
    TERN_LEVEL_EARLY,
    TERN_LEVEL_HANDSHAKE,
    TERN_LEVEL_TRAFFIC,
} tern_level;

enum {
    TERN_TICKET_MAX = 4096, /* bytes of a ticket; longer ones are dropped */
    TERN_ALPN_MAX = 8,      /* protocols that a client offers */
};

/* What a connection leaves behind for the next: a key that both sides have. */
typedef struct tern_psk {
    tern_aead_kind cipher;
    uint8_t key[TERN_HASH_MAX]; /* as long as the cipher's hash */
} tern_psk;

/* A ticket that a server gave (section 4.6.1). */
typedef struct tern_ticket {
    tern_psk psk;
    uint32_t lifetime; /* seconds */
    uint32_t age_add;
    bool early; /* it takes 0-RTT data with it */
    tern_span bytes;
} tern_ticket;

/* What a server answers to a ClientHello. */
typedef struct tern_answer {
    tern_span alpn;        /* of those that are offered; none: no_application_protocol, unless
                              nothing is offered and config.no_alpn says that it may be so */
    const tern_cert *cert; /* that it shows */
    bool ask;              /* for the client's certificate */
    const tern_psk *psk;   /* of the first ticket that is offered, if it may be used; NULL */
    bool early;            /* 0-RTT data may come with it */
    int tickets;           /* expected_count (RFC 9149); -1: says nothing of it */
} tern_answer;

/* The owner, called from inside start, feed and give, where it may not free the handshake. Codes
 * other than 0 end the handshake; with alert internal_error, where none is named. */
typedef struct tern_handshake_ops {
    /* Handshake messages, one or several, whole. */
    int (*send)(void *owner, tern_level level, const uint8_t *p, size_t n);
    /* The secret of a direction; `n` bytes, gone afterwards. It comes before what it protects. */
    int (*secret)(void *owner, tern_level level, bool out, tern_aead_kind cipher,
                  const uint8_t *secret, size_t n);
    /* The peer's transport parameters. illegal_parameter. */
    int (*params_in)(void *owner, tern_span params);
    /* Ours; the length, or negative. */
    ssize_t (*params_out)(void *owner, uint8_t *out, size_t cap);
    /* A new key pair for the exchange; NULL: it is made when it is needed. */
    int (*pair)(void *owner, tern_x25519_pair *ret);
    /* Server: which protocol, certificate and ticket. Spans in *hello live until it returns. */
    int (*hello)(void *owner, const tern_hello *hello, tern_answer *answer);
    /* Server: it is resumed; the client has the PSK. */
    void (*resumed)(void *owner);
    /* The peer's certificate, `count` of them: the first. bad_certificate. Its signature of this
     * handshake is not verified yet; done does not come if that is wrong. */
    int (*certificate)(void *owner, tern_span der, unsigned count);
    /* The peer is proven, and all keys are known. */
    int (*done)(void *owner);
    /* Client: a ticket; its bytes and keys are gone afterwards. */
    void (*ticket)(void *owner, const tern_ticket *ticket);
} tern_handshake_ops;

typedef struct tern_handshake_config {
    bool server;
    uint16_t params; /* the extension with transport parameters, which both must send; 0: none */
    bool no_alpn;    /* the peer may do without ALPN: then no protocol is agreed on */
    /* Client: */
    const tern_cert *cert;         /* shown when it is asked for; NULL: none */
    tern_span alpn[TERN_ALPN_MAX]; /* the protocols that are offered, best first; what lies there
                                      lives as long as the handshake */
    const tern_ticket *ticket;     /* offered; NULL. Only read by new */
    uint32_t ticket_age;           /* milliseconds since it came */
    bool early;                    /* 0-RTT data will be sent with it */
    bool asks;                     /* ticket_request (RFC 9149): ... */
    uint8_t ask_fresh, ask_again;  /* ... so many after a full and after a resumed handshake */
} tern_handshake_config;

typedef struct tern_handshake tern_handshake;

/* NULL when memory is short. `ops` outlives it; the certificates, too. */
tern_handshake *tern_handshake_new(const tern_handshake_config *config,
                                   const tern_handshake_ops *ops, void *owner);
void tern_handshake_free(tern_handshake *h); /* wipes all keys; NULL is nothing */

/* Client: sends the ClientHello. 0, TERN_E_NOMEM, TERN_E_CRYPTO, or what an op said. */
int tern_handshake_start(tern_handshake *h);
/* Bytes of handshake messages that came at a level, cut in any way. 0, or an error after which
 * nothing may be called but the questions below and free:
 *   TERN_E_MALFORMED, TERN_E_TOO_LARGE, TERN_E_PROTOCOL, TERN_E_NEGOTIATION, TERN_E_SIGNATURE,
 *   TERN_E_NOMEM, TERN_E_CRYPTO, or what an op said. */
int tern_handshake_feed(tern_handshake *h, tern_level level, const uint8_t *p, size_t n);
/* Server, after done: gives a ticket, opaque to the client. *ret_psk is what its holder has. */
int tern_handshake_give(tern_handshake *h, tern_span ticket, uint32_t lifetime, uint32_t age_add,
                        bool early, tern_psk *ret_psk);

/* After an error: what to tell the peer, and a sentence about it (never NULL). */
tern_alert tern_handshake_alert(const tern_handshake *h);
const char *tern_handshake_why(const tern_handshake *h);
bool tern_handshake_done(const tern_handshake *h);
bool tern_handshake_resumed(const tern_handshake *h);
/* Early data were accepted; on the client known when done comes. */
bool tern_handshake_early(const tern_handshake *h);
/* Client: the protocol that the server chose, one of the config's; none: it chose none. */
tern_span tern_handshake_alpn(const tern_handshake *h);
/* Whether the messages so far came whole. */
bool tern_handshake_whole(const tern_handshake *h);
/* Client: how many tickets the server said it will send, -1: it said nothing. */
int tern_handshake_tickets(const tern_handshake *h);

/* Keys out of a secret: HKDF-Expand-Label (section 7.1) without a context. A label of at most 12
 * characters, n bytes of at most the cipher's hash. TERN_E_CRYPTO. */
int tern_tls_expand(tern_aead_kind cipher, const uint8_t *secret, const char *label, uint8_t *out,
                    size_t n);

#endif
