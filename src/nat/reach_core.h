/* Whether others can reach us at which of our addresses, without I/O: the table of verdicts. A
 * target is an IP, a port and TCP or UDP; all transports there share its fate. Servers in different
 * address blocks are asked about each; of a block only the last answer counts, so that no single
 * network decides.
 *
 *     answers yes - no >= 2: public       no - yes >= 2: private       else what it was before
 *
 * Three agreeing answers are wanted, then it is looked at again after a time: a public one after an
 * hour, a private one after a quarter of one. */
#ifndef TERN_NAT_REACH_CORE_H
#define TERN_NAT_REACH_CORE_H

#include <tern/reachability.h>

#include "loop/loop.h"

enum {
    TERN_REACH_TARGETS_MAX = 32,
    TERN_REACH_ANSWERS_MAX = 8, /* kept of a target */
    TERN_REACH_DECIDES = 2,     /* more yes than no, or the other way round */
    TERN_REACH_WANTED = 3,
};
#define TERN_REACH_ANSWER_LIFE (3 * 3600 * TERN_SEC)

typedef enum tern_reach_answer {
    TERN_REACH_NOTHING, /* no answer, or a refusal: somebody else is asked for a while */
    TERN_REACH_YES,
    TERN_REACH_NO,
} tern_reach_answer;

typedef struct tern_reach_target {
    uint32_t transport; /* TERN_MA_TCP or TERN_MA_UDP */
    tern_endpoint at;
    uint16_t port; /* ours that it leads to; 0 = not known */
    bool own;      /* the IP is one of the machine's */
    tern_reachability verdict;
    uint64_t next;       /* when it is asked about again ... */
    uint64_t not_before; /* ... and when at the earliest, whoever comes */
    bool asked;          /* right now */
    struct {
        tern_endpoint block; /* family 0 = none */
        tern_reach_answer said;
        uint64_t at;
    } answers[TERN_REACH_ANSWERS_MAX];
    bool wanted; /* sync's */
} tern_reach_target;

typedef struct tern_reach_core {
    tern_reach_target targets[TERN_REACH_TARGETS_MAX];
    size_t count;
} tern_reach_core;

/* Our addresses are these n from now on (transport, at, port and own are read): new ones are
 * unknown and due at once, those that are left out are forgotten, what was known of the others
 * stays. Pointers to targets hold until the next sync. Whether
 * one with a verdict is forgotten. */
bool tern_reach_core_sync(tern_reach_core *r, const tern_reach_target *now_ours, size_t n,
                          uint64_t now);
/* Another network: all are unknown again, due, and asked about no more. */
void tern_reach_core_forget(tern_reach_core *r, uint64_t now);
/* The target that is due first and not asked about; NULL = none is, *ret_next says when. */
tern_reach_target *tern_reach_core_due(tern_reach_core *r, uint64_t now, uint64_t *ret_next);
/* Whether a server there may be asked: its block has not answered lately. */
bool tern_reach_core_may_ask(const tern_reach_target *t, const tern_endpoint *server, uint64_t now);
/* An answer; whether the verdict is another one now. */
bool tern_reach_core_answer(tern_reach_target *t, const tern_endpoint *server,
                            tern_reach_answer said, uint64_t now);
/* Nobody can be asked now. */
void tern_reach_core_wait(tern_reach_target *t, uint64_t now);
/* All of them are due: somebody new is here. */
void tern_reach_core_hurry(tern_reach_core *r, uint64_t now);
tern_reach_target *tern_reach_core_find(tern_reach_core *r, uint32_t transport,
                                        const tern_endpoint *at);
/* Of all together: public when one is, private when some are and the rest is not public. */
tern_reachability tern_reach_core_all(const tern_reach_core *r);

#endif
