/* Data channels: what their owners write and do. See channel.h. */
#include "mux/pieces.h"
#include "webrtc/channel.h"

enum {
    PREFIX_CHUNK = 20, /* a DATA chunk with a length */
    SPANS = 24,
};

size_t webrtc_channel_room(const tern_stream *base)
{
    const webrtc_channel *ch = (const webrtc_channel *)(const void *)base;
    const webrtc_conn *c = ch->conn;
    size_t queued = ch->st.queued;
    if (ch->stop_got || ch->closing) {
        return SIZE_MAX; /* dropped */
    }
    if (c->sctp.queued >= WEBRTC_QUEUED_MAX || queued + TERN_FRAME_MESSAGE > WEBRTC_QUEUE) {
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
    size_t total = tern_span_total(v, n), room = webrtc_channel_room(base), done = 0;
    tern_pieces p = {.v = v, .n = n};
    if (ch->stop_got || ch->closing || c->phase >= WEBRTC_CLOSING) {
        return total;
    }
    room = room < total ? room : total;
    c->choked = c->choked || c->sctp.queued >= WEBRTC_QUEUED_MAX;
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
    webrtc_channel_fin((webrtc_channel *)base);
}

static void stream_stop(tern_stream *base, uint64_t code)
{
    webrtc_channel *ch = (webrtc_channel *)base;
    (void)code;
    if (!ch->fin_got && !ch->stop_sent && ch->st.sid != 0 && !ch->conn->slow_ack) {
        ch->stop_sent = 1;
        webrtc_channel_flag(ch, TERN_FLAG_STOP_SENDING, 0);
    }
    webrtc_channel_settle(ch);
}

static void stream_reset(tern_stream *base, uint64_t code)
{
    webrtc_channel *ch = (webrtc_channel *)base;
    webrtc_channel_release(ch);
    webrtc_channel_cut(ch, code);
}

static void stream_destroy(tern_stream *base)
{
    webrtc_channel *ch = (webrtc_channel *)base;
    webrtc_conn *c = ch->conn;
    webrtc_channel_release(ch);
    ch->gone = 1;
    c->incoming -= ch->incoming;
    if (ch->fin_sent && ch->fin_got) {
        webrtc_channel_settle(ch);
    }
    webrtc_channel_free_if_done(ch); /* after the conn's end all channels go with it */
    tern_conn_stream_gone(&c->base);
}

const tern_stream_ops webrtc_channel_ops = {
    .name = "webrtc-direct",
    .write = stream_write,
    .room = webrtc_channel_room,
    .consumed = stream_consumed,
    .end = stream_end,
    .stop = stream_stop,
    .reset = stream_reset,
    .destroy = stream_destroy,
};
