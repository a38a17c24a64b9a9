/*
 * entry.S - the ways into ring 0 and out of it (entry.h tells what lies where).
 *
 * A guest's registers go straight into its struct vcpu. Between SWAPGS and the switch of stacks RSP
 * is used as an ordinary register: interrupts are off, and NMI, #MC, #DB and #DF have stacks of
 * their own. With isolation, CR3 is switched by code that both page tables hold (.entry.text).
 */
#include "x86_offsets.h"

/* Skips the code up to the label `to`, unless boot patched the jump away. */
.macro UNLESS kind, to
9:  .byte 0xeb, \to - 8f
8:  .pushsection .patches, "a"
    .quad 9b
    .quad \kind
    .popsection
.endm

.macro CR3_TO_KERNEL register
    UNLESS PATCH_PTI, 7f
    mov %gs:ENTRY_KERNEL_CR3, \register
    mov \register, %cr3
7:
.endm

.macro CR3_TO_USER register
    UNLESS PATCH_PTI, 7f
    mov %gs:ENTRY_USER_CR3, \register
    mov \register, %cr3
7:
.endm

/* A guest may have set AC, which would lift SMAP. */
.macro CLEAR_AC
    UNLESS PATCH_SMAP, 7f
    clac
7:
.endm

/* Overwrites the CPU's buffers (MDS: Intel's "Deep Dive: Microarchitectural Data Sampling"). */
.macro CLEAR_BUFFERS
    UNLESS PATCH_VERW, 7f
    verw %gs:ENTRY_VERW
7:
.endm

/* The registers of struct skep_context in its order; CTX_rax and so on are their offsets. */
    .set offset, 0
    .irp r, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags
    .set CTX_\r, offset
    .set offset, offset + 8
    .endr

.macro SAVE vcpu, registers:vararg
    .irp r, \registers
    mov %\r, CTX_\r(\vcpu)
    .endr
.endm

.macro LOAD vcpu, registers:vararg
    .irp r, \registers
    mov CTX_\r(\vcpu), %\r
    .endr
.endm

/* All but RDI and RSP, which the two ways in save each in its own way. */
.macro SAVE_MOST vcpu
    SAVE \vcpu, rax, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
.endm

/* struct trap_frame */
.macro PUSH_ALL
    .irp r, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    push %\r
    .endr
.endm

.macro POP_ALL
    .irp r, r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
    pop %\r
    .endr
.endm

/* ---- system calls ---- */

    .section .entry.text, "ax"
    .balign 64
    .globl entry_syscall
    .type entry_syscall, @function
entry_syscall:
    swapgs
    mov %rsp, %gs:ENTRY_SCRATCH
    CR3_TO_KERNEL %rsp
    mov %gs:ENTRY_VCPU, %rsp
    SAVE_MOST %rsp
    SAVE %rsp, rdi
    mov %rcx, CTX_rip(%rsp)
    mov %r11, CTX_rflags(%rsp)
    mov %rsp, %rcx
    mov %gs:ENTRY_SCRATCH, %rbp
    mov %rbp, CTX_rsp(%rcx)
    mov %gs:ENTRY_CALL_STACK, %rsp
    push %r8
    push %r10
    push %rdx
    push %rsi
    push %rdi
    xor %ebp, %ebp
    mov %rcx, %rdi
    mov %rax, %rsi
    mov %rsp, %rdx
    call hypercall_entry
    test %al, %al
    jz 3f
    mov %gs:ENTRY_VCPU, %rsp
    mov CTX_rflags(%rsp), %r11
    mov CTX_rip(%rsp), %rcx
    testl $RFLAGS_SPECIAL, %r11d /* RIP is canonical: no guest has the last page below 2^47 */
    jnz 2f
1:  LOAD %rsp, rdx, rsi, rdi, rbp, r8, r9, r10
    mov CTX_rsp(%rsp), %rax
    mov %rax, %gs:ENTRY_SCRATCH
    mov CTX_rax(%rsp), %rax
    CLEAR_BUFFERS
    CR3_TO_USER %rsp
    mov %gs:ENTRY_SCRATCH, %rsp
    swapgs
    sysretq
2:  mov %rsp, %rdi
    mov %gs:ENTRY_STACK, %rsp
    call arch_vcpu_resume
3:  call core_resume
    ud2

/* Returns from a system call after other things were done: the registers that C preserves, too. */
    .globl entry_return_sysret
    .type entry_return_sysret, @function
entry_return_sysret:
    mov %gs:ENTRY_VCPU, %rsp
    mov CTX_rflags(%rsp), %r11
    mov CTX_rip(%rsp), %rcx
    LOAD %rsp, rbx, r12, r13, r14, r15
    jmp 1b

    .globl entry_return_iret
    .type entry_return_iret, @function
entry_return_iret:
    mov %gs:ENTRY_VCPU, %rdi
    mov %gs:ENTRY_RSP0, %rsp
    push $SELECTOR_USER_DATA
    push CTX_rsp(%rdi)
    push CTX_rflags(%rdi)
    push $SELECTOR_USER_CODE
    push CTX_rip(%rdi)
    push CTX_rdi(%rdi)
    LOAD %rdi, rax, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    CLEAR_BUFFERS
    CR3_TO_USER %rdi
    pop %rdi
    swapgs
entry_iretq:
    iretq

/* ---- interrupts and faults ---- */

/* One stub a vector, 16 bytes each. These push an error code themselves: Intel SDM volume 3, 6.13. */
    .balign 16
    .globl entry_stubs
    .type entry_stubs, @function
entry_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
    .else
    push $0
    .endif
    pushq $vector
    .if vector == 1 || vector == 18
    jmp entry_paranoid_core
    .elseif vector == 2 || vector == 8
    jmp entry_paranoid
    .else
    jmp entry_trap
    .endif
    .set vector, vector + 1
    .endr

    .balign 64
    .type entry_trap, @function
entry_trap:
    testb $3, TRAP_CS(%rsp)
    jz entry_core
entry_guest:
    swapgs
    lfence /* no speculation with the guest's GS base */
    CLEAR_AC
    cld
    mov %rdi, %gs:ENTRY_SCRATCH
    CR3_TO_KERNEL %rdi
    mov %gs:ENTRY_VCPU, %rdi
    SAVE_MOST %rdi
    mov %gs:ENTRY_SCRATCH, %rax
    mov %rax, CTX_rdi(%rdi)
    mov TRAP_RIP(%rsp), %rax
    mov %rax, CTX_rip(%rdi)
    mov TRAP_RFLAGS(%rsp), %rax
    mov %rax, CTX_rflags(%rdi)
    mov TRAP_RSP(%rsp), %rax
    mov %rax, CTX_rsp(%rdi)
entry_guest_saved:
    mov TRAP_VECTOR(%rsp), %rsi
    mov TRAP_ERROR(%rsp), %rdx
    mov %gs:ENTRY_STACK, %rsp
    xor %ebp, %ebp
    call trap_from_guest
    ud2

/* A trap in ring 0. A fault of the IRETQ above is the guest's: its registers are still in its struct,
 * the CPU's are the guest's, and GS and CR3 are the guest's already. */
    .type entry_core, @function
entry_core:
    push %rax
    lea entry_iretq(%rip), %rax
    cmp %rax, 8 + TRAP_RIP(%rsp)
    pop %rax
    je 1f
    PUSH_ALL
    lfence /* as above, the other way round */
    cld
    mov %rsp, %rdi
    mov %rsp, %rbx
    xor %ebp, %ebp
    and $-16, %rsp
    call trap_from_core
    mov %rbx, %rsp
    POP_ALL
    add $16, %rsp
    iretq
1:  swapgs
    CR3_TO_KERNEL %rdi
    mov %gs:ENTRY_VCPU, %rdi
    jmp entry_guest_saved

/* #DB and #MC: like any fault when they come from ring 3. */
    .type entry_paranoid_core, @function
entry_paranoid_core:
    testb $3, TRAP_CS(%rsp)
    jnz entry_guest

/* On an IST stack, from anywhere. GS and CR3 are whoever's; GS stays as it is. */
    .type entry_paranoid, @function
entry_paranoid:
    PUSH_ALL
    CLEAR_AC
    cld
    mov %rsp, %rsi
    mov %rsp, %rdi
    and $-ENTRY_AREA_BYTES, %rdi
    mov %cr3, %rbx
    UNLESS PATCH_PTI, 1f
    mov ENTRY_KERNEL_CR3(%rdi), %rax
    mov %rax, %cr3
1:  xor %ebp, %ebp
    call trap_paranoid
    UNLESS PATCH_PTI, 1f
    mov %rbx, %cr3
1:  POP_ALL
    add $16, %rsp
    iretq

/* ---- ring 0's own ---- */

    .text

/* Where the compiler's indirect calls and jumps go through. Without the CPU's help against trained predictors they
 * return to their target instead, and speculation is caught in a loop (Intel's "Retpoline: A Branch Target Injection
 * Mitigation"). */
    .irp r, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    .globl __x86_indirect_thunk_\r
    .type __x86_indirect_thunk_\r, @function
__x86_indirect_thunk_\r:
    UNLESS PATCH_RETPOLINE, 3f
    call 2f
1:  pause
    lfence
    jmp 1b
2:  mov %\r, (%rsp)
    ret
3:  jmp *%\r
    .endr

/* Waits for an interrupt. STI takes effect after the next instruction: none is lost before HLT. The
 * handler never comes back (trap_from_core knows these addresses). */
    .globl entry_idle, entry_idle_end
    .type entry_idle, @function
entry_idle:
    mov %rdi, %rsp
    xor %ebp, %ebp
1:  sti
    hlt
    jmp 1b
entry_idle_end:

    .globl entry_call_on_stack
    .type entry_call_on_stack, @function
entry_call_on_stack:
    mov %rdi, %rsp
    xor %ebp, %ebp
    call *%rsi
    ud2

/* bool msr_read_safe(uint32_t msr, uint64_t *value), bool msr_write_safe(uint32_t msr, uint64_t) */
    .globl msr_read_safe, msr_write_safe
    .type msr_read_safe, @function
    .type msr_write_safe, @function
msr_read_safe:
    mov %edi, %ecx
1:  rdmsr
    mov %eax, (%rsi)
    mov %edx, 4(%rsi)
    mov $1, %eax
    ret
msr_write_safe:
    mov %edi, %ecx
    mov %esi, %eax
    mov %rsi, %rdx
    shr $32, %rdx
2:  wrmsr
    mov $1, %eax
    ret
3:  xor %eax, %eax
    ret

/* Pairs: an instruction that may fault in ring 0, and where to go on then. */
    .section .fixups, "a"
    .quad 1b, 3b
    .quad 2b, 3b
