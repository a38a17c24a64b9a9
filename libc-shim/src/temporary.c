/*
 * temporary.c - files and folders with names that nobody has: the last six letters of a template, or those before its
 * suffix, are chosen at random.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim.h"

#define LETTERS 6u   /* that are chosen: 2^34 names */
#define TRIES   100u /* names that are taken before nothing else is tried */

/* Makes what gets the name, with a mode or flags: a result, or -1 and errno. EEXIST: the name is taken. */
typedef int make_function(const char *path, int how);

static int make_file(const char *path, int flags)
{
    return open(path, (flags & ~O_ACCMODE) | O_RDWR | O_CREAT | O_EXCL, 0600);
}

static int make_folder(const char *path, int mode)
{
    return mkdir(path, (mode_t)mode);
}

static int make_nothing(const char *path, int unused)
{
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0 : -1;
    errno = EEXIST;
    return -1;
}

/* The letters that are chosen, or NULL: it is no template. */
static char *find_letters(char *template, int suffix_bytes)
{
    size_t bytes = strlen(template), suffix = (size_t)suffix_bytes;
    if (suffix_bytes < 0 || bytes < LETTERS + suffix)
        return NULL;
    char *letters = template + bytes - suffix - LETTERS;
    return memcmp(letters, "XXXXXX", LETTERS) == 0 ? letters : NULL;
}

static void choose(char letters[LETTERS])
{
    static const char set[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint64_t random;
    skep_random(&random, sizeof(random));
    for (unsigned i = 0; i < LETTERS; i++, random /= sizeof(set) - 1)
        letters[i] = set[random % (sizeof(set) - 1)];
}

static int make(char *template, int suffix_bytes, make_function *function, int how)
{
    char *letters = find_letters(template, suffix_bytes);
    int result = -1, before = errno;
    if (letters == NULL)
        return (int)skep_posix_result(-EINVAL);
    errno = EEXIST;
    for (unsigned i = 0; i < TRIES && result < 0 && errno == EEXIST; i++) {
        choose(letters);
        result = function(template, how);
    }
    if (result >= 0)
        errno = before;
    return result;
}

int mkstemp(char *template)
{
    return make(template, 0, make_file, 0);
}

int mkstemps(char *template, int suffix_bytes)
{
    return make(template, suffix_bytes, make_file, 0);
}

int mkostemp(char *template, int flags)
{
    return make(template, 0, make_file, flags);
}

int mkostemps(char *template, int suffix_bytes, int flags)
{
    return make(template, suffix_bytes, make_file, flags);
}

char *mkdtemp(char *template)
{
    return make(template, 0, make_folder, 0700) < 0 ? NULL : template;
}

/* Of no use where others make files, too. */
char *mktemp(char *template)
{
    if (make(template, 0, make_nothing, 0) < 0)
        template[0] = '\0';
    return template;
}
