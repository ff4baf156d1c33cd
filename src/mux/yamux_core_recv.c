/* The yamux session, receiving: bytes to checked frames to events (contract: yamux_core.h).
 *
 * A header is collected (it may come split), checked whole against the state before anything is
 * made of it, then its body passes through in the caller's buffer, then its FIN takes effect:
 *
 *   HEADER --> [OPENED, RESET, CREDIT, LEAVING, FAILED] --> BODY [BYTES ...] --> TAIL [ENDED] -->
 * HEADER
 *
 * What a peer may do at will costs it something from a budget that refills each second
 * (TERN_YAMUX_COSTS); with nothing left the session is over. Frames that carry data, end a half or
 * answer our own frames are free, so honest traffic never pays. */
#include "mux/yamux_core.h"

#include "base/bytes.h"
#include "base/error.h"

enum { STAGE_HEADER, STAGE_BODY, STAGE_TAIL };

/* Prices; TERN_YAMUX_COSTS a second: 200 pings, 1000 resets, 10000 empty frames. A refused open
 * costs so much that about ten times the allowed streams may be refused in a second. */
enum { COST_PING = 50, COST_RESET = 10, COST_REFUSED_ALL = 1000, COST_FRAME = 1 };

typedef struct frame {
    unsigned type, flags;
    uint32_t id, length;
} frame;

/* --- refusing --- */

static void fail(tern_yamux_core *core, tern_yamux_event *ret, uint64_t *counter, const frame *f,
                 const char *text)
{
    (*counter)++;
    tern_yamux_core_goaway(core, TERN_YAMUX_PROTOCOL_ERROR);
    ret->kind = TERN_YAMUX_FAILED;
    tern_fail(&ret->why, TERN_E_PROTOCOL, "yamux", "%s (type %u, flags 0x%x, stream %u, length %u)",
              text, f->type, f->flags, (unsigned)f->id, (unsigned)f->length);
}

/* Takes the price from the budget; false when the session is over for want of it. */
static bool charge(tern_yamux_core *core, uint64_t now, uint32_t cost, tern_yamux_event *ret)
{
    const uint64_t each = TERN_SEC / TERN_YAMUX_COSTS;
    uint64_t gained = (now - core->costs_at) / each;
    if (gained >= TERN_YAMUX_COSTS - core->costs) {
        core->costs = TERN_YAMUX_COSTS;
        core->costs_at = now;
    } else {
        core->costs += (uint32_t)gained;
        core->costs_at += gained * each;
    }
    if (core->costs >= cost) {
        core->costs -= cost;
        return true;
    }
    core->counters->yamux_flood++;
    tern_yamux_core_goaway(core, TERN_YAMUX_PROTOCOL_ERROR);
    ret->kind = TERN_YAMUX_FAILED;
    tern_fail(&ret->why, TERN_E_LIMIT, "yamux", "the peer floods us with frames that do nothing");
    return false;
}

/* An update may answer a frame of ours; more of them than that, it pays for. */
static bool charge_update(tern_yamux_core *core, uint64_t now, tern_yamux_event *ret)
{
    if (core->updates_owed > 0) {
        core->updates_owed--;
        return true;
    }
    return charge(core, now, COST_FRAME, ret);
}

/* --- the session's own frames --- */

static void on_ping(tern_yamux_core *core, uint64_t now, const frame *f, tern_yamux_event *ret)
{
    bool asks = f->flags == TERN_YAMUX_SYN;
    if (f->id != 0) {
        fail(core, ret, &core->counters->yamux_bad_stream, f, "a ping on a stream");
    } else if (!asks && f->flags != TERN_YAMUX_ACK) {
        fail(core, ret, &core->counters->yamux_bad_flags, f,
             "a ping must be a question or an answer");
    } else if (!asks && core->ping_out && f->length == core->ping_value) {
        uint64_t took = now > core->ping_sent ? now - core->ping_sent : 1;
        core->rtt = core->rtt == 0 ? took : (7 * core->rtt + took) / 8;
        core->rtt += core->rtt == 0;
        core->ping_out = 0;
    } else if (charge(core, now, COST_PING, ret) && asks && core->pongs < TERN_YAMUX_PONGS_MAX) {
        core->pongs++;
        tern_yamux_emit(core, TERN_YAMUX_PING, TERN_YAMUX_ACK, 0, f->length);
    }
}

static void on_goaway(tern_yamux_core *core, uint64_t now, const frame *f, tern_yamux_event *ret)
{
    if (f->id != 0) {
        fail(core, ret, &core->counters->yamux_bad_stream, f, "a GoAway on a stream");
    } else if (core->goaway_in) {
        charge(core, now, COST_RESET, ret);
    } else {
        core->goaway_in = 1;
        core->counters->yamux_goaway_in += f->length != TERN_YAMUX_NORMAL;
        ret->kind = TERN_YAMUX_LEAVING;
        ret->code = f->length;
    }
}

/* --- opens --- */

typedef enum { ID_NEW, ID_USED, ID_OLD } id_state;

/* Ids should grow, but a peer whose SYN rides on the first data (rust) may open 3 before 1: the
 * last 64 are remembered one by one. What is older is refused without judging it. */
static id_state use_id(tern_yamux_core *core, uint32_t id)
{
    if (id > core->last_in) {
        uint32_t step = (id - core->last_in) / 2;
        core->used_mask = (step < 64 ? core->used_mask << step : 0) | 1;
        core->last_in = id;
        return ID_NEW;
    }
    uint32_t back = (core->last_in - id) / 2;
    if (back >= 64) {
        return ID_OLD;
    }
    uint64_t bit = UINT64_C(1) << back;
    bool used = (core->used_mask & bit) != 0;
    core->used_mask |= bit;
    return used ? ID_USED : ID_NEW;
}

static void refuse_open(tern_yamux_core *core, uint64_t now, tern_yamux_event *ret)
{
    uint32_t limit = core->limits->streams_per_conn;
    core->counters->streams_limit++;
    if (charge(core, now, limit < COST_REFUSED_ALL ? COST_REFUSED_ALL / (limit + 1) + 1 : 1, ret)) {
        tern_yamux_core_refuse(core, TERN_YAMUX_RESOURCE_LIMIT);
    }
}

static void on_open(tern_yamux_core *core, uint64_t now, const frame *f, tern_yamux_event *ret)
{
    tern_counters *n = core->counters;
    bool data = f->type == TERN_YAMUX_DATA;
    bool peers = (f->id & 1) == (core->client ? 0u : 1u);
    if ((f->flags & TERN_YAMUX_ACK) != 0) {
        fail(core, ret, &n->yamux_bad_flags, f, "an open that is an answer");
        return;
    }
    if (!peers || tern_yamux_find(core, f->id) != NULL) {
        fail(core, ret, &n->yamux_bad_stream, f,
             "an open of a stream that is not the peer's to open");
        return;
    }
    if (f->length > (data ? TERN_YAMUX_WINDOW : UINT32_MAX - TERN_YAMUX_WINDOW)) {
        fail(core, ret, &n->yamux_window, f, "an open beyond the window");
        return;
    }
    id_state state = use_id(core, f->id);
    if (state == ID_USED) {
        fail(core, ret, &n->yamux_bad_stream, f, "an open of a stream that was used");
        return;
    }
    core->last_opened = f->id;
    if ((f->flags & TERN_YAMUX_RST) != 0) {
        charge(core, now, COST_RESET, ret);
        return;
    }
    if (state == ID_OLD || core->goaway_in || core->goaway_out ||
        core->in_count >= core->limits->streams_per_conn ||
        core->unread + core->body > core->limits->conn_window_max) {
        refuse_open(core, now, ret);
        return;
    }
    core->syn_credit = data ? 0 : f->length;
    ret->kind = TERN_YAMUX_OPENED;
    ret->id = f->id;
}

/* --- frames of streams --- */

/* Frames cross: what comes for a stream that is over is skipped. */
static void on_late(tern_yamux_core *core, uint64_t now, const frame *f, tern_yamux_event *ret)
{
    bool ours = (f->id & 1) == (core->client ? 1u : 0u);
    uint32_t window = core->limits->stream_window_max;
    if (f->id > (ours ? core->last_sent : core->last_in)) {
        fail(core, ret, &core->counters->yamux_bad_stream, f, "a frame of a stream never opened");
    } else if (core->body > (window > TERN_YAMUX_WINDOW ? window : TERN_YAMUX_WINDOW)) {
        fail(core, ret, &core->counters->yamux_window, f, "more data than any window");
    } else if ((f->flags & TERN_YAMUX_RST) != 0) {
        charge(core, now, COST_RESET, ret);
    } else if (f->type == TERN_YAMUX_UPDATE) {
        charge_update(core, now, ret);
    } else if (core->body == 0) {
        charge(core, now, COST_FRAME, ret);
    }
}

static void on_reset(tern_yamux_core *core, uint64_t now, tern_yamux_stream *s, const frame *f,
                     tern_yamux_event *ret)
{
    if (!s->ours && !charge(core, now, COST_RESET, ret)) {
        return;
    }
    tern_yamux_retire(core, s);
    ret->kind = TERN_YAMUX_RESET;
    ret->stream = s;
    ret->code = f->type == TERN_YAMUX_UPDATE ? f->length : 0; /* Data's length is its body's */
}

static void on_update(tern_yamux_core *core, uint64_t now, tern_yamux_stream *s, const frame *f,
                      tern_yamux_event *ret)
{
    if (f->length > UINT32_MAX - s->send_window) {
        fail(core, ret, &core->counters->yamux_window, f, "more credit than a window can hold");
        return;
    }
    if ((f->flags & (TERN_YAMUX_ACK | TERN_YAMUX_FIN)) == 0 && !charge_update(core, now, ret)) {
        return;
    }
    core->current = s;
    s->send_window += f->length;
    if (f->length > 0) {
        ret->kind = TERN_YAMUX_CREDIT;
        ret->stream = s;
    }
}

static void on_data(tern_yamux_core *core, uint64_t now, tern_yamux_stream *s, const frame *f,
                    tern_yamux_event *ret)
{
    if (f->length > s->recv_window) {
        fail(core, ret, &core->counters->yamux_window, f, "data beyond the window");
    } else if (f->length > 0 && s->fin_received) {
        fail(core, ret, &core->counters->yamux_bad_flags, f, "data after the end");
    } else if (core->unread + f->length > core->limits->conn_window_max) {
        core->counters->streams_limit++;
        tern_yamux_core_reset(core, s, TERN_YAMUX_RESOURCE_LIMIT);
        ret->kind = TERN_YAMUX_OVERFULL;
        ret->stream = s;
    } else if (f->length > 0 || (f->flags & (TERN_YAMUX_ACK | TERN_YAMUX_FIN)) != 0 ||
               charge(core, now, COST_FRAME, ret)) {
        core->current = s;
    }
}

static void on_stream_frame(tern_yamux_core *core, uint64_t now, const frame *f,
                            tern_yamux_event *ret)
{
    if (f->id == 0) {
        fail(core, ret, &core->counters->yamux_bad_stream, f, "a stream's frame without a stream");
        return;
    }
    core->body = f->type == TERN_YAMUX_DATA ? f->length : 0;
    core->flags = (uint16_t)f->flags;
    core->stage = STAGE_BODY;
    if ((f->flags & TERN_YAMUX_SYN) != 0) {
        on_open(core, now, f, ret);
        return;
    }
    tern_yamux_stream *s = tern_yamux_find(core, f->id);
    if (s == NULL || (s->ours && !s->syn_sent)) {
        on_late(core, now, f, ret);
        return;
    }
    if ((f->flags & TERN_YAMUX_ACK) != 0) {
        tern_yamux_acknowledged(core, s);
    }
    if ((f->flags & TERN_YAMUX_RST) != 0) {
        on_reset(core, now, s, f, ret);
    } else if (f->type == TERN_YAMUX_UPDATE) {
        on_update(core, now, s, f, ret);
    } else {
        on_data(core, now, s, f, ret);
    }
}

/* --- stages --- */

static void on_header(tern_yamux_core *core, uint64_t now, tern_yamux_event *ret)
{
    const uint8_t *h = core->header;
    frame f = {.type = h[1],
               .flags = tern_get16(h + 2),
               .id = tern_get32(h + 4),
               .length = tern_get32(h + 8)};
    const unsigned known = TERN_YAMUX_SYN | TERN_YAMUX_ACK | TERN_YAMUX_FIN | TERN_YAMUX_RST;
    core->have = 0;
    if (h[0] != 0) {
        fail(core, ret, &core->counters->yamux_bad_version, &f, "a frame of an unknown version");
    } else if (f.type > TERN_YAMUX_GOAWAY) {
        fail(core, ret, &core->counters->yamux_bad_type, &f, "a frame of an unknown type");
    } else if ((f.flags & ~known) != 0) {
        fail(core, ret, &core->counters->yamux_bad_flags, &f, "a frame with unknown flags");
    } else if (f.type == TERN_YAMUX_PING) {
        on_ping(core, now, &f, ret);
    } else if (f.type == TERN_YAMUX_GOAWAY) {
        on_goaway(core, now, &f, ret);
    } else {
        on_stream_frame(core, now, &f, ret);
    }
}

static size_t on_body(tern_yamux_core *core, uint64_t now, uint8_t *data, size_t n,
                      tern_yamux_event *ret)
{
    uint32_t part = n < core->body ? (uint32_t)n : core->body;
    tern_yamux_stream *s = core->current;
    core->body -= part;
    if (core->body == 0) {
        core->stage = STAGE_TAIL;
    }
    if (s == NULL || part == 0) {
        return part;
    }
    /* Asked for each part: a frame may be as long as the window. */
    if (s->unread > 0 && tern_limits_pressure(core->limits) == TERN_PRESSURE_OVER) {
        core->counters->memory_streams++;
        tern_yamux_core_reset(core, s, TERN_YAMUX_RESOURCE_LIMIT);
        ret->kind = TERN_YAMUX_OVERFULL;
        ret->stream = s;
        return part;
    }
    s->recv_window -= part;
    s->unread += part;
    core->unread += part;
    if (core->rtt == 0 && !core->ping_out) { /* so that the first growth of a window is in time */
        core->received += part;
        if (core->received >= TERN_YAMUX_WINDOW / 4) {
            tern_yamux_measure(core, now);
        }
    }
    ret->kind = TERN_YAMUX_BYTES;
    ret->stream = s;
    ret->data = data;
    ret->len = part;
    return part;
}

static void on_tail(tern_yamux_core *core, tern_yamux_event *ret)
{
    tern_yamux_stream *s = core->current;
    core->stage = STAGE_HEADER;
    core->current = NULL;
    if (s == NULL || (core->flags & TERN_YAMUX_FIN) == 0 || s->fin_received) {
        return;
    }
    s->fin_received = 1;
    ret->kind = TERN_YAMUX_ENDED;
    ret->stream = s;
    if (s->fin_sent) {
        tern_yamux_retire(core, s);
    }
}

size_t tern_yamux_core_receive(tern_yamux_core *core, uint64_t now, uint8_t *data, size_t n,
                               tern_yamux_event *ret)
{
    size_t used = 0;
    if (n > 0) {
        core->heard = now;
        core->quiet = 0;
    }
    ret->kind = TERN_YAMUX_NOTHING;
    ret->stream = NULL;
    while (ret->kind == TERN_YAMUX_NOTHING) {
        size_t left = n - used;
        if (core->stage == STAGE_TAIL) {
            on_tail(core, ret);
        } else if (core->stage == STAGE_BODY && core->body == 0) {
            core->stage = STAGE_TAIL;
        } else if (left == 0) {
            break;
        } else if (core->stage == STAGE_BODY) {
            used += on_body(core, now, data + used, left, ret);
        } else {
            size_t want = (size_t)TERN_YAMUX_HEADER - core->have;
            size_t part = left < want ? left : want;
            memcpy(core->header + core->have, data + used, part);
            core->have = (uint8_t)(core->have + part);
            used += part;
            if (core->have == TERN_YAMUX_HEADER) {
                on_header(core, now, ret);
            }
        }
    }
    return used;
}

bool tern_yamux_core_inside_frame(const tern_yamux_core *core)
{
    return core->have > 0 || core->stage != STAGE_HEADER;
}
