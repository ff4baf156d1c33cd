/* Makers of the streams that need no socket: memory pairs, Noise and TLS over them. */
#include "suite/streams.h"

#include "base/test.h"
#include "secure/noise.h"
#include "secure/tls.h"
#include "streams/memory.h"

/* ---- memory ---- */

static void *make_memory(tern_loop *loop, const tern_memory_options *options, tern_stream **ret_a,
                         tern_stream **ret_b)
{
    static int nothing;
    assert_int_equal(tern_memory_pair(loop, options, ret_a, ret_b), 0);
    return &nothing;
}

static void *memory_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a, tern_stream **ret_b)
{
    (void)sim;
    return make_memory(loop, NULL, ret_a, ret_b);
}

static void *memory_bytes_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a,
                               tern_stream **ret_b)
{
    (void)sim;
    return make_memory(loop, &(tern_memory_options){.window = 100, .chunk = 1}, ret_a, ret_b);
}

static void memory_finish(void *world)
{
    (void)world;
}

const tern_stream_maker tern_stream_maker_memory = {
    .name = "memory",
    .make = memory_make,
    .finish = memory_finish,
    .wire_codes = true,
};

const tern_stream_maker tern_stream_maker_memory_bytes = {
    .name = "memory, byte by byte",
    .make = memory_bytes_make,
    .finish = memory_finish,
    .bulk = 10000,
    .wire_codes = true,
};

/* ---- noise and tls ---- */

typedef struct secure_world {
    tern_net net[2];
    tern_secure_op op[2];
    unsigned done;
} secure_world;

static void secured(tern_op *op, const tern_error *error)
{
    tern_secure_op *secure = TERN_CONTAINER(op, tern_secure_op, op);
    if (error->code != 0) {
        fail_msg("%s: %s", error->layer, error->text);
    }
    tern_key_unref(secure->key);
    secure->key = NULL;
}

static void *secure_make(const tern_secure *layer, tern_sim *sim, tern_loop *loop,
                         const tern_memory_options *options, tern_stream **ret_a,
                         tern_stream **ret_b)
{
    secure_world *w = tern_calloc(1, sizeof *w);
    tern_stream *lower[2];
    assert_non_null(w);
    assert_int_equal(tern_memory_pair(loop, options, &lower[0], &lower[1]), 0);
    for (int i = 0; i < 2; i++) {
        w->net[i].loop = loop;
        assert_int_equal(tern_key_generate(TERN_KEY_ED25519, &w->net[i].key), 0);
        w->op[i] = (tern_secure_op){.net = &w->net[i], .lower = lower[i], .initiator = i == 0};
        tern_op_init(&w->op[i].op, loop, TERN_NEVER, secured);
        assert_int_equal(layer->begin(&w->op[i]), 0);
        layer->attach(&w->op[i]);
    }
    tern_sim_run(sim, tern_sim_now(sim) + TERN_SEC, NULL, NULL);
    assert_non_null(w->op[0].stream);
    assert_non_null(w->op[1].stream);
    *ret_a = w->op[0].stream;
    *ret_b = w->op[1].stream;
    return w;
}

static void *noise_whole_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a,
                              tern_stream **ret_b)
{
    return secure_make(&tern_noise, sim, loop, NULL, ret_a, ret_b);
}

static void *noise_bytes_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a,
                              tern_stream **ret_b)
{
    return secure_make(&tern_noise, sim, loop, &(tern_memory_options){.window = 100, .chunk = 1},
                       ret_a, ret_b);
}

static void *tls_whole_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a,
                            tern_stream **ret_b)
{
    return secure_make(&tern_tls, sim, loop, NULL, ret_a, ret_b);
}

static void *tls_bytes_make(tern_sim *sim, tern_loop *loop, tern_stream **ret_a,
                            tern_stream **ret_b)
{
    return secure_make(&tern_tls, sim, loop, &(tern_memory_options){.window = 100, .chunk = 1},
                       ret_a, ret_b);
}

static void secure_finish(void *world)
{
    secure_world *w = world;
    for (int i = 0; i < 2; i++) {
        tern_noise_identity_free(w->net[i].noise);
        tern_tls_identity_free(w->net[i].tls);
        tern_key_unref(w->net[i].key);
    }
    tern_free(w);
}

const tern_stream_maker tern_stream_maker_noise = {
    .name = "noise",
    .make = noise_whole_make,
    .finish = secure_finish,
    .wire_codes = true, /* memory's */
};

const tern_stream_maker tern_stream_maker_noise_bytes = {
    .name = "noise, byte by byte",
    .make = noise_bytes_make,
    .finish = secure_finish,
    .bulk = 50000,
    .wire_codes = true,
};

const tern_stream_maker tern_stream_maker_tls = {
    .name = "tls",
    .make = tls_whole_make,
    .finish = secure_finish,
    .wire_codes = true,
};

const tern_stream_maker tern_stream_maker_tls_bytes = {
    .name = "tls, byte by byte",
    .make = tls_bytes_make,
    .finish = secure_finish,
    .bulk = 50000,
    .wire_codes = true,
};
