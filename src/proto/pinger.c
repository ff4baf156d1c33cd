/* Ping, the asking side: one stream a connection, pings answered in order. See ping.h. */
#include "base/error.h"
#include "base/mem.h"
#include "proto/ping.h"

enum { BLOCK = 32, WAITING_MAX = 32 };
#define PING_TIME (10 * TERN_SEC)
#define IDLE_TIME (10 * TERN_SEC) /* go's; a peer counts our streams over all connections to it */

static const char *const ids[] = {TERN_PING_ID, NULL};

typedef struct waiting {
    tern_list link;
    uint8_t block[BLOCK];
    uint64_t sent;
    void (*done)(void *owner, uint64_t rtt, const tern_error *e);
    void *owner;
} waiting;

struct tern_pinger {
    tern_net *net;
    tern_conn *conn;
    tern_stream *s;   /* NULL = none open */
    bool negotiating; /* until the open's done the stream's events are not ours */
    bool answered;    /* this stream has answered a ping: when it ends, a new one is worth a try */
    bool freed;       /* waits for the open's done */
    tern_list waiting;
    size_t count;
    uint8_t block[BLOCK]; /* of the answer */
    size_t len;
    tern_timer timer; /* the oldest ping's deadline; without any, the end of an idle stream */
};

static void tell(tern_pinger *p, waiting *w, const tern_error *error)
{
    waiting copy = *w;
    tern_list_remove(&w->link);
    p->count--;
    tern_free(w);
    copy.done(copy.owner, tern_loop_now(p->net->loop) - copy.sent, error);
}

/* Nobody is called from inside a call of his own: tell_all runs from the loop only. */
static void tell_all(tern_pinger *p, const tern_error *error)
{
    tern_error copy = *error;
    tern_list told;
    tern_list_init(&told);
    tern_list_splice(&told, &p->waiting);
    while (!tern_list_empty(&told)) {
        tell(p, TERN_CONTAINER(told.next, waiting, link), &copy);
    }
}

static void give_up_stream(tern_pinger *p)
{
    tern_stream *s = p->s;
    p->s = NULL;
    p->len = 0;
    p->answered = false;
    if (s != NULL) {
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
    }
}

static void on_deadline(tern_timer *timer)
{
    tern_pinger *p = TERN_CONTAINER(timer, tern_pinger, timer);
    tern_error error;
    p->net->counters.ping_timeout++;
    tern_fail(&error, TERN_E_TIMEOUT, "ping", "no answer within 10 seconds");
    if (p->negotiating) {
        tern_stream_reset(p->s, 0); /* the open's done follows */
    } else {
        give_up_stream(p);
    }
    tell_all(p, &error);
}

static void on_idle(tern_timer *timer)
{
    tern_pinger *p = TERN_CONTAINER(timer, tern_pinger, timer);
    tern_stream *s = p->s;
    p->s = NULL;
    p->len = 0;
    p->answered = false;
    tern_stream_drop(s);
}

static void arm(tern_pinger *p)
{
    tern_loop *loop = p->net->loop;
    if (tern_list_empty(&p->waiting)) {
        if (p->s != NULL && !p->negotiating) {
            tern_timer_start(loop, &p->timer, tern_loop_now(loop) + IDLE_TIME, on_idle);
        } else {
            tern_timer_stop(&p->timer);
        }
        return;
    }
    waiting *oldest = TERN_CONTAINER(p->waiting.next, waiting, link);
    tern_timer_start(loop, &p->timer, oldest->sent + PING_TIME, on_deadline);
}

static void on_answer(tern_pinger *p)
{
    waiting *w = TERN_CONTAINER(p->waiting.next, waiting, link);
    tern_error error;
    if (memcmp(w->block, p->block, BLOCK) != 0) {
        p->net->counters.ping_wrong++;
        tern_fail(&error, TERN_E_PROTOCOL, "ping", "the answer differs from what was sent");
        give_up_stream(p);
        tell_all(p, &error);
        return;
    }
    p->len = 0;
    p->answered = true;
    tern_fail(&error, TERN_OK, "ping", "answered");
    tell(p, w, &error);
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    tern_pinger *p = owner;
    size_t used = 0;
    while (used < n && p->s == s && !tern_list_empty(&p->waiting)) {
        size_t part = n - used < BLOCK - p->len ? n - used : BLOCK - p->len;
        memcpy(p->block + p->len, data + used, part);
        p->len += part;
        used += part;
        if (p->len == BLOCK) {
            on_answer(p);
        }
    }
    if (p->s == s && used < n) { /* an answer that nobody asked for */
        p->net->counters.ping_wrong++;
        give_up_stream(p);
    }
    arm(p);
    return n;
}

static void on_end(void *owner, tern_stream *s)
{
    (void)owner;
    tern_stream_end(s); /* both ended: on_closed follows */
}

static int open_stream(tern_pinger *p);

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    tern_pinger *p = owner;
    tern_error error;
    (void)s;
    bool again = p->answered && why->code != TERN_E_CONN_CLOSED;
    p->s = NULL;
    p->len = 0;
    p->answered = false;
    if (tern_list_empty(&p->waiting) || (again && open_stream(p) == 0)) {
        arm(p);
        return;
    }
    tern_fail(&error, why->code != 0 ? why->code : TERN_E_EOF, "ping", "%s",
              why->code != 0 ? why->text : "the peer ended the stream without an answer");
    tell_all(p, &error);
    arm(p);
}

static const tern_stream_events events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static void opened(void *owner, tern_stream *s, const char *id, const tern_error *error)
{
    tern_pinger *p = owner;
    (void)id;
    p->negotiating = false;
    if (p->freed) {
        if (s != NULL) {
            tern_stream_drop(s);
        }
        tern_free(p);
    } else if (s != NULL) {
        tern_stream_take(s, &events, p);
        arm(p);
    } else {
        p->s = NULL;
        tell_all(p, error);
        arm(p);
    }
}

/* Opens a stream and writes all pings that wait: they travel with the negotiation. */
static int open_stream(tern_pinger *p)
{
    tern_error error;
    p->s = p->net->ops->open(p->net, p->conn, ids, true, opened, p, &error);
    if (p->s == NULL) {
        return error.code;
    }
    p->negotiating = true;
    for (tern_list *l = p->waiting.next; l != &p->waiting; l = l->next) {
        tern_stream_write(p->s, TERN_CONTAINER(l, waiting, link)->block, BLOCK);
    }
    return 0;
}

tern_pinger *tern_pinger_new(tern_net *net, tern_conn *conn)
{
    tern_pinger *p = tern_calloc(1, sizeof *p);
    if (p != NULL) {
        p->net = net;
        p->conn = conn;
        tern_list_init(&p->waiting);
    }
    return p;
}

int tern_pinger_ping(tern_pinger *p, void (*done)(void *owner, uint64_t rtt, const tern_error *e),
                     void *owner)
{
    if (p->count >= WAITING_MAX || (p->s != NULL && tern_stream_room(p->s) < BLOCK)) {
        return TERN_E_LIMIT;
    }
    waiting *w = tern_calloc(1, sizeof *w);
    if (w == NULL) {
        return TERN_E_NOMEM;
    }
    tern_loop_random(p->net->loop, w->block, BLOCK);
    w->sent = tern_loop_now(p->net->loop);
    w->done = done;
    w->owner = owner;
    tern_list_push(&p->waiting, &w->link);
    p->count++;
    if (p->s != NULL) {
        tern_stream_write(p->s, w->block, BLOCK);
    } else {
        int code = open_stream(p);
        if (code != 0) {
            tern_list_remove(&w->link);
            p->count--;
            tern_free(w);
            return code;
        }
    }
    arm(p);
    return 0;
}

void tern_pinger_free(tern_pinger *p)
{
    tern_error error;
    tern_timer_stop(&p->timer);
    tern_fail(&error, TERN_E_CANCELLED, "ping", "cancelled");
    tell_all(p, &error);
    if (p->negotiating) {
        p->freed = true;
        tern_stream_reset(p->s, 0);
        return;
    }
    if (p->s != NULL) {
        tern_stream_drop(p->s);
    }
    tern_free(p);
}
