/* A CONNECT, step by step: the peer behind us is asked over the stop protocol; when it agrees, its
 * stream and the asker's are spliced.
 *
 *     asker            relay            peer
 *       | -- CONNECT --> | -- CONNECT --> |
 *       | <- STATUS OK - | <- STATUS OK - |
 *       | <========= spliced ===========> | */
#include "nat/relay_inner.h"

#include "base/mem.h"

#define CONNECT_TIME (30 * TERN_SEC) /* for the peer's answer */

static void end_circuit(hop *h)
{
    tern_relay *r = h->relay;
    if (h->circuit) {
        h->circuit = false;
        r->circuits--;
        tern_tally_take(&r->from, h->from.bytes, h->from.len);
        tern_tally_take(&r->to, h->to.bytes, h->to.len);
    }
}

static int count_circuit(hop *h)
{
    tern_relay *r = h->relay;
    if (tern_tally_add(&r->from, h->from.bytes, h->from.len) != 0) {
        return TERN_E_NOMEM;
    }
    if (tern_tally_add(&r->to, h->to.bytes, h->to.len) != 0) {
        tern_tally_take(&r->from, h->from.bytes, h->from.len);
        return TERN_E_NOMEM;
    }
    h->circuit = true;
    r->circuits++;
    return 0;
}

/* Nothing of it is left. */
static void check_over(hop *h)
{
    if (h->s == NULL && h->stop == NULL) {
        end_circuit(h);
        tern_relay_free_hop(h);
    }
}

void tern_relay_abandon(hop *h)
{
    if (h->stop != NULL) {
        tern_stream_reset(h->stop, 0);
    }
    check_over(h);
}

/* The peer's stream ends without a circuit. */
static void refuse(hop *h, uint32_t status)
{
    tern_timer_stop(&h->timer);
    end_circuit(h);
    if (h->s != NULL) {
        tern_relay_refuse(h, status); /* frees h when the peer's stream is gone too */
    } else {
        check_over(h);
    }
}

static void spliced(void *owner, const tern_splice_end *end)
{
    hop *h = owner;
    tern_counters *count = &h->relay->net->counters;
    count->relay_bytes += end->bytes[0] + end->bytes[1];
    count->relay_out_of_data += end->out_of_data;
    count->relay_out_of_time += end->out_of_time;
    h->s = h->stop = NULL;
    check_over(h);
}

static void begin(hop *h)
{
    tern_relay *r = h->relay;
    tern_relay_message m = {
        .kind = TERN_RELAY_STATUS, .status = TERN_RELAY_OK, .limit = tern_relay_said_limit(r)};
    tern_timer_stop(&h->timer);
    tern_relay_answer(h, &m);
    tern_frame_free(&h->frame);
    tern_frame_free(&h->stop_frame);
    tern_splice_limits limits = {
        .data = r->limits.data, .time = r->limits.duration, .rate = r->limits.rate};
    h->splice = tern_splice_new(r->net, h->s, h->stop, &limits, spliced, h);
    if (h->splice == NULL) {
        r->net->counters.allocation_failures++;
        tern_stream_reset(h->s, 0);
        return; /* its end takes the other along */
    }
    r->net->counters.relay_circuits++;
}

/* ---- the peer's stream ---- */

static size_t stop_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    hop *h = owner;
    size_t used = 0;
    tern_span message;
    tern_relay_message m;
    (void)s;
    if (h->s == NULL) {
        return n;
    }
    int code = tern_frame_feed(&h->stop_frame, data, n, &used, &message);
    if (code == 0) {
        return used;
    }
    bool whole = code == 1 && tern_relay_parse(false, message, &m) == 0;
    if (whole) {
        tern_relay_clear(&m);
    }
    if (!whole || m.kind != TERN_RELAY_STATUS || m.status != TERN_RELAY_OK) {
        h->relay->net->counters.relay_malformed += !whole;
        tern_stream_reset(h->stop, 0); /* on_closed refuses */
        return n;
    }
    begin(h);
    return used;
}

static void stop_on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_reset(s, 0); /* before it answered */
}

static void stop_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    hop *h = owner;
    (void)s;
    (void)why;
    h->stop = NULL;
    refuse(h, TERN_RELAY_CONNECTION_FAILED);
}

static const tern_stream_events stop_events = {
    .on_data = stop_on_data, .on_end = stop_on_end, .on_closed = stop_on_closed};

static void opened(void *owner, tern_stream *s, const char *id, const tern_error *error)
{
    hop *h = owner;
    (void)id;
    (void)error;
    if (s == NULL) {
        h->stop = NULL;
        refuse(h, TERN_RELAY_CONNECTION_FAILED);
        return;
    }
    h->opened = true;
    tern_stream_take(s, &stop_events, h);
    if (h->s == NULL) {
        tern_stream_reset(s, 0);
    }
}

static void on_time(tern_timer *timer)
{
    hop *h = TERN_CONTAINER(timer, hop, timer);
    h->relay->net->counters.relay_timeouts++;
    tern_stream_reset(h->stop, 0);
}

/* ---- the request ---- */

static uint32_t check(hop *h, const tern_peer_id *target)
{
    tern_relay *r = h->relay;
    if (target->len == 0) {
        r->net->counters.relay_malformed++;
        return TERN_RELAY_MALFORMED_MESSAGE;
    }
    if (tern_conn_relayed(h->conn) || tern_peer_id_equal(target, &h->from) ||
        tern_peer_id_equal(target, &r->net->self)) {
        return TERN_RELAY_PERMISSION_DENIED;
    }
    if (tern_relay_find(r, target) == NULL) {
        return TERN_RELAY_NO_RESERVATION;
    }
    uint32_t most = r->limits.circuits_per_peer;
    bool full = r->circuits >= r->limits.circuits ||
                tern_tally_of(&r->from, h->from.bytes, h->from.len) >= most ||
                tern_tally_of(&r->to, target->bytes, target->len) >= most;
    return full ? TERN_RELAY_RESOURCE_LIMIT_EXCEEDED : TERN_RELAY_OK;
}

/* Asks the peer; the question travels with the negotiation. */
static int ask(hop *h, tern_conn *conn)
{
    static const char *const ids[] = {TERN_RELAY_STOP_ID, NULL};
    tern_relay *r = h->relay;
    tern_relay_message m = {
        .kind = TERN_RELAY_CONNECT, .peer = h->from, .limit = tern_relay_said_limit(r)};
    tern_error error;
    tern_buf out;
    tern_buf_init(&out, TERN_RELAY_MESSAGE_MAX);
    int code = tern_relay_build(false, &m, &out);
    if (code == 0) {
        h->stop = r->net->ops->open(r->net, conn, ids, false, opened, h, &error);
        code = h->stop != NULL ? 0 : error.code;
    }
    if (code == 0 && tern_frame_write(h->stop, tern_buf_data(&out), tern_buf_len(&out)) != 0) {
        tern_stream_reset(h->stop, 0); /* opened comes */
    }
    tern_buf_free(&out);
    return code;
}

void tern_relay_connect(hop *h, const tern_peer_id *target)
{
    tern_relay *r = h->relay;
    uint32_t status = check(h, target);
    tern_conn *conn = status == TERN_RELAY_OK ? tern_relay_direct_conn(r->net, target, NULL) : NULL;
    if (status != TERN_RELAY_OK) {
        tern_relay_refuse(h, status);
        return;
    }
    h->to = *target;
    if (conn == NULL || count_circuit(h) != 0 || ask(h, conn) != 0) {
        end_circuit(h);
        tern_relay_refuse(h, TERN_RELAY_CONNECTION_FAILED);
        return;
    }
    tern_timer_start(r->net->loop, &h->timer, tern_loop_now(r->net->loop) + CONNECT_TIME, on_time);
}
