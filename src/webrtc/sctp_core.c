/* SCTP: the handshake, the walk over a packet, and time. See sctp_core.h.
 *
 *     A                              B          both may begin at once (RFC 9260, 5.2.1)
 *     INIT             ->
 *                      <-  INIT ACK, cookie
 *     COOKIE ECHO, DATA ->
 *                      <-  COOKIE ACK, DATA
 *
 * Inside DTLS nobody can forge an address, so a cookie protects nothing: ours is the fixed part of
 * the peer's INIT and our tag, and what comes back is believed when the tag is right. */
#include "webrtc/sctp_core.h"

#include "base/crc32c.h"
#include "base/error.h"
#include "base/mem.h"

enum {
    PORT = 5000,
    STREAMS = 65535,
    INIT_FIXED = 16, /* tag, window, streams out and in, first TSN */
    COOKIE = 4 + 4 + INIT_FIXED,
    COOKIE_MAGIC = 0x7465726e,
    PARAM_COOKIE = 7,
    PARAM_EXTENSIONS = 0x8008,
    CONTROL_MAX = 4096,
    T1_MAX = 8, /* times that INIT or COOKIE ECHO is sent */
    CAUSE_NO_DATA = 9,
};

#define RTO_FIRST UINT64_C(1000000000)
#define MS        UINT64_C(1000000)

/* ---- birth, death ---- */

void tern_sctp_init(tern_sctp *s, const tern_sctp_events *events, void *owner,
                    const uint8_t random[8])
{
    memset(s, 0, sizeof *s);
    s->events = events;
    s->owner = owner;
    s->tag = tern_get32(random);
    s->tag += s->tag == 0;
    s->next_tsn = tern_get32(random + 4);
    s->acked_tsn = s->next_tsn - 1;
    s->reset_seq = s->next_tsn;
    tern_buf_init(&s->cookie, TERN_SCTP_COOKIE_MAX);
    tern_buf_init(&s->control, CONTROL_MAX);
    tern_list_init(&s->ready);
    tern_list_init(&s->sent);
    s->cwnd = 10 * TERN_SCTP_PACKET; /* RFC 6928's, as today's stacks */
    s->ssthresh = SIZE_MAX;
    s->rto = RTO_FIRST;
    s->reorder = 1;
    s->told_window = TERN_SCTP_WINDOW;
    s->t1 = s->t3 = s->sack_at = s->reset_at = s->lost_at = UINT64_MAX;
}

void tern_sctp_free(tern_sctp *s)
{
    tern_list *l;
    while ((l = tern_list_pop(&s->sent)) != NULL) {
        tern_free(l);
    }
    while ((l = tern_list_pop(&s->ready)) != NULL) {
    }
    sctp_held_free(s);
    tern_buf_free(&s->cookie);
    tern_buf_free(&s->control);
    tern_free(s->waiting);
    tern_free(s->in);
    s->waiting = NULL;
    s->in = NULL;
    s->state = TERN_SCTP_DEAD;
}

void sctp_down(tern_sctp *s, int code, uint64_t wire, const char *text)
{
    if (s->state != TERN_SCTP_DEAD) {
        tern_error why;
        tern_fail_wire(&why, code, wire, "sctp", "%s", text);
        s->state = TERN_SCTP_DEAD;
        s->t1 = s->t3 = s->sack_at = s->reset_at = s->lost_at = UINT64_MAX;
        s->events->on_down(s->owner, &why);
    }
}

void sctp_fault(tern_sctp *s, tern_sctp_fault fault)
{
    s->events->on_fault(s->owner, fault);
}

void sctp_answer(tern_sctp *s, const uint8_t *chunk, size_t n)
{
    static const uint8_t zeros[4];
    if (tern_buf_room(&s->control) < n + 4) {
        return;
    }
    if (tern_buf_append(&s->control, chunk, n) == 0 && n % 4 != 0) {
        tern_buf_append(&s->control, zeros, 4 - n % 4);
    }
}

void tern_sctp_start(tern_sctp *s, uint64_t now)
{
    if (s->state == TERN_SCTP_CLOSED) {
        s->state = TERN_SCTP_COOKIE_WAIT;
        s->wants |= WANT_INIT;
        s->t1 = now + s->rto;
    }
}

static void establish(tern_sctp *s)
{
    if (s->state < TERN_SCTP_ESTABLISHED) {
        s->state = TERN_SCTP_ESTABLISHED;
        s->t1 = UINT64_MAX;
        s->wants &= ~(unsigned)(WANT_INIT | WANT_COOKIE_ECHO);
        tern_buf_free(&s->cookie);
        s->events->on_up(s->owner);
    }
}

/* ---- the handshake ---- */

/* What an INIT or INIT ACK says; `p` is its fixed part. */
static void learn(tern_sctp *s, const uint8_t *p)
{
    s->peer_tag = tern_get32(p);
    s->peer_window = tern_get32(p + 4);
    s->cum_in = tern_get32(p + 12) - 1;
    s->highest_in = s->cum_in;
    s->peer_seq = s->cum_in + 1;
}

/* Walks the parameters behind the fixed part: extensions, and a cookie where *ret_cookie is asked
 * for. False when they do not parse. */
static bool read_params(tern_sctp *s, const uint8_t *p, size_t n, tern_span *ret_cookie)
{
    for (size_t at = 0; at + 4 <= n;) {
        uint16_t type = tern_get16(p + at);
        size_t len = tern_get16(p + at + 2);
        if (len < 4 || len > n - at) {
            return false;
        }
        if (type == PARAM_EXTENSIONS) {
            s->peer_resets = memchr(p + at + 4, SCTP_RECONFIG, len - 4) != NULL;
        }
        if (type == PARAM_COOKIE && ret_cookie != NULL) {
            *ret_cookie = (tern_span){p + at + 4, len - 4};
        }
        len = (len + 3) & ~(size_t)3;
        at = len < n - at ? at + len : n;
    }
    return true;
}

/* Tag and streams of an INIT's fixed part. */
static bool usable(const uint8_t *p)
{
    return tern_get32(p) != 0 && tern_get16(p + 8) != 0 && tern_get16(p + 10) != 0;
}

static void on_init(tern_sctp *s, const uint8_t *chunk, size_t n)
{
    const uint8_t *p = chunk + 4;
    if (n < 4 + INIT_FIXED || !usable(p) ||
        !read_params(s, p + INIT_FIXED, n - 4 - INIT_FIXED, NULL)) {
        sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        return;
    }
    if (s->state >= TERN_SCTP_ESTABLISHED && tern_get32(p) != s->peer_tag) {
        sctp_fault(s, TERN_SCTP_BAD_CHUNK); /* a restart: there is none inside DTLS */
        return;
    }
    memcpy(s->peer_init, p, INIT_FIXED);
    s->wants |= WANT_INIT_ACK;
}

static void on_init_ack(tern_sctp *s, uint64_t now, const uint8_t *chunk, size_t n)
{
    tern_span cookie = {NULL, 0};
    if (s->state != TERN_SCTP_COOKIE_WAIT) {
        return; /* a late one */
    }
    if (n < 4 + INIT_FIXED || !usable(chunk + 4) ||
        !read_params(s, chunk + 4 + INIT_FIXED, n - 4 - INIT_FIXED, &cookie) || cookie.len == 0 ||
        cookie.len > TERN_SCTP_COOKIE_MAX) {
        sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        return;
    }
    learn(s, chunk + 4);
    tern_buf_free(&s->cookie);
    if (tern_buf_append(&s->cookie, cookie.data, cookie.len) != 0) {
        return; /* short of memory: the next one may do */
    }
    s->state = TERN_SCTP_COOKIE_ECHOED;
    s->wants = (s->wants & ~(unsigned)WANT_INIT) | WANT_COOKIE_ECHO;
    s->t1 = now + s->rto;
    s->t1_count = 0;
}

static void on_cookie_echo(tern_sctp *s, const uint8_t *chunk, size_t n)
{
    const uint8_t *p = chunk + 4;
    if (n != 4 + COOKIE || tern_get32(p) != COOKIE_MAGIC || tern_get32(p + 4) != s->tag) {
        sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        return;
    }
    if (s->state < TERN_SCTP_ESTABLISHED) {
        learn(s, p + 8);
        establish(s);
    }
    s->wants |= WANT_COOKIE_ACK;
}

static size_t put_init(tern_sctp *s, uint8_t *out, uint8_t type)
{
    uint8_t *p = out;
    memset(p, 0, 4);
    p[0] = type;
    tern_put32(p + 4, s->tag);
    tern_put32(p + 8, TERN_SCTP_WINDOW);
    tern_put16(p + 12, STREAMS);
    tern_put16(p + 14, STREAMS);
    tern_put32(p + 16, s->acked_tsn + 1);
    size_t n = 4 + INIT_FIXED;
    tern_put16(p + n, PARAM_EXTENSIONS);
    tern_put16(p + n + 2, 5);
    memset(p + n + 4, 0, 4);
    p[n + 4] = SCTP_RECONFIG;
    n += 8;
    if (type == SCTP_INIT_ACK) {
        tern_put16(p + n, PARAM_COOKIE);
        tern_put16(p + n + 2, 4 + COOKIE);
        tern_put32(p + n + 4, COOKIE_MAGIC);
        tern_put32(p + n + 8, s->tag);
        memcpy(p + n + 12, s->peer_init, INIT_FIXED);
        n += 4 + COOKIE;
    }
    tern_put16(p + 2, (uint16_t)n);
    return n;
}

/* ---- a packet ---- */

/* One chunk; false when the rest of the packet is not to be looked at. */
static bool on_chunk(tern_sctp *s, uint64_t now, uint8_t *chunk, size_t n)
{
    if (s->state == TERN_SCTP_COOKIE_ECHOED &&
        (chunk[0] == SCTP_DATA || chunk[0] == SCTP_SACK || chunk[0] == SCTP_COOKIE_ACK)) {
        establish(s); /* the peer has our cookie, or it would not know the tag is in use */
    }
    switch (chunk[0]) {
    case SCTP_DATA:
        sctp_data(s, now, chunk, n);
        return true;
    case SCTP_INIT:
        on_init(s, chunk, n);
        return false; /* is alone */
    case SCTP_INIT_ACK:
        on_init_ack(s, now, chunk, n);
        return false;
    case SCTP_SACK:
        sctp_sack(s, now, chunk, n);
        return true;
    case SCTP_HEARTBEAT:
        chunk[0] = SCTP_HEARTBEAT_ACK;
        sctp_answer(s, chunk, n);
        return true;
    case SCTP_ABORT:
        sctp_on_abort(s, chunk, n);
        return false;
    case SCTP_SHUTDOWN:
        sctp_on_shutdown(s, now, chunk, n);
        return true;
    case SCTP_SHUTDOWN_ACK:
        sctp_on_shutdown_ack(s);
        return false;
    case SCTP_SHUTDOWN_COMPLETE:
        if (s->state == TERN_SCTP_SHUTDOWN_ACK_SENT) {
            sctp_down(s, TERN_OK, 0, "the peer closed the connection");
        }
        return false;
    case SCTP_COOKIE_ECHO:
        on_cookie_echo(s, chunk, n);
        return true;
    case SCTP_RECONFIG:
        sctp_reconfig(s, chunk, n);
        return true;
    case SCTP_FORWARD_TSN:
        sctp_forward(s, chunk, n);
        return true;
    case SCTP_HEARTBEAT_ACK:
    case SCTP_ERROR:
    case SCTP_COOKIE_ACK:
        return true;
    default: /* the two top bits say what to do with what one does not know (3.2) */
        if ((chunk[0] & 0x80) == 0) {
            sctp_fault(s, TERN_SCTP_BAD_CHUNK);
        }
        return (chunk[0] & 0x80) != 0;
    }
}

/* Ports, checksum, and the tag that belongs to the first chunk. */
static bool packet_is_ours(const tern_sctp *s, uint8_t *p, size_t n)
{
    if (n < SCTP_HEADER + 4 || n > TERN_SCTP_MTU_MAX || tern_get16(p) != PORT ||
        tern_get16(p + 2) != PORT) {
        return false;
    }
    uint32_t said = (uint32_t)p[11] << 24 | (uint32_t)p[10] << 16 | (uint32_t)p[9] << 8 | p[8];
    memset(p + 8, 0, 4);
    uint32_t tag = tern_get32(p + 4);
    if (said != tern_crc32c(p, n)) {
        return false;
    }
    if (p[12] == SCTP_INIT) {
        return tag == 0;
    }
    bool reflected = (p[13] & 1) != 0 && (p[12] == SCTP_ABORT || p[12] == SCTP_SHUTDOWN_COMPLETE);
    return tag == (reflected ? s->peer_tag : s->tag);
}

void tern_sctp_input(tern_sctp *s, uint64_t now, uint8_t *p, size_t n)
{
    if (s->state == TERN_SCTP_DEAD) {
        return;
    }
    if (!packet_is_ours(s, p, n)) {
        sctp_fault(s, TERN_SCTP_BAD_PACKET);
        return;
    }
    bool data = false;
    for (size_t at = SCTP_HEADER; at + 4 <= n && s->state != TERN_SCTP_DEAD;) {
        size_t len = tern_get16(p + at + 2);
        if (len < 4 || len > n - at) {
            sctp_fault(s, TERN_SCTP_BAD_CHUNK);
            break;
        }
        data = data || p[at] == SCTP_DATA;
        if (!on_chunk(s, now, p + at, len)) {
            break;
        }
        len = (len + 3) & ~(size_t)3;
        at = len < n - at ? at + len : n;
    }
    if (data && s->state != TERN_SCTP_DEAD) {
        if (++s->unacked >= 2) {
            s->wants |= WANT_SACK;
        } else if (s->sack_at == UINT64_MAX) {
            s->sack_at = now + 20 * MS;
        }
    }
    sctp_shutdown_step(s, now);
}

size_t sctp_put_plain(uint8_t *out, uint8_t type, uint8_t flags, size_t n)
{
    out[0] = type;
    out[1] = flags;
    tern_put16(out + 2, (uint16_t)n);
    return n;
}

static size_t finish_packet(const tern_sctp *s, uint8_t *out, size_t n)
{
    tern_put16(out, PORT);
    tern_put16(out + 2, PORT);
    tern_put32(out + 4, out[12] == SCTP_INIT       ? 0
                        : out[12] == SCTP_INIT_ACK ? tern_get32(s->peer_init)
                                                   : s->peer_tag);
    memset(out + 8, 0, 4);
    uint32_t crc = tern_crc32c(out, n);
    for (unsigned i = 0; i < 4; i++) {
        out[8 + i] = (uint8_t)(crc >> 8 * i);
    }
    return n;
}

bool sctp_take_want(tern_sctp *s, unsigned want)
{
    bool wanted = (s->wants & want) != 0;
    s->wants &= ~want;
    return wanted;
}

/* Whole chunks from the queue of answers, as many as fit. */
static size_t put_answers(tern_sctp *s, uint8_t *out, size_t room)
{
    size_t n = 0;
    const uint8_t *p = tern_buf_data(&s->control);
    size_t have = tern_buf_len(&s->control);
    while (n < have) {
        size_t len = (tern_get16(p + n + 2) + (size_t)3) & ~(size_t)3;
        if (n + len > room) {
            break;
        }
        n += len;
    }
    if (n == 0 && have > 0 && room >= TERN_SCTP_PACKET - SCTP_HEADER) {
        tern_buf_free(&s->control); /* longer than a packet of ours: not to be answered */
        return 0;
    }
    if (n > 0) {
        memcpy(out, p, n);
        tern_buf_consume(&s->control, n);
    }
    return n;
}

size_t tern_sctp_output(tern_sctp *s, uint64_t now, uint8_t *out)
{
    size_t n = SCTP_HEADER;
    if (s->state == TERN_SCTP_DEAD || s->state == TERN_SCTP_CLOSED) {
        return 0;
    }
    if (sctp_take_want(s, WANT_INIT)) {
        return finish_packet(s, out, n + put_init(s, out + n, SCTP_INIT));
    }
    if (sctp_take_want(s, WANT_INIT_ACK)) {
        return finish_packet(s, out, n + put_init(s, out + n, SCTP_INIT_ACK));
    }
    if (sctp_take_want(s, WANT_COOKIE_ECHO)) {
        size_t len = tern_buf_len(&s->cookie);
        sctp_put_plain(out + n, SCTP_COOKIE_ECHO, 0, 4 + len);
        memcpy(out + n + 4, tern_buf_data(&s->cookie), len);
        memset(out + n + 4 + len, 0, 3);
        n += (4 + len + 3) & ~(size_t)3;
    }
    if (sctp_take_want(s, WANT_COOKIE_ACK)) {
        n += sctp_put_plain(out + n, SCTP_COOKIE_ACK, 0, 4);
    }
    if ((s->wants & (WANT_ABORT | WANT_SHUTDOWN | WANT_SHUTDOWN_ACK | WANT_SHUTDOWN_COMPLETE)) !=
        0) {
        n = sctp_put_closing(s, out, n);
        return finish_packet(s, out, n);
    }
    if (s->state >= TERN_SCTP_ESTABLISHED) {
        bool ack = sctp_take_want(s, WANT_SACK);
        size_t before = n;
        size_t sack = ack || s->unacked > 0 ? sctp_put_sack(s, out + n, TERN_SCTP_PACKET - n) : 0;
        n += sack;
        n += put_answers(s, out + n, TERN_SCTP_PACKET - n);
        n += sctp_put_reset(s, now, out + n, TERN_SCTP_PACKET - n);
        size_t rest = n;
        n += sctp_put_data(s, now, out + n, TERN_SCTP_PACKET - n);
        if (n == rest && rest == before + sack && sack > 0 && !ack) {
            n = before; /* only a SACK, and that has time */
        } else if (sack > 0) {
            s->unacked = 0;
            s->duplicates = 0;
            s->sack_at = UINT64_MAX;
        }
    } else if (s->state == TERN_SCTP_COOKIE_ECHOED && n > SCTP_HEADER) {
        n += sctp_put_data(s, now, out + n, TERN_SCTP_PACKET - n);
    }
    return n > SCTP_HEADER ? finish_packet(s, out, n) : 0;
}

/* ---- time ---- */

uint64_t tern_sctp_deadline(const tern_sctp *s)
{
    uint64_t at = s->t1 < s->t3 ? s->t1 : s->t3;
    at = s->sack_at < at ? s->sack_at : at;
    at = s->lost_at < at ? s->lost_at : at;
    return s->reset_at < at ? s->reset_at : at;
}

static void on_t1(tern_sctp *s, uint64_t now)
{
    if (++s->t1_count >= T1_MAX) {
        if (s->state >= TERN_SCTP_ESTABLISHED) {
            sctp_down(s, TERN_OK, 0, "closed on this side");
        } else {
            sctp_down(s, TERN_E_TIMEOUT, 0, "the peer does not answer");
        }
        return;
    }
    s->t1 = now + (s->rto << (s->t1_count < 4 ? s->t1_count : 4));
    switch (s->state) {
    case TERN_SCTP_COOKIE_WAIT:
        s->wants |= WANT_INIT;
        break;
    case TERN_SCTP_COOKIE_ECHOED:
        s->wants |= WANT_COOKIE_ECHO;
        break;
    case TERN_SCTP_SHUTDOWN_SENT:
        s->wants |= WANT_SHUTDOWN;
        break;
    case TERN_SCTP_SHUTDOWN_ACK_SENT:
        s->wants |= WANT_SHUTDOWN_ACK;
        break;
    default:
        s->t1 = UINT64_MAX;
        break;
    }
}

void tern_sctp_tick(tern_sctp *s, uint64_t now)
{
    if (now >= s->t1) {
        on_t1(s, now);
    }
    if (now >= s->sack_at) {
        s->sack_at = UINT64_MAX;
        s->wants |= WANT_SACK;
    }
    if (now >= s->reset_at) {
        s->reset_at = UINT64_MAX;
        s->wants |= WANT_RESET;
    }
    if (now >= s->lost_at) {
        sctp_overtaken(s, now);
    }
    if (now >= s->t3) {
        sctp_t3(s, now);
    }
}
