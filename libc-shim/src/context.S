/*
 * context.S - what getcontext() and its like do with registers. context.c has the rest, and asserts the offsets.
 */
#define CONTEXT_R8 32
#define CONTEXT_R9 40
#define CONTEXT_R12 64
#define CONTEXT_R13 72
#define CONTEXT_R14 80
#define CONTEXT_R15 88
#define CONTEXT_RDI 96
#define CONTEXT_RSI 104
#define CONTEXT_RBP 112
#define CONTEXT_RBX 120
#define CONTEXT_RDX 128
#define CONTEXT_RCX 144
#define CONTEXT_RSP 152
#define CONTEXT_RIP 160
#define CONTEXT_MXCSR 224
#define CONTEXT_FCW 228

    .section .note.GNU-stack, "", @progbits

    .text

/* What the ABI says that a callee saves, of the caller, to (RDI). */
    .macro registers_save
    movq    %rbx, CONTEXT_RBX(%rdi)
    movq    %rbp, CONTEXT_RBP(%rdi)
    movq    %r12, CONTEXT_R12(%rdi)
    movq    %r13, CONTEXT_R13(%rdi)
    movq    %r14, CONTEXT_R14(%rdi)
    movq    %r15, CONTEXT_R15(%rdi)
    movq    (%rsp), %rax
    movq    %rax, CONTEXT_RIP(%rdi)
    leaq    8(%rsp), %rax
    movq    %rax, CONTEXT_RSP(%rdi)
    stmxcsr CONTEXT_MXCSR(%rdi)
    fnstcw  CONTEXT_FCW(%rdi)
    .endm

    .macro function name
    .globl \name
    .type \name, @function
\name:
    .endm

    .section .text.getcontext, "ax", @progbits
    function getcontext
    registers_save
    jmp     skep_posix_context_tell
    .size getcontext, . - getcontext

    .section .text.swapcontext, "ax", @progbits
    function swapcontext
    registers_save
    jmp     skep_posix_context_swap
    .size swapcontext, . - swapcontext

/* skep_posix_context_load(context): where it was saved returns 0; or a function of makecontext() begins, with its arguments. */
    .section .text.skep_posix_context_load, "ax", @progbits
    .hidden skep_posix_context_load
    function skep_posix_context_load
    ldmxcsr CONTEXT_MXCSR(%rdi)
    fldcw   CONTEXT_FCW(%rdi)
    movq    CONTEXT_RBX(%rdi), %rbx
    movq    CONTEXT_RBP(%rdi), %rbp
    movq    CONTEXT_R12(%rdi), %r12
    movq    CONTEXT_R13(%rdi), %r13
    movq    CONTEXT_R14(%rdi), %r14
    movq    CONTEXT_R15(%rdi), %r15
    movq    CONTEXT_RSI(%rdi), %rsi
    movq    CONTEXT_RDX(%rdi), %rdx
    movq    CONTEXT_RCX(%rdi), %rcx
    movq    CONTEXT_R8(%rdi), %r8
    movq    CONTEXT_R9(%rdi), %r9
    movq    CONTEXT_RIP(%rdi), %r11
    movq    CONTEXT_RSP(%rdi), %rsp
    movq    CONTEXT_RDI(%rdi), %rdi
    xorl    %eax, %eax
    jmp     *%r11
    .size skep_posix_context_load, . - skep_posix_context_load

/* Where functions of makecontext() return to. RBX, which a callee saves, has the next context. */
    .section .text.skep_posix_context_end, "ax", @progbits
    .hidden skep_posix_context_end
    function skep_posix_context_end
    movq    %rbx, %rdi
    call    skep_posix_context_ended
    ud2
    .size skep_posix_context_end, . - skep_posix_context_end
