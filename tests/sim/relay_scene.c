/* See relay_scene.h. */
#include "sim/relay_scene.h"

#include <stdio.h>

#include "streams/frame.h"

tern_options relay_test_options(void)
{
    tern_options o;
    tern_options_init(&o);
    o.relay_service = true;
    return o;
}

void relay_reserve_at(sim_node *n, const sim_node *relay)
{
    char text[256];
    tern_error error;
    snprintf(text, sizeof text, "%s/p2p-circuit", relay->addr);
    if (tern_node_listen(n->node, text, NULL, 0, &error) != 0) {
        fail_msg("%s", error.text);
    }
}

void relay_address_of(const sim_node *relay, const sim_node *behind, char *out, size_t cap)
{
    char id[TERN_PEER_ID_TEXT];
    snprintf(out, cap, "%s/p2p-circuit/p2p/%s", relay->addr, tern_peer_id_text(&behind->id, id));
}

void relay_scene_make(relay_scene *s, const tern_options *options)
{
    tern_options o = options != NULL ? *options : relay_test_options();
    o.relay_service = true;
    sim_nodes_init(&s->w, RELAY_DELAY);
    s->relay = sim_nodes_add(&s->w, "10.0.0.1", &o);
    s->behind = sim_nodes_add(&s->w, "-10.0.0.2", NULL);
    s->asker = sim_nodes_add(&s->w, "-10.0.0.3", NULL);
    relay_reserve_at(s->behind, s->relay);
    sim_nodes_run(&s->w, TERN_SEC);
    assert_int_equal(sim_counters(s->relay)->relay_reservations, 1);
    assert_int_equal(sim_counters(s->behind)->relay_reserved, 1);
    relay_address_of(s->relay, s->behind, s->at, sizeof s->at);
}

tern_conn *relay_scene_reach(relay_scene *s)
{
    sim_dial d;
    sim_nodes_dial_one(s->asker, s->at, &d);
    if (d.error.code != 0) {
        fail_msg("%s", d.error.text);
    }
    sim_nodes_run(&s->w, 10 * RELAY_RTT);
    return d.conn;
}

tern_stream *relay_say(sim_node *n, tern_conn *c, const char *protocol, const void *bytes,
                       size_t n_bytes, ear *e)
{
    tern_error error;
    ear_init(e);
    tern_stream *s = tern_node_open(n->node, c, protocol, sim_nodes_ear_opened, e, &error);
    assert_non_null(s);
    assert_int_equal(tern_stream_write(s, bytes, n_bytes), n_bytes);
    sim_nodes_run(n->world, TERN_SEC);
    return e->s;
}

uint32_t relay_ask(sim_node *n, tern_conn *c, bool hop, const tern_relay_message *m)
{
    ear e;
    tern_buf out;
    tern_relay_message answer = {0};
    uint8_t wire[TERN_RELAY_MESSAGE_MAX + 2];
    tern_buf_init(&out, 0);
    assert_int_equal(tern_relay_build(hop, m, &out), 0);
    assert_true(tern_buf_len(&out) < 128);
    wire[0] = (uint8_t)tern_buf_len(&out);
    memcpy(wire + 1, tern_buf_data(&out), tern_buf_len(&out));
    relay_say(n, c, hop ? TERN_RELAY_HOP_ID : TERN_RELAY_STOP_ID, wire, 1 + tern_buf_len(&out), &e);
    size_t got = tern_buf_len(&e.got);
    if (got > 1) { /* its length needs one byte, but for a place */
        const uint8_t *p = tern_buf_data(&e.got);
        size_t head = p[0] < 128 ? 1 : 2;
        if (tern_relay_parse(hop, (tern_span){p + head, got - head}, &answer) != 0) {
            fail_msg("an answer of %zu bytes does not parse", got);
        }
    }
    tern_relay_clear(&answer);
    tern_buf_free(&out);
    ear_clear(&e);
    return answer.status;
}
