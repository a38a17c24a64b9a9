/*
 * ucontext.h - what signals' handlers with SA_SIGINFO get as their third argument. The functions that switch contexts are
 * not there.
 */
#ifndef _UCONTEXT_H
#define _UCONTEXT_H

#include <sys/ucontext.h>

#endif
