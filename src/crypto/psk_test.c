/* The keys of private networks: what a key file may look like, and the fingerprint that kubo and
 * go-libp2p give the same key. */
#include <tern/psk.h>

#include "base/bytes.h"
#include "base/test.h"

#define HEAD "/key/swarm/psk/1.0.0/\n"
#define HEX  "6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683"
#define B64  "YYnFzwuH+4AMGp/u2nPGq16ZjbSPueapeFdcdwzu9oM"

static int parse(const char *text, size_t n, uint8_t *out)
{
    tern_error error;
    memset(out, 0xaa, TERN_PSK);
    int code = tern_psk_parse(text, n, out, &error);
    if (code != 0) {
        assert_int_equal(error.code, code);
        assert_int_equal(out[0], 0xaa); /* written only on success */
    }
    return code;
}

static void reads_every_encoding(void **state)
{
    static const char *const texts[] = {
        HEAD "/base16/\n" HEX "\n",
        HEAD "/base16/\n" HEX,
        "/key/swarm/psk/1.0.0/\r\n/base16/\r\n" HEX "\r\n",
        HEAD "/base64/\n" B64 "=\n",
        HEAD "/base64/\n" B64 "\n",
    };
    uint8_t expected[TERN_PSK], got[TERN_PSK];
    (void)state;
    tern_unhex(expected, sizeof expected, HEX, 64);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(parse(texts[i], strlen(texts[i]), got), 0);
        assert_memory_equal(got, expected, TERN_PSK);
    }
    char bin[80] = HEAD "/bin/\n";
    size_t n = strlen(bin);
    memcpy(bin + n, expected, TERN_PSK);
    assert_int_equal(parse(bin, n + TERN_PSK, got), 0);
    assert_memory_equal(got, expected, TERN_PSK);
    bin[n + TERN_PSK] = '\n';
    assert_int_equal(parse(bin, n + TERN_PSK + 1, got), 0);
}

static void refuses_what_is_no_key(void **state)
{
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        {"", TERN_E_MALFORMED},
        {"/key/swarm/", TERN_E_MALFORMED},
        {"/key/swarm/psk/1.0.0", TERN_E_UNSUPPORTED},
        {"/key/swarm/psk/2.0.0/\n/base16/\n" HEX, TERN_E_UNSUPPORTED},
        {HEAD, TERN_E_UNSUPPORTED},
        {HEAD "/base32/\n" HEX, TERN_E_UNSUPPORTED},
        {HEAD "/base16/\n", TERN_E_MALFORMED},
        {HEAD "/base16/\n" HEX "00\n", TERN_E_MALFORMED},
        {HEAD "/base16/\n6189\n", TERN_E_MALFORMED},
        {HEAD "/base16/\nx" HEX "\n", TERN_E_MALFORMED},
        {HEAD "/base64/\nYYnF\n", TERN_E_MALFORMED},
        {HEAD "/base64/\n====\n", TERN_E_MALFORMED},
        {HEAD "/bin/\n" HEX, TERN_E_MALFORMED},
        {HEAD "/bin/\n", TERN_E_MALFORMED},
    };
    uint8_t got[TERN_PSK];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(parse(rows[i].text, strlen(rows[i].text), got), rows[i].code);
    }
}

static void writes_what_it_reads(void **state)
{
    uint8_t key[TERN_PSK], got[TERN_PSK];
    char text[TERN_PSK_TEXT];
    (void)state;
    tern_psk_generate(key);
    tern_psk_text(key, text);
    assert_int_equal(parse(text, strlen(text), got), 0);
    assert_memory_equal(got, key, TERN_PSK);
}

static void fingerprints_as_the_others_do(void **state)
{
    uint8_t key[TERN_PSK], got[TERN_PSK_FINGERPRINT], expected[TERN_PSK_FINGERPRINT];
    (void)state;
    tern_unhex(key, sizeof key, HEX, 64);
    tern_unhex(expected, sizeof expected, "45fc986bbc9388a11d939df26f730f0c", 32);
    assert_int_equal(tern_psk_fingerprint(key, got), 0);
    assert_memory_equal(got, expected, sizeof got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_encoding),
        cmocka_unit_test(refuses_what_is_no_key),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(fingerprints_as_the_others_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
