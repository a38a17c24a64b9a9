/*
 * test_lock.c - debug builds catch a lock that is taken out of order.
 */
#include "test.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cpu.h"
#include "core/lock.h"

/* Takes two locks in a process of its own; how that ended, and what it said. */
static int taken(enum lock_kind first, enum lock_kind second, char said[200])
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (!child) {
        struct spinlock outer = {.kind = first}, inner = {.kind = second};
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL); /* cmocka's handler would go on with its tests */
        spin_lock(&outer);
        spin_lock(&inner);
        spin_unlock(&inner);
        spin_unlock(&outer);
        _exit(fake_cpu->locks_held ? 1 : 0);
    }
    close(ends[1]);
    ssize_t bytes = read(ends[0], said, 199);
    said[bytes > 0 ? bytes : 0] = 0;
    close(ends[0]);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void order_is_kept_to(void **state)
{
    (void)state;
    char said[200];
    assert_int_equal(taken(LOCK_GUEST, LOCK_SCHED, said), 0);
    assert_string_equal(said, "");
    assert_int_equal(taken(LOCK_SCRATCH, LOCK_CLOCK, said), 0);
}

static void wrong_order_panics_with_both_names(void **state)
{
    (void)state;
    char said[200];
    assert_true(WIFSIGNALED(taken(LOCK_SCHED, LOCK_GUEST, said)));
    assert_non_null(strstr(said, "panic: guest.lock is taken out of order, after sched_lock\n"));
}

static void two_of_one_kind_panic(void **state)
{
    (void)state;
    char said[200];
    assert_true(WIFSIGNALED(taken(LOCK_GUEST, LOCK_GUEST, said)));
    assert_non_null(strstr(said, "panic: guest.lock is taken out of order, after guest.lock\n"));
}

static void lock_of_no_kind_panics(void **state)
{
    (void)state;
    char said[200];
    assert_true(WIFSIGNALED(taken(LOCK_NONE, LOCK_GUEST, said)));
    assert_non_null(strstr(said, "panic: a lock of no kind"));
}

static void each_cpu_has_its_own_order(void **state)
{
    (void)state;
    struct spinlock inner = {.kind = LOCK_SCHED}, outer = {.kind = LOCK_GUEST};
    fake_cpu_set(1);
    spin_lock(&inner);
    fake_cpu_set(0);
    spin_lock(&outer);
    spin_unlock(&outer);
    fake_cpu_set(1);
    spin_unlock(&inner);
    assert_int_equal(fake_cpu->locks_held, 0);
    fake_cpu_set(0);
}

int main(void)
{
    fake_boot(64ull << 20, 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_kept_to),
        cmocka_unit_test(wrong_order_panics_with_both_names),
        cmocka_unit_test(two_of_one_kind_panic),
        cmocka_unit_test(lock_of_no_kind_panics),
        cmocka_unit_test(each_cpu_has_its_own_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
