/*
 * lock.c - debug builds check the lock order, and may disturb the CPUs at their locks.
 */
#include "core/lock.h"

#include "core/cpu.h"
#include "core/log.h"

static const char *const names[LOCK_KINDS] = {
    [LOCK_NONE] = "a lock of no kind", [LOCK_SCRATCH] = "scratch_lock",
    [LOCK_PORT] = "port.lock",         [LOCK_NIC] = "nic.lock",
    [LOCK_VOLUME] = "volume.lock",     [LOCK_WORK] = "work_lock",
    [LOCK_DISK] = "a disk's lock",     [LOCK_GUESTS] = "guests_lock",
    [LOCK_IMAGES] = "images_lock",     [LOCK_GUEST] = "guest.lock",
    [LOCK_CONSOLE] = "console.lock",   [LOCK_NOTIFY] = "notify_lock",
    [LOCK_TIMER] = "timer_lock",       [LOCK_SCHED] = "sched_lock",
    [LOCK_KMAP] = "kmap_lock",         [LOCK_FRAME] = "frame_lock",
    [LOCK_PROMISE] = "promise_lock",   [LOCK_SWITCH] = "switch_lock",
    [LOCK_REAP] = "reap_lock",         [LOCK_LOG] = "log_lock",
    [LOCK_WALL] = "wall_lock",         [LOCK_MSI] = "msi_lock",
    [LOCK_PCI] = "pci_lock",           [LOCK_CLOCK] = "wrap_lock",
};

/* Before, the boot CPU's struct can't be found. */
static bool checking;
static bool chaos;

/* Each CPU's own state, never 0, of a generator; a seed of 0 is none. */
static void chaos_start(void)
{
    char value[12] = "";
    uint64_t seed = 0;
    arch_option("chaos", value, sizeof(value));
    for (const char *digit = value; *digit >= '0' && *digit <= '9'; digit++) {
        seed = seed * 10 + (uint64_t)(*digit - '0');
    }
    for (uint32_t i = 0; i < CPUS_MAX; i++) {
        cpu_at(i)->chaos = (seed + i) * 0x9e3779b97f4a7c15ull | 1;
    }
    chaos = seed != 0;
}

void lock_check_start(void)
{
    chaos_start();
    checking = true;
}

/* Often none, seldom one that is long enough for another CPU to do a whole hypercall. The generator is xorshift64. */
static void delay(struct cpu *cpu)
{
    uint64_t random = cpu->chaos;
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    cpu->chaos = random;
    uint64_t longest = random & 511 ? 15 : 1023;
    uint64_t pauses = random & 7 ? 0 : random >> 32 & longest;
    while (pauses--) {
        arch_spin_hint();
    }
}

/* Those held have a bit each; as they are taken in order, none of them is further in than the one wanted. */
void lock_order_enter(enum lock_kind kind)
{
    if (!checking) {
        return;
    }
    struct cpu *cpu = arch_cpu();
    uint32_t *held = &cpu->locks_held;
    if (kind == LOCK_NONE || *held >> kind) {
        uint32_t innermost = *held ? 31u - (uint32_t)__builtin_clz(*held) : LOCK_NONE;
        panic("%s is taken out of order, after %s", names[kind], names[innermost]);
    }
    *held |= 1u << kind;
    if (chaos) {
        delay(cpu);
    }
}

void lock_order_leave(enum lock_kind kind)
{
    if (!checking) {
        return;
    }
    struct cpu *cpu = arch_cpu();
    cpu->locks_held &= ~(1u << kind);
    if (chaos) {
        delay(cpu);
    }
}
