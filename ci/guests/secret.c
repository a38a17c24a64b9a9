/*
 * secret.c - a memory word that nobody else may touch, and the thief that tries to:
 *
 *     secret                     says where the word is, then looks for ever whether it was changed
 *     secret read|write ADDRESS  says so, then does it, and says what became of it
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET 0x5ec7e75ec7e7ull

static int keep(void)
{
    volatile uint64_t *secret = malloc(sizeof(*secret));
    *secret = SECRET;
    printf("secret at 0x%" PRIxPTR "\n", (uintptr_t)secret);
    fflush(stdout);
    while (*secret == SECRET)
        usleep(100 * 1000);
    printf("secret changed\n");
    free((void *)secret);
    return 1;
}

static int steal(const char *how, volatile uint64_t *secret)
{
    printf("attempting to %s\n", how);
    fflush(stdout);
    if (strcmp(how, "write") == 0)
        *secret = 0;
    printf("survived: 0x%" PRIx64 "\n", *secret);
    return 0;
}

int main(int argc, char **argv)
{
    return argc < 3 ? keep() : steal(argv[1], (volatile uint64_t *)strtoull(argv[2], NULL, 0));
}
