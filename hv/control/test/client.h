/* client.h - a client of the API in the same process: requests go to api_serve() without a network. */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#define CLIENT_ANSWER_MAX 262144u

/* The boot's token, which is the service's from now on. The client reads nothing but the answer again. */
#define BOOT "the-token-of-the-boot"
void client_setup(void);

/* Makes a call: its status. Token NULL = none; body NULL = none. */
int client_call(const char *token, const char *method, const char *path, const char *body);

/* The same with header lines of the test's own, each ended by CRLF, and a body of so many bytes. */
int client_send(const char *method, const char *path, const char *fields, const void *body,
                size_t bytes);

/* A GET by the boot's token, with further header lines; all of the answer. */
const char *client_get(const char *path, const char *fields);

/* Of the latest answer: everything, ended by a NUL; and its body. */
const char *client_answer(void);
const char *client_body(void);

/* How often a word is in a text. */
unsigned client_count(const char *text, const char *word);

/* Whether the connection can go on after it. */
bool client_is_kept(void);

/* Whether one that was sent in chunks came to its end. */
bool client_has_last_chunk(void);

/* What it does from now on each time that something is written to it: when the hook says false, or there is none, it has left.
 * After so many writes it takes no more, -1 = it always does. */
void client_set_reader(bool (*on_write)(void), int writes);

/* Called once, in the next call: after its head was read and before its body is; after the head of its answer. */
void client_before_body(void (*hook)(void));
void client_after_head(void (*hook)(void));

#endif
