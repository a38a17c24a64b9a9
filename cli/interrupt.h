/* interrupt.h - Ctrl-C as a wish to end, for commands that go on until then. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <poll.h>
#include <stdbool.h>

/* From now on Ctrl-C doesn't end the program, but is remembered; so are SIGTERM, SIGHUP and SIGQUIT. */
void interrupt_catch(void);
bool interrupt_came(void);

/* Sleeps so long, or until the interrupt. Whether it can go on. */
bool interrupt_sleep(unsigned milliseconds);

/* poll() until one of them is ready, the time is over (-1 = never), or the interrupt came. Whether it can go on. */
bool interrupt_poll(struct pollfd *p, nfds_t count, int milliseconds);

/* Waits until something can be read. Whether it can, and there was no interrupt. */
bool interrupt_read(int descriptor);

#endif
