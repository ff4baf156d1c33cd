/* Inside crypto/: BIOs of ours, through which OpenSSL reads and writes memory. */
#ifndef TERN_CRYPTO_BIO_H
#define TERN_CRYPTO_BIO_H

#include <openssl/bio.h>

/* The method of that name with these functions: made by the first caller of any thread and kept in
 * *method for the process. NULL when memory is short. */
const BIO_METHOD *tern_bio_method(_Atomic(BIO_METHOD *) *method, const char *name,
                                  int (*read)(BIO *, char *, int),
                                  int (*write)(BIO *, const char *, int),
                                  long (*ctrl)(BIO *, int, long, void *));

#endif
