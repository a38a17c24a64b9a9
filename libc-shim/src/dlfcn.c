/*
 * dlfcn.c - shared libraries: a guest is one static program, and its image has no names to look for.
 */
#include <dlfcn.h>
#include <stddef.h>

static _Thread_local char *last_error;

static void fail(void)
{
    static char error[] = "a guest is one static program: it has no shared libraries";
    last_error = error;
}

void *dlopen(const char *path, int mode)
{
    fail();
    return NULL;
}

void *dlsym(void *restrict handle, const char *restrict name)
{
    fail();
    return NULL;
}

int dlclose(void *handle)
{
    fail();
    return -1;
}

char *dlerror(void)
{
    char *error = last_error;
    last_error = NULL;
    return error;
}

int dladdr(const void *address, Dl_info *out)
{
    return 0;
}
