/* stat.c - numbers that the program and its libraries tell of themselves: they are in vCPU 0's page. */
#include "internal.h"
#include "skep/guest.h"
#include "skep/spinlock.h"

static struct skep_spinlock lock; /* who has it may write names */
static _Atomic uint64_t unseen;   /* for those that have no place */

static bool is_name(const struct skep_stat *stat, const char *name)
{
    unsigned i = 0;

    while (stat->name[i] != 0 && stat->name[i] == name[i])
        i++;
    return stat->name[i] == name[i];
}

/* Readers see the whole name or none: its first character comes last, and they take the rest after that. */
static void set_name(struct skep_stat *stat, const char *name)
{
    for (unsigned i = 1; name[i - 1] != 0; i++)
        stat->name[i] = name[i];
    __atomic_store_n(&stat->name[0], name[0], __ATOMIC_RELEASE);
}

static _Atomic uint64_t *find(const char *name)
{
    struct skep_stat *stat = (struct skep_stat *)(skep_info->vcpu_pages + SKEP_STATS_OFFSET);

    for (unsigned i = 0; i < SKEP_STATS_MAX; i++, stat++) {
        if (stat->name[0] == 0)
            set_name(stat, name);
        if (is_name(stat, name))
            return &stat->value;
    }
    return &unseen;
}

_Atomic uint64_t *skep_stat(const char *name)
{
    _Atomic uint64_t *value = &unseen;
    bool were_masked;
    size_t bytes = 0;

    while (bytes < sizeof(((struct skep_stat *)0)->name) && name[bytes] != 0)
        bytes++;
    if (bytes == 0 || bytes == sizeof(((struct skep_stat *)0)->name))
        return value;
    were_masked = skep_spin_lock(&lock);
    value = find(name);
    skep_spin_unlock(&lock, were_masked);
    return value;
}
