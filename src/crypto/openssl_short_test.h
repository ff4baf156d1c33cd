/* OpenSSL's memory in a test: the allocation of a number fails, and what is held is counted. */
#ifndef TERN_CRYPTO_OPENSSL_SHORT_TEST_H
#define TERN_CRYPTO_OPENSSL_SHORT_TEST_H

#include <stdbool.h>
#include <stdlib.h>

#include <openssl/crypto.h>

/* Allocations since the test set it to 0; which of them fails, 0 = none; blocks that are alive. */
static size_t openssl_made, openssl_fail_at, openssl_held;

static void *openssl_allocate(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    void *p = ++openssl_made == openssl_fail_at ? NULL : malloc(n);
    openssl_held += p != NULL;
    return p;
}

static void *openssl_resize(void *old, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    void *p = ++openssl_made == openssl_fail_at ? NULL : realloc(old, n);
    openssl_held += p != NULL && old == NULL;
    return p;
}

static void openssl_release(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    openssl_held -= p != NULL;
    free(p);
}

/* In main, before anything of OpenSSL's is used; false: it was. */
static bool openssl_short(void)
{
    return CRYPTO_set_mem_functions(openssl_allocate, openssl_resize, openssl_release) == 1;
}

#endif
