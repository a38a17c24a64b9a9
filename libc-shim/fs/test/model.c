/*
 * model.c - a tree of files in plain memory, and random operations.
 */
#include "model.h"

#include "check.h"

#define OBJECTS_MAX 512u
#define OPEN_MAX    4u
#define DEPTH_MAX   3u
#define NONE        0u /* no object; 1 is the root */
#define ROOT        1u

struct object {
    bool used, is_folder;
    uint32_t names, opens;
    uint8_t *data;
    uint64_t bytes;
    uint32_t children[MODEL_NAMES];

    uint64_t changed_at, moved_at; /* steps: contents; names, those of its folders not counted */
    uint8_t *durable;              /* contents at the last sync */
    uint64_t durable_bytes;
    uint64_t durable_at; /* the step of that sync; 0 = never */
    uint64_t named_at;   /* the step of the last sync of everything */
};

struct open_file {
    struct fs_file *file;
    uint32_t object;
};

/* A path, and where it leads in the model. */
struct path {
    char text[64];
    uint32_t names[DEPTH_MAX];
    uint32_t depth;
    uint32_t folder; /* NONE: it isn't there, and `error` says why */
    uint32_t object; /* NONE: the folder has no such name */
    int error;
};

static struct model_options options;
static struct object objects[OBJECTS_MAX];
static struct open_file opens[OPEN_MAX];
static uint64_t state, step;
static uint32_t syncs, object_count;

static uint64_t below(uint64_t limit)
{
    return random_below(&state, limit);
}

static uint32_t new_object(bool is_folder)
{
    for (uint32_t i = ROOT; i < OBJECTS_MAX; i++)
        if (!objects[i].used) {
            free(objects[i].durable);
            objects[i] = (struct object){
                .used = true, .is_folder = is_folder, .moved_at = step, .changed_at = step};
            object_count++;
            return i;
        }
    abort();
}

static void release(uint32_t object)
{
    if (objects[object].names > 0 || objects[object].opens > 0)
        return;
    free(objects[object].data);
    objects[object].data = NULL;
    objects[object].used = false;
    object_count--;
}

void model_start(const struct model_options *given)
{
    options = *given;
    state = options.seed;
    step = 1;
    syncs = 0;
    object_count = 0;
    memset(opens, 0, sizeof(opens));
    objects[new_object(true)].names = 1;
}

void model_end(void)
{
    for (uint32_t i = 0; i < OBJECTS_MAX; i++) {
        free(objects[i].data);
        free(objects[i].durable);
    }
    memset(objects, 0, sizeof(objects));
}

void model_close_all(void)
{
    for (unsigned i = 0; i < OPEN_MAX; i++)
        if (opens[i].file != NULL) {
            fs_close(opens[i].file);
            objects[opens[i].object].opens--;
            release(opens[i].object);
            opens[i].file = NULL;
        }
}

void model_abandon_all(void)
{
    for (unsigned i = 0; i < OPEN_MAX; i++) {
        free(opens[i].file);
        opens[i].file = NULL;
    }
}

/*
 * Paths
 */

static void follow(struct path *path)
{
    fs_copy_text(path->text, sizeof(path->text), "/db");
    path->folder = ROOT;
    path->error = 0;
    for (uint32_t i = 0; i < path->depth; i++) {
        char name[16];
        /* Some names are long, so that folders have several blocks. */
        snprintf(name, sizeof(name), path->names[i] % 2 ? "/n%u" : "/name-%u", path->names[i]);
        size_t length = strlen(path->text);
        fs_copy_text(path->text + length, sizeof(path->text) - length, name);
        if (path->folder == NONE)
            continue;
        path->object = objects[path->folder].children[path->names[i]];
        if (i + 1 == path->depth)
            break;
        if (path->object == NONE)
            path->error = -ENOENT;
        else if (!objects[path->object].is_folder)
            path->error = -ENOTDIR;
        path->folder = path->error == 0 ? path->object : NONE;
    }
    if (path->folder == NONE)
        path->object = NONE;
}

static struct path random_path(void)
{
    struct path path = {.depth = 1 + (uint32_t)below(DEPTH_MAX)};
    for (uint32_t i = 0; i < path.depth; i++)
        path.names[i] = (uint32_t)below(MODEL_NAMES);
    follow(&path);
    return path;
}

static uint32_t *child(const struct path *path)
{
    return &objects[path->folder].children[path->names[path->depth - 1]];
}

static void name(const struct path *path, uint32_t object)
{
    *child(path) = object;
    objects[object].names++;
    objects[object].moved_at = step;
}

static void unname(const struct path *path)
{
    uint32_t object = *child(path);
    *child(path) = NONE;
    objects[object].names--;
    objects[object].moved_at = step;
    release(object);
}

static void assert_result(int64_t result, int64_t expected, const char *what, const char *path)
{
    if (result != expected)
        print_error("seed %llu, step %llu: %s %s: %lld, not %lld\n%s",
                    (unsigned long long)options.seed, (unsigned long long)step, what, path,
                    (long long)result, (long long)expected, messages_since());
    assert_int_equal(result, expected);
}

/* Whether the volume may have had no space for that, and had none. */
static bool ran_out(int64_t result)
{
    return options.space_runs_out && result == -ENOSPC;
}

/*
 * Operations on paths
 */

static void do_open(void)
{
    struct path path = random_path();
    unsigned slot = (unsigned)below(OPEN_MAX);
    bool exclusive = below(4) == 0, truncate = below(8) == 0;
    if (opens[slot].file != NULL) {
        fs_close(opens[slot].file);
        objects[opens[slot].object].opens--;
        release(opens[slot].object);
        opens[slot].file = NULL;
        return;
    }
    if (path.object == NONE && object_count >= options.files_max)
        return;
    int expected = path.error;
    if (expected == 0 && path.object != NONE)
        expected = exclusive ? -EEXIST : objects[path.object].is_folder ? -EISDIR : 0;
    struct fs_file *file = NULL;
    int result =
        fs_open(path.text, O_RDWR | O_CREAT | (exclusive ? O_EXCL : 0) | (truncate ? O_TRUNC : 0),
                0640, &file, NULL);
    if (ran_out(result))
        return;
    assert_result(result, expected, "open", path.text);
    if (result != 0)
        return;
    if (path.object == NONE)
        name(&path, path.object = new_object(false));
    if (truncate && objects[path.object].bytes > 0) {
        objects[path.object].bytes = 0;
        objects[path.object].changed_at = step;
    }
    objects[path.object].opens++;
    opens[slot] = (struct open_file){file, path.object};
}

static void do_mkdir(void)
{
    struct path path = random_path();
    if (object_count >= options.files_max)
        return;
    int expected = path.error != 0 ? path.error : path.object != NONE ? -EEXIST : 0;
    int result = fs_mkdir(path.text, 0755);
    if (ran_out(result))
        return;
    assert_result(result, expected, "mkdir", path.text);
    if (result == 0)
        name(&path, new_object(true));
}

static bool is_empty(uint32_t folder)
{
    for (uint32_t i = 0; i < MODEL_NAMES; i++)
        if (objects[folder].children[i] != NONE)
            return false;
    return true;
}

static void do_unlink(void)
{
    struct path path = random_path();
    int expected = path.error != 0                  ? path.error
                   : path.object == NONE            ? -ENOENT
                   : objects[path.object].is_folder ? -EISDIR
                                                    : 0;
    int result = fs_unlink(path.text);
    assert_result(result, expected, "unlink", path.text);
    if (result == 0)
        unname(&path);
}

static void do_rmdir(void)
{
    struct path path = random_path();
    int expected = path.error != 0                   ? path.error
                   : path.object == NONE             ? -ENOENT
                   : !objects[path.object].is_folder ? -ENOTDIR
                   : !is_empty(path.object)          ? -ENOTEMPTY
                                                     : 0;
    int result = fs_rmdir(path.text);
    assert_result(result, expected, "rmdir", path.text);
    if (result == 0)
        unname(&path);
}

static void do_link(void)
{
    struct path old = random_path(), new = random_path();
    int expected = old.error != 0                  ? old.error
                   : old.object == NONE            ? -ENOENT
                   : objects[old.object].is_folder ? -EPERM
                   : new.error != 0                ? new.error
                   : new.object != NONE            ? -EEXIST
                                                   : 0;
    int result = fs_link(old.text, new.text);
    if (ran_out(result))
        return;
    assert_result(result, expected, "link", new.text);
    if (result == 0)
        name(&new, old.object);
}

/* Whether the folder is on the way to the path. */
static bool leads_through(const struct path *path, uint32_t folder)
{
    uint32_t here = ROOT;
    for (uint32_t i = 0; i < path->depth && here != NONE; i++) {
        if (here == folder)
            return true;
        here = objects[here].children[path->names[i]];
    }
    return false;
}

static int rename_result(const struct path *old, const struct path *new)
{
    if (old->error != 0 || old->object == NONE)
        return old->error != 0 ? old->error : -ENOENT;
    if (new->error != 0)
        return new->error;
    const struct object *object = &objects[old->object], *replaced = &objects[new->object];
    if (object->is_folder && leads_through(new, old->object))
        return -EINVAL;
    if (new->object == NONE || new->object == old->object)
        return 0;
    if (object->is_folder != replaced->is_folder)
        return object->is_folder ? -ENOTDIR : -EISDIR;
    return replaced->is_folder && !is_empty(new->object) ? -ENOTEMPTY : 0;
}

static void do_rename(void)
{
    struct path old = random_path(), new = random_path();
    int expected = rename_result(&old, &new);
    int result = fs_rename(old.text, new.text);
    if (ran_out(result))
        return;
    assert_result(result, expected, "rename", old.text);
    if (result != 0 || new.object == old.object)
        return;
    if (new.object != NONE)
        unname(&new);
    name(&new, old.object);
    *child(&old) = NONE;
    objects[old.object].names--;
}

static void do_stat(void)
{
    struct path path = random_path();
    struct stat status;
    int expected = path.error != 0 ? path.error : path.object == NONE ? -ENOENT : 0;
    int result = fs_stat(path.text, true, &status, NULL);
    assert_result(result, expected, "stat", path.text);
    if (result != 0)
        return;
    assert_int_equal(S_ISDIR(status.st_mode), objects[path.object].is_folder);
    if (!objects[path.object].is_folder) {
        assert_result(status.st_size, (int64_t)objects[path.object].bytes, "size", path.text);
        assert_result(status.st_nlink, objects[path.object].names, "links", path.text);
    }
}

/*
 * Operations on files
 */

static struct open_file *random_file(void)
{
    struct open_file *file = &opens[below(OPEN_MAX)];
    return file->file != NULL ? file : NULL;
}

static void resize(struct object *object, uint64_t bytes)
{
    uint8_t *grown = realloc(object->data, bytes + 1);
    if (grown == NULL)
        abort();
    if (bytes > object->bytes)
        memset(grown + object->bytes, 0, bytes - object->bytes);
    object->data = grown;
    object->bytes = bytes;
    object->changed_at = step;
}

static uint64_t random_length(uint64_t limit)
{
    switch (below(4)) {
    case 0:
        return 1 + below(64);
    case 1:
        return (1 + below(limit / 4096)) * 4096;
    default:
        return 1 + below(limit);
    }
}

static uint64_t random_offset(const struct object *object)
{
    uint64_t limit = options.file_bytes_max - options.write_bytes_max;
    switch (below(4)) {
    case 0:
        return object->bytes < limit ? object->bytes : 0;
    case 1:
        return below(limit / 4096) * 4096;
    case 2:
        return below(object->bytes < limit ? object->bytes + 1 : limit);
    default:
        return below(limit);
    }
}

static void do_write(void)
{
    struct open_file *file = random_file();
    if (file == NULL)
        return;
    struct object *object = &objects[file->object];
    uint64_t bytes = random_length(options.write_bytes_max), offset = random_offset(object);
    uint8_t *data = malloc(bytes);
    if (data == NULL)
        abort();
    for (uint64_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(step * 31 + i * 7 + (i >> 8));
    bool append = below(4) == 0;
    if (append && object->bytes + bytes > options.file_bytes_max)
        append = false;
    if (append)
        offset = object->bytes;
    ssize_t result = append ? fs_write(file->file, data, bytes, O_APPEND)
                            : fs_pwrite(file->file, data, bytes, (off_t)offset, 0);
    if (!ran_out(result) && !(options.space_runs_out && result > 0))
        assert_result(result, (int64_t)bytes, "write", "");
    object->changed_at = step;
    if (result > 0) {
        if (offset + (uint64_t)result > object->bytes)
            resize(object, offset + (uint64_t)result);
        memcpy(object->data + offset, data, (size_t)result);
    }
    free(data);
}

static void compare_file(struct fs_file *file, const struct object *object, uint64_t offset,
                         uint64_t bytes)
{
    uint8_t *data = malloc(bytes + 1);
    if (data == NULL)
        abort();
    uint64_t expected = offset >= object->bytes          ? 0
                        : object->bytes - offset < bytes ? object->bytes - offset
                                                         : bytes;
    assert_result(fs_pread(file, data, bytes, (off_t)offset), (int64_t)expected, "read", "");
    for (uint64_t i = 0; i < expected; i++)
        if (data[i] != object->data[offset + i])
            assert_result(data[i], object->data[offset + i], "byte", "");
    free(data);
}

static void do_read(void)
{
    struct open_file *file = random_file();
    if (file != NULL)
        compare_file(file->file, &objects[file->object], random_offset(&objects[file->object]),
                     random_length(options.write_bytes_max));
}

static void do_resize(void)
{
    struct open_file *file = random_file();
    if (file == NULL)
        return;
    struct object *object = &objects[file->object];
    uint64_t bytes = below(3) == 0 ? 0 : below(options.file_bytes_max);
    if (below(3) == 0 && object->bytes > 0)
        bytes = below(object->bytes);
    int result = fs_resize(file->file, (off_t)bytes);
    if (ran_out(result))
        return;
    assert_result(result, 0, "resize", "");
    resize(object, bytes);
}

static void do_allocate(void)
{
    struct open_file *file = random_file();
    if (file == NULL)
        return;
    struct object *object = &objects[file->object];
    uint64_t offset = random_offset(object), bytes = random_length(options.write_bytes_max);
    int result = fs_allocate(file->file, (off_t)offset, (off_t)bytes);
    object->changed_at = step;
    if (ran_out(result))
        return;
    assert_result(result, 0, "allocate", "");
    if (offset + bytes > object->bytes)
        resize(object, offset + bytes);
}

static void make_durable(struct object *object)
{
    free(object->durable);
    object->durable = malloc(object->bytes + 1);
    if (object->durable == NULL)
        abort();
    if (object->bytes > 0)
        memcpy(object->durable, object->data, object->bytes);
    object->durable_bytes = object->bytes;
    object->durable_at = step;
}

static void do_sync(void)
{
    struct open_file *file = random_file();
    if (file == NULL)
        return;
    bool data_only = below(2) == 0;
    int result = fs_sync(file->file, data_only);
    assert_result(result, 0, "sync", "");
    syncs++;
    if (data_only) {
        make_durable(&objects[file->object]);
        return;
    }
    for (uint32_t i = ROOT; i < OBJECTS_MAX; i++)
        if (objects[i].used) {
            make_durable(&objects[i]);
            objects[i].named_at = step;
        }
}

void model_step(void)
{
    static void (*const operations[])(void) = {
        do_open,  do_open,  do_open,  do_write, do_write,  do_write,  do_write,  do_write,
        do_read,  do_read,  do_stat,  do_link,  do_unlink, do_unlink, do_rename, do_rename,
        do_mkdir, do_mkdir, do_rmdir, do_sync,  do_sync,   do_resize, do_resize, do_allocate,
    };
    step++;
    operations[below(sizeof(operations) / sizeof(*operations))]();
}

uint32_t model_syncs(void)
{
    return syncs;
}

/*
 * Comparing
 */

static uint32_t count_names(const char *path)
{
    struct fs_file *folder;
    struct fs_name entry;
    uint32_t count = 0;
    int result = fs_open(path, O_RDONLY | O_DIRECTORY, 0, &folder, NULL);
    assert_result(result, 0, "open folder", path);
    while ((result = fs_read_folder(folder, &entry)) == 1)
        if (strcmp(entry.name, ".") != 0 && strcmp(entry.name, "..") != 0 &&
            strcmp(entry.name, "lost+found") != 0)
            count++;
    fs_close(folder);
    assert_result(result, 0, "read folder", path);
    return count;
}

static void compare_object(struct path *path)
{
    const struct object *object = &objects[path->object];
    struct stat status;
    assert_result(fs_stat(path->text, false, &status, NULL), 0, "compare", path->text);
    assert_int_equal(S_ISDIR(status.st_mode), object->is_folder);
    if (object->is_folder)
        return;
    struct fs_file *file;
    assert_result(status.st_size, (int64_t)object->bytes, "compare size", path->text);
    assert_result(fs_open(path->text, O_RDONLY, 0, &file, NULL), 0, "compare", path->text);
    compare_file(file, object, 0, object->bytes + 1);
    fs_close(file);
}

static void compare_below(const struct path *parent, uint32_t folder)
{
    uint32_t expected = 0;
    for (uint32_t i = 0; i < MODEL_NAMES; i++) {
        if (objects[folder].children[i] == NONE)
            continue;
        struct path path = *parent;
        path.names[path.depth++] = i;
        follow(&path);
        expected++;
        compare_object(&path);
        if (objects[path.object].is_folder && path.depth < DEPTH_MAX)
            compare_below(&path, path.object);
    }
    assert_result(count_names(parent->text), expected, "names", parent->text);
}

void model_compare(void)
{
    struct path root = {.depth = 0};
    follow(&root);
    compare_below(&root, ROOT);
}

static uint32_t check_object(const struct path *path, const struct object *object)
{
    struct object durable = {.data = object->durable, .bytes = object->durable_bytes};
    struct fs_file *file;
    struct stat status;
    assert_result(fs_stat(path->text, false, &status, NULL), 0, "durable", path->text);
    if (object->is_folder || object->durable_at < object->changed_at)
        return 0;
    assert_result(status.st_size, (int64_t)durable.bytes, "durable size", path->text);
    assert_result(fs_open(path->text, O_RDONLY, 0, &file, NULL), 0, "durable", path->text);
    compare_file(file, &durable, 0, durable.bytes + 1);
    fs_close(file);
    return 1;
}

static uint32_t check_below(const struct path *parent, uint32_t folder)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < MODEL_NAMES; i++) {
        const struct object *object = &objects[objects[folder].children[i]];
        if (objects[folder].children[i] == NONE || object->named_at == 0 ||
            object->moved_at > object->named_at)
            continue;
        struct path path = *parent;
        path.names[path.depth++] = i;
        follow(&path);
        count += check_object(&path, object);
        if (object->is_folder && path.depth < DEPTH_MAX)
            count += check_below(&path, path.object);
    }
    return count;
}

uint32_t model_check_durable(void)
{
    struct path root = {.depth = 0};
    follow(&root);
    return check_below(&root, ROOT);
}
