/*
 * trace.c - the rings of trace records: reading them (trace.h tells how they work).
 */
#include "core/trace.h"

#include "core/string.h"

#define RECORDS ((uint64_t)SKEP_TRACE_CPU_MAX)
#define LOOKS   256u /* of trace_latest() at this CPU's records; the same at all others' together */

void trace_init(void)
{
    for (uint32_t i = 0; i < cpu_count(); i++) {
        cpu_at(i)->trace = core_array(RECORDS, sizeof(struct trace_slot));
    }
}

static uint64_t written(const struct cpu *cpu)
{
    return atomic_load_explicit(&cpu->trace_count, memory_order_acquire);
}

/* The oldest record that the writer can't be at. */
static uint64_t oldest(uint64_t count)
{
    return count < RECORDS ? 0 : count - RECORDS + 1;
}

/* Copies record `number`. False: it isn't the guest's, or has been overwritten meanwhile. */
static bool get(const struct guest *guest, const struct cpu *cpu, uint64_t number,
                struct skep_trace_record *record)
{
    struct trace_slot *slot = &cpu->trace[number % RECORDS];
    uint64_t who = atomic_load_explicit(&slot->who, memory_order_relaxed);
    if ((uint32_t)who != (uint32_t)guest->handle) {
        return false;
    }
    *record = (struct skep_trace_record){
        .clock_ns = atomic_load_explicit(&slot->clock_ns, memory_order_relaxed),
        .guest = (uint32_t)who,
        .kind = (uint16_t)(who >> 32),
        .cpu = (uint8_t)cpu->index,
        .vcpu = (uint8_t)(who >> 56),
        .a = atomic_load_explicit(&slot->a, memory_order_relaxed),
        .b = atomic_load_explicit(&slot->b, memory_order_relaxed),
    };
    /* Pairs with the fence in trace_add(). */
    atomic_thread_fence(memory_order_acquire);
    return number >= oldest(atomic_load_explicit(&cpu->trace_count, memory_order_relaxed)) &&
           record->clock_ns > guest->created_ns;
}

uint32_t trace_read(const struct guest *guest, uint32_t cpu, uint64_t *next,
                    struct skep_trace_record *records, uint32_t capacity)
{
    uint64_t count = written(cpu_at(cpu));
    uint32_t copied = 0;
    if (*next < oldest(count)) {
        *next = oldest(count);
    }
    while (copied < capacity && *next < count) {
        copied += get(guest, cpu_at(cpu), (*next)++, &records[copied]);
    }
    return copied;
}

/* A place in one CPU's ring, on the way back in time. */
struct finger {
    uint64_t number, end; /* the record, and the last one to look at */
    uint64_t clock_ns;    /* of it; 0 = there is none */
};

/* Goes back to the guest's next record. */
static void finger_back(const struct guest *guest, uint32_t cpu, struct finger *finger)
{
    struct skep_trace_record record;
    finger->clock_ns = 0;
    while (finger->number > finger->end && !finger->clock_ns) {
        if (get(guest, cpu_at(cpu), --finger->number, &record)) {
            finger->clock_ns = record.clock_ns;
        }
    }
}

static void finger_start(const struct guest *guest, uint32_t cpu, struct finger *finger)
{
    uint64_t looks = cpu == arch_cpu()->index ? LOOKS : LOOKS / cpu_count();
    finger->number = written(cpu_at(cpu));
    finger->end = oldest(finger->number);
    if (finger->number - finger->end > looks) {
        finger->end = finger->number - looks;
    }
    finger_back(guest, cpu, finger);
}

uint32_t trace_latest(const struct guest *guest, struct skep_trace_record *records,
                      uint32_t capacity)
{
    struct finger fingers[CPUS_MAX] = {0};
    uint32_t found = 0;
    for (uint32_t i = 0; i < cpu_count(); i++) {
        finger_start(guest, i, &fingers[i]);
    }
    /* Filled from the end, the latest first. */
    while (found < capacity) {
        uint32_t latest = 0;
        for (uint32_t i = 1; i < cpu_count(); i++) {
            latest = fingers[i].clock_ns > fingers[latest].clock_ns ? i : latest;
        }
        if (!fingers[latest].clock_ns) {
            break;
        }
        found += get(guest, cpu_at(latest), fingers[latest].number, &records[capacity - found - 1]);
        finger_back(guest, latest, &fingers[latest]);
    }
    memmove(records, records + capacity - found, found * sizeof(*records));
    return found;
}
