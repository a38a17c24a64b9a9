/* quota.c - sums over what a prefix covers, and their comparison with the caller's quotas. */
#include "quota.h"

#include <inttypes.h>

#include "access.h"
#include "guest.h"
#include "storage.h"

static int check(const char *what, uint64_t quota, uint64_t taken, uint64_t before, uint64_t wanted,
                 struct problem *p)
{
    uint64_t left = quota > taken ? quota - taken : 0;

    if (wanted <= before || wanted - before <= left)
        return 0;
    return problem_set(p, 409,
                       "The quota of %s for names with '%s' is %" PRIu64 ", of which %" PRIu64
                       " are taken, and %" PRIu64
                       " more were asked for: ask for less, or delete something first.",
                       what, access_prefix(), quota, taken, wanted - before);
}

static struct access_quotas sum_guests(void)
{
    struct access_quotas sum = {0};

    for (const struct guest *g = guest_after_with("", access_prefix()); g;
         g = guest_after_with(g->name, access_prefix())) {
        sum.guests++;
        sum.memory_bytes += g->spec->memory_bytes;
        sum.vcpus += g->spec->vcpus;
    }
    return sum;
}

int quota_check_guest(const struct spec *spec, const struct spec *old, struct problem *p)
{
    const struct access_quotas *quotas = access_quotas();
    struct access_quotas taken;

    if (!quotas)
        return 0;
    taken = sum_guests();
    if (check("guests", quotas->guests, taken.guests, old != NULL, 1, p) != 0 ||
        check("memory_bytes", quotas->memory_bytes, taken.memory_bytes, old ? old->memory_bytes : 0,
              spec->memory_bytes, p) != 0)
        return -1;
    return check("vcpus", quotas->vcpus, taken.vcpus, old ? old->vcpus : 0, spec->vcpus, p);
}

static uint64_t sum_volumes(void)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < SKEP_DISKS_MAX; i++) {
        const struct disk *disk = storage_disk(i);
        const struct volume *v = disk && disk->volumes ? disk->volumes->first : NULL;
        for (; v; v = v->next)
            bytes += access_sees(v->record.name) ? v->record.bytes : 0;
    }
    return bytes;
}

int quota_check_volume(uint64_t more_bytes, struct problem *p)
{
    const struct access_quotas *quotas = access_quotas();

    return quotas ? check("volume_bytes", quotas->volume_bytes, sum_volumes(), 0, more_bytes, p)
                  : 0;
}
