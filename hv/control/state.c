/*
 * state.c - the store of Skep's own state.
 *
 * The first block of the device says that the rest holds a littlefs and how large that is; it is written when that has
 * been formatted, so that a format which was cut off begins again. A value is a file: a head with a checksum, since
 * littlefs checks its metadata only, and the bytes. Files are spread over STATE_SHARDS folders by a hash of their names, and
 * these over sixteen others: a folder is searched from its start, and each change of one writes it anew, which takes littlefs
 * time by the square of what is in it.
 *
 * What littlefs gives: all metadata is written to a free block, flushed, and only then used (a block is programmed as a
 * whole here, so a commit never writes to a block that holds the latest one). A file's new contents take effect with the
 * commit at its close, whatever it held before; a new one is empty until then, and an empty file counts as none. What
 * it leaves to us: that the contents are on the medium before that commit may be. Disks write in any order between
 * flushes, so put() flushes between the two.
 *
 * A folder is two blocks, which are written in turn, and a block that isn't whole is one that a cut broke off: the other one
 * counts. So that a flipped bit doesn't take an acknowledged change back like that, each change is committed twice
 * (settle()). The second one has nothing new, and needs no flush of its own: only the block that it repeats must not be
 * written before the next flush.
 *
 * What lies behind the littlefs is the log (state.h). A change's block of it is written before the commit's block, and
 * the commit's flush makes both durable.
 *
 * Known shortcomings: a folder that has just outgrown its two blocks, or that was just made when the power was cut, is not
 * repeated as a whole. The space in use is
 * counted at the start, and estimated from then on.
 */
#include "state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lfs2.h>

#include "skep/abi.h"
#include "skep_tls.h"
#include "state_name.h"

#define LOOKAHEAD_BYTES 8192u /* a bit a block */
#define CACHE_BLOCKS    128u
#define PIECE_BYTES     65536u
#define INLINE_BYTES    (BDEV_BLOCK / 8) /* files up to this have no blocks of their own */
#define LOG_SHARE       16u              /* of the device */
#define COUNT_MIN       (STATE_BYTES_MIN / BDEV_BLOCK - 1 - STATE_BYTES_MIN / BDEV_BLOCK / LOG_SHARE)

#define FLAT_MAGIC  0x3153544154534b53ull /* "SKSTATS1", as Skep's first version formatted it */
#define DEEP_MAGIC  0x3253544154534b53ull /* "SKSTATS2" */
#define VALUE_MAGIC 0x31564b53u           /* "SKV1" */

struct device_head {
    uint64_t magic, block_count;
    uint8_t digest[32]; /* of the above */
};

struct value_head {
    uint32_t magic, bytes;
    uint8_t digest[STATE_DIGEST]; /* of the bytes, the beginning of SHA-256 */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bdev *device; /* NULL = not open */
static bool broken;         /* by a failed write or flush */
static enum state_layout layout;
static lfs2_t fs;
static lfs2_block_t last_block;    /* that was programmed */
static bool repeating;             /* what is programmed now is not flushed … */
static lfs2_block_t not_to_change; /* … and this is what it repeats, plus 1; 0 = nothing */
static uint64_t used_blocks;
static uint8_t read_buffer[BDEV_BLOCK], prog_buffer[BDEV_BLOCK];
static uint8_t lookahead[LOOKAHEAD_BYTES] __attribute__((aligned(8)));

/*
 * The device below littlefs
 */

static uint64_t offset_of(lfs2_block_t block)
{
    return ((uint64_t)block + 1) * BDEV_BLOCK;
}

/* The blocks that were read or written last: littlefs itself keeps one, and searches the same folder several times for
 * each change. All of its reads and programs are of whole blocks. */
static struct {
    lfs2_block_t block[CACHE_BLOCKS]; /* plus 1; 0 = none */
    uint8_t data[CACHE_BLOCKS][BDEV_BLOCK];
} cache;

static int fs_read(const struct lfs2_config *c, lfs2_block_t block, lfs2_off_t offset, void *data,
                   lfs2_size_t bytes)
{
    unsigned slot = block % CACHE_BLOCKS;

    (void)c;
    if (cache.block[slot] != block + 1) {
        cache.block[slot] = 0;
        if (device->read(device, offset_of(block), cache.data[slot], BDEV_BLOCK) != 0)
            return LFS2_ERR_IO;
        cache.block[slot] = block + 1;
    }
    memcpy(data, cache.data[slot] + offset, bytes);
    return 0;
}

static int flush(void)
{
    broken = broken || device->flush(device) != 0;
    not_to_change = 0;
    return broken ? LFS2_ERR_IO : 0;
}

static int fs_prog(const struct lfs2_config *c, lfs2_block_t block, lfs2_off_t offset,
                   const void *data, lfs2_size_t bytes)
{
    unsigned slot = block % CACHE_BLOCKS;

    (void)c;
    cache.block[slot] = 0;
    if (repeating && not_to_change == 0)
        not_to_change = last_block + 1;
    else if ((repeating || not_to_change == block + 1) && flush() != 0)
        return LFS2_ERR_IO;
    last_block = block;
    broken = broken || device->write(device, offset_of(block) + offset, data, bytes) != 0;
    if (broken)
        return LFS2_ERR_IO;
    memcpy(cache.data[slot], data, BDEV_BLOCK);
    cache.block[slot] = block + 1;
    return 0;
}

static int fs_erase(const struct lfs2_config *c, lfs2_block_t block)
{
    (void)c;
    (void)block;
    return 0;
}

static int fs_sync(const struct lfs2_config *c)
{
    (void)c;
    return repeating ? 0 : flush();
}

static struct lfs2_config config = {
    .read = fs_read,
    .prog = fs_prog,
    .erase = fs_erase,
    .sync = fs_sync,
    .read_size = BDEV_BLOCK,
    .prog_size = BDEV_BLOCK,
    .block_size = BDEV_BLOCK,
    .block_cycles = -1,
    .cache_size = BDEV_BLOCK,
    .lookahead_size = LOOKAHEAD_BYTES,
    .read_buffer = read_buffer,
    .prog_buffer = prog_buffer,
    .lookahead_buffer = lookahead,
};

static int error_of(int result)
{
    switch (result) {
    case LFS2_ERR_NOENT:
        return -SKEP_ENOENT;
    case LFS2_ERR_NOSPC:
    case LFS2_ERR_NAMETOOLONG: /* so it calls a folder that can't grow */
        return -SKEP_ENOSPC;
    case LFS2_ERR_NOMEM:
        return -SKEP_ENOMEM;
    default:
        return result < 0 ? -SKEP_EIO : result;
    }
}

/*
 * Opening
 */

static void head_digest(const struct device_head *head, uint8_t digest[32])
{
    tls_sha256(head, offsetof(struct device_head, digest), digest);
}

static int format(struct bdev *dev, uint8_t block[BDEV_BLOCK])
{
    uint64_t blocks = (dev->bytes < STATE_BYTES_MAX ? dev->bytes : STATE_BYTES_MAX) / BDEV_BLOCK;
    uint64_t log_blocks = blocks / LOG_SHARE < STATE_LOG_MAX ? blocks / LOG_SHARE : STATE_LOG_MAX;
    struct device_head head = {.magic = DEEP_MAGIC, .block_count = blocks - 1 - log_blocks};
    int result;

    layout = STATE_DEEP;
    config.block_count = (lfs2_size_t)head.block_count;
    result = error_of(lfs2_format(&fs, &config));
    if (result != 0)
        return result;
    head_digest(&head, head.digest);
    memset(block, 0, BDEV_BLOCK);
    memcpy(block, &head, sizeof(head));
    if (dev->flush(dev) != 0 || dev->write(dev, 0, block, BDEV_BLOCK) != 0 || dev->flush(dev) != 0)
        return -SKEP_EIO;
    return 0;
}

static bool is_zero(const uint8_t *data, size_t bytes)
{
    return data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

static int read_head(struct bdev *dev, bool format_if_empty)
{
    uint8_t block[BDEV_BLOCK], digest[32];
    struct device_head head;

    if (dev->read(dev, 0, block, sizeof(block)) != 0)
        return -SKEP_EIO;
    if (is_zero(block, sizeof(block)))
        return format_if_empty ? format(dev, block) : -SKEP_ENOENT;
    memcpy(&head, block, sizeof(head));
    head_digest(&head, digest);
    if ((head.magic != FLAT_MAGIC && head.magic != DEEP_MAGIC) ||
        memcmp(digest, head.digest, sizeof(digest)) != 0 || head.block_count < COUNT_MIN ||
        head.block_count > dev->bytes / BDEV_BLOCK - 1)
        return -SKEP_EIO;
    layout = head.magic == DEEP_MAGIC ? STATE_DEEP : STATE_FLAT;
    config.block_count = (lfs2_size_t)head.block_count;
    return 0;
}

static int mount(void)
{
    lfs2_ssize_t used;
    int result = error_of(lfs2_mount(&fs, &config));

    if (result != 0)
        return -SKEP_EIO;
    used = lfs2_fs_size(&fs);
    if (used < 0) {
        lfs2_unmount(&fs);
        return -SKEP_EIO;
    }
    used_blocks = (uint64_t)used;
    return 0;
}

int state_open(struct bdev *dev, bool format_if_empty)
{
    int result;

    if (dev->bytes < STATE_BYTES_MIN)
        return -SKEP_EIO;
    pthread_mutex_lock(&lock);
    device = dev;
    broken = false;
    memset(cache.block, 0, sizeof(cache.block));
    result = read_head(dev, format_if_empty);
    if (result == 0)
        result = mount();
    if (result != 0)
        device = NULL;
    pthread_mutex_unlock(&lock);
    return result;
}

void state_close(void)
{
    pthread_mutex_lock(&lock);
    if (device)
        lfs2_unmount(&fs);
    device = NULL;
    pthread_mutex_unlock(&lock);
}

void state_usage(uint64_t *bytes, uint64_t *used)
{
    pthread_mutex_lock(&lock);
    *bytes = device ? offset_of(config.block_count) : 0;
    *used = device ? offset_of((lfs2_block_t)used_blocks) : 0;
    pthread_mutex_unlock(&lock);
}

/*
 * The log
 */

uint32_t state_log_blocks(void)
{
    uint64_t blocks = 0;

    pthread_mutex_lock(&lock);
    if (device)
        blocks = device->bytes / BDEV_BLOCK - 1 - config.block_count;
    pthread_mutex_unlock(&lock);
    return blocks < STATE_LOG_MAX ? (uint32_t)blocks : STATE_LOG_MAX;
}

static int write_log(const struct state_log *log)
{
    if (log)
        broken = broken || device->write(device, offset_of(config.block_count + log->block),
                                         log->data, BDEV_BLOCK) != 0;
    return broken ? -SKEP_EIO : 0;
}

int state_log_read(uint32_t block, void *data)
{
    int result = -SKEP_ENODEV;

    pthread_mutex_lock(&lock);
    if (device)
        result = device->read(device, offset_of(config.block_count + block), data, BDEV_BLOCK) == 0
                     ? 0
                     : -SKEP_EIO;
    pthread_mutex_unlock(&lock);
    return result;
}

int state_log_write(const struct state_log *log)
{
    int result = -SKEP_ENODEV;

    pthread_mutex_lock(&lock);
    if (device)
        result = write_log(log);
    if (result == 0)
        result = error_of(fs_sync(&config));
    pthread_mutex_unlock(&lock);
    return result;
}

/* Blocks of a file's own. */
static uint64_t blocks_of(uint64_t bytes)
{
    return bytes <= INLINE_BYTES ? 0 : (bytes + BDEV_BLOCK - 9) / (BDEV_BLOCK - 8);
}

/* Bytes of the file, 0 if there is none, or an error. */
static int64_t file_bytes(const char *path)
{
    struct lfs2_info info;
    int result = lfs2_stat(&fs, path, &info);

    if (result == LFS2_ERR_NOENT)
        return 0;
    return result < 0 ? error_of(result) : (int64_t)info.size;
}

/*
 * Writing
 */

/* An attribute of each file and folder: setting it again is a commit of what is there. */
#define ATTRIBUTE 0x53

struct writing {
    char path[STATE_PATH_BYTES];
    uint64_t old_bytes;
    lfs2_file_t file;
    struct lfs2_file_config config;
    struct lfs2_attr attribute;
    char mark[1];
    uint8_t buffer[BDEV_BLOCK];
};

static int prepare(struct writing *w, const char *name)
{
    if (!device || broken)
        return device ? -SKEP_EIO : -SKEP_ENODEV;
    w->attribute = (struct lfs2_attr){.type = ATTRIBUTE, .buffer = w->mark, .size = 1};
    w->config.buffer = w->buffer;
    w->config.attrs = &w->attribute;
    w->config.attr_count = 1;
    return state_path(layout, name, w->path);
}

static int open_once(struct writing *w)
{
    return lfs2_file_opencfg(&fs, &w->file, w->path, LFS2_O_WRONLY | LFS2_O_CREAT | LFS2_O_TRUNC,
                             &w->config);
}

/* Commits the folder that this is in once more. A file has had the attribute before, so nothing becomes larger, and one block
 * is programmed; for a folder, which gets it now, the commit is one like any other. */
static int settle(const char *path, bool is_file)
{
    int result;

    repeating = is_file;
    result = lfs2_setattr(&fs, path, ATTRIBUTE, "", 1);
    repeating = false;
    return error_of(result);
}

static int make_folder(const char *path)
{
    int result = error_of(lfs2_mkdir(&fs, path));

    if (result != 0)
        return result;
    used_blocks += 2;
    return settle(path, false);
}

/* The folder is made when its first file is, and the one around it when its first folder is: so both blocks of each get
 * what is in it. */
static int make_folders(struct writing *w)
{
    int result = make_folder(w->path);
    char *inner = strchr(w->path, '/');

    if (result != -SKEP_ENOENT || !inner)
        return result;
    *inner = '\0';
    result = make_folder(w->path);
    *inner = '/';
    return result == 0 ? make_folder(w->path) : result;
}

static int open_for_writing(struct writing *w)
{
    int result = open_once(w);
    char *end = strrchr(w->path, '/');

    if (result != LFS2_ERR_NOENT)
        return error_of(result);
    *end = '\0';
    result = make_folders(w);
    *end = '/';
    return result == 0 ? error_of(open_once(w)) : result;
}

static int write_bytes(struct writing *w, const void *data, size_t bytes)
{
    lfs2_ssize_t n = lfs2_file_write(&fs, &w->file, data, (lfs2_size_t)bytes);

    return n < 0 ? error_of(n) : 0;
}

/* Makes the contents durable, before the commit that names them; what fits into the folder is part of that commit. */
static int write_out(struct writing *w, uint64_t bytes)
{
    int result;

    if (blocks_of(bytes) == 0)
        return 0;
    result = (int)lfs2_file_seek(&fs, &w->file, 0, LFS2_SEEK_SET);
    return error_of(result < 0 ? result : fs_sync(&config));
}

/* Closes the file with a commit, or, one that is marked as failed, without. */
static int commit(struct writing *w, uint64_t bytes, int result)
{
    int closed;

    if (result != 0)
        w->file.flags |= LFS2_F_ERRED;
    closed = error_of(lfs2_file_close(&fs, &w->file));
    result = result != 0 ? result : closed;
    if (result == 0)
        used_blocks += blocks_of(bytes) - blocks_of(w->old_bytes);
    else if (w->old_bytes == 0 && !broken)
        lfs2_remove(&fs, w->path);
    return result == 0 ? settle(w->path, true) : result;
}

static void let_others_in(void)
{
    pthread_mutex_unlock(&lock);
    pthread_mutex_lock(&lock);
}

static int write_pieces(struct writing *w, const uint8_t *data, size_t bytes)
{
    int result = 0;

    for (size_t at = 0; at < bytes && result == 0; at += PIECE_BYTES) {
        size_t piece = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
        if (at > 0)
            let_others_in();
        result = write_bytes(w, data + at, piece);
    }
    return result;
}

void state_digest_of(const void *data, size_t bytes, uint8_t digest[STATE_DIGEST])
{
    uint8_t whole[32];

    tls_sha256(data, bytes, whole);
    memcpy(digest, whole, STATE_DIGEST);
}

static void make_head(struct value_head *head, const void *data, size_t bytes)
{
    *head = (struct value_head){.magic = VALUE_MAGIC, .bytes = (uint32_t)bytes};
    state_digest_of(data, bytes, head->digest);
}

static int put(struct writing *w, const void *data, size_t bytes, const struct state_log *log)
{
    struct value_head head;
    int64_t old = file_bytes(w->path);
    int result;

    if (old < 0)
        return (int)old;
    w->old_bytes = (uint64_t)old;
    make_head(&head, data, bytes);
    result = open_for_writing(w);
    if (result != 0)
        return result;
    result = write_bytes(w, &head, sizeof(head));
    if (result == 0)
        result = write_pieces(w, data, bytes);
    if (result == 0)
        result = write_out(w, sizeof(head) + bytes);
    if (result == 0)
        result = write_log(log);
    return commit(w, sizeof(head) + bytes, result);
}

int state_put(const char *name, const void *data, size_t bytes)
{
    return state_put_with(name, data, bytes, NULL);
}

int state_put_with(const char *name, const void *data, size_t bytes, const struct state_log *log)
{
    struct writing *w = calloc(1, sizeof(*w));
    int result = -SKEP_E2BIG;

    if (!w)
        return -SKEP_ENOMEM;
    pthread_mutex_lock(&lock);
    if (bytes <= INT32_MAX - sizeof(struct value_head))
        result = prepare(w, name);
    if (result == 0)
        result = put(w, data, bytes, log);
    pthread_mutex_unlock(&lock);
    free(w);
    return result;
}

/* What would be back if the removal were taken back is an empty file, which counts as none. */
static int delete (struct writing *w, const struct state_log *log)
{
    int64_t bytes = file_bytes(w->path);
    int result;

    if (bytes <= 0)
        return bytes == 0 ? -SKEP_ENOENT : (int)bytes;
    result = write_log(log);
    if (result == 0)
        result = open_for_writing(w);
    if (result == 0)
        result = error_of(lfs2_file_close(&fs, &w->file));
    if (result == 0)
        used_blocks -= blocks_of((uint64_t)bytes);
    return result == 0 ? error_of(lfs2_remove(&fs, w->path)) : result;
}

int state_delete(const char *name)
{
    return state_delete_with(name, NULL);
}

int state_delete_with(const char *name, const struct state_log *log)
{
    struct writing *w = calloc(1, sizeof(*w));
    int result;

    if (!w)
        return -SKEP_ENOMEM;
    pthread_mutex_lock(&lock);
    result = prepare(w, name);
    if (result == 0)
        result = delete (w, log);
    pthread_mutex_unlock(&lock);
    free(w);
    return result;
}

/*
 * Reading
 */

/* Its head, if there is one and it fits the file. */
static int read_value_head(lfs2_file_t *file, struct value_head *head)
{
    lfs2_ssize_t n = lfs2_file_read(&fs, file, head, sizeof(*head));

    if (n == 0)
        return -SKEP_ENOENT; /* one that never got its contents */
    if (n != sizeof(*head) || head->magic != VALUE_MAGIC ||
        lfs2_file_size(&fs, file) != (lfs2_soff_t)(sizeof(*head) + head->bytes))
        return -SKEP_EIO;
    return 0;
}

static int64_t read_value(lfs2_file_t *file, const struct value_head *head, void *data, size_t room)
{
    struct value_head check;

    if (head->bytes > room)
        return head->bytes;
    if (lfs2_file_read(&fs, file, data, head->bytes) != (lfs2_ssize_t)head->bytes)
        return -SKEP_EIO;
    make_head(&check, data, head->bytes);
    return memcmp(&check, head, sizeof(check)) == 0 ? (int64_t)head->bytes : -SKEP_EIO;
}

/* With no data the value stays unread. */
static int64_t get(const char *path, struct value_head *head, void *data, size_t room)
{
    uint8_t buffer[BDEV_BLOCK];
    const struct lfs2_file_config file_config = {.buffer = buffer};
    lfs2_file_t file;
    int64_t result;

    memset(&file, 0, sizeof(file));
    result = error_of(lfs2_file_opencfg(&fs, &file, path, LFS2_O_RDONLY, &file_config));
    if (result != 0)
        return result;
    result = read_value_head(&file, head);
    if (result == 0)
        result = data ? read_value(&file, head, data, room) : head->bytes;
    lfs2_file_close(&fs, &file);
    return result;
}

static int64_t get_locked(const char *name, struct value_head *head, void *data, size_t room)
{
    char path[STATE_PATH_BYTES];
    int64_t result;

    pthread_mutex_lock(&lock);
    result = device ? state_path(layout, name, path) : -SKEP_ENODEV;
    if (result == 0)
        result = get(path, head, data, room);
    pthread_mutex_unlock(&lock);
    return result;
}

int64_t state_get(const char *name, void *data, size_t room)
{
    struct value_head head;

    return get_locked(name, &head, data, room);
}

int64_t state_digest(const char *name, uint8_t digest[STATE_DIGEST])
{
    struct value_head head;
    int64_t bytes = get_locked(name, &head, NULL, 0);

    if (bytes >= 0)
        memcpy(digest, head.digest, STATE_DIGEST);
    return bytes;
}

/*
 * Lists
 */

static int list_shard(unsigned shard, const char *prefix, struct state_names *names)
{
    struct lfs2_info info;
    char path[STATE_FOLDER_BYTES];
    lfs2_dir_t dir;
    int result;

    state_folder(layout, shard, path);
    result = lfs2_dir_open(&fs, &dir, path);
    if (result != 0)
        return result == LFS2_ERR_NOENT ? 0 : error_of(result);
    while ((result = lfs2_dir_read(&fs, &dir, &info)) > 0) {
        for (char *c = info.name; *c; c++)
            if (*c == '~')
                *c = '/';
        if (info.type != LFS2_TYPE_REG || info.size == 0 ||
            strncmp(info.name, prefix, strlen(prefix)) != 0)
            continue;
        if ((result = state_add_name(names, info.name)) != 0)
            break;
    }
    lfs2_dir_close(&fs, &dir);
    return error_of(result);
}

int state_list(const char *prefix, char **names)
{
    struct state_names list = {NULL, 0, 0};
    int result;

    *names = NULL;
    pthread_mutex_lock(&lock);
    result = !device ? -SKEP_ENODEV : state_add_name(&list, "");
    list.bytes = 0;
    for (unsigned i = 0; i < STATE_SHARDS && result == 0; i++)
        result = list_shard(i, prefix, &list);
    pthread_mutex_unlock(&lock);
    if (result == 0)
        *names = list.text;
    else
        free(list.text);
    return result;
}
