/*
 * smp.c - the start of the further CPUs, one after the other.
 */
#include <stdatomic.h>

#include "core/cpu.h"
#include "core/log.h"
#include "core/string.h"
#include "core/trap.h"
#include "entry.h"
#include "internal.h"
#include "x86.h"

#define START_TIMEOUT_US 200000u
#define POLL_US          20u
#define TSC_ROUNDS       16u

extern const char start_page[], start_page_end[];
_Noreturn void start_main(void);

/* The CPU that starts now; `step` counts the turns in which both CPUs look at the TSC. */
static uint32_t starting;
static uint64_t starting_stack;
static _Atomic uint32_t step;
static uint64_t step_tsc;
static bool tsc_behind; /* written by the CPU whose turn it is */

/* Takes turns with the other CPU: `mine` turns are odd or even. Each reading must not be before the
 * other's last one. */
static void tsc_compare(uint32_t first)
{
    for (uint32_t turn = first; turn <= TSC_ROUNDS; turn += 2) {
        /* Acquire pairs with the release below: the other's reading is visible. */
        while (atomic_load_explicit(&step, memory_order_acquire) != turn) {
            arch_spin_hint();
        }
        uint64_t now = tsc_read();

        if (now < step_tsc) {
            tsc_behind = true;
        }
        step_tsc = now;
        atomic_store_explicit(&step, turn + 1, memory_order_release);
    }
}

/* C entry of a further CPU, on its own stack and ring 0's page tables. */
_Noreturn void start_main(void)
{
    struct cpu *cpu = cpu_at(starting);

    entry_cpu_init(cpu, entry_area(starting), starting_stack);
    cpu_setup();
    trap_cpu_init();
    apic_cpu_init();
    cpu->arch.timer_deadline_ns = TIME_NEVER;
    atomic_store_explicit(&step, 1, memory_order_release);
    tsc_compare(2);
    core_cpu_main(cpu);
}

static void mailbox_fill(uint64_t stack)
{
    uint8_t *page = arch_direct(paddr(machine.start_page));

    memcpy(page, start_page, (size_t)(start_page_end - start_page));
    *(uint64_t *)(page + START_CR3) = paging_kernel_cr3();
    *(uint64_t *)(page + START_STACK) = stack;
}

static bool cpu_answers(void)
{
    for (uint32_t waited = 0; waited < START_TIMEOUT_US; waited += POLL_US) {
        if (atomic_load_explicit(&step, memory_order_acquire)) {
            return true;
        }
        clock_delay_us(POLL_US);
    }
    return false;
}

static void cpu_start(uint32_t index)
{
    struct cpu *cpu = cpu_at(index);

    starting = index;
    starting_stack = paging_cpu_map(index);
    cpu->arch.lapic_id = machine.acpi.cpu_lapic_ids[index];
    mailbox_fill(starting_stack);
    atomic_store_explicit(&step, 0, memory_order_release);
    apic_start_cpu(cpu->arch.lapic_id, machine.start_page);
    if (!cpu_answers()) {
        panic("CPU %u (local APIC %u) did not start", index, cpu->arch.lapic_id);
    }
    step_tsc = 0;
    tsc_compare(1);
    /* The last turn is the other CPU's; it leaves this file after it. */
    while (atomic_load_explicit(&step, memory_order_acquire) <= TSC_ROUNDS) {
        arch_spin_hint();
    }
    if (tsc_behind) {
        clock_tsc_distrust();
    }
}

void arch_cpus_start(void)
{
    for (uint32_t index = 1; index < machine.boot.cpu_count; index++) {
        cpu_start(index);
    }
}
