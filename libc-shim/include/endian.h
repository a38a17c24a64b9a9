/*
 * endian.h - numbers in a byte order, which newlib has where the BSDs do.
 */
#include <sys/endian.h>
