/*
 * trap.c - what each interrupt and fault means; the C side of entry.S.
 */
#include "core/trap.h"

#include "core/cpu.h"
#include "core/log.h"
#include "core/string.h"
#include "core/vcpu.h"
#include "entry.h"
#include "internal.h"
#include "x86.h"

#define FAULT_USER     4u
#define FAULT_RESERVED 8u /* a reserved bit in a page-table entry: our own error */

#define CPUID_MCA         (1u << 14)
#define MCG_RIPV          1ull
#define MC_STATUS_VALID   (1ull << 63)
#define MC_STATUS_CORRUPT (1ull << 57) /* PCC: the processor's context is */
#define MC_BANK_REGISTERS 4u

extern const char entry_idle_end[];

struct fixup {
    uint64_t fault, resume;
};
extern const struct fixup fixups_start[], fixups_end[];

static enum skep_crash_reason reason_of(uint64_t vector)
{
    switch (vector) {
    case VECTOR_DIVIDE:
        return SKEP_CRASH_DIVIDE;
    case VECTOR_DEBUG:
        return SKEP_CRASH_DEBUG;
    case VECTOR_BREAKPOINT:
        return SKEP_CRASH_BREAKPOINT;
    case VECTOR_OVERFLOW:
        return SKEP_CRASH_OVERFLOW;
    case VECTOR_BOUND:
        return SKEP_CRASH_BOUND;
    case VECTOR_INVALID_OPCODE:
        return SKEP_CRASH_INVALID_OPCODE;
    case VECTOR_STACK_FAULT:
        return SKEP_CRASH_STACK_FAULT;
    case VECTOR_FPU:
        return SKEP_CRASH_FPU;
    case VECTOR_ALIGNMENT:
        return SKEP_CRASH_ALIGNMENT;
    case VECTOR_MACHINE_CHECK:
        return SKEP_CRASH_MACHINE_CHECK;
    case VECTOR_SIMD:
        return SKEP_CRASH_SIMD;
    default:
        return SKEP_CRASH_PROTECTION;
    }
}

/* Intel SDM volume 3, 16.8: all banks report all errors. What they hold from before is the firmware's
 * business. */
void trap_cpu_init(void)
{
    uint64_t banks = cpuid(1, 0).edx & CPUID_MCA ? msr_read(MSR_MCG_CAP) & 0xff : 0;

    for (uint32_t i = 0; i < banks; i++) {
        msr_write_safe(MSR_MC0_CONTROL + MC_BANK_REGISTERS * i, UINT64_MAX);
        msr_write_safe(MSR_MC0_STATUS + MC_BANK_REGISTERS * i, 0);
    }
}

/* Looks at the machine-check banks (Intel SDM volume 3, 16.3.2) and clears them. True when the CPU
 * can go on and only what ring 3 did is lost. */
static bool machine_check_contained(void)
{
    uint64_t banks = msr_read(MSR_MCG_CAP) & 0xff;
    bool contained = msr_read(MSR_MCG_STATUS) & MCG_RIPV;

    for (uint32_t i = 0; i < banks; i++) {
        uint64_t status = msr_read(MSR_MC0_STATUS + MC_BANK_REGISTERS * i);

        if (status & MC_STATUS_VALID) {
            log_line("machine check: bank %u status %lx", i, (unsigned long)status);
            contained = contained && !(status & MC_STATUS_CORRUPT);
        }
    }
    if (contained) {
        for (uint32_t i = 0; i < banks; i++) {
            msr_write(MSR_MC0_STATUS + MC_BANK_REGISTERS * i, 0);
        }
        msr_write(MSR_MCG_STATUS, 0);
    }
    return contained;
}

/* Interrupts only; each is one-shot, so nothing is lost when ring 0 finds its own reason gone. */
static void interrupt(uint64_t vector)
{
    switch (vector) {
    case VECTOR_TIMER:
        apic_eoi();
        apic_timer_interrupt();
        break;
    case VECTOR_IPI:
        apic_eoi();
        trap_ipi();
        break;
    case VECTOR_LAPIC_ERROR:
        apic_eoi();
        break;
    case VECTOR_SPURIOUS:
        break; /* no EOI: Intel SDM volume 3, 11.9 */
    default:
        if (vector >= VECTOR_MSI_FIRST && vector <= VECTOR_MSI_LAST) {
            apic_eoi();
            apic_interrupt((uint32_t)vector);
        }
        break;
    }
}

static void fault(struct vcpu *vcpu, uint64_t vector, uint64_t error)
{
    uint64_t address = vcpu->arch.context.rip;

    if (vector == VECTOR_MACHINE_CHECK && !machine_check_contained()) {
        panic("machine check that can't be contained");
    }
    if (vector == VECTOR_DEBUG) {
        dr6_write(0xffff0ff0);
    }
    trap_fault(vcpu, reason_of(vector), address, error);
}

static void page_fault(struct vcpu *vcpu, uint64_t error)
{
    uint64_t address = cr2_read();

    if (error & FAULT_RESERVED) {
        panic("corrupt page table at %lx", (unsigned long)address);
    }
    if (!(error & FAULT_USER)) {
        /* An access that an instruction of ring 3 makes with ring 0's rights: to a descriptor table, or, on QEMU, to
         * the stack by iretq. No page that is supplied would end it. */
        trap_fault(vcpu, SKEP_CRASH_PAGE_FAULT, address, error);
        return;
    }
    trap_page_fault(vcpu, gva(address),
                    error & (SKEP_FAULT_PRESENT | SKEP_FAULT_WRITE | SKEP_FAULT_EXEC));
}

_Noreturn void trap_from_guest(struct vcpu *vcpu, uint64_t vector, uint64_t error)
{
    if (vector == VECTOR_PAGE_FAULT) {
        page_fault(vcpu, error);
    } else if (vector >= VECTOR_PIC) {
        interrupt(vector);
    } else {
        fault(vcpu, vector, error);
    }
    core_resume();
}

static bool fixup_apply(struct trap_frame *frame)
{
    for (const struct fixup *fixup = fixups_start; fixup < fixups_end; fixup++) {
        if (fixup->fault == frame->rip) {
            frame->rip = fixup->resume;
            return true;
        }
    }
    return false;
}

void trap_from_core(struct trap_frame *frame)
{
    if (frame->vector >= VECTOR_PIC) {
        if (frame->rip >= (uint64_t)entry_idle && frame->rip < (uint64_t)entry_idle_end) {
            interrupt(frame->vector);
            core_resume();
        }
        panic_trap(frame); /* interrupts are off everywhere else */
    }
    if (frame->vector != VECTOR_PROTECTION || !fixup_apply(frame)) {
        panic_trap(frame);
    }
}

/* In debug builds `debug=panic` has an NMI (QEMU's monitor: `nmi`) cause a panic, and `debug=hang` has it stop the last
 * CPU for good, so that tests see what follows. */
static __attribute__((noinline)) void debug_nmi(const struct entry_cpu *entry)
{
    char value[8] = "";

    arch_option("debug", value, sizeof(value));
    if (strcmp(value, "panic") == 0) {
        msr_write(MSR_GS_BASE, (uint64_t)entry);
        panic("asked for by debug=panic");
    }
    while (strcmp(value, "hang") == 0 && entry->cpu->index == cpu_count() - 1) {
        arch_spin_hint();
    }
}

/* From anywhere, ring 0's entry code included: nothing here may rely on the GS base. */
void trap_paranoid(struct entry_cpu *entry, struct trap_frame *frame)
{
    if (frame->vector == VECTOR_NMI) {
        if (panic_running()) {
            cpu_halt();
        }
        if (SKEP_DEBUG) {
            debug_nmi(entry);
        }
        return; /* nobody claims it */
    }
    if (frame->vector == VECTOR_DEBUG) {
        dr6_write(0xffff0ff0); /* ring 0 sets no breakpoints, and a guest can't either */
        dr7_write(0);
        return;
    }
    msr_write(MSR_GS_BASE, (uint64_t)entry);
    panic_trap(frame);
}
