/* Two nodes that meet at a relay: see punch_scene.h. */
#include "sim/punch_scene.h"

#include <stdio.h>

enum { TRIES = 6 }; /* of what loss may prevent */

/* ---- chance ---- */

/* splitmix64 */
static uint64_t draw(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static uint64_t between(uint64_t *seed, uint64_t least, uint64_t most)
{
    return least + draw(seed) % (most - least + 1);
}

static tern_sim_link any_link(uint64_t *seed)
{
    tern_sim_link link = {.delay = between(seed, 5 * TERN_MS, 150 * TERN_MS)};
    link.jitter = between(seed, 0, link.delay / 5);
    link.loss = (double)between(seed, 0, 20) / 1000;
    return link;
}

static void lay_links(punch_scene *s, uint64_t *seed, const punch_setting *how)
{
    sim_node *all[PUNCH_SERVERS_MAX + 2] = {s->a, s->b};
    size_t n = 2;
    for (size_t i = 0; i < PUNCH_SERVERS_MAX && s->servers[i] != NULL; i++) {
        all[n++] = s->servers[i];
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            tern_sim_link link =
                how->seed != 0 ? any_link(seed) : (tern_sim_link){.delay = PUNCH_DELAY};
            link.no_udp = (k == 0 && how->a->no_udp) || ((k == 1 || i == 1) && how->b->no_udp);
            assert_int_equal(tern_sim_set_link(s->w.sim, all[i]->host, all[k]->host, &link), 0);
        }
    }
}

/* ---- nodes ---- */

static const char *family_of(const char *ip)
{
    return strchr(ip, ':') != NULL ? "ip6" : "ip4";
}

static sim_node *add(sim_nodes *w, const char *ip, const tern_options *o)
{
    char text[80];
    tern_error error;
    sim_node *n = sim_nodes_add(w, ip, o);
    snprintf(text, sizeof text, "/%s/%s/udp/%d/quic-v1", family_of(ip), ip, SIM_NODE_PORT);
    if (tern_node_listen(n->node, text, NULL, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
    return n;
}

static sim_node *add_behind(sim_nodes *w, const punch_place *at)
{
    tern_options o;
    tern_options_init(&o);
    o.autonat = o.hole_punch = true;
    sim_node *n = add(w, at->ip, &o);
    assert_int_equal(tern_sim_shield(n->host, at->outside, at->mapping, at->filtering), 0);
    tern_sim_shield_ports(n->host, at->ports, at->step);
    if (at->outer != NULL) {
        assert_int_equal(tern_sim_shield_again(n->host, at->outer, at->mapping, at->filtering), 0);
        tern_sim_shield_ports(n->host, at->ports, at->step);
    }
    return n;
}

typedef struct road {
    const char *transport;
    unsigned done,
        made; /* those over another one do not count: it knows both, and packets get lost */
} road;

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    road *r = owner;
    (void)error;
    (void)reports;
    (void)report_count;
    r->done++;
    r->made += conn != NULL && strcmp(conn->facts.transport, r->transport) == 0;
}

/* A new connection, whose peer has said how it sees us. */
static void connect_over(punch_scene *s, sim_node *from, const sim_node *to, bool quic)
{
    char text[300], family[4], ip[64], id[TERN_PEER_ID_TEXT];
    const char *texts[] = {text};
    road r = {.transport = quic ? "quic-v1" : "tcp"};
    unsigned identified = from->identified + 1;
    tern_error error;
    assert_int_equal(sscanf(to->addr, "/%3[ip46]/%63[^/]/", family, ip), 2);
    snprintf(text, sizeof text, "/%s/%s/%s/p2p/%s", family, ip,
             quic ? "udp/4001/quic-v1" : "tcp/4001", tern_peer_id_text(&to->id, id));
    for (unsigned i = 0; i < TRIES && r.made == 0; i++) {
        assert_int_equal(tern_node_dial(from->node, texts, 1, 0, true, dialled, &r, &error), 0);
        assert_true(sim_nodes_wait(&s->w, &r.done, i + 1, 60 * TERN_SEC));
    }
    assert_int_equal(r.made, 1);
    assert_true(sim_nodes_wait(&s->w, &from->identified, identified, 60 * TERN_SEC));
}

static void connect_all(punch_scene *s, const punch_setting *how, bool b)
{
    const punch_place *at = b ? how->b : how->a;
    for (size_t i = 0; i < PUNCH_SERVERS_MAX && s->servers[i] != NULL; i++) {
        for (int over = 0; over < 2; over++) {
            if (over == 0 ? how->tcp : how->quic && !at->no_udp) {
                connect_over(s, b ? s->b : s->a, s->servers[i], over == 1);
            }
        }
    }
}

static void take_a_place(punch_scene *s)
{
    char text[256], id[TERN_PEER_ID_TEXT];
    tern_error error;
    snprintf(text, sizeof text, "%s/p2p-circuit", s->relay->addr);
    if (tern_node_listen(s->b->node, text, NULL, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
    for (unsigned i = 0; i < 600 && sim_counters(s->b)->relay_reserved == 0; i++) {
        sim_nodes_run(&s->w, 100 * TERN_MS);
    }
    assert_int_equal(sim_counters(s->b)->relay_reserved, 1);
    snprintf(s->at, sizeof s->at, "%s/p2p-circuit/p2p/%s", s->relay->addr,
             tern_peer_id_text(&s->b->id, id));
}

void punch_scene_make(punch_scene *s, const punch_setting *how)
{
    static const char *const ips[2][PUNCH_SERVERS_MAX] = {{"5.1.0.1", "5.2.0.1", "5.3.0.1"},
                                                          {"2a00:1::1", "2a00:2::1", "2a00:3::1"}};
    const char *const *at = ips[strchr(how->a->ip, ':') != NULL];
    uint64_t seed = how->seed;
    tern_options o;
    memset(s, 0, sizeof *s);
    sim_nodes_init_seeded(&s->w, how->seed + 1, &(tern_sim_link){.delay = PUNCH_DELAY});
    tern_options_init(&o);
    o.relay_service = true;
    for (unsigned i = 0; i < (how->servers > 0 ? how->servers : 1); i++) {
        s->servers[i] = add(&s->w, at[i], &o);
    }
    s->relay = s->servers[0];
    s->a = add_behind(&s->w, how->a);
    s->b = add_behind(&s->w, how->b);
    lay_links(s, &seed, how);
    connect_all(s, how, true);
    take_a_place(s);
    connect_all(s, how, false);
    sim_nodes_run(&s->w, how->seed != 0 ? between(&seed, 0, 3 * TERN_SEC) : 2 * TERN_SEC);
}

void punch_scene_reach(punch_scene *s)
{
    sim_dial d = {.conn = NULL};
    for (unsigned i = 0; i < TRIES && d.conn == NULL; i++) {
        sim_nodes_dial_one(s->a, s->at, &d);
    }
    if (d.conn == NULL) {
        fail_msg("%s", d.error.text);
    }
}

tern_conn *punch_scene_direct(sim_node *n, const sim_node *other)
{
    tern_net *net = tern_node_net(n->node);
    size_t it = 0;
    tern_conn *c;
    while ((c = net->ops->next_conn(net, &other->id, &it)) != NULL && c->facts.limited) {
    }
    return c;
}
