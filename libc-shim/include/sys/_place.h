/*
 * sys/_place.h - what a thread has locked where sigsetjmp() or getcontext() has been called.
 */
#ifndef _SYS__PLACE_H
#define _SYS__PLACE_H

struct __skep_place {
    unsigned __held;           /* how often its handlers were held back */
    unsigned __kept;           /* streams of flockfile() */
    int __refuses;             /* errands for other threads */
    unsigned long __last_lock; /* of the C library */
};

#endif
