/* The TLS handshake in its records against any bytes: those of a server if the first byte is even,
 * those of a client if it is odd. Nobody gets through without a key, and nothing may leak. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "tls/mutual.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const alpn[] = {"/yamux/1.0.0", "libp2p", NULL};

static const tern_cert *certificate(void)
{
    static tern_cert *made;
    if (made == NULL) {
        tern_key *key;
        if (tern_key_generate(TERN_KEY_ED25519, &key) != 0 ||
            tern_cert_make(key, UINT64_C(1800000000000000000), &made) != 0) {
            abort();
        }
        tern_key_unref(key);
    }
    return made;
}

static int judge(void *owner, tern_span shown, size_t count, tern_error *ret)
{
    (void)owner;
    (void)shown;
    (void)count;
    return tern_fail(ret, TERN_E_PEER_ID, "fuzz", "nobody");
}

static uint8_t *place(void *owner, size_t n)
{
    return tern_buf_reserve(owner, n);
}

static bool keep(void *owner, size_t n)
{
    tern_buf_commit(owner, n);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    tern_tls_engine *e;
    tern_buf out;
    tern_error error = {0};
    tern_span nothing = {NULL, 0};
    if (n == 0 || n > 40000) {
        return 0;
    }
    bool server = data[0] & 1;
    const tern_tls_mutual o = {
        .server = server, .cert = certificate(), .alpn = alpn, .judge = judge};
    tern_buf_init(&out, 0);
    if (tern_tls_mutual_new(&o, &e) != 0) {
        abort();
    }
    tern_tls_engine_output(e, &(tern_tls_output){place, keep, &out});
    int r = tern_tls_engine_handshake(e, &nothing, &error);
    data++;
    n--;
    while (r == 0 && n > 0) {
        size_t piece = (data[n - 1] & 0x80) != 0 ? n : 1 + data[n - 1] % n;
        uint8_t *copy = tern_memdup(data, piece); /* exactly so long: overruns show */
        tern_span in = {copy, piece};
        if (copy == NULL) {
            abort();
        }
        r = tern_tls_engine_handshake(e, &in, &error);
        tern_free(copy);
        if (r == 1 || (r == 0 && in.len != 0) || (r < 0 && error.code != r)) {
            abort();
        }
        data += piece;
        n -= piece;
    }
    tern_tls_engine_free(e);
    tern_buf_free(&out);
    return 0;
}
