/* The yamux session, streams and sending: opening, ending, windows, control frames, keep-alive.
 * What arrives is in yamux_core_recv.c; the contract and the frame layout are in yamux_core.h. */
#include "mux/yamux_core.h"

#include "base/bytes.h"
#include "base/mem.h"

/* An RTT older than this is measured again when windows are given back. */
#define RTT_AGE (10 * TERN_SEC)
#define BUSY    (2 * TERN_MS) /* longer than a round trip that is measured may a busy one take */

void tern_yamux_core_init(tern_yamux_core *core, bool client, const tern_limits *limits,
                          tern_counters *counters, uint64_t now)
{
    *core = (tern_yamux_core){
        .limits = limits,
        .counters = counters,
        .next_id = client ? 1 : 2,
        .client = client,
        .heard = now,
        .costs = TERN_YAMUX_COSTS,
        .costs_at = now,
    };
    tern_list_init(&core->unsent);
    tern_buf_init(&core->out, 2 * TERN_YAMUX_OUT_MAX); /* the driver adds the rest of a frame */
}

void tern_yamux_core_free(tern_yamux_core *core)
{
    tern_buf_free(&core->out);
    tern_free(core->in.v);
    tern_free(core->ours.v);
    core->in = core->ours = (tern_yamux_table){0};
}

/* --- frames out --- */

void tern_yamux_header(uint8_t out[TERN_YAMUX_HEADER], unsigned type, unsigned flags, uint32_t id,
                       uint32_t length)
{
    out[0] = 0;
    out[1] = (uint8_t)type;
    tern_put16(out + 2, (uint16_t)flags);
    tern_put32(out + 4, id);
    tern_put32(out + 8, length);
}

void tern_yamux_emit(tern_yamux_core *core, unsigned type, unsigned flags, uint32_t id,
                     uint32_t length)
{
    uint8_t frame[TERN_YAMUX_HEADER];
    tern_yamux_header(frame, type, flags, id, length);
    int code = TERN_E_LIMIT;
    if (tern_buf_len(&core->out) < TERN_YAMUX_OUT_MAX) {
        code = tern_buf_append(&core->out, frame, sizeof frame);
    }
    if (code != 0 && core->broken == 0) {
        core->broken = code;
    }
}

void tern_yamux_core_sent(tern_yamux_core *core, size_t n)
{
    tern_buf_consume(&core->out, n);
    if (tern_buf_len(&core->out) == 0) {
        core->pongs = 0;
    }
}

void tern_yamux_core_goaway(tern_yamux_core *core, uint32_t code)
{
    if (!core->goaway_out) {
        core->goaway_out = 1;
        tern_yamux_emit(core, TERN_YAMUX_GOAWAY, 0, 0, code);
    }
}

/* --- the table --- */

/* The first place whose id is not below `id`. */
static uint32_t place(const tern_yamux_table *t, uint32_t id)
{
    if (t->n > 0 && t->v[t->n - 1]->id < id) {
        return t->n;
    }
    uint32_t low = 0, high = t->n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (t->v[mid]->id < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static int insert(tern_yamux_table *t, tern_yamux_stream *s)
{
    if (t->n == t->cap) {
        uint32_t cap = t->cap == 0 ? 4 : t->cap * 2;
        tern_yamux_stream **grown = tern_realloc(t->v, cap * sizeof(tern_yamux_stream *));
        if (grown == NULL) {
            return TERN_E_NOMEM;
        }
        t->v = grown;
        t->cap = cap;
    }
    uint32_t at = place(t, s->id);
    memmove(t->v + at + 1, t->v + at, (t->n - at) * sizeof(tern_yamux_stream *));
    t->v[at] = s;
    t->n++;
    return 0;
}

static tern_yamux_table *table_of(tern_yamux_core *core, const tern_yamux_stream *s)
{
    return s->ours ? &core->ours : &core->in;
}

tern_yamux_stream *tern_yamux_find(const tern_yamux_core *core, uint32_t id)
{
    bool ours = (id & 1) == (core->client ? 1u : 0u);
    const tern_yamux_table *t = ours ? &core->ours : &core->in;
    uint32_t at = place(t, id);
    return at < t->n && t->v[at]->id == id ? t->v[at] : NULL;
}

tern_yamux_stream *tern_yamux_core_any(const tern_yamux_core *core)
{
    if (core->ours.n > 0) {
        return core->ours.v[core->ours.n - 1];
    }
    return core->in.n > 0 ? core->in.v[core->in.n - 1] : NULL;
}

void tern_yamux_retire(tern_yamux_core *core, tern_yamux_stream *s)
{
    if (!s->live) {
        return;
    }
    s->live = 0;
    tern_yamux_acknowledged(core, s);
    tern_list_remove(&s->unsent);
    if (core->current == s) {
        core->current = NULL;
    }
    tern_yamux_table *t = table_of(core, s);
    uint32_t at = place(t, s->id);
    t->n--;
    memmove(t->v + at, t->v + at + 1, (t->n - at) * sizeof(tern_yamux_stream *));
    if (t->n == 0) { /* a session without streams holds no memory for them */
        tern_free(t->v);
        *t = (tern_yamux_table){0};
    }
}

/* --- opening --- */

static int start(tern_yamux_core *core, tern_yamux_stream *s, uint32_t id, bool ours, uint64_t now)
{
    *s = (tern_yamux_stream){
        .id = id,
        .ours = ours,
        .updated = now,
        .send_window = TERN_YAMUX_WINDOW,
        .recv_window = TERN_YAMUX_WINDOW,
        .recv_max = TERN_YAMUX_WINDOW,
    };
    tern_list_init(&s->unsent);
    int code = insert(ours ? &core->ours : &core->in, s);
    if (code == 0) {
        s->live = s->counted = 1;
        core->windows += s->recv_max;
    }
    return code;
}

int tern_yamux_core_open(tern_yamux_core *core, tern_yamux_stream *s, uint64_t now)
{
    if (core->goaway_in || core->goaway_out || core->next_id > UINT32_MAX - 2) {
        return TERN_E_CONN_CLOSED;
    }
    /* Half of out is kept for streams that live: opens that are reset at once could fill it. */
    if (core->in_count + core->ours_count >= TERN_YAMUX_ALIVE_MAX ||
        core->unacked >= TERN_YAMUX_UNACKED_MAX ||
        tern_buf_len(&core->out) > TERN_YAMUX_OUT_MAX / 2) {
        return TERN_E_LIMIT;
    }
    int code = start(core, s, core->next_id, true, now);
    if (code == 0) {
        core->next_id += 2;
        core->ours_count++;
        core->unacked++;
        tern_list_push(&core->unsent, &s->unsent);
    }
    return code;
}

static void syn_sent(tern_yamux_core *core, tern_yamux_stream *s)
{
    tern_list_remove(&s->unsent);
    core->last_sent = s->id;
    s->syn_sent = 1;
}

void tern_yamux_core_announce(tern_yamux_core *core, const tern_yamux_stream *before)
{
    while (!tern_list_empty(&core->unsent)) {
        tern_yamux_stream *s = TERN_CONTAINER(core->unsent.next, tern_yamux_stream, unsent);
        if (s == before) {
            return;
        }
        syn_sent(core, s);
        tern_yamux_emit(core, TERN_YAMUX_UPDATE, TERN_YAMUX_SYN, s->id, 0);
    }
}

size_t tern_yamux_core_unsent_before(const tern_yamux_core *core, const tern_yamux_stream *before)
{
    size_t n = 0;
    for (const tern_list *l = core->unsent.next; l != &core->unsent && l != &before->unsent;
         l = l->next) {
        n++;
    }
    return n;
}

int tern_yamux_core_accept(tern_yamux_core *core, tern_yamux_stream *s, uint64_t now)
{
    int code = start(core, s, core->last_opened, false, now);
    if (code != 0) {
        return code;
    }
    s->send_window += core->syn_credit;
    core->in_count++;
    core->current = s;
    tern_yamux_emit(core, TERN_YAMUX_UPDATE, TERN_YAMUX_ACK, s->id, 0);
    return 0;
}

void tern_yamux_core_refuse(tern_yamux_core *core, uint32_t code)
{
    tern_yamux_emit(core, TERN_YAMUX_UPDATE, TERN_YAMUX_RST, core->last_opened, code);
}

void tern_yamux_acknowledged(tern_yamux_core *core, tern_yamux_stream *s)
{
    if (s->ours && !s->acked) {
        s->acked = 1;
        core->unacked--;
    }
}

/* --- sending and ending --- */

void tern_yamux_core_data(tern_yamux_core *core, tern_yamux_stream *s, uint32_t n,
                          uint8_t ret_header[TERN_YAMUX_HEADER])
{
    unsigned flags = 0;
    if (s->ours && !s->syn_sent) {
        syn_sent(core, s);
        flags = TERN_YAMUX_SYN;
    }
    s->send_window -= n;
    if (core->updates_owed < UINT32_MAX) {
        core->updates_owed++;
    }
    tern_yamux_header(ret_header, TERN_YAMUX_DATA, flags, s->id, n);
}

static void both_ended(tern_yamux_core *core, tern_yamux_stream *s)
{
    if (s->fin_sent && s->fin_received) {
        tern_yamux_retire(core, s);
    }
}

void tern_yamux_core_end(tern_yamux_core *core, tern_yamux_stream *s)
{
    if (!s->live || s->fin_sent) {
        return;
    }
    if (s->ours && !s->syn_sent) {
        tern_yamux_core_announce(core, NULL);
    }
    s->fin_sent = 1;
    tern_yamux_emit(core, TERN_YAMUX_UPDATE, TERN_YAMUX_FIN, s->id, 0);
    both_ended(core, s);
}

void tern_yamux_core_reset(tern_yamux_core *core, tern_yamux_stream *s, uint64_t code)
{
    if (!s->live) {
        return;
    }
    if (!s->ours || s->syn_sent) {
        uint32_t wire = code > UINT32_MAX ? TERN_YAMUX_CODE_OUT_OF_RANGE : (uint32_t)code;
        tern_yamux_emit(core, TERN_YAMUX_UPDATE, TERN_YAMUX_RST, s->id, wire);
    }
    tern_yamux_retire(core, s);
}

void tern_yamux_core_forget(tern_yamux_core *core, tern_yamux_stream *s)
{
    if (!s->counted) {
        return;
    }
    tern_yamux_retire(core, s);
    s->counted = 0;
    core->unread -= s->unread;
    core->windows -= s->recv_max;
    if (s->ours) {
        core->ours_count--;
    } else {
        core->in_count--;
    }
}

/* --- receive windows --- */

/* Gives back less than was taken, down to the window of a new stream: what is promised already
 * stays so, but is not promised anew. */
static void shrink(tern_yamux_core *core, tern_yamux_stream *s)
{
    uint32_t promised = s->recv_window + s->unread;
    uint32_t to = promised > TERN_YAMUX_WINDOW ? promised : TERN_YAMUX_WINDOW;
    if (to < s->recv_max) {
        core->windows -= s->recv_max - to;
        s->recv_max = to;
    }
}

/* Doubles the window as far as the limits of the stream and of the session allow, and the memory:
 * what is promised may have to be kept. */
static void grow(tern_yamux_core *core, tern_yamux_stream *s)
{
    if (tern_limits_pressure(core->limits) > TERN_PRESSURE_NONE) {
        return;
    }
    uint64_t top = core->limits->stream_window_max;
    uint64_t all = core->limits->conn_window_max;
    uint64_t extra = s->recv_max;
    if (s->recv_max + extra > top) {
        extra = top > s->recv_max ? top - s->recv_max : 0;
    }
    if (core->windows + extra > all) {
        extra = all > core->windows ? all - core->windows : 0;
    }
    s->recv_max += (uint32_t)extra;
    core->windows += extra;
}

void tern_yamux_core_consumed(tern_yamux_core *core, tern_yamux_stream *s, size_t n, uint64_t now)
{
    uint32_t taken = n < s->unread ? (uint32_t)n : s->unread;
    s->unread -= taken;
    core->unread -= taken;
    if (!s->live || s->fin_received) {
        return;
    }
    if (s->recv_max > TERN_YAMUX_WINDOW &&
        tern_limits_pressure(core->limits) >= TERN_PRESSURE_HIGH) {
        shrink(core, s);
    }
    if (s->recv_max - s->recv_window - s->unread < s->recv_max / 2) {
        return;
    }
    tern_yamux_measure(core, now);
    /* Half a window in less than 3/2 round trips: the window, not the link, may be what slows. So
     * windows end at two to four times what is under way. The round trip was measured when there
     * was little to do; on the way through busy machines, a relay among them, it takes longer. */
    if (core->rtt > 0 && now - s->updated < core->rtt + core->rtt / 2 + BUSY) {
        grow(core, s);
    }
    s->updated = now;
    uint32_t credit = s->recv_max - s->recv_window - s->unread;
    s->recv_window += credit;
    tern_yamux_emit(core, TERN_YAMUX_UPDATE, 0, s->id, credit);
}

/* --- time --- */

static void ping(tern_yamux_core *core, uint64_t now)
{
    core->ping_out = core->quiet = 1;
    core->ping_sent = now;
    tern_yamux_emit(core, TERN_YAMUX_PING, TERN_YAMUX_SYN, 0, ++core->ping_value);
}

void tern_yamux_measure(tern_yamux_core *core, uint64_t now)
{
    if (core->ping_out ? now - core->ping_sent >= TERN_YAMUX_SILENCE
                       : core->rtt == 0 || now - core->ping_sent >= RTT_AGE) {
        ping(core, now);
    }
}

uint64_t tern_yamux_core_deadline(const tern_yamux_core *core)
{
    return (core->ping_out && core->quiet ? core->ping_sent : core->heard) + TERN_YAMUX_SILENCE;
}

int tern_yamux_core_tick(tern_yamux_core *core, uint64_t now)
{
    if (now < tern_yamux_core_deadline(core)) {
        return 0;
    }
    if (core->ping_out && core->quiet) {
        return TERN_E_TIMEOUT;
    }
    ping(core, now);
    return 0;
}
