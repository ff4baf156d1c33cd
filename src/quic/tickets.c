/* The server's tickets: see tickets.h. */
#include "quic/tickets.h"

#include "base/error.h"
#include "base/mem.h"

/* ---- keys ---- */

static void wipe_key(quic_tickets *t, unsigned at)
{
    if (t->keys[at].guard != NULL) {
        gnutls_anti_replay_deinit(t->keys[at].guard);
    }
    tern_wipe(&t->keys[at], sizeof t->keys[at]);
}

/* That a ClientHello comes once is our own doing; GnuTLS wants to be given somebody to ask. */
static int never_seen(void *ptr, time_t until, const gnutls_datum_t *key,
                      const gnutls_datum_t *entry)
{
    (void)ptr;
    (void)until;
    (void)key;
    (void)entry;
    return 0;
}

/* GnuTLS judges the age of a ticket by one window for all; ours is told apart for each, and by the
 * loop's clock. So GnuTLS' is as long as a key is in use. */
static gnutls_anti_replay_t make_guard(void)
{
    gnutls_anti_replay_t guard;
    if (gnutls_anti_replay_init(&guard) != 0) {
        return NULL;
    }
    gnutls_anti_replay_set_window(
        guard, (unsigned)((QUIC_TICKET_LIFE + QUIC_TICKET_KEY_LIFE) / TERN_MS + 3600000));
    gnutls_anti_replay_set_add_function(guard, never_seen);
    return guard;
}

static void forget_old(quic_tickets *t)
{
    uint64_t now = tern_loop_now(t->loop);
    while (!tern_list_empty(&t->by_age)) {
        quic_ticket *oldest = TERN_CONTAINER(t->by_age.next, quic_ticket, link);
        if (now - oldest->issued < QUIC_TICKET_LIFE) {
            break;
        }
        quic_tickets_forget(t, oldest);
    }
    for (unsigned i = 0; i < QUIC_TICKET_KEYS; i++) {
        if (t->keys[i].number != 0 &&
            now - t->keys[i].made >= QUIC_TICKET_LIFE + QUIC_TICKET_KEY_LIFE) {
            wipe_key(t, i);
        }
    }
}

static void on_timer(tern_timer *timer)
{
    quic_tickets *t = TERN_CONTAINER(timer, quic_tickets, timer);
    bool any = false;
    forget_old(t);
    for (unsigned i = 0; i < QUIC_TICKET_KEYS; i++) {
        any |= t->keys[i].number != 0;
    }
    if (any) {
        tern_timer_start(t->loop, timer, tern_loop_now(t->loop) + QUIC_TICKET_KEY_LIFE, on_timer);
    }
}

uint32_t quic_tickets_key(quic_tickets *t)
{
    uint64_t now = tern_loop_now(t->loop);
    unsigned at = t->newest % QUIC_TICKET_KEYS;
    if (t->newest != 0 && t->keys[at].number == t->newest &&
        now - t->keys[at].made < QUIC_TICKET_KEY_LIFE) {
        return t->newest;
    }
    forget_old(t);
    gnutls_anti_replay_t guard = make_guard();
    if (guard == NULL) {
        return 0;
    }
    at = ++t->newest % QUIC_TICKET_KEYS;
    wipe_key(t, at); /* it is too old by now */
    tern_loop_random(t->loop, t->keys[at].bytes, sizeof t->keys[at].bytes);
    t->keys[at].number = t->newest;
    t->keys[at].made = now;
    t->keys[at].guard = guard;
    if (!tern_timer_armed(&t->timer)) {
        tern_timer_start(t->loop, &t->timer, now + QUIC_TICKET_KEY_LIFE, on_timer);
    }
    return t->newest;
}

bool quic_tickets_enable(quic_tickets *t, uint32_t key, gnutls_session_t session, bool early)
{
    unsigned at = key % QUIC_TICKET_KEYS;
    if (key == 0 || t->keys[at].number != key) {
        return false;
    }
    const gnutls_datum_t bytes = {t->keys[at].bytes, sizeof t->keys[at].bytes};
    gnutls_db_set_cache_expiration(session, (int)(QUIC_TICKET_LIFE / TERN_SEC));
    if (early) {
        gnutls_anti_replay_enable(session, t->keys[at].guard);
    }
    return gnutls_session_ticket_enable_server(session, &bytes) == 0;
}

bool quic_tickets_made_with(const quic_tickets *t, uint32_t key, tern_span ticket)
{
    unsigned at = key % QUIC_TICKET_KEYS;
    return key != 0 && t->keys[at].number == key && ticket.len >= sizeof t->keys[at].name &&
           memcmp(t->keys[at].name, ticket.data, sizeof t->keys[at].name) == 0;
}

/* ---- tickets ---- */

void quic_tickets_init(quic_tickets *t, tern_loop *loop)
{
    memset(t, 0, sizeof *t);
    t->loop = loop;
    tern_map_init(&t->by_digest);
    tern_list_init(&t->by_age);
}

void quic_tickets_free(quic_tickets *t)
{
    while (!tern_list_empty(&t->by_age)) {
        quic_tickets_forget(t, TERN_CONTAINER(t->by_age.next, quic_ticket, link));
    }
    tern_map_free(&t->by_digest);
    tern_timer_stop(&t->timer);
    for (unsigned i = 0; i < QUIC_TICKET_KEYS; i++) {
        wipe_key(t, i);
    }
}

int quic_tickets_note(quic_tickets *t, tern_span ticket, uint32_t age_add, uint32_t key,
                      uint64_t proven)
{
    unsigned at = key % QUIC_TICKET_KEYS;
    forget_old(t);
    if (ticket.len >= sizeof t->keys[at].name && t->keys[at].number == key) {
        memcpy(t->keys[at].name, ticket.data, sizeof t->keys[at].name);
    }
    if (tern_map_len(&t->by_digest) >= QUIC_TICKETS_MAX) {
        quic_tickets_forget(t, TERN_CONTAINER(t->by_age.next, quic_ticket, link));
    }
    quic_ticket *n = tern_calloc(1, sizeof *n);
    if (n == NULL) {
        return TERN_E_NOMEM;
    }
    n->issued = tern_loop_now(t->loop);
    n->proven = proven;
    n->age_add = age_add;
    n->key = key;
    int e = tern_sha256(&ticket, 1, n->digest);
    if (e == 0) {
        e = tern_map_set(&t->by_digest, n->digest, sizeof n->digest, n);
    }
    if (e != 0) {
        tern_free(n);
        return e;
    }
    tern_list_push(&t->by_age, &n->link);
    return 0;
}

quic_ticket *quic_tickets_find(quic_tickets *t, tern_span ticket)
{
    uint8_t digest[TERN_SHA256];
    forget_old(t);
    if (tern_sha256(&ticket, 1, digest) != 0) {
        return NULL;
    }
    quic_ticket *n = tern_map_get(&t->by_digest, digest, sizeof digest);
    bool stale = n != NULL && tern_loop_now(t->loop) - n->proven >= QUIC_PROOF_LIFE;
    return stale ? NULL : n;
}

bool quic_tickets_timely(const quic_tickets *t, const quic_ticket *ticket, uint32_t ob_age)
{
    uint64_t ours = tern_loop_now(t->loop) - ticket->issued;
    uint64_t theirs = (uint64_t)(uint32_t)(ob_age - ticket->age_add) * TERN_MS;
    uint64_t apart = ours > theirs ? ours - theirs : theirs - ours;
    return apart <= QUIC_AGE_TOLERANCE;
}

void quic_tickets_forget(quic_tickets *t, quic_ticket *ticket)
{
    tern_map_remove(&t->by_digest, ticket->digest, sizeof ticket->digest);
    tern_list_remove(&ticket->link);
    tern_free(ticket);
}
