/* server.h - the HTTPS server: connections, and the threads that serve them. */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <stdint.h>

#include "skep_tls.h"

#define SERVER_CONNECTIONS_MAX 32

/* Listens on the port; a socket, or -1 with a log line. */
int server_listen(uint16_t port);

/* New connections use it, open ones go on with what they have. Takes the caller's hold. */
void server_use(struct tls_server *tls);

/* Serves for ever. */
_Noreturn void server_run(int listener);

#endif
