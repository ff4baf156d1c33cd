/* PCP and NAT-PMP as bytes: see portmap_message.h.
 *
 *     PCP request    2 | 1 | 0 0 | lifetime 4 | our IP 16 | nonce 12 | 6 or 17 | 0 0 0 |
 *                    our port 2 | external port 2 | external IP 16
 *     ... answer     2 | 129 | 0 | result | lifetime 4 | epoch 4 | 0 12 | from the nonce on the
 * same NAT-PMP        0 | 0                        0 | 128 | result 2 | epoch 4 | IP 4 0 | 1 or 2 |
 * 0 0 | our port 2 | external port 2 | lifetime 4
 *     ... answer     0 | 129 or 130 | result 2 | epoch 4 | our port 2 | external port 2 | lifetime
 * 4
 */
#include "nat/portmap_message.h"

#include <tern/error.h>

#include "codec/multiaddr.h"

enum {
    PCP_VERSION = 2,
    NAT_PMP_VERSION = 0,
    OP_MAP = 1, /* PCP */
    OP_ADDRESS = 0,
    OP_UDP = 1,
    OP_TCP = 2,
    ANSWER = 128, /* added to the operation */
    IPPROTO_OF_TCP = 6,
    IPPROTO_OF_UDP = 17,
    PCP_HEAD = 24,
    PCP_MAP = 60,
    NAT_PMP_HEAD = 8,
    NAT_PMP_ADDRESS = 12,
    NAT_PMP_MAPPED = 16,
};

/* IPv4 as an IPv4-mapped IPv6 address; without a family that of all zeros. */
static void put_ip(uint8_t out[16], const tern_endpoint *e)
{
    if (e->family == 6) {
        memcpy(out, e->ip, 16);
        return;
    }
    memset(out, 0, 10);
    memset(out + 10, 0xff, 2);
    memcpy(out + 12, e->ip, 4);
}

static size_t build_pcp(const tern_portmap_request *r, uint8_t *out)
{
    memset(out, 0, PCP_MAP);
    out[0] = PCP_VERSION;
    out[1] = OP_MAP;
    tern_put32(out + 4, r->lifetime);
    put_ip(out + 8, &r->own);
    memcpy(out + 24, r->nonce, TERN_PORTMAP_NONCE);
    out[36] = r->transport == TERN_MA_UDP ? IPPROTO_OF_UDP : IPPROTO_OF_TCP;
    tern_put16(out + 40, r->port);
    tern_put16(out + 42, r->external.port);
    put_ip(out + 44, &r->external);
    return PCP_MAP;
}

size_t tern_portmap_build(const tern_portmap_request *r, uint8_t out[TERN_PORTMAP_REQUEST_MAX])
{
    if (r->protocol == TERN_PORTMAP_PCP) {
        return build_pcp(r, out);
    }
    out[0] = NAT_PMP_VERSION;
    out[1] = OP_ADDRESS;
    if (r->address) {
        return 2;
    }
    out[1] = r->transport == TERN_MA_UDP ? OP_UDP : OP_TCP;
    tern_put16(out + 2, 0);
    tern_put16(out + 4, r->port);
    tern_put16(out + 6, r->external.port);
    tern_put32(out + 8, r->lifetime);
    return 12;
}

static int parse_pcp(const uint8_t *p, size_t n, tern_portmap_answer *ret)
{
    /* What answers in another version says that it does not know ours; NAT-PMP has the code there
     * too (RFC 6887, appendix A). */
    if (n >= 4 && (p[1] & ANSWER) != 0 && p[3] == TERN_PCP_UNSUPP_VERSION) {
        return TERN_E_UNSUPPORTED;
    }
    if (n < PCP_MAP || n > TERN_PORTMAP_ANSWER_MAX || n % 4 != 0 || p[0] != PCP_VERSION ||
        p[1] != (OP_MAP | ANSWER) || (p[36] != IPPROTO_OF_TCP && p[36] != IPPROTO_OF_UDP)) {
        return TERN_E_MALFORMED;
    }
    ret->result = p[3];
    ret->lifetime = tern_get32(p + 4);
    ret->epoch = tern_get32(p + 8);
    memcpy(ret->nonce, p + PCP_HEAD, TERN_PORTMAP_NONCE);
    ret->transport = p[36] == IPPROTO_OF_UDP ? TERN_MA_UDP : TERN_MA_TCP;
    ret->port = tern_get16(p + 40);
    ret->external.family = 6;
    ret->external.port = tern_get16(p + 42);
    memcpy(ret->external.ip, p + 44, 16);
    tern_endpoint_unmap(&ret->external);
    return 0;
}

static int parse_nat_pmp(const uint8_t *p, size_t n, tern_portmap_answer *ret)
{
    if (n < NAT_PMP_HEAD || n > TERN_PORTMAP_ANSWER_MAX || p[0] != NAT_PMP_VERSION ||
        (p[1] != (OP_ADDRESS | ANSWER) && p[1] != (OP_UDP | ANSWER) && p[1] != (OP_TCP | ANSWER))) {
        return TERN_E_MALFORMED;
    }
    ret->address = p[1] == (OP_ADDRESS | ANSWER);
    ret->result = tern_get16(p + 2);
    ret->epoch = tern_get32(p + 4);
    if (ret->address) {
        if (ret->result == TERN_NAT_PMP_SUCCESS) {
            if (n < NAT_PMP_ADDRESS) {
                return TERN_E_MALFORMED;
            }
            ret->external.family = 4;
            memcpy(ret->external.ip, p + 8, 4);
        }
        return 0;
    }
    if (n < NAT_PMP_MAPPED) {
        return TERN_E_MALFORMED;
    }
    ret->transport = p[1] == (OP_UDP | ANSWER) ? TERN_MA_UDP : TERN_MA_TCP;
    ret->port = tern_get16(p + 8);
    ret->external.port = tern_get16(p + 10);
    ret->lifetime = tern_get32(p + 12);
    return 0;
}

int tern_portmap_parse(tern_portmap_protocol protocol, const uint8_t *p, size_t n,
                       tern_portmap_answer *ret)
{
    memset(ret, 0, sizeof *ret);
    return protocol == TERN_PORTMAP_PCP ? parse_pcp(p, n, ret) : parse_nat_pmp(p, n, ret);
}
