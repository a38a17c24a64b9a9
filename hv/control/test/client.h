/* client.h - a client of the API in the same process: requests go to api_serve() without a network. */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

/* Makes a call: its status. Token NULL = none; body NULL = none. */
int client_call(const char *token, const char *method, const char *path, const char *body);

/* The same with header lines of the test's own, each ended by CRLF, and a body of so many bytes. */
int client_send(const char *method, const char *path, const char *fields, const void *body,
                size_t bytes);

/* Of the latest answer: everything, ended by a NUL; and its body. */
const char *client_answer(void);
const char *client_body(void);

/* Whether one that was sent in chunks came to its end. */
bool client_has_last_chunk(void);

/* Called once, in the next call: after its head was read and before its body is; after the head of its answer. */
void client_before_body(void (*hook)(void));
void client_after_head(void (*hook)(void));

#endif
