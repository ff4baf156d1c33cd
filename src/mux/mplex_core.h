/* The mplex session without I/O (libp2p specs, mplex, /mplex/6.7.0): bytes and time in; events and
 * bytes out. It owns the rules: numbers, limits, budgets.
 *
 *   | uvarint: number << 3 | flag | uvarint: length | body |
 *
 * Who opened a stream sends the even flags on it, the other side the odd ones, so both may use the
 * same number. A new stream's body is a name, which means nothing; a message's are bytes of the
 * stream; others should have none. There is no window, no code of a reset, no word for the session.
 *
 * The driver (mplex.c) owns the streams' memory and the lower stream. It feeds bytes to _receive
 * and acts on one event at a time; what the core wants sent is in core->out, in order; messages are
 * written by the driver with a header from _message after what is in out. Bodies are never copied
 * here. */
#ifndef TERN_MUX_MPLEX_CORE_H
#define TERN_MUX_MPLEX_CORE_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "codec/varint.h"
#include "core/net.h"

#define TERN_MPLEX_NUMBER_MAX ((UINT64_C(1) << 60) - 1)
#define TERN_MPLEX_LENGTH_MAX (1u << 20) /* of a frame's body, spec */
#define TERN_MPLEX_HEADER_MAX 12         /* of a message that we send */
#define TERN_MPLEX_BODY_MAX   65507      /* likewise: with its header, one Noise message */

/* Bytes of one stream that its owner left; with more the stream is reset. The session's sum is
 * limits.conn_window_max. */
#define TERN_MPLEX_UNREAD_MAX (1u << 20)
/* Streams both ways beyond which we open none. */
#define TERN_MPLEX_ALIVE_MAX 400
/* Bytes of all control frames that wait. */
#define TERN_MPLEX_OUT_MAX (64 << 10)
/* What frames that do nothing may cost a second; prices are in mplex_core.c. */
#define TERN_MPLEX_COSTS 10000

/* Flags; message, close and reset are the receiver's, plus one the initiator's. */
enum {
    TERN_MPLEX_NEW = 0,
    TERN_MPLEX_MESSAGE = 1,
    TERN_MPLEX_CLOSE = 3,
    TERN_MPLEX_RESET = 5,
    TERN_MPLEX_INITIATOR = 1
};

/* What the core knows of a stream; embedded in the driver's. */
typedef struct tern_mplex_stream {
    tern_list unsent; /* in core->unsent while the peer was not told of it */
    uint64_t number;
    uint32_t unread; /* bytes arrived, not consumed */
    unsigned ours : 1;
    unsigned told : 1; /* the peer knows it, or will before anything else of it */
    unsigned close_sent : 1;
    unsigned close_received : 1;
    unsigned live : 1;    /* in the table: frames of it mean something */
    unsigned counted : 1; /* opened or accepted, not forgotten */
} tern_mplex_stream;

typedef enum tern_mplex_kind {
    TERN_MPLEX_NOTHING,  /* all bytes are used */
    TERN_MPLEX_OPENED,   /* the peer opens a stream: _accept or _refuse before the next call */
    TERN_MPLEX_BYTES,    /* `data`, `len` for `stream`, in the caller's buffer */
    TERN_MPLEX_ENDED,    /* the peer's half of `stream` is over */
    TERN_MPLEX_STOPPED,  /* the peer reset `stream` */
    TERN_MPLEX_OVERFULL, /* we reset `stream`: it, or the session, has too much unread */
    TERN_MPLEX_FAILED    /* the session is over for `why` */
} tern_mplex_kind;

typedef struct tern_mplex_event {
    tern_mplex_kind kind;
    tern_mplex_stream *stream;
    uint8_t *data;
    size_t len;
    tern_error why;
} tern_mplex_event;

typedef struct tern_mplex_core {
    const tern_limits *limits;
    tern_counters *counters;
    tern_buf out;                  /* control frames to send, in order */
    tern_list unsent;              /* streams of ours that the peer was not told of */
    tern_map streams;              /* (number << 1 | ours) -> live stream */
    tern_mplex_stream *current;    /* whose body is arriving; NULL = skipped */
    uint64_t unread;               /* of all streams */
    uint64_t costs_at;             /* up to when the budget was filled */
    uint64_t next;                 /* our next number */
    uint64_t opened;               /* the number of the last TERN_MPLEX_OPENED */
    uint64_t header;               /* of the frame that is arriving: number << 3 | flag */
    uint32_t costs;                /* what the peer may still cost us */
    uint32_t body;                 /* bytes of the current body still to come */
    uint32_t in_count, ours_count; /* streams not forgotten */
    int broken; /* not 0: out could not take a frame (TERN_E_NOMEM, TERN_E_LIMIT) */
    uint8_t stage;
    uint8_t have; /* bytes of `varint` */
    uint8_t varint[TERN_VARINT_MAX];
} tern_mplex_core;

/* `limits` and `counters` must outlive the core. `now` is the loop's clock. */
void tern_mplex_core_init(tern_mplex_core *core, const tern_limits *limits, tern_counters *counters,
                          uint64_t now);
void tern_mplex_core_free(tern_mplex_core *core);

/* --- streams --- */

/* Opens a stream of ours; nothing is sent yet. TERN_E_LIMIT (alive streams, or the peer does not
 * read), TERN_E_CONN_CLOSED (numbers are used up), TERN_E_NOMEM. */
int tern_mplex_core_open(tern_mplex_core *core, tern_mplex_stream *s);
/* Tells the peer of s / of all streams it was not told of. */
void tern_mplex_core_announce(tern_mplex_core *core, tern_mplex_stream *s);
void tern_mplex_core_announce_all(tern_mplex_core *core);
/* How many bytes announcing s would take; 0 when it was. */
size_t tern_mplex_core_announcement(const tern_mplex_stream *s);
/* The answers to TERN_MPLEX_OPENED: nothing, or a reset. TERN_E_NOMEM: not accepted, refuse it. */
int tern_mplex_core_accept(tern_mplex_core *core, tern_mplex_stream *s);
void tern_mplex_core_refuse(tern_mplex_core *core);
/* The header of a message of n bytes (1 <= n <= TERN_MPLEX_BODY_MAX) of an announced stream;
 * returns its length, which depends on s and n alone. */
size_t tern_mplex_core_message(const tern_mplex_stream *s, size_t n,
                               uint8_t ret_header[TERN_MPLEX_HEADER_MAX]);
/* Ends our half. The stream leaves the table when both halves are over. */
void tern_mplex_core_end(tern_mplex_core *core, tern_mplex_stream *s);
/* Resets; what still arrives for it is skipped. */
void tern_mplex_core_reset(tern_mplex_core *core, tern_mplex_stream *s);
/* The owner took n bytes. */
void tern_mplex_core_consumed(tern_mplex_core *core, tern_mplex_stream *s, size_t n);
/* Without a word: takes the stream out of the table. */
void tern_mplex_core_retire(tern_mplex_core *core, tern_mplex_stream *s);
/* The stream's memory goes away, or is no stream of the session any more. */
void tern_mplex_core_forget(tern_mplex_core *core, tern_mplex_stream *s);

/* --- the session --- */

/* Uses bytes of `data` and reports at most one event in *ret; returns how many were used. Call
 * again with the rest until TERN_MPLEX_NOTHING. Not after TERN_MPLEX_FAILED. */
size_t tern_mplex_core_receive(tern_mplex_core *core, uint64_t now, uint8_t *data, size_t n,
                               tern_mplex_event *ret);
/* Whether the bytes so far end inside a frame. */
bool tern_mplex_core_inside_frame(const tern_mplex_core *core);
/* A live stream, NULL if there is none. */
tern_mplex_stream *tern_mplex_core_find(const tern_mplex_core *core, uint64_t number, bool ours);

#endif
