/*
 * work.h - circular lists of work that is due: an entry can leave without knowing which list it is in.
 */
#ifndef IO_WORK_H
#define IO_WORK_H

#include "core/types.h"

/* An entry, or a list's own end, which then links to itself. */
struct work_link {
    struct work_link *next, *previous; /* NULL = in no list */
};

static inline void link_append(struct work_link *list, struct work_link *link)
{
    link->next = list;
    link->previous = list->previous;
    list->previous->next = link;
    list->previous = link;
}

/* Harmless when it is in no list. */
static inline void link_remove(struct work_link *link)
{
    if (link->next != NULL) {
        link->next->previous = link->previous;
        link->previous->next = link->next;
        link->next = link->previous = NULL;
    }
}

/* Moves all of a list to the end of another. */
static inline void link_splice(struct work_link *to, struct work_link *from)
{
    if (from->next != from) {
        from->next->previous = to->previous;
        to->previous->next = from->next;
        from->previous->next = to;
        to->previous = from->previous;
        from->next = from->previous = from;
    }
}

static inline bool link_none(const struct work_link *list)
{
    return list->next == list;
}

#endif
