/* What tern check tells, and what follows from it. */
#include <stdio.h>
#include <string.h>

#include "app/check.h"

/* ---- what follows ---- */

check_nat check_nat_of(const check *c, bool udp)
{
    check_nat nat = CHECK_NAT_UNKNOWN;
    for (size_t i = 0; i < c->seen_count; i++) {
        const check_seen *a = &c->seen[i];
        if (a->udp != udp) {
            continue;
        }
        for (size_t k = 0; k < i; k++) {
            const check_seen *b = &c->seen[k];
            if (b->udp == udp && b->port == a->port && strcmp(a->ours, b->ours) == 0 &&
                strcmp(a->seen, b->seen) == 0 && a->seen_port != b->seen_port) {
                return CHECK_NAT_MANY_PORTS;
            }
        }
        bool same = strcmp(a->ours, a->seen) == 0 && a->port == a->seen_port;
        nat = !same ? CHECK_NAT_ONE_PORT : nat == CHECK_NAT_UNKNOWN ? CHECK_NAT_NONE : nat;
    }
    return nat;
}

static bool over_udp(const check_dial *d)
{
    return strstr(d->addr, "/udp/") != NULL;
}

check_udp check_udp_of(const check *c)
{
    unsigned tried = 0, udp = 0, tcp = 0;
    for (size_t i = 0; i < c->dial_count; i++) {
        tried += over_udp(&c->dials[i]);
        *(over_udp(&c->dials[i]) ? &udp : &tcp) += c->dials[i].reached;
    }
    return udp > 0 ? CHECK_UDP_OPEN : tried > 0 && tcp > 0 ? CHECK_UDP_BLOCKED : CHECK_UDP_UNKNOWN;
}

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
    static const char *const names[] = {"unknown", "none", "endpoint-independent", "symmetric"};
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
    check_emit_mappings(c);
    check_emit_relays(c);
    app_emit(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "event", "summary", "nat_tcp",
                       nat_name(check_nat_of(c, false)), "nat_udp", nat_name(check_nat_of(c, true)),
                       "udp", udp_name(check_udp_of(c)), "port_mapping", check_mapping_of(c),
                       "reachable",
                       any_with(c, TERN_REACHABILITY_PUBLIC)    ? "yes"
                       : any_with(c, TERN_REACHABILITY_PRIVATE) ? "no"
                                                                : "unknown"));
}

/* ---- for people ---- */

static const char *nat_text(check_nat nat)
{
    switch (nat) {
    case CHECK_NAT_NONE:
        return "no NAT: peers see the address that the machine has";
    case CHECK_NAT_ONE_PORT:
        return "behind a NAT that keeps one port for everybody: holes can be punched";
    case CHECK_NAT_MANY_PORTS:
        return "behind a NAT that takes another port for each destination (symmetric): holes can "
               "be punched only to peers whose NAT lets in any port";
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
    app_say("  tcp: %s", nat_text(check_nat_of(c, false)));
    app_say("  udp: %s", nat_text(check_nat_of(c, true)));
}

static void say_verdicts(const check *c)
{
    app_say("who reaches it:");
    for (size_t i = 0; i < c->verdict_count; i++) {
        const check_verdict *v = &c->verdicts[i];
        app_say("  %-4s %s",
                v->status == TERN_REACHABILITY_PUBLIC    ? "yes"
                : v->status == TERN_REACHABILITY_PRIVATE ? "no"
                                                         : "?",
                v->addr);
    }
    if (any_with(c, TERN_REACHABILITY_PUBLIC)) {
        app_say("  others can connect to it");
    } else if (any_with(c, TERN_REACHABILITY_PRIVATE)) {
        app_say("  nobody can connect to it by himself: forward the port in the router or open it "
                "in the firewall, or keep a place at a relay (tern run --relay MA)");
    } else {
        app_say("  not known: none of these peers dialled back. Three in different networks that "
                "answer AutoNAT are wanted");
    }
}

int check_report(const check *c)
{
    if (c->o->json) {
        print_json(c);
    } else {
        say_dials(c);
        say_seen(c);
        check_say_mappings(c);
        say_verdicts(c);
        check_say_relays(c);
    }
    return any_reached(c) ? APP_OK : APP_FAILED;
}
