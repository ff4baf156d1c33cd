/* Tags, protections and trimming: see connmgr.h. */
#include "swarm/connmgr.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "swarm/swarm.h"

#define TRIM_PAUSE                                                                                 \
    (10 * TERN_SEC) /* between trimmings, so that a crowd does not cause one each                  \
                     */

/* Whoever holds no more than this is not what uses memory up; where it is used up, many who hold a
 * little are. */
enum { HELD_LITTLE = 256 << 10, HELD_NOTHING = 4 << 10 };

/* Codes of closes (libp2p specs, error codes). */
enum { CLOSE_LIMIT = 0x1001, CLOSE_GARBAGE_COLLECTED = 0x1005 };

typedef struct tag {
    char *name;
    int32_t value;
    bool valued, protects;
} tag;

typedef struct known {
    size_t count;
    tag tags[TERN_CONNMGR_TAGS_MAX];
} known;

static void on_over(tern_deferred *d);

void tern_connmgr_init(tern_connmgr *m)
{
    memset(m, 0, sizeof *m);
    tern_map_init(&m->peers);
    tern_deferred_init(&m->over, on_over);
}

static void free_known(known *k)
{
    for (size_t i = 0; i < k->count; i++) {
        tern_free(k->tags[i].name);
    }
    tern_free(k);
}

void tern_connmgr_free(tern_connmgr *m)
{
    const void *key;
    void *value;
    size_t it = 0, n;
    tern_timer_stop(&m->timer);
    tern_deferred_cancel(&m->over);
    while (tern_map_next(&m->peers, &it, &key, &n, &value)) {
        free_known(value);
    }
    tern_map_free(&m->peers);
}

/* ---- tags ---- */

static known *find(const tern_connmgr *m, const tern_peer_id *peer)
{
    return tern_map_get(&m->peers, peer->bytes, peer->len);
}

static tag *find_tag(known *k, const char *name)
{
    for (size_t i = 0; k != NULL && i < k->count; i++) {
        if (strcmp(k->tags[i].name, name) == 0) {
            return &k->tags[i];
        }
    }
    return NULL;
}

static void drop_if_unused(tern_connmgr *m, const tern_peer_id *peer, known *k)
{
    for (size_t i = 0; i < k->count;) {
        tag *t = &k->tags[i];
        if (t->valued || t->protects) {
            i++;
            continue;
        }
        tern_free(t->name);
        *t = k->tags[--k->count];
    }
    if (k->count == 0) {
        tern_map_remove(&m->peers, peer->bytes, peer->len);
        tern_free(k);
    }
}

static int get_tag(tern_connmgr *m, const tern_peer_id *peer, const char *name, tag **ret)
{
    known *k = find(m, peer);
    *ret = find_tag(k, name);
    if (*ret != NULL) {
        return 0;
    }
    if (k == NULL) {
        k = tern_calloc(1, sizeof *k);
        if (k == NULL || tern_map_set(&m->peers, peer->bytes, peer->len, k) != 0) {
            tern_free(k);
            return TERN_E_NOMEM;
        }
    }
    char *copy = k->count < TERN_CONNMGR_TAGS_MAX ? tern_strdup(name) : NULL;
    if (copy == NULL) {
        int code = k->count < TERN_CONNMGR_TAGS_MAX ? TERN_E_NOMEM : TERN_E_LIMIT;
        drop_if_unused(m, peer, k);
        return code;
    }
    *ret = &k->tags[k->count++];
    **ret = (tag){.name = copy};
    return 0;
}

int tern_connmgr_tag(tern_connmgr *m, const tern_peer_id *peer, const char *name, int32_t value)
{
    tag *t = find_tag(find(m, peer), name);
    int code = t != NULL || value == 0 ? 0 : get_tag(m, peer, name, &t);
    if (t != NULL && code == 0) {
        t->value = value;
        t->valued = value != 0;
        drop_if_unused(m, peer, find(m, peer));
    }
    return code;
}

int tern_connmgr_protect(tern_connmgr *m, const tern_peer_id *peer, const char *name)
{
    tag *t;
    int code = get_tag(m, peer, name, &t);
    if (code == 0) {
        t->protects = true;
    }
    return code;
}

bool tern_connmgr_unprotect(tern_connmgr *m, const tern_peer_id *peer, const char *name)
{
    known *k = find(m, peer);
    tag *t = find_tag(k, name);
    if (t != NULL) {
        t->protects = false;
        drop_if_unused(m, peer, k);
    }
    return tern_connmgr_protected(m, peer);
}

bool tern_connmgr_protected(const tern_connmgr *m, const tern_peer_id *peer)
{
    const known *k = find(m, peer);
    for (size_t i = 0; k != NULL && i < k->count; i++) {
        if (k->tags[i].protects) {
            return true;
        }
    }
    return false;
}

bool tern_connmgr_known(const tern_connmgr *m, const tern_peer_id *peer)
{
    const known *k = find(m, peer);
    for (size_t i = 0; k != NULL && i < k->count; i++) {
        const tag *t = &k->tags[i];
        if (t->name[0] != ':' && (t->protects || t->value > 0)) {
            return true;
        }
    }
    return false;
}

int64_t tern_connmgr_value(const tern_connmgr *m, const tern_peer_id *peer)
{
    const known *k = find(m, peer);
    int64_t sum = 0;
    for (size_t i = 0; k != NULL && i < k->count; i++) {
        sum += k->tags[i].value;
    }
    return sum;
}

/* ---- trimming ---- */

typedef struct candidate {
    tern_conn *conn;
    int64_t value;
    uint64_t used; /* when a stream was last opened */
} candidate;

static int by_worth(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->value != y->value) {
        return x->value < y->value ? -1 : 1;
    }
    bool x_busy = x->conn->stream_count > x->conn->own_count;
    bool y_busy = y->conn->stream_count > y->conn->own_count;
    if (x_busy != y_busy) {
        return x_busy ? 1 : -1;
    }
    if (x->conn->facts.inbound != y->conn->facts.inbound) {
        return x->conn->facts.inbound ? -1 : 1;
    }
    return x->used < y->used ? -1 : x->used > y->used;
}

static size_t collect(tern_swarm *swarm, candidate *out)
{
    uint64_t now = tern_loop_now(swarm->net.loop), grace = swarm->net.limits.conns_grace;
    size_t n = 0;
    for (tern_list *l = swarm->conns.next; l != &swarm->conns; l = l->next) {
        tern_swarm_conn *c = TERN_CONTAINER(l, tern_swarm_conn, link);
        const tern_peer_id *peer = &c->conn->facts.peer;
        bool young = grace > 0 && now - c->conn->facts.opened < grace;
        if (!young && !c->conn->closing && !c->conn->finished &&
            !tern_connmgr_protected(&swarm->connmgr, peer)) {
            out[n++] = (candidate){c->conn, tern_connmgr_value(&swarm->connmgr, peer), c->used};
        }
    }
    return n;
}

static void trim(tern_swarm *swarm)
{
    const tern_limits *l = &swarm->net.limits;
    candidate *all = tern_calloc(swarm->conn_count, sizeof *all);
    if (all == NULL) {
        return; /* the next connection asks again */
    }
    size_t n = collect(swarm, all), left = swarm->conn_count;
    qsort(all, n, sizeof *all, by_worth);
    for (size_t i = 0; i < n && left > l->conns_low; i++, left--) {
        swarm->net.counters.conns_trimmed++;
        tern_conn_close(all[i].conn, CLOSE_GARBAGE_COLLECTED, "more connections than wanted");
    }
    tern_free(all);
}

static void on_time(tern_timer *timer)
{
    tern_connmgr *m = TERN_CONTAINER(timer, tern_connmgr, timer);
    tern_swarm *swarm = TERN_CONTAINER(m, tern_swarm, connmgr);
    if (swarm->conn_count > swarm->net.limits.conns_high) {
        m->trimmed = tern_loop_now(swarm->net.loop);
        trim(swarm);
    }
}

void tern_connmgr_check(tern_swarm *swarm)
{
    tern_connmgr *m = &swarm->connmgr;
    const tern_limits *l = &swarm->net.limits;
    if (l->conns_high == 0 || swarm->conn_count <= l->conns_high || tern_timer_armed(&m->timer)) {
        return;
    }
    uint64_t now = tern_loop_now(swarm->net.loop);
    uint64_t at = m->trimmed > 0 && m->trimmed + TRIM_PAUSE > now ? m->trimmed + TRIM_PAUSE : now;
    tern_timer_start(swarm->net.loop, &m->timer, at, on_time);
}

/* ---- memory ---- */

/* Closes the connection that holds most, if that is more than `least`; returns how much, or 0. */
static size_t close_heaviest(tern_swarm *swarm, size_t least)
{
    tern_conn *heaviest = NULL;
    size_t most = least;
    for (tern_list *l = swarm->conns.next; l != &swarm->conns; l = l->next) {
        tern_conn *conn = TERN_CONTAINER(l, tern_swarm_conn, link)->conn;
        size_t held = conn->ops->held != NULL && !conn->closing ? conn->ops->held(conn) : 0;
        if (held > most) {
            most = held;
            heaviest = conn;
        }
    }
    if (heaviest == NULL) {
        return 0;
    }
    swarm->net.counters.memory_conns++;
    TERN_LOG(TERN_LOG_DEBUG, "swarm", "memory is nearly used up: conn %llu, which holds %zu, ends",
             (unsigned long long)heaviest->facts.id, most);
    tern_conn_close(heaviest, CLOSE_LIMIT, "memory is nearly used up");
    return most;
}

tern_pressure tern_connmgr_relieve(tern_swarm *swarm)
{
    const tern_limits *l = &swarm->net.limits;
    tern_pressure pressure = tern_limits_pressure(l);
    while (pressure >= TERN_PRESSURE_HIGH && close_heaviest(swarm, HELD_LITTLE) > 0) {
        pressure = tern_limits_pressure(l);
        if (pressure < TERN_PRESSURE_FULL) {
            break; /* one is enough */
        }
    }
    return pressure;
}

/* Some of what they held may be freed only later: no more are closed than must be. */
static void on_over(tern_deferred *d)
{
    tern_connmgr *m = TERN_CONTAINER(d, tern_connmgr, over);
    tern_swarm *swarm = TERN_CONTAINER(m, tern_swarm, connmgr);
    uint64_t most = swarm->net.limits.memory, used = tern_mem_bytes();
    uint64_t wanted = used > most ? used - most + most / 16 : 0;
    while (wanted > 0 && tern_limits_pressure(&swarm->net.limits) == TERN_PRESSURE_OVER) {
        size_t freed = close_heaviest(swarm, HELD_NOTHING);
        wanted = freed > 0 && freed < wanted ? wanted - freed : 0;
    }
}

void tern_connmgr_over(tern_net *net)
{
    tern_defer_late(net->loop, &tern_swarm_of(net)->connmgr.over);
}
