/* Inside app/: what the parts of `tern interop` share. interop.c finds out which part is played;
 * interop_transport.c and interop_punch.c play it, interop_redis.c is how the parts meet. */
#ifndef TERN_APP_INTEROP_H
#define TERN_APP_INTEROP_H

#include <hiredis/hiredis.h>

#include "app/app.h"

enum { INTEROP_ADDR_MAX = 2300, INTEROP_TRIES_A_SECOND = 10, INTEROP_KEY_MAX = 256 };

/* What every part has. */
typedef struct interop {
    const char *redis, *transport, *security, *muxer;
    long timeout; /* seconds, for all of it */
    bool dials, modern;
    tern_node *node;
    uint64_t started;
    int status;
    bool finished;
} interop;

/* interop.c. A variable of the environment; `otherwise` when it is not set, empty or null. */
const char *interop_given(const char *name, const char *otherwise);
/* Reads what all parts are told; the names are upper-case in modern suites, lower-case before.
 * False after a line on stderr. */
bool interop_read_common(interop *p, const char *redis, const char *timeout);
/* Makes p->node out of the options, to which the part's security and muxer are added. APP_OK or
 * APP_FAILED after a line on stderr. */
int interop_make_node(interop *p, tern_options *options);
/* Runs it until interop_finish, a signal, or the end of the time; gives the status. */
int interop_run(interop *p);
void interop_finish(interop *p, int status);
/* Listens on that IP with the part's transport and writes the address that others reach, not a
 * loopback one if there is any other. APP_OK, or APP_FAILED after a line on stderr. */
int interop_listen(interop *p, const char *ip, char addr[INTEROP_ADDR_MAX]);
/* Prints how long the connection and a ping took, in nanoseconds, as modern suites read it. */
void interop_say_latency(uint64_t all, uint64_t ping);

/* interop_transport.c, interop_punch.c: the whole part, an exit status. */
int interop_transport(void);
int interop_punch(void);
/* Whether the environment is one of the hole-punch suite's. */
bool interop_punch_wanted(void);

/* interop_redis.c. Connects, again and again while there is time: its container may start after
 * ours. NULL after a line on stderr. */
redisContext *interop_redis(const char *at, long timeout);
void interop_wait_a_little(void);
/* Runs a command whose answer is a text, nothing, or to be ignored; the text goes to out. False:
 * there is none. */
bool interop_ask(redisContext *c, char *out, size_t cap, const char *format, ...);

#endif
