/*
 * hypercall.c - the guests' hypercalls. Arguments are scalars, or a structure that is copied in before it is looked
 * at. A pointer that leads nowhere ends the caller: no correct guest passes one.
 */
#include "core/control.h"
#include "core/event.h"
#include "core/gmem.h"
#include "core/guest.h"
#include "core/log.h"
#include "core/sched.h"
#include "core/string.h"
#include "core/timer.h"
#include "core/trace.h"
#include "core/trap.h"
#include "io/io.h"

/* The number is in the lower bits of RAX. A long call that is restarted has its progress above them, in pages: its
 * arguments stay as the guest passed them. A guest that makes progress up reaches no more than it could anyhow. */
#define NUMBER_BITS 16u

#define CONSOLE_CHUNK    256u
#define CONSOLE_CALL_MAX 4096u
#define CONSOLE_LOG_MAX  1024u /* of the control service's: each byte goes to the log, too */

/* Most calls stay functions of their own: inlined they would cost every call a stack check for their buffers, and
 * registers to save. */
#define OUTLINE __attribute__((noinline))

/* How a call ended, beside its result. */
enum outcome {
    OUTCOME_RESULT, /* the result goes to the caller, which may run on */
    OUTCOME_GONE,   /* the caller doesn't go on here: it ended, waits, or has new registers */
    OUTCOME_AGAIN,  /* a bounded part is done: the caller makes the call again */
};

struct call {
    struct vcpu *vcpu;
    struct guest *guest;
    uint64_t number;
    enum outcome outcome;
    uint64_t done; /* OUTCOME_AGAIN: bytes of the span that are done by now */
};

/* -SKEP_EFAULT and -SKEP_ENOMEM of a memory access end the caller; others are results. */
static int64_t checked(struct call *call, uint64_t address, int64_t result)
{
    if (result == -SKEP_EFAULT) {
        guest_crash(call->vcpu, SKEP_CRASH_HYPERCALL, address, call->number);
        call->outcome = OUTCOME_GONE;
    } else if (result == -SKEP_ENOMEM) {
        guest_crash(call->vcpu, SKEP_CRASH_OUT_OF_MEMORY, address, call->number);
        call->outcome = OUTCOME_GONE;
    }
    return result;
}

static OUTLINE int64_t console_write_call(struct call *call, uint64_t address, uint64_t bytes)
{
    char chunk[CONSOLE_CHUNK];
    uint64_t done = 0;
    uint64_t most = call->guest->is_control ? CONSOLE_LOG_MAX : CONSOLE_CALL_MAX;
    bytes = bytes < most ? bytes : most;
    while (done < bytes) {
        uint32_t part = bytes - done < sizeof(chunk) ? (uint32_t)(bytes - done) : sizeof(chunk);
        int error = gmem_copy_in(call->guest, chunk, gva(address + done), part);
        if (error) {
            return checked(call, address + done, error);
        }
        console_write(&call->guest->console, chunk, part);
        if (call->guest->is_control) {
            log_raw(chunk, part); /* it has no API to be read by */
        }
        done += part;
    }
    return (int64_t)done;
}

static OUTLINE int64_t console_read_call(struct call *call, uint64_t address, uint64_t bytes)
{
    char chunk[CONSOLE_INPUT_BYTES];
    uint32_t capacity = bytes < sizeof(chunk) ? (uint32_t)bytes : sizeof(chunk);
    uint32_t given = console_input_get(&call->guest->console, chunk, capacity);
    int error = gmem_copy_out(call->guest, gva(address), chunk, given);
    return error ? checked(call, address, error) : given;
}

static int64_t exit_call(struct call *call, uint64_t code)
{
    guest_end(call->guest, (uint32_t)code);
    call->outcome = OUTCOME_GONE;
    return 0;
}

static OUTLINE int64_t abort_call(struct call *call, uint64_t address, uint64_t bytes)
{
    char message[128] = {0};
    uint32_t length = bytes < sizeof(message) - 1 ? (uint32_t)bytes : sizeof(message) - 1;
    int error = gmem_copy_in(call->guest, message, gva(address), length);
    if (error) {
        return checked(call, address, error);
    }
    guest_crash_message(call->vcpu, SKEP_CRASH_ABORT, 0, 0, message, length);
    call->outcome = OUTCOME_GONE;
    return 0;
}

static bool event_pending(const struct vcpu *vcpu)
{
    struct skep_vcpu_page *page = vcpu->page;
    return atomic_load(&page->pending) & ~atomic_load(&page->mask);
}

/* Whether the deadline has been handled, by another CPU, between its setting and now. sched_lock is held, which the
 * one who handles it takes after it has changed the deadline: either it is seen here, or that CPU finds the vCPU
 * blocked. */
static bool wait_over(const struct vcpu *vcpu)
{
    return event_pending(vcpu) ||
           __atomic_load_n(&vcpu->wait_deadline_ns, __ATOMIC_RELAXED) != vcpu->wait_asked_ns;
}

static OUTLINE int64_t wait_call(struct call *call, uint64_t deadline_ns)
{
    struct vcpu *vcpu = call->vcpu;
    if (event_pending(vcpu)) {
        return 0;
    }
    uint64_t now = arch_clock_ns();
    if (deadline_ns <= now) {
        return -SKEP_ETIMEDOUT;
    }
    /* Even if the deadline passes meanwhile the vCPU then leaves its CPU: others may be due. */
    io_work_before_wait();
    if (event_pending(vcpu)) {
        return 0;
    }
    vcpu->wait_asked_ns = deadline_ns;
    timer_wait_set(vcpu, deadline_ns);
    arch_vcpu_result_set(&vcpu->arch, 0);
    if (!sched_block(vcpu, now, wait_over)) {
        return event_pending(vcpu) ? 0 : -SKEP_ETIMEDOUT;
    }
    call->outcome = OUTCOME_GONE;
    return 0;
}

static OUTLINE int64_t resume_call(struct call *call, uint64_t address)
{
    struct skep_context context;
    int error = gmem_copy_in(call->guest, &context, gva(address), sizeof(context));
    if (error) {
        return checked(call, address, error);
    }
    if (arch_vcpu_context_set(call->vcpu, &context)) {
        return checked(call, address, -SKEP_EFAULT);
    }
    atomic_store(&call->vcpu->page->upcall_masked, 0);
    call->outcome = OUTCOME_GONE;
    return 0;
}

static int64_t map_call(struct call *call, uint64_t address, uint64_t bytes, uint64_t prot)
{
    if (prot > UINT32_MAX) {
        return -SKEP_EINVAL;
    }
    spin_lock(&call->guest->lock);
    int64_t result = aspace_map(call->guest, address, bytes, (uint32_t)prot);
    spin_unlock(&call->guest->lock);
    if (result == -SKEP_EAGAIN) {
        call->done = 0;
        call->outcome = OUTCOME_AGAIN;
    }
    return result;
}

/* A long protect or unmap comes back for the part that is left, and until no vCPU can go by what was there before and
 * its frames are given back. Holds guest.lock. */
static int64_t partly(struct call *call, int error, uint64_t bytes, uint64_t done)
{
    bool settled = aspace_settle(call->guest);
    if (!error && (done < bytes || !settled)) {
        call->done = done;
        call->outcome = OUTCOME_AGAIN;
    }
    return error;
}

static int64_t protect_call(struct call *call, uint64_t address, uint64_t bytes, uint64_t prot,
                            uint64_t done)
{
    uint64_t part = 0;
    int error = 0;
    if (prot > UINT32_MAX) {
        return -SKEP_EINVAL;
    }
    spin_lock(&call->guest->lock);
    if (!done || done < bytes) {
        error = aspace_protect(call->guest, address + done, bytes - done, (uint32_t)prot, &part);
    }
    int64_t result = partly(call, error, bytes, done + part);
    spin_unlock(&call->guest->lock);
    return result;
}

static int64_t unmap_call(struct call *call, uint64_t address, uint64_t bytes, uint64_t done)
{
    uint64_t part = 0;
    int error = 0;
    uint32_t how = bytes & (SKEP_UNMAP_GAPS | SKEP_UNMAP_KEEP);
    bytes -= how;
    spin_lock(&call->guest->lock);
    if (!done || done < bytes) {
        error = aspace_unmap(call->guest, address + done, bytes - done, how, &part);
    }
    int64_t result = partly(call, error, bytes, done + part);
    spin_unlock(&call->guest->lock);
    return result;
}

/* A long call that was restarted. */
static OUTLINE int64_t continued_call(struct call *call, const uint64_t a[5])
{
    uint64_t done = call->number >> NUMBER_BITS << SKEP_PAGE_SHIFT;
    call->number &= (1u << NUMBER_BITS) - 1;
    if (done > a[1]) {
        return -SKEP_ENOSYS;
    }
    call->vcpu->hypercalls[SKEP_HC_GUEST_COUNT]--; /* its first part has been counted */
    arch_cpu()->hypercalls--;
    switch (call->number) {
    case SKEP_HC_MEM_PROTECT:
        return protect_call(call, a[0], a[1], a[2], done);
    case SKEP_HC_MEM_UNMAP:
        return unmap_call(call, a[0], a[1], done);
    default:
        return -SKEP_ENOSYS;
    }
}

static OUTLINE int64_t vcpu_start_call(struct call *call, uint64_t index, uint64_t address)
{
    struct skep_context context;
    int error = gmem_copy_in(call->guest, &context, gva(address), sizeof(context));
    if (error) {
        return checked(call, address, error);
    }
    return index < GUEST_VCPUS_MAX ? guest_vcpu_start(call->guest, (uint32_t)index, &context)
                                   : -SKEP_EINVAL;
}

static OUTLINE int64_t event_send_call(struct call *call, uint64_t index, uint64_t event)
{
    /* Those beyond a lowered vcpu_count included: siblings ask them to stop. */
    struct vcpu *vcpu = guest_vcpu(call->guest, index);
    if (!vcpu || event >= SKEP_EVENT_COUNT) {
        return -SKEP_EINVAL;
    }
    event_raise(vcpu, (uint32_t)event);
    return 0;
}

/* A vCPU's own time on its CPU. */
static OUTLINE int64_t vcpu_call(struct call *call, uint64_t deadline_ns)
{
    switch (call->number) {
    case SKEP_HC_YIELD:
        sched_pass(call->vcpu);
        break;
    case SKEP_HC_TIMER_SET:
        timer_event_set(call->vcpu, deadline_ns);
        break;
    default:
        sched_off(call->vcpu);
        call->outcome = OUTCOME_GONE;
    }
    return 0;
}

static OUTLINE int64_t queue_setup_call(struct call *call, uint64_t address)
{
    struct skep_queue_setup setup;
    int error = gmem_copy_in(call->guest, &setup, gva(address), sizeof(setup));
    if (error) {
        return checked(call, address, error);
    }
    return checked(call, address, io_queue_setup(call->vcpu, &setup));
}

static int64_t queue_kick_call(struct call *call, uint64_t queue)
{
    return queue < SKEP_QUEUE_COUNT ? io_queue_kick(call->vcpu, (uint32_t)queue) : -SKEP_EINVAL;
}

static OUTLINE int64_t base_set_call(struct call *call, uint64_t which, uint64_t value)
{
    return which <= 1 ? arch_vcpu_base_set(call->vcpu, (uint32_t)which, value) : -SKEP_EINVAL;
}

static OUTLINE int64_t net_group_call(const struct call *call, uint64_t device, uint64_t mac,
                                      uint64_t join)
{
    return device < SKEP_NETS_MAX && mac >> 48 == 0 && join <= 1
               ? io_net_group(call->guest, (uint32_t)device, mac, join != 0)
               : -SKEP_EINVAL;
}

static OUTLINE int64_t control_entry(struct call *call, const uint64_t arguments[5])
{
    if (!call->guest->is_control) {
        return call->number < SKEP_CTL_END ? -SKEP_EPERM : -SKEP_ENOSYS;
    }
    bool again = false;
    int64_t result = control_call(call->vcpu, call->number, arguments, &again);
    if (again) {
        return partly(call, 0, 1, 0); /* the image knows how far it is */
    }
    return result == -SKEP_EFAULT ? checked(call, 0, result) : result;
}

/* Calls that do more than a few instructions. */
static int64_t dispatch_long(struct call *call, const uint64_t a[5])
{
    switch (call->number) {
    case SKEP_HC_CONSOLE_WRITE:
        return console_write_call(call, a[0], a[1]);
    case SKEP_HC_CONSOLE_READ:
        return console_read_call(call, a[0], a[1]);
    case SKEP_HC_EXIT:
        return exit_call(call, a[0]);
    case SKEP_HC_ABORT:
        return abort_call(call, a[0], a[1]);
    case SKEP_HC_MEM_MAP:
        return map_call(call, a[0], a[1], a[2]);
    case SKEP_HC_MEM_PROTECT:
        return protect_call(call, a[0], a[1], a[2], 0);
    case SKEP_HC_MEM_UNMAP:
        return unmap_call(call, a[0], a[1], 0);
    case SKEP_HC_VCPU_START:
        return vcpu_start_call(call, a[0], a[1]);
    case SKEP_HC_QUEUE_SETUP:
        return queue_setup_call(call, a[0]);
    case SKEP_HC_QUEUE_KICK:
        return queue_kick_call(call, a[0]);
    default:
        return continued_call(call, a);
    }
}

/* They are in the trace; the others would fill it, or have records of their own. */
static OUTLINE int64_t traced_call(struct call *call, const uint64_t a[5])
{
    int64_t result = dispatch_long(call, a);
    trace_vcpu(call->vcpu, arch_clock_ns(), SKEP_TRACE_HYPERCALL, call->number, (uint64_t)result);
    return result;
}

static int64_t dispatch(struct call *call, const uint64_t a[5])
{
    switch (call->number) {
    case SKEP_HC_CONSOLE_WRITE:
    case SKEP_HC_CONSOLE_READ:
    case SKEP_HC_EXIT:
    case SKEP_HC_ABORT:
    case SKEP_HC_MEM_MAP:
    case SKEP_HC_MEM_PROTECT:
    case SKEP_HC_MEM_UNMAP:
    case SKEP_HC_VCPU_START:
    case SKEP_HC_QUEUE_SETUP:
    case SKEP_HC_QUEUE_KICK:
        return traced_call(call, a);
    case SKEP_HC_WAIT:
        return wait_call(call, a[0]);
    case SKEP_HC_YIELD:
    case SKEP_HC_TIMER_SET:
    case SKEP_HC_VCPU_STOP:
        return vcpu_call(call, a[0]);
    case SKEP_HC_CLOCK_READ:
        return (int64_t)arch_clock_ns();
    case SKEP_HC_RESUME:
        return resume_call(call, a[0]);
    case SKEP_HC_EVENT_SEND:
        return event_send_call(call, a[0], a[1]);
    case SKEP_HC_BASE_SET:
        return base_set_call(call, a[0], a[1]);
    case SKEP_HC_NET_GROUP:
        return net_group_call(call, a[0], a[1], a[2]);
    default:
        if (call->number >> NUMBER_BITS) {
            return traced_call(call, a);
        }
        return call->number >= SKEP_HC_CONTROL_FIRST ? control_entry(call, a) : -SKEP_ENOSYS;
    }
}

/* The budget of the null hypercall is spent here: no array lives in this frame, so it needs no stack check. */
__attribute__((no_stack_protector)) bool hypercall_entry(struct vcpu *vcpu, uint64_t number,
                                                         const uint64_t arguments[5])
{
    struct call call;
    call.vcpu = vcpu;
    call.guest = vcpu->guest;
    call.number = number;
    call.outcome = OUTCOME_RESULT;
    vcpu->hypercalls[number < SKEP_HC_GUEST_COUNT ? number : SKEP_HC_GUEST_COUNT]++;
    arch_cpu()->hypercalls++;
    int64_t result = dispatch(&call, arguments);
    if (call.outcome == OUTCOME_RESULT) {
        arch_vcpu_result_set(&vcpu->arch, result);
        return sched_goes_on(arch_cpu());
    }
    if (call.outcome == OUTCOME_AGAIN) {
        arch_vcpu_hypercall_rewind(&vcpu->arch,
                                   call.number | call.done >> SKEP_PAGE_SHIFT << NUMBER_BITS);
    }
    return false;
}
