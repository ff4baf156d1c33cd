/* The way of a port through PCP and NAT-PMP: see portmap_core.h. */
#include "nat/portmap_core.h"

#include <tern/error.h>

/* Retransmission (RFC 6887, section 8.1.1; RFC 6886, section 3.1), bounded while nobody has ever
 * answered, and so that a mapping which is not renewed is asked for until it ends. */
#define PCP_FIRST     (3 * TERN_SEC)
#define PCP_MOST      (1024 * TERN_SEC)
#define NAT_PMP_FIRST (250 * TERN_MS)
#define NAT_PMP_MOST  (64 * TERN_SEC)
#define CLOSE_TIME    (250 * TERN_MS) /* doubles; who stops has no time for RFC 6887's seconds */
#define RENEW_MIN     (4 * TERN_SEC)  /* RFC 6887, section 11.2.1 */
#define REFUSED_MIN   60              /* s */
#define REFUSED_MOST  3600
#define ADDRESS_FRESH (10 * TERN_SEC) /* NAT-PMP: asked for again with renewals */

/* Until NAT-PMP is tried; of NAT-PMP; once somebody has answered; of what is taken away. */
enum { PCP_TRIES = 2, NAT_PMP_TRIES = 5, TRIES = 9, CLOSE_TRIES = 3 };

/* ---- small things ---- */

/* splitmix64: jitter is no secret. */
static uint64_t draw(tern_portmap_core *c, uint64_t below)
{
    uint64_t z = c->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

static unsigned tries_of(const tern_portmap_core *c)
{
    if (c->closing) {
        return c->answered ? CLOSE_TRIES : 1;
    }
    return c->answered ? TRIES : c->protocol == TERN_PORTMAP_PCP ? PCP_TRIES : NAT_PMP_TRIES;
}

/* Until the next try, after so many. */
static uint64_t wait_of(tern_portmap_core *c, unsigned tries)
{
    bool pcp = c->protocol == TERN_PORTMAP_PCP;
    uint64_t wait = c->closing ? CLOSE_TIME : pcp ? PCP_FIRST : NAT_PMP_FIRST;
    uint64_t most = pcp ? PCP_MOST : NAT_PMP_MOST;
    for (unsigned i = 1; i < tries && wait < most; i++) {
        wait *= 2;
    }
    wait = wait < most ? wait : most;
    return pcp && !c->closing ? wait - wait / 10 + draw(c, wait / 5) : wait;
}

static bool same_ip(const tern_endpoint *a, const tern_endpoint *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static bool mapped(const tern_portmap_port *p)
{
    return p->external.family != 0;
}

/* There is no mapping. */
static void fail(tern_portmap_port *p, tern_portmap_why why, unsigned code)
{
    p->changed |= mapped(p) || p->why != why || p->code != code;
    memset(&p->external, 0, sizeof p->external);
    p->expires = TERN_NEVER;
    p->why = why;
    p->code = code;
    p->tries = 0;
}

/* ---- from one protocol to the other ---- */

static void begin_pcp(tern_portmap_core *c, uint64_t at)
{
    c->protocol = TERN_PORTMAP_PCP;
    c->answered = c->epoch_known = false;
    c->address.family = 0;
    c->address_next = TERN_NEVER;
    for (size_t i = 0; i < c->count; i++) {
        c->ports[i].tries = 0;
        c->ports[i].next = at;
    }
}

/* The ports wait for the gateway's address. */
static void begin_nat_pmp(tern_portmap_core *c, uint64_t now)
{
    c->protocol = TERN_PORTMAP_NAT_PMP;
    c->answered = c->epoch_known = false;
    c->address.family = 0;
    c->address_next = now;
    c->address_tries = 0;
    for (size_t i = 0; i < c->count; i++) {
        c->ports[i].tries = 0;
        c->ports[i].next = TERN_NEVER;
    }
}

static void fall_silent(tern_portmap_core *c, uint64_t now)
{
    c->silent = true;
    begin_pcp(c, now + TERN_PORTMAP_PAUSE);
    for (size_t i = 0; i < c->count; i++) {
        if (!mapped(&c->ports[i])) {
            fail(&c->ports[i], TERN_PORTMAP_SILENT, 0);
            c->ports[i].asked = false;
        }
    }
}

/* No answer to anything that was sent. */
static void give_up(tern_portmap_core *c, uint64_t now)
{
    if (!c->answered && c->protocol == TERN_PORTMAP_PCP) {
        begin_nat_pmp(c, now);
    } else {
        fall_silent(c, now);
    }
}

/* ---- what is wanted ---- */

void tern_portmap_core_init(tern_portmap_core *c, const tern_endpoint *gateway,
                            const tern_endpoint *own, uint64_t random)
{
    memset(c, 0, sizeof *c);
    c->gateway = *gateway;
    c->gateway.port = TERN_PORTMAP_SERVER_PORT;
    c->own = *own;
    c->random = random;
    begin_pcp(c, TERN_NEVER);
}

bool tern_portmap_core_want(tern_portmap_core *c, uint32_t transport, uint16_t port,
                            const uint8_t nonce[TERN_PORTMAP_NONCE], uint64_t now)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->ports[i].transport == transport && c->ports[i].port == port) {
            return true;
        }
    }
    if (c->count == TERN_PORTMAP_PORTS) {
        return false;
    }
    tern_portmap_port *p = &c->ports[c->count++];
    memset(p, 0, sizeof *p);
    p->transport = transport;
    p->port = port;
    memcpy(p->nonce, nonce, TERN_PORTMAP_NONCE);
    p->expires = TERN_NEVER;
    p->next = now;
    if (c->silent) {
        p->next = now + TERN_PORTMAP_PAUSE;
    } else if (c->protocol == TERN_PORTMAP_NAT_PMP && c->address.family == 0) {
        p->next = TERN_NEVER; /* it waits with the others */
    }
    return true;
}

/* ---- sending ---- */

/* Mappings that ended: the gateway is looked for anew. */
static void expire(tern_portmap_core *c, uint64_t now)
{
    bool any = false;
    for (size_t i = 0; i < c->count; i++) {
        if (c->ports[i].expires <= now) {
            fail(&c->ports[i], TERN_PORTMAP_LOST, 0);
            any = true;
        }
    }
    if (any && !c->closing) {
        c->silent = false;
        begin_pcp(c, now);
    }
}

static size_t send_address(tern_portmap_core *c, uint64_t now, uint8_t *out)
{
    tern_portmap_request r = {.protocol = TERN_PORTMAP_NAT_PMP, .address = true};
    if (c->address_tries >= tries_of(c) && !tern_portmap_core_maps(c)) {
        give_up(c, now);
        return 0;
    }
    c->address_next = now + wait_of(c, ++c->address_tries);
    return tern_portmap_build(&r, out);
}

/* A port whose time has come; 0: nothing is to be sent for it now. */
static size_t send_port(tern_portmap_core *c, tern_portmap_port *p, uint64_t now, uint8_t *out)
{
    bool away = c->closing || p->undo;
    if (p->tries >= tries_of(c) && c->closing) {
        p->asked = false;
        p->next = TERN_NEVER;
        return 0;
    }
    if (p->tries >= tries_of(c) && !mapped(p)) {
        give_up(c, now);
        return 0;
    }
    tern_portmap_request r = {.protocol = c->protocol,
                              .own = c->own,
                              .transport = p->transport,
                              .port = p->port,
                              .lifetime = away ? 0 : TERN_PORTMAP_LIFETIME};
    memcpy(r.nonce, p->nonce, TERN_PORTMAP_NONCE);
    if (!away) {
        r.external = p->had;
        r.external.port = p->had.family != 0 ? p->had.port : p->port;
    }
    if (c->protocol == TERN_PORTMAP_NAT_PMP && !away && p->tries == 0 &&
        now - c->address_at > ADDRESS_FRESH && c->address_next == TERN_NEVER) {
        c->address_next = now;
        c->address_tries = 0;
    }
    if (p->undo && !c->closing) { /* once: nobody is harmed by what it leaves */
        p->undo = p->asked = false;
        p->undone = true;
        p->next = now + TERN_PORTMAP_PAUSE;
    } else if (c->closing && !c->answered) {
        p->asked = false;
        p->next = TERN_NEVER; /* nobody seems to be there that could answer */
    } else {
        p->asked = true;
        p->undone = false;
        p->next = now + wait_of(c, ++p->tries);
    }
    return tern_portmap_build(&r, out);
}

size_t tern_portmap_core_send(tern_portmap_core *c, uint64_t now,
                              uint8_t out[TERN_PORTMAP_REQUEST_MAX])
{
    size_t n = 0;
    expire(c, now);
    /* A protocol that is given up has another one begin in the same breath: at most twice. */
    for (unsigned round = 0; round < 3 && n == 0; round++) {
        if (c->address_next <= now) {
            n = send_address(c, now, out);
        }
        for (size_t i = 0; i < c->count && n == 0; i++) {
            if (c->ports[i].next <= now) {
                n = send_port(c, &c->ports[i], now, out);
            }
        }
    }
    return n;
}

uint64_t tern_portmap_core_deadline(const tern_portmap_core *c)
{
    uint64_t at = c->address_next;
    for (size_t i = 0; i < c->count; i++) {
        const tern_portmap_port *p = &c->ports[i];
        at = p->next < at ? p->next : at;
        at = p->expires < at ? p->expires : at;
    }
    return at;
}

/* ---- answers ---- */

/* Whether the gateway has begun to count anew since its last answer (RFC 6887, section 8.5; RFC
 * 6886, section 3.6). */
static bool restarted(tern_portmap_core *c, uint32_t epoch, uint64_t now)
{
    uint64_t ours = (now - c->epoch_at) / TERN_SEC, theirs;
    bool known = c->epoch_known, bad;
    if (c->protocol == TERN_PORTMAP_PCP) {
        theirs = epoch > c->epoch ? epoch - c->epoch : 0;
        bad = (uint64_t)epoch + 1 < c->epoch || ours + 2 < theirs - theirs / 16 ||
              theirs + 2 < ours - ours / 16;
    } else {
        bad = (uint64_t)epoch + 2 < c->epoch + ours / 8 * 7;
    }
    c->epoch_known = true;
    c->epoch = epoch;
    c->epoch_at = now;
    return known && bad;
}

static void renew(tern_portmap_core *c, const tern_portmap_port *but, uint64_t now)
{
    for (size_t i = 0; i < c->count; i++) {
        if (mapped(&c->ports[i]) && &c->ports[i] != but) {
            c->ports[i].tries = 0;
            c->ports[i].next = now;
        }
    }
    if (c->protocol == TERN_PORTMAP_NAT_PMP && c->address_next == TERN_NEVER &&
        c->address_at != now) {
        c->address_next = now;
        c->address_tries = 0;
    }
}

void tern_portmap_core_renew(tern_portmap_core *c, uint64_t now)
{
    renew(c, NULL, now);
}

/* `fresh` (may be NULL) is what this answer has just mapped. */
static void look_at_epoch(tern_portmap_core *c, uint32_t epoch, const tern_portmap_port *fresh,
                          uint64_t now)
{
    if (!restarted(c, epoch, now) || c->closing) {
        return;
    }
    c->restarts++;
    renew(c, fresh, now);
}

static tern_portmap_why why_of(const tern_portmap_core *c, unsigned code)
{
    bool pcp = c->protocol == TERN_PORTMAP_PCP;
    switch (code) {
    case TERN_PCP_NOT_AUTHORIZED: /* the same number in both */
        return TERN_PORTMAP_REFUSED;
    case TERN_NAT_PMP_NETWORK_FAILURE:
        return pcp ? TERN_PORTMAP_FAILED : TERN_PORTMAP_NO_NETWORK;
    case TERN_NAT_PMP_NO_RESOURCES:
        return pcp ? TERN_PORTMAP_FAILED : TERN_PORTMAP_FULL;
    case TERN_PCP_NETWORK_FAILURE:
        return pcp ? TERN_PORTMAP_NO_NETWORK : TERN_PORTMAP_FAILED;
    case TERN_PCP_NO_RESOURCES:
    case TERN_PCP_USER_EX_QUOTA:
        return pcp ? TERN_PORTMAP_FULL : TERN_PORTMAP_FAILED;
    case TERN_PCP_ADDRESS_MISMATCH: /* a NAT between us and who answers */
        return pcp ? TERN_PORTMAP_DOUBLE_NAT : TERN_PORTMAP_FAILED;
    default:
        return TERN_PORTMAP_FAILED;
    }
}

static void refuse(tern_portmap_port *p, tern_portmap_why why, unsigned code, uint64_t at)
{
    memset(&p->outside, 0, sizeof p->outside);
    fail(p, why, code);
    p->next = at;
}

/* The gateway's address is not one that others could reach. */
static void double_nat(tern_portmap_port *p, const tern_endpoint *outside, uint64_t at)
{
    p->changed |= p->why == TERN_PORTMAP_DOUBLE_NAT && !same_ip(&p->outside, outside);
    fail(p, TERN_PORTMAP_DOUBLE_NAT, 0);
    p->outside = *outside;
    p->outside.port = 0;
    p->next = at;
}

static void take(tern_portmap_core *c, tern_portmap_port *p, const tern_endpoint *external,
                 uint32_t lifetime, uint64_t now)
{
    lifetime = lifetime < TERN_PORTMAP_LIFE_MIN   ? TERN_PORTMAP_LIFE_MIN
               : lifetime > TERN_PORTMAP_LIFE_MAX ? TERN_PORTMAP_LIFE_MAX
                                                  : lifetime;
    uint64_t life = lifetime * TERN_SEC, half = life / 2;
    p->changed |= !tern_endpoint_eq(&p->external, external) || p->why != TERN_PORTMAP_FINE;
    p->external = p->had = *external;
    p->why = TERN_PORTMAP_FINE;
    p->code = 0;
    p->tries = 0;
    p->lifetime = lifetime;
    p->expires = now + life;
    p->next = now + (half > RENEW_MIN ? half : RENEW_MIN) + draw(c, life / 8);
}

/* NAT-PMP: the address that all ports share. */
static bool take_address(tern_portmap_core *c, const tern_portmap_answer *a, uint64_t now)
{
    if (c->address_next == TERN_NEVER) {
        return false; /* nobody asked */
    }
    bool fine = a->result == TERN_NAT_PMP_SUCCESS, public = tern_endpoint_is_public(&a->external);
    c->address_next = TERN_NEVER;
    c->address_tries = 0;
    c->address_at = now;
    c->address = a->external;
    for (size_t i = 0; i < c->count; i++) {
        tern_portmap_port *p = &c->ports[i];
        if (!fine) {
            refuse(p, why_of(c, a->result), a->result, TERN_NEVER);
        } else if (!public) {
            double_nat(p, &a->external, TERN_NEVER);
        } else if (mapped(p) && !same_ip(&p->external, &a->external)) {
            memcpy(p->external.ip, a->external.ip, sizeof p->external.ip);
            p->changed = true;
        } else if (!mapped(p) && p->next == TERN_NEVER) {
            p->next = now;
        }
    }
    if (!fine || !public) {
        c->address.family = 0;
        c->address_next = now + TERN_PORTMAP_PAUSE;
    }
    return true;
}

/* The port that an answer is about and that something was asked of; NULL: none. */
static tern_portmap_port *port_of(tern_portmap_core *c, const tern_portmap_answer *a)
{
    for (size_t i = 0; i < c->count; i++) {
        tern_portmap_port *p = &c->ports[i];
        if (p->transport == a->transport && p->port == a->port &&
            ((p->asked && p->tries > 0) || p->undone) &&
            (c->protocol != TERN_PORTMAP_PCP ||
             tern_eq_ct(p->nonce, a->nonce, TERN_PORTMAP_NONCE))) {
            return p;
        }
    }
    return NULL;
}

static uint64_t refused_until(const tern_portmap_core *c, const tern_portmap_answer *a,
                              uint64_t now)
{
    uint32_t s = a->lifetime < REFUSED_MIN    ? REFUSED_MIN
                 : a->lifetime > REFUSED_MOST ? REFUSED_MOST
                                              : a->lifetime;
    return now + (c->protocol == TERN_PORTMAP_PCP ? s * TERN_SEC : TERN_PORTMAP_PAUSE);
}

/* An answer about a port; false: it is none that such a question can have. */
static bool take_port(tern_portmap_core *c, tern_portmap_port *p, const tern_portmap_answer *a,
                      uint64_t now)
{
    tern_endpoint external = a->external;
    if (c->closing) {
        p->asked = false;
        p->next = TERN_NEVER;
        return true;
    }
    if (p->undone) {
        p->undone = false;
        return true;
    }
    if (a->result != 0) {
        refuse(p, why_of(c, a->result), a->result, refused_until(c, a, now));
        return true;
    }
    if (c->protocol == TERN_PORTMAP_NAT_PMP) {
        if (c->address.family == 0) {
            return false;
        }
        external.family = 4;
        memcpy(external.ip, c->address.ip, sizeof external.ip);
    }
    if (external.family != 4 || external.port == 0 || a->lifetime == 0) {
        return false;
    }
    if (!tern_endpoint_is_public(&external)) {
        double_nat(p, &external, now);
        p->undo = true;
        return true;
    }
    take(c, p, &external, a->lifetime, now);
    return true;
}

bool tern_portmap_core_receive(tern_portmap_core *c, uint64_t now, const tern_endpoint *from,
                               const uint8_t *p, size_t n)
{
    tern_portmap_answer a;
    tern_portmap_port *port = NULL;
    if (!same_ip(from, &c->gateway) || from->port != c->gateway.port) {
        return false;
    }
    int code = tern_portmap_parse(c->protocol, p, n, &a);
    if (code == TERN_E_UNSUPPORTED && !c->answered && !c->closing && !c->silent) {
        begin_nat_pmp(c, now);
        return true;
    }
    if (code != 0 && c->protocol == TERN_PORTMAP_NAT_PMP &&
        tern_portmap_parse(TERN_PORTMAP_PCP, p, n, &a) == TERN_E_UNSUPPORTED) {
        return true; /* the answer about another port, when that is known already */
    }
    if (code != 0 || (!a.address && (port = port_of(c, &a)) == NULL)) {
        return false;
    }
    bool used = a.address ? take_address(c, &a, now) : take_port(c, port, &a, now);
    if (used) {
        c->answered = true;
        c->silent = false;
        look_at_epoch(c, a.epoch, port, now);
    }
    return used;
}

tern_portmap_port *tern_portmap_core_changed(tern_portmap_core *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->ports[i].changed) {
            c->ports[i].changed = false;
            return &c->ports[i];
        }
    }
    return NULL;
}

bool tern_portmap_core_maps(const tern_portmap_core *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (mapped(&c->ports[i])) {
            return true;
        }
    }
    return false;
}

/* ---- the end ---- */

void tern_portmap_core_close(tern_portmap_core *c, uint64_t now)
{
    c->closing = true;
    c->address_next = TERN_NEVER;
    for (size_t i = 0; i < c->count; i++) {
        c->ports[i].tries = 0;
        c->ports[i].expires = TERN_NEVER;
        c->ports[i].next = c->ports[i].asked ? now : TERN_NEVER;
    }
}

bool tern_portmap_core_closed(const tern_portmap_core *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->ports[i].next != TERN_NEVER) {
            return false;
        }
    }
    return true;
}
