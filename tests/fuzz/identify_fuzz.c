/* Identify messages: what is accepted is bounded, printable and freed; a good record is the peer's.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/identify.h"
#include "proto/identify_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const char *text, size_t max)
{
    size_t len = strlen(text);
    if (len > max) {
        abort();
    }
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    /* The peer whose key and record are in the corpus. */
    static const char peer[] = "12D3KooWLJrz5gf8Vv4Zd4vxnsbxC8VKwqGBk9Jme9dynzx46ytN";
    static tern_net net;
    tern_peer_id id;
    tern_identify_message m;
    if (tern_peer_id_parse(&id, peer) != 0) {
        abort();
    }
    int code = tern_identify_parse(&net, &id, data, n, &m);
    if (code == 0) {
        const tern_identity *who = &m.identity;
        check_text(who->agent, 128);
        check_text(who->protocol_version, 128);
        if (who->protocol_count > TERN_IDENTIFY_PROTOCOLS_MAX ||
            who->addr_count > TERN_IDENTIFY_ADDRS_MAX) {
            abort();
        }
        for (size_t i = 0; i < who->protocol_count; i++) {
            check_text(who->protocols[i], 256);
        }
        for (size_t i = 0; i < who->addr_count; i++) {
            if (tern_multiaddr_text(who->addrs[i])[0] != '/') {
                abort();
            }
        }
    }
    tern_identify_clear(&m);
    return 0;
}
