/* Logging: where the library's log lines go. */
#ifndef TERN_LOG_H
#define TERN_LOG_H

#include <tern/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    TERN_LOG_ERROR = 0,
    TERN_LOG_WARN = 1,
    TERN_LOG_INFO = 2,
    TERN_LOG_DEBUG = 3,
    TERN_LOG_TRACE = 4
};

/* Called with one line without newline. `room` is a static string. Must not call tern. */
typedef void tern_log_sink(void *owner, int level, const char *room, const char *line);

/* The sink of the whole process; NULL writes to stderr. Set before any node runs. */
TERN_API void tern_log_set_sink(tern_log_sink *sink, void *owner);

/* Levels from text: "info", "debug,yamux=trace,noise=error". TERN_E_INVALID names nothing known;
 * then nothing changes. The default is "warn". */
TERN_API int tern_log_set_levels(const char *spec);

#ifdef __cplusplus
}
#endif
#endif
