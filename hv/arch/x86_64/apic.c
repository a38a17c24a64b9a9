/*
 * apic.c - the local APIC: timer, interrupts between CPUs, message-signalled interrupts, start of
 * CPUs (Intel SDM volume 3, chapter 11). The legacy controllers and I/O APICs are masked for good.
 */
#include "core/cpu.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/trap.h"
#include "entry.h"
#include "internal.h"
#include "x86.h"

#define APIC_ENABLE   (1ull << 11)
#define APIC_X2APIC   (1ull << 10)
#define LAPIC_DEFAULT 0xfee00000u

/* Register numbers: byte offset / 16 in memory, the same from MSR 0x800 on. */
#define LAPIC_ID        0x02
#define LAPIC_TPR       0x08
#define LAPIC_EOI       0x0b
#define LAPIC_SPURIOUS  0x0f
#define LAPIC_ICR       0x30
#define LAPIC_ICR_HIGH  0x31
#define LAPIC_LVT_TIMER 0x32
#define LAPIC_LVT_LINT0 0x35
#define LAPIC_LVT_LINT1 0x36
#define LAPIC_LVT_ERROR 0x37
#define LAPIC_COUNT     0x38
#define LAPIC_CURRENT   0x39
#define LAPIC_DIVIDE    0x3e

#define LVT_MASKED       (1u << 16)
#define LVT_TSC_DEADLINE (2u << 17)
#define LVT_NMI          0x400u
#define DIVIDE_BY_16     3u

/* Late by 1/8192 rather than early, which would cost a second interrupt: no measurement is exact. */
#define SLACK_SHIFT 13

#define ICR_NMI     0x400u
#define ICR_INIT    0x500u
#define ICR_STARTUP 0x600u
#define ICR_PENDING (1u << 12)
#define ICR_ASSERT  (1u << 14)
#define ICR_OTHERS  (3u << 18)

#define IOAPIC_VERSION  1u
#define IOAPIC_REDIRECT 0x10u

struct msi {
    void (*handler)(void *);
    void *argument;
};

static volatile uint32_t *lapic; /* NULL = x2APIC */
static bool ready;
static bool deadline_mode; /* the timer is the TSC-deadline one */
static uint64_t timer_hz;
static struct msi msis[VECTOR_MSI_LAST + 1];
static uint32_t msi_next = VECTOR_MSI_FIRST;
static struct spinlock msi_lock = {.kind = LOCK_MSI};

static uint32_t lapic_read(uint32_t number)
{
    return lapic ? lapic[number * 4] : (uint32_t)msr_read(MSR_X2APIC + number);
}

static void lapic_write(uint32_t number, uint32_t value)
{
    if (lapic) {
        lapic[number * 4] = value;
    } else {
        msr_write(MSR_X2APIC + number, value);
    }
}

static void icr_write(uint32_t lapic_id, uint32_t command)
{
    if (!lapic) {
        /* Stores before this, such as a run queue's, come first (Intel SDM volume 3, 11.12.3). */
        __asm__ volatile("mfence; lfence" ::: "memory");
        msr_write(MSR_X2APIC + LAPIC_ICR, (uint64_t)lapic_id << 32 | command);
        return;
    }
    while (lapic_read(LAPIC_ICR) & ICR_PENDING) {
        arch_spin_hint();
    }
    lapic_write(LAPIC_ICR_HIGH, lapic_id << 24);
    lapic_write(LAPIC_ICR, command);
}

/* ---- start ---- */

/* Moves the 8259s' vectors out of the exceptions' way, then masks all 16 (Intel 8259A data sheet). */
static void pic_mask(void)
{
    static const uint8_t words[][2] = {
        {0x11, 0x11}, {VECTOR_PIC, VECTOR_PIC + 8}, {4, 2}, {1, 1}, {0xff, 0xff}};

    for (uint32_t i = 0; i < ARRAY_COUNT(words); i++) {
        port_write8(i == 0 ? 0x20 : 0x21, words[i][0]);
        port_write8(i == 0 ? 0xa0 : 0xa1, words[i][1]);
    }
}

static void ioapic_mask(uint64_t base)
{
    volatile uint32_t *registers = arch_mmio_map(paddr(base), 32);

    if (!registers) {
        return;
    }
    registers[0] = IOAPIC_VERSION;
    uint32_t last = registers[4] >> 16 & 0xff;

    for (uint32_t i = 0; i <= last; i++) {
        registers[0] = IOAPIC_REDIRECT + 2 * i;
        registers[4] = LVT_MASKED;
    }
}

void apic_init(void)
{
    uint64_t base = machine.acpi.lapic ? machine.acpi.lapic : LAPIC_DEFAULT;

    pic_mask();
    for (uint32_t i = 0; i < machine.acpi.ioapic_count; i++) {
        ioapic_mask(machine.acpi.ioapics[i]);
    }
    if (!features.x2apic) {
        lapic = arch_mmio_map(paddr(base), PAGE_SIZE);
        if (!lapic) {
            panic("no address space for the local APIC");
        }
    }
    ready = true;
    apic_cpu_init();
}

void apic_timer_choose(void)
{
    deadline_mode = features.tsc_deadline && features.invariant_tsc && clock_uses_tsc();
    apic_cpu_init();
}

void apic_cpu_init(void)
{
    uint64_t base = msr_read(MSR_APIC_BASE) | APIC_ENABLE;

    msr_write(MSR_APIC_BASE, base);
    if (features.x2apic) {
        msr_write(MSR_APIC_BASE, base | APIC_X2APIC);
    }
    lapic_write(LAPIC_TPR, 0);
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
    lapic_write(LAPIC_LVT_LINT1, LVT_NMI);
    lapic_write(LAPIC_LVT_ERROR, VECTOR_LAPIC_ERROR);
    lapic_write(LAPIC_DIVIDE, DIVIDE_BY_16);
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
    lapic_write(LAPIC_COUNT, 0);
    lapic_write(LAPIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
    if (deadline_mode) {
        lapic_write(LAPIC_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_TIMER);
        __asm__ volatile("mfence" ::: "memory"); /* before the MSR: SDM volume 3, 11.5.4.1 */
    } else {
        lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER);
    }
}

uint32_t apic_id(void)
{
    uint32_t id = ready ? lapic_read(LAPIC_ID) : 0;

    return lapic ? id >> 24 : id;
}

void apic_eoi(void)
{
    lapic_write(LAPIC_EOI, 0);
}

/* ---- timer ---- */

void apic_timer_start(uint32_t count)
{
    lapic_write(LAPIC_COUNT, count);
}

uint32_t apic_timer_count(void)
{
    return lapic_read(LAPIC_CURRENT);
}

void apic_timer_rate_set(uint64_t hz)
{
    timer_hz = hz;
}

static void timer_arm(uint64_t deadline_ns)
{
    uint64_t round_ns = clock_round_ns(), now, delta, count = 0;

    if (deadline_mode) {
        msr_write(MSR_TSC_DEADLINE, deadline_ns == TIME_NEVER ? 0 : clock_tsc_of_ns(deadline_ns));
        return;
    }
    if (deadline_ns != TIME_NEVER || round_ns != ROUND_MAX_NS) {
        now = arch_clock_ns();
        delta = deadline_ns > now ? deadline_ns - now : 0;
        /* A far deadline takes several rounds: apic_timer_interrupt() goes on. */
        delta = delta > round_ns ? round_ns : delta;
        count = delta * timer_hz / 1000000000 + 1;
        count += count >> SLACK_SHIFT;
    }
    lapic_write(LAPIC_COUNT, count > UINT32_MAX ? UINT32_MAX : (uint32_t)count);
}

void arch_timer_set(uint64_t deadline_ns)
{
    struct arch_cpu *cpu = &arch_cpu()->arch;

    if (cpu->timer_deadline_ns != deadline_ns) {
        cpu->timer_deadline_ns = deadline_ns;
        timer_arm(deadline_ns);
    }
}

void apic_timer_interrupt(void)
{
    struct arch_cpu *cpu = &arch_cpu()->arch;

    if (arch_clock_ns() < cpu->timer_deadline_ns) {
        timer_arm(cpu->timer_deadline_ns);
        return;
    }
    cpu->timer_deadline_ns = TIME_NEVER;
    if (clock_round_ns() != ROUND_MAX_NS) {
        timer_arm(TIME_NEVER); /* even an idle machine reads a clock that wraps */
    }
    trap_timer();
}

/* ---- interrupts to other CPUs ---- */

void arch_ipi_send(uint32_t cpu_index)
{
    icr_write(cpu_at(cpu_index)->arch.lapic_id, ICR_ASSERT | VECTOR_IPI);
}

void apic_nmi_others(void)
{
    if (ready) {
        icr_write(0, ICR_NMI | ICR_ASSERT | ICR_OTHERS);
    }
}

/* Intel SDM volume 3, 9.4.4. The pauses are those that current CPUs want, not the 10 ms of old. */
void apic_start_cpu(uint32_t lapic_id, uint64_t page)
{
    icr_write(lapic_id, ICR_INIT | ICR_ASSERT);
    clock_delay_us(20);
    for (uint32_t i = 0; i < 2; i++) {
        icr_write(lapic_id, ICR_STARTUP | ICR_ASSERT | (uint32_t)(page >> SKEP_PAGE_SHIFT));
        clock_delay_us(20);
    }
}

/* ---- message-signalled interrupts ---- */

/* Intel SDM volume 3, 11.11: fixed delivery, edge-triggered. Vectors are never given back. */
int arch_msi_alloc(uint32_t cpu_index, void (*handler)(void *), void *argument, uint64_t *address,
                   uint32_t *data)
{
    uint32_t lapic_id = machine.acpi.cpu_lapic_ids[cpu_index], vector = 0; /* it may not run yet */

    spin_lock(&msi_lock);
    if (msi_next <= VECTOR_MSI_LAST && lapic_id <= 0xff) {
        vector = msi_next++;
        msis[vector] = (struct msi){handler, argument};
    }
    spin_unlock(&msi_lock);
    if (!vector) {
        return -SKEP_ENOSPC;
    }
    *address = LAPIC_DEFAULT | lapic_id << 12;
    *data = vector;
    return 0;
}

void apic_interrupt(uint32_t vector)
{
    if (msis[vector].handler) {
        msis[vector].handler(msis[vector].argument);
    }
}
