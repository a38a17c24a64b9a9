/*
 * pending.h - signals that are pending: sent while their receiver blocked them. A receiver is a thread or the process, known
 * by its set, which has a bit for each signal that is pending for it.
 */
#ifndef LIBC_SHIM_PENDING_H
#define LIBC_SHIM_PENDING_H

#include <signal.h>
#include <stdatomic.h>
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
 * what it interrupts, NULL = a call; mask: what is blocked afterwards. The handler may change both. */
struct skep_context;
void skep_posix_call_handler(const struct sigaction *action, siginfo_t *info,
                             struct skep_context *interrupted, sigset_t *mask);

#endif
