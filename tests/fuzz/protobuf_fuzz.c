/* Protobuf: fields lie within the message, and what was read and written again reads the same. */
#include <stdlib.h>

#include "codec/protobuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void copy_field(tern_buf *to, const tern_pb *r)
{
    switch (r->type) {
    case 0:
        check(tern_pb_put_uint(to, r->field, r->value) == 0);
        break;
    case 1:
    case 5:
        check(tern_pb_put_fixed64(to, r->field, r->value) == 0);
        break;
    default:
        check(tern_pb_put_bytes(to, r->field, r->body.data, r->body.len) == 0);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    tern_buf copy;
    tern_buf_init(&copy, 0);
    tern_pb r = tern_pb_read(data, n);
    while (tern_pb_next(&r)) {
        check(r.field != 0);
        if (r.type == 2) {
            check(r.body.data >= data && r.body.data + r.body.len <= data + n);
        }
        copy_field(&copy, &r);
    }
    /* The copy has the same fields, as far as the message was good. */
    tern_pb a = tern_pb_read(data, n);
    tern_pb b = tern_pb_read(tern_buf_data(&copy), tern_buf_len(&copy));
    while (tern_pb_next(&a)) {
        check(tern_pb_next(&b) && a.field == b.field && a.value == b.value);
        check(a.body.len == b.body.len);
        check(a.body.len == 0 || memcmp(a.body.data, b.body.data, a.body.len) == 0);
    }
    check(!tern_pb_next(&b) && !b.error && a.error == r.error);
    tern_buf_free(&copy);
    return 0;
}
