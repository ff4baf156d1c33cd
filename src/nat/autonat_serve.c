/* AutoNAT 2, the server: what is dialled, what it costs, and the answer. See autonat.h. */
#include "nat/autonat_inner.h"

/* ---- the answer ---- */

static void answer(request *q, uint32_t status, uint32_t dial_status)
{
    tern_autonat_message m = {.kind = TERN_AUTONAT_RESPONSE,
                              .status = status,
                              .index = q->index,
                              .dial_status = dial_status};
    tern_counters *c = &q->autonat->net->counters;
    tern_buf out;
    tern_buf_init(&out, TERN_AUTONAT_MESSAGE_MAX);
    c->autonat_refused += status != TERN_AUTONAT_OK;
    c->autonat_reached += dial_status == TERN_AUTONAT_DIAL_OK;
    c->allocation_failures += tern_autonat_build(&m, &out) != 0; /* nothing is written then */
    autonat_answer(q, &out);
    tern_buf_free(&out);
}

/* ---- the dial-back ---- */

static void back_gone(request *q)
{
    tern_conn *conn = q->back_conn;
    q->back = NULL;
    q->back_conn = NULL;
    if (conn != NULL) {
        tern_conn_close(conn, 0, "dialled back");
    }
    if (q->s != NULL) {
        answer(q, TERN_AUTONAT_OK, TERN_AUTONAT_DIAL_BACK_ERROR);
    } else {
        autonat_free_request(q);
    }
}

static size_t on_back_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    request *q = owner;
    size_t used = 0;
    tern_span message;
    if (q->s == NULL) {
        return n;
    }
    int code = tern_frame_feed(&q->back_frame, data, n, &used, &message);
    if (code == 0) {
        return n;
    }
    tern_conn *conn = q->back_conn;
    q->back = NULL;
    q->back_conn = NULL;
    answer(q, TERN_AUTONAT_OK, code == 1 ? TERN_AUTONAT_DIAL_OK : TERN_AUTONAT_DIAL_BACK_ERROR);
    tern_stream_drop(s);
    tern_conn_close(conn, 0, "dialled back");
    return n;
}

static void on_back_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_reset(s, 0); /* without an answer */
}

static void on_back_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    back_gone(owner);
}

static const tern_stream_events back_events = {
    .on_data = on_back_data, .on_end = on_back_end, .on_closed = on_back_closed};

static void on_back_opened(void *owner, tern_stream *s, const char *id, const tern_error *error)
{
    request *q = owner;
    (void)id;
    (void)error;
    if (s == NULL) {
        back_gone(q);
        return;
    }
    tern_stream_take(s, &back_events, q);
    if (q->s == NULL) { /* nobody waits for it any more */
        tern_stream_reset(s, 0);
    }
}

static void on_late(tern_timer *timer)
{
    request *q = TERN_CONTAINER(timer, request, timer);
    answer(q, TERN_AUTONAT_OK,
           q->phase == GREETING ? TERN_AUTONAT_DIAL_BACK_ERROR : TERN_AUTONAT_DIAL_ERROR);
}

static void on_dialled(void *owner, tern_conn *conn, const tern_error *error)
{
    static const char *const ids[] = {TERN_AUTONAT_DIAL_BACK_ID, NULL};
    request *q = owner;
    tern_buf out;
    (void)error;
    q->dial = NULL;
    if (conn == NULL) {
        answer(q, TERN_AUTONAT_OK, TERN_AUTONAT_DIAL_ERROR);
        return;
    }
    q->back = q->stranger->ops->open(q->stranger, conn, ids, false, on_back_opened, q, NULL);
    if (q->back == NULL) {
        tern_conn_close(conn, 0, "dialled back");
        answer(q, TERN_AUTONAT_OK, TERN_AUTONAT_DIAL_BACK_ERROR);
        return;
    }
    q->back_conn = conn;
    autonat_phase(q, GREETING, TERN_AUTONAT_BACK_TIME, on_late);
    tern_buf_init(&out, TERN_AUTONAT_DIAL_BACK_MAX);
    if (tern_autonat_build_dial_back(q->nonce, &out) == 0 &&
        tern_frame_write(q->back, tern_buf_data(&out), tern_buf_len(&out)) == 0) {
        tern_stream_end(q->back);
    } else {
        tern_stream_reset(q->back, 0);
    }
    tern_buf_free(&out);
}

/* ---- the request ---- */

static void dial(request *q)
{
    autonat_phase(q, DIALLING, TERN_AUTONAT_DIAL_TIME, on_late);
    if (!autonat_dial(q, &q->addr, 1, on_dialled)) {
        q->autonat->net->counters.allocation_failures++;
        answer(q, TERN_AUTONAT_INTERNAL_ERROR, TERN_AUTONAT_DIAL_UNUSED);
    }
}

static void on_waited(tern_timer *timer)
{
    dial(TERN_CONTAINER(timer, request, timer));
}

/* A number of at most `most`. */
static uint64_t draw(request *q, uint64_t most)
{
    uint64_t random;
    tern_loop_random(q->autonat->net->loop, &random, sizeof random);
    return random % (most + 1);
}

/* Asks to be paid for a dial to somebody else's IP. */
static void charge(request *q)
{
    tern_autonat_message m = {.kind = TERN_AUTONAT_DATA_REQUEST, .index = q->index};
    tern_buf out;
    m.bytes = TERN_AUTONAT_DATA_LEAST + draw(q, TERN_AUTONAT_DATA_MOST - TERN_AUTONAT_DATA_LEAST);
    q->owed = (size_t)m.bytes;
    q->phase = PAYING; /* within the time for the request */
    q->autonat->net->counters.autonat_charged++;
    tern_buf_init(&out, TERN_AUTONAT_MESSAGE_MAX);
    if (tern_autonat_build(&m, &out) != 0 ||
        tern_frame_write(q->s, tern_buf_data(&out), tern_buf_len(&out)) != 0) {
        tern_stream_reset(q->s, 0);
    }
    tern_buf_free(&out);
}

/* The first address that can be dialled; whether there is one. */
static bool choose(request *q, tern_autonat_message *m, tern_endpoint *ret)
{
    for (size_t i = 0; i < m->addr_count; i++) {
        tern_multiaddr *bare = m->addrs[i] != NULL ? tern_ma_without_p2p(m->addrs[i]) : NULL;
        if (autonat_dialable(q->autonat, bare, ret)) {
            q->addr = bare;
            q->index = (uint32_t)i;
            return true;
        }
        tern_multiaddr_unref(bare);
    }
    return false;
}

static bool same_ip(const tern_endpoint *a, const tern_endpoint *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static void on_request(request *q, tern_autonat_message *m)
{
    tern_autonat *a = q->autonat;
    uint64_t now = tern_loop_now(a->net->loop);
    tern_endpoint to;
    q->nonce = m->nonce;
    if (!choose(q, m, &to)) {
        answer(q, TERN_AUTONAT_DIAL_REFUSED, TERN_AUTONAT_DIAL_UNUSED);
        return;
    }
    bool others = !same_ip(&to, &q->from);
    if (!tern_rate_admit(&a->rate, now, &q->from, &q->peer) ||
        (others && !tern_rate_admit(&a->paid, now, &q->from, &q->peer))) {
        a->net->counters.autonat_rate++;
        answer(q, TERN_AUTONAT_REQUEST_REJECTED, TERN_AUTONAT_DIAL_UNUSED);
    } else if (others) {
        charge(q);
    } else {
        dial(q);
    }
}

/* Messages that pay next to nothing cost us more than the peer. */
static void on_payment(request *q, size_t n)
{
    if (n < TERN_AUTONAT_CHUNK_LEAST && n < q->owed) {
        autonat_break(q);
        return;
    }
    q->owed -= n < q->owed ? n : q->owed;
    if (q->owed == 0) {
        autonat_phase(q, WAITING, draw(q, TERN_AUTONAT_WAIT_TIME), on_waited);
    }
}

void autonat_serve(request *q, tern_span message)
{
    tern_autonat_message m;
    if (tern_autonat_parse(message, &m) != 0) {
        autonat_break(q);
        return;
    }
    if (q->phase == ASKING && m.kind == TERN_AUTONAT_REQUEST) {
        on_request(q, &m);
    } else if (q->phase == PAYING && m.kind == TERN_AUTONAT_DATA_RESPONSE) {
        on_payment(q, m.data.len);
    } else {
        autonat_break(q);
    }
    tern_autonat_clear(&m);
}
