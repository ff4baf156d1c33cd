/* Inside tern check: what was found out, check.c, and how it is told, check_report.c. */
#ifndef TERN_APP_CHECK_H
#define TERN_APP_CHECK_H

#include "app/app.h"

enum {
    CHECK_SEEN_MAX = 64,
    CHECK_VERDICTS_MAX = 32,
    CHECK_ADDR_MAX = 160,
    CHECK_MAPPINGS_MAX = 16,
    CHECK_TEXT_MAX = 400,
    CHECK_RELAYS_MAX = 8
};

/* An address that was dialled. */
typedef struct check_dial {
    struct check *c;
    const char *addr;
    const char *transport; /* as its text says: tcp, ws, quic-v1, ... */
    bool done, reached;
    double ms;
    tern_error error;
} check_dial;

/* How a peer sees a port that we listen on. */
typedef struct check_seen {
    bool udp;
    unsigned port;           /* ours */
    char ours[48], seen[48]; /* IPs as text */
    unsigned seen_port;
    unsigned peers; /* who say so */
} check_seen;

typedef struct check_verdict {
    char addr[CHECK_ADDR_MAX];
    tern_reachability status;
} check_verdict;

/* What the router was asked for and answered. */
typedef struct check_mapping {
    bool found;
    json_t *event;
    char text[CHECK_TEXT_MAX];
} check_mapping;

/* A relay that was asked for a place. */
typedef struct check_relay {
    char addr[CHECK_ADDR_MAX + 80];
    uint64_t expires; /* Unix seconds; 0 = it gave none */
    char why[160];
} check_relay;

typedef enum check_nat {
    CHECK_NAT_UNKNOWN, /* nobody said how he sees us */
    CHECK_NAT_NONE,
    CHECK_NAT_ONE_PORT,   /* the same port outside for everybody */
    CHECK_NAT_MANY_PORTS, /* another one for each destination */
} check_nat;

typedef enum check_udp {
    CHECK_UDP_UNKNOWN,
    CHECK_UDP_OPEN,
    CHECK_UDP_BLOCKED, /* peers answer over TCP, none over UDP */
} check_udp;

typedef struct check {
    app_options *o;
    tern_node *node;
    tern_peer_id self;
    uint64_t began;
    check_dial dials[APP_LIST_MAX];
    size_t dial_count, pending;
    check_seen seen[CHECK_SEEN_MAX];
    size_t seen_count;
    check_verdict verdicts[CHECK_VERDICTS_MAX];
    size_t verdict_count;
    check_mapping mappings[CHECK_MAPPINGS_MAX];
    size_t mapping_count;
    check_relay relays[CHECK_RELAYS_MAX];
    size_t relay_count;
    bool finished;
} check;

check_nat check_nat_of(const check *c, bool udp);
check_udp check_udp_of(const check *c);
/* check_mapping.c: hears of ports of the router; "pcp", "nat-pmp" or "upnp", "refused", "none" or
 * "unknown"; tells as JSON, for people. */
void check_on_port_mapping(void *owner, tern_node *node, const tern_port_mapping *what,
                           const tern_error *why);
const char *check_mapping_of(const check *c);
void check_emit_mappings(const check *c);
void check_say_mappings(const check *c);
void check_free_mappings(check *c);
/* check_relays.c: hears of places at relays; tells them. */
void check_on_reservation(void *owner, tern_node *node, const tern_multiaddr *addr,
                          const tern_peer_id *relay, uint64_t expires, const tern_error *why);
void check_emit_relays(const check *c);
void check_say_relays(const check *c);
/* Prints everything; the exit status. */
int check_report(const check *c);

#endif
