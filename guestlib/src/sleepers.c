/*
 * sleepers.c - the heap of deadlines (Fredman and others, "The pairing heap", 1986).
 *
 * Known shortcoming: "on average" hides that one removal may cost a step for each sleeper that was
 * added since the last one.
 */
#include "sleepers.h"

/* Of two heaps, either of which may be NULL; of two that are equal, a stays ahead. */
static struct skep_sleeper *join(struct skep_sleeper *a, struct skep_sleeper *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (b->deadline_ns < a->deadline_ns) {
        struct skep_sleeper *later = a;
        a = b;
        b = later;
    }
    b->next = a->child;
    b->prev = a;
    if (a->child != NULL)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* Takes the first two off a list of siblings, joined. */
static struct skep_sleeper *take_pair(struct skep_sleeper **list)
{
    struct skep_sleeper *a = *list, *b = a->next;
    *list = b != NULL ? b->next : NULL;
    a->next = NULL;
    if (b != NULL)
        b->next = NULL;
    return join(a, b);
}

/* The two passes that keep the heap flat: pairs from the left, then all from the right. */
static struct skep_sleeper *join_siblings(struct skep_sleeper *list)
{
    struct skep_sleeper *pairs = NULL, *all = NULL;
    while (list != NULL) {
        struct skep_sleeper *pair = take_pair(&list);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs != NULL) {
        struct skep_sleeper *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        all = join(pair, all);
    }
    return all;
}

static void cut(struct skep_sleeper *sleeper)
{
    if (sleeper->prev->child == sleeper)
        sleeper->prev->child = sleeper->next;
    else
        sleeper->prev->next = sleeper->next;
    if (sleeper->next != NULL)
        sleeper->next->prev = sleeper->prev;
}

void skep_sleepers_add(struct skep_sleepers *sleepers, struct skep_sleeper *sleeper)
{
    sleeper->child = sleeper->next = sleeper->prev = NULL;
    sleepers->first = join(sleepers->first, sleeper);
}

void skep_sleepers_remove(struct skep_sleepers *sleepers, struct skep_sleeper *sleeper)
{
    struct skep_sleeper *children = join_siblings(sleeper->child);
    if (sleeper == sleepers->first) {
        sleepers->first = children;
        return;
    }
    cut(sleeper);
    sleepers->first = join(sleepers->first, children);
}
