/* A handshake with each allocation of OpenSSL's failing in turn: an error, or both are done with
 * the same secrets; never a crash, and nothing is left behind. */
#include "crypto/openssl_short_test.h"
#include "tls/ends_test.h"

/* Whether it came to its end. `p256`: after a request for another hello, with that group. */
static bool handshake(bool p256)
{
    ends both = {.s.answer = {.ask = true, .tickets = 1}};
    const tern_handshake_config config = end_client_config();
    if (p256) {
        both.c.no_share = both.c.no_group = NO_GROUP;
    }
    ends_begin(&both, &config);
    bool whole = both.c.h != NULL && both.s.h != NULL;
    if (whole) {
        ends_run(&both);
        whole = ends_done(&both);
    }
    if (whole) {
        ends_check(&both);
    }
    ends_clear(&both);
    return whole;
}

static void each_failure(bool p256)
{
    openssl_fail_at = 0;
    assert_true(handshake(p256)); /* what is made once a process is made here */
    assert_true(handshake(p256));
    OPENSSL_thread_stop(); /* what it remembers of errors, and of randomness */
    size_t before = openssl_held, failures = 0;
    bool more = true;
    for (size_t nth = 1; more; nth++) {
        openssl_made = 0;
        openssl_fail_at = nth;
        bool whole = handshake(p256);
        more = openssl_made >= nth;
        openssl_fail_at = 0;
        failures += !whole;
        OPENSSL_thread_stop();
        assert_true(more || whole);
        assert_int_equal(openssl_held, before);
        assert_true(nth < 100000);
    }
    assert_true(failures > 20);
    assert_true(handshake(p256));
}

static void test_x25519(void **state)
{
    (void)state;
    each_failure(false);
}

static void test_p256(void **state)
{
    (void)state;
    each_failure(true);
}

int main(void)
{
    if (!openssl_short()) {
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_x25519), cmocka_unit_test(test_p256)};
    return TERN_TEST_MAIN(tests);
}
