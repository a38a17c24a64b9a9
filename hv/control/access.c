/* access.c - roles, and what the caller of this thread sees. */
#include "access.h"

#include <string.h>

static const char *const roles[] = {
    [ACCESS_ADMIN] = "admin", [ACCESS_OPERATOR] = "operator", [ACCESS_VIEWER] = "viewer"};

static _Thread_local const struct principal *current;

const char *access_role_name(enum access_role role)
{
    return role < ACCESS_ANYBODY ? roles[role] : "none";
}

bool access_role_read(const char *name, enum access_role *role)
{
    for (unsigned i = ACCESS_ADMIN; name && i < ACCESS_ANYBODY; i++)
        if (strcmp(name, roles[i]) == 0) {
            *role = (enum access_role)i;
            return true;
        }
    return false;
}

void access_begin(const struct principal *caller)
{
    current = caller;
}

void access_end(void)
{
    current = NULL;
}

const struct principal *access_caller(void)
{
    return current;
}

const char *access_prefix(void)
{
    return current ? current->prefix : "";
}

const struct access_quotas *access_quotas(void)
{
    return current && current->prefix[0] ? &current->quotas : NULL;
}

bool access_sees(const char *name)
{
    const char *prefix = access_prefix();
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

const char *access_shown(const char *name)
{
    return access_sees(name) ? name : "(not yours)";
}
