/* Who is asked about which of our addresses, and when: see reach.h. */
#include "base/log.h"
#include "nat/reach_inner.h"

/* ---- whom to ask ---- */

typedef struct choice {
    tern_conn *conn; /* NULL = nobody */
    tern_endpoint at;
    size_t seen; /* how many there were to choose from */
} choice;

/* Each of those that were seen is as likely. */
static void consider(tern_reach *r, choice *c, tern_conn *conn, const tern_endpoint *at)
{
    uint64_t random;
    tern_loop_random(r->net->loop, &random, sizeof random);
    if (random % ++c->seen == 0) {
        c->conn = conn;
        c->at = *at;
    }
}

/* Where a peer is that may be asked; false: it may not. */
static bool may_ask(tern_reach *r, const tern_reach_target *t, const tern_conn *conn,
                    tern_endpoint *ret)
{
    uint32_t transport;
    return !tern_conn_relayed(conn) && !conn->closing && !conn->finished &&
           tern_ma_endpoint(conn->facts.remote, ret, &transport) && tern_endpoint_is_public(ret) &&
           tern_reach_core_may_ask(t, ret, tern_loop_now(r->net->loop));
}

/* A server of version 2 if there is one, else of version 1 (*ret_old). */
static choice choose(tern_reach *r, const tern_reach_target *t, bool *ret_old)
{
    choice newer = {0}, older = {0};
    tern_conn *conn;
    size_t it = 0;
    while ((conn = r->net->ops->next_conn(r->net, NULL, &it)) != NULL) {
        tern_endpoint at;
        if (!may_ask(r, t, conn, &at)) {
            continue;
        }
        if (r->net->ops->speaks(r->net, &conn->facts.peer, TERN_AUTONAT_REQUEST_ID)) {
            consider(r, &newer, conn, &at);
        } else if (r->net->ops->speaks(r->net, &conn->facts.peer, TERN_AUTONAT_1_ID)) {
            consider(r, &older, conn, &at);
        }
    }
    *ret_old = newer.conn == NULL;
    return newer.conn != NULL ? newer : older;
}

/* ---- questions ---- */

bool reach_way_of(tern_reach *r, const tern_reach_target *t, tern_autonat_way *ret)
{
    tern_multiaddr *addrs[TERN_REACH_ADDRS_MAX];
    size_t n = reach_addresses_of(r, t, addrs, TERN_REACH_ADDRS_MAX), best = 0, shortest = 0;
    for (size_t i = 0; i < n; i++) { /* the plainest transport: most can dial it */
        size_t len;
        tern_multiaddr_bytes(addrs[i], &len);
        if (shortest == 0 || len < shortest) {
            shortest = len;
            best = i;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (i != best) {
            tern_multiaddr_unref(addrs[i]);
        }
    }
    *ret = (tern_autonat_way){.addr = n > 0 ? addrs[best] : NULL,
                              .transport = t->transport,
                              .at = t->at,
                              .port = t->port,
                              .own = t->own};
    return n > 0;
}

static void use_answer(tern_reach *r, const tern_autonat_ask *ask, size_t way,
                       tern_reach_answer said)
{
    tern_reach_target *t =
        tern_reach_core_find(&r->core, ask->ways[way].transport, &ask->ways[way].at);
    if (t == NULL) {
        return; /* it is ours no more */
    }
    TERN_LOG(TERN_LOG_DEBUG, "autonat", "%s: %s", tern_multiaddr_text(ask->ways[way].addr),
             said == TERN_REACH_YES  ? "a server reached us"
             : said == TERN_REACH_NO ? "a server could not reach us"
                                     : "a server gave no answer");
    if (tern_reach_core_answer(t, &ask->server, said, tern_loop_now(r->net->loop))) {
        reach_tell(r, t);
    }
}

/* The first way is what was asked; an answer about another says that the server cannot dial it. */
static void on_answer(void *owner, tern_autonat_ask *ask, tern_reach_answer said, size_t way)
{
    tern_reach *r = owner;
    r->ask_count--;
    if (way < ask->way_count) {
        use_answer(r, ask, way, said);
    }
    if (way != 0) {
        use_answer(r, ask, 0, TERN_REACH_NOTHING);
    }
    reach_work(r);
}

/* Others that may be asked of that server, behind the first. */
static void add_others(tern_reach *r, tern_autonat_ask *ask, const tern_reach_target *first)
{
    uint64_t now = tern_loop_now(r->net->loop);
    for (size_t i = 0; i < r->core.count && ask->way_count < TERN_AUTONAT_ASKED_MAX; i++) {
        const tern_reach_target *t = &r->core.targets[i];
        if (t != first && !t->asked && t->verdict == TERN_REACHABILITY_UNKNOWN &&
            tern_reach_core_may_ask(t, &ask->server, now) &&
            reach_way_of(r, t, &ask->ways[ask->way_count])) {
            ask->way_count++;
        }
    }
}

/* Asks somebody; false: nobody can be asked. */
static bool ask_about(tern_reach *r, tern_reach_target *t)
{
    bool old;
    choice c = choose(r, t, &old);
    tern_autonat_ask *ask = c.conn != NULL ? tern_autonat_ask_new(r->net, old) : NULL;
    if (ask == NULL) {
        return false;
    }
    ask->server = c.at;
    ask->done = on_answer;
    ask->owner = r;
    ask->way_count = reach_way_of(r, t, &ask->ways[0]) ? 1 : 0;
    if (!old) {
        add_others(r, ask, t);
    }
    if (tern_autonat_ask_start(ask, c.conn, &r->asks) != 0) {
        return false;
    }
    r->ask_count++;
    t->asked = true;
    return true;
}

static void on_timer(tern_timer *timer)
{
    reach_work(TERN_CONTAINER(timer, tern_reach, timer));
}

void reach_work(tern_reach *r)
{
    uint64_t now = tern_loop_now(r->net->loop), next = TERN_NEVER;
    tern_reach_target *t = NULL;
    if (r->stopped) {
        return;
    }
    reach_sync(r);
    while (r->ask_count < TERN_REACH_ASKS_MAX &&
           (t = tern_reach_core_due(&r->core, now, &next)) != NULL) {
        if (!ask_about(r, t)) {
            tern_reach_core_wait(t, now);
        }
    }
    if (r->ask_count < TERN_REACH_ASKS_MAX && next != TERN_NEVER) {
        tern_timer_start(r->net->loop, &r->timer, next, on_timer);
    } /* else the next answer comes first, or somebody new */
}

void reach_work_in(tern_reach *r, uint64_t time)
{
    uint64_t at = tern_loop_now(r->net->loop) + time;
    if (!tern_timer_armed(&r->timer) || r->timer.at > at) {
        tern_timer_start(r->net->loop, &r->timer, at, on_timer);
    }
}
