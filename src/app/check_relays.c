/* tern check: the relays that gave this machine a place, and why others did not. Those of the peers
 * that relay are asked, once it is known that nobody reaches the machine. */
#include <stdio.h>
#include <string.h>

#include "app/check.h"

void check_on_reservation(void *owner, tern_node *node, const tern_multiaddr *addr,
                          const tern_peer_id *relay, uint64_t expires, const tern_error *why)
{
    check *c = owner;
    const char *text = tern_multiaddr_text(addr);
    size_t i = 0;
    (void)node;
    (void)relay;
    while (i < c->relay_count && strcmp(c->relays[i].addr, text) != 0) {
        i++;
    }
    if (i == CHECK_RELAYS_MAX) {
        return;
    }
    c->relay_count += i == c->relay_count;
    check_relay *r = &c->relays[i];
    snprintf(r->addr, sizeof r->addr, "%s", text);
    r->expires = expires;
    snprintf(r->why, sizeof r->why, "%s", why != NULL ? why->text : "");
}

void check_emit_relays(const check *c)
{
    for (size_t i = 0; i < c->relay_count; i++) {
        const check_relay *r = &c->relays[i];
        json_t *o = json_pack("{s:s, s:o, s:b}", "event", "relay", "addr", app_text(r->addr),
                              "held", r->expires > 0);
        if (r->expires > 0) {
            json_object_set_new(o, "expires", json_integer((json_int_t)r->expires));
        } else {
            json_object_set_new(o, "error", app_text(r->why));
        }
        app_emit(o);
    }
}

void check_say_relays(const check *c)
{
    if (c->relay_count == 0) {
        return;
    }
    app_say("who relays for it:");
    for (size_t i = 0; i < c->relay_count; i++) {
        const check_relay *r = &c->relays[i];
        if (r->expires > 0) {
            app_say("  yes  %s", r->addr);
        } else {
            app_say("  no   %s: %s", r->addr, r->why);
        }
    }
}
