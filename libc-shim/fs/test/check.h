/*
 * check.h - what the tests of the file systems share: mounting, and e2fsck's opinion.
 */
#ifndef LIBC_SHIM_FS_TEST_CHECK_H
#define LIBC_SHIM_FS_TEST_CHECK_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tree.h"
#include "../volume.h"
#include "disk.h"

/* Mounts disk `db` at /db; fails the test if that doesn't work. */
void mount_db(unsigned flags);
void unmount_db(void);

/* A folder of the test's own for images, removed at its end. */
const char *test_folder(void);
void test_folder_remove(void);

/* Runs a shell command in which %s is the path of an image of the disk; its exit code. */
int run_on_image(unsigned device, const char *command, bool load_back);

/* e2fsck -fn finds nothing. */
void assert_clean(unsigned device);

/* The messages that there were since the last call. */
const char *messages_since(void);

/* A file's contents. */
void write_file(const char *path, const void *data, size_t bytes);
size_t read_file(const char *path, void *data, size_t bytes);
bool path_exists(const char *path);

#endif
