/* random.c - the system's randomness, as mbedTLS asks for it. */
#include <stdlib.h>

int random_bytes(void *state, unsigned char *bytes, size_t count);

int random_bytes(void *state, unsigned char *bytes, size_t count)
{
    (void)state;
    arc4random_buf(bytes, count);
    return 0;
}
