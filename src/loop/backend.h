/* What a backend of the loop provides; only the files of this room include it.
 *
 * The scheduler (timers, deferred calls) is shared code: the real loop owns one, all hosts of a
 * simulated world share the world's. Sockets and names are the backend's own structs that embed the
 * bases below. */
#ifndef TERN_LOOP_BACKEND_H
#define TERN_LOOP_BACKEND_H

#include "base/bytes.h"
#include "loop/dns.h"
#include "loop/igd.h"
#include "loop/loop.h"
#include "loop/tcp.h"
#include "loop/udp.h"

typedef struct tern_sched {
    uint64_t now;
    tern_timer **heap; /* binary heap by `at`, then by order of arming */
    size_t len, cap;
    tern_list soon, deferred, late;
    uint64_t order;      /* of the next arming */
    tern_timer *starved; /* armed without memory for the heap: due at once */
} tern_sched;

/* Rounds that a backend runs the deferred calls for in one go; calls that queue each other without
 * end let the sockets have their turn after that. */
enum { TERN_SCHED_ROUNDS = 32 };

void tern_sched_init(tern_sched *sched, uint64_t now);
void tern_sched_free(tern_sched *sched);
/* Runs what is queued, also what that queues, at most `rounds` times over; true when some is left.
 */
bool tern_sched_run_deferred(tern_sched *sched, unsigned rounds);
/* The earliest deadline, TERN_NEVER if none. */
uint64_t tern_sched_next(const tern_sched *sched);
/* Runs the timers that are due at sched->now. One at a time with the deferred calls between. */
void tern_sched_run_timers(tern_sched *sched);

typedef struct tern_loop_ops {
    uint64_t (*wall)(tern_loop *loop);
    void (*random)(tern_loop *loop, void *out, size_t n);
    void (*wake)(tern_loop *loop); /* a deferred call was queued, or the earliest timer changed */
    int (*post)(tern_loop *loop, tern_post *post); /* freed when run if `allocated` */
    int (*work)(tern_loop *loop, tern_work *work);
    size_t (*addresses)(tern_loop *loop, tern_endpoint *out, size_t cap);
    int (*gateway)(tern_loop *loop, tern_endpoint *ret, tern_endpoint *ret_own);
    int (*igd_start)(tern_igd *igd);
    void (*free)(tern_loop *loop);

    int (*tcp_dial)(tern_loop *loop, const tern_endpoint *to, const tern_endpoint *from, bool fast,
                    tern_tcp **ret);
    ssize_t (*tcp_write)(tern_tcp *t, const tern_span *v, unsigned n);
    void (*tcp_read)(tern_tcp *t);
    void (*tcp_pause)(tern_tcp *t);
    void (*tcp_shutdown)(tern_tcp *t);
    void (*tcp_close)(tern_tcp *t, bool abort);
    int (*tcp_listen)(tern_loop *loop, const tern_endpoint *at, bool fast, tern_tcp_listener **ret);
    void (*tcp_listener_close)(tern_tcp_listener *l);

    int (*udp_bind)(tern_loop *loop, const tern_endpoint *at, tern_udp **ret);
    int (*udp_send)(tern_udp *u, const tern_endpoint *to, const void *data, size_t len,
                    size_t segment, uint8_t ecn);
    void (*udp_close)(tern_udp *u);

    int (*dns_start)(tern_dns *dns, const char *name); /* dns->op is started already */
    void (*dns_cancel)(tern_dns *dns);                 /* op.provider is the backend's */

    /* Begins, or ends, to call tern_loop_addresses_changed; an error when it cannot notice. */
    int (*watch)(tern_loop *loop, bool on);
    void (*orphans)(tern_loop *loop); /* ends dials from addresses that are not ours any more */

    uint64_t (*now)(const tern_loop *loop); /* NULL: sched->now is always right */
} tern_loop_ops;

/* The watches of a loop (watch.c). */
typedef struct tern_watches {
    tern_list list;
    size_t count;
    tern_endpoint *known; /* the addresses when last looked at, sorted */
    size_t known_count;
    bool polling; /* the backend does not notice by itself */
    tern_timer look;
    tern_deferred awake;
} tern_watches;

struct tern_loop {
    const tern_loop_ops *ops;
    tern_sched *sched;
    tern_watches watches;
};

/* For backends: the addresses may have changed / the machine stood still. */
void tern_loop_addresses_changed(tern_loop *loop);
void tern_loop_awoke(tern_loop *loop);

struct tern_tcp {
    tern_loop *loop;
    const tern_tcp_events *events; /* NULL until an accepted socket has an owner */
    void *owner;
    tern_endpoint local, remote;
    bool opening; /* a fast dial that was told connected; the peer has not been heard yet */
};

struct tern_tcp_listener {
    tern_loop *loop;
    void (*on_accept)(void *owner, tern_tcp *t);
    void *owner;
    tern_endpoint local;
};

struct tern_udp {
    tern_loop *loop;
    tern_endpoint local;
    struct {
        tern_udp_handler *fn;
        void *owner;
    } classes[TERN_UDP_CLASSES];
    void (*on_room)(void *owner);
    void *on_room_owner;
};

/* For backends: gives a datagram to whoever registered for its class. */
void tern_udp_dispatch(tern_udp *u, tern_datagram *d);

#endif
