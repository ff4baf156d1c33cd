/* The `tern` program from inside. It uses the library through include/tern alone.
 *
 *   main.c     the table of commands          options.c  the command line and the config file
 *   out.c      text and JSON lines            identity.c key files and the data folder
 *   run.c ping.c identify.c key.c addr.c features.c      one file a command */
#ifndef TERN_APP_APP_H
#define TERN_APP_APP_H

#include <stdbool.h>

#include <jansson.h>
#include <tern/tern.h>

/* Exit statuses, as the command line's contract says. */
enum { APP_OK = 0, APP_FAILED = 1, APP_USAGE = 2 };

enum { APP_LIST_MAX = 64 };

typedef struct app_list {
    const char *items[APP_LIST_MAX];
    size_t count;
} app_list;

/* Everything that can be given on a command line. */
typedef struct app_options {
    const char *command;
    app_list args; /* what is no option */
    app_list listen, announce, bootstrap;
    const char *key, *data, *security, *muxer, *log, *config, *type, *out, *page_dir;
    double timeout, interval, duration; /* seconds */
    long count;
    long max_connections, max_connections_per_ip, max_pending, max_streams;
    int verbose;
    bool json, help, page, metrics, metrics_public;
    bool per_ip_given;
    char *config_text; /* what the strings of a config file point into */
} app_options;

typedef struct app_command {
    const char *name, *usage, *summary;
    int (*run)(app_options *o);
} app_command;

extern const app_command app_commands[]; /* name NULL ends it */

/* options.c: fills *ret; APP_OK, or APP_USAGE after one line on stderr. */
int app_parse(int argc, char **argv, const app_command *command, app_options *ret);
void app_options_free(app_options *o);
/* The options that a command takes, one line each, on stdout. */
void app_print_options(const char *command);
int app_usage_error(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* out.c */
void app_error(const char *format, ...)
    __attribute__((format(printf, 1, 2))); /* a line on stderr */
void app_say_error(const char *what, const tern_error *error);
void app_emit(json_t *event); /* one line on stdout; takes the reference */
json_t *app_strings(const char *const *v, size_t n);
void app_add_peer(json_t *o, const char *field, const tern_peer_id *id);
/* Adds peer, addr, transport, security, muxer, limited. */
void app_add_facts(json_t *o, const tern_conn_facts *facts);
void app_peer_text(const tern_conn_facts *facts, char out[TERN_PEER_ID_TEXT]);

/* identity.c: reads a key file (libp2p's protobuf or PEM). APP_OK or APP_FAILED after a line. */
int app_read_key(const char *path, tern_key **ret);
/* Writes a key file (mode 0600), never over another file. */
int app_write_key(const char *path, const tern_key *key);
/* The identity of `tern run`: --key, else DATA/identity.key, made if it is not there. */
int app_identity(const app_options *o, tern_key **ret);

/* Node options from the command line's; the key is the caller's. */
void app_node_options(const app_options *o, tern_key *key, const tern_node_events *events,
                      void *owner, tern_options *ret);

/* Commands that dial: makes a node, dials the only argument, calls on_conn, runs until app_finish.
 */
typedef struct app_dial {
    app_options *o;
    tern_node *node;
    tern_conn *conn;
    void (*on_conn)(struct app_dial *d);
    uint64_t started; /* ns: when the dial began */
    uint64_t connected;
    int status;
    bool finished;
} app_dial;
int app_dial_run(app_dial *d, const tern_node_events *extra);
void app_finish(app_dial *d, int status);

int app_run(app_options *o);
int app_ping(app_options *o);
int app_identify(app_options *o);
int app_key(app_options *o);
int app_addr(app_options *o);
int app_show_features(app_options *o);

#endif
