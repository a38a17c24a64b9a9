/*
 * paths.c - what POSIX's calls on paths do in volumes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "walk.h"

#define LINKS_MAX 65000u

/* Calls on two paths may lock two volumes, one after the other: one such call at a time. */
static struct skep_mutex two_paths;

static bool is_folder(const struct fs_node *node)
{
    return LINUX_S_ISDIR(node->inode.i_mode);
}

/* A place that the path must have: -ENOENT. */
static int walk_present(const char *path, bool follow, struct fs_place *out)
{
    int result = fs_walk(path, follow, NULL, out);
    if (result == 0 && out->number == 0) {
        fs_walk_end(out, NULL);
        return -ENOENT;
    }
    return result;
}

/* Before a change that may take blocks. */
static int begin_with_space(struct fs_volume *volume)
{
    int result = fs_change_begin(volume);
    return result != 0 ? result : fs_reserve(volume, 0);
}

/*
 * What files are
 */

static struct timespec time_of(const struct fs_node *node, unsigned time)
{
    int64_t seconds;
    uint32_t nanoseconds;
    fs_time_get(node, time, &seconds, &nanoseconds);
    return (struct timespec){.tv_sec = seconds, .tv_nsec = nanoseconds};
}

static void fill_stat(struct fs_volume *volume, const struct fs_node *node, struct stat *out)
{
    const struct ext2_inode *inode = (const struct ext2_inode *)&node->inode;
    memset(out, 0, sizeof(*out));
    out->st_dev = (dev_t)(volume->cache.device + 1);
    out->st_ino = (ino_t)node->number;
    out->st_mode = inode->i_mode;
    out->st_nlink = inode->i_links_count;
    out->st_uid = (uid_t)inode_uid(*inode);
    out->st_gid = (gid_t)inode_gid(*inode);
    out->st_size = (off_t)fs_node_size(node);
    out->st_blksize = volume->fs->blocksize;
    out->st_blocks = (blkcnt_t)ext2fs_get_stat_i_blocks(volume->fs, (struct ext2_inode *)inode);
    out->st_atim = time_of(node, FS_ACCESSED);
    out->st_mtim = time_of(node, FS_MODIFIED);
    out->st_ctim = time_of(node, FS_CHANGED);
}

int fs_stat(const char *path, bool follow, struct stat *out, char outside[FS_PATH_BYTES])
{
    struct fs_place place;
    struct fs_node *node;
    int result = walk_present(path, follow, &place);
    if (result != 0)
        return fs_walk_outside(result, &place, outside);
    result = fs_node_get(place.volume, place.number, &node);
    if (result == 0) {
        fill_stat(place.volume, node, out);
        result = fs_node_put(place.volume, node);
    }
    fs_walk_end(&place, NULL);
    return result;
}

int fs_stat_file(struct fs_file *file, struct stat *out)
{
    skep_mutex_lock(&file->volume->lock);
    fill_stat(file->volume, file->node, out);
    skep_mutex_unlock(&file->volume->lock);
    return 0;
}

static void fill_usage(struct fs_volume *volume, struct fs_usage *out)
{
    uint64_t blocks = fs_free_blocks(volume);
    out->block_bytes = volume->fs->blocksize;
    out->blocks = ext2fs_blocks_count(volume->fs->super);
    out->free_blocks = blocks > FS_RESERVED_BLOCKS ? blocks - FS_RESERVED_BLOCKS : 0;
    out->files = volume->fs->super->s_inodes_count;
    out->free_files = volume->fs->super->s_free_inodes_count;
    out->read_only = volume->read_only;
}

int fs_usage(const char *path, struct fs_usage *out)
{
    struct fs_place place;
    int result = walk_present(path, true, &place);
    if (result != 0)
        return result;
    fill_usage(place.volume, out);
    fs_walk_end(&place, NULL);
    return 0;
}

int fs_usage_file(struct fs_file *file, struct fs_usage *out)
{
    skep_mutex_lock(&file->volume->lock);
    fill_usage(file->volume, out);
    skep_mutex_unlock(&file->volume->lock);
    return 0;
}

/*
 * Changing what files are
 */

static int set_mode(struct fs_volume *volume, struct fs_node *node, mode_t mode)
{
    int result = fs_change_begin(volume);
    if (result != 0)
        return result;
    node->inode.i_mode = (uint16_t)((node->inode.i_mode & LINUX_S_IFMT) | (mode & 07777));
    fs_node_touch(node, FS_CHANGED);
    return fs_change_end(volume, 0);
}

static void set_time(struct fs_node *node, unsigned which, const struct timespec *time)
{
    if (time->tv_nsec == UTIME_NOW)
        fs_node_touch(node, which);
    else if (time->tv_nsec != UTIME_OMIT)
        fs_time_set(node, which, time->tv_sec, (uint32_t)time->tv_nsec);
}

static bool is_good_time(const struct timespec *time)
{
    return time->tv_nsec == UTIME_NOW || time->tv_nsec == UTIME_OMIT ||
           (time->tv_nsec >= 0 && time->tv_nsec < 1000000000);
}

static int set_times(struct fs_volume *volume, struct fs_node *node, const struct timespec times[2])
{
    if (times != NULL && !(is_good_time(&times[0]) && is_good_time(&times[1])))
        return -EINVAL;
    int result = fs_change_begin(volume);
    if (result != 0)
        return result;
    if (times == NULL) {
        fs_node_touch(node, FS_ACCESSED | FS_MODIFIED);
    } else {
        set_time(node, FS_ACCESSED, &times[0]);
        set_time(node, FS_MODIFIED, &times[1]);
    }
    fs_node_touch(node, FS_CHANGED);
    return fs_change_end(volume, 0);
}

int fs_chmod_file(struct fs_file *file, mode_t mode)
{
    skep_mutex_lock(&file->volume->lock);
    int result = set_mode(file->volume, file->node, mode);
    skep_mutex_unlock(&file->volume->lock);
    return result;
}

/* An id that is -1 stays as it is. */
static int set_owner(struct fs_volume *volume, struct fs_node *node, uid_t user, gid_t group)
{
    int result = fs_change_begin(volume);
    if (result != 0)
        return result;
    if (user != (uid_t)-1) {
        node->inode.i_uid = (uint16_t)user;
        ext2fs_set_i_uid_high(node->inode, user >> 16);
    }
    if (group != (gid_t)-1) {
        node->inode.i_gid = (uint16_t)group;
        ext2fs_set_i_gid_high(node->inode, group >> 16);
    }
    fs_node_touch(node, FS_CHANGED);
    return fs_change_end(volume, 0);
}

int fs_chown_file(struct fs_file *file, uid_t user, gid_t group)
{
    skep_mutex_lock(&file->volume->lock);
    int result = set_owner(file->volume, file->node, user, group);
    skep_mutex_unlock(&file->volume->lock);
    return result;
}

int fs_set_times_file(struct fs_file *file, const struct timespec times[2])
{
    skep_mutex_lock(&file->volume->lock);
    int result = set_times(file->volume, file->node, times);
    skep_mutex_unlock(&file->volume->lock);
    return result;
}

/* A path's node; with_end() gives both back and passes the result on. */
static int with_begin(const char *path, bool follow, struct fs_place *place, struct fs_node **node)
{
    int result = walk_present(path, follow, place);
    if (result != 0)
        return result;
    result = fs_node_get(place->volume, place->number, node);
    if (result != 0)
        fs_walk_end(place, NULL);
    return result;
}

static int with_end(struct fs_place *place, struct fs_node *node, int result)
{
    int put = fs_node_put(place->volume, node);
    fs_walk_end(place, NULL);
    return result != 0 ? result : put;
}

int fs_chmod(const char *path, mode_t mode)
{
    struct fs_place place;
    struct fs_node *node;
    int result = with_begin(path, true, &place, &node);
    return result != 0 ? result : with_end(&place, node, set_mode(place.volume, node, mode));
}

int fs_chown(const char *path, bool follow, uid_t user, gid_t group)
{
    struct fs_place place;
    struct fs_node *node;
    int result = with_begin(path, follow, &place, &node);
    if (result != 0)
        return result;
    return with_end(&place, node, set_owner(place.volume, node, user, group));
}

int fs_set_times(const char *path, bool follow, const struct timespec times[2])
{
    struct fs_place place;
    struct fs_node *node;
    int result = with_begin(path, follow, &place, &node);
    return result != 0 ? result : with_end(&place, node, set_times(place.volume, node, times));
}

int fs_truncate(const char *path, off_t bytes)
{
    struct fs_place place;
    struct fs_node *node;
    if (bytes < 0)
        return -EINVAL;
    int result = with_begin(path, true, &place, &node);
    if (result != 0)
        return result;
    if (is_folder(node))
        result = -EISDIR;
    else if (!LINUX_S_ISREG(node->inode.i_mode))
        result = -EINVAL;
    else
        result = fs_data_resize(place.volume, node, (uint64_t)bytes);
    return with_end(&place, node, result);
}

ssize_t fs_readlink(const char *path, char *out, size_t bytes)
{
    struct fs_place place;
    int result = walk_present(path, false, &place);
    if (result != 0)
        return result;
    ssize_t length = fs_link_target(place.volume, place.number, out, bytes);
    fs_walk_end(&place, NULL);
    return length;
}

/*
 * Removing names
 */

/* One name less; a folder has none left then. Who holds the node puts it after the change: it may go with that. */
static int drop_link(struct fs_volume *volume, struct fs_node *node)
{
    node->inode.i_links_count = is_folder(node) ? 0 : (uint16_t)(node->inode.i_links_count - 1);
    fs_node_touch(node, FS_CHANGED);
    return node->inode.i_links_count == 0 ? fs_node_orphan(volume, node) : 0;
}

static int remove_name(struct fs_place *place, struct fs_node *node)
{
    struct fs_volume *volume = place->volume;
    int result = fs_folder_remove(volume, place->folder, place->name, node->number);
    if (result == 0)
        result = drop_link(volume, node);
    if (result == 0 && is_folder(node))
        result = fs_change_links(volume, place->folder, -1);
    return result;
}

int fs_unlink(const char *path)
{
    struct fs_place place;
    struct fs_node *node;
    int result = with_begin(path, false, &place, &node);
    if (result != 0)
        return result;
    if (is_folder(node))
        return with_end(&place, node, -EISDIR);
    result = fs_change_begin(place.volume);
    if (result == 0)
        result = fs_change_end(place.volume, remove_name(&place, node));
    return with_end(&place, node, result);
}

int fs_rmdir(const char *path)
{
    struct fs_place place;
    struct fs_node *node;
    int result = with_begin(path, false, &place, &node);
    if (result != 0)
        return result;
    if (!is_folder(node))
        result = -ENOTDIR;
    else if (place.folder == 0)
        result = place.number == EXT2_ROOT_INO ? -EBUSY : -EINVAL;
    else
        result = fs_folder_is_empty(place.volume, place.number);
    if (result == 0)
        result = -ENOTEMPTY;
    if (result == 1)
        result = fs_change_begin(place.volume);
    if (result == 0)
        result = fs_change_end(place.volume, remove_name(&place, node));
    return with_end(&place, node, result);
}

/*
 * Making names
 */

/* A place where there is nothing yet: -EEXIST. */
static int walk_absent(const char *path, struct fs_volume *held, struct fs_place *out)
{
    int result = fs_walk(path, false, held, out);
    if (result == 0 && (out->number != 0 || out->folder == 0)) {
        fs_walk_end(out, held);
        return -EEXIST;
    }
    return result;
}

static int make_folder(struct fs_place *place, mode_t mode)
{
    struct fs_volume *volume = place->volume;
    struct fs_node *parent, *node;
    ext2_ino_t number;
    int result = fs_node_get(volume, place->folder, &parent);
    if (result != 0)
        return result;
    result = parent->inode.i_links_count >= LINKS_MAX ? -EMLINK : fs_node_write(volume, parent);
    if (result == 0)
        result =
            fs_errno(ext2fs_new_inode(volume->fs, place->folder, LINUX_S_IFDIR, NULL, &number));
    if (result == 0)
        result = fs_errno(ext2fs_mkdir(volume->fs, place->folder, number, NULL));
    if (result == 0)
        result = fs_node_reload(volume, parent); /* it has a link more */
    fs_node_put(volume, parent);
    if (result == 0)
        result = fs_node_get(volume, number, &node);
    if (result != 0)
        return result;
    node->inode.i_mode = (uint16_t)(LINUX_S_IFDIR | (mode & 07777));
    fs_node_touch(node, FS_ACCESSED | FS_MODIFIED | FS_CHANGED);
    result = fs_folder_add(volume, place->folder, place->name, node);
    if (result != 0)
        result = fs_volume_fail(volume, "a new folder can't get its name", result);
    int put = fs_node_put(volume, node);
    return result != 0 ? result : put;
}

int fs_mkdir(const char *path, mode_t mode)
{
    struct fs_place place;
    int result = walk_absent(path, NULL, &place);
    if (result != 0)
        return result;
    result = begin_with_space(place.volume);
    if (result == 0)
        result = fs_change_end(place.volume, make_folder(&place, mode));
    fs_walk_end(&place, NULL);
    return result;
}

static int make_link(struct fs_place *place, struct fs_node *node)
{
    struct fs_volume *volume = place->volume;
    if (node->inode.i_links_count >= LINKS_MAX)
        return -EMLINK;
    int result = fs_folder_add(volume, place->folder, place->name, node);
    if (result != 0)
        return result;
    node->inode.i_links_count++;
    fs_node_touch(node, FS_CHANGED);
    node->changed_data = true;
    return 0;
}

static int link_places(struct fs_place *old, struct fs_node *node, const char *new_path)
{
    struct fs_place new;
    int result = walk_absent(new_path, old->volume, &new);
    if (result != 0)
        return result == FS_OUTSIDE ? -EXDEV : result;
    if (new.volume != old->volume)
        result = -EXDEV;
    else if (new.slash)
        result = -ENOENT;
    else
        result = begin_with_space(new.volume);
    if (result == 0)
        result = fs_change_end(new.volume, make_link(&new, node));
    fs_walk_end(&new, old->volume);
    return result;
}

int fs_link(const char *old_path, const char *new_path)
{
    struct fs_place old;
    struct fs_node *node;
    skep_mutex_lock(&two_paths);
    int result = with_begin(old_path, false, &old, &node);
    if (result == 0)
        result = with_end(&old, node, is_folder(node) ? -EPERM : link_places(&old, node, new_path));
    skep_mutex_unlock(&two_paths);
    return result;
}

static int make_symlink(struct fs_place *place, const char *target)
{
    struct fs_volume *volume = place->volume;
    struct fs_node *node;
    ext2_ino_t number;
    int result =
        fs_errno(ext2fs_new_inode(volume->fs, place->folder, LINUX_S_IFLNK | 0777, NULL, &number));
    if (result == 0)
        result = fs_errno(ext2fs_symlink(volume->fs, place->folder, number, NULL, target));
    if (result == 0)
        result = fs_node_get(volume, number, &node);
    if (result != 0)
        return result;
    fs_node_touch(node, FS_ACCESSED | FS_MODIFIED | FS_CHANGED);
    result = fs_folder_add(volume, place->folder, place->name, node);
    if (result != 0)
        result = fs_volume_fail(volume, "a new link can't get its name", result);
    int put = fs_node_put(volume, node);
    return result != 0 ? result : put;
}

int fs_symlink(const char *target, const char *path)
{
    struct fs_place place;
    if (target[0] == 0)
        return -ENOENT;
    if (strlen(target) >= FS_PATH_BYTES)
        return -ENAMETOOLONG;
    int result = walk_absent(path, NULL, &place);
    if (result != 0)
        return result;
    result = place.slash ? -ENOENT : begin_with_space(place.volume);
    if (result == 0)
        result = fs_change_end(place.volume, make_symlink(&place, target));
    fs_walk_end(&place, NULL);
    return result;
}

/*
 * Renaming
 */

/* Whether a folder is `inside`, or above the folder that is: 1, 0. */
static int is_above(struct fs_volume *volume, ext2_ino_t folder, ext2_ino_t inside)
{
    for (uint32_t depth = 0; depth < volume->fs->super->s_inodes_count; depth++) {
        if (inside == folder)
            return 1;
        if (inside == EXT2_ROOT_INO)
            return 0;
        int result = fs_folder_parent(volume, inside, &inside);
        if (result != 0)
            return result == -ENOENT ? -EIO : result;
    }
    return -EIO;
}

static int check_replaced(struct fs_volume *volume, const struct fs_node *node,
                          const struct fs_node *replaced)
{
    if (is_folder(node) && !is_folder(replaced))
        return -ENOTDIR;
    if (!is_folder(node) && is_folder(replaced))
        return -EISDIR;
    if (!is_folder(replaced))
        return 0;
    int result = fs_folder_is_empty(volume, replaced->number);
    return result == 0 ? -ENOTEMPTY : result < 0 ? result : 0;
}

static int check_rename(const struct fs_place *old, const struct fs_node *node,
                        const struct fs_place *new)
{
    if (old->folder == 0 || new->folder == 0)
        return old->number == EXT2_ROOT_INO || new->number == EXT2_ROOT_INO ? -EBUSY : -EINVAL;
    if (new->volume != old->volume)
        return -EXDEV;
    if (!is_folder(node))
        return new->slash &&new->number == 0 ? -ENOTDIR : 0;
    int result = is_above(old->volume, node->number, new->folder);
    return result == 1 ? -EINVAL : result;
}

/* A folder that moves: its "..", and who has a link from that. */
static int move_folder(struct fs_volume *volume, ext2_ino_t from, ext2_ino_t to,
                       struct fs_node *node)
{
    struct fs_node *parent;
    if (from == to)
        return 0;
    int result = fs_node_get(volume, to, &parent);
    if (result != 0)
        return result;
    result = fs_folder_replace(volume, node->number, "..", parent);
    fs_node_put(volume, parent);
    if (result == 0)
        result = fs_change_links(volume, from, -1);
    return result != 0 ? result : fs_change_links(volume, to, +1);
}

static int rename_change(struct fs_place *old, struct fs_node *node, struct fs_place *new,
                         struct fs_node *replaced)
{
    struct fs_volume *volume = old->volume;
    int result = replaced != NULL ? fs_folder_replace(volume, new->folder, new->name, node)
                                  : fs_folder_add(volume, new->folder, new->name, node);
    if (result == 0)
        result = fs_folder_remove(volume, old->folder, old->name, node->number);
    if (result == 0 && is_folder(node))
        result = move_folder(volume, old->folder, new->folder, node);
    if (result == 0 && replaced != NULL)
        result = drop_link(volume, replaced);
    if (result == 0 && replaced != NULL && is_folder(replaced))
        result = fs_change_links(volume, new->folder, -1);
    fs_node_touch(node, FS_CHANGED);
    node->changed_data = true;
    return result;
}

static int rename_places(struct fs_place *old, struct fs_node *node, struct fs_place *new)
{
    struct fs_volume *volume = old->volume;
    struct fs_node *replaced = NULL;
    int result = check_rename(old, node, new);
    if (result != 0 || new->number == node->number)
        return result;
    if (new->number != 0) {
        result = fs_node_get(volume, new->number, &replaced);
        if (result != 0)
            return result;
        result = check_replaced(volume, node, replaced);
    }
    if (result == 0)
        result = replaced != NULL ? fs_change_begin(volume) : begin_with_space(volume);
    if (result == 0)
        result = fs_change_end(volume, rename_change(old, node, new, replaced));
    int put = replaced != NULL ? fs_node_put(volume, replaced) : 0;
    return result != 0 ? result : put;
}

static int rename_to(struct fs_place *old, struct fs_node *node, const char *new_path)
{
    struct fs_place new;
    int result = fs_walk(new_path, false, old->volume, &new);
    if (result != 0)
        return result == FS_OUTSIDE ? -EXDEV : result;
    result = rename_places(old, node, &new);
    fs_walk_end(&new, old->volume);
    return result;
}

int fs_rename(const char *old_path, const char *new_path)
{
    struct fs_place old;
    struct fs_node *node;
    skep_mutex_lock(&two_paths);
    int result = with_begin(old_path, false, &old, &node);
    if (result == 0)
        result = with_end(&old, node, rename_to(&old, node, new_path));
    skep_mutex_unlock(&two_paths);
    return result;
}

/*
 * The current folder
 */

/* Puts a folder's name, and a slash, before what begins at *start; then the folder is its parent. */
static int prepend(struct fs_volume *volume, ext2_ino_t *folder, char *out, size_t *start)
{
    char name[FS_NAME_BYTES];
    ext2_ino_t parent;
    int result = fs_folder_parent(volume, *folder, &parent);
    if (result == 0)
        result = fs_folder_name(volume, parent, *folder, name);
    if (result < 0)
        return result;
    size_t length = (size_t)result;
    if (length + 1 > *start)
        return -ENAMETOOLONG;
    *start -= length + 1;
    out[*start] = '/';
    memcpy(out + *start + 1, name, length);
    *folder = parent;
    return 0;
}

/* The path of a folder, from its volume's on, which is made from its end. */
static int path_of(struct fs_volume *volume, ext2_ino_t folder, char out[FS_PATH_BYTES])
{
    size_t start = FS_PATH_BYTES - 1, length = strlen(volume->path);
    out[start] = 0;
    while (folder != EXT2_ROOT_INO) {
        int result = prepend(volume, &folder, out, &start);
        if (result != 0)
            return result;
    }
    if (length > start)
        return -ENAMETOOLONG;
    memmove(out + length, out + start, FS_PATH_BYTES - start);
    memcpy(out, volume->path, length);
    return 0;
}

int fs_path_of(struct fs_file *file, char out[FS_PATH_BYTES])
{
    skep_mutex_lock(&file->volume->lock);
    int result = is_folder(file->node) ? path_of(file->volume, file->node->number, out) : -ENOTDIR;
    skep_mutex_unlock(&file->volume->lock);
    return result;
}

/* What a path leads to, named by the function; outside of volumes, where it leads from there. */
static int named(const char *path, int (*name)(const struct fs_place *place, char *out), char *out)
{
    struct fs_place *place = malloc(sizeof(*place));
    if (place == NULL)
        return -ENOMEM;
    int result = fs_walk(path, true, NULL, place);
    if (result == FS_OUTSIDE) {
        fs_copy_text(out, FS_PATH_BYTES, place->outside);
    } else if (result == 0) {
        result = name(place, out);
        fs_walk_end(place, NULL);
    }
    free(place);
    return result;
}

static int folder_path(const struct fs_place *place, char *out)
{
    struct fs_node *node;
    int result = place->number == 0 ? -ENOENT : fs_node_get(place->volume, place->number, &node);
    if (result != 0)
        return result;
    result = is_folder(node) ? path_of(place->volume, place->number, out) : -ENOTDIR;
    fs_node_put(place->volume, node);
    return result;
}

int fs_canonical(const char *path, char out[FS_PATH_BYTES])
{
    return named(path, folder_path, out);
}

/* Of what is there: its folder's path, and the name that it has in it. */
static int real_path(const struct fs_place *place, char *out)
{
    if (place->number == 0)
        return -ENOENT;
    int result = path_of(place->volume, place->folder != 0 ? place->folder : place->number, out);
    size_t length = result == 0 ? strlen(out) : 0;
    if (result != 0 || place->folder == 0)
        return result;
    if (length + strlen(place->name) + 2 > FS_PATH_BYTES)
        return -ENAMETOOLONG;
    out[length] = '/';
    fs_copy_text(out + length + 1, FS_PATH_BYTES - length - 1, place->name);
    return 0;
}

int fs_real_path(const char *path, char out[FS_PATH_BYTES])
{
    return named(path, real_path, out);
}

int fs_chdir(const char *path)
{
    char folder[FS_PATH_BYTES];
    int result = fs_canonical(path, folder);
    if (result == 0)
        fs_set_current(folder);
    return result;
}
