/*
 * guest_change.c - settings that change while a guest lives: weight, cap, affinity, vCPUs, memory.
 *
 * vCPUs: a guest pays for a vCPU when its vcpu_count first includes it, at creation or here; until then there is
 * nothing of it but its address. Lowering vcpu_count asks the guest to stop those above, and they can't be started
 * again; SKEP_CHANGE_FORCE takes those that go on off their CPUs until it is raised.
 */
#include "core/event.h"
#include "core/frame.h"
#include "core/guest_internal.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/string.h"

#define CHANGES_ALL                                                                    \
    (SKEP_CHANGE_WEIGHT | SKEP_CHANGE_CAP | SKEP_CHANGE_AFFINITY | SKEP_CHANGE_VCPUS | \
     SKEP_CHANGE_MEMORY | SKEP_CHANGE_FORCE)

/* The parameters as they will be. Holds guest.lock, as all of these do. */
static struct sched_params params_changed(struct guest *guest,
                                          const struct skep_guest_change *change)
{
    struct sched_params params = sched_params_get(guest);
    if (change->changes & SKEP_CHANGE_WEIGHT) {
        params.weight = change->weight;
    }
    if (change->changes & SKEP_CHANGE_CAP) {
        params.cap = change->cpu_cap;
    }
    if (change->changes & SKEP_CHANGE_AFFINITY) {
        params.affinity = change->cpu_affinity;
    }
    return params;
}

static bool change_valid(const struct guest *guest, const struct skep_guest_change *change,
                         const struct sched_params *params)
{
    bool vcpus = change->changes & SKEP_CHANGE_VCPUS;
    return !(change->changes & ~CHANGES_ALL) && sched_params_valid(params) &&
           (vcpus || !(change->changes & SKEP_CHANGE_FORCE)) &&
           (!vcpus || (change->vcpu_count && change->vcpu_count <= guest->vcpu_max)) &&
           (!(change->changes & SKEP_CHANGE_MEMORY) ||
            change->memory_bytes <= GUEST_MEMORY_BYTES_MAX);
}

/* What may fail: all of it is done, or nothing. Memory is raised before vCPUs need it, and lowered after. */
static int prepare(struct guest *guest, const struct skep_guest_change *change,
                   const struct sched_params *params)
{
    struct sched_params old_params = sched_params_get(guest);
    uint64_t old_frames = guest->promise_frames;
    uint32_t old_reserved = guest->vcpus_reserved;
    uint64_t frames = change->changes & SKEP_CHANGE_MEMORY
                          ? page_align_up(change->memory_bytes) >> SKEP_PAGE_SHIFT
                          : old_frames;
    int error = frames > old_frames ? guest_promise_set(guest, frames) : 0;
    if (!error) {
        error = sched_params_set(guest, params);
    }
    if (!error && (change->changes & SKEP_CHANGE_VCPUS)) {
        error = guest_vcpus_reserve(guest, change->vcpu_count);
    }
    if (!error && frames < old_frames) {
        error = guest_promise_set(guest, frames);
    }
    if (error) {
        guest_vcpus_unreserve(guest, old_reserved);
        sched_params_set(guest, &old_params);
        CHECK(!guest_promise_set(guest, old_frames));
    }
    return error;
}

static bool vcpu_count_set(struct guest *guest, uint32_t count, bool force)
{
    bool changed = guest->vcpu_count != count;
    guest->vcpu_count = count;
    guest_unhold(guest, count, VCPU_HOLD_COUNT);
    if (force) {
        guest_hold(guest, count, VCPU_HOLD_COUNT);
    }
    if (guest->state == SKEP_GUEST_PAUSED) {
        guest_hold(guest, 0, VCPU_HOLD_PAUSED); /* those made just now */
    }
    atomic_store(&guest_start_info(guest)->vcpu_count, count);
    return changed;
}

/* Compared with what the guest was told: the promise is set by now. */
static bool memory_show(struct guest *guest)
{
    uint64_t bytes = guest->promise_frames << SKEP_PAGE_SHIFT;
    return atomic_exchange(&guest_start_info(guest)->memory_bytes, bytes) != bytes;
}

static int change_locked(struct guest *guest, const struct skep_guest_change *change)
{
    if (!guest_is_live(guest)) {
        return -SKEP_EBUSY;
    }
    struct sched_params params = params_changed(guest, change);
    if (!change_valid(guest, change, &params)) {
        return -SKEP_EINVAL;
    }
    int error = prepare(guest, change, &params);
    error = error ? error : guest_vcpus_make(guest);
    if (error) {
        return error;
    }
    bool tell = memory_show(guest);
    if (change->changes & SKEP_CHANGE_VCPUS) {
        tell |= vcpu_count_set(guest, change->vcpu_count, change->changes & SKEP_CHANGE_FORCE);
    }
    if (tell) {
        event_raise(guest->vcpus[0], SKEP_EVENT_CHANGE);
    }
    return 0;
}

int guest_change(struct guest *guest, const struct skep_guest_change *change)
{
    spin_lock(&guest->lock);
    int error = change_locked(guest, change);
    spin_unlock(&guest->lock);
    return error;
}

int guest_vcpu_status(struct guest *guest, uint64_t index, struct skep_vcpu_status *status)
{
    memset(status, 0, sizeof(*status));
    spin_lock(&guest->lock);
    int error = index < guest->vcpu_max ? 0 : -SKEP_EINVAL;
    struct vcpu *vcpu = guest_vcpu(guest, index);
    if (vcpu) {
        sched_vcpu_status(vcpu, status);
        status->events = atomic_load_explicit(&vcpu->events, memory_order_relaxed);
        status->upcalls = vcpu->upcalls;
        status->page_faults = vcpu->page_faults;
        memcpy(status->hypercalls, vcpu->hypercalls, sizeof(status->hypercalls));
    }
    spin_unlock(&guest->lock);
    return error;
}

/* The guest may write at the same time: what is copied is for who trusts none of it. */
int guest_stats(struct guest *guest, struct skep_stat stats[SKEP_STATS_MAX])
{
    spin_lock(&guest->lock);
    struct vcpu *vcpu = guest_vcpu(guest, 0);
    if (vcpu) {
        memcpy(stats, (const uint8_t *)vcpu->page + SKEP_STATS_OFFSET,
               SKEP_STATS_MAX * sizeof(*stats));
    }
    spin_unlock(&guest->lock);
    return vcpu ? 0 : -SKEP_ENOENT;
}
