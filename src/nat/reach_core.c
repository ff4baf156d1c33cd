/* The table of verdicts: see reach_core.h. */
#include "nat/reach_core.h"

#include <string.h>

#define SOON         (2 * TERN_SEC)
#define NOBODY_TIME  (30 * TERN_SEC)  /* nobody could be asked */
#define REFUSED_TIME (300 * TERN_SEC) /* for somebody who gave no answer */
#define PUBLIC_TIME  (3600 * TERN_SEC)
#define PRIVATE_TIME (900 * TERN_SEC)
#define AGAIN_TIME   (600 * TERN_SEC) /* until the same block may answer again */

tern_reach_target *tern_reach_core_find(tern_reach_core *r, uint32_t transport,
                                        const tern_endpoint *at)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->targets[i].transport == transport && tern_endpoint_eq(&r->targets[i].at, at)) {
            return &r->targets[i];
        }
    }
    return NULL;
}

bool tern_reach_core_sync(tern_reach_core *r, const tern_reach_target *ours, size_t n, uint64_t now)
{
    for (size_t i = 0; i < r->count; i++) {
        r->targets[i].wanted = false;
    }
    for (size_t i = 0; i < n; i++) {
        tern_reach_target *t = tern_reach_core_find(r, ours[i].transport, &ours[i].at);
        if (t == NULL && r->count < TERN_REACH_TARGETS_MAX) {
            t = &r->targets[r->count++];
            memset(t, 0, sizeof *t);
            t->transport = ours[i].transport;
            t->at = ours[i].at;
            t->next = now;
        }
        if (t != NULL) {
            t->port = ours[i].port;
            t->own = ours[i].own;
            t->wanted = true;
        }
    }
    size_t kept = 0;
    bool forgot = false;
    for (size_t i = 0; i < r->count; i++) {
        if (r->targets[i].wanted) {
            r->targets[kept++] = r->targets[i];
        } else {
            forgot |= r->targets[i].verdict != TERN_REACHABILITY_UNKNOWN;
        }
    }
    r->count = kept;
    return forgot;
}

void tern_reach_core_forget(tern_reach_core *r, uint64_t now)
{
    for (size_t i = 0; i < r->count; i++) {
        memset(r->targets[i].answers, 0, sizeof r->targets[i].answers);
        r->targets[i].verdict = TERN_REACHABILITY_UNKNOWN;
        r->targets[i].next = now;
        r->targets[i].not_before = 0;
        r->targets[i].asked = false;
    }
}

tern_reach_target *tern_reach_core_due(tern_reach_core *r, uint64_t now, uint64_t *ret_next)
{
    tern_reach_target *first = NULL;
    for (size_t i = 0; i < r->count; i++) {
        tern_reach_target *t = &r->targets[i];
        if (!t->asked && (first == NULL || t->next < first->next)) {
            first = t;
        }
    }
    *ret_next = first != NULL ? first->next : TERN_NEVER;
    return first != NULL && first->next <= now ? first : NULL;
}

static bool counts(const tern_reach_target *t, size_t i, uint64_t now)
{
    return t->answers[i].block.family != 0 && t->answers[i].said != TERN_REACH_NOTHING &&
           now - t->answers[i].at < TERN_REACH_ANSWER_LIFE;
}

bool tern_reach_core_may_ask(const tern_reach_target *t, const tern_endpoint *server, uint64_t now)
{
    tern_endpoint block = tern_endpoint_block(server), own = tern_endpoint_block(&t->at);
    if (memcmp(&block, &own, sizeof block) == 0) {
        return false; /* who is where we are says nothing of the way to us */
    }
    for (size_t i = 0; i < TERN_REACH_ANSWERS_MAX; i++) {
        uint64_t pause = t->answers[i].said == TERN_REACH_NOTHING ? REFUSED_TIME : AGAIN_TIME;
        if (memcmp(&t->answers[i].block, &block, sizeof block) == 0 &&
            now - t->answers[i].at < pause) {
            return false;
        }
    }
    return true;
}

/* Yes less no. */
static int score(const tern_reach_target *t, uint64_t now)
{
    int n = 0;
    for (size_t i = 0; i < TERN_REACH_ANSWERS_MAX; i++) {
        if (counts(t, i, now)) {
            n += t->answers[i].said == TERN_REACH_YES ? 1 : -1;
        }
    }
    return n;
}

/* The place of the block's answer: its last one, a free one, or the oldest. */
static size_t place_of(const tern_reach_target *t, const tern_endpoint *block)
{
    size_t oldest = 0;
    for (size_t i = 0; i < TERN_REACH_ANSWERS_MAX; i++) {
        if (memcmp(&t->answers[i].block, block, sizeof *block) == 0) {
            return i;
        }
        if (t->answers[i].at < t->answers[oldest].at) {
            oldest = i;
        }
    }
    return oldest;
}

bool tern_reach_core_answer(tern_reach_target *t, const tern_endpoint *server,
                            tern_reach_answer said, uint64_t now)
{
    tern_endpoint block = tern_endpoint_block(server);
    size_t i = place_of(t, &block);
    tern_reachability before = t->verdict;
    t->asked = false;
    t->answers[i].block = block;
    t->answers[i].said = said;
    t->answers[i].at = now;
    int n = score(t, now);
    if (n >= TERN_REACH_DECIDES) {
        t->verdict = TERN_REACHABILITY_PUBLIC;
    } else if (n <= -TERN_REACH_DECIDES) {
        t->verdict = TERN_REACHABILITY_PRIVATE;
    }
    bool sure = n >= TERN_REACH_WANTED || n <= -TERN_REACH_WANTED;
    uint64_t pause = t->verdict == TERN_REACHABILITY_PUBLIC ? PUBLIC_TIME : PRIVATE_TIME;
    t->not_before = said == TERN_REACH_NOTHING ? now + NOBODY_TIME : 0;
    t->next = sure ? now + pause : said == TERN_REACH_NOTHING ? t->not_before : now + SOON;
    return t->verdict != before;
}

void tern_reach_core_wait(tern_reach_target *t, uint64_t now)
{
    t->next = now + (t->verdict == TERN_REACHABILITY_UNKNOWN ? NOBODY_TIME : PRIVATE_TIME);
}

void tern_reach_core_hurry(tern_reach_core *r, uint64_t now)
{
    for (size_t i = 0; i < r->count; i++) {
        tern_reach_target *t = &r->targets[i];
        int n = score(t, now);
        bool sure = n >= TERN_REACH_WANTED || n <= -TERN_REACH_WANTED;
        uint64_t soon = now + SOON > t->not_before ? now + SOON : t->not_before;
        if (!sure && t->next > soon) {
            t->next = soon;
        }
    }
}

tern_reachability tern_reach_core_all(const tern_reach_core *r)
{
    tern_reachability all = TERN_REACHABILITY_UNKNOWN;
    for (size_t i = 0; i < r->count; i++) {
        if (r->targets[i].verdict == TERN_REACHABILITY_PUBLIC) {
            return TERN_REACHABILITY_PUBLIC;
        }
        if (r->targets[i].verdict == TERN_REACHABILITY_PRIVATE) {
            all = TERN_REACHABILITY_PRIVATE;
        }
    }
    return all;
}
