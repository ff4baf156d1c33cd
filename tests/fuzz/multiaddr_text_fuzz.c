/* Multiaddrs from text: what is taken must print to text that parses to the same bytes. */
#include <stdlib.h>

#include "base/mem.h"
#include "codec/multiaddr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = tern_malloc(n + 1);
    if (text == NULL) {
        return 0;
    }
    if (n > 0) {
        memcpy(text, data, n);
    }
    text[n] = '\0';
    tern_error e = {0};
    tern_multiaddr *a = tern_multiaddr_parse(text, &e);
    if ((a == NULL) != (e.code != 0)) {
        abort();
    }
    if (a != NULL) {
        tern_multiaddr *b = tern_multiaddr_parse(tern_multiaddr_text(a), NULL);
        if (!tern_multiaddr_equal(a, b) ||
            strcmp(tern_multiaddr_text(a), tern_multiaddr_text(b)) != 0) {
            abort();
        }
        tern_multiaddr_unref(b);
    }
    tern_multiaddr_unref(a);
    tern_free(text);
    return 0;
}
