/*
 * vcpu.c - the vCPUs beyond the first: their memory, their start, and changes of their number.
 *
 * Each has one mapping, from low to high: a guard page, the stack for upcalls and the scheduler, struct
 * vcpu. It is kept when the vCPU stops, for its next start.
 */
#include "internal.h"

#define STACK_AND_VCPU_BYTES round_up(VCPU_STACK_BYTES + sizeof(struct vcpu), SKEP_PAGE_SIZE)

/* vCPU 0's is there before anything can be mapped. */
static struct {
    _Alignas(SKEP_PAGE_SIZE) char guard[SKEP_PAGE_SIZE];
    _Alignas(64) char stack[VCPU_STACK_BYTES];
    struct vcpu vcpu;
} first;

/* By index, NULL = has never run; vCPU 0 alone writes it. */
static struct vcpu *_Atomic vcpus[VCPUS_MAX];

static _Atomic bool tells_faults;

static void tell_faults(struct vcpu *vcpu)
{
    __atomic_store_n(&vcpu->page->fault_entry, (uint64_t)skep_fault_entry, __ATOMIC_RELAXED);
}

/* Who adds a vCPU looks at the flag afterwards, and this at the vCPUs after it has set it: one of the two tells. */
void skep_vcpus_tell_faults(void)
{
    atomic_store_explicit(&tells_faults, true, memory_order_seq_cst);
    for (uint32_t i = 0; i < VCPUS_MAX; i++) {
        struct vcpu *vcpu = atomic_load_explicit(&vcpus[i], memory_order_seq_cst);
        if (vcpu != NULL)
            tell_faults(vcpu);
    }
}

void skep_vcpu_init(struct vcpu *vcpu, uint32_t index, uint64_t stack_top, uint64_t canary)
{
    vcpu->index = index;
    vcpu->bit = 1u << index;
    vcpu->stack_top = stack_top;
    vcpu->timer_at_ns = SKEP_FOREVER;
    vcpu->idle.self = &vcpu->idle;
    vcpu->idle.canary = canary;
    vcpu->page = (struct skep_vcpu_page *)(skep_info->vcpu_pages + index * SKEP_PAGE_SIZE);
    /* Masked first: the first vCPU runs already, and once there is an entry each look of ring 0 at it may be an upcall. */
    atomic_store_explicit(&vcpu->page->upcall_masked, 1, memory_order_relaxed);
    uint64_t events = 1ull << SKEP_EVENT_TIMER | 1ull << SKEP_EVENT_IPI;
    if (index == 0)
        events |= 1ull << SKEP_EVENT_SHUTDOWN | 1ull << SKEP_EVENT_CHANGE;
    atomic_store_explicit(&vcpu->page->mask, ~events, memory_order_relaxed);
    vcpu->page->guest_private[0] = (uint64_t)vcpu;
    vcpu->page->upcall_stack = stack_top;
    atomic_signal_fence(memory_order_seq_cst);
    vcpu->page->upcall_entry = (uint64_t)skep_upcall_entry;
}

struct vcpu *skep_vcpu_first(uint64_t canary)
{
    skep_hc_mem_protect((uint64_t)first.guard, sizeof(first.guard), SKEP_PROT_NONE);
    skep_vcpu_init(&first.vcpu, 0, (uint64_t)first.stack + sizeof(first.stack), canary);
    vcpus[0] = &first.vcpu;
    return &first.vcpu;
}

/* NULL: there is no memory. */
static struct vcpu *create(uint32_t index)
{
    uint64_t bytes = SKEP_PAGE_SIZE + STACK_AND_VCPU_BYTES;
    int64_t base = skep_hc_mem_map(0, bytes, SKEP_PROT_NONE);
    if (base < 0)
        return NULL;
    uint64_t stack = (uint64_t)base + SKEP_PAGE_SIZE;
    if (skep_hc_mem_protect(stack, STACK_AND_VCPU_BYTES, SKEP_PROT_READ | SKEP_PROT_WRITE) < 0) {
        skep_hc_mem_unmap((uint64_t)base, bytes);
        return NULL;
    }
    uint64_t top = (stack + STACK_AND_VCPU_BYTES - sizeof(struct vcpu)) & ~63ull;
    struct vcpu *vcpu = (struct vcpu *)top;
    skep_vcpu_init(vcpu, index, top, first.vcpu.idle.canary);
    return vcpu;
}

static int64_t start(struct vcpu *vcpu)
{
    struct skep_context context = {
        .rip = (uint64_t)skep_sched_run,
        .rdi = (uint64_t)vcpu,
        .rsp = vcpu->stack_top - 8, /* as after a call */
        .fs_base = (uint64_t)&vcpu->idle,
        .gs_base = (uint64_t)vcpu->page,
    };
    vcpu->fs_base = context.fs_base;
    int64_t error;
    /* Busy: it is a few instructions away from its SKEP_HC_VCPU_STOP. */
    while ((error = skep_hc_vcpu_start(vcpu->index, &context)) == -SKEP_EBUSY)
        skep_hc_yield();
    return error;
}

/* A vCPU for which there is no memory now is left out; the guest runs on the others. */
static void ensure_runs(uint32_t index)
{
    if (vcpus[index] == NULL)
        vcpus[index] = create(index);
    struct vcpu *vcpu = vcpus[index];
    if (vcpu != NULL && atomic_load_explicit(&tells_faults, memory_order_seq_cst))
        tell_faults(vcpu);
    if (vcpu != NULL && skep_sched_vcpu_on(vcpu) && start(vcpu) < 0)
        skep_sched_vcpu_failed(vcpu);
}

uint64_t skep_cpu_ns(void)
{
    uint64_t ns = 0;
    for (uint32_t i = 0; i < VCPUS_MAX; i++) {
        const struct vcpu *vcpu = atomic_load_explicit(&vcpus[i], memory_order_acquire);
        ns += vcpu == NULL ? 0 : vcpu->page->run_ns;
    }
    return ns;
}

void skep_vcpus_adjust(void)
{
    uint32_t count = atomic_load_explicit(&skep_info->vcpu_count, memory_order_relaxed);
    for (uint32_t i = 1; i < skep_info->vcpu_max && i < VCPUS_MAX; i++) {
        if (i < count)
            ensure_runs(i);
        else if (vcpus[i] != NULL)
            skep_sched_vcpu_off(vcpus[i]);
    }
}
