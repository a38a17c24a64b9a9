/*
 * timer.c - timers that raise signals: timer_create(), setitimer() and alarm().
 *
 * A guest's CPU time is not a clock here: ITIMER_VIRTUAL and ITIMER_PROF are refused.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "pending.h"
#include "shim.h"
#include "timers.h"

/* timer_t is a number. Timers are never given back, since their thread may be about to raise one's signal, but used again. */
#define TIMERS_MAX 32u

static struct skep_mutex lock; /* guards which are used */
static struct skep_timer timers[TIMERS_MAX];
static bool used[TIMERS_MAX];

static struct skep_timer *timer_of(timer_t number)
{
    skep_mutex_lock(&lock);
    bool is_used = (size_t)number < TIMERS_MAX && used[number];
    skep_mutex_unlock(&lock);
    return is_used ? &timers[number] : NULL;
}

static bool is_event(const struct sigevent *event)
{
    return event->sigev_notify == SIGEV_NONE || event->sigev_notify == SIGEV_THREAD ||
           (event->sigev_notify == SIGEV_SIGNAL && event->sigev_signo > 0 &&
            event->sigev_signo < NSIG);
}

static int take_number(void)
{
    int number = 0;
    skep_mutex_lock(&lock);
    while (number < (int)TIMERS_MAX && used[number])
        number++;
    if (number < (int)TIMERS_MAX)
        used[number] = true;
    skep_mutex_unlock(&lock);
    return number < (int)TIMERS_MAX ? number : -EAGAIN;
}

int timer_create(clockid_t clock, struct sigevent *restrict event, timer_t *restrict out)
{
    uint64_t unused;
    if (!skep_posix_deadline(clock, &(struct timespec){0}, &unused) ||
        (event != NULL && !is_event(event)))
        return (int)skep_posix_result(-EINVAL);
    int number = take_number();
    if (number < 0)
        return (int)skep_posix_result(number);
    timers[number].clock = clock;
    timers[number].event = event != NULL ? *event
                                         : (struct sigevent){.sigev_notify = SIGEV_SIGNAL,
                                                             .sigev_signo = SIGALRM,
                                                             .sigev_value.sival_int = number};
    *out = (timer_t)number;
    return 0;
}

int timer_delete(timer_t number)
{
    struct skep_timer *timer = timer_of(number);
    if (timer == NULL)
        return (int)skep_posix_result(-EINVAL);
    skep_posix_timer_set(timer, false, &(struct itimerspec){0}, NULL);
    skep_posix_pending_disown(timer);
    skep_mutex_lock(&lock);
    used[number] = false;
    skep_mutex_unlock(&lock);
    return 0;
}

int timer_settime(timer_t number, int flags, const struct itimerspec *restrict value,
                  struct itimerspec *restrict old)
{
    struct skep_timer *timer = timer_of(number);
    int result = timer == NULL
                     ? -EINVAL
                     : skep_posix_timer_set(timer, (flags & TIMER_ABSTIME) != 0, value, old);
    return (int)skep_posix_result(result);
}

int timer_gettime(timer_t number, struct itimerspec *value)
{
    struct skep_timer *timer = timer_of(number);
    if (timer == NULL)
        return (int)skep_posix_result(-EINVAL);
    skep_posix_timer_get(timer, value);
    return 0;
}

int timer_getoverrun(timer_t number)
{
    struct skep_timer *timer = timer_of(number);
    if (timer == NULL)
        return (int)skep_posix_result(-EINVAL);
    return (int)atomic_load_explicit(&timer->overruns, memory_order_relaxed);
}

/*
 * setitimer() and alarm() share one timer.
 */

static struct skep_timer real_timer = {
    .event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM},
};

static struct timespec of_timeval(struct timeval time)
{
    bool is_valid = time.tv_usec >= 0 && time.tv_usec < 1000000;
    return (struct timespec){time.tv_sec, is_valid ? time.tv_usec * 1000 : -1};
}

/* Rounded up, so that a timer that runs has some time left, but to no whole second. */
static struct itimerval to_itimerval(const struct itimerspec *value)
{
    long left_us = (value->it_value.tv_nsec + 999) / 1000;
    return (struct itimerval){
        .it_interval = {value->it_interval.tv_sec, value->it_interval.tv_nsec / 1000},
        .it_value = {value->it_value.tv_sec, left_us < 999999 ? left_us : 999999}};
}

int setitimer(int which, const struct itimerval *restrict value, struct itimerval *restrict old)
{
    struct itimerspec former;
    const struct itimerspec wanted = {of_timeval(value->it_interval), of_timeval(value->it_value)};
    int result =
        which == ITIMER_REAL ? skep_posix_timer_set(&real_timer, false, &wanted, &former) : -EINVAL;
    if (result == 0 && old != NULL)
        *old = to_itimerval(&former);
    return (int)skep_posix_result(result);
}

int getitimer(int which, struct itimerval *value)
{
    struct itimerspec now;
    if (which != ITIMER_REAL)
        return (int)skep_posix_result(-EINVAL);
    skep_posix_timer_get(&real_timer, &now);
    *value = to_itimerval(&now);
    return 0;
}

unsigned alarm(unsigned seconds)
{
    struct itimerspec former;
    skep_posix_timer_set(&real_timer, false, &(struct itimerspec){.it_value = {.tv_sec = seconds}},
                         &former);
    return (unsigned)(former.it_value.tv_sec + (former.it_value.tv_nsec != 0));
}

/* In microseconds, of less than a second. Its result when that isn't so is -1. */
useconds_t ualarm(useconds_t microseconds, useconds_t interval)
{
    const struct itimerval wanted = {{0, (suseconds_t)interval}, {0, (suseconds_t)microseconds}};
    struct itimerval former = {0};
    if (setitimer(ITIMER_REAL, &wanted, &former) < 0)
        return (useconds_t)-1;
    return (useconds_t)(former.it_value.tv_sec * 1000000 + former.it_value.tv_usec);
}
