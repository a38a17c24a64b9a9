/*
 * walk.c - the table of mounted volumes, and the way from a path to a place in one.
 *
 * A path is walked name by name, as it is meant: ".." is the folder that has this one, also behind a symbolic link. Outside
 * volumes there are no links, and a path is a string.
 */
#include "walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "skep/block.h"

#define VOLUMES_MAX 8u
#define LINKS_MAX   16u

/* Filled before there is a second thread, emptied when the program ends: neither needs a lock. */
static struct fs_volume *volumes[VOLUMES_MAX];
static unsigned volume_count;

static struct skep_mutex current_lock; /* guards current */
static char current[FS_PATH_BYTES] = "/";

/*
 * The table
 */

const char *fs_tree_path(unsigned index)
{
    return index < volume_count ? volumes[index]->path : NULL;
}

/* Whether b lies in a. */
static bool contains(const char *a, const char *b)
{
    size_t length = strlen(a);
    return strncmp(a, b, length) == 0 && (b[length] == 0 || b[length] == '/');
}

static bool is_good_path(const char *path)
{
    size_t length = strlen(path);
    if (path[0] != '/' || length < 2 || length >= FS_PATH_BYTES / 2 || path[length - 1] == '/')
        return false;
    if (strstr(path, "//") != NULL || strstr(path, "/./") != NULL || strstr(path, "/../") != NULL)
        return false;
    const char *last = strrchr(path, '/');
    if (strcmp(last, "/.") == 0 || strcmp(last, "/..") == 0)
        return false;
    for (unsigned i = 0; i < volume_count; i++)
        if (contains(volumes[i]->path, path) || contains(path, volumes[i]->path))
            return false;
    return true;
}

int fs_tree_mount(const char *name, const char *path, unsigned flags)
{
    if (volume_count == VOLUMES_MAX)
        return -EMFILE;
    if (!is_good_path(path)) {
        fs_message("%s: can't be mounted at %s: not an absolute path beside all others", name,
                   path);
        return -EINVAL;
    }
    int device = skep_block_find(name);
    if (device < 0) {
        fs_message("%s: can't be mounted: this guest has no volume of that name", name);
        return -ENODEV;
    }
    struct fs_volume *volume = malloc(sizeof(*volume));
    if (volume == NULL)
        return -ENOMEM;
    int result = fs_volume_mount(volume, (unsigned)device, name, flags);
    if (result == 0 && (volume->path = strdup(path)) == NULL) {
        fs_volume_discard(volume);
        result = -ENOMEM;
    }
    if (result != 0) {
        free(volume);
        return result;
    }
    volumes[volume_count++] = volume;
    return 0;
}

int fs_tree_unmount(void)
{
    int first = 0;
    while (volume_count > 0) {
        struct fs_volume *volume = volumes[volume_count - 1];
        skep_mutex_lock(&volume->lock);
        volume_count--;
        int result = fs_volume_unmount(volume);
        if (first == 0)
            first = result;
        free(volume);
    }
    return first;
}

void fs_tree_discard(void)
{
    while (volume_count > 0) {
        struct fs_volume *volume = volumes[--volume_count];
        fs_volume_discard(volume);
        free(volume);
    }
}

int fs_tree_commit_all(void)
{
    int first = 0;
    for (unsigned i = 0; i < volume_count; i++) {
        skep_mutex_lock(&volumes[i]->lock);
        int result = volumes[i]->read_only ? 0 : fs_commit(volumes[i]);
        skep_mutex_unlock(&volumes[i]->lock);
        if (first == 0)
            first = result;
    }
    return first;
}

int fs_tree_end(uint64_t deadline_ns)
{
    int first = 0;
    for (unsigned i = 0; i < volume_count; i++) {
        int result = skep_mutex_lock_until(&volumes[i]->lock, deadline_ns);
        if (result == 0)
            result = fs_volume_stop(volumes[i]);
        if (first == 0)
            first = result;
    }
    return first;
}

static struct fs_volume *volume_at(const char *path)
{
    for (unsigned i = 0; i < volume_count; i++)
        if (strcmp(volumes[i]->path, path) == 0)
            return volumes[i];
    return NULL;
}

void fs_current(char out[FS_PATH_BYTES])
{
    skep_mutex_lock(&current_lock);
    fs_copy_text(out, FS_PATH_BYTES, current);
    skep_mutex_unlock(&current_lock);
}

void fs_set_current(const char *path)
{
    skep_mutex_lock(&current_lock);
    fs_copy_text(current, sizeof(current), path);
    skep_mutex_unlock(&current_lock);
}

/*
 * Walking
 */

struct walk {
    struct fs_place *place;
    struct fs_volume *held;
    bool follow;
    unsigned links;
    ext2_ino_t here; /* the folder, in a volume */
    const char *rest;
    char text[2 * FS_PATH_BYTES];
};

static void enter(struct walk *walk, struct fs_volume *volume)
{
    if (volume != walk->held)
        skep_mutex_lock(&volume->lock);
    walk->place->volume = volume;
    walk->here = EXT2_ROOT_INO;
}

static void leave(struct walk *walk)
{
    struct fs_volume *volume = walk->place->volume;
    walk->place->volume = NULL;
    if (volume != NULL && volume != walk->held)
        skep_mutex_unlock(&volume->lock);
}

static void go_up(char *path)
{
    char *last = strrchr(path, '/');
    if (last != NULL)
        *last = 0;
}

static const char *behind_slashes(const char *path)
{
    while (*path == '/')
        path++;
    return path;
}

/* Takes the next name off the rest: 1, 0 if there is none, or an error. `last`: nothing but slashes follows. */
static int next_name(struct walk *walk, char name[FS_NAME_BYTES], bool *last)
{
    const char *begin = behind_slashes(walk->rest), *end = strchrnul(begin, '/');
    size_t length = (size_t)(end - begin);
    if (length == 0)
        return 0;
    if (length >= FS_NAME_BYTES)
        return -ENAMETOOLONG;
    memcpy(name, begin, length);
    name[length] = 0;
    walk->rest = end;
    *last = *behind_slashes(end) == 0;
    if (*last)
        walk->place->slash |= *end == '/';
    return 1;
}

static bool is_here(const char *name)
{
    return name[0] == '.' && name[1] == 0;
}

static bool is_above(const char *name)
{
    return name[0] == '.' && name[1] == '.' && name[2] == 0;
}

static int step_outside(struct walk *walk, const char *name)
{
    char *path = walk->place->outside;
    if (is_above(name)) {
        int result = path[0] != 0 ? fs_check_outside(path) : 0;
        go_up(path);
        return result;
    }
    size_t length = strlen(path);
    if (length + strlen(name) + 2 > FS_PATH_BYTES)
        return -ENAMETOOLONG;
    path[length] = '/';
    fs_copy_text(path + length + 1, FS_PATH_BYTES - length - 1, name);
    struct fs_volume *volume = volume_at(path);
    if (volume != NULL)
        enter(walk, volume);
    return 0;
}

static int mode_of(struct fs_volume *volume, ext2_ino_t number, unsigned *mode)
{
    struct fs_node *node;
    int result = fs_node_get(volume, number, &node);
    if (result != 0)
        return result;
    *mode = node->inode.i_mode;
    return fs_node_put(volume, node);
}

/* libext2fs writes it as metadata. */
static ssize_t read_target(struct fs_volume *volume, struct fs_node *node, char *out, size_t bytes)
{
    struct fs_extent extent;
    uint64_t unit = volume->fs->blocksize;
    int result = fs_extent_find(volume, node, 0, &extent);
    if (result == 0 && (extent.physical == 0 || bytes > unit))
        result = -EIO;
    if (result == 0)
        result = fs_cache_read(&volume->cache, extent.physical * unit, out, bytes);
    return result != 0 ? result : (ssize_t)bytes;
}

ssize_t fs_link_target(struct fs_volume *volume, ext2_ino_t number, char *out, size_t bytes)
{
    struct fs_node *node;
    int result = fs_node_get(volume, number, &node);
    if (result != 0)
        return result;
    size_t length = fs_node_size(node);
    ssize_t done = (ssize_t)(length < bytes ? length : bytes);
    if (!LINUX_S_ISLNK(node->inode.i_mode))
        done = -EINVAL;
    else if (ext2fs_is_fast_symlink((struct ext2_inode *)&node->inode))
        memcpy(out, node->inode.i_block, (size_t)done);
    else
        done = read_target(volume, node, out, (size_t)done);
    fs_node_put(volume, node);
    return done;
}

/* Puts a link's target in front of the rest. */
static int follow_link(struct walk *walk, ext2_ino_t number)
{
    char *text = malloc(2 * FS_PATH_BYTES);
    if (text == NULL)
        return -ENOMEM;
    ssize_t length = ++walk->links > LINKS_MAX
                         ? -ELOOP
                         : fs_link_target(walk->place->volume, number, text, FS_PATH_BYTES);
    if (length >= 0 && (size_t)length + strlen(walk->rest) >= FS_PATH_BYTES)
        length = -ENAMETOOLONG;
    if (length >= 0) {
        fs_copy_text(text + length, 2 * FS_PATH_BYTES - (size_t)length, walk->rest);
        fs_copy_text(walk->text, sizeof(walk->text), text);
        walk->rest = walk->text;
        if (walk->text[0] == '/') {
            leave(walk);
            walk->place->outside[0] = 0;
        }
    }
    free(text);
    return length < 0 ? (int)length : 0;
}

static int step_up(struct walk *walk)
{
    struct fs_place *place = walk->place;
    if (walk->here != EXT2_ROOT_INO)
        return fs_folder_parent(place->volume, walk->here, &walk->here);
    go_up(place->outside); /* which has been the volume's path */
    leave(walk);
    return 0;
}

/* One name in a volume: 0, or 1 when it was the last. */
static int step_inside(struct walk *walk, const char *name, bool last)
{
    struct fs_place *place = walk->place;
    ext2_ino_t found = 0;
    unsigned mode = 0;
    if (is_above(name))
        return step_up(walk);
    int result = fs_folder_find(place->volume, walk->here, name, &found);
    if (result == 0)
        result = mode_of(place->volume, found, &mode);
    if (result != 0 && !(result == -ENOENT && last))
        return result;
    if (LINUX_S_ISLNK(mode) && (!last || walk->follow || place->slash)) {
        place->slash &= last;
        return follow_link(walk, found);
    }
    if (!last) {
        walk->here = found;
        return LINUX_S_ISDIR(mode) ? 0 : -ENOTDIR;
    }
    if (found != 0 && place->slash && !LINUX_S_ISDIR(mode))
        return -ENOTDIR;
    place->folder = walk->here;
    place->number = found;
    fs_copy_text(place->name, sizeof(place->name), name);
    return 1;
}

static int walk_on(struct walk *walk)
{
    for (;;) {
        char name[FS_NAME_BYTES];
        bool last;
        int result = next_name(walk, name, &last);
        if (result <= 0)
            return result;
        if (is_here(name))
            continue;
        result =
            walk->place->volume == NULL ? step_outside(walk, name) : step_inside(walk, name, last);
        if (result != 0)
            return result < 0 ? result : 0;
    }
}

static int start_text(struct walk *walk, const char *path)
{
    if (path[0] == 0)
        return -ENOENT;
    if (strlen(path) >= FS_PATH_BYTES)
        return -ENAMETOOLONG;
    size_t length = 0;
    if (path[0] != '/') {
        fs_current(walk->text);
        length = strlen(walk->text);
        walk->text[length++] = '/';
    }
    fs_copy_text(walk->text + length, sizeof(walk->text) - length, path);
    walk->rest = walk->text;
    return 0;
}

/* Its texts are long: only their begins are written. */
static void start_place(struct fs_place *place)
{
    place->volume = NULL;
    place->folder = place->number = 0;
    place->slash = false;
    place->name[0] = place->outside[0] = 0;
}

int fs_walk(const char *path, bool follow, struct fs_volume *held, struct fs_place *out)
{
    struct walk *walk = malloc(sizeof(*walk)); /* too large for small stacks */
    if (walk == NULL)
        return -ENOMEM;
    start_place(out);
    walk->place = out;
    walk->held = held;
    walk->follow = follow;
    walk->links = 0;
    walk->here = EXT2_ROOT_INO;
    int result = start_text(walk, path);
    if (result == 0)
        result = walk_on(walk);
    if (result != 0)
        leave(walk);
    if (result == 0 && out->volume == NULL) {
        if (out->outside[0] == 0)
            fs_copy_text(out->outside, sizeof(out->outside), "/");
        result = FS_OUTSIDE;
    }
    if (result == 0 && out->folder == 0)
        out->number = walk->here;
    free(walk);
    return result;
}

int fs_walk_outside(int result, const struct fs_place *place, char outside[FS_PATH_BYTES])
{
    if (result == FS_OUTSIDE && outside != NULL)
        fs_copy_text(outside, FS_PATH_BYTES, place->outside);
    return result;
}

void fs_walk_end(struct fs_place *place, struct fs_volume *held)
{
    if (place->volume != held)
        skep_mutex_unlock(&place->volume->lock);
}
