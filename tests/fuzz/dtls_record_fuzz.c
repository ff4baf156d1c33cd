/* Records of DTLS 1.2: the input is steps of two bytes. A record is sealed with so many of the
 * input's bytes, perhaps damaged, doubled or cut, and opened by the other side; or the input's
 * bytes are a datagram themselves. What arrives whole and for the first time is what was sent;
 * nothing else is taken. */
#include <stdlib.h>
#include <string.h>

#include <tern/error.h>

#include "crypto/dtls_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { RAW, PLAIN, FLIP, CUT, TWICE, LATER, WHATS, KEPT_MAX = 8, ROOM = 600 };

typedef struct kept { /* a record that is sent later */
    uint8_t bytes[ROOM];
    size_t len, plain_len;
} kept;

static tern_dtls_records *from, *to;

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void begin(uint8_t first)
{
    tern_dtls_keys a = {.next = first + 1u, .heard = 1}, b = {.next = 2, .heard = first};
    for (size_t i = 0; i < TERN_DTLS_KEY; i++) {
        a.key[0][i] = b.key[1][i] = (uint8_t)(i + first);
        a.key[1][i] = b.key[0][i] = (uint8_t)(i ^ 0x5a);
    }
    from = tern_dtls_records_new(&a);
    to = tern_dtls_records_new(&b);
    check(from != NULL && to != NULL);
}

/* Opens all that is in a datagram; how many records were taken, the last one's plaintext. */
static unsigned open_all(uint8_t *bytes, size_t n, tern_span *ret_plain)
{
    tern_span datagram = {bytes, n};
    unsigned taken = 0;
    for (unsigned i = 0; i <= n / TERN_DTLS_HEADER + 1; i++) {
        uint8_t type, peeked = 0;
        uint16_t epoch;
        uint64_t sequence;
        size_t whole = 0, before = datagram.len;
        tern_span plain;
        bool is_record = tern_dtls_peek(datagram, &peeked, &epoch, &sequence, &whole);
        int got = tern_dtls_open(to, &datagram, &type, &plain);
        check(got == 1 || got == 0 || got == TERN_E_MALFORMED || got == TERN_E_CRYPTO ||
              got == TERN_E_STATE);
        if (got == 0 || got == TERN_E_MALFORMED) {
            return taken;
        }
        check(is_record && before - datagram.len == whole);
        if (got == 1) {
            check(epoch == 1 && type == peeked && plain.len + TERN_DTLS_OVERHEAD == whole);
            *ret_plain = plain;
            taken++;
        }
    }
    abort(); /* it went on for ever */
}

static void seal(kept *k, uint8_t type, const uint8_t *plain, size_t n)
{
    memcpy(k->bytes + TERN_DTLS_BEFORE, plain, n);
    ssize_t len = tern_dtls_seal(from, type, k->bytes, n);
    check(len == (ssize_t)(n + TERN_DTLS_OVERHEAD));
    k->len = (size_t)len;
    k->plain_len = n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    kept waiting[KEPT_MAX], k;
    size_t count = 0;
    if (n == 0) {
        return 0;
    }
    begin(data[0]);
    for (size_t at = 1; at + 1 < n;) {
        unsigned what = data[at] % WHATS;
        uint8_t arg = data[at + 1], copy[2 * ROOM];
        at += 2;
        size_t len = arg < n - at ? arg : n - at;
        tern_span plain = {NULL, 0};
        if (what == RAW) {
            memcpy(copy, data + at, len);
            check(open_all(copy, len, &plain) == 0);
            at += len;
            continue;
        }
        seal(&k, (uint8_t)(TERN_DTLS_ALERT + arg % 3), data + at, len);
        memcpy(copy, k.bytes, k.len);
        if (what == PLAIN) {
            check(open_all(copy, k.len, &plain) == 1);
            check(plain.len == len && (len == 0 || memcmp(plain.data, data + at, len) == 0));
        } else if (what == FLIP) {
            copy[arg % k.len] ^= (uint8_t)(1 + arg / 64);
            check(open_all(copy, k.len, &plain) == 0);
        } else if (what == CUT) {
            check(open_all(copy, k.len - 1 - arg % k.len, &plain) == 0);
        } else if (what == TWICE) {
            memcpy(copy + k.len, k.bytes, k.len);
            check(open_all(copy, 2 * k.len, &plain) == 1);
        } else if (count < KEPT_MAX) {
            waiting[count++] = k;
        } else {
            count = 0; /* those too old are not taken, the others once */
            for (size_t i = KEPT_MAX; i-- > 0;) {
                memcpy(copy, waiting[i].bytes, waiting[i].len);
                check(open_all(copy, waiting[i].len, &plain) <= 1);
                memcpy(copy, waiting[i].bytes, waiting[i].len);
                check(open_all(copy, waiting[i].len, &plain) == 0);
            }
        }
        at += len;
    }
    tern_dtls_records_free(from);
    tern_dtls_records_free(to);
    return 0;
}
