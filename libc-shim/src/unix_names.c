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
    mode_t mode;
    uid_t user;
    gid_t group;
};

struct skep_mutex skep_unix_lock;
static struct unix_entry *entries; /* by next */

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

/* -ENAMETOOLONG; -ENOENT: it is empty. */
static int address_of(const char *path, struct sockaddr_un *address, socklen_t *bytes)
{
    size_t length = strnlen(path, sizeof(address->sun_path) + 1);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (length == 0 || length > sizeof(address->sun_path))
        return length == 0 ? -ENOENT : -ENAMETOOLONG;
    memcpy(address->sun_path, path, length);
    *bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return 0;
}

/* The lock is held. */
static struct unix_entry *find_path(const char *path)
{
    struct sockaddr_un address;
    socklen_t bytes;
    if (address_of(path, &address, &bytes) != 0)
        return NULL;
    return find(0, (const struct sockaddr *)&address, bytes);
}

int skep_unix_path_stat(const char *path, struct stat *out)
{
    skep_mutex_lock(&skep_unix_lock);
    const struct unix_entry *entry = find_path(path);
    if (entry != NULL)
        *out = (struct stat){.st_mode = S_IFSOCK | entry->mode,
                             .st_nlink = 1,
                             .st_uid = entry->user,
                             .st_gid = entry->group,
                             .st_blksize = 4096};
    skep_mutex_unlock(&skep_unix_lock);
    return entry != NULL ? 0 : -ENOENT;
}

int skep_unix_path_chmod(const char *path, mode_t mode)
{
    skep_mutex_lock(&skep_unix_lock);
    struct unix_entry *entry = find_path(path);
    if (entry != NULL)
        entry->mode = mode & 07777;
    skep_mutex_unlock(&skep_unix_lock);
    return entry != NULL ? 0 : -ENOENT;
}

int skep_unix_path_chown(const char *path, uid_t user, gid_t group)
{
    skep_mutex_lock(&skep_unix_lock);
    struct unix_entry *entry = find_path(path);
    if (entry != NULL && user != (uid_t)-1)
        entry->user = user;
    if (entry != NULL && group != (gid_t)-1)
        entry->group = group;
    skep_mutex_unlock(&skep_unix_lock);
    return entry != NULL ? 0 : -ENOENT;
}

int skep_unix_path_remove(const char *path)
{
    skep_mutex_lock(&skep_unix_lock);
    struct unix_entry *entry = find_path(path);
    if (entry != NULL)
        remove_entry(entry);
    skep_mutex_unlock(&skep_unix_lock);
    return entry != NULL ? 0 : -ENOENT;
}

int skep_unix_path_rename(const char *path, const char *to)
{
    struct sockaddr_un address;
    socklen_t bytes;
    struct stat status;
    bool is_taken = stat(to, &status) == 0 && !S_ISSOCK(status.st_mode);
    skep_mutex_lock(&skep_unix_lock);
    struct unix_entry *entry = find_path(path);
    int result = entry != NULL ? address_of(to, &address, &bytes) : -ENOENT;
    if (result == 0 && is_taken)
        result = -EEXIST;
    if (result == 0) {
        struct unix_entry *former = find_path(to);
        if (former != NULL && former != entry)
            remove_entry(former);
        entry->address = address;
        entry->bytes = bytes;
    }
    skep_mutex_unlock(&skep_unix_lock);
    return result;
}
