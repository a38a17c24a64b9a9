/*
 * main.c - the boot story, and the way back from each trap.
 */
#include "core/control.h"
#include "core/cpu.h"
#include "core/frame.h"
#include "core/guest.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/retain.h"
#include "core/sched.h"
#include "core/string.h"
#include "core/timer.h"
#include "core/trace.h"
#include "core/trap.h"
#include "core/upcall.h"
#include "core/wall.h"
#include "drivers/watchdog.h"
#include "io/io.h"

#define WORK_DELAY_NS    100000ull /* left-over work is looked at after this long at the latest */
#define PANIC_MARK       "\nPANIC: "
#define LOG_DELAY_NS     1000000ull /* a serial port sends some ten bytes a millisecond */
#define FRAMES_PER_GUEST 16u        /* tables are sized for guests as small as this */
#define GUESTS_MIN       256u
#define GUESTS_MAX       65536u

static struct cpu cpus[CPUS_MAX];
static uint32_t count;

struct cpu *cpu_at(uint32_t index)
{
    return &cpus[index];
}

uint32_t cpu_count(void)
{
    return count;
}

void *core_array(uint64_t entries, uint64_t bytes_each)
{
    uint32_t order = 0;
    while (PAGE_SIZE << order < entries * bytes_each) {
        order++;
    }
    pfn_t pfn = frame_alloc(order, SKEP_FRAME_CORE, OWNER_CORE);
    if (!pfn) {
        panic("no memory for a table of %lu bytes", (unsigned long)(entries * bytes_each));
    }
    return frame_data(pfn);
}

static void cpu_init(struct cpu *cpu, uint32_t index)
{
    cpu->index = index;
    cpu->look_ns = TIME_NEVER;
    cpu->armed_ns = TIME_NEVER;
    cpu->chore_ns = TIME_NEVER;
    cpu->work_ns = TIME_NEVER;
}

static uint32_t guest_capacity(void)
{
    uint64_t guests = frame_total() / FRAMES_PER_GUEST;
    guests = guests < GUESTS_MIN ? GUESTS_MIN : guests;
    return guests > GUESTS_MAX ? GUESTS_MAX : (uint32_t)guests;
}

static void tables_init(void)
{
    uint32_t guests = guest_capacity();
    sched_init();
    guest_init(guests);
    retain_init(guests);
}

static void cpus_init(const struct boot_info *boot)
{
    count = boot->cpu_count;
    for (uint32_t i = 0; i < count; i++) {
        cpu_init(cpu_at(i), i);
    }
    cpu_at(0)->online = true;
}

static void memory_log(void)
{
    uint64_t counts[SKEP_FRAME_TYPES];
    frame_counts(counts);
    log_line("memory: %lu MiB, %lu MiB free", (unsigned long)(frame_total() >> 8),
             (unsigned long)(counts[SKEP_FRAME_FREE] >> 8));
}

static void machine_log(void)
{
    static struct skep_host_info info; /* too large for the stack */
    char active[160] = "";
    size_t length = 0;
    arch_host_info(&info);
    for (uint32_t i = 0; i < info.mitigation_count; i++) {
        if (info.mitigations[i].state == SKEP_MITIGATION_ACTIVE) {
            length += format_text(active + length, sizeof(active) - length, " %s",
                                  info.mitigations[i].name);
        }
    }
    log_line("cpu: %s, %u online, clock %s, with%s", info.cpu_model, count, info.clock_source,
             active);
}

/* Of the end of the log before a panic, what the panic itself said. */
static void panic_log_show(const struct boot_info *boot)
{
    const char *text = boot->panic_log, *end = text + boot->panic_log_bytes;
    const char *start = end;
    for (const char *at = text; end - at > (ptrdiff_t)strlen(PANIC_MARK); at++) {
        start = memcmp(at, PANIC_MARK, strlen(PANIC_MARK)) == 0 ? at + 1 : start;
    }
    if (start < end) {
        log_line("the machine was reset after a panic, which said:");
        log_raw(start, (size_t)(end - start));
        log_line("(end of what the panic said)");
    }
}

void core_main(const struct boot_info *boot)
{
    if (SKEP_DEBUG) {
        lock_check_start();
    }
    log_line("Skep %s", SKEP_VERSION);
    if (boot->panic_log_bytes > 0) {
        panic_log_show(boot);
    }
    frame_init(boot);
    memory_log();
    tables_init();
    cpus_init(boot);
    trace_init();
    machine_log();
    wall_set(boot->wall_ns);
    io_init();
    watchdog_init();
    arch_cpu()->chore_ns = watchdog_next(arch_cpu());
    /* After the devices have their places in the address space: QEMU 7.2 can die of a CPU that reads a clock from
     * there while another changes it. */
    arch_cpus_start();
    control_init(boot);
    promise_open();
    control_start();
    log_buffer(true);
    core_resume();
}

void core_cpu_main(struct cpu *cpu)
{
    cpu->online_ns = arch_clock_ns();
    cpu->online = true;
    core_resume();
}

/* ---- traps ---- */

static enum skep_crash_reason fault_reason(enum supply supply)
{
    switch (supply) {
    case SUPPLY_GUARD:
        return SKEP_CRASH_GUARD_PAGE;
    case SUPPLY_OUT_OF_MEMORY:
        return SKEP_CRASH_OUT_OF_MEMORY;
    default:
        return SKEP_CRASH_PAGE_FAULT;
    }
}

void trap_page_fault(struct vcpu *vcpu, gva_t address, uint32_t error)
{
    struct guest *guest = vcpu->guest;
    enum supply supply = SUPPLY_NO_RANGE;
    vcpu->page_faults++;
    trace_vcpu(vcpu, arch_clock_ns(), SKEP_TRACE_FAULT, address.value, error);
    if (address.value < SKEP_GUEST_VA_MAX) {
        spin_lock(&guest->lock);
        supply = aspace_touch(guest, page_align_down(address.value), error);
        spin_unlock(&guest->lock);
    }
    if (supply != SUPPLY_OK) {
        upcall_fault(vcpu, fault_reason(supply), address.value, error);
    }
}

void trap_fault(struct vcpu *vcpu, enum skep_crash_reason reason, uint64_t address, uint64_t error)
{
    trace_vcpu(vcpu, arch_clock_ns(), SKEP_TRACE_FAULT, address, error);
    upcall_fault(vcpu, reason, address, error);
}

void trap_timer(void)
{
    struct cpu *cpu = arch_cpu();
    cpu->armed_ns = TIME_NEVER;
    if (cpu->index == 0 && watchdog_deadline_ns != TIME_NEVER) {
        watchdog_step();
    }
    cpu->chore_ns = watchdog_next(cpu);
    io_tick();
}

void trap_ipi(void)
{
    struct cpu *cpu = arch_cpu();
    cpu->ipis++;
    if (cpu->space) {
        aspace_flushed(cpu->space, cpu->index);
    }
}

/* ---- the way back ---- */

/* Work that is left waits for a vCPU that runs, from when it was left first. */
static uint64_t work_deadline(const struct cpu *cpu, bool work_left)
{
    if (!work_left || !cpu->current) {
        return TIME_NEVER;
    }
    uint64_t now = arch_clock_ns();
    bool waits = cpu->work_ns != TIME_NEVER && cpu->work_ns > now;
    return waits ? cpu->work_ns : now + WORK_DELAY_NS;
}

static void arm_timer(struct cpu *cpu, bool work_left)
{
    uint64_t deadline = timer_next(cpu);
    cpu->work_ns = work_deadline(cpu, work_left);
    if (cpu->look_ns < deadline) {
        deadline = cpu->look_ns;
    }
    if (cpu->chore_ns < deadline) {
        deadline = cpu->chore_ns;
    }
    if (io_deadline() < deadline) {
        deadline = io_deadline();
    }
    if (cpu->work_ns < deadline) {
        deadline = cpu->work_ns;
    }
    if (deadline != cpu->armed_ns) {
        cpu->armed_ns = deadline;
        arch_timer_set(deadline);
    }
}

/* The serial port takes a little at a time: this CPU comes back for the rest. */
static void log_work(struct cpu *cpu)
{
    if (log_step()) {
        uint64_t soon = arch_clock_ns() + LOG_DELAY_NS;
        cpu->chore_ns = soon < cpu->chore_ns ? soon : cpu->chore_ns;
    }
}

/* Where the guest wants an upcall for what is pending, if it wants one now; 0 = it doesn't. */
static uint64_t upcall_wanted(const struct vcpu *vcpu)
{
    struct skep_vcpu_page *page = vcpu->page;
    uint64_t pending = atomic_load(&page->pending) & ~atomic_load(&page->mask);
    return pending && !atomic_load(&page->upcall_masked) ? page->upcall_entry : 0;
}

/* Turns what is pending into an upcall. False: the guest's upcall entry was no address, and it has been ended. Not
 * inlined: its buffer would cost each way back to ring 3 a stack check. */
static __attribute__((noinline)) bool upcall_deliver(struct vcpu *vcpu, uint64_t entry)
{
    if (upcall_enter(vcpu, entry)) {
        guest_crash(vcpu, SKEP_CRASH_HYPERCALL, entry, SKEP_HC_RESUME);
        return false;
    }
    return true;
}

/* A CPU with nothing else to do comes back at once for left-over work, by an interrupt to itself: then device interrupts
 * have been taken in between, and it need not wait for a timer, which emulators are slow with. Where there is none, it
 * zeroes frames for those who will want some. */
static _Noreturn void idle(struct cpu *cpu, bool work_left)
{
    if (work_left || frame_clean_step()) {
        arch_ipi_send(cpu->index);
    }
    sched_idle_begin(cpu);
    arch_idle();
}

void core_resume(void)
{
    struct cpu *cpu = arch_cpu();
    uint64_t now = arch_clock_ns();
    sched_idle_end(cpu, now);
    cpu->traps++;
    for (;; now = arch_clock_ns()) {
        if (timer_due(now)) {
            timer_expire();
        }
        struct vcpu *vcpu = sched_next(cpu, now);
        /* After the choice: a CPU that has just left an ended guest may be the one that it waited for. */
        bool io_left = io_work();
        bool reap_left = guest_reap_step();
        log_work(cpu);
        if (!sched_goes_on(cpu)) {
            continue;
        }
        arm_timer(cpu, io_left || reap_left);
        if (!vcpu) {
            idle(cpu, io_left || reap_left);
        }
        uint64_t entry = upcall_wanted(vcpu);
        if (!entry || upcall_deliver(vcpu, entry)) {
            vcpu->page->run_ns = vcpu->run_ns;
            vcpu->page->ready_ns = vcpu->ready_ns;
            wall_show(vcpu->guest);
            arch_vcpu_resume(vcpu);
        }
    }
}
