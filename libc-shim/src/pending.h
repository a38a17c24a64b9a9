/*
 * pending.h - signals that are pending: sent while their receiver blocked them. A receiver is a thread or the process, known
 * by its set, which has a bit for each signal that is pending for it.
 */
#ifndef LIBC_SHIM_PENDING_H
#define LIBC_SHIM_PENDING_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Signals below SIGRTMIN are pending once, with where the first one came from; the others each time that they are sent. 0,
 * or -EAGAIN: SIGQUEUE_MAX are pending (of what kill() and others send only that they were is known then). Of one that a
 * timer has pending the timer counts that it is late. */
int skep_posix_pending_add(_Atomic uint64_t *receiver, const siginfo_t *info);

/* Takes one of those wanted, the lowest first, in the order in which they were sent. Returns its number, 0: there is none. */
int skep_posix_pending_take(_Atomic uint64_t *receiver, uint64_t wanted, siginfo_t *info);

/* The receiver ends. */
void skep_posix_pending_forget(_Atomic uint64_t *receiver);

/* The timer ends; its signal, if one is pending, doesn't. */
struct skep_timer;
void skep_posix_pending_disown(struct skep_timer *timer);

/* altstack.c: calls a handler, on the thread's other stack if it has one and that is wanted. interrupted: the registers of
 * what it interrupts, NULL = a call; fault: what it is called for, NULL = no fault; mask: what is blocked afterwards. The
 * handler may change registers and mask. */
struct skep_context;
struct skep_fault;
void skep_posix_call_handler(const struct sigaction *action, siginfo_t *info,
                             const struct skep_fault *fault, struct skep_context *interrupted,
                             sigset_t *mask);

/* altstack.c: the thread's other stack, for a handler that wants it; base NULL: there is none, or it is in use at rsp. */
struct skep_stack skep_posix_alternate(uint64_t rsp);

/* signal.c: whether the calling thread has a handler for a fault's signal that may run now, with what SA_… flags. It takes no
 * lock. */
bool skep_posix_takes_fault(int signal, int *flags);

/* signal.c: runs that handler. */
void skep_posix_handle_fault(siginfo_t *info, const struct skep_fault *fault,
                             struct skep_context *interrupted);

/* signal.c: counts signals that became pending anywhere. */
extern _Atomic uint32_t skep_posix_signals_sent;

/* signal.c: takes one of those wanted that was sent to the calling thread or to the process. Returns its number, 0: there is
 * none. */
int skep_posix_take_pending(uint64_t wanted, siginfo_t *info);

/* signal.c: for who goes back to a place: what it has locked at a call; and all that it has locked since is unlocked, handlers
 * that were held back are called, and those signals are blocked, NULL = as now. */
struct __skep_place;
void skep_posix_tell_place(struct __skep_place *place);
void skep_posix_go_to_place(const struct __skep_place *place, const sigset_t *mask);

/* fault.c: a signal has a handler. If it is one of faults, they become signals from now on. */
void skep_posix_faults_wanted(int signal);

/* fault.c: adds what a handler sees of a fault. */
struct ucontext_t;
void skep_posix_tell_fault(const struct skep_fault *fault, struct ucontext_t *out);

#endif
