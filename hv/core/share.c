/*
 * share.c - guests' shares of the CPUs.
 *
 * Virtual time is the CPU time that a guest's vCPUs have had, all together, divided by its weight. Each CPU serves the
 * waiting guest that has had the least (sched.c), so that all those who want more than they get have had the same: a
 * guest's vCPUs share what the guest is due, and what one can't use (it has fewer vCPUs than its weight is worth CPUs, or
 * a cap) goes to the others by their weights.
 *
 * Guests of the same affinity wait in one run queue; at most RUNQUEUES_MAX affinities are in use at a time, so that a
 * CPU finds its next guest among so many heads. A CPU with much demand advances in virtual time more slowly than one
 * with little, and guests that may run on both are served by the latter: which is due to them. The distances grow for
 * ever, though, and would have to be caught up when such guests meet again. So each queue has an offset from its
 * guests' virtual times to those of the machine, its level; now and then gaps between levels that are wider than
 * guests in competition can be apart (some turns of the lightest) are closed by lowering all queues above.
 *
 * Nobody can save up: who comes back from sleep starts at most WAKE_CREDIT_NS behind the front of his queue, and who
 * runs all the time on as many CPUs as he can and still falls behind (his weight is worth more) is not owed more than
 * LAG_NS of CPU time.
 *
 * A cap is a budget that fills at its rate and may go into debt; when it is spent, the guest is out of the queue until a
 * quantum has come together. A reservation is the same budget with another meaning: until it is spent, its guest goes
 * before all others; then it competes like any.
 */
#include "core/share.h"

#include "core/cpu.h"
#include "core/guest.h"
#include "core/log.h"

#define RUNQUEUES_MAX 64u
#define WEIGHT_BITS   14u
_Static_assert(WEIGHT_MAX < 1u << WEIGHT_BITS, "a bit for each power of two");

#define VTIME_START    (1ull << 40) /* far enough from 0 for differences */
#define WAKE_CREDIT_NS 2000000ull   /* virtual */
#define LAG_NS         100000000ull
#define GAP_TURNS      8u

#define TURN_MAX_NS 5000000ull
#define TURN_MIN_NS 500000ull

/* Of a budget, for each percent of its rate: what it holds at most, and when it is worth while again. */
#define BURST_NS       2000000
#define QUANTUM_NS     100000
#define QUANTUM_MIN_NS 500000

#define FILL_MAX_NS (1ull << 40) /* fills any budget; what a long sleep comes to would overflow */
_Static_assert(FILL_MAX_NS <= UINT64_MAX / CAP_MAX, "budget_fill()");

struct runqueue {
    uint64_t bit;       /* in sets of queues */
    uint32_t cpus;      /* CPUs that its guests may run on */
    uint32_t users;     /* guests with this affinity, 0 = the queue is free */
    uint32_t competing; /* of those, now */
    struct heap waiting;
    uint64_t front;  /* virtual time of the guest chosen last: never goes back */
    uint64_t offset; /* to the machine's virtual time */
};

static struct runqueue runqueues[RUNQUEUES_MAX];
static uint64_t queues_of[CPUS_MAX];       /* bit n: runqueues[n] is of this CPU */
static uint64_t competing;                 /* bit n: somebody competes in runqueues[n] */
static uint32_t competing_of[WEIGHT_BITS]; /* guests that compete, by the weight's highest bit */
static uint32_t competing_weights;         /* bit n: competing_of[n] isn't 0 */
static uint64_t machine_level;             /* of the guest chosen last */
uint64_t share_waiting;                    /* bit n: somebody waits in runqueues[n] */
struct heap share_refills;
struct share *share_reserved;

void share_init(void)
{
    for (uint32_t i = 0; i < RUNQUEUES_MAX; i++) {
        runqueues[i].front = VTIME_START;
        runqueues[i].bit = 1ull << i;
    }
    machine_level = VTIME_START;
}

static struct share *share_of(struct heap_node *node)
{
    return (struct share *)((char *)node - offsetof(struct share, node));
}

static struct share *share_of_refill(struct heap_node *node)
{
    return (struct share *)((char *)node - offsetof(struct share, budget.refill));
}

uint32_t share_cpus(const struct share *share)
{
    return share->runqueue->cpus;
}

/* Virtual time on the machine's scale. */
static uint64_t level_of(const struct share *share)
{
    return share->vtime + share->runqueue->offset;
}

int64_t share_lead(const struct share *a, const struct share *b)
{
    return (int64_t)(level_of(a) - level_of(b));
}

uint64_t share_weighed(const struct share *share, uint64_t ns)
{
    return ns * WEIGHT_DEFAULT / share->params.weight;
}

/* Light guests have shorter turns, so that after each they need not wait as long. */
static uint64_t turn_ns(uint64_t weight)
{
    uint64_t turn = TURN_MAX_NS * weight / WEIGHT_DEFAULT;
    turn = turn < TURN_MIN_NS ? TURN_MIN_NS : turn;
    return turn > TURN_MAX_NS ? TURN_MAX_NS : turn;
}

uint64_t share_turn_ns(const struct share *share)
{
    return turn_ns(share->params.weight);
}

/* ---- run queues ---- */

static void wait_begin(struct share *share)
{
    struct runqueue *queue = share->runqueue;
    heap_insert(&queue->waiting, &share->node, share->vtime);
    share_waiting |= queue->bit;
}

static void wait_end(struct share *share)
{
    struct runqueue *queue = share->runqueue;
    heap_remove(&queue->waiting, &share->node);
    if (!heap_min(&queue->waiting)) {
        share_waiting &= ~queue->bit;
    }
}

static bool waits(const struct share *share)
{
    return heap_holds(&share->node);
}

/* Where the guests of a queue are that compete. */
static uint64_t level_of_queue(const struct runqueue *queue)
{
    struct heap_node *first = heap_min(&queue->waiting);
    return (first ? first->key : queue->front) + queue->offset;
}

/* The lowest level of those that compete for a CPU: what it serves. */
static bool level_of_cpu(uint32_t cpu_index, uint64_t *level)
{
    bool found = false;
    for (uint64_t bits = competing & queues_of[cpu_index]; bits; bits &= bits - 1) {
        uint64_t other = level_of_queue(&runqueues[__builtin_ctzll(bits)]);
        if (!found || (int64_t)(other - *level) < 0) {
            *level = other;
        }
        found = true;
    }
    return found;
}

/* How far apart guests in competition can be: some turns of the lightest. */
static int64_t gap_max(void)
{
    if (!competing_weights) {
        return 0;
    }
    uint32_t lightest = (uint32_t)__builtin_ctz(competing_weights);
    return (int64_t)(GAP_TURNS * turn_ns(1ull << lightest) * WEIGHT_DEFAULT >> lightest);
}

/* Sets the level of a queue in which nobody has competed: that of the CPU on which its guests get most, and not more
 * than a gap above. */
static void queue_begin(struct runqueue *queue)
{
    bool found = false;
    uint64_t highest = machine_level;
    for (uint32_t cpus = competing ? queue->cpus : 0; cpus; cpus &= cpus - 1) {
        uint64_t level;
        if (level_of_cpu((uint32_t)__builtin_ctz(cpus), &level)) {
            highest = !found || (int64_t)(level - highest) > 0 ? level : highest;
            found = true;
        }
    }
    int64_t above = (int64_t)(queue->front + queue->offset - highest);
    int64_t most = above > 0 ? gap_max() : 0;
    queue->offset = highest +
                    (uint64_t)(above > most ? most
                               : above < 0  ? 0
                                            : above) -
                    queue->front;
}

static uint32_t weight_bit(const struct share *share)
{
    return 31 - (uint32_t)__builtin_clz(share->params.weight);
}

/* Begins to compete: where it was, but not far behind. */
static void begin(struct share *share)
{
    struct runqueue *queue = share->runqueue;
    competing_of[weight_bit(share)]++;
    competing_weights |= 1u << weight_bit(share);
    if (!queue->competing++) {
        queue_begin(queue);
        competing |= queue->bit;
    }
    if (share->vtime < queue->front - WAKE_CREDIT_NS) {
        share->vtime = queue->front - WAKE_CREDIT_NS;
    }
}

static void end(struct share *share)
{
    struct runqueue *queue = share->runqueue;
    if (!--competing_of[weight_bit(share)]) {
        competing_weights &= ~(1u << weight_bit(share));
    }
    if (!--queue->competing) {
        competing &= ~queue->bit;
    }
}

void share_update(struct share *share)
{
    bool may_run = !share_capped(share);
    bool competes = may_run && (share->queued || share->running);
    if (competes != share->competing) {
        share->competing = competes;
        if (competes) {
            begin(share);
        } else {
            end(share);
        }
    }
    bool wants = may_run && share->queued;
    if (wants != waits(share)) {
        if (wants) {
            wait_begin(share);
        } else {
            wait_end(share);
        }
    }
}

void share_chosen(struct share *share)
{
    if (share->vtime > share->runqueue->front) {
        share->runqueue->front = share->vtime;
    }
    machine_level = level_of(share);
}

struct share *share_best_waiting(uint32_t cpu_index)
{
    struct share *best = NULL;
    if (share_reserved && share_urgent(share_reserved) && waits(share_reserved)) {
        return share_reserved;
    }
    for (uint64_t bits = share_waiting & queues_of[cpu_index]; bits; bits &= bits - 1) {
        struct share *share = share_of(heap_min(&runqueues[__builtin_ctzll(bits)].waiting));
        if (!best || share_lead(share, best) < 0) {
            best = share;
        }
    }
    return best;
}

uint32_t share_wanted_waiting(uint32_t cpus)
{
    uint32_t wanted = 0;
    for (uint64_t bits = share_waiting; bits; bits &= bits - 1) {
        wanted |= runqueues[__builtin_ctzll(bits)].cpus & cpus;
    }
    return wanted;
}

static void vtime_set(struct share *share, uint64_t vtime)
{
    share->vtime = vtime;
    if (waits(share)) {
        wait_end(share);
        wait_begin(share);
    }
}

void share_pass(struct share *share, uint32_t cpu_index)
{
    const struct share *best = share_best(cpu_index);
    if (best && share_lead(share, best) < 0) {
        vtime_set(share, share->vtime + (uint64_t)share_lead(best, share));
    }
}

/* ---- levels ---- */

/* Queues in which nobody competes now keep their distance to those that were next below them. */
static void lower_others(const uint64_t *levels, const uint64_t *lowered, uint32_t count)
{
    for (uint32_t i = 0; i < RUNQUEUES_MAX; i++) {
        struct runqueue *queue = &runqueues[i];
        uint64_t level = level_of_queue(queue);
        uint32_t above = 0;
        while (queue->users && !queue->competing && above < count &&
               (int64_t)(level - levels[above]) >= 0) {
            above++;
        }
        queue->offset -= above ? lowered[above - 1] : 0;
    }
}

void share_levels_close(void)
{
    static struct runqueue *order[RUNQUEUES_MAX];
    static uint64_t levels[RUNQUEUES_MAX], lowered[RUNQUEUES_MAX];
    uint32_t count = 0;
    for (uint64_t bits = competing; bits; bits &= bits - 1) {
        struct runqueue *queue = &runqueues[__builtin_ctzll(bits)];
        uint64_t level = level_of_queue(queue);
        uint32_t at = count++;
        for (; at && (int64_t)(levels[at - 1] - level) > 0; at--) {
            levels[at] = levels[at - 1];
            order[at] = order[at - 1];
        }
        levels[at] = level;
        order[at] = queue;
    }
    int64_t most = gap_max();
    for (uint32_t i = 1; i < count; i++) {
        int64_t gap = (int64_t)(levels[i] - levels[i - 1]);
        lowered[i] = lowered[i - 1] + (gap > most ? (uint64_t)(gap - most) : 0);
        order[i]->offset -= lowered[i];
    }
    if (count && lowered[count - 1]) {
        lower_others(levels, lowered, count);
    }
}

/* ---- budgets ---- */

static int64_t quantum_ns(const struct budget *budget)
{
    int64_t quantum = (int64_t)budget->rate * QUANTUM_NS;
    return quantum > QUANTUM_MIN_NS ? quantum : QUANTUM_MIN_NS;
}

static void budget_fill(struct budget *budget, uint64_t now)
{
    if (now - budget->filled_ns > FILL_MAX_NS) {
        budget->filled_ns = now - FILL_MAX_NS;
    }
    uint64_t came = (now - budget->filled_ns) * budget->rate / 100;
    budget->filled_ns +=
        came * 100 / budget->rate; /* without the time of what is not a whole one */
    budget->level_ns += (int64_t)came;
    int64_t most = (int64_t)budget->rate * BURST_NS;
    if (budget->level_ns > most) {
        budget->level_ns = most;
    }
}

static void budget_set(struct share *share, uint32_t rate, uint64_t now)
{
    struct budget *budget = &share->budget;
    heap_remove(&share_refills, &budget->refill);
    *budget = (struct budget){.rate = rate, .filled_ns = now};
    budget->level_ns = rate ? quantum_ns(budget) : 0;
    share_update(share);
}

/* The time from which on so much is there. */
static uint64_t filled_at(const struct budget *budget, int64_t level_ns)
{
    uint64_t missing = (uint64_t)(level_ns - budget->level_ns);
    return budget->filled_ns + (missing * 100 + budget->rate - 1) / budget->rate;
}

static void budget_charge(struct share *share, uint64_t ran_ns, uint64_t now)
{
    struct budget *budget = &share->budget;
    if (!budget->rate) {
        return;
    }
    budget_fill(budget, now);
    budget->level_ns -= (int64_t)ran_ns;
    if (share->reserved && budget->level_ns < -quantum_ns(budget)) {
        budget->level_ns = -quantum_ns(budget); /* what nobody else wanted is not held against it */
    }
    if (budget->level_ns > 0 || budget->spent) {
        return;
    }
    budget->spent = true;
    if (share->reserved) {
        return; /* no timer: it matters only when others want the CPU, and then there are looks enough */
    }
    heap_insert(&share_refills, &budget->refill, filled_at(budget, quantum_ns(budget)));
    share_update(share);
}

uint64_t share_spent_at(struct share *share, uint64_t now)
{
    struct budget *budget = &share->budget;
    if (!budget->rate || budget->spent) {
        return TIME_NEVER;
    }
    uint32_t running = share->running ? share->running : 1;
    return now + (uint64_t)budget->level_ns / running + 1;
}

struct share *share_refilled(uint64_t now)
{
    struct heap_node *node = heap_min(&share_refills);
    if (!node || node->key > now) {
        return NULL;
    }
    struct share *share = share_of_refill(node);
    heap_remove(&share_refills, node);
    budget_fill(&share->budget, now);
    if (share->budget.level_ns < quantum_ns(&share->budget)) {
        /* What siblings on other CPUs used since. */
        heap_insert(&share_refills, node, filled_at(&share->budget, quantum_ns(&share->budget)));
        return NULL;
    }
    share->budget.spent = false;
    share_update(share);
    return share;
}

void share_reserve_fill(uint64_t now)
{
    struct budget *budget = &share_reserved->budget;
    budget_fill(budget, now);
    budget->spent = budget->level_ns < quantum_ns(budget);
}

void share_reserve(struct share *share, uint32_t percent, uint64_t now)
{
    share_reserved = share;
    share->reserved = true;
    budget_set(share, percent, now);
}

/* ---- charging ---- */

/* It has all the CPUs that it can use, and still falls behind: it is not owed that. */
static void lag_bound(struct share *share)
{
    uint64_t lag = share_weighed(share, LAG_NS) + 2 * WAKE_CREDIT_NS; /* behind those who wake */
    if (!share->queued && share->vtime + lag < share->runqueue->front) {
        share->vtime = share->runqueue->front - lag;
    }
}

void share_charge(struct share *share, uint64_t ran_ns, uint64_t now)
{
    uint64_t sum = share->vtime_rest + ran_ns * WEIGHT_DEFAULT;
    share->vtime_rest = sum % share->params.weight;
    vtime_set(share, share->vtime + sum / share->params.weight);
    lag_bound(share);
    budget_charge(share, ran_ns, now);
}

/* ---- parameters ---- */

static struct runqueue *queue_find(uint32_t cpus)
{
    struct runqueue *free = NULL;
    for (uint32_t i = 0; i < RUNQUEUES_MAX; i++) {
        if (runqueues[i].users && runqueues[i].cpus == cpus) {
            return &runqueues[i];
        }
        free = free || runqueues[i].users ? free : &runqueues[i];
    }
    return free;
}

static void queue_use(struct runqueue *queue, uint32_t cpus)
{
    if (!queue->users++) {
        queue->offset = machine_level - queue->front;
    }
    queue->cpus = cpus;
    for (uint32_t i = 0; i < CPUS_MAX; i++) {
        queues_of[i] |= cpus & 1u << i ? queue->bit : 0;
    }
}

static void queue_unuse(struct runqueue *queue)
{
    if (--queue->users) {
        return;
    }
    for (uint32_t i = 0; i < CPUS_MAX; i++) {
        queues_of[i] &= ~queue->bit;
    }
}

/* Leaves its queue, and comes into another one as far from its front as it was from the old one's. */
static void queue_change(struct share *share, struct runqueue *queue, uint32_t cpus)
{
    uint64_t lead = -WAKE_CREDIT_NS;
    if (share->runqueue) {
        lead = share->vtime - share->runqueue->front;
        queue_unuse(share->runqueue);
    }
    queue_use(queue, cpus);
    share->runqueue = queue;
    share->vtime = queue->front + lead;
}

/* The CPU time that it is ahead or behind stays as it is, but for more than a turn, which the new weight may make long
 * to wait for. */
static void weight_change(struct share *share, uint32_t weight)
{
    int64_t lead = (int64_t)(share->vtime - share->runqueue->front);
    int64_t most = (int64_t)(turn_ns(weight) * WEIGHT_DEFAULT / weight);
    lead = lead * (int64_t)share->params.weight / (int64_t)weight;
    lead = lead < most ? lead : most;
    share->vtime = share->runqueue->front + (uint64_t)lead;
    share->vtime_rest = 0;
}

int share_params_set(struct share *share, const struct sched_params *params, uint64_t now)
{
    uint32_t all = (uint32_t)((1ull << cpu_count()) - 1);
    uint32_t cpus = params->affinity ? (uint32_t)params->affinity & all : all;
    struct runqueue *queue = queue_find(cpus);
    if (!queue) {
        return -SKEP_ENOSPC;
    }
    uint32_t queued = share->queued;
    uint32_t running = share->running;
    /* Out of the old queue, and into the new one. */
    if (share->runqueue) {
        share->queued = share->running = 0;
        share_update(share);
        weight_change(share, params->weight);
    }
    queue_change(share, queue, cpus);
    bool cap_changes = params->cap != share->params.cap;
    share->params = *params;
    share->queued = queued;
    share->running = running;
    share_update(share);
    if (cap_changes && !share->reserved) {
        budget_set(share, params->cap, now);
    }
    return 0;
}

void share_release(struct share *share)
{
    CHECK(!share->queued && !share->running);
    heap_remove(&share_refills, &share->budget.refill);
    share_reserved = share_reserved == share ? NULL : share_reserved;
    queue_unuse(share->runqueue);
    share->runqueue = NULL;
}
