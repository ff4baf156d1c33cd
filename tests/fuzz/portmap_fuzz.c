/* What a gateway may say, at any time: the core of port mapping is given datagrams from there, and
 * time. Each step is a byte, the low two bits say which, and what it takes:
 *
 *     0  N BYTES...   N bytes come from the gateway
 *     1  T            2^(T / 4) milliseconds pass
 *     2               as 0, from somebody else
 *     3               all is renewed, or (high bit) taken away
 *
 * Whatever comes, what is said to be reached is a public address, and between two points of time
 * only so many messages leave. */
#include <stdlib.h>

#include "base/mem.h"
#include "codec/multiaddr.h"
#include "nat/portmap_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool right)
{
    if (!right) {
        abort();
    }
}

static void drain(tern_portmap_core *c, uint64_t now)
{
    uint8_t out[TERN_PORTMAP_REQUEST_MAX];
    size_t len, count = 0;
    while ((len = tern_portmap_core_send(c, now, out)) > 0) {
        check(len == 2 || len == 12 || len == 60);
        check(++count < 32);
    }
    check(tern_portmap_core_deadline(c) > now);
    tern_portmap_port *p;
    while ((p = tern_portmap_core_changed(c)) != NULL) {
        check((p->external.family != 0) == (p->why == TERN_PORTMAP_FINE));
        check(p->external.family == 0 ||
              (tern_endpoint_is_public(&p->external) && p->external.port != 0 && p->expires > now &&
               p->expires <= now + TERN_PORTMAP_LIFE_MAX * TERN_SEC));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t nonces[2][TERN_PORTMAP_NONCE] = {"nonce of TCP", "nonce of UDP"};
    static tern_portmap_core c;
    tern_endpoint gateway = {.family = 4, .ip = {192, 168, 1, 1}},
                  own = {.family = 4, .ip = {192, 168, 1, 2}};
    uint64_t now = 1000 * TERN_SEC;
    size_t at = 0;
    tern_portmap_core_init(&c, &gateway, &own, 1);
    tern_portmap_core_want(&c, TERN_MA_TCP, 4001, nonces[0], now);
    tern_portmap_core_want(&c, TERN_MA_UDP, 4001, nonces[1], now);
    gateway.port = TERN_PORTMAP_SERVER_PORT;
    drain(&c, now);
    while (at + 1 < n) {
        uint8_t step = data[at++];
        if ((step & 3) == 1) {
            now += TERN_MS << (data[at++] / 4 % 32);
        } else if ((step & 3) == 3) {
            if (step & 0x80) {
                tern_portmap_core_close(&c, now);
            } else if (!c.closing) {
                tern_portmap_core_renew(&c, now);
            }
        } else {
            size_t len = data[at++];
            len = len < n - at ? len : n - at;
            uint8_t *copy = tern_memdup(data + at, len); /* exactly so long: overruns show */
            if (copy != NULL || len == 0) {
                bool used = tern_portmap_core_receive(&c, now, (step & 3) == 0 ? &gateway : &own,
                                                      copy, len);
                check((step & 3) == 0 || !used);
            }
            tern_free(copy);
            at += len;
        }
        drain(&c, now);
    }
    return 0;
}
