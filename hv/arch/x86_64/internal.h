/*
 * internal.h - what the files of this folder share: features of the CPU and the parts of the boot
 * story.
 */
#ifndef INTERNAL_H
#define INTERNAL_H

#include "arch/arch.h"
#include "firmware.h"
#include "flaws.h"

/* ---- boot.c ---- */

struct machine {
    struct boot_info boot;
    struct loader_info loader;
    struct acpi_info acpi;
    bool pti;
    uint64_t
        panic_record; /* physical address of PANIC_RECORD_BYTES that a warm reset keeps, 0 = none */
    uint64_t start_page; /* physical address of the page that further CPUs start in, 0 = none */
};

/* Filled in by the boot CPU, constant afterwards. */
extern struct machine machine;

/* ---- cpu.c ---- */

struct features {
    bool smep, smap, umip, fsgsbase, pge, xsave, xsaveopt, x2apic, tsc_deadline, invariant_tsc;
    bool rdrand, rdseed, ibpb, ssbd, ibrs_all, md_clear;
    bool
        x87_leak; /* FXRSTOR and XRSTOR keep the last instruction's and operand's addresses (CVE-2006-1056) */
    bool hypervisor, emulated; /* under one; under QEMU's TCG */
    bool intel, amd;
    struct cpu_flaws flaws;
    uint64_t xcr0;
    uint32_t xsave_bytes;
    char model[64];
};
extern struct features features;

/* Looks at the CPU, decides on mitigations and patches the entry code accordingly. Boot CPU. */
void cpu_detect(void);

/* Sets this CPU's control registers; they stay so. */
void cpu_setup(void);

/* ---- paging.c ---- */

/* Builds ring 0's page tables and switches to them. `pool` is RAM for page tables, stacks and entry
 * areas, as many pages as paging_pool_pages() said. */
uint64_t paging_pool_pages(const struct boot_info *boot);
void paging_init(const struct boot_info *boot, uint64_t pool, uint64_t pages);

/* Maps the entry area and the stack of a CPU; returns the top of the stack. */
uint64_t paging_cpu_map(uint32_t index);

uint64_t paging_kernel_cr3(void);

/* ---- apic.c ---- */

void apic_init(void);     /* boot CPU: masks what could interrupt, maps the local APIC */
void apic_cpu_init(void); /* each CPU */
void apic_eoi(void);
uint32_t apic_id(void);
uint32_t apic_timer_count(void);       /* for calibration: what is left of a count */
void apic_timer_start(uint32_t count); /* one-shot, divided by 16 */
void apic_timer_rate_set(uint64_t hz);
void apic_timer_choose(void); /* once the clock is known: this CPU's and all later ones' mode */
void apic_timer_interrupt(void);
void apic_interrupt(uint32_t vector); /* MSI */
void apic_nmi_others(void);
void apic_start_cpu(uint32_t lapic_id, uint64_t page);

/* ---- clock.c ---- */

/* Chooses and calibrates the clock, and measures the local APIC's timer by it. Boot CPU. */
void clock_init(void);
const char *clock_name(void);
bool clock_uses_tsc(void);
uint64_t clock_tsc_of_ns(uint64_t ns); /* for the TSC-deadline timer */
void clock_tsc_distrust(
    void); /* the CPUs' TSCs disagree: takes another source, before guests run */
/* How long the local APIC's timer may run: a reference clock that wraps must be read in time. */
#define ROUND_MAX_NS 30000000000ull
uint64_t clock_round_ns(void);
void clock_delay_us(uint64_t us);
/* Roughly, and without the clock's lock, which a CPU that was stopped may hold. */
void clock_wait_unlocked(uint64_t seconds);

/* ---- machine.c ---- */

void serial_init(void);
void random_init(void);
uint64_t rtc_read_ns(void); /* UNIX time, 0 = unknown */

/* ---- panic.c ---- */

struct trap_frame;
struct skep_context;
_Noreturn void panic_trap(const struct trap_frame *frame); /* an exception in ring 0 */
bool panic_running(void);

/* Looks for the log of a panic before the last reset. Once: it is not found again at the next boot. */
#define PANIC_RECORD_BYTES 12288u
void panic_record_take(struct boot_info *boot);

/* ---- linker script ---- */
extern const char kernel_start[], kernel_text_end[], kernel_rodata_end[], kernel_end[];
extern const char entry_text_start[], entry_text_end[];

#endif
