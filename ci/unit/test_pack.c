/*
 * test_pack.c - packs of read-only files: look-up, listing, one pack over another; and random ones against a model that
 * looks at every path.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../libc-shim/src/pack.h"
#include "test.h"

#define PACK_BYTES 65536u
#define PATHS_MAX  64u

struct paths {
    const char *at[PATHS_MAX];
    uint32_t count;
};

/* Name by name, as the format has it. */
static int by_name(const void *a, const void *b)
{
    const char *left = *(const char *const *)a, *right = *(const char *const *)b;
    for (;;) {
        size_t left_bytes = strcspn(left, "/"), right_bytes = strcspn(right, "/");
        size_t bytes = left_bytes < right_bytes ? left_bytes : right_bytes;
        int order = memcmp(left, right, bytes);
        if (order != 0 || left_bytes != right_bytes) {
            return order != 0 ? order : left_bytes < right_bytes ? -1 : 1;
        }
        left += left_bytes;
        right += right_bytes;
        if (*left == 0 || *right == 0) {
            return *left == *right ? 0 : *left == 0 ? -1 : 1;
        }
        left++;
        right++;
    }
}

/* Each file holds its own path. */
static struct skep_files *make(struct paths *paths)
{
    struct skep_files *pack = calloc(1, PACK_BYTES);
    assert_non_null(pack);
    qsort(paths->at, paths->count, sizeof(*paths->at), by_name);
    uint32_t place = (uint32_t)sizeof(*pack) + paths->count * 16;
    for (uint32_t i = 0; i < paths->count; i++) {
        uint32_t bytes = (uint32_t)strlen(paths->at[i]);
        pack->entries[i] = (struct skep_files_entry){place, place, bytes, 0};
        memcpy((char *)pack + place, paths->at[i], bytes + 1);
        place += bytes + 1;
    }
    assert_true(place <= PACK_BYTES);
    pack->magic = SKEP_FILES_MAGIC;
    pack->bytes = place;
    pack->count = paths->count;
    return pack;
}

static struct skep_files *pack_of(const char *const *paths)
{
    struct paths list = {.count = 0};
    while (paths[list.count] != NULL) {
        list.at[list.count] = paths[list.count];
        list.count++;
    }
    return make(&list);
}

static void expect_names(const struct pack_tree *tree, const char *folder, const char *expected)
{
    char text[1024] = "", name[PACK_NAME_BYTES] = "";
    int used = 0;
    bool is_folder;
    while (pack_next(tree, folder, name, name, &is_folder)) {
        used += sprintf(text + used, "%s%s ", name, is_folder ? "/" : "");
    }
    assert_string_equal(text, expected);
}

static void expect(const struct pack_tree *tree, const char *path, int result, int layer)
{
    struct pack_found found;
    assert_int_equal(pack_find(tree, path, &found), result);
    if (result != 0) {
        return;
    }
    assert_int_equal(found.entry != NULL, layer >= 0);
    if (layer >= 0 && found.entry != NULL) {
        assert_ptr_equal(found.pack, tree->layer[layer]);
        assert_int_equal(found.entry->bytes, strlen(path));
        assert_memory_equal(pack_data(&found), path, strlen(path));
    }
}

static void one_pack(void **state)
{
    (void)state;
    struct skep_files *pack =
        pack_of((const char *[]){"index.html", "a/b", "a/c/d", "a-b", "a.b", "a/c-d", "z", NULL});
    struct pack_tree tree = {.layer = {NULL, pack}};
    expect(&tree, "", 0, -1);
    expect(&tree, "a", 0, -1);
    expect(&tree, "a/c", 0, -1);
    expect(&tree, "a/c/d", 0, 1);
    expect(&tree, "a-b", 0, 1);
    expect(&tree, "z", 0, 1);
    expect(&tree, "a/", -ENOENT, -1); /* not a path as it must be */
    expect(&tree, "a/x", -ENOENT, -1);
    expect(&tree, "a/c/d/e", -ENOTDIR, -1);
    expect(&tree, "index.htm", -ENOENT, -1);
    expect(&tree, "index.html2", -ENOENT, -1);
    expect_names(&tree, "", "a/ a-b a.b index.html z ");
    expect_names(&tree, "a", "b c/ c-d ");
    expect_names(&tree, "a/c", "d ");
    expect_names(&tree, "z", "");
    expect_names(&tree, "none", "");
    free(pack);
}

static void upper_hides_lower(void **state)
{
    (void)state;
    struct skep_files *upper = pack_of((const char *[]){"etc/app.conf", "f", "d/x/y", "new", NULL});
    struct skep_files *lower = pack_of(
        (const char *[]){"etc/app.conf", "etc/other", "f/below", "d/x", "d/z", "own", NULL});
    struct pack_tree tree = {.layer = {upper, lower}};
    expect(&tree, "etc/app.conf", 0, 0);
    expect(&tree, "etc/other", 0, 1);
    expect(&tree, "f", 0, 0);
    expect(&tree, "f/below", -ENOTDIR, -1); /* a file hides a folder */
    expect(&tree, "d/x", 0, -1);            /* and a folder a file */
    expect(&tree, "d/x/y", 0, 0);
    expect(&tree, "own", 0, 1);
    expect_names(&tree, "", "d/ etc/ f new own ");
    expect_names(&tree, "etc", "app.conf other ");
    expect_names(&tree, "d", "x/ z ");
    expect_names(&tree, "d/x", "y ");
    expect_names(&tree, "f", "");
    free(upper);
    free(lower);
}

static void nothing_at_all(void **state)
{
    (void)state;
    struct pack_tree tree = {.layer = {NULL, NULL}};
    expect(&tree, "", 0, -1);
    expect(&tree, "a", -ENOENT, -1);
    expect_names(&tree, "", "");
}

/* The model: what a path is in one list. 0 = nothing, 1 = a file, 2 = a folder. */
static int model_kind(const struct paths *paths, const char *path)
{
    size_t bytes = strlen(path);
    int kind = bytes == 0 ? 2 : 0;
    for (uint32_t i = 0; i < paths->count; i++) {
        if (strcmp(paths->at[i], path) == 0) {
            return 1;
        }
        if (strncmp(paths->at[i], path, bytes) == 0 && paths->at[i][bytes] == '/') {
            kind = 2;
        }
    }
    return kind;
}

/* Of both, and in *layer whose file it is. -ENOENT, -ENOTDIR, 1 or 2. */
static int model_find(const struct paths list[2], const char *path, int *layer)
{
    bool hidden = false;
    for (size_t end = 1; path[0] != 0; end++) {
        char part[128] = "";
        if (path[end] != '/' && path[end] != 0) {
            continue;
        }
        memcpy(part, path, end);
        int upper = model_kind(&list[0], part), lower = hidden ? 0 : model_kind(&list[1], part);
        hidden |= upper == 1 || lower != 2;
        int kind = upper != 0 ? upper : lower;
        if (kind == 0) {
            return -ENOENT;
        }
        if (kind == 1 && path[end] != 0) {
            return -ENOTDIR;
        }
        *layer = upper != 0 ? 0 : 1;
        if (path[end] == 0) {
            return kind;
        }
    }
    return 2;
}

static uint32_t random_state = 1;

static uint32_t below(uint32_t limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % limit;
}

static void random_path(char out[64])
{
    static const char *const names[] = {"a", "b", "a-", "a.", "aa", "\xc3\xa4", "A", "0"};
    int used = 0;
    for (uint32_t i = 0, depth = 1 + below(4); i < depth; i++) {
        used += sprintf(out + used, "%s%s", i > 0 ? "/" : "", names[below(8)]);
    }
}

/* A path that makes no file a folder. */
static void add_random(struct paths *paths, char text[64])
{
    random_path(text);
    if (model_kind(paths, text) != 0) {
        return;
    }
    for (char *slash = strchr(text, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        int kind = model_kind(paths, text);
        *slash = '/';
        if (kind == 1) {
            return;
        }
    }
    paths->at[paths->count++] = text;
}

/* Every name that the model has is listed, in order, with its kind, and no other. */
static void check_folder(const struct pack_tree *tree, const struct paths list[2],
                         const char *folder)
{
    char name[PACK_NAME_BYTES] = "", path[128], last[PACK_NAME_BYTES] = "";
    uint32_t listed = 0, expected = 0;
    bool is_folder;
    int layer;
    while (pack_next(tree, folder, name, name, &is_folder)) {
        const char *two[2] = {last, name};
        assert_true(by_name(&two[0], &two[1]) < 0);
        memcpy(last, name, sizeof(last));
        snprintf(path, sizeof(path), "%s%s%.64s", folder, folder[0] != 0 ? "/" : "", name);
        assert_int_equal(model_find(list, path, &layer), is_folder ? 2 : 1);
        listed++;
    }
    static const char *const names[] = {"a", "b", "a-", "a.", "aa", "\xc3\xa4", "A", "0"};
    for (uint32_t i = 0; i < 8; i++) {
        snprintf(path, sizeof(path), "%s%s%s", folder, folder[0] != 0 ? "/" : "", names[i]);
        expected += model_find(list, path, &layer) > 0;
    }
    assert_int_equal(listed, expected);
}

static void as_the_model(void **state)
{
    (void)state;
    static char text[2][PATHS_MAX][64];
    for (int round = 0; round < 300; round++) {
        struct paths list[2] = {{.count = 0}, {.count = 0}};
        for (uint32_t i = 0; i < PATHS_MAX; i++) {
            add_random(&list[i % 2], text[i % 2][i]);
        }
        struct skep_files *upper = make(&list[0]), *lower = make(&list[1]);
        struct pack_tree tree = {.layer = {upper, lower}};
        check_folder(&tree, list, "");
        for (int i = 0; i < 200; i++) {
            char path[64];
            int layer = -1;
            random_path(path);
            int kind = model_find(list, path, &layer);
            expect(&tree, path, kind < 0 ? kind : 0, kind == 1 ? layer : -1);
            if (kind == 2) {
                check_folder(&tree, list, path);
            }
        }
        free(upper);
        free(lower);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_pack),
        cmocka_unit_test(upper_hides_lower),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(as_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
