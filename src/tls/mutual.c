/* Records around the handshake (RFC 8446, section 5): see mutual.h.
 *
 *     | content 1 | version 2 | length 2 BE | fragment |    ClientHello, ServerHello: in the clear,
 *                                                           the rest sealed (crypto/tls_record)
 *
 * Each record is collected in `part`, then opened, and its messages fed to the handshake, which
 * answers from inside: messages that go out, and secrets. Who has sent Finished speaks under his
 * application secret; once both have, crypto/tls_traffic goes on and all of this is freed. */
#include "tls/mutual.h"

#include <assert.h>

#include "base/error.h"
#include "base/mem.h"
#include "crypto/tls_traffic.h"
#include "tls/inside.h"

enum {
    CHANGE_CIPHER_SPEC = 20, /* a content that only looks like TLS 1.2 (appendix D.4) */
    FATAL = 2,
    IDLE_MAX = 16,       /* records without any message, before the peer counts as flooding */
    SESSION_ID_AT = 38,  /* of the length of the session id that a ServerHello repeats */
    BAD_RECORD_MAC = 20, /* alerts about records */
    RECORD_OVERFLOW = 22,
};

/* What lives only as long as the handshake. */
typedef struct shake {
    tern_tls_mutual options;
    tern_handshake *core;
    tern_buf part;             /* a record that has not come whole */
    tern_tls_records *records; /* under the handshake's secrets, once they are known */
    tern_tls_secrets secrets;  /* ... until then */
    tern_tls_secrets app;
    int known;         /* how many of the handshake's secrets are */
    bool app_out;      /* what we send is under our application secret */
    bool opened;       /* the peer has sent a record under the handshake's secret */
    bool answered;     /* anything was sent: a change_cipher_spec may come */
    bool started;      /* the first call was */
    bool done;         /* both have finished */
    int judged;        /* what judge said */
    tern_error *error; /* during a call: where judge says why */
    unsigned idle;     /* records without a message */
} shake;

typedef struct mutual {
    tern_tls_engine e;
    shake *s; /* NULL once the handshake is done */
} mutual;

/* ---- records out ---- */

static int put_plain(mutual *m, uint8_t content, const uint8_t *p, size_t n)
{
    const tern_tls_output *o = &m->e.output;
    uint8_t *place = o->place(o->owner, TERN_TLS_HEADER + n);
    if (place == NULL) {
        return TERN_E_NOMEM;
    }
    place[0] = content;
    tern_put16(place + 1, TLS_LEGACY_VERSION);
    tern_put16(place + 3, (uint16_t)n);
    memcpy(place + TERN_TLS_HEADER, p, n);
    m->s->answered = true;
    return o->send(o->owner, TERN_TLS_HEADER + n) ? 0 : TERN_E_NOMEM;
}

static int put_sealed(mutual *m, tern_tls_records *records, uint8_t content, const uint8_t *p,
                      size_t n)
{
    const tern_tls_output *o = &m->e.output;
    uint8_t *place = o->place(o->owner, n + TERN_TLS_OVERHEAD);
    if (place == NULL) {
        return TERN_E_NOMEM;
    }
    int e = tern_tls_seal(records, content, &(tern_span){p, n}, 1, n, place);
    if (e != 0) {
        return e;
    }
    return o->send(o->owner, n + TERN_TLS_OVERHEAD) ? 0 : TERN_E_NOMEM;
}

/* Under the keys that the peer knows by now; when memory is short it is not told. */
static void put_alert(mutual *m, int alert)
{
    shake *s = m->s;
    const uint8_t body[] = {FATAL, (uint8_t)alert};
    if (s->app_out) { /* there is no other record under this secret */
        tern_tls_records *last = tern_tls_records_new(&s->app);
        if (last != NULL) {
            put_sealed(m, last, TERN_TLS_ALERT, body, sizeof body);
        }
        tern_tls_records_free(last);
    } else if (s->records != NULL) {
        put_sealed(m, s->records, TERN_TLS_ALERT, body, sizeof body);
    } else {
        put_plain(m, TERN_TLS_ALERT, body, sizeof body);
    }
}

/* ---- the handshake tells ---- */

static int on_send(void *owner, tern_level level, const uint8_t *p, size_t n)
{
    mutual *m = owner;
    bool plain = level == TERN_LEVEL_INITIAL;
    bool compatible = plain && m->s->options.server && !m->s->answered && p[SESSION_ID_AT] > 0;
    int e = 0;
    for (size_t at = 0; at < n && e == 0; at += TERN_TLS_PLAIN_MAX) {
        size_t k = n - at < TERN_TLS_PLAIN_MAX ? n - at : TERN_TLS_PLAIN_MAX;
        e = plain ? put_plain(m, TERN_TLS_HANDSHAKE, p + at, k)
                  : put_sealed(m, m->s->records, TERN_TLS_HANDSHAKE, p + at, k);
    }
    return e == 0 && compatible ? put_plain(m, CHANGE_CIPHER_SPEC, (const uint8_t *)"\1", 1) : e;
}

static int on_secret(void *owner, tern_level level, bool out, tern_aead_kind cipher,
                     const uint8_t *secret, size_t n)
{
    shake *s = ((mutual *)owner)->s;
    bool app = level == TERN_LEVEL_TRAFFIC;
    tern_tls_secrets *of = app ? &s->app : &s->secrets;
    of->suite = tls_suite(cipher);
    memcpy(out ? of->send : of->recv, secret, n);
    if (app) {
        s->app_out |= out;
        return 0;
    }
    if (++s->known < 2) {
        return 0;
    }
    s->records = tern_tls_records_new(&s->secrets);
    tern_wipe(&s->secrets, sizeof s->secrets);
    return s->records != NULL ? 0 : TERN_E_NOMEM;
}

static tern_span name_of(const char *alpn)
{
    return (tern_span){(const uint8_t *)alpn, strlen(alpn)};
}

static const char *find(const shake *s, tern_span name)
{
    for (const char *const *a = s->options.alpn; a != NULL && *a != NULL; a++) {
        if (strlen(*a) == name.len && memcmp(*a, name.data, name.len) == 0) {
            return *a;
        }
    }
    return NULL;
}

/* The first of the client's that we have, as go does it. */
static int on_hello(void *owner, const tern_hello *hello, tern_answer *answer)
{
    mutual *m = owner;
    tern_span list = hello->alpn, name;
    while (m->e.alpn == NULL && tls_take_vector(&list, 1, &name)) {
        m->e.alpn = find(m->s, name);
    }
    if (m->e.alpn != NULL) {
        answer->alpn = name_of(m->e.alpn);
    }
    answer->cert = m->s->options.cert;
    answer->ask = true;
    return 0;
}

static int on_certificate(void *owner, tern_span der, unsigned count)
{
    shake *s = ((mutual *)owner)->s;
    s->judged = s->options.judge(s->options.owner, der, count, s->error);
    return s->judged;
}

static int new_pair(void *owner, tern_x25519_pair *ret)
{
    const tern_tls_mutual *o = &((mutual *)owner)->s->options;
    return o->pair != NULL ? o->pair(o->owner, ret) : tern_x25519_new(ret);
}

static int on_done(void *owner)
{
    mutual *m = owner;
    m->s->done = true;
    return 0;
}

static const tern_handshake_ops core_ops = {
    .send = on_send,
    .secret = on_secret,
    .pair = new_pair,
    .hello = on_hello,
    .certificate = on_certificate,
    .done = on_done,
};

/* ---- records in ---- */

static int fail(mutual *m, int code, int alert, const char *text, tern_error *reterr)
{
    put_alert(m, alert);
    return tern_fail(reterr, code, "tls", "%s", text);
}

static int unexpected(mutual *m, tern_error *reterr)
{
    return fail(m, TERN_E_MALFORMED, TERN_ALERT_UNEXPECTED_MESSAGE,
                "a record that may not come here", reterr);
}

/* What the handshake said. */
static int settle(mutual *m, int e, tern_error *reterr)
{
    shake *s = m->s;
    if (e == 0) {
        return 0;
    }
    tern_alert alert = tern_handshake_alert(s->core);
    if (s->judged != 0) { /* judge has filled the error */
        put_alert(m, (int)alert);
        return s->judged;
    }
    if (e == TERN_E_NEGOTIATION && alert != TERN_ALERT_NO_APPLICATION_PROTOCOL) {
        e = TERN_E_UNSUPPORTED;
    }
    return fail(m, e, (int)alert, tern_handshake_why(s->core), reterr);
}

static int take_messages(mutual *m, tern_level level, tern_span in, tern_error *reterr)
{
    return in.len > 0 ? settle(m, tern_handshake_feed(m->s->core, level, in.data, in.len), reterr)
                      : unexpected(m, reterr);
}

static int take_alert(mutual *m, tern_span in, tern_error *reterr)
{
    int e = tern_tls_take_alert(in, reterr);
    if (e == TERN_E_MALFORMED) {
        put_alert(m, TERN_ALERT_DECODE_ERROR);
    }
    return e;
}

/* A record that says nothing: only so many. */
static int take_idle(mutual *m, tern_error *reterr)
{
    return ++m->s->idle <= IDLE_MAX ? 0
                                    : fail(m, TERN_E_PROTOCOL, TERN_ALERT_UNEXPECTED_MESSAGE,
                                           "a flood of records without messages", reterr);
}

static int take_sealed(mutual *m, uint8_t *record, size_t n, tern_error *reterr)
{
    shake *s = m->s;
    uint8_t content;
    tern_span plain;
    int e = tern_tls_open(s->records, record, n, &content, &plain);
    if (e != 0) {
        return e == TERN_E_CRYPTO ? fail(m, e, BAD_RECORD_MAC, "a record does not decrypt", reterr)
               : e == TERN_E_TOO_LARGE
                   ? fail(m, e, RECORD_OVERFLOW, "a record is too large", reterr)
                   : unexpected(m, reterr);
    }
    s->opened = true;
    if (content == TERN_TLS_HANDSHAKE) {
        return take_messages(m, TERN_LEVEL_HANDSHAKE, plain, reterr);
    }
    if (content != TERN_TLS_ALERT || !tern_handshake_whole(s->core)) {
        return unexpected(m, reterr);
    }
    e = take_alert(m, plain, reterr);
    return e == 0 ? take_idle(m, reterr) : e;
}

/* A whole record. Between the pieces of a message none of another content may come; a client whom
 * our ServerHello did not please has no keys to say so with. */
static int take_record(mutual *m, uint8_t *record, size_t n, tern_error *reterr)
{
    shake *s = m->s;
    uint8_t content = record[0];
    tern_span body = {record + TERN_TLS_HEADER, n - TERN_TLS_HEADER};
    bool sealed = s->records != NULL, whole = tern_handshake_whole(s->core);
    if (content == CHANGE_CIPHER_SPEC && s->answered && whole && body.len == 1 &&
        body.data[0] == 1) {
        return take_idle(m, reterr);
    }
    if (content == TERN_TLS_ALERT && whole && (!sealed || (s->options.server && !s->opened))) {
        int e = take_alert(m, body, reterr);
        return e == 0 ? take_idle(m, reterr) : e;
    }
    if (content == TERN_TLS_HANDSHAKE && !sealed) {
        return take_messages(m, TERN_LEVEL_INITIAL, body, reterr);
    }
    return content == TERN_TLS_DATA && sealed ? take_sealed(m, record, n, reterr)
                                              : unexpected(m, reterr);
}

/* Adds to the record in `part`: 1: it is whole; 0: there is more to come. No memory is taken for
 * what has not come. */
static int collect(mutual *m, tern_span *in, tern_error *reterr)
{
    tern_buf *part = &m->s->part;
    for (;;) {
        size_t have = tern_buf_len(part), want = TERN_TLS_HEADER;
        if (have >= TERN_TLS_HEADER) {
            const uint8_t *head = tern_buf_data(part);
            size_t body = tern_get16(head + 3);
            if (head[0] < CHANGE_CIPHER_SPEC || head[0] > TERN_TLS_DATA) {
                return fail(m, TERN_E_MALFORMED, TERN_ALERT_UNEXPECTED_MESSAGE,
                            "the peer does not speak TLS", reterr);
            }
            if (body > (head[0] == TERN_TLS_DATA ? TERN_TLS_BODY_MAX : TERN_TLS_PLAIN_MAX)) {
                return fail(m, TERN_E_TOO_LARGE, RECORD_OVERFLOW, "a record is too large", reterr);
            }
            want += body;
            if (have == want) {
                return 1;
            }
        }
        size_t k = want - have < in->len ? want - have : in->len;
        if (k == 0) {
            return 0;
        }
        if (tern_buf_append(part, in->data, k) != 0) {
            return fail(m, TERN_E_NOMEM, TERN_ALERT_INTERNAL_ERROR, "out of memory", reterr);
        }
        *in = (tern_span){in->data + k, in->len - k};
    }
}

/* ---- an engine ---- */

static void free_shake(shake *s)
{
    if (s != NULL) {
        tern_handshake_free(s->core);
        tern_tls_records_free(s->records);
        tern_buf_free(&s->part);
        tern_wipe(s, sizeof *s);
        tern_free(s);
    }
}

static void mutual_free(tern_tls_engine *e)
{
    mutual *m = (mutual *)e;
    free_shake(m->s);
    tern_free(m);
}

static int finish(mutual *m, tern_error *reterr)
{
    shake *s = m->s;
    if (!s->options.server) {
        m->e.alpn = (const char *)tern_handshake_alpn(s->core).data;
    }
    int r = tern_tls_engine_go_on(&m->e, &s->app, s->options.server, reterr);
    free_shake(s);
    m->s = NULL;
    return r;
}

static int mutual_handshake(tern_tls_engine *e, tern_span *in, tern_error *reterr)
{
    mutual *m = (mutual *)e;
    shake *s = m->s;
    int r = 0;
    s->error = reterr;
    if (!s->started && !s->options.server) {
        r = settle(m, tern_handshake_start(s->core), reterr);
    }
    s->started = true;
    while (r == 0 && !s->done && (r = collect(m, in, reterr)) == 1) {
        r = take_record(m, tern_buf_data(&s->part), tern_buf_len(&s->part), reterr);
        tern_buf_consume(&s->part, tern_buf_len(&s->part));
    }
    s->error = NULL;
    return r == 0 && s->done ? finish(m, reterr) : r;
}

static const tern_tls_engine_ops mutual_ops = {.handshake = mutual_handshake, .free = mutual_free};

int tern_tls_mutual_new(const tern_tls_mutual *options, tern_tls_engine **ret)
{
    tern_handshake_config config = {
        .server = options->server, .no_alpn = true, .cert = options->cert};
    mutual *m = tern_calloc(1, sizeof *m);
    shake *s = tern_calloc(1, sizeof *s);
    for (size_t i = 0; options->alpn != NULL && options->alpn[i] != NULL; i++) {
        assert(i < TERN_ALPN_MAX);
        config.alpn[i] = name_of(options->alpn[i]);
    }
    if (m != NULL && s != NULL) {
        s->options = *options;
        tern_buf_init(&s->part, TERN_TLS_HEADER + TERN_TLS_BODY_MAX);
        s->core = tern_handshake_new(&config, &core_ops, m);
    }
    if (s == NULL || s->core == NULL) {
        free_shake(s);
        tern_free(m);
        return TERN_E_NOMEM;
    }
    m->e.ops = &mutual_ops;
    m->s = s;
    *ret = &m->e;
    return 0;
}
