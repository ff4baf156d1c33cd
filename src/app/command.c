/* Commands on the standard input of `tern run --json`, one JSON object a line: dial, close, deny,
 * allow, ungate, stats, stop. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/run.h"

void run_say_error(run_command *r, const char *where, const char *format, ...)
{
    char message[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (r->o->json) {
        run_emit(r, json_pack("{s:s, s:s, s:o}", "event", "error", "where", where, "message",
                              app_text(message)));
    } else {
        app_error("%s: %s", where, message);
    }
}

/* A dial under way, so that its failure can be told with its address. */
typedef struct run_dialling {
    run_command *r;
    const char *where;
    char addr[];
} run_dialling;

static void dialled(void *owner, tern_conn *conn, const tern_error *error,
                    const tern_dial_report *reports, size_t report_count)
{
    run_dialling *d = owner;
    (void)reports;
    (void)report_count;
    if (conn == NULL && error->code != TERN_E_CANCELLED) { /* cancelled: the node is stopping */
        run_say_error(d->r, d->where, "%s: %s: %s", d->addr, error->layer, error->text);
    }
    free(d);
}

int run_dial(run_command *r, const char *where, const char *addr, tern_error *reterr)
{
    size_t n = strlen(addr) + 1;
    run_dialling *d = malloc(sizeof *d + n);
    if (d == NULL) {
        *reterr = (tern_error){.code = TERN_E_NOMEM, .layer = "app", .text = "out of memory"};
        return TERN_E_NOMEM;
    }
    d->r = r;
    d->where = where;
    memcpy(d->addr, addr, n);
    int code = tern_node_dial(r->node, &addr, 1, 0, false, dialled, d, reterr);
    if (code != 0) {
        free(d);
    }
    return code;
}

static void command_dial(run_command *r, json_t *o)
{
    const char *addr = json_string_value(json_object_get(o, "addr"));
    tern_error error;
    if (addr == NULL) {
        run_say_error(r, "dial", "the command wants \"addr\": a multiaddr");
    } else if (run_dial(r, "dial", addr, &error) != 0) {
        run_say_error(r, "dial", "%s: %s: %s", addr, error.layer, error.text);
    }
}

static void command_close(run_command *r, json_t *o)
{
    const char *text = json_string_value(json_object_get(o, "peer"));
    tern_peer_id peer;
    if (text == NULL || tern_peer_id_parse(&peer, text) != 0) {
        run_say_error(r, "close", "the command wants \"peer\": a peer id");
    } else if (tern_node_disconnect(r->node, &peer) == 0) {
        run_say_error(r, "close", "there is no connection to %s", text);
    }
}

static void gate(run_command *r, json_t *o, const char *where,
                 int (*act)(tern_node *, const char *, tern_error *))
{
    const char *who = json_string_value(json_object_get(o, "who"));
    tern_error error;
    if (who == NULL) {
        run_say_error(r, where, "the command wants \"who\": a peer id, an IP address or a network");
    } else if (act(r->node, who, &error) != 0) {
        run_say_error(r, where, "%s: %s", error.layer, error.text);
    }
}

static void command_deny(run_command *r, json_t *o)
{
    gate(r, o, "deny", tern_node_deny);
}

static void command_allow(run_command *r, json_t *o)
{
    gate(r, o, "allow", tern_node_allow);
}

static void command_ungate(run_command *r, json_t *o)
{
    gate(r, o, "ungate", tern_node_ungate);
}

static void command_stats(run_command *r, json_t *o)
{
    tern_stats stats = {.size = sizeof stats};
    (void)o;
    tern_node_stats(r->node, &stats);
    run_emit(r, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "event", "stats", "connections",
                          (json_int_t)stats.connections, "streams", (json_int_t)stats.streams,
                          "bytes_in", (json_int_t)stats.bytes_in, "bytes_out",
                          (json_int_t)stats.bytes_out, "memory", (json_int_t)stats.memory));
}

static void command_stop(run_command *r, json_t *o)
{
    (void)o;
    r->stopping = true;
    tern_node_stop(r->node);
}

static const struct {
    const char *name;
    void (*run)(run_command *r, json_t *o);
} commands[] = {
    {"dial", command_dial},   {"close", command_close},   {"deny", command_deny},
    {"allow", command_allow}, {"ungate", command_ungate}, {"stats", command_stats},
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
    run_say_error(r, "stdin",
                  "\"cmd\" wants to be dial, close, deny, allow, ungate, stats or stop");
}

void run_on_line(void *arg, char *line, size_t n)
{
    run_command *r = arg;
    json_error_t error;
    if (line == NULL || r->stopping) {
        return; /* the end of the input is no reason to stop: the node may run without one */
    }
    if (n == SIZE_MAX) {
        run_say_error(r, "stdin", "a command is longer than 64 KiB");
        return;
    }
    if (strspn(line, " \t\r") == n) {
        return;
    }
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(o)) {
        run_say_error(r, "stdin", "a command is a JSON object%s%s", o == NULL ? ": " : "",
                      o == NULL ? error.text : "");
    } else {
        run_one(r, o);
    }
    json_decref(o);
}
