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

void webrtc_channel_free_if_done(webrtc_channel *ch)
{
    if (ch->gone && ch->reset_done && ch->reset_got && ch->conn->phase != WEBRTC_OVER) {
        free_channel(ch);
    }
}

void webrtc_channel_release(webrtc_channel *ch)
{
    tern_sctp_consumed(&ch->conn->sctp, ch->unread);
    ch->unread = 0;
}

/* ---- opening ---- */

/* Our lowest free id: the client's are even, the server's odd (RFC 8832, 6). */
static bool free_id(webrtc_conn *c, uint16_t *ret)
{
    for (uint16_t sid = c->server ? 1 : 2; sid < WEBRTC_IDS; sid = (uint16_t)(sid + 2)) {
        if (webrtc_channel_find(c, sid) == NULL) {
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
        webrtc_channel_finish(worst, TERN_E_LIMIT, 0,
                              "unread for 30 seconds while other streams wait");
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
