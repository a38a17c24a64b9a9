/*
 * fault.c - a guest that attacks, once, in the way that its argument names.
 *
 * It prints "attack: <name>" before, and "survived: <name>" if it is still there afterwards. Without
 * an argument it prints the names, one a line, each with the crash reasons that are right for it:
 * "-" for an attack that need not end the guest. (Emulated CPUs have no SIMD exceptions, and take
 * ICEBP for an invalid opcode.)
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "skep/guest.h"
#include "skep/hypercall.h"

#define UPPER_HALF   0xffffffff80000000ull
#define DIRECT_MAP   0xffff800000000000ull
#define NONCANONICAL 0x0000800000000000ull

static void say(const char *what, const char *name)
{
    printf("%s: %s\n", what, name);
    fflush(stdout);
}

/*
 * Memory
 */

/* In assembly, so that the compiler has no opinion about the address. */
static void read_at(uint64_t address)
{
    __asm__ volatile("movb (%0), %%al" : : "r"(address) : "rax", "memory");
}

static void write_at(uint64_t address)
{
    __asm__ volatile("movb $1, (%0)" : : "r"(address) : "memory");
}

static void call_at(uint64_t address)
{
    __asm__ volatile("call *%0" : : "r"(address) : "memory", "cc");
}

static void jump_null(void)
{
    call_at(0);
}

static void read_null(void)
{
    read_at(8);
}

static void read_upper(void)
{
    read_at(UPPER_HALF);
}

static void write_upper(void)
{
    write_at(UPPER_HALF);
}

static void read_direct_map(void)
{
    read_at(DIRECT_MAP + 0x100000);
}

static void jump_upper(void)
{
    call_at(UPPER_HALF + 0x100000);
}

static void read_noncanonical(void)
{
    read_at(NONCANONICAL);
}

static void jump_noncanonical(void)
{
    call_at(NONCANONICAL);
}

/* Where no guest of this layout has anything mapped. */
static void read_foreign(void)
{
    read_at(SKEP_GUEST_VA_MIN + 0x1234000);
}

static void read_last_page(void)
{
    read_at(SKEP_GUEST_VA_MAX);
}

static void write_text(void)
{
    write_at((uint64_t)&write_text);
}

static void write_start_info(void)
{
    write_at((uint64_t)skep_start_info());
}

static void exec_heap(void)
{
    unsigned char *code = malloc(16);
    code[0] = 0xc3; /* ret */
    call_at((uint64_t)code);
    free(code);
}

static void exec_stack(void)
{
    volatile unsigned char code[16] = {0xc3};
    call_at((uint64_t)code);
}

/* Recursion that the compiler can't see the end of. */
static int (*volatile deeper)(int depth);

static int recurse(int depth)
{
    volatile char room[1024];
    room[depth % 1024] = (char)depth;
    return deeper(depth + 1) + room[depth % 1024];
}

static void stack(void)
{
    deeper = recurse;
    deeper(0);
}

static void *overflow(void *unused)
{
    stack();
    return unused;
}

static void stack_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, overflow, NULL);
    pthread_join(thread, NULL);
}

/* RSP is nowhere when the fault comes: ring 0 must not use it. */
static void stack_pointer_lost(void)
{
    __asm__ volatile("movq $0x1000, %%rsp\n\tpushq $0" : : : "memory");
}

static void stack_pointer_upper(void)
{
    __asm__ volatile("movq %0, %%rsp\n\tud2" : : "r"(UPPER_HALF + 0x200000) : "memory");
}

/*
 * Exceptions
 */

static void divide(void)
{
    volatile int ten = 10, zero = 0;
    zero = ten / zero; /* NOLINT(clang-analyzer-core.DivideZero): on purpose */
}

static void breakpoint(void)
{
    __asm__ volatile("int3");
}

static void illegal(void)
{
    __asm__ volatile("ud2");
}

static void icebp(void)
{
    __asm__ volatile(".byte 0xf1");
}

static void single_step(void)
{
    __asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tnop" : : : "memory", "cc");
}

static void x87(void)
{
    static const uint16_t all_unmasked = 0x340;
    __asm__ volatile("fninit\n\tfldcw %0\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait" : : "m"(all_unmasked));
}

static void simd(void)
{
    static const uint32_t all_unmasked = 0;
    static const double one = 1.0, zero = 0.0;
    __asm__ volatile("ldmxcsr %0\n\tmovsd %1, %%xmm0\n\tdivsd %2, %%xmm0"
                     :
                     : "m"(all_unmasked), "m"(one), "m"(zero)
                     : "xmm0");
}

/*
 * Privileged instructions
 */

#define ATTACK(name, code)                                      \
    static void name(void)                                      \
    {                                                           \
        static uint64_t operand[2];                             \
        __asm__ volatile(code "\n"                              \
                         :                                      \
                         : "D"(operand), "a"(0), "c"(0), "d"(0) \
                         : "rbx", "memory", "cc");              \
    }

ATTACK(cli, "cli")
ATTACK(sti, "sti")
ATTACK(hlt, "hlt")
ATTACK(rdmsr, "movl $0xc0000080, %%ecx\n\trdmsr")
ATTACK(wrmsr, "movl $0xc0000082, %%ecx\n\twrmsr")
ATTACK(port_in, "movl $0x60, %%edx\n\tinb %%dx, %%al")
ATTACK(port_out, "movl $0x3f8, %%edx\n\toutb %%al, %%dx")
ATTACK(lgdt, "lgdt (%%rdi)")
ATTACK(lidt, "lidt (%%rdi)")
ATTACK(lldt, "lldt %%ax")
ATTACK(ltr, "ltr %%ax")
ATTACK(read_cr0, "movq %%cr0, %%rbx")
ATTACK(write_cr3, "movq %%rax, %%cr3")
ATTACK(write_cr4, "movq %%rax, %%cr4")
ATTACK(write_dr7, "movq %%rax, %%dr7")
ATTACK(invlpg, "invlpg (%%rdi)")
ATTACK(wbinvd, "wbinvd")
ATTACK(rdpmc, "rdpmc")
ATTACK(xsetbv, "movl $1, %%eax\n\txsetbv")
ATTACK(swapgs, "swapgs")
ATTACK(sysret, "sysretq")
ATTACK(clts, "clts")
ATTACK(stac, "stac")
ATTACK(int80, "int $0x80")
ATTACK(int_nmi, "int $2")
ATTACK(int_double_fault, "int $8")
ATTACK(int_timer, "int $0x20")
ATTACK(ss_null, "movw %%ax, %%ss")
ATTACK(ss_kernel, "movl $0x10, %%eax\n\tmovw %%ax, %%ss")
ATTACK(far_jump, "movl $0, (%%rdi)\n\tmovw $8, 4(%%rdi)\n\tljmpl *(%%rdi)")

/* To ring 0's code segment. */
static void iretq_kernel(void)
{
    __asm__ volatile("movq %%rsp, %%rax\n\t"
                     "pushq $0x10\n\tpushq %%rax\n\tpushq $0x202\n\tpushq $0x08\n\t"
                     "leaq 1f(%%rip), %%rax\n\tpushq %%rax\n\tiretq\n1:"
                     :
                     :
                     : "rax", "memory", "cc");
}

/*
 * Tricks on the entry and the exit
 */

/* POPF in ring 3 leaves IF and IOPL alone; no fault. */
static void popf_iopl(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq\n\torq $0x3000, (%%rsp)\n\tandq $~0x200, (%%rsp)\n\tpopfq\n\t"
                     "pushfq\n\tpopq %0"
                     : "=r"(flags)
                     :
                     : "memory", "cc");
    if ((flags & 0x3200) != 0x200)
        printf("popf changed flags to %llx\n", (unsigned long long)flags);
}

/* A hypercall with RSP in ring 0's half. */
static void syscall_upper_stack(void)
{
    uint64_t number = SKEP_HC_CLOCK_READ;
    __asm__ volatile("movq %%rsp, %%rbx\n\tmovq %1, %%rsp\n\tsyscall\n\tmovq %%rbx, %%rsp"
                     : "+a"(number)
                     : "r"(UPPER_HALF + 0x200000)
                     : "rbx", "rcx", "r11", "memory");
}

/* DF and AC set at the entry; they are back afterwards and must not have hurt. */
static void syscall_flags(void)
{
    uint64_t number = SKEP_HC_CLOCK_READ;
    __asm__ volatile("std\n\tpushfq\n\torq $0x40000, (%%rsp)\n\tpopfq\n\tsyscall\n\t"
                     "pushfq\n\tandq $~0x40000, (%%rsp)\n\tpopfq\n\tcld"
                     : "+a"(number)
                     :
                     : "rcx", "r11", "memory", "cc");
}

/* TF at the entry of a hypercall traps behind it, in the guest. */
static void syscall_single_step(void)
{
    uint64_t number = SKEP_HC_CLOCK_READ;
    __asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tsyscall\n\tnop"
                     : "+a"(number)
                     :
                     : "rcx", "r11", "memory", "cc");
}

/* GS in ring 0's half at an entry, where the CPU lets a guest do that, then a fault. */
static void gs_upper(void)
{
    if (skep_start_info()->features & SKEP_FEATURE_FSGSBASE)
        __asm__ volatile("wrgsbase %0" : : "r"(UPPER_HALF));
    __asm__ volatile("ud2");
}

static void resume_at(uint64_t rip, uint64_t rflags)
{
    static struct skep_context context;
    context.rip = rip;
    context.rsp = (uint64_t)&context;
    context.rflags = rflags;
    skep_hc_resume(&context);
}

static void resume_upper(void)
{
    resume_at(UPPER_HALF + 0x100000, 0x202);
}

static void resume_noncanonical(void)
{
    resume_at(NONCANONICAL, 0x202);
}

/* CLI works only if resume let IOPL through. */
static void resume_iopl(void)
{
    resume_at((uint64_t)cli, 0x3202);
}

/* With interrupts off, this would never end. */
static void resume_interrupts_off(void)
{
    resume_at((uint64_t)illegal, 0);
}

static void resume_bases(void)
{
    static struct skep_context context = {.fs_base = NONCANONICAL, .gs_base = NONCANONICAL};
    context.rip = (uint64_t)illegal;
    skep_hc_resume(&context);
}

/* An upcall to a place that a guest can't run. */
static void upcall_at(uint64_t entry)
{
    struct skep_vcpu_page *page = (struct skep_vcpu_page *)skep_start_info()->vcpu_pages;
    page->upcall_entry = entry;
    skep_hc_timer_set(skep_clock_ns() + 1000000);
    for (;;)
        __asm__ volatile("pause");
}

static void upcall_upper(void)
{
    upcall_at(UPPER_HALF + 0x100000);
}

static void upcall_noncanonical(void)
{
    upcall_at(NONCANONICAL);
}

static const struct {
    const char *name;
    void (*function)(void);
    const char *reason; /* as the API spells it, "-" = the guest goes on */
} attacks[] = {
    {"divide", divide, "divide-error"},
    {"jump-null", jump_null, "page-fault"},
    {"read-null", read_null, "page-fault"},
    {"read-upper", read_upper, "page-fault"},
    {"write-upper", write_upper, "page-fault"},
    {"read-direct-map", read_direct_map, "page-fault"},
    {"jump-upper", jump_upper, "page-fault"},
    {"read-noncanonical", read_noncanonical, "general-protection"},
    {"jump-noncanonical", jump_noncanonical, "general-protection"},
    {"read-foreign", read_foreign, "page-fault"},
    {"read-last-page", read_last_page, "page-fault"},
    {"write-text", write_text, "page-fault"},
    {"write-start-info", write_start_info, "page-fault"},
    {"exec-heap", exec_heap, "page-fault"},
    {"exec-stack", exec_stack, "page-fault"},
    {"stack", stack, "guard-page"},
    {"stack-thread", stack_thread, "guard-page page-fault"},
    {"stack-pointer-lost", stack_pointer_lost, "page-fault"},
    {"stack-pointer-upper", stack_pointer_upper, "invalid-opcode"},
    {"breakpoint", breakpoint, "breakpoint"},
    {"illegal", illegal, "invalid-opcode"},
    {"icebp", icebp, "debug invalid-opcode"},
    {"single-step", single_step, "debug"},
    {"x87", x87, "fpu-error"},
    {"simd", simd, "simd-error -"},
    {"cli", cli, "general-protection"},
    {"sti", sti, "general-protection"},
    {"hlt", hlt, "general-protection"},
    {"rdmsr", rdmsr, "general-protection"},
    {"wrmsr", wrmsr, "general-protection"},
    {"port-in", port_in, "general-protection"},
    {"port-out", port_out, "general-protection"},
    {"lgdt", lgdt, "general-protection"},
    {"lidt", lidt, "general-protection"},
    {"lldt", lldt, "general-protection"},
    {"ltr", ltr, "general-protection"},
    {"read-cr0", read_cr0, "general-protection"},
    {"write-cr3", write_cr3, "general-protection"},
    {"write-cr4", write_cr4, "general-protection"},
    {"write-dr7", write_dr7, "general-protection"},
    {"invlpg", invlpg, "general-protection"},
    {"wbinvd", wbinvd, "general-protection"},
    {"rdpmc", rdpmc, "general-protection"},
    {"xsetbv", xsetbv, "general-protection"},
    {"swapgs", swapgs, "general-protection"},
    {"sysret", sysret, "general-protection"},
    {"clts", clts, "general-protection"},
    {"stac", stac, "invalid-opcode"},
    {"int80", int80, "general-protection"},
    {"int-nmi", int_nmi, "general-protection"},
    {"int-double-fault", int_double_fault, "general-protection"},
    {"int-timer", int_timer, "general-protection"},
    {"ss-null", ss_null, "general-protection"},
    {"ss-kernel", ss_kernel, "general-protection"},
    {"far-jump", far_jump, "general-protection"},
    {"iretq-kernel", iretq_kernel, "general-protection page-fault"},
    {"popf-iopl", popf_iopl, "-"},
    {"syscall-upper-stack", syscall_upper_stack, "-"},
    {"syscall-flags", syscall_flags, "-"},
    {"syscall-single-step", syscall_single_step, "debug"},
    {"gs-upper", gs_upper, "invalid-opcode"},
    {"resume-upper", resume_upper, "bad-hypercall"},
    {"resume-noncanonical", resume_noncanonical, "bad-hypercall"},
    {"resume-iopl", resume_iopl, "general-protection"},
    {"resume-interrupts-off", resume_interrupts_off, "invalid-opcode"},
    {"resume-bases", resume_bases, "bad-hypercall"},
    {"upcall-upper", upcall_upper, "bad-hypercall"},
    {"upcall-noncanonical", upcall_noncanonical, "bad-hypercall"},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(attacks) / sizeof(*attacks); i++) {
        if (argc < 2) {
            printf("%s %s\n", attacks[i].name, attacks[i].reason);
        } else if (strcmp(attacks[i].name, argv[1]) == 0) {
            say("attack", argv[1]);
            attacks[i].function();
            say("survived", argv[1]);
            return 0;
        }
    }
    if (argc >= 2)
        printf("unknown attack: %s\n", argv[1]);
    return argc < 2 ? 0 : 2;
}
