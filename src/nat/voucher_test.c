/* Vouchers: a known one, and those that are not for us. */
#include "nat/voucher.h"

#include <tern/error.h>

#include "base/test.h"

static const char private_hex[] = "08011240000102030405060708090a0b0c0d0e0f101112131415161718191a1b"
                                  "1c1d1e1f03a107bff3ce10be1d70dd18"
                                  "e74bc09967e4d6309ba50d5f1ddc8664125531b8";
static const char payload_hex[] =
    "0a2600240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b812260024080112"
    "2029"
    "acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd71890fecfaa06";
static const char signature_hex[] = "e94e2cfb0435c22b16719f473032852d4509d333e6d1ecc1151224b73efa56"
                                    "66cce87f4743d4b4ef5045b23475a03d18"
                                    "d23ec72b795bcb7375e8105cd2740e03";
enum { EXPIRATION = 1700003600 };

static tern_key *relay;
static tern_peer_id relay_id, peer_id;

static bool holds(const tern_buf *b, const char *hex)
{
    uint8_t bytes[256];
    size_t n = tern_test_unhex(bytes, sizeof bytes, hex);
    return memmem(tern_buf_data(b), tern_buf_len(b), bytes, n) != NULL;
}

static tern_span whole(const tern_buf *b)
{
    return (tern_span){tern_buf_data(b), tern_buf_len(b)};
}

static void the_known_voucher(void **state)
{
    (void)state;
    tern_buf out;
    uint64_t expiration;
    tern_buf_init(&out, 0);
    assert_int_equal(tern_voucher_seal(relay, &peer_id, EXPIRATION, &out), 0);
    assert_true(holds(&out, payload_hex));
    assert_true(holds(&out, signature_hex));
    assert_int_equal(tern_voucher_open(whole(&out), &relay_id, &peer_id, &expiration), 0);
    assert_int_equal(expiration, EXPIRATION);
    tern_buf_free(&out);
}

static void not_for_us(void **state)
{
    (void)state;
    tern_buf out;
    uint64_t expiration;
    tern_buf_init(&out, 0);
    assert_int_equal(tern_voucher_seal(relay, &peer_id, EXPIRATION, &out), 0);
    assert_int_equal(tern_voucher_open(whole(&out), &peer_id, &peer_id, &expiration),
                     TERN_E_PEER_ID);
    assert_int_equal(tern_voucher_open(whole(&out), &relay_id, &relay_id, &expiration),
                     TERN_E_PEER_ID);
    for (size_t i = 0; i < tern_buf_len(&out); i++) {
        tern_buf_data(&out)[i] ^= 1;
        assert_int_not_equal(tern_voucher_open(whole(&out), &relay_id, &peer_id, &expiration), 0);
        tern_buf_data(&out)[i] ^= 1;
    }
    for (size_t n = 0; n < tern_buf_len(&out); n++) {
        assert_int_not_equal(tern_voucher_open((tern_span){tern_buf_data(&out), n}, &relay_id,
                                               &peer_id, &expiration),
                             0);
    }
    tern_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_known_voucher),
        cmocka_unit_test(not_for_us),
    };
    uint8_t bytes[128];
    size_t n = tern_test_unhex(bytes, sizeof bytes, private_hex);
    if (tern_key_from_private(bytes, n, &relay) != 0) {
        return 1;
    }
    tern_key_peer_id(relay, &relay_id);
    tern_peer_id_parse(&peer_id, "12D3KooWCd3eX8r5ihRvzK7P1yPq5aakaBJhG5GNj18YTztPhoCa");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tern_key_unref(relay);
    return failed;
}
