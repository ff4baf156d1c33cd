/* The data channels of a connection: which there are, opening, deadlines, their end. See channel.h.
 */
#include "base/error.h"
#include "base/mem.h"
#include "webrtc/channel.h"

static webrtc_channel **bucket(webrtc_conn *c, uint16_t sid)
{
    return &c->buckets[sid / 2 % WEBRTC_BUCKETS]; /* each side has every other id */
}

webrtc_channel *webrtc_channel_find(webrtc_conn *c, uint16_t sid)
{
    webrtc_channel *ch = *bucket(c, sid);
    while (ch != NULL && ch->st.sid != sid) {
        ch = ch->next;
    }
    return ch;
}

static void link_channel(webrtc_channel *ch)
{
    webrtc_channel **at = bucket(ch->conn, ch->st.sid);
    ch->next = *at;
    *at = ch;
}

static void unlink_channel(webrtc_channel *ch)
{
    webrtc_channel **at = bucket(ch->conn, ch->st.sid);
    while (*at != ch) {
        at = &(*at)->next;
    }
    *at = ch->next;
}

webrtc_channel *webrtc_channel_new(webrtc_conn *c, uint16_t sid)
{
    webrtc_channel *ch = tern_calloc(1, sizeof *ch);
    if (ch == NULL) {
        c->net->counters.allocation_failures++;
        return NULL;
    }
    ch->conn = c;
    tern_sctp_stream_init(&ch->st, sid);
    tern_stream_init(&ch->base, &webrtc_channel_ops, c->base.loop, sid);
    link_channel(ch);
    c->channels++;
    return ch;
}

static void free_channel(webrtc_channel *ch)
{
    webrtc_conn *c = ch->conn;
    unlink_channel(ch);
    c->channels--;
    ch->st.inside = false; /* nothing of it is to be sent any more */
    tern_sctp_stream_clear(&c->sctp, &ch->st);
    tern_free(ch);
}

void webrtc_channel_free_if_done(webrtc_channel *ch)
{
    if (!ch->reset_done || !ch->reset_got || ch->conn->phase == WEBRTC_OVER) {
        return;
    }
    if (ch->gone) {
        free_channel(ch);
    } else if (ch->st.sid != WEBRTC_NO_ID) { /* its owner still reads; the peer may open it anew */
        unlink_channel(ch);
        ch->st.sid = WEBRTC_NO_ID;
        link_channel(ch);
    }
}

void webrtc_channel_release(webrtc_channel *ch)
{
    tern_sctp_consumed(&ch->conn->sctp, ch->unread);
    ch->unread = 0;
}

/* ---- opening ---- */

/* A free id of ours: the client's are even, the server's odd (RFC 8832, 6). In turn, so that one is
 * not used again while the peer may still wait for the end of its last use. */
static bool free_id(webrtc_conn *c, uint16_t *ret)
{
    uint16_t first = c->server ? 1 : 2, sid = c->last_id;
    for (unsigned i = 0; i < WEBRTC_IDS / 2; i++) {
        sid = (uint16_t)(sid == 0 || sid + 2 >= WEBRTC_IDS ? first : sid + 2);
        if (webrtc_channel_find(c, sid) == NULL) {
            *ret = c->last_id = sid;
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
    webrtc_channel *ch = webrtc_channel_new(c, sid);
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

/* The stream that holds most of the window unread: while it is shut no other stream moves, nor can
 * one be opened. */
static void relieve(webrtc_conn *c, uint64_t now)
{
    webrtc_channel *worst = NULL;
    if (c->stalled == 0 || now < c->stalled + WEBRTC_STALL) {
        return;
    }
    c->stalled = 0;
    for (unsigned i = 0; i < WEBRTC_BUCKETS; i++) {
        for (webrtc_channel *ch = c->buckets[i]; ch != NULL; ch = ch->next) {
            if (!ch->gone && ch->unread > (worst != NULL ? worst->unread : 0)) {
                worst = ch;
            }
        }
    }
    if (worst != NULL) {
        c->net->counters.channel_unread++;
        webrtc_channel_finish(worst, TERN_E_LIMIT, 0,
                              "unread for 30 seconds, while it holds up all others");
        webrtc_channel_cut(worst, 0);
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
            webrtc_channel_late(ch, now);
            uint64_t at = ch->until != 0 ? ch->until : TERN_NEVER;
            at = ch->ack_at != 0 && ch->ack_at < at ? ch->ack_at : at;
            c->linger_at = at < c->linger_at ? at : c->linger_at;
        }
    }
}
