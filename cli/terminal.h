/* terminal.h - the terminal as a guest's: each key goes there at once, Ctrl-C too. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

/* Where standard input is a terminal; whether it is one. What it was like comes back however the program ends by itself. */
bool terminal_raw(void);
void terminal_restore(void);

#endif
