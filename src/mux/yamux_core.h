/* The yamux session without I/O (libp2p specs, yamux, /yamux/1.0.0): bytes and time in; events,
 * bytes and one deadline out. It owns the rules: ids, windows, limits, budgets, keep-alive.
 *
 *   0        1        2                4                                8                       12
 *   | ver 0  | type   | flags          | stream id (0 = session)        | length                 |
 * body
 *
 * length is the size of the body (Data), the credit given (WindowUpdate), an opaque value (Ping),
 * or an error code (GoAway, and any frame with RST). Only Data has a body. All numbers are
 * big-endian.
 *
 * The driver (yamux.c) owns the streams' memory and the lower stream. It feeds bytes to _receive
 * and acts on one event at a time; what the core wants sent is in core->out, in order; Data frames
 * are written by the driver with a header from _data after what is in out. Bodies are never copied
 * here. */
#ifndef TERN_MUX_YAMUX_CORE_H
#define TERN_MUX_YAMUX_CORE_H

#include "base/buf.h"
#include "base/list.h"
#include "core/net.h"

#define TERN_YAMUX_HEADER   12
#define TERN_YAMUX_WINDOW   UINT32_C(262144) /* of each direction of a new stream, spec */
#define TERN_YAMUX_BODY_MAX 65507 /* of a frame we send: with its header, one Noise message */

/* Streams both ways beyond which we open none (rust ends the session at 512), and opens without an
 * answer (go and rust stall at 256). */
#define TERN_YAMUX_ALIVE_MAX   400
#define TERN_YAMUX_UNACKED_MAX 255
/* Answers to pings that wait (more pings are dropped), and bytes of all control frames that wait.
 */
#define TERN_YAMUX_PONGS_MAX 32
#define TERN_YAMUX_OUT_MAX   (64 << 10)
/* What frames that do nothing may cost a second; prices are in yamux_core_recv.c. */
#define TERN_YAMUX_COSTS 10000
/* So long without a byte: a ping; as long again: the end. */
#define TERN_YAMUX_SILENCE (30 * TERN_SEC)

/* Frame types and flags. */
enum {
    TERN_YAMUX_DATA = 0,
    TERN_YAMUX_UPDATE = 1,
    TERN_YAMUX_PING = 2,
    TERN_YAMUX_GOAWAY = 3,

    TERN_YAMUX_SYN = 1,
    TERN_YAMUX_ACK = 2,
    TERN_YAMUX_FIN = 4,
    TERN_YAMUX_RST = 8
};

/* Codes of GoAway (spec) and the one of RST that we send for our limits (libp2p error codes). */
enum {
    TERN_YAMUX_NORMAL = 0,
    TERN_YAMUX_PROTOCOL_ERROR = 1,
    TERN_YAMUX_INTERNAL_ERROR = 2,
    TERN_YAMUX_RESOURCE_LIMIT = 0x1001,
    TERN_YAMUX_CODE_OUT_OF_RANGE = 0x1008
};

/* What the core knows of a stream; embedded in the driver's. Sizes in bytes. */
typedef struct tern_yamux_stream {
    tern_list unsent; /* in core->unsent while its SYN waits for company */
    uint64_t updated; /* when its window was last given back */
    uint32_t id;
    uint32_t send_window; /* we may still send */
    uint32_t recv_window; /* the peer may still send */
    uint32_t recv_max;    /* what recv_window + unread is raised to */
    uint32_t unread;      /* arrived, not consumed */
    unsigned ours : 1;
    unsigned syn_sent : 1;
    unsigned acked : 1;
    unsigned fin_sent : 1;
    unsigned fin_received : 1;
    unsigned live : 1;    /* in the table: frames of it mean something */
    unsigned counted : 1; /* opened or accepted, not forgotten */
} tern_yamux_stream;

/* Streams by id. Ids grow, so a new one nearly always goes to the end and the table stays sorted: a
 * lookup is a binary search that no choice of ids can slow down. */
typedef struct tern_yamux_table {
    tern_yamux_stream **v;
    uint32_t n, cap;
} tern_yamux_table;

typedef enum tern_yamux_kind {
    TERN_YAMUX_NOTHING,  /* all bytes are used */
    TERN_YAMUX_OPENED,   /* the peer opens `id`: _accept or _refuse before the next call */
    TERN_YAMUX_BYTES,    /* `data`, `len` for `stream`, in the caller's buffer */
    TERN_YAMUX_ENDED,    /* the peer's half of `stream` is over */
    TERN_YAMUX_RESET,    /* the peer reset `stream` with `code` */
    TERN_YAMUX_OVERFULL, /* we reset `stream`: the session has too much unread */
    TERN_YAMUX_CREDIT,   /* `stream` may send again */
    TERN_YAMUX_LEAVING,  /* the peer's GoAway with `code`; once */
    TERN_YAMUX_FAILED    /* the session is over for `why`; GoAway is in out already */
} tern_yamux_kind;

typedef struct tern_yamux_event {
    tern_yamux_kind kind;
    tern_yamux_stream *stream;
    uint32_t id;
    uint32_t code;
    uint8_t *data;
    size_t len;
    tern_error why;
} tern_yamux_event;

typedef struct tern_yamux_core {
    const tern_limits *limits;
    tern_counters *counters;
    tern_buf out;               /* control frames to send, in order */
    tern_list unsent;           /* our streams whose SYN was not sent, in order of id */
    tern_yamux_table in, ours;  /* live streams: the peer's, ours */
    tern_yamux_stream *current; /* whose body is arriving; NULL = skipped */
    uint64_t used_mask;         /* bit k: peer's id (last_in - 2k) was opened */
    uint64_t unread;            /* of all streams */
    uint64_t windows;           /* sum of recv_max of all streams */
    uint64_t heard;             /* when the last byte came */
    uint64_t ping_sent;
    uint64_t rtt;          /* smoothed, nanoseconds; 0 = not measured */
    uint64_t costs_at;     /* up to when the budget was filled */
    uint32_t costs;        /* what the peer may still cost us */
    uint32_t updates_owed; /* frames of ours that a window update may answer */
    uint32_t received;     /* body bytes so far, up to when a first ping is worth it */
    uint32_t next_id, last_sent, last_in; /* ids: our next, our last with SYN, the peer's last */
    uint32_t in_count, ours_count;        /* streams not forgotten */
    uint32_t unacked;
    uint32_t last_opened; /* the id of the last TERN_YAMUX_OPENED */
    uint32_t syn_credit;  /* ... and the credit that came with it */
    uint32_t body;        /* bytes of the current body still to come */
    uint32_t ping_value;
    int broken;     /* not 0: out could not take a frame (TERN_E_NOMEM, TERN_E_LIMIT) */
    uint16_t flags; /* of the frame whose body is arriving */
    uint8_t have;   /* bytes of `header` */
    uint8_t stage;
    uint8_t pongs; /* answers to pings in out */
    unsigned client : 1;
    unsigned goaway_in : 1, goaway_out : 1;
    unsigned ping_out : 1; /* a ping of ours waits for its answer */
    unsigned quiet : 1;    /* no byte came since ping_sent */
    uint8_t header[TERN_YAMUX_HEADER];
} tern_yamux_core;

/* `limits` and `counters` must outlive the core. `now` is the loop's clock. */
void tern_yamux_core_init(tern_yamux_core *core, bool client, const tern_limits *limits,
                          tern_counters *counters, uint64_t now);
void tern_yamux_core_free(tern_yamux_core *core);

/* Writes a header. */
void tern_yamux_header(uint8_t out[TERN_YAMUX_HEADER], unsigned type, unsigned flags, uint32_t id,
                       uint32_t length);

/* --- streams --- */

/* Opens a stream of ours; nothing is sent yet. TERN_E_LIMIT (alive or unanswered streams, or the
 * peer does not read), TERN_E_CONN_CLOSED (a GoAway passed, ids are used up), TERN_E_NOMEM. */
int tern_yamux_core_open(tern_yamux_core *core, tern_yamux_stream *s, uint64_t now);
/* Puts the SYNs of streams that sent nothing yet into out: of those older than `before`, or of all
 * with NULL. */
void tern_yamux_core_announce(tern_yamux_core *core, const tern_yamux_stream *before);
/* How many SYNs that would be. */
size_t tern_yamux_core_unsent_before(const tern_yamux_core *core, const tern_yamux_stream *before);
/* The answers to TERN_YAMUX_OPENED: with an ACK, or with RST. TERN_E_NOMEM: not accepted, refuse
 * it. */
int tern_yamux_core_accept(tern_yamux_core *core, tern_yamux_stream *s, uint64_t now);
void tern_yamux_core_refuse(tern_yamux_core *core, uint32_t code);
/* The header of a Data frame with n bytes (1 <= n <= send_window, <= TERN_YAMUX_BODY_MAX), charged
 * to the window. Before the first one of a stream, announce the older streams: ids must grow on the
 * wire. */
void tern_yamux_core_data(tern_yamux_core *core, tern_yamux_stream *s, uint32_t n,
                          uint8_t ret_header[TERN_YAMUX_HEADER]);
/* FIN. The stream leaves the table when both halves are over. */
void tern_yamux_core_end(tern_yamux_core *core, tern_yamux_stream *s);
/* RST; what still arrives for it is skipped. Codes above 32 bits become CODE_OUT_OF_RANGE. */
void tern_yamux_core_reset(tern_yamux_core *core, tern_yamux_stream *s, uint64_t code);
/* The owner took n bytes: gives the window back when half of it is due, larger when that is often.
 */
void tern_yamux_core_consumed(tern_yamux_core *core, tern_yamux_stream *s, size_t n, uint64_t now);
/* The stream's memory goes away, or is no stream of the session any more. */
void tern_yamux_core_forget(tern_yamux_core *core, tern_yamux_stream *s);
/* Any live stream, NULL if there is none. */
tern_yamux_stream *tern_yamux_core_any(const tern_yamux_core *core);

/* --- the session --- */

/* Uses bytes of `data` and reports at most one event in *ret; returns how many were used. Call
 * again with the rest until TERN_YAMUX_NOTHING. Not after TERN_YAMUX_FAILED. */
size_t tern_yamux_core_receive(tern_yamux_core *core, uint64_t now, uint8_t *data, size_t n,
                               tern_yamux_event *ret);
/* Whether the bytes so far end inside a frame. */
bool tern_yamux_core_inside_frame(const tern_yamux_core *core);
/* n bytes of out were sent. */
void tern_yamux_core_sent(tern_yamux_core *core, size_t n);
/* GoAway; only the first is sent. */
void tern_yamux_core_goaway(tern_yamux_core *core, uint32_t code);
/* When to call tick next. */
uint64_t tern_yamux_core_deadline(const tern_yamux_core *core);
/* Time passed: pings a silent peer. TERN_E_TIMEOUT when that brought no answer. */
int tern_yamux_core_tick(tern_yamux_core *core, uint64_t now);

/* --- between the files of the core --- */

void tern_yamux_emit(tern_yamux_core *core, unsigned type, unsigned flags, uint32_t id,
                     uint32_t length);
tern_yamux_stream *tern_yamux_find(const tern_yamux_core *core, uint32_t id);
/* Takes the stream out of the table. */
void tern_yamux_retire(tern_yamux_core *core, tern_yamux_stream *s);
/* The peer answered an open of ours. */
void tern_yamux_acknowledged(tern_yamux_core *core, tern_yamux_stream *s);
void tern_yamux_measure(tern_yamux_core *core, uint64_t now);

#endif
