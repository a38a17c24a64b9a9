/*
 * start.S - the first instruction, and the ELF note that makes a program a guest of Skep.
 */
#define ABI_MAJOR 1
#define ABI_MINOR 0
#define NOTE_ABI 1
#define NOTE_STACK_RESERVED 1

    .section .note.GNU-stack, "", @progbits

    .section .note.skep, "a", @note
    .balign 4
    .long   2f - 1f
    .long   4f - 3f
    .long   NOTE_ABI
1:  .asciz  "Skep"
2:  .balign 4
3:  .short  ABI_MAJOR, ABI_MINOR
    .long   NOTE_STACK_RESERVED /* by a hypervisor that can; others don't look */
    .quad   0 /* features required: none */
4:  .balign 4

/* RDI = address of the start-info page, RSP = the top of the first stack. */
    .text
    .globl _start
    .type _start, @function
_start:
    xorl    %ebp, %ebp
    andq    $-64, %rsp
    call    skep_start
    ud2
    .size _start, . - _start
