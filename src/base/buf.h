/* A byte queue in one block: append at the end, take from the front.
 *
 *      block: | consumed | live bytes (data .. data+len) | room |
 *
 * An empty queue holds no memory, so an idle connection pays nothing. A limit given at init bounds
 * it. */
#ifndef TERN_BASE_BUF_H
#define TERN_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tern_buf {
    uint8_t *block;
    size_t start, len, cap; /* live bytes are block[start .. start + len) */
    size_t limit;           /* most live bytes; 0 = none */
} tern_buf;

void tern_buf_init(tern_buf *b, size_t limit);
void tern_buf_free(tern_buf *b); /* back to empty; may be used again */

/* The live bytes; may be NULL while there are none. */
static inline uint8_t *tern_buf_data(const tern_buf *b)
{
    return b->block != NULL ? b->block + b->start : NULL;
}
static inline size_t tern_buf_len(const tern_buf *b)
{
    return b->len;
}
/* How many bytes may still be appended under the limit (SIZE_MAX without one). */
size_t tern_buf_room(const tern_buf *b);

/* Appends a copy. TERN_E_TOO_LARGE beyond the limit, TERN_E_NOMEM; nothing is appended then. */
int tern_buf_append(tern_buf *b, const void *p, size_t n);
/* A place for n bytes at the end, valid until the next call; NULL as above. tern_buf_commit(k <= n)
 * makes the first k of them live. */
uint8_t *tern_buf_reserve(tern_buf *b, size_t n);
void tern_buf_commit(tern_buf *b, size_t k);
/* Drops n <= len bytes from the front; the block is freed when it becomes empty and is large. */
void tern_buf_consume(tern_buf *b, size_t n);
/* printf at the end (for JSON, metrics, HTTP heads). Errors as append. */
int tern_buf_printf(tern_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
