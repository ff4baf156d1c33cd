/* tern check: whether the router lets others in when it is asked. */
#include <stdio.h>

#include "app/check.h"

void check_on_port_mapping(void *owner, tern_node *node, const tern_port_mapping *what,
                           const tern_error *why)
{
    check *c = owner;
    char text[CHECK_TEXT_MAX];
    (void)node;
    if (c->finished || c->mapping_count == CHECK_MAPPINGS_MAX ||
        (why == NULL && what->external == NULL)) {
        return;
    }
    check_mapping *m = &c->mappings[c->mapping_count++];
    m->event = app_mapping_event(what, why);
    m->found = why == NULL;
    if (!app_mapping_text(what, why, text, sizeof text)) {
        snprintf(text, sizeof text, "no port mapping: %s", why != NULL ? why->text : "");
    }
    snprintf(m->text, sizeof m->text, "%s", text);
}

const char *check_mapping_of(const check *c)
{
    const char *status = c->mapping_count > 0 ? "refused" : "unknown";
    for (size_t i = 0; i < c->mapping_count; i++) {
        const char *protocol = json_string_value(json_object_get(c->mappings[i].event, "protocol"));
        if (c->mappings[i].found) {
            return protocol;
        }
        status = protocol == NULL ? "none" : "refused";
    }
    return status;
}

void check_emit_mappings(const check *c)
{
    for (size_t i = 0; i < c->mapping_count; i++) {
        app_emit(json_incref(c->mappings[i].event));
    }
}

void check_say_mappings(const check *c)
{
    if (!c->o->port_mapping) {
        return;
    }
    app_say("what the router does for it:");
    for (size_t i = 0; i < c->mapping_count; i++) {
        app_say("  %s", c->mappings[i].text);
    }
    if (c->mapping_count == 0) {
        app_say(
            "  nothing so far: none stands before a private address of this machine, or it has not "
            "answered yet");
    }
}

void check_free_mappings(check *c)
{
    for (size_t i = 0; i < c->mapping_count; i++) {
        json_decref(c->mappings[i].event);
    }
}
