/* See attacker.h. */
#include "sim/attacker.h"

static void on_answer(void *owner, tern_udp *u, tern_datagram *d)
{
    sim_attacker *x = owner;
    (void)u;
    x->answers++;
    x->answered += d->len;
}

void sim_attacker_init(sim_attacker *x, tern_sim *sim, const char *ip, unsigned classes)
{
    tern_loop *host;
    tern_endpoint at;
    memset(x, 0, sizeof *x);
    assert_int_equal(tern_sim_host(sim, ip, &host), 0);
    assert_int_equal(tern_endpoint_parse_ip(&at, ip), 0);
    at.port = 9;
    assert_int_equal(tern_udp_bind(host, &at, &x->u), 0);
    for (unsigned class = 0; class < TERN_UDP_CLASSES; class ++) {
        if (classes & TERN_UDP_SET(class)) {
            tern_udp_register(x->u, (enum tern_udp_class) class, on_answer, x);
        }
    }
    assert_int_equal(tern_endpoint_parse_ip(&x->to, "10.0.0.2"), 0);
    x->to.port = 4001;
}

void sim_attacker_say(sim_attacker *x, const void *bytes, size_t n)
{
    assert_int_equal(tern_udp_send(x->u, &x->to, bytes, n, 0, 0), 0);
}
