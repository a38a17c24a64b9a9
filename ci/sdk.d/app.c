/*
 * A program as people bring it, for ci/system/test_sdk.py: one source for Linux and Skep, and no word of either in it.
 *
 *   app FILE           prints the file
 *   app FILE fail      ends by an assertion
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static __attribute__((noinline)) void check(int argc)
{
    assert(argc < 3);
}

static void *print(void *argument)
{
    char line[80];
    FILE *file = fopen(argument, "r");
    if (file == NULL) {
        perror(argument);
        return NULL;
    }
    while (fgets(line, sizeof line, file) != NULL)
        fputs(line, stdout);
    fclose(file);
    return argument;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    void *done = NULL;
    if (argc < 2 || pthread_create(&thread, NULL, print, argv[1]) != 0)
        return 2;
    pthread_join(thread, &done);
#ifdef HAVE_CONFIG_H
    puts("configured for " HOST);
#endif
    check(argc);
    return done == NULL;
}
