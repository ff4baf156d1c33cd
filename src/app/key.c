/* tern key: makes or shows an identity, or the key of a private network. */
#include <stdio.h>
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

/* tern key psk: makes the key of a private network, or shows the fingerprint of one. */
static int psk(app_options *o)
{
    uint8_t fingerprint[TERN_PSK_FINGERPRINT];
    char hex[2 * TERN_PSK_FINGERPRINT + 1];
    int status = APP_OK;
    if (o->args.count > 1 || o->key != NULL || o->type != NULL ||
        (o->out != NULL) == (o->psk != NULL)) {
        return app_usage_error("key", "psk wants --out FILE to make a private network's key, or "
                                      "--psk FILE to show one's fingerprint");
    }
    if (o->out != NULL) {
        tern_psk_generate(o->psk_key);
        status = app_write_psk(o->out, o->psk_key);
    }
    if (status == APP_OK && tern_psk_fingerprint(o->psk_key, fingerprint) != 0) {
        app_error("the fingerprint cannot be computed");
        status = APP_FAILED;
    }
    if (status != APP_OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof fingerprint; i++) {
        snprintf(hex + 2 * i, 3, "%02x", fingerprint[i]);
    }
    const char *file = o->psk != NULL ? o->psk : o->out;
    if (o->json) {
        app_emit(json_pack("{s:s, s:s, s:o}", "event", "psk", "fingerprint", hex, "file",
                           app_text(file)));
    } else {
        app_say("fingerprint %s", hex);
        app_say("file        %s", file);
    }
    return APP_OK;
}

int app_key(app_options *o)
{
    const char *verb = o->args.count > 0 ? o->args.items[0] : "";
    bool new = strcmp(verb, "new") == 0;
    const char *file = new ? o->out : o->key;
    char identity[2100];
    if (strcmp(verb, "psk") == 0) {
        return psk(o);
    }
    if (!new &&strcmp(verb, "show") != 0) {
        return app_usage_error("key", "wants 'new', 'show' or 'psk'");
    }
    if (o->psk != NULL) {
        return app_usage_error("key", "--psk goes with 'tern key psk'");
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
