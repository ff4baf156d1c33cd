/* Pieces of vectored writes: see pieces.h. */
#include "mux/pieces.h"

size_t tern_pieces_take(tern_pieces *p, size_t n, tern_span *spans, unsigned max, unsigned *used)
{
    size_t taken = 0;
    while (taken < n && *used < max) {
        size_t left = p->v->len - p->skip;
        size_t part = left < n - taken ? left : n - taken;
        if (part > 0) {
            spans[(*used)++] = (tern_span){p->v->data + p->skip, part};
        }
        taken += part;
        p->skip += part;
        if (part == left && p->n > 1) {
            p->v++;
            p->n--;
            p->skip = 0;
        }
    }
    return taken;
}

int tern_pieces_keep(tern_buf *out, const tern_span *v, unsigned n, size_t gone)
{
    int code = 0;
    for (unsigned i = 0; i < n && code == 0; i++) {
        size_t part = gone < v[i].len ? gone : v[i].len;
        gone -= part;
        code = tern_buf_append(out, v[i].data + part, v[i].len - part);
    }
    return code;
}
