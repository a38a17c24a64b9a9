/*
 * identity.c - whose process this is: real, effective and saved users and groups. They are kept and told, as Linux does
 * it for a process that begins as root, so that servers can drop their privileges. Nothing here looks at them but this.
 */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

/* As an argument: stays as it is. */
#define KEEP ((uid_t)-1)

struct ids {
    uid_t real, effective, saved;
};

/* Guards all that follows. */
static struct skep_mutex lock;
static struct ids users, groups;
static gid_t others[NGROUPS_MAX];
static int other_count;

_Static_assert(sizeof(uid_t) == sizeof(gid_t), "struct ids is for both");

/* The lock is held. */
static bool is_privileged(void)
{
    return users.effective == 0;
}

static bool may_become(const struct ids *ids, uid_t wanted)
{
    return wanted == KEEP || wanted == ids->real || wanted == ids->effective ||
           wanted == ids->saved || is_privileged();
}

static int change(struct ids *ids, struct ids wanted)
{
    if (!may_become(ids, wanted.real) || !may_become(ids, wanted.effective) ||
        !may_become(ids, wanted.saved))
        return -EPERM;
    ids->real = wanted.real != KEEP ? wanted.real : ids->real;
    ids->effective = wanted.effective != KEEP ? wanted.effective : ids->effective;
    ids->saved = wanted.saved != KEEP ? wanted.saved : ids->saved;
    return 0;
}

static int set_all(struct ids *ids, uid_t real, uid_t effective, uid_t saved)
{
    skep_mutex_lock(&lock);
    int result = change(ids, (struct ids){real, effective, saved});
    skep_mutex_unlock(&lock);
    return (int)skep_posix_result(result);
}

/* setuid() and setgid(): who is privileged becomes it for good. */
static int set_one(struct ids *ids, uid_t id)
{
    if (id == KEEP)
        return (int)skep_posix_result(-EINVAL);
    skep_mutex_lock(&lock);
    bool for_good = is_privileged();
    int result = change(ids, (struct ids){for_good ? id : KEEP, id, for_good ? id : KEEP});
    skep_mutex_unlock(&lock);
    return (int)skep_posix_result(result);
}

/* setreuid() and setregid(): who takes another identity loses the saved one. */
static int set_two(struct ids *ids, uid_t real, uid_t effective)
{
    skep_mutex_lock(&lock);
    bool is_other = real != KEEP || (effective != KEEP && effective != ids->real);
    uid_t then = effective != KEEP ? effective : ids->effective;
    int result = change(ids, (struct ids){real, effective, is_other ? then : KEEP});
    skep_mutex_unlock(&lock);
    return (int)skep_posix_result(result);
}

static struct ids get(const struct ids *ids)
{
    skep_mutex_lock(&lock);
    struct ids copy = *ids;
    skep_mutex_unlock(&lock);
    return copy;
}

static int get_all(const struct ids *ids, uid_t *real, uid_t *effective, uid_t *saved)
{
    struct ids copy = get(ids);
    *real = copy.real;
    *effective = copy.effective;
    *saved = copy.saved;
    return 0;
}

uid_t getuid(void)
{
    return get(&users).real;
}

uid_t geteuid(void)
{
    return get(&users).effective;
}

gid_t getgid(void)
{
    return get(&groups).real;
}

gid_t getegid(void)
{
    return get(&groups).effective;
}

int getresuid(uid_t *real, uid_t *effective, uid_t *saved)
{
    return get_all(&users, real, effective, saved);
}

int getresgid(gid_t *real, gid_t *effective, gid_t *saved)
{
    return get_all(&groups, real, effective, saved);
}

int setuid(uid_t user)
{
    return set_one(&users, user);
}

int setgid(gid_t group)
{
    return set_one(&groups, group);
}

int seteuid(uid_t user)
{
    return user == KEEP ? (int)skep_posix_result(-EINVAL) : set_all(&users, KEEP, user, KEEP);
}

int setegid(gid_t group)
{
    return group == KEEP ? (int)skep_posix_result(-EINVAL) : set_all(&groups, KEEP, group, KEEP);
}

int setreuid(uid_t real, uid_t effective)
{
    return set_two(&users, real, effective);
}

int setregid(gid_t real, gid_t effective)
{
    return set_two(&groups, real, effective);
}

int setresuid(uid_t real, uid_t effective, uid_t saved)
{
    return set_all(&users, real, effective, saved);
}

int setresgid(gid_t real, gid_t effective, gid_t saved)
{
    return set_all(&groups, real, effective, saved);
}

int getgroups(int room, gid_t list[])
{
    skep_mutex_lock(&lock);
    int count = other_count;
    if (room < 0 || (room != 0 && room < count))
        count = -EINVAL;
    else if (room != 0)
        memcpy(list, others, (size_t)count * sizeof(*list));
    skep_mutex_unlock(&lock);
    return (int)skep_posix_result(count);
}

int setgroups(int count, const gid_t *list)
{
    int result = 0;
    if (count < 0 || count > NGROUPS_MAX)
        return (int)skep_posix_result(-EINVAL);
    skep_mutex_lock(&lock);
    if (!is_privileged())
        result = -EPERM;
    else if (count != 0)
        memcpy(others, list, (size_t)count * sizeof(*list));
    other_count = result == 0 ? count : other_count;
    skep_mutex_unlock(&lock);
    return (int)skep_posix_result(result);
}

/* Whether the process has become somebody else: nobody started it as such. */
int issetugid(void)
{
    return 0;
}
