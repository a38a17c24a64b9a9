/*
 * tokens.h - the tokens that the service made for clients, and whose they are.
 *
 * Of a token only the SHA-256 digest is kept: with a disk as part of one value, "tokens", which is the truth; and in retained
 * records, for a restart of the service without a disk. A change is on the disk first, then in the records, then in force.
 * The boot's token (identity.h) isn't among them: it is the principal `admin`.
 *
 * Functions with a problem return 0 or a status, or -1 and the problem. Those that look for a secret may be called by any
 * thread, all others with the model's lock held.
 */
#ifndef CONTROL_TOKENS_H
#define CONTROL_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include <cJSON.h>

#include "access.h"
#include "problem.h"

#define TOKENS_MAX       128u
#define TOKENS_BOOT_NAME "admin"
#define TOKENS_OWN_NAME  "skep"  /* who calls in records of what the service does by itself */
#define TOKEN_PREFIX     "skep_" /* by which secrets are recognised where they don't belong */
#define TOKEN_BYTES      32u
#define TOKEN_TEXT_MAX   (sizeof(TOKEN_PREFIX) + 2 * TOKEN_BYTES)

/* What shows who calls: a secret that was made here, or a certificate of the client's own. Names are common to both. */
enum token_kind { TOKEN_SECRET, TOKEN_CERTIFICATE, TOKEN_KINDS };

/* As it is retained. */
struct token {
    char name[ACCESS_NAME_MAX]; /* "" = none here */
    char prefix[ACCESS_PREFIX_MAX];
    uint32_t role, kind;
    struct access_quotas quotas;
    uint64_t made_ns, expires_ns; /* UNIX time; 0 = unknown, never */
    uint8_t digest[32];           /* SHA-256 of the secret, or of the certificate */
};

/* What there is: the disk's, or that of a former service. */
void tokens_start(void);
void tokens_keep(void);   /* on a disk that has none of them */
void tokens_forget(void); /* for tests of restarts */

enum token_state { TOKEN_GOOD, TOKEN_UNKNOWN, TOKEN_EXPIRED };

/* What a connection has shown last, which most do with each request: its digest needn't be made again. Zeroed at first. */
#define TOKEN_SHOWN_MAX 128u
struct token_shown {
    size_t bytes;
    char text[TOKEN_SHOWN_MAX];
    uint8_t digest[32];
};

/* Whose secret it is, the boot's included: in constant time for each length of it. If it has expired, only the name is
 * told. */
enum token_state tokens_identify(const char *text, struct token_shown *last, struct principal *who);

/* Whose certificate has this digest. */
enum token_state tokens_identify_certificate(const uint8_t digest[32], struct principal *who);

/* Whether that is as true as it was then: not revoked, changed or expired since. */
bool tokens_hold(const struct principal *who);

/* Role, scope and expiry of the wish. A new one, or one that is to have a new secret, gets it, told in text; it is "" else.
 * A certificate's wish has its digest, or zeroes: then what it has stays. 201 or 200. */
int tokens_put(const struct token *wish, bool rotate, char text[TOKEN_TEXT_MAX], struct problem *p);
int tokens_delete(enum token_kind kind, const char *name, struct problem *p);

/* What a put would make of it, with "change", or NULL and the problem: nothing is changed. */
cJSON *tokens_foresee(const struct token *wish, bool rotate, struct problem *p);

/* By name, from behind this one on. */
cJSON *tokens_list(enum token_kind kind, const char *after, uint64_t limit);

/* NULL if there is none. */
cJSON *tokens_get(enum token_kind kind, const char *name);
const struct token *tokens_find(enum token_kind kind, const char *name);

/* For backups: with digests, as on the disk. */
cJSON *tokens_to_kept(void);
int tokens_check_kept(const cJSON *json, struct problem *p);
int tokens_restore(const cJSON *json, struct problem *p);

/*
 * tokens_json.c
 */

int token_check_name(const char *name, struct problem *p);

/* What a client wishes, for the token of this name. */
int token_from_json(struct token *t, enum token_kind kind, const cJSON *json, const char *name,
                    struct problem *p);
cJSON *token_to_json(const struct token *t);
cJSON *caller_to_json(const struct principal *caller);

/* With its digest. */
bool token_from_kept(struct token *t, const cJSON *json);
cJSON *token_to_kept(const struct token *t);

#endif
