/* The mplex session: frames, streams, limits. See mplex_core.h for the contract and the layout.
 *
 * A frame's two numbers are collected (they may come split) and checked before anything is made of
 * them; then its body passes through in the caller's buffer:
 *
 *   NUMBER --> LENGTH --> [OPENED, ENDED, STOPPED, FAILED] --> BODY [BYTES ...] --> NUMBER
 *
 * What a peer may do at will costs it something from a budget that refills each second
 * (TERN_MPLEX_COSTS); with nothing left the session is over. Messages with bytes, and the first
 * close of a stream, are free, so honest traffic never pays. */
#include "mux/mplex_core.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"

enum { STAGE_NUMBER, STAGE_LENGTH, STAGE_BODY };

/* Prices; TERN_MPLEX_COSTS a second: 1000 resets, 10000 frames that do nothing. A refused open
 * costs so much that about ten times the allowed streams may be refused in a second. */
enum { COST_RESET = 10, COST_REFUSED_ALL = 1000, COST_FRAME = 1 };

enum { NAME_MAX_LEN = 19, FRAME_MAX = 2 * TERN_VARINT_MAX + NAME_MAX_LEN };

void tern_mplex_core_init(tern_mplex_core *core, const tern_limits *limits, tern_counters *counters,
                          uint64_t now)
{
    *core = (tern_mplex_core){
        .limits = limits,
        .counters = counters,
        .costs = TERN_MPLEX_COSTS,
        .costs_at = now,
    };
    tern_list_init(&core->unsent);
    tern_map_init(&core->streams);
    tern_buf_init(&core->out, 2 * TERN_MPLEX_OUT_MAX); /* the driver adds the rest of a message */
}

void tern_mplex_core_free(tern_mplex_core *core)
{
    tern_buf_free(&core->out);
    tern_map_free(&core->streams);
}

/* --- frames out --- */

static size_t put_header(uint8_t *out, uint64_t number, unsigned flag, uint64_t length)
{
    size_t n = tern_varint_put(out, number << 3 | flag);
    return n + tern_varint_put(out + n, length);
}

static void emit(tern_mplex_core *core, uint64_t number, unsigned flag, const char *body)
{
    uint8_t frame[FRAME_MAX];
    size_t length = strlen(body);
    size_t n = put_header(frame, number, flag, length);
    memcpy(frame + n, body, length);
    int code = TERN_E_LIMIT;
    if (tern_buf_len(&core->out) < TERN_MPLEX_OUT_MAX) {
        code = tern_buf_append(&core->out, frame, n + length);
    }
    if (code != 0 && core->broken == 0) {
        core->broken = code;
    }
}

/* A frame of a stream, with the flag of our role in it. */
static void emit_of(tern_mplex_core *core, const tern_mplex_stream *s, unsigned flag)
{
    emit(core, s->number, flag + (s->ours ? TERN_MPLEX_INITIATOR : 0), "");
}

/* --- the table --- */

static uint64_t key_of(uint64_t number, bool ours)
{
    return number << 1 | ours;
}

tern_mplex_stream *tern_mplex_core_find(const tern_mplex_core *core, uint64_t number, bool ours)
{
    uint64_t key = key_of(number, ours);
    return tern_map_get(&core->streams, &key, sizeof key);
}

void tern_mplex_core_retire(tern_mplex_core *core, tern_mplex_stream *s)
{
    if (!s->live) {
        return;
    }
    uint64_t key = key_of(s->number, s->ours);
    s->live = 0;
    tern_map_remove(&core->streams, &key, sizeof key);
    tern_list_remove(&s->unsent);
    if (core->current == s) {
        core->current = NULL;
    }
}

/* --- opening --- */

static int start(tern_mplex_core *core, tern_mplex_stream *s, uint64_t number, bool ours)
{
    uint64_t key = key_of(number, ours);
    *s = (tern_mplex_stream){.number = number, .ours = ours, .told = !ours};
    tern_list_init(&s->unsent);
    int code = tern_map_set(&core->streams, &key, sizeof key, s);
    if (code == 0) {
        s->live = s->counted = 1;
    }
    return code;
}

int tern_mplex_core_open(tern_mplex_core *core, tern_mplex_stream *s)
{
    if (core->next > TERN_MPLEX_NUMBER_MAX) {
        return TERN_E_CONN_CLOSED;
    }
    /* Half of out is kept for streams that live: opens that are reset at once could fill it. */
    if (core->in_count + core->ours_count >= TERN_MPLEX_ALIVE_MAX ||
        tern_buf_len(&core->out) > TERN_MPLEX_OUT_MAX / 2) {
        return TERN_E_LIMIT;
    }
    int code = start(core, s, core->next, true);
    if (code == 0) {
        core->next++;
        core->ours_count++;
        tern_list_push(&core->unsent, &s->unsent);
    }
    return code;
}

/* The name by which others open streams, too. */
static void name_of(const tern_mplex_stream *s, char ret[NAME_MAX_LEN + 1])
{
    snprintf(ret, NAME_MAX_LEN + 1, "%" PRIu64, s->number);
}

void tern_mplex_core_announce(tern_mplex_core *core, tern_mplex_stream *s)
{
    if (!s->told) {
        char name[NAME_MAX_LEN + 1];
        name_of(s, name);
        tern_list_remove(&s->unsent);
        s->told = 1;
        emit(core, s->number, TERN_MPLEX_NEW, name);
    }
}

void tern_mplex_core_announce_all(tern_mplex_core *core)
{
    while (!tern_list_empty(&core->unsent)) {
        tern_mplex_core_announce(core,
                                 TERN_CONTAINER(core->unsent.next, tern_mplex_stream, unsent));
    }
}

size_t tern_mplex_core_announcement(const tern_mplex_stream *s)
{
    uint8_t header[FRAME_MAX];
    char name[NAME_MAX_LEN + 1];
    if (s->told) {
        return 0;
    }
    name_of(s, name);
    return put_header(header, s->number, TERN_MPLEX_NEW, strlen(name)) + strlen(name);
}

int tern_mplex_core_accept(tern_mplex_core *core, tern_mplex_stream *s)
{
    int code = start(core, s, core->opened, false);
    core->in_count += code == 0;
    return code;
}

void tern_mplex_core_refuse(tern_mplex_core *core)
{
    emit(core, core->opened, TERN_MPLEX_RESET, "");
}

/* --- sending and ending --- */

size_t tern_mplex_core_message(const tern_mplex_stream *s, size_t n,
                               uint8_t ret_header[TERN_MPLEX_HEADER_MAX])
{
    return put_header(ret_header, s->number,
                      TERN_MPLEX_MESSAGE + (s->ours ? TERN_MPLEX_INITIATOR : 0), n);
}

static void both_ended(tern_mplex_core *core, tern_mplex_stream *s)
{
    if (s->close_sent && s->close_received) {
        tern_mplex_core_retire(core, s);
    }
}

void tern_mplex_core_end(tern_mplex_core *core, tern_mplex_stream *s)
{
    if (!s->live || s->close_sent) {
        return;
    }
    tern_mplex_core_announce(core, s);
    s->close_sent = 1;
    emit_of(core, s, TERN_MPLEX_CLOSE);
    both_ended(core, s);
}

void tern_mplex_core_reset(tern_mplex_core *core, tern_mplex_stream *s)
{
    if (!s->live) {
        return;
    }
    if (s->told) {
        emit_of(core, s, TERN_MPLEX_RESET);
    }
    tern_mplex_core_retire(core, s);
}

void tern_mplex_core_consumed(tern_mplex_core *core, tern_mplex_stream *s, size_t n)
{
    uint32_t taken = n < s->unread ? (uint32_t)n : s->unread;
    s->unread -= taken;
    core->unread -= taken;
}

void tern_mplex_core_forget(tern_mplex_core *core, tern_mplex_stream *s)
{
    if (!s->counted) {
        return;
    }
    tern_mplex_core_retire(core, s);
    tern_mplex_core_consumed(core, s, s->unread);
    s->counted = 0;
    if (s->ours) {
        core->ours_count--;
    } else {
        core->in_count--;
    }
}

/* --- refusing what comes --- */

static void fail(tern_mplex_event *ret, uint64_t *counter, const char *text)
{
    (*counter)++;
    ret->kind = TERN_MPLEX_FAILED;
    tern_fail(&ret->why, TERN_E_PROTOCOL, "mplex", "the peer sent %s", text);
}

/* Takes the price from the budget; false when the session is over for want of it. */
static bool charge(tern_mplex_core *core, uint64_t now, uint32_t cost, tern_mplex_event *ret)
{
    const uint64_t each = TERN_SEC / TERN_MPLEX_COSTS;
    uint64_t gained = (now - core->costs_at) / each;
    if (gained >= TERN_MPLEX_COSTS - core->costs) {
        core->costs = TERN_MPLEX_COSTS;
        core->costs_at = now;
    } else {
        core->costs += (uint32_t)gained;
        core->costs_at += gained * each;
    }
    if (core->costs >= cost) {
        core->costs -= cost;
        return true;
    }
    core->counters->mplex_flood++;
    ret->kind = TERN_MPLEX_FAILED;
    tern_fail(&ret->why, TERN_E_LIMIT, "mplex", "the peer floods us with frames that do nothing");
    return false;
}

/* --- frames in --- */

static void on_open(tern_mplex_core *core, uint64_t now, uint64_t number, tern_mplex_event *ret)
{
    uint32_t limit = core->limits->streams_per_conn;
    if (tern_mplex_core_find(core, number, false) != NULL) {
        fail(ret, &core->counters->mplex_bad_stream, "an open of a stream that is open");
        return;
    }
    core->opened = number;
    if (core->in_count < limit && core->unread < core->limits->conn_window_max) {
        ret->kind = TERN_MPLEX_OPENED;
        return;
    }
    core->counters->streams_limit++;
    if (charge(core, now, limit < COST_REFUSED_ALL ? COST_REFUSED_ALL / (limit + 1) + 1 : 1, ret)) {
        tern_mplex_core_refuse(core);
    }
}

static void on_close(tern_mplex_core *core, uint64_t now, tern_mplex_stream *s,
                     tern_mplex_event *ret)
{
    if (s->close_received) {
        charge(core, now, COST_FRAME, ret);
        return;
    }
    s->close_received = 1;
    ret->kind = TERN_MPLEX_ENDED;
    ret->stream = s;
    both_ended(core, s);
}

static void on_reset(tern_mplex_core *core, uint64_t now, tern_mplex_stream *s,
                     tern_mplex_event *ret)
{
    if (s->ours || charge(core, now, COST_RESET, ret)) {
        tern_mplex_core_retire(core, s);
        ret->kind = TERN_MPLEX_STOPPED;
        ret->stream = s;
    }
}

/* Frames cross: what comes for a stream that is over, or never was, is skipped. */
static void on_late(tern_mplex_core *core, uint64_t now, unsigned flag, tern_mplex_event *ret)
{
    if (flag >= TERN_MPLEX_RESET) {
        charge(core, now, COST_RESET, ret);
    } else if (core->body == 0) {
        charge(core, now, COST_FRAME, ret);
    }
}

static void on_frame(tern_mplex_core *core, uint64_t now, tern_mplex_event *ret)
{
    unsigned flag = core->header & 7;
    uint64_t number = core->header >> 3;
    if (flag == TERN_MPLEX_NEW) {
        on_open(core, now, number, ret);
        return;
    }
    tern_mplex_stream *s = tern_mplex_core_find(core, number, flag % 2 == 1);
    if (s == NULL || !s->told) {
        on_late(core, now, flag, ret);
    } else if (flag >= TERN_MPLEX_RESET) {
        on_reset(core, now, s, ret);
    } else if (flag >= TERN_MPLEX_CLOSE) {
        on_close(core, now, s, ret);
    } else if (s->close_received || core->body == 0) {
        charge(core, now, COST_FRAME, ret);
    } else {
        core->current = s;
    }
}

static void on_length(tern_mplex_core *core, uint64_t now, uint64_t length, tern_mplex_event *ret)
{
    if (length > TERN_MPLEX_LENGTH_MAX) {
        fail(ret, &core->counters->mplex_too_large, "a frame of more than 1 MiB");
        return;
    }
    core->body = (uint32_t)length;
    core->current = NULL;
    core->stage = length > 0 ? STAGE_BODY : STAGE_NUMBER;
    on_frame(core, now, ret);
}

/* A byte of one of the two numbers. */
static void on_varint(tern_mplex_core *core, uint64_t now, uint8_t byte, tern_mplex_event *ret)
{
    uint64_t value = 0;
    core->varint[core->have++] = byte;
    ssize_t len = tern_varint_get(core->varint, core->have, &value);
    if (len == 0) {
        return;
    }
    core->have = 0;
    if (len < 0) {
        fail(ret, &core->counters->mplex_malformed, "a malformed number");
    } else if (core->stage == STAGE_LENGTH) {
        on_length(core, now, value, ret);
    } else if ((value & 7) > TERN_MPLEX_RESET + TERN_MPLEX_INITIATOR) {
        fail(ret, &core->counters->mplex_malformed, "a frame with an unknown flag");
    } else {
        core->header = value;
        core->stage = STAGE_LENGTH;
    }
}

/* Bytes count against the limits before anybody keeps them. */
static size_t on_body(tern_mplex_core *core, uint8_t *data, size_t n, tern_mplex_event *ret)
{
    uint32_t part = n < core->body ? (uint32_t)n : core->body;
    tern_mplex_stream *s = core->current;
    core->body -= part;
    core->stage = core->body > 0 ? STAGE_BODY : STAGE_NUMBER;
    if (s == NULL) {
        return part;
    }
    ret->stream = s;
    if (s->unread > 0 && tern_limits_pressure(core->limits) == TERN_PRESSURE_OVER) {
        core->counters->memory_streams++;
        tern_mplex_core_reset(core, s);
        ret->kind = TERN_MPLEX_OVERFULL;
        return part;
    }
    if (s->unread + part > TERN_MPLEX_UNREAD_MAX ||
        core->unread + part > core->limits->conn_window_max) {
        core->counters->mplex_overflow++;
        tern_mplex_core_reset(core, s);
        ret->kind = TERN_MPLEX_OVERFULL;
        return part;
    }
    s->unread += part;
    core->unread += part;
    ret->kind = TERN_MPLEX_BYTES;
    ret->data = data;
    ret->len = part;
    return part;
}

size_t tern_mplex_core_receive(tern_mplex_core *core, uint64_t now, uint8_t *data, size_t n,
                               tern_mplex_event *ret)
{
    size_t used = 0;
    ret->kind = TERN_MPLEX_NOTHING;
    ret->stream = NULL;
    while (ret->kind == TERN_MPLEX_NOTHING && used < n) {
        if (core->stage == STAGE_BODY) {
            used += on_body(core, data + used, n - used, ret);
        } else {
            on_varint(core, now, data[used++], ret);
        }
    }
    return used;
}

bool tern_mplex_core_inside_frame(const tern_mplex_core *core)
{
    return core->have > 0 || core->stage != STAGE_NUMBER;
}
