/*
 * nftw.c - nftw(): walks through a folder and all below it. A folder's names are read before its entries are visited, so
 * that one descriptor is enough for any depth.
 */
#include <dirent.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim.h"

typedef int nftw_function(const char *path, const struct stat *status, int type, struct FTW *where);

struct walk {
    nftw_function *function;
    int flags;
    dev_t device; /* the first folder's */
    size_t skip;  /* of the text, what comes before the path that the function is told */
    char text[2 * SKEP_POSIX_PATH_BYTES];
};

/* The folders that are being visited, from the innermost one on. */
struct folder {
    const struct folder *above;
    dev_t device;
    ino_t number;
};

static bool is_among(const struct folder *folder, const struct stat *status)
{
    while (folder != NULL && (folder->device != status->st_dev || folder->number != status->st_ino))
        folder = folder->above;
    return folder != NULL;
}

/* What the path is, or -1 and errno. What went away after its folder was read is FTW_NS. */
static int look(const struct walk *walk, bool is_first, struct stat *status)
{
    if ((walk->flags & FTW_PHYS ? lstat : stat)(walk->text, status) == 0)
        return S_ISDIR(status->st_mode) ? FTW_D : S_ISLNK(status->st_mode) ? FTW_SL : FTW_F;
    if (errno != ENOENT)
        return -1;
    if (!(walk->flags & FTW_PHYS) && lstat(walk->text, status) == 0)
        return FTW_SLN;
    return is_first ? -1 : FTW_NS;
}

/* With FTW_CHDIR, the current folder is the one that has the name. */
static int report(struct walk *walk, const struct stat *status, int type, struct FTW *where)
{
    if (walk->flags & FTW_CHDIR) {
        char *name = walk->text + walk->skip + where->base, first = *name;
        *name = '\0';
        int result = chdir(walk->text[0] != '\0' ? walk->text : "/");
        *name = first;
        if (result < 0)
            return -1;
    }
    return walk->function(walk->text + walk->skip, status, type, where);
}

static int visit(struct walk *walk, size_t length, const struct folder *above, struct FTW where);

/* An entry of a folder, whose path has this length. */
static int visit_name(struct walk *walk, size_t length, const char *name,
                      const struct folder *folder, int level)
{
    size_t bytes = strlen(name), slash = walk->text[length - 1] != '/';
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    if (length + slash + bytes - walk->skip >= SKEP_POSIX_PATH_BYTES)
        return (int)skep_posix_result(-ENAMETOOLONG);
    walk->text[length] = '/'; /* or the name's first letter */
    memcpy(walk->text + length + slash, name, bytes + 1);
    const struct FTW where = {.base = (int)(length + slash - walk->skip), .level = level};
    int result = visit(walk, length + slash + bytes, folder, where);
    walk->text[length] = '\0';
    return result;
}

static int visit_names(struct walk *walk, size_t length, const struct folder *folder, int level)
{
    struct dirent **names;
    int count = scandir(walk->text, &names, NULL, NULL), result = 0;
    if (count < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        if (result == 0)
            result = visit_name(walk, length, names[i]->d_name, folder, level);
        free(names[i]);
    }
    free(names);
    return result;
}

static int visit(struct walk *walk, size_t length, const struct folder *above, struct FTW where)
{
    struct stat status = {0};
    int type = look(walk, above == NULL, &status), result = 0;
    if (type < 0)
        return -1;
    if (above == NULL)
        walk->device = status.st_dev;
    if (walk->flags & FTW_MOUNT && status.st_dev != walk->device)
        return 0;
    if (type != FTW_D)
        return report(walk, &status, type, &where);
    if (is_among(above, &status))
        return 0;
    const struct folder folder = {above, status.st_dev, status.st_ino};
    if (!(walk->flags & FTW_DEPTH))
        result = report(walk, &status, FTW_D, &where);
    if (result == 0)
        result = visit_names(walk, length, &folder, where.level + 1);
    if (result == 0 && walk->flags & FTW_DEPTH)
        result = report(walk, &status, FTW_DP, &where);
    return result;
}

/* The text of the path, without slashes at its end; with FTW_CHDIR it must stay the same from everywhere. Its length. */
static size_t start_text(struct walk *walk, const char *path, const char *current)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (walk->flags & FTW_CHDIR && path[0] != '/') {
        walk->skip = strlcpy(walk->text, current, SKEP_POSIX_PATH_BYTES);
        if (walk->text[walk->skip - 1] != '/')
            walk->text[walk->skip++] = '/';
    }
    memcpy(walk->text + walk->skip, path, length);
    walk->text[walk->skip + length] = '\0';
    return walk->skip + length;
}

/* POSIX: at most `descriptors` folders are open at a time. */
int nftw(const char *path, nftw_function *function, int descriptors, int flags)
{
    struct walk walk = {.function = function, .flags = flags};
    char current[SKEP_POSIX_PATH_BYTES];
    if (descriptors < 1 || path[0] == '\0' || strlen(path) >= SKEP_POSIX_PATH_BYTES)
        return (int)skep_posix_result(descriptors < 1   ? -EINVAL
                                      : path[0] == '\0' ? -ENOENT
                                                        : -ENAMETOOLONG);
    if (flags & FTW_CHDIR && getcwd(current, sizeof(current)) == NULL)
        return -1;
    size_t length = start_text(&walk, path, current);
    const char *slash = strrchr(walk.text + walk.skip, '/');
    bool has_folder = slash != NULL && slash[1] != '\0';
    const struct FTW where = {.base = has_folder ? (int)(slash + 1 - walk.text - walk.skip) : 0};
    int result = visit(&walk, length, NULL, where), error = errno;
    if (flags & FTW_CHDIR && chdir(current) < 0 && result == 0)
        return -1;
    errno = error;
    return result;
}
