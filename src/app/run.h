/* What run.c and command.c share. */
#ifndef TERN_APP_RUN_H
#define TERN_APP_RUN_H

#include "app/app.h"

typedef struct run_command {
    app_options *o;
    tern_node *node;
} run_command;

/* A line of standard input: one JSON command. */
void run_on_line(void *arg, char *line, size_t n);
/* An error event (with --json), or a line on stderr. */
void run_say_error(run_command *r, const char *where, const char *message);

#endif
