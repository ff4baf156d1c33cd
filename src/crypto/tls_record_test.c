/* TLS 1.3's record protection: the records of RFC 8448, section 3, both ways; padding, sequence,
 * key updates, every suite, and records that lie. */
#include "crypto/tls_record.h"

#include <tern/error.h>

#include "base/mem.h"
#include "base/test.h"

static const char client_secret[] =
    "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
static const char server_secret[] =
    "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
/* The client's first two records: 50 bytes that count up, and close_notify. */
static const char client_data[] =
    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e"
    "2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
static const char client_close[] = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";
/* The server's second: its first is a ticket. */
static const char server_data[] =
    "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59"
    "a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d";

enum { DATA_N = 50, ROOM = DATA_N + TERN_TLS_OVERHEAD };

static tern_tls_records *records(uint16_t suite, const char *send, const char *recv)
{
    tern_tls_secrets s = {.suite = suite};
    tern_test_unhex(s.send, sizeof s.send, send);
    tern_test_unhex(s.recv, sizeof s.recv, recv);
    tern_tls_records *r = tern_tls_records_new(&s);
    assert_non_null(r);
    return r;
}

static void assert_hex(const uint8_t *p, size_t n, const char *hex)
{
    uint8_t want[ROOM];
    assert_int_equal(tern_test_unhex(want, sizeof want, hex), n);
    assert_memory_equal(p, want, n);
}

static void published_records(void **state)
{
    (void)state;
    uint8_t data[DATA_N], out[ROOM], content;
    static const uint8_t close[] = {1, 0};
    tern_span plain;
    tern_tls_records *c = records(TERN_TLS_AES_128_GCM_SHA256, client_secret, server_secret);
    tern_tls_records *s = records(TERN_TLS_AES_128_GCM_SHA256, server_secret, client_secret);
    for (size_t i = 0; i < DATA_N; i++) {
        data[i] = (uint8_t)i;
    }
    const tern_span v[] = {{data, 7}, {data + 7, DATA_N - 7}};
    assert_int_equal(tern_tls_seal(c, TERN_TLS_DATA, v, 2, DATA_N, out), 0);
    assert_hex(out, ROOM, client_data);
    assert_int_equal(tern_tls_open(s, out, ROOM, &content, &plain), 0);
    assert_int_equal(content, TERN_TLS_DATA);
    assert_int_equal(plain.len, DATA_N);
    assert_memory_equal(plain.data, data, DATA_N);
    assert_int_equal(tern_tls_seal(c, TERN_TLS_ALERT, &(tern_span){close, 2}, 1, 2, out), 0);
    assert_hex(out, 2 + TERN_TLS_OVERHEAD, client_close);
    assert_int_equal(tern_tls_open(s, out, 2 + TERN_TLS_OVERHEAD, &content, &plain), 0);
    assert_int_equal(content, TERN_TLS_ALERT);
    assert_int_equal(tern_tls_seal(s, TERN_TLS_HANDSHAKE, v, 1, 7, out), 0);
    assert_int_equal(tern_tls_seal(s, TERN_TLS_DATA, v, 2, DATA_N, out), 0);
    assert_hex(out, ROOM, server_data);
    /* It is the client's second record: as its first it does not decrypt. */
    assert_int_equal(tern_tls_open(c, out, ROOM, &content, &plain), TERN_E_CRYPTO);
    tern_tls_records_free(c);
    tern_tls_records_free(s);
}

static void every_suite_with_key_updates(void **state)
{
    (void)state;
    static const uint16_t suites[] = {TERN_TLS_AES_128_GCM_SHA256, TERN_TLS_AES_256_GCM_SHA384,
                                      TERN_TLS_CHACHA20_POLY1305_SHA256};
    static uint8_t data[TERN_TLS_PLAIN_MAX], out[TERN_TLS_PLAIN_MAX + TERN_TLS_OVERHEAD];
    for (size_t i = 0; i < 3; i++) {
        tern_tls_records *c = records(suites[i], client_secret, server_secret);
        tern_tls_records *s = records(suites[i], server_secret, client_secret);
        uint8_t content;
        tern_span plain;
        for (size_t k = 0; k < 8; k++) {
            size_t n = k % 2 == 0 ? sizeof data : k;
            data[0] = (uint8_t)k;
            assert_int_equal(tern_tls_seal(c, TERN_TLS_DATA, &(tern_span){data, n}, 1, n, out), 0);
            assert_int_equal(tern_tls_open(s, out, n + TERN_TLS_OVERHEAD, &content, &plain), 0);
            assert_int_equal(plain.len, n);
            assert_memory_equal(plain.data, data, n);
            if (k % 3 == 2) {
                assert_int_equal(tern_tls_update_send(c), 0);
                assert_int_equal(tern_tls_update_recv(s), 0);
            }
        }
        tern_tls_records_free(c);
        tern_tls_records_free(s);
    }
    assert_null(tern_tls_records_new(&(tern_tls_secrets){.suite = 0x1304}));
}

/* A record whose inner bytes are chosen freely: `data` and what follows is zeros and the type. */
static size_t seal_padded(tern_tls_records *r, uint8_t *data, size_t n, uint8_t *out)
{
    assert_int_equal(tern_tls_seal(r, 0, &(tern_span){data, n}, 1, n, out), 0);
    return n + TERN_TLS_OVERHEAD;
}

static void padding(void **state)
{
    (void)state;
    static uint8_t data[TERN_TLS_PLAIN_MAX], out[TERN_TLS_PLAIN_MAX + TERN_TLS_OVERHEAD];
    tern_tls_records *c = records(TERN_TLS_AES_128_GCM_SHA256, client_secret, server_secret);
    tern_tls_records *s = records(TERN_TLS_AES_128_GCM_SHA256, server_secret, client_secret);
    uint8_t content;
    tern_span plain;
    data[0] = 'x';
    data[1] = TERN_TLS_DATA;
    size_t n = seal_padded(c, data, sizeof data, out);
    assert_int_equal(tern_tls_open(s, out, n, &content, &plain), 0);
    assert_int_equal(content, TERN_TLS_DATA);
    assert_int_equal(plain.len, 1);
    n = seal_padded(c, data + 1, 100, out); /* nothing but padding */
    assert_int_equal(tern_tls_open(s, out, n, &content, &plain), 0);
    assert_int_equal(plain.len, 0);
    data[1] = 0;
    n = seal_padded(c, data + 1, 100, out); /* no content type at all */
    assert_int_equal(tern_tls_open(s, out, n, &content, &plain), TERN_E_MALFORMED);
    tern_tls_records_free(c);
    tern_tls_records_free(s);
}

static void records_that_lie(void **state)
{
    (void)state;
    uint8_t record[ROOM], content;
    tern_span plain;
    for (size_t at = 0; at < ROOM; at++) {
        tern_tls_records *s = records(TERN_TLS_AES_128_GCM_SHA256, server_secret, client_secret);
        assert_int_equal(tern_test_unhex(record, sizeof record, client_data), ROOM);
        record[at] ^= 0x04;
        assert_int_equal(tern_tls_open(s, record, ROOM, &content, &plain),
                         at == 0 ? TERN_E_MALFORMED : TERN_E_CRYPTO);
        tern_tls_records_free(s);
    }
    for (size_t n = 0; n < ROOM; n++) {
        tern_tls_records *s = records(TERN_TLS_AES_128_GCM_SHA256, server_secret, client_secret);
        assert_int_equal(tern_test_unhex(record, sizeof record, client_data), ROOM);
        assert_int_equal(tern_tls_open(s, record, n, &content, &plain),
                         n < TERN_TLS_HEADER ? TERN_E_MALFORMED : TERN_E_CRYPTO);
        tern_tls_records_free(s);
    }
}

static void keys_wear_out(void **state)
{
    (void)state;
    uint8_t out[1 + TERN_TLS_OVERHEAD];
    tern_tls_records *r =
        tern_tls_records_new(&(tern_tls_secrets){.suite = TERN_TLS_AES_128_GCM_SHA256, .wear = 3});
    for (int i = 0; i < 7; i++) {
        assert_int_equal(tern_tls_worn(r), i == 3 || i == 6);
        if (tern_tls_worn(r)) {
            assert_int_equal(tern_tls_update_send(r), 0);
        }
        assert_int_equal(
            tern_tls_seal(r, TERN_TLS_DATA, &(tern_span){(const uint8_t *)"x", 1}, 1, 1, out), 0);
    }
    tern_tls_records_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_records), cmocka_unit_test(every_suite_with_key_updates),
        cmocka_unit_test(padding),           cmocka_unit_test(records_that_lie),
        cmocka_unit_test(keys_wear_out),
    };
    return TERN_TEST_MAIN(tests);
}
