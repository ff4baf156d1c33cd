/* A QUIC connection: birth, the end of the handshake, the end. See conn.h.
 *
 *     accept, dial -> handshake -> the peer is proven -> given to listener or dial -> streams
 *                         \--------------------------------------------------------> the end
 */
#include "quic/conn.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "quic/quic.h"
#include "quic/resume.h"
#include "quic/tls.h"

#define IDLE_TIME       (30 * TERN_SEC)
#define KEEP_ALIVE      (10 * TERN_SEC) /* rust gives up after ten; the lesser of both times counts */
#define QUIC_EARLY_TIME (3 * TERN_SEC) /* for the answer to a dial that was believed in advance */
#define QUIC_PUNCH_RTT                                                                             \
    (100 * TERN_MS)                /* until it is measured: the first packets are repeated soon */
#define FLUSH_TIME  (2 * TERN_SEC) /* of a close in good order, for what is on its way */
#define WINDOW      (512 << 10)    /* of a stream at first */
#define CONN_WINDOW (768 << 10)
enum { UNI_STREAMS = 3, CIDS = 4 };

static tern_multiaddr *address_of(const tern_endpoint *e)
{
    tern_multiaddr *udp = tern_ma_from_endpoint(e, TERN_MA_UDP);
    tern_multiaddr *whole = udp != NULL ? tern_ma_with(udp, TERN_MA_QUIC_V1, NULL, 0) : NULL;
    tern_multiaddr_unref(udp);
    return whole;
}

/* ---- birth ---- */

/* What the certificate of a libp2p peer proves. */
static int verify(quic_conn *c, tern_span der, unsigned count, tern_key **ret, tern_error *reterr)
{
    tern_net *net = c->net;
    const char *text;
    if (count != 1) {
        net->counters.tls_bad_certificate++;
        return tern_fail(reterr, TERN_E_PROTOCOL, "quic",
                         "the peer shows more than one certificate");
    }
    int e = tern_cert_verify(der, tern_loop_wall(net->loop), &c->endpoint->quic->known, ret,
                             &c->resumption.until, &text);
    if (e != 0) {
        *(e == TERN_E_SIGNATURE ? &net->counters.tls_bad_signature
                                : &net->counters.tls_bad_certificate) += 1;
        return tern_fail(reterr, e, "quic", "%s", text);
    }
    return 0;
}

int quic_conn_judge(quic_conn *c, tern_span der, unsigned count)
{
    tern_error why;
    tern_peer_id peer;
    tern_key *key = NULL;
    int e =
        c->app != NULL ? c->app->verify(c->session, der, &why) : verify(c, der, count, &key, &why);
    if (e == 0 && c->app == NULL && c->expected.len > 0) {
        tern_key_peer_id(key, &peer);
        if (!tern_peer_id_equal(&peer, &c->expected)) {
            c->net->counters.tls_wrong_peer++;
            e = tern_fail(&why, TERN_E_PEER_ID, "quic", "another peer than expected answers");
        }
    }
    if (e != 0 && c->failure == NULL) {
        c->failure = tern_memdup(&why, sizeof why);
    }
    if (e == 0 && c->key == NULL && !c->given) {
        c->key = key;
    } else {
        tern_key_unref(key);
    }
    return e;
}

/* Which lengths of packets are tried on the path: downwards until one arrives, and where it is the
 * longest of an Ethernet, upwards; the Internet has nothing longer. */
static void find_packets(ngtcp2_settings *settings, const tern_endpoint *remote)
{
    static const uint16_t probes[] = {QUIC_PACKET_MAX,  1406, 1342, 1232, QUIC_PACKET_JUMBO,
                                      QUIC_PACKET_LOCAL};
    settings->pmtud_probes = probes;
    settings->pmtud_probeslen = sizeof probes / sizeof *probes;
    settings->max_tx_udp_payload_size = tern_endpoint_is_loopback(remote) ? QUIC_PACKET_LOCAL
                                        : tern_endpoint_is_public(remote) ? QUIC_PACKET_MAX
                                                                          : QUIC_PACKET_JUMBO;
}

static void fill_settings(const quic_conn *c, ngtcp2_settings *settings,
                          ngtcp2_transport_params *params)
{
    const tern_limits *l = &c->net->limits;
    ngtcp2_settings_default(settings);
    settings->initial_ts = tern_loop_now(c->base.loop);
    settings->rand_ctx.native_handle = c->base.loop;
    settings->cc_algo = NGTCP2_CC_ALGO_CUBIC; /* docs/decisions/quic-speed.md */
    find_packets(settings, &c->remote);
    settings->handshake_timeout = l->upgrade_time;
    settings->max_stream_window =
        l->stream_window_max < (16 << 20) ? l->stream_window_max : 16 << 20;
    settings->max_window = settings->max_stream_window / 2 * 3;
    ngtcp2_transport_params_default(params);
    params->initial_max_stream_data_bidi_local = WINDOW;
    params->initial_max_stream_data_bidi_remote = WINDOW;
    params->initial_max_stream_data_uni = 16 << 10;
    params->initial_max_data = CONN_WINDOW;
    params->initial_max_streams_bidi = l->streams_per_conn;
    params->initial_max_streams_uni = UNI_STREAMS;
    params->max_idle_timeout = IDLE_TIME;
    params->active_connection_id_limit = CIDS;
}

static void on_linger(tern_timer *timer)
{
    quic_conn *c = TERN_CONTAINER(timer, quic_conn, linger);
    tern_error why;
    if (c->app != NULL && !quic_conn_write(c)) { /* its last word */
        return;
    }
    quic_conn_say_goodbye(c, true, c->app != NULL ? c->app->no_error : c->close_code, 0);
    tern_fail(&why, 0, "quic", "%s", c->close_text != NULL ? c->close_text : "closed on this side");
    quic_conn_fail(c, &why);
}

static quic_conn *new_conn(quic_endpoint *e, const tern_endpoint *remote, bool inbound)
{
    tern_net *net = e->net;
    quic_conn *c = tern_calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    tern_conn_facts facts = {.local = address_of(&e->local),
                             .remote = address_of(remote),
                             .transport = "quic-v1",
                             .security = "tls",
                             .muxer = "native",
                             .inbound = inbound};
    tern_conn_init(&c->base, &quic_conn_ops, net->loop, &facts);
    c->endpoint = e;
    c->net = net;
    c->remote = *remote;
    tern_deferred_init(&c->turn, quic_conn_turn);
    tern_list *lists[] = {&c->link, &c->waiting, &c->streams, &c->ready, &c->unopened, &c->acts};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        tern_list_init(lists[i]);
    }
    if (facts.local == NULL || facts.remote == NULL) {
        tern_conn_facts_clear(&c->base.facts);
        tern_free(c);
        return NULL;
    }
    tern_list_push(&e->conns, &c->link);
    e->users++;
    net->natives++;
    return c;
}

/* Of a conn that nobody knows yet. */
static void free_conn(quic_conn *c)
{
    quic_endpoint *e = c->endpoint;
    tern_net *net = c->net;
    if (c->q != NULL) {
        ngtcp2_conn_del(c->q);
    }
    quic_tls_free(c);
    tern_deferred_cancel(&c->turn);
    tern_timer_stop(&c->timer);
    tern_timer_stop(&c->linger);
    tern_list_remove(&c->link);
    tern_list_remove(&c->waiting);
    quic_early_over(c);
    tern_key_unref(c->key);
    tern_key_unref(c->resumption.kept);
    tern_free(c->failure);
    tern_conn_facts_clear(&c->base.facts);
    tern_crowds_leave(&net->pending, &c->place);
    tern_free(c);
    quic_endpoint_unuse(e);
    if (--net->natives == 0 && net->sockets_gone.fn != NULL) {
        tern_defer(net->loop, &net->sockets_gone);
    }
}

static int make_tls(quic_conn *c, const tern_ticket *ticket, uint32_t age, bool early)
{
    int e = quic_tls_prepare(c->endpoint->quic);
    if (e == 0) {
        e = quic_tls_new(c, ticket, age, early);
    }
    if (e == 0) {
        ngtcp2_conn_set_keep_alive_timeout(c->q, KEEP_ALIVE);
    }
    return e;
}

static void evict(tern_crowd_member *place)
{
    quic_conn *c = TERN_CONTAINER(place, quic_conn, place);
    tern_error why;
    tern_fail(&why, TERN_E_LIMIT, "quic", "too many connections are being set up");
    quic_conn_fail(c, &why);
}

quic_conn *quic_conn_accept(quic_endpoint *e, const tern_endpoint *from, const ngtcp2_pkt_hd *hd,
                            const ngtcp2_cid *original, bool known)
{
    quic_conn *c = new_conn(e, from, true);
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_callbacks callbacks;
    quic_address local, remote;
    ngtcp2_cid scid = {.datalen = QUIC_CID};
    if (c == NULL) {
        return NULL;
    }
    c->place.evict = evict;
    fill_settings(c, &settings, &params);
    params.original_dcid = original != NULL ? *original : hd->dcid;
    params.original_dcid_present = 1;
    if (original != NULL) { /* it came back with the token of our Retry */
        params.retry_scid = hd->dcid;
        params.retry_scid_present = 1;
    }
    if (original != NULL || known) {
        settings.token = hd->token;
        settings.tokenlen = hd->tokenlen;
        settings.token_type =
            original != NULL ? NGTCP2_TOKEN_TYPE_RETRY : NGTCP2_TOKEN_TYPE_NEW_TOKEN;
    }
    tern_loop_random(e->net->loop, scid.data, scid.datalen);
    params.stateless_reset_token_present = ngtcp2_crypto_generate_stateless_reset_token(
                                               params.stateless_reset_token, e->quic->reset_key,
                                               sizeof e->quic->reset_key, &scid) == 0;
    quic_conn_callbacks(&callbacks, true, e->app != NULL);
    quic_address_from(&local, &e->local);
    quic_address_from(&remote, from);
    ngtcp2_path path = {local.view, remote.view, NULL};
    if (ngtcp2_conn_server_new(&c->q, &hd->scid, &scid, &path, hd->version, &callbacks, &settings,
                               &params, NULL, c) != 0 ||
        make_tls(c, NULL, 0, false) != 0 || quic_endpoint_add_cid(e, &scid, c) != 0 ||
        quic_endpoint_add_cid(e, &hd->dcid, c) != 0 ||
        tern_crowds_join(&e->net->pending, from, &c->place) != 0) {
        quic_endpoint_remove_cid(e, &scid, c);
        quic_endpoint_remove_cid(e, &hd->dcid, c);
        free_conn(c);
        return NULL;
    }
    return c;
}

quic_conn *quic_conn_dial(quic_endpoint *e, tern_dial_op *op, const tern_endpoint *to,
                          const tern_quic_app *app, void *session)
{
    quic_conn *c = new_conn(e, to, false);
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_callbacks callbacks;
    quic_address local, remote;
    ngtcp2_cid scid = {.datalen = QUIC_CID}, dcid = {.datalen = 16};
    quic_kept kept;
    tern_ticket ticket;
    uint32_t age = 0;
    if (c == NULL) {
        return NULL;
    }
    memset(&kept, 0, sizeof kept);
    if (app == NULL && !e->net->no_resumption) {
        quic_kept_take(e->quic, &op->expected, to, &kept);
    }
    bool offers = quic_resume_ticket(c, &kept, &ticket, &age);
    bool early = offers && kept.params_n > 0 && e->net->early_data;
    c->app = app;
    fill_settings(c, &settings, &params);
    if (app != NULL) {
        quic_app_params(&params);
    }
    settings.token = kept.token_n > 0 ? kept.token : NULL;
    settings.tokenlen = kept.token_n;
    settings.token_type =
        kept.token_n > 0 ? NGTCP2_TOKEN_TYPE_NEW_TOKEN : NGTCP2_TOKEN_TYPE_UNKNOWN;
    if (op->punch == TERN_PUNCH_CLIENT) { /* the peer's NAT may open a moment later */
        settings.initial_rtt = QUIC_PUNCH_RTT;
    }
    if (early && settings.handshake_timeout > QUIC_EARLY_TIME) {
        settings.handshake_timeout = QUIC_EARLY_TIME;
    }
    tern_loop_random(e->net->loop, scid.data, scid.datalen);
    tern_loop_random(e->net->loop, dcid.data, dcid.datalen);
    quic_conn_callbacks(&callbacks, false, app != NULL);
    quic_address_from(&local, &e->local);
    quic_address_from(&remote, to);
    ngtcp2_path path = {local.view, remote.view, NULL};
    if (ngtcp2_conn_client_new(&c->q, &dcid, &scid, &path, NGTCP2_PROTO_VER_V1, &callbacks,
                               &settings, &params, NULL, c) != 0 ||
        make_tls(c, offers ? &ticket : NULL, age, early) != 0 ||
        quic_endpoint_add_cid(e, &scid, c) != 0) {
        tern_wipe(&ticket, sizeof ticket);
        quic_kept_clear(&kept);
        free_conn(c);
        return NULL;
    }
    c->session = session;
    c->dial = op;
    c->expected = op->expected;
    if (offers) {
        quic_resume_offer(c, &kept);
    }
    if (c->resumption.early) {
        c->key = tern_key_ref(c->resumption.kept);
    }
    tern_wipe(&ticket, sizeof ticket);
    quic_kept_clear(&kept);
    quic_conn_want_turn(c);
    return c;
}

/* ---- the handshake's end ---- */

void quic_conn_give(quic_conn *c)
{
    tern_dial_op *op = c->dial;
    tern_listener *l = c->app != NULL ? c->endpoint->app_listener : c->endpoint->listener;
    c->given = 1;
    c->base.facts.unproven = !c->complete;
    c->base.facts.key = c->key;
    c->key = NULL;
    tern_key_peer_id(c->base.facts.key, &c->base.facts.peer);
    c->base.facts.opened = tern_loop_now(c->base.loop);
    c->base.facts.id = ++c->net->conn_ids;
    if (op != NULL) {
        c->dial = NULL;
        op->state = NULL;
        op->conn = &c->base;
        tern_op_finish(&op->op, NULL);
    } else if (l != NULL) {
        l->events->on_conn(l->owner, l, &c->base);
    } else {
        tern_conn_drop(&c->base, 0, "nobody listens any more");
    }
}

void quic_conn_ready(quic_conn *c)
{
    tern_crowds_leave(&c->net->pending, &c->place);
    quic_early_over(c);
    c->complete = 1;
    c->net->counters.upgrades++;
    if (!c->given) {
        quic_conn_give(c);
        return;
    }
    quic_conn_open_waiting(c);
    tern_conn_prove(&c->base);
    if (c->closing) {
        tern_timer_start(c->base.loop, &c->linger, tern_loop_now(c->base.loop), on_linger);
    }
}

void quic_conn_moved(quic_conn *c, const tern_endpoint *to)
{
    tern_multiaddr *addr = address_of(to);
    if (addr == NULL) {
        c->net->counters.allocation_failures++;
        return; /* it is told so again should it move again */
    }
    c->remote = *to;
    c->net->counters.quic_moved++;
    tern_multiaddr_unref(c->base.facts.remote);
    c->base.facts.remote = addr;
}

/* ---- the end ---- */

static void end_streams(quic_conn *c, const tern_error *why)
{
    tern_error each;
    tern_fail_wire(&each, TERN_E_CONN_CLOSED, why->wire, why->layer, "%s", why->text);
    tern_list *next;
    for (tern_list *l = c->streams.next; l != &c->streams; l = next) {
        quic_stream *s = TERN_CONTAINER(l, quic_stream, link);
        next = l->next;
        if (!s->gone) {
            tern_stream_finish(&s->base, &each);
        }
        quic_stream_over(s);
    }
}

void quic_conn_fail(quic_conn *c, const tern_error *why)
{
    tern_error copy = *why;
    tern_dial_op *op = c->dial;
    if (c->over) {
        return;
    }
    c->over = 1;
    if (c->given && !c->complete && !c->base.facts.inbound) { /* no tickets: the next dial races */
        quic_kept_forget(c->endpoint->quic, &c->base.facts.peer);
    }
    tern_crowds_leave(&c->net->pending, &c->place);
    tern_timer_stop(&c->timer);
    tern_timer_stop(&c->linger);
    tern_deferred_cancel(&c->turn);
    tern_list_remove(&c->waiting);
    quic_endpoint_remove_cids(c->endpoint, c);
    ngtcp2_conn_del(c->q);
    c->q = NULL;
    quic_tls_free(c);
    if (c->session != NULL) {
        c->app->gone(c->session, &copy);
        c->session = NULL;
    }
    end_streams(c, &copy);
    if (c->given) {
        tern_conn_finish(&c->base, &copy);
        return;
    }
    c->net->counters.upgrade_failures++;
    c->net->counters.upgrade_timeouts += copy.code == TERN_E_TIMEOUT;
    c->dial = NULL;
    if (c->base.stream_count > 0) { /* of its app: they go first */
        tern_conn_finish(&c->base, &copy);
        tern_conn_drop(&c->base, 0, NULL);
    } else {
        free_conn(c);
    }
    if (op != NULL) {
        op->state = NULL;
        tern_op_finish(&op->op, &copy);
    }
}

void quic_conn_forget_dial(quic_conn *c)
{
    tern_error why;
    c->dial = NULL;
    tern_fail(&why, TERN_E_CANCELLED, "quic", "cancelled");
    quic_conn_say_goodbye(c, true, 0, 0);
    quic_conn_fail(c, &why);
}

/* ---- the contract ---- */

tern_stream *quic_conn_open(quic_conn *c, tern_error *reterr)
{
    if (c->q == NULL || c->over) {
        tern_fail(reterr, TERN_E_CONN_CLOSED, "quic", "the connection is over");
        return NULL;
    }
    if (c->unopened_count >= QUIC_UNOPENED_MAX) {
        tern_fail(reterr, TERN_E_LIMIT, "quic", "too many streams wait for the peer's permission");
        return NULL;
    }
    quic_stream *s = quic_stream_new(c, -1);
    if (s == NULL) {
        tern_fail(reterr, TERN_E_NOMEM, "quic", "out of memory");
        return NULL;
    }
    int64_t id;
    tern_list_push(&c->unopened, &s->ready);
    c->unopened_count++;
    /* Before the handshake is done only what is safe to be played twice is opened. On the server
     * all is: what it says only the peer can read. */
    if ((c->complete || c->base.facts.inbound) && ngtcp2_conn_open_bidi_stream(c->q, &id, s) == 0) {
        quic_stream_opened(s, id);
    }
    return &s->base;
}

static tern_stream *conn_open(tern_conn *base, tern_error *reterr)
{
    quic_conn *c = (quic_conn *)base;
    return c->session != NULL ? c->app->open(c->session, reterr) : quic_conn_open(c, reterr);
}

static void conn_hurry(tern_conn *base, tern_stream *s)
{
    quic_early_open((quic_conn *)base, (quic_stream *)s);
}

/* In good order: when nothing is on its way any more, or FLUSH_TIME has passed. */
static void conn_close(tern_conn *base, uint64_t code, const char *text)
{
    quic_conn *c = (quic_conn *)base;
    if (c->over) {
        return;
    }
    c->closing = 1;
    c->close_code = code;
    c->close_text = text;
    if (c->session != NULL) {
        c->app->closing(c->session, code, text);
    }
    uint64_t now = tern_loop_now(base->loop);
    /* Before the handshake is done no code of ours would reach the peer. */
    bool later = !c->complete || (code == 0 && c->unacked > 0);
    tern_timer_start(base->loop, &c->linger, later ? now + FLUSH_TIME : now, on_linger);
}

static void conn_destroy(tern_conn *base)
{
    free_conn((quic_conn *)base);
}

static size_t conn_held(const tern_conn *base)
{
    const quic_conn *c = (const quic_conn *)(const void *)base;
    return (size_t)c->unread + c->unacked;
}

const tern_conn_ops quic_conn_ops = {
    .name = "quic",
    .open = conn_open,
    .hurry = conn_hurry,
    .close = conn_close,
    .destroy = conn_destroy,
    .held = conn_held,
};
