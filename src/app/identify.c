/* tern identify: what the peer says of itself, and how we are connected. */
#include "app/app.h"

static void print_line(const char *title, const char *text)
{
    app_say("%-18s %s", title, text);
}

static void print_text(const tern_conn_facts *f, const tern_identified *what)
{
    char peer[TERN_PEER_ID_TEXT];
    app_peer_text(f, peer);
    print_line("peer", peer);
    print_line("agent", what->agent);
    print_line("protocol version", what->protocol_version);
    app_say("%-18s %s, %s, %s", "connection", f->transport, f->security, f->muxer);
    print_line("observed address",
               what->observed != NULL ? tern_multiaddr_text(what->observed) : "-");
    print_line("signed record", what->signed_record ? "yes" : "no");
    for (size_t i = 0; i < what->addr_count; i++) {
        print_line(i == 0 ? "addresses" : "", tern_multiaddr_text(what->addrs[i]));
    }
    for (size_t i = 0; i < what->protocol_count; i++) {
        print_line(i == 0 ? "protocols" : "", what->protocols[i]);
    }
}

static void print_json(const tern_conn_facts *f, const tern_identified *what)
{
    json_t *addrs = json_array();
    json_t *o = json_pack("{s:s}", "event", "identify");
    for (size_t i = 0; i < what->addr_count; i++) {
        json_array_append_new(addrs, app_text(tern_multiaddr_text(what->addrs[i])));
    }
    json_object_set_new(o, "agent", app_text(what->agent));
    json_object_set_new(o, "protocol_version", app_text(what->protocol_version));
    json_object_set_new(o, "protocols", app_strings(what->protocols, what->protocol_count));
    json_object_set_new(o, "listen_addrs", addrs);
    json_object_set_new(o, "observed_addr",
                        what->observed != NULL ? app_text(tern_multiaddr_text(what->observed))
                                               : json_null());
    json_object_set_new(o, "signed_record", json_boolean(what->signed_record));
    app_add_facts(o, f);
    app_emit(o);
}

static void on_identified(void *owner, tern_node *node, tern_conn *conn,
                          const tern_identified *what)
{
    app_dial *d = owner;
    (void)node;
    if (d->finished) {
        return;
    }
    (d->o->json ? print_json : print_text)(tern_conn_get_facts(conn), what);
    app_finish(d, APP_OK);
}

static void too_late(void *arg)
{
    app_dial *d = arg;
    if (!d->finished) {
        app_error("%s: connected, but the peer did not identify itself in time; does it speak "
                  "/ipfs/id/1.0.0, is --timeout too short?",
                  d->o->args.items[0]);
        app_finish(d, APP_FAILED);
    }
}

static void on_conn(app_dial *d)
{
    double left = d->o->timeout - (double)(d->connected - d->started) / 1e9;
    if (tern_node_after(d->node, app_ms(left), too_late, d) != 0) {
        app_error("out of memory");
        app_finish(d, APP_FAILED);
    }
}

int app_identify(app_options *o)
{
    app_dial d = {.o = o, .on_conn = on_conn, .status = APP_FAILED};
    tern_node_events events = {.on_identified = on_identified};
    return app_dial_run(&d, &events);
}
