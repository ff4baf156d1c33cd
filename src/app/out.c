/* What the program prints: lines on stderr for people, on stdout text for people or JSON lines for
 * programs. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"

enum { LINE_BYTES = 8192 }; /* an address in hexadecimal fits */

static int output_error;

/* ---- text ---- */

/* The bytes of the UTF-8 character at s; 0 if there is none. */
static size_t character(const unsigned char *s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0x80) {
        return 1;
    }
    size_t n = s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf8 ? 4 : 0;
    uint32_t code = s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (s[i] & 0x3f);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return n > 0 && code >= least[n] && code <= 0x10ffff && !surrogate ? n : 0;
}

/* Bytes that are no UTF-8, and characters that a terminal would obey, become question marks. */
static void clean(char *s)
{
    while (*s != '\0') {
        unsigned char first = (unsigned char)s[0], second = (unsigned char)s[1];
        size_t n = character((const unsigned char *)s);
        bool obeyed = first < 0x20 || first == 0x7f || (first == 0xc2 && second < 0xa0);
        if (n == 0 || obeyed) {
            n = n > 0 ? n : 1;
            memset(s, '?', n);
        }
        s += n;
    }
}

static void say_line(FILE *to, const char *front, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void say_line(FILE *to, const char *front, const char *format, va_list args)
{
    char line[LINE_BYTES];
    vsnprintf(line, sizeof line, format, args);
    clean(line);
    fprintf(to, "%s%s\n", front, line);
}

static void flush_output(void)
{
    if (fflush(stdout) != 0 && output_error == 0) {
        output_error = errno;
    }
}

int app_output_error(void)
{
    flush_output();
    return output_error == 0 && ferror(stdout) ? EIO : output_error;
}

void app_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_line(stdout, "", format, args);
    va_end(args);
    flush_output();
}

/* ---- errors ---- */

void app_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_line(stderr, "tern: ", format, args);
    va_end(args);
}

int app_usage_error(const char *command, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    clean(text);
    fprintf(stderr, "tern %s: %s; see 'tern %s --help'\n", command, text, command);
    return APP_USAGE;
}

/* What to try; "" where nothing better than the error's own text is known. */
static const char *advice(int code)
{
    switch (code) {
    case TERN_E_REFUSED:
        return "; does a node listen there?";
    case TERN_E_TIMEOUT:
        return "; is it up, does a firewall drop it, is --timeout too short?";
    case TERN_E_NOT_FOUND:
        return "; is the name right?";
    case TERN_E_UNREACHABLE:
        return "; is the address right for this machine?";
    case TERN_E_ADDRINUSE:
        return "; stop what listens there, or take another port (0 picks one)";
    case TERN_E_ACCESS:
        return "; ports below 1024 want privileges";
    case TERN_E_UNSUPPORTED:
        return "; see 'tern features'";
    case TERN_E_PEER_ID:
        return "; is the peer id in the address right?";
    case TERN_E_NEGOTIATION:
        return "; compare 'tern features' with what is spoken there";
    case TERN_E_EOF:
    case TERN_E_RESET:
        return "; is this a libp2p node, and the address of the right transport?";
    default:
        return "";
    }
}

void app_say_error(const char *what, const tern_error *error)
{
    bool advised = strstr(error->text, "; ") != NULL;
    app_error("%s: %s: %s%s", what, error->layer, error->text, advised ? "" : advice(error->code));
}

int app_address_error(const char *addr, const tern_error *error)
{
    app_say_error(addr, error);
    return error->code == TERN_E_MALFORMED || error->code == TERN_E_TOO_LARGE ||
                   error->code == TERN_E_INVALID
               ? APP_USAGE
               : APP_FAILED;
}

/* ---- JSON ---- */

void app_emit(json_t *event)
{
    char *line = json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER);
    if (line != NULL) {
        puts(line);
        flush_output();
    } else {
        app_error("an event could not be printed: out of memory");
    }
    free(line);
    json_decref(event);
}

json_t *app_text(const char *s)
{
    if (s == NULL) {
        return json_null();
    }
    json_t *value = json_string(s);
    char *copy = value == NULL ? strdup(s) : NULL;
    if (copy != NULL) {
        clean(copy);
        value = json_string(copy);
    }
    free(copy);
    return value;
}

json_t *app_strings(const char *const *v, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, app_text(v[i]));
    }
    return list;
}

void app_add_peer(json_t *o, const char *field, const tern_peer_id *id)
{
    char text[TERN_PEER_ID_TEXT];
    json_object_set_new(o, field, json_string(tern_peer_id_text(id, text)));
}

void app_add_facts(json_t *o, const tern_conn_facts *facts)
{
    app_add_peer(o, "peer", &facts->peer);
    json_object_set_new(o, "addr", app_text(tern_multiaddr_text(facts->remote)));
    json_object_set_new(o, "direction", json_string(facts->inbound ? "in" : "out"));
    json_object_set_new(o, "transport", json_string(facts->transport));
    json_object_set_new(o, "security", json_string(facts->security));
    json_object_set_new(o, "muxer", json_string(facts->muxer));
    json_object_set_new(o, "limited", json_boolean(facts->limited));
    json_object_set_new(o, "resumed", json_boolean(facts->resumed));
    json_object_set_new(o, "unproven", json_boolean(facts->unproven));
}

void app_say_connected(const tern_conn_facts *facts)
{
    char peer[TERN_PEER_ID_TEXT];
    app_peer_text(facts, peer);
    app_say("connected to %s over %s, %s, %s%s", peer, facts->transport, facts->security,
            facts->muxer,
            facts->unproven  ? ": asked in advance (0-RTT)"
            : facts->resumed ? ", resumed"
                             : "");
}

void app_peer_text(const tern_conn_facts *facts, char out[TERN_PEER_ID_TEXT])
{
    tern_peer_id_text(&facts->peer, out);
}
