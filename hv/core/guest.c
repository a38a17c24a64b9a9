/*
 * guest.c - the life of guests: table, creation, states, end.
 *
 * guest_set_state() makes every change of state. A guest's end has two parts: guest_end() stops its vCPUs and
 * records why, at once and from anywhere; the reaper (reap.c) then gives its memory back in bounded steps while the
 * guest is `dying`. What stays until it is destroyed is this struct and the console.
 */
#include "core/guest.h"

#include "core/aspace.h"
#include "core/event.h"
#include "core/frame.h"
#include "core/gmem.h"
#include "core/guest_internal.h"
#include "core/image.h"
#include "core/log.h"
#include "core/notify.h"
#include "core/sched.h"
#include "core/string.h"
#include "core/timer.h"
#include "core/trace.h"
#include "io/io.h"

/* ---- the table ---- */

static struct spinlock guests_lock = {.kind = LOCK_GUESTS};
static struct guest **guests;
static uint32_t *generations;
static uint32_t *free_indexes;
static uint32_t free_count, capacity;
static uint64_t *listed; /* a bit for each index whose guest guest_next() gives */

void guest_init(uint32_t guest_capacity)
{
    capacity = guest_capacity;
    guests = core_array(capacity, sizeof(struct guest *));
    generations = core_array(capacity, sizeof(*generations));
    free_indexes = core_array(capacity, sizeof(*free_indexes));
    listed = core_array(capacity / 64 + 1, sizeof(*listed));
    for (uint32_t i = 0; i < capacity; i++) {
        free_indexes[i] = capacity - 1 - i;
    }
    free_count = capacity;
}

static uint32_t index_of(uint64_t handle)
{
    return (uint32_t)handle - 1;
}

uint32_t guest_index(const struct guest *guest)
{
    return index_of(guest->handle);
}

int guest_table_insert(struct guest *guest)
{
    spin_lock(&guests_lock);
    bool room = free_count > 0;
    if (room) {
        uint32_t index = free_indexes[--free_count];
        generations[index] = (generations[index] + 1) & INT32_MAX; /* handles are positive */
        guest->handle = (uint64_t)generations[index] << 32 | (index + 1);
    }
    spin_unlock(&guests_lock);
    return room ? 0 : -SKEP_ENOSPC;
}

/* From now on guest_find() gives it. */
void guest_table_publish(struct guest *guest)
{
    spin_lock(&guests_lock);
    uint32_t index = guest_index(guest);
    guests[index] = guest;
    listed[index / 64] |= (uint64_t)!guest->is_control << index % 64;
    spin_unlock(&guests_lock);
}

void guest_table_remove(struct guest *guest)
{
    spin_lock(&guests_lock);
    uint32_t index = guest_index(guest);
    guests[index] = NULL;
    listed[index / 64] &= ~(1ull << index % 64);
    free_indexes[free_count++] = index;
    spin_unlock(&guests_lock);
}

struct guest *guest_find(uint64_t handle)
{
    struct guest *found = NULL;
    uint32_t index = index_of(handle);
    spin_lock(&guests_lock);
    if (index < capacity && guests[index] && guests[index]->handle == handle) {
        found = guests[index];
        atomic_fetch_add(&found->references, 1);
    }
    spin_unlock(&guests_lock);
    return found;
}

/* The first listed index from `start` on, `capacity` when there is none; 64 at a look. Holds guests_lock. */
static uint32_t listed_from(uint32_t start)
{
    uint64_t mask = ~0ull << start % 64;
    for (uint32_t i = start / 64; i <= capacity / 64; i++, mask = ~0ull) {
        if (listed[i] & mask) {
            return i * 64 + (uint32_t)__builtin_ctzll(listed[i] & mask);
        }
    }
    return capacity;
}

uint64_t guest_next(uint64_t handle)
{
    uint32_t start = (uint32_t)handle;
    spin_lock(&guests_lock);
    uint32_t index = start < capacity ? listed_from(start) : capacity;
    uint64_t next = index < capacity ? guests[index]->handle : 0;
    spin_unlock(&guests_lock);
    return next;
}

uint32_t guest_count(void)
{
    return capacity - free_count;
}

/* ---- memory under the promise ---- */

static void charge(struct guest *guest, uint32_t frames)
{
    guest->charged_frames += frames;
    if (guest->charged_frames > guest->peak_frames) {
        guest->peak_frames = guest->charged_frames;
    }
}

static uint64_t frames_left(const struct guest *guest)
{
    uint64_t charged = guest->charged_frames;
    return charged < guest->promise_frames ? guest->promise_frames - charged : 0;
}

uint32_t guest_frames_alloc(struct guest *guest, enum skep_frame_type type, uint32_t count,
                            pfn_t pfns[])
{
    uint64_t left = frames_left(guest);
    count = left < count ? (uint32_t)left : count;
    count = frame_alloc_singles(count, type, owner_of_guest(guest_index(guest)), pfns);
    charge(guest, count);
    return count;
}

pfn_t guest_frame_alloc(struct guest *guest, enum skep_frame_type type)
{
    pfn_t pfn;
    return guest_frames_alloc(guest, type, 1, &pfn) ? pfn : PFN_NONE;
}

pfn_t guest_frame_alloc_raw(struct guest *guest, enum skep_frame_type type)
{
    if (!frames_left(guest)) {
        return PFN_NONE;
    }
    pfn_t pfn = frame_alloc_raw(type, owner_of_guest(guest_index(guest)));
    charge(guest, pfn != PFN_NONE);
    return pfn;
}

void guest_frame_free(struct guest *guest, pfn_t pfn)
{
    CHECK(guest->charged_frames);
    guest->charged_frames--;
    frame_free(pfn, 0);
}

uint64_t guest_frames_committed(const struct guest *guest)
{
    return guest->fixed_frames + aspace_committed(guest);
}

int guest_promise_set(struct guest *guest, uint64_t frames)
{
    if (frames < guest_frames_committed(guest)) {
        return -SKEP_EBUSY;
    }
    int error = 0;
    if (frames < guest->promise_frames) {
        promise_give(guest->promise_frames - frames);
    } else {
        error = promise_take(frames - guest->promise_frames);
    }
    if (!error) {
        guest->promise_frames = frames;
    }
    return error;
}

/* ---- states ---- */

/* The one place where a state changes. Holds guest.lock. */
void guest_set_state(struct guest *guest, enum skep_guest_state state)
{
    guest->state = state;
    trace_add(trace_who(guest, 0), arch_clock_ns(), SKEP_TRACE_STATE, state, 0);
    if (!guest->is_control) {
        notify_push(guest->handle, SKEP_NOTIFY_STATE);
    }
}

void guest_hold(struct guest *guest, uint32_t first, uint32_t reason)
{
    for (uint32_t i = first; i < GUEST_VCPUS_MAX; i++) {
        if (guest->vcpus[i]) {
            sched_hold(guest->vcpus[i], reason);
        }
    }
}

void guest_unhold(struct guest *guest, uint32_t end, uint32_t reason)
{
    for (uint32_t i = 0; i < end; i++) {
        if (guest->vcpus[i]) {
            sched_unhold(guest->vcpus[i], reason);
        }
    }
}

/* A guest that was created. Holds guest.lock. */
static int start_first(struct guest *guest)
{
    int error = guest_vcpus_make(guest);
    if (!error) {
        guest->started_ns = arch_clock_ns();
        guest_set_state(guest, SKEP_GUEST_RUNNING);
        CHECK(sched_start(guest->vcpus[0]));
    }
    return error;
}

int guest_start(struct guest *guest)
{
    int error = 0;
    spin_lock(&guest->lock);
    if (guest->state == SKEP_GUEST_CREATED) {
        error = start_first(guest);
    } else if (guest->state == SKEP_GUEST_PAUSED) {
        guest_set_state(guest, SKEP_GUEST_RUNNING);
        guest_unhold(guest, GUEST_VCPUS_MAX, VCPU_HOLD_PAUSED);
    } else {
        error = -SKEP_EBUSY;
    }
    spin_unlock(&guest->lock);
    return error;
}

int guest_pause(struct guest *guest)
{
    int error = -SKEP_EBUSY;
    spin_lock(&guest->lock);
    if (guest->state == SKEP_GUEST_RUNNING) {
        guest_hold(guest, 0, VCPU_HOLD_PAUSED);
        guest_set_state(guest, SKEP_GUEST_PAUSED);
        error = 0;
    }
    spin_unlock(&guest->lock);
    return error;
}

int guest_shutdown(struct guest *guest)
{
    int error = -SKEP_EBUSY;
    spin_lock(&guest->lock);
    if (guest->state == SKEP_GUEST_RUNNING) {
        guest_set_state(guest, SKEP_GUEST_STOPPING);
        event_raise(guest->vcpus[0], SKEP_EVENT_SHUTDOWN);
        error = 0;
    }
    spin_unlock(&guest->lock);
    return error;
}

/* Stops the vCPUs and hands the guest to the reaper. Holds guest.lock; the guest is live. */
static void end_locked(struct guest *guest, enum skep_guest_state final_state, uint32_t exit_code)
{
    guest->final_state = final_state;
    guest->exit_code = exit_code;
    guest->ended_ns = arch_clock_ns();
    if (guest->is_control) {
        notify_target_set(NULL); /* its vCPU goes; the next one is told by control.c */
    }
    guest_set_state(guest, SKEP_GUEST_DYING);
    guest_hold(guest, 0, VCPU_HOLD_ENDED);
    aspace_expel(guest);
    reap_begin(guest);
}

void guest_end(struct guest *guest, uint32_t exit_code)
{
    spin_lock(&guest->lock);
    if (guest_is_live(guest)) {
        end_locked(guest, SKEP_GUEST_EXITED, exit_code);
    }
    spin_unlock(&guest->lock);
}

/* Holds guest.lock. */
static void kill_locked(struct guest *guest)
{
    if (guest_is_live(guest)) {
        guest->crash.reason = SKEP_CRASH_KILLED;
        end_locked(guest, SKEP_GUEST_EXITED, 0);
    }
}

void guest_kill(struct guest *guest)
{
    spin_lock(&guest->lock);
    kill_locked(guest);
    spin_unlock(&guest->lock);
}

void guest_destroy(struct guest *guest)
{
    spin_lock(&guest->lock);
    bool reaped = guest->reaped;
    bool already = guest->destroy;
    guest->destroy = true;
    kill_locked(guest);
    spin_unlock(&guest->lock);
    if (reaped && !already) {
        guest_forget(guest);
    }
}

int guest_input(struct guest *guest, const char *text, uint32_t bytes)
{
    int taken = -SKEP_EBUSY;
    spin_lock(&guest->lock);
    if (guest_is_live(guest)) {
        taken = (int)console_input_put(&guest->console, text, bytes);
        event_raise(guest->vcpus[0], SKEP_EVENT_CONSOLE);
    }
    spin_unlock(&guest->lock);
    return taken;
}

/* ---- crashes ---- */

static bool frame_pointer_valid(uint64_t pointer, uint64_t previous)
{
    return !(pointer & 7) && pointer > previous && gmem_range_valid(gva(pointer), 16);
}

/* Return addresses along the frame pointers, as far as they make sense. */
static void backtrace(struct guest *guest, struct skep_crash *crash)
{
    uint64_t frame[2];
    uint64_t pointer = crash->context.rbp;
    uint64_t previous = 0;
    crash->backtrace[crash->backtrace_count++] = crash->context.rip;
    gmem_copy_in(guest, crash->stack, gva(crash->context.rsp), sizeof(crash->stack));
    while (crash->backtrace_count < SKEP_BACKTRACE_MAX && frame_pointer_valid(pointer, previous) &&
           !gmem_copy_in(guest, frame, gva(pointer), sizeof(frame)) && frame[1]) {
        crash->backtrace[crash->backtrace_count++] = frame[1];
        previous = pointer;
        pointer = frame[0];
    }
}

/* Only of reserved pages one can be missing. Holds guest.lock. */
static void tell_limit(const struct guest *guest, struct skep_crash *crash)
{
    uint64_t kib = guest->promise_frames << SKEP_PAGE_SHIFT >> 10;
    crash->message_bytes = (uint32_t)format_text(
        crash->message, sizeof(crash->message),
        "a reserved page was touched when all of the guest's %lu KiB were used",
        (unsigned long)kib);
}

void guest_crash_message(struct vcpu *vcpu, enum skep_crash_reason reason, uint64_t address,
                         uint64_t error, const char *message, uint32_t message_bytes)
{
    struct guest *guest = vcpu->guest;
    struct skep_crash crash = {
        .reason = reason,
        .vcpu = vcpu->index,
        .address = address,
        .error = error,
        .message_bytes = message_bytes,
    };
    CHECK(message_bytes < sizeof(crash.message));
    memcpy(crash.message, message, message_bytes);
    arch_vcpu_context_get(vcpu, &crash.context);
    backtrace(guest, &crash);
    crash.trace_count = trace_latest(guest, crash.trace, SKEP_CRASH_TRACE_MAX);
    spin_lock(&guest->lock);
    bool first = guest_is_live(guest);
    if (first) {
        if (reason != SKEP_CRASH_ABORT) {
            aspace_describe(guest, address, &crash.mapping);
        }
        if (reason == SKEP_CRASH_OUT_OF_MEMORY) {
            tell_limit(guest, &crash);
        }
        guest->crash = crash;
        end_locked(guest, SKEP_GUEST_CRASHED, 0);
    }
    spin_unlock(&guest->lock);
    if (first) {
        crash_log(guest);
        arch_cpu()->crash_trap = arch_cpu()->traps + 1; /* core_resume() counts it at its end */
    }
}

void guest_crash(struct vcpu *vcpu, enum skep_crash_reason reason, uint64_t address, uint64_t error)
{
    guest_crash_message(vcpu, reason, address, error, "", 0);
}

/* ---- vCPUs ---- */

int guest_vcpu_start(struct guest *guest, uint32_t index, const struct skep_context *context)
{
    int error = -SKEP_EINVAL;
    spin_lock(&guest->lock);
    if (!guest_is_live(guest) || index >= guest->vcpu_count) {
        goto out;
    }
    struct vcpu *vcpu = guest->vcpus[index];
    error = sched_prepare(vcpu);
    if (error) {
        goto out;
    }
    error = arch_vcpu_context_set(vcpu, context);
    if (!error && !sched_start(vcpu)) {
        error = -SKEP_EBUSY;
    }
out:
    spin_unlock(&guest->lock);
    return error;
}

/* ---- status ---- */

static void net_status(struct guest *guest, struct skep_guest_status *status)
{
    status->net_count = guest->net_count;
    for (uint32_t i = 0; i < guest->net_count; i++) {
        io_net_status(guest, i, &status->net_address[i], &status->net[i]);
    }
}

static uint64_t counter(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void blocks_status(const struct guest *guest, struct skep_guest_status *status)
{
    for (uint32_t i = 0; i < SKEP_BLOCKS_MAX; i++) {
        const struct guest_block_counters *done = &guest->block_counters[i];
        status->block[i] =
            (struct skep_block_counters){.reads = counter(&done->reads),
                                         .writes = counter(&done->writes),
                                         .flushes = counter(&done->flushes),
                                         .discards = counter(&done->discards),
                                         .read_bytes = counter(&done->read_bytes),
                                         .written_bytes = counter(&done->written_bytes)};
    }
}

static void vcpus_status(struct guest *guest, struct skep_guest_status *status)
{
    status->cpu_ns = guest->ended_cpu_ns;
    status->ready_ns = guest->ended_ready_ns;
    status->hypercalls = guest->ended_hypercalls;
    status->page_faults = guest->ended_page_faults;
    for (uint32_t i = 0; i < guest->vcpu_max; i++) {
        struct vcpu *vcpu = guest->vcpus[i];
        if (vcpu) {
            status->cpu_ns += sched_run_ns(vcpu);
            status->ready_ns += sched_ready_ns(vcpu);
            status->hypercalls += vcpu_hypercalls(vcpu);
            status->page_faults += vcpu->page_faults;
            status->vcpus_on += vcpu->state != VCPU_OFF;
        }
    }
}

/* Holds guest.lock. */
static void brief_status(struct guest *guest, struct skep_guest_status *status)
{
    memcpy(status->name, guest->name, sizeof(status->name));
    status->image = guest->image_handle;
    status->image_base = guest->image_base;
    status->state = guest->state;
    status->exit_code = guest->exit_code;
    status->created_ns = guest->created_ns;
    status->started_ns = guest->started_ns;
    status->ended_ns = guest->ended_ns;
    status->memory_promised = guest->promise_frames << SKEP_PAGE_SHIFT;
    status->memory_used = guest->charged_frames << SKEP_PAGE_SHIFT;
    status->memory_peak = guest->peak_frames << SKEP_PAGE_SHIFT;
    status->vcpu_count = guest->vcpu_count;
    status->vcpu_max = guest->vcpu_max;
    struct sched_params params = sched_params_get(guest);
    status->weight = params.weight;
    status->cpu_cap = params.cap;
    status->cpu_affinity = params.affinity;
    vcpus_status(guest, status);
    console_offsets(&guest->console, &status->console_first, &status->console_end);
}

void guest_status_brief(struct guest *guest, struct skep_guest_status *status)
{
    memset(status, 0, SKEP_GUEST_BRIEF_BYTES);
    net_status(guest, status);
    spin_lock(&guest->lock);
    brief_status(guest, status);
    spin_unlock(&guest->lock);
}

void guest_status(struct guest *guest, struct skep_guest_status *status)
{
    memset(status, 0, sizeof(*status));
    net_status(guest, status);
    blocks_status(guest, status);
    spin_lock(&guest->lock);
    brief_status(guest, status);
    status->memory_committed = guest_frames_committed(guest) << SKEP_PAGE_SHIFT;
    status->crash = guest->crash;
    spin_unlock(&guest->lock);
}
