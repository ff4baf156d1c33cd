/* The driver between a stream and the TLS engine, until the handshake is done:
 * see tls_handshake.h.
 *
 * A refusal is an alert, which only reaches the peer if the lower ends after
 * it. Who did his part and is refused is told why; who breaks the rules is
 * reset. */
#include "secure/tls_handshake.h"

#include "base/error.h"
#include "base/mem.h"
#include "secure/tls_stream.h"

static void release(tern_tls_handshake *h)
{
    tern_tls_engine_free(h->engine);
    h->engine = NULL;
    tern_buf_free(&h->out);
}

/* Before attach the lower's events, and its closing, are somebody else's. */
static void abort_lower(tern_tls_handshake *h, bool politely)
{
    tern_stream *lower = h->lower;
    if (lower == NULL) {
        return;
    }
    if (!politely || tern_buf_len(&h->out) > 0) {
        tern_stream_reset(lower, 0);
    }
    if (h->attached) {
        h->lower = NULL;
        tern_stream_drop(lower);
    }
}

void tern_tls_handshake_cancel(tern_tls_handshake *h)
{
    abort_lower(h, false);
    release(h);
}

/* Counts a refusal; whether the peer is to hear of it. */
static bool count(tern_tls_handshake *h, int code)
{
    tern_counters *c = h->counters;
    switch (code) {
    case TERN_E_UNSUPPORTED:
    case TERN_E_NEGOTIATION: /* RFC 7301, section 3.2: with an alert */
        c->tls_nothing_common++;
        return true;
    case TERN_E_NOMEM:
        c->allocation_failures++;
        break;
    case TERN_E_CRYPTO:
        c->tls_decrypt++;
        break;
    case TERN_E_SIGNATURE:
        if (tern_tls_engine_untrusted(h->engine)) {
            c->tls_untrusted++;
            return true;
        }
        c->tls_bad_signature++;
        break;
    case TERN_E_RESET:
        c->tls_refused++;
        break;
    case TERN_E_EOF:
        c->tls_truncated++;
        break;
    default:
        c->tls_malformed++;
    }
    return false;
}

static void fail(tern_tls_handshake *h, const tern_error *why)
{
    bool politely = h->judged || count(h, why->code);
    abort_lower(h, politely);
    release(h);
    h->done(h, why);
}

static void succeed(tern_tls_handshake *h)
{
    h->alpn = tern_tls_engine_alpn(h->engine);
    h->stream = tern_tls_stream_new(h->lower, h->counters, h->engine, &h->out);
    if (h->stream == NULL) {
        tern_error why;
        tern_fail(&why, TERN_E_NOMEM, "tls", "out of memory");
        fail(h, &why);
        return;
    }
    h->lower = NULL;
    h->engine = NULL;
    h->done(h, NULL);
}

/* ---- the lower's events ---- */

static void write_out(tern_tls_handshake *h)
{
    size_t n = tern_buf_len(&h->out);
    if (n > 0) {
        tern_buf_consume(&h->out, tern_stream_write(h->lower, tern_buf_data(&h->out), n));
    }
}

static size_t on_data(void *owner, tern_stream *lower, uint8_t *data, size_t n)
{
    tern_tls_handshake *h = owner;
    tern_span in = {data, n};
    tern_error why;
    (void)lower;
    int r = tern_tls_engine_handshake(h->engine, &in, &why);
    size_t used = n - in.len;
    write_out(h);
    if (r < 0) {
        fail(h, &why);
        return n;
    }
    if (r == 1) {
        succeed(h);
    }
    return used;
}

static void on_end(void *owner, tern_stream *lower)
{
    tern_error why;
    (void)lower;
    tern_fail(&why, TERN_E_EOF, "tls", "the peer ended during the handshake");
    fail(owner, &why);
}

static void on_room(void *owner, tern_stream *lower)
{
    (void)lower;
    write_out(owner);
}

static void on_closed(void *owner, tern_stream *lower, const tern_error *why)
{
    tern_tls_handshake *h = owner;
    h->lower = NULL;
    if (why->code == 0) {
        on_end(h, lower);
        return;
    }
    release(h);
    h->done(h, why);
}

static const tern_stream_events lower_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_closed = on_closed,
};

/* ---- starting ---- */

/* The engine's. */
static uint8_t *place(void *owner, size_t n)
{
    tern_tls_handshake *h = owner;
    return tern_buf_reserve(&h->out, n);
}

static bool keep(void *owner, size_t n)
{
    tern_tls_handshake *h = owner;
    tern_buf_commit(&h->out, n);
    return true;
}

int tern_tls_handshake_start(tern_tls_handshake *h, tern_tls_engine *engine)
{
    tern_span nothing = {NULL, 0};
    h->stream = NULL;
    h->alpn = NULL;
    h->attached = h->judged = false;
    h->engine = engine;
    tern_buf_init(&h->out, 0);
    tern_tls_engine_output(engine, &(tern_tls_output){place, keep, h});
    int e = tern_tls_engine_handshake(engine, &nothing, NULL);
    if (e < 0) {
        release(h);
        return e;
    }
    write_out(h);
    return 0;
}

void tern_tls_handshake_attach(tern_tls_handshake *h)
{
    h->attached = true;
    tern_stream_take(h->lower, &lower_events, h);
    write_out(h); /* what did not fit at the start: the room since then was told
                     to the former owner */
}
