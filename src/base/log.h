/* Logging: one line, a level per room, one sink. Library rooms log at debug and trace only; host
 * and app speak louder. Ids ("conn 7 stream 12"), never pointers or secrets. */
#ifndef TERN_BASE_LOG_H
#define TERN_BASE_LOG_H

#include <stdbool.h>

#include <tern/log.h>

extern int tern_log_ceiling; /* the loudest level any room is set to; checked before formatting */

bool tern_log_on(int level, const char *room);
void tern_log_write(int level, const char *room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define TERN_LOG(level, room, ...)                                                                 \
    do {                                                                                           \
        if ((level) <= tern_log_ceiling && tern_log_on((level), (room))) {                         \
            tern_log_write((level), (room), __VA_ARGS__);                                          \
        }                                                                                          \
    } while (0)

#endif
