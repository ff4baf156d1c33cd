/* The identify message: see identify_message.h.
 *
 *   1 publicKey  2 listenAddrs*  3 protocols*  4 observedAddr  5 protocolVersion  6 agentVersion
 *   8 signedPeerRecord */
#include "proto/identify_message.h"

#include "base/mem.h"
#include "codec/protobuf.h"
#include "crypto/envelope.h"
#include "proto/identify.h"

enum {
    PUBLIC_KEY = 1,
    LISTEN_ADDRS = 2,
    PROTOCOLS = 3,
    OBSERVED_ADDR = 4,
    PROTOCOL_VERSION = 5,
    AGENT_VERSION = 6,
    SIGNED_PEER_RECORD = 8,
    PROTOCOL_LENGTH_MAX = 256,
};

#define OUR_PROTOCOL_VERSION "ipfs/0.1.0"

/* ---- reading ---- */

/* The length of the printable UTF-8 character that begins at p; 0 if none does. */
static size_t printable(const uint8_t *p, size_t n)
{
    static const uint32_t least[] = {0, 0x20, 0xa0, 0x800, 0x10000}; /* not overlong, no control */
    uint32_t c = p[0];
    size_t len = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
    if (len == 0 || len > n) {
        return 0;
    }
    c &= len == 1 ? 0x7fu : 0x7fu >> len;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    bool surrogate = c >= 0xd800 && c < 0xe000;
    return c < least[len] || c == 0x7f || surrogate || c > 0x10ffff ? 0 : len;
}

/* Cut between characters, '?' for what is not printable: it goes to terminals and pages. */
static void copy_text(char *to, size_t cap, tern_span text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len;) {
        size_t len = printable(text.data + i, text.len - i);
        size_t step = len > 0 ? len : 1;
        if (n + step >= cap) {
            break;
        }
        memcpy(to + n, len > 0 ? text.data + i : (const uint8_t *)"?", step);
        n += step;
        i += step;
    }
    to[n] = '\0';
}

/* Room for one more pointer in a list that doubles. */
static bool grow(void **list, size_t count, size_t *cap)
{
    if (count < *cap) {
        return true;
    }
    size_t more = *cap > 0 ? *cap * 2 : 8;
    void *grown = tern_realloc(*list, more * sizeof(void *));
    if (grown == NULL) {
        return false;
    }
    *list = grown;
    *cap = more;
    return true;
}

static int add_addr(tern_identify_message *m, tern_multiaddr *addr)
{
    size_t *count = &m->identity.addr_count;
    if (addr == NULL || *count == TERN_IDENTIFY_ADDRS_MAX) {
        tern_multiaddr_unref(addr); /* unknown kinds of address are skipped, as the spec asks */
        return 0;
    }
    void *list = m->addrs;
    if (!grow(&list, *count, &m->addr_cap)) {
        tern_multiaddr_unref(addr);
        return TERN_E_NOMEM;
    }
    m->addrs = list;
    m->addrs[(*count)++] = addr;
    return 0;
}

static int add_protocol(tern_identify_message *m, tern_span id)
{
    size_t *count = &m->identity.protocol_count;
    if (id.len == 0 || id.len > PROTOCOL_LENGTH_MAX || *count == TERN_IDENTIFY_PROTOCOLS_MAX) {
        return 0;
    }
    void *list = m->protocols;
    char *copy = tern_malloc(id.len + 1);
    if (copy == NULL || !grow(&list, *count, &m->protocol_cap)) {
        tern_free(copy);
        return TERN_E_NOMEM;
    }
    copy_text(copy, id.len + 1, id);
    m->protocols = list;
    m->protocols[(*count)++] = copy;
    return 0;
}

static int check_key(tern_net *net, const tern_peer_id *peer, tern_span bytes)
{
    tern_key *key;
    tern_peer_id id;
    int code = tern_key_from_public(bytes.data, bytes.len, &key);
    if (code == TERN_E_NOMEM) {
        return code;
    }
    if (code == 0) {
        tern_key_peer_id(key, &id);
        tern_key_unref(key);
    }
    if (code != 0 || !tern_peer_id_equal(&id, peer)) {
        net->counters.identify_wrong_key++;
        return TERN_E_PEER_ID;
    }
    return 0;
}

/* A record that verifies has the last word on addresses. */
static int use_record(tern_net *net, const tern_peer_id *peer, tern_span bytes,
                      tern_identify_message *m)
{
    tern_peer_record record;
    int code = tern_peer_record_open(bytes.data, bytes.len, &record);
    if (code == TERN_E_NOMEM) {
        return code;
    }
    if (code != 0 || !tern_peer_id_equal(&record.peer, peer)) {
        net->counters.identify_bad_record++;
        if (code == 0) {
            tern_peer_record_clear(&record);
        }
        return 0;
    }
    while (m->identity.addr_count > 0) {
        tern_multiaddr_unref(m->addrs[--m->identity.addr_count]);
    }
    code = 0;
    for (size_t i = 0; i < record.addr_count && code == 0; i++) {
        code = add_addr(m, tern_multiaddr_ref(record.addrs[i]));
    }
    m->identity.signed_record = true;
    m->identity.record_seq = record.seq;
    tern_peer_record_clear(&record);
    return code;
}

int tern_identify_parse(tern_net *net, const tern_peer_id *peer, const uint8_t *data, size_t n,
                        tern_identify_message *m)
{
    memset(m, 0, sizeof *m);
    tern_pb r = tern_pb_read(data, n);
    tern_span body, record = {NULL, 0};
    int code = 0;
    while (code == 0 && tern_pb_next(&r)) {
        bool wanted =
            (r.field >= PUBLIC_KEY && r.field <= AGENT_VERSION) || r.field == SIGNED_PEER_RECORD;
        if (!wanted || !tern_pb_bytes(&r, &body)) {
            continue;
        }
        switch (r.field) {
        case PUBLIC_KEY:
            code = check_key(net, peer, body);
            break;
        case LISTEN_ADDRS:
            code = add_addr(m, tern_multiaddr_from_bytes(body.data, body.len, NULL));
            break;
        case PROTOCOLS:
            code = add_protocol(m, body);
            break;
        case OBSERVED_ADDR:
            tern_multiaddr_unref(m->identity.observed);
            m->identity.observed = tern_multiaddr_from_bytes(body.data, body.len, NULL);
            break;
        case PROTOCOL_VERSION:
            copy_text(m->protocol_version, sizeof m->protocol_version, body);
            break;
        case AGENT_VERSION:
            copy_text(m->agent, sizeof m->agent, body);
            break;
        default:
            record = body;
            break;
        }
    }
    if (code == 0 && r.error) {
        code = TERN_E_MALFORMED;
    }
    if (code == 0 && record.len > 0) {
        code = use_record(net, peer, record, m);
    }
    m->identity.agent = m->agent;
    m->identity.protocol_version = m->protocol_version;
    m->identity.protocols = (const char *const *)m->protocols;
    m->identity.addrs = m->addrs;
    return code;
}

void tern_identify_clear(tern_identify_message *m)
{
    for (size_t i = 0; i < m->identity.addr_count; i++) {
        tern_multiaddr_unref(m->addrs[i]);
    }
    for (size_t i = 0; i < m->identity.protocol_count; i++) {
        tern_free(m->protocols[i]);
    }
    tern_free(m->addrs);
    tern_free(m->protocols);
    tern_multiaddr_unref(m->identity.observed);
    memset(m, 0, sizeof *m);
}

/* ---- building ---- */

static int put_addr(tern_buf *out, uint32_t field, const tern_multiaddr *addr)
{
    size_t n;
    const uint8_t *bytes = tern_multiaddr_bytes(addr, &n);
    return tern_pb_put_bytes(out, field, bytes, n);
}

int tern_identify_build(tern_net *net, tern_multiaddr *const *addrs, size_t addr_count,
                        tern_span record, const tern_multiaddr *observed, tern_buf *out)
{
    size_t key_n, start = tern_buf_len(out);
    const uint8_t *key = tern_key_public(net->key, &key_n);
    const char *const *protocols;
    size_t protocol_count = net->ops->protocols(net, &protocols);
    int code = tern_pb_put_bytes(out, PUBLIC_KEY, key, key_n);
    for (size_t i = 0; i < protocol_count && code == 0; i++) {
        code = tern_pb_put_string(out, PROTOCOLS, protocols[i]);
    }
    if (code == 0 && observed != NULL) {
        code = put_addr(out, OBSERVED_ADDR, observed);
    }
    if (code == 0) {
        code = tern_pb_put_string(out, PROTOCOL_VERSION, OUR_PROTOCOL_VERSION);
    }
    if (code == 0) {
        code = tern_pb_put_string(out, AGENT_VERSION, net->agent);
    }
    if (code == 0 && record.len > 0) {
        code = tern_pb_put_bytes(out, SIGNED_PEER_RECORD, record.data, record.len);
    }
    for (size_t i = 0; i < addr_count && code == 0; i++) {
        size_t n;
        tern_multiaddr_bytes(addrs[i], &n);
        if (tern_buf_len(out) - start + n + 4 <= TERN_IDENTIFY_SEND_MAX) {
            code = put_addr(out, LISTEN_ADDRS, addrs[i]);
        }
    }
    return code;
}
