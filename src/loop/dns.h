/* Names: addresses and TXT records, in either backend. */
#ifndef TERN_LOOP_DNS_H
#define TERN_LOOP_DNS_H

#include "loop/op.h"

enum { TERN_DNS_MAX = 32, TERN_DNS_TXT_MAX = 100 };

enum tern_dns_kind { TERN_DNS_A, TERN_DNS_AAAA, TERN_DNS_TXT };

/* One look-up. Results are valid from done until tern_dns_clear. */
typedef struct tern_dns {
    tern_op op; /* initialise with tern_op_init; errors NOT_FOUND, TIMEOUT, IO, MALFORMED */
    enum tern_dns_kind kind;
    tern_endpoint addrs[TERN_DNS_MAX]; /* port 0 */
    size_t addr_count;
    char **txt; /* one string a record, its parts joined */
    size_t txt_count;
} tern_dns;

/* The deadline is the op's. TERN_E_INVALID for a name that cannot be one (empty, over 253 bytes).
 */
int tern_dns_start(tern_dns *dns, enum tern_dns_kind kind, const char *name);
void tern_dns_clear(tern_dns *dns); /* frees the results */

#endif
