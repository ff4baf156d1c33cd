/* Names for callers: checks the name, answers IP literals itself, hands the rest to the backend. */
#include "loop/dns.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "loop/backend.h"

enum { NAME_MAX_BYTES = 253 }; /* RFC 1035, section 2.3.4, in text form without the root's dot */

static void on_cancel(tern_op *op)
{
    tern_dns *dns = TERN_CONTAINER(op, tern_dns, op);
    op->loop->ops->dns_cancel(dns);
    tern_dns_clear(dns); /* results that nobody was told of */
}

static bool name_ok(const char *name)
{
    size_t n = strlen(name);
    if (n > 1 && name[n - 1] == '.') {
        n--;
    }
    if (n == 0 || n > NAME_MAX_BYTES || name[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)name[i] <= ' ' || (unsigned char)name[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

static void answer_literal(tern_dns *dns, const tern_endpoint *ip)
{
    tern_error error;
    uint8_t family = dns->kind == TERN_DNS_A ? 4 : 6;
    tern_op_start(&dns->op, "dns", NULL, NULL);
    if (ip->family == family) {
        dns->addrs[0] = *ip;
        dns->addr_count = 1;
        tern_op_finish(&dns->op, NULL);
    } else {
        tern_fail(&error, TERN_E_NOT_FOUND, "dns", "the literal is an IPv%d address", ip->family);
        tern_op_finish(&dns->op, &error);
    }
}

int tern_dns_start(tern_dns *dns, enum tern_dns_kind kind, const char *name)
{
    if (!name_ok(name)) {
        return TERN_E_INVALID;
    }
    dns->kind = kind;
    dns->addr_count = 0;
    dns->txt = NULL;
    dns->txt_count = 0;
    tern_endpoint ip;
    if (kind != TERN_DNS_TXT && tern_endpoint_parse_ip(&ip, name) == 0) {
        answer_literal(dns, &ip);
        return 0;
    }
    tern_op_start(&dns->op, "dns", on_cancel, NULL);
    int rc = dns->op.loop->ops->dns_start(dns, name);
    if (rc < 0) {
        dns->op.cancel = NULL;
        tern_op_cancel(&dns->op);
    }
    return rc;
}

void tern_dns_clear(tern_dns *dns)
{
    for (size_t i = 0; i < dns->txt_count; i++) {
        tern_free(dns->txt[i]);
    }
    tern_free(dns->txt);
    dns->txt = NULL;
    dns->txt_count = 0;
    dns->addr_count = 0;
}
