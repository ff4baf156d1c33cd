/* Tests of the identify message: there and back, what is left out, and what is refused with which
 * counter. */
#include "proto/identify_message.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/test.h"
#include "codec/protobuf.h"
#include "crypto/envelope.h"
#include "proto/identify.h"

enum { KEY = 1, ADDR = 2, PROTOCOL = 3, OBSERVED = 4, VERSION = 5, AGENT = 6, RECORD = 8 };

static const char *const our_protocols[] = {"/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"};

static size_t protocols(tern_net *net, const char *const **ret)
{
    (void)net;
    *ret = our_protocols;
    return 2;
}

static const tern_net_ops ops = {.protocols = protocols};

/* The peer's net builds, ours parses. */
struct fixture {
    tern_net peer, us;
    tern_buf out;
    tern_identify_message m;
    int code;
};

static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &f->peer.key), 0);
    tern_key_peer_id(f->peer.key, &f->peer.self);
    f->peer.agent = "peer/1";
    f->peer.ops = &ops;
    tern_buf_init(&f->out, 0);
}

static void teardown(struct fixture *f)
{
    tern_key_unref(f->peer.key);
    tern_buf_free(&f->out);
    assert_int_equal(tern_mem_alive(), 0);
}

static void parse(struct fixture *f)
{
    f->code = tern_identify_parse(&f->us, &f->peer.self, tern_buf_data(&f->out),
                                  tern_buf_len(&f->out), &f->m);
}

static tern_multiaddr *address(const char *text)
{
    tern_multiaddr *a = tern_multiaddr_parse(text, NULL);
    assert_non_null(a);
    return a;
}

static void put_addr(struct fixture *f, uint32_t field, const char *text)
{
    size_t n;
    tern_multiaddr *a = address(text);
    const uint8_t *bytes = tern_multiaddr_bytes(a, &n);
    assert_int_equal(tern_pb_put_bytes(&f->out, field, bytes, n), 0);
    tern_multiaddr_unref(a);
}

static void put(struct fixture *f, uint32_t field, const void *p, size_t n)
{
    assert_int_equal(tern_pb_put_bytes(&f->out, field, p, n), 0);
}

/* ---- there and back ---- */

static void test_round_trip(void **state)
{
    struct fixture f;
    tern_buf record;
    (void)state;
    setup(&f);
    tern_multiaddr *addrs[] = {address("/ip4/192.0.2.1/tcp/4001"),
                               address("/ip6/2001:db8::1/udp/4001/quic-v1")};
    tern_multiaddr *observed = address("/ip4/198.51.100.7/tcp/55555");
    tern_buf_init(&record, 0);
    assert_int_equal(tern_peer_record_seal(f.peer.key, 7, addrs, 2, &record), 0);
    for (int sealed = 0; sealed < 2; sealed++) {
        tern_span span = {tern_buf_data(&record), sealed != 0 ? tern_buf_len(&record) : 0};
        assert_int_equal(tern_identify_build(&f.peer, addrs, 2, span, observed, &f.out), 0);
        parse(&f);
        assert_int_equal(f.code, 0);
        const tern_identity *id = &f.m.identity;
        assert_string_equal(id->agent, "peer/1");
        assert_string_equal(id->protocol_version, "ipfs/0.1.0");
        assert_int_equal(id->protocol_count, 2);
        assert_string_equal(id->protocols[1], "/ipfs/ping/1.0.0");
        assert_int_equal(id->addr_count, 2);
        assert_true(tern_multiaddr_equal(id->addrs[0], addrs[0]));
        assert_true(tern_multiaddr_equal(id->addrs[1], addrs[1]));
        assert_true(tern_multiaddr_equal(id->observed, observed));
        assert_int_equal(id->signed_record, sealed);
        tern_identify_clear(&f.m);
        tern_buf_free(&f.out);
    }
    tern_buf_free(&record);
    tern_multiaddr_unref(addrs[0]);
    tern_multiaddr_unref(addrs[1]);
    tern_multiaddr_unref(observed);
    teardown(&f);
}

static void test_ours_fits_rust(void **state)
{
    struct fixture f;
    tern_multiaddr *addrs[300];
    char text[64];
    (void)state;
    setup(&f);
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "/ip6/2001:db8::%x/udp/4001/quic-v1", i + 1);
        addrs[i] = address(text);
    }
    assert_int_equal(tern_identify_build(&f.peer, addrs, 300, (tern_span){NULL, 0}, NULL, &f.out),
                     0);
    assert_true(tern_buf_len(&f.out) <= TERN_IDENTIFY_SEND_MAX);
    assert_true(tern_buf_len(&f.out) > TERN_IDENTIFY_SEND_MAX - 40);
    parse(&f);
    assert_int_equal(f.code, 0);
    assert_true(f.m.identity.addr_count > 100 && f.m.identity.addr_count < 300);
    assert_string_equal(f.m.identity.agent, "peer/1"); /* what matters comes first */
    tern_identify_clear(&f.m);
    for (int i = 0; i < 300; i++) {
        tern_multiaddr_unref(addrs[i]);
    }
    teardown(&f);
}

/* The bytes on the wire, as the field numbers of the specification have them. */
static void test_bytes(void **state)
{
    struct fixture f;
    char hex[512];
    size_t key_n;
    (void)state;
    setup(&f);
    tern_multiaddr *addr = address("/ip4/192.0.2.1/tcp/4001");
    assert_int_equal(tern_identify_build(&f.peer, &addr, 1, (tern_span){NULL, 0}, addr, &f.out), 0);
    tern_key_public(f.peer.key, &key_n);
    const uint8_t *rest = tern_buf_data(&f.out) + 2 + key_n;
    assert_int_equal(tern_buf_data(&f.out)[0], 0x0a);
    tern_hex(hex, rest, tern_buf_len(&f.out) - 2 - key_n);
    assert_string_equal(hex, "1a0e2f697066732f69642f312e302e30"     /* 3: /ipfs/id/1.0.0 */
                             "1a102f697066732f70696e672f312e302e30" /* 3: /ipfs/ping/1.0.0 */
                             "220804c0000201060fa1"                 /* 4: observed */
                             "2a0a697066732f302e312e30"             /* 5: ipfs/0.1.0 */
                             "3206706565722f31"                     /* 6: peer/1 */
                             "120804c0000201060fa1");               /* 2: listens on */
    tern_multiaddr_unref(addr);
    teardown(&f);
}

static void test_nothing_is_enough(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    parse(&f); /* every field is optional */
    assert_int_equal(f.code, 0);
    assert_string_equal(f.m.identity.agent, "");
    assert_int_equal(f.m.identity.protocol_count, 0);
    assert_null(f.m.identity.observed);
    tern_identify_clear(&f.m);
    teardown(&f);
}

/* Two messages joined are one: lists grow, single fields are the last one's. */
static void test_merging(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    put(&f, AGENT, "first", 5);
    put(&f, PROTOCOL, "/a", 2);
    put_addr(&f, OBSERVED, "/ip4/192.0.2.1/tcp/1");
    put(&f, AGENT, "second", 6);
    put(&f, PROTOCOL, "/b", 2);
    put_addr(&f, OBSERVED, "/ip4/192.0.2.2/tcp/2");
    parse(&f);
    assert_int_equal(f.code, 0);
    assert_string_equal(f.m.identity.agent, "second");
    assert_int_equal(f.m.identity.protocol_count, 2);
    assert_string_equal(tern_multiaddr_text(f.m.identity.observed), "/ip4/192.0.2.2/tcp/2");
    tern_identify_clear(&f.m);
    teardown(&f);
}

/* ---- left out or cut ---- */

static void test_texts_are_harmless(void **state)
{
    struct fixture f;
    char longer[200];
    (void)state;
    setup(&f);
    memset(longer, 'x', sizeof longer);
    put(&f, AGENT, "a\x1b[31mb\n\x7f\0c\xc3\xa9", 13);
    put(&f, VERSION, longer, sizeof longer);
    put(&f, PROTOCOL, "/a\r\nb", 5);
    put(&f, PROTOCOL, "", 0);
    parse(&f);
    assert_int_equal(f.code, 0);
    assert_string_equal(f.m.identity.agent, "a?[31mb???c\xc3\xa9");
    assert_int_equal(strlen(f.m.identity.protocol_version), 128);
    assert_int_equal(f.m.identity.protocol_count, 1);
    assert_string_equal(f.m.identity.protocols[0], "/a??b");
    tern_identify_clear(&f.m);
    teardown(&f);
}

static void test_only_good_utf8(void **state)
{
    static const struct {
        const char *in, *out;
    } table[] = {
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa6",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\xa6"},
        {"\xc3", "?"},           /* cut */
        {"\xc3(", "?("},         /* no continuation */
        {"\x80\xbf", "??"},      /* nothing to continue */
        {"\xc0\xaf", "??"},      /* overlong */
        {"\xe0\x80\xaf", "???"}, /* overlong */
        {"\xc2\x9b"
         "31m",
         "??31m"},                    /* a terminal's CSI */
        {"\xed\xa0\x80", "???"},      /* a surrogate */
        {"\xf4\x90\x80\x80", "????"}, /* beyond Unicode */
        {"\xff\xfe", "??"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct fixture f;
        setup(&f);
        put(&f, AGENT, table[i].in, strlen(table[i].in));
        parse(&f);
        assert_string_equal(f.m.identity.agent, table[i].out);
        tern_identify_clear(&f.m);
        teardown(&f);
    }
    /* A long text is cut between characters. */
    struct fixture f;
    char longer[201];
    setup(&f);
    for (size_t i = 0; i < 200; i += 2) {
        memcpy(longer + i, "\xc3\xbc", 2);
    }
    put(&f, VERSION, longer, 200);
    parse(&f);
    assert_int_equal(strlen(f.m.identity.protocol_version), 128);
    tern_identify_clear(&f.m);
    tern_buf_free(&f.out);
    memmove(longer + 1, longer, 200);
    longer[0] = 'x';
    put(&f, VERSION, longer, 201);
    parse(&f);
    assert_int_equal(strlen(f.m.identity.protocol_version), 127);
    tern_identify_clear(&f.m);
    teardown(&f);
}

static void test_unknown_is_skipped(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f);
    put(&f, 7, "what is this", 12);
    put(&f, 99, "", 0);
    assert_int_equal(tern_pb_put_uint(&f.out, 12, 5), 0);
    put(&f, ADDR, "\xff\xff\x01", 3); /* an address that this build does not know */
    put(&f, ADDR, "", 0);
    put(&f, OBSERVED, "\xff", 1);
    put_addr(&f, ADDR, "/ip4/192.0.2.1/tcp/1");
    parse(&f);
    assert_int_equal(f.code, 0);
    assert_int_equal(f.m.identity.addr_count, 1);
    assert_null(f.m.identity.observed);
    tern_identify_clear(&f.m);
    teardown(&f);
}

static void test_too_many(void **state)
{
    struct fixture f;
    char text[64];
    (void)state;
    setup(&f);
    for (int i = 0; i < TERN_IDENTIFY_PROTOCOLS_MAX + 10; i++) {
        snprintf(text, sizeof text, "/p/%d", i);
        put(&f, PROTOCOL, text, strlen(text));
    }
    for (int i = 0; i < TERN_IDENTIFY_ADDRS_MAX + 10; i++) {
        snprintf(text, sizeof text, "/ip4/192.0.2.1/tcp/%d", i + 1);
        put_addr(&f, ADDR, text);
    }
    char longer[300];
    memset(longer, 'x', sizeof longer);
    parse(&f);
    assert_int_equal(f.code, 0);
    assert_int_equal(f.m.identity.protocol_count, TERN_IDENTIFY_PROTOCOLS_MAX);
    assert_int_equal(f.m.identity.addr_count, TERN_IDENTIFY_ADDRS_MAX);
    tern_identify_clear(&f.m);
    tern_buf_free(&f.out);
    put(&f, PROTOCOL, longer, 257); /* no id is that long */
    put(&f, PROTOCOL, longer, 256);
    parse(&f);
    assert_int_equal(f.m.identity.protocol_count, 1);
    tern_identify_clear(&f.m);
    teardown(&f);
}

/* ---- refused ---- */

static void test_wrong_key(void **state)
{
    struct fixture f;
    tern_key *other;
    size_t n;
    (void)state;
    setup(&f);
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &other), 0);
    const uint8_t *bytes = tern_key_public(other, &n);
    put(&f, KEY, bytes, n);
    parse(&f);
    assert_int_equal(f.code, TERN_E_PEER_ID);
    assert_int_equal(f.us.counters.identify_wrong_key, 1);
    tern_identify_clear(&f.m);
    tern_buf_free(&f.out);
    put(&f, KEY,
        "\x08\x01\x12\x03"
        "abc",
        7); /* no key at all */
    parse(&f);
    assert_int_equal(f.code, TERN_E_PEER_ID);
    assert_int_equal(f.us.counters.identify_wrong_key, 2);
    tern_identify_clear(&f.m);
    tern_key_unref(other);
    teardown(&f);
}

/* A record that does not verify is left out and counted; the unsigned addresses remain. */
static void expect_bad_record(struct fixture *f, const uint8_t *record, size_t n)
{
    uint64_t before = f->us.counters.identify_bad_record;
    tern_buf_free(&f->out);
    put_addr(f, ADDR, "/ip4/192.0.2.9/tcp/9");
    put(f, RECORD, record, n);
    parse(f);
    assert_int_equal(f->code, 0);
    assert_false(f->m.identity.signed_record);
    assert_int_equal(f->m.identity.addr_count, 1);
    assert_int_equal(f->us.counters.identify_bad_record, before + 1);
    tern_identify_clear(&f->m);
}

static void test_bad_records(void **state)
{
    struct fixture f;
    tern_buf record;
    tern_key *other;
    (void)state;
    setup(&f);
    tern_buf_init(&record, 0);
    tern_multiaddr *addr = address("/ip4/192.0.2.1/tcp/1");
    expect_bad_record(&f, (const uint8_t *)"garbage", 7);
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &other), 0);
    assert_int_equal(tern_peer_record_seal(other, 1, &addr, 1, &record), 0);
    expect_bad_record(&f, tern_buf_data(&record), tern_buf_len(&record)); /* another peer's */
    tern_buf_free(&record);
    assert_int_equal(tern_peer_record_seal(f.peer.key, 1, &addr, 1, &record), 0);
    for (size_t i = 0; i < tern_buf_len(&record); i += 5) { /* altered somewhere */
        tern_buf_data(&record)[i] ^= 0x10;
        expect_bad_record(&f, tern_buf_data(&record), tern_buf_len(&record));
        tern_buf_data(&record)[i] ^= 0x10;
    }
    expect_bad_record(&f, tern_buf_data(&record), tern_buf_len(&record) - 1); /* cut */
    tern_key_unref(other);
    tern_multiaddr_unref(addr);
    tern_buf_free(&record);
    teardown(&f);
}

static void test_malformed(void **state)
{
    static const char *const table[] = {
        "0a",         /* a field without its length */
        "0a05aabb",   /* fewer bytes than announced */
        "0affffffff", /* a length that does not end */
        "3004",       /* agent as a varint */
        "1100",       /* listenAddrs as half a fixed64 */
        "0b",         /* a group */
        "02aabb",     /* field 0 */
        "ffffffffffffffffffff01",
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct fixture f;
        uint8_t bytes[32];
        setup(&f);
        size_t n = tern_test_unhex(bytes, sizeof bytes, table[i]);
        put(&f, AGENT, "x", 1);
        assert_int_equal(tern_buf_append(&f.out, bytes, n), 0);
        parse(&f);
        assert_int_equal(f.code, TERN_E_MALFORMED);
        tern_identify_clear(&f.m);
        teardown(&f);
    }
}

/* Every prefix of a good message parses or is malformed. */
static void test_cut_anywhere(void **state)
{
    struct fixture f;
    tern_buf record;
    (void)state;
    setup(&f);
    tern_multiaddr *addr = address("/ip4/192.0.2.1/tcp/4001");
    tern_buf_init(&record, 0);
    assert_int_equal(tern_peer_record_seal(f.peer.key, 7, &addr, 1, &record), 0);
    tern_span span = {tern_buf_data(&record), tern_buf_len(&record)};
    assert_int_equal(tern_identify_build(&f.peer, &addr, 1, span, addr, &f.out), 0);
    for (size_t n = 0; n <= tern_buf_len(&f.out); n++) {
        uint8_t *copy = tern_memdup(tern_buf_data(&f.out), n);
        int code = tern_identify_parse(&f.us, &f.peer.self, copy, n, &f.m);
        assert_true(code == 0 || code == TERN_E_MALFORMED);
        assert_true(code == 0 || n < tern_buf_len(&f.out));
        tern_identify_clear(&f.m);
        tern_free(copy);
    }
    tern_buf_free(&record);
    tern_multiaddr_unref(addr);
    teardown(&f);
}

static void test_failing_allocations(void **state)
{
    struct fixture f;
    tern_buf record;
    (void)state;
    setup(&f);
    tern_multiaddr *addrs[] = {address("/ip4/192.0.2.1/tcp/4001")};
    tern_buf_init(&record, 0);
    assert_int_equal(tern_peer_record_seal(f.peer.key, 7, addrs, 1, &record), 0);
    tern_span span = {tern_buf_data(&record), tern_buf_len(&record)};
    size_t i = 1;
    for (bool touched = true; touched; i++) {
        tern_mem_fail_at(i, 0);
        int code = tern_identify_build(&f.peer, addrs, 1, span, addrs[0], &f.out);
        bool built = code == 0;
        if (built) {
            parse(&f);
            code = f.code;
        }
        touched = tern_mem_count() >= i;
        tern_mem_fail_at(0, 0);
        if (built) {
            tern_identify_clear(&f.m);
        }
        /* Addresses for which there is no memory may be missing; nothing else is lost silently. */
        assert_true(code == 0 || (touched && code == TERN_E_NOMEM));
        tern_buf_free(&f.out);
    }
    assert_true(i > 10);
    tern_buf_free(&record);
    tern_multiaddr_unref(addrs[0]);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_ours_fits_rust),
        cmocka_unit_test(test_bytes),          cmocka_unit_test(test_nothing_is_enough),
        cmocka_unit_test(test_merging),        cmocka_unit_test(test_texts_are_harmless),
        cmocka_unit_test(test_only_good_utf8), cmocka_unit_test(test_unknown_is_skipped),
        cmocka_unit_test(test_too_many),       cmocka_unit_test(test_wrong_key),
        cmocka_unit_test(test_bad_records),    cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_cut_anywhere),   cmocka_unit_test(test_failing_allocations),
    };
    return TERN_TEST_MAIN(tests);
}
