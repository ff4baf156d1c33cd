/* The TLS layer: two whole ends with long flows and moved clocks, and one end against a peer made
 * of OpenSSL whose handshake is wrong; tls_stream_test.c has its wrong records. What every secure
 * layer and every stream must do is tried by tests/suite/security.c and streams.c; certificates by
 * crypto/cert_test.c. */
#include "secure/tls_peer_test.h"

#include "streams/tcp.h"

static uint8_t flow[300000];

/* ---- two whole ends ---- */

typedef struct ends {
    tern_sim *sim;
    tern_loop *loop;
    tern_net net[2];
    tern_secure_op op[2];
    tern_error error[2];
    ear ear[2];
} ends;

static void secured(tern_op *op, const tern_error *error)
{
    tern_secure_op *secure = TERN_CONTAINER(op, tern_secure_op, op);
    ends *e = TERN_CONTAINER(secure->initiator ? secure : secure - 1, ends, op[0]);
    int i = secure->initiator ? 0 : 1;
    e->error[i] = *error;
    if (error->code == 0) {
        ear_take(&e->ear[i], secure->stream);
    }
}

static void ends_make(ends *e)
{
    memset(e, 0, sizeof *e);
    assert_int_equal(tern_sim_new(1, &e->sim), 0);
    assert_int_equal(tern_sim_host(e->sim, "10.0.0.1", &e->loop), 0);
    for (int i = 0; i < 2; i++) {
        e->net[i].loop = e->loop;
        assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &e->net[i].key), 0);
        tern_key_peer_id(e->net[i].key, &e->net[i].self);
        ear_init(&e->ear[i]);
    }
}

static void ends_run(ends *e, uint64_t time)
{
    tern_sim_run(e->sim, tern_sim_now(e->sim) + time, NULL, NULL);
}

/* Begins one end; inputs of `options` are common to both. */
static void ends_begin(ends *e, int i, tern_stream *lower, const tern_secure_op *options)
{
    e->op[i] = *options;
    e->op[i].net = &e->net[i];
    e->op[i].lower = lower;
    e->op[i].initiator = i == 0;
    tern_op_init(&e->op[i].op, e->loop, TERN_NEVER, secured);
    assert_int_equal(tern_tls.begin(&e->op[i]), 0);
    tern_tls.attach(&e->op[i]);
}

static void ends_secure(ends *e, tern_stream *a, tern_stream *b, const tern_secure_op *options)
{
    ends_begin(e, 0, a, options);
    ends_begin(e, 1, b, options);
    ends_run(e, TERN_SEC);
}

static void ends_over_memory(ends *e, const tern_secure_op *options)
{
    tern_stream *a, *b;
    assert_int_equal(tern_memory_pair(e->loop, NULL, &a, &b), 0);
    ends_secure(e, a, b, options);
}

static void ends_let_go(ends *e)
{
    for (int i = 0; i < 2; i++) {
        ear_clear(&e->ear[i]);
        tern_key_unref(e->op[i].key);
        memset(&e->op[i], 0, sizeof e->op[i]);
        ear_init(&e->ear[i]);
    }
    ends_run(e, TERN_SEC);
}

static void ends_clear(ends *e)
{
    ends_let_go(e);
    for (int i = 0; i < 2; i++) {
        tern_tls_identity_free(e->net[i].tls);
        tern_key_unref(e->net[i].key);
    }
    ends_run(e, 60 * TERN_SEC);
    tern_sim_free(e->sim);
    assert_int_equal(tern_mem_alive(), 0);
}

/* Writes a flow of `total` bytes that repeats `flow`; returns how far it came. */
static size_t push(ear *e, size_t at, size_t total)
{
    while (at < total) {
        size_t offset = at % sizeof flow;
        size_t n = sizeof flow - offset < total - at ? sizeof flow - offset : total - at;
        size_t taken = ear_write(e, flow + offset, n);
        at += taken;
        if (taken < n) {
            break;
        }
    }
    return at;
}

static void flow_both_ways(ends *e, size_t total)
{
    size_t sent[2], got[2] = {0, 0};
    for (size_t i = 0; i < sizeof flow; i++) {
        flow[i] = (uint8_t)(i * 7 ^ i >> 8);
    }
    for (int i = 0; i < 2; i++) {
        sent[i] = push(&e->ear[i], 0, total);
    }
    for (int rounds = 0; got[0] < total || got[1] < total; rounds++) {
        assert_true(rounds < 10000);
        ends_run(e, TERN_MS);
        for (int i = 0; i < 2; i++) {
            ear *end = &e->ear[i];
            uint8_t *p = tern_buf_data(&end->got);
            size_t n = tern_buf_len(&end->got);
            for (size_t k = 0; k < n; k++) {
                if (p[k] != flow[(got[i] + k) % sizeof flow]) {
                    fail_msg("byte %zu is wrong", got[i] + k);
                }
            }
            got[i] += n;
            tern_buf_consume(&end->got, n);
            if (end->rooms > 0) {
                end->rooms = 0;
                sent[i] = push(end, sent[i], total);
            }
        }
    }
}

static void ten_megabytes_over_memory(void **state)
{
    (void)state;
    ends e;
    ends_make(&e);
    ends_over_memory(&e, &(tern_secure_op){0});
    flow_both_ways(&e, 10 << 20);
    ends_clear(&e);
}

static tern_stream *accepted;

static void on_accept(void *owner, tern_tcp *t)
{
    accepted = tern_tcp_stream_new(owner, t, 1 << 20, TERN_SEC, NULL);
}

static void dialled(tern_op *op, const tern_error *error)
{
    (void)op;
    assert_int_equal(error->code, 0);
}

static void ten_megabytes_over_tcp(void **state)
{
    (void)state;
    ends e;
    tern_tcp_listener *listener;
    tern_tcp_dial_op dial = {.write_queue = 1 << 20, .stall = TERN_SEC};
    ends_make(&e);
    dial.to = (tern_endpoint){.family = 4, .ip = {10, 0, 0, 1}};
    assert_int_equal(tern_tcp_listen(e.loop, &dial.to, on_accept, e.loop, &listener), 0);
    tern_tcp_listener_local(listener, &dial.to);
    tern_op_init(&dial.op, e.loop, TERN_NEVER, dialled);
    assert_int_equal(tern_tcp_stream_dial(&dial, NULL), 0);
    ends_run(&e, TERN_SEC);
    ends_secure(&e, dial.stream, accepted, &(tern_secure_op){0});
    flow_both_ways(&e, 10 << 20);
    tern_tcp_listener_close(listener);
    ends_clear(&e);
}

/* ---- the certificate, and clocks ---- */

#define YEAR (UINT64_C(365) * 24 * 3600 * TERN_SEC)

static void certificate_serves_the_net(void **state)
{
    (void)state;
    ends e;
    ends_make(&e);
    uint64_t wall = tern_loop_wall(e.loop);
    ends_over_memory(&e, &(tern_secure_op){0});
    const void *first = e.net[0].tls;
    assert_non_null(first);
    ends_let_go(&e);
    tern_sim_set_wall(e.sim, wall + 50 * YEAR);
    ends_over_memory(&e, &(tern_secure_op){0});
    assert_ptr_equal(e.net[0].tls, first);
    assert_int_equal(e.error[0].code, 0);
    assert_int_equal(e.net[0].counters.tls_recognised, 1); /* each saw the other's before */
    assert_int_equal(e.net[1].counters.tls_recognised, 1);
    ends_let_go(&e);
    tern_sim_set_wall(e.sim, wall - 20 * YEAR); /* a clock set back */
    ends_over_memory(&e, &(tern_secure_op){0});
    assert_ptr_equal(e.net[0].tls, first);
    assert_int_equal(e.error[0].code, 0);
    assert_int_equal(e.net[1].counters.tls_recognised, 2);
    ends_clear(&e);
}

/* The client's certificate is judged where the clock says another year than where it was made; so
 * is the server's when the roles change. Before 1975 the other one is not valid either. */
static void clocks_apart(void **state)
{
    (void)state;
    static const uint64_t years[] = {155, 4}; /* 1970 and so many */
    for (int i = 0; i < 4; i++) {
        ends e;
        tern_stream *lower[2];
        int judged = i % 2;
        ends_make(&e);
        tern_sim_set_wall(e.sim, 50 * YEAR);
        assert_int_equal(tern_tls_identity_new(e.loop, e.net[judged].key, &e.net[judged].tls), 0);
        assert_int_equal(tern_memory_pair(e.loop, NULL, &lower[0], &lower[1]), 0);
        ends_begin(&e, judged, lower[judged], &(tern_secure_op){0});
        tern_sim_set_wall(e.sim, years[i / 2] * YEAR);
        ends_begin(&e, 1 - judged, lower[1 - judged], &(tern_secure_op){0});
        ends_run(&e, TERN_SEC);
        int judge = i < 2 || e.error[1 - judged].code == TERN_E_PROTOCOL ? 1 - judged : judged;
        assert_int_equal(e.error[judge].code, TERN_E_PROTOCOL);
        assert_non_null(strstr(e.error[judge].text, "clock"));
        assert_int_equal(e.net[judge].counters.tls_bad_certificate, 1);
        ends_clear(&e);
    }
}

/* The initiator believes before it is judged: the refusal ends its stream, and says why. */
static void refusal_reaches_the_initiator(void **state)
{
    (void)state;
    ends e;
    tern_stream *lower[2];
    ends_make(&e);
    assert_int_equal(tern_memory_pair(e.loop, NULL, &lower[0], &lower[1]), 0);
    ends_begin(&e, 0, lower[0], &(tern_secure_op){0});
    ends_begin(&e, 1, lower[1], &(tern_secure_op){.expected = e.net[1].self});
    ends_run(&e, TERN_SEC);
    assert_int_equal(e.error[1].code, TERN_E_PEER_ID);
    assert_int_equal(e.net[1].counters.tls_wrong_peer, 1);
    assert_int_equal(e.error[0].code, 0);
    assert_int_equal(e.ear[0].closed, 1);
    assert_int_equal(e.ear[0].why.code, TERN_E_RESET);
    assert_int_equal(e.ear[0].why.wire, SSL_AD_BAD_CERTIFICATE);
    assert_int_equal(e.net[0].counters.tls_refused, 1);
    ends_clear(&e);
}

static void public_key_cannot_secure(void **state)
{
    (void)state;
    ends e;
    size_t n;
    tern_key *public;
    ends_make(&e);
    const uint8_t *bytes = tern_key_public(e.net[1].key, &n);
    assert_int_equal(tern_key_from_public(bytes, n, &public), 0);
    tern_key_unref(e.net[1].key);
    e.net[1].key = public;
    ends_over_memory(&e, &(tern_secure_op){0});
    assert_int_equal(e.error[1].code, TERN_E_STATE);
    assert_int_equal(e.error[0].code, TERN_E_RESET);
    ends_clear(&e);
}

/* ---- hostile handshakes ---- */

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                     const unsigned char *in, unsigned in_n, void *unused)
{
    (void)ssl;
    (void)in;
    (void)in_n;
    (void)unused;
    *out = (const unsigned char *)"h2";
    *out_n = 2;
    return SSL_TLSEXT_ERR_OK;
}

typedef enum trick {
    TRICK_TWO_CERTIFICATES,
    TRICK_NO_CERTIFICATE,
    TRICK_TLS12,
    TRICK_OTHER_ALPN,
} trick;

static void play(tls_peer *p, trick which)
{
    switch (which) {
    case TRICK_TWO_CERTIFICATES:
        assert_int_equal(SSL_CTX_add1_chain_cert(p->ctx, p->cert->x509), 1);
        break;
    case TRICK_NO_CERTIFICATE:
        SSL_CTX_free(p->ctx);
        p->ctx = SSL_CTX_new(TLS_method());
        break;
    case TRICK_TLS12:
        SSL_CTX_set_max_proto_version(p->ctx, TLS1_2_VERSION);
        break;
    default:
        assert_int_equal(SSL_CTX_set_alpn_protos(p->ctx, (const uint8_t *)"\x02h2", 3), 0);
        SSL_CTX_set_alpn_select_cb(p->ctx, choose_h2, NULL);
    }
}

static void hostile_handshakes(void **state)
{
    (void)state;
    static const struct {
        trick trick;
        bool we_initiate;
        int code;
        size_t counter;
    } cases[] = {
        {TRICK_TWO_CERTIFICATES, false, TERN_E_PROTOCOL, COUNTER(tls_bad_certificate)},
        {TRICK_TWO_CERTIFICATES, true, TERN_E_PROTOCOL, COUNTER(tls_bad_certificate)},
        {TRICK_NO_CERTIFICATE, false, TERN_E_PROTOCOL, COUNTER(tls_malformed)},
        {TRICK_NO_CERTIFICATE, true, TERN_E_RESET, COUNTER(tls_refused)}, /* it gives up itself */
        {TRICK_TLS12, false, TERN_E_UNSUPPORTED, COUNTER(tls_nothing_common)},
        {TRICK_TLS12, true, TERN_E_RESET, COUNTER(tls_refused)},
        {TRICK_OTHER_ALPN, false, TERN_E_NEGOTIATION, COUNTER(tls_nothing_common)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tls_peer p;
        tls_peer_make(&p, cases[i].we_initiate);
        play(&p, cases[i].trick);
        tls_peer_start(&p);
        assert_int_equal(p.done, 1);
        if (p.error.code != cases[i].code) {
            fail_msg("case %zu: %d %s", i, p.error.code, p.error.text);
        }
        assert_int_equal(tls_peer_count(&p, cases[i].counter), 1);
        assert_null(p.op.lower);
        tls_peer_clear(&p);
    }
}

/* A server that answers with a protocol that nobody offered gets no muxer out of it. */
static void an_answer_nobody_asked_for(void **state)
{
    (void)state;
    static const char *const muxers[] = {"/yamux/1.0.0", NULL};
    tls_peer p;
    tls_peer_make(&p, true);
    p.op.muxers = muxers;
    play(&p, TRICK_OTHER_ALPN);
    tls_peer_start(&p);
    assert_int_equal(p.done, 1);
    assert_true(p.error.code != 0 || p.op.muxer == NULL);
    tls_peer_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_megabytes_over_memory),
        cmocka_unit_test(ten_megabytes_over_tcp),
        cmocka_unit_test(certificate_serves_the_net),
        cmocka_unit_test(clocks_apart),
        cmocka_unit_test(refusal_reaches_the_initiator),
        cmocka_unit_test(public_key_cannot_secure),
        cmocka_unit_test(hostile_handshakes),
        cmocka_unit_test(an_answer_nobody_asked_for),
    };
    return TERN_TEST_MAIN(tests);
}
