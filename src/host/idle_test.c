/* A node that has nothing to wait for, neither listeners nor connections: it waits all the same,
 * for the calls of other threads and for its stop. */
#include <pthread.h>

#include "base/test.h"

#include <tern/tern.h>

typedef struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    bool ringing;
} bell;

static void ring(void *arg)
{
    bell *b = arg;
    pthread_mutex_lock(&b->lock);
    b->ringing = true;
    pthread_cond_signal(&b->rung);
    pthread_mutex_unlock(&b->lock);
}

static tern_node *make_node(void)
{
    tern_node *node;
    tern_error error;
    assert_int_equal(tern_node_new(NULL, &node, &error), 0);
    return node;
}

static void test_hears_other_threads(void **state)
{
    bell b = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    tern_node *node = make_node();
    (void)state;
    assert_int_equal(tern_node_start(node), 0);
    assert_int_equal(tern_node_post(node, ring, &b), 0);
    pthread_mutex_lock(&b.lock);
    while (!b.ringing) {
        pthread_cond_wait(&b.rung, &b.lock);
    }
    pthread_mutex_unlock(&b.lock);
    tern_node_free(node);
}

static void test_freed_before_it_ran(void **state)
{
    (void)state;
    tern_node_free(make_node());
}

static void test_stopped_before_it_ran(void **state)
{
    tern_node *node = make_node();
    (void)state;
    tern_node_stop(node);
    assert_int_equal(tern_node_run(node), 0);
    assert_int_equal(tern_node_run(node), TERN_E_STATE);
    tern_node_free(node);
}

/* What was wrong with the first dial must not matter to the end. */
static void test_freed_after_a_bad_dial(void **state)
{
    const char *addr = "nowhere";
    tern_node *node = make_node();
    tern_error error;
    (void)state;
    assert_int_equal(tern_node_dial(node, &addr, 1, 0, false, NULL, NULL, &error),
                     TERN_E_MALFORMED);
    tern_node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hears_other_threads),
        cmocka_unit_test(test_freed_before_it_ran),
        cmocka_unit_test(test_stopped_before_it_ran),
        cmocka_unit_test(test_freed_after_a_bad_dial),
    };
    return TERN_TEST_MAIN(tests);
}
