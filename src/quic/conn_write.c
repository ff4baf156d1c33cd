/* What leaves a QUIC connection, in its turn: resets and stops, then packets, then the timer.
 *
 *     ready streams, one after the other -> packets of one length -> one datagram send (GSO)
 *                                           | packet | packet | ... | shorter last |
 */
#include "base/error.h"
#include "quic/tls.h"

enum {
    SPANS = 4,      /* of a stream, to ngtcp2 at a time */
    PACKETS = 64,   /* of a batch: what the system takes in one call */
    BURST = 10,     /* packets that need not be paced */
    SOME = 1 << 14, /* bytes after which the longest packets of an Ethernet are tried ... */
    MUCH = 1 << 20, /* ... and longer ones */
    ROUNDS = 16,    /* batches a turn; then the other connections have theirs */
};

typedef struct batch {
    size_t len, packet; /* bytes so far; of the first packet, which the others are as long as */
    uint8_t ecn;
    tern_endpoint to;
    uint8_t *bytes; /* QUIC_BATCH and another packet */
} batch;

/* ---- resets and stops ---- */

static void do_acts(quic_conn *c)
{
    tern_list *l;
    while ((l = tern_list_pop(&c->acts)) != NULL) {
        quic_stream *s = TERN_CONTAINER(l, quic_stream, act);
        if (s->over || s->id < 0) {
            continue;
        }
        int64_t id = s->id;
        uint64_t code = s->code;
        bool reset = s->want_reset, stop = s->want_stop;
        s->want_reset = s->want_stop = 0;
        if (stop) {
            ngtcp2_conn_shutdown_stream_read(c->q, 0, id, code);
        }
        if (reset) {
            tern_list_remove(&s->ready);
            ngtcp2_conn_shutdown_stream_write(c->q, 0, id, code);
        }
    }
}

/* ---- packets ---- */

/* False when the socket is full: the rest of the batch is lost, as on any network, and the
 * connection goes on when there is room. */
static bool send_batch(quic_conn *c, batch *b)
{
    if (b->len == 0) {
        return true;
    }
    int r = tern_udp_send(c->endpoint->udp, &b->to, b->bytes, b->len, b->packet, b->ecn);
    c->net->counters.bytes_out += b->len;
    b->len = b->packet = 0;
    if (r == TERN_E_STATE) {
        if (tern_list_empty(&c->waiting)) {
            tern_list_push(&c->endpoint->waiting, &c->waiting);
        }
        return false;
    }
    return true;
}

static quic_stream *next_ready(quic_conn *c)
{
    while (!tern_list_empty(&c->ready)) {
        quic_stream *s = TERN_CONTAINER(c->ready.next, quic_stream, ready);
        if (quic_stream_wants(s)) {
            return s;
        }
        tern_list_remove(&s->ready);
    }
    return NULL;
}

/* ngtcp2 took n bytes of the stream. */
static void took(quic_stream *s, ngtcp2_ssize n, bool fin)
{
    s->sent += n > 0 ? (uint64_t)n : 0;
    s->fin_sent |= fin && n >= 0 && s->sent == s->written;
}

/* What became of a stream that ngtcp2 could not take from. */
static void refused(quic_stream *s, ngtcp2_ssize r)
{
    tern_list_remove(&s->ready);
    if (r == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
        s->blocked = 1;
    } else { /* SHUT_WR: the peer said STOP_SENDING; NOT_FOUND: it is being reset */
        s->mute = 1;
    }
}

/* How long a packet may be: with room for a probe of the path, where it is worth one. Who says
 * little never needs it, and many say little: a look-up takes a dozen packets, two of which would
 * be probes. Where longer ones than an Ethernet's arrive the peer keeps a buffer of that length. */
static size_t room_for(const quic_conn *c)
{
    size_t most = ngtcp2_conn_get_max_tx_udp_payload_size(c->q);
    if (c->unpaced < SOME) {
        most = ngtcp2_conn_get_path_max_tx_udp_payload_size(c->q);
    }
    return c->unpaced < MUCH && most > QUIC_PACKET_MAX ? QUIC_PACKET_MAX : most;
}

/* One packet behind the others in the batch: its length, 0 when there is nothing to send now, or an
 * error. Without `data` none of streams. */
static ngtcp2_ssize write_packet(quic_conn *c, batch *b, ngtcp2_path_storage *path, bool data,
                                 uint64_t now)
{
    size_t most = room_for(c);
    ngtcp2_pkt_info info = {0};
    for (;;) {
        quic_stream *s = data ? next_ready(c) : NULL;
        if (s != NULL && s->sent < s->written && ngtcp2_conn_get_max_data_left(c->q) == 0) {
            s = NULL; /* the connection's window is used up: all wait */
        }
        ngtcp2_vec v[SPANS];
        size_t n = s != NULL ? quic_stream_next(s, v, SPANS) : 0;
        uint64_t given = 0;
        for (size_t i = 0; i < n; i++) {
            given += v[i].len;
        }
        bool fin = s != NULL && s->base.ended && s->sent + given == s->written;
        uint32_t flags = s != NULL ? NGTCP2_WRITE_STREAM_FLAG_MORE : 0;
        flags |= fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0;
        ngtcp2_ssize taken = -1;
        ngtcp2_ssize r =
            ngtcp2_conn_writev_stream(c->q, &path->path, &info, b->bytes + b->len, most, &taken,
                                      flags, s != NULL ? s->id : -1, v, n, now);
        if (s != NULL && taken >= 0) {
            took(s, taken, fin);
            if (!quic_stream_wants(s)) {
                tern_list_remove(&s->ready);
            } else { /* the others have their turn */
                tern_list_remove(&s->ready);
                tern_list_push(&c->ready, &s->ready);
            }
        }
        if (r == NGTCP2_ERR_WRITE_MORE) {
            continue;
        }
        if (s != NULL && (r == NGTCP2_ERR_STREAM_DATA_BLOCKED || r == NGTCP2_ERR_STREAM_SHUT_WR ||
                          r == NGTCP2_ERR_STREAM_NOT_FOUND)) {
            refused(s, r);
            continue;
        }
        b->ecn = info.ecn;
        return r;
    }
}

/* Paces what comes next after so many bytes. The first packets, as many as a fresh connection may
 * send at once (RFC 9002, section 7.7), are not spread: the first question and its answer would
 * each wait for a part of a round trip. */
static void pace(quic_conn *c, size_t bytes, uint64_t now)
{
    c->unpaced += bytes;
    if (c->unpaced > BURST * (size_t)QUIC_PACKET_MAX) {
        ngtcp2_conn_update_pkt_tx_time(c->q, now);
    }
}

uint64_t quic_conn_flight(const ngtcp2_conn_info *info)
{
    bool known = info->min_rtt < TERN_SEC; /* not so before the first answer */
    return QUIC_FLIGHT_LEAST + QUIC_FLIGHT_RATE * (known ? info->min_rtt : TERN_SEC);
}

/* Whether more of the streams may be on its way. */
static bool flies(quic_conn *c)
{
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info(c->q, &info);
    return info.bytes_in_flight < quic_conn_flight(&info);
}

typedef enum outcome {
    WROTE,
    FULL, /* the socket is */
    OVER, /* the conn is, and may be freed already */
} outcome;

/* Fills batches and sends them until there is nothing to send. */
static outcome write_all(quic_conn *c)
{
    batch b = {.bytes = c->endpoint->quic->batch};
    uint64_t now = tern_loop_now(c->base.loop);
    ngtcp2_path_storage path;
    size_t bytes = 0; /* written in this turn */
    bool data = flies(c);
    for (int round = 0; round < ROUNDS;) {
        ngtcp2_path_storage_zero(&path);
        size_t before = b.len;
        ngtcp2_ssize r = write_packet(c, &b, &path, data, now);
        if (r < 0) {
            tern_error why;
            b.len = b.packet = 0;
            tern_fail(&why, r == NGTCP2_ERR_NOMEM ? TERN_E_NOMEM : TERN_E_PROTOCOL, "quic", "%s",
                      ngtcp2_strerror((int)r));
            quic_conn_say_goodbye(c, false, 0, (int)r);
            quic_conn_fail(c, &why);
            return OVER;
        }
        if (r == 0) {
            bool sent = send_batch(c, &b);
            pace(c, bytes, now);
            return sent ? WROTE : FULL;
        }
        tern_endpoint to;
        quic_address_to(&to, &path.path.remote);
        size_t n = (size_t)r;
        bytes += n;
        if (before > 0 && (!tern_endpoint_eq(&to, &b.to) || n > b.packet)) {
            /* Longer than the others, or for elsewhere: it begins a batch. */
            if (!send_batch(c, &b)) {
                return FULL;
            }
            memmove(b.bytes, b.bytes + before, n);
            before = 0;
        }
        b.to = to;
        b.packet = before == 0 ? n : b.packet;
        b.len = before + n;
        /* A probe goes by itself: the system refuses it where it is longer than the link's. */
        bool probe = n > ngtcp2_conn_get_path_max_tx_udp_payload_size(c->q);
        if (probe || n < b.packet || b.len + b.packet > QUIC_BATCH || b.len / b.packet >= PACKETS) {
            round++;
            data = flies(c);
            if (!send_batch(c, &b)) {
                return FULL;
            }
        }
    }
    bool sent = send_batch(c, &b);
    pace(c, bytes, now);
    quic_conn_want_turn(c); /* more is left */
    return sent ? WROTE : FULL;
}

/* ---- the timer ---- */

static void on_expiry(tern_timer *timer)
{
    quic_conn *c = TERN_CONTAINER(timer, quic_conn, timer);
    tern_error why;
    int r = ngtcp2_conn_handle_expiry(c->q, tern_loop_now(c->base.loop));
    if (r == 0) {
        quic_conn_write(c);
        return;
    }
    if (r == NGTCP2_ERR_IDLE_CLOSE || r == NGTCP2_ERR_HANDSHAKE_TIMEOUT) {
        tern_fail(&why, TERN_E_TIMEOUT, "quic", "%s",
                  c->given ? "the peer is silent" : "no answer in time");
    } else {
        tern_fail(&why, TERN_E_PROTOCOL, "quic", "%s", ngtcp2_strerror(r));
        quic_conn_say_goodbye(c, false, 0, r);
    }
    quic_conn_fail(c, &why);
}

static void arm(quic_conn *c)
{
    uint64_t at = ngtcp2_conn_get_expiry(c->q);
    if (at == UINT64_MAX) {
        tern_timer_stop(&c->timer);
    } else if (!tern_timer_armed(&c->timer) || c->timer.at != at) {
        tern_timer_start(c->base.loop, &c->timer, at, on_expiry);
    }
}

/* ---- the turn ---- */

/* ngtcp2 has the keys. All that is left for TLS are tickets: ours have left, and theirs have come
 * or are not asked for. */
static void let_tls_go(quic_conn *c)
{
    if (c->tls != NULL && c->complete &&
        (c->base.facts.inbound || !c->resumption.takes_part || c->resumption.fresh == 0)) {
        quic_tls_free(c);
    }
}

bool quic_conn_write(quic_conn *c)
{
    ngtcp2_conn_info info;
    if (c->over) {
        return false;
    }
    let_tls_go(c);
    do_acts(c);
    if (tern_list_empty(&c->waiting) && write_all(c) == OVER) {
        return false;
    }
    ngtcp2_conn_get_conn_info(c->q, &info);
    c->base.facts.rtt = info.smoothed_rtt;
    arm(c);
    if (c->closing && c->complete && c->unacked == 0 && c->linger.fn != NULL) {
        tern_timer_start(c->base.loop, &c->linger, tern_loop_now(c->base.loop), c->linger.fn);
    }
    return true;
}

void quic_conn_turn(tern_deferred *d)
{
    quic_conn_write(TERN_CONTAINER(d, quic_conn, turn));
}

void quic_conn_go_on(tern_list *waiting)
{
    quic_conn_want_turn(TERN_CONTAINER(waiting, quic_conn, waiting));
}

void quic_conn_say_goodbye(quic_conn *c, bool app, uint64_t code, int liberr)
{
    uint8_t out[QUIC_PACKET_MAX];
    ngtcp2_path_storage path;
    ngtcp2_pkt_info info;
    ngtcp2_ccerr why;
    tern_endpoint to;
    if (c->q == NULL) {
        return;
    }
    ngtcp2_ccerr_default(&why);
    if (app) {
        ngtcp2_ccerr_set_application_error(&why, code, NULL, 0);
    } else if (liberr == NGTCP2_ERR_CRYPTO) {
        ngtcp2_ccerr_set_tls_alert(&why, ngtcp2_conn_get_tls_alert(c->q), NULL, 0);
    } else {
        ngtcp2_ccerr_set_liberr(&why, liberr, NULL, 0);
    }
    ngtcp2_path_storage_zero(&path);
    ngtcp2_ssize n = ngtcp2_conn_write_connection_close(c->q, &path.path, &info, out, sizeof out,
                                                        &why, tern_loop_now(c->base.loop));
    if (n > 0) {
        quic_address_to(&to, &path.path.remote);
        tern_udp_send(c->endpoint->udp, &to, out, (size_t)n, 0, 0);
        c->net->counters.bytes_out += (uint64_t)n;
    }
}
