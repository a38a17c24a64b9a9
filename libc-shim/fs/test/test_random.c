/*
 * test_random.c - thousands of random operations, done to a volume and to a model in memory, which must not differ: while
 * it is mounted, after it was mounted again, and in e2fsck's opinion.
 */
#include "check.h"
#include "model.h"

static uint64_t number(const char *name, uint64_t other)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : other;
}

static void run(uint64_t seed, uint64_t disk_size, uint32_t unit, uint32_t steps,
                struct model_options options)
{
    unsigned db = disk_new("db", disk_size, unit);
    mount_db(FS_MOUNT_FORMAT);
    options.seed = seed;
    model_start(&options);
    for (uint32_t i = 1; i <= steps; i++) {
        model_step();
        if (i % 400 == 0)
            model_compare();
        if (i % 900 == 0) {
            model_close_all();
            unmount_db();
            assert_clean(db);
            mount_db(0);
            model_compare();
        }
    }
    model_close_all();
    model_compare();
    unmount_db();
    assert_clean(db);
    model_end();
    disk_delete_all();
    test_folder_remove();
}

static void small_files(void **state)
{
    for (uint64_t i = 0; i < 3; i++)
        run(number("SKEP_SEED", 1) + i, 64 << 20, i % 2 ? 4096 : 512,
            (uint32_t)number("SKEP_STEPS", 2000),
            (struct model_options){
                .file_bytes_max = 100000, .write_bytes_max = 20000, .files_max = 200});
}

static void large_files(void **state)
{
    run(number("SKEP_SEED", 11), 128 << 20, 4096, (uint32_t)number("SKEP_STEPS", 1000),
        (struct model_options){
            .file_bytes_max = 6000000, .write_bytes_max = 1500000, .files_max = 12});
}

static void a_full_volume(void **state)
{
    for (uint64_t i = 0; i < 2; i++)
        run(number("SKEP_SEED", 21) + i, 12 << 20, 4096, (uint32_t)number("SKEP_STEPS", 2000),
            (struct model_options){.file_bytes_max = 1000000,
                                   .write_bytes_max = 300000,
                                   .files_max = 60,
                                   .space_runs_out = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_files),
        cmocka_unit_test(large_files),
        cmocka_unit_test(a_full_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
