/*
 * boot.S - the first instructions of each CPU: into long mode, on ring 0's addresses, then to C.
 *
 * The boot CPU comes by PVH (Xen's docs/misc/pvh.pandoc): 32-bit protected mode, paging off, flat
 * segments, EBX = physical address of struct hvm_start_info. Further CPUs come in real mode from a
 * copy of start_page below 1 MiB.
 */
#include "x86_offsets.h"

#define PHYS(symbol) ((symbol) - KERNEL_BASE)

#define XEN_ELFNOTE_PHYS32_ENTRY 18

#define CR0_VALUE 0x80010033 /* PG, WP, NE, ET, MP, PE */
#define CR4_VALUE 0x20       /* PAE */
#define EFER      0xc0000080
#define EFER_VALUE 0x900     /* LME, NXE */

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad PHYS(boot_pvh)

    .section .boot.text, "ax"
    .code32
    .globl boot_pvh
boot_pvh:
    cld
    cli
    mov $PHYS(boot_stack_end), %esp
    call boot_check
    call boot_tables
    mov $PHYS(boot_top), %eax
    mov %eax, %cr3
    mov $PHYS(boot_gdt_pointer), %eax
    lgdt (%eax)
    call boot_long_mode
    ljmp $SELECTOR_KERNEL_CODE, $PHYS(boot_64)

/* Long mode and NX (CPUID 0x80000001 EDX) are all that this needs; cpu.c looks at the rest. */
boot_check:
    push %ebx
    mov $0x80000001, %eax
    cpuid
    and $0x20100000, %edx
    cmp $0x20100000, %edx
    pop %ebx
    jne 1f
    ret
1:  mov $PHYS(boot_unfit), %esi
    mov $0x3f8, %edx
2:  lodsb
    test %al, %al
    jz 3f
    outb %al, %dx
    jmp 2b
3:  hlt
    jmp 3b
boot_unfit:
    .asciz "Skep needs an x86-64 CPU with NX.\r\n"

/* The first 4 GiB in 2 MiB pages at 0 and at DIRECT_BASE, the first of them at KERNEL_BASE too. Only
 * boot and the start of further CPUs use these tables. */
boot_tables:
    mov $PHYS(boot_directories), %edi
    mov $0x83, %eax /* present, writable, large */
1:  mov %eax, (%edi)
    add $8, %edi
    add $0x200000, %eax
    jnc 1b
    mov $PHYS(boot_directories) + 3, %eax
    mov $PHYS(boot_low), %edi
    mov $4, %ecx
2:  mov %eax, (%edi)
    add $8, %edi
    add $0x1000, %eax
    loop 2b
    movl $PHYS(boot_directories) + 3, PHYS(boot_high) + 510 * 8
    movl $PHYS(boot_low) + 3, PHYS(boot_top)
    movl $PHYS(boot_low) + 3, PHYS(boot_top) + 256 * 8
    movl $PHYS(boot_high) + 3, PHYS(boot_top) + 511 * 8
    ret

boot_long_mode:
    mov $CR4_VALUE, %eax
    mov %eax, %cr4
    mov $EFER, %ecx
    rdmsr
    or $EFER_VALUE, %eax
    wrmsr
    mov $CR0_VALUE, %eax
    mov %eax, %cr0
    ret

    .code64
boot_64:
    mov $SELECTOR_KERNEL_DATA, %eax
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov $boot_stack_end, %rsp
    xor %ebp, %ebp
    mov %ebx, %edi
    mov $boot_main, %rax
    call *%rax
    ud2

/* Further CPUs. CS:IP = page:0; all addresses are relative to the page, whose number is in CS. */
    .section .rodata.start, "a"
    .balign 16
    .globl start_page, start_page_end
    .code16
start_page:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    movzwl %ax, %ebx
    shl $4, %ebx
    lgdtl start_gdt_pointer - start_page
    mov $0x11, %eax /* ET, PE */
    mov %eax, %cr0
    ljmpl $SELECTOR_START_CODE32, $PHYS(start_32)

start_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long PHYS(boot_gdt)
start_page_end:

    .set SELECTOR_START_CODE32, 0x18
    .section .boot.text, "ax"
    .code32
start_32:
    mov $SELECTOR_KERNEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %ss
    mov $PHYS(boot_top), %eax
    mov %eax, %cr3
    mov $PHYS(start_stack_end), %esp
    call boot_long_mode
    ljmp $SELECTOR_KERNEL_CODE, $PHYS(start_64)

    .code64
start_64:
    xor %eax, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov START_CR3(%rbx), %rcx
    mov START_STACK(%rbx), %rdx
    mov $1f, %rax
    jmp *%rax
1:  mov %rcx, %cr3
    mov %rdx, %rsp
    xor %ebp, %ebp
    call start_main
    ud2

    .section .rodata.boot_gdt, "a"
    .balign 16
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* 64-bit code */
    .quad 0x00cf93000000ffff /* data */
    .quad 0x00cf9b000000ffff /* 32-bit code */
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .quad PHYS(boot_gdt)

    .section .bss.boot, "aw", @nobits
    .balign 4096
    .globl boot_top
boot_top:
    .skip 4096
boot_low:
    .skip 4096
boot_high:
    .skip 4096
boot_directories:
    .skip 4 * 4096
boot_stack:
    .skip 16384
boot_stack_end:
start_stack:
    .skip 64
start_stack_end:
