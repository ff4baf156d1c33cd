/* Names to addresses: see resolve.h. One look-up object per DNS question; the op ends with the
 * last. */
#include "swarm/resolve.h"

#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"

#define LOOKUP_TIME (5 * TERN_SEC)

typedef struct lookup {
    tern_list link;
    tern_resolve *r;
    tern_multiaddr *addr; /* what contains the name */
    unsigned depth;
    char name[256];
    tern_dns dns;
} lookup;

static void resolve(tern_resolve *r, const tern_multiaddr *addr, unsigned depth);

static bool first_part(const tern_multiaddr *addr, tern_ma_part *ret)
{
    size_t at = 0;
    return tern_ma_next(addr, &at, ret);
}

static bool is_name(uint32_t code)
{
    return code == TERN_MA_DNS || code == TERN_MA_DNS4 || code == TERN_MA_DNS6 ||
           code == TERN_MA_DNSADDR;
}

bool tern_resolve_needed(const tern_multiaddr *addr)
{
    tern_ma_part part;
    return first_part(addr, &part) && is_name(part.code);
}

static void free_lookup(lookup *l)
{
    tern_list_remove(&l->link);
    tern_dns_clear(&l->dns);
    tern_multiaddr_unref(l->addr);
    tern_free(l);
}

/* What follows the address's first component; NULL if nothing does (or memory is short). */
static tern_multiaddr *rest_of(const tern_multiaddr *addr)
{
    tern_ma_part part;
    size_t n;
    tern_multiaddr_bytes(addr, &n);
    return first_part(addr, &part) && part.whole.len < n ? tern_ma_slice(addr, part.whole.len, n)
                                                         : NULL;
}

static void found(tern_resolve *r, const tern_multiaddr *addr, const char *host)
{
    if (r->result_count < TERN_RESOLVE_RESULTS_MAX) {
        r->result_count++;
        r->on_addr(r, addr, host);
    }
}

static void found_ip(lookup *l, const tern_endpoint *ip)
{
    tern_multiaddr *whole = tern_ma_from_endpoint(ip, TERN_MA_TCP);
    tern_ma_part part;
    if (whole == NULL || !first_part(whole, &part)) {
        tern_multiaddr_unref(whole);
        return;
    }
    tern_multiaddr *front = tern_ma_slice(whole, 0, part.whole.len);
    tern_multiaddr *rest = rest_of(l->addr);
    tern_multiaddr *addr =
        front != NULL && rest != NULL ? tern_ma_join(front, rest) : tern_multiaddr_ref(front);
    if (addr != NULL) {
        found(l->r, addr, l->name);
    }
    tern_multiaddr_unref(addr);
    tern_multiaddr_unref(front);
    tern_multiaddr_unref(rest);
    tern_multiaddr_unref(whole);
}

/* Whether a /dnsaddr result ends with what followed the name in the question. */
static bool ends_with(const tern_multiaddr *addr, const tern_multiaddr *suffix)
{
    size_t n = 0, k = 0;
    const uint8_t *a = tern_multiaddr_bytes(addr, &n);
    const uint8_t *s = tern_multiaddr_bytes(suffix, &k);
    return k <= n && memcmp(a + n - k, s, k) == 0;
}

static bool names_peer(const tern_multiaddr *addr, const tern_peer_id *peer)
{
    tern_ma_part part;
    return peer->len == 0 || !tern_ma_find_last(addr, TERN_MA_P2P, &part) ||
           (part.value.len == peer->len && memcmp(part.value.data, peer->bytes, peer->len) == 0);
}

static void found_txt(lookup *l, const char *text)
{
    static const char prefix[] = "dnsaddr=";
    if (strncmp(text, prefix, sizeof prefix - 1) != 0) {
        return;
    }
    tern_multiaddr *addr = tern_multiaddr_parse(text + sizeof prefix - 1, NULL);
    tern_multiaddr *suffix = rest_of(l->addr);
    if (addr != NULL && names_peer(addr, &l->r->peer) &&
        (suffix == NULL || ends_with(addr, suffix))) {
        resolve(l->r, addr, l->depth + 1);
    }
    tern_multiaddr_unref(addr);
    tern_multiaddr_unref(suffix);
}

static void check_done(tern_resolve *r)
{
    if (!tern_list_empty(&r->lookups) || r->op.state != TERN_OP_RUNNING) {
        return;
    }
    if (r->result_count > 0) {
        tern_op_finish(&r->op, NULL);
        return;
    }
    if (r->last.code == 0) {
        tern_fail(&r->last, TERN_E_NOT_FOUND, "dns", "the name has no usable address");
    }
    tern_op_finish(&r->op, &r->last);
}

static void answered(tern_op *op, const tern_error *error)
{
    lookup *l = TERN_CONTAINER(op, lookup, dns.op);
    tern_resolve *r = l->r;
    if (error->code != 0) {
        tern_fail(&r->last, error->code, "dns", "%s: %s", l->name, error->text);
    }
    for (size_t i = 0; error->code == 0 && i < l->dns.addr_count; i++) {
        found_ip(l, &l->dns.addrs[i]);
    }
    for (size_t i = 0; error->code == 0 && i < l->dns.txt_count; i++) {
        found_txt(l, l->dns.txt[i]);
    }
    free_lookup(l);
    check_done(r);
}

static void look_up(tern_resolve *r, const tern_multiaddr *addr, unsigned depth, tern_span name,
                    enum tern_dns_kind kind)
{
    const char *prefix = kind == TERN_DNS_TXT ? "_dnsaddr." : "";
    if (r->lookup_count >= TERN_RESOLVE_LOOKUPS_MAX || depth > TERN_RESOLVE_DEPTH_MAX) {
        tern_fail(&r->last, TERN_E_LIMIT, "dns", "the name leads to too many other names");
        return;
    }
    if (strlen(prefix) + name.len >= sizeof(((lookup *)NULL)->name)) {
        tern_fail(&r->last, TERN_E_INVALID, "dns", "a name of %zu bytes is not one", name.len);
        return;
    }
    lookup *l = tern_calloc(1, sizeof *l);
    if (l == NULL) {
        tern_fail(&r->last, TERN_E_NOMEM, "dns", "out of memory");
        return;
    }
    r->lookup_count++;
    l->r = r;
    l->addr = tern_multiaddr_ref(addr);
    l->depth = depth;
    tern_list_init(&l->link);
    snprintf(l->name, sizeof l->name, "%s%.*s", prefix, (int)name.len, (const char *)name.data);
    uint64_t deadline = tern_loop_now(r->net->loop) + LOOKUP_TIME;
    tern_op_init(&l->dns.op, r->net->loop, deadline, answered);
    int code = tern_dns_start(&l->dns, kind, l->name);
    if (code != 0) {
        tern_fail(&r->last, code, "dns", "%s is not a name", l->name);
        free_lookup(l);
        return;
    }
    tern_list_push(&r->lookups, &l->link);
}

static void resolve(tern_resolve *r, const tern_multiaddr *addr, unsigned depth)
{
    tern_ma_part part;
    if (!first_part(addr, &part)) {
        return;
    }
    switch (part.code) {
    case TERN_MA_DNS4:
        look_up(r, addr, depth, part.value, TERN_DNS_A);
        break;
    case TERN_MA_DNS6:
        look_up(r, addr, depth, part.value, TERN_DNS_AAAA);
        break;
    case TERN_MA_DNS:
        look_up(r, addr, depth, part.value, TERN_DNS_AAAA);
        look_up(r, addr, depth, part.value, TERN_DNS_A);
        break;
    case TERN_MA_DNSADDR:
        look_up(r, addr, depth, part.value, TERN_DNS_TXT);
        break;
    default:
        found(r, addr, NULL);
        break;
    }
}

static void on_cancel(tern_op *op)
{
    tern_resolve *r = TERN_CONTAINER(op, tern_resolve, op);
    while (!tern_list_empty(&r->lookups)) {
        lookup *l = TERN_CONTAINER(r->lookups.next, lookup, link);
        tern_op_cancel(&l->dns.op);
        free_lookup(l);
    }
}

int tern_resolve_start(tern_resolve *r, const tern_multiaddr *addr)
{
    tern_list_init(&r->lookups);
    r->lookup_count = r->result_count = 0;
    memset(&r->last, 0, sizeof r->last);
    tern_op_start(&r->op, "dns", on_cancel, r);
    resolve(r, addr, 0);
    check_done(r);
    return 0;
}
