/* What may come after a handshake of TLS 1.3, cut into records in every way, and what may not: each
 * fault with its error and its alert. */
#include "crypto/tls_traffic.h"

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/test.h"

/* A traffic under test, and the bare records of its peer. */
typedef struct bench {
    tern_tls_traffic *t;
    tern_tls_records *peer;
    tern_buf out; /* what t sent */
    tern_tls_output output;
} bench;

static uint8_t *place(void *owner, size_t n)
{
    return tern_buf_reserve(owner, n);
}

static bool keep(void *owner, size_t n)
{
    tern_buf_commit(owner, n);
    return true;
}

static void bench_make(bench *b, bool server, uint64_t wear)
{
    tern_tls_secrets ours = {.suite = TERN_TLS_AES_128_GCM_SHA256, .send = {1}, .recv = {2}};
    tern_tls_secrets theirs = {.suite = TERN_TLS_AES_128_GCM_SHA256, .send = {2}, .recv = {1}};
    ours.wear = wear;
    tern_buf_init(&b->out, 0);
    b->output = (tern_tls_output){place, keep, &b->out};
    b->t = tern_tls_traffic_new(&ours, server);
    b->peer = tern_tls_records_new(&theirs);
    assert_non_null(b->t);
    assert_non_null(b->peer);
}

static void bench_clear(bench *b)
{
    tern_tls_traffic_free(b->t);
    tern_tls_records_free(b->peer);
    tern_buf_free(&b->out);
}

/* The peer sends a record with that content. */
static ssize_t give(bench *b, uint8_t content, const uint8_t *p, size_t n, tern_error *error)
{
    static uint8_t record[TERN_TLS_PLAIN_MAX + TERN_TLS_OVERHEAD];
    uint8_t *plain;
    assert_int_equal(tern_tls_seal(b->peer, content, &(tern_span){p, n}, 1, n, record), 0);
    return tern_tls_traffic_read(b->t, &b->output, record, n + TERN_TLS_OVERHEAD, &plain, error);
}

/* The next record that t sent, opened by the peer. */
static tern_span take(bench *b, uint8_t *ret_content)
{
    tern_span plain;
    uint8_t *record = tern_buf_data(&b->out);
    assert_true(tern_buf_len(&b->out) >= TERN_TLS_HEADER);
    size_t n = TERN_TLS_HEADER + (size_t)tern_get16(record + 3);
    assert_int_equal(tern_tls_open(b->peer, record, n, ret_content, &plain), 0);
    return plain; /* valid until the buffer changes */
}

static void took(bench *b, size_t plain)
{
    tern_buf_consume(&b->out, plain + TERN_TLS_OVERHEAD);
}

static void write_text(bench *b, const char *text)
{
    tern_span v = {(const uint8_t *)text, strlen(text)};
    assert_int_equal(tern_tls_traffic_write(b->t, &b->output, &v, 1, v.len), 0);
}

static void expect_data(bench *b, const char *text)
{
    uint8_t content;
    tern_span plain = take(b, &content);
    assert_int_equal(content, TERN_TLS_DATA);
    assert_int_equal(plain.len, strlen(text));
    assert_memory_equal(plain.data, text, plain.len);
    took(b, plain.len);
}

/* Two tickets and a key update, cut into records of every size; the update alone ends its record.
 */
static void tickets_in_pieces(void **state)
{
    (void)state;
    enum { TICKET = 4 + 300, ALL = 2 * TICKET };
    uint8_t tickets[ALL] = {4, 0, 300 >> 8, 300 & 255};
    memcpy(tickets + TICKET, tickets, TICKET);
    for (size_t step = 1; step <= ALL; step++) {
        bench b;
        tern_error error;
        bench_make(&b, false, 0);
        for (size_t at = 0; at < ALL; at += step) {
            size_t n = step < ALL - at ? step : ALL - at;
            assert_int_equal(give(&b, TERN_TLS_HANDSHAKE, tickets + at, n, &error), 0);
        }
        assert_int_equal(give(&b, TERN_TLS_DATA, tickets, 5, &error), 5);
        assert_int_equal(tern_buf_len(&b.out), 0);
        bench_clear(&b);
    }
}

static void key_updates(void **state)
{
    (void)state;
    static const uint8_t silent[] = {24, 0, 0, 1, 0}, asking[] = {24, 0, 0, 1, 1};
    for (int server = 0; server < 2; server++) {
        bench b;
        tern_error error;
        uint8_t content;
        bench_make(&b, server, 0);
        assert_int_equal(give(&b, TERN_TLS_HANDSHAKE, silent, 5, &error), 0);
        assert_int_equal(tern_tls_update_send(b.peer), 0);
        assert_int_equal(tern_buf_len(&b.out), 0);
        assert_int_equal(give(&b, TERN_TLS_HANDSHAKE, asking, 2, &error), 0); /* in two records */
        assert_int_equal(give(&b, TERN_TLS_HANDSHAKE, asking + 2, 3, &error), 0);
        assert_int_equal(tern_tls_update_send(b.peer), 0);
        assert_int_equal(give(&b, TERN_TLS_DATA, silent, 1, &error), 1);
        tern_span answer = take(&b, &content);
        assert_int_equal(content, TERN_TLS_HANDSHAKE);
        assert_int_equal(answer.len, sizeof silent);
        assert_memory_equal(answer.data, silent, sizeof silent);
        took(&b, answer.len);
        assert_int_equal(tern_tls_update_recv(b.peer), 0);
        write_text(&b, "hello");
        expect_data(&b, "hello");
        bench_clear(&b);
    }
}

/* A worn key is replaced before the next record. */
static void worn_keys(void **state)
{
    (void)state;
    bench b;
    uint8_t content;
    bench_make(&b, true, 2);
    for (int i = 0; i < 4; i++) {
        write_text(&b, "x");
        if (i == 2) {
            assert_int_equal(take(&b, &content).len, 5);
            assert_int_equal(content, TERN_TLS_HANDSHAKE);
            took(&b, 5);
            assert_int_equal(tern_tls_update_recv(b.peer), 0);
        }
        expect_data(&b, "x");
    }
    bench_clear(&b);
}

static void ends(void **state)
{
    (void)state;
    bench b;
    tern_error error;
    uint8_t content;
    bench_make(&b, false, 0);
    assert_int_equal(give(&b, TERN_TLS_ALERT, (const uint8_t *)"\x01\x5a", 2, &error), 0);
    assert_int_equal(give(&b, TERN_TLS_ALERT, (const uint8_t *)"\x01\x00", 2, &error), TERN_E_EOF);
    write_text(&b, "more"); /* the halves end by themselves */
    expect_data(&b, "more");
    assert_int_equal(tern_tls_traffic_close(b.t, &b.output), 0);
    tern_span plain = take(&b, &content);
    assert_int_equal(content, TERN_TLS_ALERT);
    assert_memory_equal(plain.data, "\x01\x00", 2);
    bench_clear(&b);
}

static void faults(void **state)
{
    (void)state;
    static const struct {
        uint8_t content;
        const char *bytes;
        size_t n;
        int code;
        int alert; /* ours; for TERN_E_RESET the peer's */
        bool server;
    } cases[] = {
        {TERN_TLS_ALERT, "\x02\x2a", 2, TERN_E_RESET, SSL_AD_BAD_CERTIFICATE, false},
        {TERN_TLS_ALERT, "\x01\x2a", 2, TERN_E_RESET, SSL_AD_BAD_CERTIFICATE, false},
        {TERN_TLS_ALERT, "\x02\xff", 2, TERN_E_RESET, 255, true},
        {TERN_TLS_ALERT, "\x02", 1, TERN_E_MALFORMED, SSL_AD_DECODE_ERROR, false},
        {TERN_TLS_ALERT, "\x01\x00\x00", 3, TERN_E_MALFORMED, SSL_AD_DECODE_ERROR, false},
        {TERN_TLS_ALERT, "", 0, TERN_E_MALFORMED, SSL_AD_DECODE_ERROR, false},
        {20, "\x01", 1, TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE, false},
        {99, "x", 1, TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE, false},
        {TERN_TLS_HANDSHAKE, "", 0, TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE, false},
        /* a ticket for a server; one beyond all lengths */
        {TERN_TLS_HANDSHAKE, "\x04\0\0\x09", 4, TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE, true},
        {TERN_TLS_HANDSHAKE, "\x04\xff\0\0", 4, TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE, false},
        /* ClientHello, CertificateRequest, Finished */
        {TERN_TLS_HANDSHAKE, "\x01\0\0\x09", 4, TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE, true},
        {TERN_TLS_HANDSHAKE, "\x0d\0\0\x09", 4, TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE, false},
        {TERN_TLS_HANDSHAKE, "\x14\0\0\x20", 4, TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE, false},
        /* key updates: too long, asking nonsense, with something behind them */
        {TERN_TLS_HANDSHAKE, "\x18\0\0\x02", 4, TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE, false},
        {TERN_TLS_HANDSHAKE, "\x18\0\0\0", 4, TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE, false},
        {TERN_TLS_HANDSHAKE, "\x18\0\0\x01\x02", 5, TERN_E_MALFORMED, SSL_AD_ILLEGAL_PARAMETER,
         false},
        {TERN_TLS_HANDSHAKE, "\x18\0\0\x01\0\x18", 6, TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE,
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bench b;
        tern_error error;
        uint8_t content;
        bench_make(&b, cases[i].server, 0);
        ssize_t r = give(&b, cases[i].content, (const uint8_t *)cases[i].bytes, cases[i].n, &error);
        if (r != cases[i].code || error.code != r) {
            fail_msg("case %zu: %zd %s", i, r, error.text);
        }
        if (r == TERN_E_RESET) {
            assert_int_equal(error.wire, cases[i].alert);
            assert_int_equal(tern_buf_len(&b.out), 0);
        } else {
            tern_span plain = take(&b, &content);
            assert_int_equal(content, TERN_TLS_ALERT);
            assert_int_equal(plain.data[0], 2);
            assert_int_equal(plain.data[1], cases[i].alert);
        }
        bench_clear(&b);
    }
}

/* Between the pieces of a handshake message nothing else may come (RFC 8446, section 5.1). */
static void interleaved(void **state)
{
    (void)state;
    static const uint8_t contents[] = {TERN_TLS_DATA, TERN_TLS_ALERT};
    for (size_t i = 0; i < 2; i++) {
        bench b;
        tern_error error;
        bench_make(&b, false, 0);
        assert_int_equal(give(&b, TERN_TLS_HANDSHAKE, (const uint8_t *)"\x04\0\0\x09x", 5, &error),
                         0);
        assert_int_equal(give(&b, contents[i], (const uint8_t *)"\x01\x00", 2, &error),
                         TERN_E_MALFORMED);
        bench_clear(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tickets_in_pieces),
        cmocka_unit_test(key_updates),
        cmocka_unit_test(worn_keys),
        cmocka_unit_test(ends),
        cmocka_unit_test(faults),
        cmocka_unit_test(interleaved),
    };
    return TERN_TEST_MAIN(tests);
}
