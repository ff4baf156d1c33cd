/* Scenes of nodes on real sockets over loopback, for tests that make their system calls fail
 * (syscalls.h). scene.c has the world, its nodes and what must hold in the end, scene_acts.c what
 * they do. */
#ifndef TERN_TESTS_SCENE_H
#define TERN_TESTS_SCENE_H

#include <uv.h>

#include "base/test.h"
#include "host/host.h"
#include "loop/udp.h"
#include "suite/ear.h"
#include "suite/syscalls.h"

enum doing {
    PING,       /* connect, identify, ping both ways, close */
    TALK,       /* bytes there and back, half closes */
    RESET,      /* a stream that its opener resets, then one that lives */
    PERF,       /* both ways */
    STOP,       /* the listening node stops amid a transfer */
    MANY,       /* several connections at once; one may be lost */
    CROSS,      /* both dial each other at the same time */
    PUSH,       /* a protocol more while connected: identify/push */
    REFUSED,    /* nobody listens there */
    BUSY,       /* somebody else listens there */
    EVERYWHERE, /* listening on all addresses */
    TALK_HTTP,  /* the page, over a socket of the test's own */
    RUDE,       /* a peer that sends half of something and resets */
    DATAGRAMS,
};

typedef struct scene {
    const char *name;
    enum doing doing;
    const char *listen, *dial; /* dial: what stands before the port; NULL = the bound address */
    const char *security, *muxer;
    bool web, page, psk;
} scene;

#define ECHO_ID "/scene/echo/1.0.0"

enum { AT_ONCE = 4, BULK = 40000, IDLE_TICKS = 8, JUMPS_MAX = 600 };

typedef struct world world;

/* A node and what it was told. */
typedef struct who {
    world *w;
    tern_node *node;
    char addr[256];
    unsigned connected, disconnected, identified, stopped, lost; /* lost: ended by an error */
    tern_conn *conn;
} who;

struct world {
    const scene *scene;
    uv_loop_t loop;
    uv_timer_t tick;
    who a, b, c;            /* a dials b; c is the honest one afterwards */
    unsigned ticks, events; /* without an event; in all */
    unsigned dials, dialled, failures;
    tern_error failure, pinged; /* the last ones */
    unsigned asked, answered;
    tern_conn *conn; /* the last dial's */
    ear ear;
    unsigned echoing;
    bool fault; /* something fails in this run */
    size_t alive;
    unsigned fds;
    tern_udp *udp[2];
    unsigned datagrams;
};

/* One run; the nth call of that kind has that error (0 = none). Whether it was reached. ret_counts
 * (may be NULL) gets the calls of each kind. */
bool scene_run(const scene *s, enum sys_call call, unsigned nth, int error, unsigned *ret_counts);
/* Of a group of tests: files, keys. */
int scene_begin(void **state);
int scene_end(void **state);

/* ---- scene.c, for scene_acts.c ---- */

typedef bool scene_ready(const world *w);
/* Runs until it is so. When nothing has happened for a while, tern's clock goes on by half a
 * second: deadlines come soon then. */
void scene_until(world *w, scene_ready *is);
bool scene_all_dialled(const world *w);
bool scene_all_answered(const world *w);
void scene_dial(world *w, who *from, const char *text);
void scene_ping(world *w, who *n);
void scene_stop(who *n);
/* An error that a broken system call may end in, here or at the other end. */
void scene_check_fits(const tern_error *e);

/* ---- scene_acts.c, for scene.c ---- */

void scene_on_echo(void *ctx, tern_node *node, tern_conn *conn, tern_stream *s);
void scene_play(world *w);

#endif
