/*
 * entry.h - how ring 3 enters ring 0 and leaves it.
 *
 * Each CPU has an entry area: what the CPU itself touches on entry (GDT, TSS, stacks) and what the
 * entry code needs before ring 0's own page tables are in place. With page-table isolation the entry
 * areas, the IDT and the section .entry.text are all that ring 3's page tables hold of ring 0.
 *
 *   page 0       struct entry_cpu; the GS base in ring 0
 *   page 2       stack for interrupts and faults from ring 3, left at once (TSS.RSP0)
 *   pages 4, 7, 10, 13   and one more each: the stacks of NMI, #MC, #DF and #DB
 * All others are unmapped, so that an overflow is a fault. An area is aligned to its size: the
 * handlers on IST stacks may have interrupted any instruction, a guest's GS base included, and find
 * struct entry_cpu from their stack pointer.
 */
#ifndef ENTRY_H
#define ENTRY_H

#include "arch/arch.h"

#define ENTRY_AREA_PAGES    (ENTRY_AREA_BYTES / SKEP_PAGE_SIZE)
#define ENTRY_STACK_PAGE    2u
#define ENTRY_IST_PAGE(ist) (4u + 3u * (ist)) /* two pages each */
#define ENTRY_IDT           ENTRY_BASE
#define ENTRY_AREAS         (ENTRY_BASE + 0x100000)
#define CPU_STACK_BYTES     16384u

enum ist { IST_NMI, IST_MACHINE_CHECK, IST_DOUBLE_FAULT, IST_DEBUG, IST_COUNT };

enum vector {
    VECTOR_DIVIDE = 0,
    VECTOR_DEBUG = 1,
    VECTOR_NMI = 2,
    VECTOR_BREAKPOINT = 3,
    VECTOR_OVERFLOW = 4,
    VECTOR_BOUND = 5,
    VECTOR_INVALID_OPCODE = 6,
    VECTOR_DOUBLE_FAULT = 8,
    VECTOR_STACK_FAULT = 12,
    VECTOR_PROTECTION = 13,
    VECTOR_PAGE_FAULT = 14,
    VECTOR_FPU = 16,
    VECTOR_ALIGNMENT = 17,
    VECTOR_MACHINE_CHECK = 18,
    VECTOR_SIMD = 19,
    VECTOR_PIC = 32, /* the legacy controllers' 16, masked: only spurious ones come */
    VECTOR_MSI_FIRST = 48,
    VECTOR_MSI_LAST = 239,
    VECTOR_TIMER = 240,
    VECTOR_IPI = 241,
    VECTOR_LAPIC_ERROR = 242,
    VECTOR_SPURIOUS = 255,
};

/* Intel SDM volume 3, 8.7: the 64-bit task-state segment. */
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map;
} __attribute__((packed));

struct entry_cpu {
    struct cpu *cpu;
    struct vcpu *vcpu;   /* loaded here; NULL = none */
    uint64_t stack;      /* top of the CPU's own stack */
    uint64_t rsp0;       /* top of the entry stack, as in the TSS */
    uint64_t scratch;    /* a guest register while the CPU has no stack */
    uint64_t kernel_cr3; /* with isolation: of ring 0 */
    uint64_t user_cr3;   /* with isolation: of the loaded vCPU */
    uint64_t verw;       /* a selector, operand of VERW */
    struct entry_cpu *self;
    uint64_t call_stack; /* stack - 8: aligned after five arguments of a system call */
    uint64_t root;       /* in CR3 now (without isolation), or in user_cr3 */
    uint64_t gdt[8];
    _Alignas(16) struct tss tss;
};

/* What is on the stack of a trap from ring 0, and of every trap on an IST stack. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* ---- entry.S ---- */
extern const char entry_stubs[]; /* 256 stubs of 16 bytes */
void entry_syscall(void);
_Noreturn void entry_return_sysret(void);
_Noreturn void entry_return_iret(void);
_Noreturn void entry_idle(uint64_t stack);
_Noreturn void entry_call_on_stack(uint64_t stack, void (*function)(void));

/* ---- entry.c ---- */

/* Intel SDM volume 3, 6.14.1: a gate of the IDT. */
struct gate {
    uint16_t offset0, selector;
    uint8_t ist, type;
    uint16_t offset1;
    uint32_t offset2, reserved;
};
extern struct gate entry_idt[256]; /* read-only at ENTRY_IDT */

/* Turns the alternatives of one kind (PATCH_…) on. Boot CPU, while the text can still be written. */
void entry_patch(uint32_t kind);

/* Fills in the IDT. Boot CPU, once. */
void entry_idt_init(void);

/* Makes this CPU use it, at the address given; before entry_cpu_init() only for msr_read_safe(). */
void entry_idt_load(uint64_t address);

/* Gives this CPU its GDT, TSS, IDT, GS base and SYSCALL registers. */
void entry_cpu_init(struct cpu *cpu, struct entry_cpu *entry, uint64_t stack);

static inline struct entry_cpu *entry_area(uint32_t index)
{
    return (struct entry_cpu *)(ENTRY_AREAS + (uint64_t)index * ENTRY_AREA_BYTES);
}

/* ---- trap.c: the C side of entry.S ---- */
void trap_cpu_init(void); /* each CPU: machine-check reporting */
_Noreturn void trap_from_guest(struct vcpu *vcpu, uint64_t vector, uint64_t error);
void trap_from_core(struct trap_frame *frame);
void trap_paranoid(struct entry_cpu *entry, struct trap_frame *frame);

#endif
