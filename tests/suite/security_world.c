/* The world of the security suite: see security_world.h. */
#include "suite/security_world.h"

#include "crypto/key.h"
#include "secure/noise.h"
#include "secure/tls.h"

const tern_secure *tern_suite_secure;

/* ---- the wire ---- */

void security_cancel(node *n)
{
    tern_op_cancel(&n->op.op);
}

static void act(world *w)
{
    w->over = w->act != ACT_CANCEL;
    if (w->act == ACT_CANCEL) {
        security_cancel(&w->n[w->victim]);
    }
    for (int i = 0; i < 2; i++) {
        if (w->p[i].s != NULL && w->act == ACT_RESET) {
            tern_stream_reset(w->p[i].s, 0);
        } else if (w->p[i].s != NULL && w->act == ACT_END) {
            tern_stream_end(w->p[i].s);
        }
    }
}

static size_t port_on_data(void *owner, tern_stream *s, uint8_t *data, size_t n)
{
    port *from = owner;
    world *w = from->w;
    port *to = from == &w->p[0] ? &w->p[1] : &w->p[0];
    (void)s;
    for (size_t i = 0; i < n; i++) {
        if (w->passed == w->act_at && w->act == ACT_FLIP) {
            data[i] ^= 0x10;
        } else if (w->passed == w->act_at && w->act != ACT_NONE) {
            act(w);
        }
        w->passed++;
        from->came++;
        if (!w->over && to->s != NULL && tern_stream_write(to->s, data + i, 1) != 1) {
            w->act = ACT_RESET; /* the wire itself has no memory */
            act(w);
        }
    }
    return n;
}

static void port_on_end(void *owner, tern_stream *s)
{
    port *from = owner;
    port *to = from == &from->w->p[0] ? &from->w->p[1] : &from->w->p[0];
    (void)s;
    if (to->s != NULL) {
        tern_stream_end(to->s);
    }
}

static void port_on_closed(void *owner, tern_stream *s, const tern_error *why)
{
    port *from = owner;
    port *to = from == &from->w->p[0] ? &from->w->p[1] : &from->w->p[0];
    (void)s;
    from->s = NULL;
    if (to->s != NULL && why->code != 0) {
        tern_stream_reset(to->s, 0);
    }
}

static const tern_stream_events port_events = {
    .on_data = port_on_data,
    .on_end = port_on_end,
    .on_closed = port_on_closed,
};

/* ---- the world ---- */

static void done(tern_op *op, const tern_error *error)
{
    node *n = TERN_CONTAINER(op, node, op.op);
    n->done++;
    n->error = *error;
    if (error->code == 0) {
        assert_non_null(n->op.stream);
        assert_non_null(n->op.key);
        ear_take(&n->ear, n->op.stream);
    } else {
        assert_null(n->op.stream);
        assert_null(n->op.key);
        assert_non_null(error->layer);
        assert_true(error->text[0] != '\0');
    }
}

static void node_init(world *w, int i, tern_key_type type)
{
    node *n = &w->n[i];
    n->net.loop = w->loop;
    assert_int_equal(tern_key_generate(type, &n->net.key), 0);
    tern_key_peer_id(n->net.key, &n->net.self);
    ear_init(&n->ear);
    n->op = (tern_secure_op){.net = &n->net, .lower = n->lower, .initiator = i == 0};
    tern_op_init(&n->op.op, w->loop, tern_sim_now(w->sim) + DEADLINE, done);
}

void security_world_make_of(world *w, tern_key_type type, const tern_memory_options *options)
{
    memset(w, 0, sizeof *w);
    w->alive = tern_mem_alive();
    assert_int_equal(tern_sim_new(1, &w->sim), 0);
    assert_int_equal(tern_sim_host(w->sim, "10.0.0.1", &w->loop), 0);
    for (int i = 0; i < 2; i++) {
        w->p[i].w = w;
        assert_int_equal(tern_memory_pair(w->loop, options, &w->n[i].lower, &w->p[i].s), 0);
        tern_stream_take(w->p[i].s, &port_events, &w->p[i]);
        node_init(w, i, type);
    }
}

void security_world_make(world *w)
{
    security_world_make_of(w, TERN_KEY_ED25519, NULL);
}

void security_begin(world *w, int i)
{
    assert_int_equal(tern_suite_secure->begin(&w->n[i].op), 0);
    w->n[i].lower = NULL;
}

void security_start(world *w, int i)
{
    security_begin(w, i);
    tern_suite_secure->attach(&w->n[i].op);
}

void security_run(world *w)
{
    tern_sim_run(w->sim, tern_sim_now(w->sim) + TERN_SEC, NULL, NULL);
}

void security_run_both(world *w)
{
    security_start(w, 1);
    security_start(w, 0);
    security_run(w);
}

void security_leave(tern_stream **s)
{
    if (*s != NULL) {
        tern_stream_reset(*s, 0);
        tern_stream_drop(*s);
        *s = NULL;
    }
}

void security_world_clear(world *w)
{
    for (int i = 0; i < 2; i++) {
        node *n = &w->n[i];
        security_cancel(n);
        ear_clear(&n->ear);
        security_leave(&n->lower);
        security_leave(&w->p[i].s);
        if (n->op.key != NULL) {
            tern_key_unref(n->op.key);
        }
        tern_buf_free(&n->op.peer_certhashes);
        tern_noise_identity_free(n->net.noise);
        tern_tls_identity_free(n->net.tls);
        tern_key_unref(n->net.key);
    }
    security_run(w);
    tern_sim_free(w->sim);
    assert_int_equal(tern_mem_alive(), w->alive);
}

void security_assert_done(const node *n, int code)
{
    assert_int_equal(n->done, 1);
    if (n->error.code != code) {
        fail_msg("%d instead of %d: %s", n->error.code, code, n->error.text);
    }
}

static void assert_exchange(world *w)
{
    assert_int_equal(ear_write(&w->n[0].ear, "from the initiator", 18), 18);
    assert_int_equal(ear_write(&w->n[1].ear, "from the responder", 18), 18);
    security_run(w);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tern_buf_len(&w->n[i].ear.got), 18);
        assert_memory_equal(tern_buf_data(&w->n[i].ear.got),
                            i == 0 ? "from the responder" : "from the initiator", 18);
        tern_buf_free(&w->n[i].ear.got);
    }
}

void security_assert_both_done(world *w)
{
    for (int i = 0; i < 2; i++) {
        const node *n = &w->n[i], *other = &w->n[1 - i];
        security_assert_done(n, 0);
        assert_true(tern_peer_id_equal(&n->op.peer, &other->net.self));
        assert_true(tern_key_equal_public(n->op.key, other->net.key));
    }
    assert_exchange(w);
}

size_t security_handshake_bytes(void)
{
    world w;
    security_world_make(&w);
    security_run_both(&w);
    size_t n = w.passed;
    security_assert_both_done(&w);
    security_world_clear(&w);
    return n;
}
