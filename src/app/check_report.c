/* What tern check tells. */
#include <stdio.h>
#include <string.h>

#include "app/check.h"

static bool any_with(const check *c, tern_reachability status)
{
    for (size_t i = 0; i < c->verdict_count; i++) {
        if (c->verdicts[i].status == status) {
            return true;
        }
    }
    return false;
}

static bool any_reached(const check *c)
{
    for (size_t i = 0; i < c->dial_count; i++) {
        if (c->dials[i].reached) {
            return true;
        }
    }
    return false;
}

static const char *nat_name(check_nat nat)
{
    static const char *const names[] = {"unknown", "none", "endpoint-independent", "symmetric",
                                        "symmetric-counting"};
    return names[nat];
}

static const char *udp_name(check_udp udp)
{
    static const char *const names[] = {"unknown", "open", "blocked"};
    return names[udp];
}

static const char *status_name(tern_reachability status)
{
    static const char *const names[] = {"unknown", "public", "private"};
    return names[status];
}

static const char *reachable_name(tern_reachability status)
{
    static const char *const names[] = {"unknown", "yes", "no"};
    return names[status];
}

/* ---- as JSON ---- */

static void print_json(const check *c)
{
    for (size_t i = 0; i < c->dial_count; i++) {
        const check_dial *d = &c->dials[i];
        json_t *o = json_pack("{s:s, s:o, s:s, s:b}", "event", "dial", "addr", app_text(d->addr),
                              "transport", d->transport, "reached", d->reached);
        if (d->reached) {
            json_object_set_new(o, "ms", json_real(d->ms));
        } else {
            json_object_set_new(o, "error",
                                app_text(d->done ? d->error.text : "no answer in time"));
        }
        app_emit(o);
    }
    for (size_t i = 0; i < c->seen_count; i++) {
        const check_seen *s = &c->seen[i];
        app_emit(json_pack("{s:s, s:s, s:s, s:i, s:s, s:i, s:i}", "event", "observed", "transport",
                           s->udp ? "udp" : "tcp", "ip", s->ours, "port", (int)s->port,
                           "observed_ip", s->seen, "observed_port", (int)s->seen_port, "peers",
                           (int)s->peers));
    }
    for (size_t i = 0; i < c->verdict_count; i++) {
        app_emit(json_pack("{s:s, s:o, s:s}", "event", "reachability", "addr",
                           app_text(c->verdicts[i].addr), "status",
                           status_name(c->verdicts[i].status)));
    }
    check_road roads[CHECK_ROADS];
    check_roads(c, roads);
    for (size_t i = 0; i < CHECK_ROADS; i++) {
        const check_road *r = &roads[i];
        app_emit(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "event", "road", "transport",
                           r->udp ? "udp" : "tcp", "family", r->ip6 ? "ip6" : "ip4", "reachable",
                           reachable_name(r->status), "nat", nat_name(r->nat), "filtering",
                           check_filtering(r), "reason", r->reason));
    }
    check_emit_mappings(c);
    check_emit_relays(c);
    check_emit_holes(c);
    app_emit(json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s}", "event", "summary", "nat_tcp",
        nat_name(check_nat_of_any(c, false)), "nat_udp", nat_name(check_nat_of_any(c, true)), "udp",
        udp_name(check_udp_of(c)), "port_mapping", check_mapping_of(c), "reachable",
        reachable_name(any_with(c, TERN_REACHABILITY_PUBLIC)    ? TERN_REACHABILITY_PUBLIC
                       : any_with(c, TERN_REACHABILITY_PRIVATE) ? TERN_REACHABILITY_PRIVATE
                                                                : TERN_REACHABILITY_UNKNOWN)));
}

/* ---- for people ---- */

static const char *nat_text(check_nat nat)
{
    switch (nat) {
    case CHECK_NAT_NONE:
        return "no NAT: peers see the address that the machine has";
    case CHECK_NAT_ONE_PORT:
        return "behind a NAT that keeps one port for everybody";
    case CHECK_NAT_MANY_PORTS:
        return "behind a NAT that takes another port for each destination (symmetric)";
    case CHECK_NAT_COUNTS:
        return "behind a NAT that takes the next port for each destination (symmetric, counts up)";
    default:
        return "nobody has said how he sees us";
    }
}

static void say_dials(const check *c)
{
    app_say("what this machine reaches:");
    for (size_t i = 0; i < c->dial_count; i++) {
        const check_dial *d = &c->dials[i];
        if (d->reached) {
            app_say("  yes  %s, in %.0f ms", d->addr, d->ms);
        } else {
            app_say("  no   %s: %s", d->addr, d->done ? d->error.text : "no answer in time");
        }
    }
    if (check_udp_of(c) == CHECK_UDP_BLOCKED) {
        app_say("  UDP is blocked: peers answer over TCP, none over UDP. A firewall here or at the "
                "network's edge drops it; QUIC, WebTransport and WebRTC need it");
    }
}

static void say_seen(const check *c)
{
    app_say("how peers see it:");
    for (size_t i = 0; i < c->seen_count; i++) {
        const check_seen *s = &c->seen[i];
        app_say("  %s %s port %u as %s port %u (%u peer%s)", s->udp ? "udp" : "tcp", s->ours,
                s->port, s->seen, s->seen_port, s->peers, s->peers == 1 ? "" : "s");
    }
    app_say("  tcp: %s", nat_text(check_nat_of_any(c, false)));
    app_say("  udp: %s", nat_text(check_nat_of_any(c, true)));
}

static const char *yes_no(tern_reachability status)
{
    return status == TERN_REACHABILITY_PUBLIC    ? "yes"
           : status == TERN_REACHABILITY_PRIVATE ? "no"
                                                 : "?";
}

static void say_verdicts(const check *c)
{
    app_say("who reaches it:");
    for (size_t i = 0; i < c->verdict_count; i++) {
        app_say("  %-4s %s", yes_no(c->verdicts[i].status), c->verdicts[i].addr);
    }
    if (any_with(c, TERN_REACHABILITY_PUBLIC)) {
        app_say("  others can connect to it");
    } else if (any_with(c, TERN_REACHABILITY_PRIVATE)) {
        app_say("  nobody can connect to it by himself");
    } else {
        app_say("  not known: none of these peers dialled back. Three in different networks that "
                "answer AutoNAT are wanted");
    }
}

/* Transport by transport, and what to do about those that nobody gets in by. */
static void say_roads(const check *c)
{
    check_road roads[CHECK_ROADS];
    bool closed = false;
    check_roads(c, roads);
    app_say("transport by transport:");
    for (size_t i = 0; i < CHECK_ROADS; i++) {
        const check_road *r = &roads[i];
        const char *name = r->udp ? "QUIC, WebTransport, WebRTC (udp)" : "TCP, WebSocket (tcp)";
        app_say("  %-4s %s over IPv%c: %s", yes_no(r->status), name, r->ip6 ? '6' : '4', r->text);
        if (r->nat != CHECK_NAT_UNKNOWN) {
            app_say("       %s", check_holes_text(r));
        }
        closed |= r->nat != CHECK_NAT_UNKNOWN && r->status != TERN_REACHABILITY_PUBLIC;
    }
    if (closed) {
        app_say("  what to do: forward port %u in the router, tcp and udp, or open it in the "
                "firewall; or use IPv6; or keep a place at a relay (tern run --relay MA)",
                roads[0].port != 0 ? roads[0].port : roads[1].port);
    }
}

/* What is told, in this order. */
static void (*const sections[])(const check *c) = {say_dials,      say_seen,  check_say_mappings,
                                                   say_verdicts,   say_roads, check_say_relays,
                                                   check_say_holes};

int check_report(const check *c)
{
    if (c->o->json) {
        print_json(c);
    } else {
        for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
            sections[i](c);
        }
    }
    return any_reached(c) ? APP_OK : APP_FAILED;
}
