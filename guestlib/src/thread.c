/*
 * thread.c - the beginning and end of threads, and the lock that threads sleep on.
 *
 * A thread's memory is one mapping, from low to high: a guard page, the stack, TLS, struct
 * skep_thread, extended state. The top of it is there from the start, so that a new thread needs no
 * more memory to begin. Memory of its creator's is used in the same way, without a guard page.
 */
#include <string.h>

#include "internal.h"

#define GUARD_BYTES SKEP_PAGE_SIZE

/* What must be left of a stack that the creator gives when TLS and the rest are off. */
#define STACK_LEFT_MIN (SKEP_STACK_BYTES_MIN / 2)

/* The first code of each new thread; skep_switch_in() returns here, with upcalls masked. */
_Noreturn static void begin(void)
{
    skep_upcalls_restore(false);
    struct skep_thread *self = skep_thread_self();
    self->function(self->argument);
    skep_thread_exit();
}

/* What skep_switch_in() takes off a stack. */
struct switch_frame {
    uint32_t mxcsr, fpu_control;
    uint64_t r15, r14, r13, r12, rbx, rbp;
    void (*return_to)(void);
    uint64_t no_caller;
};

static void prepare_stack(struct skep_thread *thread, uint64_t stack_top)
{
    struct switch_frame *frame = (struct switch_frame *)(stack_top - sizeof(*frame));
    *frame = (struct switch_frame){.mxcsr = 0x1f80, .fpu_control = 0x37f, .return_to = begin};
    thread->rsp = (uint64_t)frame;
}

/* Beside a page of stack, what is set up here must be there; large TLS has all of it promised. */
static unsigned stack_how(size_t block_bytes)
{
    bool fits = block_bytes <= (SKEP_STACK_READY - 1) * SKEP_PAGE_SIZE;
    return SKEP_PROT_READ | SKEP_PROT_WRITE | (fits ? SKEP_MAP_RESERVE | SKEP_MAP_STACK : 0);
}

/* On a stack from base on, below the block that ends at top. */
static struct skep_thread *prepare(uint64_t base, uint64_t top, void (*function)(void *),
                                   void *argument)
{
    uint64_t stack_top;
    struct skep_thread *thread = skep_thread_block_init(top, &stack_top);
    thread->canary = skep_thread_self()->canary;
    thread->function = function;
    thread->argument = argument;
    thread->stack_base = base;
    prepare_stack(thread, stack_top);
    return thread;
}

/* The stack's memory. */
static int64_t map(size_t stack_bytes, uint64_t *bytes)
{
    if (stack_bytes == 0)
        stack_bytes = SKEP_STACK_BYTES_DEFAULT;
    if (stack_bytes < SKEP_STACK_BYTES_MIN)
        stack_bytes = SKEP_STACK_BYTES_MIN;
    if (stack_bytes > 1ull << 40)
        return -SKEP_ENOMEM;
    size_t block_bytes = skep_thread_block_bytes();
    *bytes = GUARD_BYTES + round_up(stack_bytes + block_bytes, SKEP_PAGE_SIZE);
    int64_t base = skep_mem_map(*bytes, stack_how(block_bytes));
    if (base < 0)
        return base;
    int64_t error = skep_hc_mem_protect((uint64_t)base, GUARD_BYTES, SKEP_PROT_NONE);
    if (error < 0) {
        skep_hc_mem_unmap((uint64_t)base, *bytes);
        return error;
    }
    return base;
}

static void start(struct skep_thread **out, struct skep_thread *thread)
{
    if (out != NULL)
        *out = thread;
    skep_sched_add(thread);
}

/* stack: where it is, unless NULL. */
static int create(struct skep_thread **out, size_t stack_bytes, struct skep_stack *stack,
                  void (*function)(void *), void *argument)
{
    uint64_t bytes;
    int64_t base = map(stack_bytes, &bytes);
    if (base < 0)
        return (int)base;
    struct skep_thread *thread =
        prepare((uint64_t)base + GUARD_BYTES, (uint64_t)base + bytes, function, argument);
    thread->map_base = (uint64_t)base;
    thread->map_bytes = bytes;
    if (stack != NULL)
        *stack = (struct skep_stack){(char *)base + GUARD_BYTES, bytes - GUARD_BYTES};
    start(out, thread);
    return 0;
}

int skep_thread_create(struct skep_thread **out, size_t stack_bytes, void (*function)(void *),
                       void *argument)
{
    return create(out, stack_bytes, NULL, function, argument);
}

int skep_thread_create_on(struct skep_thread **out, struct skep_stack *stack,
                          void (*function)(void *), void *argument)
{
    if (stack->base == NULL)
        return create(out, stack->bytes, stack, function, argument);
    size_t block_bytes = skep_thread_block_bytes();
    uint64_t top = ((uint64_t)stack->base + stack->bytes) & ~63ull;
    if (top < (uint64_t)stack->base + block_bytes + STACK_LEFT_MIN)
        return -SKEP_EINVAL;
    memset((void *)(top - block_bytes), 0, block_bytes);
    start(out, prepare((uint64_t)stack->base, top, function, argument));
    return 0;
}

/* On the vCPU's stack: the thread is off its own. */
void skep_thread_block_free(struct skep_thread *thread)
{
    if (thread->map_bytes != 0)
        skep_hc_mem_unmap(thread->map_base, thread->map_bytes);
}

_Noreturn void skep_thread_exit(void)
{
    skep_thread_exit_telling(NULL);
}

_Noreturn void skep_thread_exit_telling(_Atomic uint32_t *gone)
{
    if (skep_thread_ends != NULL)
        skep_thread_ends();
    skep_sched_end_current(gone);
}

/*
 * Mutex. The states are those of Drepper's "Futexes are tricky", mutex2.
 */

static __attribute__((noinline)) int wait_for(struct skep_mutex *mutex, uint64_t deadline_ns)
{
    /* From here on "2": there may be another waiter, which our unlock must wake. */
    while (atomic_exchange_explicit(&mutex->state, 2, memory_order_acquire) != 0)
        if (skep_wait(&mutex->state, 2, deadline_ns) == -SKEP_ETIMEDOUT)
            return -SKEP_ETIMEDOUT;
    return 0;
}

static inline void give(struct skep_mutex *mutex)
{
    if (skep_mutex_give_awaited(mutex))
        skep_wake(&mutex->state, 1);
}

int skep_mutex_take_until(struct skep_mutex *mutex, uint64_t deadline_ns)
{
    return skep_mutex_take_try(mutex) ? 0 : wait_for(mutex, deadline_ns);
}

void skep_mutex_give(struct skep_mutex *mutex)
{
    give(mutex);
}

/* Detours are held before the lock is taken, until it has been given back: none finds it locked. */
int skep_mutex_lock_until(struct skep_mutex *mutex, uint64_t deadline_ns)
{
    skep_detours_hold();
    if (skep_mutex_take_try(mutex))
        return 0;
    int result = wait_for(mutex, deadline_ns);
    if (result < 0)
        skep_detours_release();
    return result;
}

void skep_mutex_lock(struct skep_mutex *mutex)
{
    skep_detours_hold();
    if (!skep_mutex_take_try(mutex))
        wait_for(mutex, SKEP_FOREVER);
}

bool skep_mutex_try(struct skep_mutex *mutex)
{
    skep_detours_hold();
    if (skep_mutex_take_try(mutex))
        return true;
    skep_detours_release();
    return false;
}

void skep_mutex_unlock(struct skep_mutex *mutex)
{
    give(mutex);
    skep_detours_release();
}
