/*
 * arch_types.h - the fake architecture: hv/core and hv/io in Linux user space, for tests.
 *
 * "Physical" memory is an arena of the test process. The clock is virtual. Going to ring 3 or idling jumps back to
 * the test (fake.h).
 */
#ifndef ARCH_TYPES_H
#define ARCH_TYPES_H

#include "core/types.h"

#define ARCH_HOSTED      1
#define ARCH_ROOT_FRAMES 1u

#define FAKE_PTE_PRESENT 1ull
#define FAKE_PTE_WRITE   2ull
#define FAKE_PTE_USER    4ull
#define FAKE_PTE_EXEC    8ull

struct arch_root {
    uint64_t *top;
};

struct arch_cpu {
    uint64_t timer_ns;
    uint32_t ipis;  /* sent to it and not yet handled */
    uint32_t locks; /* that it holds */
    uint64_t flushes;
};

struct arch_vcpu {
    struct skep_context context;
    uint64_t saves, loads;
};

_Noreturn void fake_deadlock(void);

extern char *fake_arena;
extern struct cpu *fake_cpu; /* that the test acts as */
extern void (*fake_meanwhile)(
    void); /* called once when a hypercall's result is set next: what another CPU does then */

/* Called when a CPU has given back the last lock that it held, if it is set: what another CPU does then. */
extern void (*fake_between)(void);

static inline struct cpu *arch_cpu(void)
{
    return fake_cpu;
}

/* Called while a CPU waits, if it is set: what the device does then that it waits for. */
extern void (*fake_waiting)(void);

/* All CPUs are one thread: a lock that is held now is held for ever. */
static inline void arch_spin_hint(void)
{
    if (!fake_waiting) {
        fake_deadlock();
    }
    fake_waiting();
}

static inline void arch_lock_taken(void)
{
    ((struct arch_cpu *)fake_cpu)->locks++;
}

static inline void arch_lock_given(void)
{
    if (--((struct arch_cpu *)fake_cpu)->locks == 0 && fake_between) {
        fake_between();
    }
}

void arch_frames_mark(paddr_t base, uint64_t bytes, bool free);

static inline void *arch_direct(paddr_t address)
{
    return fake_arena + address.value;
}

static inline paddr_t arch_direct_paddr(const void *data)
{
    return paddr((uint64_t)((const char *)data - fake_arena));
}

paddr_t arch_kernel_paddr(const void *data);

static inline uint64_t arch_pte_leaf(paddr_t address, uint32_t prot)
{
    uint64_t entry = address.value | FAKE_PTE_PRESENT;
    entry |= prot & SKEP_PROT_WRITE ? FAKE_PTE_WRITE : 0;
    entry |= prot & SKEP_PROT_EXEC ? FAKE_PTE_EXEC : 0;
    return prot ? entry | FAKE_PTE_USER : entry;
}

static inline uint64_t arch_pte_table(paddr_t address)
{
    return address.value | FAKE_PTE_PRESENT | FAKE_PTE_WRITE | FAKE_PTE_USER;
}

static inline bool arch_pte_present(uint64_t entry)
{
    return entry & FAKE_PTE_PRESENT;
}

static inline bool arch_pte_usable(uint64_t entry)
{
    return entry & FAKE_PTE_USER;
}

static inline bool arch_pte_writable(uint64_t entry)
{
    return entry & FAKE_PTE_WRITE;
}

static inline paddr_t arch_pte_paddr(uint64_t entry)
{
    return paddr(page_align_down(entry));
}

static inline void arch_vcpu_result_set(struct arch_vcpu *vcpu, int64_t result)
{
    void (*meanwhile)(void) = fake_meanwhile;
    fake_meanwhile = NULL;
    vcpu->context.rax = (uint64_t)result;
    if (meanwhile) {
        meanwhile();
    }
}

static inline void arch_vcpu_hypercall_rewind(struct arch_vcpu *vcpu, uint64_t number)
{
    vcpu->context.rax = number;
    vcpu->context.rip -= 2;
}

#endif
