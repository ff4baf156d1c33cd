/* WebSocket without I/O (RFC 6455): frames in both directions, and the checks of both sides of the
 * handshake.
 *
 *     | FIN RSV opcode | MASK length 7 | length 16 or 64 | mask key 4 | payload ... |
 *
 * The reader collects only the header (at most 14 bytes) and the payload of control frames. The
 * payload of messages streams through: it is unmasked where it lies and given out in pieces, so a
 * frame may be longer than any buffer. Binary and text messages are both plain bytes, and where a
 * message ends means nothing.
 *
 * ws_stream.h puts a stream around it; ws.h dials and listens. */
#ifndef TERN_TRANSPORT_WS_CORE_H
#define TERN_TRANSPORT_WS_CORE_H

#include "base/bytes.h"
#include "codec/http1.h"

enum {
    TERN_WS_HEAD_MAX = 14,
    TERN_WS_KEY = 4,             /* bytes of a mask */
    TERN_WS_CONTROL_MAX = 125,   /* payload of a control frame, section 5.5 */
    TERN_WS_PAYLOAD_MAX = 65537, /* of a frame we write: a whole Noise message fits into one */
    TERN_WS_NONCE = 16,          /* bytes behind Sec-WebSocket-Key */
    TERN_WS_KEY_TEXT = 25,       /* its base64 with NUL */
    TERN_WS_ACCEPT_TEXT = 29,    /* Sec-WebSocket-Accept with NUL */
};

enum tern_ws_opcode {
    TERN_WS_CONTINUATION = 0,
    TERN_WS_TEXT = 1,
    TERN_WS_BINARY = 2,
    TERN_WS_CLOSE = 8,
    TERN_WS_PING = 9,
    TERN_WS_PONG = 10,
};

/* Status codes of a close frame, section 7.4.1. */
enum {
    TERN_WS_NORMAL = 1000,
    TERN_WS_GOING_AWAY = 1001,
    TERN_WS_PROTOCOL_ERROR = 1002,
    TERN_WS_NO_STATUS = 1005, /* never sent: stands for a close frame without a code */
    TERN_WS_TOO_BIG = 1009,
};

/* ---- reading ---- */

typedef struct tern_ws_reader {
    uint64_t left;                        /* payload of the current frame that has not come yet */
    uint8_t head[TERN_WS_HEAD_MAX];       /* of an unfinished header */
    uint8_t control[TERN_WS_CONTROL_MAX]; /* payload of an unfinished control frame */
    uint8_t head_len, control_len;
    uint8_t opcode;  /* of the current frame */
    uint8_t phase;   /* place in the mask of the next payload byte */
    bool client;     /* whose side this is */
    bool in_frame;   /* the header is complete */
    bool fin;        /* ... and said that the message ends here */
    bool in_message; /* a continuation must follow */
    bool closed;     /* a close frame came: what follows is dropped */
} tern_ws_reader;

/* What a piece of input turned out to be. */
typedef struct tern_ws_event {
    enum { TERN_WS_GOT_DATA, TERN_WS_GOT_PING, TERN_WS_GOT_PONG, TERN_WS_GOT_CLOSE } kind;
    uint8_t *data; /* DATA: unmasked, in the input, at least a byte; PING: the payload, valid until
                      the next call */
    size_t n;
    uint16_t code; /* CLOSE: TERN_WS_NO_STATUS when it has none */
} tern_ws_event;

/* client: we dialled, so frames must come unmasked; otherwise they must come masked. */
void tern_ws_reader_init(tern_ws_reader *r, bool client);

/* Reads on in the input, which is changed in place. *ret_used bytes were used; feed the rest again
 * after an event. Returns 1 with an event, 0 when all was used without one, or
 *   TERN_E_MALFORMED  reserved bits, unknown opcode, wrong masking, a length in more bytes than
 *                     needed, a fragmented control frame, a close frame with a bad code
 *   TERN_E_PROTOCOL   a continuation without a message, or a message inside a message
 *   TERN_E_TOO_LARGE  a control frame over 125 bytes, a length of 2^63 and more
 * after which the reader must not be used any more. */
int tern_ws_read(tern_ws_reader *r, uint8_t *data, size_t n, size_t *ret_used, tern_ws_event *ret);

/* Whether the input may end here: not inside a frame or a message. */
bool tern_ws_reader_at_border(const tern_ws_reader *r);

/* ---- writing ---- */

/* Bytes of the header in front of n bytes of payload. */
size_t tern_ws_head_len(size_t n, bool masked);
/* Writes the header of an unfragmented frame (key NULL: unmasked); returns its length. */
size_t tern_ws_write_head(uint8_t out[TERN_WS_HEAD_MAX], enum tern_ws_opcode opcode, size_t n,
                          const uint8_t *key);
/* A whole control frame (n <= TERN_WS_CONTROL_MAX); returns its length. */
enum { TERN_WS_CONTROL_FRAME_MAX = 6 + TERN_WS_CONTROL_MAX };
size_t tern_ws_write_control(uint8_t out[TERN_WS_CONTROL_FRAME_MAX], enum tern_ws_opcode opcode,
                             const void *payload, size_t n, const uint8_t *key);
/* to = from XOR the repeated key, starting in the key at `phase`; returns the phase of the next
 * byte. `to` may be `from`. */
unsigned tern_ws_mask(uint8_t *to, const uint8_t *from, size_t n, const uint8_t key[TERN_WS_KEY],
                      unsigned phase);

/* ---- the handshake, section 4 ---- */

/* The text of a Sec-WebSocket-Key, and the Sec-WebSocket-Accept that answers it. */
void tern_ws_key_text(const uint8_t nonce[TERN_WS_NONCE], char out[TERN_WS_KEY_TEXT]);
int tern_ws_accept_text(tern_span key, char out[TERN_WS_ACCEPT_TEXT]); /* 0, TERN_E_CRYPTO */

/* Server: 0 when the request is a proper upgrade, with the accept text; else the HTTP status to
 * refuse it with: 426 for another version, 400 for anything else. */
int tern_ws_check_request(const tern_http1_head *h, char ret_accept[TERN_WS_ACCEPT_TEXT]);
/* Client: NULL when the response accepts the upgrade asked for with `key`, else what is wrong with
 * it in a few words. */
const char *tern_ws_check_response(const tern_http1_head *h, const char *key);

#endif
