/* A router of a simulated world. See gateway.h. */
#include "sim/gateway.h"

#include <stdio.h>

static void tidy(tern_timer *timer);

static void arm(sim_gateway *g)
{
    uint64_t at = TERN_NEVER;
    for (size_t i = 0; i < g->count; i++) {
        at = g->ports[i].until < at ? g->ports[i].until : at;
    }
    if (at != TERN_NEVER) {
        tern_timer_start(g->host, &g->timer, at, tidy);
    }
}

static void drop(sim_gateway *g, size_t i)
{
    tern_sim_forward(g->inside, g->ports[i].udp, (uint16_t)(g->ports[i].port + g->shift), 0);
    g->ports[i] = g->ports[--g->count];
}

static void tidy(tern_timer *timer)
{
    sim_gateway *g = TERN_CONTAINER(timer, sim_gateway, timer);
    for (size_t i = g->count; i > 0; i--) {
        if (g->ports[i - 1].until <= tern_sim_now(g->sim)) {
            drop(g, i - 1);
        }
    }
    arm(g);
}

/* Maps a port for so long, or takes it away; the port outside. */
static uint16_t map(sim_gateway *g, bool udp, uint16_t port, uint32_t lifetime)
{
    size_t i = 0;
    while (i < g->count && (g->ports[i].udp != udp || g->ports[i].port != port)) {
        i++;
    }
    if (lifetime == 0) {
        if (i < g->count) {
            drop(g, i);
        }
        return 0;
    }
    assert_true(i < SIM_GATEWAY_PORTS);
    g->count += i == g->count;
    g->ports[i].udp = udp;
    g->ports[i].port = port;
    g->ports[i].until = tern_sim_now(g->sim) + lifetime * TERN_SEC;
    uint16_t outside = (uint16_t)(port + g->shift);
    assert_int_equal(tern_sim_forward(g->inside, udp, outside, port), 0);
    arm(g);
    return outside;
}

static uint32_t granted(const sim_gateway *g, uint32_t asked)
{
    return asked < g->lifetime ? asked : g->lifetime;
}

static uint32_t seconds(const sim_gateway *g)
{
    return (uint32_t)((tern_sim_now(g->sim) - g->born) / TERN_SEC);
}

static void put_outside(const sim_gateway *g, uint8_t *out)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, g->outside), 0);
    memcpy(out, e.ip, 4);
}

/* ---- PCP and NAT-PMP ---- */

static size_t answer_pcp(sim_gateway *g, const tern_datagram *d, uint8_t *m)
{
    tern_endpoint said = {.family = 4};
    assert_int_equal(d->len, 60);
    assert_int_equal(d->data[1], 1);
    memcpy(said.ip, d->data + 20, 4);
    memcpy(m, d->data, 60);
    memset(m + 12, 0, 12);
    m[1] |= 0x80;
    m[3] = (uint8_t)g->refuse;
    if (memcmp(said.ip, d->from.ip, 4) != 0) {
        m[3] = 12;
    }
    tern_put32(m + 8, seconds(g));
    uint32_t lifetime = granted(g, tern_get32(m + 4));
    if (m[3] != 0) {
        tern_put32(m + 4, 300);
        return 60;
    }
    tern_put32(m + 4, lifetime);
    tern_put16(m + 42, map(g, m[36] == 17, tern_get16(m + 40), lifetime));
    put_outside(g, m + 56);
    return 60;
}

static size_t answer_nat_pmp(sim_gateway *g, const tern_datagram *d, uint8_t *m)
{
    memset(m, 0, 16);
    m[1] = d->data[1] | 0x80;
    tern_put32(m + 4, seconds(g));
    if (d->data[1] == 0) {
        put_outside(g, m + 8);
        return 12;
    }
    assert_int_equal(d->len, 12);
    memcpy(m + 8, d->data + 4, 2);
    tern_put16(m + 2, (uint16_t)g->refuse);
    if (g->refuse == 0) {
        uint32_t lifetime = granted(g, tern_get32(d->data + 8));
        tern_put32(m + 12, lifetime);
        tern_put16(m + 10, map(g, d->data[1] == 1, tern_get16(m + 8), lifetime));
    }
    return 16;
}

static void say(sim_gateway *g, tern_udp *u, const tern_endpoint *to, uint8_t *m, size_t n)
{
    bool pcp = m[0] == 2;
    switch (g->lie) {
    case SIM_WRONG_NONCE:
        m[30] ^= pcp;
        break;
    case SIM_WRONG_SENDER:
        u = g->other;
        break;
    case SIM_WRONG_PORT:
        m[pcp ? 41 : 9] ^= 1;
        break;
    case SIM_NO_PORT:
        memset(m + (pcp ? 42 : 10), 0, 2);
        break;
    case SIM_GARBAGE:
        tern_loop_random(g->host, m + 1, n - 1);
        m[3] |= 2; /* not that the version is not known */
        break;
    case SIM_TRUNCATED:
        n = n * 2 / 3;
        break;
    case SIM_TWICE:
        tern_udp_send(u, to, m, n, 0, 0);
        break;
    default:
        break;
    }
    tern_udp_send(u, to, m, n, 0, 0);
}

static void on_datagram(void *owner, tern_udp *u, tern_datagram *d)
{
    static const uint8_t unsupported[8] = {0, 0x81, 0, 1};
    sim_gateway *g = owner;
    uint8_t m[60];
    g->asked++;
    if (g->deaf) {
        return;
    }
    if (d->data[0] == 2 && g->pcp) {
        say(g, u, &d->from, m, answer_pcp(g, d, m));
    } else if (d->data[0] == 2 && g->nat_pmp) {
        tern_udp_send(u, &d->from, unsupported, sizeof unsupported, 0, 0);
    } else if (d->data[0] == 0 && g->nat_pmp) {
        say(g, u, &d->from, m, answer_nat_pmp(g, d, m));
    }
}

/* ---- UPnP ---- */

static int on_round(void *owner, tern_igd_round *r)
{
    sim_gateway *g = owner;
    g->asked += g->upnp;
    if (!g->upnp || g->deaf) {
        return r->act == TERN_IGD_FIND ? TERN_E_NOT_FOUND : TERN_E_IO;
    }
    if (r->act == TERN_IGD_FIND) {
        snprintf(r->control, sizeof r->control, "here");
        snprintf(r->service, sizeof r->service, "this");
        return 0;
    }
    assert_string_equal(r->control, "here");
    assert_int_equal(tern_endpoint_parse_ip(&r->outside, g->outside), 0);
    for (size_t i = 0; i < r->count; i++) {
        tern_igd_port *p = &r->ports[i];
        bool on = r->act == TERN_IGD_MAP && tern_endpoint_is_public(&r->outside);
        p->code = on ? (int)g->refuse : 0;
        p->mapped = on && p->code != 0 ? 0 : map(g, p->udp, p->port, on ? r->lifetime : 0);
    }
    return 0;
}

/* ---- birth and end ---- */

void sim_gateway_make(sim_gateway *g, tern_sim *sim, const char *ip, tern_loop *inside,
                      const char *outside, tern_sim_rule mapping, tern_sim_rule filtering)
{
    tern_endpoint at;
    memset(g, 0, sizeof *g);
    g->sim = sim;
    g->inside = inside;
    g->outside = outside;
    g->lifetime = 7200;
    g->born = tern_sim_now(sim);
    assert_int_equal(tern_sim_host(sim, ip, &g->host), 0);
    assert_int_equal(tern_sim_shield(inside, outside, mapping, filtering), 0);
    assert_int_equal(tern_sim_gateway(inside, ip), 0);
    assert_int_equal(tern_endpoint_parse_ip(&at, ip), 0);
    at.port = 5351;
    assert_int_equal(tern_udp_bind(g->host, &at, &g->udp), 0);
    tern_udp_register(g->udp, TERN_UDP_STUN, on_datagram, g);
    at.port = 5352;
    assert_int_equal(tern_udp_bind(g->host, &at, &g->other), 0);
    tern_sim_igd(inside, on_round, g);
}

void sim_gateway_restart(sim_gateway *g)
{
    while (g->count > 0) {
        drop(g, 0);
    }
    g->born = tern_sim_now(g->sim);
}

void sim_gateway_close(sim_gateway *g)
{
    tern_timer_stop(&g->timer);
    tern_udp_close(g->udp);
    tern_udp_close(g->other);
}
