/* Scenes: their world, its nodes, and what must hold in the end. See scene.h. */
#include "suite/scene.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <tern/perf.h>

#include "suite/web_cert.h"

static char folder[] = "/tmp/tern-syscalls-XXXXXX", cert_path[80], key_path[80];
static tern_key *keys[3];

/* ---- events ---- */

static void on_connected(void *owner, tern_node *node, tern_conn *conn)
{
    who *n = owner;
    (void)node;
    n->connected++;
    n->conn = conn;
    n->w->events++;
}

static void on_disconnected(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    who *n = owner;
    (void)node;
    n->disconnected++;
    n->lost += why->code != 0;
    n->conn = n->conn == conn ? NULL : n->conn;
    n->w->conn = n->w->conn == conn ? NULL : n->w->conn;
    n->w->events++;
}

static void on_identified(void *owner, tern_node *node, tern_conn *conn, const tern_identified *i)
{
    who *n = owner;
    (void)node;
    (void)conn;
    (void)i;
    n->identified++;
    n->w->events++;
}

static void on_stopped(void *owner, tern_node *node)
{
    who *n = owner;
    (void)node;
    n->stopped++;
    n->w->events++;
}

static void on_tick(uv_timer_t *t)
{
    ((world *)t->data)->ticks++;
}

void scene_check_fits(const tern_error *e)
{
    static const int fitting[] = {TERN_E_NOMEM,       TERN_E_TIMEOUT,   TERN_E_REFUSED,
                                  TERN_E_UNREACHABLE, TERN_E_ADDRINUSE, TERN_E_ACCESS,
                                  TERN_E_IO,          TERN_E_EOF,       TERN_E_RESET,
                                  TERN_E_CONN_CLOSED, TERN_E_LIMIT,     TERN_E_NOT_FOUND};
    for (size_t i = 0; i < sizeof fitting / sizeof *fitting; i++) {
        if (e->code == fitting[i]) {
            assert_non_null(e->layer);
            assert_true(e->text[0] != '\0');
            return;
        }
    }
    fail_msg("an error that does not fit: %s: %s", e->layer, e->text);
}

/* ---- the loop ---- */

void scene_until(world *w, scene_ready *is)
{
    unsigned seen = w->events;
    w->ticks = 0;
    for (unsigned jumps = 0; !is(w);) {
        sys_enter();
        uv_run(&w->loop, UV_RUN_ONCE);
        sys_leave();
        if (w->events != seen) {
            seen = w->events;
            w->ticks = 0;
        } else if (w->ticks >= IDLE_TICKS) {
            w->ticks = 0;
            sys_pass(TERN_SEC);
            assert_true(++jumps < JUMPS_MAX);
        }
    }
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    for (int fd = 0; fd < 256; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

/* ---- nodes ---- */

static int try_birth(world *w, who *n, size_t key, tern_error *error)
{
    static const tern_node_events events = {.on_connected = on_connected,
                                            .on_disconnected = on_disconnected,
                                            .on_identified = on_identified,
                                            .on_stopped = on_stopped};
    static const uint8_t psk[TERN_PSK] = {1, 2, 3};
    tern_options o;
    tern_options_init(&o);
    o.key = keys[key];
    o.events = &events;
    o.owner = n;
    o.security = w->scene->security;
    o.muxer = w->scene->muxer;
    o.psk = w->scene->psk ? psk : NULL;
    o.page = w->scene->page ? folder : NULL;
    if (w->scene->web) {
        o.tls_cert = cert_path;
        o.tls_key = key_path;
        o.tls_ca = cert_path;
    }
    if (n == &w->a) {
        o.uv_loop = &w->loop;
    } else {
        o.beside = w->a.node;
    }
    n->w = w;
    sys_enter();
    int code = tern_node_new(&o, &n->node, error);
    sys_leave();
    return code;
}

/* A birth that fails is told why, and the next one succeeds. */
static void birth(world *w, who *n, size_t key)
{
    tern_error error;
    if (try_birth(w, n, key, &error) != 0) {
        assert_true(sys_failed());
        assert_true(error.text[0] != '\0');
        n->node = NULL;
        if (try_birth(w, n, key, &error) != 0) {
            fail_msg("born again: %s", error.text);
        }
    }
    assert_int_equal(tern_node_handle(n->node, ECHO_ID, NULL, scene_on_echo, w), 0);
    assert_int_equal(tern_node_serve_perf(n->node), 0);
}

static void listen_at(who *n, const char *text)
{
    tern_error error;
    sys_enter();
    int code = tern_node_listen(n->node, text, n->addr, sizeof n->addr, &error);
    sys_leave();
    if (code != 0) {
        assert_true(sys_failed());
        scene_check_fits(&error);
        if (tern_node_listen(n->node, text, n->addr, sizeof n->addr, &error) != 0) {
            fail_msg("listening again: %s", error.text);
        }
    }
}

static bool all_stopped(const world *w)
{
    return w->a.stopped && w->b.stopped && (w->c.node == NULL || w->c.stopped);
}

void scene_stop(who *n)
{
    if (n->node != NULL) {
        sys_enter();
        tern_node_stop(n->node);
        sys_leave();
    }
}

/* ---- questions ---- */

static void dial_done(void *owner, tern_conn *conn, const tern_error *error,
                      const tern_dial_report *reports, size_t report_count)
{
    world *w = owner;
    (void)reports;
    (void)report_count;
    w->dialled++;
    w->events++;
    w->conn = conn;
    if (conn == NULL) {
        w->failures++;
        w->failure = *error;
    }
}

bool scene_all_dialled(const world *w)
{
    return w->dialled == w->dials;
}

void scene_dial(world *w, who *from, const char *text)
{
    tern_error error;
    sys_enter();
    int code = tern_node_dial(from->node, &text, 1, 0, true, dial_done, w, &error);
    sys_leave();
    assert_int_equal(code, 0);
    w->dials++;
}

static void ponged(void *owner, uint64_t rtt, const tern_error *error)
{
    world *w = owner;
    (void)rtt;
    w->answered++;
    w->events++;
    if (error->code != 0) {
        scene_check_fits(error);
    }
    w->pinged = *error;
}

bool scene_all_answered(const world *w)
{
    return w->asked == w->answered;
}

void scene_ping(world *w, who *n)
{
    if (n->conn == NULL) {
        return;
    }
    sys_enter();
    w->asked += tern_node_ping(n->node, n->conn, ponged, w) == 0;
    sys_leave();
    scene_until(w, scene_all_answered);
}

static bool nobody_pending(const world *w)
{
    return w->b.node->swarm->pending_count == 0;
}

/* Afterwards nothing fails any more: a new peer connects and gets an answer. */
static void serve_an_honest_peer(world *w)
{
    sys_fail(SYS_SOCKET, 0, 0);
    if (w->scene->doing == STOP) {
        return; /* it is gone */
    }
    scene_until(w, nobody_pending);
    unsigned failures = w->failures;
    const char *at = strstr(w->b.addr, "/ip4/0.0.0.0/");
    char text[300];
    snprintf(text, sizeof text, at != NULL ? "/ip4/127.0.0.1/%s" : "%s",
             w->b.addr + (at != NULL ? sizeof "/ip4/0.0.0.0/" - 1 : 0));
    birth(w, &w->c, 2);
    scene_dial(w, &w->c, text);
    scene_until(w, scene_all_dialled);
    if (w->failures != failures) {
        fail_msg("an honest peer: %s: %s", w->failure.layer, w->failure.text);
    }
    scene_ping(w, &w->c);
    assert_int_equal(w->pinged.code, 0);
}

static void nothing(uv_handle_t *handle)
{
    (void)handle;
}

static void end_world(world *w)
{
    scene_stop(&w->a);
    scene_stop(&w->b);
    scene_stop(&w->c);
    scene_until(w, all_stopped);
    assert_int_equal(w->echoing, 0);
    assert_int_equal(w->asked, w->answered);
    assert_int_equal(w->a.connected, w->a.disconnected);
    assert_int_equal(w->b.connected, w->b.disconnected);
    tern_node_free(w->c.node);
    tern_node_free(w->b.node);
    tern_node_free(w->a.node);
    uv_close((uv_handle_t *)&w->tick, nothing);
    assert_int_equal(uv_run(&w->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    assert_int_equal(tern_mem_alive(), w->alive);
    assert_int_equal(count_fds(), w->fds);
}

bool scene_run(const scene *s, enum sys_call call, unsigned nth, int error, unsigned *ret_counts)
{
    world w = {.scene = s, .fault = nth > 0};
    w.alive = tern_mem_alive();
    w.fds = count_fds();
    sys_watch();
    sys_fail(call, nth, error);
    assert_int_equal(uv_loop_init(&w.loop), 0);
    uv_timer_init(&w.loop, &w.tick);
    w.tick.data = &w;
    uv_timer_start(&w.tick, on_tick, 1, 1);
    birth(&w, &w.a, 0);
    birth(&w, &w.b, 1);
    listen_at(&w.b, s->listen);
    if (s->doing == CROSS) {
        listen_at(&w.a, s->listen);
    }
    scene_play(&w);
    bool reached = sys_failed();
    for (size_t i = 0; ret_counts != NULL && i < SYS_CALLS; i++) {
        ret_counts[i] = sys_count((enum sys_call)i);
    }
    if (w.failures > 0) {
        assert_true(reached);
        scene_check_fits(&w.failure);
    }
    assert_true(w.failures + w.a.lost <= (s->doing == STOP ? 2 : 1));
    serve_an_honest_peer(&w);
    end_world(&w);
    return reached;
}

/* ---- a group of tests ---- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

int scene_begin(void **state)
{
    char path[80];
    web_cert cert;
    uv_loop_t loop;
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0); /* what libuv opens once a process */
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/index.html", folder);
    write_file(path, "<p>scene</p>");
    snprintf(cert_path, sizeof cert_path, "%s/cert.pem", folder);
    snprintf(key_path, sizeof key_path, "%s/key.pem", folder);
    web_cert_make(&cert, "DNS:localhost,IP:127.0.0.1", 0, 0);
    write_file(cert_path, cert.chain);
    write_file(key_path, cert.key);
    web_cert_clear(&cert);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &keys[i]), 0);
    }
    return 0;
}

int scene_end(void **state)
{
    char path[80];
    (void)state;
    snprintf(path, sizeof path, "%s/index.html", folder);
    unlink(path);
    unlink(cert_path);
    unlink(key_path);
    rmdir(folder);
    for (size_t i = 0; i < 3; i++) {
        tern_key_unref(keys[i]);
    }
    return tern_mem_alive() == 0 ? 0 : tern_test_leak();
}
