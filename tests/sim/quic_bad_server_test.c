/* Hostile servers of QUIC, made by the test itself, against a node that dials them: the dial fails
 * with the reason, is counted, and leaves nothing; the node dials the next one as if nothing had
 * been. */
#include <stddef.h>
#include <stdio.h>

#include "crypto/cert_forge_test.h"
#include "sim/quic_pair.h"
#include "sim/raw_quic.h"

#define DELAY (10 * TERN_MS)

typedef struct world {
    sim_nodes w;
    sim_node *a, *b; /* a dials; b is honest */
    char addr[256];
    char bad[256];      /* where the hostile one is, with its peer id */
    tern_key *identity; /* whom a expects there */
    size_t bytes;
} world;

/* a dials the honest one and pings. */
static void dials(world *x)
{
    sim_dial d;
    sim_ping p;
    unsigned gone = x->a->disconnected;
    sim_nodes_dial_one(x->a, x->addr, &d);
    if (d.conn == NULL) {
        fail_msg("an honest dial: %s: %s", d.error.layer, d.error.text);
    }
    sim_nodes_ping(x->a, d.conn, &p);
    assert_int_equal(p.error.code, 0);
    tern_node_disconnect(x->a->node, &x->b->id);
    assert_true(sim_nodes_wait(&x->w, &x->a->disconnected, gone + 1, 20 * TERN_SEC));
    sim_nodes_run(&x->w, 60 * TERN_SEC);
    assert_int_equal(tern_node_net(x->a->node)->natives, 0);
}

static void set_up(world *x)
{
    tern_peer_id id;
    char text[TERN_PEER_ID_TEXT];
    memset(x, 0, sizeof *x);
    sim_nodes_init(&x->w, DELAY);
    tern_sim_set_wall(x->w.sim, FORGE_WALL);
    x->a = sim_nodes_add(&x->w, "-10.0.0.1", NULL);
    x->b = sim_nodes_add(&x->w, "-10.0.0.2", NULL);
    quic_pair_listen(x->b, "10.0.0.2", x->addr, sizeof x->addr);
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &x->identity), 0);
    tern_key_peer_id(x->identity, &id);
    tern_peer_id_text(&id, text);
    snprintf(x->bad, sizeof x->bad, "/ip4/10.0.0.9/udp/4001/quic-v1/p2p/%s", text);
    dials(x);
    x->bytes = tern_mem_bytes();
}

static void tear_down(world *x)
{
    sim_nodes_run(&x->w, 60 * TERN_SEC);
    assert_int_equal(tern_node_net(x->a->node)->natives, 0);
    assert_in_range(tern_mem_bytes(), 0,
                    x->bytes + 16384); /* the heap of timers, a peer more in the book */
    dials(x);
    tern_key_unref(x->identity);
    sim_nodes_clear(&x->w);
}

/* ---- what it shows ---- */

typedef struct shown {
    const char *what;
    forge f;
    bool other_signer, somebody_else;
    const char *alpn;
    int code;      /* of the dial */
    uint8_t alert; /* that it hears; 0: it refused by itself */
    size_t counter;
} shown;

#define COUNT(name) offsetof(tern_counters, name)

static void shows(const shown *c)
{
    world x;
    raw_quic r;
    sim_dial d;
    tern_key *key;
    set_up(&x);
    assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &key), 0);
    tern_cert *cert = forge_cert(c->somebody_else ? key : x.identity, &c->f);
    tern_cert *other = forge_cert(x.identity, &(forge){0});
    raw_quic_options o = {.cert = cert,
                          .signer = c->other_signer ? other : NULL,
                          .alpn = c->alpn != NULL ? c->alpn[0] != 0 ? c->alpn : NULL : "libp2p"};
    uint64_t *count = (uint64_t *)(void *)((char *)sim_counters(x.a) + c->counter), before = *count;
    raw_quic_listen(&r, x.w.sim, "10.0.0.9", 4001, &o);
    sim_nodes_dial_one(x.a, x.bad, &d);
    sim_nodes_run(&x.w, TERN_SEC);
    if (d.conn != NULL || d.report_count != 1 || d.reports[0].error.code != c->code) {
        fail_msg("%s: the dial says %d %s", c->what,
                 d.report_count > 0 ? d.reports[0].error.code : 0, d.error.text);
    }
    if (r.closed != (c->alert != 0) || (r.closed && (r.app || r.code != 0x100u + c->alert))) {
        fail_msg("%s: closed %u, app %u, code 0x%llx, not 0x%x", c->what, r.closed, r.app,
                 (unsigned long long)r.code, 0x100u + c->alert);
    }
    if (*count != before + 1) {
        fail_msg("%s: is not counted", c->what);
    }
    raw_quic_clear(&r);
    tern_cert_free(cert);
    tern_cert_free(other);
    tern_key_unref(key);
    tear_down(&x);
}

static void certificates(void **state)
{
    static const shown cases[] = {
        {"no extension",
         {.no_extension = true},
         .code = TERN_E_PROTOCOL,
         .alert = 42,
         .counter = COUNT(tls_bad_certificate)},
        {"a wrong extension",
         {.trailing_outside = true},
         .code = TERN_E_MALFORMED,
         .alert = 42,
         .counter = COUNT(tls_bad_certificate)},
        {"a wrong signature of the identity",
         {.wrong_identity = true},
         .code = TERN_E_SIGNATURE,
         .alert = 42,
         .counter = COUNT(tls_bad_signature)},
        {"another identity's signature",
         {.other_identity = true},
         .code = TERN_E_SIGNATURE,
         .alert = 42,
         .counter = COUNT(tls_bad_signature)},
        {"a wrong signature of its own",
         {.wrong_self = true},
         .code = TERN_E_SIGNATURE,
         .alert = 42,
         .counter = COUNT(tls_bad_signature)},
        {"expired",
         {.to = FORGE_NOW - 60},
         .code = TERN_E_PROTOCOL,
         .alert = 42,
         .counter = COUNT(tls_bad_certificate)},
        {"the key of another certificate", .other_signer = true, .code = TERN_E_CRYPTO, .alert = 51,
         .counter = COUNT(tls_bad_signature)},
        {"somebody else", .somebody_else = true, .code = TERN_E_PEER_ID, .alert = 42,
         .counter = COUNT(tls_wrong_peer)},
        {"another protocol", .alpn = "h3", .code = TERN_E_NEGOTIATION, .alert = 120,
         .counter = COUNT(tls_nothing_common)},
        {"no protocol", .alpn = "", .code = TERN_E_NEGOTIATION, .alert = 120,
         .counter = COUNT(tls_nothing_common)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        shows(&cases[i]);
    }
}

/* ---- what it says afterwards ---- */

/* Connected to a server whose packets the test writes. */
static void connect_to(world *x, raw_quic *r, tern_cert **ret_cert)
{
    sim_dial d;
    set_up(x);
    *ret_cert = forge_cert(x->identity, &(forge){0});
    raw_quic_options o = {.cert = *ret_cert, .alpn = "libp2p"};
    raw_quic_listen(r, x->w.sim, "10.0.0.9", 4001, &o);
    sim_nodes_dial_one(x->a, x->bad, &d);
    if (d.conn == NULL) {
        fail_msg("%s: %s", d.error.layer, d.error.text);
    }
    sim_nodes_run(&x->w, TERN_SEC);
    assert_true(r->completed);
}

static void send_away(world *x, raw_quic *r, tern_cert *cert)
{
    raw_quic_clear(r);
    tern_cert_free(cert);
    tear_down(x);
}

static void says(uint8_t type, const uint64_t *ints, unsigned n, unsigned bytes, uint64_t code)
{
    world x;
    raw_quic r;
    tern_cert *cert;
    uint8_t frame[200], *p = frame;
    connect_to(&x, &r, &cert);
    uint64_t violations = sim_counters(x.a)->quic_violations;
    unsigned gone = x.a->disconnected;
    *p++ = type;
    for (unsigned i = 0; i < n; i++) {
        p = raw_quic_int(p, ints[i]);
    }
    memset(p, 0, bytes);
    raw_quic_frames(&r, frame, (size_t)(p - frame) + bytes);
    sim_nodes_run(&x.w, TERN_SEC);
    if (r.closed != 1 || r.app || r.code != code) {
        fail_msg("frame 0x%x: closed %u, app %u, code 0x%llx, not 0x%llx", type, r.closed, r.app,
                 (unsigned long long)r.code, (unsigned long long)code);
    }
    assert_int_equal(x.a->disconnected, gone + 1);
    assert_int_equal(x.a->why.code, TERN_E_PROTOCOL);
    assert_int_equal(sim_counters(x.a)->quic_violations, violations + 1);
    send_away(&x, &r, cert);
}

static void frames(void **state)
{
    (void)state;
    says(0x0e, (const uint64_t[]){4 * 256 + 1, 0, 1}, 3, 1, 4); /* streams beyond the limit */
    says(0x0e, (const uint64_t[]){4 * 3 + 3, 0, 1}, 3, 1, 4);
    says(0x04, (const uint64_t[]){4 * 256 + 1, 7, 0}, 3, 0, 4);
    says(0x0e, (const uint64_t[]){4 * 500, 0, 1}, 3, 1, 5); /* on a stream of ours that is none */
    says(0x05, (const uint64_t[]){4 * 500, 7}, 2, 0, 5);
    says(0x0e, (const uint64_t[]){1, 1 << 20, 1}, 3, 1, 3); /* behind the window */
    says(0x21, NULL, 0, 0, 7);                              /* no frame */
    says(0x07, (const uint64_t[]){0}, 1, 0, 7);             /* an empty token */
}

/* Opens streams and resets them, as fast as it is permitted. */
static void open_and_reset(void **state)
{
    world x;
    raw_quic r;
    tern_cert *cert;
    unsigned opened = 0;
    (void)state;
    connect_to(&x, &r, &cert);
    for (unsigned round = 0; round < 1000 && opened < 20000 && r.q != NULL; round++) {
        int64_t id;
        while ((id = raw_quic_open(&r, true, "\x13/multistream/1.0.0\n", 20)) >= 0) {
            raw_quic_reset(&r, id, 7);
            opened++;
        }
        sim_nodes_run(&x.w, 2 * DELAY);
        assert_in_range(tern_mem_bytes(), 0, x.bytes + (1 << 20));
    }
    assert_true(opened >= 20000 || r.closed);
    send_away(&x, &r, cert);
}

/* ---- no server at all ---- */

typedef struct scripted {
    tern_udp *u;
    int kind;
    unsigned heard;
} scripted;

enum { SILENT, VERSIONS_WITH_OURS, VERSIONS_WITHOUT, FORGED_RETRY, NOISE, ECHO };

/* An answer to an Initial of a client: its ids, turned round, and what follows. */
static size_t turned(const tern_datagram *d, uint8_t first, uint32_t version, uint8_t *out)
{
    uint8_t dcid_n = d->data[5], scid_n = d->data[6 + dcid_n];
    size_t n = 0;
    out[n++] = first;
    tern_put32(out + n, version);
    n += 4;
    out[n++] = scid_n;
    memcpy(out + n, d->data + 7 + dcid_n, scid_n);
    n += scid_n;
    out[n++] = dcid_n;
    memcpy(out + n, d->data + 6, dcid_n);
    return n + dcid_n;
}

static void on_dialled(void *owner, tern_udp *u, tern_datagram *d)
{
    scripted *s = owner;
    uint8_t out[1400];
    size_t n = 0;
    s->heard++;
    if ((d->data[0] & 0x80) == 0) {
        return;
    }
    switch (s->kind) {
    case VERSIONS_WITH_OURS:
    case VERSIONS_WITHOUT:
        n = turned(d, 0x80, 0, out);
        tern_put32(out + n, s->kind == VERSIONS_WITHOUT ? 0x6b3343cf : 1);
        tern_put32(out + n + 4, 0x0a0a0a0a);
        n += 8;
        break;
    case FORGED_RETRY:
        n = turned(d, 0xf0, 1, out);
        memset(out + n, 0x33, 40); /* a token, and a tag that is none */
        n += 40;
        break;
    case NOISE:
        memset(out, 0xe7, sizeof out);
        n = turned(d, 0xe7, 1, out) + 1000;
        break;
    case ECHO:
        n = d->len < sizeof out ? d->len : sizeof out;
        memcpy(out, d->data, n);
        break;
    default:
        return;
    }
    tern_udp_send(u, &d->from, out, n, 0, 0);
}

static void scripts(int kind, int code)
{
    world x;
    sim_dial d;
    tern_loop *host;
    tern_endpoint at;
    scripted s = {.kind = kind};
    set_up(&x);
    assert_int_equal(tern_sim_host(x.w.sim, "10.0.0.9", &host), 0);
    assert_int_equal(tern_endpoint_parse_ip(&at, "10.0.0.9"), 0);
    at.port = 4001;
    assert_int_equal(tern_udp_bind(host, &at, &s.u), 0);
    tern_udp_register(s.u, TERN_UDP_QUIC, on_dialled, &s);
    uint64_t start = sim_nodes_now(&x.w);
    sim_nodes_dial_one(x.a, x.bad, &d);
    assert_null(d.conn);
    if (d.report_count != 1 || d.reports[0].error.code != code) {
        fail_msg("script %d: %d %s", kind, d.reports[0].error.code, d.error.text);
    }
    if (code != TERN_E_TIMEOUT) { /* it knows at once */
        assert_in_range(d.at - start, 0, 4 * DELAY);
    }
    assert_in_range(s.heard, 1, 40); /* and is not drawn into a talk */
    tern_udp_close(s.u);
    tear_down(&x);
}

static void no_server_at_all(void **state)
{
    (void)state;
    scripts(SILENT, TERN_E_TIMEOUT);
    scripts(VERSIONS_WITH_OURS, TERN_E_TIMEOUT); /* RFC 9000, section 6.2: not to be believed */
    scripts(VERSIONS_WITHOUT, TERN_E_UNSUPPORTED);
    scripts(FORGED_RETRY, TERN_E_TIMEOUT);
    scripts(NOISE, TERN_E_TIMEOUT);
    scripts(ECHO, TERN_E_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificates),
        cmocka_unit_test(frames),
        cmocka_unit_test(open_and_reset),
        cmocka_unit_test(no_server_at_all),
    };
    return TERN_TEST_MAIN(tests);
}
