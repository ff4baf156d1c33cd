/* An HTTP/3 peer of the test's own. See h3_peer.h. */
#include "sim/h3_peer.h"

#include <stdio.h>

#include "base/error.h"
#include "secure/noise.h"
#include "webtransport/certs.h"
#include "webtransport/h3_fields.h"

/* ---- what a stream hears ---- */

static size_t on_data(void *owner, tern_stream *stream, uint8_t *data, size_t n)
{
    static const uint8_t prefix[] = {0x40, 0x41, 0};
    h3_stream *s = owner;
    (void)stream;
    if (s->peer->keeps && s->theirs && s->both_ways) {
        size_t at = s->n < sizeof prefix ? s->n : sizeof prefix;
        if (at == sizeof prefix && memcmp(s->bytes, prefix, at) == 0) {
            return 0;
        }
        if (at == 0 && n >= sizeof prefix && memcmp(data, prefix, sizeof prefix) == 0) {
            n = sizeof prefix;
        }
    }
    size_t room = sizeof s->bytes - s->n, kept = n < room ? n : room;
    memcpy(s->bytes + s->n, data, kept);
    s->n += kept;
    return n;
}

static void on_end(void *owner, tern_stream *stream)
{
    (void)stream;
    ((h3_stream *)owner)->ended++;
}

static void on_closed(void *owner, tern_stream *stream, const tern_error *why)
{
    h3_stream *s = owner;
    (void)stream;
    s->s = NULL;
    s->closed++;
    s->why = *why;
}

static const tern_stream_events stream_events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static h3_stream *add_stream(h3_peer *p, tern_stream *stream, bool both_ways, bool theirs)
{
    h3_stream *s = test_calloc(1, sizeof *s);
    assert_non_null(s);
    *s = (h3_stream){
        .next = p->streams, .peer = p, .s = stream, .both_ways = both_ways, .theirs = theirs};
    p->streams = s;
    tern_stream_take(stream, &stream_events, s);
    return s;
}

/* ---- what QUIC asks ---- */

static void *on_accept(tern_net *net, struct quic_conn *q)
{
    h3_peer *p = q->endpoint->app_listener->owner;
    (void)net;
    p->came++;
    return p;
}

static void on_begin(void *session, struct quic_conn *q)
{
    h3_peer *p = session;
    p->q = q;
    p->begun++;
    if (p->on_begin != NULL) {
        p->on_begin(p);
    }
}

static int on_verify(void *session, tern_span der, tern_error *reterr)
{
    (void)session;
    (void)der;
    (void)reterr;
    return 0;
}

static void on_stream(void *session, tern_stream *stream, bool both_ways)
{
    add_stream(session, stream, both_ways, true);
}

static tern_stream *on_open(void *session, tern_error *reterr)
{
    (void)session;
    tern_fail(reterr, TERN_E_STATE, "h3 peer", "nobody opens streams of it but the test");
    return NULL;
}

static void on_closing(void *session, uint64_t code, const char *text)
{
    (void)session;
    (void)code;
    (void)text;
}

static uint64_t same(uint64_t code)
{
    return code;
}

static void on_gone(void *session, tern_error *why)
{
    h3_peer *p = session;
    p->gone++;
    p->why = *why;
    p->q = NULL;
    if (why->code == 0) {
        why->code = TERN_E_CONN_CLOSED; /* for the dial, which has not come to an end of its own */
    }
    if (tern_op_running(&p->noise.op)) {
        tern_op_cancel(&p->noise.op);
    }
}

static const tern_quic_app app = {.name = "h3 peer",
                                  .alpn = "h3",
                                  .no_error = TERN_H3_NO_ERROR,
                                  .accept = on_accept,
                                  .begin = on_begin,
                                  .verify = on_verify,
                                  .on_stream = on_stream,
                                  .open = on_open,
                                  .closing = on_closing,
                                  .code_out = same,
                                  .code_in = same,
                                  .gone = on_gone};

/* ---- birth and end ---- */

static void init(h3_peer *p, sim_node *node)
{
    void (*begin)(h3_peer *) = p->on_begin;
    memset(p, 0, sizeof *p);
    p->on_begin = begin;
    p->node = node;
}

static void on_dialled(tern_op *op, const tern_error *error)
{
    (void)op;
    assert_int_not_equal(error->code, 0); /* it never says that it is ready */
}

void h3_peer_dial(h3_peer *p, sim_node *node, const char *ip)
{
    tern_endpoint to;
    tern_error error;
    init(p, node);
    assert_int_equal(tern_endpoint_parse_ip(&to, ip), 0);
    to.port = SIM_NODE_PORT;
    p->came = 1;
    p->dial.net = tern_node_net(node->node);
    p->dial.addr = tern_ma_from_endpoint(&to, TERN_MA_UDP);
    assert_non_null(p->dial.addr);
    tern_op_init(&p->dial.op, node->host, TERN_NEVER, on_dialled);
    assert_int_equal(tern_quic_app_dial(&p->dial, &to, &app, p, &error), 0);
}

static void on_conn(void *owner, tern_listener *l, tern_conn *c)
{
    (void)owner;
    (void)l;
    (void)c;
    fail_msg("a conn of an h3 peer's is never ready");
}

static const tern_listener_events listener_events = {.on_conn = on_conn};

void h3_peer_listen(h3_peer *p, sim_node *node, const char *ip)
{
    tern_endpoint at;
    tern_error error;
    tern_webtransport *w;
    char id[TERN_PEER_ID_TEXT];
    init(p, node);
    p->keeps = true;
    assert_int_equal(tern_endpoint_parse_ip(&at, ip), 0);
    at.port = SIM_NODE_PORT;
    tern_net *net = tern_node_net(node->node);
    assert_int_equal(wt_of(net, &w, &error), 0);
    p->listener = (tern_listener){.events = &listener_events, .owner = p};
    assert_int_equal(tern_quic_app_listen(net, &at, &app, &p->listener, &p->endpoint, &at, &error),
                     0);
    tern_quic_app_show(p->endpoint, w->shown);
    tern_multiaddr *addr = wt_addr(&at, w);
    assert_non_null(addr);
    tern_peer_id_text(&node->id, id);
    snprintf(p->addr, sizeof p->addr, "%s/p2p/%s", tern_multiaddr_text(addr), id);
    tern_multiaddr_unref(addr);
    for (p->hash_count = 0; p->hash_count < WT_HASHES; p->hash_count++) {
        p->hashes[p->hash_count] = (tern_span){w->hashes[p->hash_count], WT_HASH};
    }
}

static void end_conn(h3_peer *p)
{
    const tern_error why = {.code = TERN_E_CANCELLED, .layer = "h3 peer", .text = "ended"};
    if (p->q != NULL) {
        quic_conn_fail(p->q, &why);
    } else if (tern_op_running(&p->dial.op)) {
        tern_op_cancel(&p->dial.op);
    }
}

void h3_peer_clear(h3_peer *p)
{
    end_conn(p);
    if (p->endpoint != NULL) {
        tern_quic_app_unlisten(p->endpoint);
    }
    sim_nodes_run(p->node->world, TERN_SEC);
    tern_multiaddr_unref(p->dial.addr);
    while (p->streams != NULL) {
        h3_stream *s = p->streams;
        p->streams = s->next;
        assert_null(s->s);
        test_free(s);
    }
    void (*begin)(h3_peer *) = p->on_begin;
    memset(p, 0, sizeof *p);
    p->on_begin = begin;
}

/* ---- streams ---- */

h3_stream *h3_open(h3_peer *p, bool both_ways)
{
    tern_error error;
    assert_non_null(p->q);
    tern_stream *stream = tern_quic_app_open(p->q, both_ways, &error);
    return stream != NULL ? add_stream(p, stream, both_ways, false) : NULL;
}

void h3_say(h3_stream *s, const void *bytes, size_t n)
{
    if (s->s != NULL) {
        tern_stream_write(s->s, bytes, n);
    }
}

h3_stream *h3_open_saying(h3_peer *p, bool both_ways, const void *bytes, size_t n, bool end)
{
    h3_stream *s = h3_open(p, both_ways);
    assert_non_null(s);
    h3_say(s, bytes, n);
    if (end) {
        tern_stream_end(s->s);
    }
    return s;
}

h3_stream *h3_theirs(h3_peer *p, bool both_ways, unsigned nth)
{
    unsigned count = 0;
    for (h3_stream *s = p->streams; s != NULL; s = s->next) {
        count += s->theirs && s->both_ways == both_ways;
    }
    for (h3_stream *s = p->streams; s != NULL; s = s->next) {
        if (s->theirs && s->both_ways == both_ways && --count == nth) {
            return s;
        }
    }
    return NULL;
}

unsigned h3_status(const h3_stream *s)
{
    uint64_t type = 0, length = 0;
    tern_h3_fields f;
    size_t a = tern_h3_int_get(s->bytes, s->n, &type);
    size_t b = a > 0 ? tern_h3_int_get(s->bytes + a, s->n - a, &length) : 0;
    if (b == 0 || type != TERN_H3_HEADERS || length > s->n - a - b) {
        return 0;
    }
    return tern_h3_fields_read((tern_span){s->bytes + a + b, length}, false, &f) == 0 ? f.status
                                                                                      : 0;
}

/* ---- what a good peer says ---- */

void h3_say_settings(h3_peer *p)
{
    uint8_t out[TERN_H3_OPENING_MAX];
    size_t n = tern_h3_opening(out, p->endpoint != NULL);
    h3_open_saying(p, false, out, n, false);
}

h3_stream *h3_open_in(h3_peer *p, bool both_ways, uint64_t session)
{
    uint8_t head[2 * TERN_H3_INT_MAX];
    size_t n = tern_h3_int_put(head, both_ways ? 0x41 : 0x54);
    n += tern_h3_int_put(head + n, session);
    return h3_open_saying(p, both_ways, head, n, false);
}

/* An integer of QPACK's: RFC 9204, section 4.1.1. */
static size_t put_int(uint8_t *out, uint8_t flags, unsigned bits, size_t value)
{
    size_t most = (1U << bits) - 1, n = 1;
    out[0] = (uint8_t)(flags | (value < most ? value : most));
    if (value >= most) {
        for (value -= most; value >= 0x80; value >>= 7) {
            out[n++] = (uint8_t)(value | 0x80);
        }
        out[n++] = (uint8_t)value;
    }
    return n;
}

size_t h3_headers(uint8_t *out, size_t cap, const char *const *fields)
{
    uint8_t *section = test_calloc(1, cap);
    size_t n = 2; /* no dynamic table */
    for (; *fields != NULL; fields += 2) {
        size_t name = strlen(fields[0]), value = strlen(fields[1]);
        assert_true(n + name + value + 16 <= cap);
        n += put_int(section + n, 0x20, 3, name);
        memcpy(section + n, fields[0], name);
        n += name;
        n += put_int(section + n, 0, 7, value);
        memcpy(section + n, fields[1], value);
        n += value;
    }
    size_t head = tern_h3_head_put(out, TERN_H3_HEADERS, n);
    assert_true(head + n <= cap);
    memcpy(out + head, section, n);
    test_free(section);
    return head + n;
}

h3_stream *h3_connect(h3_peer *p, const char *path)
{
    tern_buf out;
    tern_buf_init(&out, 0);
    assert_int_equal(tern_h3_put_connect(&out, "10.0.0.2:4001", path), 0);
    h3_stream *s = h3_open_saying(p, true, tern_buf_data(&out), tern_buf_len(&out), false);
    tern_buf_free(&out);
    return s;
}

static void noise_done(tern_op *op, const tern_error *error)
{
    h3_peer *p = TERN_CONTAINER(op, h3_peer, noise.op);
    p->noise_done++;
    p->noise_error = *error;
    if (error->code == 0) {
        p->noise_peer = p->noise.peer;
        tern_key_unref(p->noise.key);
        tern_buf_free(&p->noise.peer_certhashes);
        tern_stream_end(p->noise.stream);
        tern_stream_drop(p->noise.stream);
    }
}

void h3_noise(h3_peer *p, h3_stream *s)
{
    tern_stream *stream = s->s;
    assert_non_null(stream);
    tern_stream_take(stream, NULL, NULL);
    s->s = NULL;
    p->noise = (tern_secure_op){.net = tern_node_net(p->node->node),
                                .lower = stream,
                                .initiator = p->endpoint == NULL,
                                .certhashes = p->hashes,
                                .certhash_count = p->hash_count};
    tern_op_init(&p->noise.op, p->node->host, TERN_NEVER, noise_done);
    assert_int_equal(tern_noise.begin(&p->noise), 0);
    tern_noise.attach(&p->noise);
}

h3_stream *h3_establish(h3_peer *p)
{
    assert_true(sim_nodes_wait(p->node->world, &p->begun, 1, 5 * TERN_SEC));
    h3_say_settings(p);
    h3_stream *connect = h3_connect(p, WT_PATH "?" WT_QUERY);
    h3_noise(p, h3_open_in(p, true, 0));
    assert_true(sim_nodes_wait(p->node->world, &p->noise_done, 1, 5 * TERN_SEC));
    assert_int_equal(p->noise_error.code, 0);
    sim_nodes_run(p->node->world, TERN_SEC);
    assert_int_equal(h3_status(connect), 200);
    return connect;
}

bool h3_datagram(h3_peer *p, const void *bytes, size_t n)
{
    const ngtcp2_vec v = {(uint8_t *)(uintptr_t)bytes, n};
    uint8_t packet[1452];
    ngtcp2_pkt_info info;
    ngtcp2_path_storage path;
    ngtcp2_ssize len;
    int accepted = 0;
    do { /* what else is to be sent goes before */
        ngtcp2_path_storage_zero(&path);
        len = ngtcp2_conn_writev_datagram(p->q->q, &path.path, &info, packet, sizeof packet,
                                          &accepted, NGTCP2_WRITE_DATAGRAM_FLAG_NONE, 0, &v, 1,
                                          tern_loop_now(p->node->host));
        assert_true(len >= 0);
        if (len > 0) {
            int e = tern_udp_send(p->q->endpoint->udp, &p->q->remote, packet, (size_t)len, 0, 0);
            assert_int_equal(e, 0);
        }
    } while (len > 0 && !accepted);
    return accepted != 0;
}
