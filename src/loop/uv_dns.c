/* Names in the real loop: one c-ares channel, made at the first look-up, its sockets under uv_poll
 * and its time-outs on a timer of the loop. Addresses by ares_getaddrinfo (which reads /etc/hosts
 * too), TXT by a plain query.
 *
 * c-ares cannot take back one query. A cancelled look-up forgets its asker and ends by itself, and
 * when no asker is left all queries are dropped at once. How many may be under way is bounded.
 *
 * c-ares is never called with a user's code on the stack above it: results go out through
 * tern_op_finish, which defers. */
#define CARES_NO_DEPRECATED /* 1.28 and later prefer calls that 1.18 does not have */
#include "loop/uv_backend.h"

#include <ares.h>
#include <netdb.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "loop/uv_socket.h"

enum {
    QUERIES_MAX = 256,
    TRY_MS = 2000, /* of the first try at each server; c-ares doubles it for the next */
    TRIES = 3,
    UDP_SIZE =
        1232,      /* of an answer that no network cuts in pieces (EDNS); longer ones come by TCP */
    CLASS_IN = 1,  /* RFC 1035, section 3.2.4 */
    TYPE_TXT = 16, /* RFC 1035, section 3.2.2 */
};

struct tern_uv_dns {
    tern_uv *u;
    ares_channel channel;
    tern_timer timer;
    tern_list sockets; /* dns_socket */
    unsigned queries;  /* known to c-ares */
    unsigned asked;    /* of those, with an asker */
    unsigned handles;  /* that libuv has not let go of */
    bool closed;
};

typedef struct dns_socket {
    tern_list link;
    tern_uv_dns *d;
    uv_poll_t poll;
    ares_socket_t fd;
} dns_socket;

typedef struct dns_query {
    tern_uv_dns *d;
    tern_dns *dns; /* NULL once cancelled */
} dns_query;

/* --- sockets and time --- */

static void on_timer(tern_timer *timer);

/* Sets the timer to what c-ares wants next. */
static void set_timer(tern_uv_dns *d)
{
    struct timeval tv;
    if (d->closed || ares_timeout(d->channel, NULL, &tv) == NULL) {
        tern_timer_stop(&d->timer);
        return;
    }
    /* A little late, for c-ares compares whole milliseconds or less, by version. */
    uint64_t after = (uint64_t)tv.tv_sec * TERN_SEC + (uint64_t)tv.tv_usec * 1000 + TERN_MS;
    tern_timer_start(&d->u->base, &d->timer, tern_loop_now(&d->u->base) + after, on_timer);
}

static void on_timer(tern_timer *timer)
{
    tern_uv_dns *d = TERN_CONTAINER(timer, tern_uv_dns, timer);
    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(d);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    dns_socket *s = poll->data;
    tern_uv_dns *d = s->d;
    ares_socket_t fd = s->fd;
    bool both =
        status < 0; /* libuv stopped watching an erring socket: c-ares will find out and close it */
    tern_uv_enter(d->u);
    ares_process_fd(d->channel, both || (events & UV_READABLE) ? fd : ARES_SOCKET_BAD,
                    both || (events & UV_WRITABLE) ? fd : ARES_SOCKET_BAD);
    set_timer(d);
    tern_uv_leave(d->u);
}

static void let_go(tern_uv_dns *d)
{
    if (d->handles == 0 && d->closed) {
        tern_free(d);
    }
}

static void on_socket_closed(uv_handle_t *handle)
{
    dns_socket *s = handle->data;
    tern_uv_dns *d = s->d;
    tern_uv *u = d->u;
    tern_free(s);
    d->handles--;
    let_go(d);
    tern_uv_release(u);
}

static dns_socket *find_socket(tern_uv_dns *d, ares_socket_t fd)
{
    for (tern_list *l = d->sockets.next; l != &d->sockets; l = l->next) {
        dns_socket *s = TERN_CONTAINER(l, dns_socket, link);
        if (s->fd == fd) {
            return s;
        }
    }
    return NULL;
}

/* Without memory the socket goes unwatched, and its queries end by time-out. */
static dns_socket *add_socket(tern_uv_dns *d, ares_socket_t fd)
{
    dns_socket *s = tern_calloc(1, sizeof *s);
    if (s == NULL || uv_poll_init_socket(d->u->uv, &s->poll, fd) != 0) {
        tern_free(s);
        return NULL;
    }
    s->d = d;
    s->fd = fd;
    s->poll.data = s;
    tern_list_push(&d->sockets, &s->link);
    d->handles++;
    tern_uv_hold(d->u);
    return s;
}

/* c-ares says what it waits for; both false means that it is about to close the socket. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    tern_uv_dns *d = arg;
    dns_socket *s = find_socket(d, fd);
    if (!readable && !writable) {
        if (s != NULL) {
            tern_list_remove(&s->link);
            uv_close((uv_handle_t *)&s->poll, on_socket_closed);
        }
        return;
    }
    if (s == NULL) {
        s = add_socket(d, fd);
    }
    if (s != NULL) {
        uv_poll_start(&s->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                      on_poll);
    }
}

/* --- results --- */

static int code_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
        return TERN_E_NOT_FOUND;
    case ARES_ETIMEOUT:
        return TERN_E_TIMEOUT;
    case ARES_EBADRESP:
        return TERN_E_MALFORMED;
    case ARES_ENOMEM:
        return TERN_E_NOMEM;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION:
        return TERN_E_CANCELLED;
    default:
        return TERN_E_IO;
    }
}

/* The asker, NULL if it has gone; the query is freed. */
static tern_dns *end_query(dns_query *q)
{
    tern_dns *dns = q->dns;
    q->d->queries--;
    if (dns != NULL) {
        q->d->asked--;
        dns->op.provider = NULL;
    }
    tern_free(q);
    return dns;
}

static void finish(tern_dns *dns, int code, int status)
{
    if (code == 0) {
        tern_op_finish(&dns->op, NULL);
        return;
    }
    tern_error error;
    tern_fail(&error, code, "dns", "%s",
              status == ARES_SUCCESS ? tern_code_text(code) : ares_strerror(status));
    tern_op_finish(&dns->op, &error);
}

static void take_addresses(tern_dns *dns, const struct ares_addrinfo *info)
{
    for (const struct ares_addrinfo_node *n = info->nodes; n != NULL; n = n->ai_next) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        if (dns->addr_count == TERN_DNS_MAX || n->ai_addrlen > sizeof address) {
            break;
        }
        memcpy(&address, n->ai_addr, n->ai_addrlen);
        tern_endpoint *e = &dns->addrs[dns->addr_count];
        tern_socket_endpoint(e, &address);
        e->port = 0;
        dns->addr_count += e->family == (dns->kind == TERN_DNS_A ? 4 : 6);
    }
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    tern_dns *dns = end_query(arg);
    if (dns != NULL) {
        int code = code_of(status);
        if (code == 0 && info != NULL) {
            take_addresses(dns, info);
        }
        if (code == 0 && dns->addr_count == 0) {
            code = TERN_E_NOT_FOUND;
        }
        finish(dns, code, status);
    }
    if (info != NULL) {
        ares_freeaddrinfo(info);
    }
}

/* The record that begins at `part`: its parts joined, NULL without memory. */
static char *join_record(const struct ares_txt_ext *part)
{
    size_t n = part->length;
    for (const struct ares_txt_ext *p = part->next; p != NULL && !p->record_start; p = p->next) {
        n += p->length;
    }
    char *text = tern_malloc(n + 1);
    if (text == NULL) {
        return NULL;
    }
    size_t at = 0;
    do {
        memcpy(text + at, part->txt, part->length);
        at += part->length;
        part = part->next;
    } while (part != NULL && !part->record_start);
    text[n] = '\0';
    if (memchr(text, 0, n) != NULL) {
        text[0] =
            '\0'; /* not text: nobody can mean it, and cut short it would mean something else */
    }
    return text;
}

static int take_txt(tern_dns *dns, const struct ares_txt_ext *list)
{
    size_t count = 0;
    for (const struct ares_txt_ext *p = list; p != NULL && count < TERN_DNS_TXT_MAX; p = p->next) {
        count += p->record_start != 0;
    }
    if (count == 0) {
        return TERN_E_NOT_FOUND;
    }
    dns->txt = tern_calloc(count, sizeof(char *));
    if (dns->txt == NULL) {
        return TERN_E_NOMEM;
    }
    for (const struct ares_txt_ext *p = list; p != NULL && dns->txt_count < count; p = p->next) {
        if (!p->record_start) {
            continue;
        }
        dns->txt[dns->txt_count] = join_record(p);
        if (dns->txt[dns->txt_count] == NULL) {
            tern_dns_clear(dns);
            return TERN_E_NOMEM;
        }
        dns->txt_count++;
    }
    return 0;
}

static void on_txt(void *arg, int status, int timeouts, unsigned char *answer, int len)
{
    (void)timeouts;
    tern_dns *dns = end_query(arg);
    if (dns == NULL) {
        return;
    }
    struct ares_txt_ext *list = NULL;
    if (status == ARES_SUCCESS) {
        status = ares_parse_txt_reply_ext(answer, len, &list);
    }
    int code = code_of(status);
    if (code == 0) {
        code = take_txt(dns, list);
    }
    ares_free_data(list);
    finish(dns, code, status);
}

/* --- the channel --- */

static int open_channel(tern_uv *u)
{
    tern_uv_dns *d = tern_calloc(1, sizeof *d);
    if (d == NULL) {
        return TERN_E_NOMEM;
    }
    d->u = u;
    tern_list_init(&d->sockets);
    struct ares_options options = {.timeout = TRY_MS, .tries = TRIES, .ednspsz = UDP_SIZE};
    options.flags = ARES_FLAG_EDNS;
    options.sock_state_cb = on_socket_state;
    options.sock_state_cb_data = d;
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS) {
        status = ares_init_options(&d->channel, &options,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS |
                                       ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB);
        if (status != ARES_SUCCESS) {
            ares_library_cleanup();
        }
    }
    if (status != ARES_SUCCESS) {
        tern_free(d);
        return status == ARES_ENOMEM ? TERN_E_NOMEM : TERN_E_IO;
    }
    u->dns = d;
    return 0;
}

/* The loop's channel, made if need be. */
static int get_channel(tern_uv *u, tern_uv_dns **ret)
{
    int rc = 0;
    if (u->state != TERN_UV_OPEN) {
        return TERN_E_STATE;
    }
    if (u->dns == NULL) {
        rc = open_channel(u);
    }
    *ret = u->dns;
    return rc;
}

int tern_loop_set_name_servers(tern_loop *loop, const char *list)
{
    tern_uv_dns *d;
    int rc = get_channel(tern_uv_of(loop), &d);
    if (rc < 0) {
        return rc;
    }
    int status = ares_set_servers_ports_csv(d->channel, list);
    if (status == ARES_SUCCESS) {
        return 0;
    }
    return status == ARES_ENOMEM ? TERN_E_NOMEM : TERN_E_INVALID;
}

int tern_uv_dns_start(tern_dns *dns, const char *name)
{
    tern_uv_dns *d;
    int rc = get_channel(tern_uv_of(dns->op.loop), &d);
    if (rc < 0) {
        return rc;
    }
    if (d->queries >= QUERIES_MAX) {
        return TERN_E_LIMIT;
    }
    dns_query *q = tern_malloc(sizeof *q);
    if (q == NULL) {
        return TERN_E_NOMEM;
    }
    *q = (dns_query){.d = d, .dns = dns};
    dns->op.provider = q;
    d->queries++;
    d->asked++;
    if (dns->kind == TERN_DNS_TXT) {
        ares_query(d->channel, name, CLASS_IN, TYPE_TXT, on_txt, q);
    } else {
        struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT};
        hints.ai_family = dns->kind == TERN_DNS_A ? AF_INET : AF_INET6;
        hints.ai_socktype = SOCK_STREAM;
        ares_getaddrinfo(d->channel, name, NULL, &hints, on_addresses, q);
    }
    set_timer(d);
    return 0;
}

void tern_uv_dns_cancel(tern_dns *dns)
{
    dns_query *q = dns->op.provider;
    if (q == NULL) {
        return;
    }
    tern_uv_dns *d = q->d;
    q->dns = NULL;
    dns->op.provider = NULL;
    if (--d->asked == 0) {
        ares_cancel(d->channel); /* ends every query, q too */
        set_timer(d);
    }
}

void tern_uv_dns_close(tern_uv_dns *d)
{
    if (d == NULL) {
        return;
    }
    d->closed = true;
    tern_timer_stop(&d->timer);
    ares_destroy(d->channel); /* ends the queries, reports its sockets closed */
    ares_library_cleanup();
    let_go(d);
}
