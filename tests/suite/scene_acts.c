/* Scenes: what their nodes do. See scene.h. */
#include "suite/scene.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tern/perf.h>

#define PUSH_ID "/scene/push/1.0.0"

static void measured(void *owner, const tern_perf_result *result, const tern_error *error)
{
    world *w = owner;
    w->answered++;
    w->events++;
    if (error->code != 0) {
        scene_check_fits(error);
    } else {
        assert_int_equal(result->sent, BULK);
        assert_int_equal(result->received, BULK);
    }
}

static void perf(world *w)
{
    if (w->conn != NULL) {
        sys_enter();
        w->asked += tern_node_perf(w->a.node, w->conn, BULK, BULK, NULL, measured, w, NULL) == 0;
        sys_leave();
    }
}

/* ---- echoes ---- */

static size_t echo_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    ((world *)owner)->events++;
    return tern_stream_write(s, data, n);
}

static void echo_room(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_resume(s);
}

static void echo_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_end(s);
}

static void echo_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    ((world *)owner)->echoing--;
    ((world *)owner)->events++;
}

void scene_on_echo(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    static const tern_stream_events events = {echo_data, echo_end, echo_room, echo_closed};
    world *w = ctx;
    (void)node;
    (void)conn;
    w->echoing++;
    tern_stream_take(s, &events, w);
}

static void ear_opened(void *owner, tern_stream *s, const tern_error *error)
{
    world *w = owner;
    w->answered++;
    w->events++;
    if (s != NULL) {
        ear_take(&w->ear, s);
    } else {
        scene_check_fits(error);
        w->ear.closed++;
        w->ear.why = *error;
    }
}

static bool ear_closed(const world *w)
{
    return w->ear.closed > 0 || (w->asked == w->answered && w->ear.s == NULL);
}

static bool ear_opens(const world *w)
{
    return w->asked == w->answered;
}

/* Opens a stream for echoes and writes to it; false when there is none. */
static bool open_echo(world *w)
{
    static uint8_t bytes[BULK];
    ear_init(&w->ear);
    if (w->conn == NULL) {
        return false;
    }
    for (size_t i = 0; i < BULK; i++) {
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    }
    sys_enter();
    w->asked += tern_node_open(w->a.node, w->conn, ECHO_ID, ear_opened, w, NULL) != NULL;
    sys_leave();
    scene_until(w, ear_opens);
    if (w->ear.s == NULL) {
        return false;
    }
    sys_enter();
    size_t taken = ear_write(&w->ear, bytes, BULK);
    sys_leave();
    assert_int_equal(taken, BULK);
    return true;
}

static void check_echo(world *w)
{
    const uint8_t *got = tern_buf_data(&w->ear.got);
    size_t n = tern_buf_len(&w->ear.got);
    assert_true(n <= BULK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got[i], (uint8_t)(i * 7 + i / 256));
    }
    if (w->ear.why.code == 0) {
        assert_int_equal(n, BULK);
        assert_true(w->ear.ended);
    } else {
        scene_check_fits(&w->ear.why);
    }
}

static void end_ear(world *w)
{
    sys_enter();
    ear_clear(&w->ear);
    sys_leave();
    ear_init(&w->ear);
}

static void echo(world *w)
{
    if (open_echo(w)) {
        sys_enter();
        EAR(&w->ear, tern_stream_end(w->ear.s));
        sys_leave();
        scene_until(w, ear_closed);
        check_echo(w);
    }
    end_ear(w);
}

static void reset(world *w)
{
    if (open_echo(w)) {
        sys_enter();
        EAR(&w->ear, tern_stream_reset(w->ear.s, 3));
        sys_leave();
        scene_until(w, ear_closed);
    }
    end_ear(w);
    echo(w);
}

/* ---- other acts ---- */

/* A blocking client's few lines: what follows is answered, or the connection ends. */
static int raw_connect(const world *w)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    const char *port = strstr(w->b.addr, "/tcp/");
    to.sin_port = htons((uint16_t)atoi(port + 5));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static int raw_fd;
static char raw_got[4096];
static size_t raw_n;
static bool raw_over;

static bool raw_done(const world *w)
{
    (void)w;
    ssize_t n = recv(raw_fd, raw_got + raw_n, sizeof raw_got - 1 - raw_n, 0);
    if (n > 0) {
        raw_n += (size_t)n;
    } else if (n == 0 || errno != EAGAIN) {
        raw_over = true;
    }
    return raw_over;
}

static void talk_http(world *w)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    raw_fd = raw_connect(w);
    raw_n = 0;
    raw_over = false;
    assert_int_equal(send(raw_fd, request, sizeof request - 1, 0), sizeof request - 1);
    scene_until(w, raw_done);
    raw_got[raw_n] = '\0';
    if (!w->fault) {
        assert_non_null(strstr(raw_got, "200 OK"));
        assert_non_null(strstr(raw_got, "scene"));
    }
    close(raw_fd);
}

static void be_rude(world *w)
{
    static const char part[] = "\x13/multistream/1.0.0\n\x07/noise\n\x00\x20half";
    struct linger now = {.l_onoff = 1};
    raw_fd = raw_connect(w);
    raw_n = 0;
    raw_over = false;
    assert_int_equal(send(raw_fd, part, sizeof part - 1, 0), sizeof part - 1);
    sys_enter();
    uv_run(&w->loop, UV_RUN_ONCE);
    sys_leave();
    setsockopt(raw_fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(raw_fd);
}

static bool all_connected(const world *w)
{
    return w->failures + w->a.lost + w->b.lost > 0 || w->b.connected >= w->a.connected;
}

/* A port where nobody listens any more, or still does. */
static int take_port(char *text, size_t cap)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 1) == 0 &&
                getsockname(fd, (struct sockaddr *)&at, &n) == 0);
    snprintf(text, cap, "/ip4/127.0.0.1/tcp/%u", ntohs(at.sin_port));
    return fd;
}

static void busy(world *w)
{
    char text[64];
    tern_error error;
    int fd = take_port(text, sizeof text);
    sys_enter();
    int code = tern_node_listen(w->a.node, text, NULL, 0, &error);
    sys_leave();
    assert_true(code != 0);
    scene_check_fits(&error);
    assert_true(w->fault || code == TERN_E_ADDRINUSE);
    close(fd);
}

static void refused(world *w)
{
    char text[64];
    close(take_port(text, sizeof text));
    scene_dial(w, &w->a, text);
    scene_until(w, scene_all_dialled);
    assert_int_equal(w->failures, 1);
    assert_true(w->fault || w->failure.code == TERN_E_REFUSED);
    w->failures = 0;
}

static void on_datagram(void *owner, tern_udp *u, tern_datagram *d)
{
    world *w = owner;
    (void)u;
    assert_true(d->len == 100 || d->len == 50);
    w->datagrams++;
    w->events++;
}

static bool datagrams_came(const world *w)
{
    return w->datagrams >= 3;
}

static void send_datagrams(world *w)
{
    static uint8_t bytes[250] = {0xc0, [100] = 0xc0, [200] = 0xc0};
    tern_endpoint at = {.family = 4, .ip = {127, 0, 0, 1}}, to;
    tern_loop *loop = tern_node_net(w->a.node)->loop;
    for (size_t i = 0; i < 2; i++) {
        sys_enter();
        int code = tern_udp_bind(loop, &at, &w->udp[i]);
        sys_leave();
        if (code != 0) {
            assert_true(sys_failed());
            assert_int_equal(tern_udp_bind(loop, &at, &w->udp[i]), 0);
        }
        tern_udp_register(w->udp[i], TERN_UDP_QUIC, on_datagram, w);
    }
    tern_udp_local(w->udp[1], &to);
    if (to.port != 0) { /* getsockname failed otherwise */
        for (unsigned tries = 0; tries < 3 && w->datagrams < 3; tries++) {
            w->datagrams = 0;
            sys_enter();
            tern_udp_send(w->udp[0], &to, bytes, sizeof bytes, 100, 0);
            uv_run(&w->loop, UV_RUN_ONCE);
            sys_leave();
            if (!w->fault) {
                scene_until(w, datagrams_came);
            }
        }
    }
    tern_udp_close(w->udp[0]);
    tern_udp_close(w->udp[1]);
}

static void note_address(void *arg, const char *addr)
{
    (void)addr;
    ++*(unsigned *)arg;
}

static void push(world *w)
{
    unsigned before = w->a.identified;
    sys_enter();
    assert_int_equal(tern_node_handle(w->b.node, PUSH_ID, NULL, scene_on_echo, w), 0);
    sys_leave();
    scene_ping(w, &w->a);
    scene_ping(w, &w->b);
    (void)before;
}

/* ---- the acts together ---- */

static void play(world *w)
{
    char text[300];
    const scene *s = w->scene;
    unsigned n = s->doing == MANY ? AT_ONCE : 1;
    snprintf(text, sizeof text, "%s", w->b.addr);
    if (s->dial != NULL) {
        unsigned port = (unsigned)atoi(strstr(w->b.addr, "/tcp/") + 5);
        snprintf(text, sizeof text, "%s%u", s->dial, port);
    }
    for (unsigned i = 0; i < n; i++) {
        scene_dial(w, &w->a, text);
    }
    if (s->doing == CROSS) {
        scene_dial(w, &w->b, w->a.addr);
    }
    scene_until(w, scene_all_dialled);
    scene_until(w, all_connected);
    if (!w->fault && w->failures > 0) {
        fail_msg("%s: %s: %s", s->name, w->failure.layer, w->failure.text);
    }
    switch (s->doing) {
    case TALK:
        echo(w);
        break;
    case RESET:
        reset(w);
        break;
    case PERF:
        perf(w);
        scene_until(w, scene_all_answered);
        break;
    case STOP:
        perf(w);
        if (open_echo(w)) {
            scene_stop(&w->b);
            scene_until(w, ear_closed);
        }
        scene_until(w, scene_all_answered);
        end_ear(w);
        break;
    case PUSH:
        push(w);
        break;
    default:
        scene_ping(w, &w->a);
        scene_ping(w, &w->b);
        break;
    }
    sys_enter();
    tern_peer_id peer;
    tern_node_peer_id(w->b.node, &peer);
    tern_node_disconnect(w->a.node, &peer);
    sys_leave();
}

void scene_play(world *w)
{
    unsigned addresses = 0;
    switch (w->scene->doing) {
    case TALK_HTTP:
        talk_http(w);
        return;
    case RUDE:
        be_rude(w);
        return;
    case BUSY:
        busy(w);
        return;
    case REFUSED:
        refused(w);
        return;
    case DATAGRAMS:
        send_datagrams(w);
        return;
    case EVERYWHERE:
        sys_enter();
        tern_node_addresses(w->b.node, note_address, &addresses);
        sys_leave();
        assert_true(addresses > 0 || w->fault);
        return;
    default:
        play(w);
        return;
    }
}
