/* See splice.h. */
#include "nat/splice.h"

#include "base/mem.h"

#define PACE (50 * TERN_MS) /* between two helpings of a circuit with a rate */

enum { HELPING_MIN = 1024 };

typedef struct side {
    tern_splice *splice;
    tern_stream *s;   /* NULL once closed */
    uint64_t left;    /* bytes that may still come from it */
    uint64_t helping; /* ... before the next helping */
} side;

struct tern_splice {
    tern_net *net;
    side side[2];
    tern_splice_limits limits;
    tern_timer timer, pace; /* pace: armed while somebody waits for his next helping */
    uint64_t helped;        /* when the last one was */
    tern_splice_end end;
    void (*done)(void *owner, const tern_splice_end *end);
    void *owner;
};

static side *other_side(side *me)
{
    tern_splice *sp = me->splice;
    return me == &sp->side[0] ? &sp->side[1] : &sp->side[0];
}

/* All that was allowed has come: this way ends, the other goes on. */
static void exhaust(side *from, side *to)
{
    from->splice->end.out_of_data = true;
    if (to->s != NULL) {
        tern_stream_end(to->s);
    }
    tern_stream_stop(from->s, 0);
}

/* What a time is worth at the rate; never so little that it is all overhead. */
static uint64_t helping_of(const tern_splice *sp, uint64_t time)
{
    uint64_t bytes = sp->limits.rate / 1000 * (time / TERN_MS) +
                     sp->limits.rate % 1000 * (time / TERN_MS) / 1000;
    return bytes > HELPING_MIN ? bytes : HELPING_MIN;
}

static void help(tern_splice *sp)
{
    sp->helped = tern_loop_now(sp->net->loop);
    sp->side[0].helping = sp->side[1].helping = helping_of(sp, PACE);
}

static void on_pace(tern_timer *timer)
{
    tern_splice *sp = TERN_CONTAINER(timer, tern_splice, pace);
    help(sp);
    for (int i = 0; i < 2; i++) {
        if (sp->side[i].s != NULL) {
            tern_stream_resume(sp->side[i].s);
        }
    }
}

/* How many of n bytes may pass now. */
static size_t allowed(side *from, size_t n)
{
    tern_splice *sp = from->splice;
    size_t may = sp->limits.data > 0 && from->left < n ? (size_t)from->left : n;
    if (sp->limits.rate == 0) {
        return may;
    }
    uint64_t pause = PACE;
    if (helping_of(sp, PACE) == HELPING_MIN) { /* seldom, then */
        pause = HELPING_MIN * TERN_SEC / sp->limits.rate;
    }
    if (tern_loop_now(sp->net->loop) >= sp->helped + pause) {
        help(sp);
    }
    if (from->helping < may) {
        may = (size_t)from->helping;
        if (!tern_timer_armed(&sp->pace)) {
            tern_timer_start(sp->net->loop, &sp->pace, sp->helped + pause, on_pace);
        }
    }
    return may;
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    side *from = owner, *to = other_side(from);
    tern_splice *sp = from->splice;
    (void)s;
    if (to->s == NULL) {
        return n;
    }
    size_t taken = tern_stream_write(to->s, data, allowed(from, n));
    sp->end.bytes[from - sp->side] += taken;
    from->helping -= sp->limits.rate > 0 ? taken : 0;
    if (sp->limits.data > 0) {
        from->left -= taken;
        if (from->left == 0 && taken < n) {
            exhaust(from, to);
            return n;
        }
    }
    return taken;
}

static void on_end(void *owner, tern_stream *s)
{
    side *to = other_side(owner);
    (void)s;
    if (to->s != NULL) {
        tern_stream_end(to->s);
    }
}

static void on_room(void *owner, tern_stream *s)
{
    side *from = other_side(owner);
    (void)s;
    if (from->s != NULL) {
        tern_stream_resume(from->s);
    }
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    side *me = owner, *to = other_side(me);
    tern_splice *sp = me->splice;
    (void)s;
    me->s = NULL;
    if (to->s != NULL) {
        if (why->code != 0) {
            tern_stream_reset(to->s, why->code == TERN_E_RESET ? why->wire : 0);
        }
        return;
    }
    tern_timer_stop(&sp->timer);
    tern_timer_stop(&sp->pace);
    sp->done(sp->owner, &sp->end);
    tern_free(sp);
}

static const tern_stream_events events = {
    .on_data = on_data, .on_end = on_end, .on_room = on_room, .on_closed = on_closed};

void tern_splice_cut(tern_splice *sp)
{
    for (int i = 0; i < 2; i++) {
        if (sp->side[i].s != NULL) {
            tern_stream_reset(sp->side[i].s, 0);
        }
    }
}

static void on_time(tern_timer *timer)
{
    tern_splice *sp = TERN_CONTAINER(timer, tern_splice, timer);
    sp->end.out_of_time = true;
    tern_splice_cut(sp);
}

tern_splice *tern_splice_new(tern_net *net, tern_stream *a, tern_stream *b,
                             const tern_splice_limits *limits,
                             void (*done)(void *owner, const tern_splice_end *end), void *owner)
{
    tern_splice *sp = tern_calloc(1, sizeof *sp);
    if (sp == NULL) {
        return NULL;
    }
    sp->net = net;
    sp->limits = *limits;
    sp->side[0] = (side){.splice = sp, .s = a, .left = limits->data};
    sp->side[1] = (side){.splice = sp, .s = b, .left = limits->data};
    sp->done = done;
    sp->owner = owner;
    help(sp);
    if (limits->time > 0) {
        tern_timer_start(net->loop, &sp->timer, tern_loop_now(net->loop) + limits->time, on_time);
    }
    tern_stream_take(a, &events, &sp->side[0]);
    tern_stream_take(b, &events, &sp->side[1]);
    return sp;
}
