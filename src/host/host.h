/* The node from inside: what tern/node.h's opaque type holds. One file a verb: node.c (birth, run,
 * stop), stranger.c, reachability.c, dial.c, protocol.c (handlers, streams, pings), http.c (page,
 * metrics), certificate.c, sync.c (blocking helpers). */
#ifndef TERN_HOST_HOST_H
#define TERN_HOST_HOST_H

#include <pthread.h>

#include <tern/tern.h>

#include "loop/loop.h"
#include "nat/autonat.h"
#include "nat/portmap.h"
#include "nat/punch.h"
#include "nat/reach.h"
#include "nat/relay.h"
#include "nat/relay_find.h"
#include "proto/identify.h"
#include "proto/ping.h"
#include "swarm/swarm.h"

typedef struct tern_page tern_page;
typedef struct tern_certificate tern_certificate;
typedef struct tern_stranger tern_stranger;

struct tern_node {
    tern_loop *loop;
    bool own_loop;
    bool foreign;         /* the loop is the caller's (a simulation): not closed or freed here */
    tern_options options; /* strings in it are copies held below */
    char *agent, *security, *muxer, *page_folder, *tls_cert, *tls_key, *tls_ca, *data;
    const tern_secure *secures[TERN_PARTS_MAX + 1];
    const tern_mux *muxes[TERN_PARTS_MAX + 1];
    tern_swarm *swarm;
    tern_identify *identify;
    tern_relay *relay;         /* NULL: not served */
    tern_relay_finder *finder; /* with options.find_relays */
    tern_reach *reach;
    tern_autonat *autonat;   /* NULL: not served */
    tern_puncher *puncher;   /* NULL: not tried */
    tern_portmap *portmap;   /* NULL: not wanted */
    tern_stranger *stranger; /* made when it is needed */
    tern_page *page;
    tern_certificate *certificate; /* NULL without files of one */
    tern_crowds answers;           /* HTTP answers under way */
    uint64_t told_at;              /* since when misbehaving peers are counted ... */
    unsigned told;                 /* ... of which so many were told of, or were not */
    tern_list pingers;             /* node_pinger: one a conn that was pinged */
    tern_list handlers;            /* node_handler: registered protocols */
    tern_list dials;               /* node_dial: under way */
    tern_list timers;              /* node_timer */
    tern_timer awake;              /* keeps an own loop running while nothing else does */
    tern_list sync;                /* sync_service: protocols served blockingly */
    tern_list pipes;               /* tern_pipe: all that are not freed yet; guarded by lock */
    uint8_t psk[TERN_PSK]; /* of a private network, when options.psk is set; wiped at the end */
    pthread_t thread;
    pthread_mutex_t lock; /* guards stop, stopped, sync and pipes, which other threads use */
    tern_post stop, end;  /* of the swarm, then of an own loop; a stop does not fail */
    bool running, threaded, stopped;
    bool swarm_stopped, portmap_stopped;
};

/* Makes a node on a loop of the caller's choosing (the simulated network's): tern_node_new for
 * tests. */
int tern_node_new_on(tern_loop *loop, const tern_options *options, tern_node **ret,
                     tern_error *reterr);

static inline tern_net *tern_node_net(tern_node *node)
{
    return &node->swarm->net;
}
static inline tern_node *tern_node_of(tern_net *net)
{
    return tern_swarm_of(net)->owner;
}

/* misbehaving.c: tells the log of an incoming connection that was not secured yet (the swarm's
 * on_misbehaving), and of one that was. */
void tern_node_tell_misbehaving(void *owner, const tern_endpoint *remote, const tern_error *why);
void tern_node_tell_conn_misbehaving(tern_node *node, const tern_conn *conn, const tern_error *why);

/* dial.c */
void tern_node_cancel_dials(tern_node *node);
/* protocol.c */
void tern_node_forget_pinger(tern_node *node, tern_conn *conn);
void tern_node_free_protocols(tern_node *node);
/* http.c: reads the page's files into memory; 0 or an error that names the file. */
int tern_page_load(const char *folder, tern_page **ret, tern_error *reterr);
void tern_page_free(tern_page *page);
void tern_node_http(tern_net *net, tern_stream *s, const tern_http1_head *head,
                    const tern_endpoint *remote);
/* limits.c: options and defaults. */
void tern_node_limits(const tern_options *options, tern_limits *ret);
/* The relay service, within the options' limits. TERN_E_NOMEM. */
int tern_node_serve_relay(tern_node *node);
/* certificate.c: reads the files of options.tls_cert, tls_key and tls_ca, and watches the first
 * two; 0 or an error that names the file. */
int tern_node_load_certificates(tern_node *node, tern_error *reterr);
void tern_node_free_certificates(tern_node *node);
/* metrics.c: appends Prometheus text / the answer of /node.json. */
int tern_node_metrics_text(tern_node *node, tern_buf *out);
int tern_node_json(tern_node *node, tern_buf *out);
/* awake.c: asks every connection whether its peer is still there. */
void tern_node_probe_all(tern_node *node);
/* stranger.c: see net->stranger. Stops it, if it is there; node_stopped follows from the loop. */
tern_net *tern_node_stranger(tern_net *net);
void tern_node_stop_stranger(tern_node *node);
bool tern_node_stranger_stopped(const tern_node *node);
void tern_node_free_stranger(tern_node *node);
/* node.c: the swarm or the stranger has stopped; with both, so has the node. */
void tern_node_part_stopped(tern_node *node);
/* reachability.c: asks others and answers them, by the options. TERN_E_NOMEM. */
int tern_node_start_autonat(tern_node *node);
/* The same of the gateway's ports. tern_node_part_stopped follows the stop. TERN_E_NOMEM. */
int tern_node_start_portmap(tern_node *node);
void tern_node_stop_portmap(tern_node *node);
void tern_node_on_mapped(void *owner, const tern_port_mapping *what, const tern_error *why);
void tern_node_on_reachability(void *owner, const tern_multiaddr *addr, tern_reachability verdict);
/* sync.c */
void tern_node_free_sync(tern_node *node);

#endif
