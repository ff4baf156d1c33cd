/* AutoNAT, the client: a question, and what is paid for it. See autonat_ask.h; what comes back on
 * another connection is dial_back.c's. */
#include "nat/autonat_ask.h"

#include "base/mem.h"
#include "codec/varint.h"

static const uint8_t filling[TERN_AUTONAT_CHUNK];

/* ---- birth and end ---- */

tern_autonat_ask *tern_autonat_ask_new(tern_net *net, bool old)
{
    tern_autonat_ask *ask = tern_calloc(1, sizeof *ask);
    if (ask == NULL) {
        net->counters.allocation_failures++;
        return NULL;
    }
    ask->net = net;
    ask->old = old;
    tern_list_init(&ask->link);
    tern_frame_init(&ask->frame, old ? TERN_AUTONAT_1_MESSAGE_MAX : TERN_AUTONAT_MESSAGE_MAX);
    tern_loop_random(net->loop, &ask->nonce, sizeof ask->nonce);
    return ask;
}

static void free_ask(tern_autonat_ask *ask)
{
    tern_list_remove(&ask->link);
    tern_timer_stop(&ask->timer);
    tern_frame_free(&ask->frame);
    tern_buf_free(&ask->unsent);
    for (size_t i = 0; i < ask->way_count; i++) {
        tern_multiaddr_unref(ask->ways[i].addr);
    }
    tern_free(ask);
}

static void tell(tern_autonat_ask *ask, tern_reach_answer said, size_t way)
{
    void (*done)(void *, tern_autonat_ask *, tern_reach_answer, size_t) = ask->done;
    ask->done = NULL;
    tern_list_remove(&ask->link);
    if (done != NULL) {
        done(ask->owner, ask, said, way);
    }
}

/* The answer has come, on a stream that is ours. */
static void finish(tern_autonat_ask *ask, tern_reach_answer said, size_t way)
{
    tern_stream *s = ask->s;
    tell(ask, said, way);
    free_ask(ask);
    tern_stream_drop(s);
}

/* The server broke a rule. */
static void broken(tern_autonat_ask *ask)
{
    ask->net->counters.autonat_bad_answers++;
    tern_stream_reset(ask->s, 0);
    finish(ask, TERN_REACH_NOTHING, ask->way_count);
}

void tern_autonat_ask_cancel(tern_autonat_ask *ask)
{
    ask->done = NULL;
    tern_list_remove(&ask->link);
    tern_stream_reset(ask->s, 0); /* its end frees the question */
}

/* ---- paying ---- */

/* The next part of what is owed, to be sent. */
static int fill(tern_autonat_ask *ask)
{
    size_t n = ask->owed < sizeof filling ? ask->owed : sizeof filling;
    tern_autonat_message m = {.kind = TERN_AUTONAT_DATA_RESPONSE, .data = {filling, n}};
    uint8_t prefix[TERN_VARINT_MAX];
    tern_buf out;
    tern_buf_init(&out, TERN_AUTONAT_MESSAGE_MAX);
    int code = tern_autonat_build(&m, &out);
    if (code == 0) {
        code = tern_buf_append(&ask->unsent, prefix, tern_varint_put(prefix, tern_buf_len(&out)));
    }
    if (code == 0) {
        code = tern_buf_append(&ask->unsent, tern_buf_data(&out), tern_buf_len(&out));
    }
    tern_buf_free(&out);
    ask->owed -= n;
    ask->net->counters.autonat_paid += n;
    return code;
}

/* Sends until all is sent or there is no room: on_room goes on then. */
static void pay(tern_autonat_ask *ask)
{
    while (ask->owed > 0 || tern_buf_len(&ask->unsent) > 0) {
        if (tern_buf_len(&ask->unsent) == 0 && fill(ask) != 0) {
            ask->net->counters.allocation_failures++;
            tern_stream_reset(ask->s, 0);
            return;
        }
        size_t n =
            tern_stream_write(ask->s, tern_buf_data(&ask->unsent), tern_buf_len(&ask->unsent));
        tern_buf_consume(&ask->unsent, n);
        if (tern_buf_len(&ask->unsent) > 0) {
            return;
        }
    }
}

/* ---- answers ---- */

static bool on_data_request(tern_autonat_ask *ask, const tern_autonat_message *m)
{
    if (ask->paying || m->index >= ask->way_count || m->bytes > TERN_AUTONAT_DATA_MOST) {
        return false;
    }
    ask->paying = true;
    ask->owed = (size_t)m->bytes;
    pay(ask);
    return true;
}

static void on_response(tern_autonat_ask *ask, const tern_autonat_message *m)
{
    if (m->status != TERN_AUTONAT_OK) {
        finish(ask, TERN_REACH_NOTHING, ask->way_count);
    } else if (m->index >= ask->way_count) {
        broken(ask);
    } else if (ask->ways[m->index].proven) { /* whatever it thinks: we heard it there */
        finish(ask, TERN_REACH_YES, m->index);
    } else if (m->dial_status == TERN_AUTONAT_DIAL_ERROR) {
        finish(ask, TERN_REACH_NO, m->index);
    } else {
        ask->net->counters.autonat_unproven += m->dial_status == TERN_AUTONAT_DIAL_OK;
        finish(ask, TERN_REACH_NOTHING, m->index);
    }
}

static void on_message(tern_autonat_ask *ask, tern_span message)
{
    tern_autonat_message m;
    if (tern_autonat_parse(message, &m) != 0) {
        broken(ask);
        return;
    }
    if (m.kind == TERN_AUTONAT_RESPONSE) {
        on_response(ask, &m);
    } else if (m.kind != TERN_AUTONAT_DATA_REQUEST || !on_data_request(ask, &m)) {
        broken(ask);
    }
    tern_autonat_clear(&m);
}

/* Which way an answer of version 1 is about: the one that it names, or the only one. */
static size_t way_of(const tern_autonat_ask *ask, const tern_autonat_1_message *m)
{
    for (size_t i = 0; i < ask->way_count; i++) {
        tern_multiaddr *named = m->addr_count > 0 ? tern_ma_without_p2p(m->addrs[0]) : NULL;
        bool same = named == NULL || tern_multiaddr_equal(named, ask->ways[i].addr);
        tern_multiaddr_unref(named);
        if (same) {
            return i;
        }
    }
    return ask->way_count;
}

static void on_message_1(tern_autonat_ask *ask, tern_span message)
{
    tern_autonat_1_message m;
    if (tern_autonat_1_parse(message, &m) != 0) {
        broken(ask);
        return;
    }
    size_t way = way_of(ask, &m);
    if (!m.response) {
        broken(ask);
    } else {
        tern_reach_answer said = way == ask->way_count                   ? TERN_REACH_NOTHING
                                 : m.status == TERN_AUTONAT_1_OK         ? TERN_REACH_YES
                                 : m.status == TERN_AUTONAT_1_DIAL_ERROR ? TERN_REACH_NO
                                                                         : TERN_REACH_NOTHING;
        finish(ask, said, way);
    }
    tern_autonat_1_clear(&m);
}

/* ---- the stream ---- */

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    tern_autonat_ask *ask = owner;
    size_t at = 0;
    while (at < n) {
        size_t used = 0;
        tern_span message;
        int code = tern_frame_feed(&ask->frame, data + at, n - at, &used, &message);
        at += used;
        if (code < 0) {
            broken(ask);
        } else if (code == 1) {
            (ask->old ? on_message_1 : on_message)(ask, message);
        }
        if (s->dropped) {
            return n; /* it has its answer, and is gone */
        }
    }
    return n;
}

static void on_room(void *owner, tern_stream *s)
{
    (void)s;
    pay(owner);
}

static void on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_reset(s, 0); /* without an answer */
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    tern_autonat_ask *ask = owner;
    (void)s;
    (void)why;
    tell(ask, TERN_REACH_NOTHING, ask->way_count);
    free_ask(ask);
}

static const tern_stream_events ask_events = {
    .on_data = on_data, .on_room = on_room, .on_end = on_end, .on_closed = on_closed};

static void on_opened(void *owner, tern_stream *s, const char *id, const tern_error *error)
{
    tern_autonat_ask *ask = owner;
    (void)id;
    (void)error;
    if (s == NULL) {
        tell(ask, TERN_REACH_NOTHING, ask->way_count);
        free_ask(ask);
        return;
    }
    tern_stream_take(s, &ask_events, ask);
}

static void on_time(tern_timer *timer)
{
    tern_autonat_ask *ask = TERN_CONTAINER(timer, tern_autonat_ask, timer);
    ask->net->counters.autonat_timeouts++;
    tern_stream_reset(ask->s, 0); /* its end tells */
}

static int build(const tern_autonat_ask *ask, tern_buf *out)
{
    if (ask->old) {
        tern_autonat_1_message m = {.peer = ask->net->self};
        for (; m.addr_count < ask->way_count; m.addr_count++) {
            m.addrs[m.addr_count] = ask->ways[m.addr_count].addr;
        }
        return tern_autonat_1_build(&m, out);
    }
    tern_autonat_message m = {.kind = TERN_AUTONAT_REQUEST, .nonce = ask->nonce};
    for (; m.addr_count < ask->way_count; m.addr_count++) {
        m.addrs[m.addr_count] = ask->ways[m.addr_count].addr;
    }
    return tern_autonat_build(&m, out);
}

int tern_autonat_ask_start(tern_autonat_ask *ask, tern_conn *conn, tern_list *list)
{
    static const char *const ids[] = {TERN_AUTONAT_REQUEST_ID, NULL};
    static const char *const ids_1[] = {TERN_AUTONAT_1_ID, NULL};
    tern_net *net = ask->net;
    tern_buf out;
    tern_buf_init(&out, TERN_AUTONAT_MESSAGE_MAX);
    int code = ask->way_count > 0 ? build(ask, &out) : TERN_E_INVALID;
    if (code == 0) {
        ask->s = net->ops->open(net, conn, ask->old ? ids_1 : ids, false, on_opened, ask, NULL);
        code = ask->s == NULL ? TERN_E_CONN_CLOSED : 0;
    }
    if (code != 0) {
        tern_buf_free(&out);
        free_ask(ask);
        return code;
    }
    net->counters.autonat_asked++;
    tern_list_push(list, &ask->link);
    tern_timer_start(net->loop, &ask->timer, tern_loop_now(net->loop) + TERN_AUTONAT_ANSWER_TIME,
                     on_time);
    if (tern_frame_write(ask->s, tern_buf_data(&out), tern_buf_len(&out)) != 0) {
        tern_stream_reset(ask->s, 0); /* on_opened comes */
    }
    tern_buf_free(&out);
    return 0;
}
