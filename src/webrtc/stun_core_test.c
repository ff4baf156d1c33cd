/* STUN and ICE's rules: the published vectors of RFC 5769, section 2, every cut and every changed
 * byte of them, and the user names of both schemes. */
#include "webrtc/ice_core.h"

#include <stdio.h>

#include <tern/error.h>

#include "base/test.h"

#define PASSWORD "VOkJxbRl1RmTxUk/WvJxBt"
#define REQUEST                                                                                    \
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74"             \
    "002400046e0001ff80290008932ff9b151263b36000600096576746a3a6836765920202000080014"             \
    "9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
#define ANSWER_4                                                                                   \
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"                     \
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"                     \
    "80280004c07d4c96"
#define ANSWER_6                                                                                   \
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"                     \
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf1"                     \
    "1784c97c8292c275bfe3ed4180280004c8fb0b4c"

static const tern_span password = {(const uint8_t *)PASSWORD, 22};

static void the_published_request(void **state)
{
    (void)state;
    uint8_t p[256];
    size_t n = tern_test_unhex(p, sizeof p, REQUEST);
    tern_stun m;
    assert_int_equal(tern_stun_read(p, n, &m), 0);
    assert_int_equal(m.type, TERN_STUN_REQUEST);
    assert_int_equal(m.username.len, 9);
    assert_memory_equal(m.username.data, "evtj:h6vY", 9);
    assert_int_equal(m.priority, 0x6e0001ff);
    assert_true(m.controlled && !m.controlling && m.fingerprint && !m.unknown);
    assert_true(tern_stun_verify(p, &m, password));
    assert_false(tern_stun_verify(p, &m, (tern_span){password.data, 21}));
}

static void the_published_answers(void **state)
{
    (void)state;
    static const struct {
        const char *hex, *address;
    } cases[] = {{ANSWER_4, "192.0.2.1:32853"},
                 {ANSWER_6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"}};
    for (size_t i = 0; i < 2; i++) {
        uint8_t p[256];
        char text[TERN_ENDPOINT_TEXT];
        size_t n = tern_test_unhex(p, sizeof p, cases[i].hex);
        tern_stun m;
        assert_int_equal(tern_stun_read(p, n, &m), 0);
        assert_int_equal(m.type, TERN_STUN_SUCCESS);
        assert_true(tern_stun_verify(p, &m, password));
        assert_string_equal(tern_endpoint_text(text, &m.mapped), cases[i].address);
    }
}

/* Each cut is refused; each changed byte is noticed by the fingerprint. */
static void cuts_and_changes(void **state)
{
    (void)state;
    static const char *const vectors[] = {REQUEST, ANSWER_4, ANSWER_6};
    for (size_t k = 0; k < 3; k++) {
        uint8_t p[256];
        size_t n = tern_test_unhex(p, sizeof p, vectors[k]);
        tern_stun m;
        for (size_t i = 0; i < n; i++) {
            uint8_t *cut = tern_memdup(p, i > 0 ? i : 1);
            assert_int_equal(tern_stun_read(cut, i, &m), TERN_E_MALFORMED);
            tern_free(cut);
            for (unsigned bit = 0; bit < 8; bit++) {
                p[i] ^= (uint8_t)(1 << bit);
                int e = tern_stun_read(p, n, &m);
                assert_true(e != 0 || !m.fingerprint || !tern_stun_verify(p, &m, password));
                p[i] ^= (uint8_t)(1 << bit);
            }
        }
    }
    static const uint8_t large[TERN_STUN_MAX + 1];
    tern_stun m;
    assert_int_equal(tern_stun_read(large, sizeof large, &m), TERN_E_TOO_LARGE);
}

static tern_span text(const char *s)
{
    return (tern_span){(const uint8_t *)s, strlen(s)};
}

#define RANDOM "abcdefghijklmnopqrstuv"
#define V1     "libp2p+webrtc+v1/" RANDOM
#define V2     "libp2p+webrtc+v2/" RANDOM

static void user_names(void **state)
{
    (void)state;
    static const char *const good[] = {V1 ":" V1, V2 ":abcd", V2 ":" V2, V2 "+/09AZ:ab/+"};
    static const char *const bad[] = {"",
                                      ":",
                                      "evtj:h6vY",
                                      V1,
                                      V1 ":" V2,
                                      V1 ":" V1 "a",
                                      V2 ":abc",
                                      V2 ":",
                                      ":" V2,
                                      "libp2p+webrtc+v3/" RANDOM ":abcd",
                                      "libp2p+webrtc+v2/abcdefghijklmnopqrstu:abcd",
                                      V2 "\r\n:abcd",
                                      V2 ":ab\ncd",
                                      V2 ":ab:cd",
                                      V2 " :abcd",
                                      "libp2p+webrtc+v1/:libp2p+webrtc+v1/",
                                      "Libp2p+webrtc+v2/" RANDOM ":abcd"};
    tern_ice_user u;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(tern_ice_read_user(text(good[i]), &u), 0);
        assert_int_equal(u.version, i == 0 ? 1 : 2);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(tern_ice_read_user(text(bad[i]), &u), TERN_E_PROTOCOL);
    }
    char longest[600];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, V2, strlen(V2));
    longest[256] = ':';
    assert_int_equal(tern_ice_read_user((tern_span){(uint8_t *)longest, 257 + 256}, &u), 0);
    assert_int_equal(tern_ice_read_user((tern_span){(uint8_t *)longest, 257 + 257}, &u),
                     TERN_E_PROTOCOL);
    longest[256] = 'a';
    longest[257] = ':';
    assert_int_equal(tern_ice_read_user((tern_span){(uint8_t *)longest, 258 + 9}, &u),
                     TERN_E_PROTOCOL);
}

static void client_of(tern_ice_client *c, unsigned version, uint8_t factor)
{
    uint8_t random[TERN_ICE_SEED];
    for (uint8_t i = 0; i < TERN_ICE_SEED; i++) {
        random[i] = (uint8_t)(i * factor);
    }
    tern_ice_client_init(c, version, random);
}

static void a_check_and_its_answer(void **state)
{
    (void)state;
    uint8_t id[TERN_STUN_ID] = {1, 2, 3}, p[TERN_STUN_MAX], q[TERN_STUN_MAX];
    tern_ice_client c;
    tern_stun m, answer;
    tern_ice_user u;
    tern_endpoint from, seen;
    static const char *const addresses[] = {"192.0.2.7", "2001:db8::7"};
    for (unsigned i = 0; i < 4; i++) {
        unsigned version = 1 + i / 2;
        client_of(&c, version, 7);
        ssize_t n = tern_ice_client_check(&c, id, p);
        assert_true(n > 0);
        assert_int_equal(tern_ice_judge(p, (size_t)n, NULL, &m, &u), TERN_ICE_CHECK);
        assert_true(m.use_candidate && m.controlling);
        assert_int_equal(u.version, version);
        assert_int_equal(u.client.len, version == 1 ? TERN_ICE_NAME : TERN_ICE_UFRAG);
        assert_int_equal(tern_endpoint_parse_ip(&from, addresses[i % 2]), 0);
        from.port = 4242;
        ssize_t k = tern_ice_answer(q, TERN_ICE_CHECK, &m, (size_t)n, &u, &from);
        assert_true(k > 0 && k < n);
        assert_int_equal(tern_ice_judge(q, (size_t)k, &c, &answer, &u), TERN_ICE_ANSWER);
        assert_true(tern_ice_client_confirmed(&c, q, &answer, &seen));
        assert_true(tern_endpoint_eq(&seen, &from));
        c.id[0] ^= 1; /* an answer to another check */
        assert_false(tern_ice_client_confirmed(&c, q, &answer, &seen));
    }
}

/* A check of the server's, which the client answers: the halves of the user name the other way
 * round, under the client's password. */
static void the_server_checks_back(void **state)
{
    (void)state;
    for (unsigned version = 1; version <= 2; version++) {
        tern_ice_client c, other;
        tern_ice_user u;
        tern_stun m, answer;
        tern_endpoint from = {.family = 4, .port = 4001};
        uint8_t p[TERN_STUN_MAX], q[TERN_STUN_MAX];
        char user[2 * TERN_ICE_NAME + 2];
        client_of(&c, version, 7);
        client_of(&other, version, 11);
        int ours = version == 1 ? TERN_ICE_NAME : TERN_ICE_UFRAG;
        snprintf(user, sizeof user, "%.*s:%.*s", ours, version == 1 ? c.name : c.ufrag,
                 TERN_ICE_NAME, c.name);
        size_t skip = version == 1 ? 0 : TERN_ICE_PREFIX;
        const tern_span key = {(const uint8_t *)c.name + skip, TERN_ICE_NAME - skip};
        tern_stun_request r = {.username = text(user), .password = key, .priority = 1};
        size_t n = (size_t)tern_stun_put_request(p, &r);
        assert_int_equal(tern_ice_judge(p, n, &c, &m, &u), TERN_ICE_CHECK);
        assert_int_equal(tern_ice_judge(p, n, &other, &m, &u), TERN_ICE_BAD_USER);
        assert_int_equal(tern_ice_judge(p, n, &c, &m, &u), TERN_ICE_CHECK);
        ssize_t k = tern_ice_answer(q, TERN_ICE_CHECK, &m, n, &u, &from);
        assert_true(k > 0);
        assert_int_equal(tern_stun_read(q, (size_t)k, &answer), 0);
        assert_true(tern_stun_verify(q, &answer, key));
        r.password = text("another password than ours");
        n = (size_t)tern_stun_put_request(p, &r);
        assert_int_equal(tern_ice_judge(p, n, &c, &m, &u), TERN_ICE_FORGED);
        n = (size_t)tern_ice_client_check(&c, r.id, p); /* its own, reflected */
        assert_int_equal(tern_ice_judge(p, n, &c, &m, &u),
                         version == 1 ? TERN_ICE_CHECK : TERN_ICE_BAD_USER);
    }
}

static void verdicts(void **state)
{
    (void)state;
    uint8_t p[TERN_STUN_MAX];
    tern_stun m;
    tern_ice_user u;
    tern_stun_request r = {.username = text(V2 ":abcd"), .password = text(V2), .priority = 1};
    ssize_t n = tern_stun_put_request(p, &r);
    assert_int_equal(tern_ice_judge(p, (size_t)n, NULL, &m, &u), TERN_ICE_CHECK);
    p[40] ^= 1;
    assert_int_equal(tern_ice_judge(p, (size_t)n, NULL, &m, &u), TERN_ICE_FORGED);
    r.password = text(V1);
    n = tern_stun_put_request(p, &r);
    assert_int_equal(tern_ice_judge(p, (size_t)n, NULL, &m, &u), TERN_ICE_FORGED);
    r.username = text("some:body");
    n = tern_stun_put_request(p, &r);
    assert_int_equal(tern_ice_judge(p, (size_t)n, NULL, &m, &u), TERN_ICE_BAD_USER);
    n = (ssize_t)tern_test_unhex(p, sizeof p, REQUEST);
    assert_int_equal(tern_ice_judge(p, (size_t)n, NULL, &m, &u), TERN_ICE_BAD_USER);
    assert_int_equal(tern_ice_judge((const uint8_t *)"\1\2\3", 3, NULL, &m, &u),
                     TERN_ICE_MALFORMED);
    static const char bare[] = "000100002112a442000102030405060708090a0b";
    n = (ssize_t)tern_test_unhex(p, sizeof p, bare);
    assert_int_equal(tern_ice_judge(p, (size_t)n, NULL, &m, &u), TERN_ICE_BAD_USER);
    p[1] = 0x11;
    assert_int_equal(tern_ice_judge(p, (size_t)n, NULL, &m, &u), TERN_ICE_NOTHING);
    p[1] = 3; /* allocate: TURN's */
    assert_int_equal(tern_ice_judge(p, (size_t)n, NULL, &m, &u), TERN_ICE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_request),
        cmocka_unit_test(the_published_answers),
        cmocka_unit_test(cuts_and_changes),
        cmocka_unit_test(user_names),
        cmocka_unit_test(a_check_and_its_answer),
        cmocka_unit_test(the_server_checks_back),
        cmocka_unit_test(verdicts),
    };
    return TERN_TEST_MAIN(tests);
}
