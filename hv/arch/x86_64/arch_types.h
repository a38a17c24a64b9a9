/*
 * arch_types.h - x86-64's part of the door (arch/arch.h): its structures and inline functions.
 *
 * Ring 0's address space, the same in each root table but for page-table isolation (paging.c):
 *   DIRECT_BASE   all RAM, never executable; the core's own text and constants are read-only there
 *   KMAP_BASE     device registers and the CPUs' stacks, each with an unmapped page below
 *   ENTRY_BASE    the IDT and the per-CPU entry areas (entry.h)
 *   KERNEL_BASE   the core's text and data, at physical address + KERNEL_BASE
 */
#ifndef ARCH_TYPES_H
#define ARCH_TYPES_H

#include "core/types.h"
#include "x86_offsets.h"

#define DIRECT_BASE 0xffff800000000000ull
#define KMAP_BASE   0xffffc00000000000ull
#define ENTRY_BASE  0xffffff0000000000ull

/* Intel SDM volume 3, 4.5: bits of a page-table entry. */
#define PTE_PRESENT  (1ull << 0)
#define PTE_WRITE    (1ull << 1)
#define PTE_USER     (1ull << 2)
#define PTE_PWT      (1ull << 3)
#define PTE_PCD      (1ull << 4)
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY    (1ull << 6)
#define PTE_LARGE    (1ull << 7)
#define PTE_GLOBAL   (1ull << 8)
#define PTE_NX       (1ull << 63)
#define PTE_ADDRESS  0x000ffffffffff000ull

/* Ring 0 needs no guest's lower half, so that one root table serves with and without isolation. */
#define ARCH_ROOT_FRAMES 1u

struct entry_cpu;

struct arch_root {
    paddr_t top;
};

/* Written by its own CPU only, after the boot CPU filled it in. */
struct arch_cpu {
    struct entry_cpu *entry;
    uint32_t lapic_id;
    uint64_t timer_deadline_ns;
    uint64_t last_guest; /* handle of the guest whose branches the predictors may know, 0 = none */
};

/* Saved by entry.S. FS and GS bases are in the CPU while the vCPU is loaded and guests may change
 * them themselves (FSGSBASE). */
struct arch_vcpu {
    struct skep_context context;
};

static inline struct cpu *arch_cpu(void)
{
    struct cpu *cpu;

    __asm__("movq %%gs:%c1, %0" : "=r"(cpu) : "i"(ENTRY_CPU));
    return cpu;
}

static inline void arch_spin_hint(void)
{
    __asm__ volatile("pause" ::: "memory");
}

static inline void arch_lock_taken(void)
{
}

static inline void arch_lock_given(void)
{
}

static inline void arch_frames_mark(paddr_t base, uint64_t bytes, bool free)
{
    (void)base;
    (void)bytes;
    (void)free;
}

static inline void *arch_direct(paddr_t address)
{
    return (void *)(DIRECT_BASE + address.value);
}

static inline paddr_t arch_direct_paddr(const void *data)
{
    return paddr((uint64_t)data - DIRECT_BASE);
}

static inline paddr_t arch_kernel_paddr(const void *data)
{
    return paddr((uint64_t)data - KERNEL_BASE);
}

/* Accessed and dirty are set from the start: nothing reads them, and the CPU need not write them. */
static inline uint64_t arch_pte_leaf(paddr_t address, uint32_t prot)
{
    /* Without any right it stays present, so that the page isn't forgotten, but ring 3 can't use it. */
    uint64_t entry = address.value | PTE_PRESENT | PTE_ACCESSED | (prot ? PTE_USER : 0);

    if (prot & SKEP_PROT_WRITE) {
        entry |= PTE_WRITE | PTE_DIRTY;
    }
    return prot & SKEP_PROT_EXEC ? entry : entry | PTE_NX;
}

static inline uint64_t arch_pte_table(paddr_t address)
{
    return address.value | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED;
}

static inline bool arch_pte_present(uint64_t entry)
{
    return entry & PTE_PRESENT;
}

static inline bool arch_pte_usable(uint64_t entry)
{
    return entry & PTE_USER;
}

static inline bool arch_pte_writable(uint64_t entry)
{
    return entry & PTE_WRITE;
}

static inline paddr_t arch_pte_paddr(uint64_t entry)
{
    return paddr(entry & PTE_ADDRESS);
}

static inline void arch_vcpu_result_set(struct arch_vcpu *vcpu, int64_t result)
{
    vcpu->context.rax = (uint64_t)result;
}

/* SYSCALL is two bytes long. RCX and R11 are still what it left, but for the new RIP. */
static inline void arch_vcpu_hypercall_rewind(struct arch_vcpu *vcpu, uint64_t number)
{
    vcpu->context.rip -= 2;
    vcpu->context.rcx = vcpu->context.rip;
    vcpu->context.rax = number;
}

/* Fast for pages and packets; the compiler expands short copies itself. */
static inline void arch_copy(void *to, const void *from, size_t bytes)
{
    size_t words = bytes / 8, rest = bytes % 8;

    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(rest) : : "memory");
}

static inline void arch_fill(void *to, uint8_t value, size_t bytes)
{
    size_t words = bytes / 8, rest = bytes % 8;
    uint64_t pattern = value * 0x0101010101010101ull;

    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(pattern) : "memory");
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(rest) : "a"(pattern) : "memory");
}

#endif
