/* Handshakes that somebody changes on their way: every bit, every message, every extension. An end
 * notices, and says which rule was broken; both are never done with one that they see differently.
 */
#include "tls/ends_test.h"

enum { NO_GROUP = 0x1a1a, UNKNOWN = 0xfafa };

/* ---- kinds of handshakes ---- */

enum { FULL, EARLY, RETRIED, KINDS };

typedef struct scene {
    ends both;
    tern_ticket ticket;
    tern_psk psk;
} scene;

static void begin(scene *s, int kind)
{
    tern_handshake_config config = end_client_config();
    s->both.s.answer = (tern_answer){.ask = true, .tickets = 2};
    if (kind != FULL) {
        static tern_ticket ticket; /* the same for all: only one key changes hands */
        static tern_psk psk;
        if (ticket.bytes.len == 0) {
            ends_ticket(0, true, &ticket, &psk);
        }
        s->ticket = ticket;
        s->psk = psk;
        config.ticket = &s->ticket;
        config.early = true;
        s->both.s.answer.psk = &s->psk;
        s->both.s.answer.early = true;
    }
    if (kind == RETRIED) {
        s->both.c.no_share = s->both.c.no_group = NO_GROUP;
    }
    ends_begin(&s->both, &config);
}

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
    begin(&s, kind);
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
        begin(&s, edits[i].kind);
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

#define BYTES(text) (text), sizeof(text) - 1

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
    unsigned at; /* message of a full handshake */
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
        {0, TLS_HEAD + 2 + TLS_RANDOM, BYTES("\41"), TERN_ALERT_DECODE_ERROR},
        {0, END_SUITES + 6, BYTES("\0"), TERN_ALERT_DECODE_ERROR},      /* no compression method */
        {0, END_SUITES + 7, BYTES("\1"), TERN_ALERT_ILLEGAL_PARAMETER}, /* one */
        {0, END_SUITES, BYTES("\0\0\0\0\0\0"), TERN_ALERT_HANDSHAKE_FAILURE},
        {1, TLS_HEAD, BYTES("\3\4"), TERN_ALERT_ILLEGAL_PARAMETER},
        {1, SUITE, BYTES("\x13\x04"), TERN_ALERT_ILLEGAL_PARAMETER},
        {1, SUITE + 2, BYTES("\1"), TERN_ALERT_ILLEGAL_PARAMETER}, /* compression */
        {1, TLS_HEAD,
         BYTES("\3\3\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"
               "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"),
         TERN_ALERT_DECODE_ERROR},                           /* a request with a whole key */
        {4, TLS_HEAD, BYTES("\1"), TERN_ALERT_DECODE_ERROR}, /* Certificate: context */
        {4, TLS_HEAD + 1, BYTES("\0\0\0"), TERN_ALERT_DECODE_ERROR},
        {5, TLS_HEAD, BYTES("\4\1"), TERN_ALERT_ILLEGAL_PARAMETER}, /* PKCS#1 is for certificates */
        {5, TLS_HEAD, BYTES("\5\3"), TERN_ALERT_ILLEGAL_PARAMETER}, /* P-384 of a key of P-256 */
        {5, TLS_HEAD, BYTES("\2\3"), TERN_ALERT_ILLEGAL_PARAMETER}, /* SHA-1 */
        {6, 0, BYTES("\24\0\0\37"), TERN_ALERT_DECODE_ERROR},       /* Finished, cut */
        {8, TLS_HEAD, BYTES("\4\1"), TERN_ALERT_ILLEGAL_PARAMETER}, /* the client's */
    };
    (void)state;
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
        scene s = {.both = {.on_way = patch_it, .use = (void *)(uintptr_t)&patches[i]}};
        begin(&s, FULL);
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

/* A server that answers what was not asked: a client without ticket_request, and one whose protocol
 * is another's. */
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
        begin(&s, FULL);
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
        begin(&s, FULL);
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
        cmocka_unit_test(test_bits),         cmocka_unit_test(test_messages),
        cmocka_unit_test(test_rest),         cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_client_hello), cmocka_unit_test(test_server_hello),
        cmocka_unit_test(test_places),       cmocka_unit_test(test_encrypted_extensions),
        cmocka_unit_test(test_unasked),      cmocka_unit_test(test_tickets),
        cmocka_unit_test(test_ticket_bits)};
    return TERN_TEST_MAIN(tests);
}
