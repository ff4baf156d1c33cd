/* Tests of the real loop: clock, timers, deferred calls, posts from threads, work, closing,
 * programs. */
#include "loop/uv_test.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <uv.h>

#include <tern/error.h>

static unsigned count;
static uint64_t when;
static tern_timer timers[3];
static tern_deferred deferred;

static int setup(void **state)
{
    count = 0;
    when = 0;
    memset(timers, 0, sizeof timers);
    return loop_setup(state);
}

static void an_idle_loop_ends(void **state)
{
    (void)state;
    tern_loop_run(loop);
}

static void note_time(tern_timer *timer)
{
    count++;
    when = tern_loop_now(timer->loop);
    assert_true(when >= timer->at);
    assert_int_equal(tern_loop_now(timer->loop), when); /* one turn, one time */
}

static void timers_are_never_early(void **state)
{
    (void)state;
    uint64_t start = tern_loop_now(loop);
    for (unsigned i = 0; i < 3; i++) {
        tern_timer_start(loop, &timers[i], start + (3 - i) * TERN_MS + 123456, note_time);
    }
    tern_loop_run(loop); /* ends by itself */
    assert_int_equal(count, 3);
    assert_true(tern_loop_now(loop) >= when);
}

static void a_stopped_timer_lets_the_loop_end(void **state)
{
    (void)state;
    tern_timer_start(loop, &timers[0], tern_loop_now(loop) + 3600 * TERN_SEC, note_time);
    tern_timer_stop(&timers[0]);
    tern_loop_run(loop);
    assert_int_equal(count, 0);
}

static void count_down(tern_deferred *d)
{
    if (++count < 1000) {
        tern_defer(loop, d);
    }
}

static void deferred_calls_all_run(void **state)
{
    (void)state;
    tern_deferred_init(&deferred, count_down);
    tern_defer(loop, &deferred);
    tern_loop_run(loop);
    assert_int_equal(count, 1000);
}

static void stop_it(tern_timer *timer)
{
    (void)timer;
    tern_deferred_cancel(&deferred);
    tern_loop_stop(loop);
}

static void forever(tern_deferred *d)
{
    count++;
    tern_defer(loop, d);
}

static void deferred_calls_without_end_do_not_starve_timers(void **state)
{
    (void)state;
    tern_deferred_init(&deferred, forever);
    tern_defer(loop, &deferred);
    tern_timer_start(loop, &timers[0], tern_loop_now(loop) + TERN_MS, stop_it);
    run();
    assert_true(count > 0);
}

static void random_bytes_differ(void **state)
{
    (void)state;
    uint8_t a[32] = {0}, b[32] = {0};
    tern_loop_random(loop, a, sizeof a);
    tern_loop_random(loop, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    tern_loop_random(loop, a, 0);
}

static void the_wall_clock_is_of_this_century(void **state)
{
    (void)state;
    assert_true(tern_loop_wall(loop) > UINT64_C(1700000000) * TERN_SEC);
}

static void addresses_have_loopback(void **state)
{
    (void)state;
    tern_endpoint list[64];
    size_t n = tern_loop_addresses(loop, list, 64);
    assert_true(n > 0);
    assert_int_equal(tern_loop_addresses(loop, NULL, 0), n);
    bool found = false;
    for (size_t i = 0; i < n && i < 64; i++) {
        assert_int_equal(list[i].port, 0);
        found = found || tern_endpoint_is_loopback(&list[i]);
    }
    assert_true(found);
}

/* --- threads --- */

enum { POSTS = 1000, THREADS = 4 };

static pthread_t loop_thread;

static void on_post(void *arg)
{
    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_ptr_equal(arg, &count);
    if (++count == POSTS * THREADS) {
        tern_loop_stop(loop);
    }
}

static void *poster(void *arg)
{
    (void)arg;
    for (int i = 0; i < POSTS; i++) {
        if (tern_loop_post(loop, on_post, &count) != 0) {
            break;
        }
    }
    return NULL;
}

static void posts_from_threads_all_arrive(void **state)
{
    (void)state;
    loop_thread = pthread_self();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, poster, NULL), 0);
    }
    run();
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(count, POSTS * THREADS);
}

static int late_code;

static void post_again(void *arg)
{
    (void)arg;
    count++;
    late_code = tern_loop_post(loop, post_again, NULL);
}

static void closing_runs_what_was_posted_and_refuses_more(void **state)
{
    (void)state;
    assert_int_equal(tern_loop_post(loop, post_again, NULL), 0);
    tern_mem_fail_at(1, 0);
    assert_int_equal(tern_loop_post(loop, post_again, NULL), TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    tern_loop_free(loop);
    loop = NULL;
    assert_int_equal(count, 1);
    assert_int_equal(late_code, TERN_E_STATE);
}

static pthread_t work_thread;

static void work_run(tern_work *work)
{
    (void)work;
    work_thread = pthread_self();
}

static void work_done(tern_work *work)
{
    (void)work;
    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_false(pthread_equal(work_thread, loop_thread));
    count++;
}

static void work_runs_on_another_thread(void **state)
{
    (void)state;
    tern_work work = {.run = work_run, .done = work_done};
    loop_thread = pthread_self();
    tern_mem_fail_at(1, 0);
    assert_int_equal(tern_loop_work(loop, &work), TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    assert_int_equal(tern_loop_work(loop, &work), 0);
    tern_loop_run(loop);
    assert_int_equal(count, 1);
    /* and closing waits for it */
    assert_int_equal(tern_loop_work(loop, &work), 0);
    tern_loop_free(loop);
    loop = NULL;
    assert_int_equal(count, 2);
}

/* --- closing --- */

static void on_closed(void *arg)
{
    count++;
    tern_loop_free(arg);
}

static void an_own_loop_may_be_freed_when_closed(void **state)
{
    (void)state;
    tern_loop_close(loop, on_closed, loop);
    tern_loop_run(loop);
    loop = NULL;
    assert_int_equal(count, 1);
}

static void an_embedded_loop_leaves_the_embedders_alone(void **state)
{
    (void)state;
    uv_loop_t uv;
    tern_loop *embedded;
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(tern_loop_new_uv(&uv, &embedded), 0);
    tern_timer_start(embedded, &timers[0], tern_loop_now(embedded) + TERN_MS, note_time);
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_int_equal(count, 1);
    tern_loop_close(embedded, on_closed, embedded);
    uv_run(&uv, UV_RUN_DEFAULT);
    assert_int_equal(count, 2);
    assert_int_equal(uv_loop_close(&uv), 0);
}

static void without_memory_there_is_no_loop(void **state)
{
    (void)state;
    tern_loop *none = NULL;
    tern_mem_fail_at(1, 0);
    assert_int_equal(tern_loop_new_uv(NULL, &none), TERN_E_NOMEM);
    tern_mem_fail_at(0, 0);
    assert_null(none);
}

/* --- programs --- */

static int signal_seen;

static void on_signal(void *arg, int number)
{
    assert_ptr_equal(arg, &count);
    signal_seen = number;
    tern_loop_stop(loop);
}

static void signals_arrive(void **state)
{
    (void)state;
    assert_int_equal(tern_loop_on_signal(loop, on_signal, &count), 0);
    static const int numbers[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        raise(numbers[i]);
        run();
        assert_int_equal(signal_seen, numbers[i]);
    }
    assert_int_equal(tern_loop_on_signal(loop, NULL, NULL), 0);
}

static char lines[8][80];
static size_t lengths[8];
static unsigned line_count;
static bool input_ended;

static void on_line(void *arg, char *line, size_t n)
{
    (void)arg;
    assert_false(input_ended);
    if (line == NULL) {
        input_ended = true;
        return;
    }
    assert_true(line_count < 8);
    lengths[line_count] = n;
    strncpy(lines[line_count++], line, 79);
    if (strcmp(line, "quit") == 0) {
        tern_loop_on_stdin(loop, NULL, NULL);
        input_ended = true;
    }
}

/* Runs with `fd` in place of standard input, which is put back. */
static void read_lines(int fd)
{
    int saved = dup(STDIN_FILENO);
    line_count = 0;
    input_ended = false;
    assert_true(dup2(fd, STDIN_FILENO) >= 0);
    close(fd);
    assert_int_equal(tern_loop_on_stdin(loop, on_line, NULL), 0);
    tern_loop_run(loop);
    dup2(saved, STDIN_FILENO);
    close(saved);
    assert_true(input_ended);
}

static void put(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, text, n);
        assert_true(k > 0);
        text += k;
        n -= (size_t)k;
    }
}

static char long_line[64 * 1024 + 5];

static void fill(int fd)
{
    memset(long_line, 'x', sizeof long_line);
    put(fd, "one\n\ntwo", 8);
    put(fd, " words\n", 7);
    put(fd, long_line, sizeof long_line);
    put(fd, "\n", 1);
    put(fd, long_line, 64 * 1024);
    put(fd, "\nlast", 5);
}

static void check_lines(void)
{
    assert_int_equal(line_count, 6);
    assert_string_equal(lines[0], "one");
    assert_int_equal(lengths[1], 0);
    assert_string_equal(lines[2], "two words");
    assert_true(lengths[3] == SIZE_MAX);
    assert_int_equal(lengths[4], 64 * 1024);
    assert_string_equal(lines[5], "last");
}

static void *filler(void *arg)
{
    int fd = *(int *)arg;
    fill(fd);
    close(fd);
    return NULL;
}

static void lines_come_from_a_pipe(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, filler, &fds[1]), 0);
    read_lines(fds[0]);
    pthread_join(thread, NULL);
    check_lines();
}

static void lines_come_from_a_file(void **state)
{
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    int fd = dup(fileno(file));
    fill(fd);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    read_lines(fd);
    fclose(file);
    check_lines();
}

static void reading_ends_when_told(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    put(fds[1], "a\nquit\nmore\n", 12);
    read_lines(fds[0]);
    close(fds[1]);
    assert_int_equal(line_count, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_idle_loop_ends),
        TEST(timers_are_never_early),
        TEST(a_stopped_timer_lets_the_loop_end),
        TEST(deferred_calls_all_run),
        TEST(deferred_calls_without_end_do_not_starve_timers),
        TEST(random_bytes_differ),
        TEST(the_wall_clock_is_of_this_century),
        TEST(addresses_have_loopback),
        TEST(posts_from_threads_all_arrive),
        TEST(closing_runs_what_was_posted_and_refuses_more),
        TEST(work_runs_on_another_thread),
        TEST(an_own_loop_may_be_freed_when_closed),
        TEST(an_embedded_loop_leaves_the_embedders_alone),
        TEST(without_memory_there_is_no_loop),
        TEST(signals_arrive),
        TEST(lines_come_from_a_pipe),
        TEST(lines_come_from_a_file),
        TEST(reading_ends_when_told),
    };
    return TERN_TEST_MAIN(tests);
}
