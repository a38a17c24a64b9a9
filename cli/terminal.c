/* terminal.c - the terminal as a guest's, and back. */
#include "terminal.h"

#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static bool is_raw;

void terminal_restore(void)
{
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    is_raw = false;
}

bool terminal_raw(void)
{
    struct termios raw;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    if (atexit(terminal_restore) != 0)
        return false;
    raw = before;
    cfmakeraw(&raw);
    /* A guest has no driver of terminals, and knows lines by their LF alone. */
    raw.c_iflag |= ICRNL;
    raw.c_oflag |= OPOST | ONLCR;
    is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
    return is_raw;
}
