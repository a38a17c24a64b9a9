/*
 * faults.c - addresses that aren't the guest's, exceptions of every cause, stacks and contexts that lead elsewhere.
 */
#include "raw.h"

#include "skep/control.h"

#define TOUCH __attribute__((noinline))

/* In assembly, so that the compiler has no opinion about the address; always inlined, so that the attack's own function
 * is where it happens. */
__attribute__((always_inline)) static inline uint64_t read_at(uint64_t address)
{
    uint64_t value;
    __asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(address) : "memory");
    return value;
}

__attribute__((always_inline)) static inline void write_at(uint64_t address)
{
    __asm__ volatile("movb $1, (%0)" : : "r"(address) : "memory");
}

__attribute__((always_inline)) static inline void call_at(uint64_t address)
{
    __asm__ volatile("call *%0" : : "r"(address) : "memory", "cc");
}

/* ---- memory ---- */

static TOUCH void read_null(void)
{
    read_at(8);
}

static TOUCH void read_upper(void)
{
    read_at(UPPER_HALF + 0x100000);
}

static TOUCH void write_upper(void)
{
    write_at(UPPER_HALF + 0x100000);
}

static TOUCH void read_direct_map(void)
{
    read_at(DIRECT_MAP + 0x100000);
}

static TOUCH void write_direct_map(void)
{
    write_at(DIRECT_MAP + 0x100000);
}

/* Mapped in ring 3's page tables even with isolation, and for ring 0 alone. */
static TOUCH void read_entry_area(void)
{
    read_at(ENTRY_AREAS);
}

static TOUCH void write_entry_area(void)
{
    write_at(ENTRY_AREAS + 0x100000);
}

static TOUCH void jump_null(void)
{
    call_at(0);
}

static TOUCH void jump_upper(void)
{
    call_at(UPPER_HALF + 0x100000);
}

static TOUCH void jump_non_canonical(void)
{
    call_at(NONCANONICAL);
}

static TOUCH void read_non_canonical(void)
{
    read_at(NONCANONICAL);
}

/* A word that begins below the hole of the address space and ends in it. */
static TOUCH void read_across_the_end(void)
{
    read_at(NONCANONICAL - 4);
}

static TOUCH void read_last_page(void)
{
    read_at(SKEP_GUEST_VA_MAX);
}

static TOUCH void read_first_megabyte(void)
{
    read_at(SKEP_GUEST_VA_MIN - 8);
}

static TOUCH void read_foreign(void)
{
    read_at(SKEP_GUEST_VA_MIN + 0x1234000);
}

static TOUCH void write_text(void)
{
    write_at((uint64_t)&write_text);
}

static TOUCH void write_rodata(void)
{
    static const char constant[] = "constant";
    write_at((uint64_t)constant);
}

static TOUCH void write_start_info(void)
{
    write_at((uint64_t)info);
}

static TOUCH void jump_start_info(void)
{
    call_at((uint64_t)info);
}

static TOUCH void jump_vcpu_page(void)
{
    uint8_t *page = (uint8_t *)vcpu_page(0);
    *(volatile uint8_t *)&vcpu_page(0)->guest_private = 0xc3;
    call_at((uint64_t)page + offsetof(struct skep_vcpu_page, guest_private));
}

static TOUCH void read_other_vcpu_page(void)
{
    read_at(info->vcpu_pages + info->vcpu_max * PAGE);
}

static TOUCH void jump_heap(void)
{
    uint8_t *code = map_pages(1);
    code[0] = 0xc3;
    call_at((uint64_t)code);
}

static TOUCH void jump_stack(void)
{
    volatile uint8_t code[16] = {0xc3};
    call_at((uint64_t)code);
}

static TOUCH void read_guard(void)
{
    read_at(info->stack_base - 8);
}

static TOUCH void write_below_guard(void)
{
    write_at(info->stack_base - (256 << 10) - 8);
}

static TOUCH void read_behind_mapping(void)
{
    read_at((uint64_t)map_pages(1) + PAGE);
}

static uint8_t data_page[4096] __attribute__((aligned(4096))) = {0xc3};

/* A variable's first value is the image's, whatever other guests wrote there: the page is first read, shared with all,
 * and then written. */
static TOUCH void image_data(void)
{
    volatile uint8_t *data = data_page;
    CHECK(data[0] == 0xc3 && data[1] == 0);
    data[0] = 0x5e;
    data[1] = 0x5e;
    CHECK(data[0] == 0x5e && data[1] == 0x5e);
}

static TOUCH void write_read_only(void)
{
    uint8_t *page = map_pages(1);
    *page = 1;
    CHECK(skep_hc_mem_protect((uint64_t)page, PAGE, SKEP_PROT_READ) == 0);
    write_at((uint64_t)page);
}

static TOUCH void read_protected(void)
{
    uint8_t *page = map_pages(1);
    *page = 1;
    CHECK(skep_hc_mem_protect((uint64_t)page, PAGE, SKEP_PROT_NONE) == 0);
    read_at((uint64_t)page);
}

static TOUCH void read_unmapped(void)
{
    uint8_t *page = map_pages(1);
    *page = 1;
    CHECK(skep_hc_mem_unmap((uint64_t)page, PAGE) == 0);
    read_at((uint64_t)page);
}

static TOUCH void recurse_for_ever(void)
{
    __asm__ volatile("1: call 1b" : : : "memory");
}

/* ---- exceptions ---- */

static TOUCH void divide(void)
{
    __asm__ volatile("xorl %%ecx, %%ecx\n\tdivl %%ecx" : : : "eax", "ecx", "edx", "cc");
}

static TOUCH void divide_overflow(void)
{
    __asm__ volatile("movl $-1, %%edx\n\tmovl $1, %%ecx\n\tdivl %%ecx"
                     :
                     :
                     : "eax", "ecx", "edx", "cc");
}

static TOUCH void x87(void)
{
    static const uint16_t all_unmasked = 0x340;
    __asm__ volatile("fninit\n\tfldcw %0\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait" : : "m"(all_unmasked));
}

static TOUCH void simd(void)
{
    static const uint32_t all_unmasked = 0;
    static const double one = 1.0, zero = 0.0;
    __asm__ volatile("ldmxcsr %0\n\tmovsd %1, %%xmm0\n\tdivsd %2, %%xmm0"
                     :
                     : "m"(all_unmasked), "m"(one), "m"(zero)
                     : "xmm0");
}

static TOUCH void simd_unaligned(void)
{
    static uint8_t data[32] __attribute__((aligned(16)));
    __asm__ volatile("movaps (%0), %%xmm0" : : "r"(data + 1) : "xmm0", "memory");
}

static TOUCH void stack_lost(void)
{
    __asm__ volatile("movq $0x1000, %%rsp\n\tpushq $0" : : : "memory");
}

/* ---- registers that a hypercall or an upcall restores ---- */

static struct skep_context context;

/* At the top of the backtrace when the resumed context goes wrong. */
static TOUCH void resumed(void)
{
    __asm__ volatile("ud2");
}

static TOUCH void resumed_cli(void)
{
    __asm__ volatile("cli");
}

__attribute__((always_inline)) static inline void resume(uint64_t rip, uint64_t rflags)
{
    context.rip = rip;
    context.rsp = context.rsp ? context.rsp : (uint64_t)&context;
    context.rflags = rflags;
    skep_hc_resume(&context);
}

static TOUCH void resume_upper(void)
{
    resume(UPPER_HALF + 0x100000, 0x202);
}

static TOUCH void resume_non_canonical(void)
{
    resume(NONCANONICAL, 0x202);
}

static TOUCH void resume_last_page(void)
{
    resume(SKEP_GUEST_VA_MAX, 0x202);
}

static TOUCH void resume_null(void)
{
    resume(0, 0x202);
}

/* Once a good context was read, a bad pointer must not bring it back. */
static TOUCH void resumed_again(void)
{
    skep_hc_resume(NULL);
}

static TOUCH void resume_stale(void)
{
    context.rsp = (uint64_t)map_pages(1) + PAGE - 64;
    resume((uint64_t)resumed_again, 0x202);
}

static TOUCH void resume_fs_upper(void)
{
    context.fs_base = UPPER_HALF;
    resume((uint64_t)resumed, 0x202);
}

static TOUCH void resume_gs_non_canonical(void)
{
    context.gs_base = NONCANONICAL;
    resume((uint64_t)resumed, 0x202);
}

static TOUCH void resume_rsp_upper(void)
{
    context.rsp = UPPER_HALF + 0x200000;
    resume((uint64_t)resumed, 0x202);
}

static TOUCH void resume_rsp_non_canonical(void)
{
    context.rsp = NONCANONICAL;
    resume((uint64_t)resumed, 0x202);
}

static TOUCH void resume_io_privilege(void)
{
    resume((uint64_t)resumed_cli, 0x3202);
}

static TOUCH void resumed_step(void)
{
    __asm__ volatile("nop\n\tnop\n\tud2");
}

static TOUCH void resume_step(void)
{
    resume((uint64_t)resumed_step, 0x302);
}

static struct skep_context after;

/* Where a context with odd flags continues: it looks at what became of them. */
__asm__(".text\n.type flags_look, @function\nflags_look: pushfq\n popq %rdi\n"
        " pushq $2\n popfq\n jmp flags_judge\n.size flags_look, . - flags_look\n");
extern void flags_look(void);

/* Interrupts stay on, and no privilege, nested task, virtual mode or virtual interrupt came through. */
__attribute__((used)) _Noreturn static void flags_judge(uint64_t flags)
{
    if ((flags & 0x1a7202) != 0x202)
        fail("FAILED: flags %x\n", flags);
    print("survived: %s\n", after.rax);
    skep_hc_exit(0);
}

__attribute__((always_inline)) static inline void flags_try(const char *name, uint64_t flags)
{
    after.rax = (uint64_t)name;
    context.rsp = (uint64_t)map_pages(1) + PAGE - 64;
    resume((uint64_t)flags_look, flags);
}

static TOUCH void resume_interrupts_off(void)
{
    flags_try("resume-interrupts-off", 0);
}

static TOUCH void resume_nested_task(void)
{
    flags_try("resume-nested-task", 0x4202);
}

static TOUCH void resume_virtual_8086(void)
{
    flags_try("resume-virtual-8086", 0x20202);
}

static TOUCH void resume_all_flags(void)
{
    flags_try("resume-all-flags", ~0x100ull);
}

static TOUCH void resume_alignment(void)
{
    flags_try("resume-alignment", 0x40202);
}

/* An upcall with forged places to go to. Time must come as an event. */
__attribute__((always_inline)) static inline void upcall_at(uint64_t entry, uint64_t stack)
{
    struct skep_vcpu_page *page = vcpu_page(0);
    page->upcall_stack = stack;
    *(volatile uint64_t *)&page->upcall_entry = entry;
    skep_hc_timer_set((uint64_t)skep_hc_clock_read() + 1000000);
    for (;;)
        __asm__ volatile("pause");
}

static TOUCH void upcall_upper(void)
{
    upcall_at(UPPER_HALF + 0x100000, 0);
}

static TOUCH void upcall_non_canonical(void)
{
    upcall_at(NONCANONICAL, 0);
}

static TOUCH void upcall_last_page(void)
{
    upcall_at(SKEP_GUEST_VA_MAX, 0);
}

static TOUCH void upcall_stack_upper(void)
{
    upcall_at((uint64_t)resumed, UPPER_HALF + 0x200000);
}

static TOUCH void upcall_stack_non_canonical(void)
{
    upcall_at((uint64_t)resumed, NONCANONICAL);
}

static TOUCH void upcall_null_page(void)
{
    upcall_at(8, 0);
}

/* Bases in ring 0's half, where the CPU lets a guest set them, when an upcall is to save and restore them. */
static TOUCH void upcall_gs_upper(void)
{
    if (info->features & SKEP_FEATURE_FSGSBASE)
        __asm__ volatile("wrgsbase %0" : : "r"(UPPER_HALF));
    upcall_at((uint64_t)resumed, 0);
}

/* Faults of which the guest is told in forged places: the record is of the fault all the same. */
__attribute__((always_inline)) static inline void faults_at(uint64_t entry, uint64_t stack)
{
    struct skep_vcpu_page *page = vcpu_page(0);
    page->upcall_stack = stack;
    *(volatile uint64_t *)&page->fault_entry = entry;
}

static TOUCH void fault_entry_upper(void)
{
    faults_at(UPPER_HALF + 0x100000, 0);
    read_at(8);
}

static TOUCH void fault_entry_non_canonical(void)
{
    faults_at(NONCANONICAL, 0);
    read_at(8);
}

static TOUCH void fault_entry_last_page(void)
{
    faults_at(SKEP_GUEST_VA_MAX, 0);
    read_at(8);
}

static TOUCH void fault_entry_null_page(void)
{
    faults_at(16, 0);
    read_at(8);
}

static TOUCH void fault_entry_heap(void)
{
    faults_at((uint64_t)map_pages(1), 0);
    read_at(8);
}

static TOUCH void fault_entry_vcpu_page(void)
{
    faults_at((uint64_t)&vcpu_page(0)->guest_private, 0);
    read_at(8);
}

static TOUCH void fault_stack_upper(void)
{
    faults_at((uint64_t)resumed, UPPER_HALF + 0x200000);
    read_at(8);
}

/* What the entries below have as a stack. */
static uint64_t entry_stack[512];

__attribute__((always_inline)) static inline void faults_to(void (*entry)(void))
{
    faults_at((uint64_t)entry, (uint64_t)(entry_stack + 511));
}

/* Registers that no guest has, for the record of a fault that it hasn't taken. */
static TOUCH void fault_forging(void)
{
    vcpu_page(0)->context.rip = UPPER_HALF;
    vcpu_page(0)->context.gs_base = UPPER_HALF;
    __asm__ volatile("ud2");
}

static TOUCH void fault_registers_forged(void)
{
    faults_to(fault_forging);
    read_at(8);
}

/* Reasons that no fault has. */
static TOUCH void fault_reason_forged(void)
{
    atomic_store(&vcpu_page(0)->upcall_masked, 1);
    atomic_store(&vcpu_page(0)->fault_reason, argument(0) == 0 ? ~0u : SKEP_CRASH_KILLED);
    read_at(8);
}

/* Where it is told of one it makes another, by a call. */
static TOUCH void fault_calling(void)
{
    skep_hc_resume((const struct skep_context *)UPPER_HALF);
}

static TOUCH void fault_then_call(void)
{
    faults_to(fault_calling);
    read_at(8);
}

/* What it is told, by a count of faults that it goes on behind. */
static volatile uint64_t faults_told;

static TOUCH void fault_taken(void)
{
    struct skep_vcpu_page *page = vcpu_page(0);
    CHECK(page->fault_reason == SKEP_CRASH_INVALID_OPCODE && page->fault_mapped == 0);
    CHECK(page->fault_address == page->context.rip && page->upcall_masked == 1);
    CHECK((uint64_t)__builtin_frame_address(0) < (uint64_t)(entry_stack + 512));
    faults_told++;
    page->context.rip += 2;
    atomic_store(&page->fault_reason, 0);
    skep_hc_resume(&page->context);
}

static TOUCH void fault_told(void)
{
    faults_to(fault_taken);
    for (uint64_t i = 0; i < 1000; i++) {
        CHECK(faults_told == i);
        __asm__ volatile("ud2" : : : "memory");
    }
    CHECK(skep_hc_mem_unmap((uint64_t)vcpu_page(0), PAGE) < 0);
    CHECK(skep_hc_mem_protect((uint64_t)vcpu_page(0), PAGE, SKEP_PROT_READ) < 0);
    CHECK(faults_told == 1000);
}

static TOUCH void base_upper(void)
{
    for (uint32_t which = 0; which < 2; which++) {
        CHECK(skep_hc_base_set(which, UPPER_HALF) == -SKEP_EINVAL);
        CHECK(skep_hc_base_set(which, NONCANONICAL) == -SKEP_EINVAL);
        CHECK(skep_hc_base_set(which, SKEP_GUEST_VA_MAX) == -SKEP_EINVAL);
        CHECK(skep_hc_base_set(which, ~0ull) == -SKEP_EINVAL);
    }
    CHECK(skep_hc_base_set(2, 0) == -SKEP_EINVAL);
    CHECK(skep_hc_base_set(~0u, 0) == -SKEP_EINVAL);
}

/* A system call in the last bytes below the page that nobody can map: it returns into that page. */
static TOUCH void syscall_at_the_end(void)
{
    uint64_t last = SKEP_GUEST_VA_MAX - PAGE;
    CHECK(skep_hc_mem_map(last, PAGE, SKEP_PROT_READ | SKEP_PROT_WRITE) == (int64_t)last);
    uint8_t *code = (uint8_t *)(SKEP_GUEST_VA_MAX - 2);
    code[0] = 0x0f, code[1] = 0x05;
    CHECK(skep_hc_mem_protect(last, PAGE, SKEP_PROT_READ | SKEP_PROT_EXEC) == -SKEP_EPERM);
    call_at((uint64_t)code);
}

const struct attack attacks[] = {
    {"read-null", read_null, "page-fault address=0x8 error=0"},
    {"read-upper", read_upper, "page-fault address=0xffffffff80100000"},
    {"write-upper", write_upper, "page-fault address=0xffffffff80100000"},
    {"read-direct-map", read_direct_map, "page-fault address=0xffff800000100000"},
    {"write-direct-map", write_direct_map, "page-fault address=0xffff800000100000"},
    {"read-entry-area", read_entry_area, "page-fault address=0xffffff0000000000"},
    {"write-entry-area", write_entry_area, "page-fault address=0xffffff0000100000"},
    {"jump-null", jump_null, "page-fault address=0 error=0x10"},
    {"jump-upper", jump_upper, "page-fault address=0xffffffff80100000"},
    {"jump-non-canonical", jump_non_canonical, "general-protection"},
    {"read-non-canonical", read_non_canonical, "general-protection"},
    {"read-across-the-end", read_across_the_end, "page-fault | general-protection"},
    {"read-last-page", read_last_page, "page-fault address=0x7ffffffff000"},
    {"read-first-megabyte", read_first_megabyte, "page-fault address=0xffff8"},
    {"read-foreign", read_foreign, "page-fault address=0x1334000"},
    {"write-text", write_text, "page-fault"},
    {"write-rodata", write_rodata, "page-fault"},
    {"write-start-info", write_start_info, "page-fault error=0x3"},
    {"jump-start-info", jump_start_info, "page-fault error=0x11"},
    {"jump-vcpu-page", jump_vcpu_page, "page-fault error=0x11"},
    {"read-other-vcpu-page", read_other_vcpu_page, "page-fault error=0"},
    {"jump-heap", jump_heap, "page-fault error=0x11"},
    {"jump-stack", jump_stack, "page-fault error=0x11"},
    {"read-guard", read_guard, "guard-page"},
    {"write-below-guard", write_below_guard, "page-fault"},
    {"read-behind-mapping", read_behind_mapping, "page-fault error=0"},
    {"image-data", image_data, "8x exit"},
    {"write-read-only", write_read_only, "page-fault error=0x3"},
    {"read-protected", read_protected, "guard-page"},
    {"read-unmapped", read_unmapped, "page-fault error=0"},
    {"recurse-for-ever", recurse_for_ever, "guard-page"},
    {"divide", divide, "divide-error"},
    {"divide-overflow", divide_overflow, "divide-error"},
    {"x87", x87, "fpu-error"},
    {"simd", simd, "simd-error | exit"},
    {"simd-unaligned", simd_unaligned, "general-protection | exit"},
    {"stack-lost", stack_lost, "page-fault address=0xff8"},
    {"resume-upper", resume_upper, "bad-hypercall error=8"},
    {"resume-non-canonical", resume_non_canonical, "bad-hypercall error=8"},
    {"resume-last-page", resume_last_page, "bad-hypercall error=8"},
    {"resume-null", resume_null, "page-fault address=0 lost"},
    {"resume-stale", resume_stale, "bad-hypercall error=8 address=0 at=resumed_again"},
    {"resume-fs-upper", resume_fs_upper, "bad-hypercall error=8"},
    {"resume-gs-non-canonical", resume_gs_non_canonical, "bad-hypercall error=8"},
    {"resume-rsp-upper", resume_rsp_upper, "invalid-opcode at=resumed"},
    {"resume-rsp-non-canonical", resume_rsp_non_canonical, "invalid-opcode at=resumed"},
    {"resume-io-privilege", resume_io_privilege, "general-protection at=resumed_cli"},
    {"resume-step", resume_step, "debug at=resumed_step"},
    {"resume-interrupts-off", resume_interrupts_off, "exit"},
    {"resume-nested-task", resume_nested_task, "exit"},
    {"resume-virtual-8086", resume_virtual_8086, "exit"},
    {"resume-all-flags", resume_all_flags, "exit"},
    {"resume-alignment", resume_alignment, "exit"},
    {"upcall-upper", upcall_upper, "bad-hypercall address=0xffffffff80100000"},
    {"upcall-non-canonical", upcall_non_canonical, "bad-hypercall address=0x800000000000"},
    {"upcall-last-page", upcall_last_page, "bad-hypercall address=0x7ffffffff000"},
    {"upcall-stack-upper", upcall_stack_upper, "invalid-opcode at=resumed"},
    {"upcall-stack-non-canonical", upcall_stack_non_canonical, "invalid-opcode at=resumed"},
    {"upcall-null-page", upcall_null_page, "page-fault address=0x8 lost"},
    {"upcall-gs-upper", upcall_gs_upper, "bad-hypercall"},
    {"fault-entry-upper", fault_entry_upper, "page-fault address=0x8 error=0"},
    {"fault-entry-non-canonical", fault_entry_non_canonical, "page-fault address=0x8 error=0"},
    {"fault-entry-last-page", fault_entry_last_page, "page-fault address=0x8 error=0"},
    {"fault-entry-null-page", fault_entry_null_page, "page-fault address=0x8 error=0"},
    {"fault-entry-heap", fault_entry_heap, "page-fault address=0x8 error=0"},
    {"fault-entry-vcpu-page", fault_entry_vcpu_page, "page-fault address=0x8 error=0"},
    {"fault-stack-upper", fault_stack_upper, "page-fault address=0x8 error=0"},
    {"fault-registers-forged", fault_registers_forged, "invalid-opcode at=fault_forging"},
    {"fault-reason-forged", fault_reason_forged, "2x page-fault address=0x8 error=0"},
    {"fault-then-call", fault_then_call, "bad-hypercall error=8 at=fault_calling"},
    {"fault-told", fault_told, "exit"},
    {"base-upper", base_upper, "exit"},
    {"syscall-at-the-end", syscall_at_the_end, "page-fault error=0x11"},
};
ATTACK_COUNT;
