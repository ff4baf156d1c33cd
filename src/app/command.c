/* Commands on the standard input of `tern run --json`, one JSON object a line: dial, close, stats,
 * stop. */
#include <string.h>

#include "app/run.h"

void run_say_error(run_command *r, const char *where, const char *message)
{
    if (r->o->json) {
        app_emit(
            json_pack("{s:s, s:s, s:s}", "event", "error", "where", where, "message", message));
    } else {
        app_error("%s: %s", where, message);
    }
}

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    (void)reports;
    (void)report_count;
    if (conn == NULL) {
        run_say_error(owner, "dial", error->text);
    }
}

static void command_dial(run_command *r, json_t *o)
{
    const char *addr = json_string_value(json_object_get(o, "addr"));
    tern_error error;
    if (addr == NULL) {
        run_say_error(r, "dial", "the command wants \"addr\": a multiaddr");
    } else if (tern_node_dial(r->node, &addr, 1, 0, false, dialled, r, &error) != 0) {
        run_say_error(r, "dial", error.text);
    }
}

static void command_close(run_command *r, json_t *o)
{
    const char *text = json_string_value(json_object_get(o, "peer"));
    tern_peer_id peer;
    if (text == NULL || tern_peer_id_parse(&peer, text) != 0) {
        run_say_error(r, "close", "the command wants \"peer\": a peer id");
    } else if (tern_node_disconnect(r->node, &peer) == 0) {
        run_say_error(r, "close", "there is no connection to this peer");
    }
}

static void command_stats(run_command *r, json_t *o)
{
    tern_stats stats = {.size = sizeof stats};
    (void)o;
    tern_node_stats(r->node, &stats);
    app_emit(json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "event", "stats", "connections",
                       (json_int_t)stats.connections, "streams", (json_int_t)stats.streams,
                       "bytes_in", (json_int_t)stats.bytes_in, "bytes_out",
                       (json_int_t)stats.bytes_out, "memory", (json_int_t)stats.memory));
}

static void command_stop(run_command *r, json_t *o)
{
    (void)o;
    tern_node_stop(r->node);
}

static const struct {
    const char *name;
    void (*run)(run_command *r, json_t *o);
} commands[] = {
    {"dial", command_dial},
    {"close", command_close},
    {"stats", command_stats},
    {"stop", command_stop},
};

static void run_one(run_command *r, json_t *o)
{
    const char *name = json_string_value(json_object_get(o, "cmd"));
    for (size_t i = 0; name != NULL && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            commands[i].run(r, o);
            return;
        }
    }
    run_say_error(r, "stdin", "there is no such command; dial, close, stats and stop are known");
}

void run_on_line(void *arg, char *line, size_t n)
{
    run_command *r = arg;
    json_error_t error;
    if (line == NULL) {
        return; /* the end of the input is no reason to stop: the node may run without one */
    }
    if (n == SIZE_MAX) {
        run_say_error(r, "stdin", "a command is longer than 64 KiB");
        return;
    }
    if (line[strspn(line, " \t\r")] == '\0') {
        return;
    }
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(o)) {
        run_say_error(r, "stdin", o == NULL ? error.text : "a command is a JSON object");
    } else {
        run_one(r, o);
    }
    json_decref(o);
}
