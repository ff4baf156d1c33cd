/* The byte queue: a block that grows by doubling and slides its live bytes to the front when at
 * least half of it is consumed, so that each byte moves a bounded number of times. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <tern/error.h>

#include "base/mem.h"

enum {
    BUF_FIRST = 64, /* bytes of a first block */
    BUF_KEEP = 512  /* an empty queue keeps a block up to this size, so that small traffic need not
                       allocate for each message */
};

void tern_buf_init(tern_buf *b, size_t limit)
{
    *b = (tern_buf){.limit = limit};
}

void tern_buf_free(tern_buf *b)
{
    tern_free(b->block);
    tern_buf_init(b, b->limit);
}

size_t tern_buf_room(const tern_buf *b)
{
    if (b->limit == 0) {
        return SIZE_MAX;
    }
    return b->len < b->limit ? b->limit - b->len : 0;
}

/* Makes room for n bytes after the live ones, without regard to the limit. */
static int make_room(tern_buf *b, size_t n)
{
    if (n <= b->cap - b->start - b->len) {
        return 0;
    }
    if (n > SIZE_MAX / 4 || b->len > SIZE_MAX / 4) {
        return TERN_E_TOO_LARGE;
    }
    size_t need = b->len + n;
    if (need <= b->cap && b->start >= b->cap / 2) {
        memmove(b->block, b->block + b->start, b->len);
        b->start = 0;
        return 0;
    }
    size_t cap = b->cap != 0 ? b->cap : BUF_FIRST;
    while (cap < need) {
        cap *= 2;
    }
    if (b->start != 0 && cap == b->cap) {
        cap *= 2; /* sliding now would repeat at once */
    }
    if (b->limit != 0 && cap / 2 > b->limit) {
        cap = b->limit * 2; /* twice the limit is enough to slide seldom */
    }
    uint8_t *block;
    if (b->start == 0) {
        block = tern_realloc(b->block, cap);
    } else if ((block = tern_malloc(cap)) != NULL) {
        memcpy(block, b->block + b->start, b->len);
        tern_free(b->block);
    }
    if (block == NULL) {
        return TERN_E_NOMEM;
    }
    b->block = block;
    b->start = 0;
    b->cap = cap;
    return 0;
}

int tern_buf_append(tern_buf *b, const void *p, size_t n)
{
    if (n == 0) {
        return 0;
    }
    if (n > tern_buf_room(b)) {
        return TERN_E_TOO_LARGE;
    }
    int code = make_room(b, n);
    if (code == 0) {
        memcpy(b->block + b->start + b->len, p, n);
        b->len += n;
    }
    return code;
}

uint8_t *tern_buf_reserve(tern_buf *b, size_t n)
{
    /* At least one byte, so that the answer to n = 0 is not NULL for want of a block. */
    if (n > tern_buf_room(b) || make_room(b, n != 0 ? n : 1) != 0) {
        return NULL;
    }
    return b->block + b->start + b->len;
}

void tern_buf_commit(tern_buf *b, size_t k)
{
    b->len += k;
}

void tern_buf_consume(tern_buf *b, size_t n)
{
    b->start += n;
    b->len -= n;
    if (b->len > 0) {
        return;
    }
    if (b->cap > BUF_KEEP) {
        tern_buf_free(b);
    } else {
        b->start = 0;
    }
}

int tern_buf_printf(tern_buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || (size_t)n > tern_buf_room(b)) {
        return TERN_E_TOO_LARGE;
    }
    int code = make_room(b, (size_t)n + 1); /* vsnprintf's NUL is written but never live */
    if (code == 0) {
        va_start(args, format);
        vsnprintf((char *)b->block + b->start + b->len, (size_t)n + 1, format, args);
        va_end(args);
        b->len += (size_t)n;
    }
    return code;
}
