/*
 * lock.c - debug builds check the lock order.
 */
#include "core/lock.h"

#include "core/cpu.h"
#include "core/log.h"

static const char *const names[LOCK_KINDS] = {
    [LOCK_NONE] = "a lock of no kind", [LOCK_SCRATCH] = "scratch_lock",
    [LOCK_PORT] = "port.lock",         [LOCK_NIC] = "nic.lock",
    [LOCK_GUESTS] = "guests_lock",     [LOCK_IMAGES] = "images_lock",
    [LOCK_GUEST] = "guest.lock",       [LOCK_CONSOLE] = "console.lock",
    [LOCK_NOTIFY] = "notify_lock",     [LOCK_TIMER] = "timer_lock",
    [LOCK_SCHED] = "sched_lock",       [LOCK_KMAP] = "kmap_lock",
    [LOCK_FRAME] = "frame_lock",       [LOCK_PROMISE] = "promise_lock",
    [LOCK_SWITCH] = "switch_lock",     [LOCK_REAP] = "reap_lock",
    [LOCK_LOG] = "log_lock",           [LOCK_WALL] = "wall_lock",
    [LOCK_MSI] = "msi_lock",           [LOCK_PCI] = "pci_lock",
    [LOCK_CLOCK] = "wrap_lock",
};

/* Before, the boot CPU's struct can't be found. */
static bool checking;

void lock_check_start(void)
{
    checking = true;
}

/* Those held have a bit each; as they are taken in order, none of them is further in than the one wanted. */
void lock_order_enter(enum lock_kind kind)
{
    if (!checking) {
        return;
    }
    uint32_t *held = &arch_cpu()->locks_held;
    if (kind == LOCK_NONE || *held >> kind) {
        uint32_t innermost = *held ? 31u - (uint32_t)__builtin_clz(*held) : LOCK_NONE;
        panic("%s is taken out of order, after %s", names[kind], names[innermost]);
    }
    *held |= 1u << kind;
}

void lock_order_leave(enum lock_kind kind)
{
    if (checking) {
        arch_cpu()->locks_held &= ~(1u << kind);
    }
}
