/* Logging: levels, rooms, the sink, text that must not forge lines. */
#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

#include "base/test.h"

typedef struct heard {
    int count, level;
    char room[32], line[2048];
} heard;

static void hear(void *owner, int level, const char *room, const char *line)
{
    heard *h = owner;
    h->count++;
    h->level = level;
    snprintf(h->room, sizeof h->room, "%s", room);
    snprintf(h->line, sizeof h->line, "%s", line);
}

static int setup(void **state)
{
    static heard h;
    h = (heard){0};
    *state = &h;
    tern_log_set_sink(hear, &h);
    return tern_log_set_levels("warn");
}

static int teardown(void **state)
{
    (void)state;
    tern_log_set_sink(NULL, NULL);
    return tern_log_set_levels("warn");
}

static void default_level_lets_warnings_through(void **state)
{
    heard *h = *state;
    TERN_LOG(TERN_LOG_INFO, "host", "quiet");
    assert_int_equal(h->count, 0);
    TERN_LOG(TERN_LOG_WARN, "host", "conn %d", 7);
    assert_int_equal(h->count, 1);
    assert_int_equal(h->level, TERN_LOG_WARN);
    assert_string_equal(h->room, "host");
    assert_string_equal(h->line, "conn 7");
}

static void rooms_have_levels_of_their_own(void **state)
{
    heard *h = *state;
    assert_int_equal(tern_log_set_levels("info,yamux=trace,noise=error,yamux=debug"), 0);
    assert_int_equal(tern_log_ceiling, TERN_LOG_TRACE);
    TERN_LOG(TERN_LOG_DEBUG, "yamux", "a");
    assert_int_equal(h->count, 1);
    TERN_LOG(TERN_LOG_TRACE, "yamux", "b"); /* the last word about a room counts */
    TERN_LOG(TERN_LOG_WARN, "noise", "c");
    TERN_LOG(TERN_LOG_DEBUG, "swarm", "d");
    assert_int_equal(h->count, 1);
    TERN_LOG(TERN_LOG_INFO, "swarm", "e");
    TERN_LOG(TERN_LOG_ERROR, "noise", "f");
    assert_int_equal(h->count, 3);
}

static void room_alone_keeps_the_default(void **state)
{
    (void)state;
    assert_int_equal(tern_log_set_levels("tcp=debug"), 0);
    assert_true(tern_log_on(TERN_LOG_DEBUG, "tcp"));
    assert_true(tern_log_on(TERN_LOG_WARN, "yamux"));
    assert_false(tern_log_on(TERN_LOG_INFO, "yamux"));
}

static void wrong_specs_change_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "loud",
                                        "debug,",
                                        ",debug",
                                        "tcp=",
                                        "=debug",
                                        "tcp=loud",
                                        "Tcp=debug",
                                        "t p=warn",
                                        "debug;info",
                                        "tcp=debug,loud",
                                        "DEBUG",
                                        "a-name-of-a-room-that-is-too-long=warn"};
    assert_int_equal(tern_log_set_levels("error,tcp=trace"), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(tern_log_set_levels(wrong[i]), TERN_E_INVALID);
        assert_true(tern_log_on(TERN_LOG_TRACE, "tcp"));
        assert_false(tern_log_on(TERN_LOG_WARN, "yamux"));
    }
    char many[1024];
    size_t n = 0;
    for (int i = 0; i < 33; i++) {
        n += (size_t)snprintf(many + n, sizeof many - n, "%sroom%d=warn", i > 0 ? "," : "", i);
    }
    assert_int_equal(tern_log_set_levels(many), TERN_E_INVALID);
}

static void control_characters_are_replaced(void **state)
{
    heard *h = *state;
    TERN_LOG(TERN_LOG_ERROR, "host", "agent '%s'", "a\nb\x1b[31m\x7f");
    assert_string_equal(h->line, "agent 'a?b?[31m?'");
}

static void long_lines_are_cut(void **state)
{
    heard *h = *state;
    TERN_LOG(TERN_LOG_ERROR, "host", "%5000d", 1);
    assert_int_equal(strlen(h->line), 1023);
}

/* Without a sink lines go to standard error, with the time and the level. */
static void standard_error_without_a_sink(void **state)
{
    (void)state;
    char got[256] = "";
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    assert_non_null(file);
    assert_true(saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    tern_log_set_sink(NULL, NULL);
    tern_log_write(TERN_LOG_INFO, "host", "conn %d", 7);
    tern_log_write(-5, "host", "x"); /* a level outside is the nearest */
    fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    rewind(file);
    size_t n = fread(got, 1, sizeof got - 1, file);
    fclose(file);
    assert_true(n > 60);
    assert_int_equal(got[10], 'T'); /* 2026-01-31T12:00:00.000Z */
    assert_int_equal(got[23], 'Z');
    assert_memory_equal(got + 24, " info  host: conn 7\n", 20);
    assert_non_null(strstr(got, "Z error host: x\n"));
}

#define WITH_SINK(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SINK(default_level_lets_warnings_through), WITH_SINK(rooms_have_levels_of_their_own),
        WITH_SINK(room_alone_keeps_the_default),        WITH_SINK(wrong_specs_change_nothing),
        WITH_SINK(control_characters_are_replaced),     WITH_SINK(long_lines_are_cut),
        WITH_SINK(standard_error_without_a_sink),
    };
    return TERN_TEST_MAIN(tests);
}
