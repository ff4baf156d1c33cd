/* TLS 1.3 as a security layer of libp2p: the certificate per net, the judgement
 * of the peer's, and the muxers as application protocols. The handshake itself is tls/mutual's,
 * driven by tls_handshake.c.
 *
 *     begin   certificate (one per net), the initiator's ClientHello
 *     attach  takes the lower stream's events
 *     judge   one certificate, its signatures, the expected peer: all before
 * the handshake ends done    the encrypted stream, the peer's key, the muxer
 *
 * ALPN lists the muxers, best first, and then "libp2p", which says that the
 * muxer is negotiated afterwards. */
#include "secure/tls.h"

#include "base/error.h"
#include "base/mem.h"
#include "core/spare_pair.h"
#include "secure/tls_handshake.h"
#include "tls/mutual.h"

#define ALPN_LIBP2P "libp2p"

typedef struct tls_op {
    tern_secure_op *op;
    tern_tls_identity *identity;
    tern_tls_handshake h;
    tern_key *key; /* the peer's, once judged */
    tern_peer_id peer;
    const char *alpn[TERN_ALPN_MAX + 1];
    tern_error error; /* of begin */
} tls_op;

/* ---- the certificate ---- */

struct tern_tls_identity {
    unsigned refs; /* the net's, and one a handshake */
    tern_key *key;
    tern_cert *cert;
    tern_known known; /* peers' certificates */
};

int tern_tls_identity_new(tern_loop *loop, const tern_key *key, tern_tls_identity **ret)
{
    tern_tls_identity *id = tern_calloc(1, sizeof *id);
    if (id == NULL) {
        return TERN_E_NOMEM;
    }
    id->refs = 1;
    int e = tern_cert_make(key, tern_loop_wall(loop), &id->cert);
    if (e == 0) {
        id->key = tern_key_ref(key);
        *ret = id;
    } else {
        tern_free(id);
    }
    return e;
}

void tern_tls_identity_free(tern_tls_identity *id)
{
    if (id == NULL || --id->refs > 0) {
        return;
    }
    tern_key_unref(id->key);
    tern_cert_free(id->cert);
    tern_free(id);
}

/* The net's, made when it is first asked for. */
static int identity_of(tern_net *net, tern_tls_identity **ret)
{
    tern_tls_identity *id = net->tls;
    if (id == NULL || id->key != net->key) {
        int e = tern_tls_identity_new(net->loop, net->key, &id);
        if (e != 0) {
            return e;
        }
        tern_tls_identity_free(net->tls);
        net->tls = id;
    }
    id->known.hits = &net->counters.tls_recognised;
    id->refs++;
    *ret = id;
    return 0;
}

/* ---- the peer ---- */

static int refuse(tls_op *t, int code, uint64_t *counter, tern_error *ret, const char *text)
{
    ++*counter;
    t->h.judged = true;
    return tern_fail(ret, code, "tls", "%s", text);
}

static int refuse_certificate(tls_op *t, int code, tern_error *ret, const char *text)
{
    tern_counters *count = &t->op->net->counters;
    uint64_t *counter = &count->tls_bad_certificate;
    if (code == TERN_E_SIGNATURE) {
        counter = &count->tls_bad_signature;
    } else if (code == TERN_E_NOMEM) {
        counter = &count->allocation_failures;
    }
    return refuse(t, code, counter, ret, text);
}

static int judge(void *owner, tern_span certificate, size_t n, tern_error *ret)
{
    tls_op *t = owner;
    tern_counters *count = &t->op->net->counters;
    const tern_peer_id *expected = &t->op->expected;
    const char *text;
    if (n != 1) {
        return refuse(t, TERN_E_PROTOCOL, &count->tls_bad_certificate, ret,
                      "the peer shows more than one certificate");
    }
    int e = tern_cert_verify(certificate, tern_loop_wall(t->op->net->loop), &t->identity->known,
                             &t->key, NULL, &text);
    if (e != 0) {
        return refuse_certificate(t, e, ret, text);
    }
    tern_key_peer_id(t->key, &t->peer);
    if (expected->len != 0 && !tern_peer_id_equal(&t->peer, expected)) {
        char is[TERN_PEER_ID_TEXT];
        refuse(t, TERN_E_PEER_ID, &count->tls_wrong_peer, ret, "");
        return tern_fail(ret, TERN_E_PEER_ID, "tls", "the peer is %s, another was expected",
                         tern_peer_id_text(&t->peer, is));
    }
    return 0;
}

/* ---- endings ---- */

static void free_state(tls_op *t)
{
    t->op->state = NULL;
    tern_key_unref(t->key);
    tern_tls_identity_free(t->identity);
    tern_free(t);
}

static void tls_cancel(tern_op *base)
{
    tern_secure_op *op = TERN_CONTAINER(base, tern_secure_op, op);
    tls_op *t = op->state;
    if (t != NULL) {
        t->h.lower = op->lower; /* the caller takes it away when it died before attach */
        tern_tls_handshake_cancel(&t->h);
        op->lower = t->h.lower;
        free_state(t);
        return;
    }
    if (op->stream != NULL) { /* finished, but nobody was told */
        tern_stream_reset(op->stream, 0);
        tern_stream_drop(op->stream);
        op->stream = NULL;
        tern_key_unref(op->key);
        op->key = NULL;
    }
}

static const char *muxer_of(const tern_secure_op *op, const char *alpn)
{
    for (size_t i = 0; alpn != NULL && op->muxers != NULL && op->muxers[i] != NULL; i++) {
        if (strcmp(op->muxers[i], alpn) == 0) {
            return op->muxers[i];
        }
    }
    return NULL;
}

static void handshaken(tern_tls_handshake *h, const tern_error *error)
{
    tls_op *t = TERN_CONTAINER(h, tls_op, h);
    tern_secure_op *op = t->op;
    op->lower = h->lower;
    if (error == NULL) {
        op->stream = h->stream;
        op->key = t->key;
        t->key = NULL;
        op->peer = t->peer;
        op->muxer = muxer_of(op, h->alpn);
    }
    free_state(t);
    tern_op_finish(&op->op, error);
}

/* ---- the contract ---- */

static void list_alpn(tls_op *t)
{
    const char *const *muxers = t->op->silent_early ? NULL : t->op->muxers;
    size_t n = 0;
    while (muxers != NULL && muxers[n] != NULL && n < TERN_ALPN_MAX - 1) {
        t->alpn[n] = muxers[n];
        n++;
    }
    t->alpn[n] = ALPN_LIBP2P;
}

static int new_pair(void *owner, tern_x25519_pair *ret)
{
    return tern_spare_pair_take(((tls_op *)owner)->op->net, ret);
}

static int start_handshake(tls_op *t)
{
    tern_secure_op *op = t->op;
    tern_tls_engine *engine = NULL;
    int e = identity_of(op->net, &t->identity);
    if (e != 0) {
        return tern_fail(&t->error, e, "tls", "the certificate cannot be made: %s",
                         tern_code_text(e));
    }
    list_alpn(t);
    t->h.lower = op->lower;
    t->h.counters = &op->net->counters;
    t->h.done = handshaken;
    e = tern_tls_mutual_new(&(tern_tls_mutual){.server = !op->initiator,
                                               .cert = t->identity->cert,
                                               .alpn = t->alpn,
                                               .judge = judge,
                                               .pair = new_pair,
                                               .owner = t},
                            &engine);
    if (e == 0) {
        e = tern_tls_handshake_start(&t->h, engine);
    }
    return e == 0 ? 0
                  : tern_fail(&t->error, e, "tls", "the handshake cannot begin: %s",
                              tern_code_text(e));
}

static int tls_begin(tern_secure_op *op)
{
    tls_op *t = tern_calloc(1, sizeof *t);
    if (t == NULL) {
        return TERN_E_NOMEM;
    }
    t->op = op;
    op->stream = NULL;
    op->key = NULL;
    op->muxer = NULL;
    op->peer = (tern_peer_id){0};
    tern_buf_init(&op->peer_certhashes, 0);
    int e = start_handshake(t);
    if (e == TERN_E_NOMEM) {
        free_state(t);
        return e;
    }
    tern_op_start(&op->op, tern_tls.name, tls_cancel, op);
    if (e != 0) {
        tern_error error = t->error;
        tern_stream_reset(op->lower, 0);
        free_state(t);
        tern_op_finish(&op->op, &error);
        return 0;
    }
    op->state = t;
    return 0;
}

static void tls_attach(tern_secure_op *op)
{
    tls_op *t = op->state;
    if (t == NULL) { /* failed meanwhile; the op is about to say so */
        tern_stream_drop(op->lower);
        op->lower = NULL;
        return;
    }
    tern_tls_handshake_attach(&t->h);
}

const tern_secure tern_tls = {
    .id = "/tls/1.0.0",
    .name = "tls",
    .begin = tls_begin,
    .attach = tls_attach,
};
