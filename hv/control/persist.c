/* persist.c - the store on the disk as the service uses it, and how that is told. */
#include "persist.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "core.h"
#include "events.h"
#include "json.h"
#include "log.h"
#include "region.h"
#include "skep/abi.h"
#include "state.h"

/* An empty value, since the first start of a machine with this disk. */
#define BEGAN "began"

enum { NONE, READY, DAMAGED, FULL };

static _Atomic int condition;
static _Atomic bool is_open;
static bool is_safe_mode; /* set at the start only */
static bool is_read_only; /* set when the store is opened */

static const char *const condition_names[] = {"none", "ready", "damaged", "full"};

static int get_condition(void)
{
    return atomic_load_explicit(&condition, memory_order_relaxed);
}

static void set_condition(int to)
{
    bool changes = get_condition() != to;

    atomic_store_explicit(&condition, to, memory_order_relaxed);
    if (changes)
        events_add(EVENT_HOST, "storage", NULL, audit_caller(), "\"state\":\"%s\"",
                   condition_names[to]);
}

/* The condition comes last: whoever sees that there is a disk may go on to the store. */
static void open_store(struct bdev *region)
{
    int result = state_open(region, true);
    uint64_t bytes, used;

    if (result != 0) {
        log_line("storage: what disk %s holds can't be read (error %d): nothing can be changed",
                 system_disk_id(), -result);
        set_condition(DAMAGED);
        return;
    }
    is_read_only = !system_is_writable();
    is_open = true;
    set_condition(is_read_only ? DAMAGED : READY);
    if (is_read_only)
        log_line("storage: disk %s is damaged: what it holds is read, and nothing can be changed",
                 system_disk_id());
    else
        audit_start();
    state_usage(&bytes, &used);
    log_line("storage: disk %s, %" PRIu64 " of %" PRIu64 " bytes used", system_disk_id(), used,
             bytes);
}

void persist_start(bool safe_mode, bool first_start)
{
    struct bdev *region = system_region();
    struct problem ignored;

    is_open = false;
    is_safe_mode = safe_mode;
    set_condition(region ? DAMAGED : NONE);
    if (!region) {
        log_line("storage: no disk: nothing is kept over a reboot");
        return;
    }
    if (safe_mode) {
        log_line("storage: left alone in safe mode: nothing can be changed until a reboot");
        return;
    }
    open_store(region);
    if (is_open && first_start)
        persist_update(BEGAN, "", 0, &ignored);
}

bool persist_begin(void)
{
    struct bdev *region = persist_has_disk() ? NULL : system_region();

    if (region)
        open_store(region);
    return region && is_open;
}

void persist_stop(void)
{
    audit_stop();
    state_close();
    is_open = false;
    set_condition(NONE);
}

bool persist_has_disk(void)
{
    return get_condition() != NONE;
}

bool persist_is_open(void)
{
    return is_open;
}

bool persist_is_complete(void)
{
    return is_open && state_get(BEGAN, NULL, 0) == 0;
}

static int refuse(int result, struct problem *p)
{
    if (result == -SKEP_ENOMEM)
        return problem_set(p, 503, "There is no memory for the request now; try again.");
    if (result == -SKEP_ENOSPC)
        return problem_set(p, 507,
                           "The disk's part for Skep's own state is full, so nothing was changed: "
                           "delete images or guests first.");
    if (is_safe_mode)
        return problem_set(p, 507,
                           "Nothing is written to the disk in safe mode, so nothing was changed: "
                           "reboot the machine.");
    return problem_set(p, 507,
                       "Skep's own state can't be written to the disk, so nothing was changed: "
                       "look at the console and the disk, then reboot.");
}

/* Notes what a write has told of the disk. */
static int note(int result, const char *name, struct problem *p)
{
    int before = get_condition();

    if (result == 0) {
        if (before == FULL)
            set_condition(READY);
        return 0;
    }
    if (result == -SKEP_ENOSPC)
        set_condition(FULL);
    else if (result != -SKEP_ENOMEM)
        set_condition(DAMAGED);
    if (get_condition() != before)
        log_line("storage: '%s' can't be written (error %d)", name, -result);
    return refuse(result, p);
}

int persist_put(const char *name, const void *data, size_t bytes, struct problem *p)
{
    if (!persist_has_disk())
        return 0;
    if (!is_open || is_read_only)
        return refuse(-SKEP_EIO, p);
    return note(audit_put(name, data, bytes), name, p);
}

int persist_delete(const char *name, struct problem *p)
{
    int result;

    if (!persist_has_disk())
        return 0;
    if (!is_open || is_read_only)
        return refuse(-SKEP_EIO, p);
    result = audit_delete(name);
    return note(result == -SKEP_ENOENT ? 0 : result, name, p);
}

int persist_update(const char *name, const void *data, size_t bytes, struct problem *p)
{
    void *there = is_open ? malloc(bytes + 1) : NULL;
    bool same =
        there && state_get(name, there, bytes) == (int64_t)bytes && memcmp(there, data, bytes) == 0;

    free(there);
    return same ? 0 : persist_put(name, data, bytes, p);
}

int64_t persist_get(const char *name, void *data, size_t room)
{
    int64_t n = is_open ? state_get(name, data, room) : -SKEP_ENOENT;

    if (n < 0 && n != -SKEP_ENOENT)
        log_line("storage: '%s' can't be read (error %d)", name, (int)-n);
    return n;
}

char *persist_list(const char *prefix)
{
    char *names = NULL;
    int result = is_open ? state_list(prefix, &names) : 0;

    if (result != 0)
        log_line("storage: '%s' can't be listed (error %d)", prefix, -result);
    return names;
}

const char *persist_state_name(void)
{
    return condition_names[get_condition()];
}

/* Of all disks: it is told here, too, since disks themselves are shown only when no change waits for one. */
static uint32_t longest_silence(void)
{
    struct skep_disk_info info;
    uint32_t longest = 0;

    for (uint32_t i = 0; core_disk_info(i, &info) == 0; i++)
        longest = info.silent_s > longest ? info.silent_s : longest;
    return longest;
}

cJSON *persist_to_json(void)
{
    cJSON *json = cJSON_CreateObject();
    uint64_t bytes, used;

    state_usage(&bytes, &used);
    cJSON_AddStringToObject(json, "state", persist_state_name());
    if (!persist_has_disk())
        cJSON_AddNullToObject(json, "disk");
    else
        cJSON_AddStringToObject(json, "disk", system_disk_id());
    json_add_integer(json, "bytes", bytes);
    json_add_integer(json, "used_bytes", used);
    cJSON_AddNumberToObject(json, "silent_seconds", longest_silence());
    return json;
}
