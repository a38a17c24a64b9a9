/* hex.h - bytes as hexadecimal digits and back. */
#ifndef CONTROL_HEX_H
#define CONTROL_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Two small digits a byte, and a NUL. */
void hex_format(char *text, const void *data, size_t bytes);

/* Exactly so many bytes; false if the text is another one. */
bool hex_parse(const char *text, void *data, size_t bytes);

#endif
