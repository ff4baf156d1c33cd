/* Whole nodes in a simulated world. See nodes.h. */
#include "sim/nodes.h"

#include <stdio.h>

#include "loop/backend.h"
#include "suite/ear.h"

/* ---- events ---- */

static void on_connected(void *owner, tern_node *node, tern_conn *conn)
{
    sim_node *n = owner;
    assert_ptr_equal(node, n->node);
    n->connected++;
    n->conn = conn;
}

static void on_disconnected(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    sim_node *n = owner;
    assert_ptr_equal(node, n->node);
    assert_int_equal(n->stopped, 0);
    n->disconnected++;
    n->why = *why;
    if (n->conn == conn) {
        n->conn = NULL;
    }
}

static void add_text(char *list, size_t cap, const char *text)
{
    size_t n = strlen(list);
    snprintf(list + n, cap - n, "%s,", text);
}

static void on_identified(void *owner, tern_node *node, tern_conn *conn,
                          const tern_identified *what)
{
    sim_node *n = owner;
    assert_ptr_equal(node, n->node);
    assert_non_null(conn);
    n->identified++;
    n->signed_record = what->signed_record;
    snprintf(n->agent, sizeof n->agent, "%s", what->agent);
    snprintf(n->observed, sizeof n->observed, "%s",
             what->observed != NULL ? tern_multiaddr_text(what->observed) : "");
    n->addrs[0] = n->protocols[0] = '\0';
    for (size_t i = 0; i < what->addr_count; i++) {
        add_text(n->addrs, sizeof n->addrs, tern_multiaddr_text(what->addrs[i]));
    }
    for (size_t i = 0; i < what->protocol_count; i++) {
        add_text(n->protocols, sizeof n->protocols, what->protocols[i]);
    }
}

static void on_stopped(void *owner, tern_node *node)
{
    sim_node *n = owner;
    assert_ptr_equal(node, n->node);
    assert_int_equal(n->connected, n->disconnected);
    n->stopped++;
}

static void on_addresses(void *owner, tern_node *node)
{
    sim_node *n = owner;
    assert_ptr_equal(node, n->node);
    assert_int_equal(n->stopped, 0);
    n->moved++;
}

static void on_reachability(void *owner, tern_node *node, const tern_multiaddr *addr,
                            tern_reachability verdict)
{
    static const char *const names[] = {"unknown", "public", "private"};
    sim_node *n = owner;
    char text[200];
    assert_ptr_equal(node, n->node);
    n->judged++;
    snprintf(text, sizeof text, "%s %s", tern_multiaddr_text(addr), names[verdict]);
    add_text(n->verdicts, sizeof n->verdicts, text);
}

static void on_port_mapping(void *owner, tern_node *node, const tern_port_mapping *what,
                            const tern_error *why)
{
    sim_node *n = owner;
    char text[300];
    assert_ptr_equal(node, n->node);
    n->mapped += why == NULL && what->external != NULL;
    n->refused += why != NULL;
    snprintf(text, sizeof text, "%s %s", what->protocol != NULL ? what->protocol : "-",
             what->external != NULL ? tern_multiaddr_text(what->external)
             : why != NULL          ? why->text
                                    : "none");
    add_text(n->mappings, sizeof n->mappings, text);
}

static void on_hole_punch(void *owner, tern_node *node, const tern_peer_id *peer, unsigned attempts,
                          uint64_t time, const tern_error *why)
{
    sim_node *n = owner;
    assert_ptr_equal(node, n->node);
    assert_non_null(peer);
    n->punched++;
    n->punch_attempts = attempts;
    n->punch_time = time;
    n->punch_why = why != NULL ? *why : (tern_error){0};
}

static const tern_node_events events = {.on_connected = on_connected,
                                        .on_disconnected = on_disconnected,
                                        .on_identified = on_identified,
                                        .on_stopped = on_stopped,
                                        .on_addresses = on_addresses,
                                        .on_reachability = on_reachability,
                                        .on_port_mapping = on_port_mapping,
                                        .on_hole_punch = on_hole_punch};

/* ---- the world ---- */

void sim_nodes_init_seeded(sim_nodes *w, uint64_t seed, const tern_sim_link *link)
{
    memset(w, 0, sizeof *w);
    w->alive = tern_mem_alive();
    assert_int_equal(tern_sim_new(seed, &w->sim), 0);
    tern_sim_set_default_link(w->sim, link);
    assert_int_equal(tern_sim_host(w->sim, "192.0.2.254", &w->clock), 0);
}

void sim_nodes_init(sim_nodes *w, uint64_t delay)
{
    sim_nodes_init_seeded(w, 1, &(tern_sim_link){.delay = delay});
}

static sim_node *add_node(sim_nodes *w, tern_loop *host, const tern_options *options,
                          const char *listen)
{
    tern_options o;
    tern_error error;
    sim_node *n = tern_calloc(1, sizeof *n);
    assert_non_null(n);
    assert_true(w->count < SIM_NODES_MAX);
    w->nodes[w->count++] = n;
    n->world = w;
    n->host = host;
    tern_options_init(&o);
    if (options != NULL) {
        o = *options;
    }
    o.events = &events;
    o.owner = n;
    if (tern_node_new_on(n->host, &o, &n->node, &error) != 0) {
        fail_msg("%s", error.text);
    }
    tern_node_peer_id(n->node, &n->id);
    if (listen != NULL && tern_node_listen(n->node, listen, n->addr, sizeof n->addr, &error) != 0) {
        fail_msg("%s", error.text);
    }
    return n;
}

sim_node *sim_nodes_add(sim_nodes *w, const char *ip, const tern_options *options)
{
    char text[80];
    tern_loop *host;
    bool listens = ip[0] != '-';
    ip += !listens;
    assert_int_equal(tern_sim_host(w->sim, ip, &host), 0);
    snprintf(text, sizeof text, "/%s/%s/tcp/%d", strchr(ip, ':') != NULL ? "ip6" : "ip4", ip,
             SIM_NODE_PORT);
    return add_node(w, host, options, listens ? text : NULL);
}

sim_node *sim_nodes_beside(sim_node *other, const char *listen)
{
    return add_node(other->world, other->host, NULL, listen);
}

void sim_node_end(sim_node *n)
{
    if (n->node == NULL) {
        return;
    }
    tern_node_stop(n->node);
    assert_true(sim_nodes_wait(n->world, &n->stopped, 1, 10 * TERN_SEC));
    assert_int_equal(n->stopped, 1);
    size_t timers = n->host->sched->len;
    tern_node_free(n->node);
    assert_int_equal(n->host->sched->len, timers); /* none was left armed: see embed_test.c */
    n->node = NULL;
}

/* Its last words go into links that are down; then it is gone, with what they left behind. */
void sim_node_vanish(sim_node *n)
{
    sim_nodes *w = n->world;
    for (size_t i = 0; i < w->count; i++) {
        if (w->nodes[i]->host != NULL && w->nodes[i]->host != n->host) {
            assert_int_equal(tern_sim_set_link(w->sim, n->host, w->nodes[i]->host,
                                               &(tern_sim_link){.down = true}),
                             0);
        }
    }
    sim_node_end(n);
    tern_loop_free(n->host);
    n->host = NULL;
}

void sim_nodes_clear(sim_nodes *w)
{
    for (size_t i = 0; i < w->count; i++) {
        sim_node_end(w->nodes[i]);
    }
    /* What was left to others (sockets that linger, refused connections) ends by itself. */
    sim_nodes_run(w, 60 * TERN_SEC);
    for (size_t i = 0; i < w->count; i++) {
        tern_free(w->nodes[i]);
    }
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), w->alive);
}

uint64_t sim_nodes_now(const sim_nodes *w)
{
    return tern_sim_now(w->sim);
}

static void on_time(tern_timer *timer)
{
    (void)timer;
}

/* The timer keeps an idle world from stopping before. */
void sim_nodes_run(sim_nodes *w, uint64_t time)
{
    tern_timer timer = {0};
    uint64_t until = tern_sim_now(w->sim) + time;
    tern_timer_start(w->clock, &timer, until, on_time);
    tern_sim_run(w->sim, until, NULL, NULL);
    assert_int_equal(tern_sim_now(w->sim), until);
    tern_timer_stop(&timer);
}

typedef struct target {
    const unsigned *count;
    unsigned at_least;
} target;

static bool reached(void *arg)
{
    const target *t = arg;
    return *t->count >= t->at_least;
}

bool sim_nodes_wait(sim_nodes *w, const unsigned *count, unsigned at_least, uint64_t time)
{
    target t = {count, at_least};
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, reached, &t);
    return reached(&t);
}

/* ---- acts ---- */

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    sim_dial *d = owner;
    d->done++;
    d->at = sim_nodes_now(d->world);
    d->conn = conn;
    d->error = *error;
    assert_true((conn != NULL) == (error->code == 0));
    d->report_count = report_count;
    for (size_t i = 0; i < report_count && i < SIM_REPORTS_MAX; i++) {
        snprintf(d->reports[i].addr, sizeof d->reports[i].addr, "%s",
                 tern_multiaddr_text(reports[i].addr));
        d->reports[i].error = reports[i].error;
    }
}

void sim_nodes_dial(sim_node *n, const char *const *texts, size_t count, sim_dial *d)
{
    tern_error error;
    memset(d, 0, sizeof *d);
    d->world = n->world;
    if (tern_node_dial(n->node, texts, count, 0, false, dialled, d, &error) != 0) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(d->done, 0);
}

void sim_nodes_dial_one(sim_node *n, const char *text, sim_dial *d)
{
    sim_nodes_dial(n, &text, 1, d);
    assert_true(sim_nodes_wait(n->world, &d->done, 1, 60 * TERN_SEC));
    assert_int_equal(d->done, 1);
}

void sim_nodes_count_dial(void *owner, tern_conn *conn, const tern_error *error,
                          const tern_dial_report *reports, size_t report_count)
{
    (void)conn;
    (void)error;
    (void)reports;
    (void)report_count;
    ++*(unsigned *)owner;
}

tern_conn *sim_nodes_connect(sim_nodes *w, sim_node *a, sim_node *b)
{
    sim_dial d;
    unsigned known = b->connected + 1;
    sim_nodes_dial_one(a, b->addr, &d);
    if (d.error.code != 0) {
        fail_msg("%s", d.error.text);
    }
    assert_true(sim_nodes_wait(w, &b->connected, known, 10 * TERN_SEC));
    return d.conn;
}

static void pinged(void *owner, uint64_t rtt, const tern_error *error)
{
    sim_ping *p = owner;
    p->done++;
    p->at = sim_nodes_now(p->world);
    p->rtt = rtt;
    p->error = *error;
}

void sim_nodes_ping(sim_node *n, tern_conn *conn, sim_ping *p)
{
    memset(p, 0, sizeof *p);
    p->world = n->world;
    assert_int_equal(tern_node_ping(n->node, conn, pinged, p), 0);
    assert_int_equal(p->done, 0);
    assert_true(sim_nodes_wait(n->world, &p->done, 1, 60 * TERN_SEC));
}

void sim_nodes_ignore_dial(void *owner, tern_conn *conn, const tern_error *error,
                           const tern_dial_report *reports, size_t report_count)
{
    (void)owner;
    (void)conn;
    (void)error;
    (void)reports;
    (void)report_count;
}

void sim_nodes_ear_opened(void *owner, tern_stream *s, const tern_error *error)
{
    ear *e = owner;
    if (s != NULL) {
        ear_take(e, s);
    } else {
        e->closed++;
        e->why = *error;
    }
}

/* ---- a mute server ---- */

static void mute_end(void *owner)
{
    tern_tcp_close(*(tern_tcp **)owner, false);
    tern_free(owner);
}

static void mute_error(void *owner, int code)
{
    (void)code;
    mute_end(owner);
}

static void mute_data(void *owner, uint8_t *data, size_t n)
{
    (void)owner;
    (void)data;
    (void)n;
}

void sim_nodes_accept_silently(void *owner, tern_tcp *t)
{
    static const tern_tcp_events mute = {
        .on_data = mute_data, .on_end = mute_end, .on_error = mute_error};
    tern_tcp **socket = tern_malloc(sizeof *socket);
    (void)owner;
    assert_non_null(socket);
    *socket = t;
    tern_tcp_set_owner(t, &mute, socket);
    tern_tcp_read(t);
}
