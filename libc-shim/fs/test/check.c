/*
 * check.c - what the tests of the file systems share.
 */
#include "check.h"

#include "../message.h"
#include "../walk.h"

static char folder[64];
static char messages[4096];

void fs_message(const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(messages);
    va_start(arguments, format);
    vsnprintf(messages + used, sizeof(messages) - used, format, arguments);
    va_end(arguments);
    used = strlen(messages);
    snprintf(messages + used, sizeof(messages) - used, "\n");
}

/* Nothing but folders. */
int fs_check_outside(const char *path)
{
    return strstr(path, "missing") != NULL ? -ENOENT : 0;
}

const char *messages_since(void)
{
    static char copy[sizeof(messages)];
    memcpy(copy, messages, sizeof(copy));
    messages[0] = 0;
    return copy;
}

void mount_db(unsigned flags)
{
    int result = fs_tree_mount("db", "/db", flags);
    if (result != 0)
        print_error("mount: %d: %s", result, messages_since());
    assert_int_equal(result, 0);
}

void unmount_db(void)
{
    assert_int_equal(fs_tree_unmount(), 0);
}

const char *test_folder(void)
{
    if (folder[0] == 0) {
        fs_copy_text(folder, sizeof(folder), "/tmp/skep-fs.XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    return folder;
}

void test_folder_remove(void)
{
    char command[128];
    if (folder[0] == 0)
        return;
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    folder[0] = 0;
}

int run_on_image(unsigned device, const char *command, bool load_back)
{
    char image[128], line[1024];
    snprintf(image, sizeof(image), "%s/image", test_folder());
    disk_save(device, image);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(line, sizeof(line), command, image, test_folder());
#pragma GCC diagnostic pop
    int status = system(line);
    if (load_back)
        disk_load(device, image);
    return status >= 256 ? status / 256 : status;
}

void assert_clean(unsigned device)
{
    int status = run_on_image(device, "/sbin/e2fsck -fn %1$s >%2$s/log 2>&1", false);
    if (status != 0) {
        char command[128];
        snprintf(command, sizeof(command), "cat '%s/log' >&2", test_folder());
        if (system(command) != 0)
            print_error("no log\n");
    }
    assert_int_equal(status, 0);
}

void write_file(const char *path, const void *data, size_t bytes)
{
    struct fs_file *file;
    assert_int_equal(fs_open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644, &file, NULL), 0);
    assert_int_equal(fs_write(file, data, bytes, 0), bytes);
    fs_close(file);
}

size_t read_file(const char *path, void *data, size_t bytes)
{
    struct fs_file *file;
    assert_int_equal(fs_open(path, O_RDONLY, 0, &file, NULL), 0);
    ssize_t done = fs_read(file, data, bytes);
    fs_close(file);
    assert_true(done >= 0);
    return (size_t)done;
}

bool path_exists(const char *path)
{
    struct stat unused;
    return fs_stat(path, false, &unused, NULL) == 0;
}
