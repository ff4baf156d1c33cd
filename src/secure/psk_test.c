/* The layer of private networks: its bytes on the wire, split in every way, and how it ends. */
#include "secure/psk.h"

#include "base/test.h"
#include "crypto/xsalsa20.h"
#include "loop/sim.h"
#include "streams/memory.h"
#include "suite/ear.h"

/* rust-libp2p's test key; with the nonce 00 01 .. 17 the header of multistream-select comes out as
 * the second line. */
static const char key_hex[] = "6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683";
static const char wire_hex[] = "000102030405060708090a0b0c0d0e0f1011121314151617"
                               "33ab139c977ca21959d755022ccdfd2ba95ce4d2";
static const char header[] = "\x13/multistream/1.0.0\n";

typedef struct world {
    tern_sim *sim;
    tern_loop *loop;
    tern_net net;
    tern_stream *lower, *raw; /* the psk stream's, and the bare end */
    tern_stream *s;
    ear owner, wire;
    uint8_t key[TERN_PSK];
    size_t alive;
} world;

static void open_world(world *w, const tern_memory_options *options)
{
    memset(w, 0, sizeof *w);
    w->alive = tern_mem_alive();
    tern_unhex(w->key, sizeof w->key, key_hex, 64);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->loop), 0);
    tern_net_init(&w->net);
    w->net.loop = w->loop;
    assert_int_equal(tern_memory_pair(w->loop, options, &w->lower, &w->raw), 0);
    w->s = tern_psk_stream_new(&w->net, w->lower, w->key);
    assert_non_null(w->s);
    ear_init(&w->owner);
    ear_init(&w->wire);
    ear_take(&w->owner, w->s);
    ear_take(&w->wire, w->raw);
}

static void run(world *w)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + TERN_SEC, NULL, NULL);
}

static void close_world(world *w)
{
    ear_clear(&w->owner);
    ear_clear(&w->wire);
    run(w);
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), w->alive);
}

static void the_known_bytes_come_out_in_clear(void **state)
{
    uint8_t bytes[64];
    (void)state;
    size_t n = (size_t)tern_unhex(bytes, sizeof bytes, wire_hex, strlen(wire_hex));
    for (size_t piece = 1; piece <= n; piece++) {
        world w;
        open_world(&w, NULL);
        for (size_t at = 0; at < n; at += piece) {
            tern_stream_write(w.raw, bytes + at, n - at < piece ? n - at : piece);
            run(&w);
        }
        assert_int_equal(tern_buf_len(&w.owner.got), sizeof header - 1);
        assert_memory_equal(tern_buf_data(&w.owner.got), header, sizeof header - 1);
        close_world(&w);
    }
}

static void the_nonce_comes_first_and_what_follows_is_encrypted_with_it(void **state)
{
    world w;
    tern_xsalsa20 c;
    uint8_t plain[20];
    (void)state;
    open_world(&w, NULL);
    run(&w);
    assert_int_equal(tern_buf_len(&w.wire.got), 24); /* at once, before the owner writes */
    tern_stream_write(w.s, header, sizeof header - 1);
    run(&w);
    assert_int_equal(tern_buf_len(&w.wire.got), 44);
    const uint8_t *got = tern_buf_data(&w.wire.got);
    assert_int_equal(tern_xsalsa20_init(&c, w.key, got), 0);
    tern_xsalsa20_xor(&c, plain, got + 24, sizeof plain);
    assert_memory_equal(plain, header, sizeof plain);
    close_world(&w);
}

static void nonces_do_not_look_like_another_protocol(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        world w;
        open_world(&w, NULL);
        run(&w);
        uint8_t first = tern_buf_data(&w.wire.got)[0];
        assert_true(first != 0x13 && first != 0x16 && !(first >= 'A' && first <= 'Z'));
        close_world(&w);
    }
}

static void an_end_inside_the_nonce_is_an_error_with_a_counter(void **state)
{
    world w;
    (void)state;
    open_world(&w, NULL);
    tern_stream_write(w.raw, "0123456789", 10);
    tern_stream_end(w.raw);
    run(&w);
    assert_int_equal(w.owner.closed, 1);
    assert_int_equal(w.owner.why.code, TERN_E_EOF);
    assert_string_equal(w.owner.why.layer, "psk");
    assert_int_equal(w.net.counters.psk_truncated, 1);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_known_bytes_come_out_in_clear),
        cmocka_unit_test(the_nonce_comes_first_and_what_follows_is_encrypted_with_it),
        cmocka_unit_test(nonces_do_not_look_like_another_protocol),
        cmocka_unit_test(an_end_inside_the_nonce_is_an_error_with_a_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
