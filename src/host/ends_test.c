/* Ends of a connection over real sockets, with a peer that is a process of its own: however it
 * goes, our stream hears one end, then our node one of the connection, a new dial says why there is
 * nobody, and no descriptor or allocation is left. */
#include "base/test.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tern/tern.h>

#define PROTOCOL "/ends/1"

enum { DESCRIPTORS = 256, LIMIT_MS = 60000 };

/* ---- the peer ---- */

static tern_node *peer;

/* As a machine that crashed and is back: its connections are reset. */
static void reset_all(int number)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)number;
    for (int fd = 3; fd < DESCRIPTORS; fd++) {
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    _exit(0);
}

static void stop_peer(int number)
{
    (void)number;
    tern_node_stop(peer);
}

static size_t swallow(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    (void)owner;
    (void)s;
    (void)data;
    return n;
}

static void ignore_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)owner;
    (void)s;
    (void)why;
}

static void peer_stream(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    static const tern_stream_events events = {.on_data = swallow, .on_closed = ignore_closed};
    (void)ctx;
    (void)node;
    (void)conn;
    tern_stream_take(s, &events, NULL);
}

static void on_term(void *arg, int number)
{
    (void)arg;
    stop_peer(number);
}

static void run_peer(int out)
{
    char addr[256];
    signal(SIGUSR1, reset_all);
    if (tern_node_new(NULL, &peer, NULL) != 0 ||
        tern_node_listen(peer, "/ip4/127.0.0.1/tcp/0", addr, sizeof addr, NULL) != 0 ||
        tern_node_handle(peer, PROTOCOL, NULL, peer_stream, NULL) != 0 ||
        tern_node_on_signal(peer, on_term, NULL) != 0 ||
        write(out, addr, sizeof addr) != (ssize_t)sizeof addr) {
        _exit(1);
    }
    tern_node_run(peer);
    tern_node_free(peer);
    _exit(0);
}

/* ---- we ---- */

typedef struct row {
    const char *name;
    int signal;   /* to the peer; 0: we end it ourselves */
    bool writing; /* more than the sockets take, all the time */
} row;

static const row rows[] = {
    {"the peer is killed", SIGKILL, false},
    {"the peer is killed while we write", SIGKILL, true},
    {"the peer resets", SIGUSR1, false},
    {"the peer resets while we write", SIGUSR1, true},
    {"the peer stops in good order", SIGTERM, false},
    {"the peer stops while we write", SIGTERM, true},
    {"we close", 0, false},
    {"we close while we write", 0, true},
};

static struct {
    const row *row;
    tern_node *node;
    tern_conn *conn;
    tern_stream *s;
    pid_t pid;
    char addr[256];
    unsigned opened, closed, disconnected, dials, late;
    int code, again; /* of the stream's end; of the second dial */
    bool text, acted;
} we;

static void write_on(void *owner, tern_stream *s)
{
    static const uint8_t much[65536];
    (void)owner;
    while (tern_stream_write(s, much, sizeof much) == sizeof much) {
    }
}

/* Once the peer has the stream. */
static void act(void *arg)
{
    (void)arg;
    we.acted = true;
    if (we.row->signal != 0) {
        kill(we.pid, we.row->signal);
    } else {
        tern_peer_id id = tern_conn_get_facts(we.conn)->peer;
        tern_node_disconnect(we.node, &id);
    }
}

static void on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_end(s);
}

static void on_stream_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)owner;
    (void)s;
    assert_int_equal(we.disconnected, 0);
    we.closed++;
    we.code = why->code;
}

static const tern_stream_events stream_events = {
    .on_data = swallow, .on_end = on_end, .on_room = write_on, .on_closed = on_stream_closed};

static void opened(void *owner, tern_stream *s, const tern_error *error)
{
    (void)owner;
    assert_int_equal(error->code, 0);
    we.opened++;
    tern_stream_take(s, &stream_events, NULL);
    if (we.row->writing) {
        write_on(NULL, s);
    }
    assert_int_equal(tern_node_after(we.node, 1, act, NULL), 0);
}

static void dialled_again(void *owner, tern_conn *conn, const tern_error *error,
                          const tern_dial_report *reports, size_t report_count)
{
    (void)owner;
    (void)conn;
    (void)reports;
    (void)report_count;
    we.again = error->code;
    tern_node_stop(we.node);
}

static void on_disconnected(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    (void)owner;
    we.disconnected++;
    we.text = why->text[0] != '\0';
    assert_ptr_equal(conn, we.conn);
    if (we.row->signal == 0) {
        kill(we.pid, SIGKILL);
    }
    assert_int_equal(waitpid(we.pid, NULL, 0), we.pid);
    const char *text = we.addr;
    assert_int_equal(tern_node_dial(node, &text, 1, 0, true, dialled_again, NULL, NULL), 0);
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    (void)owner;
    (void)reports;
    (void)report_count;
    assert_int_equal(error->code, 0);
    we.conn = conn;
    we.s = tern_node_open(we.node, conn, PROTOCOL, opened, NULL, NULL);
    assert_non_null(we.s);
}

static void too_late(void *arg)
{
    (void)arg;
    we.late++;
    tern_node_stop(we.node);
}

static size_t descriptors(void)
{
    size_t n = 0;
    DIR *d = opendir("/dev/fd");
    while (d != NULL && readdir(d) != NULL) {
        n++;
    }
    if (d != NULL) {
        closedir(d);
    }
    return n;
}

static void begin_peer(void)
{
    int out[2];
    assert_int_equal(pipe(out), 0);
    we.pid = fork();
    assert_true(we.pid >= 0);
    if (we.pid == 0) {
        close(out[0]);
        run_peer(out[1]);
    }
    close(out[1]);
    assert_int_equal(read(out[0], we.addr, sizeof we.addr), sizeof we.addr);
    close(out[0]);
}

static void check_row(const row *r, const char *security)
{
    static const tern_node_events events = {.on_disconnected = on_disconnected};
    tern_options o;
    print_message("%s: %s\n", security, r->name);
    memset(&we, 0, sizeof we);
    we.row = r;
    begin_peer();
    tern_options_init(&o);
    o.events = &events;
    o.security = security;
    assert_int_equal(tern_node_new(&o, &we.node, NULL), 0);
    assert_int_equal(tern_node_after(we.node, LIMIT_MS, too_late, NULL), 0);
    const char *text = we.addr;
    assert_int_equal(tern_node_dial(we.node, &text, 1, 0, false, dialled, NULL, NULL), 0);
    tern_node_run(we.node);
    tern_node_free(we.node);
    assert_int_equal(we.late, 0);
    assert_int_equal(we.opened, 1);
    assert_int_equal(we.closed, 1);
    assert_true(we.code < 0);
    assert_int_equal(we.disconnected, 1);
    assert_true(we.text);
    assert_int_equal(we.again, TERN_E_REFUSED);
}

static void check_rows(const char *security)
{
    size_t alive = tern_mem_alive();
    check_row(&rows[0], security); /* what the libraries open once for all is there then */
    size_t open = descriptors();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_row(&rows[i], security);
        assert_int_equal(tern_mem_alive(), alive);
        assert_int_equal(descriptors(), open);
    }
}

static void test_ends_with_noise(void **state)
{
    (void)state;
    check_rows("noise");
}

static void test_ends_with_tls(void **state)
{
    (void)state;
    check_rows("tls");
}

/* ---- a listener that goes while many dial it ---- */

enum { DIALS = 32 };

static unsigned told, joined, left;

static void check_all_gone(void)
{
    if (told == DIALS && joined == left) {
        tern_node_stop(we.node);
    }
}

static void one_told(void *owner, tern_conn *conn, const tern_error *error,
                     const tern_dial_report *reports, size_t report_count)
{
    (void)owner;
    (void)conn;
    (void)reports;
    (void)report_count;
    assert_true(error->code == 0 || error->text[0] != '\0');
    told++;
    if (!we.acted) {
        we.acted = true;
        kill(we.pid, we.row->signal);
        assert_int_equal(waitpid(we.pid, NULL, 0), we.pid);
    }
    check_all_gone();
}

static void one_joined(void *owner, tern_node *node, tern_conn *conn)
{
    (void)owner;
    (void)node;
    (void)conn;
    joined++;
}

static void one_left(void *owner, tern_node *node, tern_conn *conn, const tern_error *why)
{
    (void)owner;
    (void)node;
    (void)conn;
    assert_true(why->text[0] != '\0');
    left++;
    check_all_gone();
}

static void listener_goes(int number)
{
    static const tern_node_events events = {.on_connected = one_joined,
                                            .on_disconnected = one_left};
    const row r = {"", number, false};
    size_t alive = tern_mem_alive(), open = descriptors();
    tern_options o;
    memset(&we, 0, sizeof we);
    told = joined = left = 0;
    we.row = &r;
    begin_peer();
    tern_options_init(&o);
    o.events = &events;
    assert_int_equal(tern_node_new(&o, &we.node, NULL), 0);
    assert_int_equal(tern_node_after(we.node, LIMIT_MS, too_late, NULL), 0);
    const char *text = we.addr;
    for (unsigned i = 0; i < DIALS; i++) {
        assert_int_equal(tern_node_dial(we.node, &text, 1, 0, true, one_told, NULL, NULL), 0);
    }
    tern_node_run(we.node);
    tern_node_free(we.node);
    assert_int_equal(we.late, 0);
    assert_int_equal(told, DIALS);
    assert_int_equal(joined, left);
    assert_int_equal(tern_mem_alive(), alive);
    assert_int_equal(descriptors(), open);
}

static void test_listener_goes(void **state)
{
    (void)state;
    listener_goes(SIGKILL);
    listener_goes(SIGUSR1);
    listener_goes(SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_with_noise),
        cmocka_unit_test(test_ends_with_tls),
        cmocka_unit_test(test_listener_goes),
    };
    return TERN_TEST_MAIN(tests);
}
