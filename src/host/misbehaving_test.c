/* What the log says of those who break the rules, and that a flood of them does not flood it. */
#include "sim/nodes.h"

#include <stdio.h>
#include <stdlib.h>

#include <tern/log.h>

#define DELAY (5 * TERN_MS)

enum { MANY = 15 };

static unsigned lines, more;
static char last[512];

static void hear(void *owner, int level, const char *room, const char *text)
{
    (void)owner;
    (void)room;
    if (level == TERN_LOG_INFO && strstr(text, " misbehaving: ") != NULL) {
        lines++;
        snprintf(last, sizeof last, "%s", text);
    } else if (strstr(text, "more were misbehaving") != NULL) {
        more = (unsigned)strtoul(text, NULL, 10);
    }
}

static void on_connected(void *owner, int code)
{
    static const char bad[] = "\x13/multistream/2.0.0\n";
    tern_span v = {(const uint8_t *)bad, sizeof bad - 1};
    tern_tcp **t = owner;
    assert_int_equal(code, 0);
    assert_int_equal(tern_tcp_write(*t, &v, 1), (ssize_t)v.len);
}

static void on_error(void *owner, int code)
{
    (void)owner;
    (void)code;
}

static const tern_tcp_events events = {.on_connected = on_connected, .on_error = on_error};

static void lines_and_their_bound(void **state)
{
    sim_nodes w;
    tern_loop *host;
    tern_tcp *t[MANY + 1];
    tern_endpoint to;
    tern_options o;
    (void)state;
    tern_log_set_sink(hear, NULL);
    assert_int_equal(tern_log_set_levels("info"), 0);
    sim_nodes_init(&w, DELAY);
    tern_options_init(&o);
    o.max_pending_per_ip = 100;
    sim_node *b = sim_nodes_add(&w, "10.0.0.2", &o);
    assert_int_equal(tern_sim_host(w.sim, "10.0.0.66", &host), 0);
    assert_int_equal(tern_endpoint_parse_ip(&to, "10.0.0.2"), 0);
    to.port = SIM_NODE_PORT;
    sim_nodes_run(&w, 5 * TERN_SEC);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(tern_tcp_dial(host, &to, NULL, &events, &t[i], &t[i]), 0);
    }
    sim_nodes_run(&w, 10 * DELAY);
    assert_int_equal(sim_counters(b)->multistream_malformed, MANY);
    assert_int_equal(lines, 10);
    assert_int_equal(strncmp(last, "/ip4/10.0.0.66 - misbehaving: ", 30), 0);
    sim_nodes_run(&w, 2 * TERN_SEC);
    assert_int_equal(more, 0);
    assert_int_equal(tern_tcp_dial(host, &to, NULL, &events, &t[MANY], &t[MANY]), 0);
    sim_nodes_run(&w, 10 * DELAY);
    assert_int_equal(lines, 11);
    assert_int_equal(more, MANY - 10);
    for (size_t i = 0; i <= MANY; i++) {
        tern_tcp_close(t[i], true);
    }
    sim_nodes_clear(&w);
    assert_int_equal(tern_log_set_levels("warn"), 0);
    tern_log_set_sink(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_and_their_bound)};
    return TERN_TEST_MAIN(tests);
}
