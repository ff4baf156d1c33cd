/* The WebSocket handshake (RFC 6455 section 4): what each side demands of the other's head.
 *
 *     client                                   server
 *     GET /path HTTP/1.1                       HTTP/1.1 101 Switching Protocols
 *     Upgrade: websocket                       Upgrade: websocket
 *     Connection: Upgrade                      Connection: Upgrade
 *     Sec-WebSocket-Key: base64(16 bytes)      Sec-WebSocket-Accept: base64(SHA-1(key + GUID))
 *     Sec-WebSocket-Version: 13
 *
 * Origin is not looked at: libp2p's peers are authenticated inside, and pages of any origin may
 * dial. Extensions and subprotocols are neither asked for nor granted. */
#include "transport/ws_core.h"

#include <tern/error.h>

#include "codec/multibase.h"
#include "crypto/symmetric.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* section 1.3 */

enum { KEY_CHARS = TERN_WS_KEY_TEXT - 1, SHA1 = 20, BAD_REQUEST = 400, UPGRADE_REQUIRED = 426 };

void tern_ws_key_text(const uint8_t nonce[TERN_WS_NONCE], char out[TERN_WS_KEY_TEXT])
{
    tern_base_encode('M', nonce, TERN_WS_NONCE, out, TERN_WS_KEY_TEXT);
}

int tern_ws_accept_text(tern_span key, char out[TERN_WS_ACCEPT_TEXT])
{
    uint8_t joined[KEY_CHARS + sizeof GUID - 1], digest[SHA1];
    if (key.len != KEY_CHARS) {
        return TERN_E_INVALID;
    }
    memcpy(joined, key.data, KEY_CHARS);
    memcpy(joined + KEY_CHARS, GUID, sizeof GUID - 1);
    if (tern_sha1(joined, sizeof joined, digest) != 0) {
        return TERN_E_CRYPTO;
    }
    tern_base_encode('M', digest, sizeof digest, out, TERN_WS_ACCEPT_TEXT);
    return 0;
}

static bool is_key(tern_span key)
{
    uint8_t nonce[TERN_WS_NONCE];
    return key.len == KEY_CHARS && tern_base_decode('M', (const char *)key.data, key.len, nonce,
                                                    sizeof nonce) == TERN_WS_NONCE;
}

int tern_ws_check_request(const tern_http1_head *h, char ret_accept[TERN_WS_ACCEPT_TEXT])
{
    tern_span value;
    if (!tern_span_is(h->method, "GET") || h->minor != 1 ||
        !tern_http1_field_get(h, "Host", &value) ||
        !tern_http1_has_token(h, "Upgrade", "websocket") ||
        !tern_http1_has_token(h, "Connection", "upgrade")) {
        return BAD_REQUEST;
    }
    if (!tern_http1_field_get(h, "Sec-WebSocket-Version", &value) || !tern_span_is(value, "13")) {
        return UPGRADE_REQUIRED;
    }
    if (!tern_http1_field_get(h, "Sec-WebSocket-Key", &value) || !is_key(value) ||
        tern_ws_accept_text(value, ret_accept) != 0) {
        return BAD_REQUEST;
    }
    return 0;
}

static bool has_field(const tern_http1_head *h, const char *name)
{
    for (size_t i = 0; i < h->field_count; i++) {
        if (tern_span_is_nocase(h->fields[i].name, name)) {
            return true;
        }
    }
    return false;
}

const char *tern_ws_check_response(const tern_http1_head *h, const char *key)
{
    char accept[TERN_WS_ACCEPT_TEXT];
    tern_span value;
    if (h->status != 101 || h->minor != 1) {
        return "the server does not speak WebSocket there";
    }
    if (!tern_http1_has_token(h, "Upgrade", "websocket") ||
        !tern_http1_has_token(h, "Connection", "upgrade")) {
        return "the server switches to another protocol";
    }
    if (tern_ws_accept_text((tern_span){(const uint8_t *)key, strlen(key)}, accept) != 0 ||
        !tern_http1_field_get(h, "Sec-WebSocket-Accept", &value) || !tern_span_is(value, accept)) {
        return "the server's answer is to another request (Sec-WebSocket-Accept)";
    }
    if (has_field(h, "Sec-WebSocket-Extensions")) {
        return "the server chose an extension that nobody asked for";
    }
    if (has_field(h, "Sec-WebSocket-Protocol")) {
        return "the server chose a subprotocol that nobody asked for";
    }
    return NULL;
}
