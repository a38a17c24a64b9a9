/* service.h - the control service as a whole. */
#ifndef CONTROL_SERVICE_H
#define CONTROL_SERVICE_H

#include <stdint.h>

/* Starts up and serves on the port for ever; returns, with an exit code, only if it can't start. */
int service_run(uint16_t port);

/* A disk has become Skep's. If it is the first, what there is is kept on it from now on: all but images' files, which are
 * gone, so that images must be uploaded again. */
void service_keep(void);

#endif
