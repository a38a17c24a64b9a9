/*
 * sysinfo.c - what sysconf() says of CPUs and memory, in Linux' words.
 */
#include <sys/sysinfo.h>
#include <unistd.h>

#include "shim.h"

int sysinfo(struct sysinfo *out)
{
    *out = (struct sysinfo){
        .uptime = (long)((skep_clock_ns() + NS_PER_SECOND - 1) / NS_PER_SECOND),
        .totalram = skep_posix_memory_bytes(),
        .freeram = (unsigned long)get_avphys_pages() * SKEP_PAGE_SIZE,
        .procs = 1,
        .mem_unit = 1,
    };
    return 0;
}

int get_nprocs(void)
{
    return (int)sysconf(_SC_NPROCESSORS_ONLN);
}

int get_nprocs_conf(void)
{
    return (int)sysconf(_SC_NPROCESSORS_CONF);
}

long get_phys_pages(void)
{
    return sysconf(_SC_PHYS_PAGES);
}

long get_avphys_pages(void)
{
    return sysconf(_SC_AVPHYS_PAGES);
}
