/*
 * control.c - starting and restarting the control service.
 */
#include "core/control.h"

#include "core/frame.h"
#include "core/guest.h"
#include "core/image.h"
#include "core/log.h"
#include "core/notify.h"
#include "core/string.h"

#define MEMORY_MIN      (14ull << 20) /* its threads, and connections in all places */
#define MEMORY_WANTED   (32ull << 20) /* and a body of 16 MiB */
#define MEMORY_MAX      (64ull << 20)
#define CRASH_WINDOW_NS 60000000000ull
#define CRASHES_MAX     3u

static struct image *image;
static uint64_t memory_bytes;
static uint32_t restarts;
static uint64_t ends_ns[CRASHES_MAX]; /* when it ended last, in turn */
static bool safe_mode;
static const struct boot_info *boot_info;

uint32_t control_restarts(void)
{
    return restarts;
}

bool control_safe_mode(void)
{
    return safe_mode;
}

uint64_t control_boot_bytes(uint64_t which, const char **bytes)
{
    switch (which) {
    case SKEP_BOOT_CMDLINE:
        *bytes = boot_info->cmdline;
        return strlen(*bytes);
    case SKEP_BOOT_MODULE:
        *bytes = boot_info->module;
        return boot_info->module_bytes;
    case SKEP_BOOT_PANIC:
        *bytes = boot_info->panic_log;
        return boot_info->panic_log_bytes;
    default:
        return 0;
    }
}

static void start(void)
{
    int64_t handle = guest_create_control(image, memory_bytes);
    if (handle < 0) {
        panic("the control service could not be created: error %ld", (long)-handle);
    }
    struct guest *guest = guest_find((uint64_t)handle);
    notify_target_set(guest->vcpus[0]);
    CHECK(guest_start(guest) == 0);
    guest_release(guest);
}

void control_init(const struct boot_info *boot)
{
    boot_info = boot;
    image = image_create_control();
}

/* An eighth of the machine; of a small one a quarter, if that isn't more than is wanted. */
static uint64_t promise(void)
{
    uint64_t all = frame_total() * PAGE_SIZE;
    uint64_t bytes = all / 4 < MEMORY_WANTED ? all / 4 : MEMORY_WANTED;
    bytes = bytes < all / 8 ? all / 8 : bytes;
    bytes = bytes < MEMORY_MIN ? MEMORY_MIN : bytes;
    return bytes > MEMORY_MAX ? MEMORY_MAX : page_align_down(bytes);
}

void control_start(void)
{
    memory_bytes = promise();
    start();
}

/* Whether the end now is the third within a minute. */
static bool ends_too_often(void)
{
    uint64_t now = arch_clock_ns();
    ends_ns[restarts % CRASHES_MAX] = now;
    uint64_t first = ends_ns[(restarts + 1) % CRASHES_MAX]; /* of the last three */
    return restarts + 1 >= CRASHES_MAX && now - first < CRASH_WINDOW_NS;
}

void control_restart(void)
{
    /* One more end in the window than it may have: from then on safe mode stays until the next boot. */
    safe_mode |= ends_too_often();
    restarts++;
    log_line("control: started again (%u)%s", restarts, safe_mode ? ", in safe mode" : "");
    start();
}
