/* The keys of private networks: their file, and the fingerprint that names one. See tern/psk.h. */
#include <tern/psk.h>

#include <stdio.h>

#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/error.h"
#include "codec/multibase.h"
#include "crypto/sodium.h"
#include "crypto/symmetric.h"

static const char head[] = "/key/swarm/psk/1.0.0/";

/* The next line, without its end ("\n" or "\r\n"); steps over it. */
static tern_span next_line(tern_span *text)
{
    const uint8_t *end = text->len > 0 ? memchr(text->data, '\n', text->len) : NULL;
    tern_span line = {text->data, end != NULL ? (size_t)(end - text->data) : text->len};
    size_t used = end != NULL ? line.len + 1 : line.len;
    text->data += used;
    text->len -= used;
    if (line.len > 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

static bool is(tern_span line, const char *text)
{
    return line.len == strlen(text) && memcmp(line.data, text, line.len) == 0;
}

static ssize_t decode(tern_span encoding, tern_span rest, uint8_t *out)
{
    if (is(encoding, "/bin/")) { /* raw bytes, which may hold line ends */
        size_t n = rest.len == TERN_PSK + 1 && rest.data[TERN_PSK] == '\n' ? TERN_PSK : rest.len;
        if (n != TERN_PSK) {
            return TERN_E_MALFORMED;
        }
        memcpy(out, rest.data, TERN_PSK);
        return TERN_PSK;
    }
    tern_span line = next_line(&rest);
    if (is(encoding, "/base16/")) {
        return tern_unhex(out, TERN_PSK, (const char *)line.data, line.len);
    }
    while (line.len > 0 && line.data[line.len - 1] == '=') {
        line.len--;
    }
    return tern_base_decode('m', (const char *)line.data, line.len, out, TERN_PSK);
}

int tern_psk_parse(const char *text, size_t n, uint8_t ret[TERN_PSK], tern_error *reterr)
{
    tern_span rest = {(const uint8_t *)text, n};
    tern_span first = next_line(&rest), second = next_line(&rest);
    uint8_t key[TERN_PSK];
    if (!is(first, head)) {
        bool other = first.len > 16 && memcmp(first.data, "/key/swarm/psk/", 15) == 0;
        return tern_fail(reterr, other ? TERN_E_UNSUPPORTED : TERN_E_MALFORMED, "psk",
                         "line 1 of a private network's key is %s", head);
    }
    if (!is(second, "/base16/") && !is(second, "/base64/") && !is(second, "/bin/")) {
        return tern_fail(reterr, TERN_E_UNSUPPORTED, "psk",
                         "line 2 of a private network's key is /base16/, /base64/ or /bin/");
    }
    ssize_t got = decode(second, rest, key);
    if (got == TERN_PSK) {
        memcpy(ret, key, sizeof key);
    }
    tern_wipe(key, sizeof key);
    return got == TERN_PSK
               ? 0
               : tern_fail(reterr, TERN_E_MALFORMED, "psk",
                           "line 3 of a private network's key is not %d bytes in the encoding "
                           "that line 2 names",
                           TERN_PSK);
}

void tern_psk_text(const uint8_t psk[TERN_PSK], char out[TERN_PSK_TEXT])
{
    char hex[2 * TERN_PSK + 1];
    tern_hex(hex, psk, TERN_PSK);
    snprintf(out, TERN_PSK_TEXT, "%s\n/base16/\n%s\n", head, hex);
    tern_wipe(hex, sizeof hex);
}

void tern_psk_generate(uint8_t ret[TERN_PSK])
{
    tern_random(ret, TERN_PSK);
}

/* SHAKE-128 of the first block of Salsa20 under the key, with a fixed nonce. */
int tern_psk_fingerprint(const uint8_t psk[TERN_PSK], uint8_t ret[TERN_PSK_FINGERPRINT])
{
    static const uint8_t nonce[crypto_stream_salsa20_NONCEBYTES] = "finprint";
    uint8_t block[64];
    if (!tern_sodium_ready() || crypto_stream_salsa20(block, sizeof block, nonce, psk) != 0) {
        return TERN_E_CRYPTO;
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_shake128(), NULL) == 1 &&
              EVP_DigestUpdate(ctx, block, sizeof block) == 1 &&
              EVP_DigestFinalXOF(ctx, ret, TERN_PSK_FINGERPRINT) == 1;
    EVP_MD_CTX_free(ctx);
    tern_wipe(block, sizeof block);
    return ok ? 0 : TERN_E_CRYPTO;
}
