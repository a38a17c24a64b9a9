/* usage.c - counts references to chunks and metadata blocks. */
#include "storage/usage.h"

#include <stdlib.h>
#include <string.h>

bool usage_init(struct usage *u, uint32_t count)
{
    *u = (struct usage){.count = count, .free_count = count};
    u->refs = calloc(count, sizeof(*u->refs));
    u->taken = calloc((size_t)count / 8 + 1, 1);
    if (u->refs && u->taken)
        return true;
    usage_free(u);
    return false;
}

void usage_free(struct usage *u)
{
    free(u->refs);
    free(u->taken);
    memset(u, 0, sizeof(*u));
}

uint32_t usage_refs(const struct usage *u, uint32_t n)
{
    return u->refs[n];
}

bool usage_is_taken(const struct usage *u, uint32_t n)
{
    return u->taken[n / 8] >> (n % 8) & 1;
}

static bool is_free(const struct usage *u, uint32_t n)
{
    return u->refs[n] == 0 && !usage_is_taken(u, n);
}

uint32_t usage_take(struct usage *u)
{
    if (u->free_count == 0)
        return USAGE_NONE;
    while (!is_free(u, u->next))
        u->next = u->next + 1 == u->count ? 0 : u->next + 1;
    usage_mark_taken(u, u->next);
    return u->next;
}

void usage_mark_taken(struct usage *u, uint32_t n)
{
    if (usage_is_taken(u, n))
        return;
    u->free_count -= u->refs[n] == 0;
    u->taken[n / 8] |= (uint8_t)(1u << n % 8);
    u->taken_count++;
}

void usage_put_back(struct usage *u, uint32_t n)
{
    if (!usage_is_taken(u, n))
        return;
    u->taken[n / 8] &= (uint8_t) ~(1u << n % 8);
    u->taken_count--;
    u->free_count += u->refs[n] == 0;
}

void usage_ref(struct usage *u, uint32_t n)
{
    u->free_count -= is_free(u, n);
    u->refs[n]++;
}

void usage_unref(struct usage *u, uint32_t n)
{
    u->refs[n]--;
    u->free_count += is_free(u, n);
}
