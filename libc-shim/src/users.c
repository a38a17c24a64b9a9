/*
 * users.c - the users and groups that a guest knows: root, whose home is where the environment says, and nobody. No file
 * lists them. Each user has a group of the same name and number.
 *
 * What is found points at storage of its own that never changes: the buffers of the …_r() functions aren't needed.
 */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

static char root_name[] = "root", nobody_name[] = "nobody", top[] = "/", nothing[] = "";

static const struct known {
    char *name;
    unsigned id;
} known[] = {{root_name, 0}, {nobody_name, 65534}};

#define KNOWN_COUNT (sizeof(known) / sizeof(*known))

static const struct known *by_name(const char *name)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (strcmp(known[i].name, name) == 0)
            return &known[i];
    return NULL;
}

static const struct known *by_id(unsigned id)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (known[i].id == id)
            return &known[i];
    return NULL;
}

/* Fills in out, whom this returns; NULL for nobody. */
static struct passwd *fill_user(const struct known *found, struct passwd *out)
{
    if (found == NULL)
        return NULL;
    char *home = found->id == 0 ? getenv("HOME") : NULL;
    *out = (struct passwd){
        .pw_name = found->name,
        .pw_passwd = nothing,
        .pw_uid = (uid_t)found->id,
        .pw_gid = (gid_t)found->id,
        .pw_comment = nothing,
        .pw_gecos = nothing,
        .pw_dir = home != NULL ? home : top,
        .pw_shell = nothing,
    };
    return out;
}

static struct group *fill_group(const struct known *found, struct group *out)
{
    static char *no_members[1];
    if (found == NULL)
        return NULL;
    *out = (struct group){
        .gr_name = found->name,
        .gr_passwd = nothing,
        .gr_gid = (gid_t)found->id,
        .gr_mem = no_members,
    };
    return out;
}

/*
 * Users. Who isn't there is no error: NULL, and errno stays.
 */

static struct passwd found_user;
static size_t next_user;

struct passwd *getpwuid(uid_t user)
{
    return fill_user(by_id(user), &found_user);
}

struct passwd *getpwnam(const char *name)
{
    return fill_user(by_name(name), &found_user);
}

int getpwuid_r(uid_t user, struct passwd *out, char *buffer, size_t bytes, struct passwd **found)
{
    *found = fill_user(by_id(user), out);
    return 0;
}

int getpwnam_r(const char *name, struct passwd *out, char *buffer, size_t bytes,
               struct passwd **found)
{
    *found = fill_user(by_name(name), out);
    return 0;
}

struct passwd *getpwent(void)
{
    return next_user < KNOWN_COUNT ? fill_user(&known[next_user++], &found_user) : NULL;
}

void setpwent(void)
{
    next_user = 0;
}

void endpwent(void)
{
    next_user = 0;
}

/*
 * Groups
 */

static struct group found_group;
static size_t next_group;

struct group *getgrgid(gid_t group)
{
    return fill_group(by_id(group), &found_group);
}

struct group *getgrnam(const char *name)
{
    return fill_group(by_name(name), &found_group);
}

int getgrgid_r(gid_t group, struct group *out, char *buffer, size_t bytes, struct group **found)
{
    *found = fill_group(by_id(group), out);
    return 0;
}

int getgrnam_r(const char *name, struct group *out, char *buffer, size_t bytes,
               struct group **found)
{
    *found = fill_group(by_name(name), out);
    return 0;
}

struct group *getgrent(void)
{
    return next_group < KNOWN_COUNT ? fill_group(&known[next_group++], &found_group) : NULL;
}

void setgrent(void)
{
    next_group = 0;
}

void endgrent(void)
{
    next_group = 0;
}

/* The groups of a user, of whom the list has room for *count: the one that is given. Returns how many, or -1. */
int getgrouplist(const char *user, gid_t group, gid_t *groups, int *count)
{
    int room = *count;
    *count = 1;
    if (room < 1)
        return -1;
    groups[0] = group;
    return 1;
}

int initgroups(const char *user, gid_t group)
{
    return setgroups(1, &group);
}

/* Nobody has logged in. */
char *getlogin(void)
{
    errno = ENXIO;
    return NULL;
}

int getlogin_r(char *name, size_t bytes)
{
    return ENXIO;
}
