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
#include "core/sched.h"
#include "core/string.h"

#define CHANGES_ALL                                                                    \
    (SKEP_CHANGE_WEIGHT | SKEP_CHANGE_CAP | SKEP_CHANGE_AFFINITY | SKEP_CHANGE_VCPUS | \
     SKEP_CHANGE_MEMORY | SKEP_CHANGE_FORCE)

static struct skep_start_info *start_info(struct guest *guest)
{
    return frame_data(guest->start_info[0]);
}

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
           (!vcpus || (change->vcpu_count && change->vcpu_count <= guest->vcpu_max));
}

/* Makes the vCPUs that a raised vcpu_count includes. Those made before an error stay, off. */
static int vcpus_make(struct guest *guest, uint32_t count)
{
    uint32_t made = 0;
    while (made < guest->vcpu_max && guest->vcpus[made]) {
        made++;
    }
    uint64_t frames = count > made ? (count - made) * (VCPU_FRAMES + 1ull) : 0;
    if (frames && guest_frames_committed(guest) + frames > guest->promise_frames) {
        return -SKEP_ENOMEM;
    }
    for (; made < count; made++) {
        int error =
            guest_vcpu_create(guest, made, start_info(guest)->vcpu_pages + made * PAGE_SIZE);
        if (error) {
            return error;
        }
    }
    return 0;
}

/* What may fail, in an order in which the undoing can't. */
static int prepare(struct guest *guest, const struct skep_guest_change *change,
                   const struct sched_params *params)
{
    struct sched_params old = sched_params_get(guest);
    int error = sched_params_set(guest, params);
    if (!error && (change->changes & SKEP_CHANGE_VCPUS)) {
        error = vcpus_make(guest, change->vcpu_count);
    }
    if (error) {
        sched_params_set(guest, &old);
    }
    return error;
}

static void vcpu_count_set(struct guest *guest, uint32_t count, bool force)
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
    if (changed) {
        atomic_store(&start_info(guest)->vcpu_count, count);
        event_raise(guest->vcpus[0], SKEP_EVENT_CHANGE);
    }
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
    if (change->changes & SKEP_CHANGE_MEMORY) {
        return -SKEP_ENOSYS;
    }
    int error = prepare(guest, change, &params);
    if (!error && (change->changes & SKEP_CHANGE_VCPUS)) {
        vcpu_count_set(guest, change->vcpu_count, change->changes & SKEP_CHANGE_FORCE);
    }
    return error;
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
