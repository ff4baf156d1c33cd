/* Varints: what is read is minimal, bounded, and written back as the same bytes; more bytes behind
 * one change nothing, fewer ask for more. */
#include <stdlib.h>
#include <string.h>

#include "codec/varint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint64_t value = 0, again;
    uint8_t out[TERN_VARINT_MAX + 1];
    ssize_t len = tern_varint_get(data, n, &value);
    if (len <= 0) {
        return 0;
    }
    if ((size_t)len > n || len > TERN_VARINT_MAX || tern_varint_len(value) != (size_t)len ||
        tern_varint_put(out, value) != (size_t)len || memcmp(out, data, (size_t)len) != 0) {
        abort();
    }
    for (size_t short_of = 0; short_of < (size_t)len; short_of++) {
        if (tern_varint_get(data, short_of, &again) != 0) {
            abort();
        }
    }
    return 0;
}
