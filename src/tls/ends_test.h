/* Two ends of a handshake over memory, for tests: what each says and is told is written down, and
 * each message may be changed on its way. Header only. */
#ifndef TERN_TLS_ENDS_TEST_H
#define TERN_TLS_ENDS_TEST_H

#include <stdio.h>
#include <stdlib.h>

#include <tern/error.h>

#include "base/test.h"
#include "crypto/cert_forge_test.h"
#include "tls/handshake.h"
#include "tls/inside.h"

enum { END_QUEUE = 64, END_LEVELS = TERN_LEVEL_TRAFFIC + 1, END_PARAMS = 57, END_SUITES = 41 };

typedef struct end_secret {
    bool known;
    tern_aead_kind cipher;
    size_t n;
    uint8_t bytes[TERN_HASH_MAX];
} end_secret;

/* A handshake message on its way. */
typedef struct end_message {
    tern_level level;
    size_t n;
    uint8_t *bytes;
} end_message;

typedef struct end {
    tern_handshake *h;
    bool server;
    char said[512]; /* all that happened, a word each */
    end_secret secrets[END_LEVELS][2];
    end_message queue[END_QUEUE];
    unsigned first, last; /* what waits in the queue */
    int error;            /* what feed or start said */
    /* what it does */
    tern_answer answer;
    const char *alpn; /* of the server: what it accepts */
    const char *params;
    int refuse_params, refuse_hello, refuse_certificate, refuse_done, no_params; /* codes */
    uint16_t only_suite, no_group, no_share; /* client: one suite; X25519 left out of those lists */
    tern_span more;                          /* client: extensions of others */
    /* what it was told */
    char peer_params[32];
    uint8_t cert[2048];
    size_t cert_n;
    tern_ticket ticket; /* with bytes of ticket_bytes */
    uint8_t ticket_bytes[TERN_TICKET_MAX];
    unsigned tickets, resumptions;
    unsigned offered; /* server: tickets in the ClientHello */
} end;

static inline void end_say(end *e, const char *what, int number)
{
    size_t n = strlen(e->said);
    snprintf(e->said + n, sizeof e->said - n, number < 0 ? "%s%s" : "%s%s%d", n > 0 ? " " : "",
             what, number);
}

/* ---- the owner ---- */

static inline int end_on_send(void *owner, tern_level level, const uint8_t *p, size_t n)
{
    end *e = owner;
    end_say(e, "send", (int)level);
    while (n > 0) {
        assert_true(n >= TLS_HEAD && e->last < END_QUEUE);
        size_t one = TLS_HEAD + ((size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
        assert_true(one <= n);
        end_message *m = &e->queue[e->last++];
        *m = (end_message){level, one, malloc(one)};
        assert_non_null(m->bytes);
        memcpy(m->bytes, p, one);
        p += one;
        n -= one;
    }
    return 0;
}

static inline int end_on_secret(void *owner, tern_level level, bool out, tern_aead_kind cipher,
                                const uint8_t *secret, size_t n)
{
    end *e = owner;
    end_secret *s = &e->secrets[level][out];
    end_say(e, out ? "out" : "in", (int)level);
    assert_false(s->known);
    assert_true(n <= sizeof s->bytes);
    *s = (end_secret){.known = true, .cipher = cipher, .n = n};
    memcpy(s->bytes, secret, n);
    return 0;
}

static inline int end_on_params(void *owner, tern_span params)
{
    end *e = owner;
    end_say(e, "params", -1);
    if (e->refuse_params == 0) {
        snprintf(e->peer_params, sizeof e->peer_params, "%.*s", (int)params.len,
                 (const char *)params.data);
    }
    return e->refuse_params;
}

/* Where the value of an extension lies in an unfinished or whole ClientHello without a session id;
 * its length in *ret_n. NULL: it is not there. */
static inline uint8_t *end_extension(uint8_t *hello, size_t n, uint16_t type, size_t *ret_n)
{
    size_t suites = tern_get16(hello + END_SUITES - 2), at = END_SUITES + suites + 2 + 2;
    while (at + 4 <= n) {
        *ret_n = tern_get16(hello + at + 2);
        if (tern_get16(hello + at) == type) {
            return hello + at + 4;
        }
        at += 4 + *ret_n;
    }
    return NULL;
}

/* A client that offers other things than ours does: its hello is changed while it is being written.
 */
static inline void end_offer(end *e)
{
    tls_put(&e->h->out, e->more.data, e->more.len);
    if (e->h->out.failed) {
        return;
    }
    uint8_t *hello = tern_buf_data(&e->h->out.buf), *p;
    size_t len = tern_buf_len(&e->h->out.buf), n;
    for (size_t i = 0; e->only_suite != 0 && i < tern_get16(hello + END_SUITES - 2); i += 2) {
        tern_put16(hello + END_SUITES + i, e->only_suite);
    }
    if (e->no_group != 0) {
        p = end_extension(hello, len, TLS_EXT_SUPPORTED_GROUPS, &n);
        assert_int_equal(tern_get16(p + 2), TLS_X25519);
        tern_put16(p + 2, e->no_group);
    }
    if (e->no_share != 0 && !e->h->retried) {
        p = end_extension(hello, len, TLS_EXT_KEY_SHARE, &n);
        assert_int_equal(tern_get16(p + 2), TLS_X25519);
        tern_put16(p + 2, e->no_share);
        e->h->share.group = e->no_share;
    }
}

static inline ssize_t end_put_params(void *owner, uint8_t *out, size_t cap)
{
    end *e = owner;
    size_t n = strlen(e->params);
    assert_true(n <= cap);
    if (e->no_params != 0) {
        return e->no_params;
    }
    memcpy(out, e->params, n);
    if (!e->server && !e->h->out.failed) {
        end_offer(e);
    }
    return (ssize_t)n;
}

static inline int end_on_hello(void *owner, const tern_hello *hello, tern_answer *answer)
{
    end *e = owner;
    const tern_span name = {(const uint8_t *)e->alpn, strlen(e->alpn)};
    end_say(e, "hello", -1);
    e->offered = hello->offered;
    if (e->refuse_hello == 0) {
        *answer = e->answer;
        answer->alpn = tern_hello_offers(hello, name) ? name : (tern_span){NULL, 0};
    }
    return e->refuse_hello;
}

static inline void end_on_resumed(void *owner)
{
    end *e = owner;
    end_say(e, "resumed", -1);
    e->resumptions++;
}

static inline int end_on_certificate(void *owner, tern_span der, unsigned count)
{
    end *e = owner;
    end_say(e, "certificate", (int)count);
    assert_true(der.len <= sizeof e->cert);
    memcpy(e->cert, der.data, der.len);
    e->cert_n = der.len;
    return e->refuse_certificate;
}

static inline int end_on_done(void *owner)
{
    end *e = owner;
    end_say(e, "done", -1);
    assert_true(tern_handshake_done(e->h));
    return e->refuse_done;
}

static inline void end_on_ticket(void *owner, const tern_ticket *ticket)
{
    end *e = owner;
    end_say(e, "ticket", -1);
    assert_true(ticket->bytes.len <= sizeof e->ticket_bytes);
    memcpy(e->ticket_bytes, ticket->bytes.data, ticket->bytes.len);
    e->ticket = *ticket;
    e->ticket.bytes.data = e->ticket_bytes;
    e->tickets++;
}

static const tern_handshake_ops end_ops = {
    .send = end_on_send,
    .secret = end_on_secret,
    .params_in = end_on_params,
    .params_out = end_put_params,
    .hello = end_on_hello,
    .resumed = end_on_resumed,
    .certificate = end_on_certificate,
    .done = end_on_done,
    .ticket = end_on_ticket,
};

/* ---- what there is of a process ---- */

static inline const tern_cert *end_cert(void)
{
    static tern_cert *made;
    if (made == NULL) { /* OpenSSL's memory, which nobody counts */
        const forge f = {.no_extension = true};
        tern_cert *forged = forge_cert(NULL, &f);
        made = malloc(sizeof *made);
        assert_non_null(made);
        *made = *forged;
        tern_free(forged);
    }
    return made;
}

static inline tern_handshake_config end_client_config(void)
{
    return (tern_handshake_config){.params = END_PARAMS,
                                   .cert = end_cert(),
                                   .alpn = {{(const uint8_t *)"libp2p", 6}},
                                   .asks = true,
                                   .ask_fresh = 2,
                                   .ask_again = 1};
}

/* Fields that say what an end does are to be set before. */
static inline void end_begin(end *e, const tern_handshake_config *config)
{
    e->server = config->server;
    e->params = e->params != NULL ? e->params : config->server ? "of the server" : "of the client";
    e->alpn = e->alpn != NULL ? e->alpn : "libp2p";
    if (e->server && e->answer.cert == NULL) {
        e->answer.cert = end_cert();
    }
    e->h = tern_handshake_new(config, &end_ops, e);
    e->error = e->h == NULL ? TERN_E_NOMEM : e->server ? 0 : tern_handshake_start(e->h);
}

static inline void end_clear(end *e)
{
    tern_handshake_free(e->h);
    e->h = NULL;
    for (unsigned i = 0; i < e->last; i++) {
        free(e->queue[i].bytes);
    }
    e->first = e->last = 0;
}

/* The next message that an end says; NULL: none. The queue's. */
static inline end_message *end_next(end *e)
{
    return e->first < e->last ? &e->queue[e->first++] : NULL;
}

/* Feeds bytes that are as long as their memory, until it fails. */
static inline int end_feed(end *e, tern_level level, const uint8_t *p, size_t n)
{
    if (e->error == 0) {
        uint8_t *exact = malloc(n > 0 ? n : 1);
        assert_non_null(exact);
        memcpy(exact, p, n);
        e->error = tern_handshake_feed(e->h, level, exact, n);
        free(exact);
    }
    return e->error;
}

/* ---- both ---- */

typedef struct ends {
    end c, s;
    unsigned count; /* messages so far */
    /* Sees each message before it comes to `to`; NULL: it comes as it is. True: it was dealt with.
     */
    bool (*on_way)(struct ends *both, end *to, end_message *m);
    void *use;
} ends;

static inline void ends_begin(ends *both, const tern_handshake_config *client)
{
    const tern_handshake_config server = {.server = true, .params = client->params};
    end_begin(&both->s, &server);
    end_begin(&both->c, client);
}

/* Until nothing is on its way: each message alone, the client's first. */
static inline void ends_run(ends *both)
{
    for (;;) {
        end *to = &both->s;
        end_message *m = end_next(&both->c);
        if (m == NULL) {
            to = &both->c;
            m = end_next(&both->s);
        }
        if (m == NULL) {
            return;
        }
        if (both->on_way == NULL || !both->on_way(both, to, m)) {
            end_feed(to, m->level, m->bytes, m->n);
        }
        both->count++;
    }
}

static inline bool ends_done(const ends *both)
{
    return both->c.error == 0 && both->s.error == 0 && tern_handshake_done(both->c.h) &&
           tern_handshake_done(both->s.h);
}

static inline void ends_clear(ends *both)
{
    end_clear(&both->c);
    end_clear(&both->s);
}

/* What one side protects with at a level the other opens with, and the other way round. */
static inline void ends_agree(const ends *both, tern_level level, bool two_ways)
{
    for (int out = 0; out < 2; out++) {
        const end_secret *a = &both->c.secrets[level][out], *b = &both->s.secrets[level][!out];
        if (out || two_ways) {
            assert_true(a->known && b->known);
            assert_int_equal(a->cipher, b->cipher);
            assert_int_equal(a->n, tern_hash_size(tls_hash(a->cipher)));
            assert_int_equal(a->n, b->n);
            assert_memory_equal(a->bytes, b->bytes, a->n);
        }
    }
}

/* Both are done, with the same secrets, none of which is there twice. */
static inline void ends_check(const ends *both)
{
    assert_int_equal(both->c.error, 0);
    assert_int_equal(both->s.error, 0);
    assert_true(ends_done(both));
    ends_agree(both, TERN_LEVEL_HANDSHAKE, true);
    ends_agree(both, TERN_LEVEL_TRAFFIC, true);
    const end_secret *all[4] = {
        &both->c.secrets[TERN_LEVEL_HANDSHAKE][0], &both->c.secrets[TERN_LEVEL_HANDSHAKE][1],
        &both->c.secrets[TERN_LEVEL_TRAFFIC][0], &both->c.secrets[TERN_LEVEL_TRAFFIC][1]};
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++) {
            assert_memory_not_equal(all[i]->bytes, all[j]->bytes, all[i]->n);
        }
    }
    assert_string_equal(both->c.peer_params, both->s.params);
    assert_string_equal(both->s.peer_params, both->c.params);
}

/* Gives the client a ticket, which lies in both->c.ticket; what the server has of it in *ret. */
static inline void ends_give(ends *both, bool early, tern_psk *ret)
{
    unsigned before = both->c.tickets;
    assert_int_equal(tern_handshake_give(both->s.h, (tern_span){(const uint8_t *)"ticket", 6}, 7200,
                                         0x01020304, early, ret),
                     0);
    ends_run(both);
    assert_int_equal(both->c.error, 0);
    assert_int_equal(both->c.tickets, before + 1);
}

/* A whole handshake that leaves a ticket; `suite` 0: as it comes. */
static inline void ends_ticket(uint16_t suite, bool early, tern_ticket *ret, tern_psk *ret_psk)
{
    static uint8_t bytes[TERN_TICKET_MAX];
    ends both = {.c = {.only_suite = suite}};
    const tern_handshake_config config = end_client_config();
    ends_begin(&both, &config);
    ends_run(&both);
    ends_check(&both);
    ends_give(&both, early, ret_psk);
    *ret = both.c.ticket;
    memcpy(bytes, both.c.ticket_bytes, ret->bytes.len);
    ret->bytes.data = bytes;
    ends_clear(&both);
}

/* ---- kinds of handshakes: the server asks for a certificate, and takes early data ---- */

enum { FULL, EARLY, RETRIED, KINDS, NO_GROUP = 0x1a1a };

typedef struct scene {
    ends both;
    tern_ticket ticket;
    tern_psk psk;
} scene;

static inline void scene_begin(scene *s, int kind)
{
    tern_handshake_config config = end_client_config();
    s->both.s.answer = (tern_answer){.ask = true, .tickets = 2};
    if (kind != FULL) {
        static tern_ticket ticket; /* the same for all: only one key changes hands */
        static tern_psk psk;
        if (ticket.bytes.len == 0) {
            ends_ticket(0, true, &ticket, &psk);
        }
        s->ticket = ticket;
        s->psk = psk;
        config.ticket = &s->ticket;
        config.early = true;
        s->both.s.answer.psk = &s->psk;
        s->both.s.answer.early = true;
    }
    if (kind == RETRIED) {
        s->both.c.no_share = s->both.c.no_group = NO_GROUP;
    }
    ends_begin(&s->both, &config);
}

#define BYTES(text) (text), sizeof(text) - 1

#endif
