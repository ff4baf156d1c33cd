/* Data channels as streams: see conn.h.
 *
 * A stream's life on its channel (libp2p specs, webrtc):
 *
 *   we end         FIN out                          peer ends    FIN in, FIN_ACK out
 *   both ended     the stream is over; with FIN_ACK in (or 5 s) our half of the channel is reset
 *   we stop        STOP_SENDING out                 peer stops   what we write is dropped, FIN out
 *   we reset       RESET out, channel reset         peer resets  the stream is over, channel reset
 *
 * A channel's id is free once both halves of it were reset; until then the channel stays, without
 * its stream. */
#include "base/error.h"
#include "base/mem.h"
#include "mux/pieces.h"
#include "webrtc/conn.h"

enum {
    PREFIX_CHUNK = 20 /* a DATA chunk with a length */,
    SPANS = 24,
    QUEUED_MAX = 1 << 20,
    CHANNELS_MAX = 2048
};

static const tern_stream_ops stream_ops;

static webrtc_channel **bucket(webrtc_conn *c, uint16_t sid)
{
    return &c->buckets[sid / 2 % WEBRTC_BUCKETS]; /* each side has every other id */
}

static webrtc_channel *find(webrtc_conn *c, uint16_t sid)
{
    webrtc_channel *ch = *bucket(c, sid);
    while (ch != NULL && ch->st.sid != sid) {
        ch = ch->next;
    }
    return ch;
}

static webrtc_channel *new_channel(webrtc_conn *c, uint16_t sid)
{
    webrtc_channel *ch = tern_calloc(1, sizeof *ch);
    if (ch == NULL) {
        c->net->counters.allocation_failures++;
        return NULL;
    }
    ch->conn = c;
    tern_sctp_stream_init(&ch->st, sid);
    tern_stream_init(&ch->base, &stream_ops, c->base.loop, sid);
    ch->next = *bucket(c, sid);
    *bucket(c, sid) = ch;
    c->channels++;
    return ch;
}

static void free_channel(webrtc_channel *ch)
{
    webrtc_conn *c = ch->conn;
    webrtc_channel **at = bucket(c, ch->st.sid);
    while (*at != ch) {
        at = &(*at)->next;
    }
    *at = ch->next;
    c->channels--;
    ch->st.inside = false; /* nothing of it is to be sent any more */
    tern_sctp_stream_clear(&c->sctp, &ch->st);
    tern_free(ch);
}

/* Frees it when nobody needs it; the channel is not to be touched afterwards. */
static void free_if_done(webrtc_channel *ch)
{
    if (ch->gone && ch->reset_done && ch->reset_got && ch->conn->phase != WEBRTC_OVER) {
        free_channel(ch);
    }
}

static void release_unread(webrtc_channel *ch)
{
    tern_sctp_consumed(&ch->conn->sctp, ch->unread);
    ch->unread = 0;
}

/* ---- closing ---- */

static void deadline(webrtc_channel *ch, uint64_t time)
{
    webrtc_conn *c = ch->conn;
    ch->until = tern_loop_now(c->base.loop) + time;
    c->linger_at = ch->until < c->linger_at ? ch->until : c->linger_at;
    webrtc_want_turn(c);
}

static void ask_reset(webrtc_channel *ch)
{
    webrtc_conn *c = ch->conn;
    if (ch->reset_asked || ch->st.queued > 0 || c->phase >= WEBRTC_CLOSING) {
        return;
    }
    ch->reset_asked = 1;
    if (tern_sctp_reset(&c->sctp, ch->st.sid) != 0) {
        c->net->counters.allocation_failures++;
        webrtc_conn_fail(c, TERN_E_NOMEM, "out of memory");
        return;
    }
    webrtc_want_turn(c);
}

static void close_channel(webrtc_channel *ch)
{
    if (!ch->closing) {
        ch->closing = 1;
        ch->until = ch->ack_at = 0;
        ask_reset(ch);
    }
}

static void put_flag(webrtc_channel *ch, uint32_t flag, uint64_t code)
{
    uint8_t frame[TERN_FRAME_FLAG_ROOM];
    webrtc_conn *c = ch->conn;
    size_t n = tern_frame_flag(frame, flag, code > UINT32_MAX ? UINT32_MAX : (uint32_t)code);
    const tern_span v = {frame, n};
    int e = c->phase < WEBRTC_CLOSING && !ch->reset_asked
                ? tern_sctp_send(&c->sctp, &ch->st, TERN_PPID_BINARY, &v, 1, 0)
                : 0;
    if (e == TERN_E_NOMEM) {
        c->net->counters.allocation_failures++;
        webrtc_conn_fail(c, TERN_E_NOMEM, "out of memory");
    }
    webrtc_want_turn(c);
}

static void acknowledge(webrtc_channel *ch)
{
    ch->ack_at = 0;
    put_flag(ch, TERN_FLAG_FIN_ACK, 0);
}

static void finish_stream(webrtc_channel *ch, int code, uint64_t wire, const char *text)
{
    tern_error why;
    ch->finished = 1;
    if (!ch->gone) {
        tern_fail_wire(&why, code, wire, "webrtc-direct", "%s", text);
        tern_stream_finish(&ch->base, &why);
        if (code != 0) {
            release_unread(ch);
        }
    }
}

/* Looks at what was said by both sides. */
static void settle(webrtc_channel *ch)
{
    if (ch->closing) {
        return;
    }
    if (ch->st.sid == 0) { /* of the handshake: neither reset nor used again */
        if (ch->fin_sent && !ch->finished) {
            finish_stream(ch, TERN_OK, 0, "the handshake is done");
        }
        return;
    }
    if (ch->fin_sent && ch->ack_at != 0) {
        acknowledge(ch);
    }
    if (ch->fin_sent && ch->fin_got) {
        if (!ch->finished) {
            finish_stream(ch, TERN_OK, 0, "both sides ended the stream");
        }
        if (ch->fin_acked) {
            close_channel(ch);
        } else if (ch->until == 0) {
            deadline(ch, WEBRTC_FIN_TIME);
        }
    } else if (ch->fin_sent && ch->base.stopped && ch->until == 0) {
        deadline(ch, WEBRTC_LINGER); /* the peer may go on for so long, unread */
    }
}

static void send_fin(webrtc_channel *ch)
{
    if (!ch->fin_sent) {
        ch->fin_sent = 1;
        put_flag(ch, TERN_FLAG_FIN, 0);
    }
    settle(ch);
}

/* RESET out, and the channel's end. */
static void cut(webrtc_channel *ch, uint64_t code)
{
    tern_sctp_stream_clear(&ch->conn->sctp, &ch->st);
    if (!ch->closing) {
        put_flag(ch, TERN_FLAG_RESET, code);
    }
    ch->finished = 1;
    close_channel(ch);
}

/* ---- the owner's side ---- */

static size_t stream_room(const tern_stream *base)
{
    const webrtc_channel *ch = (const webrtc_channel *)(const void *)base;
    const webrtc_conn *c = ch->conn;
    size_t queued = ch->st.queued;
    if (ch->stop_got || ch->closing) {
        return SIZE_MAX; /* dropped */
    }
    if (c->sctp.queued >= QUEUED_MAX || queued + TERN_FRAME_MESSAGE > WEBRTC_QUEUE) {
        return 0;
    }
    return WEBRTC_QUEUE - queued;
}

/* A frame with up to `most` of the bytes; how many, 0 without memory. pion gives go a message only
 * into a buffer that has room for all of it, and go's has 4 KiB when it looks for a length: long
 * frames have theirs in a message of its own, as go and js send them. */
static size_t send_frame(webrtc_channel *ch, tern_pieces *p, size_t most)
{
    tern_sctp *sctp = &ch->conn->sctp;
    uint8_t head[TERN_FRAME_HEAD_ROOM];
    tern_span spans[SPANS] = {{head, 0}};
    unsigned used = 1;
    size_t k = tern_pieces_take(p, most, spans, SPANS, &used), prefix;
    size_t n = tern_frame_head(head, k, &prefix);
    spans[0].len = n;
    if (n + k > TERN_SCTP_FRAGMENT) {
        const tern_span length = {head, prefix};
        spans[0] = (tern_span){head + prefix, n - prefix};
        if (tern_sctp_send(sctp, &ch->st, TERN_PPID_BINARY, &length, 1, 0) != 0) {
            return 0;
        }
        return tern_sctp_send(sctp, &ch->st, TERN_PPID_BINARY, spans, used, PREFIX_CHUNK) == 0 ? k
                                                                                               : 0;
    }
    return tern_sctp_send(sctp, &ch->st, TERN_PPID_BINARY, spans, used, 0) == 0 ? k : 0;
}

static size_t stream_write(tern_stream *base, const tern_span *v, unsigned n)
{
    webrtc_channel *ch = (webrtc_channel *)base;
    webrtc_conn *c = ch->conn;
    size_t total = tern_span_total(v, n), room = stream_room(base), done = 0;
    tern_pieces p = {.v = v, .n = n};
    if (ch->stop_got || ch->closing || c->phase >= WEBRTC_CLOSING) {
        return total;
    }
    room = room < total ? room : total;
    c->choked = c->choked || c->sctp.queued >= QUEUED_MAX;
    while (done < room) {
        size_t left = room - done;
        size_t k = send_frame(ch, &p, left < TERN_FRAME_MESSAGE ? left : TERN_FRAME_MESSAGE);
        if (k == 0) {
            c->net->counters.allocation_failures++;
            webrtc_conn_fail(c, TERN_E_NOMEM, "out of memory");
            return total;
        }
        done += k;
    }
    webrtc_want_turn(c);
    return done;
}

static void stream_consumed(tern_stream *base, size_t n)
{
    webrtc_channel *ch = (webrtc_channel *)base;
    n = n < ch->unread ? n : ch->unread;
    ch->unread -= n;
    tern_sctp_consumed(&ch->conn->sctp, n);
    ch->conn->stalled = 0;
    webrtc_want_turn(ch->conn);
}

static void stream_end(tern_stream *base)
{
    send_fin((webrtc_channel *)base);
}

static void stream_stop(tern_stream *base, uint64_t code)
{
    webrtc_channel *ch = (webrtc_channel *)base;
    (void)code;
    if (!ch->fin_got && !ch->stop_sent && ch->st.sid != 0 && !ch->conn->slow_ack) {
        ch->stop_sent = 1;
        put_flag(ch, TERN_FLAG_STOP_SENDING, 0);
    }
    settle(ch);
}

static void stream_reset(tern_stream *base, uint64_t code)
{
    webrtc_channel *ch = (webrtc_channel *)base;
    release_unread(ch);
    cut(ch, code);
}

static void stream_destroy(tern_stream *base)
{
    webrtc_channel *ch = (webrtc_channel *)base;
    webrtc_conn *c = ch->conn;
    release_unread(ch);
    ch->gone = 1;
    c->incoming -= ch->incoming;
    if (ch->fin_sent && ch->fin_got) {
        settle(ch);
    }
    free_if_done(ch); /* after the conn's end all channels go with it */
    tern_conn_stream_gone(&c->base);
}

static const tern_stream_ops stream_ops = {
    .name = "webrtc-direct",
    .write = stream_write,
    .room = stream_room,
    .consumed = stream_consumed,
    .end = stream_end,
    .stop = stream_stop,
    .reset = stream_reset,
    .destroy = stream_destroy,
};

/* ---- opening ---- */

/* Our lowest free id: the client's are even, the server's odd (RFC 8832, 6). */
static bool free_id(webrtc_conn *c, uint16_t *ret)
{
    for (uint16_t sid = c->server ? 1 : 2; sid < WEBRTC_IDS; sid = (uint16_t)(sid + 2)) {
        if (find(c, sid) == NULL) {
            *ret = sid;
            return true;
        }
    }
    return false;
}

webrtc_channel *webrtc_channel_open(webrtc_conn *c, bool negotiated, int *ret_code)
{
    const tern_span open = {tern_dcep_open, TERN_DCEP_OPEN_N};
    uint16_t sid = 0;
    *ret_code = TERN_E_LIMIT;
    if (!negotiated && !free_id(c, &sid)) {
        return NULL;
    }
    webrtc_channel *ch = new_channel(c, sid);
    *ret_code = TERN_E_NOMEM;
    if (ch == NULL) {
        return NULL;
    }
    if (!negotiated && tern_sctp_send(&c->sctp, &ch->st, TERN_PPID_DCEP, &open, 1, 0) != 0) {
        free_channel(ch);
        return NULL;
    }
    tern_conn_stream_born(&c->base);
    return ch;
}

/* Whether one more of the peer's streams has a place. */
static bool has_place(const webrtc_conn *c)
{
    uint32_t most = c->phase < WEBRTC_OPEN ? WEBRTC_EARLY : c->net->limits.streams_per_conn;
    return c->incoming < most;
}

static void opened(webrtc_conn *c, uint16_t sid)
{
    const tern_span ack = {tern_dcep_ack, TERN_DCEP_ACK_N};
    if (sid % 2 == (c->server ? 1 : 0) || find(c, sid) != NULL) {
        c->net->counters.channel_bad_open++;
        return;
    }
    if (c->channels >= CHANNELS_MAX) {
        c->net->counters.channel_flood++;
        webrtc_conn_fail(c, TERN_E_LIMIT, "the peer opens channels and closes none");
        return;
    }
    webrtc_channel *ch = new_channel(c, sid);
    if (ch != NULL) {
        ch->gone = 1; /* no stream yet */
    }
    if (ch == NULL ||
        tern_sctp_send(&c->sctp, &ch->st, TERN_PPID_DCEP, &ack, 1, 0) == TERN_E_NOMEM) {
        webrtc_conn_fail(c, TERN_E_NOMEM, "out of memory");
        return;
    }
    if (!has_place(c) || c->phase >= WEBRTC_CLOSING) {
        c->net->counters.streams_limit++;
        cut(ch, 0);
        return;
    }
    ch->gone = 0;
    ch->incoming = 1;
    c->incoming++;
    tern_conn_stream_born(&c->base);
    tern_conn_accept(&c->base, &ch->base);
}

/* ---- what comes ---- */

static void on_dcep(webrtc_conn *c, uint16_t sid, const uint8_t *data, size_t n, bool whole)
{
    int r = whole ? tern_dcep_read(data, n) : TERN_E_MALFORMED;
    if (r == 1) {
        opened(c, sid);
    } else if (r < 0) {
        c->net->counters.channel_bad_open++;
    }
}

static void on_fin(webrtc_channel *ch)
{
    if (ch->fin_got) {
        return;
    }
    ch->fin_got = 1;
    ch->until = 0;
    if (!ch->gone) {
        tern_stream_deliver_end(&ch->base);
    }
    if (ch->conn->slow_ack && !ch->fin_sent) {
        deadline(ch, WEBRTC_ACK_TIME);
        ch->ack_at = ch->until;
        ch->until = 0;
    } else if (ch->st.sid != 0) {
        acknowledge(ch);
    }
    settle(ch);
}

static void on_flag(webrtc_channel *ch, const tern_frame_event *e)
{
    switch (e->flag) {
    case TERN_FLAG_FIN:
        on_fin(ch);
        break;
    case TERN_FLAG_FIN_ACK:
        ch->fin_acked = 1;
        settle(ch);
        break;
    case TERN_FLAG_STOP_SENDING:
        if (!ch->stop_got) {
            ch->stop_got = 1;
            tern_sctp_stream_clear(&ch->conn->sctp, &ch->st);
            tern_stream_signal_room(&ch->base);
            send_fin(ch);
        }
        break;
    default: /* RESET */
        tern_sctp_stream_clear(&ch->conn->sctp, &ch->st);
        if (!ch->finished) {
            finish_stream(ch, TERN_E_RESET, e->code, "the peer reset the stream");
        }
        close_channel(ch);
        break;
    }
}

/* Message bytes to the stream's owner; how many are on loan to him. */
static size_t deliver(webrtc_channel *ch, uint8_t *data, size_t n)
{
    if (ch->gone || ch->finished || ch->fin_got) {
        return 0;
    }
    ch->unread += n;
    tern_stream_deliver(&ch->base, data, n);
    if (ch->base.finished) {
        release_unread(ch);
    }
    return n;
}

static void feed(webrtc_channel *ch, uint8_t *data, size_t n)
{
    webrtc_conn *c = ch->conn;
    tern_frame_event e;
    size_t at = 0, used, lent = 0;
    int got;
    do {
        got = tern_frame_read(&ch->reader, data + at, n - at, &used, &e);
        at += used;
        if (got == 1 && e.kind == TERN_FRAME_BYTES) {
            lent += deliver(ch, e.data, e.n);
        } else if (got == 1) {
            on_flag(ch, &e);
        }
    } while (got == 1 && c->phase != WEBRTC_OVER && !ch->reset_got);
    tern_sctp_consumed(&c->sctp, n - lent);
    if (got < 0) {
        c->net->counters.channel_malformed++;
        if (!ch->finished) {
            finish_stream(ch, TERN_E_MALFORMED, 0, "the peer sent a frame that does not parse");
        }
        cut(ch, 0);
    }
}

static void on_data(void *owner, uint16_t sid, uint32_t ppid, uint8_t *data, size_t n, bool first,
                    bool last)
{
    webrtc_conn *c = owner;
    if (ppid == TERN_PPID_DCEP) {
        tern_sctp_consumed(&c->sctp, n);
        on_dcep(c, sid, data, n, first && last);
        return;
    }
    webrtc_channel *ch = find(c, sid);
    bool content = ppid == TERN_PPID_BINARY || ppid == TERN_PPID_TEXT;
    if (ch == NULL || !content || ch->closing) {
        c->net->counters.channel_unknown += ch == NULL;
        tern_sctp_consumed(&c->sctp, n);
        return;
    }
    feed(ch, data, n);
    if (c->stalled == 0 && c->sctp.unread + TERN_SCTP_PACKET > TERN_SCTP_WINDOW) {
        c->stalled = tern_loop_now(c->base.loop);
    }
}

/* ---- SCTP's other events ---- */

static void unchoke(webrtc_conn *c)
{
    c->choked = false;
    for (unsigned i = 0; i < WEBRTC_BUCKETS; i++) {
        for (webrtc_channel *ch = c->buckets[i]; ch != NULL; ch = ch->next) {
            if (!ch->gone && stream_room(&ch->base) > 0) {
                tern_stream_signal_room(&ch->base);
            }
        }
    }
}

static void on_room(void *owner, uint16_t sid)
{
    webrtc_conn *c = owner;
    webrtc_channel *ch = find(c, sid);
    if (c->choked && c->sctp.queued < QUEUED_MAX / 2) {
        unchoke(c);
    }
    if (ch == NULL) {
        return;
    }
    if (ch->closing) {
        ask_reset(ch);
    } else if (!ch->gone && ch->st.queued <= WEBRTC_QUEUE / 2) {
        tern_stream_signal_room(&ch->base);
    }
}

static void on_reset(void *owner, uint16_t sid)
{
    webrtc_conn *c = owner;
    webrtc_channel *ch = find(c, sid);
    if (ch == NULL) {
        return;
    }
    ch->reset_got = 1;
    if (!ch->finished && !(ch->fin_got && ch->fin_sent)) {
        finish_stream(ch, TERN_E_RESET, 0, "the peer closed the channel");
    }
    close_channel(ch);
    free_if_done(ch);
}

static void on_reset_done(void *owner, uint16_t sid)
{
    webrtc_channel *ch = find(owner, sid);
    if (ch != NULL) {
        ch->reset_done = 1;
        free_if_done(ch);
    }
}

static void on_up(void *owner)
{
    webrtc_want_turn(owner);
}

static void on_fault(void *owner, tern_sctp_fault fault)
{
    tern_counters *count = &((webrtc_conn *)owner)->net->counters;
    switch (fault) {
    case TERN_SCTP_BAD_PACKET:
        count->sctp_bad_packet++;
        break;
    case TERN_SCTP_BAD_CHUNK:
        count->sctp_bad_chunk++;
        break;
    case TERN_SCTP_BEYOND:
        count->sctp_beyond++;
        break;
    }
}

static void on_down(void *owner, const tern_error *why)
{
    webrtc_conn_end(owner, why);
}

const tern_sctp_events webrtc_sctp_events = {
    .on_up = on_up,
    .on_data = on_data,
    .on_room = on_room,
    .on_reset = on_reset,
    .on_reset_done = on_reset_done,
    .on_fault = on_fault,
    .on_down = on_down,
};

/* ---- all of them ---- */

void webrtc_channels_end(webrtc_conn *c, const tern_error *why)
{
    for (unsigned i = 0; i < WEBRTC_BUCKETS; i++) {
        for (webrtc_channel *ch = c->buckets[i]; ch != NULL; ch = ch->next) {
            if (!ch->gone) {
                ch->finished = 1;
                tern_stream_finish(&ch->base, why);
            }
        }
    }
}

void webrtc_channels_free(webrtc_conn *c)
{
    for (unsigned i = 0; i < WEBRTC_BUCKETS; i++) {
        while (c->buckets[i] != NULL) {
            free_channel(c->buckets[i]);
        }
    }
}

/* The stream that holds most of the window unread, when others wait behind it. */
static void relieve(webrtc_conn *c, uint64_t now)
{
    webrtc_channel *worst = NULL;
    size_t alive = 0;
    if (c->stalled == 0 || now < c->stalled + WEBRTC_STALL) {
        return;
    }
    c->stalled = 0;
    for (unsigned i = 0; i < WEBRTC_BUCKETS; i++) {
        for (webrtc_channel *ch = c->buckets[i]; ch != NULL; ch = ch->next) {
            alive += !ch->gone;
            if (!ch->gone && ch->unread > (worst != NULL ? worst->unread : 0)) {
                worst = ch;
            }
        }
    }
    if (worst != NULL && alive > 1) {
        c->net->counters.channel_unread++;
        finish_stream(worst, TERN_E_LIMIT, 0, "unread for 30 seconds while other streams wait");
        cut(worst, 0);
    }
}

static void late(webrtc_channel *ch, uint64_t now)
{
    if (ch->ack_at != 0 && now >= ch->ack_at) {
        acknowledge(ch);
    }
    if (ch->until != 0 && now >= ch->until) {
        ch->until = 0;
        if (ch->fin_got) {
            close_channel(ch); /* without an acknowledgement */
        } else {
            finish_stream(ch, TERN_E_RESET, 0, "the peer goes on with what nobody reads");
            cut(ch, 0);
        }
    }
}

void webrtc_channels_tick(webrtc_conn *c, uint64_t now)
{
    relieve(c, now);
    if (now < c->linger_at) {
        return;
    }
    c->linger_at = TERN_NEVER;
    for (unsigned i = 0; i < WEBRTC_BUCKETS && c->phase != WEBRTC_OVER; i++) {
        for (webrtc_channel *ch = c->buckets[i]; ch != NULL; ch = ch->next) {
            late(ch, now);
            uint64_t at = ch->until != 0 ? ch->until : TERN_NEVER;
            at = ch->ack_at != 0 && ch->ack_at < at ? ch->ack_at : at;
            c->linger_at = at < c->linger_at ? at : c->linger_at;
        }
    }
}
