/* The default gateway of this machine, if it has one: what is said of it fits what else is known.
 */
#include <tern/error.h>

#include "base/test.h"
#include "loop/uv.h"

static void fits(void **state)
{
    (void)state;
    tern_loop *loop;
    tern_endpoint gateway, own, all[64];
    assert_int_equal(tern_loop_new_uv(NULL, &loop), 0);
    int code = tern_loop_gateway(loop, &gateway, &own);
    if (code == 0) {
        size_t n = tern_loop_addresses(loop, all, 64);
        bool ours = n > 64;
        for (size_t i = 0; i < n && i < 64; i++) {
            ours |= tern_endpoint_eq(&all[i], &own);
        }
        assert_int_equal(gateway.family, 4);
        assert_int_equal(gateway.port, 0);
        assert_false(tern_endpoint_is_unspecified(&gateway));
        assert_true(ours);
    } else {
        assert_true(code == TERN_E_NOT_FOUND || code == TERN_E_UNREACHABLE);
    }
    tern_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
