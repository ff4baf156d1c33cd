/* BIOs of ours: see bio.h. */
#include "crypto/bio.h"

#include <stdatomic.h>

const BIO_METHOD *tern_bio_method(_Atomic(BIO_METHOD *) *method, const char *name,
                                  int (*read)(BIO *, char *, int),
                                  int (*write)(BIO *, const char *, int),
                                  long (*ctrl)(BIO *, int, long, void *))
{
    BIO_METHOD *m = atomic_load_explicit(method, memory_order_acquire), *first = NULL;
    if (m != NULL) {
        return m;
    }
    m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, name);
    if (m == NULL || BIO_meth_set_read(m, read) != 1 || BIO_meth_set_write(m, write) != 1 ||
        BIO_meth_set_ctrl(m, ctrl) != 1) {
        BIO_meth_free(m);
        return NULL;
    }
    if (!atomic_compare_exchange_strong(method, &first, m)) {
        BIO_meth_free(m);
        return first;
    }
    return m;
}
