/*
 * semaphores.c - semaphores with names. A guest is one process, so that the names are the process's own.
 */
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

struct named {
    struct named *next;
    unsigned users;  /* who has opened it and not yet closed */
    bool is_removed; /* from the names; it goes with its last user */
    sem_t sem;
    char name[];
};

static struct skep_mutex lock; /* guards all that follows, and each struct but its semaphore */
static struct named *all;

/* A slash may begin it, and none may follow. NULL: none is of that form, and errno says why. */
static const char *plain_name(const char *name)
{
    while (*name == '/')
        name++;
    if (*name == 0 || strchr(name, '/') != NULL)
        errno = EINVAL;
    else if (strlen(name) > NAME_MAX)
        errno = ENAMETOOLONG;
    else
        return name;
    return NULL;
}

/* The lock is held here, and in the next two. */
static struct named *find(const char *name)
{
    struct named *found = all;
    while (found != NULL && (found->is_removed || strcmp(found->name, name) != 0))
        found = found->next;
    return found;
}

static int create(const char *name, unsigned value, struct named **out)
{
    size_t bytes = strlen(name) + 1;
    struct named *made = value <= SEM_VALUE_MAX ? malloc(sizeof(*made) + bytes) : NULL;
    if (made == NULL)
        return value <= SEM_VALUE_MAX ? -ENOMEM : -EINVAL;
    *made = (struct named){.next = all};
    sem_init(&made->sem, 0, value);
    memcpy(made->name, name, bytes);
    *out = all = made;
    return 0;
}

static void free_unused(void)
{
    for (struct named **at = &all; *at != NULL;) {
        struct named *one = *at;
        if (one->is_removed && one->users == 0) {
            *at = one->next;
            free(one);
        } else {
            at = &one->next;
        }
    }
}

sem_t *sem_open(const char *name, int flags, ...)
{
    unsigned value = 0;
    if (flags & O_CREAT) {
        va_list arguments;
        va_start(arguments, flags);
        (void)va_arg(arguments, mode_t);
        value = va_arg(arguments, unsigned);
        va_end(arguments);
    }
    if ((name = plain_name(name)) == NULL)
        return SEM_FAILED;
    skep_mutex_lock(&lock);
    struct named *found = find(name);
    int result = found == NULL && !(flags & O_CREAT)     ? -ENOENT
                 : found == NULL                         ? create(name, value, &found)
                 : (flags & O_CREAT) && (flags & O_EXCL) ? -EEXIST
                                                         : 0;
    if (result == 0)
        found->users++;
    skep_mutex_unlock(&lock);
    return skep_posix_result(result) == 0 ? &found->sem : SEM_FAILED;
}

int sem_close(sem_t *sem)
{
    skep_mutex_lock(&lock);
    struct named *found = all;
    while (found != NULL && &found->sem != sem)
        found = found->next;
    bool was_open = found != NULL && found->users > 0;
    if (was_open) {
        found->users--;
        free_unused();
    }
    skep_mutex_unlock(&lock);
    return (int)skep_posix_result(was_open ? 0 : -EINVAL);
}

int sem_unlink(const char *name)
{
    if ((name = plain_name(name)) == NULL)
        return -1;
    skep_mutex_lock(&lock);
    struct named *found = find(name);
    if (found != NULL) {
        found->is_removed = true;
        free_unused();
    }
    skep_mutex_unlock(&lock);
    return (int)skep_posix_result(found != NULL ? 0 : -ENOENT);
}
