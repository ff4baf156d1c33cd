/* The transport "wss" in the simulated world: what the shared port does with TLS that goes wrong, a
 * row and a counter each, and which certificates a dial takes. (Its conduct as a transport is the
 * transport suite's to test.) */
#include <stdio.h>

#include "base/test.h"
#include "loop/sim.h"
#include "secure/tls_handshake.h"
#include "streams/tcp.h"
#include "suite/ear.h"
#include "suite/web_cert.h"
#include "transport/web_tls.h"
#include "transport/ws.h"

enum { PORT = 4001 };

/* Host 0 is the client, host 1 listens. */
typedef struct world {
    tern_sim *sim;
    tern_net net[2];
    tern_listener *listener;
    tern_tcp_dial_op raw_dial;
    tern_tls_handshake tls; /* the raw client's */
    tern_error tls_error;
    unsigned shaken, accepts, done;
    tern_dial_op dial;
    tern_multiaddr *target;
    tern_error error;
    ear raw, ws, other;
    const char *says; /* a server that is none: what, and how it goes on */
    size_t says_len;
    bool hangs_up;
} world;

static void run_for(world *w, uint64_t time)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + time, NULL, NULL);
}

static void make(world *w)
{
    const tern_sim_link link = {.delay = 10 * TERN_MS};
    memset(w, 0, sizeof *w);
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    tern_sim_set_default_link(w->sim, &link);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->net[0].loop), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.2", &w->net[1].loop), 0);
    for (int i = 0; i < 2; i++) {
        tern_net_init(&w->net[i]);
    }
    ear_init(&w->raw);
    ear_init(&w->ws);
    ear_init(&w->other);
}

static void clear(world *w)
{
    tern_op_cancel(&w->dial.op);
    tern_multiaddr_unref(w->dial.local);
    tern_multiaddr_unref(w->target);
    if (w->tls.engine != NULL) {
        tern_tls_handshake_cancel(&w->tls);
    }
    ear_clear(&w->raw);
    ear_clear(&w->ws);
    ear_clear(&w->other);
    if (w->listener != NULL) {
        tern_listener_close(w->listener);
    }
    run_for(w, 60 * TERN_SEC);
    tern_web_free(&w->net[0]);
    tern_web_free(&w->net[1]);
    tern_sim_free(w->sim);
}

static void on_stream(void *owner, tern_listener *l, tern_stream *s, tern_multiaddr *local,
                      tern_multiaddr *remote, uint64_t deadline)
{
    world *w = owner;
    assert_true(deadline <= tern_sim_now(w->sim) + 10 * TERN_SEC);
    (void)l;
    (void)remote;
    assert_string_equal(tern_multiaddr_text(local), "/ip4/10.0.0.2/tcp/4001/tls/ws");
    w->accepts++;
    ear_take(&w->other, s);
}

static const tern_listener_events listener_events = {.on_stream = on_stream};

static int listen_at(world *w, const tern_transport *t, const char *text)
{
    tern_multiaddr *addr = tern_multiaddr_parse(text, NULL);
    tern_error error = {0};
    int code = t->listen(&w->net[1], addr, &listener_events, w, &w->listener, &error);
    tern_multiaddr_unref(addr);
    w->error = error;
    return code;
}

static void on_raw_dialled(tern_op *op, const tern_error *error)
{
    world *w = TERN_CONTAINER(op, world, raw_dial.op);
    assert_int_equal(error->code, 0);
    if (w->tls.done == NULL) {
        ear_take(&w->raw, w->raw_dial.stream);
    }
}

static void dial_raw(world *w)
{
    tern_endpoint at;
    assert_int_equal(tern_endpoint_parse_ip(&at, "10.0.0.2"), 0);
    at.port = PORT;
    w->raw_dial = (tern_tcp_dial_op){.to = at, .write_queue = 1 << 20, .stall = 60 * TERN_SEC};
    tern_op_init(&w->raw_dial.op, w->net[0].loop, TERN_NEVER, on_raw_dialled);
    assert_int_equal(tern_tcp_stream_dial(&w->raw_dial, NULL), 0);
    run_for(w, 30 * TERN_MS);
}

/* ---- a listener ---- */

static void wants_a_certificate(void **state)
{
    world w;
    (void)state;
    make(&w);
    assert_int_equal(listen_at(&w, &tern_wss_transport, "/ip4/10.0.0.2/tcp/4001/tls/ws"),
                     TERN_E_INVALID);
    assert_non_null(strstr(w.error.text, "--tls-cert"));
    clear(&w);
}

/* A ClientHello of version 3.`minor` that offers TLS_RSA_WITH_AES_128_CBC_SHA and no extensions. */
#define HELLO(minor)                                                                               \
    "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03" minor "01234567890123456789012345678901"            \
    "\x00\x00\x02\x00\x2f\x01\x00"

/* What comes in place of a handshake. */
static void broken_handshakes(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        bool end;
        uint64_t time;  /* until it is over */
        size_t counter; /* offset in tern_counters */
    } rows[] = {
        {"\x16\x03\x01\x00\x05GET /", 10, false, TERN_SEC, offsetof(tern_counters, tls_malformed)},
        {"\x16\x03\x01\xff\xff\x01", 6, false, TERN_SEC, offsetof(tern_counters, tls_malformed)},
        {"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9, false, TERN_SEC,
         offsetof(tern_counters, tls_malformed)},
        {"\x16\x03\x03\x00\x04\x14\x00\x00\x00", 9, false, TERN_SEC,
         offsetof(tern_counters, tls_malformed)},
        {"\x16\x03\x01\x02\x00\x01", 6, true, TERN_SEC, offsetof(tern_counters, tls_truncated)},
        {"\x16\x03\x01\x02\x00\x01", 6, false, 11 * TERN_SEC, offsetof(tern_counters, tls_timeout)},
        {"\x16\x03", 2, false, 11 * TERN_SEC, offsetof(tern_counters, tls_timeout)},
        /* TLS 1.1, and TLS 1.2 with a cipher without forward secrecy alone */
        {HELLO("\x02"), sizeof HELLO("\x02") - 1, false, TERN_SEC,
         offsetof(tern_counters, tls_nothing_common)},
        {HELLO("\x03"), sizeof HELLO("\x03") - 1, false, TERN_SEC,
         offsetof(tern_counters, tls_nothing_common)},
        {"\x15\x03\x01\x00\x02\x02\x28", 7, false, TERN_SEC,
         offsetof(tern_counters, first_bytes_unknown)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t piece = 1; piece < 100; piece += 60) {
            world w;
            make(&w);
            web_cert_use(&w.net[1], true);
            assert_int_equal(listen_at(&w, &tern_wss_transport, "/ip4/10.0.0.2/tcp/4001/tls/ws"),
                             0);
            dial_raw(&w);
            for (size_t at = 0; at < rows[i].n && w.raw.s != NULL; at += piece) {
                size_t k = piece < rows[i].n - at ? piece : rows[i].n - at;
                ear_write(&w.raw, rows[i].bytes + at, k);
                run_for(&w, 30 * TERN_MS);
            }
            if (rows[i].end) {
                tern_stream_end(w.raw.s);
            }
            run_for(&w, rows[i].time);
            const char *base = (const char *)&w.net[1].counters;
            uint64_t count;
            memcpy(&count, base + rows[i].counter, sizeof count);
            assert_int_equal(count, 1);
            assert_int_equal(w.accepts, 0);
            assert_true(w.raw.closed == 1 || w.raw.ended);
            clear(&w);
        }
    }
}

/* Without a certificate TLS is no protocol of the port. */
static void no_certificate(void **state)
{
    world w;
    (void)state;
    make(&w);
    assert_int_equal(listen_at(&w, &tern_ws_transport, "/ip4/10.0.0.2/tcp/4001/ws"), 0);
    dial_raw(&w);
    ear_write(&w.raw, "\x16\x03\x01\x02\x00\x01", 6);
    run_for(&w, TERN_SEC);
    assert_int_equal(w.net[1].counters.first_bytes_unknown, 1);
    assert_int_equal(w.raw.closed, 1);
    clear(&w);
}

/* ---- a client that gets through TLS, then misbehaves ---- */

static void on_shaken(tern_tls_handshake *h, const tern_error *error)
{
    world *w = h->owner;
    w->shaken++;
    if (error != NULL) {
        w->tls_error = *error;
    } else {
        ear_take(&w->raw, h->stream);
    }
}

static void shake(world *w, const char *const *alpn)
{
    const tern_tls_web_options options = {.alpn = alpn, .server_name = "localhost"};
    tern_tls_engine *engine;
    make(w);
    web_cert_use(&w->net[1], true);
    web_cert_use(&w->net[0], false);
    assert_int_equal(listen_at(w, &tern_wss_transport, "/ip4/10.0.0.2/tcp/4001/tls/ws"), 0);
    w->tls.done = on_shaken;
    dial_raw(w);
    w->tls.owner = w;
    w->tls.counters = &w->net[0].counters;
    w->tls.lower = w->raw_dial.stream;
    assert_int_equal(tern_tls_web_new(tern_web_client(&w->net[0]), &options, &engine), 0);
    assert_int_equal(tern_tls_handshake_start(&w->tls, engine), 0);
    tern_tls_handshake_attach(&w->tls);
    run_for(w, TERN_SEC);
    assert_int_equal(w->shaken, 1);
}

static void protocols_of_the_application(void **state)
{
    static const char *const h2[] = {"h2", NULL}, *const both[] = {"h2", "http/1.1", NULL};
    world w;
    (void)state;
    shake(&w, h2); /* nothing in common: an alert */
    assert_int_equal(w.tls_error.code, TERN_E_RESET);
    assert_int_equal(w.tls_error.wire, 120); /* no_application_protocol */
    assert_int_equal(w.net[1].counters.tls_nothing_common, 1);
    clear(&w);
    shake(&w, both); /* as Firefox offers them: HTTP/1.1 it is */
    assert_non_null(w.raw.s);
    assert_string_equal(w.tls.alpn, "http/1.1");
    clear(&w);
    shake(&w, NULL); /* a client that says nothing of it */
    assert_non_null(w.raw.s);
    assert_null(w.tls.alpn);
    clear(&w);
}

static void requests_inside(void **state)
{
    static char large[40000];
    memset(large, 'x', sizeof large - 1);
    const struct {
        const char *request, *answer;
        uint64_t time;
        size_t counter;
    } rows[] = {
        {"\r\nnonsense\r\n\r\n", "HTTP/1.1 400 ", TERN_SEC,
         offsetof(tern_counters, http_malformed)},
        {large, "HTTP/1.1 431 ", TERN_SEC, offsetof(tern_counters, http_too_large)},
        {"GET / HTTP/1.1\r\n", NULL, 11 * TERN_SEC, offsetof(tern_counters, http_timeout)},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 ", TERN_SEC,
         offsetof(tern_counters, http_requests)},
        {"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 400 ", TERN_SEC,
         offsetof(tern_counters, ws_bad_handshake)},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world w;
        uint64_t count;
        shake(&w, NULL);
        assert_non_null(w.raw.s);
        ear_write(&w.raw, rows[i].request, strlen(rows[i].request));
        run_for(&w, rows[i].time);
        memcpy(&count, (const char *)&w.net[1].counters + rows[i].counter, sizeof count);
        assert_int_equal(count, 1);
        if (rows[i].answer != NULL) {
            assert_true(tern_buf_len(&w.raw.got) > 13);
            assert_memory_equal(tern_buf_data(&w.raw.got), rows[i].answer, 13);
        }
        assert_int_equal(w.accepts, 0);
        clear(&w);
    }
}

/* ---- a dial ---- */

static void on_done(tern_op *op, const tern_error *error)
{
    world *w = TERN_CONTAINER(op, world, dial.op);
    w->done++;
    w->error = *error;
    if (error->code == 0) {
        ear_take(&w->ws, w->dial.stream);
    }
}

static void dial_with(world *w, const web_cert *cert, const web_cert *trusted, const char *addr,
                      const char *host)
{
    make(w);
    tern_span chain = {(const uint8_t *)cert->chain, strlen(cert->chain)};
    tern_span key = {(const uint8_t *)cert->key, strlen(cert->key)};
    tern_span ca = {(const uint8_t *)trusted->chain, strlen(trusted->chain)};
    assert_int_equal(tern_web_set_certificate(&w->net[1], chain, key), 0);
    assert_int_equal(tern_web_set_authorities(&w->net[0], ca), 0);
    assert_int_equal(listen_at(w, &tern_wss_transport, "/ip4/10.0.0.2/tcp/4001/tls/ws"), 0);
    w->target = tern_multiaddr_parse(addr, NULL);
    assert_non_null(w->target);
    assert_true(tern_wss_transport.dials(w->target));
    w->dial = (tern_dial_op){.net = &w->net[0], .addr = w->target, .host = host};
    tern_op_init(&w->dial.op, w->net[0].loop, tern_loop_now(w->net[0].loop) + 60 * TERN_SEC,
                 on_done);
    assert_int_equal(tern_wss_transport.dial(&w->dial, &w->error), 0);
    run_for(w, TERN_SEC);
    assert_int_equal(w->done, 1);
}

static void certificates(void **state)
{
    web_cert good, other, old, early, nameless;
    (void)state;
    web_cert_make(&good, "DNS:good.example,DNS:*.wild.example,IP:10.0.0.2", 0, 0);
    web_cert_make(&other, "DNS:good.example", 0, 0);
    web_cert_make(&old, "DNS:good.example", -7200, -3600);
    web_cert_make(&early, "DNS:good.example", 3600, 7200);
    web_cert_make(&nameless, "DNS:good.example", 0, 0);
    const struct {
        const web_cert *shown, *trusted;
        const char *addr, *host;
        int code;
        const char *text;
    } rows[] = {
        {&good, &good, "/ip4/10.0.0.2/tcp/4001/tls/ws", "good.example", 0, ""},
        {&good, &good, "/ip4/10.0.0.2/tcp/4001/wss", "good.example", 0, ""},
        {&good, &good, "/ip4/10.0.0.2/tcp/4001/tls/sni/good.example/ws", NULL, 0, ""},
        {&good, &good, "/ip4/10.0.0.2/tcp/4001/tls/sni/good.example/ws", "bad.example", 0, ""},
        {&good, &good, "/ip4/10.0.0.2/tcp/4001/tls/sni/a.wild.example/ws", NULL, 0, ""},
        {&good, &good, "/ip4/10.0.0.2/tcp/4001/tls/ws", NULL, 0, ""},
        {&good, &good, "/ip4/10.0.0.2/tcp/4001/tls/ws", "bad.example", TERN_E_SIGNATURE,
         "another name"},
        {&nameless, &nameless, "/ip4/10.0.0.2/tcp/4001/tls/ws", NULL, TERN_E_SIGNATURE,
         "IP address"},
        {&good, &other, "/ip4/10.0.0.2/tcp/4001/tls/ws", "good.example", TERN_E_SIGNATURE,
         "--tls-ca"},
        {&old, &old, "/ip4/10.0.0.2/tcp/4001/tls/ws", "good.example", TERN_E_SIGNATURE, "expired"},
        {&early, &early, "/ip4/10.0.0.2/tcp/4001/tls/ws", "good.example", TERN_E_SIGNATURE,
         "not valid yet"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world w;
        dial_with(&w, rows[i].shown, rows[i].trusted, rows[i].addr, rows[i].host);
        if (w.error.code != rows[i].code || strstr(w.error.text, rows[i].text) == NULL) {
            fail_msg("row %zu: %d %s", i, w.error.code, w.error.text);
        }
        assert_int_equal(w.accepts, rows[i].code == 0);
        if (rows[i].code != 0) {
            assert_int_equal(w.net[0].counters.tls_untrusted, 1);
            assert_int_equal(w.net[1].counters.tls_refused, 1); /* the alert has come */
            assert_string_equal(w.error.layer, "wss");
        }
        clear(&w);
    }
    web_cert *all[] = {&good, &other, &old, &early, &nameless};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        web_cert_clear(all[i]);
    }
}

static void dial_bare(world *w, uint64_t time)
{
    w->target = tern_multiaddr_parse("/ip4/10.0.0.2/tcp/4001/tls/ws", NULL);
    w->dial = (tern_dial_op){.net = &w->net[0], .addr = w->target};
    tern_op_init(&w->dial.op, w->net[0].loop, TERN_NEVER, on_done);
    assert_int_equal(tern_wss_transport.dial(&w->dial, &w->error), 0);
    run_for(w, time);
    assert_int_equal(w->done, 1);
    assert_string_equal(w->error.layer, "wss");
}

static void on_accept(void *owner, tern_tcp *t)
{
    world *w = owner;
    ear_take(&w->other, tern_tcp_stream_new(w->net[1].loop, t, 1 << 16, TERN_SEC, NULL));
    if (w->says != NULL) {
        ear_write(&w->other, w->says, w->says_len);
    }
    if (w->hangs_up) {
        EAR(&w->other, tern_stream_end(w->other.s));
    }
}

/* Servers that speak something else, refuse, stop in the middle, hang up, or say nothing. */
static void servers_that_are_none(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        bool end;
        int code;
        size_t counter;
    } rows[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", 28, true, TERN_E_MALFORMED,
         offsetof(tern_counters, tls_malformed)},
        {"\x15\x03\x03\x00\x02\x02\x28", 7, true, TERN_E_RESET,
         offsetof(tern_counters, tls_refused)},
        {"\x16\x03\x03\x00\x7a\x02", 6, true, TERN_E_EOF, offsetof(tern_counters, tls_truncated)},
        {NULL, 0, true, TERN_E_EOF, offsetof(tern_counters, tls_truncated)},
        {NULL, 0, false, TERN_E_TIMEOUT, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world w;
        tern_endpoint at;
        tern_tcp_listener *l;
        make(&w);
        web_cert_use(&w.net[0], false);
        assert_int_equal(tern_endpoint_parse_ip(&at, "10.0.0.2"), 0);
        at.port = PORT;
        w.says = rows[i].bytes;
        w.says_len = rows[i].n;
        w.hangs_up = rows[i].end;
        assert_int_equal(tern_tcp_listen(w.net[1].loop, &at, on_accept, &w, &l), 0);
        dial_bare(&w, rows[i].code == TERN_E_TIMEOUT ? 11 * TERN_SEC : TERN_SEC);
        if (w.error.code != rows[i].code) {
            fail_msg("row %zu: %d %s", i, w.error.code, w.error.text);
        }
        if (rows[i].counter != 0) {
            uint64_t count;
            memcpy(&count, (const char *)&w.net[0].counters + rows[i].counter, sizeof count);
            assert_int_equal(count, 1);
        }
        tern_tcp_listener_close(l);
        clear(&w);
    }
}

/* The port of a node without a certificate. */
static void a_port_without_tls(void **state)
{
    world w;
    (void)state;
    make(&w);
    web_cert_use(&w.net[0], false);
    assert_int_equal(listen_at(&w, &tern_ws_transport, "/ip4/10.0.0.2/tcp/4001/ws"), 0);
    dial_bare(&w, TERN_SEC);
    assert_int_equal(w.error.code, TERN_E_RESET);
    clear(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wants_a_certificate),   cmocka_unit_test(broken_handshakes),
        cmocka_unit_test(no_certificate),        cmocka_unit_test(protocols_of_the_application),
        cmocka_unit_test(requests_inside),       cmocka_unit_test(certificates),
        cmocka_unit_test(servers_that_are_none), cmocka_unit_test(a_port_without_tls),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + (tern_mem_alive() == 0 ? 0 : tern_test_leak());
}
