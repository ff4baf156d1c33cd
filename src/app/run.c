/* tern run: a node until told to stop. Events go to stdout, with --json one object a line; commands
 * come in on stdin as JSON lines (command.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/run.h"

enum { PORT = 4001, ADDR_MAX = RUN_ADDR_MAX };

static void add_address(void *arg, const char *addr)
{
    json_array_append_new(arg, app_text(addr));
}

void run_check_output(run_command *r)
{
    if (app_output_error() != 0) {
        tern_node_stop(r->node);
    }
}

void run_emit(run_command *r, json_t *event)
{
    app_emit(event);
    run_check_output(r);
}

/* When the addresses are not those that were shown last. */
static void say_listening(run_command *r)
{
    char peer[TERN_PEER_ID_TEXT], page[300];
    tern_peer_id id;
    json_t *addrs = json_array();
    tern_node_addresses(r->node, add_address, addrs);
    if (json_equal(addrs, r->addrs)) {
        json_decref(addrs);
        return;
    }
    json_decref(r->addrs);
    r->addrs = addrs;
    tern_node_peer_id(r->node, &id);
    bool has_page = tern_node_page(r->node, page, sizeof page);
    if (r->o->json) {
        run_emit(r, json_pack("{s:s, s:s, s:O, s:s?}", "event", "listening", "peer",
                              tern_peer_id_text(&id, peer), "addrs", addrs, "page",
                              has_page ? page : NULL));
        return;
    }
    app_say("peer %s", tern_peer_id_text(&id, peer));
    for (size_t i = 0; i < json_array_size(addrs); i++) {
        app_say("listening on %s", json_string_value(json_array_get(addrs, i)));
    }
    if (has_page) {
        app_say("page at %s", page);
    }
    run_check_output(r);
}

/* Interfaces come and go. */
static void on_addresses(void *owner, tern_node *node)
{
    (void)node;
    say_listening(owner);
}

static void say_conn(run_command *r, const char *event, const tern_conn *conn,
                     const tern_error *why)
{
    const tern_conn_facts *f = tern_conn_get_facts(conn);
    if (r->o->json) {
        json_t *o = json_pack("{s:s}", "event", event);
        app_add_facts(o, f);
        if (why != NULL) {
            json_object_set_new(o, "reason", app_text(why->text));
        }
        run_emit(r, o);
        return;
    }
    char peer[TERN_PEER_ID_TEXT];
    app_peer_text(f, peer);
    app_say("%s %s %s %s (%s, %s, %s)%s%s", event, f->inbound ? "from" : "to", peer,
            tern_multiaddr_text(f->remote), f->transport, f->security, f->muxer,
            why != NULL ? ": " : "", why != NULL ? why->text : "");
    run_check_output(r);
}

static void on_connected(void *owner, tern_node *node, tern_conn *conn)
{
    (void)node;
    say_conn(owner, "connected", conn, NULL);
}

static void on_disconnected(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    (void)node;
    say_conn(owner, "disconnected", conn, why);
}

static void on_identified(void *owner, tern_node *node, tern_conn *conn,
                          const tern_identified *what)
{
    run_command *r = owner;
    const tern_conn_facts *f = tern_conn_get_facts(conn);
    (void)node;
    if (!r->o->json) {
        return;
    }
    json_t *addrs = json_array();
    for (size_t i = 0; i < what->addr_count; i++) {
        add_address(addrs, tern_multiaddr_text(what->addrs[i]));
    }
    json_t *o = json_pack("{s:s}", "event", "identified");
    app_add_peer(o, "peer", &f->peer);
    json_object_set_new(o, "agent", app_text(what->agent));
    json_object_set_new(o, "protocols", app_strings(what->protocols, what->protocol_count));
    json_object_set_new(o, "addrs", addrs);
    json_object_set_new(o, "observed",
                        what->observed != NULL ? app_text(tern_multiaddr_text(what->observed))
                                               : json_null());
    run_emit(r, o);
}

static void on_reachability(void *owner, tern_node *node, const tern_multiaddr *addr,
                            tern_reachability verdict)
{
    static const char *const names[] = {"unknown", "public", "private"};
    run_command *r = owner;
    (void)node;
    if (r->o->json) {
        run_emit(r, json_pack("{s:s, s:o, s:s}", "event", "reachability", "addr",
                              app_text(tern_multiaddr_text(addr)), "status", names[verdict]));
        return;
    }
    app_say("%s is %s", tern_multiaddr_text(addr),
            verdict == TERN_REACHABILITY_PUBLIC    ? "reached by others"
            : verdict == TERN_REACHABILITY_PRIVATE ? "not reached by others"
                                                   : "reached by others or not, nobody knows");
    run_check_output(r);
}

static void on_hole_punch(void *owner, tern_node *node, const tern_peer_id *peer, unsigned attempts,
                          uint64_t time, const tern_error *why)
{
    run_command *r = owner;
    (void)node;
    if (r->o->json) {
        json_t *o = json_pack("{s:s, s:s, s:i, s:f}", "event", "holepunch", "result",
                              why == NULL ? "success" : "failed", "attempts", (int)attempts, "ms",
                              (double)time / 1e6);
        app_add_peer(o, "peer", peer);
        if (why != NULL) {
            json_object_set_new(o, "error", app_text(why->text));
        }
        run_emit(r, o);
    } else {
        char text[TERN_PEER_ID_TEXT];
        app_say("%s direct connection to %s after %u attempt%s: %s", why == NULL ? "a" : "no",
                tern_peer_id_text(peer, text), attempts, attempts == 1 ? "" : "s",
                why == NULL ? "the relay is not needed any more" : why->text);
    }
    run_check_output(r);
}

static void on_port_mapping(void *owner, tern_node *node, const tern_port_mapping *what,
                            const tern_error *why)
{
    run_command *r = owner;
    char text[400];
    (void)node;
    if (r->o->json) {
        run_emit(r, app_mapping_event(what, why));
    } else if (app_mapping_text(what, why, text, sizeof text)) {
        app_say("%s", text);
    }
    run_check_output(r);
}

static void on_signal(void *arg, int signal)
{
    run_command *r = arg;
    (void)signal;
    tern_node_stop(r->node);
}

static void on_duration(void *arg)
{
    run_command *r = arg;
    tern_node_stop(r->node);
}

/* ---- listening ---- */

/* "/ip4/1.2.3.4/tcp/0" and "/ip4/1.2.3.4/tcp/0/ws" mean one free port for both: once a port was
 * picked for an ip, later zeros of that ip become it. (Ports of UDP are shared by the library.) */
static void share_port(const app_list *listen, char bound[][ADDR_MAX], size_t i, char *out)
{
    const char *text = listen->items[i];
    const char *zero = strstr(text, "/tcp/0");
    snprintf(out, ADDR_MAX, "%s", text);
    if (zero == NULL || (zero[6] != '\0' && zero[6] != '/')) {
        return;
    }
    size_t front = (size_t)(zero - text) + strlen("/tcp/");
    for (size_t k = 0; k < i; k++) {
        const char *other = listen->items[k];
        if (strncmp(other, text, front) == 0 && other[front] == '0' &&
            (other[front + 1] == '\0' || other[front + 1] == '/')) {
            const char *tcp = strstr(bound[k], "/tcp/"); /* the ip before it may be written anew */
            long port = tcp != NULL ? strtol(tcp + strlen("/tcp/"), NULL, 10) : 0;
            snprintf(out, ADDR_MAX, "%.*s%ld%s", (int)front, text, port, zero + 6);
            return;
        }
    }
}

static int listen_all(run_command *r, const app_list *listen)
{
    static char bound[APP_LIST_MAX][ADDR_MAX];
    for (size_t i = 0; i < listen->count; i++) {
        char text[ADDR_MAX];
        tern_error error;
        share_port(listen, bound, i, text);
        int code = tern_node_listen(r->node, text, bound[i], ADDR_MAX, &error);
        if (code != 0) {
            return app_address_error(listen->items[i], &error);
        }
    }
    return APP_OK;
}

/* QUIC, WebTransport and WebRTC Direct on one port: TCP's where it is free, else another. */
static void listen_udp(run_command *r, const char *ip, long port, bool loud)
{
    static const char *const roads[] = {"quic-v1", "quic-v1/webtransport", "webrtc-direct"};
    char text[64];
    tern_error error;
    for (size_t i = 0; i < sizeof roads / sizeof *roads; i++) {
        snprintf(text, sizeof text, "%s/udp/%ld/%s", ip, port, roads[i]);
        int code = tern_node_listen(r->node, text, NULL, 0, &error);
        if (code == TERN_E_ADDRINUSE) {
            port = 0; /* the others join the port that the first one got */
            snprintf(text, sizeof text, "%s/udp/0/%s", ip, roads[i]);
            code = tern_node_listen(r->node, text, NULL, 0, &error);
        }
        if (code != 0 && loud) {
            app_say_error(text, &error);
        }
    }
}

/* Without --listen: every transport on port 4001 where it is free, else on another; IPv6 where the
 * machine has it. */
static int listen_default(run_command *r)
{
    char bound[ADDR_MAX], text[64];
    tern_error error;
    long port = PORT;
    int code = tern_node_listen(r->node, "/ip4/0.0.0.0/tcp/4001", bound, sizeof bound, &error);
    if (code == TERN_E_ADDRINUSE) {
        code = tern_node_listen(r->node, "/ip4/0.0.0.0/tcp/0", bound, sizeof bound, &error);
        port = strtol(bound + strlen("/ip4/0.0.0.0/tcp/"), NULL, 10);
    }
    if (code != 0) {
        app_say_error("/ip4/0.0.0.0/tcp/4001", &error);
        return APP_FAILED;
    }
    static const struct {
        const char *front, *back;
        bool secure;
    } more[] = {{"/ip4/0.0.0.0", "/ws", false},
                {"/ip4/0.0.0.0", "/tls/ws", true},
                {"/ip6/::", "", false},
                {"/ip6/::", "/ws", false},
                {"/ip6/::", "/tls/ws", true}};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        if (more[i].secure && r->o->tls_cert == NULL) {
            continue;
        }
        snprintf(text, sizeof text, "%s/tcp/%ld%s", more[i].front, port, more[i].back);
        code = tern_node_listen(r->node, text, NULL, 0, &error);
        if (code != 0 && (i == 0 || code == TERN_E_ADDRINUSE)) {
            app_say_error(text, &error);
        }
        if (code != 0 && i == 0) {
            return APP_FAILED;
        }
    }
    /* UDP: what the machine refuses is told, and TCP goes on. */
    if (r->o->psk == NULL) {
        listen_udp(r, "/ip4/0.0.0.0", port, true);
        listen_udp(r, "/ip6/::", port, false);
    }
    return APP_OK;
}

static int bootstrap(run_command *r)
{
    for (size_t i = 0; i < r->o->bootstrap.count; i++) {
        tern_error error;
        if (run_dial(r, "bootstrap", r->o->bootstrap.items[i], &error) != 0) {
            return app_address_error(r->o->bootstrap.items[i], &error);
        }
    }
    return APP_OK;
}

/* ---- the page ---- */

/* Where the page's files are: as told, beside the program when it runs from its build folder, or
 * where make install puts them. NULL without one. */
static const char *page_folder(const app_options *o, char *buf, size_t cap)
{
    static const char *const places[] = {"../page", "../share/tern/page"};
    if (!o->page) {
        return NULL;
    }
    if (o->page_dir != NULL) {
        return o->page_dir;
    }
    char self[1024];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) {
        return NULL;
    }
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char index[2100];
        snprintf(buf, cap, "%s/%s", self, places[i]);
        snprintf(index, sizeof index, "%s/index.html", buf);
        if (access(index, R_OK) == 0) {
            return buf;
        }
    }
    return NULL;
}

static void set_autonat(const app_options *o, tern_options *ret)
{
    ret->autonat = true;
    ret->autonat_service = o->autonat_service;
    ret->hole_punch = o->holepunch;
    ret->port_mapping = o->port_mapping;
    if (o->force_reachability != NULL) {
        bool public = strcmp(o->force_reachability, "public") == 0;
        ret->reachability = public ? TERN_REACHABILITY_PUBLIC : TERN_REACHABILITY_PRIVATE;
    }
}

static int make_node(run_command *r)
{
    static const tern_node_events events = {.on_connected = on_connected,
                                            .on_disconnected = on_disconnected,
                                            .on_identified = on_identified,
                                            .on_stopped = app_on_stopped,
                                            .on_addresses = on_addresses,
                                            .on_reservation = run_on_reservation,
                                            .on_reachability = on_reachability,
                                            .on_hole_punch = on_hole_punch,
                                            .on_port_mapping = on_port_mapping};
    char folder[2048];
    tern_options options;
    tern_error error;
    tern_key *key = NULL;
    if ((r->o->tls_cert != NULL) != (r->o->tls_key != NULL)) {
        return app_usage_error("run", "--tls-cert and --tls-key go together");
    }
    if (app_identity(r->o, &key) != APP_OK) {
        return APP_FAILED;
    }
    app_node_options(r->o, key, &events, r, &options);
    options.metrics = r->o->metrics;
    options.metrics_public = r->o->metrics_public;
    run_set_relay(r->o, &options);
    set_autonat(r->o, &options);
    options.page = page_folder(r->o, folder, sizeof folder);
    r->page_missing = r->o->page && options.page == NULL;
    int code = tern_node_new(&options, &r->node, &error);
    tern_key_unref(key);
    if (code != 0) {
        app_say_error("the node cannot start", &error);
        return code == TERN_E_UNSUPPORTED ? APP_USAGE : APP_FAILED;
    }
    return APP_OK;
}

static int gate_all(run_command *r)
{
    const app_list *lists[] = {&r->o->deny, &r->o->allow};
    int (*const gates[])(tern_node *, const char *, tern_error *) = {tern_node_deny,
                                                                     tern_node_allow};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < lists[k]->count; i++) {
            tern_error error;
            if (gates[k](r->node, lists[k]->items[i], &error) != 0) {
                return app_usage_error("run", "%s", error.text);
            }
        }
    }
    return APP_OK;
}

/* A node may need many descriptors: all that the system permits. */
static void raise_descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static int announce_all(run_command *r)
{
    for (size_t i = 0; i < r->o->announce.count; i++) {
        tern_error error;
        if (tern_node_announce(r->node, r->o->announce.items[i], &error) != 0) {
            return app_address_error(r->o->announce.items[i], &error);
        }
    }
    return APP_OK;
}

/* Until told to stop. */
static int serve(run_command *r)
{
    const app_options *o = r->o;
    if (tern_node_on_signal(r->node, on_signal, r) != 0 ||
        (o->json && tern_node_on_stdin(r->node, run_on_line, r) != 0) ||
        (o->duration > 0 && tern_node_after(r->node, app_ms(o->duration), on_duration, r) != 0)) {
        app_error("the system gives no signals, standard input or memory to wait for");
        return APP_FAILED;
    }
    say_listening(r);
    tern_node_run(r->node);
    return APP_OK;
}

int app_run(app_options *o)
{
    run_command r = {.o = o};
    if (o->args.count > 0) {
        return app_usage_error("run", "takes no argument '%s'", o->args.items[0]);
    }
    raise_descriptors();
    int status = make_node(&r);
    if (status != APP_OK) {
        return status;
    }
    status = gate_all(&r);
    if (status == APP_OK) {
        status = run_know_all(&r);
    }
    if (status != APP_OK) {
        tern_node_free(r.node);
        return status;
    }
    status = o->listen.count > 0 ? listen_all(&r, &o->listen) : listen_default(&r);
    if (status == APP_OK) {
        status = run_reserve_all(&r);
    }
    if (status == APP_OK) {
        status = announce_all(&r);
    }
    if (status == APP_OK && o->perf && tern_node_serve_perf(r.node) != 0) {
        app_error("perf cannot be served");
        status = APP_FAILED;
    }
    if (status == APP_OK) {
        status = bootstrap(&r);
    }
    if (status == APP_OK && r.page_missing) {
        app_error(
            "there is no page: its files were not built ('make run' does it when npm is there)");
    }
    if (status == APP_OK) {
        status = serve(&r);
    }
    tern_node_free(r.node);
    json_decref(r.addrs);
    return status;
}
