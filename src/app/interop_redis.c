/* How the parts of an interoperability test meet: see interop.h. */
#include "app/interop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void interop_wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000000L / INTEROP_TRIES_A_SECOND}, NULL);
}

redisContext *interop_redis(const char *at, long timeout)
{
    char host[256];
    const char *colon = strrchr(at, ':');
    size_t n = colon != NULL ? (size_t)(colon - at) : strlen(at);
    int port = colon != NULL ? atoi(colon + 1) : 6379;
    redisContext *c = NULL;
    snprintf(host, sizeof host, "%.*s", (int)n, at);
    for (long i = 0; i < timeout * INTEROP_TRIES_A_SECOND; i++) {
        c = redisConnectWithTimeout(host, port, (struct timeval){.tv_sec = 5});
        if (c != NULL && c->err == 0) {
            return c;
        }
        if (i + 1 < timeout * INTEROP_TRIES_A_SECOND) {
            redisFree(c);
            interop_wait_a_little();
        }
    }
    app_error("redis at %s cannot be reached: %s", at, c != NULL ? c->errstr : "out of memory");
    redisFree(c);
    return NULL;
}

bool interop_ask(redisContext *c, char *out, size_t cap, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    redisReply *r = redisvCommand(c, format, ap);
    va_end(ap);
    bool found = r != NULL && r->type == REDIS_REPLY_STRING && r->len < cap;
    if (found) {
        memcpy(out, r->str, r->len + 1);
    }
    freeReplyObject(r);
    return found;
}
