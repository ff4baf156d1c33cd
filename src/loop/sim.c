/* The simulated world: its clock, its hosts, what a host's loop offers besides sockets.
 *
 *   tern_sim_run:  deferred calls -> timers due now -> deferred calls ... -> jump to the next
 * deadline
 *
 * All hosts share the world's scheduler, so events of equal time run in the order they were
 * arranged and a run with the same seed and the same calls repeats exactly. The clock starts at one
 * second, as code may read zero as "never". Loopback traffic takes no time.
 *
 * One thread: also tern_loop_post may be called from the world's thread only. Worlds may live
 * beside each other in a process, but the first one fixes the hash key of all maps, so it must be
 * made before any map of the process has an entry.
 *
 * Links and packets are in sim_wire.c, sockets in sim_tcp.c, sim_tcp_in.c and sim_udp.c, names in
 * sim_dns.c. */
#include "loop/sim.h"

#include <string.h>

#include <tern/error.h>

#include "base/mem.h"
#include "loop/sim_world.h"

static const uint64_t FIRST_WALL = UINT64_C(1735689600) * TERN_SEC; /* 2025-01-01 00:00:00 UTC */

enum { PORT_FIRST = 49152, PORT_LAST = 65535 }; /* ephemeral ports, RFC 6335, section 6 */

static const tern_loop_ops host_ops;

/* --- randomness --- */

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void tern_sim_rng_seed(struct sim_rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) {
        rng->s[i] = splitmix(&seed);
    }
}

static uint64_t rotate(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

uint64_t tern_sim_rng_next(struct sim_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

bool tern_sim_rng_chance(struct sim_rng *rng, double p)
{
    if (p <= 0) {
        return false;
    }
    return p >= 1 || (double)(tern_sim_rng_next(rng) >> 11) * 0x1p-53 < p;
}

/* --- the world --- */

int tern_sim_new(uint64_t seed, tern_sim **ret)
{
    tern_sim *sim = tern_calloc(1, sizeof *sim);
    if (sim == NULL) {
        return TERN_E_NOMEM;
    }
    /* The same key whatever the seed: another one would lose the entries of maps that exist. */
    tern_map_seed(UINT64_C(0x7465726e), UINT64_C(0x73696d));
    tern_sched_init(&sim->sched, TERN_SEC);
    sim->net = (tern_loop){.ops = &host_ops, .sched = &sim->sched};
    sim->seed = seed;
    sim->wall_offset = FIRST_WALL - sim->sched.now;
    tern_sim_rng_seed(&sim->rng, seed);
    tern_map_init(&sim->ips);
    tern_map_init(&sim->pairs);
    tern_map_init(&sim->names);
    tern_list_init(&sim->hosts);
    tern_list_init(&sim->packets);
    *ret = sim;
    return 0;
}

void tern_sim_free(tern_sim *sim)
{
    if (sim == NULL) {
        return;
    }
    while (!tern_list_empty(&sim->hosts)) {
        tern_loop_free(&TERN_CONTAINER(sim->hosts.next, struct sim_host, link)->loop);
    }
    while (!tern_list_empty(&sim->packets)) {
        tern_sim_packet_free(TERN_CONTAINER(sim->packets.next, struct sim_packet, link));
    }
    size_t it = 0;
    void *pair;
    while (tern_map_next(&sim->pairs, &it, NULL, NULL, &pair)) {
        tern_free(pair);
    }
    tern_map_free(&sim->pairs);
    tern_map_free(&sim->ips);
    tern_sim_names_free(sim);
    tern_sched_free(&sim->sched);
    tern_free(sim->read_buffer);
    tern_free(sim);
}

uint64_t tern_sim_now(const tern_sim *sim)
{
    return sim->sched.now;
}

void tern_sim_set_wall(tern_sim *sim, uint64_t unix_ns)
{
    sim->wall_offset = unix_ns - sim->sched.now;
}

tern_sim_stats tern_sim_get_stats(const tern_sim *sim)
{
    return sim->stats;
}

uint64_t tern_sim_run(tern_sim *sim, uint64_t until, bool (*stop)(void *arg), void *arg)
{
    tern_sched *sched = &sim->sched;
    for (;;) {
        bool more = tern_sched_run_deferred(sched, TERN_SCHED_ROUNDS);
        if (stop != NULL && stop(arg)) {
            return sched->now;
        }
        uint64_t next = tern_sched_next(sched);
        if (more && next > sched->now) {
            continue; /* calls that queue each other: the clock stands still */
        }
        if (next > until) {
            sched->now = until > sched->now && next != TERN_NEVER ? until : sched->now;
            return sched->now;
        }
        if (next == TERN_NEVER) {
            return sched->now;
        }
        sched->now = next > sched->now ? next : sched->now;
        sim->stats.events++;
        tern_sched_run_timers(sched);
    }
}

/* --- addresses --- */

void tern_sim_key(uint8_t out[SIM_ENDPOINT_KEY], const tern_endpoint *e)
{
    if (e->family == 4) {
        memset(out, 0, 10);
        memset(out + 10, 0xff, 2);
        memcpy(out + 12, e->ip, 4);
    } else {
        memcpy(out, e->ip, 16);
    }
    tern_put16(out + SIM_IP_KEY, e->port);
}

bool tern_sim_owns(const struct sim_host *host, const tern_endpoint *ip)
{
    for (size_t i = 0; i < host->addr_count; i++) {
        if (host->addrs[i].family == ip->family && memcmp(host->addrs[i].ip, ip->ip, 16) == 0) {
            return true;
        }
    }
    return tern_endpoint_is_loopback(ip);
}

bool tern_sim_source(const struct sim_host *host, const tern_endpoint *to, tern_endpoint *ret)
{
    if (tern_sim_owns(host, to)) {
        *ret = *to;
        ret->port = 0;
        return true;
    }
    for (size_t i = 0; i < host->addr_count; i++) {
        if (host->addrs[i].family == to->family) {
            *ret = host->addrs[i];
            return true;
        }
    }
    return false;
}

void *tern_sim_bound(const tern_map *map, const tern_endpoint *e)
{
    uint8_t key[SIM_ENDPOINT_KEY];
    tern_sim_key(key, e);
    void *found = tern_map_get(map, key, sizeof key);
    if (found == NULL) {
        tern_endpoint any = {.family = e->family, .port = e->port};
        tern_sim_key(key, &any);
        found = tern_map_get(map, key, sizeof key);
    }
    return found;
}

/* Whether a socket at e would share its port with one that is there. */
static bool taken(const struct sim_host *host, const tern_map *map, const tern_endpoint *e)
{
    if (tern_sim_bound(map, e) != NULL) {
        return true;
    }
    if (!tern_endpoint_is_unspecified(e)) {
        return false;
    }
    for (size_t i = 0; i < host->addr_count; i++) {
        tern_endpoint own = host->addrs[i];
        own.port = e->port;
        if (own.family == e->family && tern_sim_bound(map, &own) != NULL) {
            return true;
        }
    }
    return false;
}

uint16_t tern_sim_next_port(struct sim_host *host)
{
    if (host->last_port == 0 || host->last_port == PORT_LAST) {
        host->last_port = PORT_FIRST - 1;
    }
    return ++host->last_port;
}

int tern_sim_bind(struct sim_host *host, tern_map *map, tern_endpoint *at, void *socket)
{
    if (!tern_endpoint_is_unspecified(at) && !tern_sim_owns(host, at)) {
        return TERN_E_UNREACHABLE;
    }
    bool any = at->port == 0;
    unsigned tries = any ? PORT_LAST - PORT_FIRST + 1 : 1;
    do {
        at->port = any ? tern_sim_next_port(host) : at->port;
        if (!taken(host, map, at)) {
            uint8_t key[SIM_ENDPOINT_KEY];
            tern_sim_key(key, at);
            return tern_map_set(map, key, sizeof key, socket);
        }
    } while (--tries > 0);
    return TERN_E_ADDRINUSE;
}

/* --- hosts --- */

int tern_sim_add_address(tern_loop *loop, const char *ip)
{
    struct sim_host *host = tern_sim_host_of(loop);
    tern_endpoint e;
    int rc = tern_endpoint_parse_ip(&e, ip);
    if (rc < 0 || tern_endpoint_is_loopback(&e) || tern_endpoint_is_unspecified(&e)) {
        return TERN_E_MALFORMED;
    }
    uint8_t key[SIM_ENDPOINT_KEY];
    tern_sim_key(key, &e);
    struct sim_host *holder = tern_map_get(&host->sim->ips, key, SIM_IP_KEY);
    if (holder != NULL && !holder->crashed) {
        return TERN_E_ADDRINUSE; /* a crashed machine's address may come back with another one */
    }
    tern_endpoint *addrs = tern_realloc(host->addrs, (host->addr_count + 1) * sizeof *addrs);
    if (addrs == NULL) {
        return TERN_E_NOMEM;
    }
    host->addrs = addrs;
    rc = tern_map_set(&host->sim->ips, key, SIM_IP_KEY, host);
    if (rc == 0) {
        host->addrs[host->addr_count++] = e;
        tern_loop_addresses_changed(loop);
    }
    return rc;
}

int tern_sim_remove_address(tern_loop *loop, const char *ip)
{
    struct sim_host *host = tern_sim_host_of(loop);
    tern_endpoint e;
    uint8_t key[SIM_ENDPOINT_KEY];
    size_t i = 0;
    int rc = tern_endpoint_parse_ip(&e, ip);
    while (rc == 0 && i < host->addr_count && !tern_endpoint_eq(&host->addrs[i], &e)) {
        i++;
    }
    if (rc < 0 || i == host->addr_count) {
        return TERN_E_NOT_FOUND;
    }
    if (host->addr_count == 1) {
        return TERN_E_STATE;
    }
    host->addr_count--;
    memmove(&host->addrs[i], &host->addrs[i + 1], (host->addr_count - i) * sizeof *host->addrs);
    tern_sim_key(key, &e);
    tern_map_remove(&host->sim->ips, key, SIM_IP_KEY);
    for (tern_list *l = host->tcps.next; l != &host->tcps; l = l->next) {
        struct sim_tcp *t = TERN_CONTAINER(l, struct sim_tcp, link);
        tern_endpoint local = t->base.local;
        local.port = 0;
        t->orphan |= tern_endpoint_eq(&local, &e);
    }
    tern_loop_addresses_changed(loop);
    return 0;
}

void tern_sim_awake(tern_loop *loop)
{
    tern_loop_awoke(loop);
}

int tern_sim_host(tern_sim *sim, const char *ip, tern_loop **ret)
{
    struct sim_host *host = tern_calloc(1, sizeof *host);
    if (host == NULL) {
        return TERN_E_NOMEM;
    }
    host->loop = (tern_loop){.ops = &host_ops, .sched = &sim->sched};
    host->sim = sim;
    host->id = ++sim->last_host;
    tern_sim_rng_seed(&host->rng, sim->seed ^ (uint64_t)host->id << 32);
    tern_map_init(&host->conns);
    tern_map_init(&host->listeners);
    tern_map_init(&host->udps);
    tern_map_init(&host->cookies);
    tern_list_init(&host->tcps);
    tern_list_init(&host->calls);
    tern_sched_init(&host->grave, 0);
    tern_list_push(&sim->hosts, &host->link);
    int rc = tern_sim_add_address(&host->loop, ip);
    if (rc < 0) {
        tern_loop_free(&host->loop);
        return rc;
    }
    *ret = &host->loop;
    return 0;
}

/* Moves a timer of a crashed host to where it never fires. It stays armed for its owner. */
static void bury(struct sim_host *host, tern_timer *timer)
{
    uint64_t at = timer->at;
    tern_timer_stop(timer);
    host->loop.sched = &host->grave;
    tern_timer_start(&host->loop, timer, at, timer->fn);
    host->loop.sched = &host->sim->sched;
}

/* Deferred calls that the host queued in this very instant still run, but reach nobody. */
void tern_sim_crash(tern_loop *loop)
{
    struct sim_host *host = tern_sim_host_of(loop);
    tern_sched *sched = &host->sim->sched;
    if (host->crashed) {
        return;
    }
    host->crashed = true;
    host->grave.now = sched->now;
    for (tern_timer *timer = sched->starved, *next; timer != NULL; timer = next) {
        next = timer->next;
        if (timer->loop == loop) {
            bury(host, timer);
        }
    }
    /* Taking one out moves others about, also to places already looked at: until none is found. */
    bool found;
    do {
        found = false;
        for (size_t i = 0; i < sched->len; i++) {
            if (sched->heap[i]->loop == loop) {
                bury(host, sched->heap[i]);
                found = true;
            }
        }
    } while (found);
    host->loop.sched = &host->grave;
}

/* --- what a host's loop offers --- */

static uint64_t host_wall(tern_loop *loop)
{
    return tern_sim_host_of(loop)->sim->wall_offset + loop->sched->now;
}

static void host_random(tern_loop *loop, void *out, size_t n)
{
    struct sim_rng *rng = &tern_sim_host_of(loop)->rng;
    uint8_t *p = out;
    while (n > 0) {
        uint8_t bytes[8];
        tern_put64_le(bytes, tern_sim_rng_next(rng));
        size_t k = n < sizeof bytes ? n : sizeof bytes;
        memcpy(p, bytes, k);
        p += k;
        n -= k;
    }
}

static void host_wake(tern_loop *loop)
{
    (void)loop; /* tern_sim_run looks at the scheduler every time */
}

/* Forgets a posted call. */
static void unpost(tern_post *post)
{
    tern_deferred_cancel(&post->deferred);
    tern_list_remove(&post->link);
    if (post->allocated) {
        tern_free(post);
    }
}

static void post_run(tern_deferred *d)
{
    tern_post post = *TERN_CONTAINER(d, tern_post, deferred);
    unpost(TERN_CONTAINER(d, tern_post, deferred));
    if (!tern_sim_host_of(post.loop)->crashed) {
        post.fn(post.arg);
    }
}

static int host_post(tern_loop *loop, tern_post *post)
{
    tern_deferred_init(&post->deferred, post_run);
    post->loop = loop;
    tern_list_push(&tern_sim_host_of(loop)->calls, &post->link);
    tern_defer(loop, &post->deferred);
    return 0;
}

static void work_run(void *arg)
{
    tern_work *work = arg;
    work->run(work);
    work->done(work);
}

static int host_work(tern_loop *loop, tern_work *work)
{
    return tern_loop_post(loop, work_run, work);
}

/* A simulated host always notices. */
static int host_watch(tern_loop *loop, bool on)
{
    (void)loop;
    (void)on;
    return 0;
}

static size_t host_addresses(tern_loop *loop, tern_endpoint *out, size_t cap)
{
    static const tern_endpoint loopback[] = {{.family = 4, .ip = {127, 0, 0, 1}},
                                             {.family = 6, .ip = {[15] = 1}}};
    const struct sim_host *host = tern_sim_host_of(loop);
    for (size_t i = 0; i < host->addr_count + 2 && i < cap; i++) {
        out[i] = i < host->addr_count ? host->addrs[i] : loopback[i - host->addr_count];
    }
    return host->addr_count + 2;
}

/* The host leaves the world with all that is open on it; nobody is told. */
static void host_free(tern_loop *loop)
{
    struct sim_host *host = tern_sim_host_of(loop);
    tern_sim *sim = host->sim;
    while (!tern_list_empty(&host->tcps)) {
        tern_sim_tcp_free(TERN_CONTAINER(host->tcps.next, struct sim_tcp, link));
    }
    void *socket;
    for (size_t it = 0; tern_map_next(&host->listeners, &it, NULL, NULL, &socket);) {
        tern_sim_tcp_listener_close(socket);
    }
    for (size_t it = 0; tern_map_next(&host->udps, &it, NULL, NULL, &socket);) {
        tern_sim_udp_close(socket);
    }
    for (tern_list *node = sim->packets.next, *next; node != &sim->packets; node = next) {
        next = node->next;
        struct sim_packet *p = TERN_CONTAINER(node, struct sim_packet, link);
        if (p->inside == host) {
            tern_sim_packet_free(p);
        }
    }
    while (!tern_list_empty(&host->calls)) {
        unpost(TERN_CONTAINER(host->calls.next, tern_post, link));
    }
    for (size_t i = 0; i < host->addr_count; i++) {
        uint8_t key[SIM_ENDPOINT_KEY];
        tern_sim_key(key, &host->addrs[i]);
        if (tern_map_get(&sim->ips, key, SIM_IP_KEY) == host) {
            tern_map_remove(&sim->ips, key, SIM_IP_KEY);
        }
    }
    tern_map_free(&host->conns);
    tern_map_free(&host->listeners);
    tern_map_free(&host->udps);
    tern_map_free(&host->cookies);
    tern_sim_unshield(host);
    tern_free(host->addrs);
    tern_sched_free(&host->grave);
    tern_list_remove(&host->link);
    tern_free(host);
}

static const tern_loop_ops host_ops = {
    .wall = host_wall,
    .random = host_random,
    .wake = host_wake,
    .post = host_post,
    .work = host_work,
    .addresses = host_addresses,
    .gateway = tern_sim_gateway_of,
    .igd_start = tern_sim_igd_start,
    .watch = host_watch,
    .orphans = tern_sim_tcp_orphans,
    .free = host_free,
    .tcp_dial = tern_sim_tcp_dial,
    .tcp_write = tern_sim_tcp_write,
    .tcp_read = tern_sim_tcp_read,
    .tcp_pause = tern_sim_tcp_pause,
    .tcp_shutdown = tern_sim_tcp_shutdown,
    .tcp_close = tern_sim_tcp_close,
    .tcp_listen = tern_sim_tcp_listen,
    .tcp_listener_close = tern_sim_tcp_listener_close,
    .udp_bind = tern_sim_udp_bind,
    .udp_send = tern_sim_udp_send,
    .udp_close = tern_sim_udp_close,
    .dns_start = tern_sim_dns_start,
    .dns_cancel = tern_sim_dns_cancel,
};
