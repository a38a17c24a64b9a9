/*
 * timers.c - timers, and one thread that waits for the next one that is due. It starts with the first timer that is set.
 *
 * It sends the timers' signals, whose handlers run in the program's threads. When a timer has been set anew, no signal
 * comes of what it was set to before.
 */
#include "timers.h"

#include <pthread.h>
#include <stdlib.h>

#include "shim.h"

#define STACK_BYTES 65536u

static struct skep_mutex lock;        /* guards the list and its timers */
static struct skep_timer *first;      /* of those that are set */
static _Atomic uint32_t list_changes; /* the thread waits on it */
static bool has_thread;
static const struct skep_timer *acted_on; /* by the thread, without the lock; NULL: none is */
static _Atomic uint32_t acts; /* counts those that are over; who sets such a timer waits on it */

/* The lock is held, here and below. */
static void insert(struct skep_timer *timer)
{
    struct skep_timer **at = &first;
    while (*at != NULL && (*at)->due_ns <= timer->due_ns)
        at = &(*at)->next;
    timer->next = *at;
    *at = timer;
}

static void take_out(struct skep_timer *timer)
{
    struct skep_timer **at = &first;
    if (timer->due_ns == 0)
        return;
    while (*at != timer)
        at = &(*at)->next;
    *at = timer->next;
    timer->due_ns = 0;
}

/* What is to be done about a timer that was due, without the lock. */
struct due {
    struct skep_timer *timer;
    struct sigevent event;
    uint32_t late; /* by its periods */
};

static struct due expire(struct skep_timer *timer, uint64_t now_ns)
{
    uint64_t due_ns = timer->due_ns, late = 0;
    take_out(timer);
    if (timer->period_ns != 0) {
        late = (now_ns - due_ns) / timer->period_ns;
        due_ns += late * timer->period_ns;
        timer->due_ns =
            timer->period_ns < SKEP_FOREVER - due_ns ? due_ns + timer->period_ns : SKEP_FOREVER;
        insert(timer);
    }
    atomic_fetch_add_explicit(&timer->expirations, 1 + late, memory_order_relaxed);
    atomic_fetch_add_explicit(&timer->changes, 1, memory_order_release);
    skep_wake(&timer->changes, SKEP_WAKE_ALL);
    skep_poll_notify_source(&timer->source);
    return (struct due){timer, timer->event, (uint32_t)late};
}

struct call {
    void (*function)(union sigval);
    union sigval value;
};

static void *run_call(void *argument)
{
    struct call call = *(struct call *)argument;
    free(argument);
    pthread_detach(pthread_self()); /* or its attributes have done so */
    call.function(call.value);
    return NULL;
}

/* SIGEV_THREAD: each time in a thread of its own. */
static void call_in_thread(const struct sigevent *event)
{
    pthread_t thread;
    struct call *call = malloc(sizeof(*call));
    if (call == NULL)
        return;
    *call = (struct call){event->sigev_notify_function, event->sigev_value};
    if (pthread_create(&thread, event->sigev_notify_attributes, run_call, call) != 0)
        free(call);
}

static void act(const struct due *due)
{
    if (due->event.sigev_notify == SIGEV_SIGNAL) {
        skep_posix_raise_timer(due->timer, &due->event, due->late);
    } else if (due->event.sigev_notify == SIGEV_THREAD) {
        atomic_store_explicit(&due->timer->overruns, due->late, memory_order_relaxed);
        call_in_thread(&due->event);
    }
}

/* The lock is held. */
static void end_act(void)
{
    acted_on = NULL;
    atomic_fetch_add_explicit(&acts, 1, memory_order_release);
    skep_wake(&acts, SKEP_WAKE_ALL);
}

/* The lock is held, but not meanwhile. Not in a thread that ends the program: that may be the timers'. */
static void wait_for_act(const struct skep_timer *timer)
{
    while (acted_on == timer && !skep_posix_signals_is_helper()) {
        uint32_t seen = atomic_load_explicit(&acts, memory_order_relaxed);
        skep_mutex_unlock(&lock);
        skep_wait(&acts, seen, SKEP_FOREVER);
        skep_mutex_lock(&lock);
    }
}

static void run(void *unused)
{
    (void)unused;
    skep_posix_signals_help();
    skep_mutex_lock(&lock);
    for (;;) {
        uint32_t seen = atomic_load_explicit(&list_changes, memory_order_relaxed);
        uint64_t now_ns = skep_clock_ns(), next_ns = first != NULL ? first->due_ns : SKEP_FOREVER;
        struct due due;
        bool is_due = first != NULL && next_ns <= now_ns;
        if (is_due) {
            due = expire(first, now_ns);
            acted_on = due.timer;
        }
        skep_mutex_unlock(&lock);
        if (is_due)
            act(&due);
        else
            skep_wait(&list_changes, seen, next_ns);
        skep_mutex_lock(&lock);
        if (is_due)
            end_act();
    }
}

static int start(void)
{
    if (has_thread)
        return 0;
    if (skep_thread_create(NULL, STACK_BYTES, run, NULL) < 0)
        return -EAGAIN;
    has_thread = true;
    return 0;
}

static void tell(const struct skep_timer *timer, struct itimerspec *out)
{
    uint64_t now_ns = skep_clock_ns(), left_ns = 0;
    if (timer->due_ns != 0) /* one that is set has a time left, however little */
        left_ns = timer->due_ns > now_ns ? timer->due_ns - now_ns : 1;
    out->it_value = skep_posix_timespec(left_ns);
    out->it_interval = skep_posix_timespec(timer->period_ns);
}

/* When a timer is due that is set now; *due_ns = 0: it is taken back. */
static bool due_time(const struct skep_timer *timer, bool is_absolute, const struct timespec *time,
                     uint64_t *due_ns)
{
    if (!skep_posix_span(time, due_ns))
        return false;
    if (*due_ns == 0)
        return true;
    if (!is_absolute)
        *due_ns = skep_posix_deadline_in(*due_ns);
    else if (!skep_posix_deadline(timer->clock, time, due_ns))
        return false;
    if (*due_ns == 0)
        *due_ns = 1; /* long ago */
    return true;
}

int skep_posix_timer_set(struct skep_timer *timer, bool is_absolute, const struct itimerspec *value,
                         struct itimerspec *old)
{
    uint64_t due_ns, period_ns;
    if (!due_time(timer, is_absolute, &value->it_value, &due_ns) ||
        !skep_posix_span(&value->it_interval, &period_ns))
        return -EINVAL;
    skep_mutex_lock(&lock);
    wait_for_act(timer);
    int result = due_ns != 0 ? start() : 0;
    if (old != NULL)
        tell(timer, old);
    if (result == 0) {
        take_out(timer);
        timer->due_ns = due_ns;
        timer->period_ns = period_ns;
        atomic_store_explicit(&timer->expirations, 0, memory_order_relaxed);
        atomic_store_explicit(&timer->overruns, 0, memory_order_relaxed);
        if (due_ns != 0)
            insert(timer);
        atomic_fetch_add_explicit(&list_changes, 1, memory_order_release);
        skep_wake(&list_changes, 1);
    }
    skep_mutex_unlock(&lock);
    return result;
}

void skep_posix_timer_get(struct skep_timer *timer, struct itimerspec *out)
{
    skep_mutex_lock(&lock);
    tell(timer, out);
    skep_mutex_unlock(&lock);
}
