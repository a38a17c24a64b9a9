/*
 * unix_names.c - names of UNIX sockets. They are in a list here, whether they are abstract or look like paths: none is a
 * file, and one is free again when its socket is closed. What looks like a path is found by functions on paths all the
 * same, by the characters that bind() had: servers remove it, rename it, and say who may connect.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim.h"
#include "unix_internal.h"

/* Where a socket is found. The socket tells the name that it was bound to for ever, as on Linux. */
struct unix_entry {
    struct unix_entry *next;
    struct unix_name *owner;
    socklen_t bytes;
    struct sockaddr_un address;
    ino_t number;
    mode_t mode;
    uid_t user;
    gid_t group;
};

struct skep_mutex skep_unix_lock;
static struct unix_entry *entries; /* by next */
static ino_t last_number;          /* of them */

int skep_unix_name_check(const struct sockaddr *address, socklen_t *bytes)
{
    const struct sockaddr_un *name = (const struct sockaddr_un *)address;
    const socklen_t start = offsetof(struct sockaddr_un, sun_path);
    if (address == NULL || *bytes <= start || *bytes > sizeof(*name) || name->sun_family != AF_UNIX)
        return -EINVAL;
    if (name->sun_path[0] != 0)
        *bytes = start + (socklen_t)strnlen(name->sun_path, *bytes - start);
    return 0;
}

static bool is_path(const struct sockaddr *address)
{
    return address->sa_data[0] != 0;
}

static struct unix_entry *find(int type, const struct sockaddr *address, socklen_t bytes)
{
    struct unix_entry *found = entries;
    while (found != NULL &&
           (found->bytes != bytes || memcmp(&found->address, address, bytes) != 0 ||
            (found->owner->type != type && !is_path(address))))
        found = found->next;
    return found;
}

struct unix_name *skep_unix_name_find(int type, const struct sockaddr *address, socklen_t bytes)
{
    const struct unix_entry *found = find(type, address, bytes);
    return found != NULL ? found->owner : NULL;
}

int skep_unix_name_missing(const struct sockaddr *address)
{
    return is_path(address) ? -ENOENT : -ECONNREFUSED;
}

static void remove_entry(struct unix_entry *entry)
{
    struct unix_entry **at = &entries;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    entry->owner->entry = NULL;
    free(entry);
}

int skep_unix_name_bind(struct unix_name *own, const struct sockaddr *address, socklen_t bytes)
{
    int result = skep_unix_name_check(address, &bytes);
    if (result != 0)
        return result;
    struct unix_entry *entry = malloc(sizeof(*entry));
    if (entry == NULL)
        return -ENOMEM;
    mode_t mask = atomic_load_explicit(&skep_posix_mask, memory_order_relaxed);
    *entry = (struct unix_entry){
        .owner = own, .bytes = bytes, .mode = 0777 & ~mask, .user = geteuid(), .group = getegid()};
    memcpy(&entry->address, address, bytes);
    skep_mutex_lock(&skep_unix_lock);
    if (own->bytes != 0)
        result = -EINVAL;
    else if (find(own->type, address, bytes) != NULL)
        result = -EADDRINUSE;
    else {
        own->address = entry->address;
        own->bytes = bytes;
        own->entry = entry;
        entry->number = ++last_number;
        entry->next = entries;
        entries = entry;
    }
    skep_mutex_unlock(&skep_unix_lock);
    if (result != 0)
        free(entry);
    return result;
}

/* The ends of connections have their listener's name and no entry. */
void skep_unix_name_forget(struct unix_name *own)
{
    if (own->entry != NULL)
        remove_entry(own->entry);
}

void skep_unix_name_tell(const struct unix_name *of, struct sockaddr *address, socklen_t *bytes)
{
    struct sockaddr_un name = of->address;
    socklen_t whole = of->bytes;
    name.sun_family = AF_UNIX;
    if (whole == 0)
        whole = sizeof(name.sun_family);
    else if (name.sun_path[0] != 0 && whole < sizeof(name))
        whole++;
    memcpy(address, &name, *bytes < whole ? *bytes : whole);
    *bytes = whole;
}

/*
 * What functions on paths do (shim.h)
 */

/* A path as bind() has it. */
struct path {
    struct sockaddr_un address;
    socklen_t bytes;
};

/* Before anything is locked, as the path may be at a bad address. -ENAMETOOLONG; -ENOENT: it is empty. */
static int path_take(struct path *path, const char *text)
{
    size_t length = strnlen(text, sizeof(path->address.sun_path) + 1);
    path->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    path->bytes = 0; /* no socket has that */
    if (length == 0 || length > sizeof(path->address.sun_path))
        return length == 0 ? -ENOENT : -ENAMETOOLONG;
    memcpy(path->address.sun_path, text, length);
    path->bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return 0;
}

/* The lock is held. */
static struct unix_entry *find_path(const struct path *path)
{
    return find(0, (const struct sockaddr *)&path->address, path->bytes);
}

/* The entry with the lock held; NULL: there is none, and it isn't held. */
static struct unix_entry *find_locked(const char *text)
{
    struct path path;
    if (path_take(&path, text) != 0)
        return NULL;
    skep_mutex_lock(&skep_unix_lock);
    struct unix_entry *entry = find_path(&path);
    if (entry == NULL)
        skep_mutex_unlock(&skep_unix_lock);
    return entry;
}

int skep_unix_path_stat(const char *path, struct stat *out)
{
    const struct unix_entry *entry = find_locked(path);
    if (entry == NULL)
        return -ENOENT;
    const struct stat status = {.st_mode = S_IFSOCK | entry->mode,
                                .st_ino = entry->number,
                                .st_nlink = 1,
                                .st_uid = entry->user,
                                .st_gid = entry->group,
                                .st_blksize = 4096};
    skep_mutex_unlock(&skep_unix_lock);
    *out = status;
    return 0;
}

int skep_unix_path_chmod(const char *path, mode_t mode)
{
    struct unix_entry *entry = find_locked(path);
    if (entry == NULL)
        return -ENOENT;
    entry->mode = mode & 07777;
    skep_mutex_unlock(&skep_unix_lock);
    return 0;
}

int skep_unix_path_chown(const char *path, uid_t user, gid_t group)
{
    struct unix_entry *entry = find_locked(path);
    if (entry == NULL)
        return -ENOENT;
    if (user != (uid_t)-1)
        entry->user = user;
    if (group != (gid_t)-1)
        entry->group = group;
    skep_mutex_unlock(&skep_unix_lock);
    return 0;
}

int skep_unix_path_remove(const char *path)
{
    struct unix_entry *entry = find_locked(path);
    if (entry == NULL)
        return -ENOENT;
    remove_entry(entry);
    skep_mutex_unlock(&skep_unix_lock);
    return 0;
}

int skep_unix_path_rename(const char *path, const char *to)
{
    struct path wanted;
    int result = path_take(&wanted, to);
    struct unix_entry *entry = find_locked(path);
    if (entry == NULL)
        return -ENOENT;
    if (result == 0) {
        struct unix_entry *former = find_path(&wanted);
        if (former != NULL && former != entry)
            remove_entry(former);
        entry->address = wanted.address;
        entry->bytes = wanted.bytes;
    }
    skep_mutex_unlock(&skep_unix_lock);
    return result;
}
