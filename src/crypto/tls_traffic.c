/* TLS 1.3 after the handshake: see tls_traffic.h.
 *
 * Handshake messages may be cut into records in any way, and their bodies are of no interest but a
 * key update's single byte: so they are counted past, never collected. */
#include "crypto/tls_traffic.h"

#include <openssl/ssl.h>

#include "base/error.h"
#include "base/mem.h"

enum {
    NEW_SESSION_TICKET = 4, /* handshake types */
    KEY_UPDATE = 24,
    MESSAGE_HEAD = 4,     /* type, length 3 BE */
    TICKET_MAX = 1 << 17, /* a ticket and its extensions have 16-bit lengths */
    WARNING = 1,          /* levels of alerts; nothing but close_notify needs to say one truly */
    FATAL = 2,
};

struct tern_tls_traffic {
    tern_tls_records *records;
    bool server;
    uint8_t head[MESSAGE_HEAD]; /* of the handshake message that comes */
    uint8_t head_n;
    uint32_t left; /* bytes of its body that are still to come */
};

tern_tls_traffic *tern_tls_traffic_new(const tern_tls_secrets *secrets, bool server)
{
    tern_tls_traffic *t = tern_calloc(1, sizeof *t);
    if (t == NULL) {
        return NULL;
    }
    t->server = server;
    t->records = tern_tls_records_new(secrets);
    if (t->records == NULL) {
        tern_tls_traffic_free(t);
        return NULL;
    }
    return t;
}

void tern_tls_traffic_free(tern_tls_traffic *t)
{
    if (t != NULL) {
        tern_tls_records_free(t->records);
        tern_free(t);
    }
}

/* ---- out ---- */

static int send_record(tern_tls_traffic *t, const tern_tls_output *output, tern_tls_content content,
                       const tern_span *v, unsigned count, size_t n)
{
    uint8_t *place = output->place(output->owner, n + TERN_TLS_OVERHEAD);
    if (place == NULL) {
        return TERN_E_NOMEM;
    }
    int e = tern_tls_seal(t->records, content, v, count, n, place);
    if (e != 0) {
        return e;
    }
    return output->send(output->owner, n + TERN_TLS_OVERHEAD) ? 0 : TERN_E_NOMEM;
}

static int send_alert(tern_tls_traffic *t, const tern_tls_output *output, int level, int alert)
{
    const uint8_t body[] = {(uint8_t)level, (uint8_t)alert};
    return send_record(t, output, TERN_TLS_ALERT, &(tern_span){body, sizeof body}, 1, sizeof body);
}

/* Says that what follows is under the next key (section 4.6.3). */
static int send_key_update(tern_tls_traffic *t, const tern_tls_output *output)
{
    static const uint8_t message[] = {KEY_UPDATE, 0, 0, 1, 0}; /* update_not_requested */
    int e = send_record(t, output, TERN_TLS_HANDSHAKE, &(tern_span){message, sizeof message}, 1,
                        sizeof message);
    return e == 0 ? tern_tls_update_send(t->records) : e;
}

int tern_tls_traffic_write(tern_tls_traffic *t, const tern_tls_output *output, const tern_span *v,
                           unsigned count, size_t n)
{
    int e = tern_tls_worn(t->records) ? send_key_update(t, output) : 0;
    return e == 0 ? send_record(t, output, TERN_TLS_DATA, v, count, n) : e;
}

int tern_tls_traffic_close(tern_tls_traffic *t, const tern_tls_output *output)
{
    return send_alert(t, output, WARNING, SSL_AD_CLOSE_NOTIFY);
}

/* ---- in ---- */

/* What broke the rules, how it is called, and the alert for it. */
typedef struct fault {
    int code, alert;
    const char *text;
} fault;

static int unexpected(fault *ret)
{
    *ret = (fault){TERN_E_MALFORMED, SSL_AD_UNEXPECTED_MESSAGE, "a message that may not come here"};
    return -1;
}

/* The key update's byte; the record must end with it, for the next is under the new key. */
static int take_key_update(tern_tls_traffic *t, const tern_tls_output *output, uint8_t request,
                           bool last, fault *ret)
{
    if (!last) {
        return unexpected(ret);
    }
    if (request > 1) {
        *ret =
            (fault){TERN_E_MALFORMED, SSL_AD_ILLEGAL_PARAMETER, "a key update asks for nonsense"};
        return -1;
    }
    int e = tern_tls_update_recv(t->records);
    if (e == 0 && request == 1) {
        e = send_key_update(t, output);
    }
    if (e != 0) {
        *ret = (fault){e, SSL_AD_INTERNAL_ERROR, "the keys cannot be changed"};
    }
    return e == 0 ? 0 : -1;
}

/* Whether such a message may come, once its head is whole. */
static bool allowed(const tern_tls_traffic *t)
{
    if (t->head[0] == KEY_UPDATE) {
        return t->left == 1;
    }
    return t->head[0] == NEW_SESSION_TICKET && !t->server && t->left <= TICKET_MAX;
}

static int take_handshake(tern_tls_traffic *t, const tern_tls_output *output, tern_span in,
                          fault *ret)
{
    if (in.len == 0) { /* section 5.1 */
        return unexpected(ret);
    }
    while (in.len > 0) {
        if (t->head_n < MESSAGE_HEAD) {
            t->head[t->head_n++] = *in.data++;
            in.len--;
            t->left = (uint32_t)t->head[1] << 16 | tern_get16(t->head + 2);
            if (t->head_n == MESSAGE_HEAD && !allowed(t)) {
                return unexpected(ret);
            }
        } else if (t->head[0] == KEY_UPDATE) {
            t->head_n = 0;
            if (take_key_update(t, output, *in.data, in.len == 1, ret) != 0) {
                return -1;
            }
            in.len--;
        } else {
            size_t k = t->left < in.len ? t->left : in.len;
            in = (tern_span){in.data + k, in.len - k};
            t->left -= (uint32_t)k;
        }
        if (t->head_n == MESSAGE_HEAD && t->left == 0) {
            t->head_n = 0;
        }
    }
    return 0;
}

int tern_tls_take_alert(tern_span in, tern_error *reterr)
{
    if (in.len != 2) {
        return tern_fail(reterr, TERN_E_MALFORMED, "tls", "an alert does not parse");
    }
    int alert = in.data[1];
    if (alert == SSL_AD_CLOSE_NOTIFY) {
        return tern_fail(reterr, TERN_E_EOF, "tls", "the peer closed");
    }
    if (alert == SSL_AD_USER_CANCELLED) { /* close_notify follows */
        return 0;
    }
    return tern_fail_wire(reterr, TERN_E_RESET, (uint64_t)alert, "tls",
                          "the peer sent the alert \"%s\"", SSL_alert_desc_string_long(alert));
}

static ssize_t take_alert(tern_span in, tern_error *reterr, fault *ret)
{
    int e = tern_tls_take_alert(in, reterr);
    if (e == TERN_E_MALFORMED) {
        *ret = (fault){e, SSL_AD_DECODE_ERROR, "an alert does not parse"};
    }
    return e;
}

static ssize_t take(tern_tls_traffic *t, const tern_tls_output *output, uint8_t content,
                    tern_span plain, tern_error *reterr, fault *ret)
{
    bool inside = t->head_n > 0; /* a handshake message: nothing else may come between */
    if (content == TERN_TLS_HANDSHAKE) {
        return take_handshake(t, output, plain, ret);
    }
    if (!inside && content == TERN_TLS_DATA) {
        return (ssize_t)plain.len;
    }
    if (!inside && content == TERN_TLS_ALERT) {
        return take_alert(plain, reterr, ret);
    }
    return unexpected(ret);
}

static fault open_fault(int code)
{
    switch (code) {
    case TERN_E_CRYPTO:
        return (fault){code, SSL_AD_BAD_RECORD_MAC, "a record does not decrypt"};
    case TERN_E_TOO_LARGE:
        return (fault){code, SSL_AD_RECORD_OVERFLOW, "a record is too large"};
    default:
        return (fault){code, SSL_AD_UNEXPECTED_MESSAGE, "a record that is none of TLS 1.3's"};
    }
}

ssize_t tern_tls_traffic_read(tern_tls_traffic *t, const tern_tls_output *output, uint8_t *record,
                              size_t n, uint8_t **ret_plain, tern_error *reterr)
{
    uint8_t content;
    tern_span plain;
    fault f = {0};
    ssize_t r = 0;
    int e = tern_tls_open(t->records, record, n, &content, &plain);
    if (e != 0) {
        f = open_fault(e);
    } else {
        r = take(t, output, content, plain, reterr, &f);
    }
    if (f.code != 0) {
        send_alert(t, output, FATAL, f.alert);
        return tern_fail(reterr, f.code, "tls", "%s", f.text);
    }
    *ret_plain = record + TERN_TLS_HEADER;
    return r;
}
