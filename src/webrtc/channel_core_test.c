/* Frames on data channels: the bytes of the specification, each input also byte by byte. */
#include "webrtc/channel_core.h"

#include <stdio.h>

#include <tern/error.h>

#include "base/test.h"

/* Everything that a reader says, as text: "hi" for bytes, [flag] or [flag:code], !code at the end.
 */
static void read_all(char *out, size_t cap, const char *hex, size_t piece)
{
    uint8_t bytes[600];
    size_t n = tern_test_unhex(bytes, sizeof bytes, hex), len = 0;
    tern_frame_reader r = {0};
    out[0] = '\0';
    int got = 1; /* after an event there may be another without a further byte */
    for (size_t at = 0; at < n || got == 1;) {
        size_t k = n - at < piece ? n - at : piece, used = 0;
        uint8_t *copy = tern_memdup(bytes + at, k > 0 ? k : 1);
        tern_frame_event e;
        got = tern_frame_read(&r, copy, k, &used, &e);
        assert_true(used <= k && (got != 0 || used == k));
        at += used;
        if (got == 1 && e.kind == TERN_FRAME_BYTES) {
            assert_true(e.n > 0 && len + e.n < cap);
            memcpy(out + len, e.data, e.n);
            len += e.n;
            out[len] = '\0';
        } else if (got == 1) {
            len +=
                (size_t)snprintf(out + len, cap - len, e.code ? "[%u:%u]" : "[%u]", e.flag, e.code);
        } else if (got < 0) {
            snprintf(out + len, cap - len, "!%s", got == TERN_E_TOO_LARGE ? "large" : "bad");
            tern_free(copy);
            return;
        }
        tern_free(copy);
    }
}

static void frames(void **state)
{
    static const struct {
        const char *hex, *said;
    } cases[] = {
        {"0412026869", "hi"},
        {"020800", "[0]"},
        {"020801", "[1]"},
        {"020802", "[2]"},
        {"020803", "[3]"},
        {"050802188120", "[2:4097]"},
        {"06080012026869", "hi[0]"}, /* the message comes first */
        {"06120268690800", "hi[0]"},
        {"04120268690412026869020800", "hihi[0]"},
        {"0000020800", "[0]"},                  /* nothing, twice */
        {"021200020800", "[0]"},                /* no bytes */
        {"020807", ""},                         /* a flag of tomorrow */
        {"082001120268693a00", "hi"},           /* unknown fields: a number, bytes */
        {"092d0102030412026869", "hi"},         /* fixed32 */
        {"0d29010203040506070812026869", "hi"}, /* fixed64 */
        {"8080808001", "!bad"},
        {"ffff7f", "!large"},
        {"81a010", "!large"},
        {"0212056869", "!bad"}, /* the message is longer than its frame */
        {"0108", "!bad"},       /* no value */
        {"020a00", "!bad"},     /* a flag that is bytes */
        {"021005", "!bad"},     /* a message that is a number */
        {"020000", "!bad"},     /* field 0 */
        {"020b00", "!bad"},     /* a group */
        {"0d08ffffffffffffffffffffff00", "!bad"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char whole[100], parts[100];
        read_all(whole, sizeof whole, cases[i].hex, SIZE_MAX);
        for (size_t piece = 1; piece < 8; piece++) {
            read_all(parts, sizeof parts, cases[i].hex, piece);
            if (strcmp(whole, parts) != 0) {
                fail_msg("%s: \"%s\", in pieces of %zu \"%s\"", cases[i].hex, whole, piece, parts);
            }
        }
        if (strcmp(whole, cases[i].said) != 0) {
            fail_msg("%s: \"%s\" instead of \"%s\"", cases[i].hex, whole, cases[i].said);
        }
    }
}

static void written(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 123, 124, 125, 126, 127, 128, 8191, TERN_FRAME_MESSAGE};
    uint8_t out[TERN_FRAME_FLAG_ROOM];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        tern_frame_reader r = {0};
        tern_frame_event e;
        size_t used, prefix, n = tern_frame_head(out, sizes[i], &prefix);
        assert_true(n <= TERN_FRAME_HEAD_ROOM && n + sizes[i] <= 16384);
        assert_int_equal(tern_frame_read(&r, out, n, &used, &e), 0);
        assert_int_equal(r.body, sizes[i]);
        assert_int_equal(r.left, sizes[i]);
    }
    size_t prefix, n = tern_frame_head(out, TERN_FRAME_MESSAGE, &prefix);
    assert_int_equal(prefix, 2);
    assert_int_equal(n - prefix + TERN_FRAME_MESSAGE, 14 * 1132 - 20);
    assert_int_equal(tern_frame_flag(out, TERN_FLAG_FIN, 0), 3);
    assert_memory_equal(out, "\2\10\0", 3);
    assert_int_equal(tern_frame_flag(out, TERN_FLAG_RESET, 0x1001), 6);
    assert_memory_equal(out, "\5\10\2\30\201\40", 6);
}

static void dcep(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int code;
    } cases[] = {{"030000000000000000000000", 1},
                 {"030001000000000000000000", 1},
                 {"03000000000000000001000061", 1},
                 {"02", 0},
                 {"", TERN_E_MALFORMED},
                 {"03", TERN_E_MALFORMED},
                 {"0300000000000000000000", TERN_E_MALFORMED},
                 {"030000000000000000010000", TERN_E_MALFORMED},
                 {"038000000000000000000000", TERN_E_UNSUPPORTED},
                 {"030100000000000000000000", TERN_E_UNSUPPORTED},
                 {"040000000000000000000000", TERN_E_MALFORMED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t p[32];
        size_t n = tern_test_unhex(p, sizeof p, cases[i].hex);
        assert_int_equal(tern_dcep_read(p, n), cases[i].code);
    }
    assert_int_equal(tern_dcep_read(tern_dcep_open, sizeof tern_dcep_open), 1);
    assert_int_equal(tern_dcep_read(tern_dcep_ack, sizeof tern_dcep_ack), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(frames), cmocka_unit_test(written),
                                       cmocka_unit_test(dcep)};
    return TERN_TEST_MAIN(tests);
}
