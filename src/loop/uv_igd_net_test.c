/* HTTP with a router, over loopback: answers in each form that an end can have, and those that have
 * none. A thread says what the router says. */
#include "loop/uv_igd_net.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tern/error.h>

#include "base/test.h"

typedef struct router {
    int fd;
    char url[64];
    const char *says; /* NULL: no end of it */
    bool stays;       /* does not close by itself */
    char heard[4096];
    pthread_t thread;
} router;

static void *serve(void *arg)
{
    router *r = arg;
    int fd = accept(r->fd, NULL, NULL);
    ssize_t n = recv(fd, r->heard, sizeof r->heard - 1, 0);
    r->heard[n > 0 ? n : 0] = '\0';
    if (r->says != NULL) {
        send(fd, r->says, strlen(r->says), MSG_NOSIGNAL);
    } else {
        static const char head[] = "HTTP/1.1 200 OK\r\n\r\n", bytes[4096] = {' '};
        n = send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
        while (n > 0) {
            n = send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        }
    }
    char rest;
    while (r->stays && recv(fd, &rest, 1, 0) > 0) {
    }
    close(fd);
    return NULL;
}

static const tern_endpoint here = {.family = 4, .ip = {127, 0, 0, 1}};

static void start(router *r, const char *says, bool stays)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    *r = (router){.says = says, .stays = stays};
    r->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(r->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(r->fd, 1), 0);
    assert_int_equal(getsockname(r->fd, (struct sockaddr *)&at, &n), 0);
    snprintf(r->url, sizeof r->url, "http://127.0.0.1:%u/x", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
}

static ssize_t exchange(router *r, const char *body, char *out, unsigned *ret_status)
{
    ssize_t n = tern_igd_exchange(&here, r->url, "S#A", body, out, ret_status);
    pthread_join(r->thread, NULL);
    close(r->fd);
    return n;
}

static void ends(void **state)
{
    (void)state;
    static const struct {
        const char *says, *body;
        unsigned status;
        bool stays;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, true},
        {"HTTP/1.0 500 No\r\ncontent-LENGTH:2\r\n\r\nno", "no", 500, true},
        {"HTTP/1.0 200 OK\r\n\r\nto the end", "to the end", 200, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
         "chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
         "hello", 200, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\nffffffffffffffff\r\nlo",
         "hel", 200, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", "short", 200, false},
        {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "", 404, true},
    };
    char *out = malloc(TERN_IGD_ANSWER);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        router r;
        unsigned status = 0;
        start(&r, cases[i].says, cases[i].stays);
        assert_int_equal(exchange(&r, i % 2 == 0 ? "<x/>" : NULL, out, &status),
                         strlen(cases[i].body));
        assert_string_equal(out, cases[i].body);
        assert_int_equal(status, cases[i].status);
        const char *first = i % 2 == 0 ? "POST /x HTTP/1.1\r\n" : "GET /x HTTP/1.1\r\n";
        assert_memory_equal(r.heard, first, strlen(first));
    }
    free(out);
}

static void no_answers(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        int code;
    } cases[] = {{"", TERN_E_MALFORMED},
                 {"HTTP/1.1 200 OK\r\n", TERN_E_MALFORMED},
                 {"nothing of the kind\r\n\r\n", TERN_E_MALFORMED},
                 {NULL, TERN_E_TOO_LARGE}};
    char *out = malloc(TERN_IGD_ANSWER);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        router r;
        unsigned status = 0;
        start(&r, cases[i].says, false);
        assert_int_equal(exchange(&r, NULL, out, &status), cases[i].code);
    }
    free(out);
}

/* Only the gateway is spoken to, and nothing gets into a head that does not belong there. */
static void elsewhere(void **state)
{
    (void)state;
    static const char *const urls[] = {"http://127.0.0.2:80/",  "http://127.0.0.11/",
                                       "https://127.0.0.1/",    "http://127.0.0.1@5.0.0.1/",
                                       "http://127.0.0.1:0/",   "http://127.0.0.1:65536/",
                                       "http://127.0.0.1:8x/",  "http://127.0.0.1:80/ HTTP/1.1\r\n",
                                       "http://localhost:80/",  "/x",
                                       "http://127.0.0.1.x:1/", ""};
    char *out = malloc(TERN_IGD_ANSWER);
    unsigned status;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        assert_int_equal(tern_igd_exchange(&here, urls[i], NULL, NULL, out, &status),
                         TERN_E_INVALID);
    }
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends),
        cmocka_unit_test(no_answers),
        cmocka_unit_test(elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
