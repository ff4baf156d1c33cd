/* The wire of the simulated world: which link two hosts share, when a packet that leaves now
 * arrives, and the arrival itself.
 *
 *   leaves the lane (rate) ... + delay + jitter [+ retransmission times] = arrival
 *
 * A link is looked up by its two hosts (one hash), a host by its address (one hash), and a packet
 * on its way is one timer, so an event costs O(log n) whatever the size of the world. The rate
 * counts bytes of payload; headers and packets without payload take no time on it, but wait their
 * turn. */
#include <string.h>

#include "base/mem.h"
#include "loop/sim_world.h"

/* --- links --- */

void tern_sim_set_default_link(tern_sim *sim, const tern_sim_link *link)
{
    sim->link = *link;
}

/* The state of a link; makes it if need be. NULL on memory. */
static struct sim_pair *pair_of(tern_sim *sim, const struct sim_host *a, const struct sim_host *b,
                                bool make)
{
    uint8_t key[8];
    tern_put32(key, a->id < b->id ? a->id : b->id);
    tern_put32(key + 4, a->id < b->id ? b->id : a->id);
    struct sim_pair *pair = tern_map_get(&sim->pairs, key, sizeof key);
    if (pair != NULL || !make) {
        return pair;
    }
    pair = tern_calloc(1, sizeof *pair);
    if (pair != NULL && tern_map_set(&sim->pairs, key, sizeof key, pair) < 0) {
        tern_free(pair);
        pair = NULL;
    }
    return pair;
}

int tern_sim_set_link(tern_sim *sim, tern_loop *a, tern_loop *b, const tern_sim_link *link)
{
    struct sim_pair *pair = pair_of(sim, tern_sim_host_of(a), tern_sim_host_of(b), true);
    if (pair == NULL) {
        return TERN_E_NOMEM;
    }
    pair->link = *link;
    pair->own = true;
    return 0;
}

enum sim_way tern_sim_path(struct sim_host *from, const tern_endpoint *to, struct sim_path *ret)
{
    tern_sim *sim = from->sim;
    *ret = (struct sim_path){.link = &sim->inside};
    if (from->crashed) {
        return SIM_WAY_NONE;
    }
    if (tern_sim_owns(from, to)) {
        return SIM_WAY_OPEN;
    }
    uint8_t key[SIM_ENDPOINT_KEY];
    tern_sim_key(key, to);
    struct sim_host *host = tern_map_get(&sim->ips, key, SIM_IP_KEY);
    if (host == NULL) {
        return SIM_WAY_NONE;
    }
    struct sim_pair *pair = pair_of(sim, from, host, sim->link.rate > 0);
    ret->link = pair != NULL && pair->own ? &pair->link : &sim->link;
    if (ret->link->down || (ret->link->rate > 0 && pair == NULL)) {
        return SIM_WAY_DOWN;
    }
    if (ret->link->rate > 0) {
        ret->lane = &pair->lanes[from->id > host->id];
    }
    return SIM_WAY_OPEN;
}

size_t tern_sim_tcp_window(const tern_sim_link *link)
{
    return link->tcp_buffer > 0 ? link->tcp_buffer : SIM_TCP_BUFFER;
}

size_t tern_sim_chunk(const tern_sim_link *link)
{
    uint64_t bytes = link->rate == 0 ? SIM_CHUNK_MAX : link->rate / 1000;
    if (bytes <= SIM_MSS) {
        return SIM_MSS;
    }
    return bytes < SIM_CHUNK_MAX ? (size_t)bytes : SIM_CHUNK_MAX;
}

/* Queues n bytes; returns when the last one has left. Exact over any number of calls. */
static uint64_t lane_take(const struct sim_path *path, uint64_t now, size_t n)
{
    struct sim_lane *lane = path->lane;
    if (lane == NULL) {
        return now;
    }
    if (lane->free_at < now) {
        lane->free_at = now;
        lane->carry = 0;
    }
    uint64_t work = n * TERN_SEC + lane->carry;
    lane->free_at += work / path->link->rate;
    lane->carry = work % path->link->rate;
    return lane->free_at;
}

static uint64_t draw_delay(tern_sim *sim, const tern_sim_link *link)
{
    if (link->jitter == 0) {
        return link->delay;
    }
    return link->delay + tern_sim_rng_next(&sim->rng) % (link->jitter + 1);
}

/* --- packets --- */

struct sim_packet *tern_sim_packet(struct sim_host *from, enum sim_kind kind,
                                   const tern_endpoint *src, const tern_endpoint *dst, size_t cap)
{
    struct sim_packet *p = tern_malloc(sizeof *p + cap);
    if (p == NULL) {
        return NULL;
    }
    *p = (struct sim_packet){.sim = from->sim, .kind = kind, .src = *src, .dst = *dst, .cap = cap};
    p->inside = tern_endpoint_is_loopback(dst) ? from : NULL;
    tern_list_init(&p->link);
    if (!tern_sim_nat_out(from, p)) {
        tern_free(p);
        return NULL;
    }
    return p;
}

void tern_sim_packet_free(struct sim_packet *p)
{
    tern_timer_stop(&p->timer);
    tern_list_remove(&p->link);
    tern_free(p);
}

static void count_lost(tern_sim *sim, uint64_t n)
{
    sim->stats.lost += n;
}

static void on_arrival(tern_timer *timer)
{
    struct sim_packet *p = TERN_CONTAINER(timer, struct sim_packet, timer);
    struct sim_host *host = p->inside;
    tern_sim *sim = p->sim;
    if (timer->at > sim->sched.now) { /* no memory in the heap made it early */
        tern_timer_start(&sim->net, timer, timer->at, on_arrival);
        return;
    }
    tern_list_remove(&p->link);
    sim->stats.events++;
    if (host == NULL) {
        uint8_t key[SIM_ENDPOINT_KEY];
        tern_sim_key(key, &p->dst);
        host = tern_map_get(&sim->ips, key, SIM_IP_KEY);
    }
    if (host == NULL || host->crashed || !tern_sim_nat_in(host, p)) {
        count_lost(sim, 1);
        tern_sim_packet_free(p);
    } else if (p->kind == SIM_UDP) {
        tern_sim_udp_arrive(host, p);
    } else {
        tern_sim_tcp_arrive(host, p);
    }
}

static void launch(struct sim_packet *p, uint64_t arrival)
{
    tern_sim *sim = p->sim;
    sim->stats.packets += p->len <= SIM_MSS ? 1 : (p->len + SIM_MSS - 1) / SIM_MSS;
    sim->stats.bytes += p->len;
    tern_list_push(&sim->packets, &p->link);
    tern_timer_start(&sim->net, &p->timer, arrival, on_arrival);
}

/* --- segments of TCP --- */

/* How late loss makes a segment: all of its packets are drawn, and those lost are drawn again one
 * retransmission time later, which doubles each round. */
static uint64_t draw_retransmissions(tern_sim *sim, const tern_sim_link *link, size_t len)
{
    uint64_t late = 0;
    uint64_t rto = 4 * link->delay + 2 * link->jitter; /* twice the round trip */
    rto = rto < SIM_RTO_MIN ? SIM_RTO_MIN : rto;
    size_t left = len <= SIM_MSS ? 1 : (len + SIM_MSS - 1) / SIM_MSS;
    while (left > 0 && late < SIM_GIVE_UP) {
        size_t lost = 0;
        for (size_t i = 0; i < left; i++) {
            lost += tern_sim_rng_chance(&sim->rng, link->loss);
        }
        count_lost(sim, lost);
        late += lost > 0 ? rto : 0;
        rto = rto * 2 < SIM_RTO_MAX ? rto * 2 : SIM_RTO_MAX;
        left = lost;
    }
    return late;
}

uint64_t tern_sim_send_segment(struct sim_packet *p, const struct sim_path *path, uint64_t *order)
{
    tern_sim *sim = p->sim;
    const tern_sim_link *link = path->link;
    uint64_t left = lane_take(path, sim->sched.now, p->len);
    uint64_t arrival = left + draw_delay(sim, link);
    if (p->kind == SIM_SYN || p->kind == SIM_SYNACK) {
        if (tern_sim_rng_chance(&sim->rng, link->loss)) {
            count_lost(sim, 1);
            tern_sim_packet_free(p);
            return left;
        }
    } else if (order != NULL && link->loss > 0) {
        arrival += draw_retransmissions(sim, link, p->len);
    }
    if (order != NULL) {
        arrival = arrival < *order ? *order : arrival;
        *order = arrival;
    }
    launch(p, arrival);
    return left;
}

/* --- datagrams --- */

static void on_departure(tern_timer *timer)
{
    struct sim_packet *p = TERN_CONTAINER(timer, struct sim_packet, timer);
    p->lane->queued--;
    p->lane = NULL;
    tern_timer_start(&p->sim->net, &p->timer, timer->at + p->delay, on_arrival);
}

static void send_one(struct sim_packet *p, const struct sim_path *path)
{
    tern_sim *sim = p->sim;
    uint64_t now = sim->sched.now;
    if (path->lane != NULL && path->lane->queued >= SIM_LANE_QUEUE) {
        count_lost(sim, 1);
        tern_sim_packet_free(p);
        return;
    }
    uint64_t left = lane_take(path, now, p->len);
    p->delay = draw_delay(sim, path->link);
    if (tern_sim_rng_chance(&sim->rng, path->link->loss)) {
        count_lost(sim, 1); /* behind the lane: it has used the rate */
        tern_sim_packet_free(p);
        return;
    }
    launch(p, left + p->delay);
    if (left > now) {
        p->lane = path->lane;
        p->lane->queued++;
        tern_timer_start(&sim->net, &p->timer, left, on_departure);
    }
}

void tern_sim_send_datagram(struct sim_packet *p, const struct sim_path *path)
{
    tern_sim *sim = p->sim;
    if (tern_sim_rng_chance(&sim->rng, path->link->duplicate)) {
        struct sim_packet *twin = tern_malloc(sizeof *p + p->len);
        if (twin != NULL) {
            memcpy(twin, p, sizeof *p + p->len);
            twin->cap = p->len;
            tern_list_init(&twin->link);
            send_one(twin, path);
        }
    }
    send_one(p, path);
}
