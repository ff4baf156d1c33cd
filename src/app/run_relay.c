/* tern run and relays: places at them, and what we give others. */
#include <stdio.h>
#include <string.h>

#include "app/run.h"

/* ---- our places ---- */

typedef struct wanted {
    const tern_multiaddr *addr;
    json_t *o;
} wanted;

/* What is known besides of the place of an event. */
static void add_place(void *arg, const tern_relay_place *place)
{
    wanted *w = arg;
    if (tern_multiaddr_equal(place->addr, w->addr) && place->expires > 0) {
        json_object_set_new(w->o, "duration", json_integer((json_int_t)place->duration_s));
        json_object_set_new(
            w->o, "data",
            json_integer(place->data > INT64_MAX ? INT64_MAX : (json_int_t)place->data));
        json_object_set_new(w->o, "found", json_boolean(place->found));
    }
}

void run_on_reservation(void *owner, tern_node *node, const tern_multiaddr *addr,
                        const tern_peer_id *relay, uint64_t expires, const tern_error *why)
{
    run_command *r = owner;
    if (r->o->json) {
        json_t *o = json_pack("{s:s, s:[o]}", "event", "reservation", "addrs",
                              app_text(tern_multiaddr_text(addr)));
        app_add_peer(o, "relay", relay);
        if (why != NULL) {
            json_object_set_new(o, "error", app_text(why->text));
        } else {
            json_object_set_new(o, "expires", json_integer((json_int_t)expires));
            tern_node_relays(node, add_place, &(wanted){addr, o});
        }
        run_emit(r, o);
    } else if (why != NULL) {
        app_say("no place at %s: %s; tried again", tern_multiaddr_text(addr), why->text);
    } else {
        app_say("reserved %s", tern_multiaddr_text(addr));
    }
    run_check_output(r);
}

/* Places at relays: each is an address to listen on. */
int run_reserve_all(run_command *r)
{
    for (size_t i = 0; i < r->o->relay.count; i++) {
        char text[RUN_ADDR_MAX + 16];
        tern_error error;
        const char *relay = r->o->relay.items[i];
        bool whole = strstr(relay, "/p2p-circuit") != NULL;
        if (strcmp(relay, "auto") == 0 || strcmp(relay, "off") == 0) {
            continue;
        }
        if (!whole && strstr(relay, "/p2p/") == NULL) {
            return app_usage_error("run", "--relay %s does not say who the relay is; try %s/p2p/ID",
                                   relay, relay);
        }
        snprintf(text, sizeof text, "%s%s", relay, whole ? "" : "/p2p-circuit");
        if (tern_node_listen(r->node, text, NULL, 0, &error) != 0) {
            return app_address_error(relay, &error);
        }
    }
    return APP_OK;
}

/* ---- others' places ---- */

/* -1: not given; 0 lifts the limit. */
static int32_t or_lifted(long given)
{
    return given < 0 ? 0 : given == 0 ? -1 : (int32_t)given;
}

/* Unless it is told otherwise a node that nobody reaches looks for a relay. */
static bool finds_relays(const app_options *o)
{
    for (size_t i = 0; i < o->relay.count; i++) {
        if (strcmp(o->relay.items[i], "auto") == 0) {
            return true;
        }
    }
    return o->relay.count == 0;
}

void run_set_relay(const app_options *o, tern_options *ret)
{
    ret->relay_service = strcmp(o->relay_service, "on") == 0;
    ret->relay_service_auto = strcmp(o->relay_service, "auto") == 0;
    ret->relay_reservations = (uint32_t)o->relay_reservations;
    ret->relay_reservations_per_ip = or_lifted(o->relay_reservations_per_ip);
    ret->relay_reservations_per_network = or_lifted(o->relay_reservations_per_network);
    ret->relay_rate = o->relay_rate;
    ret->find_relays = finds_relays(o) ? (uint32_t)o->relay_wanted : 0;
    ret->relay_circuits = (uint32_t)o->relay_circuits;
    ret->relay_circuits_per_peer = (uint32_t)o->relay_circuits_per_peer;
    ret->relay_ttl_s = o->relay_ttl > 0 && o->relay_ttl < 1 ? 1 : (uint32_t)o->relay_ttl;
    if (o->relay_data != APP_NOT_GIVEN) {
        ret->relay_data =
            o->relay_data == 0 || o->relay_data > INT64_MAX ? -1 : (int64_t)o->relay_data;
    }
    if (o->relay_duration >= 0) {
        ret->relay_duration_s = o->relay_duration < 1 ? -1 : (int32_t)o->relay_duration;
    }
}

/* Who has a place here before strangers. */
int run_know_all(run_command *r)
{
    for (size_t i = 0; i < r->o->relay_known.count; i++) {
        tern_peer_id id;
        const char *text = r->o->relay_known.items[i];
        if (tern_peer_id_parse(&id, text) != 0) {
            return app_usage_error("run", "--relay-known wants a peer id, not '%s'", text);
        }
        if (tern_node_protect_peer(r->node, &id, "relay-known") != 0) {
            app_error("out of memory");
            return APP_FAILED;
        }
    }
    return APP_OK;
}
