/* Noise without I/O: published and own vectors, whole handshakes in any pieces, what both sides
 * agree on. Hostile handshakes are in noise_forgery_test.c. */
#include "suite/noise_side.h"

static tern_span hex_span(uint8_t *room, size_t cap, const char *hex)
{
    return (tern_span){room, tern_test_unhex(room, cap, hex)};
}

static void assert_hex(const uint8_t *p, size_t n, const char *hex)
{
    uint8_t expected[1024];
    assert_int_equal(n, tern_test_unhex(expected, sizeof expected, hex));
    assert_memory_equal(p, expected, n);
}

/* ---- vectors ---- */

typedef struct vector {
    const char *prologue, *static_i, *ephemeral_i, *static_r, *ephemeral_r;
    const char *payloads[3], *messages[3];
    const char *hash;
    struct {
        bool from_initiator;
        const char *plain, *sealed;
    } transport[3];
} vector;

/* The public cacophony set, Noise_XX_25519_ChaChaPoly_SHA256. */
static const vector cacophony = {
    .prologue = "4a6f686e2047616c74",
    .static_i = "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
    .ephemeral_i = "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
    .static_r = "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
    .ephemeral_r = "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
    .payloads = {"4c756477696720766f6e204d69736573", "4d757272617920526f746862617264",
                 "462e20412e20486179656b"},
    .messages =
        {
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944"
            "4c756477696720766f6e204d69736573",
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843"
            "81cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a5a8639392490e5b9"
            "bd5269c2f1e4f488ed8831161f19b7815528f8982ffe09be9b5c412f8a0db50f"
            "8814c7194e83f23dbd8d162c9326ad",
            "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a8"
            "0ae475b9df0f169ae80a89be0865b57f58c9fea0d4ec82a286427402f113e4b6"
            "ae769a1d95941d49b25030",
        },
    .hash = "c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e",
    .transport =
        {
            {false, "4361726c204d656e676572",
             "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df"},
            {true, "4a65616e2d426170746973746520536179",
             "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5"},
            {false, "457567656e2042f6686d20766f6e2042617765726b",
             "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae3f"},
        },
};

/* A complete libp2p exchange: identities of the fixed seeds, both sides offer yamux. */
static const vector libp2p = {
    .prologue = "",
    .static_i = "1111111111111111111111111111111111111111111111111111111111111111",
    .ephemeral_i = "2222222222222222222222222222222222222222222222222222222222222222",
    .static_r = "3333333333333333333333333333333333333333333333333333333333333333",
    .ephemeral_r = "4444444444444444444444444444444444444444444444444444444444444444",
    .payloads =
        {
            "",
            "0a240801122029acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794"
            "bc9322966dd71240227aedf280b53bf3d503ef258a296a8ccd5b15ea6d1bf3e0"
            "075831d6abb566f1382de6c0ff79af9d44baddb0a79a3da55a87b1cffcb444c3"
            "abe206cbdf36f906220e120c2f79616d75782f312e302e30",
            "0a240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc"
            "8664125531b812404695b9061d4513c39d09742ba3d1d3afa851b3996f5dcc9f"
            "5dd8c80975f25b050aed2961f3f16c14392ebf4fc5c8da3354182a5afc4577fa"
            "a66c2b21f794190e220e120c2f79616d75782f312e302e30",
        },
    .messages =
        {
            "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20",
            "ff2ee45601ec1b67310c7790404585ae697331eee1c1f8cf2419731c1fff3e6b"
            "5cda1c2d8029877d73fad62823946ccd0c5da35c129100f43d33a59cf19ea8fc"
            "dcc0e3e57a6099ef8d8c471633442810f7b53910cdb5387961017d6f71ec6ccf"
            "66f49c07777fa311a3a71e6622df2e1c8ce94aa85c086d6c035b279355b1ac98"
            "705df65c334cbb6ecba25c859270c261b61289d7cd5f6edc15c4d8ccb0bdcb85"
            "42ab2e7ccef82173c4363c6d29e8e452978e32b8da004c57e02de5f6ec38d2fe"
            "ae8b1261809b01684008dfbca524fdaaeae274725d3a1c2c",
            "f4e4988e97bdcbf0f799d02dd2242624bda72d200e97e322c4f723213896a31e"
            "a30a49b49e7e7d33a93dd4c9af6d9d6ef12958cf4fae2eac93850f01b8dc66f7"
            "f3fef960d8c9582b6b95092bd956f42baeb968828f5aaff5e0b57f7903ddc416"
            "e9bf776be3c8a7b11cf804f33bfd6528bed132ac7227c1bb5fd7c7ff5628f0e7"
            "80f42fd391a080957393ef76bb4ecb09980f5292df89f9e0cb53c556766e9dbd"
            "b180b847a167b49f56fe75e6da478c8e0db95b8b4ee76862",
        },
    .hash = "31348edc54ffab68614511539be0365ef5aff179b726113a35e8523ca3a3c89f",
    .transport = {{true, "70696e67", "572fd6c78f344ddaf4d3f41bbebc2f8b9c1e48a5"}},
};

static void core_of(tern_noise_core *c, bool initiator, const vector *v)
{
    uint8_t prologue[64], s[32], e[32];
    tern_test_unhex(s, sizeof s, initiator ? v->static_i : v->static_r);
    tern_test_unhex(e, sizeof e, initiator ? v->ephemeral_i : v->ephemeral_r);
    tern_x25519_pair pair = pair_of(s), ephemeral = pair_of(e);
    tern_span before = hex_span(prologue, sizeof prologue, v->prologue);
    assert_int_equal(tern_noise_core_init(c, initiator, before, &pair, &ephemeral), 0);
}

static void check_transport(const vector *v, tern_noise_cipher send[2], tern_noise_cipher recv[2])
{
    for (size_t i = 0; i < 3 && v->transport[i].plain != NULL; i++) {
        uint8_t room[64], sealed[64 + 16];
        tern_span plain = hex_span(room, sizeof room, v->transport[i].plain);
        int from = v->transport[i].from_initiator ? 0 : 1;
        assert_int_equal(tern_noise_seal(&send[from], nothing, &plain, 1, sealed), 0);
        assert_hex(sealed, plain.len + 16, v->transport[i].sealed);
        assert_int_equal(tern_noise_open(&recv[1 - from], nothing, sealed, plain.len + 16), 0);
        assert_memory_equal(sealed, plain.data, plain.len);
    }
}

static void check_vector(const vector *v)
{
    tern_noise_core core[2];
    tern_noise_cipher send[2], recv[2];
    core_of(&core[0], true, v);
    core_of(&core[1], false, v);

    for (int m = 0; m < 3; m++) {
        uint8_t room[512];
        tern_buf out;
        tern_span payload = hex_span(room, sizeof room, v->payloads[m]), got;
        tern_buf_init(&out, 0);
        assert_true(tern_noise_core_writes(&core[m % 2]));
        assert_false(tern_noise_core_writes(&core[1 - m % 2]));
        assert_int_equal(tern_noise_core_write(&core[m % 2], payload, &out), 0);
        assert_hex(tern_buf_data(&out), tern_buf_len(&out), v->messages[m]);
        assert_int_equal(
            tern_noise_core_read(&core[1 - m % 2], tern_buf_data(&out), tern_buf_len(&out), &got),
            0);
        assert_hex(got.data, got.len, v->payloads[m]);
        tern_buf_free(&out);
    }
    for (int i = 0; i < 2; i++) {
        assert_hex(core[i].h, 32, v->hash);
        assert_int_equal(tern_noise_core_split(&core[i], &send[i], &recv[i]), 0);
    }
    check_transport(v, send, recv);
    for (int i = 0; i < 2; i++) {
        tern_noise_core_clear(&core[i]);
        tern_noise_cipher_clear(&send[i]);
        tern_noise_cipher_clear(&recv[i]);
    }
}

static void vector_cacophony(void **state)
{
    (void)state;
    check_vector(&cacophony);
}

static void vector_libp2p(void **state)
{
    (void)state;
    check_vector(&libp2p);
}

/* ---- whole handshakes ---- */

static void assert_frame(const tern_buf *out, const char *hex)
{
    size_t n = strlen(hex) / 2;
    assert_int_equal(tern_buf_len(out), 2 + n);
    assert_int_equal(tern_get16(tern_buf_data(out)), n);
    assert_hex(tern_buf_data(out) + 2, n, hex);
}

static void handshake_in_chunks(size_t chunk)
{
    side i, r;
    side_start(&i, true, (tern_noise_config){.muxers = yamux_only});
    side_start(&r, false, (tern_noise_config){.muxers = yamux_only});
    assert_frame(&i.h.out, libp2p.messages[0]);
    assert_int_equal(carry(&i, &r, chunk), 0);
    assert_frame(&r.h.out, libp2p.messages[1]);
    assert_int_equal(carry(&r, &i, chunk), 1);
    assert_frame(&i.h.out, libp2p.messages[2]);
    assert_int_equal(carry(&i, &r, chunk), 1);

    assert_true(tern_key_equal_public(i.h.key, r.key));
    assert_true(tern_key_equal_public(r.h.key, i.key));
    assert_string_equal(i.h.muxer, YAMUX);
    assert_string_equal(r.h.muxer, YAMUX);
    check_transport(&libp2p, (tern_noise_cipher[]){i.h.send, r.h.send},
                    (tern_noise_cipher[]){i.h.recv, r.h.recv});
    side_clear(&i);
    side_clear(&r);
}

static void handshake_whole(void **state)
{
    (void)state;
    handshake_in_chunks(SIZE_MAX);
}

static void handshake_in_pieces(void **state)
{
    (void)state;
    for (size_t chunk = 1; chunk < 40; chunk++) {
        handshake_in_chunks(chunk);
    }
}

/* Bytes behind the last message are not the handshake's. */
static void data_behind_m3(void **state)
{
    (void)state;
    side i, r;
    uint8_t bytes[1024];
    size_t used;
    side_start(&i, true, (tern_noise_config){0});
    side_start(&r, false, (tern_noise_config){0});
    carry(&i, &r, SIZE_MAX);
    carry(&r, &i, SIZE_MAX);
    size_t n = tern_buf_len(&i.h.out);
    memcpy(bytes, tern_buf_data(&i.h.out), n);
    memset(bytes + n, 0xff, 5);
    assert_int_equal(tern_noise_handshake_feed(&r.h, bytes, n + 5, &used), 1);
    assert_int_equal(used, n);
    side_clear(&i);
    side_clear(&r);
}

static void certhashes_travel(void **state)
{
    (void)state;
    side i, r;
    const tern_span hashes[] = {{(const uint8_t *)"\x12\x02zz", 4}, {(const uint8_t *)"q", 1}};
    side_start(&i, true, (tern_noise_config){0});
    side_start(&r, false, (tern_noise_config){.certhashes = hashes, .certhash_count = 2});
    carry(&i, &r, SIZE_MAX);
    assert_int_equal(carry(&r, &i, SIZE_MAX), 1);
    assert_int_equal(carry(&i, &r, SIZE_MAX), 1);
    assert_hex(tern_buf_data(&i.h.certhashes), tern_buf_len(&i.h.certhashes), "0412027a7a0171");
    assert_int_equal(tern_buf_len(&r.h.certhashes), 0);
    assert_null(i.h.muxer);
    assert_null(r.h.muxer);
    side_clear(&i);
    side_clear(&r);
}

static void prologues_must_agree(void **state)
{
    (void)state;
    side i, r;
    const tern_span a = {(const uint8_t *)"libp2p-webrtc-noise:a", 21};
    const tern_span b = {(const uint8_t *)"libp2p-webrtc-noise:b", 21};
    side_start(&i, true, (tern_noise_config){.prologue = a});
    side_start(&r, false, (tern_noise_config){.prologue = b});
    assert_int_equal(carry(&i, &r, SIZE_MAX), 0);
    assert_int_equal(carry(&r, &i, SIZE_MAX), TERN_E_CRYPTO);
    assert_int_equal(i.counters.noise_decrypt, 1);
    side_clear(&i);
    side_clear(&r);
}

static void expected_peer(void **state)
{
    (void)state;
    for (int wrong = 0; wrong < 4; wrong++) { /* bit 0: the initiator expects another, bit 1: ... */
        side i, r;
        tern_peer_id key1, key2;
        tern_key *k1 = key_of(KEY1), *k2 = key_of(KEY2);
        tern_key_peer_id(k1, &key1);
        tern_key_peer_id(k2, &key2);
        side_start(&i, true, (tern_noise_config){.expected = wrong & 1 ? key1 : key2});
        side_start(&r, false, (tern_noise_config){.expected = wrong & 2 ? key2 : key1});
        carry(&i, &r, SIZE_MAX);
        assert_int_equal(carry(&r, &i, SIZE_MAX), wrong & 1 ? TERN_E_PEER_ID : 1);
        if (wrong & 1) {
            assert_int_equal(tern_buf_len(&i.h.out), 0); /* m3 would tell a stranger who we are */
            assert_int_equal(i.counters.noise_wrong_peer, 1);
            assert_non_null(strstr(i.h.error.text, "12D3KooWCd3eX8r5ihRvzK7P1yPq5aakaBJhG5GNj18"));
        } else {
            assert_int_equal(carry(&i, &r, SIZE_MAX), wrong & 2 ? TERN_E_PEER_ID : 1);
        }
        side_clear(&i);
        side_clear(&r);
        tern_key_unref(k1);
        tern_key_unref(k2);
    }
}

/* ---- proofs that come again ---- */

/* A proof is looked up whole: the same signature under another key or over another static key is
 * verified, and refused. What failed is not remembered. */
static void proofs_are_remembered(void **state)
{
    (void)state;
    uint64_t hits = 0;
    tern_known known = {.hits = &hits};
    tern_key *signer = key_of(KEY1), *other = key_of(KEY2), *got;
    uint8_t fixed[2][TERN_X25519] = {{9}, {10}}, signature[64];
    tern_buf text, strange;
    tern_noise_payload p;

    tern_buf_init(&text, 0);
    tern_buf_init(&strange, 0);
    assert_int_equal(tern_noise_payload_identity(signer, fixed[0], &text), 0);
    assert_int_equal(tern_noise_payload_identity(other, fixed[0], &strange), 0);
    assert_int_equal(
        tern_noise_payload_read((tern_span){tern_buf_data(&text), tern_buf_len(&text)}, &p), 0);
    for (uint64_t times = 0; times < 3; times++) {
        assert_int_equal(tern_noise_payload_verify(&p, fixed[0], &known, &got), 0);
        assert_int_equal(tern_key_type_of(got), tern_key_type_of(signer));
        tern_key_unref(got);
        assert_int_equal(hits, times);
    }
    assert_int_equal(tern_noise_payload_verify(&p, fixed[0], NULL, &got), 0);
    tern_key_unref(got);
    for (int times = 0; times < 2; times++) {
        tern_noise_payload forged = p, of_other;
        assert_int_equal(tern_noise_payload_verify(&p, fixed[1], &known, &got), TERN_E_SIGNATURE);
        memcpy(signature, p.signature.data, sizeof signature);
        signature[times] ^= 1;
        forged.signature.data = signature;
        assert_int_equal(tern_noise_payload_verify(&forged, fixed[0], &known, &got),
                         TERN_E_SIGNATURE);
        assert_int_equal(
            tern_noise_payload_read((tern_span){tern_buf_data(&strange), tern_buf_len(&strange)},
                                    &of_other),
            0);
        forged.signature = p.signature;
        forged.key = of_other.key;
        assert_int_equal(tern_noise_payload_verify(&forged, fixed[0], &known, &got),
                         TERN_E_SIGNATURE);
    }
    assert_int_equal(hits, 2);
    tern_buf_free(&text);
    tern_buf_free(&strange);
    tern_key_unref(signer);
    tern_key_unref(other);
}

/* ---- the muxer ---- */

static void muxer_choice(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    static const char *const ab[] = {"/a", "/b", NULL};
    static const char *const ba[] = {"/b", "/a", NULL};
    static const char *const cb[] = {"/c", "/b", NULL};
    static const char *const c[] = {"/c", NULL};
    static const struct {
        const char *const *initiator, *const *responder;
        const char *chosen;
    } cases[] = {
        {ab, ab, "/a"}, {ab, ba, "/a"},   {ba, ab, "/b"},   {cb, ab, "/b"},   {ab, cb, "/b"},
        {ab, c, NULL},  {ab, none, NULL}, {none, ab, NULL}, {NULL, ab, NULL}, {NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        side a, b;
        side_start(&a, true, (tern_noise_config){.muxers = cases[i].initiator});
        side_start(&b, false, (tern_noise_config){.muxers = cases[i].responder});
        carry(&a, &b, SIZE_MAX);
        carry(&b, &a, SIZE_MAX);
        assert_int_equal(carry(&a, &b, SIZE_MAX), 1);
        if (cases[i].chosen == NULL) {
            assert_null(a.h.muxer);
            assert_null(b.h.muxer);
        } else {
            assert_string_equal(a.h.muxer, cases[i].chosen);
            assert_string_equal(b.h.muxer, cases[i].chosen);
        }
        side_clear(&a);
        side_clear(&b);
    }
}

/* ---- the rest ---- */

static void nonces_end(void **state)
{
    (void)state;
    uint8_t key[32] = {1}, bytes[20] = {0};
    const tern_span span = {bytes, 4};
    tern_noise_cipher seal = {tern_aead_new(TERN_CHACHA20_POLY1305, key), UINT64_MAX - 1};
    tern_noise_cipher open = {tern_aead_new(TERN_CHACHA20_POLY1305, key), UINT64_MAX - 1};
    assert_int_equal(tern_noise_seal(&seal, nothing, &span, 1, bytes), 0);
    assert_int_equal(tern_noise_open(&open, nothing, bytes, 20), 0);
    assert_int_equal(tern_noise_seal(&seal, nothing, &span, 1, bytes), TERN_E_CRYPTO);
    assert_int_equal(tern_noise_seal(&seal, nothing, &span, 1, bytes), TERN_E_CRYPTO);
    assert_int_equal(tern_noise_open(&open, nothing, bytes, 20), TERN_E_CRYPTO);
    tern_noise_cipher_clear(&seal);
    tern_noise_cipher_clear(&open);
}

static void own_payload_has_a_limit(void **state)
{
    (void)state;
    side x;
    static uint8_t big[TERN_NOISE_HANDSHAKE_MAX];
    const tern_span hash = {big, sizeof big};
    tern_noise_config config = {.certhashes = &hash, .certhash_count = 1};
    side_init(&x, true, &config);
    assert_int_equal(tern_noise_handshake_init(&x.h, &config), TERN_E_TOO_LARGE);
    assert_int_equal(x.h.error.code, TERN_E_TOO_LARGE);
    side_clear(&x);
}

/* Every allocation of a handshake fails in turn: an error, nothing leaks. */
static void short_of_memory(void **state)
{
    (void)state;
    for (size_t at = 1;; at++) {
        side i, r;
        tern_noise_config ci = {.muxers = yamux_only}, cr = {.muxers = yamux_only};
        side_init(&i, true, &ci);
        side_init(&r, false, &cr);
        tern_mem_fail_at(at, 0);
        int e = tern_noise_handshake_init(&i.h, &ci);
        int e2 = tern_noise_handshake_init(&r.h, &cr);
        e = e == 0 ? e2 : e;
        e = e == 0 ? carry(&i, &r, 7) : e;
        e = e == 0 ? carry(&r, &i, 7) : e;
        e = e == 1 ? carry(&i, &r, 7) : e;
        tern_mem_fail_at(0, 0);
        side_clear(&i);
        side_clear(&r);
        if (e == 1) {
            assert_true(at > 10);
            break;
        }
        assert_int_equal(e, TERN_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_cacophony),
        cmocka_unit_test(vector_libp2p),
        cmocka_unit_test(handshake_whole),
        cmocka_unit_test(handshake_in_pieces),
        cmocka_unit_test(data_behind_m3),
        cmocka_unit_test(certhashes_travel),
        cmocka_unit_test(prologues_must_agree),
        cmocka_unit_test(expected_peer),
        cmocka_unit_test(proofs_are_remembered),
        cmocka_unit_test(muxer_choice),
        cmocka_unit_test(nonces_end),
        cmocka_unit_test(own_payload_has_a_limit),
        cmocka_unit_test(short_of_memory),
    };
    return TERN_TEST_MAIN(tests);
}
