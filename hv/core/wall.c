/*
 * wall.c - changes of UNIX time.
 */
#include "core/wall.h"

#include "core/cpu.h"
#include "core/frame.h"
#include "core/lock.h"

_Atomic uint64_t wall_offset_ns;

static struct spinlock wall_lock = {.kind = LOCK_WALL}; /* of what guests see */

void wall_set(uint64_t ns)
{
    atomic_store_explicit(&wall_offset_ns, ns, memory_order_relaxed);
    for (uint32_t i = 0; i < cpu_count(); i++) {
        struct cpu *cpu = cpu_at(i);
        /* Sequentially consistent, as the run queue's: the other CPU finds the new time when it looks. */
        atomic_store(&cpu->resched, 1);
        if (cpu != arch_cpu() && cpu->online) {
            arch_ipi_send(i);
        }
    }
}

/* CPUs that run the guest's vCPUs may come here with different times. Under the lock both places get the same one, the
 * latest or one whose change has yet to make this CPU look again. */
void wall_update(struct guest *guest)
{
    struct skep_start_info *info = frame_data(guest->start_info[0]);
    spin_lock(&wall_lock);
    uint64_t ns = wall_ns();
    atomic_store_explicit(&info->wall_ns, ns, memory_order_relaxed);
    atomic_store_explicit(&guest->wall_ns, ns, memory_order_relaxed);
    spin_unlock(&wall_lock);
}
