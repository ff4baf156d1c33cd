/* What came of asking the gateway for ports, as an event and for people. */
#include <stdio.h>

#include "app/app.h"

static const char *text_of(const tern_multiaddr *addr)
{
    return addr != NULL ? tern_multiaddr_text(addr) : NULL;
}

json_t *app_mapping_event(const tern_port_mapping *what, const tern_error *why)
{
    json_t *o = json_pack("{s:s, s:s?, s:s, s:s?}", "event", "port_mapping", "protocol",
                          what->protocol, "gateway", what->gateway, "addr", text_of(what->addr));
    if (why != NULL) {
        json_object_set_new(o, "code", json_string(tern_code_name(why->code)));
        json_object_set_new(o, "error", app_text(why->text));
        return o;
    }
    json_object_set_new(o, "external", app_text(text_of(what->external)));
    if (what->external != NULL) {
        json_object_set_new(o, "lifetime", json_integer(what->lifetime));
    }
    return o;
}

/* That a gateway speaks none of the protocols is how most networks are. */
bool app_mapping_text(const tern_port_mapping *what, const tern_error *why, char *out, size_t cap)
{
    if (why != NULL) {
        snprintf(out, cap, "no port mapping: %s", why->text);
        return what->protocol != NULL;
    }
    if (what->external == NULL) {
        snprintf(out, cap, "the router does not lead to %s any more", text_of(what->addr));
    } else {
        snprintf(out, cap, "the router leads from %s to %s (%s)", text_of(what->external),
                 text_of(what->addr), what->protocol);
    }
    return true;
}
