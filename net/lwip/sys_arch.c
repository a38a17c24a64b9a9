/*
 * sys_arch.c - semaphores, mutexes and mailboxes for lwIP, made of guestlib's wait words.
 *
 * Lock order: the core lock (network.c), then a mailbox's lock or lwIP's protection, which are held
 * for a few instructions and never together.
 */
#include <stdatomic.h>

#include "lwip/err.h"
#include "lwip/sys.h"
#include "memory.h"
#include "network.h"
#include "skep/guest.h"

#define NS_PER_MS 1000000ull

void sys_init(void)
{
}

u32_t sys_now(void)
{
    return (u32_t)(skep_clock_ns() / NS_PER_MS);
}

/* lwIP's timeouts: milliseconds, 0 = for ever. */
static uint64_t deadline_after(u32_t timeout_ms)
{
    return timeout_ms == 0 ? SKEP_FOREVER : skep_clock_ns() + timeout_ms * NS_PER_MS;
}

/*
 * Semaphores
 */

err_t sys_sem_new(sys_sem_t *sem, u8_t count)
{
    atomic_init(&sem->count, count);
    sem->valid = true;
    return ERR_OK;
}

void sys_sem_free(sys_sem_t *sem)
{
    sem->valid = false;
}

void sys_sem_signal(sys_sem_t *sem)
{
    atomic_fetch_add_explicit(&sem->count, 1, memory_order_release);
    skep_wake(&sem->count, 1);
}

static bool sem_take(sys_sem_t *sem)
{
    uint32_t count = atomic_load_explicit(&sem->count, memory_order_relaxed);
    while (count > 0)
        /* Acquire: what was done before sys_sem_signal(), which releases, is seen. */
        if (atomic_compare_exchange_weak_explicit(&sem->count, &count, count - 1,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

/* `wait` is skep_wait() or does as that does. What is signalled as the time ends isn't lost. */
static u32_t sem_wait(sys_sem_t *sem, u32_t timeout_ms,
                      int (*wait)(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns))
{
    uint64_t deadline = deadline_after(timeout_ms);
    while (!sem_take(sem))
        if (wait(&sem->count, 0, deadline) == -SKEP_ETIMEDOUT)
            return sem_take(sem) ? 0 : SYS_ARCH_TIMEOUT;
    return 0;
}

u32_t sys_arch_sem_wait(sys_sem_t *sem, u32_t timeout_ms)
{
    return sem_wait(sem, timeout_ms, skep_wait);
}

u32_t network_operation_wait(sys_sem_t *semaphore, u32_t timeout_ms)
{
    return sem_wait(semaphore, timeout_ms, network_wait);
}

sys_sem_t *network_thread_semaphore(void)
{
    static _Thread_local sys_sem_t semaphore = {.valid = true};
    return &semaphore;
}

/*
 * Mutexes, and lwIP's lock for a few instructions
 */

err_t sys_mutex_new(sys_mutex_t *mutex)
{
    *mutex = SKEP_MUTEX_INIT;
    return ERR_OK;
}

void sys_mutex_free(sys_mutex_t *mutex)
{
    (void)mutex;
}

void sys_mutex_lock(sys_mutex_t *mutex)
{
    skep_mutex_lock(mutex);
}

void sys_mutex_unlock(sys_mutex_t *mutex)
{
    skep_mutex_unlock(mutex);
}

struct skep_spinlock network_protection;

/*
 * Mailboxes: rings of pointers
 */

struct network_mailbox {
    struct skep_spinlock lock; /* guards what follows */
    uint16_t size, head, count;
    uint16_t waiting;       /* threads in fetch */
    _Atomic uint32_t posts; /* what they wait for to change */
    void *messages[];
};

err_t sys_mbox_new(sys_mbox_t *mailbox, int size)
{
    size_t count = size > 0 ? (size_t)size : 1;
    *mailbox = network_malloc(sizeof(struct network_mailbox) + count * sizeof(void *));
    if (*mailbox == NULL)
        return ERR_MEM;
    **mailbox = (struct network_mailbox){.size = (uint16_t)count};
    return ERR_OK;
}

void sys_mbox_free(sys_mbox_t *mailbox)
{
    network_free(*mailbox);
}

static void **message_at(struct network_mailbox *mailbox, unsigned index)
{
    unsigned at = mailbox->head + index;
    return &mailbox->messages[at < mailbox->size ? at : at - mailbox->size];
}

err_t sys_mbox_trypost(sys_mbox_t *handle, void *message)
{
    struct network_mailbox *mailbox = *handle;
    bool were_masked = skep_spin_lock(&mailbox->lock);
    bool room = mailbox->count < mailbox->size;
    bool waiting = room && mailbox->waiting > 0;
    if (room) {
        *message_at(mailbox, mailbox->count++) = message;
        atomic_fetch_add_explicit(&mailbox->posts, 1, memory_order_relaxed);
    }
    skep_spin_unlock(&mailbox->lock, were_masked);
    if (waiting)
        skep_wake(&mailbox->posts, 1);
    return room ? ERR_OK : ERR_MEM;
}

void network_mailbox_look(struct network_mailbox *mailbox)
{
    bool were_masked = skep_spin_lock(&mailbox->lock);
    atomic_fetch_add_explicit(&mailbox->posts, 1, memory_order_relaxed);
    skep_spin_unlock(&mailbox->lock, were_masked);
    skep_wake(&mailbox->posts, SKEP_WAKE_ALL);
}

bool network_mailbox_peek(struct network_mailbox *mailbox, unsigned index, void **message)
{
    bool were_masked = skep_spin_lock(&mailbox->lock);
    bool is_there = index < mailbox->count;
    if (is_there)
        *message = *message_at(mailbox, index);
    skep_spin_unlock(&mailbox->lock, were_masked);
    return is_there;
}

err_t sys_mbox_trypost_fromisr(sys_mbox_t *mailbox, void *message)
{
    return sys_mbox_trypost(mailbox, message);
}

void sys_mbox_post(sys_mbox_t *mailbox, void *message)
{
    while (sys_mbox_trypost(mailbox, message) != ERR_OK)
        skep_thread_yield();
}

/* Takes a message, or says which value of posts to wait on. */
static bool mailbox_take(struct network_mailbox *mailbox, void **message, uint32_t *posts)
{
    bool were_masked = skep_spin_lock(&mailbox->lock);
    bool taken = mailbox->count > 0;
    if (taken) {
        void *first = mailbox->messages[mailbox->head];
        if (message != NULL)
            *message = first;
        mailbox->count--;
        mailbox->head = (uint16_t)(mailbox->head + 1 < mailbox->size ? mailbox->head + 1 : 0);
    } else if (posts != NULL) {
        *posts = atomic_load_explicit(&mailbox->posts, memory_order_relaxed);
        mailbox->waiting++;
    }
    skep_spin_unlock(&mailbox->lock, were_masked);
    return taken;
}

static void mailbox_waited(struct network_mailbox *mailbox)
{
    bool were_masked = skep_spin_lock(&mailbox->lock);
    mailbox->waiting--;
    skep_spin_unlock(&mailbox->lock, were_masked);
}

u32_t sys_arch_mbox_fetch(sys_mbox_t *handle, void **message, u32_t timeout_ms)
{
    struct network_mailbox *mailbox = *handle;
    uint64_t deadline = deadline_after(timeout_ms);
    uint32_t posts;
    while (!mailbox_take(mailbox, message, &posts)) {
        int error = network_wait(&mailbox->posts, posts, deadline);
        mailbox_waited(mailbox);
        if (error == -SKEP_ETIMEDOUT)
            return mailbox_take(mailbox, message, NULL) ? 0 : SYS_ARCH_TIMEOUT;
    }
    return 0;
}

u32_t sys_arch_mbox_tryfetch(sys_mbox_t *mailbox, void **message)
{
    return mailbox_take(*mailbox, message, NULL) ? 0 : SYS_MBOX_EMPTY;
}

/*
 * Threads. Only lwIP's own main loop would start one, and network.c has its place.
 */

sys_thread_t sys_thread_new(const char *name, lwip_thread_fn function, void *argument,
                            int stack_bytes, int priority)
{
    (void)name, (void)priority;
    struct skep_thread *thread = NULL;
    return skep_thread_create(&thread, (size_t)stack_bytes, function, argument) < 0 ? NULL : thread;
}
