/* points.c - commit points and the crashes that tests arm at them. */
#include "points.h"

#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#include "core.h"
#include "thread.h"

static const char *const names[POINT_COUNT] = {
    [POINT_NONE] = "none",
    [POINT_IMAGE_CREATED] = "image created",
    [POINT_IMAGE_WRITTEN] = "image written",
    [POINT_IMAGE_SEALED] = "image sealed",
    [POINT_IMAGE_FILE_KEPT] = "image's file on the disk",
    [POINT_IMAGE_KEPT] = "image on the disk",
    [POINT_IMAGE_UNKEPT] = "image gone from the disk",
    [POINT_IMAGE_DELETED] = "image destroyed",
    [POINT_TOKENS_KEPT] = "tokens on the disk",
    [POINT_GUEST_FILES] = "guest's files in ring 0",
    [POINT_GUEST_KEPT] = "guest's spec on the disk",
    [POINT_GUEST_PERSISTED] = "new guest retained",
    [POINT_GUEST_CREATED] = "guest created in ring 0",
    [POINT_GUEST_STARTED] = "guest started",
    [POINT_GUEST_LIVE] = "guest changed while it runs",
    [POINT_GUEST_CHANGED] = "guest's changed spec retained",
    [POINT_GUEST_APPLIED] = "guest's changed spec applied",
    [POINT_GUEST_UNKEPT] = "deleted guest gone from the disk",
    [POINT_GUEST_DELETE_PERSISTED] = "guest's deletion retained",
    [POINT_GUEST_GONE] = "deleted guest gone from ring 0",
    [POINT_GUEST_ERASED] = "deleted guest's record erased",
    [POINT_APP_KEPT] = "app's change on the disk",
    [POINT_APP_DONE] = "app's change made",
};

const char *point_name(enum commit_point point)
{
    return point < POINT_COUNT ? names[point] : NULL;
}

#if SKEP_DEBUG
static atomic_int armed;

void point_arm(enum commit_point point)
{
    atomic_store_explicit(&armed, (int)point, memory_order_relaxed);
}

void commit_point(enum commit_point point)
{
    if (atomic_load_explicit(&armed, memory_order_relaxed) == (int)point)
        core_crash(names[point]);
}

static void *die_later(void *argument)
{
    uint64_t ns = (uintptr_t)argument;
    struct timespec delay = {.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};

    nanosleep(&delay, NULL);
    core_crash("whenever it is");
    return NULL;
}

bool point_arm_delay(uint64_t ns)
{
    return thread_start(die_later, (void *)(uintptr_t)ns) == 0;
}
#else
void point_arm(enum commit_point point)
{
    (void)point;
}

bool point_arm_delay(uint64_t ns)
{
    (void)ns;
    return false;
}

void commit_point(enum commit_point point)
{
    (void)point;
}
#endif
