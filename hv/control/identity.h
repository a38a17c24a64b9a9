/* identity.h - who the service is (TLS key, certificate) and whom it obeys (the token). */
#ifndef CONTROL_IDENTITY_H
#define CONTROL_IDENTITY_H

#include <stdbool.h>

#include "config.h"
#include "skep_tls.h"

/* The key and certificate of the boot module, else those retained, else those on the disk, else new ones; false, with a log
 * line, if none can be had. entropy: whether keys may be made here. */
bool identity_get(struct tls_identity *id, const struct config *config, bool entropy);

/* Sets the token to the configured one, else the retained one, else the disk's, else a new one that is told on the
 * console, this once. Whichever it is, the disk has its digest from then on. */
bool token_get(const struct config *config, bool entropy);

/* Puts the key, the certificate and the token's digest on a disk that has none of them. */
void identity_keep(void);

/* In constant time for tokens of any length. */
bool token_matches(const char *token);

#endif
