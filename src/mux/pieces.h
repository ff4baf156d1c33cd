/* What every muxer does with the pieces of a vectored write: takes frames off its front, and keeps
 * what the lower stream did not take of the last one. */
#ifndef TERN_MUX_PIECES_H
#define TERN_MUX_PIECES_H

#include "base/buf.h"
#include "base/bytes.h"

/* What the caller of write still wants to send. */
typedef struct tern_pieces {
    const tern_span *v;
    unsigned n;
    size_t skip; /* bytes of v[0] that are in frames already */
} tern_pieces;

/* Moves the next n bytes, as pieces, behind spans[*used]; returns how many bytes, fewer when
 * spans[max] is reached. There must be n bytes. */
size_t tern_pieces_take(tern_pieces *p, size_t n, tern_span *spans, unsigned max, unsigned *used);
/* Appends what is behind the first `gone` bytes of the spans to out. 0, TERN_E_NOMEM,
 * TERN_E_TOO_LARGE; after an error out may hold a part. */
int tern_pieces_keep(tern_buf *out, const tern_span *v, unsigned n, size_t gone);

#endif
