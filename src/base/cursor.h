/* A place in a list of spans, for layers that cut a caller's bytes into records. */
#ifndef TERN_BASE_CURSOR_H
#define TERN_BASE_CURSOR_H

#include "base/bytes.h"

typedef struct tern_cursor {
    const tern_span *v;
    size_t at; /* bytes of *v that are behind us */
} tern_cursor;

/* Steps over the next n bytes, or fewer when they are in more than cap > 0 pieces; the list has n
 * bytes left at least. The pieces go to out, none of them empty, *ret_count says how many. Returns
 * the bytes stepped over: 0 only when n is. */
size_t tern_cursor_slice(tern_cursor *c, size_t n, tern_span *out, unsigned cap,
                         unsigned *ret_count);

#endif
