/*
 * access.h - who calls, and what that one may do and see.
 *
 * A principal has a role, which says what it may do, and perhaps a prefix: then it sees and changes only what has a name
 * that begins with it, and all else is as if it weren't there. Who holds which token is in tokens.h.
 *
 * The principal of a request is its thread's from access_begin() to access_end(). Whatever the service does by itself sees
 * everything.
 */
#ifndef CONTROL_ACCESS_H
#define CONTROL_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#define ACCESS_NAME_MAX \
    24u /* with its NUL: a record of the audit trail has room for it and an address */
#define ACCESS_PREFIX_MAX 40u
#define ACCESS_NO_QUOTA   UINT64_MAX

/* Each may do what those after it may. The first is 0, so that what is left out is nobody else's. */
enum access_role { ACCESS_ADMIN, ACCESS_OPERATOR, ACCESS_VIEWER, ACCESS_ANYBODY };

/* The most of all guests and volumes whose names have the prefix together. */
struct access_quotas {
    uint64_t guests, memory_bytes, vcpus, volume_bytes;
};

struct principal {
    char name[ACCESS_NAME_MAX];
    enum access_role role;
    char prefix[ACCESS_PREFIX_MAX]; /* "" = it sees all */
    struct access_quotas quotas;

    /* Its token's: for tokens_hold(). */
    unsigned slot;
    uint64_t version; /* 0 = the boot's token, which doesn't end */
};

const char *access_role_name(enum access_role role);
bool access_role_read(const char *name, enum access_role *role);

/* The principal is the caller's, and stays. */
void access_begin(const struct principal *caller);
void access_end(void);
const struct principal *access_caller(void); /* NULL = the service itself */

/* Of this thread: the prefix ("" = it sees all), its quotas (NULL = none), and whether it sees what has this name. */
const char *access_prefix(void);
const struct access_quotas *access_quotas(void);
bool access_sees(const char *name);

/* The name as this thread's caller may be told it. */
const char *access_shown(const char *name);

#endif
