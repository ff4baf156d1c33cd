/* Two nodes that meet over WebRTC Direct in the simulated world, b at 10.0.0.2, UDP port 4001; and
 * checks of strangers. */
#ifndef TERN_TESTS_SIM_WEBRTC_PAIR_H
#define TERN_TESTS_SIM_WEBRTC_PAIR_H

#include "proto/perf.h"
#include "sim/attacker.h"
#include "sim/nodes.h"
#include "webrtc/conn.h"

#define WEBRTC_PAIR_DELAY (10 * TERN_MS) /* one way */

typedef struct webrtc_pair {
    sim_nodes w;
    sim_node *a, *b; /* b serves perf */
    tern_conn *conn; /* a's */
    char addr[512];  /* b's */
} webrtc_pair;

/* a dials with these credentials; NULL = the default. */
void webrtc_pair_init(webrtc_pair *p, const char *credentials);
/* In a world of this seed, with this link. */
void webrtc_pair_init_seeded(webrtc_pair *p, uint64_t seed, const tern_sim_link *link);
/* a dials b; both know. */
webrtc_conn *webrtc_pair_connect(webrtc_pair *p);
static inline webrtc_conn *webrtc_pair_of(tern_conn *conn)
{
    return (webrtc_conn *)(void *)conn;
}
/* After bad input: a minute later b serves whom it does not know, and nothing waits to be secured.
 */
void webrtc_pair_end(webrtc_pair *p);

/* Transfers that were asked for, together. */
typedef struct webrtc_pair_asked {
    unsigned done;
    tern_perf_result result; /* of the last */
    tern_error error;        /* of the last that failed */
} webrtc_pair_asked;

void webrtc_pair_ask(webrtc_pair *p, uint64_t up, uint64_t down, webrtc_pair_asked *a);
/* One, waited for: all its bytes, within that time. */
void webrtc_pair_transfer(webrtc_pair *p, uint64_t up, uint64_t down, uint64_t time);

/* A stranger to b's port whose answers are counted. */
void webrtc_pair_stranger(webrtc_pair *p, sim_attacker *x, const char *ip);
/* A check that verifies, under a name of its own; its length. */
size_t webrtc_pair_check(uint8_t out[TERN_STUN_MAX], uint32_t number);
void webrtc_pair_say_check(sim_attacker *x, uint32_t number);

#endif
