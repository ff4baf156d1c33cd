/* The text of a private network's key file: what is accepted survives being written and read. */
#include <stdlib.h>
#include <string.h>

#include <tern/psk.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    uint8_t key[TERN_PSK], again[TERN_PSK];
    char text[TERN_PSK_TEXT];
    tern_error error;
    if (tern_psk_parse((const char *)data, n, key, &error) != 0) {
        return 0;
    }
    uint8_t print[TERN_PSK_FINGERPRINT];
    if (tern_psk_fingerprint(key, print) != 0) {
        abort();
    }
    tern_psk_text(key, text);
    if (tern_psk_parse(text, strlen(text), again, &error) != 0 ||
        memcmp(key, again, sizeof key) != 0) {
        abort();
    }
    return 0;
}
