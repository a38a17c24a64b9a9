/*
 * cfsetspeed.c - both speeds of a terminal.
 */
#include <termios.h>

int cfsetspeed(struct termios *settings, speed_t speed)
{
    return cfsetispeed(settings, speed) < 0 ? -1 : cfsetospeed(settings, speed);
}
