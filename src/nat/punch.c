/* What both sides of a hole punch share: see punch.h. */
#include "nat/punch_inner.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "nat/reach.h"

/* ---- one of them ---- */

punch *punch_new(tern_puncher *all, tern_conn *conn, bool begins)
{
    if (all->stopped || all->count >= TERN_PUNCHES_MAX) {
        all->net->counters.punches_refused++;
        return NULL;
    }
    punch *p = tern_calloc(1, sizeof *p);
    uint32_t transport;
    if (p == NULL) {
        all->net->counters.allocation_failures++;
        return NULL;
    }
    if (conn->facts.remote != NULL) {
        tern_ma_endpoint(conn->facts.remote, &p->relay, &transport);
    }
    p->puncher = all;
    p->net = all->net;
    p->conn = conn;
    p->peer = conn->facts.peer;
    p->begins = begins;
    p->began = tern_loop_now(all->net->loop);
    tern_frame_init(&p->frame, TERN_PUNCH_MESSAGE_MAX);
    tern_list_push(&all->all, &p->link);
    all->count++;
    return p;
}

void punch_drop_addrs(punch *p)
{
    while (p->their_count > 0) {
        tern_multiaddr_unref(p->theirs[--p->their_count]);
    }
}

void punch_end(punch *p)
{
    tern_timer_stop(&p->timer);
    if (p->dial != NULL) {
        p->net->ops->cancel_dial(p->dial);
        p->dial = NULL;
    }
    if (!p->over) {
        p->over = true;
        tern_list_remove(&p->link);
        p->puncher->count--;
    }
    if (p->s != NULL) {
        tern_stream_reset(p->s, 0);
        return;
    }
    punch_drop_addrs(p);
    tern_frame_free(&p->frame);
    tern_free(p);
}

bool punch_stream_gone(punch *p)
{
    bool over = p->over;
    p->s = NULL;
    tern_frame_free(&p->frame);
    tern_frame_init(&p->frame, TERN_PUNCH_MESSAGE_MAX);
    if (over) {
        punch_end(p);
    }
    return over;
}

static void on_time(tern_timer *timer)
{
    punch *p = TERN_CONTAINER(timer, punch, timer);
    p->next(p);
}

void punch_in(punch *p, uint64_t time, void (*next)(punch *p))
{
    p->next = next;
    tern_timer_start(p->net->loop, &p->timer, tern_loop_now(p->net->loop) + time, on_time);
}

/* ---- messages ---- */

/* Where a hole may be punched to: without addresses there is nothing to say. */
static int fill_addrs(punch *p, tern_punch_message *m)
{
    tern_multiaddr *all[TERN_PUNCH_ADDRS_MAX * 4];
    tern_reach *reach = p->net->reach;
    size_t n =
        reach != NULL ? tern_reach_candidates(reach, p->tries, all, TERN_PUNCH_ADDRS_MAX * 4) : 0;
    for (size_t i = 0; i < n; i++) {
        if (m->addr_count < TERN_PUNCH_ADDRS_MAX && p->net->ops->punches(p->net, all[i])) {
            m->addrs[m->addr_count++] = tern_multiaddr_ref(all[i]);
        }
        tern_multiaddr_unref(all[i]);
    }
    return m->addr_count > 0 ? 0 : TERN_E_NOT_FOUND;
}

int punch_say(punch *p, tern_punch_kind kind)
{
    tern_punch_message m = {.kind = kind};
    tern_buf out;
    tern_buf_init(&out, TERN_PUNCH_MESSAGE_MAX);
    int code = kind == TERN_PUNCH_CONNECT ? fill_addrs(p, &m) : 0;
    code = code == 0 ? tern_punch_build(&m, &out) : code;
    code = code == 0 ? tern_frame_write(p->s, tern_buf_data(&out), tern_buf_len(&out)) : code;
    tern_punch_clear(&m);
    tern_buf_free(&out);
    return code;
}

/* A peer that lies has somebody else dialled, or ourselves: no private address unless we were told
 * to, and not many. */
static bool is_sensible(punch *p, const tern_multiaddr *addr)
{
    tern_reach *reach = p->net->reach;
    tern_endpoint e;
    uint32_t transport;
    return p->net->ops->punches(p->net, addr) && tern_ma_endpoint(addr, &e, &transport) &&
           tern_reach_punchable(p->net, &e) && e.port != 0 &&
           (reach == NULL || !tern_reach_is_ours(reach, &e, transport));
}

bool punch_take_addrs(punch *p, tern_punch_message *m)
{
    punch_drop_addrs(p);
    for (size_t i = 0; i < m->addr_count; i++) {
        if (p->their_count < TERN_PUNCH_DIALS_MAX && is_sensible(p, m->addrs[i])) {
            p->theirs[p->their_count++] = tern_multiaddr_ref(m->addrs[i]);
        }
    }
    tern_punch_clear(m);
    return p->their_count > 0;
}

bool punch_may_dial(punch *p, tern_error *reterr)
{
    uint64_t now = tern_loop_now(p->net->loop);
    if (tern_rate_admit(&p->puncher->rate, now, &p->relay, &p->peer)) {
        return true;
    }
    p->net->counters.punches_rate++;
    tern_fail(reterr, TERN_E_LIMIT, "dcutr", "too many dials in a minute for peers through relays");
    return false;
}

bool punch_dial(punch *p, void (*done)(void *owner, tern_conn *conn, const tern_error *error),
                tern_error *reterr)
{
    if (!punch_may_dial(p, reterr)) {
        return false;
    }
    tern_punch_role role = p->begins ? TERN_PUNCH_SERVER : TERN_PUNCH_CLIENT;
    p->dial = p->net->ops->punch(p->net, &p->peer, p->theirs, p->their_count, role,
                                 tern_loop_now(p->net->loop) + TERN_PUNCH_DIAL_TIME, done, p);
    if (p->dial == NULL) {
        tern_fail(reterr, TERN_E_NOMEM, "dcutr", "out of memory");
        return false;
    }
    p->tries++;
    p->dials++;
    p->net->counters.punches_tried++;
    for (size_t i = 0; i < p->their_count; i++) {
        TERN_LOG(TERN_LOG_DEBUG, "dcutr", "attempt %u, as the %s: %s", p->tries,
                 p->begins ? "server" : "client", tern_multiaddr_text(p->theirs[i]));
    }
    return true;
}

/* ---- the end ---- */

tern_conn *punch_direct(const punch *p)
{
    size_t it = 0;
    tern_conn *c;
    do {
        c = p->net->ops->next_conn(p->net, &p->peer, &it);
    } while (c != NULL && (tern_conn_relayed(c) || c->closing));
    return c;
}

/* The relayed connection goes when nothing runs over it; the relay would cut it sooner or later. */
static void look_again(punch *p)
{
    if (p->conn == NULL || p->conn->closing || punch_direct(p) == NULL) {
        punch_end(p);
    } else if (p->conn->stream_count == p->conn->own_count) {
        tern_conn_close(p->conn, 0, "there is a direct connection");
        punch_end(p);
    } else {
        punch_in(p, TERN_PUNCH_CHECK_TIME, look_again);
    }
}

void punch_won(punch *p)
{
    tern_net *net = p->net;
    p->won = true;
    net->counters.punches_won++;
    net->ops->punched(net, &p->peer, p->tries, tern_loop_now(net->loop) - p->began, NULL);
    punch_in(p, TERN_PUNCH_CHECK_TIME, look_again);
}

static bool same_nat(const punch *p)
{
    tern_endpoint e;
    uint32_t transport;
    for (size_t i = 0; i < p->their_count; i++) {
        if (tern_ma_endpoint(p->theirs[i], &e, &transport) &&
            tern_reach_shares_nat(p->net->reach, &e)) {
            return true;
        }
    }
    return false;
}

/* Nobody came through: whose NAT it may be. */
static void explain(const punch *p, tern_error *why)
{
    const tern_reach *reach = p->net->reach;
    if (why->code == TERN_E_TIMEOUT) {
        const char *more = reach == NULL ? ""
                           : same_nat(p) ? "; both are behind one that leads nobody back into it: "
                                           "use the address in the local network"
                           : tern_reach_ports_vary(reach)
                               ? "; ours has another port for each destination: map a port, or use "
                                 "IPv6"
                               : "";
        tern_fail(why, TERN_E_TIMEOUT, "dcutr", "no NAT let the other side in%s", more);
    }
}

void punch_lost(punch *p, const tern_error *why)
{
    tern_net *net = p->net;
    tern_error copy = *why;
    TERN_LOG(TERN_LOG_DEBUG, "dcutr", "given up after %u attempts: %s", p->tries, why->text);
    if (p->begins || p->tries > 0) {
        explain(p, &copy);
        net->counters.punches_lost++;
        net->ops->punched(net, &p->peer, p->tries, tern_loop_now(net->loop) - p->began, &copy);
    }
    punch_end(p);
}

/* ---- the service ---- */

punch *punch_find(tern_puncher *all, const tern_conn *conn)
{
    for (tern_list *l = all->all.next; l != &all->all; l = l->next) {
        punch *p = TERN_CONTAINER(l, punch, link);
        if (p->conn == conn) {
            return p;
        }
    }
    return NULL;
}

static void on_conn(tern_net_ear *ear, tern_conn *conn)
{
    tern_puncher *all = TERN_CONTAINER(ear, tern_puncher, ear);
    if (!conn->facts.inbound || !tern_conn_relayed(conn)) {
        return;
    }
    punch *p = punch_new(all, conn, true);
    if (p != NULL) {
        punch_begin(p);
    }
}

static void on_identified(tern_net_ear *ear, tern_conn *conn, const tern_identity *identity)
{
    punch *p = punch_find(TERN_CONTAINER(ear, tern_puncher, ear), conn);
    if (p != NULL && p->waits) {
        punch_begin_identified(p, identity);
    }
}

static void on_gone(tern_net_ear *ear, tern_conn *conn)
{
    tern_puncher *all = TERN_CONTAINER(ear, tern_puncher, ear);
    tern_list *next;
    for (tern_list *l = all->all.next; l != &all->all; l = next) {
        punch *p = TERN_CONTAINER(l, punch, link);
        next = l->next;
        if (p->conn != conn) {
            continue;
        }
        p->conn = NULL;
        if (p->dial != NULL) { /* what was agreed on goes on without it */
            continue;
        }
        if (p->won || p->dials == 0) { /* that much is no news */
            punch_end(p);
        } else {
            tern_error why;
            tern_fail(&why, TERN_E_CONN_CLOSED, "dcutr", "the connection through the relay ended");
            punch_lost(p, &why);
        }
    }
}

int tern_puncher_new(tern_net *net, tern_puncher **ret)
{
    static const char id[] = TERN_PUNCH_ID;
    tern_puncher *all = tern_calloc(1, sizeof *all);
    if (all == NULL) {
        return TERN_E_NOMEM;
    }
    tern_protocol protocol = {.id = id,
                              .on_stream = punch_on_stream,
                              .ctx = all,
                              .per_peer = TERN_PUNCH_PER_PEER,
                              .over_limited = true};
    int code = net->ops->handle(net, &protocol);
    if (code != 0) {
        tern_free(all);
        return code;
    }
    all->net = net;
    all->rate.most = TERN_PUNCH_RATE;
    all->rate.most_of_block = TERN_PUNCH_RATE_OF_RELAY;
    all->rate.most_of_peer = TERN_PUNCH_RATE_OF_PEER;
    all->ear =
        (tern_net_ear){.on_conn = on_conn, .on_identified = on_identified, .on_gone = on_gone};
    tern_list_init(&all->all);
    tern_list_push(&net->ears, &all->ear.link);
    *ret = all;
    return 0;
}

void tern_puncher_stop(tern_puncher *all)
{
    all->stopped = true;
    while (!tern_list_empty(&all->all)) {
        punch_end(TERN_CONTAINER(all->all.next, punch, link));
    }
}

void tern_puncher_free(tern_puncher *all)
{
    if (all != NULL) {
        tern_puncher_stop(all);
        tern_list_remove(&all->ear.link);
        tern_free(all);
    }
}
