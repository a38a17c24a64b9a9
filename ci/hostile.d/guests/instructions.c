/*
 * instructions.c - every instruction that ring 3 must not have, every exception's vector, and tricks with single
 * instructions at the ways into ring 0.
 *
 * A row is TRY(name, expected outcome, preparation, instruction). The record's RIP must be the instruction itself, which
 * is the symbol `name`; "near" says that it may be behind it (traps), "calls" that it jumped away from there.
 * RDI points to writable memory, RAX, RCX and RDX are 0. Where two ends stand side by side, one is the manuals' and the
 * other QEMU's emulation, which checks a far return's and an IRETQ's stack with ring 0's rights, takes the CPU for
 * AMD's, and lets values through that are not canonical or reserved.
 */
#include "raw.h"

/* clang-format off */
#define INSTRUCTIONS \
    /* Descriptor tables and segments */ \
    TRY(lgdt, "general-protection", "", "lgdt (%rdi)") \
    TRY(lidt, "general-protection", "", "lidt (%rdi)") \
    TRY(lldt, "general-protection", "", "lldt %ax") \
    TRY(ltr, "general-protection", "", "ltr %ax") \
    /* User-mode instruction prevention */ \
    TRY(sgdt, "general-protection", "", "sgdt (%rdi)") \
    TRY(sidt, "general-protection", "", "sidt (%rdi)") \
    TRY(sldt, "general-protection", "", "sldt %ax") \
    TRY(str, "general-protection", "", "str %ax") \
    TRY(smsw, "general-protection", "", "smsw %ax") \
    /* Control and debug registers */ \
    TRY(read_cr0, "general-protection", "", "mov %cr0, %rax") \
    TRY(write_cr0, "general-protection", "", "mov %rax, %cr0") \
    TRY(read_cr2, "general-protection", "", "mov %cr2, %rax") \
    TRY(write_cr2, "general-protection", "", "mov %rax, %cr2") \
    TRY(read_cr3, "general-protection", "", "mov %cr3, %rax") \
    TRY(write_cr3, "general-protection", "", "mov %rax, %cr3") \
    TRY(read_cr4, "general-protection", "", "mov %cr4, %rax") \
    TRY(write_cr4, "general-protection", "", "mov %rax, %cr4") \
    TRY(read_cr8, "general-protection", "", "mov %cr8, %rax") \
    TRY(write_cr8, "general-protection", "", "mov %rax, %cr8") \
    TRY(lmsw, "general-protection", "", "lmsw %ax") \
    TRY(clts, "general-protection", "", "clts") \
    TRY(read_dr0, "general-protection", "", "mov %db0, %rax") \
    TRY(write_dr0, "general-protection", "", "mov %rax, %db0") \
    TRY(read_dr1, "general-protection", "", "mov %db1, %rax") \
    TRY(write_dr1, "general-protection", "", "mov %rax, %db1") \
    TRY(read_dr2, "general-protection", "", "mov %db2, %rax") \
    TRY(write_dr2, "general-protection", "", "mov %rax, %db2") \
    TRY(read_dr3, "general-protection", "", "mov %db3, %rax") \
    TRY(write_dr3, "general-protection", "", "mov %rax, %db3") \
    TRY(read_dr6, "general-protection", "", "mov %db6, %rax") \
    TRY(write_dr6, "general-protection", "", "mov %rax, %db6") \
    TRY(read_dr7, "general-protection", "", "mov %db7, %rax") \
    TRY(write_dr7, "general-protection", "", "mov %rax, %db7") \
    TRY(xsetbv, "general-protection", "mov $7, %eax", "xsetbv") \
    /* Model-specific registers, one of each class */ \
    TRY(rdmsr_tsc, "general-protection", "mov $0x10, %ecx", "rdmsr") \
    TRY(wrmsr_tsc, "general-protection", "mov $0x10, %ecx", "wrmsr") \
    TRY(rdmsr_wall_clock, "general-protection", "mov $0x11, %ecx", "rdmsr") \
    TRY(wrmsr_wall_clock, "general-protection", "mov $0x11, %ecx", "wrmsr") \
    TRY(rdmsr_apic_base, "general-protection", "mov $0x1b, %ecx", "rdmsr") \
    TRY(wrmsr_apic_base, "general-protection", "mov $0x1b, %ecx", "wrmsr") \
    TRY(rdmsr_feature_control, "general-protection", "mov $0x3a, %ecx", "rdmsr") \
    TRY(wrmsr_feature_control, "general-protection", "mov $0x3a, %ecx", "wrmsr") \
    TRY(rdmsr_spec_ctrl, "general-protection", "mov $0x48, %ecx", "rdmsr") \
    TRY(wrmsr_spec_ctrl, "general-protection", "mov $0x48, %ecx", "wrmsr") \
    TRY(rdmsr_pred_cmd, "general-protection", "mov $0x49, %ecx", "rdmsr") \
    TRY(wrmsr_pred_cmd, "general-protection", "mov $0x49, %ecx", "wrmsr") \
    TRY(rdmsr_perf_counter, "general-protection", "mov $0xc1, %ecx", "rdmsr") \
    TRY(wrmsr_perf_counter, "general-protection", "mov $0xc1, %ecx", "wrmsr") \
    TRY(rdmsr_sysenter_cs, "general-protection", "mov $0x174, %ecx", "rdmsr") \
    TRY(wrmsr_sysenter_cs, "general-protection", "mov $0x174, %ecx", "wrmsr") \
    TRY(rdmsr_mcg_status, "general-protection", "mov $0x17a, %ecx", "rdmsr") \
    TRY(wrmsr_mcg_status, "general-protection", "mov $0x17a, %ecx", "wrmsr") \
    TRY(rdmsr_perf_event, "general-protection", "mov $0x186, %ecx", "rdmsr") \
    TRY(wrmsr_perf_event, "general-protection", "mov $0x186, %ecx", "wrmsr") \
    TRY(rdmsr_misc_enable, "general-protection", "mov $0x1a0, %ecx", "rdmsr") \
    TRY(wrmsr_misc_enable, "general-protection", "mov $0x1a0, %ecx", "wrmsr") \
    TRY(rdmsr_debugctl, "general-protection", "mov $0x1d9, %ecx", "rdmsr") \
    TRY(wrmsr_debugctl, "general-protection", "mov $0x1d9, %ecx", "wrmsr") \
    TRY(rdmsr_mtrr, "general-protection", "mov $0x2ff, %ecx", "rdmsr") \
    TRY(wrmsr_mtrr, "general-protection", "mov $0x2ff, %ecx", "wrmsr") \
    TRY(rdmsr_pat, "general-protection", "mov $0x277, %ecx", "rdmsr") \
    TRY(wrmsr_pat, "general-protection", "mov $0x277, %ecx", "wrmsr") \
    TRY(rdmsr_mc0, "general-protection", "mov $0x400, %ecx", "rdmsr") \
    TRY(wrmsr_mc0, "general-protection", "mov $0x400, %ecx", "wrmsr") \
    TRY(rdmsr_vmx, "general-protection", "mov $0x480, %ecx", "rdmsr") \
    TRY(wrmsr_vmx, "general-protection", "mov $0x480, %ecx", "wrmsr") \
    TRY(rdmsr_tsc_deadline, "general-protection", "mov $0x6e0, %ecx", "rdmsr") \
    TRY(wrmsr_tsc_deadline, "general-protection", "mov $0x6e0, %ecx", "wrmsr") \
    TRY(rdmsr_x2apic_icr, "general-protection", "mov $0x830, %ecx", "rdmsr") \
    TRY(wrmsr_x2apic_icr, "general-protection", "mov $0x830, %ecx", "wrmsr") \
    TRY(rdmsr_xss, "general-protection", "mov $0xda0, %ecx", "rdmsr") \
    TRY(wrmsr_xss, "general-protection", "mov $0xda0, %ecx", "wrmsr") \
    TRY(rdmsr_hypervisor, "general-protection", "mov $0x40000000, %ecx", "rdmsr") \
    TRY(wrmsr_hypervisor, "general-protection", "mov $0x40000000, %ecx", "wrmsr") \
    TRY(rdmsr_kvm, "general-protection", "mov $0x4b564d00, %ecx", "rdmsr") \
    TRY(wrmsr_kvm, "general-protection", "mov $0x4b564d00, %ecx", "wrmsr") \
    TRY(rdmsr_efer, "general-protection", "mov $0xc0000080, %ecx", "rdmsr") \
    TRY(wrmsr_efer, "general-protection", "mov $0xc0000080, %ecx", "wrmsr") \
    TRY(rdmsr_star, "general-protection", "mov $0xc0000081, %ecx", "rdmsr") \
    TRY(wrmsr_star, "general-protection", "mov $0xc0000081, %ecx", "wrmsr") \
    TRY(rdmsr_lstar, "general-protection", "mov $0xc0000082, %ecx", "rdmsr") \
    TRY(wrmsr_lstar, "general-protection", "mov $0xc0000082, %ecx", "wrmsr") \
    TRY(rdmsr_sfmask, "general-protection", "mov $0xc0000084, %ecx", "rdmsr") \
    TRY(wrmsr_sfmask, "general-protection", "mov $0xc0000084, %ecx", "wrmsr") \
    TRY(rdmsr_fs_base, "general-protection", "mov $0xc0000100, %ecx", "rdmsr") \
    TRY(wrmsr_fs_base, "general-protection", "mov $0xc0000100, %ecx", "wrmsr") \
    TRY(rdmsr_gs_base, "general-protection", "mov $0xc0000101, %ecx", "rdmsr") \
    TRY(wrmsr_gs_base, "general-protection", "mov $0xc0000101, %ecx", "wrmsr") \
    TRY(rdmsr_kernel_gs_base, "general-protection", "mov $0xc0000102, %ecx", "rdmsr") \
    TRY(wrmsr_kernel_gs_base, "general-protection", "mov $0xc0000102, %ecx", "wrmsr") \
    TRY(rdmsr_tsc_aux, "general-protection", "mov $0xc0000103, %ecx", "rdmsr") \
    TRY(wrmsr_tsc_aux, "general-protection", "mov $0xc0000103, %ecx", "wrmsr") \
    TRY(rdmsr_syscfg, "general-protection", "mov $0xc0010010, %ecx", "rdmsr") \
    TRY(wrmsr_syscfg, "general-protection", "mov $0xc0010010, %ecx", "wrmsr") \
    TRY(rdmsr_hwcr, "general-protection", "mov $0xc0010015, %ecx", "rdmsr") \
    TRY(wrmsr_hwcr, "general-protection", "mov $0xc0010015, %ecx", "wrmsr") \
    TRY(rdmsr_vm_hsave, "general-protection", "mov $0xc0010117, %ecx", "rdmsr") \
    TRY(wrmsr_vm_hsave, "general-protection", "mov $0xc0010117, %ecx", "wrmsr") \
    /* Ports, one of each class, in each width and form */ \
    TRY(in_pic, "general-protection", "mov $0x20, %edx", "in %dx, %al") \
    TRY(out_pic, "general-protection", "mov $0x20, %edx", "out %al, %dx") \
    TRY(in_pit, "general-protection", "mov $0x40, %edx", "in %dx, %al") \
    TRY(out_pit, "general-protection", "mov $0x40, %edx", "out %al, %dx") \
    TRY(in_keyboard, "general-protection", "mov $0x60, %edx", "in %dx, %al") \
    TRY(out_keyboard, "general-protection", "mov $0x60, %edx", "out %al, %dx") \
    TRY(in_reset, "general-protection", "mov $0x92, %edx", "in %dx, %al") \
    TRY(out_reset, "general-protection", "mov $0x92, %edx", "out %al, %dx") \
    TRY(in_rtc, "general-protection", "mov $0x70, %edx", "in %dx, %al") \
    TRY(out_rtc, "general-protection", "mov $0x70, %edx", "out %al, %dx") \
    TRY(in_pci, "general-protection", "mov $0xcf8, %edx", "in %dx, %al") \
    TRY(out_pci, "general-protection", "mov $0xcf8, %edx", "out %al, %dx") \
    TRY(in_serial, "general-protection", "mov $0x3f8, %edx", "in %dx, %al") \
    TRY(out_serial, "general-protection", "mov $0x3f8, %edx", "out %al, %dx") \
    TRY(in_power, "general-protection", "mov $0x604, %edx", "in %dx, %al") \
    TRY(out_power, "general-protection", "mov $0x604, %edx", "out %al, %dx") \
    TRY(in_last, "general-protection", "mov $0xffff, %edx", "in %dx, %al") \
    TRY(out_last, "general-protection", "mov $0xffff, %edx", "out %al, %dx") \
    TRY(in_16, "general-protection", "mov $0xcfc, %edx", "in %dx, %ax") \
    TRY(out_16, "general-protection", "mov $0xcf8, %edx", "out %ax, %dx") \
    TRY(in_32, "general-protection", "mov $0xcfc, %edx", "in %dx, %eax") \
    TRY(out_32, "general-protection", "mov $0xcf8, %edx", "out %eax, %dx") \
    TRY(in_immediate, "general-protection", "", "in $0x64, %al") \
    TRY(out_immediate, "general-protection", "mov $0xfe, %al", "out %al, $0x64") \
    TRY(insb, "general-protection", "mov $0x60, %edx; mov $4, %ecx", "insb") \
    TRY(insw, "general-protection", "mov $0x60, %edx; mov $4, %ecx", "insw") \
    TRY(insl, "general-protection", "mov $0x60, %edx; mov $4, %ecx", "insl") \
    TRY(rep_insb, "general-protection", "mov $0x60, %edx; mov $4, %ecx", "rep insb") \
    TRY(outsb, "general-protection", "mov $0x3f8, %edx; mov %rdi, %rsi; mov $4, %ecx", "outsb") \
    TRY(outsw, "general-protection", "mov $0x3f8, %edx; mov %rdi, %rsi; mov $4, %ecx", "outsw") \
    TRY(outsl, "general-protection", "mov $0x3f8, %edx; mov %rdi, %rsi; mov $4, %ecx", "outsl") \
    TRY(rep_outsb, "general-protection", "mov $0x3f8, %edx; mov %rdi, %rsi; mov $4, %ecx", "rep outsb") \
    /* What else only ring 0 may do */ \
    TRY(cli, "general-protection", "", "cli") \
    TRY(sti, "general-protection", "", "sti") \
    TRY(hlt, "general-protection", "", "hlt") \
    TRY(invd, "general-protection", "", "invd") \
    TRY(wbinvd, "general-protection", "", "wbinvd") \
    TRY(swapgs, "general-protection", "", "swapgs") \
    TRY(sysretq, "general-protection", "", "sysretq") \
    TRY(sysexit, "general-protection | invalid-opcode", "", "sysexitl") \
    TRY(sysretl, "general-protection", "", "sysretl") \
    TRY(rdpmc, "general-protection", "", "rdpmc") \
    TRY(invlpg, "general-protection", "", "invlpg (%rdi)") \
    TRY(invpcid, "general-protection | invalid-opcode", "", "invpcid (%rdi), %rax") \
    TRY(stac, "invalid-opcode", "", "stac") \
    TRY(clac, "invalid-opcode", "", "clac") \
    TRY(monitor, "invalid-opcode", "mov %rdi, %rax", "monitor") \
    TRY(mwait, "invalid-opcode", "", "mwait") \
    TRY(rsm, "invalid-opcode", "", "rsm") \
    TRY(xsaves, "general-protection | invalid-opcode", "", "xsaves (%rdi)") \
    TRY(xrstors, "general-protection | invalid-opcode", "", "xrstors (%rdi)") \
    TRY(getsec, "invalid-opcode | general-protection", "", ".byte 0x0f, 0x37") \
    TRY(encls, "invalid-opcode | general-protection", "", ".byte 0x0f, 0x01, 0xcf") \
    /* Virtualization */ \
    TRY(vmlaunch, "invalid-opcode | general-protection", "", "vmlaunch") \
    TRY(vmresume, "invalid-opcode | general-protection", "", "vmresume") \
    TRY(vmxoff, "invalid-opcode | general-protection", "", "vmxoff") \
    TRY(vmcall, "invalid-opcode", "", "vmcall") \
    TRY(vmmcall, "invalid-opcode", "", "vmmcall") \
    TRY(vmxon, "invalid-opcode | general-protection", "", "vmxon (%rdi)") \
    TRY(vmptrld, "invalid-opcode | general-protection", "", "vmptrld (%rdi)") \
    TRY(vmread, "invalid-opcode | general-protection", "", "vmread %rax, %rcx") \
    TRY(invept, "invalid-opcode | general-protection", "", "invept (%rdi), %rax") \
    TRY(invvpid, "invalid-opcode | general-protection", "", "invvpid (%rdi), %rax") \
    TRY(vmrun, "invalid-opcode | general-protection", "mov %rdi, %rax", "vmrun") \
    TRY(vmload, "invalid-opcode | general-protection", "mov %rdi, %rax", "vmload") \
    TRY(vmsave, "invalid-opcode | general-protection", "mov %rdi, %rax", "vmsave") \
    TRY(clgi, "invalid-opcode | general-protection", "", "clgi") \
    TRY(stgi, "invalid-opcode | general-protection", "", "stgi") \
    TRY(skinit, "invalid-opcode | general-protection", "", "skinit") \
    TRY(invlpga, "invalid-opcode | general-protection", "mov %rdi, %rax", "invlpga") \
    /* Protection keys are off, so their instructions are none */ \
    TRY(rdpkru, "invalid-opcode", "", "rdpkru") \
    TRY(wrpkru, "invalid-opcode", "", "wrpkru") \
    /* Every exception's vector, and those of ring 0's own interrupts */ \
    TRY(int_0, "general-protection", "", "int $0") \
    TRY(int_1, "general-protection", "", "int $1") \
    TRY(int_2, "general-protection", "", "int $2") \
    TRY(int_3, "breakpoint near", "", "int $3; nop") \
    TRY(int_4, "overflow near", "", "int $4; nop") \
    TRY(int_5, "general-protection", "", "int $5") \
    TRY(int_6, "general-protection", "", "int $6") \
    TRY(int_7, "general-protection", "", "int $7") \
    TRY(int_8, "general-protection", "", "int $8") \
    TRY(int_9, "general-protection", "", "int $9") \
    TRY(int_10, "general-protection", "", "int $10") \
    TRY(int_11, "general-protection", "", "int $11") \
    TRY(int_12, "general-protection", "", "int $12") \
    TRY(int_13, "general-protection", "", "int $13") \
    TRY(int_14, "general-protection", "", "int $14") \
    TRY(int_15, "general-protection", "", "int $15") \
    TRY(int_16, "general-protection", "", "int $16") \
    TRY(int_17, "general-protection", "", "int $17") \
    TRY(int_18, "general-protection", "", "int $18") \
    TRY(int_19, "general-protection", "", "int $19") \
    TRY(int_20, "general-protection", "", "int $20") \
    TRY(int_21, "general-protection", "", "int $21") \
    TRY(int_22, "general-protection", "", "int $22") \
    TRY(int_23, "general-protection", "", "int $23") \
    TRY(int_24, "general-protection", "", "int $24") \
    TRY(int_25, "general-protection", "", "int $25") \
    TRY(int_26, "general-protection", "", "int $26") \
    TRY(int_27, "general-protection", "", "int $27") \
    TRY(int_28, "general-protection", "", "int $28") \
    TRY(int_29, "general-protection", "", "int $29") \
    TRY(int_30, "general-protection", "", "int $30") \
    TRY(int_31, "general-protection", "", "int $31") \
    TRY(int_32, "general-protection", "", "int $32") \
    TRY(int_39, "general-protection", "", "int $39") \
    TRY(int_47, "general-protection", "", "int $47") \
    TRY(int_48, "general-protection", "", "int $48") \
    TRY(int_128, "general-protection", "", "int $128") \
    TRY(int_239, "general-protection", "", "int $239") \
    TRY(int_240, "general-protection", "", "int $240") \
    TRY(int_241, "general-protection", "", "int $241") \
    TRY(int_242, "general-protection", "", "int $242") \
    TRY(int_255, "general-protection", "", "int $255") \
    TRY(int3, "breakpoint near", "", "int3; nop") \
    TRY(icebp, "debug near | invalid-opcode", "", ".byte 0xf1") \
    TRY(into, "invalid-opcode", "", ".byte 0xce") \
    TRY(bound, "invalid-opcode | general-protection", "", ".byte 0x62, 0x07") \
    /* Entries of other processor modes */ \
    TRY(sysenter, "general-protection | invalid-opcode", "", "sysenter") \
    TRY(call_vsyscall, "page-fault address=0xffffffffff600000 calls", "mov $0xffffffffff600000, %rax", "call *%rax") \
    TRY(jump_entry_area, "page-fault address=0xffffff0000000000 calls", "mov $0xffffff0000000000, %rax", "call *%rax") \
    /* Segment registers: kernel, null, task and table selectors, and the data selector, which is allowed */ \
    TRY(ds_kernel, "general-protection", "mov $0x10, %eax", "mov %eax, %ds") \
    TRY(ds_task, "general-protection", "mov $0x33, %eax", "mov %eax, %ds") \
    TRY(ds_table, "general-protection", "mov $0x07, %eax", "mov %eax, %ds") \
    TRY(ds_beyond, "general-protection", "mov $0xfffb, %eax", "mov %eax, %ds") \
    TRY(ds_data, "exit", "mov $0x23, %eax", "mov %eax, %ds") \
    TRY(ds_null, "exit", "", "mov %eax, %ds") \
    TRY(es_kernel, "general-protection", "mov $0x10, %eax", "mov %eax, %es") \
    TRY(es_task, "general-protection", "mov $0x33, %eax", "mov %eax, %es") \
    TRY(es_table, "general-protection", "mov $0x07, %eax", "mov %eax, %es") \
    TRY(es_beyond, "general-protection", "mov $0xfffb, %eax", "mov %eax, %es") \
    TRY(es_data, "exit", "mov $0x23, %eax", "mov %eax, %es") \
    TRY(es_null, "exit", "", "mov %eax, %es") \
    TRY(fs_kernel, "general-protection", "mov $0x10, %eax", "mov %eax, %fs") \
    TRY(fs_task, "general-protection", "mov $0x33, %eax", "mov %eax, %fs") \
    TRY(fs_table, "general-protection", "mov $0x07, %eax", "mov %eax, %fs") \
    TRY(fs_beyond, "general-protection", "mov $0xfffb, %eax", "mov %eax, %fs") \
    TRY(fs_data, "exit", "mov $0x23, %eax", "mov %eax, %fs") \
    TRY(fs_null, "exit", "", "mov %eax, %fs") \
    TRY(gs_kernel, "general-protection", "mov $0x10, %eax", "mov %eax, %gs") \
    TRY(gs_task, "general-protection", "mov $0x33, %eax", "mov %eax, %gs") \
    TRY(gs_table, "general-protection", "mov $0x07, %eax", "mov %eax, %gs") \
    TRY(gs_beyond, "general-protection", "mov $0xfffb, %eax", "mov %eax, %gs") \
    TRY(gs_data, "exit", "mov $0x23, %eax", "mov %eax, %gs") \
    TRY(gs_null, "exit", "", "mov %eax, %gs") \
    TRY(ss_kernel, "general-protection", "mov $0x10, %eax", "mov %eax, %ss") \
    TRY(ss_null, "general-protection", "", "mov %eax, %ss") \
    TRY(ss_code, "general-protection", "mov $0x2b, %eax", "mov %eax, %ss") \
    TRY(lss, "general-protection", "movl $0, (%rdi); movw $0x10, 4(%rdi)", "lss (%rdi), %eax") \
    TRY(lfs, "general-protection", "movl $0, (%rdi); movw $0x08, 4(%rdi)", "lfs (%rdi), %eax") \
    TRY(pop_gs, "general-protection", "pushq $0x10", "popq %gs") \
    /* Far transfers */ \
    TRY(far_jump_kernel, "general-protection", "movl $0, (%rdi); movw $0x8, 4(%rdi)", "ljmpl *(%rdi)") \
    TRY(far_call_kernel, "general-protection", "movl $0, (%rdi); movw $0x8, 4(%rdi)", "lcalll *(%rdi)") \
    TRY(far_return_kernel, "general-protection | page-fault", "pushq $0x8; pushq $0", "lretq") \
    TRY(far_jump_kernel_user_rights, "general-protection", "movl $0, (%rdi); movw $0xb, 4(%rdi)", "ljmpl *(%rdi)") \
    TRY(far_call_kernel_user_rights, "general-protection", "movl $0, (%rdi); movw $0xb, 4(%rdi)", "lcalll *(%rdi)") \
    TRY(far_return_kernel_user_rights, "general-protection | page-fault", "pushq $0xb; pushq $0", "lretq") \
    TRY(far_jump_task, "general-protection", "movl $0, (%rdi); movw $0x30, 4(%rdi)", "ljmpl *(%rdi)") \
    TRY(far_call_task, "general-protection", "movl $0, (%rdi); movw $0x30, 4(%rdi)", "lcalll *(%rdi)") \
    TRY(far_return_task, "general-protection | page-fault", "pushq $0x30; pushq $0", "lretq") \
    TRY(far_jump_table, "general-protection", "movl $0, (%rdi); movw $0x4, 4(%rdi)", "ljmpl *(%rdi)") \
    TRY(far_call_table, "general-protection", "movl $0, (%rdi); movw $0x4, 4(%rdi)", "lcalll *(%rdi)") \
    TRY(far_return_table, "general-protection | page-fault", "pushq $0x4; pushq $0", "lretq") \
    TRY(far_jump_data, "general-protection", "movl $0, (%rdi); movw $0x23, 4(%rdi)", "ljmpl *(%rdi)") \
    TRY(far_call_data, "general-protection", "movl $0, (%rdi); movw $0x23, 4(%rdi)", "lcalll *(%rdi)") \
    TRY(far_return_data, "general-protection | page-fault", "pushq $0x23; pushq $0", "lretq") \
    TRY(far_jump_null, "general-protection", "movl $0, (%rdi); movw $0x0, 4(%rdi)", "ljmpl *(%rdi)") \
    TRY(far_call_null, "general-protection", "movl $0, (%rdi); movw $0x0, 4(%rdi)", "lcalll *(%rdi)") \
    TRY(far_return_null, "general-protection | page-fault", "pushq $0x0; pushq $0", "lretq") \
    TRY(far_jump_sysret32, "general-protection", "movl $0, (%rdi); movw $0x1b, 4(%rdi)", "ljmpl *(%rdi)") \
    TRY(far_call_sysret32, "general-protection", "movl $0, (%rdi); movw $0x1b, 4(%rdi)", "lcalll *(%rdi)") \
    TRY(far_return_sysret32, "general-protection | page-fault", "pushq $0x1b; pushq $0", "lretq") \
    TRY(far_jump_beyond, "general-protection", "movl $0, (%rdi); movw $0xfff8, 4(%rdi)", "ljmpl *(%rdi)") \
    TRY(far_call_beyond, "general-protection", "movl $0, (%rdi); movw $0xfff8, 4(%rdi)", "lcalll *(%rdi)") \
    TRY(far_return_beyond, "general-protection | page-fault", "pushq $0xfff8; pushq $0", "lretq") \
    TRY(iret_kernel, "general-protection | page-fault", "mov %rsp, %rax; pushq $0x10; push %rax; pushq $0x202; pushq $0x08; lea 1f(%rip), %rax; push %rax", "iretq; 1: nop") \
    TRY(iret_stack_kernel, "general-protection | page-fault", "mov %rsp, %rax; pushq $0x10; push %rax; pushq $0x202; pushq $0x2b; lea 1f(%rip), %rax; push %rax", "iretq; 1: nop") \
    TRY(iret_non_canonical, "general-protection | page-fault", "mov %rsp, %rax; pushq $0x23; push %rax; pushq $0x202; pushq $0x2b; mov $0x800000000000, %rax; push %rax", "iretq") \
    TRY(iret_upper, "general-protection | page-fault calls", "mov %rsp, %rax; pushq $0x23; push %rax; pushq $0x202; pushq $0x2b; mov $0xffffffff80100000, %rax; push %rax", "iretq") \
    TRY(iret_nested_task, "general-protection", "pushfq; orl $0x4000, (%rsp); popfq", "iretq") \
    TRY(iret_virtual_8086, "general-protection | page-fault", "mov %rsp, %rax; pushq $0x23; push %rax; pushq $0x20202; pushq $0x1b; pushq $0", "iretq") \
    /* Allowed, and to be without effect on others */ \
    TRY(cpuid, "exit", "", "cpuid") \
    TRY(rdtsc, "exit", "", "rdtsc") \
    TRY(rdtscp, "exit", "", "rdtscp") \
    TRY(xgetbv, "exit", "", "xgetbv") \
    TRY(prefetch_upper, "exit", "mov $0xffffffff80100000, %rax", "prefetcht0 (%rax)") \
    TRY(prefetchw_upper, "exit", "mov $0xffffffff80100000, %rax", "prefetchw (%rax)") \
    TRY(verr, "exit", "mov $0x10, %eax", "verr %ax") \
    TRY(verw, "exit", "mov $0x10, %eax", "verw %ax") \
    TRY(lar, "exit", "mov $0x08, %eax", "lar %ax, %ecx") \
    TRY(lsl, "exit", "mov $0x30, %eax", "lsl %ax, %ecx") \
    TRY(rdfsbase, "exit", "", "rdfsbase %rax") \
    TRY(wrgsbase_upper, "exit", "mov $0xffff800000000000, %rax", "wrgsbase %rax") \
    TRY(clflush, "exit", "", "clflush (%rdi)") \
    /* Instructions that are none, or reach into nothing */ \
    TRY(ud2, "invalid-opcode", "", "ud2") \
    TRY(lock_nop, "invalid-opcode", "", ".byte 0xf0, 0x90") \
    TRY(too_long, "general-protection", "", ".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90") \
    TRY(wrgsbase_non_canonical, "general-protection | exit", "mov $0x800000000000, %rax", "wrgsbase %rax") \
    TRY(wrfsbase_non_canonical, "general-protection | exit", "mov $0x800000000000, %rax", "wrfsbase %rax") \
    TRY(clflush_upper, "page-fault | exit | general-protection", "mov $0xffffffff80100000, %rax", "clflush (%rax)") \
    TRY(invlpg_upper, "general-protection", "mov $0xffffffff80100000, %rax", "invlpg (%rax)") \
    TRY(x87_save_upper, "page-fault", "mov $0xffffffff80100000, %rax", "fxsave64 (%rax)") \
    TRY(xsave_upper, "page-fault", "mov $0xffffffff80100000, %rdi; mov $7, %eax", "xsave64 (%rdi)") \
    TRY(xrstor_bad_header, "general-protection", "lea 512(%rdi), %rax; movq $-1, 8(%rax); movq $-1, (%rax); mov $7, %eax", "xrstor64 (%rdi)") \
    TRY(ldmxcsr_reserved, "general-protection | exit", "movl $0xffffffff, (%rdi)", "ldmxcsr (%rdi)") \
    /* Tricks with TF, SS and flags at an entry */ \
    TRY(step, "debug near", "pushfq; orl $0x100, (%rsp); popfq", "nop; nop") \
    TRY(step_syscall, "debug near", "pushfq; orl $0x100, (%rsp); popfq", "mov $7, %eax; syscall; nop") \
    TRY(step_ss_syscall, "debug near", "mov $0x23, %ecx; pushfq; orl $0x100, (%rsp); popfq", "mov %ecx, %ss; syscall; nop; nop") \
    TRY(step_ss_int3, "breakpoint near | debug near", "mov $0x23, %ecx; pushfq; orl $0x100, (%rsp); popfq", "mov %ecx, %ss; int3; nop") \
    TRY(step_ss_int80, "general-protection near | debug near", "mov $0x23, %ecx; pushfq; orl $0x100, (%rsp); popfq", "mov %ecx, %ss; int $0x80; nop") \
    TRY(step_ss_ud2, "invalid-opcode near | debug near", "mov $0x23, %ecx; pushfq; orl $0x100, (%rsp); popfq", "mov %ecx, %ss; ud2; nop") \
    TRY(step_iret, "debug near | page-fault near", "mov %rsp, %rcx; pushq $0x23; push %rcx; pushq $0x302; pushq $0x2b; lea 1f(%rip), %rcx; push %rcx", "iretq; 1: nop; nop") \
    TRY(step_fault, "page-fault near | debug near", "pushfq; orl $0x100, (%rsp); popfq", "mov (0), %eax") \
    TRY(ss_syscall, "exit", "mov $0x23, %ecx; mov $7, %eax", "mov %ecx, %ss; syscall") \
    TRY(nested_task_syscall, "exit", "mov $7, %eax; pushfq; orl $0x4000, (%rsp); popfq", "syscall") \
    TRY(flags_all_syscall, "exit", "mov $7, %eax; pushq $0x47cd5; popfq", "syscall; pushq $2; popfq") \
    TRY(direction_syscall, "exit", "mov $7, %eax; std", "syscall; cld") \
    TRY(direction_console, "exit", "lea 256(%rdi), %rdi; mov $600, %esi; xor %eax, %eax; std", "syscall; cld") \
    TRY(direction_fault, "exit", "lea fresh(%rip), %rcx; std", "mov %eax, 2048(%rcx); mov %eax, 6144(%rcx); cld") \
    TRY(direction_fault_known, "invalid-opcode", "std", "ud2") \
    TRY(alignment, "alignment-check | exit", "pushfq; orl $0x40000, (%rsp); popfq", "mov 1(%rdi), %eax") \
    TRY(rsp_upper_syscall, "exit", "mov %rsp, %rbx; mov $7, %eax; mov $0xffffffff80200000, %rsp", "syscall; mov %rbx, %rsp") \
    TRY(rsp_non_canonical_syscall, "exit", "mov %rsp, %rbx; mov $7, %eax; mov $0x800000000000, %rsp", "syscall; mov %rbx, %rsp") \
    TRY(rsp_upper_fault, "invalid-opcode", "mov $0xffffffff80200000, %rsp", "ud2") \
    TRY(rsp_non_canonical_push, "stack-fault | general-protection", "mov $0x800000000010, %rsp", "push %rax") \
    TRY(rsp_entry_area_fault, "invalid-opcode", "mov $0xffffff0000103000, %rsp", "ud2") \
    TRY(gs_upper_fault, "invalid-opcode", "mov $0xffffff0000100000, %rax; wrgsbase %rax", "ud2") \
    TRY(gs_upper_syscall, "exit", "mov $0xffffff0000100000, %rax; wrgsbase %rax; mov $7, %eax", "syscall") \
    TRY(fs_upper_syscall, "exit", "mov $0xffffff0000100000, %rax; wrfsbase %rax; mov $7, %eax", "syscall")
/* clang-format on */

__attribute__((used)) uint64_t scratch[512];
__attribute__((used, aligned(4096))) uint8_t fresh[3 * 4096]; /* touched by nobody else */

/* A function for the preparation and one that begins with the instruction. */
#define TRY(name, expect, before, instruction)                                                        \
    void before_##name(void);                                                                         \
    __asm__(                                                                                          \
        ".text\n.type before_" #name ", @function\n.type " #name ", @function\n"                      \
        ".globl before_" #name "\nbefore_" #name ":\n"                                                \
        "push %rbx; lea scratch(%rip), %rdi; xor %eax, %eax; xor %ecx, %ecx; xor %edx, %edx\n" before \
        "\n" #name ":\n" instruction "\n.size " #name ", . - " #name "\n"                             \
        "pop %rbx; ret\n.size before_" #name ", . - before_" #name "\n");
INSTRUCTIONS
#undef TRY

#define TRY(name, expect, before, instruction) {#name, before_##name, expect},
const struct attack attacks[] = {INSTRUCTIONS};
ATTACK_COUNT;
