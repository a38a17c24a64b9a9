/* operation.h - operations, for other commands. */
#ifndef CLI_OPERATION_H
#define CLI_OPERATION_H

#include "call.h"

/* Follows one to its end, with a bar that says what it does; an exit code by how it has ended. */
int operation_follow(const struct call *call, const char *id, const char *what);

#endif
