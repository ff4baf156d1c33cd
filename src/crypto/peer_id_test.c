/* Peer ids: the vectors of the specs in every text form, and what is refused. */
#include "base/test.h"

#include <tern/error.h>
#include <tern/peer_id.h>

static const struct vector {
    const char *name, *multihash, *base58, *base36, *base32;
} vectors[] = {
    {"ed25519", "0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq",
     "k51qzi5uqu5dgy8qsq67hbz73jqkw87l3fgf4a91qb0d9b5173tir7n4vxk1oe",
     "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6"},
    {"secp256k1", "002508021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99",
     "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY",
     "kzwfwjn5ji4put13uvtwtc7azzwk42cq2o8ctfnxa6q8n90e72o3pjqbrp3lpcp",
     "bafzaajiiaijcca3xo7uzjzcsyilaj6i54cj44qk7kqzpoao5rti2pjx6udtdbp6kte"},
    {"ecdsa", "122068362c312e155f4f7290b67f5cd094a22a0a4fbf20efd8c287934419350d36f7",
     "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk",
     "k2k4r8m0iploq6r25jp915xawtnx0qdr0je62jws2kki6votbj5191x3",
     "bafzbeidigywdclqvl5hxfefwp5onbffcfife7pza57mmfb4tiqmtkdjw64"},
    {"rsa", "1220b6c8a8c0a3105fc27afca4fb1173791f038e4343fd56b7c67b616dbc30a04ccd",
     "QmaeANgBs1DTSxWSrPPtobgQuxW8XTfsS4ydbK4rCHzqxG",
     "k2k4r8nz0pc9sm08wgacijx1ic8vxy9e2770otjszhz1nodfs0brtvpp",
     "bafzbeifwzcumbiyql7bhv7fe7mixg6i7aohegq75k234m63bnw6dbicmzu"},
};

static void text_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const struct vector *v = &vectors[i];
        uint8_t mh[64];
        char out[TERN_PEER_ID_TEXT];
        tern_peer_id id, parsed;
        size_t n = tern_test_unhex(mh, sizeof mh, v->multihash);
        assert_int_equal(tern_peer_id_from_bytes(&id, mh, n), 0);
        assert_int_equal(id.len, n);
        assert_memory_equal(id.bytes, mh, n);
        assert_string_equal(tern_peer_id_text(&id, out), v->base58);
        assert_string_equal(tern_peer_id_text_base36(&id, out), v->base36);
        assert_string_equal(tern_peer_id_text_base32(&id, out), v->base32);
        const char *const texts[] = {v->base58, v->base36, v->base32};
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(tern_peer_id_parse(&parsed, texts[k]), 0);
            assert_true(tern_peer_id_equal(&parsed, &id));
        }
    }
}

static void same_id_in_two_texts(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
         "bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe"},
        {"12D3KooWATZi2wFwQxQ14Z3q24TDNWKap6f8W5ryLE6Da4RMfsxy",
         "k51qzi5uqu5dgf513xbrfjl4smgo2eh1x8p8y6grzsf1oz0reiy56p65tds3s6"},
        {"12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB",
         "k51qzi5uqu5dg9ufswxt229ntzdy7p4125xzv5rtyjso89ajdujg6csfxcj260"},
        {"12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB",
         "f0172002408011220"
         "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"},
    };
    tern_peer_id a, b;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        assert_int_equal(tern_peer_id_parse(&a, pairs[i][0]), 0);
        assert_int_equal(tern_peer_id_parse(&b, pairs[i][1]), 0);
        assert_true(tern_peer_id_equal(&a, &b));
    }
}

#define SHA "68362c312e155f4f7290b67f5cd094a22a0a4fbf20efd8c287934419350d36f7"
#define KEY "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"

static const struct bad_bytes {
    const char *name, *hex;
    int code;
} bad_bytes[] = {
    {"nothing", "", TERN_E_MALFORMED},
    {"a code alone", "12", TERN_E_MALFORMED},
    {"identity of nothing", "0000", TERN_E_MALFORMED},
    {"identity cut short", "002408011220", TERN_E_MALFORMED},
    {"identity with a byte more", "0024" KEY "00", TERN_E_MALFORMED},
    {"identity of 43 bytes",
     "002b0801122000000000000000000000000000000000000000000000000000000000000000000000000000",
     TERN_E_MALFORMED},
    {"padded code", "8000" SHA, TERN_E_MALFORMED},
    {"padded length", "12a000" SHA, TERN_E_MALFORMED},
    {"length of nine bytes and more", "12ffffffffffffffffffff" SHA, TERN_E_MALFORMED},
    {"length 2^62", "00808080808080808040", TERN_E_MALFORMED},
    {"sha2-256 of 31 bytes", "121f362c312e155f4f7290b67f5cd094a22a0a4fbf20efd8c287934419350d36f7",
     TERN_E_MALFORMED},
    {"sha2-256 of 33 bytes", "122100" SHA, TERN_E_MALFORMED},
    {"sha2-256 with a byte more", "1220" SHA "00", TERN_E_MALFORMED},
    {"sha2-512", "1340" SHA SHA, TERN_E_UNSUPPORTED},
    {"sha1", "11141ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c", TERN_E_UNSUPPORTED},
    {"a code of two bytes", "a0e40220" SHA, TERN_E_UNSUPPORTED},
};

static void bytes_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_bytes / sizeof bad_bytes[0]; i++) {
        uint8_t bytes[128];
        tern_peer_id id = {.len = 99};
        size_t n = tern_test_unhex(bytes, sizeof bytes, bad_bytes[i].hex);
        int code = tern_peer_id_from_bytes(&id, bytes, n);
        if (code != bad_bytes[i].code || id.len != 99) {
            fail_msg("%s: %d", bad_bytes[i].name, code);
        }
    }
}

static const struct bad_text {
    const char *name, *text;
    int code;
} bad_texts[] = {
    {"nothing", "", TERN_E_MALFORMED},
    {"a base alone", "k", TERN_E_MALFORMED},
    {"a wrong letter", "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeS0", TERN_E_MALFORMED},
    {"cut short", "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeS", TERN_E_MALFORMED},
    {"a letter more, another number", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5NN",
     TERN_E_UNSUPPORTED},
    {"only ones", "1111111111", TERN_E_MALFORMED},
    {"a space before", " QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", TERN_E_UNSUPPORTED},
    {"a space after", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N ", TERN_E_MALFORMED},
    {"an unknown base", "?afzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe",
     TERN_E_UNSUPPORTED},
    {"CID version 2", "f02721220" SHA, TERN_E_UNSUPPORTED},
    {"CID of raw bytes", "f01551220" SHA, TERN_E_UNSUPPORTED},
    {"CID of another hash", "f01721340" SHA SHA, TERN_E_MALFORMED},
    {"CID of sha1", "f017211141ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c", TERN_E_UNSUPPORTED},
    {"CID without a hash", "f0172", TERN_E_MALFORMED},
    {"CID with a byte more", "f01721220" SHA "00", TERN_E_MALFORMED},
    {"a multihash in multibase", "f1220" SHA, TERN_E_UNSUPPORTED},
    {"129 characters",
     "11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111"
     "1111111111111111111111111111111111111",
     TERN_E_MALFORMED},
};

static void text_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_texts / sizeof bad_texts[0]; i++) {
        tern_peer_id id = {.len = 99};
        int code = tern_peer_id_parse(&id, bad_texts[i].text);
        if (code != bad_texts[i].code || id.len != 99) {
            fail_msg("%s: %d", bad_texts[i].name, code);
        }
    }
}

static void no_id(void **state)
{
    (void)state;
    const tern_peer_id none = {0};
    tern_peer_id id;
    char out[TERN_PEER_ID_TEXT] = "x";
    assert_string_equal(tern_peer_id_text(&none, out), "");
    assert_string_equal(tern_peer_id_text_base36(&none, out), "");
    assert_string_equal(tern_peer_id_text_base32(&none, out), "");
    assert_int_equal(tern_peer_id_parse(&id, vectors[0].base58), 0);
    assert_false(tern_peer_id_equal(&id, &none));
    assert_true(tern_peer_id_equal(&none, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_forms),    cmocka_unit_test(same_id_in_two_texts),
        cmocka_unit_test(bytes_refused), cmocka_unit_test(text_refused),
        cmocka_unit_test(no_id),
    };
    return TERN_TEST_MAIN(tests);
}
