/* Votes over how we are seen: see observed_core.h. */
#include "nat/observed_core.h"

#include <string.h>

static bool same_block(const tern_observed_vote *a, const tern_observed_vote *b)
{
    return memcmp(&a->block, &b->block, sizeof a->block) == 0;
}

/* Of two votes the one that may rather go: free ones, gone ones by age, those of who dialled us. */
static bool lesser(const tern_observed_vote *a, const tern_observed_vote *b)
{
    return b == NULL || a->until < b->until || (a->until == b->until && !a->dialled && b->dialled);
}

/* Where a new vote goes: its own place, one of its block when that has as many as allowed, a free
 * or gone one. NULL: nowhere. */
static tern_observed_vote *place_for(tern_observed *o, const tern_observed_vote *v, uint64_t now)
{
    tern_observed_vote *least = NULL, *of_block = NULL;
    size_t in_block = 0;
    for (size_t i = 0; i < TERN_OBSERVED_VOTES_MAX; i++) {
        tern_observed_vote *w = &o->votes[i];
        if (w->until != 0 && w->conn == v->conn) {
            return w;
        }
        if (w->until > now && same_block(w, v)) {
            in_block++;
            of_block = lesser(w, of_block) ? w : of_block;
        }
        least = lesser(w, least) ? w : least;
    }
    if (in_block >= TERN_OBSERVED_OF_BLOCK) {
        return of_block;
    }
    return least->until != TERN_NEVER || (v->dialled && !least->dialled) ? least : NULL;
}

void tern_observed_vote_add(tern_observed *o, uint64_t now, const tern_observed_vote *vote,
                            const tern_endpoint *from)
{
    tern_observed_vote v = *vote;
    v.until = TERN_NEVER;
    v.block = tern_endpoint_block(from);
    tern_observed_vote *place = place_for(o, &v, now);
    if (place != NULL) {
        *place = v;
    }
}

void tern_observed_conn_gone(tern_observed *o, uint64_t now, uint64_t conn)
{
    for (size_t i = 0; i < TERN_OBSERVED_VOTES_MAX; i++) {
        if (o->votes[i].until == TERN_NEVER && o->votes[i].conn == conn) {
            o->votes[i].until = now + TERN_OBSERVED_TIME;
        }
    }
}

void tern_observed_clear(tern_observed *o)
{
    memset(o, 0, sizeof *o);
}

/* ---- counting ---- */

static bool same_address(const tern_observed_vote *a, const tern_observed_vote *b)
{
    return a->transport == b->transport && a->port == b->port &&
           tern_endpoint_eq(&a->seen, &b->seen);
}

/* Whether an earlier vote says the same (from the same block). */
static bool repeated(const tern_observed *o, uint64_t now, size_t i, bool of_block)
{
    for (size_t k = 0; k < i; k++) {
        if (o->votes[k].until > now && same_address(&o->votes[k], &o->votes[i]) &&
            (!of_block || same_block(&o->votes[k], &o->votes[i]))) {
            return true;
        }
    }
    return false;
}

/* How many networks agree with vote i. */
static size_t networks_of(const tern_observed *o, uint64_t now, size_t i)
{
    size_t n = 0;
    for (size_t k = 0; k < TERN_OBSERVED_VOTES_MAX; k++) {
        n += o->votes[k].until > now && same_address(&o->votes[k], &o->votes[i]) &&
             !repeated(o, now, k, true);
    }
    return n;
}

/* Puts it among those of its port, best first, of which there are so many at most. */
static size_t insert(tern_observed_address *out, size_t n, size_t cap,
                     const tern_observed_address *a)
{
    size_t of_port = 0, worst = n, at = n;
    for (size_t i = 0; i < n; i++) {
        if (out[i].transport == a->transport && out[i].port == a->port &&
            out[i].seen.family == a->seen.family) {
            of_port++;
            worst = i; /* they are in order */
        }
    }
    if (of_port == TERN_OBSERVED_PER_PORT) {
        if (out[worst].networks >= a->networks) {
            return n;
        }
        memmove(&out[worst], &out[worst + 1], (n - worst - 1) * sizeof *out);
        n--;
    }
    if (n == cap) {
        return n;
    }
    for (at = n; at > 0 && out[at - 1].networks < a->networks; at--) {
        out[at] = out[at - 1];
    }
    out[at] = *a;
    return n + 1;
}

size_t tern_observed_addresses(const tern_observed *o, uint64_t now, size_t networks,
                               tern_observed_address *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < TERN_OBSERVED_VOTES_MAX; i++) {
        const tern_observed_vote *v = &o->votes[i];
        if (v->until <= now || repeated(o, now, i, false)) {
            continue;
        }
        tern_observed_address a = {v->transport, v->port, v->seen, networks_of(o, now, i)};
        if (a.networks >= networks) {
            n = insert(out, n, cap, &a);
        }
    }
    return n;
}

/* ---- NATs that count ---- */

/* Whether two votes are about one port of ours behind one address. */
static bool same_port(const tern_observed_vote *a, const tern_observed_vote *b)
{
    return a->transport == b->transport && a->port == b->port && a->seen.family == b->seen.family &&
           memcmp(a->seen.ip, b->seen.ip, sizeof a->seen.ip) == 0;
}

/* Whether vote i speaks for its port: no earlier one does, and no two networks agree on any. */
static bool varies(const tern_observed *o, uint64_t now, size_t i)
{
    for (size_t k = 0; k < TERN_OBSERVED_VOTES_MAX; k++) {
        if (o->votes[k].until > now && same_port(&o->votes[k], &o->votes[i]) &&
            (k < i || networks_of(o, now, k) > 1)) {
            return false;
        }
    }
    return true;
}

/* The vote about the same port of ours with the highest one outside below `limit`, of another
 * network than those n; NULL: none. */
static const tern_observed_vote *below(const tern_observed *o, uint64_t now,
                                       const tern_observed_vote *like, unsigned limit,
                                       const tern_observed_vote *const *others, size_t n)
{
    const tern_observed_vote *best = NULL;
    for (size_t k = 0; k < TERN_OBSERVED_VOTES_MAX; k++) {
        const tern_observed_vote *v = &o->votes[k];
        bool fits = v->until > now && same_port(v, like) && v->seen.port < limit &&
                    (best == NULL || v->seen.port > best->seen.port);
        for (size_t i = 0; fits && i < n; i++) {
            fits = !same_block(others[i], v);
        }
        best = fits ? v : best;
    }
    return best;
}

static unsigned common(unsigned a, unsigned b)
{
    return b == 0 ? a : common(b, a % b);
}

/* The step between the highest ports of vote i's; 0: they are too few, or not in even steps. */
static unsigned step_of(const tern_observed *o, uint64_t now, size_t i, unsigned *ret_highest)
{
    const tern_observed_vote *high[TERN_OBSERVED_COUNTS];
    unsigned step = 0, limit = UINT16_MAX + 1;
    for (size_t n = 0; n < TERN_OBSERVED_COUNTS; n++) {
        high[n] = below(o, now, &o->votes[i], limit, high, n);
        if (high[n] == NULL || (n > 0 && limit - high[n]->seen.port > TERN_OBSERVED_STEP)) {
            return 0;
        }
        step = n > 0 ? common(limit - high[n]->seen.port, step) : 0;
        limit = high[n]->seen.port;
    }
    *ret_highest = high[0]->seen.port;
    return step;
}

size_t tern_observed_next(const tern_observed *o, uint64_t now, unsigned attempt,
                          tern_observed_address *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < TERN_OBSERVED_VOTES_MAX; i++) {
        const tern_observed_vote *v = &o->votes[i];
        unsigned port = 0;
        unsigned step = v->until > now && varies(o, now, i) ? step_of(o, now, i, &port) : 0;
        bool shorter = attempt > 0 && step > 1;
        step = shorter ? 1 : step;
        port += (shorter ? attempt - 1 : attempt) * TERN_OBSERVED_NEXT * step;
        for (unsigned k = 0; step > 0 && k < TERN_OBSERVED_NEXT && n < cap; k++) {
            port += step;
            if (port <= UINT16_MAX) {
                out[n] = (tern_observed_address){v->transport, v->port, v->seen, 0};
                out[n++].seen.port = (uint16_t)port;
            }
        }
    }
    return n;
}
