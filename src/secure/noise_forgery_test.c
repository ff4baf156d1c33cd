/* Hostile handshakes: a forger plays either side against an honest one and twists one thing at a
 * time. Each is refused with its own error and counter. */
#include "suite/noise_side.h"

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
    assert_int_equal(tern_noise_core_init(&core, !victim_initiates, nothing, &forger.s, &unused.e),
                     0);
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
    tern_x25519_pair other = pair_filled(0x77);
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
        config.e = pair_filled(0x55); /* another run: only the ephemeral key differs */
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
    tern_x25519_pair s = pair_filled(0x11);
    tern_x25519_pair e = pair_filled(9);
    side_start(&r, false, (tern_noise_config){0});
    assert_int_equal(tern_noise_core_init(&core, true, nothing, &s, &e), 0);
    forge_message(&core, (tern_span){(const uint8_t *)"hello", 5}, &frame);
    assert_int_equal(give(&r, &frame), 0);
    overhear(&core, &r);
    tern_noise_core_clear(&core);
    side_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forger_without_a_twist_succeeds),
        cmocka_unit_test(forgeries_are_refused),
        cmocka_unit_test(small_order_points_are_refused),
        cmocka_unit_test(every_flipped_byte_is_refused),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(replays_are_refused),
        cmocka_unit_test(first_message_twice_is_refused),
        cmocka_unit_test(first_message_may_have_a_payload),
    };
    return TERN_TEST_MAIN(tests);
}
