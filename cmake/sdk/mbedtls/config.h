/*
 * config.h - what the SDK's mbedTLS has beside upstream's default configuration, which stands above this in the installed
 * <mbedtls/mbedtls_config.h>: TLS 1.2 and 1.3, clients and servers, files, certificates' dates.
 */

/* POSIX's threads. */
#define MBEDTLS_THREADING_C
#define MBEDTLS_THREADING_PTHREAD

/* Randomness is getentropy()'s: there is no /dev/urandom. */
#define MBEDTLS_NO_PLATFORM_ENTROPY
#define MBEDTLS_ENTROPY_HARDWARE_ALT

/* Tables in read-only memory are shared by all guests of an image. */
#define MBEDTLS_AES_ROM_TABLES

/* AES-GCM of many blocks at a time, by skep_gcm.c. */
#define MBEDTLS_GCM_BLOCKS_ALT

/* X25519 by HACL*: a fraction of the instructions. */
#define MBEDTLS_ECDH_VARIANT_EVEREST_ENABLED
