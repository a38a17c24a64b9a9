/*
 * terminal.c - terminals, which a guest has none of: its console is a stream of bytes both ways (ENOTTY).
 */
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "shim.h"
#include "skep/fd.h"

/* ENOTTY, or EBADF if there is no such file. */
static int no_terminal(int fd)
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return EBADF;
    skep_fd_put(file);
    return ENOTTY;
}

static int refuse(int fd)
{
    return (int)skep_posix_result(-no_terminal(fd));
}

/* There is no terminal that has a name. */
char *ctermid(char *name)
{
    static char none[L_ctermid];
    if (name == NULL)
        return none;
    name[0] = '\0';
    return name;
}

char *ttyname(int fd)
{
    errno = no_terminal(fd);
    return NULL;
}

/* Its result is the error. */
int ttyname_r(int fd, char *name, size_t bytes)
{
    return no_terminal(fd);
}

pid_t tcgetpgrp(int fd)
{
    return refuse(fd);
}

int tcsetpgrp(int fd, pid_t group)
{
    return refuse(fd);
}

pid_t tcgetsid(int fd)
{
    return refuse(fd);
}

int tcgetattr(int fd, struct termios *out)
{
    return refuse(fd);
}

int tcsetattr(int fd, int when, const struct termios *settings)
{
    return refuse(fd);
}

int tcdrain(int fd)
{
    return refuse(fd);
}

int tcflow(int fd, int action)
{
    return refuse(fd);
}

int tcflush(int fd, int queue)
{
    return refuse(fd);
}

int tcsendbreak(int fd, int duration)
{
    return refuse(fd);
}

/*
 * Settings as such
 */

speed_t cfgetispeed(const struct termios *settings)
{
    return settings->c_ispeed;
}

speed_t cfgetospeed(const struct termios *settings)
{
    return settings->c_ospeed;
}

int cfsetispeed(struct termios *settings, speed_t speed)
{
    settings->c_ispeed = speed;
    return 0;
}

int cfsetospeed(struct termios *settings, speed_t speed)
{
    settings->c_ospeed = speed;
    return 0;
}

void cfmakeraw(struct termios *settings)
{
    settings->c_iflag &=
        ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    settings->c_oflag &= ~(tcflag_t)OPOST;
    settings->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    settings->c_cflag = (settings->c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    settings->c_cc[VMIN] = 1;
    settings->c_cc[VTIME] = 0;
}
