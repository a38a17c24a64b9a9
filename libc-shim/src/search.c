/*
 * search.c - what <search.h> has of arrays and of lists: lfind(), lsearch(), insque(), remque(). newlib has its tables and trees.
 */
#include <search.h>
#include <string.h>

/* Which element it is; `count` if it isn't there. */
static size_t index_of(const void *key, const void *elements, size_t count, size_t bytes,
                       int (*compare)(const void *, const void *))
{
    size_t index = 0;
    while (index < count && compare(key, (const char *)elements + index * bytes) != 0)
        index++;
    return index;
}

void *lfind(const void *key, const void *elements, size_t *count, size_t bytes,
            int (*compare)(const void *, const void *))
{
    size_t index = index_of(key, elements, *count, bytes, compare);
    return index < *count ? (char *)elements + index * bytes : NULL;
}

void *lsearch(const void *key, void *elements, size_t *count, size_t bytes,
              int (*compare)(const void *, const void *))
{
    size_t index = index_of(key, elements, *count, bytes, compare);
    char *element = (char *)elements + index * bytes;
    if (index == *count) {
        memcpy(element, key, bytes);
        ++*count;
    }
    return element;
}

/* What an element of a list begins with. */
struct links {
    struct links *next, *former;
};

void insque(void *element, void *former)
{
    struct links *links = element, *before = former;
    links->former = before;
    links->next = before != NULL ? before->next : NULL;
    if (links->next != NULL)
        links->next->former = links;
    if (before != NULL)
        before->next = links;
}

void remque(void *element)
{
    const struct links *links = element;
    if (links->former != NULL)
        links->former->next = links->next;
    if (links->next != NULL)
        links->next->former = links->former;
}
