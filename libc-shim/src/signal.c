/*
 * signal.c - signals, as far as a guest has them (see <sys/signal.h>).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "fd_internal.h"
#include "pending.h"
#include "shim.h"
#include "timers.h"

#define HANDLER_STACK_BYTES 65536u

static const uint64_t never_blocked = 1 | 1ull << SIGKILL | 1ull << SIGSTOP;

/* A handler that has run counts so in a thread's interrupts: in the upper half, too, if it ends calls that SA_RESTART would
 * have go on. */
#define RAN         1ull
#define RAN_FOR_ALL (1ull << 32 | RAN)

struct skep_posix_signals skep_posix_first_signals;
_Atomic uint32_t skep_posix_signals_sent;

static struct {
    struct skep_mutex lock; /* guards actions and which threads there are; pending.c's is inner */
    struct sigaction actions[NSIG];
    _Atomic uint64_t pending; /* sent to the process while all threads blocked them */
} signals;

/* Of threads that are none of the program's: they send signals, and take what one of those would. */
static _Thread_local struct skep_posix_signals helper;

/* The thread's. */
static _Thread_local struct skep_posix_signals *own = &skep_posix_first_signals;

/* Of the thread's call that a signal interrupts which is to be handled when it is out of it: whether it begins again, unless
 * another handler runs than those with SA_RESTART. */
static _Thread_local struct call {
    bool restarts;
    uint64_t seen;
} interrupted_call;

/* What the thread has taken in such a call, which that ends for: nobody else can take it any more, and it is handled when the
 * thread is out of the call. si_signo 0: nothing. */
static _Thread_local struct {
    siginfo_t info;
    struct sigaction action;
} taken_for_call;

static void deliver_unblocked(struct skep_context *interrupted);
static bool take_for_call(void);

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

static uint64_t blocked_by(const struct skep_posix_signals *thread)
{
    return atomic_load_explicit(&thread->blocked, memory_order_seq_cst);
}

static bool takes(const struct skep_posix_signals *thread, int signal)
{
    return !(blocked_by(thread) & bit(signal));
}

bool skep_posix_signals_is_helper(void)
{
    return own == &helper;
}

/*
 * Threads of the program. The first one is the list's head; when it has ended it stays there and blocks all. The lock is
 * held.
 */

/* NULL: it has ended. */
static struct skep_posix_signals *find(const struct skep_posix_signals *wanted)
{
    struct skep_posix_signals *thread = &skep_posix_first_signals;
    while (thread != NULL && thread != wanted)
        thread = thread->next;
    return thread;
}

/* Which thread handles a signal to the process: the first one, as on Linux, if that takes it, else the one that sends it,
 * else one that waits, else any that takes it. NULL: there is none. */
static struct skep_posix_signals *choose(int signal)
{
    struct skep_posix_signals *found = NULL;
    if (takes(&skep_posix_first_signals, signal))
        return &skep_posix_first_signals;
    if (!skep_posix_signals_is_helper() && takes(own, signal))
        return own;
    for (struct skep_posix_signals *thread = skep_posix_first_signals.next; thread != NULL;
         thread = thread->next) {
        if (!takes(thread, signal))
            continue;
        if (atomic_load_explicit(&thread->waits, memory_order_relaxed))
            return thread;
        found = thread;
    }
    return found;
}

/*
 * Detours: how a thread comes to run handlers, and to its end. What is to be done is said before the thread is made to look.
 */

/* Whether something is pending that the thread hasn't looked at. It may turn out to be another thread's by then. */
static bool is_due(void)
{
    return atomic_load_explicit(&own->is_due, memory_order_seq_cst);
}

static void handle(struct skep_context *interrupted)
{
    deliver_unblocked(interrupted);
}

/* In a call that waits a thread ends by itself, and handles signals when it is out of it. One that has ended but for its last
 * steps is none of the program's. */
static skep_detour *ask(void)
{
    if (skep_posix_signals_is_helper() || atomic_load_explicit(&own->waits, memory_order_relaxed))
        return NULL;
    skep_detour *end = skep_posix_asks_for_end ? skep_posix_asks_for_end() : NULL;
    return end != NULL ? end : is_due() ? handle : NULL;
}

/* The lock is held. The count is sequentially consistent: who waits sees it, or skep_thread_divert() finds that one. */
static void make_look(struct skep_posix_signals *target)
{
    atomic_fetch_add_explicit(&target->changes, 1, memory_order_seq_cst);
    if (target != own && target->thread != NULL)
        skep_thread_divert(target->thread, ask);
}

static void make_due(struct skep_posix_signals *target)
{
    atomic_store_explicit(&target->is_due, true, memory_order_seq_cst);
    make_look(target);
}

void skep_posix_interrupt(struct skep_posix_signals *target)
{
    skep_mutex_lock(&signals.lock);
    if (find(target) != NULL)
        make_look(target);
    skep_mutex_unlock(&signals.lock);
}

/* What is pending for the process and this thread doesn't take any more another one may. */
static void leave_to_others(uint64_t set)
{
    set &= atomic_load_explicit(&signals.pending, memory_order_seq_cst);
    if (set == 0)
        return;
    skep_mutex_lock(&signals.lock);
    for (; set != 0; set &= set - 1) {
        struct skep_posix_signals *other = choose(__builtin_ctzll(set));
        if (other != NULL)
            make_due(other);
    }
    skep_mutex_unlock(&signals.lock);
}

/*
 * Interrupted calls
 */

uint64_t skep_interrupts_seen(void)
{
    return atomic_load_explicit(&own->interrupts, memory_order_acquire);
}

/* Whether a handler has run since that interrupts such a call. */
static bool is_interrupted(uint64_t *seen, enum skep_restart restart)
{
    uint64_t now = atomic_load_explicit(&own->interrupts, memory_order_seq_cst);
    bool found = restart == SKEP_NEVER_RESTARTS ? now != *seen
                 : restart == SKEP_RESTARTS     ? now >> 32 != *seen >> 32
                                                : false;
    *seen = now;
    return found;
}

int skep_wait_interruptibly(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns,
                            uint64_t *seen, enum skep_restart restart)
{
    uint32_t changes = atomic_load_explicit(&own->changes, memory_order_seq_cst);
    interrupted_call.restarts = false;
    if (is_interrupted(seen, restart))
        return -EINTR;
    if (restart != SKEP_ALWAYS_RESTARTS && is_due() && take_for_call()) {
        interrupted_call = (struct call){restart == SKEP_RESTARTS, *seen};
        return -EINTR;
    }
    if (skep_posix_ends_wait && skep_posix_ends_wait())
        return -EINTR;
    atomic_store_explicit(&own->waits, true, memory_order_relaxed);
    int result = skep_wait_while(word, expected, deadline_ns, &own->changes, changes);
    atomic_store_explicit(&own->waits, false, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    skep_detour_make(); /* asked while it waited, it had none to make */
    return result;
}

void skep_posix_signals_handle(void)
{
    if (is_due())
        deliver_unblocked(NULL);
}

bool skep_posix_restarts(void)
{
    skep_posix_signals_handle();
    uint64_t now = atomic_load_explicit(&own->interrupts, memory_order_relaxed);
    bool result = interrupted_call.restarts && now >> 32 == interrupted_call.seen >> 32;
    interrupted_call.restarts = false;
    return result;
}

void skep_cancellation_point(void)
{
    skep_posix_may_end();
}

static bool is_ignored(const struct sigaction *action, int signal)
{
    return action->sa_handler == SIG_IGN ||
           (action->sa_handler == SIG_DFL &&
            (signal == SIGCHLD || signal == SIGCONT || signal == SIGURG || signal == SIGWINCH));
}

_Noreturn static void end_by(int signal)
{
    if (signal == SIGTERM || signal == SIGINT)
        exit(0);
    die_of(signal);
}

static siginfo_t info_of(int signal, int code, union sigval value)
{
    return (siginfo_t){.si_signo = signal,
                       .si_code = code,
                       .si_pid = getpid(),
                       .si_uid = getuid(),
                       .si_value = value};
}

static void block(uint64_t set)
{
    atomic_store_explicit(&own->blocked, set & ~never_blocked, memory_order_seq_cst);
}

/* What waits from now on is interrupted by what has run. */
static void count_handler(const struct sigaction *action)
{
    atomic_fetch_add_explicit(&own->interrupts, action->sa_flags & SA_RESTART ? RAN : RAN_FOR_ALL,
                              memory_order_seq_cst);
    atomic_fetch_add_explicit(&own->changes, 1, memory_order_seq_cst);
}

/* Runs the handler in this thread, which blocks meanwhile what it asked for. */
static void run_handler(const struct sigaction *action, siginfo_t *info,
                        const struct skep_fault *fault, struct skep_context *interrupted)
{
    sigset_t mask = blocked_by(own);
    const struct call call = interrupted_call;
    int error = errno;
    block(mask | action->sa_mask | (action->sa_flags & SA_NODEFER ? 0 : bit(info->si_signo)));
    skep_posix_call_handler(action, info, fault, interrupted, &mask);
    count_handler(action);
    block(mask);
    interrupted_call = call;
    errno = error;
}

static bool has_handler(int signal)
{
    _sig_func_ptr handler = __atomic_load_n(&signals.actions[signal].sa_handler, __ATOMIC_RELAXED);
    return handler != SIG_DFL && handler != SIG_IGN;
}

/* Once it is to be handled. The lock is held. */
static struct sigaction take_action(int signal)
{
    struct sigaction action = signals.actions[signal];
    if ((action.sa_flags & SA_RESETHAND) && has_handler(signal))
        signals.actions[signal].sa_handler = SIG_DFL;
    return action;
}

/* Whether it had a handler. */
static bool act(const struct sigaction *action, siginfo_t *info, struct skep_context *interrupted)
{
    if (is_ignored(action, info->si_signo))
        return false;
    if (action->sa_handler == SIG_DFL)
        end_by(info->si_signo);
    run_handler(action, info, NULL, interrupted);
    return true;
}

/* No lock: the thread may have been amid a change of the actions. */
bool skep_posix_takes_fault(int signal, int *flags)
{
    const struct sigaction *action = &signals.actions[signal];
    *flags = __atomic_load_n(&action->sa_flags, __ATOMIC_RELAXED);
    return !skep_posix_signals_is_helper() && takes(own, signal) && has_handler(signal);
}

/* If another thread has taken the handler away meanwhile, the guest ends by the signal. */
void skep_posix_handle_fault(siginfo_t *info, const struct skep_fault *fault,
                             struct skep_context *interrupted)
{
    skep_mutex_lock(&signals.lock);
    const struct sigaction action = take_action(info->si_signo);
    skep_mutex_unlock(&signals.lock);
    if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)
        die_of(info->si_signo);
    run_handler(&action, info, fault, interrupted);
    deliver_unblocked(interrupted); /* what the handler had blocked */
}

int skep_posix_take_pending(uint64_t set, siginfo_t *info)
{
    int signal = skep_posix_pending_take(&own->pending, set, info);
    return signal != 0 ? signal : skep_posix_pending_take(&signals.pending, set, info);
}

static bool take_unblocked(siginfo_t *info, struct sigaction *action)
{
    uint64_t some = atomic_load_explicit(&own->pending, memory_order_seq_cst) |
                    atomic_load_explicit(&signals.pending, memory_order_seq_cst);
    if ((some & ~blocked_by(own)) == 0)
        return false;
    skep_mutex_lock(&signals.lock);
    int signal = skep_posix_take_pending(~blocked_by(own), info);
    if (signal != 0)
        *action = take_action(signal);
    skep_mutex_unlock(&signals.lock);
    return signal != 0;
}

/* For a call to end. False: there is nothing but what is ignored, as another thread has taken the rest. */
static bool take_for_call(void)
{
    skep_detours_hold();
    atomic_store_explicit(&own->is_due, false, memory_order_seq_cst);
    while (taken_for_call.info.si_signo == 0 &&
           take_unblocked(&taken_for_call.info, &taken_for_call.action))
        if (is_ignored(&taken_for_call.action, taken_for_call.info.si_signo))
            taken_for_call.info.si_signo = 0;
    bool found = taken_for_call.info.si_signo != 0;
    if (found)
        atomic_store_explicit(&own->is_due, true, memory_order_seq_cst);
    skep_detours_release();
    return found;
}

static bool take_next(siginfo_t *info, struct sigaction *action)
{
    skep_detours_hold(); /* or one of them would take it, too */
    bool found = taken_for_call.info.si_signo != 0;
    if (found) {
        *info = taken_for_call.info;
        *action = taken_for_call.action;
        taken_for_call.info.si_signo = 0;
    }
    skep_detours_release();
    return found || take_unblocked(info, action);
}

/* Handles all that this thread takes. */
static void deliver_unblocked(struct skep_context *interrupted)
{
    siginfo_t info;
    struct sigaction action;
    atomic_store_explicit(&own->is_due, false, memory_order_seq_cst);
    while (take_next(&info, &action))
        act(&action, &info, interrupted);
}

/* 0 or -EAGAIN: too many are. */
static int make_pending(const siginfo_t *info, _Atomic uint64_t *receiver)
{
    int result = skep_posix_pending_add(receiver, info);
    if (result != 0)
        return result;
    atomic_fetch_add_explicit(&skep_posix_signals_sent, 1, memory_order_release);
    skep_wake(&skep_posix_signals_sent, SKEP_WAKE_ALL);
    return 0;
}

/* The lock is held. Returns whether the signal is to be acted upon here and now: nobody else's handler is called for it.
 * Else it is pending. A thread may unblock a signal while it is sent: that looks at what is pending after it has, and the
 * sender looks at what is blocked after it has made it pending, so that one of the two sees to it. */
static bool is_for_sender(const siginfo_t *info, struct skep_posix_signals *target, int *result)
{
    int signal = info->si_signo;
    struct skep_posix_signals *taker = target == NULL          ? choose(signal)
                                       : takes(target, signal) ? target
                                                               : NULL;
    if (taker != NULL && (taker == own || !has_handler(signal)))
        return true;
    *result = make_pending(info, target != NULL ? &target->pending : &signals.pending);
    taker = target == NULL ? choose(signal) : takes(target, signal) ? target : NULL;
    if (taker != NULL)
        make_due(taker);
    return false;
}

/* target: the thread that it is for, which may have ended; NULL: the process. */
static int send(siginfo_t info, struct skep_posix_signals *target)
{
    if (!is_signal(info.si_signo))
        return -EINVAL;
    int result = 0;
    struct sigaction action;
    skep_mutex_lock(&signals.lock);
    bool is_there = target == NULL || find(target) != NULL;
    bool acts = is_there && is_for_sender(&info, target, &result);
    if (acts)
        action = take_action(info.si_signo);
    skep_mutex_unlock(&signals.lock);
    if (acts && act(&action, &info, NULL))
        deliver_unblocked(NULL); /* what the handler had blocked */
    return result;
}

int skep_posix_raise(int signal, int code, union sigval value)
{
    return send(info_of(signal, code, value), NULL);
}

void skep_posix_raise_timer(struct skep_timer *timer, const struct sigevent *event, uint32_t late)
{
    siginfo_t info = info_of(event->sigev_signo, SI_TIMER, event->sigev_value);
    info.si_overrun = (int)late;
    info.__timer = timer;
    send(info, NULL);
}

int skep_posix_raise_in(int signal, struct skep_posix_signals *target)
{
    return send(info_of(signal, SI_TKILL, (union sigval){0}), target);
}

/* A thread that is none of the program's does that for the process. */
static int raise_here(int signal, int code)
{
    return send(info_of(signal, code, (union sigval){0}),
                skep_posix_signals_is_helper() ? NULL : own);
}

int raise(int signal)
{
    return (int)skep_posix_result(raise_here(signal, SI_TKILL));
}

void skep_posix_raise_here(int signal)
{
    raise_here(signal, SI_USER);
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

static void discard_from(_Atomic uint64_t *receiver, int signal)
{
    siginfo_t unused;
    while (skep_posix_pending_take(receiver, bit(signal), &unused) != 0)
        ;
}

/* What is pending of it, anywhere. The lock is held. */
static void discard(int signal)
{
    discard_from(&signals.pending, signal);
    for (struct skep_posix_signals *thread = &skep_posix_first_signals; thread != NULL;
         thread = thread->next)
        discard_from(&thread->pending, signal);
}

int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
    if (!is_signal(signal) || (action != NULL && (signal == SIGKILL || signal == SIGSTOP)))
        return (int)skep_posix_result(-EINVAL);
    /* With the lock held the program's memory isn't touched: a fault there would find it taken_for_call. */
    const struct sigaction wanted = action != NULL ? *action : (struct sigaction){0};
    skep_mutex_lock(&signals.lock);
    const struct sigaction former = signals.actions[signal];
    if (action != NULL)
        signals.actions[signal] = wanted;
    if (action != NULL && wanted.sa_handler == SIG_IGN)
        discard(signal);
    bool handled = has_handler(signal);
    skep_mutex_unlock(&signals.lock);
    if (handled)
        skep_posix_faults_wanted(signal);
    if (old != NULL)
        *old = former;
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

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    uint64_t mask = blocked_by(own);
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
        *old = blocked_by(own);
    uint64_t before = blocked_by(own);
    block(mask);
    leave_to_others(mask & ~before);
    deliver_unblocked(NULL);
    return 0;
}

void skep_posix_signals_thread_new(struct skep_posix_signals *thread)
{
    atomic_init(&thread->blocked, blocked_by(own) & ~never_blocked);
    skep_mutex_lock(&signals.lock);
    thread->next = skep_posix_first_signals.next;
    skep_posix_first_signals.next = thread;
    skep_mutex_unlock(&signals.lock);
}

void skep_posix_signals_thread_start(struct skep_posix_signals *thread)
{
    own = thread;
    skep_mutex_lock(&signals.lock);
    thread->thread = skep_thread_self();
    skep_mutex_unlock(&signals.lock);
    skep_posix_signals_handle(); /* what was sent to it before */
}

void skep_posix_signals_thread_gone(struct skep_posix_signals *thread)
{
    struct skep_posix_signals *before = &skep_posix_first_signals;
    skep_mutex_lock(&signals.lock);
    thread->thread = NULL;
    atomic_store_explicit(&thread->blocked, ~0ull, memory_order_seq_cst);
    while (before != NULL && before->next != thread)
        before = before->next;
    if (before != NULL)
        before->next = thread->next;
    skep_posix_pending_forget(&thread->pending);
    skep_mutex_unlock(&signals.lock);
    leave_to_others(~0ull);
}

void skep_posix_signals_thread_end(void)
{
    struct skep_posix_signals *thread = own;
    if (taken_for_call.info.si_signo != 0)
        deliver_unblocked(NULL); /* nobody else can */
    skep_posix_signals_help();
    skep_posix_signals_thread_gone(thread);
}

void skep_posix_signals_help(void)
{
    own = &helper;
    atomic_store_explicit(&own->blocked, ~0ull, memory_order_relaxed);
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    return (int)skep_posix_result(-pthread_sigmask(how, set, old));
}

int sigpending(sigset_t *set)
{
    *set = atomic_load_explicit(&signals.pending, memory_order_relaxed) |
           atomic_load_explicit(&own->pending, memory_order_relaxed);
    return 0;
}

void skep_posix_tell_place(struct __skep_place *place)
{
    struct skep_posix_locks locks = skep_posix_locks_now();
    *place = (struct __skep_place){.__held = skep_detours.held,
                                   .__kept = locks.kept_count,
                                   .__refuses = skep_errands_refuse(true),
                                   .__last_lock = locks.last};
    skep_errands_refuse(place->__refuses);
}

void skep_posix_go_to_place(const struct __skep_place *place, const sigset_t *mask)
{
    skep_detours_hold(); /* until all is as it was; each stream that flockfile() has holds them, too */
    skep_posix_locks_abandon(place->__last_lock);
    skep_detours.held = place->__held + skep_posix_locks_now().kept_count - place->__kept;
    skep_errands_refuse(place->__refuses);
    if (mask != NULL)
        pthread_sigmask(SIG_SETMASK, mask, NULL);
    else
        deliver_unblocked(NULL); /* what the handler has left undone */
    if (skep_detours.held == 0 && skep_detours.due)
        skep_detours_catch_up();
}

/* Of sigsetjmp(). */
void skep_posix_save_mask(sigjmp_buf env, int save)
{
    env->__has_mask = save;
    if (save)
        env->__mask = blocked_by(own);
    skep_posix_tell_place(&env->__place);
}

void siglongjmp(sigjmp_buf env, int value)
{
    skep_posix_go_to_place(&env->__place, env->__has_mask ? &env->__mask : NULL);
    longjmp(env->__registers, value);
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
    skep_posix_first_signals.thread = skep_thread_self();
    skep_event_handler(SKEP_EVENT_SHUTDOWN, shutdown_event, NULL);
}
