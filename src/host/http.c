/* HTTP on the node's TCP port, for what is no WebSocket upgrade: the page's files, /node.json,
 * /healthz, /metrics. GET and HEAD, one request a connection. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "host/host.h"

enum { FILES_MAX = 16, FILE_SIZE_MAX = 8 << 20, ANSWERS_MAX = 64 };
#define ANSWER_TIME (60 * TERN_SEC) /* for a peer to read an answer and close */

typedef struct page_file {
    const char *path, *name, *type; /* as asked for, in the folder, its content type */
    uint8_t *bytes;
    size_t len;
} page_file;

/* What a page may consist of: a fixed list, so that no path of a peer's ever meets the file system.
 */
static const page_file known[] = {
    {"/", "index.html", "text/html; charset=utf-8", NULL, 0},
    {"/index.html", "index.html", "text/html; charset=utf-8", NULL, 0},
    {"/page.js", "page.js", "text/javascript; charset=utf-8", NULL, 0},
    {"/page.css", "page.css", "text/css; charset=utf-8", NULL, 0},
    {"/favicon.svg", "favicon.svg", "image/svg+xml", NULL, 0},
};

struct tern_page {
    size_t count;
    page_file files[FILES_MAX];
};

static int read_file(const char *folder, page_file *f, tern_error *reterr)
{
    char path[4096];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, f->name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return tern_fail(reterr, TERN_E_NOT_FOUND, "page", "%s cannot be opened", path);
    }
    int code = fstat(fd, &st) != 0 ? TERN_E_IO : st.st_size > FILE_SIZE_MAX ? TERN_E_TOO_LARGE : 0;
    if (code == 0) {
        f->bytes = tern_malloc((size_t)st.st_size + 1);
        code = f->bytes == NULL ? TERN_E_NOMEM : 0;
    }
    while (code == 0 && f->len < (size_t)st.st_size) {
        ssize_t n = read(fd, f->bytes + f->len, (size_t)st.st_size - f->len);
        if (n > 0) {
            f->len += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            code = TERN_E_IO;
        }
    }
    close(fd);
    return code == 0 ? 0 : tern_fail(reterr, code, "page", "%s: %s", path, tern_code_text(code));
}

int tern_page_load(const char *folder, tern_page **ret, tern_error *reterr)
{
    tern_page *page = tern_calloc(1, sizeof *page);
    if (page == NULL) {
        return tern_fail(reterr, TERN_E_NOMEM, "page", "out of memory");
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        page_file *f = &page->files[page->count];
        tern_error error;
        *f = known[i];
        int code = read_file(folder, f, &error);
        if (code == 0) {
            page->count++;
            continue;
        }
        tern_free(f->bytes);
        if (i == 0 || code != TERN_E_NOT_FOUND) { /* only index.html must be there */
            tern_page_free(page);
            return tern_fail(reterr, error.code, error.layer, "%s", error.text);
        }
    }
    *ret = page;
    return 0;
}

void tern_page_free(tern_page *page)
{
    for (size_t i = 0; page != NULL && i < page->count; i++) {
        tern_free(page->files[i].bytes);
    }
    tern_free(page);
}

/* ---- answers ---- */

/* An answer under way. It is over when the peer has read it and closed, or at its deadline: a peer
 * that reads slowly, or not at all, holds one of ANSWERS_MAX places for ANSWER_TIME, or until the
 * place is wanted for a newer one. */
typedef struct answer {
    tern_node *node;
    tern_stream *s;
    tern_crowd_member place; /* in node->answers */
    tern_buf own;            /* the head, and a body that was made for this answer */
    tern_span body;          /* what is left of a file of the page: lent */
    tern_timer deadline;
} answer;

static void forget(answer *a)
{
    tern_crowds_leave(&a->node->answers, &a->place);
    tern_timer_stop(&a->deadline);
    tern_buf_free(&a->own);
    tern_free(a);
}

static void on_deadline(tern_timer *timer)
{
    answer *a = TERN_CONTAINER(timer, answer, deadline);
    tern_node_net(a->node)->counters.http_timeout++;
    tern_stream_reset(a->s, 0); /* on_closed follows */
}

static void evict(tern_crowd_member *place)
{
    answer *a = TERN_CONTAINER(place, answer, place);
    tern_crowds_leave(&a->node->answers, place);
    tern_stream_reset(a->s, 0);
}

static void send_rest(answer *a)
{
    tern_span v[2] = {{tern_buf_data(&a->own), tern_buf_len(&a->own)}, a->body};
    size_t n = tern_stream_writev(a->s, v, 2);
    size_t own = n < v[0].len ? n : v[0].len;
    tern_buf_consume(&a->own, own);
    a->body.data += n - own;
    a->body.len -= n - own;
    if (tern_buf_len(&a->own) + a->body.len == 0) {
        tern_stream_end(a->s);
    }
}

static void on_room(void *owner, tern_stream *s)
{
    (void)s;
    send_rest(owner);
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    forget(owner);
}

static const tern_stream_events answer_events = {.on_room = on_room, .on_closed = on_closed};

static int put_head(tern_buf *out, const char *status, const char *type, size_t n)
{
    return tern_buf_printf(out,
                           "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                           "Connection: close\r\nCache-Control: no-cache\r\n"
                           "X-Content-Type-Options: nosniff\r\n"
                           "Cross-Origin-Opener-Policy: same-origin\r\n"
                           "Cross-Origin-Embedder-Policy: require-corp\r\n\r\n",
                           status, type, n);
}

/* What a request is about to be answered with. */
typedef struct request {
    tern_node *node;
    tern_stream *s;
    const tern_endpoint *remote;
    bool head_only;
} request;

/* `own` is taken over, `body` is lent for as long as the node lives. */
static void respond(const request *r, const char *status, const char *type, tern_buf *own,
                    tern_span body)
{
    tern_counters *count = &tern_node_net(r->node)->counters;
    tern_crowds *answers = &r->node->answers;
    if (tern_crowds_make_place(answers, r->remote, ANSWERS_MAX, 0) == TERN_CROWD_OF_MANY) {
        count->evicted_answers++;
        count->accept_limit++;
    }
    answer *a = tern_calloc(1, sizeof *a);
    if (a != NULL) {
        a->place.evict = evict;
    }
    if (a == NULL || tern_crowds_join(answers, r->remote, &a->place) != 0) {
        count->allocation_failures++;
        tern_free(a);
        tern_buf_free(own);
        tern_stream_reset(r->s, 0);
        tern_stream_drop(r->s);
        return;
    }
    tern_loop *loop = r->node->loop;
    a->node = r->node;
    a->s = r->s;
    tern_buf_init(&a->own, 0);
    int code = put_head(&a->own, status, type, tern_buf_len(own) + body.len);
    if (code == 0 && !r->head_only) {
        code = tern_buf_append(&a->own, tern_buf_data(own), tern_buf_len(own));
        a->body = body;
    }
    tern_buf_free(own);
    tern_timer_start(loop, &a->deadline, tern_loop_now(loop) + ANSWER_TIME, on_deadline);
    tern_stream_take(r->s, &answer_events, a);
    if (code == 0) {
        send_rest(a);
    } else {
        count->allocation_failures++;
        tern_stream_reset(r->s, 0);
    }
}

static void respond_text(const request *r, const char *status, const char *text)
{
    tern_buf none;
    tern_buf_init(&none, 0);
    respond(r, status, "text/plain; charset=utf-8", &none,
            (tern_span){(const uint8_t *)text, strlen(text)});
}

static void respond_made(const request *r, const char *type,
                         int (*make)(tern_node *node, tern_buf *out))
{
    tern_buf out;
    tern_buf_init(&out, 0);
    if (make(r->node, &out) == 0) {
        respond(r, "200 OK", type, &out, (tern_span){NULL, 0});
    } else {
        tern_buf_free(&out);
        respond_text(r, "503 Service Unavailable", "out of memory\n");
    }
}

void tern_node_http(tern_net *net, tern_stream *s, const tern_http1_head *head,
                    const tern_endpoint *remote)
{
    tern_node *node = tern_node_of(net);
    request r = {node, s, remote, tern_span_is(head->method, "HEAD")};
    tern_span path = head->target;
    const uint8_t *query = memchr(path.data, '?', path.len);
    bool may_measure = node->options.metrics_public ||
                       (node->options.metrics && tern_endpoint_is_loopback(remote));
    if (query != NULL) {
        path.len = (size_t)(query - path.data);
    }
    if (!r.head_only && !tern_span_is(head->method, "GET")) {
        respond_text(&r, "405 Method Not Allowed\r\nAllow: GET, HEAD", "GET only\n");
        return;
    }
    if (tern_span_is(path, "/healthz")) {
        respond_text(&r, "200 OK", "ok\n");
        return;
    }
    if (tern_span_is(path, "/metrics") && may_measure) {
        respond_made(&r, "text/plain; version=0.0.4; charset=utf-8", tern_node_metrics_text);
        return;
    }
    if (tern_span_is(path, "/node.json") && node->page != NULL) {
        respond_made(&r, "application/json", tern_node_json);
        return;
    }
    for (size_t i = 0; node->page != NULL && i < node->page->count; i++) {
        const page_file *f = &node->page->files[i];
        if (tern_span_is(path, f->path)) {
            tern_buf none;
            tern_buf_init(&none, 0);
            respond(&r, "200 OK", f->type, &none, (tern_span){f->bytes, f->len});
            return;
        }
    }
    respond_text(&r, "404 Not Found", "nothing here\n");
}
