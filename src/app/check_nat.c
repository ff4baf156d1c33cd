/* tern check: what follows from how peers see this machine, and from who dialled back. */
#include <stdlib.h>
#include <string.h>

#include "app/check.h"

enum { COUNTS = 3, STEP = 16 }; /* ports that show that a NAT counts, and its longest step */

static bool same_port(const check_seen *a, const check_seen *b)
{
    return a->udp == b->udp && a->ip6 == b->ip6 && a->port == b->port &&
           strcmp(a->ours, b->ours) == 0 && strcmp(a->seen, b->seen) == 0;
}

static int downwards(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

/* Whether the highest ports at which peers see one of ours are close to each other. */
static bool counts_up(const check *c, const check_seen *of)
{
    int ports[CHECK_SEEN_MAX];
    size_t n = 0;
    for (size_t i = 0; i < c->seen_count; i++) {
        if (same_port(&c->seen[i], of)) {
            if (c->seen[i].peers > 1) {
                return false;
            }
            ports[n++] = (int)c->seen[i].seen_port;
        }
    }
    qsort(ports, n, sizeof *ports, downwards);
    for (size_t i = 1; n >= COUNTS && i < COUNTS; i++) {
        if (ports[i - 1] - ports[i] > STEP) {
            return false;
        }
    }
    return n >= COUNTS;
}

check_nat check_nat_of(const check *c, bool udp, bool ip6)
{
    check_nat nat = CHECK_NAT_UNKNOWN;
    for (size_t i = 0; i < c->seen_count; i++) {
        const check_seen *a = &c->seen[i];
        if (a->udp != udp || a->ip6 != ip6) {
            continue;
        }
        for (size_t k = 0; k < i; k++) {
            if (same_port(&c->seen[k], a) && c->seen[k].seen_port != a->seen_port) {
                return counts_up(c, a) ? CHECK_NAT_COUNTS : CHECK_NAT_MANY_PORTS;
            }
        }
        bool same = strcmp(a->ours, a->seen) == 0 && a->port == a->seen_port;
        nat = !same ? CHECK_NAT_ONE_PORT : nat == CHECK_NAT_UNKNOWN ? CHECK_NAT_NONE : nat;
    }
    return nat;
}

check_nat check_nat_of_any(const check *c, bool udp)
{
    check_nat nat = check_nat_of(c, udp, false);
    return nat != CHECK_NAT_UNKNOWN ? nat : check_nat_of(c, udp, true);
}

static bool over_udp(const check_dial *d)
{
    return strstr(d->addr, "/udp/") != NULL;
}

check_udp check_udp_of(const check *c)
{
    unsigned tried = 0, udp = 0, tcp = 0;
    for (size_t i = 0; i < c->dial_count; i++) {
        const check_dial *d = &c->dials[i];
        if (!d->circuit) {
            tried += over_udp(d);
            *(over_udp(d) ? &udp : &tcp) += d->reached;
        }
    }
    return udp > 0 ? CHECK_UDP_OPEN : tried > 0 && tcp > 0 ? CHECK_UDP_BLOCKED : CHECK_UDP_UNKNOWN;
}

/* ---- who gets in ---- */

/* Whether peers were dialled over UDP in that family. */
static bool was_tried(const check *c, bool ip6)
{
    for (size_t i = 0; i < c->dial_count; i++) {
        const check_dial *d = &c->dials[i];
        if (over_udp(d) && !d->circuit && strncmp(d->addr, ip6 ? "/ip4/" : "/ip6/", 5) != 0) {
            return true;
        }
    }
    return false;
}

static void explain(const check *c, check_road *r)
{
    static const struct {
        const char *reason, *text;
    } why[] = {
        {"", "others can connect"},
        {"no-address", "this machine has no such address"},
        {"udp-blocked", "UDP is blocked on the way"},
        {"not-seen", "no peer was reached over it, so nobody says how it looks from outside"},
        {"symmetric-nat", "the NAT takes another port for each destination: there is none to tell "
                          "others, who find it closed"},
        {"firewall", "no NAT, but a firewall, here or on the way, lets in only who was sent to"},
        {"nat", "the NAT lets in only who was sent to"},
        {"not-asked", "too few peers in different networks dialled back"},
    };
    size_t i = 7;
    if (r->status == TERN_REACHABILITY_PUBLIC) {
        i = 0;
    } else if (r->udp && check_udp_of(c) == CHECK_UDP_BLOCKED && was_tried(c, r->ip6)) {
        i = 2;
    } else if (!(r->ip6 ? c->has_ip6 : c->has_ip4) && r->nat == CHECK_NAT_UNKNOWN) {
        i = 1;
    } else if (r->nat == CHECK_NAT_UNKNOWN) {
        i = 3;
    } else if (r->nat == CHECK_NAT_MANY_PORTS || r->nat == CHECK_NAT_COUNTS) {
        i = 4;
    } else if (r->status == TERN_REACHABILITY_PRIVATE) {
        i = r->nat == CHECK_NAT_NONE ? 5 : 6;
    }
    r->reason = why[i].reason;
    r->text = why[i].text;
}

static tern_reachability status_of(const check *c, bool udp, bool ip6)
{
    tern_reachability status = TERN_REACHABILITY_UNKNOWN;
    for (size_t i = 0; i < c->verdict_count; i++) {
        const check_verdict *v = &c->verdicts[i];
        if (v->udp == udp && v->ip6 == ip6 && status != TERN_REACHABILITY_PUBLIC &&
            v->status != TERN_REACHABILITY_UNKNOWN) {
            status = v->status;
        }
    }
    return status;
}

void check_roads(const check *c, check_road out[CHECK_ROADS])
{
    for (size_t i = 0; i < CHECK_ROADS; i++) {
        check_road *r = &out[i];
        memset(r, 0, sizeof *r);
        r->udp = i % 2 == 1;
        r->ip6 = i > 1;
        r->nat = check_nat_of(c, r->udp, r->ip6);
        r->status = status_of(c, r->udp, r->ip6);
        for (size_t k = 0; k < c->seen_count; k++) {
            if (c->seen[k].udp == r->udp && c->seen[k].ip6 == r->ip6) {
                r->port = c->seen[k].port;
            }
        }
        explain(c, r);
    }
}

const char *check_filtering(const check_road *r)
{
    return r->status == TERN_REACHABILITY_PUBLIC    ? "open"
           : r->status == TERN_REACHABILITY_PRIVATE ? "restricted"
                                                    : "unknown";
}
