/*
 * sched.c - the scheduler.
 *
 * One run queue for all CPUs, a heap keyed by virtual runtime: CPU time divided by weight. Each CPU takes the vCPU
 * that has had the least for its weight, so shares are fair over the whole machine and no CPU idles while
 * something is runnable. A vCPU that slept resumes little behind the queue's front: it runs soon but can't
 * save up time. A CPU has a slice timer only while others wait.
 *
 * A vCPU leaves a CPU with its state saved in the same critical section that changes its state, so any CPU may load
 * whatever it finds in the queue.
 *
 * Known shortcoming: one lock and no cache affinity; right for tens of CPUs, not for hundreds.
 */
#include "core/sched.h"

#include "core/guest.h"
#include "core/lock.h"
#include "core/log.h"
#include "core/trace.h"

#define SLICE_NS       5000000ull /* the longest turn while others wait */
#define WAKE_CREDIT_NS 2000000ull /* how far behind the front a sleeper comes back */
#define PREEMPT_NS     500000ull  /* the least advantage for which a running vCPU is interrupted */
#define WEIGHT_DEFAULT 100u

static struct spinlock sched_lock;
static struct heap queue;
static uint32_t places; /* taken, of queue.capacity */
static uint64_t front;  /* virtual runtime of the vCPU taken last: never goes back */

void sched_init(uint32_t capacity)
{
    queue.nodes = core_array(capacity, sizeof(struct heap_node *));
    queue.capacity = capacity;
}

static struct vcpu *vcpu_of(struct heap_node *node)
{
    return (struct vcpu *)((char *)node - offsetof(struct vcpu, run_node));
}

/* Virtual runtime that a running vCPU has had since its last charge. */
static uint64_t weighed(const struct vcpu *vcpu, uint64_t now)
{
    return (now - vcpu->switched_in_ns) * WEIGHT_DEFAULT / vcpu->guest->share.params.weight;
}

/* Adds the time since the last call to a running vCPU's account. */
static void charge(struct vcpu *vcpu, uint64_t now)
{
    vcpu->vruntime += weighed(vcpu, now);
    vcpu->run_ns += now - vcpu->switched_in_ns;
    vcpu->switched_in_ns = now;
}

static void enqueue(struct vcpu *vcpu, uint64_t now)
{
    vcpu->state = VCPU_RUNNABLE;
    vcpu->ready_since_ns = now;
    if (!vcpu->hold) {
        CHECK(heap_insert(&queue, &vcpu->run_node, vcpu->vruntime));
    }
}

static void interrupt(struct cpu *cpu)
{
    atomic_store(&cpu->resched, 1);
    if (cpu != arch_cpu()) {
        arch_ipi_send(cpu->index);
    }
}

/* The CPU that should look at the queue now that `vcpu` is in it: an idle one, else the one whose vCPU is furthest
 * ahead of it. NULL: those that needed to have been told already. */
static struct cpu *cpu_for(const struct vcpu *vcpu, uint64_t now)
{
    struct cpu *best = NULL;
    uint64_t best_lead = 0;
    for (uint32_t i = 0; i < cpu_count(); i++) {
        struct cpu *cpu = cpu_at(i);
        if (!cpu->online || atomic_load(&cpu->resched)) {
            continue; /* one that is about to look needs no second word, and may take something else */
        }
        if (!cpu->current) {
            return cpu;
        }
        uint64_t runtime = cpu->current->vruntime + weighed(cpu->current, now);
        uint64_t lead = runtime > vcpu->vruntime ? runtime - vcpu->vruntime : 0;
        bool unlimited = cpu->slice_end_ns == TIME_NEVER;
        if ((lead > PREEMPT_NS || unlimited) && lead >= best_lead) {
            best = cpu;
            best_lead = lead;
        }
    }
    return best;
}

/* Makes a vCPU runnable and tells a CPU. Holds sched_lock. */
static void make_runnable(struct vcpu *vcpu)
{
    uint64_t floor = front > WAKE_CREDIT_NS ? front - WAKE_CREDIT_NS : 0;
    if (vcpu->vruntime < floor) {
        vcpu->vruntime = floor;
    }
    uint64_t now = arch_clock_ns();
    enqueue(vcpu, now);
    if (vcpu->hold) {
        return;
    }
    struct cpu *cpu = cpu_for(vcpu, now);
    if (cpu) {
        interrupt(cpu);
    }
}

/* The running vCPU leaves this CPU; its new state, told for the trace, is the caller's to set. Holds sched_lock. */
static void leave(struct vcpu *vcpu, uint64_t now, enum skep_vcpu_state to)
{
    struct cpu *cpu = arch_cpu();
    CHECK(cpu->current == vcpu);
    charge(vcpu, now);
    trace_vcpu(vcpu, now, SKEP_TRACE_LEAVE, to, now - vcpu->run_since_ns);
    arch_vcpu_save(vcpu);
    cpu->current = NULL;
    cpu->loaded = NULL;
    vcpu->guest->share.running--;
}

bool sched_params_valid(const struct sched_params *params)
{
    uint64_t cpus = (1ull << cpu_count()) - 1;
    return params->weight && params->weight <= WEIGHT_MAX && params->cap <= CAP_MAX &&
           (!params->affinity || (params->affinity & cpus));
}

int sched_params_set(struct guest *guest, const struct sched_params *params)
{
    spin_lock(&sched_lock);
    guest->share.params = *params;
    spin_unlock(&sched_lock);
    return 0;
}

struct sched_params sched_params_get(struct guest *guest)
{
    spin_lock(&sched_lock);
    struct sched_params params = guest->share.params;
    spin_unlock(&sched_lock);
    return params;
}

int sched_place_take(void)
{
    spin_lock(&sched_lock);
    bool free = places < queue.capacity;
    places += free;
    spin_unlock(&sched_lock);
    return free ? 0 : -SKEP_ENOSPC;
}

void sched_place_give(void)
{
    spin_lock(&sched_lock);
    places--;
    spin_unlock(&sched_lock);
}

int sched_prepare(struct vcpu *vcpu)
{
    spin_lock(&sched_lock);
    bool off = vcpu->state == VCPU_OFF;
    spin_unlock(&sched_lock);
    return off ? 0 : -SKEP_EBUSY;
}

bool sched_start(struct vcpu *vcpu)
{
    spin_lock(&sched_lock);
    bool started = vcpu->state == VCPU_OFF;
    if (started) {
        make_runnable(vcpu);
    }
    spin_unlock(&sched_lock);
    return started;
}

bool sched_block(struct vcpu *vcpu, bool (*pending)(const struct vcpu *))
{
    spin_lock(&sched_lock);
    bool block = !pending(vcpu);
    if (block) {
        leave(vcpu, arch_clock_ns(), SKEP_VCPU_BLOCKED);
        vcpu->state = VCPU_BLOCKED;
    }
    spin_unlock(&sched_lock);
    return block;
}

void sched_off(struct vcpu *vcpu)
{
    spin_lock(&sched_lock);
    leave(vcpu, arch_clock_ns(), SKEP_VCPU_OFF);
    vcpu->state = VCPU_OFF;
    spin_unlock(&sched_lock);
}

void sched_wake(struct vcpu *vcpu, int64_t result)
{
    spin_lock(&sched_lock);
    if (vcpu->state == VCPU_BLOCKED) {
        arch_vcpu_result_set(&vcpu->arch, result);
        make_runnable(vcpu);
    } else if (vcpu->state == VCPU_RUNNING) {
        interrupt(cpu_at(vcpu->cpu));
    }
    spin_unlock(&sched_lock);
}

void sched_pass(struct vcpu *vcpu)
{
    spin_lock(&sched_lock);
    charge(vcpu, arch_clock_ns());
    struct heap_node *next = heap_min(&queue);
    if (next && vcpu->vruntime < next->key) {
        vcpu->vruntime = next->key;
    }
    atomic_store(&arch_cpu()->resched, 1);
    spin_unlock(&sched_lock);
}

void sched_hold(struct vcpu *vcpu, uint32_t reasons)
{
    spin_lock(&sched_lock);
    vcpu->hold |= reasons;
    heap_remove(&queue, &vcpu->run_node);
    if (vcpu->state == VCPU_RUNNING) {
        interrupt(cpu_at(vcpu->cpu));
    }
    spin_unlock(&sched_lock);
}

void sched_unhold(struct vcpu *vcpu, uint32_t reasons)
{
    spin_lock(&sched_lock);
    vcpu->hold &= ~reasons;
    if (!vcpu->hold && vcpu->state == VCPU_RUNNABLE && !vcpu->run_node.place) {
        make_runnable(vcpu);
    }
    spin_unlock(&sched_lock);
}

uint64_t sched_run_ns(struct vcpu *vcpu)
{
    spin_lock(&sched_lock);
    uint64_t ns = vcpu->run_ns;
    if (vcpu->state == VCPU_RUNNING) {
        ns += arch_clock_ns() - vcpu->switched_in_ns;
    }
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
    return vcpu->hold && vcpu->state != VCPU_OFF ? SKEP_VCPU_HELD : states[vcpu->state];
}

void sched_vcpu_status(struct vcpu *vcpu, struct skep_vcpu_status *status)
{
    spin_lock(&sched_lock);
    status->state = visible_state(vcpu);
    status->cpu = vcpu->cpu;
    status->run_ns = vcpu->run_ns;
    if (vcpu->state == VCPU_RUNNING) {
        status->run_ns += arch_clock_ns() - vcpu->switched_in_ns;
    }
    spin_unlock(&sched_lock);
}

/* Whether the vCPU that runs here goes on. */
static bool keeps_running(const struct cpu *cpu, const struct vcpu *vcpu, uint64_t now)
{
    const struct heap_node *next = heap_min(&queue);
    if (vcpu->hold) {
        return false;
    }
    if (!next || next->key >= vcpu->vruntime) {
        return true;
    }
    return vcpu->vruntime - next->key <= PREEMPT_NS && now < cpu->slice_end_ns;
}

static struct vcpu *take_next(struct cpu *cpu, uint64_t now)
{
    struct heap_node *node = heap_min(&queue);
    if (!node) {
        return NULL;
    }
    heap_remove(&queue, node);
    struct vcpu *vcpu = vcpu_of(node);
    if (vcpu->vruntime > front) {
        front = vcpu->vruntime;
    }
    vcpu->state = VCPU_RUNNING;
    vcpu->cpu = cpu->index;
    vcpu->switched_in_ns = vcpu->run_since_ns = now;
    cpu->current = vcpu;
    cpu->switches++;
    cpu->slice_end_ns = now + SLICE_NS;
    vcpu->guest->share.running++;
    trace_vcpu(vcpu, now, SKEP_TRACE_RUN, now - vcpu->ready_since_ns, 0);
    return vcpu;
}

/* The decision, under the lock. */
static struct vcpu *decide(struct cpu *cpu)
{
    uint64_t now = arch_clock_ns();
    struct vcpu *vcpu = cpu->current;
    if (vcpu) {
        charge(vcpu, now);
        if (!keeps_running(cpu, vcpu, now)) {
            leave(vcpu, now, vcpu->hold ? SKEP_VCPU_HELD : SKEP_VCPU_READY);
            enqueue(vcpu, now);
            vcpu = NULL;
        } else if (now >= cpu->slice_end_ns) {
            cpu->slice_end_ns = now + SLICE_NS;
        }
    }
    if (!vcpu) {
        vcpu = take_next(cpu, now);
    }
    if (!queue.count || !vcpu) {
        cpu->slice_end_ns = TIME_NEVER;
    } else if (cpu->slice_end_ns == TIME_NEVER) {
        cpu->slice_end_ns = now + SLICE_NS;
    }
    return vcpu;
}

/* Takes the lower half over to `vcpu`'s guest, or to none. Outside of sched_lock: leaving takes guest.lock. */
static void change_space(struct cpu *cpu, struct vcpu *vcpu)
{
    struct guest *old = cpu->space;
    struct guest *new = vcpu ? vcpu->guest : NULL;
    if (new &&new != old) {
        aspace_enter(new, cpu->index);
    }
    if (vcpu) {
        arch_vcpu_load(vcpu);
    } else if (old) {
        arch_vcpu_unload();
    }
    cpu->space = new;
    if (old && old != new) {
        aspace_leave(old, cpu->index);
    }
}

struct vcpu *sched_next(struct cpu *cpu)
{
    spin_lock(&sched_lock);
    atomic_store(&cpu->resched, 0);
    struct vcpu *vcpu = decide(cpu);
    spin_unlock(&sched_lock);
    if (!vcpu || vcpu != cpu->loaded) {
        change_space(cpu, vcpu);
        cpu->loaded = vcpu;
    }
    return vcpu;
}

bool sched_guest_idle(struct guest *guest)
{
    spin_lock(&sched_lock);
    bool idle = guest->share.running == 0;
    spin_unlock(&sched_lock);
    return idle;
}
