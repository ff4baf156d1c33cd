/* Dialling through a relay: see circuit.h.
 *
 *     a connection to the relay -> hop stream, CONNECT -> STATUS OK -> the stream is the circuit */
#include "nat/circuit_inner.h"

#include "base/error.h"
#include "base/mem.h"
#include "nat/circuit_stream.h"

/* One dial. It outlives a cancelled op until its stream's opening has ended. */
typedef struct circuit_dial {
    tern_dial_op *op; /* NULL: cancelled */
    tern_net *net;
    tern_peer_id relay, peer;
    tern_net_dial *dial;
    tern_conn *conn; /* to the relay, while s is there */
    tern_stream *s;
    bool opened; /* s is ours */
    tern_frame frame;
} circuit_dial;

bool circuit_relay_of(const tern_multiaddr *addr, tern_peer_id *ret_relay, tern_multiaddr **ret_at)
{
    size_t at = 0, cut = 0, here = 0;
    tern_ma_part part;
    uint32_t before = 0;
    bool found = false;
    while (tern_ma_next(addr, &at, &part)) {
        bool circuit = part.code == TERN_MA_P2P_CIRCUIT;
        if (found && part.code != TERN_MA_P2P) {
            return false; /* a road behind the circuit, or a second circuit */
        }
        if (circuit && before != TERN_MA_P2P) {
            return false;
        }
        found |= circuit;
        if (part.code == TERN_MA_P2P && !found) {
            cut = here;
            if (tern_peer_id_from_bytes(ret_relay, part.value.data, part.value.len) != 0) {
                return false;
            }
        }
        before = part.code;
        here = at;
    }
    if (!found || cut == 0) {
        return false;
    }
    if (ret_at != NULL) {
        *ret_at = tern_ma_slice(addr, 0, cut);
    }
    return true;
}

static bool matches(const tern_multiaddr *addr)
{
    tern_peer_id relay;
    return circuit_relay_of(addr, &relay, NULL);
}

/* ---- the end of a dial ---- */

static void free_dial(circuit_dial *d)
{
    if (d->op != NULL) {
        d->op->state = NULL;
    }
    tern_frame_free(&d->frame);
    tern_free(d);
}

static void fail(circuit_dial *d, int code, const char *text, const char *more)
{
    tern_dial_op *op = d->op;
    tern_error why;
    char relay[TERN_PEER_ID_TEXT];
    tern_fail(&why, code, "circuit", "the relay %s: %s%s", tern_peer_id_text(&d->relay, relay),
              text, more);
    free_dial(d);
    if (op != NULL) {
        tern_op_finish(&op->op, &why);
    }
}

static void on_cancel(tern_op *o)
{
    tern_dial_op *op = TERN_CONTAINER(o, tern_dial_op, op);
    circuit_dial *d = op->state;
    op->state = NULL;
    if (d != NULL) {
        d->op = NULL;
        if (d->dial != NULL) {
            d->net->ops->cancel_dial(d->dial);
            free_dial(d);
        } else {
            tern_stream_reset(d->s, 0); /* opened or on_closed comes */
        }
    }
    if (op->stream != NULL) { /* finished, but nobody was told */
        tern_stream_reset(op->stream, 0);
        tern_stream_drop(op->stream);
        op->stream = NULL;
        tern_multiaddr_unref(op->local);
        op->local = NULL;
    }
}

/* ---- the hop stream ---- */

static bool succeed(circuit_dial *d, const tern_relay_limit *limit)
{
    tern_dial_op *op = d->op;
    op->stream = circuit_stream_new(d->s, limit);
    if (op->stream == NULL) {
        fail(d, TERN_E_NOMEM, "out of memory", "");
        return false;
    }
    op->local = tern_ma_with(d->conn->facts.local, TERN_MA_P2P_CIRCUIT, NULL, 0);
    free_dial(d);
    tern_op_finish(&op->op, NULL);
    return true;
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    circuit_dial *d = owner;
    size_t used = 0;
    tern_span message;
    tern_relay_message m;
    if (d->op == NULL) {
        return n;
    }
    int code = tern_frame_feed(&d->frame, data, n, &used, &message);
    if (code == 0) {
        return used;
    }
    if (code < 0 || tern_relay_parse(true, message, &m) != 0) {
        d->net->counters.relay_malformed++;
        m = (tern_relay_message){.kind = TERN_RELAY_STATUS};
        code = TERN_E_MALFORMED;
    }
    uint32_t status = m.status;
    tern_relay_limit limit = m.limit;
    bool answer = m.kind == TERN_RELAY_STATUS;
    tern_relay_clear(&m);
    if (code == 1 && answer && status == TERN_RELAY_OK) {
        if (succeed(d, &limit)) {
            return used;
        }
    } else if (code < 0) {
        fail(d, TERN_E_MALFORMED, "its answer does not parse", "");
    } else {
        fail(d, TERN_E_REFUSED, tern_relay_status_text(status), "");
    }
    tern_stream_reset(s, 0);
    tern_stream_drop(s);
    return n;
}

static void on_end(void *owner, tern_stream *s)
{
    circuit_dial *d = owner;
    fail(d, TERN_E_EOF, "it ended the stream without an answer", "");
    tern_stream_reset(s, 0);
    tern_stream_drop(s);
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    fail(owner, why->code == 0 ? TERN_E_EOF : why->code, "the stream to it ended: ", why->text);
}

static const tern_stream_events hop_events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void opened(void *owner, tern_stream *s, const char *id, const tern_error *error)
{
    circuit_dial *d = owner;
    (void)id;
    if (s == NULL) {
        fail(d, error->code,
             error->code == TERN_E_NEGOTIATION ? "it does not relay" : "it cannot be asked: ",
             error->code == TERN_E_NEGOTIATION ? "" : error->text);
        return;
    }
    tern_stream_take(s, &hop_events, d);
    if (d->op == NULL) {
        tern_stream_reset(s, 0);
    }
}

static int ask(circuit_dial *d, tern_error *reterr)
{
    static const char *const ids[] = {TERN_RELAY_HOP_ID, NULL};
    tern_relay_message m = {.kind = TERN_RELAY_CONNECT, .peer = d->peer};
    tern_buf out;
    tern_buf_init(&out, TERN_RELAY_MESSAGE_MAX);
    int code = tern_relay_build(true, &m, &out);
    if (code == 0) {
        d->s = d->net->ops->open(d->net, d->conn, ids, false, opened, d, reterr);
        code = d->s != NULL ? 0 : reterr->code;
    }
    if (code == 0 && tern_frame_write(d->s, tern_buf_data(&out), tern_buf_len(&out)) != 0) {
        tern_stream_reset(d->s, 0); /* opened comes */
    }
    tern_buf_free(&out);
    return code;
}

static void connected(void *owner, tern_conn *conn, const tern_error *error)
{
    circuit_dial *d = owner;
    tern_error why;
    d->dial = NULL;
    if (conn == NULL) {
        fail(d, error->code, "it cannot be reached: ", error->text);
        return;
    }
    d->conn = conn;
    why.text[0] = '\0';
    int code = ask(d, &why);
    if (code != 0) {
        fail(d, code, "it cannot be asked: ", why.text);
    }
}

static int dial(tern_dial_op *op, tern_error *reterr)
{
    tern_multiaddr *at;
    tern_peer_id relay;
    op->stream = NULL;
    op->conn = NULL;
    op->local = NULL;
    op->state = NULL;
    if (op->expected.len == 0) {
        return tern_fail(reterr, TERN_E_INVALID, "circuit",
                         "%s does not say whom to reach; try %s/p2p/PEER",
                         tern_multiaddr_text(op->addr), tern_multiaddr_text(op->addr));
    }
    if (!circuit_relay_of(op->addr, &relay, &at)) {
        return tern_fail(reterr, TERN_E_INVALID, "circuit", "%s names no relay",
                         tern_multiaddr_text(op->addr));
    }
    circuit_dial *d = at != NULL ? tern_calloc(1, sizeof *d) : NULL;
    if (d != NULL) {
        d->net = op->net;
        d->relay = relay;
        d->peer = op->expected;
        tern_frame_init(&d->frame, TERN_RELAY_MESSAGE_MAX);
        d->dial = op->net->ops->dial(op->net, &relay, &at, 1, connected, d);
    }
    tern_multiaddr_unref(at);
    if (d == NULL || d->dial == NULL) {
        tern_free(d);
        return tern_fail(reterr, TERN_E_NOMEM, "circuit", "out of memory");
    }
    d->op = op;
    op->state = d;
    tern_op_start(&op->op, "circuit", on_cancel, d);
    return 0;
}

const tern_transport tern_circuit_transport = {
    .name = "circuit",
    .dials = matches,
    .listens = matches,
    .dial = dial,
    .listen = circuit_listen,
};
