/* See cursor.h. */
#include "base/cursor.h"

size_t tern_cursor_slice(tern_cursor *c, size_t n, tern_span *out, unsigned cap,
                         unsigned *ret_count)
{
    unsigned count = 0;
    size_t sliced = 0;
    while (sliced < n && count < cap) {
        size_t left = c->v->len - c->at;
        size_t k = left < n - sliced ? left : n - sliced;
        if (k > 0) {
            out[count++] = (tern_span){c->v->data + c->at, k};
        }
        c->at += k;
        sliced += k;
        if (k == left) {
            c->v++;
            c->at = 0;
        }
    }
    *ret_count = count;
    return sliced;
}
