/*
 * trap.h - what an architecture calls when something enters ring 0. Interrupts are off, the interrupted vCPU's
 * registers are in its struct, and the CPU's own stack is in use. After each of these (but hypercall_entry's fast
 * return) the architecture calls core_resume().
 */
#ifndef CORE_TRAP_H
#define CORE_TRAP_H

#include "arch/arch.h"

/* The boot CPU's C entry; the direct map and the boot CPU's struct cpu (cpu_at(0)) work. */
_Noreturn void core_main(const struct boot_info *boot);

/* The C entry of each further CPU. */
_Noreturn void core_cpu_main(struct cpu *cpu);

/* A hypercall of the vCPU loaded here. True: the vCPU goes on at once with the result that was set (the caller may
 * return by the short way). False: call core_resume(). */
bool hypercall_entry(struct vcpu *vcpu, uint64_t number, const uint64_t arguments[5]);

/* A page fault in ring 3; `error` has SKEP_FAULT_… bits. */
void trap_page_fault(struct vcpu *vcpu, gva_t address, uint32_t error);

/* Any other exception in ring 3. */
void trap_fault(struct vcpu *vcpu, enum skep_crash_reason reason, uint64_t address, uint64_t error);

void trap_timer(void);
void trap_ipi(void);

/* Picks what runs next on this CPU and goes there. */
_Noreturn void core_resume(void);

#endif
