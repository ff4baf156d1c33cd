/* HTTP on the node's TCP port, for what is no WebSocket upgrade: the page's files, /node.json,
 * /healthz, /metrics. GET and HEAD, one request a connection. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "host/host.h"

enum { FILES_MAX = 16, FILE_SIZE_MAX = 8 << 20 };

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
    int code = fstat(fd, &st) != 0 || st.st_size > FILE_SIZE_MAX ? TERN_E_TOO_LARGE : 0;
    if (code == 0) {
        f->bytes = tern_malloc((size_t)st.st_size + 1);
        code = f->bytes == NULL ? TERN_E_NOMEM : 0;
    }
    while (code == 0 && f->len < (size_t)st.st_size) {
        ssize_t n = read(fd, f->bytes + f->len, (size_t)st.st_size - f->len);
        if (n <= 0) {
            code = TERN_E_IO;
        } else {
            f->len += (size_t)n;
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

typedef struct answer {
    tern_stream *s;
    tern_buf rest; /* what the stream has not taken yet */
} answer;

static void send_rest(answer *a)
{
    size_t n = tern_stream_write(a->s, tern_buf_data(&a->rest), tern_buf_len(&a->rest));
    tern_buf_consume(&a->rest, n);
    if (tern_buf_len(&a->rest) == 0) {
        tern_stream *s = a->s;
        tern_buf_free(&a->rest);
        tern_free(a);
        tern_stream_drop(s); /* flushes, ends, lingers */
    }
}

static void on_room(void *owner, tern_stream *s)
{
    (void)s;
    send_rest(owner);
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    answer *a = owner;
    (void)s;
    (void)why;
    tern_buf_free(&a->rest);
    tern_free(a);
}

static const tern_stream_events answer_events = {.on_room = on_room, .on_closed = on_closed};

static void respond(tern_stream *s, bool head_only, const char *status, const char *type,
                    const void *body, size_t n)
{
    answer *a = tern_calloc(1, sizeof *a);
    if (a == NULL) {
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
        return;
    }
    a->s = s;
    tern_buf_init(&a->rest, 0);
    tern_buf_printf(&a->rest,
                    "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                    "Connection: close\r\nCache-Control: no-cache\r\n"
                    "X-Content-Type-Options: nosniff\r\n"
                    "Cross-Origin-Opener-Policy: same-origin\r\n"
                    "Cross-Origin-Embedder-Policy: require-corp\r\n\r\n",
                    status, type, n);
    if (!head_only) {
        tern_buf_append(&a->rest, body, n);
    }
    tern_stream_take(s, &answer_events, a);
    send_rest(a);
}

static void respond_text(tern_stream *s, bool head_only, const char *status, const char *text)
{
    respond(s, head_only, status, "text/plain; charset=utf-8", text, strlen(text));
}

static void respond_made(tern_stream *s, bool head_only, tern_node *node, const char *type,
                         int (*make)(tern_node *node, tern_buf *out))
{
    tern_buf out;
    tern_buf_init(&out, 0);
    if (make(node, &out) == 0) {
        respond(s, head_only, "200 OK", type, tern_buf_data(&out), tern_buf_len(&out));
    } else {
        respond_text(s, head_only, "503 Service Unavailable", "out of memory\n");
    }
    tern_buf_free(&out);
}

void tern_node_http(tern_net *net, tern_stream *s, const tern_http1_head *head,
                    const tern_endpoint *remote)
{
    tern_node *node = tern_node_of(net);
    tern_span path = head->target;
    const uint8_t *query = memchr(path.data, '?', path.len);
    bool head_only = tern_span_is(head->method, "HEAD");
    bool may_measure = node->options.metrics_public ||
                       (node->options.metrics && tern_endpoint_is_loopback(remote));
    if (query != NULL) {
        path.len = (size_t)(query - path.data);
    }
    if (!head_only && !tern_span_is(head->method, "GET")) {
        respond_text(s, false, "405 Method Not Allowed\r\nAllow: GET, HEAD", "GET only\n");
        return;
    }
    if (tern_span_is(path, "/healthz")) {
        respond_text(s, head_only, "200 OK", "ok\n");
        return;
    }
    if (tern_span_is(path, "/metrics") && may_measure) {
        respond_made(s, head_only, node, "text/plain; version=0.0.4; charset=utf-8",
                     tern_node_metrics_text);
        return;
    }
    if (tern_span_is(path, "/node.json") && node->page != NULL) {
        respond_made(s, head_only, node, "application/json", tern_node_json);
        return;
    }
    for (size_t i = 0; node->page != NULL && i < node->page->count; i++) {
        const page_file *f = &node->page->files[i];
        if (tern_span_is(path, f->path)) {
            respond(s, head_only, "200 OK", f->type, f->bytes, f->len);
            return;
        }
    }
    respond_text(s, head_only, "404 Not Found", "nothing here\n");
}
