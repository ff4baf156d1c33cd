/* Tests of the base of connections, over an implementation that only writes down what it is asked:
 * the terminal event after all streams', streams that come before an owner does, closing. */
#include "core/conn.h"

#include <stdio.h>

#include "base/test.h"
#include "codec/multiaddr.h"
#include "crypto/key.h"
#include "loop/sim.h"
#include "streams/memory.h"

struct world;

typedef struct fake {
    tern_conn c;
    struct world *w;
} fake;

struct world {
    tern_sim *sim;
    tern_loop *loop;
    tern_key *key;
    tern_multiaddr *addr;
    fake *f; /* NULL once destroyed */
    char log[256];
    unsigned streams; /* told to the owner */
    tern_error why;
};

static void note(struct world *w, const char *what)
{
    size_t n = strlen(w->log);
    snprintf(w->log + n, sizeof w->log - n, "%s ", what);
}

static tern_stream *op_open(tern_conn *c, tern_error *reterr)
{
    (void)reterr;
    note(((fake *)c)->w, "OPEN");
    return NULL;
}

static void op_close(tern_conn *c, uint64_t code, const char *text)
{
    char what[64];
    snprintf(what, sizeof what, "CLOSE%u:%s", (unsigned)code, text);
    note(((fake *)c)->w, what);
}

static void op_destroy(tern_conn *c)
{
    fake *f = (fake *)c;
    note(f->w, "FREE");
    f->w->f = NULL;
    tern_free(f);
}

static const tern_conn_ops ops = {
    .name = "fake", .open = op_open, .close = op_close, .destroy = op_destroy};

static void on_stream(void *owner, tern_conn *c, tern_stream *s)
{
    struct world *w = owner;
    assert_ptr_equal(c, &w->f->c);
    note(w, "s");
    w->streams++;
    tern_stream_drop(s);
}

static void on_closed(void *owner, tern_conn *c, const tern_error *why)
{
    struct world *w = owner;
    assert_ptr_equal(c, &w->f->c);
    assert_non_null(tern_conn_get_facts(c)->remote); /* known until the last */
    w->why = *why;
    note(w, "c");
}

static const tern_conn_events events = {.on_stream = on_stream, .on_closed = on_closed};

static void setup(struct world *w)
{
    memset(w, 0, sizeof *w);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->loop), 0);
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &w->key), 0);
    w->addr = tern_multiaddr_parse("/ip4/10.0.0.1/tcp/1", NULL);
    assert_non_null(w->addr);
    tern_conn_facts facts, mine = {.key = w->key, .remote = w->addr, .inbound = true};
    tern_conn_facts_copy(&facts, &mine);
    w->f = tern_calloc(1, sizeof *w->f);
    assert_non_null(w->f);
    w->f->w = w;
    tern_conn_init(&w->f->c, &ops, w->loop, &facts);
}

static void run(struct world *w)
{
    tern_sim_run(w->sim, TERN_NEVER, NULL, NULL);
}

static void finish(struct world *w, int code)
{
    tern_error why = {.code = code, .layer = "fake", .text = "over"};
    tern_conn_finish(&w->f->c, &why);
}

static void teardown(struct world *w)
{
    run(w);
    assert_null(w->f);
    tern_key_unref(w->key);
    tern_multiaddr_unref(w->addr);
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), 0);
}

static void expect(struct world *w, const char *log)
{
    assert_string_equal(w->log, log);
    w->log[0] = '\0';
}

/* A stream that came in; its other end goes away by itself. */
static tern_stream *incoming(struct world *w)
{
    tern_stream *ours, *theirs;
    assert_int_equal(tern_memory_pair(w->loop, NULL, &ours, &theirs), 0);
    tern_stream_drop(theirs);
    return ours;
}

static void test_facts(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    const tern_conn_facts *facts = tern_conn_get_facts(&w.f->c);
    assert_ptr_equal(facts->key, w.key);
    assert_true(facts->inbound);
    assert_null(facts->local);
    tern_conn_take(&w.f->c, &events, &w);
    finish(&w, 0);
    teardown(&w);
}

static void test_closed_after_the_last_stream(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    tern_conn_take(&w.f->c, &events, &w);
    tern_conn_stream_born(&w.f->c);
    tern_conn_stream_born(&w.f->c);
    finish(&w, TERN_E_TIMEOUT);
    finish(&w, 0); /* too late */
    run(&w);
    expect(&w, "");
    tern_conn_stream_gone(&w.f->c);
    run(&w);
    expect(&w, "");
    tern_conn_stream_gone(&w.f->c);
    expect(&w, ""); /* from the loop */
    run(&w);
    expect(&w, "c FREE ");
    assert_int_equal(w.why.code, TERN_E_TIMEOUT);
    teardown(&w);
}

static void test_not_taken(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    finish(&w, TERN_E_EOF);
    run(&w);
    expect(&w, "");
    tern_conn_take(&w.f->c, &events, &w);
    run(&w);
    expect(&w, "c FREE ");
    assert_int_equal(w.why.code, TERN_E_EOF);
    teardown(&w);
}

static void test_streams_wait_for_an_owner(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tern_conn_accept(&w.f->c, incoming(&w)), 0);
    }
    run(&w);
    expect(&w, "");
    tern_conn_take(&w.f->c, &events, &w);
    assert_int_equal(tern_conn_accept(&w.f->c, incoming(&w)), 0); /* behind those */
    expect(&w, "");
    run(&w);
    expect(&w, "s s s s ");
    assert_int_equal(tern_conn_accept(&w.f->c, incoming(&w)), 0);
    expect(&w, "s ");
    finish(&w, 0);
    teardown(&w);
}

static void test_streams_of_a_dead_one_are_dropped(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    assert_int_equal(tern_conn_accept(&w.f->c, incoming(&w)), 0);
    finish(&w, 0);
    tern_conn_take(&w.f->c, &events, &w);
    run(&w);
    expect(&w, "c FREE ");
    teardown(&w);
}

static void test_no_memory_for_a_stream(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    tern_stream *s = incoming(&w);
    tern_mem_fail_at(1, 0);
    assert_int_equal(tern_conn_accept(&w.f->c, s), TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    tern_conn_take(&w.f->c, &events, &w);
    run(&w);
    expect(&w, "");
    tern_mem_fail_at(1, 0);
    finish(&w, 0);
    tern_mem_fail_at(0, 0);
    run(&w);
    expect(&w, "c FREE ");
    assert_int_equal(w.why.code, TERN_E_NOMEM); /* no place for the reason: that is the reason */
    teardown(&w);
}

static void test_close_is_once(void **state)
{
    struct world w;
    tern_error error;
    (void)state;
    setup(&w);
    tern_conn_take(&w.f->c, &events, &w);
    assert_null(tern_conn_open(&w.f->c, &error));
    tern_conn_close(&w.f->c, 0, "bye");
    tern_conn_close(&w.f->c, 5, "again");
    expect(&w, "OPEN CLOSE0:bye ");
    assert_null(tern_conn_open(&w.f->c, &error));
    assert_int_equal(error.code, TERN_E_CONN_CLOSED);
    assert_string_equal(error.layer, "fake");
    tern_conn_abort(&w.f->c, 0, "now"); /* cuts also what is closing; never with code 0 */
    expect(&w, "CLOSE1:now ");
    finish(&w, 0);
    tern_conn_close(&w.f->c, 0, "late");
    tern_conn_abort(&w.f->c, 2, "late");
    expect(&w, "");
    teardown(&w);
}

static void test_drop(void **state)
{
    struct world w;
    (void)state;
    setup(&w);
    tern_conn_take(&w.f->c, &events, &w);
    tern_conn_drop(&w.f->c, 7, "leave");
    expect(&w, "CLOSE7:leave ");
    assert_int_equal(tern_conn_accept(&w.f->c, incoming(&w)), 0); /* reset at once */
    finish(&w, 0);
    run(&w);
    expect(&w, "FREE "); /* nobody hears of it */
    assert_int_equal(w.streams, 0);
    teardown(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_closed_after_the_last_stream),
        cmocka_unit_test(test_not_taken),
        cmocka_unit_test(test_streams_wait_for_an_owner),
        cmocka_unit_test(test_streams_of_a_dead_one_are_dropped),
        cmocka_unit_test(test_no_memory_for_a_stream),
        cmocka_unit_test(test_close_is_once),
        cmocka_unit_test(test_drop),
    };
    return TERN_TEST_MAIN(tests);
}
