/* Handshakes that somebody changes on their way: every bit, every message, what comes behind. An
 * end notices; both are never done with one that they see differently. */
#include "tls/ends_test.h"

/* ---- one change ---- */

typedef struct change {
    unsigned at; /* which message */
    enum { FLIP, DROP, REPEAT, SWAP, LEVEL, BEHIND } what;
    size_t bit; /* to flip; or the level */
    bool came;  /* there was such a message, and such a bit */
    end_message held;
} change;

static bool make(ends *both, end *to, end_message *m)
{
    change *c = both->use;
    static const uint8_t byte[] = {TLS_FINISHED};
    if (both->count == c->at + 1 && c->held.bytes != NULL) { /* the one that is to come first */
        end_feed(to, m->level, m->bytes, m->n);
        m = &c->held;
    } else if (both->count != c->at) {
        return false;
    }
    c->came = c->what != FLIP || c->bit < 8 * m->n;
    switch (c->what) {
    case FLIP:
        if (c->came) {
            m->bytes[c->bit / 8] ^= (uint8_t)(1u << c->bit % 8);
        }
        return false;
    case DROP:
        return true;
    case REPEAT:
        end_feed(to, m->level, m->bytes, m->n);
        return false;
    case SWAP:
        if (m == &c->held) {
            end_feed(to, m->level, m->bytes, m->n);
        }
        c->held = *m;
        return true;
    case LEVEL:
        c->came = (tern_level)c->bit != m->level;
        m->level = (tern_level)c->bit;
        return false;
    default:
        end_feed(to, m->level, m->bytes, m->n);
        end_feed(to, m->level, byte, 1);
        return true;
    }
}

/* Whether there was anything to change. *ret_error: what the first that failed said. */
static bool change_one(int kind, change c, int *ret_error)
{
    scene s = {.both = {.on_way = make, .use = &c}};
    scene_begin(&s, kind);
    ends_run(&s.both);
    *ret_error = s.both.c.error != 0 ? s.both.c.error : s.both.s.error;
    if (c.came) {
        assert_false(ends_done(&s.both));
        const end *all[] = {&s.both.c, &s.both.s};
        for (int i = 0; i < 2; i++) {
            assert_non_null(tern_handshake_why(all[i]->h));
            assert_true(all[i]->error == 0 || !tern_handshake_done(all[i]->h));
        }
    }
    ends_clear(&s.both);
    return c.came;
}

static void test_bits(void **state)
{
    int error;
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        size_t bits = 0;
        for (unsigned at = 0;; at++) {
            size_t bit = 0;
            while (change_one(kind, (change){.at = at, .what = FLIP, .bit = bit}, &error)) {
                bit++;
            }
            bits += bit;
            if (bit == 0) {
                assert_int_equal(at, kind == FULL ? 10 : kind == EARLY ? 5 : 7);
                break;
            }
        }
        assert_true(bits > 8 * (kind == FULL ? 1000 : 400));
    }
}

/* Each is left out, comes twice, or changes places with the next. */
static void test_messages(void **state)
{
    static const unsigned count[] = {[FULL] = 10, [EARLY] = 5, [RETRIED] = 7};
    int error;
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        for (unsigned at = 0; at < count[kind]; at++) {
            assert_true(change_one(kind, (change){.at = at, .what = DROP}, &error));
            assert_true(change_one(kind, (change){.at = at, .what = REPEAT}, &error));
            assert_int_equal(error, TERN_E_PROTOCOL);
            change_one(kind, (change){.at = at, .what = SWAP}, &error);
            for (size_t level = 0; level < END_LEVELS; level++) {
                if (change_one(kind, (change){.at = at, .what = LEVEL, .bit = level}, &error)) {
                    assert_int_equal(error, TERN_E_PROTOCOL);
                }
            }
        }
    }
}

/* Where keys change nothing may be left (RFC 8446, section 5.1; RFC 9001, section 4.1.3), not even
 * the beginning of something. */
static void test_rest(void **state)
{
    static const struct {
        int kind;
        unsigned at;
    } last[] = {{FULL, 0}, {FULL, 1}, {FULL, 6}, {FULL, 9}, {EARLY, 0}, {EARLY, 3}, {RETRIED, 3}};
    int error;
    (void)state;
    for (size_t i = 0; i < sizeof last / sizeof *last; i++) {
        change_one(last[i].kind, (change){.at = last[i].at, .what = BEHIND}, &error);
        assert_int_equal(error, TERN_E_PROTOCOL);
    }
}

/* ---- lengths ---- */

/* What cannot come here is not collected, and nothing is beyond its limit. */
static void test_lengths(void **state)
{
    static const uint8_t types[] = {0, 1, 2, 4, 5, 8, 11, 13, 15, 20, 24, 254, 255};
    static const uint32_t lengths[] = {(16 << 10) + 1, 0x20000, 0xffffff};
    (void)state;
    for (size_t i = 0; i < sizeof types * 3 * 2; i++) {
        ends both = {.s.answer = {.tickets = -1}};
        const tern_handshake_config config = end_client_config();
        uint32_t n = lengths[i % 3];
        const uint8_t head[] = {types[i / 6], (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
        ends_begin(&both, &config);
        end *e = i % 6 < 3 ? &both.c : &both.s;
        assert_int_equal(end_feed(e, TERN_LEVEL_INITIAL, head, sizeof head), TERN_E_TOO_LARGE);
        assert_int_equal(tern_handshake_alert(e->h), TERN_ALERT_DECODE_ERROR);
        ends_clear(&both);
    }
    for (int i = 0; i < 2;
         i++) { /* a ticket at its longest, and a byte more; after the handshake */
        ends both = {.s.answer = {.tickets = -1}};
        const tern_handshake_config config = end_client_config();
        const uint32_t n = (1 << 17) + 512 + (uint32_t)i;
        const uint8_t head[] = {4, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
        ends_begin(&both, &config);
        ends_run(&both);
        ends_check(&both);
        assert_int_equal(end_feed(&both.c, TERN_LEVEL_TRAFFIC, head, sizeof head),
                         i ? TERN_E_TOO_LARGE : 0);
        assert_true(end_feed(&both.s, TERN_LEVEL_TRAFFIC, head, sizeof head) < 0);
        ends_clear(&both);
    }
}

/* ---- tickets ---- */

typedef struct given {
    uint32_t lifetime;
    uint8_t nonce;
    uint16_t ticket;
    const char *extensions;
    size_t n;
    tern_alert alert; /* 0: none */
    unsigned tickets; /* that the owner sees */
} given;

static void hear_ticket(end *client, const given *g)
{
    tls_out o = {.failed = false};
    static const uint8_t zeros[UINT16_MAX];
    size_t message = tls_open_message(&o, TLS_NEW_SESSION_TICKET);
    tls_put32(&o, g->lifetime);
    tls_put32(&o, 7);
    tls_put8(&o, g->nonce);
    tls_put(&o, zeros, g->nonce);
    tls_put16(&o, g->ticket);
    tls_put(&o, zeros, g->ticket);
    tls_put16(&o, (uint16_t)g->n);
    tls_put(&o, g->extensions, g->n);
    TLS_CLOSE_MESSAGE(&o, message);
    assert_false(o.failed);
    end_feed(client, TERN_LEVEL_TRAFFIC, tern_buf_data(&o.buf), tern_buf_len(&o.buf));
    tern_buf_free(&o.buf);
}

static void test_tickets(void **state)
{
    static const given all[] = {
        {1, 1, 1, NULL, 0, 0, 1},
        {UINT32_MAX, 0, 4096, BYTES("\xfa\xfa\0\1x"), 0, 1},
        {0, 1, 1, NULL, 0, 0, 0},    /* to be dropped at once */
        {1, 1, 4097, NULL, 0, 0, 0}, /* longer than we keep */
        {1, 1, UINT16_MAX, NULL, 0, 0, 0},
        {1, 48, 1, NULL, 0, 0, 1},
        {1, 49, 1, NULL, 0, 0, 0},
        {1, 255, 1, NULL, 0, 0, 0},
        {1, 1, 0, NULL, 0, TERN_ALERT_DECODE_ERROR, 0},
        {1, 1, 1, BYTES("\0"), TERN_ALERT_DECODE_ERROR, 0},
        {1, 1, 1, BYTES("\0\52\0\4\xff\xff\xff\xff"), 0, 1},
        {1, 1, 1, BYTES("\0\52\0\4\xff\xff\xff\xfe"), TERN_ALERT_ILLEGAL_PARAMETER, 0},
        {1, 1, 1, BYTES("\0\52\0\3\xff\xff\xff"), TERN_ALERT_DECODE_ERROR, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        scene s = {.psk.cipher = 0};
        scene_begin(&s, FULL);
        ends_run(&s.both);
        ends_check(&s.both);
        hear_ticket(&s.both.c, &all[i]);
        assert_int_equal(s.both.c.error < 0, all[i].alert != 0);
        assert_int_equal(s.both.c.tickets, all[i].tickets);
        if (all[i].alert != 0) {
            assert_int_equal(tern_handshake_alert(s.both.c.h), all[i].alert);
        } else if (all[i].tickets > 0) {
            assert_int_equal(s.both.c.ticket.lifetime,
                             all[i].lifetime == 1 ? 1 : 7 * 24 * 3600); /* section 4.6.1 */
            assert_int_equal(s.both.c.ticket.early, all[i].n == 8);
        }
        ends_clear(&s.both);
    }
}

/* With any bit of it changed: taken, dropped or refused. A server takes none at all. */
static void test_ticket_bits(void **state)
{
    bool more = true;
    (void)state;
    for (size_t bit = 0; more; bit++) {
        tern_psk psk;
        scene s = {.psk.cipher = 0};
        scene_begin(&s, FULL);
        ends_run(&s.both);
        assert_int_equal(tern_handshake_give(s.both.s.h, (tern_span){(const uint8_t *)"ticket", 6},
                                             7200, 1, true, &psk),
                         0);
        end_message *m = end_next(&s.both.s);
        assert_int_equal(end_feed(&s.both.s, m->level, m->bytes, m->n), TERN_E_PROTOCOL);
        more = bit + 1 < 8 * m->n;
        m->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        end_feed(&s.both.c, m->level, m->bytes, m->n);
        assert_true(s.both.c.tickets == 0 || s.both.c.error == 0);
        ends_clear(&s.both);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits),    cmocka_unit_test(test_messages),
        cmocka_unit_test(test_rest),    cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_tickets), cmocka_unit_test(test_ticket_bits)};
    return TERN_TEST_MAIN(tests);
}
