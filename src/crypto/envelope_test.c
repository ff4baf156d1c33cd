/* Envelopes and peer records: a fixed record in both forms, and what is refused. */
#include "base/test.h"

#include "crypto/envelope.h"
#include "crypto/key_vectors_test.h"

#define KEY1_PB "0801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
#define KEY2_ID                                                                                    \
    "002408011220"                                                                                 \
    "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7"

/* key1, seq 1700000000, two addresses. */
#define PAYLOAD                                                                                    \
    "0a2600240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"             \
    "1080e2cfaa061a0a0a0804c0000201060fa11a0d0a0b04c000020191020fa1cd03"
#define SIG                                                                                        \
    "3ffe442375508416e38f28355e5a3f1c2f87a433f0da475722d3aa005267b937"                             \
    "3a1038604df5abda7264ef30433cf817e935fceae92b3a3b618652db97dfaf0b"
#define SIG_RFC                                                                                    \
    "0bbc2e7e0f19127281912d604e948d3ca3e972334e6c62cbdc79096e98e2b173"                             \
    "14ca04b8228cb2fdb5e4c5f17f7cb2d46f535e9cfe7d645db12e7430d902e100"
#define RFC_TYPE "2f6c69627032702f726f7574696e672d73746174652d7265636f7264"
#define ENVELOPE                                                                                   \
    "0a24" KEY1_PB "12020301"                                                                      \
    "1a49" PAYLOAD "2a40" SIG
#define ENVELOPE_RFC "0a24" KEY1_PB "121c" RFC_TYPE "1a49" PAYLOAD "2a40" SIG_RFC

static const tern_span record_type = {(const uint8_t *)"\x03\x01", 2};

static tern_key *key_of(const char *hex)
{
    uint8_t pb[256];
    tern_key *key = NULL;
    size_t n = tern_test_unhex(pb, sizeof pb, hex);
    assert_int_equal(tern_key_from_private(pb, n, &key), 0);
    return key;
}

static void expect_buf(const tern_buf *b, const char *hex)
{
    uint8_t want[512];
    size_t n = tern_test_unhex(want, sizeof want, hex);
    assert_int_equal(tern_buf_len(b), n);
    assert_memory_equal(tern_buf_data(b), want, n);
}

static const char *const addr_texts[] = {"/ip4/192.0.2.1/tcp/4001",
                                         "/ip4/192.0.2.1/udp/4001/quic-v1"};

static void fixed_record_sealed(void **state)
{
    (void)state;
    tern_key *key = key_of(KEY1_PRIVATE);
    tern_multiaddr *addrs[2];
    tern_buf out;
    tern_buf_init(&out, 0);
    for (size_t i = 0; i < 2; i++) {
        addrs[i] = tern_multiaddr_parse(addr_texts[i], NULL);
        assert_non_null(addrs[i]);
    }
    assert_int_equal(tern_peer_record_seal(key, 1700000000, addrs, 2, &out), 0);
    expect_buf(&out, ENVELOPE);
    tern_buf_free(&out);
    tern_multiaddr_unref(addrs[0]);
    tern_multiaddr_unref(addrs[1]);
    tern_key_unref(key);
}

static void fixed_record_opened(void **state)
{
    (void)state;
    static const char *const forms[] = {ENVELOPE, ENVELOPE_RFC};
    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[512];
        char text[TERN_PEER_ID_TEXT];
        tern_peer_record r;
        size_t n = tern_test_unhex(bytes, sizeof bytes, forms[i]);
        assert_int_equal(tern_peer_record_open(bytes, n, &r), 0);
        assert_string_equal(tern_peer_id_text(&r.peer, text),
                            "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB");
        assert_int_equal(r.seq, 1700000000);
        assert_int_equal(r.addr_count, 2);
        assert_string_equal(tern_multiaddr_text(r.addrs[0]), addr_texts[0]);
        assert_string_equal(tern_multiaddr_text(r.addrs[1]), addr_texts[1]);
        tern_peer_record_clear(&r);
        assert_int_equal(r.addr_count, 0);
        tern_peer_record_clear(&r);
    }
}

/* Every prefix, and every single bit changed: refused or, where the bit means nothing, the same
 * record. */
static void every_change(void **state)
{
    (void)state;
    uint8_t bytes[512];
    tern_peer_record r;
    size_t n = tern_test_unhex(bytes, sizeof bytes, ENVELOPE);
    for (size_t k = 0; k < n; k++) {
        assert_int_equal(tern_peer_record_open(bytes, k, &r), TERN_E_MALFORMED);
    }
    for (size_t bit = 0; bit < n * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        int code = tern_peer_record_open(bytes, n, &r);
        if (code == 0) {
            fail_msg("bit %zu", bit);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static const struct row {
    const char *name, *hex, *domain;
    int code;
} rows[] = {
    {"whole", ENVELOPE, TERN_DOMAIN_PEER_RECORD, 0},
    {"an unknown field", ENVELOPE "3203616263", TERN_DOMAIN_PEER_RECORD, 0},
    {"field 4", "2203616263" ENVELOPE, TERN_DOMAIN_PEER_RECORD, 0},
    {"nothing", "", TERN_DOMAIN_PEER_RECORD, TERN_E_MALFORMED},
    {"no domain", ENVELOPE, "", TERN_E_INVALID},
    {"another domain", ENVELOPE, TERN_DOMAIN_RELAY_RSVP, TERN_E_SIGNATURE},
    {"the RFC's form under go's domain", ENVELOPE_RFC, TERN_DOMAIN_PEER_RECORD, TERN_E_SIGNATURE},
    {"no key",
     "12020301"
     "1a49" PAYLOAD "2a40" SIG,
     TERN_DOMAIN_PEER_RECORD, TERN_E_MALFORMED},
    {"no type", "0a24" KEY1_PB "1a49" PAYLOAD "2a40" SIG, TERN_DOMAIN_PEER_RECORD,
     TERN_E_MALFORMED},
    {"empty type",
     "0a24" KEY1_PB "1200"
     "1a49" PAYLOAD "2a40" SIG,
     TERN_DOMAIN_PEER_RECORD, TERN_E_MALFORMED},
    {"no payload",
     "0a24" KEY1_PB "12020301"
     "2a40" SIG,
     TERN_DOMAIN_PEER_RECORD, TERN_E_SIGNATURE},
    {"no signature",
     "0a24" KEY1_PB "12020301"
     "1a49" PAYLOAD,
     TERN_DOMAIN_PEER_RECORD, TERN_E_MALFORMED},
    {"empty signature",
     "0a24" KEY1_PB "12020301"
     "1a49" PAYLOAD "2a00",
     TERN_DOMAIN_PEER_RECORD, TERN_E_MALFORMED},
    {"short signature",
     "0a24" KEY1_PB "12020301"
     "1a49" PAYLOAD "2a04"
     "3ffe4423",
     TERN_DOMAIN_PEER_RECORD, TERN_E_SIGNATURE},
    {"key twice", "0a24" KEY1_PB ENVELOPE, TERN_DOMAIN_PEER_RECORD, TERN_E_MALFORMED},
    {"payload twice", ENVELOPE "1a0100", TERN_DOMAIN_PEER_RECORD, TERN_E_MALFORMED},
    {"payload as a number",
     "0a24" KEY1_PB "12020301"
     "1801"
     "2a40" SIG,
     TERN_DOMAIN_PEER_RECORD, TERN_E_MALFORMED},
    {"a key of type 9",
     "0a24"
     "0809122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
     "12020301"
     "1a49" PAYLOAD "2a40" SIG,
     TERN_DOMAIN_PEER_RECORD, TERN_E_UNSUPPORTED},
    {"a malformed key",
     "0a020801"
     "12020301"
     "1a49" PAYLOAD "2a40" SIG,
     TERN_DOMAIN_PEER_RECORD, TERN_E_MALFORMED},
    {"the key of zeros",
     "0a24"
     "080112200000000000000000000000000000000000000000000000000000000000000000"
     "12020301"
     "1a49" PAYLOAD "2a40"
     "0000000000000000000000000000000000000000000000000000000000000000"
     "0000000000000000000000000000000000000000000000000000000000000000",
     TERN_DOMAIN_PEER_RECORD, TERN_E_MALFORMED},
    {"another type",
     "0a24" KEY1_PB "12020302"
     "1a49" PAYLOAD "2a40" SIG,
     TERN_DOMAIN_PEER_RECORD, TERN_E_SIGNATURE},
};

static void envelopes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[512];
        tern_envelope e = {NULL, {NULL, 0}, {NULL, 0}};
        size_t n = tern_test_unhex(bytes, sizeof bytes, rows[i].hex);
        int code = tern_envelope_open(bytes, n, rows[i].domain, &e);
        if (code != rows[i].code || (e.key != NULL) != (code == 0)) {
            fail_msg("%s: %d", rows[i].name, code);
        }
        if (code == 0) {
            assert_int_equal(e.type.len, 2);
            assert_int_equal(e.payload.len, 0x49);
            assert_true(e.payload.data >= bytes && e.payload.data + 0x49 <= bytes + n);
            tern_key_unref(e.key);
        }
    }
    static const uint8_t large[TERN_ENVELOPE_MAX + 1];
    tern_envelope e;
    assert_int_equal(tern_envelope_open(large, sizeof large, "d", &e), TERN_E_TOO_LARGE);
}

static void sealing(void **state)
{
    (void)state;
    static const uint8_t large[TERN_ENVELOPE_MAX + 1];
    const tern_span none = {NULL, 0}, text = {(const uint8_t *)"hello", 5};
    tern_key *key = key_of(KEY1_PRIVATE);
    size_t public_n;
    const uint8_t *public_pb = tern_key_public(key, &public_n);
    tern_key *no_private;
    assert_int_equal(tern_key_from_public(public_pb, public_n, &no_private), 0);
    tern_buf out;
    tern_buf_init(&out, 0);
    assert_int_equal(tern_envelope_seal(key, "", record_type, text, &out), TERN_E_INVALID);
    assert_int_equal(tern_envelope_seal(key, "d", none, text, &out), TERN_E_INVALID);
    assert_int_equal(tern_envelope_seal(no_private, "d", record_type, text, &out), TERN_E_STATE);
    assert_int_equal(
        tern_envelope_seal(key, "d", record_type, (tern_span){large, sizeof large}, &out),
        TERN_E_TOO_LARGE);
    assert_int_equal(tern_envelope_seal(key, "d", record_type, (tern_span){large, 8100}, &out),
                     TERN_E_TOO_LARGE);
    assert_int_equal(tern_buf_len(&out), 0);

    /* Appended to what is there; the payload may be empty. */
    assert_int_equal(tern_buf_append(&out, "x", 1), 0);
    assert_int_equal(tern_envelope_seal(key, "d", record_type, none, &out), 0);
    tern_envelope e;
    assert_int_equal(tern_envelope_open(tern_buf_data(&out) + 1, tern_buf_len(&out) - 1, "d", &e),
                     0);
    assert_int_equal(e.payload.len, 0);
    assert_true(tern_key_equal_public(e.key, key));
    tern_key_unref(e.key);
    tern_buf_free(&out);
    tern_key_unref(no_private);
    tern_key_unref(key);
}

/* Records that are signed well but say something wrong or strange. */
static const struct record_row {
    const char *name, *payload;
    int code;
    uint64_t seq;
    size_t addrs;
} record_rows[] = {
    {"the id alone", "0a260024" KEY1_PB, 0, 0, 0},
    {"greatest seq", "0a260024" KEY1_PB "10ffffffffffffffffff01", 0, UINT64_MAX, 0},
    {"an unknown field", "0a260024" KEY1_PB "2001", 0, 0, 0},
    {"an address of an unknown kind is left out",
     "0a260024" KEY1_PB "1a0a0a0804c0000201060fa1"
     "1a050a03fffe03"
     "1a0a0a0804c0000201060fa1",
     0, 0, 2},
    {"a cut address is left out", "0a260024" KEY1_PB "1a060a0404c00002", 0, 0, 0},
    {"an empty address is left out",
     "0a260024" KEY1_PB "1a00"
     "1a020a00",
     0, 0, 0},
    {"nothing", "", TERN_E_MALFORMED, 0, 0},
    {"no id", "1001", TERN_E_MALFORMED, 0, 0},
    {"an id that is none", "0a03001100", TERN_E_MALFORMED, 0, 0},
    {"an empty id", "0a00", TERN_E_MALFORMED, 0, 0},
    {"somebody else", "0a26" KEY2_ID, TERN_E_PEER_ID, 0, 0},
    {"seq as bytes", "0a260024" KEY1_PB "120101", TERN_E_MALFORMED, 0, 0},
    {"address as a number", "0a260024" KEY1_PB "1801", TERN_E_MALFORMED, 0, 0},
    {"a broken address message", "0a260024" KEY1_PB "1a020a7f", TERN_E_MALFORMED, 0, 0},
    {"a number in the address message", "0a260024" KEY1_PB "1a020801", TERN_E_MALFORMED, 0, 0},
    {"cut", "0a260024" KEY1_PB "1a7f", TERN_E_MALFORMED, 0, 0},
};

static void records(void **state)
{
    (void)state;
    tern_key *key = key_of(KEY1_PRIVATE);
    for (size_t i = 0; i < sizeof record_rows / sizeof record_rows[0]; i++) {
        const struct record_row *row = &record_rows[i];
        uint8_t payload[256];
        tern_peer_record r = {.addr_count = 0};
        tern_buf out;
        tern_buf_init(&out, 0);
        tern_span p = {payload, tern_test_unhex(payload, sizeof payload, row->payload)};
        assert_int_equal(tern_envelope_seal(key, TERN_DOMAIN_PEER_RECORD, record_type, p, &out), 0);
        int code = tern_peer_record_open(tern_buf_data(&out), tern_buf_len(&out), &r);
        if (code != row->code || r.addr_count != row->addrs || r.seq != row->seq) {
            fail_msg("%s: %d, %zu addresses", row->name, code, r.addr_count);
        }
        tern_peer_record_clear(&r);
        tern_buf_free(&out);
    }
    /* A relay's voucher is no peer record. */
    tern_peer_record r;
    tern_buf out;
    tern_buf_init(&out, 0);
    const tern_span voucher = {(const uint8_t *)"\x03\x02", 2};
    assert_int_equal(tern_envelope_seal(key, TERN_DOMAIN_RELAY_RSVP, voucher, voucher, &out), 0);
    assert_int_equal(tern_peer_record_open(tern_buf_data(&out), tern_buf_len(&out), &r),
                     TERN_E_UNSUPPORTED);
    tern_buf_free(&out);
    tern_key_unref(key);
}

/* As many addresses as an envelope holds: only the first 500 are kept. */
static void many_addresses(void **state)
{
    (void)state;
    tern_key *key = key_of(KEY1_PRIVATE);
    uint8_t id[38 + 2], one[12];
    tern_buf payload, out;
    tern_peer_record r;
    tern_buf_init(&payload, 0);
    tern_buf_init(&out, 0);
    size_t n = tern_test_unhex(id, sizeof id, "0a260024" KEY1_PB);
    assert_int_equal(tern_buf_append(&payload, id, n), 0);
    n = tern_test_unhex(one, sizeof one, "1a0a0a0804c0000201060fa1");
    for (size_t i = 0; i < 600; i++) {
        assert_int_equal(tern_buf_append(&payload, one, n), 0);
    }
    tern_span p = {tern_buf_data(&payload), tern_buf_len(&payload)};
    assert_int_equal(tern_envelope_seal(key, TERN_DOMAIN_PEER_RECORD, record_type, p, &out), 0);
    assert_int_equal(tern_peer_record_open(tern_buf_data(&out), tern_buf_len(&out), &r), 0);
    assert_int_equal(r.addr_count, TERN_RECORD_ADDRS_MAX);
    tern_multiaddr *many[TERN_RECORD_ADDRS_MAX + 1];
    for (size_t i = 0; i <= TERN_RECORD_ADDRS_MAX; i++) {
        many[i] = r.addrs[0];
    }
    assert_int_equal(tern_peer_record_seal(key, 1, many, TERN_RECORD_ADDRS_MAX + 1, &out),
                     TERN_E_TOO_LARGE);
    tern_peer_record_clear(&r);
    tern_buf_free(&payload);
    tern_buf_free(&out);
    tern_key_unref(key);
}

static void without_memory(void **state)
{
    (void)state;
    uint8_t bytes[512];
    size_t n = tern_test_unhex(bytes, sizeof bytes, ENVELOPE);
    bool whole = false;
    for (size_t nth = 1; !whole; nth++) {
        assert_true(nth < 100);
        tern_peer_record r = {.addr_count = 0};
        tern_mem_fail_at(nth, 0);
        int code = tern_peer_record_open(bytes, n, &r);
        whole = tern_mem_count() < nth;
        tern_mem_fail_at(0, 0);
        assert_int_equal(code, whole ? 0 : TERN_E_NOMEM);
        assert_int_equal(r.addr_count, whole ? 2 : 0);
        tern_peer_record_clear(&r);
        assert_int_equal(tern_mem_alive(), 0);
    }
    tern_key *key = key_of(KEY1_PRIVATE);
    tern_multiaddr *addr = tern_multiaddr_parse(addr_texts[0], NULL);
    assert_non_null(addr);
    whole = false;
    for (size_t nth = 1; !whole; nth++) {
        assert_true(nth < 100);
        tern_buf out;
        tern_buf_init(&out, 0);
        tern_mem_fail_at(nth, 0);
        int code = tern_peer_record_seal(key, 7, &addr, 1, &out);
        whole = tern_mem_count() < nth;
        tern_mem_fail_at(0, 0);
        assert_int_equal(code, whole ? 0 : TERN_E_NOMEM);
        assert_true(whole || tern_buf_len(&out) == 0);
        tern_buf_free(&out);
    }
    tern_multiaddr_unref(addr);
    tern_key_unref(key);
    assert_int_equal(tern_mem_alive(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_record_sealed),
        cmocka_unit_test(fixed_record_opened),
        cmocka_unit_test(every_change),
        cmocka_unit_test(envelopes),
        cmocka_unit_test(sealing),
        cmocka_unit_test(records),
        cmocka_unit_test(many_addresses),
        cmocka_unit_test(without_memory),
    };
    return TERN_TEST_MAIN(tests);
}
