/* HTTP/3 as WebTransport uses it, without I/O (RFC 9114, RFC 9297; draft-ietf-webtrans-http3):
 * variable-length integers, what a stream begins with, frames and capsules, SETTINGS, error codes.
 *
 *     one-way stream   | type | session id, if it is a session's | ...
 *     two-way stream   | 0x41 | session id | the session's bytes ...
 *                      | type | length | value |   frames of a request
 *     DATA frames of the CONNECT request: | type | length | value |   capsules
 *
 * Fields are h3_fields.h's. */
#ifndef TERN_WEBTRANSPORT_H3_CORE_H
#define TERN_WEBTRANSPORT_H3_CORE_H

#include "base/buf.h"
#include "base/bytes.h"

enum {
    TERN_H3_INT_MAX = 8,
    TERN_H3_FIELDS_MAX = 16 << 10, /* bytes of a field section; announced */
    TERN_H3_CONTROL_MAX = 2048,    /* of a frame on the control stream that is read */
    TERN_H3_CLOSE_MAX = 1024 + 4,  /* of CLOSE_WEBTRANSPORT_SESSION */
};

/* Frames. */
enum {
    TERN_H3_DATA = 0x0,
    TERN_H3_HEADERS = 0x1,
    TERN_H3_CANCEL_PUSH = 0x3,
    TERN_H3_SETTINGS = 0x4,
    TERN_H3_PUSH_PROMISE = 0x5,
    TERN_H3_GOAWAY = 0x7,
    TERN_H3_MAX_PUSH_ID = 0xd,
};

/* Capsules. */
enum { TERN_WT_CLOSE = 0x2843, TERN_WT_DRAIN = 0x78ae };

/* Error codes on the wire. */
#define TERN_H3_NO_ERROR               UINT64_C(0x100)
#define TERN_H3_INTERNAL_ERROR         UINT64_C(0x102)
#define TERN_H3_STREAM_CREATION_ERROR  UINT64_C(0x103)
#define TERN_H3_CLOSED_CRITICAL_STREAM UINT64_C(0x104)
#define TERN_H3_FRAME_UNEXPECTED       UINT64_C(0x105)
#define TERN_H3_FRAME_ERROR            UINT64_C(0x106)
#define TERN_H3_EXCESSIVE_LOAD         UINT64_C(0x107)
#define TERN_H3_ID_ERROR               UINT64_C(0x108)
#define TERN_H3_SETTINGS_ERROR         UINT64_C(0x109)
#define TERN_H3_MISSING_SETTINGS       UINT64_C(0x10a)
#define TERN_H3_REQUEST_REJECTED       UINT64_C(0x10b)
#define TERN_H3_REQUEST_INCOMPLETE     UINT64_C(0x10d)
#define TERN_H3_MESSAGE_ERROR          UINT64_C(0x10e)
#define TERN_QPACK_FAILED              UINT64_C(0x200)
#define TERN_QPACK_ENCODER_ERROR       UINT64_C(0x201)
#define TERN_QPACK_DECODER_ERROR       UINT64_C(0x202)
#define TERN_WT_BUFFERED_REJECTED      UINT64_C(0x3994bd84)
#define TERN_WT_SESSION_GONE           UINT64_C(0x170d7b68)
#define TERN_WT_REQUIREMENTS           UINT64_C(0x212c0d48) /* ... are not met */

/* An application's error code of a stream (32 bits) as HTTP/3's, and back; a code that is no
 * application's becomes 0. */
uint64_t tern_wt_code_out(uint64_t code);
uint64_t tern_wt_code_in(uint64_t wire);

/* Reads an integer (RFC 9000, section 16): its length, 0 when bytes are missing. */
size_t tern_h3_int_get(const uint8_t *p, size_t n, uint64_t *ret);
/* Writes one below 2^62 to TERN_H3_INT_MAX bytes at most; its length. */
size_t tern_h3_int_put(uint8_t *p, uint64_t value);

/* ---- what a stream begins with ---- */

typedef enum tern_h3_kind {
    TERN_H3_UNDECIDED, /* more bytes are needed */
    TERN_H3_FRAMES,    /* two-way: a request; what was read is the beginning of its first frame */
    TERN_H3_SESSION,   /* a session's */
    TERN_H3_CONTROL,
    TERN_H3_PUSH,
    TERN_H3_ENCODER,
    TERN_H3_DECODER,
    TERN_H3_UNKNOWN,
} tern_h3_kind;

typedef struct tern_h3_prefix {
    uint8_t bytes[2 * TERN_H3_INT_MAX];
    uint8_t n;
    uint64_t session;
} tern_h3_prefix;

/* Takes bytes, *ret_used of them, until the kind is known. */
tern_h3_kind tern_h3_prefix_feed(tern_h3_prefix *p, bool both_ways, const uint8_t *data, size_t n,
                                 size_t *ret_used);
/* Writes the beginning of a session's stream; its length. */
size_t tern_h3_prefix_put(uint8_t out[2 * TERN_H3_INT_MAX], uint64_t session);

/* ---- frames and capsules ---- */

typedef struct tern_h3_item {
    uint64_t type;
    tern_span value; /* all of it where the type is collected, else the next bytes of it */
    bool begins;     /* its first bytes */
} tern_h3_item;

typedef struct tern_h3_reader {
    size_t (*most)(uint64_t type); /* bytes of a value that is collected; 0: it comes in pieces */
    uint64_t type, left;
    uint8_t head[2 * TERN_H3_INT_MAX];
    uint8_t head_n;
    bool inside;   /* the head is read */
    bool begun;    /* a piece of it was told */
    tern_buf part; /* of a value that is collected */
} tern_h3_reader;

void tern_h3_reader_init(tern_h3_reader *r, size_t (*most)(uint64_t type));
void tern_h3_reader_clear(tern_h3_reader *r);
/* The next item in *data, which advances: 1; 0 when there is none any more; TERN_E_TOO_LARGE (a
 * collected value) or TERN_E_NOMEM, then the reader is of no use. The item's value is valid until
 * the next call. */
int tern_h3_next(tern_h3_reader *r, tern_span *data, tern_h3_item *ret);
/* Whether the stream may end here: between two items. */
bool tern_h3_reader_between(const tern_h3_reader *r);
/* Writes the head of a frame or capsule; its length. */
size_t tern_h3_head_put(uint8_t out[2 * TERN_H3_INT_MAX], uint64_t type, uint64_t length);

/* Collect what control streams, request streams and capsules need whole. */
size_t tern_h3_most_of_control(uint64_t type);
size_t tern_h3_most_of_request(uint64_t type);
size_t tern_h3_most_of_capsule(uint64_t type);
/* Whether HTTP/2 has a frame of this type and HTTP/3 has not (RFC 9114, section 7.2.8). */
bool tern_h3_reserved(uint64_t type);

/* ---- SETTINGS ---- */

typedef struct tern_h3_settings {
    bool connect; /* extended CONNECT */
    bool datagram;
    bool sessions; /* WebTransport, of any draft */
} tern_h3_settings;

/* Reads a SETTINGS value: 0, TERN_H3_FRAME_ERROR or TERN_H3_SETTINGS_ERROR. */
uint64_t tern_h3_settings_read(tern_span value, tern_h3_settings *ret);
/* Writes our control stream's beginning: its type and SETTINGS; the length. What all browsers and
 * go-libp2p look for in a server is in it. */
enum { TERN_H3_OPENING_MAX = 64 };
size_t tern_h3_opening(uint8_t out[TERN_H3_OPENING_MAX], bool server);

/* ---- QPACK's own streams ---- */

/* We allow no dynamic table and use none. So all that an encoder may say is that its table has no
 * bytes, and a decoder that it cancels streams (RFC 9204, sections 4.3 and 4.4). */
bool tern_qpack_encoder_says_nothing(tern_span bytes);
/* *state starts at 0. */
bool tern_qpack_decoder_cancels(uint8_t *state, tern_span bytes);

#endif
