/*
 * glob.c - glob(): the paths that a pattern matches. Names without *, ? and brackets are taken as they are; for others their
 * folder is read, and fnmatch() asked.
 */
#include <dirent.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shim.h"

struct search {
    int flags;
    int (*error)(const char *path, int number);
    glob_t *out;
    char path[SKEP_POSIX_PATH_BYTES];
};

static bool is_escape(const struct search *search, const char *pattern)
{
    return pattern[0] == '\\' && pattern[1] != '\0' && !(search->flags & GLOB_NOESCAPE);
}

static bool is_magic(const struct search *search, const char *name, size_t bytes)
{
    for (const char *at = name; at < name + bytes; at++) {
        if (is_escape(search, at))
            at++;
        else if (*at == '*' || *at == '?' || *at == '[')
            return true;
    }
    return false;
}

/* Adds a path of this length, and room for a slash. */
static int add(struct search *search, const char *path, size_t length, bool mark)
{
    glob_t *out = search->out;
    char **grown = realloc(out->gl_pathv, (out->gl_offs + out->gl_pathc + 2) * sizeof(*grown));
    if (grown == NULL)
        return GLOB_NOSPACE;
    if (out->gl_pathv == NULL)
        memset(grown, 0, out->gl_offs * sizeof(*grown));
    out->gl_pathv = grown;
    grown += out->gl_offs + out->gl_pathc;
    grown[0] = malloc(length + 2);
    grown[1] = NULL;
    if (grown[0] == NULL)
        return GLOB_NOSPACE;
    memcpy(grown[0], path, length);
    if (mark)
        grown[0][length++] = '/';
    grown[0][length] = '\0';
    out->gl_pathc++;
    return 0;
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The path is whole: if it is there, it is found. */
static int add_if_there(struct search *search, size_t length)
{
    struct stat status;
    if (length == 0 || lstat(search->path, &status) < 0)
        return 0;
    if (search->flags & GLOB_ONLYDIR && !is_folder(search->path))
        return 0;
    bool mark = search->flags & GLOB_MARK && search->path[length - 1] != '/';
    return add(search, search->path, length, mark && is_folder(search->path));
}

/* Longer paths than there can be match nothing. */
static bool append(struct search *search, size_t *length, const char *text, size_t bytes)
{
    if (*length + bytes >= sizeof(search->path))
        return false;
    memcpy(search->path + *length, text, bytes);
    *length += bytes;
    search->path[*length] = '\0';
    return true;
}

static bool append_name(struct search *search, size_t *length, const char *name, size_t bytes)
{
    for (const char *at = name; at < name + bytes; at++) {
        at += is_escape(search, at);
        if (!append(search, length, at, 1))
            return false;
    }
    return true;
}

static int descend(struct search *search, size_t length, const char *pattern);

/* Whether an error of a folder, told without the slash behind its path, ends the search. */
static bool ends(struct search *search, size_t length, int number)
{
    if (length > 1 && search->path[length - 1] == '/')
        search->path[length - 1] = '\0';
    return (search->error != NULL && search->error(length > 0 ? search->path : ".", number) != 0) ||
           search->flags & GLOB_ERR;
}

/* What the folder, whose path is known, has for a name of the pattern, which the rest follows. */
static int read_folder(struct search *search, size_t length, const char *name, const char *rest)
{
    int flags = (search->flags & GLOB_PERIOD ? 0 : FNM_PERIOD) |
                (search->flags & GLOB_NOESCAPE ? FNM_NOESCAPE : 0);
    DIR *folder = opendir(length > 0 ? search->path : ".");
    if (folder == NULL)
        return errno != ENOTDIR && ends(search, length, errno) ? GLOB_ABORTED : 0;
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(folder)) != NULL;) {
        size_t longer = length;
        if (fnmatch(name, entry->d_name, flags) == 0 &&
            append(search, &longer, entry->d_name, strlen(entry->d_name)) &&
            (*rest == '\0' || entry->d_type == DT_DIR || is_folder(search->path)))
            result = descend(search, longer, rest);
        search->path[length] = '\0';
    }
    closedir(folder);
    return result;
}

/* The path goes on as the pattern says. */
static int descend(struct search *search, size_t length, const char *pattern)
{
    char name[SKEP_POSIX_PATH_BYTES];
    for (;;) {
        size_t slashes = strspn(pattern, "/");
        if (!append(search, &length, pattern, slashes))
            return 0;
        pattern += slashes;
        size_t bytes = strcspn(pattern, "/");
        if (bytes == 0)
            return add_if_there(search, length);
        if (bytes >= sizeof(name))
            return 0;
        if (is_magic(search, pattern, bytes))
            break;
        if (!append_name(search, &length, pattern, bytes))
            return 0;
        pattern += bytes;
    }
    size_t bytes = strcspn(pattern, "/");
    memcpy(name, pattern, bytes);
    name[bytes] = '\0';
    return read_folder(search, length, name, pattern + bytes);
}

static int compare(const void *a, const void *b)
{
    return strcoll(*(char *const *)a, *(char *const *)b);
}

/* A pattern without alternatives. */
static int find(struct search *search, const char *pattern)
{
    size_t before = search->out->gl_pathc, length = 0;
    const char *home = getenv("HOME");
    if (search->flags & GLOB_TILDE && pattern[0] == '~' && strchr("/", pattern[1])) {
        pattern++;
        if (home != NULL && !append(search, &length, home, strlen(home)))
            return 0;
        if (home == NULL && *pattern == '\0')
            pattern = "/";
    }
    if (is_magic(search, pattern, strlen(pattern)))
        search->out->gl_flags |= GLOB_MAGCHAR;
    int result = descend(search, length, pattern);
    size_t count = search->out->gl_pathc - before;
    if (!(search->flags & GLOB_NOSORT) && count > 1)
        qsort(search->out->gl_pathv + search->out->gl_offs + before, count, sizeof(char *),
              compare);
    return result;
}

/* Where an alternative ends, behind its first bracket or a comma: at a comma or the last bracket. NULL: nowhere. */
static const char *find_end(const struct search *search, const char *pattern)
{
    unsigned depth = 0;
    for (; *pattern != '\0'; pattern++) {
        if (is_escape(search, pattern))
            pattern++;
        else if (*pattern == '{')
            depth++;
        else if (depth == 0 && (*pattern == ',' || *pattern == '}'))
            return pattern;
        else if (*pattern == '}')
            depth--;
    }
    return NULL;
}

/* The first bracket that alternatives follow, and their end; NULL: there are none. */
static const char *find_alternatives(const struct search *search, const char *pattern,
                                     const char **last)
{
    for (; *pattern != '\0'; pattern++) {
        const char *end = pattern;
        if (is_escape(search, pattern) || strncmp(pattern, "{}", 2) == 0)
            pattern++;
        else if (*pattern == '{')
            while ((end = find_end(search, end + 1)) != NULL)
                if (*end == '}') {
                    *last = end;
                    return pattern;
                }
    }
    return NULL;
}

static int find_each(struct search *search, const char *pattern)
{
    const char *last,
        *first = search->flags & GLOB_BRACE ? find_alternatives(search, pattern, &last) : NULL;
    if (first == NULL)
        return find(search, pattern);
    char *one = malloc(strlen(pattern) + 1);
    if (one == NULL)
        return GLOB_NOSPACE;
    int result = 0;
    for (const char *begin = first; begin != last && result == 0;) {
        const char *end = find_end(search, begin + 1);
        size_t front = (size_t)(first - pattern), bytes = (size_t)(end - begin - 1);
        memcpy(one, pattern, front);
        memcpy(one + front, begin + 1, bytes);
        stpcpy(one + front + bytes, last + 1);
        result = find_each(search, one);
        begin = end;
    }
    free(one);
    return result;
}

int glob(const char *pattern, int flags, int (*error)(const char *path, int number), glob_t *out)
{
    struct search search = {.flags = flags, .error = error, .out = out};
    if (!(flags & GLOB_APPEND)) {
        out->gl_pathc = 0;
        out->gl_pathv = NULL;
        if (!(flags & GLOB_DOOFFS))
            out->gl_offs = 0;
    }
    out->gl_flags = flags & ~GLOB_MAGCHAR;
    size_t before = out->gl_pathc;
    int result = find_each(&search, pattern);
    if (result != 0 || out->gl_pathc > before)
        return result;
    bool itself = flags & GLOB_NOCHECK || (flags & GLOB_NOMAGIC && !(out->gl_flags & GLOB_MAGCHAR));
    return itself ? add(&search, pattern, strlen(pattern), false) : GLOB_NOMATCH;
}

void globfree(glob_t *paths)
{
    for (size_t i = 0; i < paths->gl_pathc; i++)
        free(paths->gl_pathv[paths->gl_offs + i]);
    free(paths->gl_pathv);
    paths->gl_pathv = NULL;
    paths->gl_pathc = 0;
}
