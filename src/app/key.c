/* tern key: makes or shows an identity. */
#include <stdio.h>
#include <string.h>

#include "app/app.h"

static int show(const app_options *o, const tern_key *key)
{
    char text[3][TERN_PEER_ID_TEXT];
    tern_peer_id id;
    tern_key_peer_id(key, &id);
    const char *type = tern_key_type_name(tern_key_type_of(key));
    tern_peer_id_text(&id, text[0]);
    tern_peer_id_text_base36(&id, text[1]);
    tern_peer_id_text_base32(&id, text[2]);
    if (o->json) {
        app_emit(json_pack("{s:s, s:s, s:s, s:s, s:s}", "event", "key", "type", type, "peer",
                           text[0], "base36", text[1], "base32", text[2]));
    } else {
        printf("%-8s %s\n%-8s %s\n%-8s %s\n%-8s %s\n", "type", type, "peer", text[0], "base36",
               text[1], "base32", text[2]);
    }
    return APP_OK;
}

static int make(const app_options *o)
{
    tern_key_type type = TERN_KEY_ED25519;
    tern_key *key = NULL;
    if (o->type != NULL && tern_key_type_parse(o->type, &type) != 0) {
        return app_usage_error("key", "there is no key type '%s'", o->type);
    }
    if (o->out == NULL) {
        return app_usage_error("key", "new wants --out FILE");
    }
    int code = tern_key_generate(type, &key);
    if (code != 0) {
        app_error("no key can be made: %s", tern_code_text(code));
        return APP_FAILED;
    }
    int status = app_write_key(o->out, key);
    if (status == APP_OK) {
        status = show(o, key);
    }
    tern_key_unref(key);
    return status;
}

int app_key(app_options *o)
{
    const char *verb = o->args.count > 0 ? o->args.items[0] : "";
    if (strcmp(verb, "new") == 0 && o->args.count == 1) {
        return make(o);
    }
    if (strcmp(verb, "show") == 0) {
        const char *path = o->args.count == 2 ? o->args.items[1] : o->key;
        tern_key *key = NULL;
        if (path == NULL || o->args.count > 2) {
            return app_usage_error("key", "show wants one --key FILE");
        }
        int status = app_read_key(path, &key);
        if (status == APP_OK) {
            status = show(o, key);
        }
        tern_key_unref(key);
        return status;
    }
    return app_usage_error("key", "wants 'new' or 'show'");
}
