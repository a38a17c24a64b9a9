/*
 * dlfcn.h - shared libraries, of which a guest has none: dlopen() fails, and dlerror() says why.
 */
#ifndef _DLFCN_H
#define _DLFCN_H

#include <sys/features.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RTLD_LAZY   1
#define RTLD_NOW    2
#define RTLD_GLOBAL 0x100
#define RTLD_LOCAL  0

void *dlopen(const char *path, int mode);
void *dlsym(void *__restrict handle, const char *__restrict name);
int dlclose(void *handle);

/* Why the last call of this thread failed; NULL when it was told already. */
char *dlerror(void);

#if __GNU_VISIBLE
typedef struct {
    const char *dli_fname;
    void *dli_fbase;
    const char *dli_sname;
    void *dli_saddr;
} Dl_info;

/* 0: the address is in no shared library. dlerror() doesn't know of it. */
int dladdr(const void *address, Dl_info *out);
#endif

#ifdef __cplusplus
}
#endif

#endif
