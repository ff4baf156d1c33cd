/* A public key as a peer sends it, and a signature under it: parsing keeps one canonical form,
 * whose parse is the same key; nothing verifies that was not signed.
 *
 *     input: n (1) | signature (n) | PublicKey protobuf */
#include <stdlib.h>

#include "crypto/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1 || n - 1 < data[0]) {
        return 0;
    }
    const uint8_t *sig = data + 1, *pb = sig + data[0];
    size_t sig_n = data[0], pb_n = n - 1 - sig_n;
    tern_key *key, *again;
    if (tern_key_from_public(pb, pb_n, &key) != 0) {
        return 0;
    }
    size_t own_n;
    const uint8_t *own = tern_key_public(key, &own_n);
    if (tern_key_from_public(own, own_n, &again) != 0 || !tern_key_equal_public(key, again)) {
        abort();
    }
    tern_key_type type;
    if (tern_key_type_parse(tern_key_type_name(tern_key_type_of(key)), &type) != 0 ||
        type != tern_key_type_of(key) || tern_key_has_private(key) ||
        tern_key_private(key, NULL, 0) >= 0 || tern_key_sign(key, NULL, 0, NULL, 0) >= 0) {
        abort();
    }
    tern_peer_id id;
    tern_key_peer_id(key, &id);
    if (own_n <= 42) {
        tern_key *carried;
        if (tern_key_from_peer_id(&id, &carried) != 0 || !tern_key_equal_public(key, carried)) {
            abort();
        }
        tern_key_unref(carried);
    }
    tern_key_verify(key, &(tern_span){pb, pb_n}, 1, sig, sig_n);
    tern_key_unref(again);
    tern_key_unref(key);
    return 0;
}
