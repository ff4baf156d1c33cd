/* The stream inside a private network: see psk.h.
 *
 *     write:    encrypted in the lower stream's output when it can reserve
 *     on_data:  the peer's nonce is collected, what follows is decrypted where it lies
 *
 * `out` holds encrypted bytes that the lower did not take: while there are any nothing more is
 * accepted, and the lower owes on_room. To get there, SQUEEZED bytes more are accepted than the
 * lower has room for. The stream owns `lower` until that has closed or was reset. */
#include "secure/psk.h"

#include "base/error.h"
#include "base/mem.h"
#include "crypto/xsalsa20.h"

enum { SQUEEZED = 512, CHUNK = 4096, DRAWS_MAX = 16 };

typedef struct psk_stream {
    tern_stream s;
    tern_stream *lower; /* NULL once it is gone */
    tern_counters *counters;
    tern_xsalsa20 send, recv;
    uint8_t psk[TERN_PSK];              /* until the peer's nonce has come */
    uint8_t nonce[TERN_XSALSA20_NONCE]; /* the peer's, as far as it has come */
    uint8_t nonce_len;
    tern_buf out;
    uint8_t *reserved; /* in the lower's output */
    bool blocked;      /* our owner keeps bytes */
} psk_stream;

static void release(psk_stream *p)
{
    tern_buf_free(&p->out);
    tern_xsalsa20_clear(&p->send);
    tern_xsalsa20_clear(&p->recv);
    tern_wipe(p->psk, sizeof p->psk);
}

static void abort_lower(psk_stream *p, uint64_t code)
{
    tern_stream *lower = p->lower;
    p->lower = NULL;
    release(p);
    if (lower != NULL) {
        tern_stream_reset(lower, code);
        tern_stream_drop(lower);
    }
}

static void fail(psk_stream *p, int code, const char *text)
{
    tern_error why;
    tern_fail(&why, code, "psk", "%s", text);
    p->counters->allocation_failures += code == TERN_E_NOMEM;
    abort_lower(p, 0);
    tern_stream_finish(&p->s, &why);
}

/* ---- out ---- */

static bool open_below(const psk_stream *p)
{
    return p->lower != NULL && tern_stream_writable(p->lower);
}

static size_t psk_room(const tern_stream *s)
{
    const psk_stream *p = (const psk_stream *)(const void *)s;
    if (!open_below(p) || tern_buf_len(&p->out) > 0) {
        return 0;
    }
    return tern_stream_room(p->lower) + SQUEEZED;
}

/* Encrypts and sends a piece that the lower has room for, or that may wait in out. */
static bool send_piece(psk_stream *p, const uint8_t *data, size_t n)
{
    uint8_t piece[CHUNK];
    size_t room = tern_stream_room(p->lower);
    if (tern_stream_can_reserve(p->lower) && room >= n && tern_buf_len(&p->out) == 0) {
        uint8_t *place = p->lower->ops->reserve(p->lower, n);
        if (place == NULL) {
            fail(p, TERN_E_NOMEM, "out of memory");
            return false;
        }
        tern_xsalsa20_xor(&p->send, place, data, n);
        p->lower->ops->commit(p->lower, n);
        return true;
    }
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t k = n - at < CHUNK ? n - at : CHUNK;
        tern_xsalsa20_xor(&p->send, piece, data + at, k);
        size_t taken = tern_buf_len(&p->out) == 0 ? tern_stream_write(p->lower, piece, k) : 0;
        if (taken < k && tern_buf_append(&p->out, piece + taken, k - taken) != 0) {
            fail(p, TERN_E_NOMEM, "out of memory");
            return false;
        }
    }
    return true;
}

static size_t psk_write(tern_stream *s, const tern_span *v, unsigned n)
{
    psk_stream *p = (psk_stream *)s;
    if (!open_below(p)) {
        return tern_span_total(v, n); /* its end is on its way to us */
    }
    size_t left = psk_room(s), taken = 0;
    for (unsigned i = 0; i < n; i++) {
        size_t part = v[i].len < left ? v[i].len : left;
        if (part > 0 && !send_piece(p, v[i].data, part)) {
            return tern_span_total(v, n);
        }
        taken += part;
        left -= part;
        if (part < v[i].len) {
            break;
        }
    }
    return taken;
}

static uint8_t *psk_reserve(tern_stream *s, size_t n)
{
    psk_stream *p = (psk_stream *)s;
    if (!open_below(p) || tern_buf_len(&p->out) > 0) {
        return NULL;
    }
    bool below = tern_stream_can_reserve(p->lower) && tern_stream_room(p->lower) >= n;
    p->reserved = below ? p->lower->ops->reserve(p->lower, n) : tern_buf_reserve(&p->out, n);
    return p->reserved;
}

/* Writes `out`, as far as the lower takes it; true when that is all. */
static bool push_out(psk_stream *p)
{
    size_t n = tern_buf_len(&p->out);
    if (n > 0) {
        tern_buf_consume(&p->out, tern_stream_write(p->lower, tern_buf_data(&p->out), n));
    }
    return tern_buf_len(&p->out) == 0;
}

static void psk_commit(tern_stream *s, size_t n)
{
    psk_stream *p = (psk_stream *)s;
    tern_xsalsa20_xor(&p->send, p->reserved, p->reserved, n);
    if (tern_stream_can_reserve(p->lower) && tern_stream_room(p->lower) >= n) {
        p->lower->ops->commit(p->lower, n);
    } else {
        tern_buf_commit(&p->out, n);
        push_out(p);
    }
}

static void on_room(void *owner, tern_stream *lower)
{
    psk_stream *p = owner;
    if (!push_out(p)) {
        return;
    }
    if (p->s.ended) {
        tern_stream_end(lower);
    } else {
        tern_stream_signal_room(&p->s);
    }
}

static void psk_end(tern_stream *s)
{
    psk_stream *p = (psk_stream *)s;
    if (p->lower != NULL && tern_buf_len(&p->out) == 0) {
        tern_stream_end(p->lower);
    }
}

/* ---- in ---- */

/* Bytes of the peer's nonce; how many were taken. */
static size_t take_nonce(psk_stream *p, const uint8_t *data, size_t n)
{
    size_t left = sizeof p->nonce - p->nonce_len;
    size_t k = n < left ? n : left;
    memcpy(p->nonce + p->nonce_len, data, k);
    p->nonce_len = (uint8_t)(p->nonce_len + k);
    if (p->nonce_len == sizeof p->nonce) {
        tern_xsalsa20_init(&p->recv, p->psk, p->nonce); /* cannot fail: send's did not */
        tern_wipe(p->psk, sizeof p->psk);
    }
    return k;
}

static size_t on_data(void *owner, tern_stream *lower, uint8_t *data, size_t n)
{
    psk_stream *p = owner;
    (void)lower;
    if (p->blocked) {
        return 0;
    }
    size_t k = p->nonce_len < sizeof p->nonce ? take_nonce(p, data, n) : 0;
    if (k < n) {
        tern_xsalsa20_xor(&p->recv, data + k, data + k, n - k);
        p->blocked = !tern_stream_deliver(&p->s, data + k, n - k);
    }
    return n;
}

static void on_end(void *owner, tern_stream *lower)
{
    psk_stream *p = owner;
    (void)lower;
    if (p->nonce_len < sizeof p->nonce) {
        p->counters->psk_truncated++;
        fail(p, TERN_E_EOF, "the peer left before its nonce was complete");
        return;
    }
    tern_stream_deliver_end(&p->s);
}

static void on_closed(void *owner, tern_stream *lower, const tern_error *why)
{
    psk_stream *p = owner;
    (void)lower;
    p->lower = NULL;
    release(p);
    tern_stream_finish(&p->s, why);
}

static void psk_consumed(tern_stream *s, size_t n)
{
    psk_stream *p = (psk_stream *)s;
    (void)n;
    if (p->blocked && p->lower != NULL && tern_stream_kept(s) == 0) {
        p->blocked = false;
        tern_stream_resume(p->lower);
    }
}

/* ---- the other ops ---- */

static void psk_stop(tern_stream *s, uint64_t code)
{
    psk_stream *p = (psk_stream *)s;
    if (p->lower != NULL) {
        tern_stream_stop(p->lower, code);
    }
}

static void psk_reset(tern_stream *s, uint64_t code)
{
    abort_lower((psk_stream *)s, code);
}

static void psk_destroy(tern_stream *s)
{
    psk_stream *p = (psk_stream *)s;
    abort_lower(p, 0);
    tern_wipe(p, sizeof *p);
    tern_free(p);
}

static const tern_stream_ops psk_ops = {
    .name = "psk",
    .write = psk_write,
    .room = psk_room,
    .reserve = psk_reserve,
    .commit = psk_commit,
    .consumed = psk_consumed,
    .end = psk_end,
    .stop = psk_stop,
    .reset = psk_reset,
    .destroy = psk_destroy,
};

static const tern_stream_events lower_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_closed = on_closed,
};

/* A port that several protocols share looks at three bytes. A nonce that begins like one of the
 * others' is drawn again, so that a listener need not guess. */
static bool is_ambiguous(const uint8_t *nonce)
{
    return nonce[0] == 0x13 || nonce[0] == 0x16 || (nonce[0] >= 'A' && nonce[0] <= 'Z');
}

tern_stream *tern_psk_stream_new(tern_net *net, tern_stream *lower, const uint8_t psk[TERN_PSK])
{
    uint8_t nonce[TERN_XSALSA20_NONCE];
    psk_stream *p = tern_calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    for (int i = 0; i == 0 || (i < DRAWS_MAX && is_ambiguous(nonce)); i++) {
        tern_loop_random(net->loop, nonce, sizeof nonce);
    }
    tern_buf_init(&p->out, 0);
    if (tern_xsalsa20_init(&p->send, psk, nonce) != 0) {
        tern_free(p);
        return NULL;
    }
    tern_stream_init(&p->s, &psk_ops, lower->loop, tern_stream_id(lower));
    memcpy(p->psk, psk, sizeof p->psk);
    p->lower = lower;
    p->counters = &net->counters;
    tern_stream_take(lower, &lower_events, p);
    size_t taken = tern_stream_write(lower, nonce, sizeof nonce);
    if (taken < sizeof nonce &&
        tern_buf_append(&p->out, nonce + taken, sizeof nonce - taken) != 0) {
        fail(p, TERN_E_NOMEM, "out of memory");
    }
    return &p->s;
}
