/* Every system call of tern's fails in turn: nodes on real sockets over loopback, in scenes that
 * are played again for calls and for the errors that they may have (syscalls.h). No crash, no
 * hang, no descriptor or memory lost; at most one connection is lost, with an error that fits; and
 * the same node serves an honest peer afterwards.
 *
 *     ALL=1 build/debug/tests/suite_syscalls_test    each error at each call, as `make soak` does
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "suite/scene.h"

#define TCP  "/ip4/127.0.0.1/tcp/0"
#define TCP6 "/ip6/::1/tcp/0"
#define WS   "/ip4/127.0.0.1/tcp/0/ws"
#define WSS  "/ip4/127.0.0.1/tcp/0/tls/ws"

static const scene scenes[] = {
    {"tcp noise yamux ping", PING, TCP, NULL, "noise", "yamux", 0, 0, 0},
    {"tcp noise yamux echo", TALK, TCP, NULL, "noise", "yamux", 0, 0, 0},
    {"tcp noise yamux reset", RESET, TCP, NULL, "noise", "yamux", 0, 0, 0},
    {"tcp noise yamux perf", PERF, TCP, NULL, "noise", "yamux", 0, 0, 0},
    {"tcp noise yamux stop", STOP, TCP, NULL, "noise", "yamux", 0, 0, 0},
    {"tcp noise yamux many", MANY, TCP, NULL, "noise", "yamux", 0, 0, 0},
    {"tcp noise mplex ping", PING, TCP, NULL, "noise", "mplex", 0, 0, 0},
    {"tcp noise mplex echo", TALK, TCP, NULL, "noise", "mplex", 0, 0, 0},
    {"tcp noise mplex reset", RESET, TCP, NULL, "noise", "mplex", 0, 0, 0},
    {"tcp noise mplex perf", PERF, TCP, NULL, "noise", "mplex", 0, 0, 0},
    {"tcp noise mplex stop", STOP, TCP, NULL, "noise", "mplex", 0, 0, 0},
    {"tcp tls yamux ping", PING, TCP, NULL, "tls", "yamux", 0, 0, 0},
    {"tcp tls yamux echo", TALK, TCP, NULL, "tls", "yamux", 0, 0, 0},
    {"tcp tls yamux reset", RESET, TCP, NULL, "tls", "yamux", 0, 0, 0},
    {"tcp tls yamux perf", PERF, TCP, NULL, "tls", "yamux", 0, 0, 0},
    {"tcp tls yamux stop", STOP, TCP, NULL, "tls", "yamux", 0, 0, 0},
    {"tcp tls yamux many", MANY, TCP, NULL, "tls", "yamux", 0, 0, 0},
    {"tcp tls mplex ping", PING, TCP, NULL, "tls", "mplex", 0, 0, 0},
    {"tcp tls mplex echo", TALK, TCP, NULL, "tls", "mplex", 0, 0, 0},
    {"tcp any ping", PING, TCP, NULL, NULL, NULL, 0, 0, 0},
    {"tcp any push", PUSH, TCP, NULL, NULL, NULL, 0, 0, 0},
    {"tcp any cross", CROSS, TCP, NULL, NULL, NULL, 0, 0, 0},
    {"tcp any refused", REFUSED, TCP, NULL, NULL, NULL, 0, 0, 0},
    {"tcp any busy", BUSY, TCP, NULL, NULL, NULL, 0, 0, 0},
    {"tcp any everywhere", EVERYWHERE, "/ip4/0.0.0.0/tcp/0", NULL, NULL, NULL, 0, 0, 0},
    {"tcp any rude", RUDE, TCP, NULL, NULL, NULL, 0, 0, 0},
    {"tcp psk ping", PING, TCP, NULL, NULL, NULL, 0, 0, 1},
    {"tcp psk echo", TALK, TCP, NULL, NULL, NULL, 0, 0, 1},
    {"tcp by name ping", PING, TCP, "/dns4/localhost/tcp/", NULL, NULL, 0, 0, 0},
    {"ip6 any ping", PING, TCP6, NULL, NULL, NULL, 0, 0, 0},
    {"ip6 any echo", TALK, TCP6, NULL, NULL, NULL, 0, 0, 0},
    {"ws noise yamux ping", PING, WS, NULL, "noise", "yamux", 0, 0, 0},
    {"ws noise yamux echo", TALK, WS, NULL, "noise", "yamux", 0, 0, 0},
    {"ws noise yamux perf", PERF, WS, NULL, "noise", "yamux", 0, 0, 0},
    {"ws tls yamux reset", RESET, WS, NULL, "tls", "yamux", 0, 0, 0},
    {"ws tls mplex stop", STOP, WS, NULL, "tls", "mplex", 0, 0, 0},
    {"ws any many", MANY, WS, NULL, NULL, NULL, 0, 0, 0},
    {"wss noise yamux ping", PING, WSS, NULL, "noise", "yamux", 1, 0, 0},
    {"wss noise yamux echo", TALK, WSS, NULL, "noise", "yamux", 1, 0, 0},
    {"wss any stop", STOP, WSS, NULL, NULL, NULL, 1, 0, 0},
    {"http page", TALK_HTTP, TCP, NULL, NULL, NULL, 0, 1, 0},
    {"datagrams", DATAGRAMS, TCP, NULL, NULL, NULL, 0, 0, 0},
};
enum { SCENES = sizeof scenes / sizeof *scenes };

/* ---- which errors ---- */

static const int errors[SYS_CALLS][10] = {
    [SYS_SOCKET] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EACCES},
    [SYS_BIND] = {EADDRINUSE, EADDRNOTAVAIL, EACCES, ENOMEM},
    [SYS_LISTEN] = {EADDRINUSE, ENOBUFS},
    [SYS_ACCEPT] = {EMFILE, ECONNABORTED, ENFILE, EINTR, EAGAIN, ENOBUFS, ENOMEM, EPROTO, ENETDOWN},
    [SYS_CONNECT] = {ECONNREFUSED, EINTR, ENETUNREACH, ETIMEDOUT, EADDRNOTAVAIL, EAGAIN, ENOBUFS},
    [SYS_GETSOCKOPT] = {SYS_PENDING + ECONNRESET, ENOBUFS, SYS_PENDING + ETIMEDOUT,
                        SYS_PENDING + EHOSTUNREACH},
    [SYS_SETSOCKOPT] = {ENOPROTOOPT, ENOMEM},
    [SYS_GETSOCKNAME] = {ENOBUFS},
    [SYS_SENDMSG] = {SYS_SHORT, EAGAIN, EPIPE, EINTR, ECONNRESET, ENOBUFS, ENOMEM},
    [SYS_RECV] = {SYS_SHORT, EAGAIN, ECONNRESET, EINTR, ETIMEDOUT, ENOMEM},
    [SYS_RECVMMSG] = {SYS_SHORT, EINTR, EAGAIN, ECONNREFUSED, ENOMEM},
    [SYS_SHUTDOWN] = {ENOTCONN, ENOBUFS},
    [SYS_OPEN] = {EMFILE, ENOENT, ENFILE, EACCES, EIO},
    [SYS_FSTAT] = {EIO},
    [SYS_READ] = {SYS_SHORT, EIO, EINTR},
    [SYS_POLL_INIT] = {ENOMEM, EMFILE},
    [SYS_ADDRESSES] = {ENOMEM, EMFILE},
    [SYS_WORK] = {ENOMEM},
    [SYS_CLOCK] = {1800, -1800, 40 * 86400, -40 * 86400},
};

static unsigned errors_of(const scene *s, size_t call)
{
    unsigned n = 0;
    while (n < 10 && errors[call][n] != 0) {
        n++;
    }
    return call == SYS_CLOCK && s->web ? 2 : n; /* a certificate of the web lives for a day */
}

/* The first call of each kind fails with all its errors, later ones with one error after the other:
 * every one of the first few, then every third, for they are much alike; with TLS, where a run
 * costs four times as much, a third of all. Which third it is differs from scene to scene. */
static bool is_tried(const scene *s, unsigned nth, unsigned error, unsigned count)
{
    enum { FEW = 6, THIRD = 3 };
    bool dear = s->web || (s->security != NULL && strcmp(s->security, "tls") == 0);
    unsigned number = 0;
    for (const char *p = s->name; *p != '\0'; p++) {
        number += (unsigned char)*p;
    }
    if (nth == 1) {
        return !dear || (error + number) % THIRD == 0;
    }
    return error == nth % count && ((nth <= FEW && !dear) || (nth + number) % THIRD == 0);
}

static void test_scene(void **state)
{
    const scene *s = *state;
    unsigned counts[SYS_CALLS], runs = 0;
    const char *all = getenv("ALL");
    scene_run(s, SYS_SOCKET, 0, 0, counts);
    for (size_t call = 0; call < SYS_CALLS; call++) {
        unsigned n = errors_of(s, call);
        for (unsigned nth = 1; nth <= counts[call]; nth++) {
            for (unsigned e = 0; e < n; e++) {
                if (all == NULL && !is_tried(s, nth, e, n)) {
                    continue;
                }
                fprintf(stderr, "# %s: %s %u, error %d\n", s->name, sys_names[call], nth,
                        errors[call][e]);
                scene_run(s, (enum sys_call)call, nth, errors[call][e], NULL);
                runs++;
            }
        }
    }
    assert_true(runs > 10);
    printf("# %s: %u runs\n", s->name, runs);
}

int main(void)
{
    static struct CMUnitTest tests[SCENES];
    static scene copies[SCENES];
    for (size_t i = 0; i < SCENES; i++) {
        copies[i] = scenes[i];
        tests[i] = (struct CMUnitTest){scenes[i].name, test_scene, NULL, NULL, &copies[i]};
    }
    const char *only = getenv("SCENE"); /* its number, from 0 */
    if (only != NULL && strtoul(only, NULL, 10) < SCENES) {
        const struct CMUnitTest one[] = {tests[strtoul(only, NULL, 10)]};
        return cmocka_run_group_tests(one, scene_begin, scene_end);
    }
    return cmocka_run_group_tests(tests, scene_begin, scene_end);
}
