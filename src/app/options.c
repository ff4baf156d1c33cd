/* The command line and the config file: one table of options for all commands, each with the
 * commands that take it, the kind of its value and its line of help. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"

enum kind { FLAG, COUNT_UP, ON_OFF, CHOICE, STRING, LIST, SECONDS, NUMBER, NUMBER_OR_0, SIZE };
enum { CONFIG_MAX = 65536 }; /* bytes */

typedef struct option {
    const char *name; /* with its dashes */
    enum kind kind;
    size_t field;         /* offset in app_options */
    const char *value;    /* how help shows the value */
    const char *commands; /* blank-separated; "*" = all */
    const char *help;
} option;

#define FIELD(name) offsetof(app_options, name)
#define DIALS       "ping identify perf bench"

static const option options[] = {
    {"--listen", LIST, FIELD(listen), "MA", "run check",
     "listens there (repeatable; default: all transports on port 4001 where free)"},
    {"--announce", LIST, FIELD(announce), "MA", "run",
     "announces this address instead of those listened on (repeatable)"},
    {"--bootstrap", LIST, FIELD(bootstrap), "MA", "run",
     "connects to this peer at start (repeatable)"},
    {"--relay", LIST, FIELD(relay), "MA|auto|off", "run",
     "keeps a place at this relay, through which others reach us (repeatable); auto: at relays "
     "among its peers, as needed (auto)"},
    {"--relay-wanted", NUMBER, FIELD(relay_wanted), "N", "run", "... auto: at so many (2)"},
    {"--relay-service", CHOICE, FIELD(relay_service), "on|off|auto", "run",
     "relays for others; auto: while an address of ours is publicly reachable (auto)"},
    {"--relay-max-reservations", NUMBER, FIELD(relay_reservations), "N", "run",
     "most peers that have a place here (128)"},
    {"--relay-max-reservations-per-ip", NUMBER_OR_0, FIELD(relay_reservations_per_ip), "N", "run",
     "... from one IPv4 address or IPv6 /56 (8; 0 lifts it)"},
    {"--relay-max-reservations-per-network", NUMBER_OR_0, FIELD(relay_reservations_per_network),
     "N", "run", "... from one IPv4 /16 or IPv6 /32 (32; 0 lifts it)"},
    {"--relay-known", LIST, FIELD(relay_known), "PEER", "run",
     "has a place whatever its address, if need be that of a stranger (repeatable)"},
    {"--relay-max-circuits", NUMBER, FIELD(relay_circuits), "N", "run",
     "most circuits in all (1024)"},
    {"--relay-max-circuits-per-peer", NUMBER, FIELD(relay_circuits_per_peer), "N", "run",
     "... from one peer, and to one (16)"},
    {"--relay-data", SIZE, FIELD(relay_data), "BYTES", "run",
     "most that a circuit carries each way (128K; 0 lifts it)"},
    {"--relay-rate", SIZE, FIELD(relay_rate), "BYTES", "run",
     "most that a circuit carries in a second each way (any)"},
    {"--relay-duration", SECONDS, FIELD(relay_duration), "SECONDS", "run",
     "how long a circuit lasts (120; 0 lifts it)"},
    {"--relay-ttl", SECONDS, FIELD(relay_ttl), "SECONDS", "run",
     "how long a place is kept unless it is renewed (3600)"},
    {"--autonat-service", ON_OFF, FIELD(autonat_service), "on|off", "run",
     "dials back for others who want to know whether they can be reached (on)"},
    {"--holepunch", ON_OFF, FIELD(holepunch), "on|off", "run",
     "makes direct connections to peers that come through a relay (on)"},
    {"--port-mapping", ON_OFF, FIELD(port_mapping), "on|off", "run check",
     "has the router let others in, by PCP, NAT-PMP or UPnP, until it stops (on)"},
    {"--force-reachability", CHOICE, FIELD(force_reachability), "public|private", "run",
     "whether others can reach us, without asking any"},
    {"--key", STRING, FIELD(key), "FILE", "run key check " DIALS,
     "the identity (libp2p private key or PEM)"},
    {"--data", STRING, FIELD(data), "DIR", "run key " DIALS,
     "where identity and address book are kept (run, key: default under the XDG data folder)"},
    {"--page", ON_OFF, FIELD(page), "on|off", "run", "serves the web page on the TCP port (on)"},
    {"--page-dir", STRING, FIELD(page_dir), "DIR", "run", "the folder of the page's files"},
    {"--metrics", ON_OFF, FIELD(metrics), "on|off", "run",
     "serves /metrics on the TCP port to loopback (on)"},
    {"--metrics-public", FLAG, FIELD(metrics_public), NULL, "run", "serves /metrics to everybody"},
    {"--perf", ON_OFF, FIELD(perf), "on|off", "run",
     "answers perf: sends anybody as much as they ask for (off)"},
    {"--duration", SECONDS, FIELD(duration), "SECONDS", "run",
     "stops by itself after that time (0: never)"},
    {"--max-connections", NUMBER, FIELD(max_connections), "N", "run",
     "most connections in all (1024)"},
    {"--max-connections-per-ip", NUMBER_OR_0, FIELD(max_connections_per_ip), "N", "run",
     "most incoming ones from one IPv4 address or IPv6 /56 (8; 0 lifts it)"},
    {"--max-connections-per-peer", NUMBER, FIELD(max_connections_per_peer), "N", "run",
     "most connections with one peer (8)"},
    {"--max-pending-per-ip", NUMBER, FIELD(max_pending_per_ip), "N", "run",
     "most incoming ones not secured yet from one address (8)"},
    {"--max-sockets", NUMBER, FIELD(max_sockets), "N", "run",
     "most sockets (all that the process may open, less 64)"},
    {"--max-memory", SIZE, FIELD(max_memory), "BYTES", "run",
     "gives things up when so much is used (an eighth of the machine's, 64M to 1G)"},
    {"--max-write-queue", SIZE, FIELD(max_write_queue), "BYTES", "run",
     "most bytes that wait on one connection (1M)"},
    {"--max-window", SIZE, FIELD(max_window), "BYTES", "run",
     "most that one stream may have under way to us (128M)"},
    {"--high-water", NUMBER, FIELD(high_water), "N", "run",
     "with more connections than that the idle ones are closed (7/8 of the most)"},
    {"--low-water", NUMBER, FIELD(low_water), "N", "run", "... down to so many (3/4)"},
    {"--grace", SECONDS, FIELD(grace), "SECONDS", "run", "... but none younger than that (60)"},
    {"--deny", LIST, FIELD(deny), "WHO", "run",
     "nothing to or from this peer id, IP address or network (repeatable)"},
    {"--allow", LIST, FIELD(allow), "WHO", "run",
     "nothing to or from anybody else than those allowed (repeatable)"},
    {"--max-pending", NUMBER, FIELD(max_pending), "N", "run",
     "most incoming connections not secured yet (64)"},
    {"--max-streams", NUMBER, FIELD(max_streams), "N", "run",
     "most incoming streams of one connection (256)"},
    {"--max-unnegotiated", NUMBER, FIELD(max_unnegotiated), "N", "run",
     "... of these that agree on a protocol at once (64)"},
    {"--handshake-timeout", SECONDS, FIELD(handshake_time), "SECONDS", "run",
     "for an accepted socket to be secured, or to ask over HTTP (10)"},
    {"--negotiation-timeout", SECONDS, FIELD(negotiation_time), "SECONDS", "run",
     "for a stream to have a protocol (10)"},
    {"--identify-timeout", SECONDS, FIELD(identify_time), "SECONDS", "run", "for identify (5)"},
    {"--stall-timeout", SECONDS, FIELD(stall_time), "SECONDS", "run",
     "a connection on which nothing can be sent ends after that time (30)"},
    {"--config", STRING, FIELD(config), "FILE", "run",
     "reads options from a file, one 'name value' a line; the command line wins"},
    {"-c", NUMBER, FIELD(count), "N", "ping", "so many pings (5)"},
    {"-c", NUMBER, FIELD(count), "N", "bench", "so many connections, streams or peers (1000)"},
    {"-i", SECONDS, FIELD(interval), "SECONDS", "ping", "time between pings (1)"},
    {"--upload", SIZE, FIELD(upload), "BYTES", "perf",
     "sends so many bytes; K, M and G are powers of 1024 (256M when neither is given)"},
    {"--download", SIZE, FIELD(download), "BYTES", "perf", "asks for so many bytes, afterwards"},
    {"--streams", NUMBER, FIELD(streams), "N", "perf", "shares the bytes out to N streams (1)"},
    {"--parallel", NUMBER, FIELD(parallel), "P", "bench",
     "connect, streams, relay: so many at a time (1)"},
    {"--hold", SECONDS, FIELD(hold), "SECONDS", "bench", "idle, relay: holds them so long (10)"},
    {"--timeout", SECONDS, FIELD(timeout), "SECONDS", "check " DIALS,
     "gives up after that time (15; check: 30)"},
    {"--security", STRING, FIELD(security), "noise|tls", "run " DIALS, "offers only this security"},
    {"--muxer", STRING, FIELD(muxer), "yamux|mplex", "run " DIALS, "offers only this muxer"},
    {"--webrtc-credentials", STRING, FIELD(webrtc_credentials), "v1|v2", "run " DIALS,
     "dials WebRTC Direct with this scheme of its credentials (v1)"},
    {"--tcp-fast-open", FLAG, FIELD(tcp_fast_open), NULL, "run " DIALS,
     "the second connection to an address takes a round trip less (RFC 7413)"},
    {"--no-resumption", FLAG, FIELD(no_resumption), NULL, "run " DIALS,
     "over QUIC every connection is a fresh one: no tickets"},
    {"--resumed", FLAG, FIELD(resumed), NULL, "bench",
     "connect: with tickets; each connection is closed once the next has come"},
    {"--early-data", FLAG, FIELD(early_data), NULL, "run " DIALS,
     "over QUIC a peer that was met in the last day is asked in the first packet (0-RTT)"},
    {"--tls-cert", STRING, FIELD(tls_cert), "FILE", "run",
     "the certificate chain for Secure WebSocket and HTTPS, PEM; read again when it changes"},
    {"--tls-key", STRING, FIELD(tls_key), "FILE", "run", "its private key, PEM"},
    {"--tls-ca", STRING, FIELD(tls_ca), "FILE", "run " DIALS,
     "trusts these authorities for Secure WebSocket instead of the system's, PEM"},
    {"--psk", STRING, FIELD(psk), "FILE", "run key " DIALS,
     "talks to nodes of a private network only, whose key is in this file"},
    {"--type", STRING, FIELD(type), "TYPE", "key", "ed25519 (default), secp256k1, ecdsa or rsa"},
    {"--out", STRING, FIELD(out), "FILE", "key",
     "where the new key goes, mode 0600 (default: the data folder)"},
    {"--json", FLAG, FIELD(json), NULL, "*", "prints one JSON object a line"},
    {"--log", STRING, FIELD(log), "LEVEL[,room=LEVEL...]", "*",
     "error, warn (default), info, debug or trace, on stderr"},
    {"-v", COUNT_UP, FIELD(verbose), NULL, "*", "logs more; repeatable"},
    {"--help", FLAG, FIELD(help), NULL, "*", "this text"},
};

enum { OPTION_COUNT = sizeof options / sizeof *options };

/* What is wrong, and the line of the config file if it stands there. */
static int wrong(const app_options *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int wrong(const app_options *o, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return o->line > 0 ? app_usage_error(o->command, "%s:%d: %s", o->config, o->line, text)
                       : app_usage_error(o->command, "%s", text);
}

static bool takes(const option *o, const char *command)
{
    size_t n = strlen(command);
    const char *p = o->commands;
    if (strcmp(p, "*") == 0) {
        return true;
    }
    while ((p = strstr(p, command)) != NULL) {
        if ((p == o->commands || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0')) {
            return true;
        }
        p += n;
    }
    return false;
}

void app_print_options(const char *command)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const option *o = &options[i];
        char left[64];
        if (takes(o, command)) {
            snprintf(left, sizeof left, "%s %s", o->name, o->value != NULL ? o->value : "");
            printf("  %-34s %s\n", left, o->help);
        }
    }
}

static const option *find_option(const char *name, const char *command)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(options[i].name, name) == 0 && takes(&options[i], command)) {
            return &options[i];
        }
    }
    return NULL;
}

static bool wants_value(const option *o)
{
    return o->kind != FLAG && o->kind != COUNT_UP;
}

static int set_seconds(const app_options *opts, const option *o, double *field, const char *value)
{
    char *end;
    errno = 0;
    double seconds = strtod(value, &end);
    if (end == value || *end != '\0' || errno != 0 || !(seconds >= 0 && seconds <= 1e9)) {
        return wrong(opts, "%s wants seconds, as in 5 or 0.5, not '%s'", o->name, value);
    }
    if (seconds == 0 && o->field == FIELD(timeout)) {
        return wrong(opts, "%s wants more than 0 seconds", o->name);
    }
    *field = seconds;
    return APP_OK;
}

static int set_number(const app_options *opts, const option *o, long *field, const char *value)
{
    char *end;
    long least = o->kind == NUMBER_OR_0 ? 0 : 1;
    errno = 0;
    long number = strtol(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || number < least || number > 1000000000) {
        return wrong(opts, "%s wants a number from %ld, not '%s'", o->name, least, value);
    }
    *field = number;
    return APP_OK;
}

/* "64M": a number with a power of 1024 behind it. */
static int set_size(const app_options *opts, const option *o, uint64_t *field, const char *value)
{
    static const char suffixes[] = "KMG";
    char *end;
    errno = 0;
    uint64_t number = strtoull(value, &end, 10);
    const char *suffix = *end != '\0' ? strchr(suffixes, *end) : NULL;
    unsigned shift = suffix != NULL ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
    if (value[0] < '0' || value[0] > '9' || errno != 0 || end[suffix != NULL] != '\0' ||
        number > (UINT64_MAX - 1) >> shift) {
        return wrong(opts, "%s wants bytes, as in 4096 or 64M, not '%s'", o->name, value);
    }
    *field = number << shift;
    if (*field == 0 && o->field != FIELD(upload) && o->field != FIELD(download) &&
        o->field != FIELD(relay_data)) {
        return wrong(opts, "%s wants more than nothing", o->name);
    }
    return APP_OK;
}

static int set_list(const app_options *opts, const option *o, app_list *list, const char *value)
{
    if (list->count == APP_LIST_MAX) {
        return wrong(opts, "%s was given more than %d times", o->name, APP_LIST_MAX);
    }
    list->items[list->count++] = value;
    return APP_OK;
}

/* One of the words that help shows, "on|off|auto". */
static int set_choice(const app_options *opts, const option *o, const char **field,
                      const char *value)
{
    size_t n = strlen(value);
    for (const char *word = o->value; word != NULL; word = strchr(word, '|')) {
        word += *word == '|';
        if (strncmp(word, value, n) == 0 && (word[n] == '|' || word[n] == '\0')) {
            *field = value;
            return APP_OK;
        }
    }
    return wrong(opts, "%s wants %s, not '%s'", o->name, o->value, value);
}

static int set(app_options *opts, const option *o, const char *value)
{
    void *field = (char *)opts + o->field;
    if (value != NULL && value[0] == '\0') {
        return wrong(opts, "%s wants a value", o->name);
    }
    switch (o->kind) {
    case FLAG:
        *(bool *)field = true;
        return APP_OK;
    case COUNT_UP:
        ++*(int *)field;
        return APP_OK;
    case ON_OFF:
        if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
            return wrong(opts, "%s wants on or off, not '%s'", o->name, value);
        }
        *(bool *)field = strcmp(value, "on") == 0;
        return APP_OK;
    case CHOICE:
        return set_choice(opts, o, field, value);
    case STRING:
        *(const char **)field = value;
        return APP_OK;
    case LIST:
        return set_list(opts, o, field, value);
    case SECONDS:
        return set_seconds(opts, o, field, value);
    case NUMBER:
    case NUMBER_OR_0:
        opts->per_ip_given |= o->field == FIELD(max_connections_per_ip);
        return set_number(opts, o, field, value);
    case SIZE:
        return set_size(opts, o, field, value);
    }
    return APP_USAGE;
}

static int parse_words(int argc, char **argv, app_options *o)
{
    bool only_args = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i], *value = NULL;
        char name[64];
        if (only_args || word[0] != '-' || word[1] == '\0') {
            if (o->args.count == APP_LIST_MAX) {
                return app_usage_error(o->command, "too many arguments");
            }
            o->args.items[o->args.count++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_args = true;
            continue;
        }
        size_t vs = strspn(word + 1, "v");
        bool many = vs > 1 && word[1 + vs] == '\0'; /* -vv is -v -v */
        o->verbose += many ? (int)vs - 1 : 0;
        snprintf(name, sizeof name, "%s", strcmp(word, "-h") == 0 ? "--help" : many ? "-v" : word);
        char *equals = word[1] == '-' ? strchr(name, '=') : NULL;
        if (equals != NULL) {
            *equals = '\0';
            value = strchr(word, '=') + 1;
        }
        const option *opt = find_option(name, o->command);
        if (opt == NULL) {
            return app_usage_error(o->command, "there is no option '%s'", name);
        }
        if (!wants_value(opt) && value != NULL) {
            return app_usage_error(o->command, "%s takes no value", name);
        }
        if (wants_value(opt) && value == NULL) {
            if (i + 1 == argc) {
                return app_usage_error(o->command, "%s wants a value", name);
            }
            value = argv[++i];
        }
        int status = set(o, opt, value);
        if (status != APP_OK) {
            return status;
        }
    }
    return APP_OK;
}

/* ---- the config file ---- */

static int read_config(app_options *o)
{
    FILE *f = fopen(o->config, "re");
    char *text = o->config_text = calloc(1, CONFIG_MAX + 2);
    size_t n = f != NULL && text != NULL ? fread(text, 1, CONFIG_MAX + 1, f) : 0;
    const char *why = f == NULL || ferror(f)          ? strerror(errno)
                      : text == NULL                  ? "out of memory"
                      : n > CONFIG_MAX                ? "larger than 64 KiB"
                      : memchr(text, '\0', n) != NULL ? "this is no text"
                                                      : NULL;
    if (why != NULL) {
        app_error("the config file %s cannot be read: %s", o->config, why);
    }
    if (f != NULL) {
        fclose(f);
    }
    return why == NULL ? APP_OK : APP_FAILED;
}

static char *trim(char *s)
{
    s += strspn(s, " \t\r");
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\r", s[n - 1]) != NULL) {
        s[--n] = '\0';
    }
    return s;
}

static int parse_line(app_options *o, char *line)
{
    char name[64];
    char *value = line + strcspn(line, " \t=");
    if (*value != '\0') {
        *value++ = '\0';
        value = trim(value);
        value = trim(value + (*value == '='));
    }
    snprintf(name, sizeof name, "--%s", line);
    const option *opt = find_option(name, o->command);
    if (opt == NULL || opt->field == FIELD(config) || opt->field == FIELD(help)) {
        return wrong(o, "there is no option '%s'", line);
    }
    if (!wants_value(opt) && *value != '\0') {
        return wrong(o, "%s takes no value", line);
    }
    return set(o, opt, wants_value(opt) ? value : NULL);
}

static int parse_config(app_options *o)
{
    int status = read_config(o);
    char *next = o->config_text;
    while (status == APP_OK && next != NULL) {
        char *line = next;
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        o->line++;
        line = trim(line);
        if (*line != '\0' && *line != '#') {
            status = parse_line(o, line);
        }
    }
    o->line = 0;
    return status;
}

static void set_defaults(app_options *o, const char *command)
{
    memset(o, 0, sizeof *o);
    o->command = command;
    o->timeout = strcmp(command, "check") == 0 ? 30 : 15;
    o->interval = 1;
    o->count = strcmp(command, "bench") == 0 ? 1000 : 5;
    o->parallel = o->streams = 1;
    o->upload = o->download = o->relay_data = APP_NOT_GIVEN;
    o->relay_duration = -1;
    o->relay_wanted = 2;
    o->relay_reservations_per_ip = o->relay_reservations_per_network = -1;
    o->hold = 10;
    o->page = o->metrics = o->autonat_service = o->holepunch = o->port_mapping = true;
    o->relay_service = "auto";
}

static int set_log(const app_options *o)
{
    static const char *const levels[] = {"warn", "info", "debug", "trace"};
    int most = o->verbose > 3 ? 3 : o->verbose;
    if (tern_log_set_levels(o->log != NULL ? o->log : levels[most]) != 0) {
        return app_usage_error(o->command, "--log wants LEVEL[,room=LEVEL...], not '%s'", o->log);
    }
    return APP_OK;
}

/* A file of --psk is read here, so that it is read once.
 *
 * The words are read twice when there is a config file: once to find it, then over it, so the
 * command line wins. Lists of the command line replace the file's. */
int app_parse(int argc, char **argv, const app_command *command, app_options *ret)
{
    set_defaults(ret, command->name);
    int status = parse_words(argc, argv, ret);
    if (status == APP_OK && ret->config != NULL) {
        app_options given = *ret;
        set_defaults(ret, command->name);
        ret->config = given.config;
        status = parse_config(ret);
        if (status == APP_OK) {
            app_list *lists[][2] = {{&ret->listen, &given.listen},
                                    {&ret->announce, &given.announce},
                                    {&ret->bootstrap, &given.bootstrap},
                                    {&ret->relay, &given.relay},
                                    {&ret->relay_known, &given.relay_known},
                                    {&ret->deny, &given.deny},
                                    {&ret->allow, &given.allow}};
            for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
                if (lists[i][1]->count > 0) {
                    lists[i][0]->count = 0;
                }
            }
            status = parse_words(argc, argv, ret);
        }
    }
    if (status == APP_OK) {
        status = set_log(ret);
    }
    return status == APP_OK && ret->psk != NULL && !ret->help ? app_read_psk(ret) : status;
}

void app_options_free(app_options *o)
{
    free(o->config_text);
    explicit_bzero(o->psk_key, sizeof o->psk_key);
}
