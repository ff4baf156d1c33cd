/* Messages of AutoNAT: the first byte says of which kind. What parses is built again, and parses to
 * the same. */
#include <stdlib.h>

#include "base/mem.h"
#include "nat/autonat_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool same_addr(const tern_multiaddr *a, const tern_multiaddr *b)
{
    return (a == NULL && b == NULL) || (a != NULL && b != NULL && tern_multiaddr_equal(a, b));
}

static void version_2(tern_span message)
{
    tern_autonat_message m, again;
    tern_buf out;
    if (tern_autonat_parse(message, &m) != 0) {
        return;
    }
    tern_buf_init(&out, 0);
    if (tern_autonat_build(&m, &out) == 0) {
        tern_span bytes = {tern_buf_data(&out), tern_buf_len(&out)};
        check(tern_autonat_parse(bytes, &again) == 0);
        check(again.kind == m.kind && again.nonce == m.nonce && again.index == m.index &&
              again.status == m.status && again.dial_status == m.dial_status &&
              again.bytes == m.bytes && again.data.len == m.data.len &&
              again.addr_count == m.addr_count);
        for (size_t i = 0; i < m.addr_count; i++) {
            check(same_addr(m.addrs[i], again.addrs[i]));
        }
        tern_autonat_clear(&again);
    }
    tern_buf_free(&out);
    tern_autonat_clear(&m);
}

static void version_1(tern_span message)
{
    tern_autonat_1_message m, again;
    tern_buf out;
    if (tern_autonat_1_parse(message, &m) != 0) {
        return;
    }
    tern_buf_init(&out, 0);
    if (tern_autonat_1_build(&m, &out) == 0) {
        tern_span bytes = {tern_buf_data(&out), tern_buf_len(&out)};
        check(tern_autonat_1_parse(bytes, &again) == 0);
        check(again.response == m.response && again.status == m.status &&
              tern_peer_id_equal(&again.peer, &m.peer) && again.addr_count == m.addr_count);
        for (size_t i = 0; i < m.addr_count; i++) {
            check(same_addr(m.addrs[i], again.addrs[i]));
        }
        tern_autonat_1_clear(&again);
    }
    tern_buf_free(&out);
    tern_autonat_1_clear(&m);
}

static void dial_back(tern_span message)
{
    uint64_t nonce, again;
    tern_buf out;
    if (tern_autonat_parse_dial_back(message, &nonce) != 0) {
        return;
    }
    tern_buf_init(&out, 0);
    check(tern_autonat_build_dial_back(nonce, &out) == 0);
    tern_span bytes = {tern_buf_data(&out), tern_buf_len(&out)};
    check(tern_autonat_parse_dial_back(bytes, &again) == 0 && again == nonce);
    tern_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static void (*const kinds[])(tern_span) = {version_2, version_1, dial_back};
    if (n == 0 || n > TERN_AUTONAT_MESSAGE_MAX) {
        return 0;
    }
    uint8_t *copy = tern_memdup(data + 1, n - 1); /* exactly so long: overruns show */
    if (copy != NULL || n == 1) {
        kinds[data[0] % 3]((tern_span){copy, n - 1});
    }
    tern_free(copy);
    return 0;
}
