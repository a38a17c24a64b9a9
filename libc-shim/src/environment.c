/*
 * environment.c - changes of the environment. Programs put arrays of their own into environ, and keep what getenv() has
 * told them: no string is changed or freed, and no array but the one that was made here. A value that is set again is the
 * same string, so that values that come and go take no more memory each time.
 */
#include <envlock.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

struct made {
    struct made *next;
    char text[]; /* NAME=VALUE */
};

/* Guarded by newlib's lock of the environment. */
static struct made *made;
static char **array; /* that was made here, with room for the array_room-th entry and NULL */
static size_t array_room;

static bool is_name(const char *name)
{
    return name != NULL && name[0] != '\0' && strchr(name, '=') == NULL;
}

/* Its entry's place, or that of the NULL at the end. */
static size_t find(const char *name, size_t bytes)
{
    size_t i = 0;
    while (environ != NULL && environ[i] != NULL &&
           (strncmp(environ[i], name, bytes) != 0 || environ[i][bytes] != '='))
        i++;
    return i;
}

static bool is_there(size_t place)
{
    return environ != NULL && environ[place] != NULL;
}

/* An entry in place of the one that has its name, or behind all others. */
static int put(char *entry)
{
    size_t place = find(entry, strcspn(entry, "="));
    if (!is_there(place) && (environ != array || place >= array_room)) {
        char **grown = calloc(2 * place + 8, sizeof(*grown));
        if (grown == NULL)
            return -ENOMEM;
        if (place > 0)
            memcpy(grown, environ, place * sizeof(*grown));
        if (environ == array)
            free(array);
        environ = array = grown;
        array_room = 2 * place + 7;
    }
    if (!is_there(place))
        environ[place + 1] = NULL;
    environ[place] = entry;
    return 0;
}

/* The string for a value, made if there has been none. */
static char *make(const char *name, const char *value)
{
    size_t name_bytes = strlen(name), value_bytes = strlen(value);
    for (struct made *old = made; old != NULL; old = old->next)
        if (strncmp(old->text, name, name_bytes) == 0 && old->text[name_bytes] == '=' &&
            strcmp(old->text + name_bytes + 1, value) == 0)
            return old->text;
    struct made *new = malloc(sizeof(*new) + name_bytes + value_bytes + 2);
    if (new == NULL)
        return NULL;
    char *end = stpcpy(new->text, name);
    *end = '=';
    stpcpy(end + 1, value);
    new->next = made;
    made = new;
    return new->text;
}

int setenv(const char *name, const char *value, int overwrite)
{
    int result = 0;
    if (!is_name(name))
        return (int)skep_posix_result(-EINVAL);
    __env_lock(_REENT);
    if (overwrite || !is_there(find(name, strlen(name)))) {
        char *entry = make(name, value);
        result = entry != NULL ? put(entry) : -ENOMEM;
    }
    __env_unlock(_REENT);
    return (int)skep_posix_result(result);
}

int unsetenv(const char *name)
{
    if (!is_name(name))
        return (int)skep_posix_result(-EINVAL);
    __env_lock(_REENT);
    for (size_t place; is_there(place = find(name, strlen(name)));)
        for (; environ[place] != NULL; place++)
            environ[place] = environ[place + 1];
    __env_unlock(_REENT);
    return 0;
}

/* The string itself becomes part of the environment. */
int putenv(char *entry)
{
    if (strchr(entry, '=') == NULL)
        return unsetenv(entry);
    __env_lock(_REENT);
    int result = entry[0] == '=' ? -EINVAL : put(entry);
    __env_unlock(_REENT);
    return (int)skep_posix_result(result);
}

int clearenv(void)
{
    __env_lock(_REENT);
    if (environ == array) {
        free(array);
        array = NULL;
        array_room = 0;
    }
    environ = NULL;
    __env_unlock(_REENT);
    return 0;
}
