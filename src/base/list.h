/* An intrusive doubly linked list with a sentinel. A node that is in no list points to itself. */
#ifndef TERN_BASE_LIST_H
#define TERN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tern_list {
    struct tern_list *next, *prev;
} tern_list;

#define TERN_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void tern_list_init(tern_list *l)
{
    l->next = l->prev = l;
}

static inline bool tern_list_empty(const tern_list *l)
{
    return l->next == l;
}

static inline void tern_list_push(tern_list *head, tern_list *node) /* at the end */
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void tern_list_remove(tern_list *node) /* harmless when it is in no list */
{
    node->next->prev = node->prev;
    node->prev->next = node->next;
    node->next = node->prev = node;
}

static inline tern_list *tern_list_pop(tern_list *head) /* the first, or NULL */
{
    tern_list *node = head->next;
    if (node == head) {
        return NULL;
    }
    tern_list_remove(node);
    return node;
}

/* Moves all of `from` to the end of `to`. */
static inline void tern_list_splice(tern_list *to, tern_list *from)
{
    if (!tern_list_empty(from)) {
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        tern_list_init(from);
    }
}

#endif
