/* What the program prints: lines on stderr for people, JSON lines on stdout for programs. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/app.h"

void app_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("tern: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void app_say_error(const char *what, const tern_error *error)
{
    app_error("%s: %s: %s", what, error->layer, error->text);
}

void app_emit(json_t *event)
{
    char *line = json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER);
    if (line != NULL) {
        puts(line);
        fflush(stdout);
    }
    free(line);
    json_decref(event);
}

/* A string of a peer's may be no UTF-8: then its bytes become question marks where they have to. */
static json_t *string_of(const char *s)
{
    json_t *value = json_string(s);
    if (value != NULL) {
        return value;
    }
    size_t n = 0;
    char clean[256];
    for (; s[n] != '\0' && n + 1 < sizeof clean; n++) {
        clean[n] = (unsigned char)s[n] < 0x80 ? s[n] : '?';
    }
    return json_stringn(clean, n);
}

json_t *app_strings(const char *const *v, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(list, string_of(v[i]));
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
    json_object_set_new(o, "addr", json_string(tern_multiaddr_text(facts->remote)));
    json_object_set_new(o, "direction", json_string(facts->inbound ? "in" : "out"));
    json_object_set_new(o, "transport", json_string(facts->transport));
    json_object_set_new(o, "security", json_string(facts->security));
    json_object_set_new(o, "muxer", json_string(facts->muxer));
    json_object_set_new(o, "limited", json_boolean(facts->limited));
}

void app_peer_text(const tern_conn_facts *facts, char out[TERN_PEER_ID_TEXT])
{
    tern_peer_id_text(&facts->peer, out);
}
