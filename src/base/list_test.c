/* The intrusive list. */
#include "base/list.h"

#include "base/test.h"

typedef struct item {
    int number;
    tern_list link;
} item;

static int pop_number(tern_list *l)
{
    tern_list *node = tern_list_pop(l);
    return node != NULL ? TERN_CONTAINER(node, item, link)->number : -1;
}

static void first_in_first_out(void **state)
{
    (void)state;
    tern_list l;
    item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    tern_list_init(&l);
    assert_true(tern_list_empty(&l));
    assert_null(tern_list_pop(&l));
    for (int i = 0; i < 3; i++) {
        tern_list_push(&l, &items[i].link);
    }
    assert_false(tern_list_empty(&l));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pop_number(&l), i);
    }
    assert_true(tern_list_empty(&l));
}

static void removing_twice_is_harmless(void **state)
{
    (void)state;
    tern_list l;
    item items[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    tern_list_init(&l);
    for (int i = 0; i < 3; i++) {
        tern_list_push(&l, &items[i].link);
    }
    tern_list_remove(&items[1].link);
    tern_list_remove(&items[1].link);
    assert_true(tern_list_empty(&items[1].link));
    assert_int_equal(pop_number(&l), 0);
    assert_int_equal(pop_number(&l), 2);
    assert_int_equal(pop_number(&l), -1);
}

static void splicing(void **state)
{
    (void)state;
    tern_list a, b;
    item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    tern_list_init(&a);
    tern_list_init(&b);
    tern_list_splice(&a, &b); /* empty into empty */
    assert_true(tern_list_empty(&a));
    for (int i = 0; i < 4; i++) {
        tern_list_push(i < 2 ? &a : &b, &items[i].link);
    }
    tern_list_splice(&a, &b);
    assert_true(tern_list_empty(&b));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pop_number(&a), i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_in_first_out),
        cmocka_unit_test(removing_twice_is_harmless),
        cmocka_unit_test(splicing),
    };
    return TERN_TEST_MAIN(tests);
}
