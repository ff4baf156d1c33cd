/* What run.c and command.c share. */
#ifndef TERN_APP_RUN_H
#define TERN_APP_RUN_H

#include "app/app.h"

enum { RUN_ADDR_MAX = 2300 };

typedef struct run_command {
    app_options *o;
    tern_node *node;
    bool page_missing; /* wanted, but its files are not there */
    json_t *addrs;     /* as last shown */
    bool stopping;     /* a command said so */
} run_command;

/* A line of standard input: one JSON command. */
void run_on_line(void *arg, char *line, size_t n);
/* A JSON line; takes the reference. */
void run_emit(run_command *r, json_t *event);
/* Nobody reads our output any more: stops the node. */
void run_check_output(run_command *r);
/* An error event (with --json), or a line on stderr. */
void run_say_error(run_command *r, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Dials an address; `where` (a static string) tells in the error event what for. 0, or an error at
 * once. */
int run_dial(run_command *r, const char *where, const char *addr, tern_error *reterr);

/* run_relay.c: the options of the relay service and of places at relays; these places; who is known
 * to our relay (APP_OK, or the exit status after a line); node event on_reservation. */
void run_set_relay(const app_options *o, tern_options *ret);
int run_reserve_all(run_command *r);
int run_know_all(run_command *r);
void run_on_reservation(void *owner, tern_node *node, const tern_multiaddr *addr,
                        const tern_peer_id *relay, uint64_t expires, const tern_error *why);

#endif
