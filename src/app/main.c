/* tern: the program. Finds the command, reads its options, runs it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"

const app_command app_commands[] = {
    {"run", "tern run [options]", "runs a node until told to stop", app_run},
    {"ping", "tern ping MA [-c N] [-i SECONDS] [options]",
     "connects, pings, prints each round trip and a summary", app_ping},
    {"identify", "tern identify MA [options]",
     "what the peer says of itself, and how we are connected", app_identify},
    {"perf", "tern perf MA [--upload BYTES] [--download BYTES] [--streams N] [options]",
     "throughput over /perf/1.0.0, up and down", app_perf},
    {"bench",
     "tern bench connect|idle|streams|relay MA [-c N] [--parallel P] [--hold SECONDS] [options]",
     "many connections, streams or peers behind a relay: how fast, and what holding costs",
     app_bench},
    {"key", "tern key new|show|psk [--type TYPE] [--out FILE] [--key FILE] [--psk FILE]",
     "makes or shows an identity, or a private network's key", app_key},
    {"addr", "tern addr MA", "takes a multiaddr apart, or says where it is malformed", app_addr},
    {"check", "tern check MA... [options]",
     "what this machine can reach and be reached by, and why not", app_check},
    {"features", "tern features", "the table of what this build supports", app_show_features},
    {"interop", "tern interop", "plays a part in the official interoperability suites",
     app_interop},
    {NULL, NULL, NULL, NULL},
};

static void print_help(FILE *to)
{
    fprintf(to, "tern %s: libp2p's universal connectivity\n\nusage: tern COMMAND [options]\n\n",
            tern_version());
    for (const app_command *c = app_commands; c->name != NULL; c++) {
        fprintf(to, "  %-10s %s\n", c->name, c->summary);
    }
    fprintf(to, "\n'tern COMMAND --help' tells a command's options; the manual is tern(1).\n");
}

static const app_command *find_command(const char *name)
{
    for (const app_command *c = app_commands; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

/* Somebody may have closed 0, 1 or 2: no socket or file of ours may take such a number, or a line
 * of output would end up in it. */
static void keep_standard_files(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return APP_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return APP_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("tern %s\n", tern_version());
        return APP_OK;
    }
    const app_command *command = find_command(argv[1]);
    if (command == NULL) {
        app_error("there is no command '%s'; see 'tern --help'", argv[1]);
        return APP_USAGE;
    }
    app_options o;
    int status = app_parse(argc - 2, argv + 2, command, &o);
    if (status == APP_OK && o.help) {
        printf("%s\n  %s\n\n", command->usage, command->summary);
        app_print_options(command->name);
    } else if (status == APP_OK) {
        status = command->run(&o);
    }
    app_options_free(&o);
    return status;
}

/* Under this name the official hole-punch suite before calls a peer: without arguments. */
static bool is_hole_punch_client(int argc, char **argv)
{
    const char *slash = argc == 1 ? strrchr(argv[0], '/') : NULL;
    return argc == 1 && strcmp(slash != NULL ? slash + 1 : argv[0], "hole-punch-client") == 0;
}

int main(int argc, char **argv)
{
    static char interop[] = "interop";
    char *as_interop[] = {argv[0], interop, NULL};
    if (is_hole_punch_client(argc, argv)) {
        argc = 2;
        argv = as_interop;
    }
    keep_standard_files();
    signal(SIGPIPE, SIG_IGN); /* a reader of ours that goes away is an error to tell, not our end */
    int status = run(argc, argv);
    if (app_output_error() != 0) {
        app_error("standard output: %s", strerror(app_output_error()));
        status = status == APP_OK ? APP_FAILED : status;
    }
    return status;
}
