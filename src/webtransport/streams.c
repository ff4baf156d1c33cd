/* The streams that HTTP/3 is made of, and what the others begin with: see session.h. */
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "webtransport/h3_fields.h"
#include "webtransport/session.h"

static const tern_stream_events stream_events;

/* ---- birth and end ---- */

static wt_stream *new_stream(wt_session *s, tern_stream *stream, bool both_ways)
{
    wt_stream *w = tern_calloc(1, sizeof *w);
    if (w == NULL) {
        s->net->counters.allocation_failures++;
        tern_stream_reset(stream, TERN_H3_INTERNAL_ERROR);
        tern_stream_drop(stream);
        return NULL;
    }
    w->session = s;
    w->s = stream;
    w->both_ways = both_ways;
    tern_h3_reader_init(&w->reader, both_ways ? tern_h3_most_of_request : tern_h3_most_of_control);
    tern_list_push(&s->streams, &w->link);
    tern_stream_take(stream, &stream_events, w);
    return w;
}

void wt_stream_came(wt_session *s, tern_stream *stream, bool both_ways)
{
    new_stream(s, stream, both_ways);
}

wt_stream *wt_stream_of_ours(wt_session *s, tern_stream *stream)
{
    wt_stream *w = new_stream(s, stream, true);
    if (w != NULL) {
        w->kind = TERN_H3_FRAMES;
    }
    return w;
}

static void free_stream(wt_stream *w)
{
    wt_session *s = w->session;
    tern_list_remove(&w->link);
    s->early -= w->kind == TERN_H3_SESSION;
    if (s->connect == w) {
        s->connect = NULL;
    }
    tern_h3_reader_clear(&w->reader);
    tern_free(w);
}

tern_stream *wt_stream_release(wt_stream *w)
{
    tern_stream *stream = w->s;
    tern_stream_take(stream, NULL, NULL);
    free_stream(w);
    return stream;
}

/* Not ours to read: its bytes are refused with a code of HTTP/3's. */
static void refuse(wt_stream *w, uint64_t code)
{
    bool both_ways = w->both_ways;
    tern_stream *stream = wt_stream_release(w);
    if (both_ways) {
        tern_stream_reset(stream, code);
    } else {
        tern_stream_stop(stream, code);
    }
    tern_stream_drop(stream);
}

void wt_streams_drop(wt_session *s)
{
    while (!tern_list_empty(&s->streams)) {
        tern_stream_drop(wt_stream_release(TERN_CONTAINER(s->streams.next, wt_stream, link)));
    }
}

/* ---- requests ---- */

static void send_status(wt_stream *w, unsigned status, bool draft02)
{
    tern_buf out;
    tern_buf_init(&out, 0);
    if (tern_h3_put_status(&out, status, draft02) == 0) {
        tern_stream_write(w->s, tern_buf_data(&out), tern_buf_len(&out));
    } else {
        w->session->net->counters.allocation_failures++;
        tern_stream_reset(w->s, TERN_H3_INTERNAL_ERROR);
    }
    tern_buf_free(&out);
}

/* One more request that is no session. */
static void one_more(wt_session *s, uint64_t *count)
{
    ++*count;
    if (++s->refused > WT_REQUESTS_MAX) {
        wt_session_fail(s, TERN_H3_EXCESSIVE_LOAD, NULL, TERN_E_LIMIT,
                        "too many requests that are no session");
    }
}

/* Answers with an error; the stream is over. */
static void answer(wt_stream *w, unsigned status)
{
    wt_session *s = w->session;
    send_status(w, status, false);
    tern_stream *stream = wt_stream_release(w);
    tern_stream_end(stream);
    tern_stream_stop(stream, TERN_H3_NO_ERROR);
    tern_stream_drop(stream);
    one_more(s, &s->net->counters.wt_refused);
}

/* Whether a query has type=noise among its parts. */
static bool asks_for_noise(const char *query)
{
    size_t n = strlen(WT_QUERY);
    while (query != NULL) {
        if (strncmp(query, WT_QUERY, n) == 0 && (query[n] == 0 || query[n] == '&')) {
            return true;
        }
        query = strchr(query, '&');
        query += query != NULL;
    }
    return false;
}

/* 200, or what is wrong with a request. Origins are all the same to us: peers prove who they are,
 * pages cannot borrow anything of a browser's here. */
static unsigned judge(const tern_h3_fields *f)
{
    size_t n = strlen(WT_PATH);
    if (strcmp(f->method, "CONNECT") != 0) {
        return 404;
    }
    if (strcmp(f->protocol, "webtransport") != 0 && strcmp(f->protocol, "webtransport-h3") != 0) {
        return 501;
    }
    if (strncmp(f->path, WT_PATH, n) != 0 || (f->path[n] != 0 && f->path[n] != '?')) {
        return 404;
    }
    return strcmp(f->scheme, "https") == 0 && f->authority[0] != 0 && f->path[n] == '?' &&
                   asks_for_noise(f->path + n + 1)
               ? 200
               : 400;
}

/* False: the stream is not ours any more. */
static bool on_request(wt_stream *w, tern_span section)
{
    wt_session *s = w->session;
    tern_h3_fields f;
    uint64_t bad = tern_h3_fields_read(section, true, &f);
    if (bad == TERN_QPACK_FAILED) {
        wt_session_broken(s, bad, "fields that do not decode");
        return true;
    }
    if (bad == TERN_H3_EXCESSIVE_LOAD) {
        s->net->counters.h3_too_large++;
        answer(w, 431);
        return false;
    }
    if (bad != 0) {
        refuse(w, bad);
        one_more(s, bad == TERN_H3_MESSAGE_ERROR ? &s->net->counters.h3_malformed
                                                 : &s->net->counters.allocation_failures);
        return false;
    }
    unsigned status = judge(&f);
    if (status != 200) {
        answer(w, status);
        return false;
    }
    if (s->connect != NULL || s->accepted) { /* one session a connection */
        refuse(w, TERN_H3_REQUEST_REJECTED);
        one_more(s, &s->net->counters.wt_refused);
        return false;
    }
    w->answered = true;
    send_status(w, 200, f.draft02);
    wt_session_accepted(s, w);
    return true;
}

static void on_response(wt_stream *w, tern_span section)
{
    wt_session *s = w->session;
    tern_h3_fields f;
    char text[64];
    uint64_t bad = tern_h3_fields_read(section, false, &f);
    if (bad != 0) {
        wt_session_broken(s, bad, "an answer that does not decode");
    } else if (f.status >= 200 && f.status < 300) {
        w->answered = true;
        wt_session_accepted(s, w);
    } else if (f.status >= 200) {
        snprintf(text, sizeof text, "the server refuses: HTTP status %u", f.status);
        wt_session_fail(s, TERN_H3_NO_ERROR, NULL, TERN_E_PROTOCOL, text);
    }
}

/* False: the stream is not ours any more. */
static bool on_request_frame(wt_stream *w, const tern_h3_item *item)
{
    wt_session *s = w->session;
    switch (item->type) {
    case TERN_H3_HEADERS:
        if (w->answered) {
            wt_session_broken(s, TERN_H3_FRAME_UNEXPECTED, "fields within a session");
        } else if (s->server) {
            return on_request(w, item->value);
        } else {
            on_response(w, item->value);
        }
        return true;
    case TERN_H3_DATA:
        if (!w->answered) {
            wt_session_broken(s, TERN_H3_FRAME_UNEXPECTED, "data before a request");
        } else if (w == s->connect) {
            wt_session_capsules(s, item->value);
        }
        return true;
    case TERN_H3_CANCEL_PUSH:
    case TERN_H3_SETTINGS:
    case TERN_H3_PUSH_PROMISE:
    case TERN_H3_GOAWAY:
    case TERN_H3_MAX_PUSH_ID:
        wt_session_broken(s, TERN_H3_FRAME_UNEXPECTED, "a frame that no request may have");
        return true;
    default:
        if (tern_h3_reserved(item->type)) {
            wt_session_broken(s, TERN_H3_FRAME_UNEXPECTED, "a frame of HTTP/2's");
        }
        return true;
    }
}

/* False: the stream is not ours any more. */
static bool on_frames(wt_stream *w, tern_span data)
{
    wt_session *s = w->session;
    tern_h3_item item;
    int r = 0;
    while (!s->failed && (r = tern_h3_next(&w->reader, &data, &item)) == 1) {
        if (w->kind == TERN_H3_CONTROL) {
            wt_control_frame(w, &item);
        } else if (!on_request_frame(w, &item)) {
            return false;
        }
    }
    if (r == TERN_E_NOMEM) {
        s->net->counters.allocation_failures++;
        wt_session_fail(s, TERN_H3_INTERNAL_ERROR, NULL, TERN_E_NOMEM, "out of memory");
    } else if (r < 0 && w->kind == TERN_H3_FRAMES && s->server && !w->answered) {
        s->net->counters.h3_too_large++;
        answer(w, 431);
        return false;
    } else if (r < 0) {
        s->net->counters.h3_too_large++;
        wt_session_fail(s, TERN_H3_EXCESSIVE_LOAD, NULL, TERN_E_TOO_LARGE,
                        "a frame beyond its limit");
    }
    return true;
}

/* ---- what a stream begins with ---- */

/* False: the stream is not ours any more. */
static bool on_session_stream(wt_stream *w)
{
    wt_session *s = w->session;
    uint64_t id = w->prefix.session;
    w->kind = TERN_H3_UNKNOWN; /* until it is known to wait */
    if ((id & 3) != 0) {
        wt_session_broken(s, TERN_H3_ID_ERROR, "a session that is no request of the client's");
        return true;
    }
    if (!w->both_ways) { /* libp2p has none */
        s->net->counters.wt_bad_stream++;
        refuse(w, tern_wt_code_out(0));
        return false;
    }
    if (s->accepted && id == s->id) {
        wt_session_stream(s, wt_stream_release(w));
        return false;
    }
    if (s->accepted || s->early >= WT_EARLY) {
        s->net->counters.wt_bad_stream++;
        refuse(w, s->accepted ? TERN_WT_SESSION_GONE : TERN_WT_BUFFERED_REJECTED);
        return false;
    }
    w->kind = TERN_H3_SESSION;
    s->early++;
    return true;
}

/* False: the stream is not ours any more. */
static bool on_kind(wt_stream *w)
{
    wt_session *s = w->session;
    bool *came = w->kind == TERN_H3_CONTROL   ? &s->control_came
                 : w->kind == TERN_H3_ENCODER ? &s->encoder_came
                 : w->kind == TERN_H3_DECODER ? &s->decoder_came
                                              : NULL;
    if (came != NULL && *came) {
        wt_session_broken(s, TERN_H3_STREAM_CREATION_ERROR,
                          "a second stream of a kind that there is one of");
    } else if (came != NULL) {
        *came = true;
    } else if (w->kind == TERN_H3_SESSION) {
        return on_session_stream(w);
    } else if (w->kind == TERN_H3_PUSH) {
        wt_session_broken(s, s->server ? TERN_H3_STREAM_CREATION_ERROR : TERN_H3_ID_ERROR,
                          "a push that nobody asked for");
    } else if (w->kind == TERN_H3_UNKNOWN) {
        refuse(w, TERN_H3_STREAM_CREATION_ERROR);
        return false;
    } else if (w->kind == TERN_H3_FRAMES && !s->server) {
        wt_session_broken(s, TERN_H3_STREAM_CREATION_ERROR, "a request of a server's");
    } else if (w->kind == TERN_H3_FRAMES) {
        return on_frames(w, (tern_span){w->prefix.bytes, w->prefix.n});
    }
    return true;
}

void wt_streams_go_on(wt_session *s)
{
    tern_list *next;
    for (tern_list *l = s->streams.next; l != &s->streams && !s->failed; l = next) {
        wt_stream *w = TERN_CONTAINER(l, wt_stream, link);
        next = l->next;
        if (w->kind == TERN_H3_SESSION) {
            s->early--;
            on_session_stream(w);
        }
    }
}

/* ---- events ---- */

static size_t on_data(void *owner, tern_stream *stream, uint8_t *data, size_t n)
{
    wt_stream *w = owner;
    wt_session *s = w->session;
    size_t used = 0;
    (void)stream;
    if (s->failed) {
        return n;
    }
    if (w->kind == TERN_H3_UNDECIDED) {
        w->kind = tern_h3_prefix_feed(&w->prefix, w->both_ways, data, n, &used);
        if (w->kind == TERN_H3_UNDECIDED || !on_kind(w)) {
            return used;
        }
    }
    tern_span rest = {data + used, n - used};
    switch (w->kind) {
    case TERN_H3_SESSION: /* waits for its CONNECT; what has come is kept */
        return used;
    case TERN_H3_ENCODER:
        if (!tern_qpack_encoder_says_nothing(rest)) {
            wt_session_broken(s, TERN_QPACK_ENCODER_ERROR,
                              "QPACK instructions for a table that has no place");
        }
        return n;
    case TERN_H3_DECODER:
        if (!tern_qpack_decoder_cancels(&w->cancels, rest)) {
            wt_session_broken(s, TERN_QPACK_DECODER_ERROR,
                              "QPACK acknowledgements of what was not sent");
        }
        return n;
    case TERN_H3_CONTROL:
    case TERN_H3_FRAMES:
        on_frames(w, rest);
        return n;
    default:
        return n;
    }
}

static bool is_critical(const wt_stream *w)
{
    return w->kind == TERN_H3_CONTROL || w->kind == TERN_H3_ENCODER || w->kind == TERN_H3_DECODER;
}

static void on_end(void *owner, tern_stream *stream)
{
    wt_stream *w = owner;
    wt_session *s = w->session;
    (void)stream;
    if (s->failed) {
        return;
    }
    if (is_critical(w)) {
        wt_session_broken(s, TERN_H3_CLOSED_CRITICAL_STREAM, "a stream that must stay open ends");
    } else if (w->kind == TERN_H3_FRAMES && !tern_h3_reader_between(&w->reader)) {
        wt_session_broken(s, TERN_H3_FRAME_ERROR, "a stream ends within a frame");
    } else if (w == s->connect) {
        wt_session_capsules_end(s);
    } else if (w->kind == TERN_H3_FRAMES && !s->server) {
        wt_session_fail(s, TERN_H3_NO_ERROR, &s->net->counters.h3_malformed, TERN_E_PROTOCOL,
                        "the server does not answer");
    } else if (w->kind == TERN_H3_FRAMES) {
        refuse(w, TERN_H3_REQUEST_INCOMPLETE);
        one_more(s, &s->net->counters.h3_malformed);
    } else if (w->kind == TERN_H3_UNDECIDED) {
        refuse(w, TERN_H3_NO_ERROR);
    }
}

static void on_closed(void *owner, tern_stream *stream, const tern_error *why)
{
    wt_stream *w = owner;
    wt_session *s = w->session;
    bool connect = w == s->connect || (!s->server && w->kind == TERN_H3_FRAMES);
    bool critical = is_critical(w);
    (void)stream;
    free_stream(w);
    if (s->failed) {
        return;
    }
    if (critical) {
        wt_session_broken(s, TERN_H3_CLOSED_CRITICAL_STREAM,
                          "a stream that must stay open is reset");
    } else if (connect) {
        wt_session_ended(s, why->wire, "the peer reset the session");
    }
}

static const tern_stream_events stream_events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed};
