/* Who is here, by address: things that peers make at will (connections that are not secured yet,
 * answers under way), with a bound on all and on those of one address. Where there is no place, the
 * oldest of the busiest address goes: the newest is never refused, so a flood from one address
 * harms itself first. An address is an IPv4 address or an IPv6 /56, one household.
 *
 * No call walks over the members; finding the busiest address may walk over those with more than
 * TERN_CROWD_LEVELS members. */
#ifndef TERN_BASE_CROWD_H
#define TERN_BASE_CROWD_H

#include "base/endpoint.h"
#include "base/list.h"
#include "base/map.h"

enum { TERN_CROWD_LEVELS = 32 };

typedef struct tern_crowd tern_crowd; /* the members of one address */
typedef struct tern_crowd_member tern_crowd_member;

struct tern_crowd_member {
    tern_list link;    /* in its crowd, oldest first */
    tern_crowd *crowd; /* NULL = in none */
    /* Must leave before it returns; may free the member. */
    void (*evict)(tern_crowd_member *m);
};

typedef struct tern_crowds {
    tern_map addresses;                      /* address -> tern_crowd */
    tern_list levels[TERN_CROWD_LEVELS + 1]; /* crowds of so many members, the last: or more */
    size_t count;                            /* members */
    size_t top;                              /* no higher level is in use */
} tern_crowds;

/* An empty one holds no memory, so there is nothing to free once all have left. */
void tern_crowds_init(tern_crowds *c);
/* A member of this address comes; its evict is set. TERN_E_NOMEM. */
int tern_crowds_join(tern_crowds *c, const tern_endpoint *address, tern_crowd_member *m);
/* Harmless when it is in none (zeroed, or it has left). */
void tern_crowds_leave(tern_crowds *c, tern_crowd_member *m);
/* Evicts the oldest of the busiest address; false when there is nobody. */
bool tern_crowds_evict(tern_crowds *c);
/* Makes place for one more of this address: of an address that has `most_of_one` (0 = no bound) its
 * oldest goes, else with `most` in all one as above. What was done: */
typedef enum tern_crowd_place {
    TERN_CROWD_PLACE,   /* there was place */
    TERN_CROWD_OF_ONE,  /* the address had too many */
    TERN_CROWD_OF_MANY, /* there were too many in all */
} tern_crowd_place;
tern_crowd_place tern_crowds_make_place(tern_crowds *c, const tern_endpoint *address, size_t most,
                                        size_t most_of_one);
/* How many this address has. */
size_t tern_crowds_of(const tern_crowds *c, const tern_endpoint *address);

#endif
