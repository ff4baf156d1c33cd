/* Allocation. Everything in tern allocates through these four, so that a test can make the n-th
 * allocation fail and count what is still held. All may return NULL; tern_free(NULL) is nothing. */
#ifndef TERN_BASE_MEM_H
#define TERN_BASE_MEM_H

#include <stddef.h>

void *tern_malloc(size_t n);
void *tern_calloc(size_t count, size_t n); /* zeroed; overflow of count * n yields NULL */
void *tern_realloc(void *p, size_t n);
void tern_free(void *p);
char *tern_strdup(const char *s);
void *tern_memdup(const void *p, size_t n);

/* The bytes of all that is alive in the process, as libc rounds them; 0 where libc does not tell.
 */
size_t tern_mem_bytes(void);

/* Tests: the n-th allocation from now fails (1 = the next), and every one after it when `forever`.
 * 0 switches it off. Returns nothing; not thread-safe. */
void tern_mem_fail_at(size_t n, int forever);
/* How many allocations were made since the last tern_mem_fail_at, and how many are alive in all. */
size_t tern_mem_count(void);
size_t tern_mem_alive(void);

#endif
