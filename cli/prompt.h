/* prompt.h - questions to whoever sits at the terminal. */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether there is somebody to ask. */
bool prompt_possible(void);

/* Whether the answer begins with y. */
bool prompt_yes(const char *question);

/* A line of the terminal, not shown while it is typed. An exit code. */
int prompt_secret(const char *question, char *text, size_t room);

/* The first line of a file, or of standard input for "-". An exit code. */
int secret_from_file(const char *path, char *text, size_t room);

/* Overwrites a secret. */
void secret_forget(char *text, size_t room);

#endif
