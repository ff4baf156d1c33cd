/* tern key: makes or shows an identity. */
#include <string.h>

#include "app/app.h"

static int show(const app_options *o, const char *file, const tern_key *key)
{
    char text[3][TERN_PEER_ID_TEXT];
    tern_peer_id id;
    tern_key_peer_id(key, &id);
    const char *type = tern_key_type_name(tern_key_type_of(key));
    tern_peer_id_text(&id, text[0]);
    tern_peer_id_text_base36(&id, text[1]);
    tern_peer_id_text_base32(&id, text[2]);
    if (o->json) {
        app_emit(json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "event", "key", "type", type, "peer",
                           text[0], "base36", text[1], "base32", text[2], "file", app_text(file)));
    } else {
        const char *const lines[][2] = {{"type", type},
                                        {"peer", text[0]},
                                        {"base36", text[1]},
                                        {"base32", text[2]},
                                        {"file", file}};
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
            app_say("%-8s %s", lines[i][0], lines[i][1]);
        }
    }
    return APP_OK;
}

static int make(const app_options *o, const char *file)
{
    tern_key_type type = TERN_KEY_ED25519;
    tern_key *key = NULL;
    if (o->type != NULL && tern_key_type_parse(o->type, &type) != 0) {
        return app_usage_error("key", "there is no key type '%s'", o->type);
    }
    int code = tern_key_generate(type, &key);
    if (code != 0) {
        app_error("no key can be made: %s", tern_code_text(code));
        return APP_FAILED;
    }
    int status = app_write_key(file, key);
    if (status == APP_OK) {
        status = show(o, file, key);
    }
    tern_key_unref(key);
    return status;
}

static int read_and_show(const app_options *o, const char *file)
{
    tern_key *key = NULL;
    int status = app_read_key(file, &key);
    if (status == APP_OK) {
        status = show(o, file, key);
    }
    tern_key_unref(key);
    return status;
}

int app_key(app_options *o)
{
    const char *verb = o->args.count > 0 ? o->args.items[0] : "";
    bool new = strcmp(verb, "new") == 0;
    const char *file = new ? o->out : o->key;
    char identity[2100];
    if (!new &&strcmp(verb, "show") != 0) {
        return app_usage_error("key", "wants 'new' or 'show'");
    }
    if (o->args.count > 1) {
        return app_usage_error("key", "%s takes no argument '%s'", verb, o->args.items[1]);
    }
    if (new ? o->key != NULL : o->out != NULL || o->type != NULL) {
        return app_usage_error("key", "%s",
                               new ? "new writes to --out, not --key"
                                   : "show takes no --out and no --type");
    }
    if (file == NULL) {
        if (app_identity_file(o, identity, sizeof identity) != APP_OK) {
            return APP_FAILED;
        }
        file = identity;
    }
    return (new ? make : read_and_show)(o, file);
}
