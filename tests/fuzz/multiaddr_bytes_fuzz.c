/* Multiaddrs from bytes: what is taken must be kept as it is, print to text that parses to the same
 * bytes, and survive being walked, cut and composed. */
#include <stdlib.h>

#include "codec/multiaddr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* Takes the address apart and puts it together again, component by component. */
static void recompose(const tern_multiaddr *a)
{
    tern_multiaddr *b = NULL;
    tern_ma_part part;
    size_t at = 0, total = 0;
    bool zone = false;
    while (tern_ma_next(a, &at, &part)) {
        check(part.whole.len > 0 && tern_ma_name(part.code) != NULL);
        total += part.whole.len;
        zone = zone || part.code == TERN_MA_IP6ZONE; /* a zone alone is no address */
        if (!zone) {
            tern_multiaddr *longer = tern_ma_with(b, part.code, part.value.data, part.value.len);
            check(longer != NULL);
            tern_multiaddr_unref(b);
            b = longer;
        }
    }
    check(total == at && (zone || tern_multiaddr_equal(a, b)));
    tern_multiaddr_unref(b);
}

/* The public walk gives as many components, each named, its value cut to the room it has. */
static void walk(const tern_multiaddr *a)
{
    size_t at = 0, inner = 0;
    const char *name;
    char value[40];
    tern_ma_part part;
    while (tern_ma_next(a, &inner, &part)) {
        size_t cap = 1 + part.whole.len % sizeof value;
        check(tern_multiaddr_next(a, &at, &name, value, cap));
        check(at == inner && strcmp(name, tern_ma_name(part.code)) == 0 && strlen(value) < cap);
    }
    check(!tern_multiaddr_next(a, &at, &name, value, sizeof value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    tern_error e = {0};
    tern_multiaddr *a = tern_multiaddr_from_bytes(data, n, &e);
    check((a == NULL) == (e.code != 0));
    if (a == NULL) {
        return 0;
    }
    size_t len;
    const uint8_t *bytes = tern_multiaddr_bytes(a, &len);
    check(len == n && memcmp(bytes, data, n) == 0);
    tern_multiaddr *b = tern_multiaddr_parse(tern_multiaddr_text(a), NULL);
    check(b != NULL && tern_multiaddr_equal(a, b));
    recompose(a);
    walk(a);
    tern_endpoint endpoint;
    if (tern_ma_endpoint(a, &endpoint, NULL)) {
        check(endpoint.family == 4 || endpoint.family == 6);
        tern_multiaddr *made = tern_ma_from_endpoint(&endpoint, TERN_MA_UDP);
        tern_endpoint back;
        check(made != NULL && tern_ma_endpoint(made, &back, NULL));
        check(tern_endpoint_eq(&back, &endpoint));
        tern_multiaddr_unref(made);
    }
    tern_multiaddr_unref(tern_ma_without_p2p(a));
    tern_multiaddr_unref(b);
    tern_multiaddr_unref(a);
    return 0;
}
