/* Error values: the names and sentences of the codes, and how a tern_error is filled.
 *
 * One table says everything about a code; it is ordered by the code's number, so that a lookup is
 * an index. The texts here speak about the code alone; what happened where is the caller's sentence
 * in tern_error.text. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    const char *name, *text;
} codes[] = {
    [-TERN_OK] = {"OK", "no error"},
    [-TERN_E_NOMEM] = {"NOMEM", "out of memory"},
    [-TERN_E_INVALID] = {"INVALID", "an argument or option is not valid"},
    [-TERN_E_STATE] = {"STATE", "the object is not in a state for this call"},
    [-TERN_E_CANCELLED] = {"CANCELLED", "cancelled"},
    [-TERN_E_TIMEOUT] = {"TIMEOUT", "a deadline passed"},
    [-TERN_E_UNSUPPORTED] = {"UNSUPPORTED", "not supported by this build"},
    [-TERN_E_NOT_FOUND] = {"NOT_FOUND", "not found"},
    [-TERN_E_REFUSED] = {"REFUSED", "the other machine refused the connection"},
    [-TERN_E_UNREACHABLE] = {"UNREACHABLE", "there is no route to the address"},
    [-TERN_E_ADDRINUSE] = {"ADDRINUSE", "the address is already in use"},
    [-TERN_E_ACCESS] = {"ACCESS", "the system does not permit it"},
    [-TERN_E_IO] = {"IO", "the system reported a failure"},
    [-TERN_E_EOF] = {"EOF", "the peer ended in the middle of something"},
    [-TERN_E_RESET] = {"RESET", "the stream was reset"},
    [-TERN_E_CONN_CLOSED] = {"CONN_CLOSED", "the connection is closed"},
    [-TERN_E_MALFORMED] = {"MALFORMED", "the bytes do not parse"},
    [-TERN_E_TOO_LARGE] = {"TOO_LARGE", "a length is beyond its limit"},
    [-TERN_E_PROTOCOL] = {"PROTOCOL", "the protocol forbids this here"},
    [-TERN_E_NEGOTIATION] = {"NEGOTIATION", "there is no protocol in common"},
    [-TERN_E_CRYPTO] = {"CRYPTO", "decryption or key agreement failed"},
    [-TERN_E_SIGNATURE] = {"SIGNATURE", "a signature does not verify"},
    [-TERN_E_PEER_ID] = {"PEER_ID", "the peer is not the one that was asked for"},
    [-TERN_E_LIMIT] = {"LIMIT", "a limit of this node is reached"},
    [-TERN_E_GATED] = {"GATED", "refused by a deny list or a gater"},
    [-TERN_E_SELF] = {"SELF", "the address is this node's own"},
    [-TERN_E_LIMITED] = {"LIMITED", "not allowed over a limited connection, or ended by its limit"},
};

enum { CODE_COUNT = sizeof codes / sizeof codes[0] };

const char *tern_code_name(int code)
{
    return code <= 0 && code > -CODE_COUNT ? codes[-code].name : "UNKNOWN";
}

const char *tern_code_text(int code)
{
    return code <= 0 && code > -CODE_COUNT ? codes[-code].text : "an unknown error";
}

static void fill(tern_error *ret, int code, uint64_t wire, const char *layer, const char *format,
                 va_list args)
{
    if (ret == NULL) {
        return;
    }
    /* The arguments may point into the error that is being replaced ("%s" of its own text). */
    tern_error e = {.code = code, .wire = wire, .layer = layer != NULL ? layer : ""};
    if (vsnprintf(e.text, sizeof e.text, format, args) < 0) {
        e.text[0] = '\0';
    }
    *ret = e;
}

int tern_fail(tern_error *ret, int code, const char *layer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(ret, code, 0, layer, format, args);
    va_end(args);
    return code;
}

int tern_fail_wire(tern_error *ret, int code, uint64_t wire, const char *layer, const char *format,
                   ...)
{
    va_list args;
    va_start(args, format);
    fill(ret, code, wire, layer, format, args);
    va_end(args);
    return code;
}
