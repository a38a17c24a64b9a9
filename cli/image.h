/* image.h - images, for other commands. */
#ifndef CLI_IMAGE_H
#define CLI_IMAGE_H

#include <stdbool.h>

/* Whether an operand is a file rather than an image's name: it has a slash, or ends with .elf. */
bool image_is_file(const char *text);

/* A name for the image of a file. The caller frees it. */
char *image_name_of(const char *file);

/* Uploads a file unless an image of this name and digest is there. An exit code; *sent tells whether it did. */
int image_send(const char *file, const char *name, bool json, bool *sent);

#endif
