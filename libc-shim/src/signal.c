/*
 * signal.c - signals, as far as a guest has them (see <sys/signal.h>), and the ways to die of one.
 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"

#define SHUTDOWN_STACK_BYTES 65536u

_Atomic uint32_t skep_posix_signal_count;

static struct {
    struct skep_mutex lock; /* guards actions */
    struct sigaction actions[NSIG];
    _Atomic uint64_t blocked; /* one mask for all threads */
    _Atomic uint64_t pending; /* raised while blocked */
    _Atomic uint32_t raised;  /* counts those; sigwait() waits on it */
} signals;

static bool is_signal(int signal)
{
    return signal > 0 && signal < NSIG;
}

static uint64_t bit(int signal)
{
    return 1ull << signal;
}

_Noreturn static void die_of(int signal)
{
    char message[32] = "signal ";
    message[7] = (char)('0' + signal / 10);
    message[8] = (char)('0' + signal % 10);
    skep_abort(message);
}

static void interrupt_sleepers(void)
{
    atomic_fetch_add_explicit(&skep_posix_signal_count, 1, memory_order_release);
    skep_wake(&skep_posix_signal_count, SKEP_WAKE_ALL);
    skep_poll_notify();
}

static void default_action(int signal)
{
    switch (signal) {
    case SIGCHLD:
    case SIGCONT:
    case SIGURG:
    case SIGWINCH:
        return;
    case SIGTERM:
    case SIGINT:
        exit(0);
    default:
        die_of(signal);
    }
}

static void deliver(int signal)
{
    skep_mutex_lock(&signals.lock);
    struct sigaction action = signals.actions[signal];
    if (action.sa_flags & SA_RESETHAND)
        signals.actions[signal].sa_handler = SIG_DFL;
    skep_mutex_unlock(&signals.lock);

    if (action.sa_handler == SIG_IGN)
        return;
    if (action.sa_handler == SIG_DFL) {
        default_action(signal);
        return;
    }
    siginfo_t info = {.si_signo = signal, .si_code = SI_USER, .si_pid = 1};
    if (action.sa_flags & SA_SIGINFO)
        action.sa_sigaction(signal, &info, NULL);
    else
        action.sa_handler(signal);
    interrupt_sleepers();
}

static void deliver_unblocked(void)
{
    for (;;) {
        uint64_t now = atomic_load_explicit(&signals.pending, memory_order_seq_cst) &
                       ~atomic_load_explicit(&signals.blocked, memory_order_seq_cst);
        if (now == 0)
            return;
        int signal = __builtin_ctzll(now);
        if (atomic_fetch_and_explicit(&signals.pending, ~bit(signal), memory_order_relaxed) &
            bit(signal))
            deliver(signal);
    }
}

int raise(int signal)
{
    if (!is_signal(signal))
        return (int)skep_posix_result(-EINVAL);
    if (!(atomic_load_explicit(&signals.blocked, memory_order_seq_cst) & bit(signal))) {
        deliver(signal);
        return 0;
    }
    /* Another thread may unblock it meanwhile: that looks at what is pending after it has, and this looks at
     * what is blocked after it has made it pending, so that one of the two delivers it. */
    atomic_fetch_or_explicit(&signals.pending, bit(signal), memory_order_seq_cst);
    deliver_unblocked();
    atomic_fetch_add_explicit(&signals.raised, 1, memory_order_release);
    skep_wake(&signals.raised, SKEP_WAKE_ALL);
    return 0;
}

int kill(pid_t process, int signal)
{
    if (process != getpid() && process != 0)
        return (int)skep_posix_result(-ESRCH);
    return signal == 0 ? 0 : raise(signal);
}

int pthread_kill(pthread_t thread, int signal)
{
    return signal == 0 ? 0 : !is_signal(signal) ? EINVAL : raise(signal);
}

int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
    if (!is_signal(signal) || (action != NULL && (signal == SIGKILL || signal == SIGSTOP)))
        return (int)skep_posix_result(-EINVAL);
    skep_mutex_lock(&signals.lock);
    if (old != NULL)
        *old = signals.actions[signal];
    if (action != NULL)
        signals.actions[signal] = *action;
    skep_mutex_unlock(&signals.lock);
    return 0;
}

_sig_func_ptr signal(int number, _sig_func_ptr handler)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
    return sigaction(number, &action, &old) < 0 ? SIG_ERR : old.sa_handler;
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    uint64_t blocked = atomic_load_explicit(&signals.blocked, memory_order_relaxed);
    if (old != NULL)
        *old = blocked;
    if (set == NULL)
        return 0;
    switch (how) {
    case SIG_BLOCK:
        atomic_fetch_or_explicit(&signals.blocked, *set, memory_order_seq_cst);
        break;
    case SIG_UNBLOCK:
        atomic_fetch_and_explicit(&signals.blocked, ~*set, memory_order_seq_cst);
        break;
    case SIG_SETMASK:
        atomic_store_explicit(&signals.blocked, *set, memory_order_seq_cst);
        break;
    default:
        return EINVAL;
    }
    deliver_unblocked();
    return 0;
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    return (int)skep_posix_result(-pthread_sigmask(how, set, old));
}

int sigpending(sigset_t *set)
{
    *set = atomic_load_explicit(&signals.pending, memory_order_relaxed);
    return 0;
}

static uint32_t handlers_run(void)
{
    return atomic_load_explicit(&skep_posix_signal_count, memory_order_acquire);
}

/* Waits until a handler has run since there were so many. */
static void wait_for_signal(uint32_t seen)
{
    while (handlers_run() == seen)
        skep_wait(&skep_posix_signal_count, seen, SKEP_FOREVER);
}

int pause(void)
{
    wait_for_signal(handlers_run());
    return (int)skep_posix_result(-EINTR);
}

/* A signal that is pending is delivered by the change of the mask, and counts. */
int sigsuspend(const sigset_t *mask)
{
    sigset_t old;
    uint32_t seen = handlers_run();
    pthread_sigmask(SIG_SETMASK, mask, &old);
    wait_for_signal(seen);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return (int)skep_posix_result(-EINTR);
}

/* The signals in set are blocked, so that they become pending; of several threads one gets it. */
int sigwait(const sigset_t *set, int *signal)
{
    for (;;) {
        uint32_t seen = atomic_load_explicit(&signals.raised, memory_order_acquire);
        uint64_t now = atomic_load_explicit(&signals.pending, memory_order_relaxed) & *set;
        if (now == 0) {
            skep_wait(&signals.raised, seen, SKEP_FOREVER);
            continue;
        }
        *signal = __builtin_ctzll(now);
        if (atomic_fetch_and_explicit(&signals.pending, ~bit(*signal), memory_order_relaxed) &
            bit(*signal))
            return 0;
    }
}

int sigaltstack(const stack_t *restrict stack, stack_t *restrict old)
{
    if (old != NULL)
        *old = (stack_t){.ss_flags = SS_DISABLE};
    return 0;
}

/*
 * Shutdown: an event handler can't run the program's code, so a thread does. Without memory for one,
 * the guest ends at once.
 */

static void shut_down(void *unused)
{
    raise(SIGTERM);
}

static void shutdown_event(unsigned event, void *unused)
{
    if (skep_thread_create(NULL, SHUTDOWN_STACK_BYTES, shut_down, NULL) < 0)
        skep_exit(0);
}

void skep_posix_signals_start(void)
{
    skep_event_handler(SKEP_EVENT_SHUTDOWN, shutdown_event, NULL);
}

/*
 * Ends that are failures
 */

_Noreturn void abort(void)
{
    if (signals.actions[SIGABRT].sa_handler != SIG_DFL)
        raise(SIGABRT);
    skep_abort("abort() called");
}

_Noreturn void __assert_func(const char *file, int line, const char *function,
                             const char *condition)
{
    char message[256];
    snprintf(message, sizeof(message), "%s:%d: %s: assertion failed: %s", file, line,
             function ? function : "?", condition);
    skep_abort(message);
}
