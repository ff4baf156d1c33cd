/* What travels on a data channel (libp2p specs, webrtc; RFC 8832), without I/O: frames that make a
 * byte stream with half closes out of messages, and the message that opens a channel.
 *
 *     frame:  | length, varint | protobuf { flag = 1, message = 2, errorCode = 3 } |
 *
 * A channel is read as a stream of bytes: js and go split a frame over messages. Bytes of a message
 * are given up as they come; a flag counts once its frame is complete. */
#ifndef TERN_WEBRTC_CHANNEL_CORE_H
#define TERN_WEBRTC_CHANNEL_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TERN_FRAME_READ_MAX = 257 * 1024, /* as go */
    TERN_FRAME_FLAG_ROOM = 16,
    TERN_FRAME_HEAD_ROOM = 8,
    /* Message bytes in a frame of ours: the frame fills 14 packets, below the 16 KiB that all take.
     */
    TERN_FRAME_MESSAGE = 14 * 1132 - 20 - 3,

    TERN_FLAG_FIN = 0,
    TERN_FLAG_STOP_SENDING = 1,
    TERN_FLAG_RESET = 2,
    TERN_FLAG_FIN_ACK = 3,
};

typedef struct tern_frame_reader {
    uint8_t state;
    uint8_t digits; /* of the varint so far */
    bool has_flag;
    uint32_t field;
    uint32_t left; /* bytes of the frame to come */
    uint32_t body; /* bytes of the current field to come */
    uint64_t number;
    uint32_t flag, code;
} tern_frame_reader;

typedef struct tern_frame_event {
    enum { TERN_FRAME_BYTES, TERN_FRAME_FLAG } kind;
    uint8_t *data; /* in place */
    size_t n;
    uint32_t flag, code; /* flags of other numbers are left out */
} tern_frame_event;

/* A zeroed reader is a fresh one. Steps *used over what it took: 1 = *event is set (call again,
 * also when no bytes are left), 0 = more bytes are needed (all were taken), TERN_E_MALFORMED,
 * TERN_E_TOO_LARGE. */
int tern_frame_read(tern_frame_reader *r, uint8_t *p, size_t n, size_t *used,
                    tern_frame_event *event);

/* What stands before n message bytes (1 .. TERN_FRAME_MESSAGE) / a frame with a flag alone. Their
 * lengths; *ret_prefix: of that the frame's length alone. */
size_t tern_frame_head(uint8_t out[TERN_FRAME_HEAD_ROOM], size_t n, size_t *ret_prefix);
size_t tern_frame_flag(uint8_t out[TERN_FRAME_FLAG_ROOM], uint32_t flag, uint32_t code);

/* ---- DCEP ---- */

enum {
    TERN_PPID_DCEP = 50,
    TERN_PPID_TEXT = 51,
    TERN_PPID_BINARY = 53,
    TERN_DCEP_OPEN_N = 12,
    TERN_DCEP_ACK_N = 1,
};
extern const uint8_t tern_dcep_open[TERN_DCEP_OPEN_N], tern_dcep_ack[TERN_DCEP_ACK_N];

/* 1 = opens a reliable, ordered channel; 0 = an acknowledgement; TERN_E_MALFORMED;
 * TERN_E_UNSUPPORTED: a channel that may lose or reorder. */
int tern_dcep_read(const uint8_t *p, size_t n);

#endif
