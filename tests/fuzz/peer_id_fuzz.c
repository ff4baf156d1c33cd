/* Peer ids from bytes and from text: what is accepted survives all text forms, and a key that an id
 * carries has that id. */
#include <stdlib.h>
#include <string.h>

#include "crypto/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const tern_peer_id *id)
{
    char text[TERN_PEER_ID_TEXT];
    char *(*const forms[])(const tern_peer_id *, char *) = {
        tern_peer_id_text, tern_peer_id_text_base36, tern_peer_id_text_base32};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        tern_peer_id again;
        if (tern_peer_id_parse(&again, forms[i](id, text)) != 0 ||
            !tern_peer_id_equal(id, &again)) {
            abort();
        }
    }
    tern_key *key;
    if (tern_key_from_peer_id(id, &key) == 0) {
        tern_peer_id own;
        tern_key_peer_id(key, &own);
        if (!tern_peer_id_equal(id, &own)) {
            abort();
        }
        tern_key_unref(key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    tern_peer_id id;
    char text[256];
    if (tern_peer_id_from_bytes(&id, data, n) == 0) {
        check(&id);
    }
    if (n < sizeof text) {
        if (n > 0) {
            memcpy(text, data, n);
        }
        text[n] = '\0';
        if (tern_peer_id_parse(&id, text) == 0) {
            check(&id);
        }
    }
    return 0;
}
