/* tern addr: takes a multiaddr apart, says which transport would dial it, or where it is malformed.
 */
#include <stdio.h>

#include "app/app.h"

int app_addr(app_options *o)
{
    tern_error error;
    if (o->args.count != 1) {
        return app_usage_error("addr", "wants one multiaddr, not %zu", o->args.count);
    }
    tern_multiaddr *a = tern_multiaddr_parse(o->args.items[0], &error);
    if (a == NULL) {
        return app_address_error(o->args.items[0], &error);
    }
    size_t n, at = 0;
    const uint8_t *bytes = tern_multiaddr_bytes(a, &n);
    const char *transport = tern_transport_for(a);
    json_t *parts = json_array();
    const char *name;
    char value[2048], hex[4097];
    for (size_t i = 0; i < n; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    if (!o->json) {
        app_say("%-10s %s", "text", tern_multiaddr_text(a));
        app_say("%-10s %s", "bytes", hex);
    }
    while (tern_multiaddr_next(a, &at, &name, value, sizeof value)) {
        if (!o->json) {
            app_say("%-10s %-14s %s", json_array_size(parts) == 0 ? "parts" : "", name, value);
        }
        json_array_append_new(parts,
                              json_pack("{s:s, s:o}", "name", name, "value", app_text(value)));
    }
    if (o->json) {
        app_emit(json_pack("{s:s, s:o, s:s, s:o, s:s?}", "event", "addr", "text",
                           app_text(tern_multiaddr_text(a)), "bytes", hex, "parts", parts,
                           "transport", transport));
    } else {
        app_say("%-10s %s", "dialled by", transport != NULL ? transport : "no transport here");
        json_decref(parts);
    }
    tern_multiaddr_unref(a);
    return APP_OK;
}
