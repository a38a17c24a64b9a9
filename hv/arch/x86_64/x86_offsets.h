/*
 * x86_offsets.h - numbers that assembly and C share. entry.c asserts that they are what the
 * structures say.
 */
#ifndef X86_OFFSETS_H
#define X86_OFFSETS_H

/* The core is linked at its physical address + KERNEL_BASE. */
#ifdef __ASSEMBLER__
#define KERNEL_BASE 0xffffffff80000000
#else
#define KERNEL_BASE 0xffffffff80000000ull
#endif

/* struct entry_cpu, at the GS base in ring 0 */
#define ENTRY_CPU        0
#define ENTRY_VCPU       8
#define ENTRY_STACK      16
#define ENTRY_RSP0       24
#define ENTRY_SCRATCH    32
#define ENTRY_KERNEL_CR3 40
#define ENTRY_USER_CR3   48
#define ENTRY_VERW       56
#define ENTRY_SELF       64
#define ENTRY_CALL_STACK 72

#define ENTRY_AREA_BYTES 65536

/* what the vector's stub and the CPU have pushed, when nothing else was yet */
#define TRAP_VECTOR 0
#define TRAP_ERROR  8
#define TRAP_RIP    16
#define TRAP_CS     24
#define TRAP_RFLAGS 32
#define TRAP_RSP    40

/* The order is given by SYSCALL and SYSRET: Intel SDM volume 2, SYSRET. */
#define SELECTOR_KERNEL_CODE 0x08
#define SELECTOR_KERNEL_DATA 0x10
#define SELECTOR_SYSRET_BASE 0x1b
#define SELECTOR_USER_DATA   0x23
#define SELECTOR_USER_CODE   0x2b
#define SELECTOR_TSS         0x30

#define RFLAGS_FIXED 0x2 /* always 1 */
#define RFLAGS_TF    0x100
#define RFLAGS_IF    0x200
#define RFLAGS_DF    0x400
#define RFLAGS_NT    0x4000
#define RFLAGS_RF    0x10000
#define RFLAGS_AC    0x40000
/* What ring 3 may have set: the arithmetic flags, TF, DF, RF, AC and ID. */
#define RFLAGS_USER 0x250dd5
/* Not for SYSRET: a pending trap or a restarted instruction. */
#define RFLAGS_SPECIAL (RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_AC)

/* Alternatives: code that is skipped by a jump, unless boot turns the jump into a no-op. */
#define PATCH_PTI       0
#define PATCH_SMAP      1
#define PATCH_VERW      2
#define PATCH_RETPOLINE 3

/* Mailbox at the end of the page that further CPUs start in. */
#define START_CR3   0xff0
#define START_STACK 0xff8

#endif
