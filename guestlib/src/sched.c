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
 * turns of SKEP_SLICE_NS. A vCPU's timer is set only when there is a turn to end or a sleeper to wake, and is
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

#include "sched.h"

struct skep_sched skep_sched;
struct vcpu *skep_sched_vcpu_at[VCPUS_MAX];

static struct skep_thread *thread_of_node(struct list *node)
{
    return (struct skep_thread *)((char *)node - offsetof(struct skep_thread, node));
}

static struct skep_thread *thread_of_sleeper(struct skep_sleeper *sleeper)
{
    return (struct skep_thread *)((char *)sleeper - offsetof(struct skep_thread, sleeper));
}

/*
 * Upcalls and spin locks
 */

static void poll_events(void);

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
    skep_sched.runnable++;
}

static struct skep_thread *take_next(void)
{
    struct list *queue = list_empty(&skep_sched.urgent) ? &skep_sched.normal : &skep_sched.urgent;
    if (list_empty(queue))
        return NULL;
    struct list *node = queue->next;
    list_remove(node);
    skep_sched.runnable--;
    return thread_of_node(node);
}

static void add_sleeper(struct skep_thread *thread, uint64_t deadline_ns)
{
    if (deadline_ns == SKEP_FOREVER)
        return;
    thread->sleeper.deadline_ns = deadline_ns;
    thread->sleeping = true;
    skep_sleepers_add(&skep_sched.sleepers, &thread->sleeper);
}

static void remove_sleeper(struct skep_thread *thread)
{
    if (thread->sleeping)
        skep_sleepers_remove(&skep_sched.sleepers, &thread->sleeper);
    thread->sleeping = false;
}

static void make_runnable(const struct vcpu *vcpu, struct skep_thread *thread)
{
    queue_before(vcpu->in_handlers ? &skep_sched.urgent : &skep_sched.normal, thread);
}

static struct list *waiters_for(_Atomic uint32_t *word)
{
    return &skep_sched.waiters[((uint64_t)word >> 2) * 0x9e3779b97f4a7c15ull >> 58];
}

void skep_sched_end_wait(const struct vcpu *vcpu, struct skep_thread *thread, int result)
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
            skep_sched_end_wait(vcpu, thread, 0);
            woken++;
        }
    }
    return woken;
}

static void wake_sleepers(const struct vcpu *vcpu, uint64_t now_ns)
{
    while (first_deadline() <= now_ns)
        skep_sched_end_wait(vcpu, thread_of_sleeper(skep_sched.sleepers.first), -SKEP_ETIMEDOUT);
}

/*
 * Who does what next. The lock is held.
 */

/* Finds idle vCPUs for them. The one of a guest that has no other is not idle here. */
static inline void choose_idle(struct vcpu *vcpu)
{
    while (skep_sched.idle != 0 && anyone_waits()) {
        uint32_t bit = skep_sched.idle & -skep_sched.idle;
        skep_sched.idle &= ~bit;
        skep_sched.told |= bit;
        skep_sched.told_count++;
        vcpu->to_tell |= bit;
    }
}

/* Has those that run one thread for as long as it likes see that others wait. */
static void choose_busy(struct vcpu *vcpu)
{
    uint32_t others = skep_sched.online & ~(skep_sched.idle | skep_sched.told | vcpu->bit);
    for (; others != 0; others &= others - 1) {
        struct vcpu *other = skep_sched_vcpu_at[__builtin_ctz(others)];
        if (other->slice_end_ns == 0)
            vcpu->to_tell |= other->bit;
    }
}

/* Makes this vCPU the keeper if nobody looks at the sleepers early enough. Until when it must: its timer
 * or its wait has to see to it. */
static inline uint64_t look_deadline(struct vcpu *vcpu)
{
    uint64_t first = first_deadline();
    if (first >= skep_sched.look_ns)
        return SKEP_FOREVER;
    skep_sched.keeper = vcpu;
    skep_sched.look_ns = first;
    return first;
}

/* A thread's turn begins when another wants one too, or goes on where it was interrupted. */
static inline uint64_t turn_deadline(struct vcpu *vcpu)
{
    if (!anyone_waits())
        return SKEP_FOREVER;
    if (vcpu->slice_end_ns == 0) {
        struct skep_thread *thread = vcpu->current;
        vcpu->slice_end_ns =
            skep_clock_ns() + (thread->left_ns != 0 ? thread->left_ns : SKEP_SLICE_NS);
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

__attribute__((noinline)) void skep_sched_release_to_others(struct vcpu *vcpu)
{
    choose_idle(vcpu);
    uint64_t wanted = look_deadline(vcpu), turn_end = turn_deadline(vcpu);
    if (turn_end < wanted)
        wanted = turn_end;
    bool too_late = wanted < vcpu->timer_at_ns;
    if (too_late)
        vcpu->timer_at_ns = wanted;
    spin_drop(&skep_sched.lock);
    if (too_late)
        skep_hc_timer_set(wanted);
    tell(vcpu);
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
    spin_take(&skep_sched.lock);
    if (skep_sched.keeper == vcpu)
        skep_sched.look_ns = vcpu->timer_at_ns; /* what it has said is over, or due */
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
    if (!turn_over && list_empty(&skep_sched.urgent) && !vcpu->stop)
        return false;
    if (turn_over) {
        queue_before(&skep_sched.normal, vcpu->current);
        choose_busy(vcpu);
    } else {
        vcpu->current->left_ns = end - now;
        queue_before(skep_sched.normal.next, vcpu->current);
    }
    return true;
}

/* With the lock held, and again afterwards. */
static void idle(struct vcpu *vcpu)
{
    uint64_t deadline = look_deadline(vcpu);
    vcpu->current = NULL;
    load_fs(vcpu, &vcpu->idle); /* the last thread may run elsewhere after this, and end */
    skep_sched.idle |= vcpu->bit;
    spin_drop(&skep_sched.lock);
    tell(vcpu);
    handle_events(vcpu, skep_hc_wait(deadline) == -SKEP_ETIMEDOUT);
    skep_sched.idle &= ~vcpu->bit;
    if (skep_sched.told & vcpu->bit)
        skep_sched.told_count--;
    skep_sched.told &= ~vcpu->bit;
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
    spin_drop(&skep_sched.lock);
    skep_thread_block_free(thread);
    spin_take(&skep_sched.lock);
    if (gone != NULL) {
        atomic_store_explicit(gone, 1, memory_order_release);
        wake(vcpu, gone, SKEP_WAKE_ALL);
    }
}

/* With the lock held. What this vCPU was to do for others is left to vCPU 0. */
_Noreturn static void stop(struct vcpu *vcpu)
{
    if (skep_sched.keeper == vcpu) {
        skep_sched.keeper = NULL;
        skep_sched.look_ns = SKEP_FOREVER;
    }
    skep_sched.online &= ~vcpu->bit;
    vcpu->stop = false;
    vcpu->current = NULL;
    load_fs(vcpu, &vcpu->idle);
    spin_drop(&skep_sched.lock);
    vcpu->to_tell |= 1;
    tell(vcpu);
    skep_hc_timer_set(SKEP_FOREVER);
    skep_hc_vcpu_stop();
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
    spin_take(&skep_sched.lock);
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
    list_init(&skep_sched.urgent);
    list_init(&skep_sched.normal);
    list_init(&skep_sched.interruptible);
    for (unsigned i = 0; i < BUCKETS; i++)
        list_init(&skep_sched.waiters[i]);
    skep_sched.look_ns = SKEP_FOREVER;
    skep_sched.online = vcpu->bit;
    skep_sched_vcpu_at[vcpu->index] = vcpu;

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
    spin_take(&skep_sched.lock);
    bool off = !(skep_sched.online & vcpu->bit);
    skep_sched.online |= vcpu->bit;
    skep_sched_vcpu_at[vcpu->index] = vcpu;
    vcpu->stop = false;
    if (off) {
        vcpu->timer_at_ns = SKEP_FOREVER;
        vcpu->slice_end_ns = 0;
    }
    spin_drop(&skep_sched.lock);
    return off;
}

void skep_sched_vcpu_failed(struct vcpu *vcpu)
{
    spin_take(&skep_sched.lock);
    skep_sched.online &= ~vcpu->bit;
    spin_drop(&skep_sched.lock);
}

void skep_sched_vcpu_off(struct vcpu *vcpu)
{
    spin_take(&skep_sched.lock);
    bool on = skep_sched.online & vcpu->bit;
    vcpu->stop = on;
    spin_drop(&skep_sched.lock);
    if (on)
        skep_hc_event_send(vcpu->index, SKEP_EVENT_IPI);
}

void skep_sched_add(struct skep_thread *thread)
{
    bool were_masked = skep_upcalls_mask();
    struct vcpu *vcpu = vcpu_here();
    spin_take(&skep_sched.lock);
    make_runnable(vcpu, thread);
    if (vcpu->in_handlers)
        spin_drop(&skep_sched.lock); /* handle_events() will look */
    else
        release(vcpu);
    skep_upcalls_restore(were_masked);
}

_Noreturn void skep_sched_end_current(_Atomic uint32_t *gone)
{
    skep_spin_lock(&skep_sched.lock);
    struct vcpu *vcpu = vcpu_here();
    vcpu->dead = vcpu->current;
    vcpu->dead->gone = gone;
    skep_switch_out(vcpu->current, vcpu, vcpu->stack_top);
    __builtin_unreachable();
}

/*
 * What threads call
 */

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
    bool were_masked = skep_spin_lock(&skep_sched.lock);
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
        skep_errand_run();
        skep_detours_release();
    }
    make_detour(thread);
    return result;
}

void skep_thread_yield(void)
{
    bool were_masked = skep_spin_lock(&skep_sched.lock);
    if (skep_sched.runnable == 0) {
        skep_spin_unlock(&skep_sched.lock, were_masked);
        return;
    }
    queue_before(&skep_sched.normal, vcpu_here()->current);
    switch_out(were_masked);
}

void skep_sleep_until(uint64_t deadline_ns)
{
    if (skep_clock_ns() >= deadline_ns) {
        skep_thread_yield();
        return;
    }
    bool were_masked = skep_spin_lock(&skep_sched.lock);
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
    bool were_masked = skep_spin_lock(&skep_sched.lock);
    struct skep_thread *thread = vcpu_here()->current;
    if (atomic_load_explicit(word, memory_order_seq_cst) != expected || too_late ||
        is_told_to_ask(thread, also) ||
        (also != NULL && atomic_load_explicit(also, memory_order_seq_cst) != also_expected)) {
        skep_spin_unlock(&skep_sched.lock, were_masked);
        skep_wakes_tell();
        make_detour(thread);
        return too_late ? -SKEP_ETIMEDOUT : -SKEP_EAGAIN;
    }
    thread->wait_word = word;
    thread->interruptible = also != NULL;
    if (also != NULL)
        list_insert_before(skep_sched.interruptible.next, &thread->interruptibles);
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

unsigned skep_wake(_Atomic uint32_t *word, unsigned count)
{
    bool were_masked = skep_upcalls_mask();
    struct vcpu *vcpu = vcpu_here();
    spin_take(&skep_sched.lock);
    unsigned woken = wake(vcpu, word, count);
    if (woken != 0 && !vcpu->in_handlers && !vcpu->current->defers)
        release(vcpu);
    else
        spin_drop(&skep_sched.lock); /* nothing new, or handle_events() or who defers will look */
    skep_upcalls_restore(were_masked);
    return woken;
}
