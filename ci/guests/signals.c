/*
 * signals.c - signals within a process, and timers that raise them. Prints what it finds; the same program does
 * on Linux, and prints the same.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

static _Atomic int calls, last_signal, last_value, nested;

static void count(int signal)
{
    last_signal = signal;
    calls++;
}

static void handle(int signal, void (*function)(int), int flags)
{
    struct sigaction action = {.sa_handler = function, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(signal, &action, NULL) == 0);
}

static sigset_t only(int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

static void await_calls(int wanted)
{
    for (int i = 0; calls < wanted; i++) {
        CHECK(i < 10000);
        usleep(1000);
    }
}

static void show(const char *what, int result)
{
    printf("%s %d, calls %d\n", what, result, calls);
}

static void test_handlers(void)
{
    struct sigaction old;
    handle(SIGUSR1, count, 0);
    show("raise", raise(SIGUSR1));
    show("kill", kill(getpid(), SIGUSR1));
    show("none", kill(getpid(), 0));
    show("bad", raise(-1) < 0 && errno == EINVAL);
    show("bad", kill(getpid(), 999) < 0 && errno == EINVAL);
    printf("no process %d\n", kill(77777, SIGUSR1) < 0 && errno == ESRCH);
    handle(SIGUSR1, count, SA_RESETHAND);
    raise(SIGUSR1);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0);
    printf("reset %d, calls %d\n", old.sa_handler == SIG_DFL, calls);
    handle(SIGUSR1, SIG_IGN, SA_RESETHAND);
    show("ignored", raise(SIGUSR1));
    show("still ignored", raise(SIGUSR1));
    printf("SIGKILL %d\n", signal(SIGKILL, SIG_IGN) == SIG_ERR && errno == EINVAL);
}

/* SIGUSR1's handler raises it again and SIGUSR2, both of which wait until it is through. */
static void raise_more(int signal)
{
    int before = calls;
    if (signal == SIGUSR1 && nested++ == 0) {
        raise(SIGUSR1);
        raise(SIGUSR2);
        printf("in the handler: %d\n", calls - before);
    }
    calls++;
}

static void test_masks(void)
{
    sigset_t set = only(SIGUSR1), old, pending;
    calls = 0;
    handle(SIGUSR1, count, 0);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
    printf("was blocked %d\n", sigismember(&old, SIGUSR1));
    raise(SIGUSR1);
    raise(SIGUSR1);
    CHECK(sigpending(&pending) == 0);
    printf("pending %d, calls %d\n", sigismember(&pending, SIGUSR1), calls);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    printf("unblocked, calls %d\n", calls);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    raise(SIGUSR1);
    kill(getpid(), SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR1, count);
    CHECK(sigpending(&pending) == 0);
    printf("ignored %d\n", sigismember(&pending, SIGUSR1));
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    printf("nor later, calls %d\n", calls);
    struct sigaction action = {.sa_handler = raise_more};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGUSR2, &action, NULL) == 0);
    calls = 0;
    raise(SIGUSR1);
    printf("afterwards: %d\n", calls);
}

/*
 * Masks are threads' own: what one blocks, another one gets.
 */

static void *wait_for_usr1(void *unused)
{
    sigset_t set = only(SIGUSR1);
    int signal = 0;
    CHECK(sigwait(&set, &signal) == 0);
    printf("sigwait %d\n", signal == SIGUSR1);
    return unused;
}

static void *block_all(void *unused)
{
    sigset_t all, old;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_BLOCK, &all, &old) == 0);
    printf("inherited %d\n", sigismember(&old, SIGUSR2) && !sigismember(&old, SIGUSR1));
    CHECK(kill(getpid(), SIGUSR1) == 0); /* main hasn't blocked it */
    await_calls(1);
    return unused;
}

static void test_thread_masks(void)
{
    sigset_t set = only(SIGUSR2), usr1 = only(SIGUSR1);
    pthread_t thread;
    calls = 0;
    handle(SIGUSR1, count, 0);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    CHECK(pthread_create(&thread, NULL, block_all, NULL) == 0);
    pthread_join(thread, NULL);
    printf("got by another %d\n", calls);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);

    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    CHECK(pthread_create(&thread, NULL, wait_for_usr1, NULL) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    printf("handler not run %d\n", calls);
}

/*
 * What one thread is sent it gets, though others don't block it, and when it doesn't block it any more.
 */

static _Atomic bool is_blocked, is_sent;

static void *wait_for_own(void *unused)
{
    sigset_t set = only(SIGUSR2), pending;
    int signal = 0;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    is_blocked = true;
    CHECK(sigwait(&set, &signal) == 0);
    printf("own %d, calls %d\n", signal == SIGUSR2, calls);
    is_blocked = false;
    while (!is_sent)
        usleep(1000);
    CHECK(sigpending(&pending) == 0);
    printf("pending %d, calls %d\n", sigismember(&pending, SIGUSR2), calls);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    printf("unblocked, calls %d\n", calls);
    return unused;
}

static void test_sent_to_thread(void)
{
    sigset_t pending;
    pthread_t thread;
    calls = 0;
    handle(SIGUSR2, count, 0);
    CHECK(pthread_create(&thread, NULL, wait_for_own, NULL) == 0);
    while (!is_blocked)
        usleep(1000);
    CHECK(pthread_kill(thread, SIGUSR2) == 0);
    while (is_blocked)
        usleep(1000);
    CHECK(pthread_kill(thread, SIGUSR2) == 0);
    CHECK(sigpending(&pending) == 0);
    printf("not pending here %d\n", sigismember(&pending, SIGUSR2));
    is_sent = true;
    pthread_join(thread, NULL);
}

static void *wait_for_call(void *unused)
{
    await_calls(1);
    return unused;
}

static void *wait_for_two_calls(void *unused)
{
    await_calls(2);
    return unused;
}

/* The sender blocks it, the other one doesn't. */
static void test_sent_while_blocked(void)
{
    sigset_t set = only(SIGUSR2), pending;
    pthread_t thread;
    calls = 0;
    CHECK(pthread_create(&thread, NULL, wait_for_call, NULL) == 0);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    CHECK(pthread_kill(thread, SIGUSR2) == 0);
    pthread_join(thread, NULL);
    CHECK(sigpending(&pending) == 0);
    printf("there %d, here %d\n", calls, sigismember(&pending, SIGUSR2));
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/*
 * Sets, flags of handlers, and where signals come from
 */

static void test_sets(void)
{
    sigset_t set;
    say("empty", sigemptyset(&set));
    say("none", sigismember(&set, SIGRTMAX));
    say("add", sigaddset(&set, SIGRTMAX));
    say("there", sigismember(&set, SIGRTMAX));
    say("delete", sigdelset(&set, SIGRTMAX));
    say("gone", sigismember(&set, SIGRTMAX));
    say("zero", sigaddset(&set, 0));
    say("no signal", sigaddset(&set, SIGRTMAX + 1));
    say("negative", sigdelset(&set, -1));
    say("is none", sigismember(&set, 9999));
    say("fill", sigfillset(&set));
    say("there", sigismember(&set, 1));
}

static int depth, deepest;

static void raise_again(int signal)
{
    if (++depth > deepest)
        deepest = depth;
    if (deepest < 3)
        raise(signal);
    depth--;
}

static void test_flags(void)
{
    struct sigaction old;
    handle(SIGUSR1, raise_again, SA_NODEFER);
    raise(SIGUSR1);
    printf("deepest %d\n", deepest);
    handle(SIGUSR1, count, SA_RESETHAND | SA_NODEFER);
    calls = 0;
    raise(SIGUSR1);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0);
    printf("once %d, reset %d\n", calls, old.sa_handler == SIG_DFL);
}

static _Alignas(16) char other_stack[65536];

static bool is_on_other(void)
{
    char here;
    return &here > other_stack && &here < other_stack + sizeof(other_stack);
}

static void look_at_stack(int signal)
{
    stack_t now;
    CHECK(sigaltstack(NULL, &now) == 0);
    printf("on its own %d, told %d\n", is_on_other(), now.ss_flags == SS_ONSTACK);
    say("not now", sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL));
    if (signal == SIGUSR1)
        raise(SIGUSR2);
    printf("back %d\n", is_on_other());
}

static void test_stacks(void)
{
    stack_t stack = {.ss_sp = other_stack, .ss_size = 100}, old;
    say("none", sigaltstack(NULL, &old));
    printf("disabled %d\n", old.ss_flags == SS_DISABLE);
    say("small", sigaltstack(&stack, NULL));
    stack.ss_size = sizeof(other_stack);
    stack.ss_flags = 1 << 20;
    say("strange", sigaltstack(&stack, NULL));
    stack.ss_flags = 0;
    say("set", sigaltstack(&stack, NULL));
    handle(SIGUSR1, look_at_stack, SA_ONSTACK);
    handle(SIGUSR2, look_at_stack, SA_ONSTACK);
    raise(SIGUSR1);
    say("end", sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, &old));
    printf("was %d\n", old.ss_sp == other_stack && old.ss_flags == 0);
    handle(SIGUSR1, count, SA_ONSTACK);
    calls = 0;
    raise(SIGUSR1);
    printf("without %d\n", calls);
}

static const char *code_name(int code)
{
    return code == SI_USER    ? "SI_USER"
           : code == SI_QUEUE ? "SI_QUEUE"
           : code == SI_TKILL ? "SI_TKILL"
           : code == SI_TIMER ? "SI_TIMER"
                              : "?";
}

static void note_code(int signal, siginfo_t *info, void *unused)
{
    (void)unused;
    printf("signal %d, from here %d, %s\n", info->si_signo == signal, info->si_pid == getpid(),
           code_name(info->si_code));
}

static void handle_info(int signal, void (*function)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = function, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(signal, &action, NULL) == 0);
}

static void test_codes(void)
{
    handle_info(SIGUSR1, note_code);
    raise(SIGUSR1);
    kill(getpid(), SIGUSR1);
    pthread_kill(pthread_self(), SIGUSR1);
    sigqueue(getpid(), SIGUSR1, (union sigval){0});
}

/*
 * From SIGRTMIN on signals queue.
 */

static void show_value(int signal, siginfo_t *info, void *unused)
{
    (void)unused;
    printf("%d: value %d, queued %d\n", signal - SIGRTMIN, info->si_value.sival_int,
           info->si_code == SI_QUEUE);
}

static void test_real_time(void)
{
    sigset_t set, pending;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigaddset(&set, SIGRTMIN + 2);
    handle_info(SIGRTMIN + 1, show_value);
    handle_info(SIGRTMIN + 2, show_value);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 3; i++) {
        CHECK(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 20 + i}) == 0);
        CHECK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 10 + i}) == 0);
    }
    for (int signal; (signal = sigtimedwait(&set, &info, &(struct timespec){0})) > 0;)
        show_value(signal, &info, NULL);
    CHECK(sigpending(&pending) == 0);
    printf("left %d\n", sigismember(&pending, SIGRTMIN + 1));
    for (int i = 0; i < 3; i++)
        CHECK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 30 + i}) == 0);
    kill(getpid(), SIGRTMIN + 1);
    raise(SIGRTMIN + 1);
    CHECK(sigtimedwait(&set, &info, &(struct timespec){0}) > 0); /* the thread's own comes first */
    show_value(SIGRTMIN + 1, &info, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* However many it can be, there is an end, and then all are there in their order. */
static void test_limit(void)
{
    sigset_t set = only(SIGRTMIN);
    siginfo_t info;
    int sent = 0;
#ifndef __skep__
    CHECK(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){64, 64}) == 0);
#endif
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    while (sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = sent}) == 0)
        CHECK(++sent <= 64);
    say("too many", -1);
    printf("enough %d\n", sent >= 32);
    for (int i = 0; i < sent; i++)
        CHECK(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_value.sival_int == i);
    say("no more", sigtimedwait(&set, &info, &(struct timespec){0}));
    say("room again", sigqueue(getpid(), SIGRTMIN, (union sigval){0}));
    CHECK(sigwaitinfo(&set, &info) == SIGRTMIN);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void note_value(int signal, siginfo_t *info, void *unused)
{
    (void)unused;
    last_signal = signal;
    last_value = info->si_value.sival_int;
    printf("code %s, from here %d\n", info->si_code == SI_QUEUE ? "SI_QUEUE" : "?",
           info->si_pid == getpid());
    calls++;
}

static void test_queue(void)
{
    sigset_t set = only(SIGUSR2);
    siginfo_t info;
    handle_info(SIGUSR2, note_value);
    printf("sigqueue %d\n", sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 42}));
    printf("value %d\n", last_value);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    CHECK(sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 43}) == 0);
    printf("sigwaitinfo %d\n", sigwaitinfo(&set, &info) == SIGUSR2);
    printf("value %d\n", info.si_value.sival_int);
    struct timespec soon = {.tv_nsec = 2000000};
    printf("in time %d\n", sigtimedwait(&set, &info, &soon) == -1 && errno == EAGAIN);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/*
 * Timers
 */

static void test_alarm(void)
{
    struct itimerval value = {.it_value.tv_usec = 2000, .it_interval.tv_usec = 2000}, now;
    handle(SIGALRM, count, 0);
    calls = 0;
    printf("alarm %u\n", alarm(100));
    printf("alarm %u\n", alarm(0));
    printf("alarm %u\n", alarm(0));
    CHECK(setitimer(ITIMER_REAL, &value, NULL) == 0);
    await_calls(3);
    CHECK(getitimer(ITIMER_REAL, &now) == 0);
    printf("interval %ld\n", (long)now.it_interval.tv_usec);
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0);
    value.it_value.tv_usec = 1000000;
    printf("bad %d\n", setitimer(ITIMER_REAL, &value, NULL) == -1 && errno == EINVAL);
    printf("bad %d\n", setitimer(99, &value, NULL) == -1 && errno == EINVAL);
}

static _Atomic int notified;

static void notify(union sigval value)
{
    notified += value.sival_int;
}

static void test_timers(void)
{
    sigset_t set = only(SIGUSR1);
    struct itimerspec value = {.it_value.tv_nsec = 1000000}, now;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    siginfo_t info;
    timer_t timer;
    event.sigev_value.sival_int = 17;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    printf("not set %d\n", timer_gettime(timer, &now) == 0 && now.it_value.tv_nsec == 0);
    CHECK(timer_settime(timer, 0, &value, NULL) == 0);
    printf("signal %d\n", sigwaitinfo(&set, &info) == SIGUSR1);
    printf("value %d, code %d\n", info.si_value.sival_int, info.si_code == SI_TIMER);
    printf("overrun %d\n", timer_getoverrun(timer));
    printf("delete %d\n", timer_delete(timer));
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);

    event = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify};
    event.sigev_value.sival_int = 5;
    CHECK(timer_create(CLOCK_REALTIME, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &value, NULL) == 0);
    for (int i = 0; notified == 0; i++) {
        CHECK(i < 10000);
        usleep(1000);
    }
    printf("thread %d\n", notified);
    printf("delete %d\n", timer_delete(timer));
    printf("bad clock %d\n", timer_create(99, NULL, &timer) == -1 && errno == EINVAL);
}

/* What isn't taken in time is counted with what is. */
static void test_overruns(void)
{
    sigset_t set = only(SIGUSR1);
    struct itimerspec value = {.it_value.tv_nsec = 1000000, .it_interval.tv_nsec = 1000000};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    siginfo_t info;
    timer_t timer;
    int missed = 0;
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &value, NULL) == 0);
    for (int i = 0; missed < 20; i++) {
        CHECK(i < 1000);
        usleep(10000);
        CHECK(sigwaitinfo(&set, &info) == SIGUSR1);
        CHECK(timer_getoverrun(timer) == info.si_overrun);
        missed += info.si_overrun;
    }
    CHECK(timer_delete(timer) == 0);
    while (sigtimedwait(&set, NULL, &(struct timespec){0}) > 0)
        ;
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/*
 * SIGPIPE: to the thread that writes, where that isn't told otherwise.
 */

static pthread_t writer;

static void note_pipe(int signal, siginfo_t *info, void *unused)
{
    CHECK(pthread_equal(pthread_self(), writer));
    note_code(signal, info, unused);
    calls++;
}

static void say_broken(const char *what, long result)
{
    say(what, result);
    printf("calls %d\n", calls);
}

static void write_to_broken(int out, bool is_socket)
{
    char letters[] = "ab";
    struct iovec parts[2] = {{letters, 1}, {letters + 1, 1}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    say_broken("write", write(out, "x", 1));
    say_broken("writev", writev(out, parts, 2));
    if (!is_socket)
        return;
    say_broken("send", send(out, "x", 1, 0));
    say_broken("message", sendmsg(out, &message, 0));
    say_broken("quiet send", send(out, "x", 1, MSG_NOSIGNAL));
    say_broken("quiet message", sendmsg(out, &message, MSG_NOSIGNAL));
}

static void *write_all(void *unused)
{
    int pipes[2], pair[2], letters[2];
    sigset_t set = only(SIGPIPE), pending;
    siginfo_t info;
    writer = pthread_self();
    CHECK(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, letters) == 0);
    close(pipes[0]), close(pair[0]);
    write_to_broken(pipes[1], false);
    write_to_broken(pair[1], true);
    CHECK(shutdown(letters[1], SHUT_WR) == 0);
    say_broken("datagram", send(letters[1], "x", 1, 0));
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    say_broken("never connected", write(stream, "x", 1));

    FILE *file = fdopen(dup(pipes[1]), "w");
    CHECK(file != NULL && fputs("text", file) >= 0);
    say_broken("flush", fflush(file));
    setbuf(file, NULL);

    pthread_sigmask(SIG_BLOCK, &set, NULL);
    say_broken("blocked", write(pipes[1], "x", 1));
    CHECK(sigpending(&pending) == 0);
    say("pending", sigismember(&pending, SIGPIPE));
    say("taken", sigtimedwait(&set, &info, &(struct timespec){0}) == SIGPIPE);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    say_broken("ignored", write(pipes[1], "x", 1));
    fclose(file);
    close(pipes[1]), close(pair[1]), close(letters[0]), close(letters[1]), close(stream);
    return unused;
}

static void test_pipe(void)
{
    pthread_t thread;
    calls = 0;
    handle_info(SIGPIPE, note_pipe);
    CHECK(pthread_create(&thread, NULL, write_all, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* Nobody is told otherwise. */
static void end_of_pipe(void)
{
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    close(pipes[0]);
    printf("writes\n");
    write(pipes[1], "x", 1);
    printf("goes on\n");
}

/* What a handler raises itself, which is blocked meanwhile, comes when it has returned: of a timer, too, and of what was sent
 * to a thread while the sender blocked it. */

static void raise_once_more(int signal)
{
    int before = calls;
    if (before == 0)
        raise(signal);
    calls = before + 1;
}

static void test_raise_in_handler(void)
{
    struct itimerval once = {.it_value.tv_usec = 1000};
    sigset_t set = only(SIGUSR1);
    pthread_t thread;
    handle(SIGALRM, raise_once_more, 0);
    calls = 0;
    CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
    await_calls(2);
    handle(SIGUSR1, raise_once_more, 0);
    calls = 0;
    CHECK(pthread_create(&thread, NULL, wait_for_two_calls, NULL) == 0);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    CHECK(pthread_kill(thread, SIGUSR1) == 0);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    printf("raised in handlers %d\n", calls);
}

/*
 * What a handler ends: waiting.
 */

static void test_interrupts(void)
{
    struct itimerval value = {.it_value.tv_usec = 3000, .it_interval.tv_usec = 20000};
    sigset_t blocked = only(SIGALRM), none;
    struct timespec long_time = {.tv_sec = 100}, left;
    sigemptyset(&none);
    handle(SIGALRM, count, 0);
    CHECK(setitimer(ITIMER_REAL, &value, NULL) == 0);
    printf("poll %d\n", poll(NULL, 0, -1) == -1 && errno == EINTR);
    printf("nanosleep %d\n", nanosleep(&long_time, &left) == -1 && errno == EINTR);
    printf("left %d\n", left.tv_sec == 99);
    printf("pause %d\n", pause() == -1 && errno == EINTR);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    calls = 0;
    printf("ppoll %d\n", ppoll(NULL, 0, &long_time, &none) == -1 && errno == EINTR);
    printf("sigsuspend %d\n", sigsuspend(&none) == -1 && errno == EINTR);
    printf("calls %d\n", calls >= 2);
    CHECK(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0);
    pthread_sigmask(SIG_UNBLOCK, &blocked, NULL);
}

int main(int count_of_arguments, char **arguments)
{
    (void)arguments;
    setvbuf(stdout, NULL, _IONBF, 0);
    if (count_of_arguments > 1)
        end_of_pipe();
    test_handlers();
    test_masks();
    test_thread_masks();
    test_sent_to_thread();
    test_sent_while_blocked();
    test_queue();
    test_sets();
    test_flags();
    test_stacks();
    test_codes();
    test_real_time();
    test_limit();
    test_pipe();
    test_alarm();
    test_timers();
    test_overruns();
    test_raise_in_handler();
    test_interrupts();
    printf("signals: ok\n");
    return 0;
}
