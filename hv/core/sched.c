/*
 * sched.c - which vCPU runs where.
 *
 * share.c knows what each guest is due; here are vCPUs and CPUs. Whenever a CPU has to choose, it takes the guest that
 * has had the least virtual time of those that wait and may run there, and of its waiting vCPUs the one that has
 * waited longest. A running vCPU goes on to the end of its turn, unless another guest is PREEMPT_NS behind its own.
 *
 * No CPU sleeps while a vCPU waits that may run there: whoever queues a vCPU tells a sleeping CPU, and whoever has
 * chosen looks whether anything is left for those that sleep. A vCPU that waits for a CPU of its own makes room by
 * sending the one that runs there to a sleeping CPU where that may run.
 *
 * Tickless: a CPU's timer is set for the end of a turn only while others wait for that CPU, and for the end of a
 * budget.
 *
 * A vCPU leaves a CPU with its state saved in the same critical section that changes its state, so any CPU may load
 * whatever it finds in the queue.
 *
 * Accounts: each ns of a CPU is a vCPU's (charge()), or idle, or else the core's; each ns since a vCPU's first start is
 * run, ready, or else idle. The third is what is left of the whole, so that the sums are exact.
 *
 * Time: callers hand down what they have read of the clock, which may be before another CPU's last doings under the
 * lock. lock_at() and clock_now() see to it that time never goes back under the lock, so that no difference to what was
 * noted there is negative.
 *
 * Known shortcomings: one lock, and no cache affinity but for a sleeping CPU that ran the vCPU last; right for tens of
 * CPUs, not for hundreds.
 */
#include "core/sched.h"

#include "core/guest.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/trace.h"

#define PREEMPT_NS \
    500000ll /* virtual: the least advantage for which a running vCPU is interrupted */
#define LOOK_MIN_NS     20000ull    /* between two looks at a budget */
#define LEVELS_NS       50000000ull /* between two looks at the levels */
#define REFILLS_AT_ONCE 4u
#define SPARE_NS        100000ull /* from its beginning on */

static struct spinlock sched_lock = {.kind = LOCK_SCHED};
static uint32_t sleeping;       /* CPUs that nobody has told to look; a bit each */
static uint32_t untimed;        /* CPUs that run a vCPU without an end of its turn */
static struct cpu *refiller;    /* whose timer is set for the next budget's refill */
static uint64_t levels_next_ns; /* when levels are looked at again */
static uint64_t gone_ns;        /* run time of guests that are gone */
static uint64_t latest_ns;      /* the latest time that was used under the lock */

void sched_init(void)
{
    share_init();
}

/* Time that was read as `now`, or later when another CPU has been further. Holds the lock. */
static uint64_t not_before(uint64_t now)
{
    latest_ns = now > latest_ns ? now : latest_ns;
    return latest_ns;
}

static uint64_t clock_now(void)
{
    return not_before(arch_clock_ns());
}

/* Takes the lock; what time it is there for who has just read `now`. */
static uint64_t lock_at(uint64_t now)
{
    spin_lock(&sched_lock);
    return not_before(now);
}

static uint32_t bit_of(const struct cpu *cpu)
{
    return 1u << cpu->index;
}

static struct share *share_of(const struct vcpu *vcpu)
{
    return &vcpu->guest->share;
}

/* ---- telling CPUs ---- */

/* The CPU looks at the queue soon. One that is about to look anyway needs no interrupt: who set `resched` has sent it one,
 * or will, or is that CPU, in ring 0, and looks on its way out. This one sends what is due on its own way out, when it holds
 * no lock: where the interrupt controller is emulated that may take long, and others would wait for this lock and those
 * around it. */
static void interrupt(struct cpu *cpu)
{
    sleeping &= ~bit_of(cpu);
    if (!(atomic_fetch_or(&cpu->resched, 1) & 1) && cpu != arch_cpu()) {
        arch_cpu()->to_interrupt |= bit_of(cpu);
        atomic_fetch_or(&arch_cpu()->resched, RESCHED_SEND);
    }
}

bool sched_send(struct cpu *self)
{
    uint32_t cpus = self->to_interrupt, only_send = RESCHED_SEND;
    self->to_interrupt = 0;
    for (; cpus; cpus &= cpus - 1) {
        arch_ipi_send((uint32_t)__builtin_ctz(cpus));
    }
    return atomic_compare_exchange_strong(&self->resched, &only_send, 0);
}

/* A sleeping CPU of `cpus`: this one, which an interrupt has just woken, else that of the given index, else any; NULL =
 * none. */
static struct cpu *sleeping_cpu(uint32_t cpus, uint32_t preferred)
{
    cpus &= sleeping;
    if (!cpus || cpus & bit_of(arch_cpu())) {
        return cpus ? arch_cpu() : NULL;
    }
    return cpu_at(cpus & 1u << preferred ? preferred : (uint32_t)__builtin_ctz(cpus));
}

/* By how much the vCPU that runs on a CPU is ahead of a waiting guest, INT64_MIN when it can't be interrupted for it. */
static int64_t lead_over(const struct cpu *cpu, const struct share *waiting, uint64_t now)
{
    const struct vcpu *vcpu = cpu->current;
    if (!vcpu || share_urgent(share_of(vcpu))) {
        return INT64_MIN;
    }
    if (share_urgent(waiting)) {
        return INT64_MAX;
    }
    uint64_t running = share_weighed(share_of(vcpu), now - vcpu->charged_ns);
    return share_lead(share_of(vcpu), waiting) + (int64_t)running;
}

/* The busy CPU to interrupt for a guest that has begun to wait: this one if it will do, which takes no interrupt, else
 * that whose vCPU is furthest ahead. One that is about to look needs no second word. */
static struct cpu *busy_cpu(const struct share *waiting, uint64_t now)
{
    struct cpu *best = NULL;
    struct cpu *self = arch_cpu();
    int64_t best_lead = PREEMPT_NS;
    uint32_t cpus = share_cpus(waiting);
    if (cpus & bit_of(self) && lead_over(self, waiting, now) > PREEMPT_NS) {
        return self;
    }
    for (; cpus; cpus &= cpus - 1) {
        struct cpu *cpu = cpu_at((uint32_t)__builtin_ctz(cpus));
        int64_t lead = atomic_load(&cpu->resched) & 1 ? INT64_MIN : lead_over(cpu, waiting, now);
        if (lead > best_lead) {
            best = cpu;
            best_lead = lead;
        }
    }
    return best;
}

/* Of the CPUs of `cpus` that run without an end of turn, one for which somebody waits is told. It sends its vCPU back
 * to the queue sooner or later, and then tells the next. */
static void tell_untimed(uint32_t cpus)
{
    cpus = share_wanted(cpus & untimed);
    if (cpus) {
        struct cpu *cpu = cpu_at((uint32_t)__builtin_ctz(cpus));
        untimed &= ~bit_of(cpu);
        interrupt(cpu);
    }
}

/* Sleeping CPUs for which something waits look. */
static void tell_sleeping(void)
{
    for (uint32_t cpus = share_wanted(sleeping); cpus; cpus &= cpus - 1) {
        interrupt(cpu_at((uint32_t)__builtin_ctz(cpus)));
    }
}

/* A guest's waiting vCPUs are there for CPUs to take: for one of them a CPU is told to look at once. */
static void tell(const struct share *waiting, uint32_t last_cpu, uint64_t now)
{
    struct cpu *cpu = sleeping_cpu(share_cpus(waiting), last_cpu);
    cpu = cpu ? cpu : busy_cpu(waiting, now);
    if (cpu) {
        interrupt(cpu);
    } else {
        tell_untimed(share_cpus(waiting));
    }
}

/* ---- a guest's waiting vCPUs, in the order in which they came ---- */

static void queue(struct vcpu *vcpu, uint64_t now)
{
    struct share *share = share_of(vcpu);
    vcpu->state = VCPU_RUNNABLE;
    if (vcpu->hold) {
        share_update(share);
        return;
    }
    vcpu->ready_since_ns = now;
    vcpu->queued = true;
    vcpu->next = NULL;
    vcpu->previous = share->last;
    *(share->last ? &share->last->next : &share->first) = vcpu;
    share->last = vcpu;
    share->queued++;
    share_update(share);
}

/* Returns how long it has waited. */
static uint64_t wait_ends(struct vcpu *vcpu, uint64_t now)
{
    uint64_t waited = now - vcpu->ready_since_ns;
    vcpu->ready_ns += waited;
    vcpu->ready_since_ns = 0;
    return waited;
}

/* Takes it out; `running` = onto a CPU. */
static void unqueue(struct vcpu *vcpu, bool running)
{
    struct share *share = share_of(vcpu);
    *(vcpu->previous ? &vcpu->previous->next : &share->first) = vcpu->next;
    *(vcpu->next ? &vcpu->next->previous : &share->last) = vcpu->previous;
    vcpu->queued = false;
    share->queued--;
    share->running += running;
    share_update(share);
}

/* An idle CPU takes whom its interrupt has woken when nobody else waits: it would find no other. begin() follows. False:
 * this isn't so. */
static bool take_at_once(struct vcpu *vcpu, uint64_t now)
{
    struct cpu *cpu = arch_cpu();
    struct share *share = share_of(vcpu);
    if (!(sleeping & share_cpus(share) & bit_of(cpu)) || share_waiting || vcpu->hold ||
        share_capped(share)) {
        return false;
    }
    interrupt(cpu);
    vcpu->state = VCPU_RUNNING;
    vcpu->cpu = cpu->index;
    vcpu->ready_since_ns = vcpu->charged_ns = now;
    cpu->current = vcpu;
    share->running++;
    share_update(share);
    return true;
}

static void make_runnable(struct vcpu *vcpu, uint64_t now)
{
    share_reserve_refill(now);
    if (take_at_once(vcpu, now)) {
        return;
    }
    queue(vcpu, now);
    if (vcpu->queued && !share_capped(share_of(vcpu))) {
        tell(share_of(vcpu), vcpu->cpu, now);
    }
}

/* ---- charging ---- */

/* Every CPU on which a vCPU of the guest runs looks. */
static void interrupt_guest(const struct guest *guest)
{
    for (uint32_t i = 0; i < cpu_count(); i++) {
        struct cpu *cpu = cpu_at(i);
        if (cpu->current && cpu->current->guest == guest) {
            interrupt(cpu);
        }
    }
}

/* Whose timer is set for the earliest refill: this CPU's, when it has become another one. */
static void refill_watch(uint64_t before)
{
    if (share_refill_next() != before) {
        refiller = arch_cpu();
        atomic_store(&refiller->resched, 1);
    }
}

/* Adds the time since the last call to the accounts of the vCPU that runs on this CPU. */
static void charge(struct vcpu *vcpu, uint64_t now)
{
    uint64_t ran = now - vcpu->charged_ns;
    uint64_t refill = share_refill_next();
    bool capped = share_capped(share_of(vcpu));
    vcpu->charged_ns = now;
    vcpu->run_ns += ran;
    arch_cpu()->guest_ns += ran;
    share_charge(share_of(vcpu), ran, now);
    if (!capped && share_capped(share_of(vcpu))) {
        interrupt_guest(vcpu->guest);
    }
    refill_watch(refill);
}

/* The running vCPU leaves this CPU; its new state, told for the trace, is the caller's to set. */
static void leave(struct vcpu *vcpu, uint64_t now, enum skep_vcpu_state to)
{
    struct cpu *cpu = arch_cpu();
    CHECK(cpu->current == vcpu);
    charge(vcpu, now);
    trace_vcpu(vcpu, now, SKEP_TRACE_LEAVE, to, now - vcpu->run_since_ns);
    if (cpu->loaded == vcpu) { /* else it goes before it has begun */
        arch_vcpu_save(vcpu);
    }
    cpu->current = NULL;
    cpu->loaded = NULL;
    share_of(vcpu)->running--;
}

/* ---- parameters ---- */

bool sched_params_valid(const struct sched_params *params)
{
    uint64_t cpus = (1ull << cpu_count()) - 1;
    return params->weight && params->weight <= WEIGHT_MAX && params->cap <= CAP_MAX &&
           (!params->affinity || (params->affinity & cpus));
}

int sched_params_set(struct guest *guest, const struct sched_params *params)
{
    uint64_t now = lock_at(arch_clock_ns());
    uint64_t refill = share_refill_next();
    int error = share_params_set(&guest->share, params, now);
    if (!error) {
        interrupt_guest(guest);
        if (guest->share.queued) {
            tell(&guest->share, guest->share.first->cpu, now);
            tell_sleeping();
        }
        refill_watch(refill);
    }
    spin_unlock(&sched_lock);
    return error;
}

struct sched_params sched_params_get(struct guest *guest)
{
    spin_lock(&sched_lock);
    struct sched_params params = guest->share.params;
    spin_unlock(&sched_lock);
    return params;
}

void sched_reserve(struct guest *guest, uint32_t percent)
{
    share_reserve(&guest->share, percent, lock_at(arch_clock_ns()));
    spin_unlock(&sched_lock);
}

void sched_release(struct guest *guest)
{
    spin_lock(&sched_lock);
    share_release(&guest->share);
    gone_ns += guest->ended_cpu_ns;
    spin_unlock(&sched_lock);
}

/* ---- vCPUs' states ---- */

int sched_prepare(struct vcpu *vcpu)
{
    spin_lock(&sched_lock);
    bool off = vcpu->state == VCPU_OFF;
    spin_unlock(&sched_lock);
    return off ? 0 : -SKEP_EBUSY;
}

bool sched_start(struct vcpu *vcpu)
{
    uint64_t now = lock_at(arch_clock_ns());
    bool started = vcpu->state == VCPU_OFF;
    if (started) {
        vcpu->started_ns = vcpu->started_ns ? vcpu->started_ns : now;
        make_runnable(vcpu, now);
    }
    spin_unlock(&sched_lock);
    return started;
}

bool sched_block(struct vcpu *vcpu, uint64_t now, bool (*pending)(const struct vcpu *))
{
    now = lock_at(now);
    bool block = !pending(vcpu);
    if (block) {
        leave(vcpu, now, SKEP_VCPU_BLOCKED);
        vcpu->state = VCPU_BLOCKED;
        share_update(share_of(vcpu));
    }
    spin_unlock(&sched_lock);
    return block;
}

void sched_off(struct vcpu *vcpu)
{
    leave(vcpu, lock_at(arch_clock_ns()), SKEP_VCPU_OFF);
    vcpu->state = VCPU_OFF;
    share_update(share_of(vcpu));
    spin_unlock(&sched_lock);
}

/* Whether a vCPU that runs has to be interrupted to see its event: not if this CPU, in a trap of it, goes back to a guest
 * that has upcalls masked. It looks at its events when it opens them. */
static bool is_to_look(const struct vcpu *vcpu)
{
    return cpu_at(vcpu->cpu) != arch_cpu() || !atomic_load(&vcpu->page->upcall_masked);
}

void sched_wake(struct vcpu *vcpu, int64_t result, uint64_t now)
{
    now = lock_at(now);
    if (vcpu->state == VCPU_BLOCKED) {
        arch_vcpu_result_set(&vcpu->arch, result);
        vcpu->woken = true;
        make_runnable(vcpu, now);
    } else if (vcpu->state == VCPU_RUNNING && is_to_look(vcpu)) {
        interrupt(cpu_at(vcpu->cpu));
    }
    spin_unlock(&sched_lock);
}

/* Without the lock: nobody else changes what this CPU runs. */
bool sched_spares(const struct cpu *cpu)
{
    const struct vcpu *vcpu = cpu->current;
    return vcpu && vcpu->woken && arch_clock_ns() - vcpu->run_since_ns < SPARE_NS;
}

void sched_pass(struct vcpu *vcpu)
{
    spin_lock(&sched_lock);
    struct cpu *cpu = arch_cpu();
    charge(vcpu, clock_now());
    share_pass(share_of(vcpu), cpu->index);
    cpu->turn_end_ns = 0;
    atomic_store(&cpu->resched, 1);
    spin_unlock(&sched_lock);
}

void sched_hold(struct vcpu *vcpu, uint32_t reasons)
{
    spin_lock(&sched_lock);
    vcpu->hold |= reasons;
    if (vcpu->queued) {
        wait_ends(vcpu, clock_now());
        unqueue(vcpu, false);
    }
    if (vcpu->state == VCPU_RUNNING) {
        interrupt(cpu_at(vcpu->cpu));
    }
    spin_unlock(&sched_lock);
}

void sched_unhold(struct vcpu *vcpu, uint32_t reasons)
{
    spin_lock(&sched_lock);
    vcpu->hold &= ~reasons;
    if (!vcpu->hold && vcpu->state == VCPU_RUNNABLE && !vcpu->queued) {
        make_runnable(vcpu, clock_now());
    }
    spin_unlock(&sched_lock);
}

bool sched_guest_idle(struct guest *guest)
{
    spin_lock(&sched_lock);
    bool idle = guest->share.running == 0;
    spin_unlock(&sched_lock);
    return idle;
}

/* ---- accounts ---- */

/* Whom take_at_once() took counts as waiting until begin(). */
static bool runs(const struct vcpu *vcpu)
{
    return vcpu->state == VCPU_RUNNING && !vcpu->ready_since_ns;
}

static uint64_t run_ns(const struct vcpu *vcpu, uint64_t now)
{
    return vcpu->run_ns + (runs(vcpu) ? now - vcpu->charged_ns : 0);
}

static uint64_t ready_ns(const struct vcpu *vcpu, uint64_t now)
{
    return vcpu->ready_ns + (vcpu->ready_since_ns ? now - vcpu->ready_since_ns : 0);
}

uint64_t sched_run_ns(struct vcpu *vcpu)
{
    uint64_t ns = run_ns(vcpu, lock_at(arch_clock_ns()));
    spin_unlock(&sched_lock);
    return ns;
}

uint64_t sched_ready_ns(struct vcpu *vcpu)
{
    uint64_t ns = ready_ns(vcpu, lock_at(arch_clock_ns()));
    spin_unlock(&sched_lock);
    return ns;
}

static enum skep_vcpu_state visible_state(const struct vcpu *vcpu)
{
    static const enum skep_vcpu_state states[] = {
        [VCPU_OFF] = SKEP_VCPU_OFF,
        [VCPU_BLOCKED] = SKEP_VCPU_BLOCKED,
        [VCPU_RUNNABLE] = SKEP_VCPU_READY,
        [VCPU_RUNNING] = SKEP_VCPU_RUNNING,
    };
    bool held = vcpu->hold && vcpu->state != VCPU_OFF;
    held |= vcpu->queued && share_capped(share_of(vcpu));
    return held ? SKEP_VCPU_HELD : states[vcpu->state];
}

void sched_vcpu_status(struct vcpu *vcpu, struct skep_vcpu_status *status)
{
    uint64_t now = lock_at(arch_clock_ns());
    status->state = visible_state(vcpu);
    status->cpu = vcpu->cpu;
    status->run_ns = run_ns(vcpu, now);
    status->ready_ns = ready_ns(vcpu, now);
    if (vcpu->started_ns) {
        status->idle_ns = now - vcpu->started_ns - status->run_ns - status->ready_ns;
    }
    status->switches = vcpu->switches;
    spin_unlock(&sched_lock);
}

void sched_idle_begin(struct cpu *cpu)
{
    int64_t slept = atomic_load_explicit(&cpu->idle_ns, memory_order_relaxed);
    slept -= (int64_t)arch_clock_ns() + 1;
    atomic_store_explicit(&cpu->idle_ns, slept, memory_order_relaxed);
}

void sched_idle_end(struct cpu *cpu, uint64_t now)
{
    int64_t slept = atomic_load_explicit(&cpu->idle_ns, memory_order_relaxed);
    if (slept < 0) {
        slept += (int64_t)now + 1;
        atomic_store_explicit(&cpu->idle_ns, slept, memory_order_relaxed);
    }
}

static uint64_t idle_ns(const struct cpu *cpu, uint64_t now)
{
    int64_t slept = atomic_load_explicit(&cpu->idle_ns, memory_order_relaxed);
    slept += slept < 0 ? (int64_t)now + 1 : 0;
    return slept > 0 ? (uint64_t)slept : 0; /* it may have fallen asleep since the clock was read */
}

void sched_cpu_times(struct cpu *cpu, uint64_t *idle, uint64_t *guest_ns, uint64_t *core_ns)
{
    uint64_t now = lock_at(arch_clock_ns());
    *idle = idle_ns(cpu, now);
    const struct vcpu *vcpu = cpu->current;
    *guest_ns = cpu->guest_ns + (vcpu && runs(vcpu) ? now - vcpu->charged_ns : 0);
    *core_ns = now - cpu->online_ns - *idle - *guest_ns;
    spin_unlock(&sched_lock);
}

uint64_t sched_gone_ns(void)
{
    spin_lock(&sched_lock);
    uint64_t ns = gone_ns;
    spin_unlock(&sched_lock);
    return ns;
}

/* ---- choosing ---- */

/* Budgets that are filled up again: their guests compete again. */
static void refill(uint64_t now)
{
    share_reserve_refill(now);
    for (uint32_t i = 0; i < REFILLS_AT_ONCE && share_refill_next() <= now; i++) {
        refiller = arch_cpu();
        struct share *share = share_refilled(now);
        if (share && share->queued) {
            tell(share, share->first->cpu, now);
        }
    }
}

/* Whether the vCPU that runs here goes on. */
static bool keeps_running(const struct cpu *cpu, const struct vcpu *vcpu, uint64_t now)
{
    const struct share *share = share_of(vcpu);
    if (vcpu->hold || share_capped(share) || !(share_cpus(share) & bit_of(cpu))) {
        return false;
    }
    const struct share *best = share_best(cpu->index);
    if (!best || share_urgent(share)) {
        return true;
    }
    if (share_urgent(best) || (share_cpus(share) & sleeping)) {
        return false;
    }
    int64_t lead = share_lead(share, best);
    return lead < 0 || (lead <= PREEMPT_NS && now < cpu->turn_end_ns);
}

/* The vCPU that this CPU has taken stops waiting, and runs. */
static void begin(struct cpu *cpu, struct vcpu *vcpu, uint64_t now)
{
    uint64_t waited = wait_ends(vcpu, now);
    vcpu->charged_ns = vcpu->run_since_ns = now;
    vcpu->switches++;
    cpu->switches++;
    cpu->turn_end_ns = now + share_turn_ns(share_of(vcpu));
    trace_vcpu(vcpu, now, SKEP_TRACE_RUN, waited, 0);
}

static struct vcpu *take_next(struct cpu *cpu, uint64_t now)
{
    struct share *share = share_best(cpu->index);
    if (!share) {
        return NULL;
    }
    struct vcpu *vcpu = share->first;
    unqueue(vcpu, true);
    vcpu->state = VCPU_RUNNING;
    vcpu->cpu = cpu->index;
    cpu->current = vcpu;
    begin(cpu, vcpu, now);
    return vcpu;
}

/* Takes another vCPU, then puts the old one back to the queue: it doesn't come into the choice. */
static struct vcpu *change(struct cpu *cpu, struct vcpu *old, uint64_t now)
{
    leave(old, now, old->hold ? SKEP_VCPU_HELD : SKEP_VCPU_READY);
    old->woken = false;
    struct vcpu *next = take_next(cpu, now);
    queue(old, now);
    next = next ? next : take_next(cpu, now);
    if (old->queued && !share_capped(share_of(old))) {
        tell(share_of(old), cpu->index, now); /* another CPU may be the better place for it */
    }
    return next;
}

/* When to look again, for the sake of what runs here and of budgets that fill up. */
static uint64_t look_at(struct cpu *cpu, struct vcpu *vcpu, uint64_t now)
{
    uint64_t look = refiller == cpu ? share_refill_next() : TIME_NEVER;
    if (vcpu) {
        bool timed = share_best(cpu->index) != NULL;
        if (timed && cpu->turn_end_ns < look) {
            look = cpu->turn_end_ns;
        }
        if (timed || !share_of(vcpu)->reserved) {
            uint64_t spent = share_spent_at(share_of(vcpu), now);
            spent = spent < now + LOOK_MIN_NS ? now + LOOK_MIN_NS : spent;
            look = spent < look ? spent : look;
        }
        untimed = timed ? untimed & ~bit_of(cpu) : untimed | bit_of(cpu);
    } else {
        untimed &= ~bit_of(cpu);
    }
    return look;
}

/* The decision, under the lock. */
static struct vcpu *decide(struct cpu *cpu, uint64_t now)
{
    struct vcpu *vcpu = cpu->current;
    sleeping &= ~bit_of(cpu);
    refill(now);
    if (now >= levels_next_ns) {
        levels_next_ns = now + LEVELS_NS;
        share_levels_close();
    }
    if (vcpu) {
        if (vcpu == cpu->loaded) {
            charge(vcpu, now);
        } else {
            begin(cpu, vcpu, now); /* of take_at_once() */
        }
        if (!keeps_running(cpu, vcpu, now)) {
            vcpu = change(cpu, vcpu, now);
        } else if (now >= cpu->turn_end_ns) {
            cpu->turn_end_ns = now + share_turn_ns(share_of(vcpu));
        }
    } else {
        vcpu = take_next(cpu, now);
    }
    if (vcpu) {
        share_chosen(share_of(vcpu));
    } else {
        sleeping |= bit_of(cpu);
    }
    tell_sleeping();
    cpu->look_ns = look_at(cpu, vcpu, now);
    tell_untimed(UINT32_MAX);
    return vcpu;
}

/* Takes the lower half over to `vcpu`'s guest. A CPU without a vCPU stays where it is, unless that guest is ending: most
 * guests wait for something and go on, and a change of tables costs all translations. Outside of sched_lock: leaving
 * takes guest.lock. */
static void change_space(struct cpu *cpu, struct vcpu *vcpu)
{
    struct guest *old = cpu->space;
    struct guest *new = vcpu ? vcpu->guest : old &&aspace_stays(old) ? old : NULL;
    if (new &&new != old) {
        aspace_enter(new, cpu->index);
    }
    if (vcpu) {
        arch_vcpu_load(vcpu);
    } else {
        arch_vcpu_unload(new);
    }
    cpu->space = new;
    if (old && old != new) {
        aspace_leave(old, cpu->index);
    }
}

struct vcpu *sched_next(struct cpu *cpu, uint64_t now)
{
    now = lock_at(now);
    atomic_store(&cpu->resched, 0);
    struct vcpu *vcpu = decide(cpu, now);
    spin_unlock(&sched_lock);
    if (cpu->to_interrupt) {
        sched_send(cpu);
    }
    if (!vcpu || vcpu != cpu->loaded) {
        change_space(cpu, vcpu);
        cpu->loaded = vcpu;
    }
    return vcpu;
}
