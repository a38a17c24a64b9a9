/*
 * signal.c - signals, as far as a guest has them (see <sys/signal.h>), and the ways to die of one.
 */
#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"

#define HANDLER_STACK_BYTES 65536u

/* Who looks later than that takes it that a handler interrupts it. */
#define LATEST 16u

_Atomic uint32_t skep_interrupts;

/* What counted in skep_interrupts. */
struct interruption {
    int signal; /* 0: no handler, but a thread to be cancelled */
    bool restarts;
    const struct skep_thread *thread; /* is interrupted alone; NULL: all that don't block it */
};

static struct {
    struct skep_mutex lock; /* guards actions, infos and latest */
    struct interruption latest[LATEST];
    struct sigaction actions[NSIG];
    siginfo_t infos[NSIG];           /* of those that are pending */
    _Atomic uint64_t pending;        /* sent while all threads blocked them */
    _Atomic uint32_t sent;           /* counts those; sigwait() waits on it */
    _Atomic uint32_t blockers[NSIG]; /* threads that block a signal, of so many */
    _Atomic uint32_t threads;
} signals = {.threads = 1};

/* Of the thread: what it blocks, and what it raised meanwhile. */
static _Thread_local uint64_t blocked, own_pending;

/* The thread is none of the program's: it sends signals, and takes what one of those would. It isn't counted. */
static _Thread_local bool is_helper;

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

static void interrupt(struct interruption what)
{
    skep_mutex_lock(&signals.lock);
    uint32_t count = atomic_load_explicit(&skep_interrupts, memory_order_relaxed);
    signals.latest[count % LATEST] = what;
    /* Sequentially consistent: who waits sees it, or skep_interrupt() finds that one. */
    atomic_store_explicit(&skep_interrupts, count + 1, memory_order_seq_cst);
    skep_mutex_unlock(&signals.lock);
    skep_interrupt(what.thread);
}

void skep_posix_interrupt(const struct skep_thread *thread)
{
    interrupt((struct interruption){.thread = thread});
}

bool skep_posix_signals_is_helper(void)
{
    return is_helper;
}

static bool concerns_this(const struct interruption *what, enum skep_restart restart)
{
    if (what->signal == 0 || (what->restarts && restart == SKEP_RESTARTS))
        return false;
    return what->thread != NULL ? what->thread == skep_thread_self()
                                : !(blocked & bit(what->signal));
}

static bool is_interrupted(uint32_t *seen, enum skep_restart restart)
{
    skep_mutex_lock(&signals.lock);
    uint32_t count = atomic_load_explicit(&skep_interrupts, memory_order_relaxed);
    bool found = count - *seen > LATEST;
    for (; !found && *seen != count; ++*seen)
        found = concerns_this(&signals.latest[*seen % LATEST], restart);
    *seen = count;
    skep_mutex_unlock(&signals.lock);
    return found;
}

int skep_wait_interruptibly(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns,
                            uint32_t *seen, enum skep_restart restart)
{
    if (skep_interrupts_seen() != *seen && is_interrupted(seen, restart))
        return -EINTR;
    if (skep_posix_is_cancelled && skep_posix_is_cancelled())
        return -EINTR;
    return skep_wait_while(word, expected, deadline_ns, &skep_interrupts, *seen);
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

static siginfo_t info_of(int signal, int code, union sigval value)
{
    return (siginfo_t){.si_signo = signal, .si_code = code, .si_pid = 1, .si_value = value};
}

/* Runs the handler in this thread, which blocks meanwhile what it asked for. */
static void run_handler(int signal, const struct sigaction *action, siginfo_t *info,
                        const struct skep_thread *thread)
{
    sigset_t old, more = action->sa_mask;
    if (!(action->sa_flags & SA_NODEFER))
        more |= bit(signal);
    pthread_sigmask(SIG_BLOCK, &more, &old);
    if (action->sa_flags & SA_SIGINFO)
        action->sa_sigaction(signal, info, NULL);
    else
        action->sa_handler(signal);
    interrupt((struct interruption){signal, (action->sa_flags & SA_RESTART) != 0, thread});
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* thread: the one that is interrupted, NULL: all. */
static void deliver(int signal, siginfo_t info, const struct skep_thread *thread)
{
    skep_mutex_lock(&signals.lock);
    struct sigaction action = signals.actions[signal];
    if (action.sa_flags & SA_RESETHAND)
        signals.actions[signal].sa_handler = SIG_DFL;
    skep_mutex_unlock(&signals.lock);

    if (action.sa_handler == SIG_IGN)
        return;
    if (action.sa_handler == SIG_DFL)
        default_action(signal);
    else
        run_handler(signal, &action, &info, thread);
}

/* Takes a signal of the set that was raised by this thread or sent to all. 0: there is none. */
static int take_pending(uint64_t set, siginfo_t *info)
{
    uint64_t own = own_pending & set, all;
    while ((all = atomic_load_explicit(&signals.pending, memory_order_seq_cst) & set) != 0 ||
           own != 0) {
        int signal = __builtin_ctzll(own != 0 ? own : all);
        skep_mutex_lock(&signals.lock);
        *info = signals.infos[signal];
        skep_mutex_unlock(&signals.lock);
        if (own != 0)
            own_pending &= ~bit(signal);
        else if (!(atomic_fetch_and_explicit(&signals.pending, ~bit(signal), memory_order_relaxed) &
                   bit(signal)))
            continue; /* another thread was faster */
        return signal;
    }
    return 0;
}

static void deliver_unblocked(void)
{
    siginfo_t info;
    for (int signal; (signal = take_pending(~blocked, &info)) != 0;)
        deliver(signal, info, is_helper ? NULL : skep_thread_self());
}

/* Whether a thread of the program takes it. */
static bool is_wanted(int signal)
{
    return atomic_load_explicit(&signals.blockers[signal], memory_order_seq_cst) <
           atomic_load_explicit(&signals.threads, memory_order_seq_cst);
}

/* In place of those threads, which can't be interrupted. */
static void help(void *unused)
{
    (void)unused;
    is_helper = true;
    uint64_t wanted = 0;
    for (int signal = 1; signal < NSIG; signal++)
        wanted |= is_wanted(signal) ? bit(signal) : 0;
    blocked = ~wanted;
    deliver_unblocked();
}

static void make_pending(int signal, siginfo_t info, bool is_own)
{
    skep_mutex_lock(&signals.lock);
    signals.infos[signal] = info;
    skep_mutex_unlock(&signals.lock);
    if (is_own)
        own_pending |= bit(signal);
    else
        atomic_fetch_or_explicit(&signals.pending, bit(signal), memory_order_seq_cst);
    atomic_fetch_add_explicit(&signals.sent, 1, memory_order_release);
    skep_wake(&signals.sent, SKEP_WAKE_ALL);
}

static int send(int signal, siginfo_t info, const struct skep_thread *thread)
{
    if (!is_signal(signal))
        return -EINVAL;
    if (!is_helper && !(blocked & bit(signal))) {
        deliver(signal, info, thread);
        return 0;
    }
    /* A thread may unblock it meanwhile: that looks at what is pending after it has, and this looks at what is
     * blocked after it has made it pending, so that one of the two delivers it. */
    make_pending(signal, info, false);
    if (is_helper)
        help(NULL);
    else if (is_wanted(signal))
        skep_thread_create(NULL, HANDLER_STACK_BYTES, help, NULL); /* or it stays pending */
    return 0;
}

int skep_posix_raise(int signal, int code, union sigval value)
{
    return send(signal, info_of(signal, code, value), NULL);
}

int skep_posix_raise_in(int signal, const struct skep_thread *thread)
{
    return send(signal, info_of(signal, SI_USER, (union sigval){0}), thread);
}

int raise(int signal)
{
    if (!is_signal(signal))
        return (int)skep_posix_result(-EINVAL);
    siginfo_t info = info_of(signal, SI_USER, (union sigval){0});
    if (blocked & bit(signal))
        make_pending(signal, info, true);
    else
        deliver(signal, info, skep_thread_self());
    return 0;
}

static bool is_this_process(pid_t process)
{
    return process == getpid() || process == 0 || process == -1;
}

int sigqueue(pid_t process, int signal, const union sigval value)
{
    int result = !is_this_process(process) ? -ESRCH
                 : signal == 0             ? 0
                                           : skep_posix_raise(signal, SI_QUEUE, value);
    return (int)skep_posix_result(result);
}

int kill(pid_t process, int signal)
{
    if (!is_this_process(process))
        return (int)skep_posix_result(-ESRCH);
    return signal == 0
               ? 0
               : (int)skep_posix_result(skep_posix_raise(signal, SI_USER, (union sigval){0}));
}

int killpg(pid_t group, int signal)
{
    return kill(group, signal);
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

int siginterrupt(int signal, int interrupts)
{
    struct sigaction action;
    if (sigaction(signal, NULL, &action) < 0)
        return -1;
    action.sa_flags = interrupts ? action.sa_flags & ~SA_RESTART : action.sa_flags | SA_RESTART;
    return sigaction(signal, &action, NULL);
}

/* One more or one less that blocks these. */
static void count_blockers(uint64_t set, uint32_t change)
{
    for (; set != 0; set &= set - 1)
        atomic_fetch_add_explicit(&signals.blockers[__builtin_ctzll(set)], change,
                                  memory_order_seq_cst);
}

/* What the thread blocks from now on. */
static void set_blocked(uint64_t mask)
{
    if (!is_helper) {
        count_blockers(mask & ~blocked, 1);
        count_blockers(blocked & ~mask, -1u);
    }
    blocked = mask;
}

static const uint64_t never_blocked = 1 | 1ull << SIGKILL | 1ull << SIGSTOP;

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    uint64_t mask = blocked;
    if (set != NULL) {
        switch (how) {
        case SIG_BLOCK:
            mask |= *set;
            break;
        case SIG_UNBLOCK:
            mask &= ~*set;
            break;
        case SIG_SETMASK:
            mask = *set;
            break;
        default:
            return EINVAL;
        }
    }
    if (old != NULL)
        *old = blocked;
    set_blocked(mask & ~never_blocked);
    deliver_unblocked();
    return 0;
}

/* The counts don't change together: what was sent meanwhile may be wanted after all. */
static void look_again(void)
{
    uint64_t left = atomic_load_explicit(&signals.pending, memory_order_seq_cst);
    for (; left != 0; left &= left - 1)
        if (is_wanted(__builtin_ctzll(left))) {
            skep_thread_create(NULL, HANDLER_STACK_BYTES, help, NULL);
            return;
        }
}

uint64_t skep_posix_signals_thread_new(void)
{
    uint64_t mask = blocked & ~never_blocked;
    count_blockers(mask, 1);
    atomic_fetch_add_explicit(&signals.threads, 1, memory_order_seq_cst);
    look_again();
    return mask;
}

void skep_posix_signals_thread_start(uint64_t mask)
{
    blocked = mask;
}

void skep_posix_signals_thread_end(void)
{
    atomic_fetch_sub_explicit(&signals.threads, 1, memory_order_seq_cst);
    count_blockers(blocked & ~never_blocked, -1u);
    look_again();
}

void skep_posix_signals_help(void)
{
    is_helper = true;
    blocked = ~0ull;
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    return (int)skep_posix_result(-pthread_sigmask(how, set, old));
}

int sigpending(sigset_t *set)
{
    *set = atomic_load_explicit(&signals.pending, memory_order_relaxed) | own_pending;
    return 0;
}

/* Waits until a handler has run. */
static void wait_for_signal(uint32_t seen)
{
    while (skep_wait_interruptibly(&skep_interrupts, seen, SKEP_FOREVER, &seen,
                                   SKEP_NEVER_RESTARTS) != -EINTR)
        ;
}

int pause(void)
{
    wait_for_signal(skep_interrupts_seen());
    return (int)skep_posix_result(-EINTR);
}

/* A signal that is pending is delivered by the change of the mask, and counts. */
int sigsuspend(const sigset_t *mask)
{
    sigset_t old;
    uint32_t seen = skep_interrupts_seen();
    pthread_sigmask(SIG_SETMASK, mask, &old);
    wait_for_signal(seen);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return (int)skep_posix_result(-EINTR);
}

/* The signals in set are blocked, so that they become pending; of several threads one gets it. */
static int wait_until(const sigset_t *set, siginfo_t *info, uint64_t deadline_ns)
{
    siginfo_t unused;
    uint32_t interrupts = skep_interrupts_seen();
    skep_posix_may_end();
    for (;;) {
        uint32_t seen = atomic_load_explicit(&signals.sent, memory_order_acquire);
        int signal = take_pending(*set, info != NULL ? info : &unused);
        if (signal != 0)
            return signal;
        int result = skep_wait_interruptibly(&signals.sent, seen, deadline_ns, &interrupts,
                                             SKEP_NEVER_RESTARTS);
        if (result == -ETIMEDOUT)
            return -EAGAIN;
        if (result == -EINTR)
            return -EINTR;
    }
}

int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    uint64_t span_ns;
    if (timeout == NULL)
        return sigwaitinfo(set, info);
    if (!skep_posix_span(timeout, &span_ns))
        return (int)skep_posix_result(-EINVAL);
    return (int)skep_posix_result(wait_until(set, info, skep_posix_deadline_in(span_ns)));
}

int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
    return (int)skep_posix_result(wait_until(set, info, SKEP_FOREVER));
}

int sigwait(const sigset_t *set, int *signal)
{
    int result;
    while ((result = wait_until(set, NULL, SKEP_FOREVER)) == -EINTR)
        ;
    *signal = result;
    return 0;
}

/* Of sigsetjmp(). */
void skep_posix_save_mask(sigjmp_buf env, int save)
{
    env->__has_mask = save;
    if (save)
        env->__mask = blocked;
}

void siglongjmp(sigjmp_buf env, int value)
{
    if (env->__has_mask)
        pthread_sigmask(SIG_SETMASK, &env->__mask, NULL);
    longjmp(env->__registers, value);
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
    (void)unused;
    skep_posix_signals_help();
    skep_posix_raise(SIGTERM, SI_USER, (union sigval){0});
}

static void shutdown_event(unsigned event, void *unused)
{
    if (skep_thread_create(NULL, HANDLER_STACK_BYTES, shut_down, NULL) < 0)
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
