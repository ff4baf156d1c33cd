/* See spare_pair.h. */
#include "core/spare_pair.h"

#include "base/mem.h"

/* Older ones are wiped: a secret should not lie about for the whole life of a quiet node. */
#define SPARE_TIME (60 * TERN_SEC)

struct tern_spare_pair {
    tern_timer timer; /* there is none: it is to be made; else it is to be wiped */
    tern_x25519_pair pair;
    bool there;
};

static int make(tern_loop *loop, tern_x25519_pair *ret)
{
    tern_loop_random(loop, ret->secret, sizeof ret->secret);
    return tern_x25519_public(ret->secret, ret->public);
}

static void on_time(tern_timer *timer)
{
    tern_spare_pair *s = TERN_CONTAINER(timer, tern_spare_pair, timer);
    if (!s->there && make(timer->loop, &s->pair) == 0) {
        s->there = true;
        tern_timer_start(timer->loop, timer, tern_loop_now(timer->loop) + SPARE_TIME, on_time);
        return;
    }
    tern_wipe(&s->pair, sizeof s->pair);
    s->there = false;
}

tern_spare_pair *tern_spare_pair_new(void)
{
    return tern_calloc(1, sizeof(tern_spare_pair));
}

void tern_spare_pair_free(tern_spare_pair *s)
{
    if (s != NULL) {
        tern_timer_stop(&s->timer);
        tern_wipe(&s->pair, sizeof s->pair);
        tern_free(s);
    }
}

int tern_spare_pair_take(tern_net *net, tern_x25519_pair *ret)
{
    tern_spare_pair *s = net->spare;
    int e = 0;
    if (s != NULL && s->there) {
        *ret = s->pair;
        tern_wipe(&s->pair, sizeof s->pair);
        s->there = false;
    } else {
        e = make(net->loop, ret);
    }
    if (s != NULL) {
        tern_timer_start(net->loop, &s->timer, tern_loop_now(net->loop), on_time);
    }
    return e;
}
