/* The owner of a handshake that is fuzzed: see tls_owner.h. */
#include "fuzz/tls_owner.h"

#include <stdlib.h>

#include "base/mem.h"
#include "sim/fixed.h"
#include "tls/inside.h"

enum { SUITES = TLS_HEAD + 2 + TLS_RANDOM + 1 + 2 };

static void insist(bool truth)
{
    if (!truth) {
        abort();
    }
}

/* ---- what the core asks and tells; memory may be made to fail while it does ---- */

static int on_send(void *owner, tern_level level, const uint8_t *p, size_t n)
{
    tls_owner *o = owner;
    insist(n > 0 && level != TERN_LEVEL_EARLY);
    insist(level == TERN_LEVEL_INITIAL || o->secrets[level][1].known);
    return tern_buf_append(&o->sent[level], p, n);
}

static int on_secret(void *owner, tern_level level, bool out, tern_aead_kind cipher,
                     const uint8_t *secret, size_t n)
{
    tls_owner *o = owner;
    insist(level != TERN_LEVEL_INITIAL && !o->secrets[level][out].known && !o->done);
    insist(level != TERN_LEVEL_EARLY || out != o->server);
    insist(n == tern_hash_size(tls_hash(cipher)));
    o->secrets[level][out].known = true;
    o->secrets[level][out].n = n;
    memcpy(o->secrets[level][out].bytes, secret, n);
    return 0;
}

static int on_params(void *owner, tern_span params)
{
    tls_owner *o = owner;
    insist(!o->done);
    return params.len > 0 && params.data[0] == '!' ? TERN_E_PROTOCOL : 0;
}

/* The hello is half written: what it offers may be changed. */
static void offer(tls_owner *o)
{
    uint8_t *hello = tern_buf_data(&o->h->out.buf);
    size_t n = tern_buf_len(&o->h->out.buf), at = SUITES + 6 + 2 + 2;
    for (size_t i = 0; o->suite != 0 && i < 6; i += 2) {
        tern_put16(hello + SUITES + i, o->suite);
    }
    for (; at + 8 <= n; at += 4 + (size_t)tern_get16(hello + at + 2)) {
        uint16_t type = tern_get16(hello + at);
        if (type == TLS_EXT_SUPPORTED_GROUPS && o->group != 0) {
            tern_put16(hello + at + 6, o->group);
        }
        if (type == TLS_EXT_KEY_SHARE && o->share != 0 && !o->h->retried) {
            tern_put16(hello + at + 6, o->share);
            o->h->share.group = o->share;
        }
    }
}

static ssize_t put_params(void *owner, uint8_t *out, size_t cap)
{
    tls_owner *o = owner;
    insist(cap > 6);
    memcpy(out, "params", 6);
    if (!o->server && !o->h->out.failed) {
        offer(o);
    }
    return 6;
}

static int on_hello(void *owner, const tern_hello *hello, tern_answer *answer)
{
    tls_owner *o = owner;
    static const tern_span libp2p = {(const uint8_t *)"libp2p", 6};
    insist(o->server && !o->done && hello->tls13 && hello->alpn.data != NULL);
    *answer = o->answer;
    answer->alpn = tern_hello_offers(hello, libp2p) ? libp2p : (tern_span){NULL, 0};
    answer->cert = tls_owner_cert();
    return 0;
}

static void on_resumed(void *owner)
{
    const tls_owner *o = owner;
    insist(o->server && o->answer.psk != NULL && !o->done);
}

static int on_certificate(void *owner, tern_span der, unsigned count)
{
    const tls_owner *o = owner;
    insist(!o->done && count > 0 && der.len > 0);
    return der.data[der.len - 1] == '!' ? TERN_E_PEER_ID : 0;
}

static int on_done(void *owner)
{
    tls_owner *o = owner;
    insist(!o->done && o->secrets[TERN_LEVEL_TRAFFIC][0].known &&
           o->secrets[TERN_LEVEL_TRAFFIC][1].known);
    o->done = true;
    return 0;
}

static void on_ticket(void *owner, const tern_ticket *ticket)
{
    tls_owner *o = owner;
    insist(!o->server && o->done && ticket->bytes.len > 0 && ticket->bytes.len <= TERN_TICKET_MAX);
    insist(ticket->lifetime > 0 && ticket->lifetime <= 7 * 24 * 3600);
    o->tickets++;
}

static const tern_handshake_ops ops = {
    .send = on_send,
    .secret = on_secret,
    .params_in = on_params,
    .params_out = put_params,
    .hello = on_hello,
    .resumed = on_resumed,
    .certificate = on_certificate,
    .done = on_done,
    .ticket = on_ticket,
};

/* ---- life ---- */

static size_t alive;

const tern_cert *tls_owner_cert(void)
{
    static tern_cert *made;
    if (made == NULL) {
        tern_key *key = sim_fixed_key(1);
        insist(key != NULL && tern_cert_make(key, UINT64_C(1800000000000000000), &made) == 0);
        tern_key_unref(key);
    }
    return made;
}

void tls_owner_fix(void)
{
    sim_fixed_random(1);
    tls_owner_cert();
    sim_fixed_random(2);
    alive = tern_mem_alive();
}

void tls_owner_begin(tls_owner *o, const tern_handshake_config *config)
{
    o->server = config->server;
    o->h = tern_handshake_new(config, &ops, o);
    o->error = o->h == NULL ? TERN_E_NOMEM : o->server ? 0 : tern_handshake_start(o->h);
}

void tls_owner_feed(tls_owner *o, tern_level level, const uint8_t *p, size_t n)
{
    if (o->h == NULL || o->error != 0 || n == 0) {
        return;
    }
    uint8_t *exact = malloc(n);
    insist(exact != NULL);
    memcpy(exact, p, n);
    o->error = tern_handshake_feed(o->h, level, exact, n);
    free(exact);
    insist(tern_handshake_why(o->h) != NULL);
    insist(tern_handshake_done(o->h) == (o->done && o->error == 0));
    if (o->error != 0) {
        insist(tern_handshake_feed(o->h, level, (const uint8_t *)"", 1) < 0);
        return;
    }
    o->fed[level].bytes = realloc(o->fed[level].bytes, o->fed[level].n + n + 1);
    insist(o->fed[level].bytes != NULL);
    memcpy(o->fed[level].bytes + o->fed[level].n, p, n);
    o->fed[level].n += n;
}

void tls_owner_end(tls_owner *o)
{
    tern_handshake_free(o->h);
    for (int i = 0; i < TLS_OWNER_LEVELS; i++) {
        tern_buf_free(&o->sent[i]);
        free(o->fed[i].bytes);
    }
}

void tls_owner_check_memory(void)
{
    insist(tern_mem_alive() == alive);
}
