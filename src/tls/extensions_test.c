/* Messages that say what they may not: extensions left out, doubled, made up and malformed, and
 * fields with other values. Who hears them says which rule was broken. */
#include "tls/ends_test.h"

enum { UNKNOWN = 0xfafa };

/* ---- extensions ---- */

enum { REMOVE, TWICE, ADD, SET };

/* One extension of one message is changed; what the receiver says. */
typedef struct edit {
    int kind;
    unsigned at; /* message */
    int what;
    uint16_t type;
    const char *value;
    size_t n;
    tern_alert alert;
} edit;

/* Where a message's list of extensions has its length. */
static size_t list_at(const end_message *m)
{
    switch (m->bytes[0]) {
    case TLS_CLIENT_HELLO:
        return END_SUITES + tern_get16(m->bytes + END_SUITES - 2) + 2;
    case TLS_SERVER_HELLO:
        return TLS_HEAD + 2 + TLS_RANDOM + 1 + 2 + 1;
    case TLS_CERTIFICATE_REQUEST:
        return TLS_HEAD + 1;
    default:
        return TLS_HEAD;
    }
}

static void fix_lengths(end_message *m, size_t list)
{
    tern_put16(m->bytes + list, (uint16_t)(m->n - list - 2));
    m->bytes[1] = 0;
    tern_put16(m->bytes + 2, (uint16_t)(m->n - TLS_HEAD));
}

static void insert(end_message *m, size_t at, const void *p, size_t n)
{
    m->bytes = realloc(m->bytes, m->n + n);
    assert_non_null(m->bytes);
    memmove(m->bytes + at + n, m->bytes + at, m->n - at);
    if (n > 0) {
        memcpy(m->bytes + at, p, n);
    }
    m->n += n;
}

static void take_out(end_message *m, size_t at, size_t n)
{
    memmove(m->bytes + at, m->bytes + at + n, m->n - at - n);
    m->n -= n;
}

static bool edit_it(ends *both, end *to, end_message *m)
{
    const edit *e = both->use;
    uint8_t head[4], copy[2048];
    (void)to;
    if (both->count != e->at) {
        return false;
    }
    size_t list = list_at(m), at = list + 2, n = 0;
    while (at < m->n) {
        n = 4 + (size_t)tern_get16(m->bytes + at + 2);
        if (tern_get16(m->bytes + at) == e->type) {
            break;
        }
        at += n;
    }
    if (e->what == ADD) {
        assert_true(at >= m->n);
        at = list + 2;
    } else {
        assert_true(at < m->n && n <= sizeof copy);
    }
    if (e->what == REMOVE || e->what == SET) {
        take_out(m, at, n);
    }
    if (e->what == TWICE) {
        memcpy(copy, m->bytes + at, n);
        insert(m, list + 2, copy, n);
    }
    if (e->what == ADD || e->what == SET) {
        tern_put16(head, e->type);
        tern_put16(head + 2, (uint16_t)e->n);
        insert(m, at, e->value, e->n);
        insert(m, at, head, 4);
    }
    fix_lengths(m, list);
    return false;
}

static void judge(const edit *edits, size_t n, bool by_client)
{
    for (size_t i = 0; i < n; i++) {
        scene s = {.both = {.on_way = edit_it, .use = (void *)(uintptr_t)&edits[i]}};
        scene_begin(&s, edits[i].kind);
        ends_run(&s.both);
        const end *e = by_client ? &s.both.c : &s.both.s;
        if (e->error == 0 || tern_handshake_alert(e->h) != edits[i].alert) {
            print_error("edit %zu: %d, alert %d: %s\n", i, e->error, tern_handshake_alert(e->h),
                        tern_handshake_why(e->h));
        }
        assert_true(e->error < 0);
        assert_int_equal(tern_handshake_alert(e->h), edits[i].alert);
        assert_false(tern_handshake_done(e->h));
        ends_clear(&s.both);
    }
}

static void test_client_hello(void **state)
{
    static const edit edits[] = {
        {FULL, 0, REMOVE, TLS_EXT_SUPPORTED_GROUPS, NULL, 0, TERN_ALERT_MISSING_EXTENSION},
        {FULL, 0, REMOVE, TLS_EXT_SIGNATURE_ALGORITHMS, NULL, 0, TERN_ALERT_MISSING_EXTENSION},
        {FULL, 0, REMOVE, TLS_EXT_KEY_SHARE, NULL, 0, TERN_ALERT_MISSING_EXTENSION},
        {FULL, 0, REMOVE, END_PARAMS, NULL, 0, TERN_ALERT_MISSING_EXTENSION},
        {FULL, 0, REMOVE, TLS_EXT_SUPPORTED_VERSIONS, NULL, 0, TERN_ALERT_PROTOCOL_VERSION},
        {FULL, 0, SET, TLS_EXT_SUPPORTED_VERSIONS, BYTES("\4\3\3\3\2"),
         TERN_ALERT_PROTOCOL_VERSION},
        {FULL, 0, REMOVE, TLS_EXT_ALPN, NULL, 0, TERN_ALERT_NO_APPLICATION_PROTOCOL},
        {EARLY, 0, REMOVE, TLS_EXT_PSK_MODES, NULL, 0, TERN_ALERT_MISSING_EXTENSION},
        {EARLY, 0, REMOVE, TLS_EXT_PRE_SHARED_KEY, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {EARLY, 0, TWICE, TLS_EXT_PRE_SHARED_KEY, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 0, ADD, TLS_EXT_EARLY_DATA, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {RETRIED, 2, ADD, TLS_EXT_EARLY_DATA, BYTES(""), TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 0, TWICE, TLS_EXT_SUPPORTED_GROUPS, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 0, TWICE, TLS_EXT_SIGNATURE_ALGORITHMS, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 0, TWICE, TLS_EXT_ALPN, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 0, TWICE, TLS_EXT_SUPPORTED_VERSIONS, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 0, TWICE, TLS_EXT_KEY_SHARE, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 0, TWICE, TLS_EXT_TICKET_REQUEST, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 0, TWICE, END_PARAMS, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {EARLY, 0, TWICE, TLS_EXT_EARLY_DATA, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {EARLY, 0, SET, TLS_EXT_EARLY_DATA, BYTES("\0"), TERN_ALERT_DECODE_ERROR},
        {EARLY, 0, SET, TLS_EXT_PRE_SHARED_KEY, BYTES("\0\0\0\0"), TERN_ALERT_DECODE_ERROR},
        {FULL, 0, SET, TLS_EXT_SUPPORTED_GROUPS, BYTES("\0\3\0\35\0"), TERN_ALERT_DECODE_ERROR},
        {FULL, 0, SET, TLS_EXT_SUPPORTED_GROUPS, BYTES("\0\0"), TERN_ALERT_DECODE_ERROR},
        {FULL, 0, SET, TLS_EXT_ALPN, BYTES("\0\1\0"), TERN_ALERT_DECODE_ERROR},
        {FULL, 0, SET, TLS_EXT_ALPN, BYTES("\0\3\2h3x"), TERN_ALERT_DECODE_ERROR},
        {FULL, 0, SET, TLS_EXT_KEY_SHARE, BYTES("\0\4\0\35\0\0"), TERN_ALERT_DECODE_ERROR},
        {FULL, 0, SET, TLS_EXT_KEY_SHARE, BYTES("\0\5\0\35\0\1x"), TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 0, SET, TLS_EXT_SIGNATURE_ALGORITHMS, BYTES("\0\2\10\7"),
         TERN_ALERT_HANDSHAKE_FAILURE},
        {FULL, 0, SET, TLS_EXT_TICKET_REQUEST, BYTES("\1"), TERN_ALERT_DECODE_ERROR},
        {FULL, 0, SET, TLS_EXT_PSK_MODES, BYTES("\0"), TERN_ALERT_DECODE_ERROR},
        {RETRIED, 2, SET, TLS_EXT_KEY_SHARE, BYTES("\0\0"), TERN_ALERT_ILLEGAL_PARAMETER},
    };
    (void)state;
    judge(edits, sizeof edits / sizeof *edits, false);
}

#define ZEROS "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static void test_server_hello(void **state)
{
    static const edit edits[] = {
        {FULL, 1, REMOVE, TLS_EXT_SUPPORTED_VERSIONS, NULL, 0, TERN_ALERT_PROTOCOL_VERSION},
        {FULL, 1, SET, TLS_EXT_SUPPORTED_VERSIONS, BYTES("\3\3"), TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 1, SET, TLS_EXT_SUPPORTED_VERSIONS, BYTES("\3\4\0"), TERN_ALERT_DECODE_ERROR},
        {FULL, 1, REMOVE, TLS_EXT_KEY_SHARE, NULL, 0, TERN_ALERT_MISSING_EXTENSION},
        {EARLY, 1, REMOVE, TLS_EXT_KEY_SHARE, NULL, 0, TERN_ALERT_MISSING_EXTENSION},
        {FULL, 1, SET, TLS_EXT_KEY_SHARE, BYTES("\0\35\0\40" ZEROS), TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 1, SET, TLS_EXT_KEY_SHARE, BYTES("\0\27\0\40" ZEROS), TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 1, SET, TLS_EXT_KEY_SHARE, BYTES("\0\35\0\0"), TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 1, SET, TLS_EXT_KEY_SHARE, BYTES("\0\35"), TERN_ALERT_DECODE_ERROR},
        {RETRIED, 3, SET, TLS_EXT_KEY_SHARE, BYTES("\0\27\0\101\4" ZEROS ZEROS),
         TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 1, TWICE, TLS_EXT_SUPPORTED_VERSIONS, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 1, TWICE, TLS_EXT_KEY_SHARE, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 1, ADD, UNKNOWN, NULL, 0, TERN_ALERT_UNSUPPORTED_EXTENSION},
        {FULL, 1, ADD, TLS_EXT_ALPN, BYTES("\0\7\6libp2p"), TERN_ALERT_UNSUPPORTED_EXTENSION},
        {FULL, 1, ADD, TLS_EXT_COOKIE, BYTES("\0\1x"), TERN_ALERT_UNSUPPORTED_EXTENSION},
        {FULL, 1, ADD, TLS_EXT_PRE_SHARED_KEY, BYTES("\0\0"), TERN_ALERT_ILLEGAL_PARAMETER},
        {EARLY, 1, SET, TLS_EXT_PRE_SHARED_KEY, BYTES("\0\1"), TERN_ALERT_ILLEGAL_PARAMETER},
        {EARLY, 1, TWICE, TLS_EXT_PRE_SHARED_KEY, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        /* the request for another hello */
        {RETRIED, 1, SET, TLS_EXT_KEY_SHARE, BYTES("\0\30"), TERN_ALERT_ILLEGAL_PARAMETER},
        {RETRIED, 1, SET, TLS_EXT_KEY_SHARE, BYTES("\32\32"), TERN_ALERT_ILLEGAL_PARAMETER},
        {RETRIED, 1, REMOVE, TLS_EXT_KEY_SHARE, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {RETRIED, 1, REMOVE, TLS_EXT_SUPPORTED_VERSIONS, NULL, 0, TERN_ALERT_PROTOCOL_VERSION},
        {RETRIED, 1, ADD, TLS_EXT_PRE_SHARED_KEY, BYTES("\0\0"), TERN_ALERT_UNSUPPORTED_EXTENSION},
        {RETRIED, 1, ADD, TLS_EXT_COOKIE, BYTES("\0\0"), TERN_ALERT_DECODE_ERROR},
    };
    (void)state;
    judge(edits, sizeof edits / sizeof *edits, true);
}

static void test_encrypted_extensions(void **state)
{
    static const edit edits[] = {
        {FULL, 2, REMOVE, TLS_EXT_ALPN, NULL, 0, TERN_ALERT_NO_APPLICATION_PROTOCOL},
        {FULL, 2, SET, TLS_EXT_ALPN, BYTES("\0\3\2h3"), TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 2, SET, TLS_EXT_ALPN, BYTES("\0\7\6libp2p\2h3"), TERN_ALERT_DECODE_ERROR},
        {FULL, 2, TWICE, TLS_EXT_ALPN, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 2, REMOVE, END_PARAMS, NULL, 0, TERN_ALERT_MISSING_EXTENSION},
        {FULL, 2, TWICE, END_PARAMS, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 2, ADD, UNKNOWN, NULL, 0, TERN_ALERT_UNSUPPORTED_EXTENSION},
        {FULL, 2, ADD, TLS_EXT_KEY_SHARE, BYTES("\0\35"), TERN_ALERT_UNSUPPORTED_EXTENSION},
        {FULL, 2, ADD, TLS_EXT_EARLY_DATA, NULL, 0, TERN_ALERT_UNSUPPORTED_EXTENSION},
        {RETRIED, 4, ADD, TLS_EXT_EARLY_DATA, BYTES(""), TERN_ALERT_ILLEGAL_PARAMETER},
        {EARLY, 2, SET, TLS_EXT_EARLY_DATA, BYTES("\0"), TERN_ALERT_DECODE_ERROR},
        {EARLY, 2, TWICE, TLS_EXT_EARLY_DATA, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 2, SET, TLS_EXT_TICKET_REQUEST, BYTES("\0\0"), TERN_ALERT_DECODE_ERROR},
        {FULL, 2, TWICE, TLS_EXT_TICKET_REQUEST, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
        /* the request for a certificate */
        {FULL, 3, REMOVE, TLS_EXT_SIGNATURE_ALGORITHMS, NULL, 0, TERN_ALERT_MISSING_EXTENSION},
        {FULL, 3, SET, TLS_EXT_SIGNATURE_ALGORITHMS, BYTES("\0\1"), TERN_ALERT_DECODE_ERROR},
        {FULL, 3, SET, TLS_EXT_SIGNATURE_ALGORITHMS, BYTES("\0\0"), TERN_ALERT_DECODE_ERROR},
        {FULL, 3, TWICE, TLS_EXT_SIGNATURE_ALGORITHMS, NULL, 0, TERN_ALERT_ILLEGAL_PARAMETER},
    };
    (void)state;
    judge(edits, sizeof edits / sizeof *edits, true);
}

/* ---- bytes at a place ---- */

typedef struct patch {
    int kind;
    unsigned at; /* message */
    size_t offset;
    const char *bytes;
    size_t n;
    tern_alert alert;
} patch;

static bool patch_it(ends *both, end *to, end_message *m)
{
    const patch *p = both->use;
    (void)to;
    if (both->count == p->at) {
        memcpy(m->bytes + p->offset, p->bytes, p->n);
    }
    return false;
}

static void test_places(void **state)
{
    enum { SUITE = TLS_HEAD + 2 + TLS_RANDOM + 1 };
    static const patch patches[] = {
        {FULL, 0, TLS_HEAD + 2 + TLS_RANDOM, BYTES("\41"), TERN_ALERT_DECODE_ERROR},
        {FULL, 0, END_SUITES + 6, BYTES("\0"), TERN_ALERT_DECODE_ERROR}, /* no compression method */
        {FULL, 0, END_SUITES + 7, BYTES("\1"), TERN_ALERT_ILLEGAL_PARAMETER}, /* one */
        {FULL, 0, END_SUITES, BYTES("\0\0\0\0\0\0"), TERN_ALERT_HANDSHAKE_FAILURE},
        {FULL, 1, TLS_HEAD, BYTES("\3\4"), TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 1, SUITE, BYTES("\x13\x04"), TERN_ALERT_ILLEGAL_PARAMETER},
        {FULL, 1, SUITE + 2, BYTES("\1"), TERN_ALERT_ILLEGAL_PARAMETER}, /* compression */
        {FULL, 1, TLS_HEAD,
         BYTES("\3\3\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"
               "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"),
         TERN_ALERT_DECODE_ERROR},                                 /* a request with a whole key */
        {FULL, 4, TLS_HEAD, BYTES("\1"), TERN_ALERT_DECODE_ERROR}, /* Certificate: context */
        {FULL, 4, TLS_HEAD + 1, BYTES("\0\0\0"), TERN_ALERT_DECODE_ERROR},
        {FULL, 5, TLS_HEAD, BYTES("\4\1"),
         TERN_ALERT_ILLEGAL_PARAMETER}, /* PKCS#1 is for certificates */
        {FULL, 5, TLS_HEAD, BYTES("\5\3"),
         TERN_ALERT_ILLEGAL_PARAMETER}, /* P-384 of a key of P-256 */
        {FULL, 5, TLS_HEAD, BYTES("\2\3"), TERN_ALERT_ILLEGAL_PARAMETER},   /* SHA-1 */
        {FULL, 6, 0, BYTES("\24\0\0\37"), TERN_ALERT_DECODE_ERROR},         /* Finished, cut */
        {FULL, 8, TLS_HEAD, BYTES("\4\1"), TERN_ALERT_ILLEGAL_PARAMETER},   /* the client's */
        {EARLY, 1, SUITE, BYTES("\x13\x02"), TERN_ALERT_ILLEGAL_PARAMETER}, /* another hash */
        {EARLY, 2, 0, BYTES("\13"), TERN_ALERT_UNEXPECTED_MESSAGE},
        {EARLY, 3, 0, BYTES("\13"), TERN_ALERT_UNEXPECTED_MESSAGE}, /* no certificate if resumed */
    };
    (void)state;
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
        scene s = {.both = {.on_way = patch_it, .use = (void *)(uintptr_t)&patches[i]}};
        scene_begin(&s, patches[i].kind);
        ends_run(&s.both);
        const end *e = s.both.s.error != 0 ? &s.both.s : &s.both.c;
        if (e->error == 0 || tern_handshake_alert(e->h) != patches[i].alert) {
            print_error("patch %zu: %s\n", i, tern_handshake_why(e->h));
        }
        assert_true(e->error < 0);
        assert_int_equal(tern_handshake_alert(e->h), patches[i].alert);
        ends_clear(&s.both);
    }
}

/* A Certificate that is put together otherwise, instead of the server's. */
static bool certify(ends *both, end *to, end_message *m)
{
    const char *how = both->use;
    tls_out o = {.failed = false};
    tern_span der = tern_cert_der(end_cert());
    if (m->bytes[0] != TLS_CERTIFICATE || to != &both->c) {
        return false;
    }
    size_t message = tls_open_message(&o, TLS_CERTIFICATE);
    tls_put(&o, how, 1 + (size_t)how[0]); /* the context */
    how += 1 + how[0];
    size_t list = tls_open(&o, 3);
    for (; *how != 0; how++) {
        size_t one = tls_open(&o, 3);
        tls_put(&o, der.data, *how == 'e' ? 0 : der.len);
        tls_close(&o, one, 3);
        tls_put(&o, *how == 'x' ? "\0\4\0\5\0\0" : "\0\0", *how == 'x' ? 6 : 2);
    }
    tls_close(&o, list, 3);
    TLS_CLOSE_MESSAGE(&o, message);
    assert_false(o.failed);
    end_feed(to, m->level, tern_buf_data(&o.buf), tern_buf_len(&o.buf));
    tern_buf_free(&o.buf);
    return true;
}

static void test_server_certificates(void **state)
{
    static const struct {
        const char *how; /* context with its length; a letter for each: cert, empty, extension */
        tern_alert alert;
    } all[] = {{"\1!c", TERN_ALERT_ILLEGAL_PARAMETER},
               {"\0x", TERN_ALERT_UNSUPPORTED_EXTENSION}, /* status_request, which nobody sent */
               {"\0cx", TERN_ALERT_UNSUPPORTED_EXTENSION},
               {"\0e", TERN_ALERT_DECODE_ERROR},
               {"\0ce", TERN_ALERT_DECODE_ERROR},
               {"\0", TERN_ALERT_DECODE_ERROR},
               /* a second one is for the owner to judge; the signature is of another transcript */
               {"\0cc", TERN_ALERT_DECRYPT_ERROR}};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        scene s = {.both = {.on_way = certify, .use = (void *)(uintptr_t)all[i].how}};
        scene_begin(&s, FULL);
        ends_run(&s.both);
        assert_true(s.both.c.error < 0);
        assert_int_equal(tern_handshake_alert(s.both.c.h), all[i].alert);
        assert_int_equal(strstr(s.both.c.said, "certificate2") != NULL, i == 6);
        ends_clear(&s.both);
    }
}

/* More extensions than anybody has. */
static void test_many_extensions(void **state)
{
    static uint8_t more[4 * 80];
    const tern_handshake_config config = end_client_config();
    (void)state;
    for (size_t i = 0; i < 80; i++) {
        tern_put16(more + 4 * i, (uint16_t)(0xf000 + i));
    }
    for (size_t n = 40; n <= 80; n += 40) {
        ends both = {.c.more = {more, 4 * n}, .s.answer = {.tickets = -1}};
        ends_begin(&both, &config);
        ends_run(&both);
        assert_int_equal(both.s.error, n == 40 ? 0 : TERN_E_MALFORMED);
        ends_clear(&both);
    }
}

/* A server that answers what was not asked. */
static void test_unasked(void **state)
{
    ends both = {.s.answer = {.tickets = 1}};
    tern_handshake_config config = end_client_config();
    (void)state;
    config.asks = false;
    ends_begin(&both, &config);
    ends_run(&both);
    assert_int_equal(both.c.error, TERN_E_PROTOCOL);
    assert_int_equal(tern_handshake_alert(both.c.h), TERN_ALERT_UNSUPPORTED_EXTENSION);
    ends_clear(&both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_client_hello),
                                       cmocka_unit_test(test_server_hello),
                                       cmocka_unit_test(test_encrypted_extensions),
                                       cmocka_unit_test(test_places),
                                       cmocka_unit_test(test_server_certificates),
                                       cmocka_unit_test(test_many_extensions),
                                       cmocka_unit_test(test_unasked)};
    return TERN_TEST_MAIN(tests);
}
