/* Signed envelopes and the peer record that travels in one: see crypto/envelope.h (libp2p RFC 0002,
 * 0003).
 *
 *     Envelope:    1 PublicKey | 2 payload type | 3 payload | 5 signature
 *     signed:      length domain | length payload type | length payload
 *     PeerRecord:  1 peer id | 2 seq | 3 { 1 multiaddr } ...
 *
 * A received envelope is never encoded again: who forwards one keeps its bytes. */
#include "crypto/envelope.h"

#include "base/mem.h"
#include "codec/protobuf.h"
#include "codec/varint.h"

/* The two forms of a peer record in use: of go and js, which everyone reads, and of RFC 0003
 * (rust). */
static const struct record_form {
    const char *domain;
    tern_span type;
} record_forms[] = {
    {TERN_DOMAIN_PEER_RECORD, {(const uint8_t *)"\x03\x01", 2}},
    {"libp2p-routing-state", {(const uint8_t *)"/libp2p/routing-state-record", 28}},
};

/* What is signed, as spans over the parts. */
struct signed_form {
    uint8_t prefix[3][TERN_VARINT_MAX];
    tern_span v[6];
};

static void signed_form_fill(struct signed_form *s, const char *domain, tern_span type,
                             tern_span payload)
{
    const tern_span parts[3] = {{(const uint8_t *)domain, strlen(domain)}, type, payload};
    for (size_t i = 0; i < 3; i++) {
        s->v[2 * i] = (tern_span){s->prefix[i], tern_varint_put(s->prefix[i], parts[i].len)};
        s->v[2 * i + 1] = parts[i];
    }
}

static int put_envelope(tern_buf *b, const tern_key *key, tern_span type, tern_span payload,
                        tern_span sig)
{
    size_t key_n;
    const uint8_t *key_pb = tern_key_public(key, &key_n);
    int code = tern_pb_put_bytes(b, 1, key_pb, key_n);
    if (code == 0) {
        code = tern_pb_put_bytes(b, 2, type.data, type.len);
    }
    if (code == 0) {
        code = tern_pb_put_bytes(b, 3, payload.data, payload.len);
    }
    if (code == 0) {
        code = tern_pb_put_bytes(b, 5, sig.data, sig.len);
    }
    return code;
}

int tern_envelope_seal(const tern_key *key, const char *domain, tern_span type, tern_span payload,
                       tern_buf *out)
{
    struct signed_form s;
    uint8_t sig[TERN_SIGNATURE_MAX];
    if (domain[0] == '\0' || type.len == 0) {
        return TERN_E_INVALID;
    }
    if (payload.len > TERN_ENVELOPE_MAX || type.len > TERN_ENVELOPE_MAX) {
        return TERN_E_TOO_LARGE;
    }
    signed_form_fill(&s, domain, type, payload);
    ssize_t sig_n = tern_key_sign(key, s.v, 6, sig, sizeof sig);
    if (sig_n < 0) {
        return (int)sig_n;
    }
    tern_buf whole; /* so that out gets all of it or nothing */
    tern_buf_init(&whole, TERN_ENVELOPE_MAX);
    int code = put_envelope(&whole, key, type, payload, (tern_span){sig, (size_t)sig_n});
    if (code == 0) {
        code = tern_buf_append(out, tern_buf_data(&whole), tern_buf_len(&whole));
    }
    tern_buf_free(&whole);
    return code;
}

struct parts {
    tern_span key, type, payload, sig;
};

/* Each field once at most; unknown ones are skipped. An absent payload is an empty one. */
static int parse(const uint8_t *p, size_t n, struct parts *ret)
{
    if (n > TERN_ENVELOPE_MAX) {
        return TERN_E_TOO_LARGE;
    }
    tern_span field[6] = {{NULL, 0}};
    bool seen[6] = {false};
    tern_pb r = tern_pb_read(p, n);
    while (tern_pb_next(&r)) {
        if (r.field > 5 || r.field == 4) {
            continue;
        }
        if (seen[r.field] || !tern_pb_bytes(&r, &field[r.field])) {
            return TERN_E_MALFORMED;
        }
        seen[r.field] = true;
    }
    *ret = (struct parts){.key = field[1], .type = field[2], .payload = field[3], .sig = field[5]};
    bool whole = !r.error && ret->key.len > 0 && ret->type.len > 0 && ret->sig.len > 0;
    return whole ? 0 : TERN_E_MALFORMED;
}

/* Checks the signature under a domain and gives the signer's key. */
static int verify(const struct parts *parts, const char *domain, tern_key **ret_key)
{
    struct signed_form s;
    tern_key *key;
    int code = tern_key_from_public(parts->key.data, parts->key.len, &key);
    if (code != 0) {
        return code;
    }
    signed_form_fill(&s, domain, parts->type, parts->payload);
    code = tern_key_verify(key, s.v, 6, parts->sig.data, parts->sig.len);
    if (code != 0) {
        tern_key_unref(key);
        return code;
    }
    *ret_key = key;
    return 0;
}

int tern_envelope_open(const uint8_t *p, size_t n, const char *domain, tern_envelope *ret)
{
    struct parts parts;
    if (domain[0] == '\0') {
        return TERN_E_INVALID;
    }
    int code = parse(p, n, &parts);
    if (code == 0) {
        code = verify(&parts, domain, &ret->key);
    }
    if (code == 0) {
        ret->type = parts.type;
        ret->payload = parts.payload;
    }
    return code;
}

static int put_address(tern_buf *b, const tern_multiaddr *a)
{
    tern_buf message;
    size_t n;
    const uint8_t *bytes = tern_multiaddr_bytes(a, &n);
    tern_buf_init(&message, 0);
    int code = tern_pb_put_bytes(&message, 1, bytes, n);
    if (code == 0) {
        code = tern_pb_put_bytes(b, 3, tern_buf_data(&message), tern_buf_len(&message));
    }
    tern_buf_free(&message);
    return code;
}

int tern_peer_record_seal(const tern_key *key, uint64_t seq, tern_multiaddr *const *addrs, size_t n,
                          tern_buf *out)
{
    tern_peer_id id;
    tern_buf record;
    if (n > TERN_RECORD_ADDRS_MAX) {
        return TERN_E_TOO_LARGE;
    }
    tern_key_peer_id(key, &id);
    tern_buf_init(&record, TERN_ENVELOPE_MAX);
    int code = tern_pb_put_bytes(&record, 1, id.bytes, id.len);
    if (code == 0) {
        code = tern_pb_put_uint(&record, 2, seq);
    }
    for (size_t i = 0; code == 0 && i < n; i++) {
        code = put_address(&record, addrs[i]);
    }
    if (code == 0) {
        tern_span payload = {tern_buf_data(&record), tern_buf_len(&record)};
        code = tern_envelope_seal(key, record_forms[0].domain, record_forms[0].type, payload, out);
    }
    tern_buf_free(&record);
    return code;
}

/* An AddressInfo message: appends its address if we know its parts. Only NOMEM and MALFORMED fail.
 */
static int take_address(tern_span message, tern_peer_record *r, size_t cap)
{
    tern_span bytes = {NULL, 0};
    tern_error why = {0};
    tern_pb m = tern_pb_read(message.data, message.len);
    while (tern_pb_next(&m)) {
        if (m.field == 1 && !tern_pb_bytes(&m, &bytes)) {
            break;
        }
    }
    if (m.error) {
        return TERN_E_MALFORMED;
    }
    if (r->addr_count == cap || bytes.len == 0) {
        return 0;
    }
    tern_multiaddr *a = tern_multiaddr_from_bytes(bytes.data, bytes.len, &why);
    if (a == NULL) {
        return why.code == TERN_E_NOMEM ? TERN_E_NOMEM : 0;
    }
    r->addrs[r->addr_count++] = a;
    return 0;
}

/* The addresses are counted first, so that their table is allocated once and no larger than needed.
 */
static int count_addresses(tern_span payload, size_t *ret)
{
    *ret = 0;
    tern_pb r = tern_pb_read(payload.data, payload.len);
    while (tern_pb_next(&r)) {
        *ret += r.field == 3;
    }
    if (*ret > TERN_RECORD_ADDRS_MAX) {
        *ret = TERN_RECORD_ADDRS_MAX;
    }
    return r.error ? TERN_E_MALFORMED : 0;
}

static int parse_record(tern_span payload, tern_peer_record *r)
{
    size_t cap;
    tern_span span = {NULL, 0};
    int code = count_addresses(payload, &cap);
    if (code == 0 && cap > 0) {
        r->addrs = tern_calloc(cap, sizeof(tern_multiaddr *));
        code = r->addrs != NULL ? 0 : TERN_E_NOMEM;
    }
    tern_pb m = tern_pb_read(payload.data, payload.len);
    while (code == 0 && tern_pb_next(&m)) {
        bool ok = true;
        if (m.field == 1) {
            ok = tern_pb_bytes(&m, &span) &&
                 tern_peer_id_from_bytes(&r->peer, span.data, span.len) == 0;
        } else if (m.field == 2) {
            ok = tern_pb_uint(&m, &r->seq);
        } else if (m.field == 3 && (ok = tern_pb_bytes(&m, &span))) {
            code = take_address(span, r, cap);
        }
        code = ok ? code : TERN_E_MALFORMED;
    }
    return code == 0 && r->peer.len == 0 ? TERN_E_MALFORMED : code;
}

static const struct record_form *form_of(tern_span type)
{
    for (size_t i = 0; i < sizeof record_forms / sizeof record_forms[0]; i++) {
        tern_span known = record_forms[i].type;
        if (type.len == known.len && memcmp(type.data, known.data, known.len) == 0) {
            return &record_forms[i];
        }
    }
    return NULL;
}

int tern_peer_record_open(const uint8_t *p, size_t n, tern_peer_record *ret)
{
    struct parts parts;
    tern_key *key = NULL;
    tern_peer_record record = {.seq = 0};
    tern_peer_id signer;
    int code = parse(p, n, &parts);
    if (code != 0) {
        return code;
    }
    const struct record_form *form = form_of(parts.type);
    if (form == NULL) {
        return TERN_E_UNSUPPORTED;
    }
    code = verify(&parts, form->domain, &key);
    if (code != 0) {
        return code;
    }
    tern_key_peer_id(key, &signer);
    tern_key_unref(key);
    code = parse_record(parts.payload, &record);
    if (code == 0 && !tern_peer_id_equal(&record.peer, &signer)) {
        code = TERN_E_PEER_ID; /* signed, but about somebody else */
    }
    if (code != 0) {
        tern_peer_record_clear(&record);
        return code;
    }
    *ret = record;
    return 0;
}

void tern_peer_record_clear(tern_peer_record *r)
{
    for (size_t i = 0; i < r->addr_count; i++) {
        tern_multiaddr_unref(r->addrs[i]);
    }
    tern_free(r->addrs);
    *r = (tern_peer_record){.seq = 0};
}
