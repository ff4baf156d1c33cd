/* Making errors (the values themselves are public: tern/error.h). */
#ifndef TERN_BASE_ERROR_H
#define TERN_BASE_ERROR_H

#include <tern/error.h>

/* Fills *ret (which may be NULL) and returns `code`, so that `return tern_fail(ret, ...)` reads
 * well. `layer` must be a static string. Text longer than the field is cut. */
int tern_fail(tern_error *ret, int code, const char *layer, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with a wire code of the peer. */
int tern_fail_wire(tern_error *ret, int code, uint64_t wire, const char *layer, const char *format,
                   ...) __attribute__((format(printf, 5, 6)));

#endif
