/* The upgrade, step by step: see upgrade.h. One step is under way at a time (negotiation or
 * handshake; both when optimistic); each step's end starts the next. */
#include "swarm/upgrade.h"

#include "base/error.h"
#include "base/mem.h"
#include "secure/psk.h"

/* A muxer proposed optimistically: the conn is in use already, its answer is still to come. */
typedef struct late_mux {
    tern_negotiation negotiation;
    const tern_mux *mux;
    tern_conn *conn;
    const char *ids[2];
} late_mux;

static void release(tern_upgrade *u)
{
    if (u->stream == NULL) { /* gone already: an optimistic handshake must not touch it any more */
        u->secure.lower = NULL;
    }
    tern_op_cancel(&u->negotiation.op);
    tern_op_cancel(&u->secure.op);
    tern_conn_facts_clear(&u->facts);
    u->stream = NULL;
}

static void on_cancel(tern_op *op)
{
    tern_upgrade *u = TERN_CONTAINER(op, tern_upgrade, op);
    release(u);
    if (u->conn != NULL) { /* finished, but nobody was told yet */
        tern_conn_drop(u->conn, 1, "cancelled");
        u->conn = NULL;
    }
}

static void fail(tern_upgrade *u, const tern_error *why)
{
    tern_error copy = *why;
    u->net->counters.upgrade_failures++;
    release(u);
    tern_op_finish(&u->op, &copy);
}

static void fail_nomem(tern_upgrade *u)
{
    tern_error why;
    tern_fail(&why, TERN_E_NOMEM, "upgrade", "out of memory");
    if (u->stream != NULL) {
        tern_stream_reset(u->stream, 0);
        tern_stream_drop(u->stream);
    }
    u->net->counters.allocation_failures++;
    fail(u, &why);
}

static void succeed(tern_upgrade *u, tern_conn *conn)
{
    u->conn = conn;
    u->net->counters.upgrades++;
    tern_op_finish(&u->op, NULL);
}

static const tern_mux *find_mux(const tern_upgrade *u, const char *id)
{
    for (size_t i = 0; id != NULL && u->parts->muxes[i] != NULL; i++) {
        if (strcmp(u->parts->muxes[i]->id, id) == 0) {
            return u->parts->muxes[i];
        }
    }
    return NULL;
}

/* The conn takes over the secured stream and the facts. */
static tern_conn *make_conn(tern_upgrade *u, const tern_mux *mux)
{
    u->facts.security = u->chosen->name;
    u->facts.muxer = mux->name;
    u->facts.opened = tern_loop_now(u->net->loop);
    u->facts.id = ++u->net->conn_ids;
    tern_conn *conn = mux->make(u->net, u->stream, u->initiator, &u->facts);
    if (conn != NULL) {
        memset(&u->facts, 0, sizeof u->facts);
        u->stream = NULL;
    }
    return conn;
}

static void finish_with(tern_upgrade *u, const tern_mux *mux)
{
    tern_conn *conn = make_conn(u, mux);
    if (conn == NULL) {
        fail_nomem(u);
        return;
    }
    mux->attach(conn);
    succeed(u, conn);
}

/* ---- the muxer, negotiated after the handshake ---- */

static void late_lost(tern_negotiation *n, const tern_error *why)
{
    late_mux *late = TERN_CONTAINER(n, late_mux, negotiation);
    late->mux->abandon(late->conn, why);
    tern_free(late);
}

static void late_done(tern_op *op, const tern_error *error)
{
    late_mux *late = TERN_CONTAINER(op, late_mux, negotiation.op);
    if (error->code == 0) {
        late->mux->attach(late->conn);
    } else {
        late->mux->abandon(late->conn, error);
    }
    tern_free(late);
}

/* One muxer to propose: use it before the answer. */
static void propose_late(tern_upgrade *u)
{
    late_mux *late = tern_calloc(1, sizeof *late);
    if (late == NULL) {
        fail_nomem(u);
        return;
    }
    late->mux = u->parts->muxes[0];
    late->ids[0] = late->mux->id;
    late->negotiation = (tern_negotiation){
        .net = u->net, .stream = u->stream, .initiator = true, .ids = late->ids, .lost = late_lost};
    tern_op_init(&late->negotiation.op, u->net->loop,
                 tern_loop_now(u->net->loop) + u->net->limits.negotiation_time, late_done);
    if (tern_negotiate(&late->negotiation) != 0) {
        tern_free(late);
        fail_nomem(u);
        return;
    }
    late->conn = make_conn(u, late->mux);
    if (late->conn == NULL) {
        tern_op_cancel(&late->negotiation.op);
        u->stream = NULL;
        tern_free(late);
        fail_nomem(u);
        return;
    }
    succeed(u, late->conn);
}

static void step_lost(tern_negotiation *n, const tern_error *why)
{
    tern_upgrade *u = TERN_CONTAINER(n, tern_upgrade, negotiation);
    bool security = n->ids == u->ids;
    u->stream = NULL;
    u->retry = security && u->optimistic && u->initiator && why->code == TERN_E_NEGOTIATION;
    fail(u, why);
}

static void mux_agreed(tern_op *op, const tern_error *error)
{
    tern_upgrade *u = TERN_CONTAINER(op, tern_upgrade, negotiation.op);
    if (error->code != 0) {
        u->stream = NULL;
        fail(u, error);
        return;
    }
    finish_with(u, find_mux(u, u->negotiation.id));
}

static void negotiate(tern_upgrade *u, const char *const *ids,
                      void (*done)(tern_op *op, const tern_error *error))
{
    u->negotiation = (tern_negotiation){.net = u->net,
                                        .stream = u->stream,
                                        .initiator = u->initiator,
                                        .ids = ids,
                                        .lost = step_lost};
    tern_op_init(&u->negotiation.op, u->net->loop, TERN_NEVER, done);
    if (tern_negotiate(&u->negotiation) != 0) {
        fail_nomem(u);
    }
}

/* ---- security ---- */

static void secured(tern_op *op, const tern_error *error)
{
    tern_upgrade *u = TERN_CONTAINER(op, tern_upgrade, secure.op);
    if (error->code != 0) {
        u->stream = NULL;
        /* Another initiator's first message is too short for an answer to ours. */
        u->crossed = u->initiator && error->code == TERN_E_MALFORMED;
        fail(u, error);
        return;
    }
    tern_buf_free(&u->secure.peer_certhashes);
    u->stream = u->secure.stream;
    u->facts.peer = u->secure.peer;
    u->facts.key = u->secure.key;
    const tern_mux *early = find_mux(u, u->secure.muxer);
    if (early != NULL) {
        finish_with(u, early);
    } else if (u->initiator && u->optimistic) {
        propose_late(u);
    } else {
        negotiate(u, u->mux_ids, mux_agreed);
    }
}

static bool begin_security(tern_upgrade *u, const tern_secure *secure)
{
    u->chosen = secure;
    u->secure = (tern_secure_op){.net = u->net,
                                 .lower = u->stream,
                                 .initiator = u->initiator,
                                 .expected = u->expected,
                                 .muxers = u->mux_ids};
    tern_op_init(&u->secure.op, u->net->loop, TERN_NEVER, secured);
    return secure->begin(&u->secure) == 0;
}

static void security_agreed(tern_op *op, const tern_error *error)
{
    tern_upgrade *u = TERN_CONTAINER(op, tern_upgrade, negotiation.op);
    if (error->code != 0) {
        u->stream = NULL;
        fail(u, error);
        return;
    }
    for (size_t i = 0; u->chosen == NULL && u->parts->secures[i] != NULL; i++) {
        if (strcmp(u->parts->secures[i]->id, u->negotiation.id) == 0 &&
            !begin_security(u, u->parts->secures[i])) {
            fail_nomem(u);
            return;
        }
    }
    u->chosen->attach(&u->secure);
}

/* Puts the layer of a private network around the stream. */
static bool fence(tern_upgrade *u)
{
    if (u->net->psk == NULL) {
        return true;
    }
    tern_stream *inner = tern_psk_stream_new(u->net, u->stream, u->net->psk);
    u->stream = inner != NULL ? inner : u->stream;
    return inner != NULL;
}

int tern_upgrade_start(tern_upgrade *u)
{
    size_t n = 0;
    for (; n < TERN_PARTS_MAX && u->parts->secures[n] != NULL; n++) {
        u->ids[n] = u->parts->secures[n]->id;
    }
    u->ids[n] = NULL;
    for (n = 0; n < TERN_PARTS_MAX && u->parts->muxes[n] != NULL; n++) {
        u->mux_ids[n] = u->parts->muxes[n]->id;
    }
    u->mux_ids[n] = NULL;
    u->chosen = NULL;
    u->conn = NULL;
    u->facts.limited = u->stream->limited;
    u->retry = u->crossed = false;
    memset(&u->secure, 0, sizeof u->secure);
    memset(&u->negotiation, 0, sizeof u->negotiation);
    tern_op_start(&u->op, "upgrade", on_cancel, u);
    if (!fence(u)) {
        fail_nomem(u);
        return 0;
    }
    bool optimistic = u->initiator && u->optimistic;
    if (optimistic) {
        u->ids[1] = NULL; /* what follows a refused proposal would be garbage: there is only one */
    }
    negotiate(u, u->ids, security_agreed);
    if (optimistic && u->stream != NULL && !begin_security(u, u->parts->secures[0])) {
        tern_op_cancel(&u->negotiation.op);
        u->stream = NULL;
        fail_nomem(u);
    }
    return 0;
}
