/* Data channels: what comes, SCTP's events. See channel.h. */
#include "base/error.h"
#include "webrtc/channel.h"

enum { CHANNELS_MAX = 2048 };

/* ---- opened by the peer ---- */

/* Whether one more of the peer's streams has a place. */
static bool has_place(const webrtc_conn *c)
{
    uint32_t most = c->phase < WEBRTC_OPEN ? WEBRTC_EARLY : c->net->limits.streams_per_conn;
    return c->incoming < most;
}

static bool peers_id(const webrtc_conn *c, uint16_t sid)
{
    return sid % 2 == (c->server ? 0 : 1) && sid != 0 && sid != WEBRTC_NO_ID;
}

/* Whether the peer may open this id: it is free, or what is left of it only waits for its resets.
 * Firefox takes an id again once it has ours, and what it said before that may be lost for now; our
 * own reset may still wait. *ret_ssn: of our next message. */
static bool may_open(webrtc_conn *c, uint16_t sid, uint16_t *ret_ssn)
{
    webrtc_channel *old = webrtc_channel_find(c, sid);
    *ret_ssn = 0;
    if (!peers_id(c, sid) || (old != NULL && (!old->finished || old->st.queued > 0))) {
        return false;
    }
    if (old != NULL) {
        if (!old->reset_done && !tern_sctp_reset_over(&c->sctp, sid)) {
            *ret_ssn = old->st.ssn;
        }
        old->closing = old->reset_asked = old->reset_done = old->reset_got = 1;
        old->until = old->ack_at = 0;
        webrtc_channel_free_if_done(old);
    }
    return true;
}

static void opened(webrtc_conn *c, uint16_t sid)
{
    const tern_span ack = {tern_dcep_ack, TERN_DCEP_ACK_N};
    uint16_t ssn;
    if (!may_open(c, sid, &ssn)) {
        c->net->counters.channel_bad_open++;
        return;
    }
    if (c->channels >= CHANNELS_MAX) {
        c->net->counters.channel_flood++;
        webrtc_conn_fail(c, TERN_E_LIMIT, "the peer opens channels and closes none");
        return;
    }
    webrtc_channel *ch = webrtc_channel_new(c, sid);
    if (ch != NULL) {
        ch->gone = 1; /* no stream yet */
        ch->st.ssn = ssn;
        ch->born = c->sctp.cum_in;
    }
    if (ch == NULL ||
        tern_sctp_send(&c->sctp, &ch->st, TERN_PPID_DCEP, &ack, 1, 0) == TERN_E_NOMEM) {
        webrtc_conn_fail(c, TERN_E_NOMEM, "out of memory");
        return;
    }
    if (!has_place(c) || c->phase >= WEBRTC_CLOSING) {
        c->net->counters.streams_limit++;
        webrtc_channel_cut(ch, 0);
        return;
    }
    ch->gone = 0;
    ch->incoming = 1;
    c->incoming++;
    tern_conn_stream_born(&c->base);
    tern_conn_accept(&c->base, &ch->base);
}

/* ---- messages ---- */

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
        webrtc_channel_deadline(ch, WEBRTC_ACK_TIME);
        ch->ack_at = ch->until;
        ch->until = 0;
    } else if (ch->st.sid != 0) {
        webrtc_channel_acknowledge(ch);
    }
    webrtc_channel_settle(ch);
}

static void on_flag(webrtc_channel *ch, const tern_frame_event *e)
{
    switch (e->flag) {
    case TERN_FLAG_FIN:
        on_fin(ch);
        break;
    case TERN_FLAG_FIN_ACK:
        ch->fin_acked = 1;
        webrtc_channel_settle(ch);
        break;
    case TERN_FLAG_STOP_SENDING:
        if (!ch->stop_got) {
            ch->stop_got = 1;
            tern_sctp_stream_clear(&ch->conn->sctp, &ch->st);
            tern_stream_signal_room(&ch->base);
            webrtc_channel_fin(ch);
        }
        break;
    default: /* RESET */
        tern_sctp_stream_clear(&ch->conn->sctp, &ch->st);
        if (!ch->finished) {
            webrtc_channel_finish(ch, TERN_E_RESET, e->code, "the peer reset the stream");
        }
        webrtc_channel_close(ch);
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
        webrtc_channel_release(ch);
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
            webrtc_channel_finish(ch, TERN_E_MALFORMED, 0,
                                  "the peer sent a frame that does not parse");
        }
        webrtc_channel_cut(ch, 0);
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
    webrtc_channel *ch = webrtc_channel_find(c, sid);
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
            if (!ch->gone && webrtc_channel_room(&ch->base) > 0) {
                tern_stream_signal_room(&ch->base);
            }
        }
    }
}

static void on_room(void *owner, uint16_t sid)
{
    webrtc_conn *c = owner;
    webrtc_channel *ch = webrtc_channel_find(c, sid);
    if (c->choked && c->sctp.queued < WEBRTC_QUEUED_MAX / 2) {
        unchoke(c);
    }
    if (ch == NULL) {
        return;
    }
    if (ch->closing) {
        webrtc_channel_ask_reset(ch);
    } else if (!ch->gone && ch->st.queued <= WEBRTC_QUEUE / 2) {
        tern_stream_signal_room(&ch->base);
    }
}

static void on_reset(void *owner, uint16_t sid)
{
    webrtc_conn *c = owner;
    webrtc_channel *ch = webrtc_channel_find(c, sid);
    if (ch == NULL || (peers_id(c, sid) && sctp_before(c->sctp.reset_tsn, ch->born))) {
        return; /* or it is meant for the id's last use */
    }
    ch->reset_got = 1;
    if (!ch->finished && !(ch->fin_got && ch->fin_sent)) {
        webrtc_channel_finish(ch, TERN_E_RESET, 0, "the peer closed the channel");
    }
    webrtc_channel_close(ch);
    webrtc_channel_free_if_done(ch);
}

static void on_reset_done(void *owner, uint16_t sid)
{
    webrtc_channel *ch = webrtc_channel_find(owner, sid);
    if (ch != NULL) {
        ch->reset_done = 1;
        webrtc_channel_free_if_done(ch);
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
