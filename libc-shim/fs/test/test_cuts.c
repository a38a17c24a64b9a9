/*
 * test_cuts.c - power cuts at random moments of random work: what was synced is there, and the tree is whole, whoever
 * replays the journal.
 */
#include "check.h"
#include "model.h"

static uint64_t number(const char *name, uint64_t other)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : other;
}

static unsigned db;
static uint32_t files_checked;

static void check_mounted(bool judge)
{
    mount_db(0);
    files_checked += model_check_durable();
    if (!judge) {
        fs_tree_discard();
        return;
    }
    unmount_db();
    assert_clean(db);
    mount_db(0);
    model_check_durable();
    fs_tree_discard();
}

/* e2fsck replays instead of us, and mends nothing but orphans; what it left is ours to mount. */
static void check_with_e2fsck(void)
{
    int status = run_on_image(db, "/sbin/e2fsck -fy %1$s >%2$s/log 2>&1", true);
    assert_true(status == 0 || status == 1);
    assert_int_equal(
        run_on_image(db, "! grep -q -e 'inconsistent' -e 'UNEXPECTED' %2$s/log", false), 0);
    assert_clean(db);
    check_mounted(false);
}

/* The power goes again while the journal is replayed. */
static void check_cut_twice(uint64_t *state)
{
    disk_log_start(db);
    mount_db(0);
    fs_tree_discard();
    disk_cut(db, 0, disk_log_position(db), random_next(state));
    check_mounted(true);
}

/* A number of steps, and cuts after the last sync among them. */
static void run(uint64_t seed, struct model_options options)
{
    uint64_t state = seed * 1000;
    options.seed = seed;
    db = disk_new("db", 16 << 20, seed % 2 ? 4096 : 512);
    mount_db(FS_MOUNT_FORMAT);
    model_start(&options);
    disk_log_start(db);
    uint32_t synced = 0, steps = 50 + (uint32_t)random_below(&state, 600);
    for (uint32_t i = 0, before = 0; i < steps; i++) {
        model_step();
        if (model_syncs() != before)
            synced = disk_log_position(db);
        before = model_syncs();
    }
    /* A commit that the cuts come in the middle of: nothing of it is promised. */
    uint32_t commit = disk_log_position(db);
    int committed = fs_tree_commit_all();
    assert_true(committed == 0 || (options.space_runs_out && committed == -ENOSPC));
    uint32_t end = disk_log_position(db);
    fs_tree_discard();
    model_abandon_all();
    for (int i = 0; i < 6; i++) {
        disk_cut(db, i % 2 ? synced : commit, end, random_next(&state));
        if (i == 4)
            check_with_e2fsck();
        else if (i == 5)
            check_cut_twice(&state);
        else
            check_mounted(i == 0);
    }
    model_end();
    disk_delete_all();
    test_folder_remove();
    messages_since();
}

static void cuts_leave_what_was_synced(void **state)
{
    uint64_t rounds = number("SKEP_ROUNDS", 16), seed = number("SKEP_SEED", 1);
    for (uint64_t i = 0; i < rounds; i++)
        run(seed + i, (struct model_options){
                          .file_bytes_max = 60000, .write_bytes_max = 12000, .files_max = 150});
    assert_true(files_checked > rounds * 10);
    print_message("%u files were as synced\n", files_checked);
}

static void cuts_in_a_full_volume(void **state)
{
    uint64_t rounds = number("SKEP_ROUNDS", 16) / 2, seed = number("SKEP_SEED", 1001);
    files_checked = 0;
    for (uint64_t i = 0; i < rounds; i++)
        run(seed + i, (struct model_options){.file_bytes_max = 2000000,
                                             .write_bytes_max = 400000,
                                             .files_max = 40,
                                             .space_runs_out = true});
    assert_true(files_checked > 0);
}

/* A file system that was being made when the power went is made again. */
static void cuts_of_a_format(void **state)
{
    uint64_t random = number("SKEP_SEED", 7);
    for (int i = 0; i < 12; i++) {
        db = disk_new("db", 9 << 20, 4096);
        disk_log_start(db);
        mount_db(FS_MOUNT_FORMAT);
        uint32_t end = disk_log_position(db);
        fs_tree_discard();
        disk_cut(db, 0, end, random_next(&random));
        mount_db(FS_MOUNT_FORMAT);
        write_file("/db/a", "a", 1);
        unmount_db();
        assert_clean(db);
        disk_delete_all();
        test_folder_remove();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_leave_what_was_synced),
        cmocka_unit_test(cuts_in_a_full_volume),
        cmocka_unit_test(cuts_of_a_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
