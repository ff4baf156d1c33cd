/* Error values: names, sentences, filling. */
#include "base/error.h"

#include "base/test.h"

static void every_code_has_name_and_text(void **state)
{
    (void)state;
    for (int code = TERN_OK; code >= TERN_E_LIMITED; code--) {
        assert_non_null(tern_code_name(code));
        assert_string_not_equal(tern_code_name(code), "UNKNOWN");
        assert_true(strlen(tern_code_text(code)) > 3);
    }
    assert_string_equal(tern_code_name(TERN_E_TIMEOUT), "TIMEOUT");
    assert_string_equal(tern_code_name(TERN_E_LIMITED), "LIMITED");
}

static void codes_outside_are_unknown(void **state)
{
    (void)state;
    static const int strange[] = {1, TERN_E_LIMITED - 1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        assert_string_equal(tern_code_name(strange[i]), "UNKNOWN");
        assert_string_equal(tern_code_text(strange[i]), "an unknown error");
    }
}

static void fail_fills_and_returns(void **state)
{
    (void)state;
    tern_error e;
    assert_int_equal(tern_fail(&e, TERN_E_EOF, "tcp", "after %d bytes", 7), TERN_E_EOF);
    assert_int_equal(e.code, TERN_E_EOF);
    assert_int_equal(e.wire, 0);
    assert_string_equal(e.layer, "tcp");
    assert_string_equal(e.text, "after 7 bytes");

    assert_int_equal(tern_fail_wire(&e, TERN_E_RESET, 0x1001, "yamux", "reset"), TERN_E_RESET);
    assert_int_equal(e.wire, 0x1001);

    assert_int_equal(tern_fail(NULL, TERN_E_IO, "tcp", "nobody listens"), TERN_E_IO);
}

static void text_may_come_from_the_error_itself(void **state)
{
    (void)state;
    tern_error e;
    tern_fail(&e, TERN_E_IO, "tcp", "broken pipe");
    tern_fail(&e, TERN_E_CONN_CLOSED, "swarm", "lost: %s", e.text);
    assert_string_equal(e.text, "lost: broken pipe");
}

static void long_text_is_cut(void **state)
{
    (void)state;
    tern_error e;
    char text[400];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    tern_fail(&e, TERN_E_IO, NULL, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_string_equal(e.layer, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_name_and_text),
        cmocka_unit_test(codes_outside_are_unknown),
        cmocka_unit_test(fail_fills_and_returns),
        cmocka_unit_test(text_may_come_from_the_error_itself),
        cmocka_unit_test(long_text_is_cut),
    };
    return TERN_TEST_MAIN(tests);
}
