/*
 * search.h - newlib's, and POSIX' functions for arrays and lists.
 */
#ifndef SKEP_SEARCH_H
#define SKEP_SEARCH_H

#include_next <search.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Among *count elements of so many bytes each the first of which compare(key, element) is 0; else NULL. */
void *lfind(const void *key, const void *elements, size_t *count, size_t bytes,
            int (*compare)(const void *, const void *));

/* The same, but what isn't there is copied behind the last, where there must be room, and counted. */
void *lsearch(const void *key, void *elements, size_t *count, size_t bytes,
              int (*compare)(const void *, const void *));

/* Elements begin with two pointers: to the next and to the former one. Without a former one (NULL) it begins a list. */
void insque(void *element, void *former);
void remque(void *element);

#ifdef __cplusplus
}
#endif

#endif
