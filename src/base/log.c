/* Logging: levels per room, one sink.
 *
 * The only mutable global state of the library. It is set before any node runs and only read
 * afterwards, so reading it takes no lock. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    ROOMS_MAX = 32, /* rooms with a level of their own */
    ROOM_NAME = 24, /* longest name of a room with its end */
    LOG_LINE_MAX = 1024
};

typedef struct levels {
    int common;
    unsigned count;
    struct {
        char name[ROOM_NAME];
        int level;
    } rooms[ROOMS_MAX];
} levels;

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

static levels current = {.common = TERN_LOG_WARN};
int tern_log_ceiling = TERN_LOG_WARN;

static void write_stderr(void *owner, int level, const char *room, const char *line)
{
    (void)owner;
    struct timespec now = {0};
    struct tm parts = {0};
    char when[32] = "";
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &parts) != NULL) {
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &parts);
    }
    fprintf(stderr, "%s.%03dZ %-5s %s: %s\n", when, (int)(now.tv_nsec / 1000000),
            level_names[level], room, line);
}

static tern_log_sink *sink = write_stderr;
static void *sink_owner;

void tern_log_set_sink(tern_log_sink *new_sink, void *owner)
{
    sink = new_sink != NULL ? new_sink : write_stderr;
    sink_owner = owner;
}

static int level_of(const char *p, size_t n)
{
    for (int i = TERN_LOG_ERROR; i <= TERN_LOG_TRACE; i++) {
        if (strlen(level_names[i]) == n && memcmp(level_names[i], p, n) == 0) {
            return i;
        }
    }
    return -1;
}

/* One item of a spec: "level" or "room=level". */
static int parse_item(levels *l, const char *p, size_t n)
{
    const char *eq = memchr(p, '=', n);
    if (eq == NULL) {
        l->common = level_of(p, n);
        return l->common >= 0 ? 0 : TERN_E_INVALID;
    }
    size_t name = (size_t)(eq - p);
    int level = level_of(eq + 1, n - name - 1);
    if (level < 0 || name == 0 || name >= ROOM_NAME || l->count == ROOMS_MAX) {
        return TERN_E_INVALID;
    }
    for (size_t i = 0; i < name; i++) {
        if ((p[i] < 'a' || p[i] > 'z') && (p[i] < '0' || p[i] > '9') &&
            strchr("_-", p[i]) == NULL) {
            return TERN_E_INVALID;
        }
    }
    memcpy(l->rooms[l->count].name, p, name);
    l->rooms[l->count].name[name] = '\0';
    l->rooms[l->count].level = level;
    l->count++;
    return 0;
}

int tern_log_set_levels(const char *spec)
{
    levels fresh = {.common = TERN_LOG_WARN};
    for (const char *p = spec;; p++) {
        size_t n = strcspn(p, ",");
        if (parse_item(&fresh, p, n) != 0) {
            return TERN_E_INVALID;
        }
        p += n;
        if (*p == '\0') {
            break;
        }
    }
    int ceiling = fresh.common;
    for (unsigned i = 0; i < fresh.count; i++) {
        ceiling = fresh.rooms[i].level > ceiling ? fresh.rooms[i].level : ceiling;
    }
    current = fresh;
    tern_log_ceiling = ceiling;
    return 0;
}

bool tern_log_on(int level, const char *room)
{
    for (unsigned i = current.count; i-- > 0;) { /* the last word about a room counts */
        if (strcmp(current.rooms[i].name, room) == 0) {
            return level <= current.rooms[i].level;
        }
    }
    return level <= current.common;
}

void tern_log_write(int level, const char *room, const char *format, ...)
{
    char line[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0) {
        return;
    }
    /* Text of a peer's must not forge a second line or drive a terminal. */
    for (char *p = line; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }
    if (level < TERN_LOG_ERROR) {
        level = TERN_LOG_ERROR;
    }
    sink(sink_owner, level <= TERN_LOG_TRACE ? level : TERN_LOG_TRACE, room, line);
}
