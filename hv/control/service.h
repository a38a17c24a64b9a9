/* service.h - the control service as a whole. */
#ifndef CONTROL_SERVICE_H
#define CONTROL_SERVICE_H

#include <stdint.h>

/* Starts up and serves on the port for ever; returns, with an exit code, only if it can't start. */
int service_run(uint16_t port);

#endif
