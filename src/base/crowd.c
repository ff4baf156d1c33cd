/* Crowds: a list of members for each address, and a list of addresses for each number of members.
 * See crowd.h. */
#include "base/crowd.h"

#include <string.h>

#include <tern/error.h>

#include "base/mem.h"

enum { KEY = 8 }; /* the family, and the bytes of a block */

struct tern_crowd {
    tern_list link; /* in its level */
    tern_list members;
    size_t count;
    uint8_t key[KEY];
};

static void key_of(const tern_endpoint *e, uint8_t key[KEY])
{
    tern_endpoint block = tern_endpoint_block(e);
    key[0] = block.family;
    memcpy(key + 1, block.ip, KEY - 1);
}

static tern_crowd *find(const tern_crowds *c, const tern_endpoint *address)
{
    uint8_t key[KEY];
    key_of(address, key);
    return tern_map_get(&c->addresses, key, KEY);
}

void tern_crowds_init(tern_crowds *c)
{
    memset(c, 0, sizeof *c);
    tern_map_init(&c->addresses);
    for (size_t i = 0; i <= TERN_CROWD_LEVELS; i++) {
        tern_list_init(&c->levels[i]);
    }
}

/* To the level of its count. */
static void place(tern_crowds *c, tern_crowd *crowd)
{
    size_t level = crowd->count < TERN_CROWD_LEVELS ? crowd->count : TERN_CROWD_LEVELS;
    tern_list_remove(&crowd->link);
    tern_list_push(&c->levels[level], &crowd->link);
    c->top = level > c->top ? level : c->top;
}

static tern_crowd *add_crowd(tern_crowds *c, const tern_endpoint *address)
{
    tern_crowd *crowd = tern_calloc(1, sizeof *crowd);
    if (crowd == NULL) {
        return NULL;
    }
    tern_list_init(&crowd->link);
    tern_list_init(&crowd->members);
    key_of(address, crowd->key);
    if (tern_map_set(&c->addresses, crowd->key, KEY, crowd) != 0) {
        tern_free(crowd);
        return NULL;
    }
    return crowd;
}

int tern_crowds_join(tern_crowds *c, const tern_endpoint *address, tern_crowd_member *m)
{
    tern_crowd *crowd = find(c, address);
    if (crowd == NULL) {
        crowd = add_crowd(c, address);
    }
    if (crowd == NULL) {
        return TERN_E_NOMEM;
    }
    m->crowd = crowd;
    tern_list_push(&crowd->members, &m->link);
    crowd->count++;
    c->count++;
    place(c, crowd);
    return 0;
}

void tern_crowds_leave(tern_crowds *c, tern_crowd_member *m)
{
    tern_crowd *crowd = m->crowd;
    if (crowd == NULL) {
        return;
    }
    m->crowd = NULL;
    tern_list_remove(&m->link);
    c->count--;
    if (--crowd->count > 0) {
        place(c, crowd);
        return;
    }
    tern_list_remove(&crowd->link);
    tern_map_remove(&c->addresses, crowd->key, KEY);
    tern_free(crowd);
    if (c->count == 0) {
        tern_map_free(&c->addresses);
        tern_map_init(&c->addresses);
    }
}

static tern_crowd *busiest(tern_crowds *c)
{
    while (c->top > 0 && tern_list_empty(&c->levels[c->top])) {
        c->top--;
    }
    if (c->top == 0) {
        return NULL;
    }
    tern_crowd *most = NULL;
    tern_list *level = &c->levels[c->top];
    for (tern_list *l = level->next; l != level; l = l->next) {
        tern_crowd *crowd = TERN_CONTAINER(l, tern_crowd, link);
        if (most == NULL || crowd->count > most->count) {
            most = crowd;
        }
        if (c->top < TERN_CROWD_LEVELS) {
            break; /* all of this level have as many */
        }
    }
    return most;
}

static void evict_oldest(tern_crowd *crowd)
{
    tern_crowd_member *m = TERN_CONTAINER(crowd->members.next, tern_crowd_member, link);
    m->evict(m);
}

bool tern_crowds_evict(tern_crowds *c)
{
    tern_crowd *crowd = busiest(c);
    if (crowd != NULL) {
        evict_oldest(crowd);
    }
    return crowd != NULL;
}

tern_crowd_place tern_crowds_make_place(tern_crowds *c, const tern_endpoint *address, size_t most,
                                        size_t most_of_one)
{
    tern_crowd *crowd = most_of_one > 0 ? find(c, address) : NULL;
    if (crowd != NULL && crowd->count >= most_of_one) {
        evict_oldest(crowd);
        return TERN_CROWD_OF_ONE;
    }
    return c->count >= most && tern_crowds_evict(c) ? TERN_CROWD_OF_MANY : TERN_CROWD_PLACE;
}

size_t tern_crowds_of(const tern_crowds *c, const tern_endpoint *address)
{
    const tern_crowd *crowd = find(c, address);
    return crowd != NULL ? crowd->count : 0;
}
