/* warns.c - the first that this program says is a warning. */
#include <err.h>

/* A program may have its own, as there is none on Linux. */
const char *getprogname(void);
const char *getprogname(void)
{
    return "mine";
}

int main(void)
{
    warnx("%s", getprogname());
    return 0;
}
