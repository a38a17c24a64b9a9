/*
 * terminal.c - the console as a terminal, the only one: raw, as what it is attached to, if anything, edits and echoes lines.
 * Settings are kept and told, and change nothing but how long read() waits (VMIN, VTIME).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "fd_internal.h"
#include "shim.h"

#define CONSOLE_NAME "/dev/console"

static struct skep_mutex settings_lock; /* guards settings */
static struct termios settings = {
    .c_cflag = CS8 | CREAD | CLOCAL,
    .c_cc = {[VMIN] = 1},
    .c_ispeed = B38400,
    .c_ospeed = B38400,
};

/* 0, ENOTTY, or EBADF if there is no such file. */
static int check(int fd)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return EBADF;
    bool is_console = skep_posix_fd_is_console(file);
    skep_fd_put(file);
    return is_console ? 0 : ENOTTY;
}

/* The same as a call that has nothing more to do. */
static int checked(int fd)
{
    return (int)skep_posix_result(-check(fd));
}

int isatty(int fd)
{
    return checked(fd) == 0;
}

char *ctermid(char *name)
{
    static const char terminal[] = "/dev/tty";
    static char own[L_ctermid];
    return memcpy(name != NULL ? name : own, terminal, sizeof(terminal));
}

char *ttyname(int fd)
{
    static char name[] = CONSOLE_NAME;
    return isatty(fd) ? name : NULL;
}

/* Its result is the error. */
int ttyname_r(int fd, char *name, size_t bytes)
{
    int result = check(fd);
    if (result == 0 && bytes < sizeof(CONSOLE_NAME))
        result = ERANGE;
    if (result == 0)
        memcpy(name, CONSOLE_NAME, sizeof(CONSOLE_NAME));
    return result;
}

pid_t tcgetpgrp(int fd)
{
    return isatty(fd) ? getpgrp() : -1;
}

int tcsetpgrp(int fd, pid_t group)
{
    if (!isatty(fd))
        return -1;
    return (int)skep_posix_result(group == getpgrp() ? 0 : -EPERM);
}

pid_t tcgetsid(int fd)
{
    return isatty(fd) ? getsid(0) : -1;
}

int tcgetattr(int fd, struct termios *out)
{
    if (!isatty(fd))
        return -1;
    skep_mutex_lock(&settings_lock);
    *out = settings;
    skep_mutex_unlock(&settings_lock);
    return 0;
}

static void discard_input(void)
{
    char data[64];
    while (skep_console_readable() != 0)
        skep_console_read(data, sizeof(data), 0);
}

/* What has been written is out. */
int tcsetattr(int fd, int when, const struct termios *changed)
{
    if (!isatty(fd))
        return -1;
    if (when != TCSANOW && when != TCSADRAIN && when != TCSAFLUSH)
        return (int)skep_posix_result(-EINVAL);
    if (when == TCSAFLUSH)
        discard_input();
    skep_mutex_lock(&settings_lock);
    settings = *changed;
    skep_posix_console_waits(changed->c_cc[VMIN] == 0 ? changed->c_cc[VTIME] : -1);
    skep_mutex_unlock(&settings_lock);
    return 0;
}

int tcdrain(int fd)
{
    return checked(fd);
}

int tcflow(int fd, int action)
{
    return checked(fd);
}

int tcflush(int fd, int queue)
{
    if (!isatty(fd))
        return -1;
    if (queue != TCIFLUSH && queue != TCOFLUSH && queue != TCIOFLUSH)
        return (int)skep_posix_result(-EINVAL);
    if (queue != TCOFLUSH)
        discard_input();
    return 0;
}

int tcsendbreak(int fd, int duration)
{
    return checked(fd);
}

/*
 * Settings as such
 */

speed_t cfgetispeed(const struct termios *of)
{
    return of->c_ispeed;
}

speed_t cfgetospeed(const struct termios *of)
{
    return of->c_ospeed;
}

int cfsetispeed(struct termios *of, speed_t speed)
{
    of->c_ispeed = speed;
    return 0;
}

int cfsetospeed(struct termios *of, speed_t speed)
{
    of->c_ospeed = speed;
    return 0;
}

void cfmakeraw(struct termios *of)
{
    of->c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    of->c_oflag &= ~(tcflag_t)OPOST;
    of->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    of->c_cflag = (of->c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    of->c_cc[VMIN] = 1;
    of->c_cc[VTIME] = 0;
}

/* There are no pseudo-terminals, so no file is one's master. */

int posix_openpt(int flags)
{
    return (int)skep_posix_result(-ENOENT);
}

static int no_master(int fd)
{
    int error = check(fd);
    return error != 0 ? error : ENOTTY;
}

int grantpt(int fd)
{
    int error = no_master(fd);
    return (int)skep_posix_result(error == ENOTTY ? -EINVAL : -error);
}

int unlockpt(int fd)
{
    return grantpt(fd);
}

int ptsname_r(int fd, char *name, size_t bytes)
{
    return no_master(fd);
}

char *ptsname(int fd)
{
    (void)skep_posix_result(-no_master(fd));
    return NULL;
}
