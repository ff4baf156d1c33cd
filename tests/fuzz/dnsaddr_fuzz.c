/* Answers of name servers to /dnsaddr (TXT records): the lines of the input are the records of two
 * names that may point at each other. The first byte says whether a peer is asked for. The look-up
 * ends once, within its bounds, and every address that it gives begins with an IP. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "loop/sim.h"
#include "swarm/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { RECORDS_MAX = 64, RECORD_MAX = 1000 };

typedef struct world {
    tern_net net;
    tern_resolve resolve;
    unsigned done, found;
} world;

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void on_addr(tern_resolve *r, const tern_multiaddr *addr, const char *host)
{
    world *w = r->owner;
    (void)host;
    w->found++;
    check(w->done == 0 && !tern_resolve_needed(addr) && w->found <= TERN_RESOLVE_RESULTS_MAX);
}

static void on_done(tern_op *op, const tern_error *error)
{
    world *w = TERN_CONTAINER(op, world, resolve.op);
    w->done++;
    check((error->code == 0) == (w->found > 0));
}

static void add_records(tern_sim *sim, const uint8_t *data, size_t n)
{
    char text[RECORD_MAX + 16];
    for (unsigned i = 0; n > 0 && i < RECORDS_MAX; i++) {
        const uint8_t *end = memchr(data, '\n', n);
        size_t len = end != NULL ? (size_t)(end - data) : n;
        size_t kept = len < RECORD_MAX ? len : RECORD_MAX;
        memcpy(text, "dnsaddr=", 8);
        memcpy(text + 8, data, kept);
        text[8 + kept] = '\0';
        bool whole = kept > 0 && text[8] == '!'; /* a record that is none of ours */
        check(tern_sim_add_txt(sim, i % 2 == 0 ? "_dnsaddr.a" : "_dnsaddr.b",
                               whole ? text + 9 : text) == 0);
        len += end != NULL;
        data += len;
        n -= len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char peer[] = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    size_t alive = tern_mem_alive();
    world w;
    tern_sim *sim;
    if (n == 0) {
        return 0;
    }
    memset(&w, 0, sizeof w);
    check(tern_sim_new(1, &sim) == 0 && tern_sim_host(sim, "10.0.0.1", &w.net.loop) == 0);
    add_records(sim, data + 1, n - 1);
    check(tern_sim_add_name(sim, "a", "192.0.2.1") == 0);
    tern_multiaddr *addr = tern_multiaddr_parse("/dnsaddr/a", NULL);
    check(addr != NULL);
    w.resolve = (tern_resolve){.net = &w.net, .on_addr = on_addr, .owner = &w};
    if ((data[0] & 1) != 0) {
        check(tern_peer_id_parse(&w.resolve.peer, peer) == 0);
    }
    tern_op_init(&w.resolve.op, w.net.loop, TERN_NEVER, on_done);
    check(tern_resolve_start(&w.resolve, addr) == 0);
    tern_multiaddr_unref(addr);
    tern_sim_run(sim, tern_sim_now(sim) + 100 * TERN_SEC, NULL, NULL);
    check(w.done == 1);
    tern_sim_free(sim);
    check(tern_mem_alive() == alive);
    return 0;
}
