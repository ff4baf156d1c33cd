/* Tests of the multistream-select core: the published bytes, both roles, malformed messages; each
 * input whole and one byte at a time. */
#include "swarm/multistream_core.h"

#include <stdio.h>

#include <tern/error.h>

#include "base/test.h"

#define HEADER "132f6d756c746973747265616d2f312e302e300a"
#define NOISE  "072f6e6f6973650a"
#define TLS    "0b2f746c732f312e302e300a"
#define YAMUX  "0d2f79616d75782f312e302e300a"
#define NA     "036e610a"
#define LS     "036c730a"
#define ID     "0f2f697066732f69642f312e302e300a"
#define PING   "112f697066732f70696e672f312e302e300a"

static const char *const both[] = {"/noise", "/tls/1.0.0", NULL};
static const char *const noise[] = {"/noise", NULL};
static const char *const nothing[] = {NULL};

/* One run of the core over an input. */
struct run {
    int code;
    const char *id;
    size_t used;     /* bytes of the input */
    char said[8192]; /* hex */
};

static void feed(struct run *r, bool initiator, const char *const *ids, const uint8_t *in, size_t n,
                 size_t chunk)
{
    tern_ms ms;
    tern_buf out;
    memset(r, 0, sizeof *r);
    tern_buf_init(&out, 0);
    assert_int_equal(tern_ms_start(&ms, initiator, ids, &out), 0);
    while (r->code == 0 && r->used < n) {
        size_t part = n - r->used < chunk ? n - r->used : chunk;
        size_t used = SIZE_MAX;
        r->code = tern_ms_feed(&ms, in + r->used, part, &out, &used, &r->id);
        assert_true(used <= part);
        assert_true(r->code != 0 || used == part);
        r->used += used;
    }
    assert_true(tern_buf_len(&out) * 2 < sizeof r->said);
    tern_hex(r->said, tern_buf_data(&out), tern_buf_len(&out));
    tern_ms_free(&ms);
    tern_buf_free(&out);
}

/* The same result whole, one byte at a time and in threes. */
static void expect(bool initiator, const char *const *ids, const char *in_hex, int code,
                   const char *id, size_t unused, const char *said)
{
    uint8_t in[4096];
    size_t n = tern_test_unhex(in, sizeof in, in_hex);
    const size_t chunks[] = {SIZE_MAX, 1, 3};
    for (size_t i = 0; i < 3; i++) {
        struct run r;
        feed(&r, initiator, ids, in, n, chunks[i]);
        assert_int_equal(r.code, code);
        assert_string_equal(r.said, said);
        if (id != NULL) {
            assert_string_equal(r.id, id);
            assert_int_equal(r.used, n - unused);
        } else {
            assert_null(r.id);
        }
    }
}

static void test_initiator(void **state)
{
    (void)state;
    expect(true, noise, "", 0, NULL, 0, HEADER NOISE); /* speaks first */
    expect(true, noise, HEADER, 0, NULL, 0, HEADER NOISE);
    expect(true, noise, HEADER NOISE, 1, "/noise", 0, HEADER NOISE);
    expect(true, both, HEADER NA, 0, NULL, 0, HEADER NOISE TLS);
    expect(true, both, HEADER NA TLS, 1, "/tls/1.0.0", 0, HEADER NOISE TLS);
    expect(true, both, HEADER NA NA, TERN_E_NEGOTIATION, NULL, 0, HEADER NOISE TLS);
    expect(true, noise, HEADER NA, TERN_E_NEGOTIATION, NULL, 0, HEADER NOISE);
}

static void test_responder(void **state)
{
    static const char *const mux[] = {"/yamux/1.0.0", NULL};
    static const char *const protocols[] = {"/ipfs/ping/1.0.0", "/ipfs/id/1.0.0", NULL};
    (void)state;
    expect(false, noise, "", 0, NULL, 0, "");
    expect(false, noise, HEADER, 0, NULL, 0, HEADER);
    expect(false, noise, HEADER NOISE, 1, "/noise", 0, HEADER NOISE);
    expect(false, mux, HEADER YAMUX, 1, "/yamux/1.0.0", 0, HEADER YAMUX);
    expect(false, protocols, HEADER PING, 1, "/ipfs/ping/1.0.0", 0, HEADER PING);
    expect(false, protocols, HEADER ID, 1, "/ipfs/id/1.0.0", 0, HEADER ID);
    expect(false, noise, HEADER TLS, 0, NULL, 0, HEADER NA);
    expect(false, noise, HEADER TLS YAMUX NOISE, 1, "/noise", 0, HEADER NA NA NOISE);
    expect(false, nothing, HEADER NOISE, 0, NULL, 0, HEADER NA);
    expect(false, noise, HEADER NA, 0, NULL, 0, HEADER NA); /* "na" is no protocol of ours */
}

static void test_list(void **state)
{
    (void)state;
    expect(false, both, HEADER LS NOISE, 1, "/noise", 0,
           HEADER "15" NOISE TLS "0a" NOISE); /* 8 + 12 + 1 bytes */
    expect(false, nothing, HEADER LS, 0, NULL, 0, HEADER "010a");
}

/* What follows the agreed message belongs to the protocol. */
static void test_payload_is_left(void **state)
{
    (void)state;
    expect(false, noise, HEADER NOISE "0020aabbcc", 1, "/noise", 5, HEADER NOISE);
    expect(true, noise, HEADER NOISE "0020aabbcc", 1, "/noise", 5, HEADER NOISE);
    expect(false, noise, HEADER NOISE NOISE, 1, "/noise", 8, HEADER NOISE);
}

static void test_malformed(void **state)
{
    static const char *const inputs[] = {
        "132f6d756c746973747265616d2f322e302e300a",   /* another version */
        "132f4d756c746973747265616d2f312e302e300a",   /* another case */
        "132f6d756c746973747265616d2f312e302e3030",   /* no newline */
        "142f6d756c746973747265616d2f312e302e300d0a", /* CRLF */
        "00",                                         /* zero length */
        "8000",                                       /* a length that is not minimal */
        "ffffffffffffffffffff",                       /* a length of more than 9 bytes */
        HEADER "00",                                  /* zero length */
        HEADER "072f6e6f69736530",                    /* a proposal without newline */
        NOISE,                                        /* no header */
    };
    (void)state;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        bool after = strncmp(inputs[i], HEADER, 40) == 0 && strlen(inputs[i]) > 40;
        expect(false, noise, inputs[i], TERN_E_MALFORMED, NULL, 0, after ? HEADER : "");
        expect(true, noise, inputs[i], TERN_E_MALFORMED, NULL, 0, HEADER NOISE);
    }
    expect(false, noise, "0a", 0, NULL, 0, ""); /* only short */
    /* An answer that is neither the proposal nor a refusal. */
    expect(true, noise, HEADER TLS, TERN_E_MALFORMED, NULL, 0, HEADER NOISE);
    expect(true, noise, HEADER LS, TERN_E_MALFORMED, NULL, 0, HEADER NOISE);
    expect(true, noise, HEADER HEADER, TERN_E_MALFORMED, NULL, 0, HEADER NOISE);
}

static void test_oversize(void **state)
{
    (void)state;
    /* 1025 bytes announced: refused before any of them came. */
    expect(false, noise, "8108", TERN_E_TOO_LARGE, NULL, 0, "");
    expect(false, noise, HEADER "8108", TERN_E_TOO_LARGE, NULL, 0, HEADER);
    expect(true, noise, HEADER "8108", TERN_E_TOO_LARGE, NULL, 0, HEADER NOISE);
    expect(false, noise, "ffffffffffffffff7f", TERN_E_TOO_LARGE, NULL, 0, "");
    /* 1024 bytes are a proposal like any other. */
    uint8_t in[20 + 2 + TERN_MS_MESSAGE_MAX];
    struct run r;
    size_t n = tern_test_unhex(in, sizeof in, HEADER "8008");
    memset(in + n, 'x', TERN_MS_MESSAGE_MAX);
    in[sizeof in - 1] = '\n';
    feed(&r, false, noise, in, sizeof in, SIZE_MAX);
    assert_int_equal(r.code, 0);
    assert_string_equal(r.said, HEADER NA);
    feed(&r, false, noise, in, sizeof in, 1);
    assert_int_equal(r.code, 0);
}

static void test_too_many_proposals(void **state)
{
    uint8_t in[20 + 12 * (TERN_MS_PROPOSALS_MAX + 1)];
    size_t n = tern_test_unhex(in, sizeof in, HEADER);
    struct run r;
    (void)state;
    while (n < sizeof in) {
        n += tern_test_unhex(in + n, sizeof in - n, TLS);
    }
    feed(&r, false, noise, in, n - 12, SIZE_MAX);
    assert_int_equal(r.code, 0);
    feed(&r, false, noise, in, n, SIZE_MAX);
    assert_int_equal(r.code, TERN_E_LIMIT);
    feed(&r, false, noise, in, n, 1);
    assert_int_equal(r.code, TERN_E_LIMIT);
    /* Asking for the list counts as well. */
    for (size_t i = 0; i <= TERN_MS_PROPOSALS_MAX; i++) {
        tern_test_unhex(in + 20 + 4 * i, 4, LS);
    }
    feed(&r, false, nothing, in, 20 + 4 * (TERN_MS_PROPOSALS_MAX + 1), SIZE_MAX);
    assert_int_equal(r.code, TERN_E_LIMIT);
}

static void test_failing_allocations(void **state)
{
    uint8_t in[64];
    size_t n = tern_test_unhex(in, sizeof in, HEADER LS NOISE);
    (void)state;
    for (size_t i = 1;; i++) {
        tern_ms ms;
        tern_buf out;
        size_t used;
        const char *id = NULL;
        tern_buf_init(&out, 0);
        tern_mem_fail_at(i, 0);
        int code = tern_ms_start(&ms, false, both, &out);
        code = code == 0 ? tern_ms_feed(&ms, in, n, &out, &used, &id) : code;
        size_t made = tern_mem_count();
        tern_mem_fail_at(0, 0);
        tern_ms_free(&ms);
        tern_buf_free(&out);
        assert_int_equal(code, made < i ? 1 : TERN_E_NOMEM);
        if (made < i) {
            assert_true(i > 3);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initiator),
        cmocka_unit_test(test_responder),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_payload_is_left),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_oversize),
        cmocka_unit_test(test_too_many_proposals),
        cmocka_unit_test(test_failing_allocations),
    };
    return TERN_TEST_MAIN(tests);
}
