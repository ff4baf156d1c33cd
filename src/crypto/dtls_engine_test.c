/* DTLS over memory: two engines and what lies between them. OpenSSL's own client and server are the
 * independent peers; the virtual clock is the test's. */
#include "crypto/dtls_engine.h"

#include <tern/error.h>

#include "base/test.h"
#include "crypto/cert_derive.h"
#include "crypto/symmetric.h"

enum { QUEUE = 64, ROOM = 2048 };

typedef struct side {
    tern_dtls_engine *e;
    struct side *other;
    uint8_t data[QUEUE][ROOM]; /* what came for it */
    size_t len[QUEUE], head, tail;
    unsigned sent, lose_from, lose_to; /* datagrams that get lost on the way from here */
    bool done, failed;
    tern_error why;
} side;

typedef struct pair {
    tern_dtls_context *context;
    side client, server;
    uint64_t now;
    uint8_t fingerprint[32];
} pair;

static bool carry(void *owner, const uint8_t *p, size_t n)
{
    side *from = owner, *to = from->other;
    unsigned number = from->sent++;
    assert_true(n <= TERN_DTLS_MTU);
    if (number >= from->lose_from && number < from->lose_to) {
        return true;
    }
    assert_true(to->tail - to->head < QUEUE);
    memcpy(to->data[to->tail % QUEUE], p, n);
    to->len[to->tail++ % QUEUE] = n;
    return true;
}

static void make(pair *p, const uint8_t *cookie)
{
    static const tern_cert_recipe recipe = {"test", 1577836800, 4733510400};
    tern_cert *cert;
    memset(p, 0, sizeof *p);
    assert_int_equal(tern_cert_derive_from((tern_span){(const uint8_t *)"x", 1}, &recipe, &cert),
                     0);
    tern_span der = tern_cert_der(cert);
    assert_int_equal(tern_sha256(&der, 1, p->fingerprint), 0);
    assert_int_equal(tern_dtls_context_new(cert, &p->context), 0);
    tern_cert_free(cert);
    p->client.other = &p->server;
    p->server.other = &p->client;
    tern_dtls_options o = {.send = carry, .owner = &p->client};
    assert_int_equal(tern_dtls_engine_new(p->context, &o, &p->client.e), 0);
    o = (tern_dtls_options){.server = true, .cookie = cookie, .send = carry, .owner = &p->server};
    assert_int_equal(tern_dtls_engine_new(p->context, &o, &p->server.e), 0);
}

static void clear(pair *p)
{
    tern_dtls_engine_free(p->client.e);
    tern_dtls_engine_free(p->server.e);
    tern_dtls_context_free(p->context);
}

static void step(pair *p, side *s, tern_span d)
{
    if (s->done) {
        uint8_t type;
        tern_span plain;
        while (tern_dtls_engine_open(s->e, &d, &type, &plain) != 0 && d.len > 0) {
        }
        return;
    }
    int r = tern_dtls_engine_handshake(s->e, p->now, d, &s->why);
    s->done = r == 1;
    s->failed = r < 0;
}

/* Until nothing is on its way; then the clock jumps to the next deadline, at most `jumps` times.
 * Returns the time it took. */
static uint64_t run(pair *p, unsigned jumps)
{
    step(p, &p->client, (tern_span){NULL, 0});
    for (;;) {
        bool moved = false;
        for (int i = 0; i < 2; i++) {
            side *s = i == 0 ? &p->server : &p->client;
            while (s->head < s->tail && !s->failed) {
                size_t at = s->head++ % QUEUE;
                step(p, s, (tern_span){s->data[at], s->len[at]});
                moved = true;
            }
        }
        if (!moved) {
            uint64_t a = tern_dtls_engine_deadline(p->client.e);
            uint64_t b = tern_dtls_engine_deadline(p->server.e);
            uint64_t next = a < b ? a : b;
            if (next == UINT64_MAX || jumps-- == 0) {
                return p->now;
            }
            p->now = next;
            assert_int_equal(tern_dtls_engine_tick(p->client.e, next, NULL), 0);
            assert_int_equal(tern_dtls_engine_tick(p->server.e, next, NULL), 0);
        }
    }
}

static void finish(side *s)
{
    uint8_t out[ROOM];
    assert_true(s->done);
    assert_int_equal(tern_dtls_engine_early(s->e, out, sizeof out), 0);
}

static void say(side *s, const char *text)
{
    uint8_t record[ROOM];
    memcpy(record + TERN_DTLS_BEFORE, text, strlen(text));
    ssize_t n = tern_dtls_engine_seal(s->e, record, strlen(text));
    assert_int_equal(n, strlen(text) + TERN_DTLS_OVERHEAD);
    carry(s, record, (size_t)n);
}

static void hear(side *s, const char *text)
{
    assert_true(s->head < s->tail);
    size_t at = s->head++ % QUEUE;
    tern_span d = {s->data[at], s->len[at]}, plain;
    uint8_t type;
    assert_int_equal(tern_dtls_engine_open(s->e, &d, &type, &plain), 1);
    assert_int_equal(type, TERN_DTLS_DATA);
    assert_int_equal(plain.len, strlen(text));
    assert_memory_equal(plain.data, text, plain.len);
}

static void handshake_and_data(void **state)
{
    (void)state;
    pair p;
    make(&p, NULL);
    assert_int_equal(run(&p, 0), 0);
    finish(&p.client);
    finish(&p.server);
    assert_memory_equal(tern_dtls_engine_fingerprint(p.client.e), p.fingerprint, 32);
    assert_memory_equal(tern_dtls_engine_fingerprint(p.server.e), p.fingerprint, 32);
    for (int i = 0; i < 200; i++) {
        say(&p.client, "from the client");
        say(&p.server, "from the server");
        hear(&p.server, "from the client");
        hear(&p.client, "from the server");
    }
    tern_dtls_engine_close(p.client.e);
    size_t at = p.server.head++ % QUEUE;
    tern_span d = {p.server.data[at], p.server.len[at]}, plain;
    uint8_t type;
    assert_int_equal(tern_dtls_engine_open(p.server.e, &d, &type, &plain), 1);
    assert_int_equal(type, TERN_DTLS_ALERT);
    assert_memory_equal(plain.data, "\1\0", 2);
    clear(&p);
}

static void cookies_cost_a_round_trip(void **state)
{
    (void)state;
    pair p, q;
    const uint8_t cookie[TERN_DTLS_COOKIE] = "fifteen letters";
    make(&p, NULL);
    run(&p, 0);
    make(&q, cookie);
    run(&q, 0);
    finish(&q.client);
    finish(&q.server);
    assert_int_equal(q.server.sent, p.server.sent + 1);
    clear(&p);
    clear(&q);
}

/* Each datagram of each side is lost in turn, and each pair of neighbours. */
static void losses(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 12; n++) {
        for (unsigned width = 1; width <= 2; width++) {
            for (int who = 0; who < 2; who++) {
                pair p;
                make(&p, NULL);
                side *s = who ? &p.client : &p.server;
                s->lose_from = n;
                s->lose_to = n + width;
                assert_true(run(&p, 6) < UINT64_C(10000000000));
                finish(&p.client);
                finish(&p.server);
                clear(&p);
            }
        }
    }
}

static void replays_and_forgeries(void **state)
{
    (void)state;
    pair p;
    uint8_t type;
    tern_span plain;
    make(&p, NULL);
    run(&p, 0);
    finish(&p.client);
    finish(&p.server);
    say(&p.client, "once");
    size_t at = p.server.head % QUEUE;
    uint8_t copy[ROOM];
    size_t n = p.server.len[at];
    memcpy(copy, p.server.data[at], n);
    hear(&p.server, "once");
    tern_span d = {copy, n};
    assert_int_equal(tern_dtls_engine_open(p.server.e, &d, &type, &plain), TERN_E_STATE);
    assert_int_equal(d.len, 0);
    for (size_t i = 0; i < n; i++) { /* any bit of it changed */
        say(&p.client, "twice");
        at = p.server.head++ % QUEUE;
        p.server.data[at][i] ^= 1;
        d = (tern_span){p.server.data[at], p.server.len[at]};
        int r = tern_dtls_engine_open(p.server.e, &d, &type, &plain);
        assert_true(r < 0 || (r == 1 && i == 1));
    }
    /* Data of epoch 0, as pion once took it. */
    static const uint8_t naked[] = {23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 'h', 'i'};
    d = (tern_span){naked, sizeof naked};
    assert_int_equal(tern_dtls_engine_open(p.server.e, &d, &type, &plain), TERN_E_STATE);
    for (size_t i = 0; i < TERN_DTLS_HEADER; i++) {
        d = (tern_span){naked, i};
        assert_int_equal(tern_dtls_engine_open(p.server.e, &d, &type, &plain),
                         i == 0 ? 0 : TERN_E_MALFORMED);
    }
    say(&p.client, "alive");
    hear(&p.server, "alive");
    clear(&p);
}

static void garbage(void **state)
{
    (void)state;
    pair p;
    make(&p, NULL);
    uint8_t junk[600];
    uint32_t seed = 1;
    for (unsigned i = 0; i < 2000 && !p.server.failed; i++) {
        size_t n = 1 + i % 599;
        for (size_t k = 0; k < n; k++) {
            seed = seed * 1664525 + 1013904223;
            junk[k] = (uint8_t)(seed >> 24);
        }
        junk[0] = 22;
        if (n > 4 && i % 2) {
            junk[1] = 0xfe;
            junk[2] = 0xfd;
            junk[3] = junk[4] = 0;
        }
        step(&p, &p.server, (tern_span){junk, n});
        assert_false(p.server.done);
    }
    clear(&p);
}

static void too_long(void **state)
{
    (void)state;
    pair p;
    make(&p, NULL);
    static const uint8_t old[1000] = {22, 0xfe, 0xfd, 0, 7}; /* of another epoch: dropped */
    for (unsigned i = 0; i < 100 && !p.server.failed; i++) {
        step(&p, &p.server, (tern_span){old, sizeof old});
    }
    assert_true(p.server.failed);
    assert_int_equal(p.server.why.code, TERN_E_TOO_LARGE);
    clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake_and_data),
        cmocka_unit_test(cookies_cost_a_round_trip),
        cmocka_unit_test(losses),
        cmocka_unit_test(replays_and_forgeries),
        cmocka_unit_test(garbage),
        cmocka_unit_test(too_long),
    };
    return TERN_TEST_MAIN(tests);
}
