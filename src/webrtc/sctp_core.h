/* SCTP as data channels need it (RFC 9260, 6525, 8261, 8831), without I/O: packets and time in,
 * packets, events and one deadline out. One association over one DTLS connection: one path, ports
 * 5000, reliable and ordered streams, no threads and no global state.
 *
 *     packet:  | ports 5000, 5000 | tag | CRC32C | chunk: type, flags, length, value | chunk ... |
 *
 *     sctp_core.c    the handshake, the walk over a packet, closing, timers
 *     sctp_recv.c    DATA in, SACK out
 *     sctp_send.c    DATA out, SACK in
 *     sctp_cc.c      congestion control
 *     sctp_reset.c   RE-CONFIG: streams that are over
 *
 * Data is given up in the order of its TSNs, so that what arrives in order is never copied; a loss
 * delays all streams by a round trip. Everything that a peer can make us keep is bounded: held
 * packets by the window and by their number, one request of each kind. */
#ifndef TERN_WEBRTC_SCTP_CORE_H
#define TERN_WEBRTC_SCTP_CORE_H

#include <tern/error.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/list.h"

enum {
    TERN_SCTP_PACKET = 1160,   /* of what we send; DTLS adds 37 and UDP 8 */
    TERN_SCTP_FRAGMENT = 1132, /* user bytes in a full packet */
    TERN_SCTP_HELD = 4096,     /* chunks held out of order, at most */
    TERN_SCTP_WINDOW = 1 << 20,
    TERN_SCTP_RESETS = 64, /* streams in one request of ours */
    TERN_SCTP_COOKIE_MAX = 1024,
    TERN_SCTP_MTU_MAX = 1500, /* of a packet that we take */
};

/* What a peer did wrong; for counting. */
typedef enum tern_sctp_fault {
    TERN_SCTP_BAD_PACKET, /* too short, wrong ports, checksum or tag */
    TERN_SCTP_BAD_CHUNK,  /* a chunk that does not parse, or that the state forbids */
    TERN_SCTP_BEYOND,     /* data beyond the window */
} tern_sctp_fault;

typedef struct tern_sctp_events {
    void (*on_up)(void *owner);
    /* A piece of a message, in order; `data` may be changed. Its bytes count as unread until
     * tern_sctp_consumed. */
    void (*on_data)(void *owner, uint16_t sid, uint32_t ppid, uint8_t *data, size_t n, bool first,
                    bool last);
    void (*on_room)(void *owner, uint16_t sid);  /* some of what a stream had queued went out */
    void (*on_reset)(void *owner, uint16_t sid); /* the peer ended its half of the stream */
    void (*on_reset_done)(void *owner, uint16_t sid); /* ours is ended, the peer says */
    void (*on_fault)(void *owner, tern_sctp_fault fault);
    /* Once, last: code 0 = shut down in good order. */
    void (*on_down)(void *owner, const tern_error *why);
} tern_sctp_events;

/* The sending half of a stream; its owner's memory. */
typedef struct tern_sctp_stream {
    tern_list link;  /* in ready while something is queued */
    tern_list queue; /* chunks not sent yet */
    size_t queued;   /* bytes of them */
    uint16_t sid, ssn;
    bool inside; /* the first fragments of a message are out */
} tern_sctp_stream;

typedef enum tern_sctp_state {
    TERN_SCTP_CLOSED,
    TERN_SCTP_COOKIE_WAIT,
    TERN_SCTP_COOKIE_ECHOED,
    TERN_SCTP_ESTABLISHED,
    TERN_SCTP_SHUTDOWN_PENDING,
    TERN_SCTP_SHUTDOWN_SENT,
    TERN_SCTP_SHUTDOWN_RECEIVED,
    TERN_SCTP_SHUTDOWN_ACK_SENT,
    TERN_SCTP_DEAD,
} tern_sctp_state;

/* A request to reset streams: which, and what it waits for. */
typedef struct tern_sctp_request {
    uint32_t seq, tsn;
    uint16_t sids[TERN_SCTP_RESETS];
    uint16_t count; /* 0 = none */
    bool sent;
    uint64_t over; /* bits of those of which no event follows */
} tern_sctp_request;

typedef struct tern_sctp {
    const tern_sctp_events *events;
    void *owner;
    tern_sctp_state state;
    uint32_t tag, peer_tag;
    tern_buf cookie;  /* the peer's, until it is acknowledged */
    tern_buf control; /* answers that are to be sent: whole chunks */
    unsigned wants;   /* bits of chunks to be sent */
    uint32_t abort_cause;
    bool init_ack_data_known; /* peer_init is filled */
    uint8_t peer_init[16];    /* fixed part of the peer's last INIT */
    /* sending */
    uint32_t next_tsn, acked_tsn; /* the next to give; all up to this were acknowledged */
    tern_list ready;              /* streams with something queued, first come first */
    tern_list sent;               /* chunks in flight, by TSN */
    size_t queued;                /* bytes in all streams' queues */
    size_t flight;                /* bytes in flight, without those marked for retransmission */
    size_t lost;                  /* chunks marked for retransmission */
    size_t ahead;                 /* bytes acknowledged behind a gap */
    size_t peer_window;           /* what the peer would still take */
    size_t cwnd, ssthresh, partial;
    size_t w_max, w_reno; /* CUBIC: where the last loss was, and what additive growth would have */
    uint64_t epoch, k;    /* when growth began, 0 = it has not; milliseconds until it is at w_max */
    uint64_t rack;        /* when the latest of what has arrived was sent ... */
    uint32_t rack_tsn;    /* ... and its TSN */
    uint64_t lost_at;     /* when what was overtaken counts as lost; UINT64_MAX = never */
    unsigned reorder;     /* quarters of a round trip that the path reorders */
    size_t undo_cwnd, undo_ssthresh; /* as they were before the last loss, 0 = not to be undone */
    size_t undo_left;      /* chunks taken for lost since then, less those that were not */
    uint32_t recover;      /* end of fast recovery */
    bool recovering, fast; /* fast: one packet may go beyond cwnd */
    uint64_t srtt, rttvar, rto;
    unsigned errors; /* timeouts in a row */
    /* receiving */
    uint32_t cum_in, highest_in;
    struct tern_sctp_held **held; /* ring of TERN_SCTP_HELD by TSN; NULL while nothing is held */
    size_t held_count, held_bytes, unread, told_window;
    unsigned unacked; /* packets with data since the last SACK */
    uint32_t duplicates;
    /* resets */
    tern_sctp_request out; /* ours, outstanding */
    uint16_t *waiting;     /* ours, to be asked for */
    size_t waiting_count, waiting_cap;
    uint32_t reset_seq;         /* of our next request */
    struct tern_sctp_asked *in; /* the peer's, waiting for data; NULL = none */
    uint32_t peer_seq;          /* of the peer's next request */
    uint32_t last_result;       /* of its last */
    uint32_t reset_tsn;         /* while on_reset: the last TSN before it */
    bool peer_resets;           /* it has RE-CONFIG */
    /* time */
    uint64_t t1, t3, sack_at, reset_at; /* UINT64_MAX = not running */
    unsigned t1_count;
} tern_sctp;

/* `random`: 8 bytes. Nothing is allocated. */
void tern_sctp_init(tern_sctp *s, const tern_sctp_events *events, void *owner,
                    const uint8_t random[8]);
void tern_sctp_free(tern_sctp *s); /* no event follows; streams are to be cleared by their owners */
/* Sends INIT; both sides do. */
void tern_sctp_start(tern_sctp *s, uint64_t now);

/* A packet came; it may be changed. */
void tern_sctp_input(tern_sctp *s, uint64_t now, uint8_t *packet, size_t n);
/* The next packet into out (TERN_SCTP_PACKET bytes); its length, 0 when there is none now. */
size_t tern_sctp_output(tern_sctp *s, uint64_t now, uint8_t *out);
uint64_t tern_sctp_deadline(const tern_sctp *s);
void tern_sctp_tick(tern_sctp *s, uint64_t now);

void tern_sctp_stream_init(tern_sctp_stream *st, uint16_t sid);
/* Drops what is queued, but for the rest of a message that is under way. */
void tern_sctp_stream_clear(tern_sctp *s, tern_sctp_stream *st);
/* Queues a message. Its first fragment is `spare` bytes shorter than a packet has room for, so that
 * a small message before it shares that packet. 0, TERN_E_NOMEM, TERN_E_STATE (closing). */
int tern_sctp_send(tern_sctp *s, tern_sctp_stream *st, uint32_t ppid, const tern_span *v,
                   unsigned n, size_t spare);
/* The owner read n of the bytes of on_data. */
void tern_sctp_consumed(tern_sctp *s, size_t n);
/* Ends our half of a stream of which nothing is queued; on_reset_done follows. TERN_E_NOMEM. */
int tern_sctp_reset(tern_sctp *s, uint16_t sid);
/* The peer uses the stream again, and waits for no reset of ours; no on_reset_done follows. Whether
 * it was asked for one: then it has noted it, though its answer has not come yet. Else the reset is
 * given up, and the numbers of our messages go on. */
bool tern_sctp_reset_over(tern_sctp *s, uint16_t sid);

/* In good order, after what is queued / at once. */
void tern_sctp_shutdown(tern_sctp *s, uint64_t now);
void tern_sctp_abort(tern_sctp *s);
/* All that was queued was acknowledged, and no reset is under way. */
static inline bool tern_sctp_idle(const tern_sctp *s)
{
    return s->queued == 0 && s->sent.next == &s->sent;
}

/* ---- between the files of the core ---- */

enum {
    SCTP_DATA = 0,
    SCTP_INIT = 1,
    SCTP_INIT_ACK = 2,
    SCTP_SACK = 3,
    SCTP_HEARTBEAT = 4,
    SCTP_HEARTBEAT_ACK = 5,
    SCTP_ABORT = 6,
    SCTP_SHUTDOWN = 7,
    SCTP_SHUTDOWN_ACK = 8,
    SCTP_ERROR = 9,
    SCTP_COOKIE_ECHO = 10,
    SCTP_COOKIE_ACK = 11,
    SCTP_SHUTDOWN_COMPLETE = 14,
    SCTP_RECONFIG = 130,
    SCTP_FORWARD_TSN = 192,

    SCTP_HEADER = 12, /* of a packet */
    SCTP_DATA_HEAD = 16,
    SCTP_CAUSE_USER = 12, /* of an ABORT: whoever uses the association wanted it (section 3.3.10) */

    WANT_INIT = 1 << 0, /* to be sent */
    WANT_INIT_ACK = 1 << 1,
    WANT_COOKIE_ECHO = 1 << 2,
    WANT_COOKIE_ACK = 1 << 3,
    WANT_SACK = 1 << 4,
    WANT_SHUTDOWN = 1 << 5,
    WANT_SHUTDOWN_ACK = 1 << 6,
    WANT_SHUTDOWN_COMPLETE = 1 << 7,
    WANT_ABORT = 1 << 8,
    WANT_RESET = 1 << 9,
};

/* Serial numbers (RFC 1982). */
static inline bool sctp_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}
void sctp_down(tern_sctp *s, int code, uint64_t wire, const char *text);
void sctp_fault(tern_sctp *s, tern_sctp_fault fault);
/* Appends an answer; too many unanswered ones are dropped. */
void sctp_answer(tern_sctp *s, const uint8_t *chunk, size_t n);
void sctp_data(tern_sctp *s, uint64_t now, uint8_t *chunk, size_t n);
void sctp_forward(tern_sctp *s, const uint8_t *chunk, size_t n);
size_t sctp_put_sack(tern_sctp *s, uint8_t *out, size_t cap);
void sctp_held_free(tern_sctp *s);
void sctp_sack(tern_sctp *s, uint64_t now, const uint8_t *chunk, size_t n);
/* Everything up to tsn was received, says a SHUTDOWN. */
void sctp_cumulative(tern_sctp *s, uint64_t now, uint32_t tsn);
size_t sctp_put_data(tern_sctp *s, uint64_t now, uint8_t *out, size_t room);
void sctp_t3(tern_sctp *s, uint64_t now);
void sctp_overtaken(tern_sctp *s, uint64_t now); /* what waited long enough is lost */
void sctp_cc_loss(tern_sctp *s);
void sctp_cc_timeout(tern_sctp *s);
void sctp_cc_grow(tern_sctp *s, uint64_t now, size_t acked);
uint64_t sctp_cc_reorder(const tern_sctp *s);
void sctp_cc_spurious(tern_sctp *s);
/* Appends a chunk of n bytes of which only the head says something: n. */
size_t sctp_put_plain(uint8_t *out, uint8_t type, uint8_t flags, size_t n);
/* Whether that is to be sent; then it is not any more. */
bool sctp_take_want(tern_sctp *s, unsigned want);
/* sctp_close.c: goes on with a shutdown once all data is acknowledged. */
void sctp_shutdown_step(tern_sctp *s, uint64_t now);
void sctp_on_shutdown(tern_sctp *s, uint64_t now, const uint8_t *chunk, size_t n);
void sctp_on_shutdown_ack(tern_sctp *s);
void sctp_on_abort(tern_sctp *s, const uint8_t *chunk, size_t n);
size_t sctp_put_closing(tern_sctp *s, uint8_t *out, size_t n);
void sctp_reconfig(tern_sctp *s, uint8_t *chunk, size_t n);
size_t sctp_put_reset(tern_sctp *s, uint64_t now, uint8_t *out, size_t room);
void sctp_reset_check(tern_sctp *s);
void sctp_reset_next(tern_sctp *s);

#endif
