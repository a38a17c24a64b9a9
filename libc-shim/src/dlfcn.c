/*
 * dlfcn.c - shared libraries: a guest is one static program, and its image has no names to look for.
 */
#include <dlfcn.h>
#include <link.h>
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

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

int dl_iterate_phdr(int (*function)(struct dl_phdr_info *, size_t, void *), void *context)
{
    const char *base = (const char *)&__ehdr_start;
    struct dl_phdr_info info = {
        .dlpi_addr = (Elf64_Addr)base, /* it is linked for 0 */
        .dlpi_name = "",
        .dlpi_phdr = (const Elf64_Phdr *)(base + __ehdr_start.e_phoff),
        .dlpi_phnum = __ehdr_start.e_phnum,
        .dlpi_adds = 1,
        .dlpi_tls_modid = 1,
    };
    return function(&info, sizeof(info), context);
}
