/* The command line and the config file of `tern`: the input is a command, its words, one a line,
 * and behind a zero byte what the file of --config holds.
 *
 * Whatever they say: either options that the node can be made with, or one line of what is wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What the linker puts in the place of the program's own (CMakeLists.txt). */
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
void __wrap_app_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
int __wrap_app_usage_error(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int __wrap_app_read_psk(app_options *o);
const char *__wrap_app_data(const app_options *o);

enum { WORDS_MAX = 100 };

static const char *const commands[] = {"run", "ping", "identify", "perf",   "bench",
                                       "key", "addr", "features", "interop"};
enum { COMMANDS = sizeof commands / sizeof *commands };

static bool reading; /* a config file is the input's */
static const uint8_t *file;
static size_t file_len;
static unsigned said;

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (!reading) {
        return __real_fopen(path, mode);
    }
    return file_len > 0 ? fmemopen((void *)(uintptr_t)file, file_len, "r") : NULL;
}

/* The text is made, and goes nowhere. */
static void say(const char *format, va_list args)
{
    char text[2048];
    check(vsnprintf(text, sizeof text, format, args) > 0);
    said++;
}

void __wrap_app_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

int __wrap_app_usage_error(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    check(command != NULL);
    say(format, args);
    va_end(args);
    return APP_USAGE;
}

int __wrap_app_read_psk(app_options *o)
{
    check(o->psk != NULL && o->psk[0] != '\0');
    return APP_OK;
}

/* No folder is made. */
const char *__wrap_app_data(const app_options *o)
{
    return o->data;
}

static void check_list(const app_list *list)
{
    check(list->count <= APP_LIST_MAX);
    for (size_t i = 0; i < list->count; i++) {
        check(list->items[i] != NULL);
    }
}

static void check_options(const app_options *o)
{
    const long numbers[] = {o->count,
                            o->parallel,
                            o->streams,
                            o->max_connections,
                            o->max_pending,
                            o->max_connections_per_ip,
                            o->max_streams,
                            o->max_connections_per_peer,
                            o->low_water,
                            o->high_water,
                            o->max_sockets,
                            o->max_unnegotiated,
                            o->max_pending_per_ip};
    const double times[] = {o->timeout,   o->interval,       o->duration,         o->hold,
                            o->grace,     o->handshake_time, o->negotiation_time, o->identify_time,
                            o->stall_time};
    const app_list *const lists[] = {&o->args,      &o->listen, &o->announce,
                                     &o->bootstrap, &o->deny,   &o->allow};
    tern_options options;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        check(numbers[i] >= 0 && numbers[i] <= 1000000000);
    }
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        check(times[i] >= 0 && times[i] <= 1e9 && app_ms(times[i]) >= 1);
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        check_list(lists[i]);
    }
    check(o->timeout > 0 && o->line == 0 && o->verbose >= 0);
    app_node_options(o, NULL, NULL, NULL, &options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *words[WORDS_MAX];
    int count = 0;
    if (n == 0) {
        return 0;
    }
    const app_command command = {.name = commands[data[0] % COMMANDS]};
    char *text = malloc(n);
    check(text != NULL);
    memcpy(text, data + 1, n - 1);
    text[n - 1] = '\0'; /* the words end here at the latest */
    size_t len = strlen(text);
    file = data + 1 + len + 1;
    file_len = len + 2 < n ? n - len - 2 : 0;
    for (char *rest = text, *word; count < WORDS_MAX && (word = strsep(&rest, "\n")) != NULL;) {
        words[count++] = word;
    }
    app_options o;
    said = 0;
    reading = true;
    int status = app_parse(count, words, &command, &o);
    reading = false;
    check(status == APP_OK || status == APP_USAGE || status == APP_FAILED);
    check(said == (status != APP_OK));
    if (status == APP_OK) {
        check_options(&o);
    }
    app_options_free(&o);
    free(text);
    return 0;
}
