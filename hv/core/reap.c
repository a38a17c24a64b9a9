/*
 * reap.c - giving back the memory of guests that have ended, in bounded steps between traps.
 *
 * A guest that a CPU still runs, or whose pages a device still has, is put aside until reap_wake(): whoever lets go of
 * it calls that. Then its tables are taken apart a piece at a time; last come ring 0's objects. The control service is
 * started again here when it was it that ended.
 */
#include "core/control.h"
#include "core/frame.h"
#include "core/guest_internal.h"
#include "core/image.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/notify.h"
#include "core/sched.h"
#include "core/timer.h"
#include "io/io.h"

static struct spinlock reap_lock = {.kind = LOCK_REAP};
static struct guest *first, *last;

/* Puts the guest at the list's end. Holds reap_lock. */
static void append(struct guest *guest)
{
    guest->reap_state = REAP_QUEUED;
    guest->reap_next = NULL;
    if (last) {
        last->reap_next = guest;
    } else {
        first = guest;
    }
    last = guest;
}

void reap_begin(struct guest *guest)
{
    spin_lock(&reap_lock);
    CHECK(guest->reap_state == REAP_LIVE);
    append(guest);
    spin_unlock(&reap_lock);
    atomic_store(&arch_cpu()->resched, 1);
}

void reap_wake(struct guest *guest)
{
    spin_lock(&reap_lock);
    if (guest->reap_state == REAP_ASIDE) {
        append(guest);
    } else if (guest->reap_state == REAP_ACTIVE) {
        guest->reap_state = REAP_ACTIVE_AGAIN;
    }
    spin_unlock(&reap_lock);
    atomic_store(&arch_cpu()->resched, 1); /* this CPU comes by the reaper before it goes on */
}

/* Without the lock: a hint. A guest added meanwhile is seen by the CPU that added it. */
static bool any(void)
{
    return __atomic_load_n(&first, __ATOMIC_RELAXED);
}

static struct guest *take_first(void)
{
    if (!any()) {
        return NULL;
    }
    spin_lock(&reap_lock);
    struct guest *guest = first;
    if (guest) {
        first = guest->reap_next;
        last = first ? last : NULL;
        guest->reap_state = REAP_ACTIVE;
    }
    spin_unlock(&reap_lock);
    return guest;
}

/* Back into the list, or aside if there is nothing to be done before someone lets go of the guest. */
static void put_back(struct guest *guest, bool progress)
{
    spin_lock(&reap_lock);
    if (progress || guest->reap_state == REAP_ACTIVE_AGAIN) {
        append(guest);
    } else {
        guest->reap_state = REAP_ASIDE;
    }
    spin_unlock(&reap_lock);
}

/* ---- memory ---- */

static void vcpu_free(struct guest *guest, uint32_t index)
{
    struct vcpu *vcpu = guest->vcpus[index];
    if (guest->vcpu_pages[index]) {
        guest_frame_free(guest, guest->vcpu_pages[index]);
        guest->vcpu_pages[index] = PFN_NONE;
    }
    if (vcpu) {
        timer_cancel(vcpu);
        guest->ended_cpu_ns += vcpu->run_ns;
        guest->ended_ready_ns += vcpu->ready_ns;
        guest->ended_hypercalls += vcpu_hypercalls(vcpu);
        guest->ended_page_faults += vcpu->page_faults;
        guest->vcpus[index] = NULL;
        guest_frame_free(guest, frame_of(vcpu));
    }
}

/* The last ones first, some at a time. True when none is left. */
static bool vcpus_free(struct guest *guest)
{
    for (uint32_t i = 0; i < GUEST_VCPUS_AT_ONCE && guest->vcpus_reserved; i++) {
        vcpu_free(guest, --guest->vcpus_reserved);
    }
    return !guest->vcpus_reserved;
}

static void start_info_free(struct guest *guest)
{
    for (uint32_t i = 0; i < SKEP_START_INFO_PAGES; i++) {
        if (guest->start_info[i]) {
            guest_frame_free(guest, guest->start_info[i]);
            guest->start_info[i] = PFN_NONE;
        }
    }
}

bool guest_free_memory(struct guest *guest)
{
    if (!aspace_reap(guest) || !vcpus_free(guest)) {
        return false;
    }
    start_info_free(guest);
    if (guest->image) {
        image_unuse(guest->image);
        guest->image = NULL;
    }
    if (guest->files) {
        image_unuse(guest->files);
        guest->files = NULL;
    }
    return true;
}

void console_destroy(struct guest *guest)
{
    for (uint32_t i = 0; i < CONSOLE_PAGES_MAX; i++) {
        if (guest->console.pages[i]) {
            guest_frame_free(guest, guest->console.pages[i]);
            guest->console.pages[i] = PFN_NONE;
        }
    }
    guest->console.bytes = 0;
}

/* ---- the list ---- */

/* Whether nobody but us can reach the guest's memory. Holds guest.lock. */
static bool is_quiet(struct guest *guest)
{
    return !atomic_load(&guest->aspace.loaded_on) && sched_guest_idle(guest);
}

/* One bounded step. True when everything is given back. */
static bool step(struct guest *guest, bool *progress)
{
    spin_lock(&guest->lock);
    bool quiet = is_quiet(guest);
    spin_unlock(&guest->lock);
    if (!quiet || io_guest_detach(guest)) {
        return false;
    }
    *progress = true;
    spin_lock(&guest->lock);
    bool done = guest_free_memory(guest);
    spin_unlock(&guest->lock);
    return done;
}

/* The promise shrinks to what stays: the struct and the console. True when the struct is to go, too. */
static bool finish(struct guest *guest)
{
    spin_lock(&guest->lock);
    uint64_t given = guest->promise_frames - guest->charged_frames;
    guest->promise_frames = guest->charged_frames;
    guest->fixed_frames = guest->charged_frames;
    guest->reaped = true;
    bool destroy = guest->destroy;
    guest_set_state(guest, guest->final_state);
    spin_unlock(&guest->lock);
    promise_give(given);
    return destroy;
}

/* The last step of a guest whose memory is back. */
static void complete(struct guest *guest)
{
    bool is_control = guest->is_control;
    if (finish(guest) || is_control) {
        guest_forget(guest);
    }
    if (is_control) {
        control_restart();
    }
}

bool guest_reap_step(void)
{
    const struct cpu *cpu = arch_cpu();
    if (cpu->traps <= cpu->crash_trap) {
        return any(); /* a crash record is long enough for one stretch without interrupts */
    }
    struct guest *guest = take_first();
    bool progress = false;
    if (!guest) {
        return false;
    }
    if (step(guest, &progress)) {
        complete(guest);
    } else {
        put_back(guest, progress);
    }
    return any();
}

/* ---- the struct ---- */

void guest_forget(struct guest *guest)
{
    uint64_t handle = guest->handle;
    guest_table_remove(guest);
    notify_push(handle, SKEP_NOTIFY_GONE);
    guest_release(guest);
}

void guest_release(struct guest *guest)
{
    if (atomic_fetch_sub(&guest->references, 1) > 1) {
        return;
    }
    console_destroy(guest);
    sched_release(guest);
    uint64_t frames = guest->promise_frames;
    CHECK(guest->charged_frames == 1);
    frame_free(frame_of(guest), 0);
    promise_give(frames);
}
