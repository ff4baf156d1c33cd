/* What stands before a simulated host: a NAT with an address of its own, and a filter. */
#include <tern/error.h>

#include "base/test.h"
#include "loop/sim.h"
#include "loop/tcp.h"
#include "loop/udp.h"

enum { FIRST_BYTE = 0x40, PORT = 4001 };

typedef struct heard {
    unsigned count;
    tern_endpoint from;
} heard;

typedef struct world {
    tern_sim *sim;
    tern_loop *in, *out, *other; /* the one behind, and two that are not */
    tern_udp *u_in, *u_out, *u_other;
    heard h_in, h_out, h_other;
} world;

static tern_endpoint at(const char *ip, uint16_t port)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, ip), 0);
    e.port = port;
    return e;
}

static void on_datagram(void *owner, tern_udp *u, tern_datagram *d)
{
    heard *h = owner;
    (void)u;
    h->count++;
    h->from = d->from;
}

static tern_udp *bind_at(tern_loop *host, heard *h)
{
    tern_udp *u;
    tern_endpoint any = {.family = 4, .port = PORT};
    assert_int_equal(tern_udp_bind(host, &any, &u), 0);
    tern_udp_register(u, TERN_UDP_QUIC, on_datagram, h);
    return u;
}

static void make(world *w, const char *outside, tern_sim_rule mapping, tern_sim_rule filtering)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    tern_sim_set_default_link(w->sim, &(tern_sim_link){.delay = TERN_MS});
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.9", &w->in), 0);
    assert_int_equal(tern_sim_host(w->sim, "5.0.0.1", &w->out), 0);
    assert_int_equal(tern_sim_host(w->sim, "5.0.0.2", &w->other), 0);
    assert_int_equal(tern_sim_shield(w->in, outside, mapping, filtering), 0);
    w->u_in = bind_at(w->in, &w->h_in);
    w->u_out = bind_at(w->out, &w->h_out);
    w->u_other = bind_at(w->other, &w->h_other);
}

static void clear(world *w)
{
    tern_udp_close(w->u_in);
    tern_udp_close(w->u_out);
    tern_udp_close(w->u_other);
    tern_sim_free(w->sim);
}

static void say(world *w, tern_udp *from, const char *ip)
{
    uint8_t byte = FIRST_BYTE;
    tern_endpoint to = at(ip, PORT);
    tern_udp_send(from, &to, &byte, 1, 0, 0);
    tern_sim_run(w->sim, TERN_NEVER, NULL, NULL);
}

static void others_see_the_outside(void **state)
{
    (void)state;
    world w;
    make(&w, "6.0.0.1", TERN_SIM_ANY, TERN_SIM_ANY);
    say(&w, w.u_in, "5.0.0.1");
    tern_endpoint seen = at("6.0.0.1", PORT);
    assert_int_equal(w.h_out.count, 1);
    assert_true(tern_endpoint_eq(&w.h_out.from, &seen));
    say(&w, w.u_out, "6.0.0.1");
    say(&w, w.u_other, "6.0.0.1"); /* nothing was asked of it, and it gets in */
    assert_int_equal(w.h_in.count, 2);
    say(&w, w.u_out, "10.0.0.9"); /* its own address is nobody's */
    assert_int_equal(w.h_in.count, 2);
    assert_int_equal(tern_sim_shield(w.out, "6.0.0.1", TERN_SIM_ANY, TERN_SIM_ANY),
                     TERN_E_ADDRINUSE);
    clear(&w);
}

static void a_filter_lets_answers_in(void **state)
{
    (void)state;
    static const char *const outsides[] = {"6.0.0.1", NULL};
    for (size_t i = 0; i < 2; i++) {
        world w;
        const char *ip = outsides[i] != NULL ? outsides[i] : "10.0.0.9";
        make(&w, outsides[i], TERN_SIM_ANY, TERN_SIM_BY_PORT);
        say(&w, w.u_out, ip);
        assert_int_equal(w.h_in.count, 0);
        say(&w, w.u_in, "5.0.0.1");
        say(&w, w.u_out, ip);
        assert_int_equal(w.h_in.count, 1);
        say(&w, w.u_other, ip); /* it was not asked */
        assert_int_equal(w.h_in.count, 1);
        clear(&w);
    }
}

static void say_to(world *w, tern_udp *from, const char *ip, uint16_t port)
{
    static const uint8_t bytes[] = {FIRST_BYTE, 1, 2, 3};
    tern_endpoint to = at(ip, port);
    assert_int_equal(tern_udp_send(from, &to, bytes, sizeof bytes, 0, 0), 0);
    tern_sim_run(w->sim, tern_sim_now(w->sim) + TERN_SEC, NULL, NULL);
}

/* By address a second port there is told the same mapping, by port another; the mapping stays, and
 * leads back from whoever the filter lets in. */
static void a_mapping_for_each(void **state)
{
    (void)state;
    for (tern_sim_rule rule = TERN_SIM_BY_ADDRESS; rule <= TERN_SIM_BY_PORT; rule++) {
        world w;
        heard h_second = {0};
        make(&w, "6.0.0.1", rule, TERN_SIM_BY_ADDRESS);
        tern_endpoint second = {.family = 4, .port = PORT + 1};
        tern_udp *u_second;
        assert_int_equal(tern_udp_bind(w.out, &second, &u_second), 0);
        tern_udp_register(u_second, TERN_UDP_QUIC, on_datagram, &h_second);
        say(&w, w.u_in, "5.0.0.1");
        uint16_t first = w.h_out.from.port;
        assert_int_not_equal(first, PORT);
        say(&w, w.u_in, "5.0.0.1");
        assert_int_equal(w.h_out.from.port, first);
        say(&w, w.u_in, "5.0.0.2");
        assert_int_not_equal(w.h_other.from.port, first);
        say_to(&w, w.u_in, "5.0.0.1", PORT + 1);
        assert_int_equal(h_second.count, 1);
        assert_int_equal(h_second.from.port == first, rule == TERN_SIM_BY_ADDRESS);
        say_to(&w, u_second, "6.0.0.1", first); /* the same address, which was asked */
        assert_int_equal(w.h_in.count, 1);
        say_to(&w, w.u_other, "6.0.0.1", first); /* one that was asked from another mapping */
        say_to(&w, w.u_out, "6.0.0.1", PORT);    /* no mapping */
        assert_int_equal(w.h_in.count, 1);
        tern_udp_close(u_second);
        clear(&w);
    }
}

/* ---- TCP ---- */

typedef struct dial {
    unsigned accepted, connected;
    int code;
    tern_endpoint from;
} dial;

static void on_accept(void *owner, tern_tcp *t)
{
    dial *d = owner;
    d->accepted++;
    tern_tcp_remote(t, &d->from);
    tern_tcp_close(t, true);
}

static void on_connected(void *owner, int code)
{
    dial *d = owner;
    d->connected++;
    d->code = code;
}

static void on_error(void *owner, int code)
{
    (void)owner;
    (void)code;
}

static const tern_tcp_events dial_events = {.on_connected = on_connected, .on_error = on_error};

static int try_dial(world *w, tern_loop *from, const char *ip, dial *d)
{
    tern_tcp *t;
    tern_endpoint to = at(ip, PORT);
    d->connected = 0;
    assert_int_equal(tern_tcp_dial(from, &to, NULL, &dial_events, d, &t), 0);
    tern_sim_run(w->sim, tern_sim_now(w->sim) + 10 * TERN_SEC, NULL, NULL);
    int code = d->connected > 0 ? d->code : TERN_E_TIMEOUT;
    tern_tcp_close(t, true);
    return code;
}

static void connections_too(void **state)
{
    (void)state;
    for (int filter = 0; filter < 2; filter++) {
        world w;
        dial d = {0};
        tern_tcp_listener *in, *out;
        tern_endpoint any = {.family = 4, .port = PORT}, seen = at("6.0.0.1", 0);
        make(&w, "6.0.0.1", TERN_SIM_ANY, filter ? TERN_SIM_BY_PORT : TERN_SIM_ANY);
        assert_int_equal(tern_tcp_listen(w.in, &any, on_accept, &d, &in), 0);
        assert_int_equal(tern_tcp_listen(w.out, &any, on_accept, &d, &out), 0);
        assert_int_equal(try_dial(&w, w.in, "5.0.0.1", &d), 0);
        d.from.port = 0;
        assert_true(tern_endpoint_eq(&d.from, &seen));
        assert_int_equal(try_dial(&w, w.out, "6.0.0.1", &d), filter ? TERN_E_TIMEOUT : 0);
        assert_int_equal(try_dial(&w, w.out, "10.0.0.9", &d), TERN_E_TIMEOUT);
        assert_int_equal(d.accepted, filter ? 1 : 2);
        tern_tcp_listener_close(in);
        tern_tcp_listener_close(out);
        clear(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_see_the_outside),
        cmocka_unit_test(a_filter_lets_answers_in),
        cmocka_unit_test(a_mapping_for_each),
        cmocka_unit_test(connections_too),
    };
    return TERN_TEST_MAIN(tests);
}
