/* guest_live.c - changes to a guest that runs on: weight, cap, affinity, vCPUs, memory. */
#include <inttypes.h>

#include "guest.h"
#include "log.h"

#define VCPU_GRACE_NS 1000000000ull /* for vCPUs beyond the number to stop by themselves */

static struct skep_guest_change values_of(const struct spec *spec, uint32_t changes)
{
    return (struct skep_guest_change){.changes = changes,
                                      .weight = spec->weight,
                                      .cpu_cap = spec->cpu_cap,
                                      .vcpu_count = spec->vcpus,
                                      .cpu_affinity = spec->cpu_affinity,
                                      .memory_bytes = spec->memory_bytes};
}

static uint32_t differences(const struct spec *a, const struct spec *b)
{
    return (a->weight != b->weight ? SKEP_CHANGE_WEIGHT : 0) |
           (a->cpu_cap != b->cpu_cap ? SKEP_CHANGE_CAP : 0) |
           (a->cpu_affinity != b->cpu_affinity ? SKEP_CHANGE_AFFINITY : 0) |
           (a->vcpus != b->vcpus ? SKEP_CHANGE_VCPUS : 0) |
           (a->memory_bytes != b->memory_bytes ? SKEP_CHANGE_MEMORY : 0);
}

static int refused(struct guest *g, const struct spec *spec, int64_t result, struct problem *p)
{
    switch (-result) {
    case SKEP_EBUSY:
        return problem_set(
            p, 409,
            "memory_bytes can't be lowered to %" PRIu64 ": the guest uses, or has mapped, %" PRIu64
            " bytes. Nothing was changed; ask for at least that much, or restart it.",
            spec->memory_bytes, g->view.memory_committed);
    case SKEP_ENOMEM:
        return problem_set(p, 409,
                           "memory_bytes %" PRIu64 " and vcpus %u can't be had together now: the "
                           "machine can't promise so much more, or the promise has no room for the "
                           "vCPUs. Nothing was changed; ask for less, or delete a guest.",
                           spec->memory_bytes, spec->vcpus);
    case SKEP_ENOSPC:
        return problem_set(
            p, 409,
            "Guests have as many different cpu_affinity as there can be: take one of "
            "theirs. Nothing was changed.");
    case SKEP_ENOSYS:
        log_line("guest '%s': the core can't change a guest that runs yet", g->name);
        return problem_set(p, 501,
                           "This core can't change a guest that runs: stop it, change it, and "
                           "start it.");
    default:
        log_line("guest '%s' can't be changed (error %d)", g->name, (int)-result);
        return problem_set(p, 409, "The core refuses the change (error %d); nothing was changed.",
                           (int)-result);
    }
}

int guest_apply_live(struct guest *g, const struct spec *from, const struct spec *spec,
                     struct problem *p)
{
    struct skep_guest_change change = values_of(spec, differences(from, spec));
    int64_t result = change.changes ? core_guest_set(g->handle, &change) : 0;

    if (result == -SKEP_EBUSY) {
        guest_refresh(g);
        if (g->view.state >= SKEP_GUEST_EXITED)
            return 0; /* it has ended just now: the change is for its next start */
    }
    if (result != 0)
        return refused(g, spec, result, p);
    if (change.changes & SKEP_CHANGE_VCPUS)
        g->force_at = core_clock_ns() + VCPU_GRACE_NS;
    return 0;
}

int guest_check_live(struct guest *g, const struct spec *spec, struct problem *p)
{
    if (spec->memory_bytes == g->spec->memory_bytes ||
        spec->memory_bytes >= g->view.memory_committed)
        return 0;
    return refused(g, spec, -SKEP_EBUSY, p);
}

void guest_force_vcpus(struct guest *g)
{
    struct skep_guest_change change = values_of(g->spec, SKEP_CHANGE_VCPUS | SKEP_CHANGE_FORCE);

    g->force_at = 0;
    if (g->view.vcpus_on <= g->spec->vcpus)
        return;
    log_line("guest '%s' has %u vCPUs on where %u may be: the others are held", g->name,
             g->view.vcpus_on, g->spec->vcpus);
    core_guest_set(g->handle, &change);
}

void guest_reconcile(struct guest *g, const struct skep_guest_status *status)
{
    struct spec there;
    struct problem p;
    struct skep_guest_change change;
    int64_t result;

    if (status->state >= SKEP_GUEST_EXITED || g->replacing || g->deleting)
        return;
    spec_expand(&there, g->spec);
    there.weight = status->weight;
    there.cpu_cap = status->cpu_cap;
    there.cpu_affinity = status->cpu_affinity;
    there.vcpus = status->vcpu_count;
    there.memory_bytes = status->memory_promised;
    change = values_of(g->spec, differences(&there, g->spec));
    result = change.changes ? core_guest_set(g->handle, &change) : 0;
    if (result != 0)
        refused(g, g->spec, result, &p);
    if (status->vcpus_on > g->spec->vcpus)
        g->force_at = core_clock_ns() + VCPU_GRACE_NS;
}
