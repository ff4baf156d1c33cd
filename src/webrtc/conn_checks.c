/* ICE of a connection (RFC 8445, RFC 7675): the client's checks, and the server's answers, which
 * say again and again that it consents. See conn.h. */
#include "webrtc/conn.h"

/* ---- the client ---- */

static void send_check(webrtc_conn *c)
{
    uint8_t id[TERN_STUN_ID], out[TERN_STUN_MAX];
    tern_loop_random(c->base.loop, id, sizeof id);
    ssize_t n = tern_ice_client_check(c->ice, id, out);
    if (n > 0) {
        webrtc_endpoint_send(c->endpoint, &c->remote, out, (size_t)n);
    }
}

void webrtc_conn_start(webrtc_conn *c)
{
    c->check_wait = 200 * TERN_MS;
    c->check_at = c->began + c->check_wait;
    send_check(c);
    webrtc_want_turn(c);
}

void webrtc_conn_answered(webrtc_conn *c, const uint8_t *p, const tern_stun *message)
{
    tern_endpoint seen;
    if (!tern_ice_client_confirmed(c->ice, p, message, &seen)) {
        c->net->counters.stun_unexpected++;
        return;
    }
    c->heard = tern_loop_now(c->base.loop);
    if (!c->confirmed && c->phase == WEBRTC_CHECKING) {
        c->check_at = c->heard + WEBRTC_CHECK_EVERY;
        c->confirmed = true;
        webrtc_conn_shake(c);
    }
}

static void check_again(webrtc_conn *c, uint64_t now)
{
    if (c->confirmed) {
        c->check_wait = WEBRTC_CHECK_EVERY;
    } else {
        c->check_wait = 2 * c->check_wait < TERN_SEC ? 2 * c->check_wait : TERN_SEC;
    }
    c->check_at = now + c->check_wait;
    send_check(c);
}

/* ---- the server ---- */

/* By its checks a peer asks whether we still consent (RFC 7675, 5.1). Firefox asks each time once,
 * and where no answer comes calls the connection disconnected, for which js-libp2p closes it; it
 * waits four seconds at least. What we send may itself be what an answer finds no place behind. */
static void answer_again(webrtc_conn *c, uint64_t now)
{
    uint8_t out[TERN_STUN_MAX];
    const tern_span key = {(const uint8_t *)c->name, c->name_n};
    ssize_t n = tern_stun_put_success(out, c->check_id, &c->remote, key);
    if (n > 0) {
        webrtc_endpoint_send(c->endpoint, &c->remote, out, (size_t)n);
    }
    c->again_at = c->last_again ? TERN_NEVER : now + 3 * WEBRTC_AGAIN;
    c->last_again = true;
}

void webrtc_conn_checked(webrtc_conn *c, const tern_datagram *check, const tern_stun *m)
{
    c->heard = tern_loop_now(c->base.loop);
    if (m->use_candidate) {
        c->remote = check->from;
    }
    if (c->phase == WEBRTC_OPEN && tern_endpoint_eq(&c->remote, &check->from)) {
        memcpy(c->check_id, m->id, sizeof c->check_id);
        c->again_at = c->heard + WEBRTC_AGAIN;
        c->last_again = false;
        webrtc_want_turn(c); /* sets the timer */
    }
    webrtc_conn_grant(c, 2 * check->len); /* and the answer */
}

/* ---- time ---- */

uint64_t webrtc_conn_checks_at(const webrtc_conn *c)
{
    return c->check_at < c->again_at ? c->check_at : c->again_at;
}

void webrtc_conn_checks_tick(webrtc_conn *c, uint64_t now)
{
    if (now >= c->check_at) {
        check_again(c, now);
    }
    if (now >= c->again_at) {
        answer_again(c, now);
    }
}
