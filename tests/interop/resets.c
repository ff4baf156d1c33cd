/* tern's side of the rows "resets", through include/tern only: the commands and lines of the go
 * peer's (README.md), and its protocol:
 *
 *     a byte and a code, u64 BE      'r': the listener resets the stream with the code
 *                                    's': it says '!', and the dialler resets with the code
 *
 *     resets listen MA               {"event":"reset","code":N} for what it heard
 *     resets dial MA CODE...         {"event":"resets","heard":[N, ...]} */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/tern.h>

#define PROTOCOL "/resets/1.0.0"

enum { WORDS = 9, CODES_MAX = 16 };

/* ---- the listener ---- */

typedef struct served {
    uint8_t words[WORDS];
    size_t n;
} served;

static uint64_t code_of(const uint8_t *words)
{
    uint64_t code = 0;
    for (int i = 1; i < WORDS; i++) {
        code = code << 8 | words[i];
    }
    return code;
}

static size_t served_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    served *v = owner;
    size_t k = n < WORDS - v->n ? n : WORDS - v->n;
    memcpy(v->words + v->n, data, k);
    v->n += k;
    if (v->n == WORDS && v->words[0] == 'r') {
        tern_stream_reset(s, code_of(v->words));
    } else if (v->n == WORDS) {
        tern_stream_write(s, "!", 1);
    }
    return n;
}

static void served_closed(void *owner, tern_stream *s, const tern_error *why)
{
    served *v = owner;
    (void)s;
    if (v->n == WORDS && v->words[0] == 's') {
        printf("{\"event\":\"reset\",\"code\":%llu}\n", (unsigned long long)why->wire);
        fflush(stdout);
    }
    free(v);
}

static void serve(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s)
{
    static const tern_stream_events events = {.on_data = served_data, .on_closed = served_closed};
    served *v = calloc(1, sizeof *v);
    (void)ctx;
    (void)node;
    (void)conn;
    if (v == NULL) {
        abort();
    }
    tern_stream_take(s, &events, v);
}

static void on_line(void *arg, char *line, size_t n)
{
    (void)n;
    if (line == NULL) { /* the end */
        tern_node_stop(arg);
    }
}

static int listen_at(tern_node *node, const char *addr)
{
    char bound[256];
    tern_error error;
    if (tern_node_handle(node, PROTOCOL, NULL, serve, NULL) != 0 ||
        tern_node_listen(node, addr, bound, sizeof bound, &error) != 0 ||
        tern_node_on_stdin(node, on_line, node) != 0) {
        return 1;
    }
    printf("{\"event\":\"listening\",\"addrs\":[\"%s\"]}\n", bound);
    fflush(stdout);
    tern_node_run(node);
    return 0;
}

/* ---- the dialler ---- */

typedef struct dialler {
    tern_node *node;
    tern_conn *conn;
    uint64_t codes[CODES_MAX], heard[CODES_MAX];
    size_t count, at; /* step: first each code is asked for, then each is said, then one more */
    int status;
} dialler;

static void next(dialler *d);

static void fail(dialler *d, const tern_error *why)
{
    fprintf(stderr, "%s: %s\n", why->layer, why->text);
    d->status = 1;
    tern_node_stop(d->node);
}

static bool asks(const dialler *d)
{
    return d->at < d->count || d->at == 2 * d->count;
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    const dialler *d = owner;
    (void)data;
    if (!asks(d)) {
        tern_stream_reset(s, d->codes[d->at - d->count]);
    }
    return n;
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    dialler *d = owner;
    (void)s;
    if (why->code != TERN_E_RESET) {
        fail(d, why);
        return;
    }
    if (d->at < d->count) {
        d->heard[d->at] = why->wire;
    }
    d->at++;
    next(d);
}

static void opened(void *owner, tern_stream *s, const tern_error *error)
{
    static const tern_stream_events events = {.on_data = on_data, .on_closed = on_closed};
    if (s == NULL) { /* reset before the protocol was agreed on: as good */
        on_closed(owner, NULL, error);
    } else {
        tern_stream_take(s, &events, owner);
    }
}

static void summarise(dialler *d)
{
    printf("{\"event\":\"resets\",\"heard\":[");
    for (size_t i = 0; i < d->count; i++) {
        printf("%s%llu", i > 0 ? "," : "", (unsigned long long)d->heard[i]);
    }
    printf("]}\n");
    d->status = 0;
    tern_node_stop(d->node);
}

static void next(dialler *d)
{
    tern_error error;
    uint8_t words[WORDS] = {asks(d) ? 'r' : 's'};
    if (d->at > 2 * d->count) {
        summarise(d);
        return;
    }
    uint64_t code = d->at < 2 * d->count ? d->codes[d->at % d->count] : 0;
    for (int i = 0; i < 8; i++) {
        words[1 + i] = (uint8_t)(code >> (56 - 8 * i));
    }
    tern_stream *s = tern_node_open(d->node, d->conn, PROTOCOL, opened, d, &error);
    if (s == NULL) {
        fail(d, &error);
    } else {
        tern_stream_write(s, words, sizeof words);
    }
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t count)
{
    dialler *d = owner;
    (void)reports;
    (void)count;
    d->conn = conn;
    if (conn == NULL) {
        fail(d, error);
    } else {
        next(d);
    }
}

int main(int argc, char **argv)
{
    dialler d = {.status = 1};
    tern_error error;
    tern_options options;
    tern_options_init(&options);
    options.no_resumption = true;
    if (argc < 3 || argc - 3 > CODES_MAX || tern_node_new(&options, &d.node, &error) != 0) {
        return 2;
    }
    if (strcmp(argv[1], "listen") == 0) {
        d.status = listen_at(d.node, argv[2]);
    } else {
        const char *addr = argv[2];
        for (int i = 3; i < argc; i++) {
            d.codes[d.count++] = strtoull(argv[i], NULL, 0);
        }
        if (tern_node_dial(d.node, &addr, 1, 0, false, dialled, &d, &error) == 0) {
            tern_node_run(d.node);
        }
    }
    tern_node_free(d.node);
    return d.status;
}
