/* Tests of the book: blobs in memory, what survives, writing that fails and goes on, an end at
 * every moment, rows of a hostile file. Files are real, time is simulated. */
#include "store/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/test.h"
#include "loop/sim.h"

typedef struct world {
    char folder[64];
    tern_sim *sim;
    tern_loop *loop;
    tern_counters counters;
    tern_book *book;
    unsigned visited, troubles;
    uint64_t until, seq;
    uint8_t addr[16];
    tern_error error;
} world;

static const tern_peer_id alice = {.len = 6, .bytes = {0, 4, 'a', 'l', 'i', 'c'}};
static const tern_peer_id bob = {.len = 6, .bytes = {0, 4, 'b', 'o', 'b', 'b'}};

static void start(world *w)
{
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->loop), 0);
    memset(&w->counters, 0, sizeof w->counters);
    assert_int_equal(tern_book_new(w->loop, &w->counters, &w->book), 0);
}

static void end(world *w)
{
    tern_book_free(w->book);
    w->book = NULL;
    tern_sim_free(w->sim);
}

static int set_up(void **state)
{
    world *w = calloc(1, sizeof *w);
    snprintf(w->folder, sizeof w->folder, "/tmp/tern-book-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"", "-wal", "-shm", "-journal"};
    world *w = *state;
    char name[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%s/book.sqlite%s", w->folder, names[i]);
        unlink(name);
    }
    int code = rmdir(w->folder);
    free(w);
    return code;
}

static void visit(void *arg, const tern_peer_id *peer, const uint8_t *addr, size_t n, uint64_t seq,
                  uint64_t until)
{
    world *w = arg;
    assert_true(tern_peer_id_equal(peer, &alice));
    assert_true(n <= sizeof w->addr);
    memcpy(w->addr, addr, n);
    w->visited++;
    w->seq = seq;
    w->until = until;
}

static void on_trouble(void *arg, const tern_error *error)
{
    world *w = arg;
    w->troubles++;
    w->error = *error;
}

static int join(world *w)
{
    w->visited = w->troubles = 0;
    return tern_book_open(w->book, w->folder, visit, w, on_trouble, &w->error);
}

static void on_tick(tern_timer *timer)
{
    (void)timer;
}

static void run(world *w, uint64_t time)
{
    static tern_timer tick; /* a world with nothing to wait for stands still */
    tick = (tern_timer){0};
    tern_timer_start(w->loop, &tick, tern_loop_now(w->loop) + time, on_tick);
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

static int keep(world *w, const tern_peer_id *peer, const char *text, uint64_t life)
{
    return tern_book_remember(w->book, peer, 1, text, strlen(text), tern_loop_now(w->loop) + life);
}

static bool has(world *w, const tern_peer_id *peer, const char *text)
{
    size_t n;
    const uint8_t *blob = tern_book_recall(w->book, peer, 1, &n);
    return text == NULL ? blob == NULL && n == 0
                        : blob != NULL && n == strlen(text) && memcmp(blob, text, n) == 0;
}

static void put(world *w, const char *addr, uint64_t seq, uint64_t life)
{
    tern_book_put_addr(w->book, &alice, (const uint8_t *)addr, strlen(addr), seq,
                       tern_loop_now(w->loop) + life);
}

static void change_file(world *w, const char *sql)
{
    char path[128];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/book.sqlite", w->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_blobs_in_memory(void **state)
{
    static uint8_t large[TERN_STORE_VALUE_MAX + 1];
    world *w = *state;
    start(w);
    assert_true(has(w, &alice, NULL));
    assert_int_equal(keep(w, &alice, "one", TERN_SEC), 0);
    assert_int_equal(keep(w, &bob, "two", 2 * TERN_SEC), 0);
    assert_int_equal(tern_book_remember(w->book, &alice, 2, "x", 1, TERN_NEVER), 0);
    assert_true(has(w, &alice, "one") && has(w, &bob, "two"));
    assert_int_equal(keep(w, &alice, "three", TERN_SEC), 0);
    assert_true(has(w, &alice, "three"));
    run(w, TERN_SEC);
    assert_true(has(w, &alice, NULL) && has(w, &bob, "two"));
    assert_int_equal(keep(w, &bob, "", 1), 0);
    assert_true(has(w, &bob, NULL));
    assert_int_equal(tern_book_remember(w->book, &bob, 1, large, sizeof large, TERN_NEVER),
                     TERN_E_TOO_LARGE);
    put(w, "address", 0, TERN_SEC); /* without a file: the swarm has it */
    run(w, 10 * TERN_SEC);
    assert_int_equal(w->counters.book_written, 0);
    end(w);
}

static void test_blobs_are_bounded(void **state)
{
    world *w = *state;
    tern_peer_id id = alice;
    start(w);
    for (uint32_t i = 0; i <= TERN_BOOK_BLOBS_MAX; i++) {
        memcpy(id.bytes + 2, &i, sizeof i);
        assert_int_equal(keep(w, &id, "blob", TERN_SEC), 0);
        if (i == 1) { /* used again: 1 is the next to go */
            memset(id.bytes + 2, 0, sizeof i);
            assert_true(has(w, &id, "blob"));
        }
    }
    memset(id.bytes + 2, 0, 4);
    assert_true(has(w, &id, "blob"));
    id.bytes[2] = 1;
    assert_true(has(w, &id, NULL));
    end(w);
}

static void test_survives(void **state)
{
    world *w = *state;
    start(w);
    assert_int_equal(join(w), 0);
    assert_int_equal(keep(w, &alice, "ticket", 3600 * TERN_SEC), 0);
    assert_int_equal(keep(w, &bob, "gone", 3600 * TERN_SEC), 0);
    assert_int_equal(keep(w, &bob, "", 0), 0);
    put(w, "one", 7, 3600 * TERN_SEC);
    put(w, "two", 7, 3600 * TERN_SEC);
    tern_book_drop_addr(w->book, &alice, (const uint8_t *)"two", 3, 7);
    run(w, 5 * TERN_SEC);
    assert_int_equal(w->counters.book_written, 4); /* one a name, the last wish */
    put(w, "one", 8, 3600 * TERN_SEC);             /* pending at the end */
    end(w);

    start(w);
    uint64_t wall = tern_loop_wall(w->loop);
    assert_int_equal(join(w), 0);
    assert_int_equal(w->counters.book_loaded, 2);
    assert_int_equal(w->visited, 1);
    assert_memory_equal(w->addr, "one", 3);
    assert_int_equal(w->seq, 8);
    assert_true(w->until > tern_loop_now(w->loop) + 3600 * TERN_SEC);
    assert_true(w->until < tern_loop_now(w->loop) + 3610 * TERN_SEC);
    assert_true(has(w, &alice, "ticket") && has(w, &bob, NULL));
    end(w);

    start(w); /* two hours later by the wall clock: all has expired */
    tern_sim_set_wall(w->sim, wall + 7200 * TERN_SEC);
    assert_int_equal(join(w), 0);
    assert_int_equal(w->counters.book_loaded, 0);
    put(w, "three", 0, 60 * TERN_SEC);
    run(w, 2 * TERN_SEC);
    assert_int_equal(w->counters.book_purged, 2);
    end(w);
}

static void test_writing_fails_and_goes_on(void **state)
{
    world *w = *state;
    start(w);
    assert_int_equal(join(w), 0);
    change_file(w, "ALTER TABLE kept RENAME TO elsewhere");
    for (unsigned i = 0; i < 3; i++) {
        put(w, "one", 0, 3600 * TERN_SEC);
        run(w, 10 * TERN_SEC);
    }
    assert_int_equal(w->troubles, 1); /* told once, counted always */
    assert_non_null(strstr(w->error.text, "book.sqlite"));
    assert_int_equal(w->counters.book_failures, 3);
    assert_int_equal(w->counters.book_dropped, 3);
    assert_int_equal(keep(w, &alice, "in memory", 3600 * TERN_SEC), 0);
    assert_true(has(w, &alice, "in memory"));
    change_file(w, "ALTER TABLE elsewhere RENAME TO kept");
    run(w, 100 * TERN_SEC);
    assert_int_equal(w->counters.book_written, 1);
    change_file(w, "DROP TABLE kept");
    put(w, "two", 0, 3600 * TERN_SEC);
    run(w, 2 * TERN_SEC);
    assert_int_equal(w->troubles, 2); /* it could be written in between */
    end(w);
}

static void test_a_book_that_cannot_be_opened(void **state)
{
    world *w = *state;
    start(w);
    assert_int_equal(tern_book_open(w->book, "/nowhere/at/all", visit, w, on_trouble, &w->error),
                     TERN_E_ACCESS);
    assert_int_equal(w->counters.book_failures, 1);
    assert_int_equal(keep(w, &alice, "in memory", 3600 * TERN_SEC), 0);
    assert_true(has(w, &alice, "in memory"));
    end(w);
    change_file(w, "CREATE TABLE other (a); PRAGMA application_id = 1952805486;"
                   "PRAGMA user_version = 1");
    start(w);
    assert_int_equal(join(w), TERN_E_MALFORMED);
    assert_int_equal(w->counters.book_failures, 1);
    end(w);
}

static void end_book(tern_timer *timer)
{
    tern_book **book = *(tern_book ***)(timer + 1);
    tern_book_free(*book);
    *book = NULL;
}

/* The book goes while a batch waits for a thread; and without memory for the batch's job. */
static void test_ends_while_a_batch_is_out(void **state)
{
    world *w = *state;
    struct {
        tern_timer timer;
        tern_book **book;
    } t = {.book = &w->book};
    start(w);
    assert_int_equal(join(w), 0);
    put(w, "one", 0, 3600 * TERN_SEC);
    tern_timer_start(w->loop, &t.timer, tern_loop_now(w->loop) + TERN_SEC, end_book);
    run(w, 5 * TERN_SEC);
    assert_null(w->book);
    assert_int_equal(w->counters.book_written, 1);
    end(w);
    start(w);
    assert_int_equal(join(w), 0);
    assert_int_equal(w->visited, 1);
    put(w, "two", 0, 3600 * TERN_SEC);
    tern_mem_fail_at(1, 1);
    run(w, 5 * TERN_SEC);
    tern_mem_fail_at(0, 0);
    assert_int_equal(w->counters.book_written, 1);
    end(w);
}

static void test_pending_is_bounded(void **state)
{
    world *w = *state;
    start(w);
    assert_int_equal(join(w), 0);
    for (uint32_t i = 0; i < TERN_BOOK_PENDING_MAX + 5; i++) {
        tern_book_put_addr(w->book, &alice, (const uint8_t *)&i, sizeof i, 0, TERN_NEVER);
    }
    assert_int_equal(w->counters.book_dropped, 5);
    run(w, 2 * TERN_SEC);
    assert_int_equal(w->counters.book_written, TERN_BOOK_PENDING_MAX);
    end(w);
}

static void test_rows_are_judged(void **state)
{
    static const uint8_t bytes[TERN_STORE_VALUE_MAX];
    world *w = *state;
    start(w);
    const int64_t later = (int64_t)(tern_loop_wall(w->loop) / TERN_SEC) + 1000;
    const tern_store_row good = {.peer = alice.bytes,
                                 .peer_n = alice.len,
                                 .key = bytes,
                                 .key_n = 4,
                                 .value = bytes,
                                 .until = later};
    tern_store_row bad[6];
    for (size_t i = 0; i < 6; i++) {
        bad[i] = good;
    }
    bad[0].peer_n = 0;
    bad[1].peer_n = 3;           /* cut */
    bad[2].key_n = 0;            /* an address of nothing */
    bad[3].value_n = 1;          /* an address with a value */
    bad[4].kind = 1;             /* a blob with a key */
    bad[5].until = later - 1000; /* just expired */
    for (size_t i = 0; i < 6; i++) {
        assert_false(tern_book_read_row(w->book, &bad[i], visit, w));
    }
    assert_int_equal(w->visited, 0);
    assert_true(tern_book_read_row(w->book, &good, visit, w));
    bad[0] = good;
    bad[0].until = INT64_MAX;
    assert_true(tern_book_read_row(w->book, &bad[0], visit, w));
    assert_int_equal(w->until, tern_loop_now(w->loop) + (uint64_t)TERN_STORE_LIFE_MAX * TERN_SEC);
    bad[4].key_n = 0;
    assert_false(tern_book_read_row(w->book, &bad[4], visit, w)); /* a blob of nothing */
    bad[4].value_n = TERN_STORE_VALUE_MAX;
    assert_true(tern_book_read_row(w->book, &bad[4], visit, w));
    end(w);
}

/* No allocation that fails leaves more or less than it should. */
static void test_no_memory(void **state)
{
    world *w = *state;
    size_t alive = tern_mem_alive();
    for (size_t at = 1; at < 12; at++) {
        start(w);
        tern_mem_fail_at(at, 0);
        int joined = join(w);
        int kept = keep(w, &alice, "ticket", 3600 * TERN_SEC);
        put(w, "one", 0, 3600 * TERN_SEC);
        tern_mem_fail_at(0, 0);
        assert_true(joined == 0 || joined == TERN_E_NOMEM);
        assert_true(kept == 0 ? has(w, &alice, "ticket")
                              : kept == TERN_E_NOMEM && has(w, &alice, NULL));
        run(w, 2 * TERN_SEC);
        end(w);
    }
    assert_int_equal(tern_mem_alive(), alive);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_blobs_in_memory),
        TEST(test_blobs_are_bounded),
        TEST(test_survives),
        TEST(test_writing_fails_and_goes_on),
        TEST(test_a_book_that_cannot_be_opened),
        TEST(test_ends_while_a_batch_is_out),
        TEST(test_pending_is_bounded),
        TEST(test_rows_are_judged),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
