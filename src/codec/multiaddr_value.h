/* The protocols of a multiaddr and the kinds of value they carry: private to codec/multiaddr*.c.
 *
 * multiaddr_table.c has one line for each protocol, which names its kind; multiaddr_value.c and
 * multiaddr_id.c have the kinds, each with three functions: from text, validity of the bytes, to
 * text. */
#ifndef TERN_CODEC_MULTIADDR_VALUE_H
#define TERN_CODEC_MULTIADDR_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What is wrong with a value. The text continues the protocol's name: "port 70000 is above 65535".
 */
typedef struct tern_ma_fault {
    size_t at; /* where in the value: characters when parsing, bytes when checking */
    char text[112];
} tern_ma_fault;

typedef struct tern_ma_kind {
    int size;        /* bytes of the value; 0 = none, -1 = variable, with a length before it */
    bool takes_rest; /* in text: all that follows, slashes too */

    /* Text of n >= 1 characters to bytes; out has room for TERN_MA_MAX. Returns the bytes written
     * or a tern_code with *ret filled. What it yields is checked next, so it need only decode. */
    ssize_t (*parse)(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret);
    /* Whether n bytes (n == size unless variable) are a value. 0 or a tern_code with *ret filled.
     */
    int (*check)(const uint8_t *p, size_t n, tern_ma_fault *ret);
    /* Checked bytes to text without end, with its leading slash. Returns the characters written, or
     * TERN_E_TOO_LARGE. */
    ssize_t (*print)(const uint8_t *p, size_t n, char *out, size_t cap);
} tern_ma_kind;

extern const tern_ma_kind tern_ma_kind_none, tern_ma_kind_ip4, tern_ma_kind_ip6, tern_ma_kind_cidr,
    tern_ma_kind_name, tern_ma_kind_port, tern_ma_kind_peer, tern_ma_kind_certhash,
    tern_ma_kind_http_path, tern_ma_kind_unix, tern_ma_kind_memory, tern_ma_kind_onion,
    tern_ma_kind_onion3, tern_ma_kind_garlic64, tern_ma_kind_garlic32;

typedef struct tern_ma_protocol {
    uint32_t code;
    const char *name;
    const tern_ma_kind *kind;
} tern_ma_protocol;

/* NULL if unknown. */
const tern_ma_protocol *tern_ma_protocol_by_code(uint64_t code);
const tern_ma_protocol *tern_ma_protocol_by_name(const char *name, size_t n);

/* Helpers of the kinds. Fills *ret and returns code. */
int tern_ma_fault_set(tern_ma_fault *ret, size_t at, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Writes a slash and text; TERN_E_TOO_LARGE if it does not fit. */
ssize_t tern_ma_put_text(char *out, size_t cap, const char *text);
/* The parse function of ports, which stand in other values too. */
ssize_t tern_ma_parse_port(const char *p, size_t n, uint8_t *out, tern_ma_fault *ret);

/* Copies text of somebody else's for a message: printable, cut to 40 characters. Returns out. */
enum { TERN_MA_SHOWN = 44 };
const char *tern_ma_shown(char out[TERN_MA_SHOWN], const char *p, size_t n);

#endif
