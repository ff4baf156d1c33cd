/* Two ends of ours, and somebody between them who may change, lose, repeat, cut and write messages,
 * as the input says; then they are left alone. If both are done, each has heard what the other
 * said, and their secrets are the same.
 *
 *     | kind: 2 | the allocation that fails, 0 none: 1 | what happens to each message | */
#include <stdlib.h>

#include "base/mem.h"
#include "fuzz/tls_owner.h"
#include "tls/inside.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { /* kind */
       ASKS = 1,
       TICKET = 2,
       KNOWN = 4,
       EARLY = 8,
       TAKES_EARLY = 16,
       NO_TICKETS = 32,
       NO_CERT = 64,
       WRONG_KEY = 128,
       SUITE = 3, /* of the second byte */
       NO_SHARE = 4,
       NO_GROUP = 8,
       OTHER_HASH = 16,
       NO_PARAMS = 32,
};

enum {
    PASS,
    FLIP,
    CUT,
    DROP,
    TWICE,
    LEVEL,
    INSERT,
    REMOVE,
    REPLACE,
    GROW,
    SHRINK,
    EXTENSION,
    WAYS
};

enum { STEPS = 48, MESSAGE_MAX = 4096 };

typedef struct script {
    const uint8_t *p;
    size_t n;
} script;

static uint8_t next8(script *s)
{
    uint8_t v = s->n > 0 ? *s->p : 0;
    s->p += s->n > 0;
    s->n -= s->n > 0;
    return v;
}

static size_t next16(script *s)
{
    size_t high = next8(s);
    return high << 8 | next8(s);
}

/* A message on its way. */
typedef struct message {
    tern_level level;
    size_t n;
    uint8_t bytes[2 * MESSAGE_MAX];
} message;

static bool take(tls_owner *from, message *m)
{
    for (int level = 0; level < TLS_OWNER_LEVELS; level++) {
        const uint8_t *p = tern_buf_data(&from->sent[level]);
        size_t n = tern_buf_len(&from->sent[level]) - from->taken[level];
        if (n == 0) {
            continue;
        }
        p += from->taken[level];
        m->level = (tern_level)level;
        m->n = TLS_HEAD + ((size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
        if (m->n > n || m->n > MESSAGE_MAX) {
            abort();
        }
        memcpy(m->bytes, p, m->n);
        from->taken[level] += m->n;
        return true;
    }
    return false;
}

/* ---- what happens to one ---- */

static void resize(message *m, size_t at, size_t out, const uint8_t *in, size_t n)
{
    memmove(m->bytes + at + n, m->bytes + at + out, m->n - at - out);
    if (n > 0) {
        memcpy(m->bytes + at, in, n);
    }
    m->n = m->n + n - out;
}

static void fix_length(message *m)
{
    m->bytes[1] = (uint8_t)((m->n - TLS_HEAD) >> 16);
    tern_put16(m->bytes + 2, (uint16_t)(m->n - TLS_HEAD));
}

static void insert(script *s, message *m, size_t least)
{
    size_t at = next16(s), n = next8(s);
    n = n < s->n ? n : s->n;
    at = m->n > least ? least + at % (m->n - least + 1) : m->n;
    if (m->n + n <= MESSAGE_MAX) {
        resize(m, at, 0, s->p, n);
    }
    s->p += n;
    s->n -= n;
}

static void take_out(script *s, message *m, size_t least)
{
    size_t at = next16(s), n = next8(s);
    if (m->n > least) {
        at = least + at % (m->n - least);
        resize(m, at, n < m->n - at ? n : m->n - at, NULL, 0);
    }
}

/* Where the list of extensions has its length; 0: in none that we know of. */
static size_t list_of(const message *m)
{
    const size_t random = TLS_HEAD + 2 + TLS_RANDOM;
    size_t at = m->bytes[0] == TLS_CLIENT_HELLO           ? random + 1 + 2 + 6 + 2
                : m->bytes[0] == TLS_SERVER_HELLO         ? random + 1 + 2 + 1
                : m->bytes[0] == TLS_CERTIFICATE_REQUEST  ? TLS_HEAD + 1
                : m->bytes[0] == TLS_ENCRYPTED_EXTENSIONS ? TLS_HEAD
                                                          : 0;
    return at > 0 && at + 2 <= m->n ? at : 0;
}

/* One extension is left out, doubled or replaced; every length fits. */
static void change_extension(script *s, message *m)
{
    size_t list = list_of(m), which = next8(s), way = next8(s), type = next16(s), n = next8(s);
    size_t at = list + 2, len = 0;
    uint8_t copy[MESSAGE_MAX];
    for (; list > 0 && at + 4 <= m->n; at += len) {
        len = 4 + (size_t)tern_get16(m->bytes + at + 2);
        if (which-- == 0) {
            break;
        }
    }
    n = n < s->n ? n : s->n;
    if (list == 0 || at + 4 > m->n || len > m->n - at || m->n + len + 4 + n > MESSAGE_MAX) {
        return;
    }
    memcpy(copy, m->bytes + at, len);
    if (way % 3 == 0) {
        resize(m, at, len, NULL, 0);
    } else if (way % 3 == 1) {
        resize(m, at, 0, copy, len);
    } else {
        resize(m, at + 4, len - 4, s->p, n);
        tern_put16(m->bytes + at, way & 4 ? (uint16_t)type : tern_get16(copy));
        tern_put16(m->bytes + at + 2, (uint16_t)n);
        s->p += n;
        s->n -= n;
    }
    tern_put16(m->bytes + list, (uint16_t)(m->n - list - 2));
    fix_length(m);
}

static void feed(tls_owner *to, const message *m, size_t piece)
{
    for (size_t at = 0; at < m->n; at += piece) {
        tls_owner_feed(to, m->level, m->bytes + at, m->n - at < piece ? m->n - at : piece);
    }
}

static void deliver(script *s, tls_owner *to, message *m)
{
    size_t at, piece = sizeof m->bytes;
    switch (next8(s) % WAYS) {
    case FLIP:
        at = next16(s) % m->n;
        m->bytes[at] ^= next8(s);
        break;
    case CUT:
        piece = 1 + (size_t)next8(s);
        break;
    case DROP:
        return;
    case TWICE:
        feed(to, m, piece);
        break;
    case LEVEL:
        m->level = (tern_level)(next8(s) % TLS_OWNER_LEVELS);
        break;
    case INSERT:
        insert(s, m, 0);
        break;
    case REMOVE:
        take_out(s, m, 0);
        break;
    case REPLACE:
        m->n = 0;
        insert(s, m, 0);
        break;
    case GROW:
        insert(s, m, TLS_HEAD);
        fix_length(m);
        break;
    case SHRINK:
        take_out(s, m, TLS_HEAD);
        fix_length(m);
        break;
    case EXTENSION:
        change_extension(s, m);
        break;
    default:
        break;
    }
    feed(to, m, piece);
}

/* ---- whole runs ---- */

/* Of two that are done, each heard what the other said in the handshake, and nothing else. */
static void check_heard(const tls_owner *to, const tls_owner *from)
{
    for (int level = TERN_LEVEL_INITIAL; level < TERN_LEVEL_TRAFFIC; level++) {
        size_t n = tern_buf_len(&from->sent[level]);
        if (to->fed[level].n != n ||
            (n > 0 && memcmp(to->fed[level].bytes, tern_buf_data(&from->sent[level]), n) != 0)) {
            abort();
        }
    }
}

static void check_secrets(const tls_owner *a, const tls_owner *b)
{
    for (int level = TERN_LEVEL_HANDSHAKE; level <= TERN_LEVEL_TRAFFIC; level++) {
        for (int out = 0; out < 2; out++) {
            if (a->secrets[level][out].n != b->secrets[level][!out].n ||
                memcmp(a->secrets[level][out].bytes, b->secrets[level][!out].bytes,
                       a->secrets[level][out].n) != 0) {
                abort();
            }
        }
    }
    if (tern_handshake_resumed(a->h) != tern_handshake_resumed(b->h) ||
        tern_handshake_early(a->h) != tern_handshake_early(b->h)) {
        abort();
    }
}

static void give(tls_owner *server)
{
    tern_psk psk;
    if (tern_handshake_give(server->h, (tern_span){(const uint8_t *)"another", 7}, 3600, 1, true,
                            &psk) == 0) {
        tern_wipe(&psk, sizeof psk);
    }
}

static void talk(script *s, tls_owner *client, tls_owner *server)
{
    message m;
    bool given = false;
    for (int i = 0; i < STEPS && client->h != NULL && server->h != NULL; i++) {
        if (take(client, &m)) {
            deliver(s, server, &m);
        } else if (take(server, &m)) {
            deliver(s, client, &m);
        } else if (!given && server->done && server->error == 0) {
            give(server);
            given = true;
        } else {
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint16_t suites[] = {0, 0x1301, 0x1302, 0x1303};
    static const tern_span name = {(const uint8_t *)"libp2p", 6};
    script s = {data, n};
    if (n < 3 || n > 20000) {
        return 0;
    }
    uint8_t kind = next8(&s), more = next8(&s), failing = next8(&s);
    uint16_t params = more & NO_PARAMS ? 0 : TLS_OWNER_PARAMS;
    tern_psk psk = {.cipher = more & OTHER_HASH ? TERN_AES_256_GCM : TERN_AES_128_GCM};
    const tern_ticket ticket = {.psk = psk, .early = true, .bytes = name};
    psk.key[0] = kind & WRONG_KEY ? 1 : 0;
    tls_owner_fix();
    tls_owner server = {.answer = {.ask = kind & ASKS,
                                   .psk = kind & KNOWN ? &psk : NULL,
                                   .early = kind & TAKES_EARLY,
                                   .tickets = kind & NO_TICKETS ? -1 : 2}};
    tls_owner client = {.suite = suites[more & SUITE],
                        .share = more & NO_SHARE ? 0x1a1a : 0,
                        .group = more & NO_GROUP ? 0x2a2a : 0};
    const tern_handshake_config of_client = {
        .params = params,
        .cert = kind & NO_CERT ? NULL : tls_owner_cert(),
        .alpn = {name},
        .ticket = kind & TICKET ? &ticket : NULL,
        .early = kind & EARLY,
        .asks = (kind & NO_TICKETS) == 0,
    };
    const tern_handshake_config of_server = {.server = true, .params = params};
    tern_mem_fail_at(failing, 0);
    tls_owner_begin(&server, &of_server);
    tls_owner_begin(&client, &of_client);
    talk(&s, &client, &server);
    tern_mem_fail_at(0, 0);
    if (client.done && server.done && client.error == 0 && server.error == 0) {
        check_heard(&client, &server);
        check_heard(&server, &client);
        check_secrets(&client, &server);
    }
    tls_owner_end(&client);
    tls_owner_end(&server);
    tls_owner_check_memory();
    return 0;
}
