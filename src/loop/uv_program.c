/* What only programs need of the loop: SIGINT and SIGTERM, and lines from standard input.
 *
 * Standard input may be a terminal, a pipe, a socket or a file. Files (and /dev/null) cannot be
 * polled and never block for long: they are read a block per deferred call. Everything else is a
 * stream of libuv's. The signals do not keep the loop alive; standard input does until its end. */
#include "loop/uv_backend.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <tern/error.h>

#include "base/mem.h"

enum {
    LINE_MAX_BYTES = 64 * 1024,
    SIGNALS = 2,
    HANDLES = SIGNALS + 1,
};

typedef void (*line_fn)(void *arg, char *line, size_t n);

struct tern_uv_program {
    tern_uv *u;
    unsigned handles; /* that libuv has not let go of */
    bool closed;

    uv_signal_t signals[SIGNALS];
    bool signals_open;
    void (*on_signal)(void *arg, int signal);
    void *signal_arg;

    enum { INPUT_NONE, INPUT_STREAM, INPUT_FILE, INPUT_CLOSING } input;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tty_t tty;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } in;
    tern_deferred read_file;
    line_fn on_line;
    void *line_arg;
    size_t len;                    /* bytes in line */
    bool cut;                      /* the line was reported; drop the rest of it */
    char line[LINE_MAX_BYTES + 1]; /* collects a line, then has its end */
    char block[16 * 1024];         /* what libuv reads into */
};

static void on_read_file(tern_deferred *d);

/* --- lifetime --- */

static void let_go(tern_uv_program *p)
{
    if (p->closed && p->handles == 0) {
        tern_deferred_cancel(&p->read_file);
        tern_free(p);
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    tern_uv_program *p = handle->data;
    tern_uv *u = p->u;
    if (handle == &p->in.handle) {
        p->input = INPUT_NONE;
    }
    p->handles--;
    let_go(p);
    tern_uv_release(u);
}

static void opened(tern_uv_program *p, uv_handle_t *handle)
{
    handle->data = p;
    p->handles++;
    tern_uv_hold(p->u);
}

static int get(tern_loop *loop, tern_uv_program **ret)
{
    tern_uv *u = tern_uv_of(loop);
    if (u->state != TERN_UV_OPEN) {
        return TERN_E_STATE;
    }
    if (u->program == NULL) {
        u->program = tern_calloc(1, sizeof *u->program);
        if (u->program == NULL) {
            return TERN_E_NOMEM;
        }
        u->program->u = u;
        tern_deferred_init(&u->program->read_file, on_read_file);
    }
    *ret = u->program;
    return 0;
}

/* --- signals --- */

static void on_signal(uv_signal_t *handle, int number)
{
    tern_uv_program *p = handle->data;
    tern_uv_enter(p->u);
    if (p->on_signal != NULL) {
        p->on_signal(p->signal_arg, number);
    }
    tern_uv_leave(p->u);
}

int tern_loop_on_signal(tern_loop *loop, void (*fn)(void *arg, int signal), void *arg)
{
    static const int numbers[SIGNALS] = {SIGINT, SIGTERM};
    tern_uv_program *p;
    int rc = get(loop, &p);
    if (rc < 0) {
        return rc;
    }
    p->on_signal = fn;
    p->signal_arg = arg;
    for (int i = 0; i < SIGNALS && !p->signals_open; i++) {
        uv_signal_init(p->u->uv, &p->signals[i]);
        opened(p, (uv_handle_t *)&p->signals[i]);
        uv_unref((uv_handle_t *)&p->signals[i]);
    }
    p->signals_open = true;
    for (int i = 0; i < SIGNALS; i++) {
        if (fn == NULL) {
            uv_signal_stop(&p->signals[i]); /* the system's own handling again */
        } else if (uv_signal_start(&p->signals[i], on_signal, numbers[i]) != 0) {
            return TERN_E_IO;
        }
    }
    return 0;
}

/* --- standard input --- */

static void close_input(tern_uv_program *p)
{
    tern_deferred_cancel(&p->read_file);
    if (p->input == INPUT_STREAM) {
        p->input = INPUT_CLOSING;
        uv_close(&p->in.handle, on_handle_closed);
    } else if (p->input == INPUT_FILE) {
        p->input = INPUT_NONE;
    }
}

static void report_line(tern_uv_program *p, size_t n)
{
    p->line[p->len] = '\0';
    p->len = 0;
    p->on_line(p->line_arg, p->line, n);
}

static bool reading(const tern_uv_program *p)
{
    return !p->closed && (p->input == INPUT_STREAM || p->input == INPUT_FILE);
}

/* Collects lines; a callback may end the reading at any of them. */
static void take_bytes(tern_uv_program *p, const char *data, size_t n)
{
    for (size_t i = 0; i < n && reading(p); i++) {
        if (data[i] == '\n') {
            if (!p->cut) {
                report_line(p, p->len);
            }
            p->cut = false;
        } else if (p->cut) {
            continue;
        } else if (p->len == LINE_MAX_BYTES) {
            p->cut = true;
            report_line(p, SIZE_MAX);
        } else {
            p->line[p->len++] = data[i];
        }
    }
}

static void take_end(tern_uv_program *p)
{
    if (p->len > 0 && !p->cut) {
        report_line(p, p->len);
    }
    if (reading(p)) {
        close_input(p);
        p->on_line(p->line_arg, NULL, 0);
    }
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    (void)size;
    tern_uv_program *p = handle->data;
    *buf = uv_buf_init(p->block, sizeof p->block);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    tern_uv_program *p = stream->data;
    tern_uv_enter(p->u);
    if (n > 0) {
        take_bytes(p, buf->base, (size_t)n);
    } else if (n < 0) {
        take_end(p);
    }
    tern_uv_leave(p->u);
}

static void on_read_file(tern_deferred *d)
{
    tern_uv_program *p = TERN_CONTAINER(d, tern_uv_program, read_file);
    ssize_t n = read(STDIN_FILENO, p->block, sizeof p->block);
    if (n > 0) {
        take_bytes(p, p->block, (size_t)n);
    } else if (n == 0 || errno != EINTR) {
        take_end(p);
    }
    if (reading(p)) {
        tern_defer(&p->u->base, &p->read_file);
    }
}

static int open_stream(tern_uv_program *p, uv_handle_type type)
{
    int rc;
    switch (type) {
    case UV_TTY:
        rc = uv_tty_init(p->u->uv, &p->in.tty, STDIN_FILENO, 0);
        break;
    case UV_TCP:
        rc = uv_tcp_init(p->u->uv, &p->in.tcp);
        break;
    default:
        rc = uv_pipe_init(p->u->uv, &p->in.pipe, 0);
        break;
    }
    if (rc != 0) {
        return TERN_E_IO;
    }
    opened(p, &p->in.handle);
    p->input = INPUT_STREAM;
    if (type == UV_TCP) {
        rc = uv_tcp_open(&p->in.tcp, STDIN_FILENO);
    } else if (type == UV_NAMED_PIPE) {
        rc = uv_pipe_open(&p->in.pipe, STDIN_FILENO);
    }
    if (rc != 0 || uv_read_start(&p->in.stream, on_alloc, on_read) != 0) {
        close_input(p);
        return TERN_E_IO;
    }
    return 0;
}

int tern_loop_on_stdin(tern_loop *loop, void (*fn)(void *arg, char *line, size_t n), void *arg)
{
    tern_uv_program *p;
    int rc = get(loop, &p);
    if (rc < 0) {
        return rc;
    }
    if (fn == NULL) {
        close_input(p);
        return 0;
    }
    if (p->input == INPUT_CLOSING) {
        return TERN_E_STATE;
    }
    p->on_line = fn;
    p->line_arg = arg;
    if (p->input != INPUT_NONE) {
        return 0;
    }
    p->len = 0;
    p->cut = false;
    uv_handle_type type = uv_guess_handle(STDIN_FILENO);
    if (type == UV_TTY || type == UV_NAMED_PIPE || type == UV_TCP) {
        return open_stream(p, type);
    }
    p->input = INPUT_FILE;
    tern_defer(loop, &p->read_file);
    return 0;
}

void tern_uv_program_close(tern_uv_program *p)
{
    if (p == NULL) {
        return;
    }
    close_input(p);
    for (int i = 0; i < SIGNALS && p->signals_open; i++) {
        uv_close((uv_handle_t *)&p->signals[i], on_handle_closed);
    }
    p->closed = true;
    let_go(p);
}
