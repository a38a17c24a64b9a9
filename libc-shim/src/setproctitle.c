/*
 * setproctitle.c - a title for lists of processes, of which there are none.
 */
#include <stdlib.h>

void setproctitle(const char *format, ...)
{
}
