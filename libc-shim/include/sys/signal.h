/*
 * sys/signal.h - signals, in place of newlib's header: as POSIX has them, for what a guest needs.
 *
 * A signal comes from raise(), kill(getpid()), sigqueue(), abort(), a timer, or is SIGTERM when the
 * hypervisor asks the guest to stop. Each thread has its mask. A handler runs in the thread that the
 * signal is for: the one that pthread_kill() or raise() names, else one that doesn't block it, which is the
 * first thread if it can be. It interrupts what that computes, and calls that wait, but not what waits for disks.
 * Faults are signals from the first handler for SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGTRAP on; one whose signal has none, or
 * is blocked, ends the guest with a crash record. A handler's third argument (SA_SIGINFO) is a ucontext_t (<ucontext.h>).
 */
#ifndef _SYS_SIGNAL_H
#define _SYS_SIGNAL_H

#include <sys/_sigset.h>
#include <sys/_timespec.h>
#include <sys/cdefs.h>
#include <sys/features.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef _SIGSET_T_DECLARED
#define _SIGSET_T_DECLARED
typedef __sigset_t sigset_t;
#endif

#define SIGHUP    1
#define SIGINT    2
#define SIGQUIT   3
#define SIGILL    4
#define SIGTRAP   5
#define SIGABRT   6
#define SIGIOT    6
#define SIGEMT    7
#define SIGFPE    8
#define SIGKILL   9
#define SIGBUS    10
#define SIGSEGV   11
#define SIGSYS    12
#define SIGPIPE   13
#define SIGALRM   14
#define SIGTERM   15
#define SIGURG    16
#define SIGSTOP   17
#define SIGTSTP   18
#define SIGCONT   19
#define SIGCHLD   20
#define SIGCLD    20
#define SIGTTIN   21
#define SIGTTOU   22
#define SIGIO     23
#define SIGPOLL   SIGIO
#define SIGXCPU   24
#define SIGXFSZ   25
#define SIGVTALRM 26
#define SIGPROF   27
#define SIGWINCH  28
#define SIGLOST   29
#define SIGUSR1   30
#define SIGUSR2   31
#define SIGRTMIN  32
#define SIGRTMAX  63
#define NSIG      64

typedef void (*_sig_func_ptr)(int);

union sigval {
    int sival_int;
    void *sival_ptr;
};

typedef struct {
    int si_signo;
    int si_code;
    int si_errno;
    pid_t si_pid;
    uid_t si_uid;
    void *si_addr;
    int si_status;
    union sigval si_value;
    int si_overrun; /* of a timer */
    void *__timer;
} siginfo_t;

/* Linux' numbers: what programs send is no more than 0. */
#define SI_USER    0
#define SI_QUEUE   (-1)
#define SI_TIMER   (-2)
#define SI_MESGQ   (-3)
#define SI_ASYNCIO (-4)
#define SI_TKILL   (-6)
#define SI_KERNEL  0x80 /* a fault of which no more is known */

/* Of faults. */
#define ILL_ILLOPN  2 /* an instruction that isn't one */
#define FPE_INTDIV  1
#define FPE_INTOVF  2
#define FPE_FLTDIV  3
#define FPE_FLTOVF  4
#define FPE_FLTUND  5
#define FPE_FLTRES  6
#define FPE_FLTINV  7
#define FPE_FLTSUB  8
#define SEGV_MAPERR 1 /* nothing is there */
#define SEGV_ACCERR 2 /* it may not be used like that */
#define BUS_ADRALN  1
#define BUS_ADRERR  2
#define BUS_OBJERR  3
#define TRAP_BRKPT  1
#define TRAP_TRACE  2

#define SIGEV_NONE   1
#define SIGEV_SIGNAL 2
#define SIGEV_THREAD 3

struct sigevent {
    int sigev_notify;
    int sigev_signo;
    union sigval sigev_value;
    void (*sigev_notify_function)(union sigval);
    pthread_attr_t *sigev_notify_attributes;
};

struct sigaction {
    union {
        _sig_func_ptr sa_handler;
        void (*sa_sigaction)(int, siginfo_t *, void *);
    };
    sigset_t sa_mask;
    int sa_flags;
};

#define SA_NOCLDSTOP 0x01
#define SA_SIGINFO   0x02
#define SA_ONSTACK   0x04
#define SA_RESTART   0x08
#define SA_NOCLDWAIT 0x10
#define SA_NODEFER   0x20
#define SA_RESETHAND 0x40

#define SIG_SETMASK 0
#define SIG_BLOCK   1
#define SIG_UNBLOCK 2

#define MINSIGSTKSZ 2048
#define SIGSTKSZ    8192
#define SS_ONSTACK  1
#define SS_DISABLE  2

typedef struct sigaltstack {
    void *ss_sp;
    int ss_flags;
    size_t ss_size;
} stack_t;

int sigaction(int signal, const struct sigaction *action, struct sigaction *old);
int sigprocmask(int how, const sigset_t *set, sigset_t *old);
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int pthread_kill(pthread_t thread, int signal);
int kill(pid_t process, int signal);
int sigpending(sigset_t *set);
int sigsuspend(const sigset_t *mask);
int sigwait(const sigset_t *set, int *signal);
int sigwaitinfo(const sigset_t *set, siginfo_t *info);
int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);
int sigqueue(pid_t process, int signal, const union sigval value);
int killpg(pid_t group, int signal);
int siginterrupt(int signal, int interrupts);
int sigaltstack(const stack_t *__restrict stack, stack_t *__restrict old);

int sigaddset(sigset_t *set, int signal);
int sigdelset(sigset_t *set, int signal);
int sigemptyset(sigset_t *set);
int sigfillset(sigset_t *set);
int sigismember(const sigset_t *set, int signal);

#if __GNU_VISIBLE
int sigisemptyset(const sigset_t *set);
int sigandset(sigset_t *out, const sigset_t *one, const sigset_t *other);
int sigorset(sigset_t *out, const sigset_t *one, const sigset_t *other);
#endif

#if __XSI_VISIBLE
/* System V's, which POSIX calls obsolescent: one signal is added to the mask, or removed; ignored; removed while a signal is
 * waited for (EINTR); and given an action, or blocked (SIG_HOLD), with the former one as the result. EINVAL. */
#define SIG_HOLD ((_sig_func_ptr)2)
int sighold(int signal);
int sigrelse(int signal);
int sigignore(int signal);
int sigpause(int signal);
_sig_func_ptr sigset(int signal, _sig_func_ptr action);
#endif

/* psignal() of what a handler or sigwaitinfo() got. */
void psiginfo(const siginfo_t *info, const char *text);

#if __MISC_VISIBLE
/* Names of signals without "SIG", and numbers of names. 0, or -1 of what is none. POSIX.1-2024 has them. */
#define SIG2STR_MAX 17
int sig2str(int signal, char name[SIG2STR_MAX]);
int str2sig(const char *__restrict name, int *__restrict signal);
#endif

#ifdef __cplusplus
}
#endif

#ifndef _SIGNAL_H_
#include <signal.h>
#endif

#endif
