/* Tests of ops: each ends exactly once, or not at all when cancelled; callbacks may start or free
 * it. */
#include "base/test.h"

#include "loop/fake_test.h"
#include "loop/op.h"

typedef struct act {
    tern_op op;
    unsigned done, cancelled;
    int code;
    char text[160];
} act;

static fake_loop f;
static act a;

static void run(void)
{
    tern_sched_run_deferred(&f.sched, 8);
}

static void on_done(tern_op *op, const tern_error *error)
{
    act *x = TERN_CONTAINER(op, act, op);
    assert_false(tern_op_running(op));
    x->done++;
    x->code = error->code;
    memcpy(x->text, error->text, sizeof x->text);
}

static void on_cancel(tern_op *op)
{
    act *x = TERN_CONTAINER(op, act, op);
    x->cancelled++;
    tern_op_finish(op, NULL); /* a provider that ends its work here must not be heard */
}

static int setup(void **state)
{
    (void)state;
    fake_init(&f, 100);
    memset(&a, 0, sizeof a);
    tern_op_init(&a.op, &f.base, 500, on_done);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tern_sched_free(&f.sched);
    return 0;
}

static void finishes_once_from_the_loop(void **state)
{
    (void)state;
    assert_false(tern_op_running(&a.op));
    tern_op_start(&a.op, "test", on_cancel, &a);
    assert_true(tern_op_running(&a.op));
    assert_ptr_equal(a.op.provider, &a);
    tern_op_finish(&a.op, NULL);
    tern_op_finish(&a.op, NULL);
    assert_int_equal(a.done, 0);
    run();
    assert_int_equal(a.done, 1);
    assert_int_equal(a.code, 0);
    fake_advance(&f, 1000);
    run();
    assert_int_equal(a.done, 1);
    assert_int_equal(a.cancelled, 0);
}

static void brings_the_error(void **state)
{
    (void)state;
    tern_error error = {.code = TERN_E_REFUSED, .layer = "test", .text = "no"};
    tern_op_start(&a.op, "test", on_cancel, NULL);
    tern_op_finish(&a.op, &error);
    error.code = 0; /* copied */
    run();
    assert_int_equal(a.code, TERN_E_REFUSED);
    assert_string_equal(a.text, "no");
}

static void times_out(void **state)
{
    (void)state;
    tern_op_start(&a.op, "test", on_cancel, NULL);
    fake_advance(&f, 499);
    assert_int_equal(a.done, 0);
    fake_advance(&f, 500);
    run();
    assert_int_equal(a.cancelled, 1);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.code, TERN_E_TIMEOUT);
    assert_string_equal(a.text, "no answer in time");
}

static void an_answer_in_time_beats_the_deadline(void **state)
{
    (void)state;
    tern_op_start(&a.op, "test", on_cancel, NULL);
    tern_op_finish(&a.op, NULL);
    fake_advance(&f, 500);
    run();
    assert_int_equal(a.done, 1);
    assert_int_equal(a.code, 0);
}

static void cancelled_it_is_silent(void **state)
{
    (void)state;
    tern_op_cancel(&a.op); /* idle: nothing */
    assert_int_equal(a.cancelled, 0);
    tern_op_start(&a.op, "test", on_cancel, NULL);
    tern_op_cancel(&a.op);
    tern_op_cancel(&a.op);
    assert_int_equal(a.cancelled, 1);
    assert_false(tern_op_running(&a.op));
    fake_advance(&f, 1000);
    run();
    assert_int_equal(a.done, 0);
}

static void cancelled_after_the_answer_it_is_silent_too(void **state)
{
    (void)state;
    tern_op_start(&a.op, "test", on_cancel, NULL);
    tern_op_finish(&a.op, NULL);
    assert_true(tern_op_running(&a.op));
    tern_op_cancel(&a.op);
    assert_int_equal(a.cancelled, 1); /* the provider takes its results back */
    run();
    assert_int_equal(a.done, 0);
}

static void start_again(tern_op *op, const tern_error *error)
{
    act *x = TERN_CONTAINER(op, act, op);
    assert_int_equal(error->code, x->done == 0 ? TERN_E_IO : 0);
    if (x->done++ == 0) {
        tern_op_cancel(op); /* harmless here */
        tern_op_start(op, "test", on_cancel, NULL);
        tern_op_finish(op, NULL);
    }
}

static void done_may_start_it_again(void **state)
{
    (void)state;
    tern_error error = {.code = TERN_E_IO, .layer = "test"};
    tern_op_init(&a.op, &f.base, TERN_NEVER, start_again);
    tern_op_start(&a.op, "test", on_cancel, NULL);
    tern_op_finish(&a.op, &error);
    run();
    assert_int_equal(a.done, 2);
}

static unsigned freed;

static void free_it(tern_op *op, const tern_error *error)
{
    assert_string_equal(error->layer, "test");
    memset(op, 0xa5, sizeof *op);
    tern_free(op);
    freed++;
    assert_true(error->code == 0 || error->code == TERN_E_TIMEOUT);
}

static void done_may_free_it(void **state)
{
    (void)state;
    freed = 0;
    for (int timeout = 0; timeout < 2; timeout++) {
        tern_op *op = tern_malloc(sizeof *op);
        assert_non_null(op);
        tern_op_init(op, &f.base, 500, free_it);
        tern_op_start(op, "test", NULL, NULL);
        if (timeout) {
            fake_advance(&f, 500);
        } else {
            tern_op_finish(op, NULL);
        }
        run();
    }
    assert_int_equal(freed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finishes_once_from_the_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(brings_the_error, setup, teardown),
        cmocka_unit_test_setup_teardown(times_out, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_in_time_beats_the_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_it_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_after_the_answer_it_is_silent_too, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(done_may_start_it_again, setup, teardown),
        cmocka_unit_test_setup_teardown(done_may_free_it, setup, teardown),
    };
    return TERN_TEST_MAIN(tests);
}
