/*
 * clock.c - time since boot: the TSC where it is fit for that, else the HPET, else the PM timer.
 *
 * A TSC that the CPU calls invariant is taken. Any other is taken when two measurements against the
 * HPET or the PM timer agree, and smp.c has seen no CPU's TSC behind another's; so it is under
 * emulators. `clock=tsc|hpet|pm` on the command line chooses.
 */
#include <stdatomic.h>

#include "core/lock.h"
#include "core/log.h"
#include "core/string.h"
#include "internal.h"
#include "x86.h"

#define NS_PER_S 1000000000ull

#define PM_TIMER_HZ 3579545u /* ACPI 4.8.3.3 */

/* IA-PC HPET specification 1.0a, 2.3. */
#define HPET_CAPABILITIES 0x00
#define HPET_PERIOD       0x04 /* femtoseconds */
#define HPET_CONFIG       0x10
#define HPET_COUNTER      0xf0
#define HPET_COUNTER_HIGH 0xf4
#define HPET_64BIT        (1u << 13)
#define HPET_PERIOD_MAX   100000000u

#define MEASURE_NS  400000u /* each of two measurements */
#define PAIR_TRIES  5u
#define TRUST_SHIFT 8 /* two measurements may differ by 1/256 */
#define ROUNDS_MAX  8u

enum clock_kind { CLOCK_NONE, CLOCK_TSC, CLOCK_HPET, CLOCK_PM };

static uint64_t measured_tsc_hz = 3 * NS_PER_S; /* a guess, until it is */
static volatile uint32_t *hpet;
static bool hpet_64bit;

/* ns = base_ns + (ticks - base_ticks) * mult >> 32. */
struct source {
    enum clock_kind kind;
    uint64_t base_ticks, base_ns, mult, hz;
};

/* The one in use is constant; another one takes its place as a whole, before guests run. */
static struct source first_source, next_source;
static const struct source *_Atomic current = &first_source;

static const struct source *source_get(void)
{
    return atomic_load_explicit(&current, memory_order_relaxed);
}

/* Extends a counter that wraps; it is read at least once a second (apic.c arms the timer so). */
static struct spinlock wrap_lock = {.kind = LOCK_CLOCK};
static uint64_t wrap_ticks;

/* ---- reference clocks ---- */

static uint32_t hpet_low(uint32_t offset)
{
    return hpet[offset / 4];
}

static uint64_t hpet_read(void)
{
    uint32_t high, low;

    if (!hpet_64bit) {
        return hpet_low(HPET_COUNTER);
    }
    do {
        high = hpet_low(HPET_COUNTER_HIGH);
        low = hpet_low(HPET_COUNTER);
    } while (hpet_low(HPET_COUNTER_HIGH) != high);
    return (uint64_t)high << 32 | low;
}

static bool hpet_init(void)
{
    uint32_t period;

    hpet = machine.acpi.hpet ? arch_mmio_map(paddr(machine.acpi.hpet), 1024) : NULL;
    period = hpet ? hpet_low(HPET_PERIOD) : 0;
    if (period == 0 || period > HPET_PERIOD_MAX) {
        hpet = NULL;
        return false;
    }
    hpet_64bit = hpet_low(HPET_CAPABILITIES) & HPET_64BIT;
    hpet[HPET_CONFIG / 4] = 1; /* counting, no interrupts */
    return true;
}

static uint64_t ticks_read(enum clock_kind kind)
{
    switch (kind) {
    case CLOCK_TSC:
        return tsc_read();
    case CLOCK_HPET:
        return hpet_read();
    case CLOCK_PM:
        return port_read32(machine.acpi.pm_timer);
    default:
        return 0;
    }
}

static uint64_t ticks_mask(enum clock_kind kind)
{
    switch (kind) {
    case CLOCK_HPET:
        return hpet_64bit ? UINT64_MAX : UINT32_MAX;
    case CLOCK_PM:
        return machine.acpi.pm_timer_32bit ? UINT32_MAX : 0xffffff;
    default:
        return UINT64_MAX;
    }
}

/* The TSC's rate, when CPU or hypervisor tell: CPUID leaf 0x15, or leaf 0x40000010 in kHz. */
static uint64_t tsc_hz_told(void)
{
    if (features.hypervisor && cpuid(0x40000000, 0).eax >= 0x40000010) {
        return cpuid(0x40000010, 0).eax * 1000ull;
    }
    if (features.intel && cpuid(0, 0).eax >= 0x15) {
        struct cpuid leaf = cpuid(0x15, 0);

        return leaf.eax ? (uint64_t)leaf.ecx * leaf.ebx / leaf.eax : 0;
    }
    return 0;
}

static uint64_t reference_hz(enum clock_kind kind)
{
    switch (kind) {
    case CLOCK_HPET:
        return 1000000000000000ull / hpet_low(HPET_PERIOD);
    case CLOCK_PM:
        return PM_TIMER_HZ;
    default:
        return tsc_hz_told();
    }
}

/* ---- measuring ---- */

/* The three counters at one moment, as nearly as can be. */
struct moment {
    uint64_t tsc, reference;
    uint32_t lapic;
};

/* Of some tries, the one that was disturbed least. */
static struct moment moment_take(enum clock_kind reference)
{
    struct moment best = {0};
    uint64_t best_gap = UINT64_MAX;

    for (uint32_t i = 0; i < PAIR_TRIES; i++) {
        struct moment now;
        uint64_t before = tsc_read();

        now.reference = ticks_read(reference);
        now.lapic = apic_timer_count();
        uint64_t gap = tsc_read() - before;

        now.tsc = before + gap / 2;
        if (gap < best_gap) {
            best = now;
            best_gap = gap;
        }
    }
    return best;
}

static void spin(uint32_t rounds)
{
    while (rounds--) {
        __asm__ volatile("");
    }
}

/* Waits until the reference clock has gone on by MEASURE_NS. */
static struct moment moment_after(enum clock_kind reference, const struct moment *start)
{
    uint64_t wanted = reference_hz(reference) * MEASURE_NS / NS_PER_S;

    while (((ticks_read(reference) - start->reference) & ticks_mask(reference)) < wanted) {
        spin(1000);
    }
    return moment_take(reference);
}

static uint64_t rate(uint64_t ticks, uint64_t reference_ticks, uint64_t hz)
{
    return reference_ticks ? ticks * hz / reference_ticks : 0;
}

static bool rates_agree(uint64_t a, uint64_t b)
{
    uint64_t difference = a > b ? a - b : b - a;

    return difference <= a >> TRUST_SHIFT;
}

/* Measures TSC and local APIC timer until two measurements in a row agree. False: they never do. */
static bool measure(enum clock_kind reference, uint64_t *tsc_hz, uint64_t *lapic_hz)
{
    uint64_t hz = reference_hz(reference), mask = ticks_mask(reference), last = 0;

    for (uint32_t round = 0; round < ROUNDS_MAX; round++) {
        apic_timer_start(UINT32_MAX);
        struct moment start = moment_take(reference);
        struct moment end = moment_after(reference, &start);
        uint64_t reference_ticks = (end.reference - start.reference) & mask;

        *tsc_hz = rate(end.tsc - start.tsc, reference_ticks, hz);
        *lapic_hz = rate(start.lapic - end.lapic, reference_ticks, hz);
        if (*tsc_hz && rates_agree(*tsc_hz, last)) {
            *tsc_hz = (*tsc_hz + last) / 2;
            apic_timer_start(0);
            return true;
        }
        last = *tsc_hz;
    }
    apic_timer_start(0);
    return false;
}

/* ---- choosing ---- */

static void source_set(enum clock_kind kind, uint64_t hz)
{
    struct source *next = source_get()->kind == CLOCK_NONE ? &first_source : &next_source;
    uint64_t now_ns = arch_clock_ns();

    CHECK(hz != 0);
    wrap_ticks = ticks_read(kind);
    next->hz = hz;
    next->mult = (NS_PER_S << 32) / hz;
    next->base_ns = now_ns;
    next->base_ticks = wrap_ticks;
    next->kind = kind;
    /* Release pairs with the dependency of each reader on the pointer. */
    atomic_store_explicit(&current, next, memory_order_release);
}

static enum clock_kind kind_wanted(void)
{
    char value[8] = "";

    arch_option("clock", value, sizeof(value));
    return strcmp(value, "tsc") == 0    ? CLOCK_TSC
           : strcmp(value, "hpet") == 0 ? CLOCK_HPET
           : strcmp(value, "pm") == 0   ? CLOCK_PM
                                        : CLOCK_NONE;
}

/* Best first; without either, a TSC whose rate is told has to do. */
static enum clock_kind reference_find(void)
{
    if (hpet_init()) {
        return CLOCK_HPET;
    }
    if (machine.acpi.pm_timer) {
        return CLOCK_PM;
    }
    if (!tsc_hz_told()) {
        panic("no reference clock: neither an HPET nor an ACPI PM timer");
    }
    return CLOCK_TSC;
}

void clock_init(void)
{
    enum clock_kind wanted = kind_wanted(), reference = reference_find();
    uint64_t tsc_hz = 0, lapic_hz = 0, told = tsc_hz_told();
    bool stable = measure(reference, &tsc_hz, &lapic_hz) || features.invariant_tsc;

    apic_timer_rate_set(lapic_hz);
    measured_tsc_hz = tsc_hz;
    if (wanted == CLOCK_PM && machine.acpi.pm_timer) {
        source_set(CLOCK_PM, PM_TIMER_HZ);
    } else if (wanted == CLOCK_HPET || (wanted != CLOCK_TSC && !stable)) {
        source_set(reference, reference_hz(reference));
    } else {
        source_set(CLOCK_TSC, told && rates_agree(tsc_hz, told) ? told : tsc_hz);
    }
}

void clock_tsc_distrust(void)
{
    enum clock_kind reference = hpet ? CLOCK_HPET : CLOCK_PM;

    if (source_get()->kind == CLOCK_TSC &&
        (features.invariant_tsc || (!hpet && !machine.acpi.pm_timer))) {
        panic("the CPUs' TSCs disagree: start with clock=hpet or clock=pm");
    }
    if (source_get()->kind == CLOCK_TSC) {
        log_line("clock: the CPUs' TSCs disagree; not used");
        source_set(reference, reference_hz(reference));
    }
}

/* ---- reading ---- */

static uint64_t wrap_extend(enum clock_kind kind)
{
    spin_lock(&wrap_lock);
    wrap_ticks += (ticks_read(kind) - wrap_ticks) & ticks_mask(kind);
    uint64_t ticks = wrap_ticks;
    spin_unlock(&wrap_lock);
    return ticks;
}

uint64_t arch_clock_ns(void)
{
    const struct source *source = source_get();
    uint64_t ticks;

    if (source->kind == CLOCK_TSC) {
        ticks = tsc_read();
    } else if (source->kind == CLOCK_NONE) {
        return 0;
    } else {
        ticks = wrap_extend(source->kind);
    }
    return source->base_ns +
           (uint64_t)(((unsigned __int128)(ticks - source->base_ticks) * source->mult) >> 32);
}

uint64_t clock_tsc_of_ns(uint64_t ns)
{
    const struct source *source = source_get();
    uint64_t delta = ns > source->base_ns ? ns - source->base_ns : 0;
    uint64_t per_ns = (source->hz << 24) / NS_PER_S; /* 40.24 fixed point */

    return source->base_ticks + (uint64_t)(((unsigned __int128)delta * per_ns) >> 24) + 1;
}

void arch_clock_params(struct skep_clock *clock)
{
    const struct source *source = source_get();

    *clock = (struct skep_clock){0};
    if (source->kind == CLOCK_TSC) {
        *clock = (struct skep_clock){source->base_ticks, source->base_ns, source->mult, source->hz};
    }
}

const char *clock_name(void)
{
    static const char *const names[] = {"none", "tsc", "hpet", "acpi-pm"};

    return names[source_get()->kind];
}

bool clock_uses_tsc(void)
{
    return source_get()->kind == CLOCK_TSC;
}

uint64_t clock_round_ns(void)
{
    return ticks_mask(source_get()->kind) == UINT64_MAX ? ROUND_MAX_NS : NS_PER_S;
}

void clock_delay_us(uint64_t us)
{
    uint64_t end = arch_clock_ns() + us * 1000;

    while (arch_clock_ns() < end) {
        arch_spin_hint();
    }
}

void clock_wait_unlocked(uint64_t seconds)
{
    uint64_t start = tsc_read();

    while (tsc_read() - start < seconds * measured_tsc_hz) {
        arch_spin_hint();
    }
}
