/*
 * setjmp.h - newlib's, and sigsetjmp() and siglongjmp(), which also keep what signals the thread blocks.
 */
#ifndef SKEP_SETJMP_H
#define SKEP_SETJMP_H

#include_next <setjmp.h>

#include <sys/_place.h>
#include <sys/_sigset.h>
#include <sys/features.h>

#if __POSIX_VISIBLE

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    jmp_buf __registers;
    int __has_mask;
    __sigset_t __mask;
    struct __skep_place __place;
} sigjmp_buf[1];

void skep_posix_save_mask(sigjmp_buf env, int save);
#define sigsetjmp(env, save) (skep_posix_save_mask((env), (save)), setjmp((env)->__registers))
void siglongjmp(sigjmp_buf env, int value) __attribute__((__noreturn__));

#define _setjmp(env)         setjmp(env)
#define _longjmp(env, value) longjmp((env), (value))

#ifdef __cplusplus
}
#endif

#endif

#endif
