/*
 * switch.S - the entry of upcalls and the switch between threads.
 *
 * Offsets into struct skep_thread and struct vcpu are asserted in internal.h.
 */
#define THREAD_RSP 16
#define THREAD_EXTENDED 24
#define VCPU_CURRENT 0

/* Of the vCPU's page. */
#define GS_PENDING 0
#define GS_MASK 64
#define GS_UPCALL_MASKED 72
#define GS_VCPU 96

/* Of struct skep_context. */
#define CONTEXT_RAX 0
#define CONTEXT_RBX 8
#define CONTEXT_RCX 16
#define CONTEXT_RDX 24
#define CONTEXT_RSI 32
#define CONTEXT_RDI 40
#define CONTEXT_RBP 48
#define CONTEXT_RSP 56
#define CONTEXT_R8 64
#define CONTEXT_R9 72
#define CONTEXT_R10 80
#define CONTEXT_R11 88
#define CONTEXT_R12 96
#define CONTEXT_R13 104
#define CONTEXT_R14 112
#define CONTEXT_R15 120
#define CONTEXT_RIP 128
#define CONTEXT_RFLAGS 136

#define HC_YIELD 5
#define HC_RESUME 8

/* Bytes below RSP that leaf functions may use: libgcc's are compiled so. */
#define RED_ZONE 128

    .section .note.GNU-stack, "", @progbits

    .bss
    .balign 8
    .globl skep_xsave_mask
    .hidden skep_xsave_mask
skep_xsave_mask:
    .skip 8

    .section .rodata
    .balign 4
default_mxcsr:
    .long 0x1f80

    .text

/*
 * An upcall: ring 0 has saved the integer registers in the vCPU's page, masked upcalls and given us
 * the vCPU's stack. FPU and vector registers are still the thread's.
 */
.macro upcall_entry name, function
    .globl \name
    .hidden \name
    .type \name, @function
\name:
    xorl    %ebp, %ebp
    movq    %gs:GS_VCPU, %rdi
    movq    VCPU_CURRENT(%rdi), %rcx
    movq    THREAD_EXTENDED(%rcx), %rcx
    movl    skep_xsave_mask(%rip), %eax
    movl    4 + skep_xsave_mask(%rip), %edx
    testl   %eax, %eax
    jz      1f
    xsave64 (%rcx)
    jmp     2f
1:  fxsave64 (%rcx)
2:  fninit
    ldmxcsr default_mxcsr(%rip)
    call    \function
    ud2
    .size \name, . - \name
.endm

upcall_entry skep_upcall_entry, skep_upcall
upcall_entry skep_fault_entry, skep_fault_upcall

/*
 * skep_fault_call(function, argument, rsp, rbp): goes on in function(argument) on the stack at rsp, where the return address
 * is. RBP is for backtraces.
 */
    .globl skep_fault_call
    .hidden skep_fault_call
    .type skep_fault_call, @function
skep_fault_call:
    movq    %rdi, %rax
    movq    %rsi, %rdi
    movq    %rdx, %rsp
    movq    %rcx, %rbp
    jmp     *%rax
    .size skep_fault_call, . - skep_fault_call

/* From (RDI); RAX and RDX are changed. */
    .macro extended_restore
    movl    skep_xsave_mask(%rip), %eax
    movl    4 + skep_xsave_mask(%rip), %edx
    testl   %eax, %eax
    jz      1f
    xrstor64 (%rdi)
    jmp     2f
1:  fxrstor64 (%rdi)
2:
    .endm

/*
 * skep_fault_return(extended, context): back to where a fault was. By ring 0, as nothing may be put onto a stack that may
 * have been the reason.
 */
    .globl skep_fault_return
    .hidden skep_fault_return
    .type skep_fault_return, @function
skep_fault_return:
    extended_restore
    movq    %rsi, %rdi
    movl    $HC_RESUME, %eax
    syscall
    ud2
    .size skep_fault_return, . - skep_fault_return

/*
 * skep_resume(extended, context): back to interrupted code without ring 0, which costs a fifth of what
 * SKEP_HC_RESUME does. What is left when all other registers are loaded waits below the thread's red
 * zone. Once on that stack, and with its registers, this code is a part of the thread: the next upcall
 * may interrupt it.
 */
    .globl skep_resume
    .hidden skep_resume
    .type skep_resume, @function
skep_resume:
    extended_restore
    movq    CONTEXT_RSP(%rsi), %rax
    subq    $RED_ZONE + 24, %rax
    movq    CONTEXT_RIP(%rsi), %rcx
    movq    %rcx, 16(%rax)
    movq    CONTEXT_RFLAGS(%rsi), %rcx
    movq    %rcx, 8(%rax)
    movq    CONTEXT_RAX(%rsi), %rcx
    movq    %rcx, (%rax)
    movq    %rax, %rsp
    movq    CONTEXT_RBX(%rsi), %rbx
    movq    CONTEXT_RCX(%rsi), %rcx
    movq    CONTEXT_RDX(%rsi), %rdx
    movq    CONTEXT_RDI(%rsi), %rdi
    movq    CONTEXT_RBP(%rsi), %rbp
    movq    CONTEXT_R8(%rsi), %r8
    movq    CONTEXT_R9(%rsi), %r9
    movq    CONTEXT_R10(%rsi), %r10
    movq    CONTEXT_R11(%rsi), %r11
    movq    CONTEXT_R12(%rsi), %r12
    movq    CONTEXT_R13(%rsi), %r13
    movq    CONTEXT_R14(%rsi), %r14
    movq    CONTEXT_R15(%rsi), %r15
    movq    CONTEXT_RSI(%rsi), %rsi
    movl    $0, %gs:GS_UPCALL_MASKED
    movq    %gs:GS_MASK, %rax
    notq    %rax
    testq   %rax, %gs:GS_PENDING
    jnz     4f
3:  popq    %rax
    popfq
    ret     $RED_ZONE
4:  /* What came while upcalls were masked has not made one: any way through ring 0's scheduler does. */
    pushq   %rcx
    pushq   %r11
    movl    $HC_YIELD, %eax
    syscall
    popq    %r11
    popq    %rcx
    jmp     3b
    .size skep_resume, . - skep_resume

/*
 * skep_switch_out(thread, vcpu, vcpu_stack): what the ABI says that a callee saves goes onto the
 * thread's stack, control words of FPU and SSE included.
 */
    .globl skep_switch_out
    .hidden skep_switch_out
    .type skep_switch_out, @function
skep_switch_out:
    pushq   %rbp
    pushq   %rbx
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    subq    $8, %rsp
    stmxcsr (%rsp)
    fnstcw  4(%rsp)
    movq    %rsp, THREAD_RSP(%rdi)
    movq    %rdx, %rsp
    xorl    %ebp, %ebp
    movq    %rsi, %rdi
    call    skep_schedule
    ud2
    .size skep_switch_out, . - skep_switch_out

/* skep_switch_in(rsp) */
    .globl skep_switch_in
    .hidden skep_switch_in
    .type skep_switch_in, @function
skep_switch_in:
    movq    %rdi, %rsp
    ldmxcsr (%rsp)
    fldcw   4(%rsp)
    addq    $8, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbx
    popq    %rbp
    ret
    .size skep_switch_in, . - skep_switch_in
