/*
 * console.c - uses its console: copies input to output, whatever it is, until a Ctrl-D comes; or, with an argument, prints
 * that again and again.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CTRL_D 4

static void repeat(const char *line)
{
    for (;;)
        puts(line);
}

/* Whether the input ended. */
static int copy(void)
{
    char data[64];
    ssize_t bytes;

    while ((bytes = read(STDIN_FILENO, data, sizeof(data))) > 0) {
        const char *end = memchr(data, CTRL_D, (size_t)bytes);
        size_t wanted = end ? (size_t)(end - data) : (size_t)bytes;
        if (write(STDOUT_FILENO, data, wanted) != (ssize_t)wanted)
            return 0;
        if (end)
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        repeat(argv[1]);
    return !copy();
}
