/*
 * registers.c - what other guests had in registers, and whether they get at one's own. Eight at a time take turns on two
 * CPUs: each fills every register with a word of its own, gives way, and looks.
 *
 * guest: memory=2 vcpus=2
 */
#include "raw.h"

#define ROUNDS 3000

static uint64_t words[4] __attribute__((aligned(32)));
static uint64_t seen[16][4] __attribute__((aligned(32)));

/* Fills YMM0 to YMM15, and x87's registers and the bound of MXCSR. */
static void fill(uint64_t value)
{
    for (unsigned i = 0; i < 4; i++)
        words[i] = value + i;
    __asm__ volatile("vmovdqa %0, %%ymm0\n\tvmovdqa %0, %%ymm1\n\tvmovdqa %0, %%ymm2\n\t"
                     "vmovdqa %0, %%ymm3\n\tvmovdqa %0, %%ymm4\n\tvmovdqa %0, %%ymm5\n\t"
                     "vmovdqa %0, %%ymm6\n\tvmovdqa %0, %%ymm7\n\tvmovdqa %0, %%ymm8\n\t"
                     "vmovdqa %0, %%ymm9\n\tvmovdqa %0, %%ymm10\n\tvmovdqa %0, %%ymm11\n\t"
                     "vmovdqa %0, %%ymm12\n\tvmovdqa %0, %%ymm13\n\tvmovdqa %0, %%ymm14\n\t"
                     "vmovdqa %0, %%ymm15"
                     :
                     : "m"(words));
}

static void store(void)
{
    __asm__ volatile("vmovdqa %%ymm0, 0(%0)\n\tvmovdqa %%ymm1, 32(%0)\n\t"
                     "vmovdqa %%ymm2, 64(%0)\n\tvmovdqa %%ymm3, 96(%0)\n\t"
                     "vmovdqa %%ymm4, 128(%0)\n\tvmovdqa %%ymm5, 160(%0)\n\t"
                     "vmovdqa %%ymm6, 192(%0)\n\tvmovdqa %%ymm7, 224(%0)\n\t"
                     "vmovdqa %%ymm8, 256(%0)\n\tvmovdqa %%ymm9, 288(%0)\n\t"
                     "vmovdqa %%ymm10, 320(%0)\n\tvmovdqa %%ymm11, 352(%0)\n\t"
                     "vmovdqa %%ymm12, 384(%0)\n\tvmovdqa %%ymm13, 416(%0)\n\t"
                     "vmovdqa %%ymm14, 448(%0)\n\tvmovdqa %%ymm15, 480(%0)"
                     :
                     : "r"(seen)
                     : "memory");
}

static void expect_all(uint64_t value, bool counted)
{
    store();
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned j = 0; j < 4; j++) {
            if (seen[i][j] != value + (counted ? j : 0))
                fail("FAILED: YMM%u has %x, not %x\n", i, seen[i][j], value + j);
        }
    }
}

static uint32_t mxcsr(void)
{
    uint32_t value;
    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}

static uint16_t x87_control(void)
{
    uint16_t value;
    __asm__ volatile("fnstcw %0" : "=m"(value));
    return value;
}

static uint16_t x87_tags(void)
{
    uint16_t environment[14];
    __asm__ volatile("fnstenv %0\n\tfldenv %0" : "=m"(environment));
    return environment[4];
}

static uint16_t selector(void)
{
    uint16_t ds, es, fs, gs;
    __asm__ volatile("mov %%ds, %0\n\tmov %%es, %1\n\tmov %%fs, %2\n\tmov %%gs, %3"
                     : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
    return (uint16_t)(ds | es | fs | gs);
}

static bool has_avx(void)
{
    return info->features & SKEP_FEATURE_XSAVE && info->xcr0 & 4;
}

/* Those with odd numbers leave their mark, those with even ones find nothing of it. */
static void extended(void)
{
    uint64_t mine = 0x1111111111111111ull * (1 + argument(0));
    CHECK(has_avx());
    expect_all(0, false);
    CHECK(mxcsr() == 0x1f80 && x87_control() == 0x37f && x87_tags() == 0xffff);
    if (argument(0) % 2) {
        static const uint32_t own_mxcsr = 0x5f80;
        static const uint16_t own_control = 0x77f;
        fill(mine);
        __asm__ volatile("ldmxcsr %0\n\tfldcw %1\n\tfldpi\n\tfldpi"
                         :
                         : "m"(own_mxcsr), "m"(own_control));
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        skep_hc_yield();
        if (argument(0) % 2) {
            expect_all(mine, true);
            CHECK(mxcsr() == 0x5f80 && x87_control() == 0x77f && x87_tags() == 0xfff);
        } else {
            expect_all(0, false);
            CHECK(mxcsr() == 0x1f80 && x87_control() == 0x37f && x87_tags() == 0xffff);
        }
    }
}

/* The data selector in a segment register is gone, or one's own, after others ran. */
static void selectors(void)
{
    CHECK(selector() == 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (argument(0) % 2)
            __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(0x23));
        skep_hc_yield();
        CHECK(argument(0) % 2 || selector() == 0);
    }
}

static uint64_t base_fs(void)
{
    uint64_t value;
    __asm__ volatile("rdfsbase %0" : "=r"(value));
    return value;
}

static uint64_t base_gs(void)
{
    uint64_t value;
    __asm__ volatile("rdgsbase %0" : "=r"(value));
    return value;
}

static void bases(void)
{
    if (!(info->features & SKEP_FEATURE_FSGSBASE))
        return;
    uint64_t mine = 0x100000 * (argument(0) + 1);
    CHECK(base_fs() == 0 && base_gs() == 0);
    __asm__ volatile("wrfsbase %0\n\twrgsbase %1" : : "r"(mine), "r"(mine + 1));
    for (unsigned round = 0; round < ROUNDS; round++) {
        skep_hc_yield();
        CHECK(base_fs() == mine && base_gs() == mine + 1);
    }
}

/* What a hypercall leaves in the registers that it clobbers is the guest's own. */
static void clobbered(void)
{
    uint64_t rcx, r11, rip;
    __asm__ volatile("movq $7, %%rax\n\txorl %%ecx, %%ecx\n\tsyscall\n1:\tleaq 1b(%%rip), %2\n\t"
                     "movq %%rcx, %0\n\tmovq %%r11, %1"
                     : "=&r"(rcx), "=&r"(r11), "=&r"(rip)
                     :
                     : "rax", "rcx", "r11", "memory");
    CHECK(rcx == rip && (r11 & ~0x8d5ull) == 0x202);
}

/* Nothing but the start-info's address and the stack comes in at the first instruction, on any vCPU. */
__asm__(
    ".text\n.type registers_first, @function\nregisters_first:\n"
    "orq %rbx, %rax\n orq %rcx, %rax\n orq %rdx, %rax\n orq %rsi, %rax\n orq %rbp, %rax\n"
    "orq %r8, %rax\n orq %r9, %rax\n orq %r10, %rax\n orq %r11, %rax\n orq %r12, %rax\n"
    "orq %r13, %rax\n orq %r14, %rax\n orq %r15, %rax\n movq %rax, %rdi\n call registers_judge\n"
    ".size registers_first, . - registers_first\n");
extern void registers_first(uint64_t argument);

static _Atomic uint64_t judged;

__attribute__((used)) _Noreturn static void registers_judge(uint64_t any)
{
    atomic_store(&judged, any ? any : 1ull << 63);
    skep_hc_vcpu_stop();
}

static void second_vcpu(void)
{
    CHECK(vcpu_run(1, registers_first, 0) == 0);
    while (!atomic_load(&judged))
        skep_hc_yield();
    CHECK(atomic_load(&judged) == 1ull << 63);
}

const struct attack attacks[] = {
    {"extended", extended, "8x exit"},    {"selectors", selectors, "8x exit"},
    {"bases", bases, "8x exit"},          {"clobbered", clobbered, "exit"},
    {"second-vcpu", second_vcpu, "exit"},
};
ATTACK_COUNT;
