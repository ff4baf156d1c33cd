/* Data channels: closing. See channel.h.
 *
 * A channel's id is free once both halves of it were reset; until then the channel stays, without
 * its stream. */
#include "base/error.h"
#include "webrtc/channel.h"

void webrtc_channel_deadline(webrtc_channel *ch, uint64_t time)
{
    webrtc_conn *c = ch->conn;
    ch->until = tern_loop_now(c->base.loop) + time;
    c->linger_at = ch->until < c->linger_at ? ch->until : c->linger_at;
    webrtc_want_turn(c);
}

void webrtc_channel_ask_reset(webrtc_channel *ch)
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

void webrtc_channel_close(webrtc_channel *ch)
{
    if (!ch->closing) {
        ch->closing = 1;
        ch->until = ch->ack_at = 0;
        webrtc_channel_ask_reset(ch);
    }
}

void webrtc_channel_flag(webrtc_channel *ch, uint32_t flag, uint64_t code)
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

void webrtc_channel_acknowledge(webrtc_channel *ch)
{
    ch->ack_at = 0;
    webrtc_channel_flag(ch, TERN_FLAG_FIN_ACK, 0);
}

void webrtc_channel_finish(webrtc_channel *ch, int code, uint64_t wire, const char *text)
{
    tern_error why;
    ch->finished = 1;
    if (!ch->gone) {
        tern_fail_wire(&why, code, wire, "webrtc-direct", "%s", text);
        tern_stream_finish(&ch->base, &why);
        if (code != 0) {
            webrtc_channel_release(ch);
        }
    }
}

void webrtc_channel_settle(webrtc_channel *ch)
{
    if (ch->closing) {
        return;
    }
    if (ch->st.sid == 0) { /* of the handshake: neither reset nor used again */
        if (ch->fin_sent && !ch->finished) {
            webrtc_channel_finish(ch, TERN_OK, 0, "the handshake is done");
        }
        return;
    }
    if (ch->fin_sent && ch->ack_at != 0) {
        webrtc_channel_acknowledge(ch);
    }
    if (ch->fin_sent && ch->fin_got) {
        if (!ch->finished) {
            webrtc_channel_finish(ch, TERN_OK, 0, "both sides ended the stream");
        }
        if (ch->fin_acked) {
            webrtc_channel_close(ch);
        } else if (ch->until == 0) {
            webrtc_channel_deadline(ch, WEBRTC_FIN_TIME);
        }
    } else if (ch->fin_sent && ch->base.stopped && ch->until == 0) {
        webrtc_channel_deadline(ch, WEBRTC_LINGER); /* the peer may go on for so long, unread */
    }
}

void webrtc_channel_fin(webrtc_channel *ch)
{
    if (!ch->fin_sent) {
        ch->fin_sent = 1;
        webrtc_channel_flag(ch, TERN_FLAG_FIN, 0);
    }
    webrtc_channel_settle(ch);
}

void webrtc_channel_cut(webrtc_channel *ch, uint64_t code)
{
    tern_sctp_stream_clear(&ch->conn->sctp, &ch->st);
    if (!ch->closing) {
        webrtc_channel_flag(ch, TERN_FLAG_RESET, code);
    }
    ch->finished = 1;
    webrtc_channel_close(ch);
}

void webrtc_channel_late(webrtc_channel *ch, uint64_t now)
{
    if (ch->ack_at != 0 && now >= ch->ack_at) {
        webrtc_channel_acknowledge(ch);
    }
    if (ch->until != 0 && now >= ch->until) {
        ch->until = 0;
        if (ch->fin_got) {
            webrtc_channel_close(ch); /* without an acknowledgement */
        } else {
            webrtc_channel_finish(ch, TERN_E_RESET, 0, "the peer goes on with what nobody reads");
            webrtc_channel_cut(ch, 0);
        }
    }
}
