/* Two conns that are each other's ends: see conn_pair.h. */
#include "suite/conn_pair.h"

#include <stdio.h>

#include "quic/quic.h"
#include "secure/noise.h"
#include "webtransport/webtransport.h"

#define DELAY TERN_MS /* of the road between whole ends */

static void on_conn(void *owner, tern_listener *l, tern_conn *c)
{
    conn_pair *p = owner;
    (void)l;
    assert_null(p->conn[1]);
    p->conn[1] = c;
}

static const tern_listener_events listener_events = {.on_conn = on_conn};

static void listen_there(conn_pair *p)
{
    char text[100];
    tern_error error;
    snprintf(text, sizeof text, "/ip4/10.0.0.2/udp/4001%s", p->kind->suffix);
    tern_multiaddr *addr = tern_multiaddr_parse(text, &error);
    assert_non_null(addr);
    if (p->kind->transport->listen(&p->net[1], addr, &listener_events, p, &p->listener, &error)) {
        fail_msg("%s: %s", error.layer, error.text);
    }
    tern_multiaddr_unref(addr);
}

void conn_pair_begin(conn_pair *p, const tern_conn_kind *kind, tern_sim *sim, tern_loop *loop,
                     const tern_memory_options *options)
{
    memset(p, 0, sizeof *p);
    p->kind = kind;
    p->sim = sim;
    for (int i = 0; i < 2; i++) {
        p->net[i].loop = loop;
        if (i == 1 && kind->mux == NULL) {
            assert_int_equal(tern_sim_host(sim, "10.0.0.2", &p->net[i].loop), 0);
        }
        tern_net_init(&p->net[i]);
        p->net[i].limits.streams_per_conn = 512;
    }
    if (kind->mux != NULL) {
        assert_int_equal(tern_memory_pair(loop, options, &p->lower[0], &p->lower[1]), 0);
        return;
    }
    tern_sim_set_default_link(sim, &(tern_sim_link){.delay = DELAY});
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &p->net[i].key), 0);
        tern_key_peer_id(p->net[i].key, &p->net[i].self);
    }
    listen_there(p);
}

static void on_dialled(tern_op *op, const tern_error *error)
{
    conn_pair *p = TERN_CONTAINER(op, conn_pair, dial.op);
    if (error->code != 0) {
        fail_msg("%s: %s", error->layer, error->text);
    }
    p->conn[0] = p->dial.conn;
}

static bool have_met(void *arg)
{
    const conn_pair *p = arg;
    return p->conn[0] != NULL && p->conn[1] != NULL;
}

static void dial(conn_pair *p)
{
    tern_error error;
    p->dial =
        (tern_dial_op){.net = &p->net[0], .addr = p->listener->addr, .expected = p->net[1].self};
    tern_op_init(&p->dial.op, p->net[0].loop, TERN_NEVER, on_dialled);
    if (p->kind->transport->dial(&p->dial, &error) != 0) {
        fail_msg("%s: %s", error.layer, error.text);
    }
    tern_sim_run(p->sim, tern_sim_now(p->sim) + 10 * TERN_SEC, have_met, p);
    assert_true(have_met(p));
}

void conn_pair_meet(conn_pair *p)
{
    const tern_conn_facts facts = {.transport = "memory", .muxer = "test"};
    if (conn_pair_whole(p)) {
        dial(p);
        return;
    }
    for (int i = 0; i < 2; i++) {
        p->conn[i] = p->kind->mux->make(&p->net[i], p->lower[i], i == 0, &facts);
        assert_non_null(p->conn[i]);
        p->kind->mux->attach(p->conn[i]);
    }
}

void conn_pair_clear(conn_pair *p)
{
    if (p->listener != NULL) {
        tern_listener_close(p->listener);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(p->net[i].natives, 0);
        tern_noise_identity_free(p->net[i].noise);
        tern_webtransport_free(&p->net[i]);
        tern_quic_free(&p->net[i]);
        assert_null(p->net[i].udp_ports);
        tern_key_unref(p->net[i].key);
    }
}
