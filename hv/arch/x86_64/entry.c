/*
 * entry.c - tables that the CPU needs to enter ring 0: GDT, TSS, IDT and the SYSCALL registers.
 */
#include "entry.h"

#include "core/cpu.h"
#include "core/log.h"
#include "core/vcpu.h"
#include "x86.h"

/* entry.S counts the registers in this order, and these are x86_offsets.h's. */
#define CONTEXT(field) (offsetof(struct vcpu, arch.context.field) / 8)
#define ENTRY(field)   offsetof(struct entry_cpu, field)
#define FRAME(field)   (offsetof(struct trap_frame, field) - offsetof(struct trap_frame, vector))

_Static_assert(CONTEXT(rax) == 0 && CONTEXT(rbx) == 1 && CONTEXT(rcx) == 2 && CONTEXT(rdx) == 3 &&
                   CONTEXT(rsi) == 4 && CONTEXT(rdi) == 5 && CONTEXT(rbp) == 6 &&
                   CONTEXT(rsp) == 7 && CONTEXT(r8) == 8 && CONTEXT(r9) == 9 &&
                   CONTEXT(r10) == 10 && CONTEXT(r11) == 11 && CONTEXT(r12) == 12 &&
                   CONTEXT(r13) == 13 && CONTEXT(r14) == 14 && CONTEXT(r15) == 15 &&
                   CONTEXT(rip) == 16 && CONTEXT(rflags) == 17,
               "entry.S: struct skep_context");
_Static_assert(ENTRY(cpu) == ENTRY_CPU && ENTRY(vcpu) == ENTRY_VCPU &&
                   ENTRY(stack) == ENTRY_STACK && ENTRY(rsp0) == ENTRY_RSP0 &&
                   ENTRY(scratch) == ENTRY_SCRATCH && ENTRY(kernel_cr3) == ENTRY_KERNEL_CR3 &&
                   ENTRY(user_cr3) == ENTRY_USER_CR3 && ENTRY(verw) == ENTRY_VERW &&
                   ENTRY(self) == ENTRY_SELF && ENTRY(call_stack) == ENTRY_CALL_STACK,
               "x86_offsets.h: struct entry_cpu");
_Static_assert(FRAME(vector) == TRAP_VECTOR && FRAME(error) == TRAP_ERROR &&
                   FRAME(rip) == TRAP_RIP && FRAME(cs) == TRAP_CS && FRAME(rflags) == TRAP_RFLAGS &&
                   FRAME(rsp) == TRAP_RSP && offsetof(struct trap_frame, vector) == 15 * 8,
               "x86_offsets.h: struct trap_frame");
_Static_assert(offsetof(struct cpu, arch) == 0, "the door's promise");
_Static_assert(sizeof(struct entry_cpu) <= SKEP_PAGE_SIZE, "page 0 of the entry area");
_Static_assert(ENTRY_IST_PAGE(IST_COUNT) <= ENTRY_AREA_PAGES, "the entry area's layout");

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

#define GATE_INTERRUPT 0x8e
#define GATE_USER      0x60

struct gate entry_idt[256] __attribute__((aligned(SKEP_PAGE_SIZE)));

struct patch {
    uint8_t *at;
    uint64_t kind;
};
extern const struct patch patches_start[], patches_end[];

void entry_patch(uint32_t kind)
{
    for (const struct patch *patch = patches_start; patch < patches_end; patch++) {
        if (patch->kind == kind) {
            patch->at[0] = 0x66; /* a two-byte NOP in place of the short jump */
            patch->at[1] = 0x90;
        }
    }
}

static uint8_t ist_of(uint32_t vector)
{
    switch (vector) {
    case VECTOR_NMI:
        return IST_NMI + 1;
    case VECTOR_MACHINE_CHECK:
        return IST_MACHINE_CHECK + 1;
    case VECTOR_DOUBLE_FAULT:
        return IST_DOUBLE_FAULT + 1;
    case VECTOR_DEBUG:
        return IST_DEBUG + 1;
    default:
        return 0;
    }
}

void entry_idt_init(void)
{
    for (uint32_t vector = 0; vector < 256; vector++) {
        uint64_t stub = (uint64_t)&entry_stubs[16 * vector];
        bool user = vector == VECTOR_BREAKPOINT || vector == VECTOR_OVERFLOW;

        entry_idt[vector] = (struct gate){
            .offset0 = (uint16_t)stub,
            .selector = SELECTOR_KERNEL_CODE,
            .ist = ist_of(vector),
            .type = user ? GATE_INTERRUPT | GATE_USER : GATE_INTERRUPT,
            .offset1 = (uint16_t)(stub >> 16),
            .offset2 = (uint32_t)(stub >> 32),
        };
    }
}

/* Intel SDM volume 3, 3.4.5 and 8.2.3. */
static void gdt_init(struct entry_cpu *entry)
{
    uint64_t base = (uint64_t)&entry->tss;

    entry->gdt[SELECTOR_KERNEL_CODE / 8] = 0x00af9b000000ffff;
    entry->gdt[SELECTOR_KERNEL_DATA / 8] = 0x00cf93000000ffff;
    entry->gdt[SELECTOR_USER_DATA / 8] = 0x00cff3000000ffff;
    entry->gdt[SELECTOR_USER_CODE / 8] = 0x00affb000000ffff;
    entry->gdt[SELECTOR_TSS / 8] = (sizeof(struct tss) - 1) | (base & 0xffffff) << 16 |
                                   0x89ull << 40 | (base >> 24 & 0xff) << 56;
    entry->gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
}

static void tss_init(struct entry_cpu *entry)
{
    uint64_t area = (uint64_t)entry;

    entry->rsp0 = area + (ENTRY_STACK_PAGE + 1) * PAGE_SIZE;
    entry->tss.rsp[0] = entry->rsp0;
    for (uint32_t ist = 0; ist < IST_COUNT; ist++) {
        entry->tss.ist[ist] = area + (ENTRY_IST_PAGE(ist) + 2) * PAGE_SIZE;
    }
    entry->tss.io_map = sizeof(struct tss); /* beyond the limit: no port is allowed */
}

void entry_idt_load(uint64_t address)
{
    struct table_pointer idt = {sizeof(entry_idt) - 1, address};

    __asm__ volatile("lidt %0" : : "m"(idt));
}

static void tables_load(struct entry_cpu *entry)
{
    struct table_pointer gdt = {sizeof(entry->gdt) - 1, (uint64_t)entry->gdt};

    __asm__ volatile("lgdt %0" : : "m"(gdt));
    entry_idt_load(ENTRY_IDT);
    __asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS));
    __asm__ volatile("lldt %w0" : : "r"(0));
    __asm__ volatile("mov %0, %%ss" : : "r"(SELECTOR_KERNEL_DATA));
    __asm__ volatile("pushq %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:"
                     :
                     : "i"(SELECTOR_KERNEL_CODE)
                     : "rax", "memory");
}

void entry_cpu_init(struct cpu *cpu, struct entry_cpu *entry, uint64_t stack)
{
    entry->self = entry;
    entry->cpu = cpu;
    entry->stack = stack;
    entry->call_stack = stack - 8;
    entry->verw = SELECTOR_KERNEL_DATA;
    entry->kernel_cr3 = cr3_read();
    entry->user_cr3 = entry->kernel_cr3;
    entry->root = entry->kernel_cr3;
    cpu->arch.entry = entry;
    gdt_init(entry);
    tss_init(entry);
    tables_load(entry);
    msr_write(MSR_GS_BASE, (uint64_t)entry);
    msr_write(MSR_KERNEL_GS_BASE, 0);
    msr_write(MSR_FS_BASE, 0);
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SCE | EFER_NXE);
    msr_write(MSR_STAR,
              (uint64_t)SELECTOR_SYSRET_BASE << 48 | (uint64_t)SELECTOR_KERNEL_CODE << 32);
    msr_write(MSR_LSTAR, (uint64_t)entry_syscall);
    msr_write(MSR_CSTAR, 0);
    msr_write(MSR_SYSENTER_CS, 0); /* SYSENTER faults, whatever the firmware left there */
    msr_write(MSR_SFMASK, RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_AC | RFLAGS_NT | RFLAGS_RF);
}
