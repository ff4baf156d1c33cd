/* Inside tern check: what was found out, check.c, what follows from it, check_nat.c, holes that
 * were punched, check_holes.c, and how it is told, check_report.c. */
#ifndef TERN_APP_CHECK_H
#define TERN_APP_CHECK_H

#include "app/app.h"

enum {
    CHECK_SEEN_MAX = 64,
    CHECK_VOICES_MAX = 256,
    CHECK_OWN_MAX = 16,
    CHECK_VERDICTS_MAX = 32,
    CHECK_ADDR_MAX = 160,
    CHECK_MAPPINGS_MAX = 16,
    CHECK_TEXT_MAX = 400,
    CHECK_RELAYS_MAX = 8,
};

/* What came of a peer that was dialled through a relay: a direct connection, or why not. */
typedef struct check_hole {
    bool over, made;
    unsigned attempts; /* 0: it was dialled as anybody is */
    double ms;
    char transport[32]; /* of the direct connection */
    tern_error error;
} check_hole;

/* An address that was dialled. */
typedef struct check_dial {
    struct check *c;
    const char *addr;
    const char *transport; /* as its text says: tcp, ws, quic-v1, ... */
    bool circuit;          /* through a relay */
    bool done, reached;
    double ms;
    tern_error error;
    tern_peer_id peer; /* once it is reached */
    check_hole hole;   /* with circuit */
} check_dial;

/* How a peer sees a port that we listen on. */
typedef struct check_seen {
    bool udp, ip6;
    unsigned port;           /* ours */
    char ours[48], seen[48]; /* IPs as text */
    unsigned seen_port;
    unsigned peers; /* that say so */
} check_seen;

/* Who said so. */
typedef struct check_voice {
    tern_peer_id peer;
    size_t seen; /* of check.seen */
} check_voice;

typedef struct check_verdict {
    char addr[CHECK_ADDR_MAX];
    bool udp, ip6;
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
    CHECK_NAT_MANY_PORTS, /* another one for each destination ... */
    CHECK_NAT_COUNTS,     /* ... the next one, so that it can be foreseen */
} check_nat;

typedef enum check_udp {
    CHECK_UDP_UNKNOWN,
    CHECK_UDP_OPEN,
    CHECK_UDP_BLOCKED, /* peers answer over TCP, none over UDP */
} check_udp;

/* TCP or UDP, over IPv4 or IPv6. */
typedef struct check_road {
    bool udp, ip6;
    unsigned port; /* ours; 0 = not known */
    check_nat nat;
    tern_reachability status;
    const char *reason; /* why nobody gets in, as a word, or ""... */
    const char *text;   /* ... and for people */
} check_road;

typedef struct check {
    app_options *o;
    tern_node *node;
    tern_peer_id self;
    uint64_t began;
    check_dial dials[APP_LIST_MAX];
    size_t dial_count, pending; /* pending: dials, and holes that may still come */
    check_seen seen[CHECK_SEEN_MAX];
    size_t seen_count;
    check_voice voices[CHECK_VOICES_MAX];
    size_t voice_count;
    char own[CHECK_OWN_MAX][48]; /* IPs of the machine */
    size_t own_count;
    check_verdict verdicts[CHECK_VERDICTS_MAX];
    size_t verdict_count;
    check_mapping mappings[CHECK_MAPPINGS_MAX];
    size_t mapping_count;
    check_relay relays[CHECK_RELAYS_MAX];
    size_t relay_count;
    bool circuits; /* those through relays were dialled, too */
    bool has_ip4, has_ip6;
    bool finished;
} check;

enum { CHECK_ROADS = 4 };

/* The parts of "/ip4/A/tcp/P..."; false if it does not begin so. */
bool check_take_apart(const char *addr, char ip[48], bool *ret_ip6, bool *ret_udp,
                      unsigned *ret_port);

check_nat check_nat_of(const check *c, bool udp, bool ip6);
/* Of IPv4 if anybody saw us there, else of IPv6. */
check_nat check_nat_of_any(const check *c, bool udp);
check_udp check_udp_of(const check *c);
/* Who gets in over what, and why nobody does. */
void check_roads(const check *c, check_road out[CHECK_ROADS]);
/* Whether whoever was not sent to gets in: "open", "restricted", "unknown". */
const char *check_filtering(const check_road *r);

/* Whether it leads through a relay. */
bool check_is_relayed(const tern_conn_facts *f);

/* check_holes.c: for tern_node_events. */
void check_on_connected(void *owner, tern_node *node, tern_conn *conn);
void check_on_hole_punch(void *owner, tern_node *node, const tern_peer_id *peer, unsigned attempts,
                         uint64_t time, const tern_error *why);
/* What holes can be punched from behind that. */
const char *check_holes_text(const check_road *r);
void check_emit_holes(const check *c);
void check_say_holes(const check *c);

/* check.c: one of those pending has ended. */
void check_one_less(check *c);

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
