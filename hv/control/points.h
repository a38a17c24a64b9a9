/*
 * points.h - commit points: the moments between the steps of a change at which the service's death
 * must leave nothing half made. Debug builds can be told to die at one, or at any moment.
 */
#ifndef CONTROL_POINTS_H
#define CONTROL_POINTS_H

#include <stdbool.h>
#include <stdint.h>

enum commit_point {
    POINT_NONE, /* disarms */
    POINT_IMAGE_CREATED,
    POINT_IMAGE_WRITTEN,
    POINT_IMAGE_SEALED,
    POINT_IMAGE_FILE_KEPT,
    POINT_IMAGE_KEPT,
    POINT_IMAGE_UNKEPT,
    POINT_IMAGE_DELETED,
    POINT_TOKENS_KEPT,
    POINT_GUEST_FILES,
    POINT_GUEST_KEPT,
    POINT_GUEST_PERSISTED,
    POINT_GUEST_CREATED,
    POINT_GUEST_STARTED,
    POINT_GUEST_LIVE,
    POINT_GUEST_CHANGED,
    POINT_GUEST_APPLIED,
    POINT_GUEST_UNKEPT,
    POINT_GUEST_DELETE_PERSISTED,
    POINT_GUEST_GONE,
    POINT_GUEST_ERASED,
    POINT_APP_KEPT,
    POINT_APP_DONE,
    POINT_COUNT
};

const char *point_name(enum commit_point point);

/* Called where the point is. */
void commit_point(enum commit_point point);

/* Arms a crash at the point, or none for POINT_NONE. Does nothing in release builds. */
void point_arm(enum commit_point point);

/* The service crashes after so long, whatever its threads are doing then; false if it can't. */
#define POINT_DELAY_NS_MAX 60000000000ull
bool point_arm_delay(uint64_t ns);

#endif
