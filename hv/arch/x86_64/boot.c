/*
 * boot.c - the boot story of the first CPU, from the first instruction of C to core_main().
 */
#include "core/cpu.h"
#include "core/log.h"
#include "core/string.h"
#include "core/trap.h"
#include "entry.h"
#include "internal.h"
#include "x86.h"

#define LOADER_REACH (4ull << 30) /* boot.S maps this much */
#define MEGABYTE     (1ull << 20)

#define PANIC_RECORD_FIRST (16 * MEGABYTE)

struct machine machine;
extern uint64_t __stack_chk_guard;

_Noreturn void boot_main(uint64_t start_info);

static const struct memory_view view = {(const uint8_t *)DIRECT_BASE, 0, LOADER_REACH};

static void read_loader(uint64_t start_info)
{
    const char *problem = pvh_parse(&view, start_info, &machine.loader);

    if (problem) {
        panic("boot: %s", problem);
    }
    machine.boot.cmdline = machine.loader.cmdline;
}

/* The boot CPU becomes CPU 0, whatever its place in the table. */
static void order_cpus(void)
{
    struct acpi_info *acpi = &machine.acpi;
    uint32_t self = cpuid(1, 0).ebx >> 24;

    if (acpi->cpu_count == 0) {
        acpi->cpu_count = 1;
        acpi->cpu_lapic_ids[0] = self;
    }
    for (uint32_t i = 1; i < acpi->cpu_count; i++) {
        if (acpi->cpu_lapic_ids[i] == self) {
            acpi->cpu_lapic_ids[i] = acpi->cpu_lapic_ids[0];
            acpi->cpu_lapic_ids[0] = self;
        }
    }
}

static void read_firmware(void)
{
    if (!acpi_parse(&view, machine.loader.rsdp, &machine.acpi)) {
        log_line("boot: no valid ACPI tables: one CPU");
    }
    order_cpus();
    machine.boot.cpu_count = machine.acpi.cpu_count < CPUS_MAX ? machine.acpi.cpu_count : CPUS_MAX;
}

static void reserve_module(void)
{
    const struct loader_info *loader = &machine.loader;
    uint64_t base = page_align_down(loader->module_base);

    if (loader->module_bytes == 0) {
        return;
    }
    if (!memory_map_reserve(&machine.boot, base,
                            page_align_up(loader->module_base + loader->module_bytes) - base)) {
        panic("boot: the boot module is not in free memory");
    }
    machine.boot.module = arch_direct(paddr(loader->module_base));
    machine.boot.module_bytes = loader->module_bytes;
}

/* Sorts out which memory is whose; returns where the pool for boot's own tables and stacks is. */
static uint64_t plan_memory(uint64_t *pool_pages)
{
    struct boot_info *boot = &machine.boot;
    uint64_t kernel = arch_kernel_paddr(kernel_start).value;
    uint64_t pool;

    if (!memory_map_build(&machine.loader, boot) ||
        !memory_map_reserve(boot, kernel, (uint64_t)(kernel_end - kernel_start))) {
        panic("boot: the loader's memory map has no place for this program");
    }
    reserve_module();
    machine.start_page = memory_map_find(boot, PAGE_SIZE, PAGE_SIZE, MEGABYTE);
    if (machine.start_page) {
        memory_map_reserve(boot, machine.start_page, PAGE_SIZE);
    } else {
        boot->cpu_count = 1;
    }
    /* At the same place in each boot of this file: the kernel, and what its loaders put below, end before it. */
    machine.panic_record =
        memory_map_find(boot, PANIC_RECORD_BYTES, PANIC_RECORD_FIRST, LOADER_REACH);
    if (machine.panic_record) {
        memory_map_reserve(boot, machine.panic_record, PANIC_RECORD_BYTES);
        panic_record_take(boot);
    }
    *pool_pages = paging_pool_pages(boot);
    pool = memory_map_find(boot, *pool_pages * PAGE_SIZE, MEGABYTE, LOADER_REACH);
    if (!pool || !memory_map_reserve(boot, pool, *pool_pages * PAGE_SIZE)) {
        panic("boot: no memory for %lu pages of tables and stacks", *pool_pages);
    }
    return pool;
}

static void seed_stack_guard(void)
{
    uint64_t value;

    if (arch_random(&value)) {
        __stack_chk_guard = value & ~0xffull; /* a zero byte stops strings */
    }
}

/* On the CPU's own stack. The boot stack's functions never return, so their guard doesn't matter. */
static void boot_on_stack(void)
{
    random_init();
    seed_stack_guard();
    apic_init();
    clock_init();
    apic_timer_choose();
    machine.boot.wall_ns = rtc_read_ns();
    core_main(&machine.boot);
}

_Noreturn void boot_main(uint64_t start_info)
{
    struct cpu *cpu = cpu_at(0);
    uint64_t pool, pool_pages, stack;

    serial_init();
    read_loader(start_info);
    read_firmware();
    entry_idt_init();
    entry_idt_load((uint64_t)entry_idt);
    cpu_detect();
    pool = plan_memory(&pool_pages);
    paging_init(&machine.boot, pool, pool_pages);
    stack = paging_cpu_map(0);
    entry_cpu_init(cpu, entry_area(0), stack);
    cpu_setup();
    trap_cpu_init();
    cpu->arch.lapic_id = machine.acpi.cpu_lapic_ids[0];
    cpu->arch.timer_deadline_ns = TIME_NEVER;
    entry_call_on_stack(stack, boot_on_stack);
}
