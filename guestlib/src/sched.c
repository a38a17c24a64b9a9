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
 * turns of SLICE_NS. The timer is set only when there is a turn to end or a sleeper to wake, and is
 * left alone when it would come too early: then it is set again. When nothing can run, the vCPU
 * waits in ring 0.
 *
 * Known shortcomings: one lock and one pair of queues for all vCPUs; sleepers are a sorted list, so
 * that falling asleep costs a step for each thread that wakes earlier; only vCPU 0 is started.
 *
 * Lock order: this lock is the innermost. It is held with upcalls masked.
 */
#include "internal.h"

#define SLICE_NS 10000000ull

/* Waiters for a word, by its address. */
#define BUCKETS 64u

static struct {
    struct skep_spinlock lock;
    struct list urgent;   /* runnable, made so by an event handler */
    struct list normal;   /* runnable */
    struct list sleepers; /* with a deadline, the earliest first */
    struct list waiters[BUCKETS];
    bool in_handlers; /* event handlers run now on the first vCPU */
} sched;

/* There is no stack but the first vCPU's yet. Nothing guards it: handlers are small. */
static _Alignas(64) char vcpu_stack[VCPU_STACK_BYTES];

static uint64_t vcpu_stack_top(void)
{
    return (uint64_t)vcpu_stack + sizeof(vcpu_stack);
}

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

static struct skep_thread *thread_of_sleep_node(struct list *node)
{
    return (struct skep_thread *)((char *)node - offsetof(struct skep_thread, sleep_node));
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

/* With upcalls masked already. */
static void spin_take(struct skep_spinlock *lock)
{
    if (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire))
        skep_spin_wait(lock);
}

static void spin_drop(struct skep_spinlock *lock)
{
    atomic_store_explicit(&lock->held, 0, memory_order_release);
}

/*
 * Queues. The lock is held.
 */

static bool anything_runnable(void)
{
    return !list_empty(&sched.urgent) || !list_empty(&sched.normal);
}

static struct skep_thread *take_next(void)
{
    struct list *queue = list_empty(&sched.urgent) ? &sched.normal : &sched.urgent;
    if (list_empty(queue))
        return NULL;
    struct list *node = queue->next;
    list_remove(node);
    return thread_of_node(node);
}

static uint64_t first_deadline(void)
{
    if (list_empty(&sched.sleepers))
        return SKEP_FOREVER;
    return thread_of_sleep_node(sched.sleepers.next)->deadline_ns;
}

static void add_sleeper(struct skep_thread *thread, uint64_t deadline_ns)
{
    if (deadline_ns == SKEP_FOREVER)
        return;
    struct list *where = sched.sleepers.next;
    while (where != &sched.sleepers && thread_of_sleep_node(where)->deadline_ns <= deadline_ns)
        where = where->next;
    thread->deadline_ns = deadline_ns;
    thread->in_sleepers = true;
    list_insert_before(where, &thread->sleep_node);
}

static void remove_sleeper(struct skep_thread *thread)
{
    if (thread->in_sleepers)
        list_remove(&thread->sleep_node);
    thread->in_sleepers = false;
}

static void make_runnable(struct skep_thread *thread)
{
    list_insert_before(sched.in_handlers ? &sched.urgent : &sched.normal, &thread->node);
}

static struct list *waiters_for(_Atomic uint32_t *word)
{
    return &sched.waiters[((uint64_t)word >> 2) * 0x9e3779b97f4a7c15ull >> 58];
}

/* Takes a waiting thread off all queues and makes it runnable. */
static void end_wait(struct skep_thread *thread, int result)
{
    if (thread->wait_word != NULL)
        list_remove(&thread->node);
    thread->wait_word = NULL;
    remove_sleeper(thread);
    thread->wait_result = result;
    make_runnable(thread);
}

static void wake_sleepers(uint64_t now_ns)
{
    while (first_deadline() <= now_ns)
        end_wait(thread_of_sleep_node(sched.sleepers.next), -SKEP_ETIMEDOUT);
}

/* Sets the timer if it would come too late. A thread's turn begins when another wants one too. */
static void set_timer(struct vcpu *vcpu)
{
    uint64_t wanted = first_deadline();
    if (anything_runnable()) {
        if (vcpu->slice_end_ns == 0)
            vcpu->slice_end_ns = skep_clock_ns() + SLICE_NS;
        if (vcpu->slice_end_ns < wanted)
            wanted = vcpu->slice_end_ns;
    }
    if (wanted >= vcpu->timer_at_ns)
        return;
    vcpu->timer_at_ns = wanted;
    skep_hc_timer_set(wanted);
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

/* Calls event handlers and wakes who has slept long enough. The lock is not held. */
static void handle_events(struct vcpu *vcpu)
{
    sched.in_handlers = true;
    uint64_t events = skep_events_run(vcpu->page);
    if (events >> SKEP_EVENT_TIMER & 1)
        vcpu->timer_at_ns = SKEP_FOREVER;
    uint64_t now = skep_clock_ns();
    spin_take(&sched.lock);
    wake_sleepers(now);
    sched.in_handlers = false;
    spin_drop(&sched.lock);
}

/* Whether current must make room for another thread, and where it then queues. The lock is held. */
static bool must_give_way(struct vcpu *vcpu, struct list **queue_before)
{
    bool turn_over = vcpu->slice_end_ns != 0 && skep_clock_ns() >= vcpu->slice_end_ns;
    *queue_before = turn_over ? &sched.normal : sched.normal.next;
    return !list_empty(&sched.urgent) || (turn_over && !list_empty(&sched.normal));
}

static void idle(struct vcpu *vcpu)
{
    uint64_t deadline = first_deadline();
    vcpu->current = NULL;
    spin_drop(&sched.lock);
    load_fs(vcpu, &vcpu->idle); /* the last thread may run elsewhere now, and end */
    skep_hc_wait(deadline);
    handle_events(vcpu);
    spin_take(&sched.lock);
}

static void bury_dead(struct vcpu *vcpu)
{
    struct skep_thread *thread = vcpu->dead;
    if (thread == NULL)
        return;
    vcpu->dead = NULL;
    vcpu->current = NULL;
    spin_drop(&sched.lock);
    load_fs(vcpu, &vcpu->idle);
    skep_thread_block_free(thread);
    spin_take(&sched.lock);
}

_Noreturn static void enter(struct vcpu *vcpu, struct skep_thread *thread)
{
    load_fs(vcpu, thread);
    if (!thread->preempted)
        skep_switch_in(thread->rsp);
    thread->preempted = false;
    skep_resume(thread->extended, &thread->context);
}

_Noreturn void skep_schedule(struct vcpu *vcpu)
{
    bury_dead(vcpu);
    struct skep_thread *next;
    while ((next = take_next()) == NULL)
        idle(vcpu);
    vcpu->current = next;
    vcpu->slice_end_ns = 0;
    set_timer(vcpu);
    spin_drop(&sched.lock);
    enter(vcpu, next);
}

_Noreturn void skep_upcall(struct vcpu *vcpu)
{
    struct skep_thread *thread = vcpu->current;
    struct list *queue_before;
    handle_events(vcpu);
    spin_take(&sched.lock);
    if (must_give_way(vcpu, &queue_before)) {
        thread->context = vcpu->page->context;
        thread->preempted = true;
        list_insert_before(queue_before, &thread->node);
        skep_schedule(vcpu);
    }
    set_timer(vcpu);
    spin_drop(&sched.lock);
    skep_resume(thread->extended, &vcpu->page->context);
}

/* The same for a thread that has found events when it unmasked upcalls. */
static void poll_events(void)
{
    struct vcpu *vcpu = vcpu_here();
    struct list *queue_before;
    handle_events(vcpu);
    spin_take(&sched.lock);
    if (must_give_way(vcpu, &queue_before)) {
        list_insert_before(queue_before, &vcpu->current->node);
        skep_switch_out(vcpu->current, vcpu, vcpu_stack_top());
        return;
    }
    set_timer(vcpu);
    spin_drop(&sched.lock);
}

/*
 * What the rest of guestlib calls
 */

void skep_sched_start(struct vcpu *vcpu, struct skep_vcpu_page *page, struct skep_thread *first)
{
    list_init(&sched.urgent);
    list_init(&sched.normal);
    list_init(&sched.sleepers);
    for (unsigned i = 0; i < BUCKETS; i++)
        list_init(&sched.waiters[i]);

    vcpu->current = first;
    vcpu->page = page;
    vcpu->timer_at_ns = SKEP_FOREVER;
    vcpu->idle.self = &vcpu->idle;
    vcpu->idle.canary = first->canary;
    load_fs(vcpu, first);

    if (skep_info->features & SKEP_FEATURE_FSGSBASE)
        __asm__ volatile("wrgsbase %0" : : "r"(page) : "memory");
    else
        skep_hc_base_set(1, (uint64_t)page);
    page->guest_private[0] = (uint64_t)vcpu;
    page->upcall_entry = (uint64_t)skep_upcall_entry;
    page->upcall_stack = vcpu_stack_top();
    atomic_store_explicit(&page->mask, ~(1ull << SKEP_EVENT_TIMER | 1ull << SKEP_EVENT_SHUTDOWN),
                          memory_order_relaxed);
    atomic_store_explicit(&page->upcall_masked, 1, memory_order_release);
    skep_upcalls_restore(false);
}

void skep_sched_add(struct skep_thread *thread)
{
    bool were_masked = skep_spin_lock(&sched.lock);
    make_runnable(thread);
    if (!sched.in_handlers)
        set_timer(vcpu_here());
    skep_spin_unlock(&sched.lock, were_masked);
}

_Noreturn void skep_sched_end_current(void)
{
    skep_spin_lock(&sched.lock);
    struct vcpu *vcpu = vcpu_here();
    vcpu->dead = vcpu->current;
    skep_switch_out(vcpu->current, vcpu, vcpu_stack_top());
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

/* The current thread leaves its CPU; the lock passes to the scheduler. */
static void switch_out(bool were_masked)
{
    struct vcpu *vcpu = vcpu_here();
    skep_switch_out(vcpu->current, vcpu, vcpu_stack_top());
    skep_upcalls_restore(were_masked);
}

void skep_thread_yield(void)
{
    bool were_masked = skep_spin_lock(&sched.lock);
    if (!anything_runnable()) {
        skep_spin_unlock(&sched.lock, were_masked);
        return;
    }
    list_insert_before(&sched.normal, &vcpu_here()->current->node);
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

int skep_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    /* A deadline in the past must not cost a switch; one that passes below is found by the timer. */
    bool too_late = deadline_ns != SKEP_FOREVER && skep_clock_ns() >= deadline_ns;
    bool were_masked = skep_spin_lock(&sched.lock);
    /* Who changes the word calls skep_wake() afterwards, which takes the lock: the change is seen
     * here, or the wake-up finds this thread queued. */
    if (atomic_load_explicit(word, memory_order_seq_cst) != expected || too_late) {
        skep_spin_unlock(&sched.lock, were_masked);
        return too_late ? -SKEP_ETIMEDOUT : -SKEP_EAGAIN;
    }
    struct skep_thread *thread = vcpu_here()->current;
    thread->wait_word = word;
    list_insert_before(waiters_for(word), &thread->node);
    add_sleeper(thread, deadline_ns);
    switch_out(were_masked);
    return thread->wait_result;
}

unsigned skep_wake(_Atomic uint32_t *word, unsigned count)
{
    unsigned woken = 0;
    bool were_masked = skep_spin_lock(&sched.lock);
    struct list *head = waiters_for(word);
    for (struct list *node = head->next; node != head && woken < count;) {
        struct skep_thread *thread = thread_of_node(node);
        node = node->next;
        if (thread->wait_word == word) {
            end_wait(thread, 0);
            woken++;
        }
    }
    if (woken != 0 && !sched.in_handlers)
        set_timer(vcpu_here());
    skep_spin_unlock(&sched.lock, were_masked);
    return woken;
}
