/*
 * files.c - the read-only files of a guest, and /dev: null, zero, full, urandom, and the console by its names.
 *
 * They are in two packs (pack.h): those of the guest's spec hide those that the build put into its image. Each may be
 * missing. Data is read where it lies, in pages that are shared.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd_internal.h"
#include "pack.h"
#include "shim.h"

/* cmake/pack-files made it, of FILES. */
extern const struct skep_files skep_files_pack __attribute__((weak));

/* An open file or folder. */
struct position {
    struct pack_found found;
    struct skep_mutex lock; /* guards offset */
    uint64_t offset;
    const char *data;
    uint64_t bytes; /* of a folder: 0 */
    char *path;     /* of a folder, on the heap */
    char *text;     /* of a file below /proc: its data, on the heap */
};

/* What has no entry of a pack: a file below /proc. */
static const struct skep_files_entry made_file;

static struct pack_tree tree(void)
{
    const struct skep_start_info *info = skep_start_info();
    uint64_t files = info->abi_minor >= SKEP_FILES_ABI_MINOR ? info->files_base : 0;
    return (struct pack_tree){.layer = {(const struct skep_files *)files, &skep_files_pack}};
}

/* Paths are absolute and canonical. */
static int find(const char *path, struct pack_found *out)
{
    const struct pack_tree all = tree();
    bool is_folder = true;
    int result = pack_find(&all, path + 1, out);
    if (result != -ENOENT)
        return result;
    if (strcmp(path, "/dev") == 0)
        is_folder = true;
    else if (skep_posix_proc_find(path, &is_folder) != 0 && !skep_posix_leads_to_volume(path))
        return result;
    *out = (struct pack_found){.entry = is_folder ? NULL : &made_file};
    return 0;
}

/* What a folder has in place of an entry's number (FNV-1a): who walks through folders tells them apart by it. */
static ino_t number_of_folder(const char *path)
{
    ino_t hash = 14695981039346656037ull;
    for (; *path != 0; path++)
        hash = (hash ^ (unsigned char)*path) * 1099511628211ull;
    return hash | 1ull << 63;
}

/* The same for each guest of an image. */
static ino_t number_of_entry(const struct pack_found *found)
{
    ino_t layer = found->pack == &skep_files_pack ? 0 : 1;
    return layer << 32 | (ino_t)(found->entry - found->pack->entries + 1);
}

/* Of a folder, the path is known. */
static void fill_stat(const struct pack_found *found, const char *path, struct stat *out)
{
    const struct skep_files_entry *entry = found->entry;
    memset(out, 0, sizeof(*out));
    out->st_mode = S_IFDIR | SKEP_POSIX_FOLDER_MODE;
    out->st_nlink = 1;
    out->st_blksize = 4096;
    out->st_mtime = out->st_ctime = out->st_atime = found->pack != NULL ? found->pack->mtime : 0;
    if (entry == NULL) {
        out->st_ino = number_of_folder(path);
        return;
    }
    out->st_mode = S_IFREG | (entry->flags & SKEP_FILE_SECRET ? 0400 : 0444);
    if (entry == &made_file)
        return;
    out->st_ino = number_of_entry(found);
    out->st_size = (off_t)entry->bytes;
    out->st_blocks = (blkcnt_t)((entry->bytes + 511) / 512);
}

/* What is read from an offset on, at most `bytes`. */
static size_t copy_out(const struct position *position, uint64_t offset, void *data, size_t bytes)
{
    uint64_t left = offset < position->bytes ? position->bytes - offset : 0;
    if (bytes > left)
        bytes = left;
    if (bytes > 0)
        memcpy(data, position->data + offset, bytes);
    return bytes;
}

static ssize_t packed_read(struct skep_file *open_file, void *data, size_t bytes)
{
    struct position *position = open_file->object;
    if (position->found.entry == NULL)
        return -EISDIR;
    skep_mutex_lock(&position->lock);
    bytes = copy_out(position, position->offset, data, bytes);
    position->offset += bytes;
    skep_mutex_unlock(&position->lock);
    return (ssize_t)bytes;
}

static ssize_t packed_pread(struct skep_file *open_file, void *data, size_t bytes, off_t offset)
{
    const struct position *position = open_file->object;
    if (position->found.entry == NULL)
        return -EISDIR;
    return offset < 0 ? -EINVAL : (ssize_t)copy_out(position, (uint64_t)offset, data, bytes);
}

/* Beyond the end, too, where nothing is read. */
static off_t packed_lseek(struct skep_file *open_file, off_t offset, int whence)
{
    struct position *position = open_file->object;
    off_t target;
    skep_mutex_lock(&position->lock);
    off_t from = whence == SEEK_SET   ? 0
                 : whence == SEEK_CUR ? (off_t)position->offset
                 : whence == SEEK_END ? (off_t)position->bytes
                                      : -1;
    if (from < 0 || __builtin_add_overflow(from, offset, &target) || target < 0)
        target = -EINVAL;
    else
        position->offset = (uint64_t)target;
    skep_mutex_unlock(&position->lock);
    return target;
}

static int packed_stat(struct skep_file *open_file, struct stat *out)
{
    const struct position *position = open_file->object;
    fill_stat(&position->found, position->path, out);
    return 0;
}

static void position_free(struct position *position)
{
    free(position->path);
    free(position->text);
    free(position);
}

static void packed_close(struct skep_file *open_file)
{
    position_free(open_file->object);
}

static const struct skep_fd_ops packed_ops = {
    .read = packed_read,
    .pread = packed_pread,
    .lseek = packed_lseek,
    .stat = packed_stat,
    .close = packed_close,
};

static ssize_t null_read(struct skep_file *file, void *data, size_t bytes)
{
    return 0;
}

static ssize_t zero_read(struct skep_file *file, void *data, size_t bytes)
{
    memset(data, 0, bytes);
    return (ssize_t)bytes;
}

static ssize_t random_read(struct skep_file *file, void *data, size_t bytes)
{
    skep_random(data, bytes);
    return (ssize_t)bytes;
}

static ssize_t null_write(struct skep_file *file, const void *data, size_t bytes)
{
    return (ssize_t)bytes;
}

static ssize_t full_write(struct skep_file *file, const void *data, size_t bytes)
{
    return -ENOSPC;
}

static void null_close(struct skep_file *file)
{
}

/* A device has no places: what is read or written at one is as anywhere. */
static ssize_t null_pread(struct skep_file *file, void *data, size_t bytes, off_t offset)
{
    return 0;
}

static ssize_t zero_pread(struct skep_file *file, void *data, size_t bytes, off_t offset)
{
    return zero_read(file, data, bytes);
}

static ssize_t random_pread(struct skep_file *file, void *data, size_t bytes, off_t offset)
{
    return random_read(file, data, bytes);
}

static ssize_t null_pwrite(struct skep_file *file, const void *data, size_t bytes, off_t offset)
{
    return (ssize_t)bytes;
}

static off_t null_lseek(struct skep_file *file, off_t offset, int whence)
{
    return whence == SEEK_SET || whence == SEEK_CUR || whence == SEEK_END ? 0 : -EINVAL;
}

static ssize_t full_pwrite(struct skep_file *file, const void *data, size_t bytes, off_t offset)
{
    return -ENOSPC;
}

static const struct skep_fd_ops null_ops = {
    .read = null_read,
    .pread = null_pread,
    .write = null_write,
    .pwrite = null_pwrite,
    .lseek = null_lseek,
    .close = null_close,
};

static const struct skep_fd_ops zero_ops = {
    .read = zero_read,
    .pread = zero_pread,
    .write = null_write,
    .pwrite = null_pwrite,
    .lseek = null_lseek,
    .close = null_close,
    .maps_zeros = true,
};

static const struct skep_fd_ops full_ops = {
    .read = zero_read,
    .pread = zero_pread,
    .write = full_write,
    .pwrite = full_pwrite,
    .lseek = null_lseek,
    .close = null_close,
};

static const struct skep_fd_ops random_ops = {
    .read = random_read,
    .pread = random_pread,
    .write = null_write,
    .pwrite = null_pwrite,
    .lseek = null_lseek,
    .close = null_close,
};

static const struct {
    const char *path;
    const struct skep_fd_ops *ops;
} devices[] = {
    {"/dev/null", &null_ops},
    {"/dev/zero", &zero_ops},
    {"/dev/full", &full_ops},
    {"/dev/random", &random_ops},
    {"/dev/urandom", &random_ops},
    {"/dev/console", &skep_posix_console_ops},
    {"/dev/tty", &skep_posix_console_ops},
    {"/dev/stdin", &skep_posix_console_ops},
    {"/dev/stdout", &skep_posix_console_ops},
    {"/dev/stderr", &skep_posix_console_ops},
};

static const struct skep_fd_ops *find_device(const char *path)
{
    for (size_t i = 0; i < sizeof(devices) / sizeof(*devices); i++)
        if (strcmp(devices[i].path, path) == 0)
            return devices[i].ops;
    return NULL;
}

/* Devices, then what is below /proc. NULL behind the last. */
static const char *made_path(size_t index)
{
    const size_t count = sizeof(devices) / sizeof(*devices);
    return index < count ? devices[index].path : skep_posix_proc_path(index - count);
}

/* Of these the first behind a name in a folder other than the root, or NULL. */
static const char *next_made(const char *folder, const char *after)
{
    size_t bytes = strlen(folder);
    const char *path, *best = NULL;
    for (size_t i = 0; (path = made_path(i)) != NULL; i++) {
        if (strncmp(path, folder, bytes) != 0 || path[bytes] != '/')
            continue;
        const char *name = path + bytes + 1;
        if (strchr(name, '/') == NULL && strcmp(name, after) > 0 &&
            (best == NULL || strcmp(path, best) < 0))
            best = path;
    }
    return best;
}

static unsigned char type_of(const char *made)
{
    bool is_folder;
    if (find_device(made) != NULL)
        return DT_CHR;
    return skep_posix_proc_find(made, &is_folder) == 0 && is_folder ? DT_DIR : DT_REG;
}

bool skep_posix_file_next(const char *folder, const char *after, char name[PACK_NAME_BYTES],
                          unsigned char *type)
{
    const struct pack_tree all = tree();
    bool is_folder;
    bool is_packed = pack_next(&all, folder + 1, after, name, &is_folder);
    const char *made = strcmp(folder, "/") != 0 ? next_made(folder, after) : NULL;
    const char *made_name = made != NULL ? strrchr(made, '/') + 1 : NULL;
    if (made == NULL || (is_packed && strcmp(name, made_name) <= 0)) {
        *type = is_packed && is_folder ? DT_DIR : DT_REG;
        return is_packed;
    }
    memcpy(name, made_name, strlen(made_name) + 1);
    *type = type_of(made);
    return true;
}

/* For a name that isn't there: whether its folder is. */
static int check_parent(const char *path)
{
    struct pack_found found;
    size_t bytes = (size_t)(strrchr(path, '/') - path);
    char parent[SKEP_POSIX_PATH_BYTES];
    memcpy(parent, path, bytes + 1);
    parent[bytes != 0 ? bytes : 1] = 0;
    int result = find(parent, &found);
    return result == 0 && found.entry != NULL ? -ENOTDIR : result;
}

/* Whether it can be opened in this way. Nothing of it can be changed, nor can anything be added. */
static int check_open(const struct pack_found *found, int flags)
{
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
    if (found->entry == NULL)
        return writes || flags & O_CREAT ? -EISDIR : 0;
    return flags & O_DIRECTORY ? -ENOTDIR : writes ? -EROFS : 0;
}

/* False: there is no memory. */
static bool position_fill(struct position *position, const char *path)
{
    const struct pack_found *found = &position->found;
    if (found->entry == NULL)
        return (position->path = strdup(path)) != NULL;
    if (found->entry == &made_file) {
        position->data = position->text = skep_posix_proc_text(path, &position->bytes);
        return position->text != NULL;
    }
    position->data = pack_data(found);
    position->bytes = found->entry->bytes;
    return true;
}

static struct position *position_new(const struct pack_found *found, const char *path)
{
    struct position *position = calloc(1, sizeof(*position));
    if (position == NULL)
        return NULL;
    position->found = *found;
    if (position_fill(position, path))
        return position;
    free(position);
    return NULL;
}

int skep_posix_file_open(const char *path, int flags)
{
    struct pack_found found;
    const struct skep_fd_ops *device = find_device(path);
    if (device != NULL && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    if (device != NULL)
        return flags & O_DIRECTORY ? -ENOTDIR : skep_fd_open(device, NULL, flags);
    int result = find(path, &found);
    if (result == -ENOENT && flags & O_CREAT && (result = check_parent(path)) == 0)
        result = -EROFS;
    if (result == 0)
        result = check_open(&found, flags);
    if (result != 0)
        return result;

    struct position *position = position_new(&found, path);
    if (position == NULL)
        return -ENOMEM;
    int fd = skep_fd_open(&packed_ops, position, flags);
    if (fd < 0)
        position_free(position);
    return fd;
}

int skep_posix_file_path(int fd, char out[SKEP_POSIX_PATH_BYTES])
{
    struct skep_file *file = skep_fd_get(fd, NULL);
    if (file == NULL)
        return -EBADF;
    const struct position *position = file->ops == &packed_ops ? file->object : NULL;
    bool is_folder = position != NULL && position->path != NULL;
    if (is_folder)
        memcpy(out, position->path, strlen(position->path) + 1);
    skep_fd_put(file);
    return is_folder ? 0 : -ENOTDIR;
}

int skep_posix_file_stat(const char *path, struct stat *out)
{
    struct pack_found found;
    if (find_device(path) != NULL) {
        memset(out, 0, sizeof(*out));
        out->st_mode = S_IFCHR | 0666;
        return 0;
    }
    int result = find(path, &found);
    if (result == 0)
        fill_stat(&found, path, out);
    return result;
}
