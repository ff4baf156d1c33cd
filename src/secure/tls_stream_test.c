/* The encrypted stream of TLS against a peer made of OpenSSL: ends and cuts, records that lie, key
 * updates, how records are filled, failing memory. What every stream must do is tried by
 * tests/suite/streams.c. */
#include "secure/tls_peer_test.h"

#include "secure/tls_stream.h"

/* Without close_notify the end between two records is an end, within one it is a cut. */
static void cut_at_each_byte(void **state)
{
    (void)state;
    const size_t whole = 10 + TERN_TLS_OVERHEAD;
    for (size_t at = 0; at <= 2 * whole; at++) {
        tls_peer p;
        char *bytes;
        tls_peer_connect(&p, at % 2);
        tls_peer_seal(&p, "0123456789", 10, &bytes);
        assert_int_equal(tls_peer_seal(&p, "0123456789", 10, &bytes), 2 * whole);
        tls_peer_send_raw(&p, bytes, at);
        EAR(&p.port, tern_stream_end(p.port.s));
        tls_peer_run(&p);
        bool border = at % whole == 0;
        if (border) {
            assert_int_equal(tern_buf_len(&p.ear.got), at / whole * 10);
            assert_true(p.ear.ended);
            assert_int_equal(p.ear.closed, 0);
        } else {
            assert_int_equal(p.ear.closed, 1);
            assert_int_equal(p.ear.why.code, TERN_E_EOF);
        }
        assert_int_equal(p.net.counters.tls_truncated, !border);
        tls_peer_clear(&p);
    }
}

static void close_notify_is_the_end(void **state)
{
    (void)state;
    tls_peer p;
    char *bytes;
    tls_peer_connect(&p, false);
    size_t n = tls_peer_seal(&p, "last", 4, &bytes);
    assert_int_equal(SSL_shutdown(p.ssl), 0);
    n = (size_t)BIO_get_mem_data(p.out, &bytes);
    tls_peer_send_raw(&p, bytes, n);
    tls_peer_send_raw(&p, "what comes behind it is nothing", 31);
    tls_peer_run(&p);
    assert_int_equal(tern_buf_len(&p.ear.got), 4);
    assert_true(p.ear.ended);
    assert_int_equal(p.ear.closed, 0);
    /* Our half goes on, and ends with a close_notify of its own. */
    assert_int_equal(ear_write(&p.ear, "answer", 6), 6);
    EAR(&p.ear, tern_stream_end(p.ear.s));
    (void)BIO_reset(p.out);
    tls_peer_turn(&p);
    char text[16];
    assert_int_equal(SSL_read(p.ssl, text, sizeof text), 6);
    assert_int_equal(SSL_read(p.ssl, text, sizeof text), 0);
    assert_int_equal(SSL_get_shutdown(p.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    assert_true(p.port.ended);
    EAR(&p.port, tern_stream_end(p.port.s));
    tls_peer_run(&p);
    assert_int_equal(p.ear.closed, 1);
    assert_int_equal(p.ear.why.code, 0);
    tls_peer_clear(&p);
}

static void records_that_lie(void **state)
{
    (void)state;
    static const struct {
        const char *bytes; /* instead of a record; NULL: one with a bit changed */
        size_t n;
        int code;
        size_t counter;
    } cases[] = {
        {NULL, 0, TERN_E_CRYPTO, COUNTER(tls_decrypt)},
        {"\x17\x03\x03\x41\x01", 5, TERN_E_TOO_LARGE, COUNTER(tls_malformed)},
        {"\x17\x03\x03\xff\xff", 5, TERN_E_TOO_LARGE, COUNTER(tls_malformed)},
        {"\x16\x03\x03\x00\x05hello", 10, TERN_E_MALFORMED, COUNTER(tls_malformed)},
        {"\x17\x03\x03\x00\x01x", 6, TERN_E_CRYPTO, COUNTER(tls_decrypt)},
        {"\x17\x03\x03\x00\x00", 5, TERN_E_CRYPTO, COUNTER(tls_decrypt)},
        {"\xff\xff\xff\x00\x00", 5, TERN_E_MALFORMED, COUNTER(tls_malformed)},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        tls_peer p;
        tls_peer_connect(&p, i % 2);
        const char *bytes = cases[i / 2].bytes;
        size_t n = cases[i / 2].n;
        if (bytes == NULL) {
            char *record;
            n = tls_peer_seal(&p, "12345678", 8, &record);
            record[9] ^= 1;
            bytes = record;
        }
        for (size_t at = 0; at < n && p.port.s != NULL; at++) {
            tls_peer_send_raw(&p, bytes + at, 1);
            tls_peer_run(&p);
        }
        assert_int_equal(p.ear.closed, 1);
        if (p.ear.why.code != cases[i / 2].code) {
            fail_msg("case %zu: %d %s", i, p.ear.why.code, p.ear.why.text);
        }
        assert_int_equal(tls_peer_count(&p, cases[i / 2].counter), 1);
        tls_peer_clear(&p);
    }
}

static void update_key(tls_peer *p)
{
    assert_int_equal(SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(p->ssl), 1);
}

/* Under each suite, for OpenSSL derives its keys by itself. */
static void keys_may_change(void **state)
{
    (void)state;
    static const char *const suites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                         "TLS_CHACHA20_POLY1305_SHA256"};
    for (size_t k = 0; k < 2 * sizeof suites / sizeof *suites; k++) {
        tls_peer p;
        char text[16];
        tls_peer_make(&p, k % 2);
        assert_int_equal(SSL_CTX_set_ciphersuites(p.ctx, suites[k / 2]), 1);
        tls_peer_start(&p);
        assert_true(SSL_is_init_finished(p.ssl));
        assert_string_equal(SSL_get_cipher_name(p.ssl), suites[k / 2]);
        for (int i = 0; i < 5; i++) {
            update_key(&p);
            assert_int_equal(SSL_write(p.ssl, "hello", 5), 5);
            tls_peer_turn(&p);
            assert_int_equal(tern_buf_len(&p.ear.got), 5 * ((size_t)i + 1));
            assert_int_equal(ear_write(&p.ear, "yes", 3), 3);
            tls_peer_turn(&p);
            assert_int_equal(SSL_read(p.ssl, text, sizeof text), 3);
        }
        tls_peer_clear(&p);
    }
}

/* Key updates without end, whose answers nobody reads or everybody does. */
static void a_flood_of_key_updates(void **state)
{
    (void)state;
    for (int reads = 0; reads < 2; reads++) {
        tls_peer p;
        tls_peer_connect(&p, false);
        p.port.take = reads ? SIZE_MAX : 0;
        int sent = 0;
        while (p.ear.closed == 0 && sent < 10000) {
            char *bytes;
            update_key(&p);
            long n = BIO_get_mem_data(p.out, &bytes);
            tls_peer_send_raw(&p, bytes, (size_t)n);
            (void)BIO_reset(p.out);
            tls_peer_run(&p);
            sent++;
        }
        assert_int_equal(p.ear.closed, 1);
        assert_int_equal(p.ear.why.code, TERN_E_PROTOCOL);
        assert_int_equal(sent, TERN_TLS_QUIET_MAX + 1);
        assert_int_equal(p.net.counters.tls_malformed, 1);
        tls_peer_clear(&p);
    }
}

/* Small writes of one turn share a record; large ones fill records. */
static void records_are_full(void **state)
{
    (void)state;
    static uint8_t large[TERN_TLS_PLAIN_MAX * 3];
    tls_peer p;
    tls_peer_connect(&p, false);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ear_write(&p.ear, "0123456789", 10), 10);
    }
    tls_peer_run(&p);
    assert_int_equal(tern_buf_len(&p.port.got), 1000 + TERN_TLS_OVERHEAD);
    tls_peer_turn(&p);
    assert_int_equal(ear_write(&p.ear, "head", 4), 4);
    assert_int_equal(ear_write(&p.ear, large, sizeof large), sizeof large);
    tls_peer_run(&p);
    assert_int_equal(tern_buf_len(&p.port.got), 4 + sizeof large + 4 * TERN_TLS_OVERHEAD);
    tls_peer_clear(&p);
}

/* ---- memory ---- */

/* An owner that needs no memory itself. */
typedef struct counter {
    tern_stream *s; /* NULL once closed */
    size_t got;
} counter;

static size_t count_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    counter *c = owner;
    (void)s;
    (void)data;
    c->got += n;
    return n;
}

static void count_closed(void *owner, tern_stream *s, const tern_error *why)
{
    counter *c = owner;
    (void)s;
    assert_int_not_equal(why->code, 0);
    c->s = NULL;
}

static const tern_stream_events counting = {.on_data = count_data, .on_closed = count_closed};

static void count_on(counter *c, ear *e)
{
    *c = (counter){.s = e->s};
    e->s = NULL;
    tern_stream_take(c->s, &counting, c);
}

static void write_if_open(const counter *c, const void *p, size_t n)
{
    if (c->s != NULL) {
        tern_stream_write(c->s, p, n);
    }
}

static void let_go(counter *c)
{
    if (c->s != NULL) {
        tern_stream_drop(c->s);
    }
}

/* Each allocation fails in turn while bytes flow: the stream ends, or all is well. */
static void short_of_memory(void **state)
{
    (void)state;
    static uint8_t data[40000];
    bool whole = false;
    for (size_t at = 1; !whole; at++) {
        tls_peer p;
        counter ours, port;
        char *bytes;
        tls_peer_connect(&p, true);
        count_on(&ours, &p.ear);
        count_on(&port, &p.port);
        size_t n = tls_peer_seal(&p, data, sizeof data, &bytes);
        tern_mem_fail_at(at, 0);
        write_if_open(&port, bytes, 3);
        tls_peer_run(&p);
        write_if_open(&port, bytes + 3, n - 3);
        write_if_open(&ours, data, 100);
        write_if_open(&ours, data, sizeof data);
        tls_peer_run(&p);
        whole = tern_mem_count() < at;
        tern_mem_fail_at(0, 0);
        if (whole) {
            assert_int_equal(ours.got, sizeof data);
            assert_true(port.got > sizeof data + 100);
        }
        let_go(&ours);
        let_go(&port);
        tls_peer_clear(&p);
        assert_true(at < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_at_each_byte),       cmocka_unit_test(close_notify_is_the_end),
        cmocka_unit_test(records_that_lie),       cmocka_unit_test(keys_may_change),
        cmocka_unit_test(a_flood_of_key_updates), cmocka_unit_test(records_are_full),
        cmocka_unit_test(short_of_memory),
    };
    return TERN_TEST_MAIN(tests);
}
