/* A row of an address book that somebody else wrote, as a node reads it: kind, peer id, key and
 * value cut out of the input. What is believed is a peer id and an address, or a blob within its
 * bounds. */
#include <stdlib.h>
#include <string.h>

#include "codec/multiaddr.h"
#include "loop/sim.h"
#include "store/book.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void visit(void *arg, const tern_peer_id *peer, const uint8_t *addr, size_t n, uint64_t seq,
                  uint64_t until)
{
    tern_loop *loop = arg;
    tern_multiaddr *ma = tern_multiaddr_from_bytes(addr, n, NULL);
    if (peer->len == 0 || n == 0 || seq > INT64_MAX || until <= tern_loop_now(loop)) {
        abort();
    }
    tern_multiaddr_unref(ma);
}

static size_t cut(const uint8_t **p, size_t *left, size_t wanted, const uint8_t **ret)
{
    size_t n = wanted < *left ? wanted : *left;
    *ret = *p;
    *p += n;
    *left -= n;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    tern_counters counters = {0};
    tern_sim *sim;
    tern_loop *loop;
    tern_book *book;
    if (n < 4 || n > TERN_STORE_VALUE_MAX) {
        return 0;
    }
    if (tern_sim_new(1, &sim) != 0 || tern_sim_host(sim, "10.0.0.1", &loop) != 0 ||
        tern_book_new(loop, &counters, &book) != 0) {
        abort();
    }
    tern_store_row row = {.kind = data[0], .seq = data[1]};
    row.until = (int64_t)(tern_loop_wall(loop) / TERN_SEC) + (int8_t)data[1];
    size_t peer_n = data[2] % (TERN_STORE_PEER_MAX + 1), key_n = data[3];
    data += 4;
    n -= 4;
    row.peer_n = cut(&data, &n, peer_n, &row.peer);
    row.key_n = cut(&data, &n, key_n, &row.key);
    row.value_n = cut(&data, &n, n, &row.value);
    if (tern_book_read_row(book, &row, visit, loop) && row.kind != TERN_BOOK_ADDRESS) {
        tern_peer_id id;
        size_t kept;
        if (tern_peer_id_from_bytes(&id, row.peer, row.peer_n) != 0 ||
            tern_book_recall(book, &id, row.kind, &kept) == NULL || kept != row.value_n) {
            abort();
        }
    }
    tern_book_free(book);
    tern_sim_free(sim);
    return 0;
}
