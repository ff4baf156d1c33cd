/* The peer's control stream: SETTINGS, GOAWAY, and frames that have no place there (RFC 9114,
 * sections 6.2.1 and 7.2). See session.h. */
#include "webtransport/session.h"

/* What a frame that is one integer says; false: it is not. */
static bool one_integer(const tern_h3_item *item, uint64_t *ret)
{
    return item->value.len > 0 &&
           tern_h3_int_get(item->value.data, item->value.len, ret) == item->value.len;
}

static void on_settings(wt_stream *w, tern_span value)
{
    wt_session *s = w->session;
    tern_h3_settings settings;
    uint64_t bad = w->settings ? TERN_H3_FRAME_UNEXPECTED : tern_h3_settings_read(value, &settings);
    w->settings = true;
    if (bad != 0) {
        wt_session_broken(s, bad, "bad SETTINGS");
    } else if (!s->server && !(settings.sessions && settings.connect)) {
        wt_session_fail(s, TERN_WT_REQUIREMENTS, NULL, TERN_E_PROTOCOL,
                        "the server speaks HTTP/3, but its SETTINGS allow no WebTransport");
    } else {
        wt_session_allowed(s);
    }
}

/* No more requests: ours was made, or is not to be answered. */
static void on_goaway(wt_session *s, const tern_h3_item *item)
{
    uint64_t id;
    if (!one_integer(item, &id)) {
        wt_session_broken(s, TERN_H3_FRAME_ERROR, "a bad GOAWAY");
    } else if ((!s->server && (id & 3) != 0) || (s->goaway_came && id > s->goaway)) {
        wt_session_broken(s, TERN_H3_ID_ERROR, "a GOAWAY with a wrong id");
    } else {
        s->goaway_came = true;
        s->goaway = id;
        if (!s->server && !s->accepted && id == 0) {
            wt_session_fail(s, TERN_H3_NO_ERROR, NULL, TERN_E_CONN_CLOSED,
                            "the server takes no sessions any more");
        }
    }
}

/* Nobody promises pushes here: a client may say how many it would take, and no less later. */
static void on_push_frame(wt_session *s, const tern_h3_item *item)
{
    uint64_t id;
    if (!one_integer(item, &id)) {
        wt_session_broken(s, TERN_H3_FRAME_ERROR, "a bad frame about pushes");
    } else if (item->type == TERN_H3_MAX_PUSH_ID && !s->server) {
        wt_session_broken(s, TERN_H3_FRAME_UNEXPECTED, "a server asks for pushes");
    } else if (item->type == TERN_H3_CANCEL_PUSH || id < s->most_pushes) {
        wt_session_broken(s, TERN_H3_ID_ERROR, "a frame about pushes that were not asked for");
    } else {
        s->most_pushes = id;
    }
}

void wt_control_frame(wt_stream *w, const tern_h3_item *item)
{
    wt_session *s = w->session;
    if (!w->settings && item->type != TERN_H3_SETTINGS) {
        wt_session_broken(s, TERN_H3_MISSING_SETTINGS,
                          "the control stream does not begin with SETTINGS");
        return;
    }
    switch (item->type) {
    case TERN_H3_SETTINGS:
        on_settings(w, item->value);
        return;
    case TERN_H3_GOAWAY:
        on_goaway(s, item);
        return;
    case TERN_H3_CANCEL_PUSH:
    case TERN_H3_MAX_PUSH_ID:
        on_push_frame(s, item);
        return;
    default:
        if (item->type <= TERN_H3_HEADERS || item->type == TERN_H3_PUSH_PROMISE ||
            tern_h3_reserved(item->type)) {
            wt_session_broken(s, TERN_H3_FRAME_UNEXPECTED,
                              "a frame that no control stream may have");
        }
    }
}
