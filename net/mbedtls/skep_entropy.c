/* skep_entropy.c - mbedTLS's only entropy source: the platform's getentropy(). */
#include <unistd.h>

#include <mbedtls/build_info.h>
#include <mbedtls/entropy.h>

#define GETENTROPY_MAX 256 /* bytes a call, by POSIX */

/* The library has its prototype in a private header. */
int mbedtls_hardware_poll(void *data, unsigned char *output, size_t len, size_t *olen);

int mbedtls_hardware_poll(void *data, unsigned char *output, size_t len, size_t *olen)
{
    (void)data;
    for (*olen = 0; *olen < len;) {
        size_t part = len - *olen;
        if (part > GETENTROPY_MAX)
            part = GETENTROPY_MAX;
        if (getentropy(output + *olen, part) != 0)
            return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
        *olen += part;
    }
    return 0;
}
