/* Identify: asking, answering, pushing. The message itself is identify_message.c.
 *
 *   ask   we open /ipfs/id/1.0.0, the peer writes its messages and ends
 *   serve a peer opens it, we write one message and end
 *   push  we open /ipfs/id/push/1.0.0, write one message and end; and the same the other way round
 *
 * A peer on this machine hears all our addresses, a private one no loopback ones, a public one
 * public ones only. The signed record of each of these audiences is kept for a minute: signing is
 * the dear part. */
#include "proto/identify.h"

#include "base/error.h"
#include "base/mem.h"
#include "crypto/envelope.h"
#include "proto/identify_message.h"
#include "streams/frame.h"

enum { PUSHES_MAX = 32, ADDRS_SENT_MAX = 32 };
#define PUSH_DELAY  (1 * TERN_SEC)
#define RECORD_TIME (60 * TERN_SEC)

enum audience { TO_THIS_MACHINE, TO_PRIVATE, TO_PUBLIC, AUDIENCES };

typedef struct record {
    tern_buf bytes;
    uint64_t until;
} record;

struct tern_identify {
    tern_net *net;
    record records[AUDIENCES];
    tern_list readers;
    tern_list pushes;
    size_t push_count, push_at; /* pushes under way; where the walk over the conns stands */
    bool pushing;
    uint64_t changed; /* when what we say changed last: younger conns have heard it */
    tern_timer push_timer;
};

/* ---- writing ours ---- */

static bool is_loopback(const tern_multiaddr *addr)
{
    tern_endpoint e;
    uint32_t transport;
    return addr != NULL && tern_ma_endpoint(addr, &e, &transport) && tern_endpoint_is_loopback(&e);
}

/* Who reaches a loopback address of ours is on this machine, whichever of its addresses it comes
 * from: ICE may choose any. */
static enum audience audience_of(const tern_conn *conn)
{
    tern_endpoint e;
    uint32_t transport;
    if (conn->facts.remote == NULL || !tern_ma_endpoint(conn->facts.remote, &e, &transport) ||
        tern_endpoint_is_loopback(&e) || is_loopback(conn->facts.local)) {
        return TO_THIS_MACHINE;
    }
    return tern_endpoint_is_public(&e) ? TO_PUBLIC : TO_PRIVATE;
}

static bool may_hear(enum audience audience, const tern_multiaddr *addr)
{
    tern_endpoint e;
    uint32_t transport;
    if (!tern_ma_endpoint(addr, &e, &transport)) {
        return true;
    }
    return audience == TO_THIS_MACHINE ||
           (audience == TO_PRIVATE && !tern_endpoint_is_loopback(&e)) ||
           tern_endpoint_is_public(&e);
}

static size_t addresses_for(tern_identify *id, enum audience audience,
                            tern_multiaddr *out[ADDRS_SENT_MAX])
{
    tern_multiaddr *const *all;
    size_t n = id->net->ops->addresses(id->net, &all), count = 0;
    for (size_t i = 0; i < n && count < ADDRS_SENT_MAX; i++) {
        if (may_hear(audience, all[i])) {
            out[count++] = all[i];
        }
    }
    return count;
}

static tern_span record_for(tern_identify *id, enum audience audience, tern_multiaddr *const *addrs,
                            size_t n)
{
    record *r = &id->records[audience];
    uint64_t now = tern_loop_now(id->net->loop);
    if (now >= r->until) {
        tern_buf_free(&r->bytes);
        r->until = now + RECORD_TIME;
        if (tern_peer_record_seal(id->net->key, tern_loop_wall(id->net->loop), addrs, n,
                                  &r->bytes) != 0) {
            tern_buf_free(&r->bytes);
        }
    }
    /* A record that leaves no room for the rest in the first message is not worth sending. */
    size_t len = tern_buf_len(&r->bytes);
    return len <= TERN_IDENTIFY_SEND_MAX / 2 ? (tern_span){tern_buf_data(&r->bytes), len}
                                             : (tern_span){NULL, 0};
}

static void write_ours(tern_identify *id, tern_conn *conn, tern_stream *s)
{
    tern_multiaddr *addrs[ADDRS_SENT_MAX];
    enum audience audience = audience_of(conn);
    size_t n = addresses_for(id, audience, addrs);
    tern_span sealed = record_for(id, audience, addrs, n);
    tern_buf out;
    tern_buf_init(&out, 0);
    int code = tern_identify_build(id->net, addrs, n, sealed, conn->facts.remote, &out);
    if (code == 0) {
        code = tern_frame_write(s, tern_buf_data(&out), tern_buf_len(&out));
    }
    tern_buf_free(&out);
    if (code == 0) {
        tern_stream_end(s);
    } else {
        tern_stream_reset(s, 0);
    }
}

static void serve(void *ctx, tern_conn *conn, tern_stream *s, const char *protocol)
{
    (void)protocol;
    write_ours(ctx, conn, s);
    tern_stream_drop(s);
}

/* ---- reading the peer's ---- */

typedef struct reader {
    tern_list link;
    tern_identify *id;
    tern_conn *conn; /* NULL once it is gone */
    tern_stream *s;
    tern_frame frame;
    tern_buf whole; /* the messages, joined */
    unsigned messages;
    bool push;
    tern_timer timer;
} reader;

static void free_reader(reader *r)
{
    tern_list_remove(&r->link);
    tern_timer_stop(&r->timer);
    tern_frame_free(&r->frame);
    tern_buf_free(&r->whole);
    tern_free(r);
}

static void refuse(reader *r, uint64_t *counter)
{
    tern_stream *s = r->s;
    if (counter != NULL) {
        (*counter)++;
    }
    free_reader(r);
    tern_stream_reset(s, 0);
    tern_stream_drop(s);
}

static void on_reader_time(tern_timer *timer)
{
    reader *r = TERN_CONTAINER(timer, reader, timer);
    refuse(r, &r->id->net->counters.identify_timeout);
}

static size_t on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    reader *r = owner;
    tern_counters *c = &r->id->net->counters;
    size_t at = 0;
    (void)s;
    while (at < n) {
        size_t used;
        tern_span msg;
        int code = tern_frame_feed(&r->frame, data + at, n - at, &used, &msg);
        at += used;
        if (code == 1) {
            bool too_many = ++r->messages > TERN_IDENTIFY_MESSAGES_MAX;
            code = too_many ? TERN_E_TOO_LARGE : tern_buf_append(&r->whole, msg.data, msg.len);
        }
        if (code != 0) {
            refuse(r, code == TERN_E_TOO_LARGE   ? &c->identify_too_large
                      : code == TERN_E_MALFORMED ? &c->identify_malformed
                                                 : &c->allocation_failures);
            return n;
        }
    }
    return n;
}

static void use(reader *r)
{
    tern_net *net = r->id->net;
    tern_identify_message m;
    int code = r->messages == 0 || tern_frame_partial(&r->frame)
                   ? TERN_E_MALFORMED
                   : tern_identify_parse(net, &r->conn->facts.peer, tern_buf_data(&r->whole),
                                         tern_buf_len(&r->whole), &m);
    bool parsed = r->messages > 0 && !tern_frame_partial(&r->frame);
    if (code == 0) {
        m.identity.push = r->push;
        net->ops->identified(net, r->conn, &m.identity);
    }
    net->counters.identify_malformed += code == TERN_E_MALFORMED;
    if (parsed) {
        tern_identify_clear(&m);
    }
}

static void on_end(void *owner, tern_stream *s)
{
    reader *r = owner;
    use(r);
    free_reader(r);
    tern_stream_drop(s);
}

static void on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    (void)s;
    (void)why;
    free_reader(owner);
}

static const tern_stream_events reader_events = {
    .on_data = on_data, .on_end = on_end, .on_closed = on_closed};

static reader *new_reader(tern_identify *id, tern_conn *conn, bool push)
{
    reader *r = tern_calloc(1, sizeof *r);
    if (r == NULL) {
        id->net->counters.allocation_failures++;
        return NULL;
    }
    r->id = id;
    r->conn = conn;
    r->push = push;
    tern_frame_init(&r->frame, TERN_IDENTIFY_MESSAGE_MAX);
    tern_buf_init(&r->whole, TERN_IDENTIFY_MESSAGE_MAX * TERN_IDENTIFY_MESSAGES_MAX);
    tern_list_init(&r->link);
    return r;
}

static void start_reading(reader *r, tern_stream *s)
{
    tern_loop *loop = r->id->net->loop;
    r->s = s;
    tern_list_push(&r->id->readers, &r->link);
    tern_timer_start(loop, &r->timer, tern_loop_now(loop) + r->id->net->limits.identify_time,
                     on_reader_time);
    tern_stream_take(s, &reader_events, r);
}

static void pushed(void *ctx, tern_conn *conn, tern_stream *s, const char *protocol)
{
    reader *r = new_reader(ctx, conn, true);
    (void)protocol;
    if (r == NULL) {
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
        return;
    }
    tern_stream_end(s); /* nothing to say back */
    start_reading(r, s);
}

static void asked(void *owner, tern_stream *s, const char *protocol, const tern_error *error)
{
    reader *r = owner;
    (void)protocol;
    (void)error; /* a peer need not speak identify */
    if (s == NULL) {
        free_reader(r);
    } else if (r->id == NULL) { /* freed meanwhile */
        free_reader(r);
        tern_stream_reset(s, 0);
        tern_stream_drop(s);
    } else {
        tern_list_remove(&r->link);
        tern_stream_end(s); /* we write nothing; never STOP_SENDING: some peers lose the answer */
        start_reading(r, s);
    }
}

void tern_identify_ask(tern_identify *id, tern_conn *conn)
{
    static const char *const ids[] = {TERN_IDENTIFY_ID, NULL};
    reader *r = new_reader(id, conn, false);
    if (r == NULL) {
        return;
    }
    tern_list_push(&id->readers, &r->link);
    if (id->net->ops->open(id->net, conn, ids, true, asked, r, NULL) == NULL) {
        free_reader(r);
    }
}

/* ---- pushing ours ---- */

typedef struct push {
    tern_list link;
    tern_identify *id; /* NULL: identify was freed meanwhile */
} push;

static void push_on(tern_identify *id);

static void push_done(void *owner, tern_stream *s, const char *protocol, const tern_error *error)
{
    push *p = owner;
    tern_identify *id = p->id;
    (void)protocol;
    (void)error;
    tern_list_remove(&p->link);
    tern_free(p);
    if (s != NULL) {
        tern_stream_drop(s);
    }
    if (id != NULL) {
        id->push_count--;
        push_on(id);
    }
}

static void push_to(tern_identify *id, tern_conn *conn)
{
    static const char *const ids[] = {TERN_IDENTIFY_PUSH_ID, NULL};
    push *p = tern_calloc(1, sizeof *p);
    if (p == NULL) {
        id->net->counters.allocation_failures++;
        return;
    }
    p->id = id;
    tern_list_push(&id->pushes, &p->link);
    tern_stream *s = id->net->ops->open(id->net, conn, ids, false, push_done, p, NULL);
    if (s == NULL) {
        tern_list_remove(&p->link);
        tern_free(p);
        return;
    }
    id->push_count++;
    write_ours(id, conn, s);
}

/* Goes on with the walk over the conns, until so many pushes are under way. */
static void push_on(tern_identify *id)
{
    tern_conn *conn;
    while (id->pushing && id->push_count < PUSHES_MAX) {
        conn = id->net->ops->next_conn(id->net, NULL, &id->push_at);
        if (conn == NULL) {
            id->pushing = false;
        } else if (conn->facts.opened < id->changed &&
                   id->net->ops->speaks(id->net, &conn->facts.peer, TERN_IDENTIFY_PUSH_ID)) {
            push_to(id, conn);
        }
    }
}

static void on_push_time(tern_timer *timer)
{
    tern_identify *id = TERN_CONTAINER(timer, tern_identify, push_timer);
    id->pushing = true;
    id->push_at = 0;
    push_on(id);
}

void tern_identify_push(tern_identify *id)
{
    for (int i = 0; i < AUDIENCES; i++) {
        id->records[i].until = 0;
    }
    id->changed = tern_loop_now(id->net->loop);
    if (!tern_timer_armed(&id->push_timer)) {
        tern_timer_start(id->net->loop, &id->push_timer, tern_loop_now(id->net->loop) + PUSH_DELAY,
                         on_push_time);
    }
}

void tern_identify_stop(tern_identify *id)
{
    if (id != NULL) {
        tern_timer_stop(&id->push_timer);
    }
}

/* ---- birth and end ---- */

tern_identify *tern_identify_new(tern_net *net)
{
    tern_identify *id = tern_calloc(1, sizeof *id);
    if (id == NULL) {
        return NULL;
    }
    id->net = net;
    tern_list_init(&id->readers);
    tern_list_init(&id->pushes);
    tern_protocol answer = {.id = TERN_IDENTIFY_ID,
                            .on_stream = serve,
                            .ctx = id,
                            .per_peer = 16,
                            .over_limited = true,
                            .replay_safe = true};
    tern_protocol update = {.id = TERN_IDENTIFY_PUSH_ID,
                            .on_stream = pushed,
                            .ctx = id,
                            .per_peer = 4,
                            .over_limited = true};
    if (net->ops->handle(net, &answer) != 0 || net->ops->handle(net, &update) != 0) {
        tern_identify_free(id);
        return NULL;
    }
    return id;
}

void tern_identify_free(tern_identify *id)
{
    tern_list *l;
    if (id == NULL) {
        return;
    }
    tern_timer_stop(&id->push_timer);
    while ((l = tern_list_pop(&id->pushes)) != NULL) {
        TERN_CONTAINER(l, push, link)->id = NULL;
    }
    while ((l = tern_list_pop(&id->readers)) != NULL) {
        reader *r = TERN_CONTAINER(l, reader, link);
        r->id = NULL;
        if (r->s != NULL) {
            tern_stream *s = r->s;
            free_reader(r);
            tern_stream_reset(s, 0);
            tern_stream_drop(s);
        }
    }
    for (int i = 0; i < AUDIENCES; i++) {
        tern_buf_free(&id->records[i].bytes);
    }
    tern_free(id);
}
