/* A node's birth, its run, its stop: see tern/node.h. */
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/host.h"
#include "host/parts.h"
#include "loop/uv.h"
#include "secure/noise.h"
#include "secure/tls.h"

#ifndef TERN_VERSION
#define TERN_VERSION "0"
#endif

#define AWAKE_TIME (3600 * TERN_SEC) /* any time will do */

typedef struct node_timer {
    tern_list link;
    tern_timer timer;
    void (*fn)(void *arg);
    void *arg;
} node_timer;

const char *tern_version(void)
{
    return TERN_VERSION;
}

void tern_options_init_sized(tern_options *o, size_t size)
{
    memset(o, 0, size);
    o->size = size;
}

/* An older program's struct is shorter: what it does not know keeps its default. */
static void copy_options(tern_options *to, const tern_options *from)
{
    memset(to, 0, sizeof *to);
    if (from != NULL) {
        memcpy(to, from, from->size < sizeof *to ? from->size : sizeof *to);
    }
    to->size = sizeof *to;
}

/* ---- what the swarm tells ---- */

static void on_connected(void *owner, tern_conn *conn)
{
    tern_node *node = owner;
    if (node->options.events != NULL && node->options.events->on_connected != NULL) {
        node->options.events->on_connected(node->options.owner, node, conn);
    }
    if (!node->options.no_identify) {
        tern_identify_ask(node->identify, conn);
    }
}

static void on_disconnected(void *owner, tern_conn *conn, const tern_error *why)
{
    tern_node *node = owner;
    tern_node_forget_pinger(node, conn);
    if (tern_swarm_misbehaves(why)) {
        tern_node_tell_conn_misbehaving(node, conn, why);
    }
    if (node->options.events != NULL && node->options.events->on_disconnected != NULL) {
        node->options.events->on_disconnected(node->options.owner, node, conn, why);
    }
}

static void on_identified(void *owner, tern_conn *conn, const tern_identity *id)
{
    tern_node *node = owner;
    if (node->options.events != NULL && node->options.events->on_identified != NULL) {
        tern_identified what = {.agent = id->agent,
                                .protocol_version = id->protocol_version,
                                .protocols = id->protocols,
                                .protocol_count = id->protocol_count,
                                .addrs = id->addrs,
                                .addr_count = id->addr_count,
                                .observed = id->observed,
                                .signed_record = id->signed_record};
        node->options.events->on_identified(node->options.owner, node, conn, &what);
    }
}

static void on_protocols(void *owner)
{
    tern_node *node = owner;
    if (node->identify != NULL && node->running) {
        tern_identify_push(node->identify);
    }
}

static void on_addresses(void *owner)
{
    tern_node *node = owner;
    on_protocols(node); /* the same message says both */
    if (node->options.events != NULL && node->options.events->on_addresses != NULL) {
        node->options.events->on_addresses(node->options.owner, node);
    }
}

static void on_reservation(void *owner, const tern_multiaddr *addr, const tern_peer_id *relay,
                           uint64_t expires, const tern_error *why)
{
    tern_node *node = owner;
    if (node->options.events != NULL && node->options.events->on_reservation != NULL) {
        node->options.events->on_reservation(node->options.owner, node, addr, relay, expires, why);
    }
}

static void on_punched(void *owner, const tern_peer_id *peer, unsigned attempts, uint64_t time,
                       const tern_error *why)
{
    tern_node *node = owner;
    if (node->options.events != NULL && node->options.events->on_hole_punch != NULL) {
        node->options.events->on_hole_punch(node->options.owner, node, peer, attempts, time, why);
    }
}

static void on_awake(void *owner)
{
    tern_node_probe_all(owner);
}

static void free_timers(tern_node *node)
{
    tern_list *l;
    while ((l = tern_list_pop(&node->timers)) != NULL) {
        node_timer *t = TERN_CONTAINER(l, node_timer, link);
        tern_timer_stop(&t->timer);
        tern_free(t);
    }
}

static void stop_loop(void *arg)
{
    tern_loop_stop(arg);
}

static void on_stopped(void *owner)
{
    tern_node *node = owner;
    node->swarm_stopped = true;
    tern_identify_stop(node->identify);
    tern_node_free_certificates(node); /* their timer looks at the files */
    tern_parts_let_go(tern_node_net(node));
    tern_node_part_stopped(node);
}

void tern_node_part_stopped(tern_node *node)
{
    if (!node->swarm_stopped || !node->portmap_stopped || !tern_node_stranger_stopped(node)) {
        return;
    }
    free_timers(node);
    pthread_mutex_lock(&node->lock);
    node->stopped = true;
    pthread_mutex_unlock(&node->lock);
    if (node->own_loop) {
        tern_loop_on_signal(node->loop, NULL, NULL);
        tern_loop_on_stdin(node->loop, NULL, NULL);
        /* Behind the calls of other threads that were accepted: they are answered. */
        node->end = (tern_post){.fn = stop_loop, .arg = node->loop};
        if (tern_loop_post_kept(node->loop, &node->end) != 0) {
            tern_loop_stop(node->loop);
        }
    }
    if (node->options.events != NULL && node->options.events->on_stopped != NULL) {
        node->options.events->on_stopped(node->options.owner, node);
    }
}

static const tern_swarm_events swarm_events = {
    .on_connected = on_connected,
    .on_disconnected = on_disconnected,
    .on_identified = on_identified,
    .on_protocols = on_protocols,
    .on_misbehaving = tern_node_tell_misbehaving,
    .on_addresses = on_addresses,
    .on_reservation = on_reservation,
    .on_reachability = tern_node_on_reachability,
    .on_punched = on_punched,
    .on_mapped = tern_node_on_mapped,
    .on_awake = on_awake,
    .on_stopped = on_stopped,
};

/* ---- birth ---- */

static void on_trouble(void *owner, const tern_error *error)
{
    (void)owner;
    TERN_LOG(TERN_LOG_WARN, "host", "%s; what is learned of peers is kept in memory only",
             error->text);
}

static void loop_closed(void *arg)
{
    tern_loop_free(arg);
}

/* An own loop runs until its handles are closed; an embedder's does that in its next turns. */
static void close_loop(tern_loop *loop, bool own)
{
    if (own) {
        tern_loop_close(loop, NULL, NULL);
        tern_loop_run(loop);
        tern_loop_free(loop);
    } else {
        tern_loop_close(loop, loop_closed, loop);
    }
}

static int copy_string(char **to, const char *from, const char **shown)
{
    *to = from != NULL ? tern_strdup(from) : NULL;
    *shown = *to;
    return from != NULL && *to == NULL ? TERN_E_NOMEM : 0;
}

/* All parts, or the one that was asked for by name. */
static int choose_parts(tern_node *node, tern_error *reterr)
{
    size_t n = 0, m = 0;
    for (size_t i = 0; tern_parts_secures[i] != NULL && n < TERN_PARTS_MAX; i++) {
        if (node->security == NULL || strcmp(node->security, tern_parts_secures[i]->name) == 0) {
            node->secures[n++] = tern_parts_secures[i];
        }
    }
    for (size_t i = 0; tern_parts_muxes[i] != NULL && m < TERN_PARTS_MAX; i++) {
        if (node->muxer == NULL || strcmp(node->muxer, tern_parts_muxes[i]->name) == 0) {
            node->muxes[m++] = tern_parts_muxes[i];
        }
    }
    if (n == 0) {
        return tern_fail(reterr, TERN_E_UNSUPPORTED, "host",
                         "security '%s' is not in this build; see 'tern features'", node->security);
    }
    if (m == 0) {
        return tern_fail(reterr, TERN_E_UNSUPPORTED, "host",
                         "muxer '%s' is not in this build; see 'tern features'", node->muxer);
    }
    const char *scheme = node->options.webrtc_credentials;
    if (scheme != NULL && strcmp(scheme, "v1") != 0 && strcmp(scheme, "v2") != 0) {
        return tern_fail(reterr, TERN_E_UNSUPPORTED, "host",
                         "WebRTC Direct has the credentials v1 and v2, not '%s'", scheme);
    }
    return 0;
}

static int make_parts(tern_node *node, tern_key *key, tern_error *reterr)
{
    tern_limits limits;
    tern_upgrade_parts parts = {node->secures, node->muxes};
    tern_node_limits(&node->options, &limits);
    int code = tern_swarm_new(node->loop, key, &limits, node->agent, tern_parts_transports, &parts,
                              &swarm_events, node, &node->swarm);
    if (code != 0) {
        return tern_fail(reterr, code, "host", "%s", tern_code_text(code));
    }
    tern_net *net = tern_node_net(node);
    net->psk = node->options.psk;
    net->fast_open = node->options.tcp_fast_open;
    net->early_data = node->options.early_data;
    net->no_resumption = node->options.no_resumption;
    const char *scheme = node->options.webrtc_credentials;
    net->punch_private = node->options.hole_punch_private;
    net->webrtc_scheme = scheme != NULL && strcmp(scheme, "v2") == 0 ? 2 : 1;
    code = tern_noise_identity_new(net->loop, key, &net->noise);
    if (code != 0) {
        return tern_fail(reterr, code, "host", "the identity key cannot sign: %s",
                         tern_code_text(code));
    }
    node->identify = tern_identify_new(net);
    if (node->identify == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "host", "out of memory");
    }
    if (node->options.no_identify) {
        tern_swarm_unhandle(net, TERN_IDENTIFY_ID);
        tern_swarm_unhandle(net, TERN_IDENTIFY_PUSH_ID);
    }
    if (node->options.relay_service && (code = tern_node_serve_relay(node)) != 0) {
        return tern_fail(reterr, code, "host", "%s", tern_code_text(code));
    }
    if ((code = tern_node_start_autonat(node)) != 0 ||
        (code = tern_node_start_portmap(node)) != 0 ||
        (node->options.hole_punch && (code = tern_puncher_new(net, &node->puncher)) != 0) ||
        (node->options.find_relays > 0 &&
         (code = tern_relay_finder_new(net, node->options.find_relays, &node->finder)) != 0)) {
        return tern_fail(reterr, code, "host", "%s", tern_code_text(code));
    }
    if (!node->options.no_ping && (code = tern_ping_serve(net)) != 0) {
        return tern_fail(reterr, code, "host", "%s", tern_code_text(code));
    }
    tern_error trouble;
    if (node->data != NULL &&
        tern_swarm_open_book(node->swarm, node->data, on_trouble, &trouble) != 0) {
        on_trouble(node, &trouble);
    }
    code = tern_node_load_certificates(node, reterr);
    if (code == 0 && node->page_folder != NULL) {
        code = tern_page_load(node->page_folder, &node->page, reterr);
    }
    if (node->page != NULL || node->options.metrics || node->options.metrics_public) {
        net->http = tern_node_http;
    }
    return code;
}

int tern_node_new_on(tern_loop *loop, const tern_options *options, tern_node **ret,
                     tern_error *reterr)
{
    tern_node *node = tern_calloc(1, sizeof *node);
    if (node == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "host", "out of memory");
    }
    copy_options(&node->options, options);
    node->loop = loop;
    node->foreign = true;
    pthread_mutex_init(&node->lock, NULL);
    tern_list *lists[] = {&node->pingers, &node->handlers, &node->dials,
                          &node->timers,  &node->sync,     &node->pipes};
    tern_crowds_init(&node->answers);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        tern_list_init(lists[i]);
    }
    tern_options *o = &node->options;
    int code = 0;
    if (o->psk != NULL) {
        memcpy(node->psk, o->psk, sizeof node->psk);
        o->psk = node->psk;
    }
    if (copy_string(&node->agent, o->agent != NULL ? o->agent : "tern/" TERN_VERSION, &o->agent) !=
            0 ||
        copy_string(&node->security, o->security, &o->security) != 0 ||
        copy_string(&node->muxer, o->muxer, &o->muxer) != 0 ||
        copy_string(&node->page_folder, o->page, &o->page) != 0 ||
        copy_string(&node->tls_cert, o->tls_cert, &o->tls_cert) != 0 ||
        copy_string(&node->tls_key, o->tls_key, &o->tls_key) != 0 ||
        copy_string(&node->tls_ca, o->tls_ca, &o->tls_ca) != 0 ||
        copy_string(&node->data, o->data, &o->data) != 0) {
        code = tern_fail(reterr, TERN_E_NOMEM, "host", "out of memory");
    }
    tern_key *key = tern_key_ref(o->key);
    if (code == 0 && key == NULL) {
        code = tern_key_generate(TERN_KEY_ED25519, &key);
        if (code != 0) {
            tern_fail(reterr, code, "host", "no key can be made: %s", tern_code_text(code));
        }
    }
    if (code == 0) {
        code = choose_parts(node, reterr);
    }
    if (code == 0) {
        code = make_parts(node, key, reterr);
    }
    tern_key_unref(key);
    o->key = NULL;
    o->webrtc_credentials = NULL;
    if (code != 0) {
        tern_node_free(node);
        return code;
    }
    node->running = true;
    *ret = node;
    return 0;
}

int tern_node_new(const tern_options *options, tern_node **ret, tern_error *reterr)
{
    tern_loop *loop = NULL;
    tern_options o;
    copy_options(&o, options);
    struct uv_loop_s *uv = o.uv_loop;
    if (o.beside != NULL) {
        return uv == NULL ? tern_node_new_on(o.beside->loop, options, ret, reterr)
                          : tern_fail(reterr, TERN_E_INVALID, "host",
                                      "beside and uv_loop are two ways to say where a node lives");
    }
    int code = tern_loop_new_uv(uv, &loop);
    if (code != 0) {
        return tern_fail(reterr, code, "host", "no event loop: %s", tern_code_text(code));
    }
    code = tern_node_new_on(loop, options, ret, reterr);
    if (code != 0) {
        close_loop(loop, uv == NULL);
        return code;
    }
    (*ret)->own_loop = uv == NULL;
    (*ret)->foreign = false;
    return 0;
}

/* ---- run and stop ---- */

/* A loop ends when it has nothing to wait for, but a node without listeners and connections waits
 * for the calls of other threads, tern_node_stop among them. */
static void stay_awake(tern_timer *timer)
{
    tern_node *node = TERN_CONTAINER(timer, tern_node, awake);
    tern_timer_start(node->loop, timer, tern_loop_now(node->loop) + AWAKE_TIME, stay_awake);
}

int tern_node_run(tern_node *node)
{
    if (!node->own_loop || node->stopped) {
        return TERN_E_STATE;
    }
    stay_awake(&node->awake);
    tern_loop_run(node->loop);
    tern_timer_stop(&node->awake);
    return 0;
}

static void *thread_main(void *arg)
{
    tern_node_run(arg);
    return NULL;
}

int tern_node_start(tern_node *node)
{
    if (!node->own_loop || node->threaded || node->stopped) {
        return TERN_E_STATE;
    }
    if (pthread_create(&node->thread, NULL, thread_main, node) != 0) {
        return TERN_E_NOMEM;
    }
    node->threaded = true;
    return 0;
}

static void stop_here(void *arg)
{
    tern_node *node = arg;
    node->running = false;
    tern_node_cancel_dials(node);
    if (node->reach != NULL) {
        tern_reach_stop(node->reach);
    }
    if (node->puncher != NULL) {
        tern_puncher_stop(node->puncher);
    }
    tern_node_stop_portmap(node);
    if (node->finder != NULL) {
        tern_relay_finder_stop(node->finder);
    }
    tern_node_stop_stranger(node);
    tern_swarm_stop(node->swarm);
}

void tern_node_stop(tern_node *node)
{
    pthread_mutex_lock(&node->lock);
    if (node->stop.fn == NULL) { /* once */
        node->stop = (tern_post){.fn = stop_here, .arg = node};
        tern_loop_post_kept(node->loop, &node->stop);
    }
    pthread_mutex_unlock(&node->lock);
}

void tern_node_free(tern_node *node)
{
    if (node == NULL) {
        return;
    }
    if (node->threaded) {
        tern_node_stop(node);
        pthread_join(node->thread, NULL);
    } else if (node->own_loop && node->swarm != NULL && !node->stopped) {
        tern_node_stop(node); /* it never ran: run it until it has stopped */
        tern_node_run(node);
    }
    free_timers(node);
    tern_node_free_sync(node);
    tern_node_free_protocols(node);
    tern_identify_free(node->identify);
    tern_relay_free(node->relay);
    tern_relay_finder_free(node->finder);
    tern_puncher_free(node->puncher);
    tern_portmap_free(node->portmap);
    tern_reach_free(node->reach);
    tern_autonat_free(node->autonat);
    tern_node_free_stranger(node);
    if (node->swarm != NULL) {
        tern_noise_identity_free(tern_node_net(node)->noise);
        tern_tls_identity_free(tern_node_net(node)->tls);
        tern_node_free_certificates(node);
        tern_parts_let_go(tern_node_net(node));
    }
    tern_swarm_free(node->swarm);
    tern_page_free(node->page);
    if (!node->foreign) {
        close_loop(node->loop, node->own_loop);
    }
    tern_free(node->agent);
    tern_free(node->security);
    tern_free(node->muxer);
    tern_free(node->page_folder);
    tern_free(node->tls_cert);
    tern_free(node->tls_key);
    tern_free(node->tls_ca);
    tern_free(node->data);
    tern_wipe(node->psk, sizeof node->psk);
    pthread_mutex_destroy(&node->lock);
    tern_free(node);
}

/* ---- small things ---- */

int tern_node_post(tern_node *node, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&node->lock); /* held: what is accepted comes before the loop's end */
    int code = node->stopped ? TERN_E_STATE : tern_loop_post(node->loop, fn, arg);
    pthread_mutex_unlock(&node->lock);
    return code;
}

static void on_timer(tern_timer *timer)
{
    node_timer *t = TERN_CONTAINER(timer, node_timer, timer);
    void (*fn)(void *arg) = t->fn;
    void *arg = t->arg;
    tern_list_remove(&t->link);
    tern_free(t);
    fn(arg);
}

int tern_node_after(tern_node *node, uint32_t ms, void (*fn)(void *arg), void *arg)
{
    node_timer *t = tern_calloc(1, sizeof *t);
    if (t == NULL) {
        return TERN_E_NOMEM;
    }
    t->fn = fn;
    t->arg = arg;
    tern_list_push(&node->timers, &t->link);
    tern_timer_start(node->loop, &t->timer, tern_loop_now(node->loop) + ms * TERN_MS, on_timer);
    return 0;
}

uint64_t tern_node_now(const tern_node *node)
{
    return tern_loop_now(node->loop);
}

void tern_node_peer_id(const tern_node *node, tern_peer_id *ret)
{
    *ret = node->swarm->net.self;
}

const tern_key *tern_node_key(const tern_node *node)
{
    return node->swarm->net.key;
}

int tern_node_on_signal(tern_node *node, void (*fn)(void *arg, int signal), void *arg)
{
    return node->own_loop ? tern_loop_on_signal(node->loop, fn, arg) : TERN_E_STATE;
}

int tern_node_on_stdin(tern_node *node, void (*fn)(void *arg, char *line, size_t n), void *arg)
{
    return node->own_loop ? tern_loop_on_stdin(node->loop, fn, arg) : TERN_E_STATE;
}
