/*
 * psiginfo.c - a line on a signal and whom it came from.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "shim.h"

void psiginfo(const siginfo_t *info, const char *text)
{
    bool has_text = text != NULL && text[0] != 0;
    flockfile(stderr);
    fprintf(stderr, "%s%s%s", has_text ? text : "", has_text ? ": " : "",
            strsignal(info->si_signo));
    if (info->si_code <= 0)
        fprintf(stderr, " (code %d, of process %d and user %u)", info->si_code, (int)info->si_pid,
                (unsigned)info->si_uid);
    else
        fprintf(stderr, " (code %d, at %p)", info->si_code, info->si_addr);
    fputc('\n', stderr);
    funlockfile(stderr);
}
