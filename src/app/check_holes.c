/* tern check: peers behind a relay, and whether a hole is punched to them. */
#include <stdio.h>
#include <string.h>

#include "app/check.h"

/* The dial through a relay to that peer that waits for a hole; NULL: none. */
static check_dial *waiting_for(check *c, const tern_peer_id *peer)
{
    for (size_t i = 0; i < c->dial_count; i++) {
        check_dial *d = &c->dials[i];
        if (d->circuit && d->reached && tern_peer_id_equal(&d->peer, peer)) {
            return d;
        }
    }
    return NULL;
}

static void end(check_dial *d, bool made, unsigned attempts)
{
    check_hole *h = &d->hole;
    bool known = h->over;
    h->over = true;
    h->made = made;
    h->attempts = attempts;
    if (!known) {
        h->ms = (double)(tern_node_now(d->c->node) - d->c->began) / 1e6 - d->ms;
        check_one_less(d->c);
    }
}

/* Of what the peer does by itself (it dials us where we can be reached) we hear no more. */
void check_on_connected(void *owner, tern_node *node, tern_conn *conn)
{
    const tern_conn_facts *f = tern_conn_get_facts(conn);
    check_dial *d = waiting_for(owner, &f->peer);
    (void)node;
    if (d != NULL && !check_is_relayed(f) && !d->hole.over) {
        snprintf(d->hole.transport, sizeof d->hole.transport, "%s", f->transport);
        end(d, true, 0);
    }
}

void check_on_hole_punch(void *owner, tern_node *node, const tern_peer_id *peer, unsigned attempts,
                         uint64_t time, const tern_error *why)
{
    check_dial *d = waiting_for(owner, peer);
    (void)node;
    (void)time;
    if (d != NULL && (!d->hole.over || why == NULL)) {
        if (why != NULL) {
            d->hole.error = *why;
        }
        end(d, why == NULL, attempts);
    }
}

const char *check_holes_text(const check_road *r)
{
    if (r->status == TERN_REACHABILITY_PUBLIC) {
        return "no hole is needed";
    }
    switch (r->nat) {
    case CHECK_NAT_NONE:
    case CHECK_NAT_ONE_PORT:
        return "holes can be punched, but not to a peer whose NAT takes ports that nobody foresees "
               "(symmetric)";
    case CHECK_NAT_COUNTS:
        return "its ports count up and can be foreseen: holes can be punched, but not to a peer "
               "behind a symmetric NAT that does not count";
    case CHECK_NAT_MANY_PORTS:
        return "holes can be punched only to a peer whose NAT lets in any port of an address it "
               "sent to (full cone, address-restricted)";
    default:
        return "what holes can be punched is not known";
    }
}

/* ---- what is told ---- */

static const char *error_of(const check_dial *d)
{
    return !d->hole.over ? "nothing came of it in time: the peer did not try, or its attempts go on"
                         : d->hole.error.text;
}

void check_emit_holes(const check *c)
{
    for (size_t i = 0; i < c->dial_count; i++) {
        const check_dial *d = &c->dials[i];
        const check_hole *h = &d->hole;
        if (!d->circuit || !d->reached) {
            continue;
        }
        json_t *o =
            json_pack("{s:s, s:o, s:s, s:i}", "event", "holepunch", "addr", app_text(d->addr),
                      "result", h->made ? "success" : "failed", "attempts", (int)h->attempts);
        app_add_peer(o, "peer", &d->peer);
        if (h->made) {
            json_object_set_new(o, "transport", json_string(h->transport));
            json_object_set_new(o, "ms", json_real(h->ms));
        } else {
            json_object_set_new(o, "error", app_text(error_of(d)));
        }
        app_emit(o);
    }
}

void check_say_holes(const check *c)
{
    bool any = false;
    for (size_t i = 0; i < c->dial_count; i++) {
        const check_dial *d = &c->dials[i];
        if (!d->circuit || !d->reached) {
            continue;
        }
        if (!any) {
            app_say("past the relay:");
            any = true;
        }
        if (!d->hole.made) {
            app_say("  no   %s: %s", d->addr, error_of(d));
        } else if (d->hole.attempts == 0) {
            app_say("  yes  %s: connected directly over %s, in %.0f ms", d->addr, d->hole.transport,
                    d->hole.ms);
        } else {
            app_say("  yes  %s: a hole over %s, attempt %u, in %.0f ms", d->addr, d->hole.transport,
                    d->hole.attempts, d->hole.ms);
        }
    }
}
