/* The Noise handshake over a stream: the driver between noise_handshake.c (which knows the
 * protocol) and noise_stream.c (which carries the data afterwards). See core/secure.h for the two
 * steps.
 *
 *     begin   static key (one per net and hour), ephemeral key, the initiator's first message
 *     attach  takes the lower stream's events and feeds the handshake
 *     done    the lower goes to the encrypted stream, with what came behind the last message
 *
 * The state lives from begin to the end of the handshake; the op's deadline and cancel end it too.
 */
#include "secure/noise.h"

#include "base/error.h"
#include "base/mem.h"
#include "core/spare_pair.h"
#include "secure/noise_core.h"
#include "secure/noise_stream.h"

#define IDENTITY_TIME (3600 * TERN_SEC) /* a static key serves so long */

typedef struct noise_op {
    tern_secure_op *op;
    tern_noise_handshake h;
    bool attached; /* the lower's events are ours */
} noise_op;

/* ---- the static key ---- */

struct tern_noise_identity {
    tern_key *key;
    tern_x25519_pair pair;
    tern_buf payload; /* key and signature, encoded */
    uint64_t born;
    tern_known known; /* peers' proofs; handshakes under way point here */
};

int tern_noise_identity_new(tern_loop *loop, const tern_key *key, tern_noise_identity **ret)
{
    tern_noise_identity *id = tern_calloc(1, sizeof *id);
    if (id == NULL) {
        return TERN_E_NOMEM;
    }
    tern_buf_init(&id->payload, 0);
    id->born = tern_loop_now(loop);
    tern_loop_random(loop, id->pair.secret, sizeof id->pair.secret);
    int e = tern_x25519_public(id->pair.secret, id->pair.public);
    if (e == 0) {
        e = tern_noise_payload_identity(key, id->pair.public, &id->payload);
    }
    if (e == 0) {
        id->key = tern_key_ref(key);
        *ret = id;
    } else {
        tern_noise_identity_free(id);
    }
    return e;
}

void tern_noise_identity_free(tern_noise_identity *id)
{
    if (id == NULL) {
        return;
    }
    if (id->key != NULL) {
        tern_key_unref(id->key);
    }
    tern_buf_free(&id->payload);
    tern_wipe(&id->pair, sizeof id->pair);
    tern_free(id);
}

/* The net's, made or renewed when it is time. It stays where it is. */
static int identity_of(tern_net *net, tern_noise_identity **ret)
{
    tern_noise_identity *id = net->noise, *fresh;
    if (id == NULL || id->key != net->key || tern_loop_now(net->loop) - id->born > IDENTITY_TIME) {
        int e = tern_noise_identity_new(net->loop, net->key, &fresh);
        if (e != 0) {
            return e;
        }
        if (id == NULL) {
            id = net->noise = fresh;
        } else {
            tern_noise_identity old = *id;
            fresh->known = id->known;
            *id = *fresh;
            *fresh = old;
            tern_wipe(&old, sizeof old);
            tern_noise_identity_free(fresh);
        }
    }
    id->known.hits = &net->counters.noise_recognised;
    *ret = id;
    return 0;
}

/* ---- endings ---- */

static void free_state(noise_op *n)
{
    n->op->state = NULL;
    tern_noise_handshake_clear(&n->h);
    tern_free(n);
}

/* The lower dies with the handshake; before attach its events, and its closing, are somebody
 * else's. */
static void abort_lower(noise_op *n)
{
    tern_stream *lower = n->op->lower;
    if (lower == NULL) {
        return;
    }
    tern_stream_reset(lower, 0);
    if (n->attached) {
        n->op->lower = NULL;
        tern_stream_drop(lower);
    }
}

static void fail(noise_op *n, const tern_error *why)
{
    tern_secure_op *op = n->op;
    tern_error error = *why; /* may lie in the state */
    abort_lower(n);
    free_state(n);
    tern_op_finish(&op->op, &error);
}

static void noise_cancel(tern_op *base)
{
    tern_secure_op *op = TERN_CONTAINER(base, tern_secure_op, op);
    noise_op *n = op->state;
    if (n != NULL) {
        abort_lower(n);
        free_state(n);
        return;
    }
    if (op->stream != NULL) { /* finished, but nobody was told */
        tern_stream_reset(op->stream, 0);
        tern_stream_drop(op->stream);
        op->stream = NULL;
        tern_key_unref(op->key);
        op->key = NULL;
        tern_buf_free(&op->peer_certhashes);
    }
}

static void succeed(noise_op *n)
{
    tern_secure_op *op = n->op;
    tern_noise_handshake *h = &n->h;
    op->stream = tern_noise_stream_new(op->lower, h->counters, &h->send, &h->recv, &h->out);
    if (op->stream == NULL) {
        tern_error why;
        h->counters->allocation_failures++;
        tern_fail(&why, TERN_E_NOMEM, "noise", "out of memory");
        fail(n, &why);
        return;
    }
    op->lower = NULL;
    op->key = h->key;
    h->key = NULL;
    op->peer = h->peer;
    op->muxer = h->muxer;
    op->peer_certhashes = h->certhashes;
    tern_buf_init(&h->certhashes, 0);
    free_state(n);
    tern_op_finish(&op->op, NULL);
}

/* ---- the lower's events ---- */

static void write_out(noise_op *n)
{
    tern_buf *out = &n->h.out;
    size_t len = tern_buf_len(out);
    if (len > 0) {
        tern_buf_consume(out, tern_stream_write(n->op->lower, tern_buf_data(out), len));
    }
}

static size_t on_data(void *owner, tern_stream *lower, uint8_t *data, size_t len)
{
    noise_op *n = owner;
    size_t used;
    (void)lower;
    int r = tern_noise_handshake_feed(&n->h, data, len, &used);
    if (r < 0) {
        fail(n, &n->h.error);
        return len;
    }
    write_out(n);
    if (r == 1) {
        succeed(n);
    }
    return used;
}

static void on_end(void *owner, tern_stream *lower)
{
    noise_op *n = owner;
    (void)lower;
    tern_noise_handshake_eof(&n->h);
    fail(n, &n->h.error);
}

static void on_room(void *owner, tern_stream *lower)
{
    (void)lower;
    write_out(owner);
}

static void on_closed(void *owner, tern_stream *lower, const tern_error *why)
{
    noise_op *n = owner;
    (void)lower;
    n->op->lower = NULL;
    if (why->code == 0) {
        on_end(n, NULL);
    } else {
        fail(n, why);
    }
}

static const tern_stream_events lower_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_closed = on_closed,
};

/* ---- the contract ---- */

static int start_handshake(noise_op *n)
{
    tern_secure_op *op = n->op;
    tern_noise_identity *id;
    int e = identity_of(op->net, &id);
    if (e != 0) {
        return tern_fail(&n->h.error, e, "noise", "the static key cannot be made: %s",
                         tern_code_text(e));
    }
    tern_noise_config config = {
        .initiator = op->initiator,
        .prologue = op->prologue,
        .s = &id->pair,
        .identity = {tern_buf_data(&id->payload), tern_buf_len(&id->payload)},
        .expected = op->expected,
        .muxers = op->silent_early ? NULL : op->muxers,
        .certhashes = op->certhashes,
        .certhash_count = op->certhash_count,
        .counters = &op->net->counters,
        .known = &id->known,
    };
    e = tern_spare_pair_take(op->net, &config.e);
    if (e != 0) {
        return tern_fail(&n->h.error, e, "noise", "no ephemeral key can be made");
    }
    e = tern_noise_handshake_init(&n->h, &config);
    tern_wipe(&config.e, sizeof config.e);
    return e;
}

static int noise_begin(tern_secure_op *op)
{
    noise_op *n = tern_calloc(1, sizeof *n);
    if (n == NULL) {
        return TERN_E_NOMEM;
    }
    n->op = op;
    op->stream = NULL;
    op->key = NULL;
    op->muxer = NULL;
    op->peer = (tern_peer_id){0};
    tern_buf_init(&op->peer_certhashes, 0);
    int e = start_handshake(n);
    if (e == TERN_E_NOMEM) {
        free_state(n);
        return e;
    }
    op->state = n;
    tern_op_start(&op->op, tern_noise.name, noise_cancel, op);
    if (e != 0) {
        fail(n, &n->h.error);
    } else {
        write_out(n);
    }
    return 0;
}

static void noise_attach(tern_secure_op *op)
{
    noise_op *n = op->state;
    if (n == NULL) { /* failed meanwhile; the op is about to say so */
        tern_stream_drop(op->lower);
        op->lower = NULL;
        return;
    }
    n->attached = true;
    tern_stream_take(op->lower, &lower_events, n);
    write_out(n); /* what did not fit in begin: the room since then was told to the former owner */
}

const tern_secure tern_noise = {
    .id = "/noise",
    .name = "noise",
    .begin = noise_begin,
    .attach = noise_attach,
};
