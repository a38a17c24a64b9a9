/*
 * ucontext.h - places that a thread goes on from, each with a stack of its own (POSIX.1-2004; XSH 3, getcontext() and
 * makecontext()), and what signals' handlers with SA_SIGINFO get as their third argument.
 *
 * A context has registers that a call keeps, the modes of floating point, and what signals are blocked; locks, errno and
 * thread-local variables are the thread's, whichever it is in. setcontext() unlocks what the C library has locked since
 * getcontext(); swapcontext() doesn't. Any thread may go on with it, one at a time. What a handler
 * got is for reading and changing; setcontext() can't go on with it.
 */
#ifndef _UCONTEXT_H
#define _UCONTEXT_H

#include <sys/ucontext.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes *context this place. Returns 0, once more each time that somebody goes on with it, which may be while the function
 * that has called this hasn't returned. */
int getcontext(ucontext_t *context) __attribute__((__returns_twice__));

/* Goes on with *context, and doesn't return. A signal that isn't blocked any longer is handled before. */
int setcontext(const ucontext_t *context);

/* Makes of *context, which getcontext() has made, one that begins with function(…): count arguments of type int (pointers and
 * long pass, too). Set before, in *context: uc_stack.ss_sp and ss_size, the stack, which belongs to it until it is done, 4 KiB
 * at least and what the function needs (a handler of a signal is called there, too); and uc_link, with which the thread goes
 * on when the function returns, NULL = the thread ends. */
void makecontext(ucontext_t *context, void (*function)(void), int count, ...);

/* Makes *old this place, and goes on with *next. Returns 0 when somebody goes on with *old. */
int swapcontext(ucontext_t *__restrict old, const ucontext_t *__restrict next);

#ifdef __cplusplus
}
#endif

#endif
