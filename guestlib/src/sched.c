/*
 * sched.c - which thread runs: run queues, sleepers, waiters, and the preemption timer.
 *
 * Theory of operation. A thread leaves its vCPU in one of two ways. It blocks: skep_switch_out()
 * saves a few registers on its stack and goes on in skep_schedule() on the vCPU's own stack. Or an
 * upcall finds that another should run: then ring 0 has saved its integer registers in the vCPU's
 * page and the entry its extended state, and skep_upcall(), on the vCPU's stack too, keeps them in
 * the thread. Since the scheduler never runs on a thread's stack, a thread may be continued elsewhere
 * as soon as the lock is released. The lock is taken by the one who gives up the CPU and released by
 * skep_schedule().
 *
 * A thread that an event handler made runnable goes to the urgent queue and preempts; all others take
 * turns of SLICE_NS. A vCPU's timer is set only when there is a turn to end or a sleeper to wake, and is
 * left alone when it would come too early: then it is set again. When nothing can run, the vCPU waits in
 * ring 0.
 *
 * An idle vCPU whose event handlers have found something to do for all can have a thread do it that waits (skep_errand_give()):
 * that one is likely to find what it waits for, and then no other had to be switched to.
 *
 * A thread can be made to make a call amid what it does (skep_thread_divert()): whoever continues one asks first, and so
 * does the thread itself when it goes on after a wait, or after events that came while upcalls were masked. One that runs
 * on another vCPU is interrupted for it. What it was interrupted in is kept on its own stack meanwhile.
 *
 * All vCPUs share one queue, one heap of sleepers and one lock. That no wake-up is lost:
 * - A runnable thread. Whoever releases the lock has looked for it (choose_idle()): each runnable thread
 *   that no vCPU was told of has either an idle vCPU told now (SKEP_EVENT_IPI), or all are busy, and this
 *   one has a timer that ends the turn of its thread. An idle vCPU has set its bit before it released the
 *   lock, and SKEP_HC_WAIT returns at once when an event is pending: one that was told before it waited
 *   doesn't wait. One that was told counts as coming until it has the lock; it then takes a thread, if
 *   another was not faster, and looks for the rest itself.
 * - A sleeper. One vCPU, the keeper, will look by look_ns: its timer is set, or its wait ends by then.
 *   When either has happened it takes that back (handle_events()). Whoever leaves the lock while the first
 *   sleeper is earlier than look_ns becomes the keeper. The old one wakes once in vain.
 * - A waiter for a word. Who changes the word calls skep_wake() afterwards, which takes the lock: the
 *   change is seen by skep_wait() under the lock, or the wake-up finds the thread queued.
 * - Busy vCPUs that have no timer, because nobody waited when their thread's turn began, are told when a
 *   turn ends elsewhere and threads still wait: from then on all take turns (choose_busy()). A turn does
 *   end, however often urgent threads interrupt it: its thread then has the rest, not a new one.
 * - A vCPU that stops gives up being the keeper and being told, and tells vCPU 0, which never stops,
 *   to look for all that.
 *
 * Known shortcomings: one lock and one pair of queues for all vCPUs, right for a handful; a thread has
 * no home, so that it may find cold caches.
 *
 * Lock order: this lock is the innermost. It is held with upcalls masked.
 */
#include <string.h>

#include "internal.h"

#define SLICE_NS 10000000ull

/* Waiters for a word, by its address. */
#define BUCKETS 64u

/* As the result of a wait: the thread runs the errand, and then waits on. */
#define ERRAND 1
static void (*errand)(void);

static struct {
    struct skep_spinlock lock;
    struct list urgent; /* runnable, made so by an event handler */
    struct list normal; /* runnable */
    uint32_t runnable;  /* in both */
    struct list waiters[BUCKETS];
    struct list interruptible; /* of them, in skep_wait_while(); the latest first */

    struct skep_sleepers sleepers;
    struct vcpu *keeper; /* looks at the sleepers by look_ns */
    uint64_t look_ns;    /* SKEP_FOREVER: there is no keeper */

    /* Sets of vCPUs, by struct vcpu's bit. */
    uint32_t online; /* run, or are about to */
    uint32_t idle;   /* wait in ring 0, or are about to, and have not been told to look */
    uint32_t told;   /* were idle, have been told, and have not looked yet */
    uint32_t told_count;
} sched;

/* Those that run or may be told, for a look at their turns; guarded by the lock. */
static struct vcpu *vcpu_at[VCPUS_MAX];

/*
 * Lists
 */

static void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static bool list_empty(const struct list *head)
{
    return head->next == head;
}

static void list_insert_before(struct list *where, struct list *node)
{
    node->next = where;
    node->prev = where->prev;
    where->prev->next = node;
    where->prev = node;
}

static void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
}

static struct skep_thread *thread_of_node(struct list *node)
{
    return (struct skep_thread *)((char *)node - offsetof(struct skep_thread, node));
}

static struct skep_thread *thread_of_interruptible(struct list *node)
{
    return (struct skep_thread *)((char *)node - offsetof(struct skep_thread, interruptibles));
}

static struct skep_thread *thread_of_sleeper(struct skep_sleeper *sleeper)
{
    return (struct skep_thread *)((char *)sleeper - offsetof(struct skep_thread, sleeper));
}

/*
 * Upcalls and spin locks
 */

static void poll_events(void);
static inline void make_detour(struct skep_thread *self);

void skep_upcalls_catch_up(void)
{
    do {
        skep_upcalls_mask();
        poll_events();
    } while (skep_upcalls_open());
    make_detour(skep_thread_self()); /* what had it asked may have been among the events */
}

/* The holder may have been preempted by ring 0: let it run. */
void skep_spin_wait(struct skep_spinlock *lock)
{
    unsigned spins = 0;
    while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire)) {
        if (++spins % 256 == 0)
            skep_hc_yield();
        __builtin_ia32_pause();
    }
}

/*
 * Queues. The lock is held.
 */

static void queue_before(struct list *where, struct skep_thread *thread)
{
    list_insert_before(where, &thread->node);
    sched.runnable++;
}

static struct skep_thread *take_next(void)
{
    struct list *queue = list_empty(&sched.urgent) ? &sched.normal : &sched.urgent;
    if (list_empty(queue))
        return NULL;
    struct list *node = queue->next;
    list_remove(node);
    sched.runnable--;
    return thread_of_node(node);
}

static uint64_t first_deadline(void)
{
    return sched.sleepers.first == NULL ? SKEP_FOREVER : sched.sleepers.first->deadline_ns;
}

static void add_sleeper(struct skep_thread *thread, uint64_t deadline_ns)
{
    if (deadline_ns == SKEP_FOREVER)
        return;
    thread->sleeper.deadline_ns = deadline_ns;
    thread->sleeping = true;
    skep_sleepers_add(&sched.sleepers, &thread->sleeper);
}

static void remove_sleeper(struct skep_thread *thread)
{
    if (thread->sleeping)
        skep_sleepers_remove(&sched.sleepers, &thread->sleeper);
    thread->sleeping = false;
}

static void make_runnable(const struct vcpu *vcpu, struct skep_thread *thread)
{
    queue_before(vcpu->in_handlers ? &sched.urgent : &sched.normal, thread);
}

static struct list *waiters_for(_Atomic uint32_t *word)
{
    return &sched.waiters[((uint64_t)word >> 2) * 0x9e3779b97f4a7c15ull >> 58];
}

/* Takes a waiting thread off all queues and makes it runnable. */
static void end_wait(const struct vcpu *vcpu, struct skep_thread *thread, int result)
{
    if (thread->wait_word != NULL)
        list_remove(&thread->node);
    thread->wait_word = NULL;
    if (thread->interruptible)
        list_remove(&thread->interruptibles);
    thread->interruptible = false;
    remove_sleeper(thread);
    thread->wait_result = result;
    make_runnable(vcpu, thread);
}

/* Those that wait on a word, count of them at most. Returns how many. */
static inline unsigned wake(const struct vcpu *vcpu, _Atomic uint32_t *word, unsigned count)
{
    unsigned woken = 0;
    struct list *head = waiters_for(word);
    for (struct list *node = head->next; node != head && woken < count;) {
        struct skep_thread *thread = thread_of_node(node);
        node = node->next;
        if (thread->wait_word == word) {
            end_wait(vcpu, thread, 0);
            woken++;
        }
    }
    return woken;
}

static void wake_sleepers(const struct vcpu *vcpu, uint64_t now_ns)
{
    while (first_deadline() <= now_ns)
        end_wait(vcpu, thread_of_sleeper(sched.sleepers.first), -SKEP_ETIMEDOUT);
}

/*
 * Who does what next. The lock is held.
 */

/* Threads wait that no vCPU comes for. */
static bool anyone_waits(void)
{
    return sched.runnable > sched.told_count;
}

/* Finds idle vCPUs for them. The one of a guest that has no other is not idle here. */
static inline void choose_idle(struct vcpu *vcpu)
{
    while (sched.idle != 0 && anyone_waits()) {
        uint32_t bit = sched.idle & -sched.idle;
        sched.idle &= ~bit;
        sched.told |= bit;
        sched.told_count++;
        vcpu->to_tell |= bit;
    }
}

/* Has those that run one thread for as long as it likes see that others wait. */
static void choose_busy(struct vcpu *vcpu)
{
    uint32_t others = sched.online & ~(sched.idle | sched.told | vcpu->bit);
    for (; others != 0; others &= others - 1) {
        struct vcpu *other = vcpu_at[__builtin_ctz(others)];
        if (other->slice_end_ns == 0)
            vcpu->to_tell |= other->bit;
    }
}

/* Makes this vCPU the keeper if nobody looks at the sleepers early enough. Until when it must: its timer
 * or its wait has to see to it. */
static inline uint64_t look_deadline(struct vcpu *vcpu)
{
    uint64_t first = first_deadline();
    if (first >= sched.look_ns)
        return SKEP_FOREVER;
    sched.keeper = vcpu;
    sched.look_ns = first;
    return first;
}

/* A thread's turn begins when another wants one too, or goes on where it was interrupted. */
static inline uint64_t turn_deadline(struct vcpu *vcpu)
{
    if (!anyone_waits())
        return SKEP_FOREVER;
    if (vcpu->slice_end_ns == 0) {
        struct skep_thread *thread = vcpu->current;
        vcpu->slice_end_ns = skep_clock_ns() + (thread->left_ns != 0 ? thread->left_ns : SLICE_NS);
        thread->left_ns = 0;
    }
    return vcpu->slice_end_ns;
}

/* After the lock: tells those that were chosen. */
static void tell(struct vcpu *vcpu)
{
    uint32_t vcpus = vcpu->to_tell;
    if (vcpus == 0)
        return;
    vcpu->to_tell = 0;
    for (; vcpus != 0; vcpus &= vcpus - 1)
        skep_hc_event_send((uint32_t)__builtin_ctz(vcpus), SKEP_EVENT_IPI);
}

/* Releases the lock when something waits, or may. */
static __attribute__((noinline)) void release_to_others(struct vcpu *vcpu)
{
    choose_idle(vcpu);
    uint64_t wanted = look_deadline(vcpu), turn_end = turn_deadline(vcpu);
    if (turn_end < wanted)
        wanted = turn_end;
    bool too_late = wanted < vcpu->timer_at_ns;
    if (too_late)
        vcpu->timer_at_ns = wanted;
    spin_drop(&sched.lock);
    if (too_late)
        skep_hc_timer_set(wanted);
    tell(vcpu);
}

/* Releases the lock, and sees to it that all that waits is waited for. The vCPU goes on with its current
 * thread. */
static inline void release(struct vcpu *vcpu)
{
    if (anyone_waits() || first_deadline() < sched.look_ns || vcpu->to_tell != 0)
        release_to_others(vcpu);
    else
        spin_drop(&sched.lock);
}

/*
 * The scheduler, on the vCPU's stack, with upcalls masked.
 */

static void load_fs(struct vcpu *vcpu, struct skep_thread *thread)
{
    if (vcpu->fs_base == (uint64_t)thread)
        return;
    vcpu->fs_base = (uint64_t)thread;
    if (skep_info->features & SKEP_FEATURE_FSGSBASE)
        __asm__ volatile("wrfsbase %0" : : "r"(thread) : "memory");
    else
        skep_hc_base_set(0, (uint64_t)thread);
}

/* Calls event handlers and wakes who has slept long enough. time_up: a wait has reached its deadline.
 * Takes the lock. */
static void handle_events(struct vcpu *vcpu, bool time_up)
{
    vcpu->in_handlers = true;
    uint64_t events = skep_events_run(vcpu->page);
    if (events >> SKEP_EVENT_TIMER & 1) {
        vcpu->timer_at_ns = SKEP_FOREVER;
        time_up = true;
    }
    uint64_t now = time_up ? skep_clock_ns() : 0;
    spin_take(&sched.lock);
    if (sched.keeper == vcpu)
        sched.look_ns = vcpu->timer_at_ns; /* what it has said is over, or due */
    wake_sleepers(vcpu, now);
    vcpu->in_handlers = false;
}

/* If current must make room for another thread, queues it. The lock is held. */
static bool gives_way(struct vcpu *vcpu)
{
    choose_idle(vcpu);
    if (!anyone_waits() && !vcpu->stop) {
        vcpu->slice_end_ns = 0;
        return false;
    }
    uint64_t end = vcpu->slice_end_ns, now = end != 0 ? skep_clock_ns() : 0;
    bool turn_over = end != 0 && now >= end;
    if (!turn_over && list_empty(&sched.urgent) && !vcpu->stop)
        return false;
    if (turn_over) {
        queue_before(&sched.normal, vcpu->current);
        choose_busy(vcpu);
    } else {
        vcpu->current->left_ns = end - now;
        queue_before(sched.normal.next, vcpu->current);
    }
    return true;
}

/* With the lock held, and again afterwards. */
static void idle(struct vcpu *vcpu)
{
    uint64_t deadline = look_deadline(vcpu);
    vcpu->current = NULL;
    load_fs(vcpu, &vcpu->idle); /* the last thread may run elsewhere after this, and end */
    sched.idle |= vcpu->bit;
    spin_drop(&sched.lock);
    tell(vcpu);
    handle_events(vcpu, skep_hc_wait(deadline) == -SKEP_ETIMEDOUT);
    sched.idle &= ~vcpu->bit;
    if (sched.told & vcpu->bit)
        sched.told_count--;
    sched.told &= ~vcpu->bit;
}

static void bury_dead(struct vcpu *vcpu)
{
    struct skep_thread *thread = vcpu->dead;
    if (thread == NULL)
        return;
    _Atomic uint32_t *gone = thread->gone;
    vcpu->dead = NULL;
    vcpu->current = NULL;
    load_fs(vcpu, &vcpu->idle);
    spin_drop(&sched.lock);
    skep_thread_block_free(thread);
    spin_take(&sched.lock);
    if (gone != NULL) {
        atomic_store_explicit(gone, 1, memory_order_release);
        wake(vcpu, gone, SKEP_WAKE_ALL);
    }
}

/* With the lock held. What this vCPU was to do for others is left to vCPU 0. */
_Noreturn static void stop(struct vcpu *vcpu)
{
    if (sched.keeper == vcpu) {
        sched.keeper = NULL;
        sched.look_ns = SKEP_FOREVER;
    }
    sched.online &= ~vcpu->bit;
    vcpu->stop = false;
    vcpu->current = NULL;
    load_fs(vcpu, &vcpu->idle);
    spin_drop(&sched.lock);
    vcpu->to_tell |= 1;
    tell(vcpu);
    skep_hc_timer_set(SKEP_FOREVER);
    skep_hc_vcpu_stop();
}

/*
 * Detours
 */

_Thread_local struct skep_detours skep_detours;

/* On the stack of a thread that was interrupted, while it makes one. */
struct detour {
    struct skep_context context; /* with which it goes on */
    const uint8_t *extended;
    skep_detour *function;
};

_Noreturn static void run_detour(struct detour *detour)
{
    static const uint32_t mxcsr = 0x1f80;
    __asm__ volatile("fninit\n\t"
                     "ldmxcsr %0"
                     :
                     : "m"(mxcsr));
    detour->function(&detour->context);
    skep_upcalls_mask();
    skep_resume(detour->extended, &detour->context);
}

/* As a call from where the thread was interrupted: below what leaf functions may use of a stack, and skep_resume(). */
static void make_call(const struct skep_thread *thread, struct skep_context *context,
                      skep_detour *function)
{
    static const uint64_t used = 256, backwards = 1u << 10; /* of strings, in RFLAGS */
    uint64_t extended = (context->rsp - used - skep_extended_bytes()) & ~63ull;
    struct detour *detour = (struct detour *)(extended - round_up(sizeof(*detour), 16));
    *detour = (struct detour){*context, (const uint8_t *)extended, function};
    memcpy((void *)extended, thread->extended, skep_extended_bytes());
    uint64_t *return_to = (uint64_t *)detour - 1;
    *return_to = context->rip; /* for backtraces */
    context->rsp = (uint64_t)return_to;
    context->rdi = (uint64_t)detour;
    context->rip = (uint64_t)run_detour;
    context->rflags &= ~backwards;
}

/* NULL: the thread, whose FS is loaded, is to make none, now. */
static inline skep_detour *ask(struct skep_thread *thread)
{
    skep_detour *(*asked)(void) = atomic_load_explicit(&thread->ask, memory_order_relaxed);
    if (asked == NULL)
        return NULL;
    atomic_store_explicit(&thread->is_to_ask, false, memory_order_relaxed);
    if (skep_detours.held == 0)
        return asked();
    skep_detours.due = true;
    return NULL;
}

/* Of a thread that was interrupted and is about to go on. */
static inline void divert(struct skep_thread *thread, struct skep_context *context)
{
    skep_detour *function = ask(thread);
    if (function != NULL)
        make_call(thread, context, function);
}

static inline void make_detour(struct skep_thread *self)
{
    skep_detour *function = ask(self);
    if (function != NULL)
        function(NULL);
}

void skep_detour_make(void)
{
    make_detour(skep_thread_self());
}

void skep_detours_catch_up(void)
{
    skep_detours.due = false;
    skep_detour_make();
}

_Noreturn static void enter(struct skep_thread *thread)
{
    if (!thread->preempted)
        skep_switch_in(thread->rsp);
    thread->preempted = false;
    divert(thread, &thread->context);
    skep_resume(thread->extended, &thread->context);
}

_Noreturn void skep_schedule(struct vcpu *vcpu)
{
    bury_dead(vcpu);
    struct skep_thread *next;
    while (vcpu->stop || (next = take_next()) == NULL) {
        if (vcpu->stop)
            stop(vcpu);
        idle(vcpu);
    }
    vcpu->current = next;
    vcpu->slice_end_ns = 0;
    load_fs(vcpu, next); /* with the lock: the last thread may run elsewhere after this, and end */
    release(vcpu);
    enter(next);
}

_Noreturn void skep_sched_run(struct vcpu *vcpu)
{
    spin_take(&sched.lock);
    skep_schedule(vcpu);
}

_Noreturn void skep_upcall(struct vcpu *vcpu)
{
    struct skep_thread *thread = vcpu->current;
    handle_events(vcpu, false);
    if (gives_way(vcpu)) {
        thread->context = vcpu->page->context;
        thread->preempted = true;
        skep_schedule(vcpu);
    }
    release(vcpu);
    divert(thread, &vcpu->page->context);
    skep_resume(thread->extended, &vcpu->page->context);
}

/* The same for a thread that has found events when it unmasked upcalls. */
static void poll_events(void)
{
    struct vcpu *vcpu = vcpu_here();
    handle_events(vcpu, false);
    if (gives_way(vcpu))
        skep_switch_out(vcpu->current, vcpu, vcpu->stack_top);
    else
        release(vcpu);
}

/*
 * What the rest of guestlib calls
 */

void skep_sched_start(struct vcpu *vcpu, struct skep_thread *first)
{
    list_init(&sched.urgent);
    list_init(&sched.normal);
    list_init(&sched.interruptible);
    for (unsigned i = 0; i < BUCKETS; i++)
        list_init(&sched.waiters[i]);
    sched.look_ns = SKEP_FOREVER;
    sched.online = vcpu->bit;
    vcpu_at[vcpu->index] = vcpu;

    vcpu->current = first;
    load_fs(vcpu, first);
    if (skep_info->features & SKEP_FEATURE_FSGSBASE)
        __asm__ volatile("wrgsbase %0" : : "r"(vcpu->page) : "memory");
    else
        skep_hc_base_set(1, (uint64_t)vcpu->page);
    skep_upcalls_restore(false);
}

bool skep_sched_vcpu_on(struct vcpu *vcpu)
{
    spin_take(&sched.lock);
    bool off = !(sched.online & vcpu->bit);
    sched.online |= vcpu->bit;
    vcpu_at[vcpu->index] = vcpu;
    vcpu->stop = false;
    if (off) {
        vcpu->timer_at_ns = SKEP_FOREVER;
        vcpu->slice_end_ns = 0;
    }
    spin_drop(&sched.lock);
    return off;
}

void skep_sched_vcpu_failed(struct vcpu *vcpu)
{
    spin_take(&sched.lock);
    sched.online &= ~vcpu->bit;
    spin_drop(&sched.lock);
}

void skep_sched_vcpu_off(struct vcpu *vcpu)
{
    spin_take(&sched.lock);
    bool on = sched.online & vcpu->bit;
    vcpu->stop = on;
    spin_drop(&sched.lock);
    if (on)
        skep_hc_event_send(vcpu->index, SKEP_EVENT_IPI);
}

void skep_sched_add(struct skep_thread *thread)
{
    bool were_masked = skep_upcalls_mask();
    struct vcpu *vcpu = vcpu_here();
    spin_take(&sched.lock);
    make_runnable(vcpu, thread);
    if (vcpu->in_handlers)
        spin_drop(&sched.lock); /* handle_events() will look */
    else
        release(vcpu);
    skep_upcalls_restore(were_masked);
}

_Noreturn void skep_sched_end_current(_Atomic uint32_t *gone)
{
    skep_spin_lock(&sched.lock);
    struct vcpu *vcpu = vcpu_here();
    vcpu->dead = vcpu->current;
    vcpu->dead->gone = gone;
    skep_switch_out(vcpu->current, vcpu, vcpu->stack_top);
    __builtin_unreachable();
}

/*
 * What threads call
 */

struct skep_thread *skep_thread_self(void)
{
    struct skep_thread *self;
    __asm__("movq %%fs:0, %0" : "=r"(self));
    return self;
}

unsigned skep_vcpu_index(void)
{
    return vcpu_here()->index;
}

void skep_wakes_defer(void)
{
    skep_thread_self()->defers = true;
}

void skep_wakes_tell(void)
{
    struct skep_thread *self = skep_thread_self();
    if (!self->defers)
        return;
    self->defers = false;
    bool were_masked = skep_spin_lock(&sched.lock);
    release(vcpu_here());
    skep_upcalls_restore(were_masked);
}

/* The current thread leaves its CPU; the lock passes to the scheduler, which tells whoever else is to run. Returns what its
 * wait came to, if it was one: a detour may wait, too. */
static int switch_out(bool were_masked)
{
    struct vcpu *vcpu = vcpu_here();
    struct skep_thread *thread = vcpu->current;
    thread->defers = false;
    skep_switch_out(thread, vcpu, vcpu->stack_top);
    int result = thread->wait_result;
    if (result == ERRAND) {
        thread->wait_result = 0;
        skep_detours_hold(); /* one might leave for good */
    }
    skep_upcalls_restore(were_masked);
    if (result == ERRAND) {
        errand();
        skep_detours_release();
    }
    make_detour(thread);
    return result;
}

void skep_thread_yield(void)
{
    bool were_masked = skep_spin_lock(&sched.lock);
    if (sched.runnable == 0) {
        skep_spin_unlock(&sched.lock, were_masked);
        return;
    }
    queue_before(&sched.normal, vcpu_here()->current);
    switch_out(were_masked);
}

void skep_sleep_until(uint64_t deadline_ns)
{
    if (skep_clock_ns() >= deadline_ns) {
        skep_thread_yield();
        return;
    }
    bool were_masked = skep_spin_lock(&sched.lock);
    struct skep_thread *thread = vcpu_here()->current;
    thread->wait_word = NULL;
    add_sleeper(thread, deadline_ns);
    switch_out(were_masked);
}

/* For an interrupted thread whose wait has nothing else to say so. It was to be asked before it came to wait. */
static bool is_told_to_ask(const struct skep_thread *thread, const _Atomic uint32_t *also)
{
    return also == NULL && atomic_load_explicit(&thread->is_to_ask, memory_order_relaxed);
}

/* also NULL: nothing but word counts. */
static inline int wait_on(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns,
                          _Atomic uint32_t *also, uint32_t also_expected)
{
    /* A deadline in the past must not cost a switch; one that passes below is found by the timer. */
    bool too_late = deadline_ns != SKEP_FOREVER && skep_clock_ns() >= deadline_ns;
    bool were_masked = skep_spin_lock(&sched.lock);
    struct skep_thread *thread = vcpu_here()->current;
    if (atomic_load_explicit(word, memory_order_seq_cst) != expected || too_late ||
        is_told_to_ask(thread, also) ||
        (also != NULL && atomic_load_explicit(also, memory_order_seq_cst) != also_expected)) {
        skep_spin_unlock(&sched.lock, were_masked);
        skep_wakes_tell();
        make_detour(thread);
        return too_late ? -SKEP_ETIMEDOUT : -SKEP_EAGAIN;
    }
    thread->wait_word = word;
    thread->interruptible = also != NULL;
    if (also != NULL)
        list_insert_before(sched.interruptible.next, &thread->interruptibles);
    list_insert_before(waiters_for(word), &thread->node);
    add_sleeper(thread, deadline_ns);
    return switch_out(were_masked);
}

int skep_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    return wait_on(word, expected, deadline_ns, NULL, 0);
}

int skep_wait_while(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns,
                    _Atomic uint32_t *also, uint32_t also_expected)
{
    int result;
    do
        result = wait_on(word, expected, deadline_ns, also, also_expected);
    while (result == ERRAND);
    return result;
}

bool skep_errands_refuse(bool refuse)
{
    struct skep_thread *self = skep_thread_self();
    bool before = self->on_other_stack;
    self->on_other_stack = refuse;
    return before;
}

void skep_errand_set(void (*function)(void))
{
    errand = function;
}

/* Whether it has room where the thread waits: not on a stack of the program's own, of which nobody knows here how much is
 * left. struct skep_thread lies above the thread's. */
static bool has_errand_room(const struct skep_thread *thread)
{
    return !thread->on_other_stack && thread->rsp < (uint64_t)thread &&
           thread->rsp >= thread->stack_base + SKEP_ERRAND_STACK_BYTES;
}

bool skep_errand_give(void)
{
    const struct vcpu *vcpu = vcpu_here();
    spin_take(&sched.lock);
    struct skep_thread *thread = vcpu->current == NULL && !list_empty(&sched.interruptible)
                                     ? thread_of_interruptible(sched.interruptible.next)
                                     : NULL;
    bool given = thread != NULL && has_errand_room(thread);
    if (given)
        end_wait(vcpu, thread, ERRAND);
    spin_drop(&sched.lock); /* handle_events() will look */
    return given;
}

/* If it runs elsewhere it is interrupted; else it will be asked before it goes on. One that is about to wait has the IPI, or
 * has seen is_to_ask under the lock. */
void skep_thread_divert(struct skep_thread *thread, skep_detour *(*asked)(void))
{
    bool were_masked = skep_upcalls_mask();
    struct vcpu *vcpu = vcpu_here();
    spin_take(&sched.lock);
    atomic_store_explicit(&thread->ask, asked, memory_order_relaxed);
    atomic_store_explicit(&thread->is_to_ask, true, memory_order_relaxed);
    if (thread->wait_word != NULL)
        end_wait(vcpu, thread, 0);
    for (uint32_t others = sched.online & ~vcpu->bit; others != 0; others &= others - 1) {
        const struct vcpu *other = vcpu_at[__builtin_ctz(others)];
        if (other->current == thread)
            vcpu->to_tell |= other->bit;
    }
    release(vcpu);
    skep_upcalls_restore(were_masked);
}

unsigned skep_wake(_Atomic uint32_t *word, unsigned count)
{
    bool were_masked = skep_upcalls_mask();
    struct vcpu *vcpu = vcpu_here();
    spin_take(&sched.lock);
    unsigned woken = wake(vcpu, word, count);
    if (woken != 0 && !vcpu->in_handlers && !vcpu->current->defers)
        release(vcpu);
    else
        spin_drop(&sched.lock); /* nothing new, or handle_events() or who defers will look */
    skep_upcalls_restore(were_masked);
    return woken;
}
