/*
 * hello.c - the smallest guest: says what it was given, and what time it is.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void print_time(void)
{
    struct timespec up;
    char text[32];
    time_t now = time(NULL);
    clock_gettime(CLOCK_MONOTONIC, &up);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    printf("time: %s, %lld.%06ld s since power-on\n", text, (long long)up.tv_sec,
           up.tv_nsec / 1000);
}

int main(int argc, char **argv)
{
    printf("Hello from a guest of Skep!\n");
    for (int i = 0; i < argc; i++)
        printf("argument %d: %s\n", i, argv[i]);
    for (char **variable = environ; *variable != NULL; variable++)
        printf("environment: %s\n", *variable);
    print_time();
    return 0;
}
