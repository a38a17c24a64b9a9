/*
 * auxv.c - getauxval().
 */
#include <pthread.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "shim.h"

static uint8_t random_bytes[16];

static void make_random_bytes(void)
{
    skep_random(random_bytes, sizeof(random_bytes));
}

static unsigned long random_address(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_random_bytes);
    return (unsigned long)random_bytes;
}

unsigned long getauxval(unsigned long type)
{
    switch (type) {
    case AT_PAGESZ:
        return SKEP_PAGE_SIZE;
    case AT_CLKTCK:
        return CLOCKS_PER_SEC;
    case AT_UID:
        return getuid();
    case AT_EUID:
        return geteuid();
    case AT_GID:
        return getgid();
    case AT_EGID:
        return getegid();
    case AT_SECURE:
        return 0;
    case AT_PLATFORM:
        return (unsigned long)"x86_64";
    case AT_EXECFN:
        return (unsigned long)program_invocation_name;
    case AT_RANDOM:
        return random_address();
    default:
        errno = ENOENT;
        return 0;
    }
}
