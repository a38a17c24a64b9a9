/* identity.h - whom the service obeys (the token); who it is, is in certificate.h. */
#ifndef CONTROL_IDENTITY_H
#define CONTROL_IDENTITY_H

#include <stdbool.h>

#include <cJSON.h>

#include "config.h"
#include "problem.h"

/* Sets the token to the configured one, else the retained one, else the disk's, else a new one that is told on the
 * console, this once. Whichever it is, the disk has its digest from then on. */
bool token_get(const struct config *config, bool entropy);

/* Puts the key, the certificate and the token's digest on a disk that has none of them. */
void identity_keep(void);

/* For backups: the key and certificate, unless they are the boot module's, and the tokens' digests. Holds
 * the model's lock, as do the others. */
cJSON *identity_to_json(void);

/* Checks them (0, or -1 and the problem), and puts them in the place of those that are kept: in force from the next start
 * on, of the service or the machine; tokens that the API made at once. */
int identity_check_json(const cJSON *json, struct problem *p);
int identity_restore(const cJSON *json, struct problem *p);

/* Whether it is the SHA-256 of the token; in constant time. */
bool token_matches(const uint8_t digest[32]);

#endif
