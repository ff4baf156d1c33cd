/* ICE as WebRTC Direct uses it: see ice_core.h. */
#include "webrtc/ice_core.h"

#include <tern/error.h>

enum {
    PRIORITY = 1862270975, /* a peer-reflexive candidate's (RFC 8445, 5.1.2) */
    ROLE_CONFLICT = 487,
    USER_MAX = 2 * TERN_ICE_NAME + 1, /* of a client's own */
};

static const char prefix_v1[] = "libp2p+webrtc+v1/", prefix_v2[] = "libp2p+webrtc+v2/";

/* RFC 8839, 5.4: ice-char. */
static bool ice_chars(tern_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '+' && c != '/') {
            return false;
        }
    }
    return true;
}

int tern_ice_read_user(tern_span username, tern_ice_user *ret)
{
    const uint8_t *colon = username.len > 0 ? memchr(username.data, ':', username.len) : NULL;
    if (colon == NULL) {
        return TERN_E_PROTOCOL;
    }
    ret->server = (tern_span){username.data, (size_t)(colon - username.data)};
    ret->client = (tern_span){colon + 1, username.len - ret->server.len - 1};
    ret->key = ret->server;
    bool first = ret->server.len > TERN_ICE_PREFIX &&
                 memcmp(ret->server.data, prefix_v1, TERN_ICE_PREFIX) == 0;
    bool second = ret->server.len > TERN_ICE_PREFIX &&
                  memcmp(ret->server.data, prefix_v2, TERN_ICE_PREFIX) == 0;
    bool sizes = ret->server.len <= TERN_ICE_UFRAG_MAX && ret->client.len >= TERN_ICE_UFRAG_MIN &&
                 ret->client.len <= TERN_ICE_UFRAG_MAX &&
                 ret->server.len - (first || second ? TERN_ICE_PREFIX : 0) >= TERN_ICE_UFRAG_MIN;
    if (!(first || second) || !sizes || !ice_chars(ret->server) || !ice_chars(ret->client)) {
        return TERN_E_PROTOCOL;
    }
    ret->version = first ? 1 : 2;
    if (first) {
        bool same = ret->client.len == ret->server.len &&
                    memcmp(ret->client.data, ret->server.data, ret->server.len) == 0;
        return same && ret->server.len >= TERN_ICE_PWD_MIN ? 0 : TERN_E_PROTOCOL;
    }
    return ret->server.len - TERN_ICE_PREFIX >= TERN_ICE_PWD_MIN ? 0 : TERN_E_PROTOCOL;
}

static tern_span name_of(const tern_ice_client *c)
{
    return (tern_span){(const uint8_t *)c->name, TERN_ICE_NAME};
}

static tern_span ufrag_of(const tern_ice_client *c)
{
    return c->version == 1 ? name_of(c) : (tern_span){(const uint8_t *)c->ufrag, TERN_ICE_UFRAG};
}

/* The USERNAME of a check is the ufrag of who gets it, a colon, and that of who sends it. */
static size_t put_user(uint8_t *out, tern_span to, tern_span from)
{
    memcpy(out, to.data, to.len);
    out[to.len] = ':';
    memcpy(out + to.len + 1, from.data, from.len);
    return to.len + 1 + from.len;
}

/* Whether that is how the server of `c` calls its client. */
static bool read_servers_user(const tern_ice_client *c, tern_span username, tern_ice_user *ret)
{
    uint8_t ours[USER_MAX];
    size_t n = put_user(ours, ufrag_of(c), name_of(c));
    if (username.len != n || !tern_eq_ct(username.data, ours, n)) {
        return false;
    }
    const uint8_t *name = (const uint8_t *)c->name;
    *ret = (tern_ice_user){.version = c->version, .server = name_of(c), .client = ufrag_of(c)};
    ret->key = c->version == 1 ? ret->server : (tern_span){name + TERN_ICE_PREFIX, TERN_ICE_RANDOM};
    return true;
}

tern_ice_verdict tern_ice_judge(const uint8_t *p, size_t n, const tern_ice_client *client,
                                tern_stun *m, tern_ice_user *user)
{
    int e = tern_stun_read(p, n, m);
    if (e != 0) {
        return e == TERN_E_CRYPTO ? TERN_ICE_FORGED : TERN_ICE_MALFORMED;
    }
    if (m->type == TERN_STUN_SUCCESS || m->type == TERN_STUN_ERROR) {
        return TERN_ICE_ANSWER;
    }
    if (m->type == TERN_STUN_INDICATION) {
        return TERN_ICE_NOTHING;
    }
    if (m->type != TERN_STUN_REQUEST || m->unknown) {
        return TERN_ICE_MALFORMED;
    }
    if (client != NULL ? !read_servers_user(client, m->username, user)
                       : tern_ice_read_user(m->username, user) != 0) {
        return TERN_ICE_BAD_USER;
    }
    if (!m->fingerprint || !tern_stun_verify(p, m, user->key)) {
        return TERN_ICE_FORGED;
    }
    return m->controlled && client == NULL ? TERN_ICE_CONFLICT : TERN_ICE_CHECK;
}

ssize_t tern_ice_answer(uint8_t out[TERN_STUN_MAX], tern_ice_verdict verdict,
                        const tern_stun *request, size_t request_n, const tern_ice_user *user,
                        const tern_endpoint *seen)
{
    ssize_t n = verdict == TERN_ICE_CHECK
                    ? tern_stun_put_success(out, request->id, seen, user->key)
                    : tern_stun_put_error(out, request->id, ROLE_CONFLICT, user->key);
    return n > 0 && (size_t)n > request_n ? TERN_E_LIMIT : n; /* nothing to amplify with */
}

/* ---- the client ---- */

void tern_ice_client_init(tern_ice_client *c, unsigned version, const uint8_t random[TERN_ICE_SEED])
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    memset(c, 0, sizeof *c);
    c->version = version;
    memcpy(c->name, version == 1 ? prefix_v1 : prefix_v2, TERN_ICE_PREFIX);
    for (size_t i = 0; i < TERN_ICE_RANDOM; i++) {
        /* go and js take letters and digits only. */
        c->name[TERN_ICE_PREFIX + i] = alphabet[random[i] % 62];
    }
    for (size_t i = 0; i < TERN_ICE_UFRAG; i++) {
        c->ufrag[i] = alphabet[random[TERN_ICE_RANDOM + i] % 62];
    }
    c->tie_breaker = tern_get64(random + TERN_ICE_RANDOM + TERN_ICE_UFRAG);
}

ssize_t tern_ice_client_check(tern_ice_client *c, const uint8_t id[TERN_STUN_ID],
                              uint8_t out[TERN_STUN_MAX])
{
    uint8_t username[USER_MAX];
    size_t n = put_user(username, name_of(c), ufrag_of(c));
    memcpy(c->id, id, TERN_STUN_ID);
    tern_stun_request r = {.username = {username, n},
                           .password = name_of(c),
                           .priority = PRIORITY,
                           .tie_breaker = c->tie_breaker,
                           .use_candidate = true};
    memcpy(r.id, id, TERN_STUN_ID);
    return tern_stun_put_request(out, &r);
}

bool tern_ice_client_confirmed(const tern_ice_client *c, const uint8_t *p, const tern_stun *m,
                               tern_endpoint *ret_seen)
{
    if (m->type != TERN_STUN_SUCCESS || memcmp(m->id, c->id, TERN_STUN_ID) != 0 ||
        m->mapped.family == 0 || !tern_stun_verify(p, m, name_of(c))) {
        return false;
    }
    *ret_seen = m->mapped;
    return true;
}
