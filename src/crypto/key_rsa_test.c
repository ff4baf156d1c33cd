/* RSA keys: a pair and a signature made elsewhere, and what a hostile public key may look like. */
#include "base/test.h"

#include "crypto/key.h"

/* Made with Python's cryptography package; the signature is over "tern". */
static const char fixed_private[] =
    "080012a709308204a30201000282010100e2877d5c7b832949d7741cc9d8aa437a8762cb3537f1d7c2dd5be2"
    "bd96995a324ed91df3a86900b8acda9a473f598f0a9564556ff8a281ca8ad349d615cf39401c165d54f09695"
    "8d0ce98c07cd390b3b75eead09fa65ddce040f63c3dc2cb538545bd1b3755277e52dd0c4769e6127d36f6274"
    "da04081e37851019425edbda23151ede4921cf15f360af6499cca45179225675c1ed632a0e3446d7ae29d401"
    "2d14a63cb4fa735fcb56eb7aaecd2ca7d31c1989734c30f4778229e870b87da94d03501cee6fc045154c9dba"
    "66be195d73b463d4ba40146ebcfe9a3c82a3d594d9f38ccf6de38c835a19e1aab46c227403eecb2ad37e8ce0"
    "48b23f9ed7ecc07b6b02030100010282010047d5bc70cbf0237339a22610f226c8203e779b4624980a1a4ed4"
    "f919b2fcad681fade53c23cf2c7de3beacc6e43573d160df80e2719fa2f606410b7c9accec744293eb03e909"
    "6fa25b9262280531ce388c64e435b254845a74da2682713b323a8b31d4d58a625d07ed97f2fd44ab3d946491"
    "7dc9b71695f2783d4b2d4b647f8f20c2851b3510f57e226ec2b748ec3a2b043a80879e2c17585228e893489c"
    "42a0c47a4e4e612342023cbc4a6e4466127c47ed1f2e2e1813dafd779e9dfa8c4ebddd086c4818d3a39ddfea"
    "78dbed87f2baad36765c82fe8c27baef8a8ebf05ccaa912194645ecebcd02d2195c47103a1e956456f6fadfa"
    "66fe287ea26e3b55db2102818100f299cba266d870dc637c265b46936319875b9d0b3d6bb7118859ccf64bdb"
    "31e0ffe2a2524bafa889733689bda18bab898ca0f635aa20c0415efaee6fb50e570d5160774cb8eebddda6dd"
    "8020de28699bb8731e8d1826af93a533a138be88c5ebb7e1eab509cb6c64d90244187e09025b792a95fcd871"
    "bd65048e8bab5eb8e12102818100ef0a7454a72a9227e25ab09c5484406d5c1a24becf02fdb07bfe5a1ca51c"
    "7947a532d35137637787aca6a1b7c07d063c697892e789edd65289f535c3882ed9e6382fe4e40d3b9e3eed52"
    "183bb5233368d3a3da29f612154933dd45cdd09fa519a1d02fa28bda81aa0bd3f0ab677c9c84e38b497e60f3"
    "909c98e85415ef81ef0b0281807c50c11fbc51e72b983333388ca6d41e6dd54d5948251d4f77ae84b02558f2"
    "6b58d49ad74eff797ecdb241cd11ae0fbdd1795e114bd7b28d0d0dcb0725216f0c5d09f0b838ffe5fd621799"
    "23be93b8e25a176bad6395d75cf247cdb2d538232bd2338b612fdeb4f1cc9e33a4d558ea835348b64935e4ba"
    "e7bbf90bab4a43b4e1028180725d6318d93dc1dd792b8091dad1c76d4b026b102b44b81146d183556f1d775c"
    "f2c9a55697146caca9cab35691ae7f5c49edd90313f78971c5f55e7aa55e1cfc4b6786b02130a3de6176c487"
    "547b79ee2e4b97663a079ecd7e15e07ebed09291f7dbfdde5be0f7e65e70511600961ae06d6947894263658d"
    "b68e792461899dcf02818100cb8c798a52fa955890793a3728f7bcc974b0d6450e863c00a8405fc63f4aef0f"
    "4ad6e9dabed55e1990af3c5015cf84a1aa8999c580b5d368274ae3c0beded58da0ea7f6b44e75492a625bc91"
    "fa97ad717a8b718735bd1cee38aae4e77be2e5f4f67172bbc552e2f70dc17fd8482ecef10ce1bf0a452c5ef8"
    "b71641462c4539f9";
static const char fixed_public[] =
    "080012a60230820122300d06092a864886f70d01010105000382010f003082010a0282010100e2877d5c7b83"
    "2949d7741cc9d8aa437a8762cb3537f1d7c2dd5be2bd96995a324ed91df3a86900b8acda9a473f598f0a9564"
    "556ff8a281ca8ad349d615cf39401c165d54f096958d0ce98c07cd390b3b75eead09fa65ddce040f63c3dc2c"
    "b538545bd1b3755277e52dd0c4769e6127d36f6274da04081e37851019425edbda23151ede4921cf15f360af"
    "6499cca45179225675c1ed632a0e3446d7ae29d4012d14a63cb4fa735fcb56eb7aaecd2ca7d31c1989734c30"
    "f4778229e870b87da94d03501cee6fc045154c9dba66be195d73b463d4ba40146ebcfe9a3c82a3d594d9f38c"
    "cf6de38c835a19e1aab46c227403eecb2ad37e8ce048b23f9ed7ecc07b6b0203010001";
static const char fixed_id[] = "QmbutPuThC6bTomPKMKj16f1eVjxeaBJm67ybPdQ1gU3mD";
static const char fixed_signature[] =
    "82a0a4abb658d234877d9f70834c2f53aaac22acddda09d49d6bf47e207e2a97894636c027af11afb3e4da56"
    "c9b08a0a819901ec030c997f9123e5eee82c94dc4e1beb7ac15c35165b1e9589cbdddfc1ef71068e6b54dc97"
    "379cde5b66c2993c5deb7da32b86d199bc4f9a6d8df77bdc42d879b282f59e6cd93c606325b9f07a4bf9b197"
    "7fa1a3b6387e6b4bd0ebabbee5ef63984936a3b333628c9a492fba390ad6a592148fa2ff9022a0a50ef46ce7"
    "45fed24121457d9ae2937a3016554852e31a088d2fcb663addd4f3148bfabc3b838d1e1767132172baeba2cb"
    "4e18b48fc8c5c633b996541927e770355b2bd0f4378c2c867b1186579b47119e7b07a997";

static void fixed_pair(void **state)
{
    (void)state;
    uint8_t pb[1300], out[1300], sig[256];
    const tern_span tern = {(const uint8_t *)"tern", 4};
    char text[TERN_PEER_ID_TEXT];
    tern_peer_id id;
    tern_key *pair, *key;
    size_t n = tern_test_unhex(pb, sizeof pb, fixed_private);
    assert_int_equal(tern_key_from_private(pb, n, &pair), 0);
    assert_int_equal(tern_key_private(pair, out, sizeof out), n);
    assert_memory_equal(out, pb, n);
    /* A bit of the modulus changed: the halves do not fit. */
    pb[100] ^= 1;
    assert_int_equal(tern_key_from_private(pb, n, &key), TERN_E_MALFORMED);
    pb[100] ^= 1;
    for (size_t k = 0; k < n; k += 7) {
        assert_int_equal(tern_key_from_private(pb, k, &key), TERN_E_MALFORMED);
    }

    n = tern_test_unhex(pb, sizeof pb, fixed_public);
    assert_int_equal(tern_key_from_public(pb, n, &key), 0);
    assert_true(tern_key_equal_public(pair, key));
    tern_key_peer_id(key, &id);
    assert_string_equal(tern_peer_id_text(&id, text), fixed_id);

    n = tern_test_unhex(sig, sizeof sig, fixed_signature);
    assert_int_equal(tern_key_verify(key, &tern, 1, sig, n), 0);
    assert_int_equal(tern_key_sign(pair, &tern, 1, out, sizeof out), n);
    assert_memory_equal(out, sig, n);
    tern_key_unref(pair);
    tern_key_unref(key);
}

/* One public key made to measure. */
struct recipe {
    const char *name;
    size_t bits; /* of the modulus */
    uint64_t exponent;
    int code;
    bool even;           /* modulus */
    bool padded;         /* modulus with a zero byte too many */
    bool negative;       /* modulus without the zero byte it needs */
    uint8_t unused_bits; /* of the BIT STRING */
    uint8_t oid_end;     /* last byte of the algorithm's name, 0 = rsaEncryption */
    bool no_null;        /* algorithm without parameters */
    size_t after_numbers, after_bits, after_all; /* bytes too many */
    int bits_length, whole_length;               /* added to these lengths */
};

static const struct recipe recipes[] = {
    {.name = "2048 bits", .bits = 2048, .exponent = 65537, .code = 0},
    {.name = "8192 bits", .bits = 8192, .exponent = 65537, .code = 0},
    {.name = "exponent 3", .bits = 2048, .exponent = 3, .code = 0},
    {.name = "exponent 2^32 - 1", .bits = 2048, .exponent = 0xffffffff, .code = 0},
    {.name = "2055 bits", .bits = 2055, .exponent = 3, .code = 0},
    {.name = "no modulus", .bits = 0, .exponent = 3, .code = TERN_E_UNSUPPORTED},
    {.name = "512 bits", .bits = 512, .exponent = 3, .code = TERN_E_UNSUPPORTED},
    {.name = "2047 bits", .bits = 2047, .exponent = 3, .code = TERN_E_UNSUPPORTED},
    {.name = "8193 bits", .bits = 8193, .exponent = 3, .code = TERN_E_TOO_LARGE},
    {.name = "16384 bits", .bits = 16384, .exponent = 3, .code = TERN_E_TOO_LARGE},
    {.name = "65000 bits", .bits = 65000, .exponent = 3, .code = TERN_E_TOO_LARGE},
    {.name = "a blob over 8 KiB", .bits = 65536, .exponent = 3, .code = TERN_E_TOO_LARGE},
    {.name = "exponent 0", .bits = 2048, .exponent = 0, .code = TERN_E_MALFORMED},
    {.name = "exponent 1", .bits = 2048, .exponent = 1, .code = TERN_E_MALFORMED},
    {.name = "exponent 2", .bits = 2048, .exponent = 2, .code = TERN_E_MALFORMED},
    {.name = "exponent 65536", .bits = 2048, .exponent = 65536, .code = TERN_E_MALFORMED},
    {.name = "exponent 2^32 + 1", .bits = 2048, .exponent = 0x100000001, .code = TERN_E_TOO_LARGE},
    {.name = "exponent 2^63 + 1",
     .bits = 2048,
     .exponent = 0x8000000000000001,
     .code = TERN_E_TOO_LARGE},
    {.name = "even", .bits = 2048, .exponent = 3, .even = true, .code = TERN_E_MALFORMED},
    {.name = "padded", .bits = 2048, .exponent = 3, .padded = true, .code = TERN_E_MALFORMED},
    {.name = "negative", .bits = 2048, .exponent = 3, .negative = true, .code = TERN_E_MALFORMED},
    {.name = "unused bits",
     .bits = 2048,
     .exponent = 3,
     .unused_bits = 1,
     .code = TERN_E_MALFORMED},
    {.name = "PSS", .bits = 2048, .exponent = 3, .oid_end = 0x0a, .code = TERN_E_MALFORMED},
    {.name = "no NULL", .bits = 2048, .exponent = 3, .no_null = true, .code = TERN_E_MALFORMED},
    {.name = "a third number",
     .bits = 2048,
     .exponent = 3,
     .after_numbers = 3,
     .code = TERN_E_MALFORMED},
    {.name = "bytes in the bits",
     .bits = 2048,
     .exponent = 3,
     .after_bits = 1,
     .code = TERN_E_MALFORMED},
    {.name = "bytes at the end",
     .bits = 2048,
     .exponent = 3,
     .after_all = 1,
     .code = TERN_E_MALFORMED},
    {.name = "bits too long",
     .bits = 2048,
     .exponent = 3,
     .bits_length = 1,
     .code = TERN_E_MALFORMED},
    {.name = "bits too short",
     .bits = 2048,
     .exponent = 3,
     .bits_length = -1,
     .code = TERN_E_MALFORMED},
    {.name = "all too long",
     .bits = 2048,
     .exponent = 3,
     .whole_length = 1,
     .code = TERN_E_MALFORMED},
    {.name = "all far too long",
     .bits = 2048,
     .exponent = 3,
     .whole_length = 30000,
     .code = TERN_E_MALFORMED},
};

/* Puts tag and length before the n bytes at *p, which moves down. */
static size_t wrap(uint8_t **p, uint8_t tag, size_t n, int wrong)
{
    size_t said = (size_t)((int)n + wrong), before = n;
    *p -= said < 0x80 ? 2 : said < 0x100 ? 3 : 4;
    (*p)[0] = tag;
    if (said < 0x80) {
        (*p)[1] = (uint8_t)said;
        return before + 2;
    }
    (*p)[1] = said < 0x100 ? 0x81 : 0x82;
    if (said < 0x100) {
        (*p)[2] = (uint8_t)said;
        return before + 3;
    }
    tern_put16(*p + 2, (uint16_t)said);
    return before + 4;
}

static size_t put_exponent(uint8_t **p, uint64_t e)
{
    size_t n = 0;
    do {
        *--*p = (uint8_t)e;
        n++;
        e >>= 8;
    } while (e != 0);
    if ((**p & 0x80) != 0) {
        *--*p = 0;
        n++;
    }
    return wrap(p, 0x02, n, 0);
}

/* A modulus of ones, from its last byte to its first. */
static size_t put_modulus(uint8_t **p, const struct recipe *r)
{
    size_t n = (r->bits + 7) / 8;
    *p -= n;
    memset(*p, 0xff, n);
    if (n > 0) {
        **p = (uint8_t)(0xff >> (n * 8 - r->bits));
        (*p)[n - 1] = r->even ? 0xfe : 0xff;
    }
    if (n == 0 || ((**p & 0x80) != 0 && !r->negative)) {
        *--*p = 0;
        n++;
    }
    if (r->padded) {
        *--*p = 0;
        n++;
    }
    return wrap(p, 0x02, n, 0);
}

/* Writes the PublicKey backwards from `end`; returns its first byte. */
static uint8_t *cook(const struct recipe *r, uint8_t *end)
{
    static const uint8_t algorithm[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                        0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    static const uint8_t third[] = {0x02, 0x01, 0x03};
    uint8_t *p = end - r->after_all;
    memset(p, 0, r->after_all);
    p -= r->after_bits;
    memset(p, 0, r->after_bits);
    p -= r->after_numbers;
    memcpy(p, third, r->after_numbers);
    size_t n = r->after_numbers;
    n += put_exponent(&p, r->exponent);
    n += put_modulus(&p, r);
    n = wrap(&p, 0x30, n, 0) + r->after_bits;
    *--p = r->unused_bits;
    n = wrap(&p, 0x03, n + 1, r->bits_length);
    size_t algorithm_n = r->no_null ? sizeof algorithm - 2 : sizeof algorithm;
    p -= algorithm_n;
    memcpy(p, algorithm, algorithm_n);
    if (r->oid_end != 0) {
        p[10] = r->oid_end;
    }
    n += wrap(&p, 0x30, algorithm_n, 0);
    n = wrap(&p, 0x30, n, r->whole_length) + r->after_all;
    /* The protobuf around it; the length always takes two bytes or, padded, three. */
    p -= 6;
    const uint8_t head[] = {
        0x08, 0x00, 0x12, (uint8_t)(n | 0x80), (uint8_t)(n >> 7 | 0x80), (uint8_t)(n >> 14)};
    memcpy(p, head, sizeof head);
    return p;
}

static void measured_keys(void **state)
{
    (void)state;
    static uint8_t room[9000];
    static const uint8_t sig[1024] = {1};
    const tern_span m = {(const uint8_t *)"m", 1};
    for (size_t i = 0; i < sizeof recipes / sizeof recipes[0]; i++) {
        tern_key *key = NULL;
        uint8_t *pb = cook(&recipes[i], room + sizeof room);
        size_t n = (size_t)(room + sizeof room - pb);
        int code = tern_key_from_public(pb, n, &key);
        if (code != recipes[i].code || (key != NULL) != (code == 0)) {
            fail_msg("%s: %d", recipes[i].name, code);
        }
        if (key != NULL) {
            assert_int_equal(tern_key_verify(key, &m, 1, sig, sizeof sig), TERN_E_SIGNATURE);
            assert_int_equal(tern_key_verify(key, &m, 1, sig, 256), TERN_E_SIGNATURE);
            tern_key_unref(key);
        }
    }
}

/* Every prefix of a good key. */
static void cut_keys(void **state)
{
    (void)state;
    uint8_t pb[300];
    tern_key *key;
    size_t n = tern_test_unhex(pb, sizeof pb, fixed_public);
    for (size_t k = 0; k < n; k++) {
        assert_int_equal(tern_key_from_public(pb, k, &key), TERN_E_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_pair),
        cmocka_unit_test(measured_keys),
        cmocka_unit_test(cut_keys),
    };
    return TERN_TEST_MAIN(tests);
}
