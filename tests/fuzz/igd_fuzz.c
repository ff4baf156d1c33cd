/* What a router answers over SSDP and HTTP: each part that reads it, over a copy that is exactly so
 * long. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/uv_igd_net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool right)
{
    if (!right) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char *const names[] = {"NewExternalIPAddress", "errorCode"};
    char out[64], url[256];
    unsigned status = 0;
    char *answer = n < TERN_IGD_ANSWER ? tern_malloc(n + 1) : NULL;
    if (answer == NULL) {
        return 0;
    }
    if (n > 0) {
        memcpy(answer, data, n);
    }
    answer[n] = '\0';
    if (tern_igd_location(answer, url, sizeof url)) {
        check(url[0] != '\0' && strcspn(url, " \t\r\n") == strlen(url));
    }
    tern_igd_whole(answer, n);
    ssize_t len = tern_igd_body(answer, n, &status);
    if (len >= 0) {
        check((size_t)len < n && answer[len] == '\0');
        for (size_t i = 0; i < 2; i++) {
            check(!tern_igd_value(answer, names[i], out, sizeof out) || strlen(out) < sizeof out);
        }
    }
    tern_free(answer);
    return 0;
}
