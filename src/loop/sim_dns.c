/* Names of the simulated world: the same for all hosts, answered in the same turn (a look-up takes
 * no virtual time, so that round trips are those of the connections). */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "loop/sim_world.h"

enum { NAME_BYTES = 253 }; /* RFC 1035 in text form */

struct sim_name {
    tern_endpoint *addrs;
    size_t addr_count;
    char **txt;
    size_t txt_count;
};

/* Lower case, without the dot of the root; its length, 0 for what is no name. */
static size_t name_key(char out[NAME_BYTES], const char *name)
{
    size_t n = strlen(name);
    n -= n > 0 && name[n - 1] == '.';
    if (n > NAME_BYTES) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        bool upper = name[i] >= 'A' && name[i] <= 'Z';
        out[i] = upper ? (char)(name[i] - 'A' + 'a') : name[i];
    }
    return n;
}

/* The entry of a name, made when absent. TERN_E_INVALID, TERN_E_NOMEM. */
static int name_make(tern_sim *sim, const char *name, struct sim_name **ret)
{
    char key[NAME_BYTES];
    size_t n = name_key(key, name);
    if (n == 0) {
        return TERN_E_INVALID;
    }
    struct sim_name *entry = tern_map_get(&sim->names, key, n);
    if (entry == NULL) {
        entry = tern_calloc(1, sizeof *entry);
        if (entry == NULL || tern_map_set(&sim->names, key, n, entry) < 0) {
            tern_free(entry);
            return TERN_E_NOMEM;
        }
    }
    *ret = entry;
    return 0;
}

int tern_sim_add_name(tern_sim *sim, const char *name, const char *ip)
{
    struct sim_name *entry;
    tern_endpoint e;
    int rc = tern_endpoint_parse_ip(&e, ip);
    if (rc == 0) {
        rc = name_make(sim, name, &entry);
    }
    if (rc < 0) {
        return rc;
    }
    tern_endpoint *addrs = tern_realloc(entry->addrs, (entry->addr_count + 1) * sizeof *addrs);
    if (addrs == NULL) {
        return TERN_E_NOMEM;
    }
    entry->addrs = addrs;
    entry->addrs[entry->addr_count++] = e;
    return 0;
}

int tern_sim_add_txt(tern_sim *sim, const char *name, const char *text)
{
    struct sim_name *entry;
    int rc = name_make(sim, name, &entry);
    if (rc < 0) {
        return rc;
    }
    char **txt = tern_realloc(entry->txt, (entry->txt_count + 1) * sizeof *txt);
    if (txt == NULL) {
        return TERN_E_NOMEM;
    }
    entry->txt = txt;
    entry->txt[entry->txt_count] = tern_strdup(text);
    if (entry->txt[entry->txt_count] == NULL) {
        return TERN_E_NOMEM;
    }
    entry->txt_count++;
    return 0;
}

void tern_sim_names_free(tern_sim *sim)
{
    void *value;
    for (size_t it = 0; tern_map_next(&sim->names, &it, NULL, NULL, &value);) {
        struct sim_name *entry = value;
        for (size_t i = 0; i < entry->txt_count; i++) {
            tern_free(entry->txt[i]);
        }
        tern_free(entry->txt);
        tern_free(entry->addrs);
        tern_free(entry);
    }
    tern_map_free(&sim->names);
}

/* --- look-ups --- */

static int copy_txt(tern_dns *dns, const struct sim_name *entry)
{
    size_t count = entry->txt_count < TERN_DNS_TXT_MAX ? entry->txt_count : TERN_DNS_TXT_MAX;
    if (count == 0) {
        return 0;
    }
    dns->txt = tern_calloc(count, sizeof *dns->txt);
    if (dns->txt == NULL) {
        return TERN_E_NOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        dns->txt[i] = tern_strdup(entry->txt[i]);
        if (dns->txt[i] == NULL) {
            tern_dns_clear(dns);
            return TERN_E_NOMEM;
        }
        dns->txt_count++;
    }
    return 0;
}

static void copy_addrs(tern_dns *dns, const struct sim_name *entry)
{
    uint8_t family = dns->kind == TERN_DNS_A ? 4 : 6;
    for (size_t i = 0; i < entry->addr_count && dns->addr_count < TERN_DNS_MAX; i++) {
        if (entry->addrs[i].family == family) {
            dns->addrs[dns->addr_count++] = entry->addrs[i];
        }
    }
}

int tern_sim_dns_start(tern_dns *dns, const char *name)
{
    char key[NAME_BYTES];
    const struct sim_host *host = tern_sim_host_of(dns->op.loop);
    const struct sim_name *entry = tern_map_get(&host->sim->names, key, name_key(key, name));
    int rc = 0;
    if (entry != NULL && dns->kind == TERN_DNS_TXT) {
        rc = copy_txt(dns, entry);
    } else if (entry != NULL) {
        copy_addrs(dns, entry);
    }
    if (rc < 0) {
        return rc;
    }
    if (dns->addr_count + dns->txt_count > 0) {
        tern_op_finish(&dns->op, NULL);
        return 0;
    }
    static const char *const kinds[] = {
        [TERN_DNS_A] = "A", [TERN_DNS_AAAA] = "AAAA", [TERN_DNS_TXT] = "TXT"};
    tern_error error;
    tern_fail(&error, TERN_E_NOT_FOUND, "dns", "%.100s has no %s record", name, kinds[dns->kind]);
    tern_op_finish(&dns->op, &error);
    return 0;
}

void tern_sim_dns_cancel(tern_dns *dns)
{
    (void)dns; /* the answer is the op's own deferred call */
}
