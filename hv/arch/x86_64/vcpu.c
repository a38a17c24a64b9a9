/*
 * vcpu.c - a vCPU's registers: what ring 0 keeps, what stays in the CPU, how it gets back to ring 3.
 *
 * The integer registers are in struct arch_vcpu whenever ring 0 runs. Extended state and the FS and
 * GS bases stay in the CPU from arch_vcpu_load() to arch_vcpu_save(); ring 0 itself uses neither.
 */
#include "core/vcpu.h"
#include "core/cpu.h"
#include "core/guest.h"
#include "core/string.h"
#include "entry.h"
#include "internal.h"
#include "x86.h"

/* The legacy area (Intel SDM volume 1, 10.5.1). An XSAVE area with an empty header is all initial
 * state, but MXCSR is taken from here even so. */
#define FX_FCW        0u
#define FX_MXCSR      24u
#define FX_FCW_INIT   0x37f
#define FX_MXCSR_INIT 0x1f80

_Static_assert(VCPU_XSAVE_OFFSET % 64 == 0, "XSAVE wants 64-byte alignment");
_Static_assert(sizeof(struct vcpu) <= VCPU_XSAVE_OFFSET, "the vCPU's frame");

static struct entry_cpu *entry_here(void)
{
    struct entry_cpu *entry;

    __asm__("mov %%gs:%c1, %0" : "=r"(entry) : "i"(ENTRY_SELF));
    return entry;
}

/* ---- extended state ---- */

static void *xsave_area(struct vcpu *vcpu)
{
    return (uint8_t *)vcpu + VCPU_XSAVE_OFFSET;
}

static void xstate_init(struct vcpu *vcpu)
{
    uint8_t *area = xsave_area(vcpu);

    memset(area, 0, features.xsave_bytes);
    *(uint16_t *)(area + FX_FCW) = FX_FCW_INIT;
    *(uint32_t *)(area + FX_MXCSR) = FX_MXCSR_INIT;
}

static void xstate_save(struct vcpu *vcpu)
{
    void *area = xsave_area(vcpu);

    if (features.xsaveopt) {
        __asm__ volatile("xsaveopt64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
    } else if (features.xsave) {
        __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
    } else {
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
    }
}

static void xstate_load(struct vcpu *vcpu)
{
    void *area = xsave_area(vcpu);

    if (features.flaws.x87_leak) {
        static const uint32_t zero;

        __asm__ volatile("fnclex; emms; fildl %0" : : "m"(zero));
    }
    if (features.xsave) {
        __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
    } else {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
    }
}

/* ---- FS and GS; in ring 0 the guest's GS base waits in the register that SWAPGS exchanges ---- */

static void bases_read(struct skep_context *context)
{
    if (features.fsgsbase) {
        __asm__ volatile("rdfsbase %0" : "=r"(context->fs_base));
        context->gs_base = msr_read(MSR_KERNEL_GS_BASE);
    }
}

static void bases_write(const struct skep_context *context)
{
    if (features.fsgsbase) {
        __asm__ volatile("wrfsbase %0" : : "r"(context->fs_base));
    } else {
        msr_write(MSR_FS_BASE, context->fs_base);
    }
    msr_write(MSR_KERNEL_GS_BASE, context->gs_base);
}

/* A guest may have loaded its data selector somewhere; the next one must not see that. A load of GS takes away the base by
 * which ring 0 finds its own data, so what gives it back is in the same statement: between two of them a compiler that sees
 * all of ring 0 may put a look through GS, since nothing tells it that such a look depends on these. */
static void selectors_clear(struct entry_cpu *entry)
{
    uint64_t base = (uint64_t)entry;
    uint32_t ds, es, fs, gs;

    __asm__ volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3"
                     : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
    if ((ds | es | fs | gs) == 0) {
        return;
    }
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs; wrmsr"
                     :
                     : "r"(0), "c"(MSR_GS_BASE), "a"((uint32_t)base), "d"((uint32_t)(base >> 32))
                     : "memory");
}

/* ---- switching ---- */

void arch_vcpu_init(struct vcpu *vcpu, gva_t entry, gva_t stack, uint64_t argument)
{
    vcpu->arch.context = (struct skep_context){
        .rip = entry.value,
        .rsp = stack.value,
        .rdi = argument,
        .rflags = RFLAGS_FIXED | RFLAGS_IF,
    };
    xstate_init(vcpu);
}

void arch_vcpu_save(struct vcpu *vcpu)
{
    bases_read(&vcpu->arch.context);
    xstate_save(vcpu);
}

static void root_load(struct entry_cpu *entry, uint64_t root)
{
    if (entry->root == root) {
        return;
    }
    entry->root = root;
    if (machine.pti) {
        entry->user_cr3 = root;
    } else {
        cr3_write(root);
    }
}

/* One guest's branches must not steer another's. */
static void predictor_barrier(struct cpu *cpu, const struct guest *guest)
{
    if (cpu->arch.last_guest != guest->handle) {
        cpu->arch.last_guest = guest->handle;
        if (features.flaws.ibpb) {
            msr_write(MSR_PRED_CMD, 1);
        }
    }
}

void arch_vcpu_load(struct vcpu *vcpu)
{
    struct entry_cpu *entry = entry_here();

    entry->vcpu = vcpu;
    root_load(entry, vcpu->guest->aspace.tables.root.top.value);
    selectors_clear(entry);
    bases_write(&vcpu->arch.context);
    xstate_load(vcpu);
    predictor_barrier(entry->cpu, vcpu->guest);
}

void arch_vcpu_unload(const struct guest *space)
{
    struct entry_cpu *entry = entry_here();

    entry->vcpu = NULL;
    if (!space) {
        root_load(entry, paging_kernel_cr3());
    }
}

_Noreturn void arch_vcpu_resume(struct vcpu *vcpu)
{
    struct skep_context *context = &vcpu->arch.context;
    uint64_t flags = (context->rflags & RFLAGS_USER) | RFLAGS_FIXED | RFLAGS_IF;

    context->rflags = flags;
    /* SYSRET takes RIP from RCX and the flags from R11: right after a system call only. */
    if (context->rcx == context->rip && context->r11 == flags && !(flags & RFLAGS_SPECIAL) &&
        context->rip < SKEP_GUEST_VA_MAX) {
        entry_return_sysret();
    }
    entry_return_iret();
}

_Noreturn void arch_idle(void)
{
    entry_idle(entry_here()->stack);
}

/* ---- contexts ---- */

static bool loaded_here(const struct vcpu *vcpu)
{
    return entry_here()->vcpu == vcpu;
}

void arch_vcpu_context_get(struct vcpu *vcpu, struct skep_context *context)
{
    if (loaded_here(vcpu)) {
        bases_read(&vcpu->arch.context);
    }
    *context = vcpu->arch.context;
}

int arch_vcpu_context_set(struct vcpu *vcpu, const struct skep_context *context)
{
    if (context->rip >= SKEP_GUEST_VA_MAX || context->fs_base >= SKEP_GUEST_VA_MAX ||
        context->gs_base >= SKEP_GUEST_VA_MAX) {
        return -SKEP_EINVAL;
    }
    vcpu->arch.context = *context;
    vcpu->arch.context.rflags = (context->rflags & RFLAGS_USER) | RFLAGS_FIXED | RFLAGS_IF;
    if (loaded_here(vcpu)) {
        bases_write(&vcpu->arch.context);
    }
    return 0;
}

int arch_vcpu_base_set(struct vcpu *vcpu, uint32_t which, uint64_t value)
{
    struct skep_context *context = &vcpu->arch.context;
    bool here = loaded_here(vcpu);

    if (which > 1 || value >= SKEP_GUEST_VA_MAX) {
        return -SKEP_EINVAL;
    }
    if (here) {
        bases_read(context);
    }
    if (which == 0) {
        context->fs_base = value;
    } else {
        context->gs_base = value;
    }
    if (here) {
        bases_write(context);
    }
    return 0;
}
