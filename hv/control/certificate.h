/*
 * certificate.h - the server's key and certificates: where they come from, how clients see and change them.
 *
 * Any thread may call any function. Results are 0, or -1 and the problem.
 */
#ifndef CONTROL_CERTIFICATE_H
#define CONTROL_CERTIFICATE_H

#include <stdbool.h>

#include <cJSON.h>

#include "config.h"
#include "problem.h"
#include "skep_tls.h"

/* The key and certificates of the boot module, else those retained, else those on the disk, else new ones; false, with a
 * log line, if none can be had. entropy: whether keys may be made here. */
bool certificate_get(struct tls_identity *id, const struct config *config, bool entropy);

/* Puts them on a disk that has none. */
void certificate_keep(void);

/* As clients see it, without the key. NULL without memory. */
cJSON *certificate_to_json(void);

/* What follows is durable when it returns, and in force for connections from then on. */

/* PEM texts. Without a key it is the one in use, or the one that was made for the latest request. */
int certificate_install(const char *chain, const char *key, struct problem *p);

/* What clients would see then, or NULL and the problem: nothing is changed. */
cJSON *certificate_foresee(const char *chain, const char *key, struct problem *p);

/* A new key, and a certificate that is signed by it; of the names as at the first start if the count is 0. */
int certificate_renew(const char *const *names, unsigned count, struct problem *p);

/* A request (PEM, the caller frees it) for the key in use, or for a fresh one; NULL and the problem. */
char *certificate_request(const char *const *names, unsigned count, bool fresh, struct problem *p);

/* Whether a certificate can be for it: a host's name, whose first label may be "*", or an IPv4 address. */
bool certificate_name_valid(const char *name);

/*
 * In backups
 */

/* Adds the key and certificates, unless they are the boot module's. */
void certificate_to_backup(cJSON *json);

/* Checks them, if there are any, and puts them in the place of those that are kept: in force from the next start on. */
int certificate_check_backup(const cJSON *json, struct problem *p);
int certificate_restore(const cJSON *json, struct problem *p);

#endif
