/*
 * wild.c - makes one hypercall with any arguments: `wild NUMBER [ARGUMENT…]`, prints the result and exits with 0.
 *
 * An argument is a number, or the name of an address: `buffer` (a writable page followed by an unmapped one),
 * `end` (the buffer's last byte), `text` (code).
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "skep/guest.h"
#include "skep/hypercall.h"

static uintptr_t buffer_map(void)
{
    int64_t address = skep_mem_map(2 * SKEP_PAGE_SIZE, SKEP_PROT_WRITE);
    if (address < 0 || skep_mem_unmap((void *)(address + SKEP_PAGE_SIZE), SKEP_PAGE_SIZE) != 0)
        skep_abort("wild: no buffer");
    memset((void *)address, 0, SKEP_PAGE_SIZE);
    return (uintptr_t)address;
}

static uint64_t argument(const char *text, uintptr_t buffer)
{
    if (strcmp(text, "buffer") == 0)
        return buffer;
    if (strcmp(text, "end") == 0)
        return buffer + SKEP_PAGE_SIZE - 1;
    if (strcmp(text, "text") == 0)
        return (uintptr_t)&argument;
    return strtoull(text, NULL, 0);
}

int main(int argc, char **argv)
{
    uint64_t words[6] = {0};
    uintptr_t buffer = buffer_map();
    for (int i = 1; i < argc && i <= 6; i++)
        words[i - 1] = argument(argv[i], buffer);
    printf("attempting hypercall %" PRIu64 " 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64 "\n", words[0],
           words[1], words[2], words[3]);
    fflush(stdout);
    int64_t result = skep_hypercall(words[0], words[1], words[2], words[3], words[4], words[5]);
    printf("result %" PRId64 "\n", result);
    return 0;
}
