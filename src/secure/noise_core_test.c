/* Noise without I/O: published and own vectors, then a forger who plays either side against a
 * handshake and twists one thing at a time. */
#include "base/test.h"
#include "crypto/key.h"
#include "secure/noise_core.h"

#define YAMUX "/yamux/1.0.0"
#define KEY1                                                                                       \
    "08011240000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"                     \
    "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
#define KEY2                                                                                       \
    "08011240202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"                     \
    "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7"

static const char *const yamux_only[] = {YAMUX, NULL};
static const tern_span nothing = {NULL, 0};

static tern_span hex_span(uint8_t *room, size_t cap, const char *hex)
{
    return (tern_span){room, tern_test_unhex(room, cap, hex)};
}

static tern_span buf_span(const tern_buf *b)
{
    return (tern_span){tern_buf_data(b), tern_buf_len(b)};
}

static void assert_hex(const uint8_t *p, size_t n, const char *hex)
{
    uint8_t expected[1024];
    assert_int_equal(n, tern_test_unhex(expected, sizeof expected, hex));
    assert_memory_equal(p, expected, n);
}

static tern_key *key_of(const char *hex)
{
    uint8_t bytes[128];
    tern_key *key;
    size_t n = tern_test_unhex(bytes, sizeof bytes, hex);
    assert_int_equal(tern_key_from_private(bytes, n, &key), 0);
    return key;
}

static tern_noise_pair pair_of(const uint8_t secret[32])
{
    tern_noise_pair pair;
    memcpy(pair.secret, secret, 32);
    assert_int_equal(tern_x25519_public(pair.secret, pair.public), 0);
    return pair;
}

static tern_noise_pair pair_filled(uint8_t byte)
{
    uint8_t secret[32];
    memset(secret, byte, sizeof secret);
    return pair_of(secret);
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
    tern_noise_pair pair = pair_of(s);
    assert_int_equal(tern_noise_core_init(
                         c, initiator, hex_span(prologue, sizeof prologue, v->prologue), &pair, e),
                     0);
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

typedef struct side {
    tern_key *key;
    tern_noise_pair s;
    tern_buf identity;
    tern_counters counters;
    tern_noise_handshake h;
} side;

/* Fills what a test does not want otherwise; the initiator has key 1. */
static void side_init(side *x, bool initiator, tern_noise_config *config)
{
    memset(x, 0, sizeof *x);
    x->key = key_of(initiator ? KEY1 : KEY2);
    x->s = pair_filled(initiator ? 0x11 : 0x33);
    tern_buf_init(&x->identity, 0);
    assert_int_equal(tern_noise_payload_identity(x->key, x->s.public, &x->identity), 0);
    config->initiator = initiator;
    config->s = &x->s;
    memset(config->ephemeral, initiator ? 0x22 : 0x44, 32);
    config->identity = buf_span(&x->identity);
    config->counters = &x->counters;
}

static void side_start(side *x, bool initiator, tern_noise_config config)
{
    side_init(x, initiator, &config);
    assert_int_equal(tern_noise_handshake_init(&x->h, &config), 0);
}

static void side_clear(side *x)
{
    tern_noise_handshake_clear(&x->h);
    tern_buf_free(&x->identity);
    tern_key_unref(x->key);
}

/* Gives `to` all that `from` has to say, `chunk` bytes at a time; the last result. */
static int carry(side *from, side *to, size_t chunk)
{
    int r = 0;
    while (r == 0 && tern_buf_len(&from->h.out) > 0) {
        uint8_t bytes[4096];
        size_t n = tern_buf_len(&from->h.out), used;
        n = n < chunk ? n : chunk;
        memcpy(bytes, tern_buf_data(&from->h.out), n);
        r = tern_noise_handshake_feed(&to->h, bytes, n, &used);
        assert_true(r < 0 || used == n);
        tern_buf_consume(&from->h.out, n);
    }
    return r;
}

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

/* ---- the forger ---- */

typedef struct forgery {
    const char *name;
    void (*payload)(const side *forger, tern_buf *out); /* NULL: an honest one */
    const uint8_t *bad_e, *bad_s;                       /* public keys to show instead */
    void (*twist)(tern_buf *frame);                     /* changes the framed m2 or m3 */
    int code;
    size_t counter; /* offset in tern_counters of the only one that counts; SIZE_MAX = none */
} forgery;

#define COUNTER(name) offsetof(tern_counters, name)

static void assert_only_counter(const tern_counters *c, size_t offset)
{
    uint64_t values[sizeof *c / sizeof(uint64_t)];
    memcpy(values, c, sizeof *c);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_int_equal(values[i], i * sizeof(uint64_t) == offset);
    }
}

/* Puts a frame around the forger's next message. */
static void forge_message(tern_noise_core *core, tern_span payload, tern_buf *frame)
{
    tern_buf_init(frame, 0);
    assert_int_equal(tern_buf_append(frame, "\0\0", 2), 0);
    assert_int_equal(tern_noise_core_write(core, payload, frame), 0);
    tern_put16(tern_buf_data(frame), (uint16_t)(tern_buf_len(frame) - 2));
}

/* Feeds a frame in one piece; returns the handshake's answer. */
static int give(side *victim, tern_buf *frame)
{
    size_t used;
    int r = tern_noise_handshake_feed(&victim->h, tern_buf_data(frame), tern_buf_len(frame), &used);
    tern_buf_free(frame);
    return r;
}

/* The forger reads what the victim wrote. */
static void overhear(tern_noise_core *forger, side *victim)
{
    tern_span payload;
    tern_buf *out = &victim->h.out;
    assert_int_equal(
        tern_noise_core_read(forger, tern_buf_data(out) + 2, tern_buf_len(out) - 2, &payload), 0);
    tern_buf_consume(out, tern_buf_len(out));
}

/* Runs one forgery against a victim of either role; the victim's last answer. */
static int forge(side *victim, bool victim_initiates, const forgery *f)
{
    side forger;
    tern_noise_config unused = {0};
    tern_noise_core core;
    tern_buf payload, frame;
    int r = 0;

    side_init(&forger, !victim_initiates, &unused);
    side_start(victim, victim_initiates, (tern_noise_config){.muxers = yamux_only});
    assert_int_equal(
        tern_noise_core_init(&core, !victim_initiates, nothing, &forger.s, unused.ephemeral), 0);
    if (f->bad_e != NULL) {
        memcpy(core.e.public, f->bad_e, 32);
    }
    if (f->bad_s != NULL) {
        memcpy(core.s.public, f->bad_s, 32);
    }
    tern_buf_init(&payload, 0);
    if (f->payload != NULL) {
        f->payload(&forger, &payload);
    } else {
        assert_int_equal(tern_buf_append(&payload, tern_buf_data(&forger.identity),
                                         tern_buf_len(&forger.identity)),
                         0);
    }
    if (victim_initiates) {
        overhear(&core, victim);
    } else {
        forge_message(&core, nothing, &frame);
        r = give(victim, &frame);
        if (r == 0) {
            overhear(&core, victim);
        }
    }
    if (r == 0) {
        forge_message(&core, buf_span(&payload), &frame);
        if (f->twist != NULL) {
            f->twist(&frame);
        }
        r = give(victim, &frame);
    }
    tern_buf_free(&payload);
    tern_noise_core_clear(&core);
    tern_buf_free(&forger.identity);
    tern_key_unref(forger.key);
    return r;
}

static void put_field(tern_buf *out, uint8_t tag, const void *p, size_t n)
{
    uint8_t head[3] = {tag, (uint8_t)(n | 0x80), (uint8_t)(n >> 7)}; /* a padded varint */
    assert_int_equal(tern_buf_append(out, head, 3), 0);
    assert_int_equal(tern_buf_append(out, p, n), 0);
}

static void honest(const side *x, tern_buf *out)
{
    tern_buf_append(out, tern_buf_data(&x->identity), tern_buf_len(&x->identity));
}

static void wrong_signature(const side *x, tern_buf *out)
{
    honest(x, out);
    tern_buf_data(out)[tern_buf_len(out) - 1] ^= 1;
}

static void signature_of_other_key(const side *x, tern_buf *out)
{
    tern_noise_pair other = pair_filled(0x77);
    assert_int_equal(tern_noise_payload_identity(x->key, other.public, out), 0);
}

static void other_identity(const side *x, tern_buf *out) /* somebody else's key, our signature */
{
    tern_key *key;
    size_t n;
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &key), 0);
    honest(x, out);
    memcpy(tern_buf_data(out) + 2, tern_key_public(key, &n), 36);
    tern_key_unref(key);
}

static void no_signature(const side *x, tern_buf *out)
{
    size_t n;
    const uint8_t *key = tern_key_public(x->key, &n);
    put_field(out, 0x0a, key, n);
}

static void no_key(const side *x, tern_buf *out)
{
    (void)x;
    put_field(out, 0x12, "signature", 9);
}

static void empty_payload(const side *x, tern_buf *out)
{
    (void)x;
    (void)out;
}

static void garbage_payload(const side *x, tern_buf *out)
{
    (void)x;
    tern_buf_append(out, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
}

static void short_payload(const side *x, tern_buf *out)
{
    honest(x, out);
    tern_buf_append(out, "\x22\x05\x12", 3);
}

static void key_of_wrong_type(const side *x, tern_buf *out) /* a varint where bytes belong */
{
    (void)x;
    tern_buf_append(out, "\x08\x01", 2);
}

static void garbage_key(const side *x, tern_buf *out)
{
    (void)x;
    put_field(out, 0x0a, "\x08\x01\x12\x03\x01\x02\x03", 7);
}

static void unknown_key_type(const side *x, tern_buf *out)
{
    (void)x;
    put_field(out, 0x0a, "\x08\x09\x12\x03\x01\x02\x03", 7);
}

static void garbage_extensions(const side *x, tern_buf *out)
{
    honest(x, out);
    put_field(out, 0x22, "\x12\x7f/yamux", 8);
}

static void many_entries(const side *x, tern_buf *out, uint8_t tag)
{
    uint8_t list[3 * (TERN_NOISE_ENTRIES_MAX + 1)];
    for (size_t i = 0; i < sizeof list; i += 3) {
        memcpy(list + i, (const uint8_t[]){tag, 1, 'm'}, 3);
    }
    honest(x, out);
    put_field(out, 0x22, list, sizeof list);
}

static void too_many_muxers(const side *x, tern_buf *out)
{
    many_entries(x, out, 0x12);
}

static void too_many_certhashes(const side *x, tern_buf *out)
{
    many_entries(x, out, 0x0a);
}

static void too_long_muxer(const side *x, tern_buf *out)
{
    uint8_t list[3 + TERN_NOISE_ENTRY_MAX + 1] = {0x12, 0x81, 0x02};
    honest(x, out);
    put_field(out, 0x22, list, sizeof list);
}

static void cut_to_nothing(tern_buf *frame)
{
    tern_put16(tern_buf_data(frame), 0);
    frame->len = 2;
}

static void cut_inside_static(tern_buf *frame)
{
    tern_put16(tern_buf_data(frame), 40);
    frame->len = 42;
}

static void cut_tag(tern_buf *frame)
{
    frame->len--;
    tern_put16(tern_buf_data(frame), (uint16_t)(frame->len - 2));
}

static void oversize(tern_buf *frame)
{
    tern_put16(tern_buf_data(frame), TERN_NOISE_HANDSHAKE_MAX + 1);
    frame->len = 2;
}

static const forgery forgeries[] = {
    {.name = "wrong signature",
     .payload = wrong_signature,
     .code = TERN_E_SIGNATURE,
     .counter = COUNTER(noise_bad_signature)},
    {.name = "signature over another static key",
     .payload = signature_of_other_key,
     .code = TERN_E_SIGNATURE,
     .counter = COUNTER(noise_bad_signature)},
    {.name = "another's identity key",
     .payload = other_identity,
     .code = TERN_E_SIGNATURE,
     .counter = COUNTER(noise_bad_signature)},
    {.name = "no signature",
     .payload = no_signature,
     .code = TERN_E_SIGNATURE,
     .counter = COUNTER(noise_bad_signature)},
    {.name = "no key",
     .payload = no_key,
     .code = TERN_E_MALFORMED,
     .counter = COUNTER(noise_malformed)},
    {.name = "empty payload",
     .payload = empty_payload,
     .code = TERN_E_MALFORMED,
     .counter = COUNTER(noise_malformed)},
    {.name = "garbage payload",
     .payload = garbage_payload,
     .code = TERN_E_MALFORMED,
     .counter = COUNTER(noise_malformed)},
    {.name = "payload cut short",
     .payload = short_payload,
     .code = TERN_E_MALFORMED,
     .counter = COUNTER(noise_malformed)},
    {.name = "field of a wrong type",
     .payload = key_of_wrong_type,
     .code = TERN_E_MALFORMED,
     .counter = COUNTER(noise_malformed)},
    {.name = "garbage extensions",
     .payload = garbage_extensions,
     .code = TERN_E_MALFORMED,
     .counter = COUNTER(noise_malformed)},
    {.name = "garbage key",
     .payload = garbage_key,
     .code = TERN_E_MALFORMED,
     .counter = COUNTER(noise_bad_identity)},
    {.name = "unknown key type",
     .payload = unknown_key_type,
     .code = TERN_E_UNSUPPORTED,
     .counter = COUNTER(noise_bad_identity)},
    {.name = "too many muxers",
     .payload = too_many_muxers,
     .code = TERN_E_TOO_LARGE,
     .counter = COUNTER(noise_too_large)},
    {.name = "too many certificate hashes",
     .payload = too_many_certhashes,
     .code = TERN_E_TOO_LARGE,
     .counter = COUNTER(noise_too_large)},
    {.name = "too long a muxer",
     .payload = too_long_muxer,
     .code = TERN_E_TOO_LARGE,
     .counter = COUNTER(noise_too_large)},
    {.name = "oversize message",
     .twist = oversize,
     .code = TERN_E_TOO_LARGE,
     .counter = COUNTER(noise_too_large)},
    {.name = "empty message",
     .twist = cut_to_nothing,
     .code = TERN_E_MALFORMED,
     .counter = COUNTER(noise_malformed)},
    {.name = "message cut inside the keys",
     .twist = cut_inside_static,
     .code = TERN_E_MALFORMED,
     .counter = COUNTER(noise_malformed)},
    {.name = "message cut inside a tag",
     .twist = cut_tag,
     .code = TERN_E_CRYPTO,
     .counter = COUNTER(noise_decrypt)},
};

static void forgeries_are_refused(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++) {
        for (size_t i = 0; i < sizeof forgeries / sizeof *forgeries; i++) {
            side victim;
            const forgery *f = &forgeries[i];
            int r = forge(&victim, role == 0, f);
            if (r != f->code) {
                fail_msg("%s: %d", f->name, r);
            }
            assert_int_equal(victim.h.error.code, f->code);
            assert_string_equal(victim.h.error.layer, "noise");
            assert_only_counter(&victim.counters, f->counter);
            assert_false(victim.h.done);
            assert_int_equal(tern_buf_len(&victim.h.out), 0);
            side_clear(&victim);
        }
    }
}

static void forger_without_a_twist_succeeds(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++) {
        side victim;
        assert_int_equal(forge(&victim, role == 0, &(forgery){.name = "honest"}), 1);
        assert_only_counter(&victim.counters, SIZE_MAX);
        side_clear(&victim);
    }
}

/* The points of small order on Curve25519 and their twins above the prime. */
static const char *const small_points[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void small_order_points_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof small_points / sizeof *small_points; i++) {
        for (int place = 0; place < 4; place++) { /* e or s, to an initiator or a responder */
            side victim;
            uint8_t point[32];
            forgery f = {.name = "small order"};
            tern_test_unhex(point, sizeof point, small_points[i]);
            *(place & 1 ? &f.bad_s : &f.bad_e) = point;
            assert_int_equal(forge(&victim, (place & 2) != 0, &f), TERN_E_CRYPTO);
            assert_only_counter(&victim.counters, COUNTER(noise_bad_key));
            side_clear(&victim);
        }
    }
}

/* ---- bits, cuts, replays ---- */

static size_t flip_at;

static void flip(tern_buf *frame)
{
    tern_buf_data(frame)[flip_at] ^= (uint8_t)(1u << flip_at % 8);
}

static void every_flipped_byte_is_refused(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++) {
        /* as many bytes as the forger's message has: keys, tags, identity */
        size_t n = (role == 0 ? 96 : 64) + 38 + 66;
        for (flip_at = 2; flip_at < 2 + n; flip_at++) {
            side victim;
            assert_int_equal(forge(&victim, role == 0, &(forgery){.twist = flip}), TERN_E_CRYPTO);
            assert_only_counter(&victim.counters, COUNTER(noise_decrypt));
            side_clear(&victim);
        }
    }
}

/* Brings a pair to the moment where `role`'s peer has written m2 (0: to the initiator) or m3 (1).
 */
static void stage(side *i, side *r, int role)
{
    side_start(i, true, (tern_noise_config){0});
    side_start(r, false, (tern_noise_config){0});
    assert_int_equal(carry(i, r, SIZE_MAX), 0);
    if (role == 1) {
        assert_int_equal(carry(r, i, SIZE_MAX), 1);
    }
}

static void every_cut_is_noticed(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++) {
        size_t whole = 1;
        for (size_t n = 0; n < whole; n++) {
            side i, r;
            size_t used;
            stage(&i, &r, role);
            side *from = role == 0 ? &r : &i, *to = role == 0 ? &i : &r;
            whole = tern_buf_len(&from->h.out);
            assert_int_equal(
                tern_noise_handshake_feed(&to->h, tern_buf_data(&from->h.out), n, &used), 0);
            assert_int_equal(used, n);
            assert_int_equal(tern_noise_handshake_eof(&to->h), TERN_E_EOF);
            assert_only_counter(&to->counters, n > 0 ? COUNTER(noise_truncated) : SIZE_MAX);
            side_clear(&i);
            side_clear(&r);
        }
    }
}

/* A message of an earlier handshake, or of the other direction, in place of the right one. */
static void replays_are_refused(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++) {
        side i, r, again;
        tern_buf frame;
        tern_noise_config config = {0};
        stage(&i, &r, role);
        side_init(&again, role == 0, &config);
        memset(config.ephemeral, 0x55, 32); /* another run: only the ephemeral key differs */
        assert_int_equal(tern_noise_handshake_init(&again.h, &config), 0);
        if (role == 1) { /* the responder has read m1 too */
            side other;
            side_start(&other, true, (tern_noise_config){0});
            assert_int_equal(carry(&other, &again, SIZE_MAX), 0);
            side_clear(&other);
        }
        const tern_buf *old = role == 0 ? &r.h.out : &i.h.out;
        tern_buf_init(&frame, 0);
        assert_int_equal(tern_buf_append(&frame, tern_buf_data(old), tern_buf_len(old)), 0);
        assert_int_equal(give(&again, &frame), TERN_E_CRYPTO);
        assert_only_counter(&again.counters, COUNTER(noise_decrypt));
        side_clear(&again);
        side_clear(&i);
        side_clear(&r);
    }
}

static void first_message_twice_is_refused(void **state)
{
    (void)state;
    side i, r;
    tern_buf frame;
    side_start(&i, true, (tern_noise_config){0});
    side_start(&r, false, (tern_noise_config){0});
    tern_buf_init(&frame, 0);
    tern_buf_append(&frame, tern_buf_data(&i.h.out), 34);
    tern_buf_append(&frame, tern_buf_data(&i.h.out), 34);
    assert_int_equal(give(&r, &frame), TERN_E_MALFORMED);
    assert_only_counter(&r.counters, COUNTER(noise_malformed));

    tern_buf_append(&frame, tern_buf_data(&i.h.out), 34); /* reflected to its sender */
    assert_int_equal(give(&i, &frame), TERN_E_MALFORMED);
    assert_only_counter(&i.counters, COUNTER(noise_malformed));
    side_clear(&i);
    side_clear(&r);
}

static void first_message_may_have_a_payload(void **state)
{
    (void)state;
    side r;
    tern_noise_core core;
    tern_buf frame;
    tern_noise_pair s = pair_filled(0x11);
    uint8_t e[32] = {9};
    side_start(&r, false, (tern_noise_config){0});
    assert_int_equal(tern_noise_core_init(&core, true, nothing, &s, e), 0);
    forge_message(&core, (tern_span){(const uint8_t *)"hello", 5}, &frame);
    assert_int_equal(give(&r, &frame), 0);
    overhear(&core, &r);
    tern_noise_core_clear(&core);
    side_clear(&r);
}

/* ---- the rest ---- */

static void nonces_end(void **state)
{
    (void)state;
    uint8_t key[32] = {1}, bytes[20] = {0};
    const tern_span span = {bytes, 4};
    tern_noise_cipher seal = {tern_aead_new(key), UINT64_MAX - 1};
    tern_noise_cipher open = {tern_aead_new(key), UINT64_MAX - 1};
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
        cmocka_unit_test(muxer_choice),
        cmocka_unit_test(forger_without_a_twist_succeeds),
        cmocka_unit_test(forgeries_are_refused),
        cmocka_unit_test(small_order_points_are_refused),
        cmocka_unit_test(every_flipped_byte_is_refused),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(replays_are_refused),
        cmocka_unit_test(first_message_twice_is_refused),
        cmocka_unit_test(first_message_may_have_a_payload),
        cmocka_unit_test(nonces_end),
        cmocka_unit_test(own_payload_has_a_limit),
        cmocka_unit_test(short_of_memory),
    };
    return TERN_TEST_MAIN(tests);
}
