/* The `tern` program from inside. It uses the library through include/tern alone.
 *
 *   main.c     the table of commands          options.c  the command line and the config file
 *   out.c      text and JSON lines            identity.c key files and the data folder
 *   mapping.c  ports of the gateway
 *   run.c run_relay.c ping.c identify.c perf.c bench.c bench_streams.c bench_relay.c key.c addr.c
 *   features.c              one file a command     interop.c, interop_*.c  the official suites' */
#ifndef TERN_APP_APP_H
#define TERN_APP_APP_H

#include <stdbool.h>

#include <jansson.h>
#include <tern/tern.h>

/* Exit statuses, as the command line's contract says. */
enum { APP_OK = 0, APP_FAILED = 1, APP_USAGE = 2 };

enum { APP_LIST_MAX = 64 };
#define APP_NOT_GIVEN UINT64_MAX /* a size that is not on the command line */

typedef struct app_list {
    const char *items[APP_LIST_MAX];
    size_t count;
} app_list;

/* Everything that can be given on a command line. */
typedef struct app_options {
    const char *command;
    app_list args; /* what is no option */
    app_list listen, announce, bootstrap, relay, relay_known, deny, allow;
    const char *key, *data, *security, *muxer, *log, *config, *type, *out, *page_dir, *psk,
        *tls_cert, *tls_key, *tls_ca, *webrtc_credentials, *relay_service, *force_reachability;
    double timeout, interval, duration, hold; /* seconds */
    long count, parallel, streams;
    uint64_t upload, download; /* bytes, or APP_NOT_GIVEN */
    uint64_t max_memory, max_write_queue, max_window, relay_data, relay_rate; /* bytes */
    double grace, handshake_time, negotiation_time, identify_time, stall_time, relay_duration,
        relay_ttl; /* seconds */
    long max_connections, max_connections_per_ip, max_connections_per_peer, max_pending,
        max_pending_per_ip, max_streams, max_unnegotiated, max_sockets, low_water, high_water,
        relay_reservations, relay_reservations_per_ip, relay_reservations_per_network,
        relay_circuits, relay_circuits_per_peer, relay_wanted;
    int verbose;
    bool json, help, page, metrics, metrics_public, perf, autonat_service, holepunch, port_mapping;
    bool per_ip_given, tcp_fast_open, early_data, no_resumption, resumed;
    uint8_t psk_key[TERN_PSK]; /* what the file of --psk holds; wiped by app_options_free */
    char *config_text;         /* what the strings of a config file point into */
    int line;                  /* of the config file, while it is read */
} app_options;

typedef struct app_command {
    const char *name, *usage, *summary;
    int (*run)(app_options *o);
} app_command;

extern const app_command app_commands[]; /* name NULL ends it */

/* options.c: fills *ret; APP_OK, or after one line on stderr APP_USAGE, or APP_FAILED for a config
 * file that cannot be read. */
int app_parse(int argc, char **argv, const app_command *command, app_options *ret);
void app_options_free(app_options *o);
/* The options that a command takes, one line each, on stdout. */
void app_print_options(const char *command);

/* out.c. A line is always one line, and harmless to a terminal, whatever a peer put into it. */
void app_error(const char *format, ...)
    __attribute__((format(printf, 1, 2))); /* a line on stderr */
/* The same with the command and where its help is; gives APP_USAGE. */
int app_usage_error(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The error, and what to try where that is known. */
void app_say_error(const char *what, const tern_error *error);
/* The same for an error of an address that was given; APP_USAGE if it is malformed, else
 * APP_FAILED. */
int app_address_error(const char *addr, const tern_error *error);
void app_say(const char *format, ...)
    __attribute__((format(printf, 1, 2))); /* a line on stdout, at once */
void app_emit(json_t *event);              /* a JSON line on stdout, at once; takes the reference */
/* Why stdout takes no more (an errno), 0 while it does. */
int app_output_error(void);
/* A peer's strings may be no UTF-8, and JSON has to be; NULL is null. */
json_t *app_text(const char *s);
json_t *app_strings(const char *const *v, size_t n);
void app_add_peer(json_t *o, const char *field, const tern_peer_id *id);
/* Adds peer, addr, direction, transport, security, muxer, limited, resumed, unproven. */
void app_add_facts(json_t *o, const tern_conn_facts *facts);
void app_peer_text(const tern_conn_facts *facts, char out[TERN_PEER_ID_TEXT]);
/* A line for people: with whom a command is connected, and over what. */
void app_say_connected(const tern_conn_facts *facts);

/* mapping.c: what came of asking the gateway for ports (tern_node_events.on_port_mapping). */
json_t *app_mapping_event(const tern_port_mapping *what, const tern_error *why);
/* The same for people, in a line; false: there is nothing to say. */
bool app_mapping_text(const tern_port_mapping *what, const tern_error *why, char *out, size_t cap);

/* identity.c: reads a key file (libp2p's protobuf or PEM). APP_OK or APP_FAILED after a line. */
int app_read_key(const char *path, tern_key **ret);
/* Writes a key file (mode 0600), never over another file. */
int app_write_key(const char *path, const tern_key *key);
/* The file of the data folder's identity; makes the folder. */
int app_identity_file(const app_options *o, char *out, size_t cap);
/* Where the address book is kept: --data's folder, or with `run` and no --key the one of the
 * identity; made if it is not there. NULL: nowhere. Valid until the next call. */
const char *app_data(const app_options *o);
/* Who we are: --key, else that file's, made if it is not there; without `run` and --data a fresh
 * one that is kept nowhere. */
int app_identity(const app_options *o, tern_key **ret);

/* Reads the key file of a private network into o->psk_key / makes one, never over another file.
 * APP_OK or APP_FAILED after a line. */
int app_read_psk(app_options *o);
int app_write_psk(const char *path, const uint8_t psk[TERN_PSK]);

uint32_t app_ms(double seconds); /* from 1 to all that fits */
/* Node options from the command line's; the key is the caller's, strings and --psk stay o's. */
void app_node_options(const app_options *o, tern_key *key, const tern_node_events *events,
                      void *owner, tern_options *ret);

/* Commands that dial: makes a node, dials the only argument, calls on_conn, runs until app_finish.
 */
typedef struct app_dial {
    app_options *o;
    tern_node *node;
    tern_conn *conn;
    void (*on_conn)(struct app_dial *d);
    void (*on_interrupt)(struct app_dial *d); /* Ctrl-C while connected; may be NULL */
    uint64_t started;                         /* ns: when the dial began */
    uint64_t connected;
    int status;
    bool finished;
} app_dial;
int app_dial_run(app_dial *d, const tern_node_events *extra);
void app_finish(app_dial *d, int status);
/* A node's on_stopped: a second Ctrl-C must not make a bad end of a good one. */
void app_on_stopped(void *owner, tern_node *node);

int app_run(app_options *o);
int app_ping(app_options *o);
int app_identify(app_options *o);
int app_perf(app_options *o);
int app_bench(app_options *o);
int app_bench_streams(app_options *o); /* of app_bench: `streams` */
int app_bench_relay(app_options *o);   /* ... `relay` */
int app_key(app_options *o);
int app_addr(app_options *o);
int app_check(app_options *o);
int app_show_features(app_options *o);
int app_interop(app_options *o);

#endif
