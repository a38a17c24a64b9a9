/*
 * link.h - what a program consists of: itself, and no shared libraries.
 */
#ifndef _LINK_H
#define _LINK_H

#include <dlfcn.h>
#include <elf.h>
#include <stddef.h>
#include <sys/features.h>

#ifdef __cplusplus
extern "C" {
#endif

#if __GNU_VISIBLE

#define ElfW(type) Elf64_##type

struct dl_phdr_info {
    ElfW(Addr) dlpi_addr; /* added to all addresses in the headers */
    const char *dlpi_name;
    const ElfW(Phdr) * dlpi_phdr;
    ElfW(Half) dlpi_phnum;
    unsigned long long dlpi_adds; /* objects that were loaded, and unloaded again */
    unsigned long long dlpi_subs;
    size_t dlpi_tls_modid;
    void *dlpi_tls_data; /* NULL: not told */
};

/* Calls the function once, for the program, whose name is ""; its result is the function's. */
int dl_iterate_phdr(int (*function)(struct dl_phdr_info *info, size_t bytes, void *context),
                    void *context);

#endif

#ifdef __cplusplus
}
#endif

#endif
