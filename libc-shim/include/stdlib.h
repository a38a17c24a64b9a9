/*
 * stdlib.h - newlib's, and what it doesn't declare.
 */
#ifndef SKEP_STDLIB_H
#define SKEP_STDLIB_H

#include_next <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

#if __XSI_VISIBLE
/* There are no pseudo-terminals: ENOENT; of any file EINVAL, of ptsname() ENOTTY, as on Linux; EBADF of none. */
int posix_openpt(int flags);
int grantpt(int fd);
int unlockpt(int fd);
char *ptsname(int fd);
#endif

#if __GNU_VISIBLE
int ptsname_r(int fd, char *name, size_t bytes); /* its result is the error */
#endif

#if __MISC_VISIBLE
int clearenv(void);
int getloadavg(double averages[], int count);

/* The program's name: what follows the last slash of its first argument, or of what setprogname() was told, which is kept. */
const char *getprogname(void);
void setprogname(const char *name);

/* BSD's title in lists of processes: nobody lists them, and nothing happens. */
void setproctitle(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A decimal number from `least` to `most`. Else 0, errno (EINVAL, ERANGE), and *problem is "invalid", "too small" or "too
 * large"; NULL if it is right. problem may be NULL. */
long long strtonum(const char *text, long long least, long long most, const char **problem);
#endif

#ifdef __cplusplus
}
#endif

#endif
