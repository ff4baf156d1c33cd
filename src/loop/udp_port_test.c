/* The shared UDP ports: who gets which datagram, who may join, when the socket goes. */
#include "loop/udp_port.h"

#include <tern/error.h>

#include "base/test.h"
#include "loop/sim.h"

typedef struct member {
    unsigned datagrams;
    uint8_t last;
} member;

typedef struct world {
    tern_sim *sim;
    tern_loop *a, *b;
    tern_udp_ports *ports;
    tern_udp *peer;
    member quic, webrtc;
} world;

static void on_datagram(void *owner, tern_udp *u, tern_datagram *d)
{
    member *m = owner;
    (void)u;
    m->datagrams++;
    m->last = d->data[0];
}

static tern_endpoint at(const char *ip, uint16_t port)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, ip), 0);
    e.port = port;
    return e;
}

static void make(world *w)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->a), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.2", &w->b), 0);
    tern_endpoint here = at("10.0.0.2", 5);
    assert_int_equal(tern_udp_bind(w->b, &here, &w->peer), 0);
}

static void clear(world *w)
{
    assert_null(w->ports);
    tern_udp_close(w->peer);
    tern_sim_free(w->sim);
}

static const unsigned quic = TERN_UDP_SET(TERN_UDP_QUIC);
static const unsigned webrtc = TERN_UDP_SET(TERN_UDP_STUN) | TERN_UDP_SET(TERN_UDP_DTLS);

static int join(world *w, const char *ip, uint16_t port, unsigned classes, tern_udp_port **ret)
{
    tern_endpoint e = at(ip, port);
    tern_udp_member m = {.classes = classes,
                         .on_datagram = on_datagram,
                         .owner = classes == quic ? &w->quic : &w->webrtc};
    return tern_udp_port_join(w->a, &w->ports, &e, &m, ret);
}

static void say(world *w, uint8_t first)
{
    tern_endpoint to = at("10.0.0.1", 4001);
    assert_int_equal(tern_udp_send(w->peer, &to, &first, 1, 0, 0), 0);
    tern_sim_run(w->sim, tern_sim_now(w->sim) + TERN_SEC, NULL, NULL);
}

static void classes_share_a_socket(void **state)
{
    (void)state;
    world w;
    tern_udp_port *p, *q;
    make(&w);
    assert_int_equal(join(&w, "0.0.0.0", 4001, quic, &p), 0);
    assert_int_equal(join(&w, "0.0.0.0", 4001, webrtc, &q), 0);
    assert_ptr_equal(p, q);
    say(&w, 0xc0);
    say(&w, 0);
    say(&w, 22);
    say(&w, 7); /* nobody's */
    assert_int_equal(w.quic.datagrams, 1);
    assert_int_equal(w.webrtc.datagrams, 2);
    assert_int_equal(w.webrtc.last, 22);
    tern_udp_port_leave(p, quic);
    say(&w, 0xc0);
    assert_int_equal(w.quic.datagrams, 1);
    say(&w, 1);
    assert_int_equal(w.webrtc.datagrams, 3);
    tern_udp_port_leave(q, webrtc);
    clear(&w);
}

static void a_class_is_taken_once(void **state)
{
    (void)state;
    world w;
    tern_udp_port *p, *q;
    make(&w);
    assert_int_equal(join(&w, "0.0.0.0", 4001, webrtc, &p), 0);
    assert_int_equal(join(&w, "0.0.0.0", 4001, webrtc, &q), TERN_E_ADDRINUSE);
    assert_int_equal(join(&w, "0.0.0.0", 4001, TERN_UDP_SET(TERN_UDP_DTLS), &q), TERN_E_ADDRINUSE);
    assert_int_equal(join(&w, "0.0.0.0", 4001, 0, &q), TERN_E_INVALID);
    assert_int_equal(join(&w, "10.9.9.9", 4001, quic, &q), TERN_E_UNREACHABLE);
    tern_udp_port_leave(p, webrtc);
    clear(&w);
    make(&w);
    assert_int_equal(join(&w, "10.9.9.9", 4001, quic, &q), TERN_E_UNREACHABLE);
    clear(&w);
}

static void port_0_is_shared_too(void **state)
{
    (void)state;
    world w;
    tern_udp_port *p, *q, *r;
    make(&w);
    assert_int_equal(join(&w, "0.0.0.0", 0, quic, &p), 0);
    assert_int_equal(join(&w, "0.0.0.0", 0, webrtc, &q), 0);
    assert_ptr_equal(p, q);
    assert_int_equal(join(&w, "0.0.0.0", 0, quic, &r), 0);
    assert_ptr_not_equal(p, r);
    tern_endpoint e;
    tern_udp_port_local(p, &e);
    assert_true(e.port != 0);
    tern_udp_port_leave(p, quic);
    tern_udp_port_leave(q, webrtc);
    tern_udp_port_leave(r, quic);
    clear(&w);
}

static void dials_leave_from_what_listens(void **state)
{
    (void)state;
    world w;
    tern_udp_port *p;
    tern_endpoint to = at("10.0.0.2", 9), inside = at("127.0.0.1", 9), six = at("2001:db8::1", 9);
    tern_endpoint from;
    make(&w);
    assert_false(tern_udp_port_dial_from(w.ports, &to, &from));
    assert_int_equal(join(&w, "127.0.0.1", 4001, quic, &p), 0);
    assert_false(tern_udp_port_dial_from(w.ports, &to, &from));
    assert_true(tern_udp_port_dial_from(w.ports, &inside, &from));
    assert_false(tern_udp_port_dial_from(w.ports, &six, &from));
    inside.port = 4001; /* itself */
    assert_false(tern_udp_port_dial_from(w.ports, &inside, &from));
    tern_udp_port_leave(p, quic);
    assert_int_equal(join(&w, "0.0.0.0", 4001, quic, &p), 0);
    assert_true(tern_udp_port_dial_from(w.ports, &to, &from));
    assert_int_equal(from.port, 4001);
    tern_udp_port_leave(p, quic);
    clear(&w);
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t n = 1;; n++) {
        world w;
        tern_udp_port *p;
        make(&w);
        tern_mem_fail_at(n, 0);
        int code = join(&w, "0.0.0.0", 4001, quic, &p);
        tern_mem_fail_at(0, 0);
        if (code == 0) {
            tern_udp_port_leave(p, quic);
        }
        clear(&w);
        if (code == 0) {
            assert_true(n > 2);
            return;
        }
        assert_int_equal(code, TERN_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_share_a_socket),   cmocka_unit_test(a_class_is_taken_once),
        cmocka_unit_test(port_0_is_shared_too),     cmocka_unit_test(dials_leave_from_what_listens),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return TERN_TEST_MAIN(tests);
}
