/* See webrtc_pair.h. */
#include "sim/webrtc_pair.h"

#include <stdio.h>

static void add_nodes(webrtc_pair *p, const char *credentials)
{
    tern_error error;
    tern_options o;
    char bound[256], id[TERN_PEER_ID_TEXT];
    tern_options_init(&o);
    o.webrtc_credentials = credentials;
    p->a = sim_nodes_add(&p->w, "-10.0.0.1", &o);
    p->b = sim_nodes_add(&p->w, "10.0.0.2", NULL);
    if (tern_node_listen(p->b->node, "/ip4/10.0.0.2/udp/4001/webrtc-direct", bound, sizeof bound,
                         &error) != 0) {
        fail_msg("%s", error.text);
    }
    tern_peer_id_text(&p->b->id, id);
    snprintf(p->addr, sizeof p->addr, "%s/p2p/%s", bound, id);
    assert_int_equal(tern_node_serve_perf(p->b->node), 0);
}

void webrtc_pair_init(webrtc_pair *p, const char *credentials)
{
    memset(p, 0, sizeof *p);
    sim_nodes_init(&p->w, WEBRTC_PAIR_DELAY);
    add_nodes(p, credentials);
}

void webrtc_pair_init_seeded(webrtc_pair *p, uint64_t seed, const tern_sim_link *link)
{
    memset(p, 0, sizeof *p);
    sim_nodes_init_seeded(&p->w, seed, link);
    add_nodes(p, NULL);
}

webrtc_conn *webrtc_pair_connect(webrtc_pair *p)
{
    sim_dial d;
    unsigned before = p->b->connected;
    sim_nodes_dial_one(p->a, p->addr, &d);
    if (d.conn == NULL) {
        fail_msg("%s: %s", d.error.layer, d.error.text);
    }
    p->conn = d.conn;
    sim_nodes_run(&p->w, TERN_SEC);
    assert_int_equal(p->b->connected, before + 1);
    return webrtc_pair_of(p->conn);
}

void webrtc_pair_end(webrtc_pair *p)
{
    sim_dial d;
    sim_ping ping;
    sim_nodes_run(&p->w, 60 * TERN_SEC);
    sim_node *c = sim_nodes_add(&p->w, "-10.0.0.3", NULL);
    sim_nodes_dial_one(c, p->addr, &d);
    assert_non_null(d.conn);
    sim_nodes_ping(c, d.conn, &ping);
    assert_int_equal(ping.error.code, 0);
    assert_int_equal(tern_node_net(p->b->node)->pending.count, 0);
    sim_nodes_clear(&p->w);
}

/* ---- bytes ---- */

static void on_done(void *owner, const tern_perf_result *result, const tern_error *error)
{
    webrtc_pair_asked *a = owner;
    a->done++;
    a->result = *result;
    if (error->code != 0) {
        a->error = *error;
    }
}

static void on_progress(void *owner, uint64_t sent, uint64_t received)
{
    (void)owner;
    (void)sent;
    (void)received;
}

void webrtc_pair_ask(webrtc_pair *p, uint64_t up, uint64_t down, webrtc_pair_asked *a)
{
    tern_error error;
    if (tern_node_perf(p->a->node, p->conn, up, down, on_progress, on_done, a, &error) != 0) {
        fail_msg("%s: %s", error.layer, error.text);
    }
}

void webrtc_pair_transfer(webrtc_pair *p, uint64_t up, uint64_t down, uint64_t time)
{
    webrtc_pair_asked a = {0};
    webrtc_pair_ask(p, up, down, &a);
    if (!sim_nodes_wait(&p->w, &a.done, 1, time)) {
        fail_msg("%llu bytes up and %llu down took too long", (unsigned long long)up,
                 (unsigned long long)down);
    }
    if (a.error.code != 0) {
        fail_msg("%s: %s", a.error.layer, a.error.text);
    }
    assert_int_equal(a.result.sent, up);
    assert_int_equal(a.result.received, down);
}

/* ---- strangers ---- */

void webrtc_pair_stranger(webrtc_pair *p, sim_attacker *x, const char *ip)
{
    sim_attacker_init(x, p->w.sim, ip, TERN_UDP_SET(TERN_UDP_STUN) | TERN_UDP_SET(TERN_UDP_DTLS));
}

size_t webrtc_pair_check(uint8_t out[TERN_STUN_MAX], uint32_t number)
{
    char user[100], pwd[80];
    snprintf(pwd, sizeof pwd, "libp2p+webrtc+v2/abcdefghijklmnopqrstuvwxyz%08x", (unsigned)number);
    snprintf(user, sizeof user, "%s:abcd", pwd);
    tern_stun_request r = {.username = {(uint8_t *)user, strlen(user)},
                           .password = {(uint8_t *)pwd, strlen(pwd)},
                           .priority = 1};
    ssize_t n = tern_stun_put_request(out, &r);
    assert_true(n > 0);
    return (size_t)n;
}

void webrtc_pair_say_check(sim_attacker *x, uint32_t number)
{
    uint8_t m[TERN_STUN_MAX];
    sim_attacker_say(x, m, webrtc_pair_check(m, number));
}
