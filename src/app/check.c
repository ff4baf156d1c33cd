/* tern check: what this machine can reach and be reached by, transport by transport. It listens as
 * a node does, dials the peers that are given, over each of their addresses, hears how they see it,
 * and has them dial back (AutoNAT). Then it dials those that are behind a relay, and sees whether a
 * hole can be punched. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/check.h"

#define PATIENCE_MS 1500 /* for another verdict, once all dials have ended */
#define SETTLE_MS                                                                                  \
    1000 /* from the last dial until those through relays: peers say how they see us */
#define HOLES_MS 45000 /* for holes, beyond the time that is given */

static void finish(check *c)
{
    if (!c->finished) {
        c->finished = true;
        tern_node_stop(c->node);
    }
}

static void no_more(void *arg)
{
    finish(arg);
}

static bool holes_to_come(const check *c)
{
    for (size_t i = 0; i < c->dial_count; i++) {
        if (c->dials[i].circuit && c->dials[i].reached && !c->dials[i].hole.over) {
            return true;
        }
    }
    return false;
}

/* Attempts take longer than the rest. */
static void too_late(void *arg)
{
    check *c = arg;
    if (!holes_to_come(c) || tern_node_after(c->node, HOLES_MS, no_more, c) != 0) {
        finish(c);
    }
}

/* ---- addresses as text ---- */

bool check_take_apart(const char *addr, char ip[48], bool *ret_ip6, bool *ret_udp,
                      unsigned *ret_port)
{
    char family[4], kind[4];
    int n = sscanf(addr, "/%3[ip46]/%47[^/]/%3[tcpud]/%u", family, ip, kind, ret_port);
    *ret_ip6 = n > 0 && strcmp(family, "ip6") == 0;
    *ret_udp = n > 2 && strcmp(kind, "udp") == 0;
    return n == 4 && (*ret_udp || strcmp(kind, "tcp") == 0);
}

static const char *transport_of(const char *addr)
{
    tern_multiaddr *a = tern_multiaddr_parse(addr, NULL);
    const char *name = a != NULL ? tern_transport_for(a) : NULL;
    tern_multiaddr_unref(a);
    return name != NULL ? name : "unknown";
}

/* ---- what peers say ---- */

static bool is_own(const check *c, const char *ip)
{
    for (size_t i = 0; i < c->own_count; i++) {
        if (strcmp(c->own[i], ip) == 0) {
            return true;
        }
    }
    return false;
}

static void note_own(void *arg, const char *addr)
{
    check *c = arg;
    char ip[48];
    bool ip6, udp;
    unsigned port;
    if (check_take_apart(addr, ip, &ip6, &udp, &port) && c->own_count < CHECK_OWN_MAX &&
        !is_own(c, ip)) {
        snprintf(c->own[c->own_count++], sizeof c->own[0], "%s", ip);
    }
}

/* A socket that listens on every address does not say which of them is seen: the same one, if it is
 * one of the machine's. These are announced until there are verdicts; then those that nobody
 * reaches may be missing, and a NAT's may be among them. */
static void name_own(check *c, check_seen *s)
{
    if (strcmp(s->ours, "0.0.0.0") != 0 && strcmp(s->ours, "::") != 0) {
        return;
    }
    if (c->verdict_count == 0) {
        tern_node_addresses(c->node, note_own, c);
    }
    if (is_own(c, s->seen) || strncmp(s->seen, "127.", 4) == 0 || strcmp(s->seen, "::1") == 0) {
        snprintf(s->ours, sizeof s->ours, "%s", s->seen);
    }
}

/* A peer may say it several times. */
static void add_voice(check *c, size_t seen, const tern_peer_id *peer)
{
    for (size_t i = 0; i < c->voice_count; i++) {
        if (c->voices[i].seen == seen && tern_peer_id_equal(&c->voices[i].peer, peer)) {
            return;
        }
    }
    if (c->voice_count < CHECK_VOICES_MAX) {
        c->voices[c->voice_count++] = (check_voice){*peer, seen};
        c->seen[seen].peers++;
    }
}

bool check_is_relayed(const tern_conn_facts *f)
{
    return f->remote != NULL && strstr(tern_multiaddr_text(f->remote), "/p2p-circuit") != NULL;
}

static void on_identified(void *owner, tern_node *node, tern_conn *conn,
                          const tern_identified *what)
{
    check *c = owner;
    const tern_conn_facts *f = tern_conn_get_facts(conn);
    check_seen s = {.peers = 0};
    bool udp, ip6;
    (void)node;
    if (what->observed == NULL || f->local == NULL || f->inbound || check_is_relayed(f) ||
        !check_take_apart(tern_multiaddr_text(f->local), s.ours, &ip6, &s.udp, &s.port) ||
        !check_take_apart(tern_multiaddr_text(what->observed), s.seen, &s.ip6, &udp,
                          &s.seen_port) ||
        udp != s.udp) {
        return;
    }
    name_own(c, &s);
    size_t i = 0;
    while (i < c->seen_count &&
           !(c->seen[i].udp == s.udp && c->seen[i].port == s.port &&
             c->seen[i].seen_port == s.seen_port && strcmp(c->seen[i].seen, s.seen) == 0 &&
             strcmp(c->seen[i].ours, s.ours) == 0)) {
        i++;
    }
    if (i == c->seen_count && i < CHECK_SEEN_MAX) {
        c->seen[c->seen_count++] = s;
    }
    if (i < CHECK_SEEN_MAX) {
        add_voice(c, i, &f->peer);
    }
}

/* There are verdicts, or there will be none: behind a symmetric NAT there is no address to judge.
 */
static bool judged(const check *c)
{
    check_road roads[CHECK_ROADS];
    bool seen = false, any = false;
    check_roads(c, roads);
    for (size_t i = 0; i < CHECK_ROADS; i++) {
        seen |= roads[i].nat != CHECK_NAT_UNKNOWN;
        any |= roads[i].nat == CHECK_NAT_NONE || roads[i].nat == CHECK_NAT_ONE_PORT;
    }
    return c->verdict_count > 0 || (seen && !any);
}

static bool known_all(const check *c)
{
    return judged(c) && c->pending == 0 && c->circuits;
}

static void on_reachability(void *owner, tern_node *node, const tern_multiaddr *addr,
                            tern_reachability verdict)
{
    check *c = owner;
    const char *text = tern_multiaddr_text(addr);
    size_t i = 0;
    while (i < c->verdict_count && strcmp(c->verdicts[i].addr, text) != 0) {
        i++;
    }
    if (i == CHECK_VERDICTS_MAX) {
        return;
    }
    c->verdict_count += i == c->verdict_count;
    snprintf(c->verdicts[i].addr, sizeof c->verdicts[i].addr, "%s", text);
    check_verdict *v = &c->verdicts[i];
    char ip[48];
    unsigned port;
    v->status = verdict;
    check_take_apart(text, ip, &v->ip6, &v->udp, &port);
    if (known_all(c)) {
        tern_node_after(node, PATIENCE_MS, no_more, c);
    }
}

/* ---- dials ---- */

static void dial_circuits(void *arg);

void check_one_less(check *c)
{
    bool any = false;
    if (--c->pending > 0) {
        return;
    }
    for (size_t i = 0; i < c->dial_count; i++) {
        any |= c->dials[i].reached;
    }
    if (!c->circuits) {
        tern_node_after(c->node, SETTLE_MS, dial_circuits, c);
    } else if (!any) {
        finish(c);
    } else if (judged(c)) {
        tern_node_after(c->node, PATIENCE_MS, no_more, c);
    }
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    check_dial *d = owner;
    check *c = d->c;
    (void)reports;
    (void)report_count;
    if (c->finished) {
        return;
    }
    d->done = true;
    d->reached = conn != NULL;
    d->ms = (double)(tern_node_now(c->node) - c->began) / 1e6;
    d->error = *error;
    if (conn != NULL) {
        d->peer = tern_conn_get_facts(conn)->peer;
    }
    if (!d->circuit || conn == NULL) { /* else a hole may come of it */
        check_one_less(c);
    }
}

static int dial_one(check_dial *d, tern_error *reterr)
{
    check *c = d->c;
    c->pending++;
    int code =
        tern_node_dial(c->node, &d->addr, 1, app_ms(c->o->timeout) / 2, true, dialled, d, reterr);
    c->pending -= code != 0;
    return code;
}

/* Once peers have said how they see us, as the other side has to be told. */
static void dial_circuits(void *arg)
{
    check *c = arg;
    c->circuits = true;
    c->pending++; /* until all have begun */
    for (size_t i = 0; i < c->dial_count; i++) {
        if (c->dials[i].circuit && dial_one(&c->dials[i], &c->dials[i].error) != 0) {
            c->dials[i].done = true;
        }
    }
    check_one_less(c);
}

static int dial_all(check *c)
{
    c->pending++;
    for (size_t i = 0; i < c->o->args.count; i++) {
        tern_error error;
        check_dial *d = &c->dials[i];
        d->c = c;
        d->addr = c->o->args.items[i];
        d->transport = transport_of(d->addr);
        d->circuit = strstr(d->addr, "/p2p-circuit") != NULL;
        int code = d->circuit ? 0 : dial_one(d, &error);
        if (code != 0) {
            return app_address_error(d->addr, &error);
        }
        c->dial_count++;
    }
    check_one_less(c);
    return APP_OK;
}

/* ---- listening ---- */

/* Where a node would: port 4001 if nobody else is there, as then a forwarded port is checked too.
 */
static int listen_all(check *c)
{
    enum { ROADS = 4 }; /* TCP and QUIC over IPv4, which there must be, and over IPv6 */
    for (size_t i = 0; i < c->o->listen.count; i++) {
        tern_error error;
        if (tern_node_listen(c->node, c->o->listen.items[i], NULL, 0, &error) != 0) {
            return app_address_error(c->o->listen.items[i], &error);
        }
    }
    for (size_t i = 0; c->o->listen.count == 0 && i < ROADS; i++) {
        static const unsigned ports[] = {4001, 0};
        tern_error error;
        int code = TERN_E_ADDRINUSE;
        char text[64] = "";
        for (size_t k = 0; k < 2 && code == TERN_E_ADDRINUSE; k++) {
            snprintf(text, sizeof text, "/%s/%s/%s/%u%s", i < 2 ? "ip4" : "ip6",
                     i < 2 ? "0.0.0.0" : "::", i % 2 == 0 ? "tcp" : "udp", ports[k],
                     i % 2 == 0 ? "" : "/quic-v1");
            code = tern_node_listen(c->node, text, NULL, 0, &error);
        }
        if (code != 0 && i < 2) {
            app_say_error(text, &error);
            return APP_FAILED;
        }
    }
    return APP_OK;
}

/* Which families the machine has addresses of that lead out of it. */
static void note_family(void *arg, const char *addr)
{
    check *c = arg;
    c->has_ip4 |= strncmp(addr, "/ip4/", 5) == 0 && strncmp(addr, "/ip4/127.", 9) != 0;
    c->has_ip6 |= strncmp(addr, "/ip6/", 5) == 0 && strncmp(addr, "/ip6/::1/", 9) != 0;
}

static void on_signal(void *arg, int number)
{
    (void)number;
    finish(arg);
}

static int start(check *c)
{
    int status = listen_all(c);
    if (status == APP_OK) {
        status = dial_all(c);
    }
    if (status == APP_OK && tern_node_after(c->node, app_ms(c->o->timeout), too_late, c) != 0) {
        app_error("out of memory");
        status = APP_FAILED;
    }
    return status;
}

int app_check(app_options *o)
{
    static const tern_node_events events = {.on_connected = check_on_connected,
                                            .on_identified = on_identified,
                                            .on_reachability = on_reachability,
                                            .on_port_mapping = check_on_port_mapping,
                                            .on_reservation = check_on_reservation,
                                            .on_hole_punch = check_on_hole_punch,
                                            .on_stopped = app_on_stopped};
    tern_options options;
    tern_error error;
    tern_key *key = NULL;
    check *c = calloc(1, sizeof *c);
    if (o->args.count == 0) {
        free(c);
        return app_usage_error("check", "wants the addresses of one or more peers to ask");
    }
    if (c == NULL || app_identity(o, &key) != APP_OK) {
        free(c);
        return APP_FAILED;
    }
    c->o = o;
    app_node_options(o, key, &events, c, &options);
    options.autonat = options.hole_punch = true;
    options.port_mapping = o->port_mapping;
    options.find_relays = CHECK_RELAYS_MAX;
    int status = tern_node_new(&options, &c->node, &error);
    tern_key_unref(key);
    if (status != 0) {
        app_say_error("the node cannot start", &error);
        free(c);
        return APP_FAILED;
    }
    c->began = tern_node_now(c->node);
    status = start(c);
    if (status == APP_OK) {
        tern_node_addresses(c->node, note_family, c);
        tern_node_on_signal(c->node, on_signal, c);
        tern_node_run(c->node);
        status = check_report(c);
    }
    tern_node_free(c->node);
    check_free_mappings(c);
    free(c);
    return status;
}
