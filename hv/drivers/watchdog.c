/*
 * watchdog.c - the watchdog of Intel's 6300ESB (its data sheet, chapter "Watchdog Timer"), which QEMU has as i6300esb.
 *
 * Two timers run one after the other, and the end of the second one resets the machine. Each write to the timers and to
 * the reload register must come after two unlocking ones.
 */
#include "drivers/watchdog.h"

#include "core/log.h"
#include "drivers/mmio.h"
#include "drivers/pci.h"

#define VENDOR_INTEL   0x8086u
#define DEVICE_6300ESB 0x25abu

/* Configuration space */
#define CONFIG 0x60u
#define CONFIG_NO_IRQ \
    0x0003u /* the first timer's end tells nobody; 1 kHz; the second one's resets */
#define CONTROL        0x68u
#define CONTROL_ENABLE 0x02u

/* Registers in BAR 0 */
#define TIMER_1        0x0u
#define TIMER_2        0x4u
#define RELOAD         0xcu
#define REGISTER_BYTES 0x10u
#define RELOAD_NOW     0x100u
#define RELOAD_EXPIRED 0x200u /* it has reset the machine; written: forget that */
#define TICKS_PER_S    1007u  /* 33 MHz / 2^15 */

#define SECONDS_DEFAULT 30u
#define SECONDS_MAX     600u
#define CHECKS          4u /* in the span after which it resets */

uint64_t watchdog_deadline_ns = TIME_NEVER;

static volatile uint8_t *registers;
static uint64_t period_ns;
static uint64_t seen[CPUS_MAX]; /* traps of each CPU at the last look */

static void unlock(void)
{
    mmio_write16(registers + RELOAD, 0x80);
    mmio_write16(registers + RELOAD, 0x86);
}

static void timer_set(uint32_t timer, uint32_t ticks)
{
    unlock();
    mmio_write32(registers + timer, ticks);
}

static void feed(void)
{
    unlock();
    mmio_write16(registers + RELOAD, RELOAD_NOW);
}

/* Whether a CPU has come by since the last look, when it was asked to. An idle one is asked, too: it may hang on the way
 * out of that. */
static bool goes_on(uint32_t index, uint64_t now)
{
    const struct cpu *cpu = cpu_at(index);
    uint64_t traps = __atomic_load_n(&cpu->traps, __ATOMIC_RELAXED);
    uint64_t armed = __atomic_load_n(&cpu->armed_ns, __ATOMIC_RELAXED);
    bool passed = traps != seen[index];
    seen[index] = traps;
    arch_ipi_send(index);
    return passed && (armed == TIME_NEVER || armed > now || now - armed < period_ns);
}

void watchdog_step(void)
{
    uint64_t now = arch_clock_ns();
    uint32_t stuck = 0;
    if (now < watchdog_deadline_ns) {
        return;
    }
    watchdog_deadline_ns = now + period_ns;
    for (uint32_t i = 1; i < cpu_count(); i++) {
        stuck += cpu_at(i)->online && !goes_on(i, now);
    }
    if (stuck) {
        log_line("watchdog: %u of %u CPUs don't go on", stuck, cpu_count());
    } else {
        feed();
    }
}

static void start(uint32_t seconds)
{
    uint32_t expired = mmio_read16(registers + RELOAD) & RELOAD_EXPIRED;
    unlock();
    mmio_write16(registers + RELOAD, (uint16_t)expired);
    timer_set(TIMER_1, seconds * TICKS_PER_S / 2);
    timer_set(TIMER_2, seconds * TICKS_PER_S / 2);
    period_ns = seconds * 1000000000ull / CHECKS;
    watchdog_deadline_ns = arch_clock_ns() + period_ns;
    log_line("watchdog: 6300ESB, %u seconds%s", seconds,
             expired ? "; it has reset the machine, which did not go on" : "");
}

/* 0 = off. */
static uint32_t seconds_wanted(void)
{
    char value[8] = "";
    uint32_t seconds = 0;
    if (!arch_option("watchdog", value, sizeof(value))) {
        return SECONDS_DEFAULT;
    }
    for (const char *digit = value; *digit >= '0' && *digit <= '9'; digit++) {
        seconds = seconds * 10 + (uint32_t)(*digit - '0');
    }
    return seconds < SECONDS_MAX ? seconds : SECONDS_MAX;
}

static void found(const struct pci_device *pci)
{
    uint32_t seconds = seconds_wanted();
    if (pci->vendor != VENDOR_INTEL || pci->device != DEVICE_6300ESB || registers || !seconds) {
        return;
    }
    registers = pci_map(pci, 0, 0, REGISTER_BYTES);
    if (!registers) {
        return;
    }
    pci_enable(pci);
    pci_write(pci, CONTROL, 1, 0);
    pci_write(pci, CONFIG, 2, CONFIG_NO_IRQ);
    start(seconds);
    pci_write(pci, CONTROL, 1, CONTROL_ENABLE);
}

void watchdog_init(void)
{
    pci_scan(found);
}
