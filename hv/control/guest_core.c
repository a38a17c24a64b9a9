/* guest_core.c - ring 0's guests: made of specs, looked at, and found again after the service's restart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crashes.h"
#include "files.h"
#include "guest.h"
#include "image.h"
#include "log.h"
#include "points.h"
#include "spec6.h"
#include "spec_volume.h"
#include "storage.h"
#include "store.h"

#define STACK_BYTES_DEFAULT (256u << 10)
#define CONSOLE_BYTES       (64u << 10)
#define CONSOLE_BYTES_SMALL (16u << 10) /* it counts against the promise */
#define SMALL_MEMORY        (8ull << 20)
#define NET_MTU             1500

/* What a guest's retained record holds, as much of it as its strings need. */
struct guest_record {
    char name[SKEP_NAME_MAX];
    uint32_t deleting, replacing, failures, reserved;
    uint64_t log_base;
    uint64_t files;
    struct spec spec;
};
_Static_assert(sizeof(struct guest_record) <= STORE_BYTES_MAX, "one record");

bool guest_retain(const struct guest *g)
{
    struct guest_record r = {.deleting = g->deleting,
                             .replacing = g->replacing,
                             .failures = g->failures,
                             .log_base = g->log_base,
                             .files = g->files};

    memcpy(r.name, g->name, sizeof(r.name));
    memcpy(&r.spec, g->spec, spec_bytes(g->spec));
    return store_write(g->record, STORE_GUEST, &r,
                       offsetof(struct guest_record, spec) + spec_bytes(g->spec));
}

/*
 * Creation
 */

static void fill_net6(struct skep_net6 *to, const struct spec_net6 *from)
{
    if (!from->automatic && !spec_is_set6(from->address))
        return;
    *to = (struct skep_net6){.flags = SKEP_NET6_ON | (from->automatic ? SKEP_NET6_AUTO : 0),
                             .prefix_bits = from->automatic ? 0 : 64};
    memcpy(to->address, from->address, 16);
    memcpy(to->gateway, from->gateway, 16);
    memcpy(to->dns, from->dns, 16);
}

static void fill_nets(struct skep_guest_spec *to, const struct spec *from)
{
    to->net_count = from->net_count;
    for (uint32_t i = 0; i < from->net_count; i++) {
        const struct spec_net *net = &from->net[i];
        to->net[i] = (struct skep_net){.mtu = NET_MTU,
                                       .flags = net->dhcp ? SKEP_NET_DHCP : 0,
                                       .address = net->address,
                                       .netmask = net->netmask,
                                       .gateway = net->gateway,
                                       .dns = net->dns};
        memcpy(to->net[i].mac, net->mac, 6);
        fill_net6(&to->net6[i], &net->ipv6);
    }
}

/* argv[0] is the image's name, as a program's is its file. The last variable says what to mount. */
static void fill_strings(struct skep_guest_spec *to, const struct spec *from,
                         char strings[SKEP_STRINGS_MAX])
{
    size_t name_bytes = strlen(from->image) + 1, bytes = name_bytes + spec_env_bytes(from);
    size_t mounts;

    memcpy(strings, from->image, name_bytes);
    memcpy(strings + name_bytes, from->strings, bytes - name_bytes);
    mounts = spec_mounts_text(from, strings + bytes, SKEP_STRINGS_MAX - bytes);
    to->argc = from->argc + 1;
    to->envc = from->envc + (mounts != 0);
    to->strings = (uintptr_t)strings;
    to->strings_bytes = (uint32_t)(bytes + mounts);
}

/* Holds the storage lock: no volume is closed until the guest has it. */
static int64_t fill_blocks(struct skep_guest_spec *to, const struct spec *from)
{
    for (uint32_t i = 0; i < from->volume_count; i++) {
        int64_t handle = storage_open(from->volume[i].name);
        if (handle < 0)
            return handle == -SKEP_ENOENT ? -SKEP_ENODEV : handle;
        to->block[i].volume = (uint64_t)handle;
        to->block[i].flags = from->volume[i].read_only ? SKEP_BLOCK_READ_ONLY : 0;
    }
    to->block_count = from->volume_count;
    return 0;
}

static int64_t create_with_volumes(struct skep_guest_spec *spec, const struct spec *from)
{
    int64_t result;

    if (from->volume_count == 0)
        return core_guest_create(spec);
    storage_lock();
    result = fill_blocks(spec, from);
    if (result == 0)
        result = core_guest_create(spec);
    storage_unlock();
    return result;
}

void guest_explain(const struct guest *g, char *text, size_t room)
{
    switch (-g->create_error) {
    case SKEP_ENOMEM:
        snprintf(text, room, "there is not enough memory");
        break;
    case SKEP_ENOSPC:
        snprintf(text, room, "the core has no room for more guests");
        break;
    case SKEP_EEXIST:
    case SKEP_EBUSY:
        snprintf(text, room, "an address%s of it is in use",
                 g->spec->volume_count ? " or a volume" : "");
        break;
    case SKEP_ENOENT:
        snprintf(text, room, "there is no image '%s'", g->spec->image);
        break;
    case SKEP_ENODEV:
        snprintf(text, room, "a volume of it is missing");
        break;
    case SKEP_EIO:
        snprintf(text, room, "a volume of it is offline: its disk is damaged or has failed");
        break;
    default:
        snprintf(text, room, "the core refuses it (error %d)", (int)-g->create_error);
        break;
    }
}

bool guest_explain_wait(const struct guest *g, char *text, size_t room)
{
    if (g->waits_for)
        snprintf(text, room, "it starts after guest '%s', which isn't up", g->waits_for);
    else if (g->create_error)
        guest_explain(g, text, room);
    return g->waits_for || g->create_error;
}

int64_t guest_create_in_core(struct guest *g)
{
    struct skep_guest_spec spec = {.memory_bytes = g->spec->memory_bytes,
                                   .stack_bytes = STACK_BYTES_DEFAULT,
                                   .vcpu_count = g->spec->vcpus,
                                   .vcpu_max = g->spec->max_vcpus,
                                   .weight = g->spec->weight,
                                   .cpu_cap = g->spec->cpu_cap,
                                   .cpu_affinity = g->spec->cpu_affinity,
                                   .console_bytes = g->spec->memory_bytes < SMALL_MEMORY
                                                        ? CONSOLE_BYTES_SMALL
                                                        : CONSOLE_BYTES};
    const struct image *image = image_find(g->spec->image);
    char strings[SKEP_STRINGS_MAX];
    int64_t result = -SKEP_ENOENT;

    if (image) {
        spec.image = image->handle;
        spec.flags = image->stack_reserved ? SKEP_GUEST_STACK_RESERVED : 0;
        spec.files = g->files;
        if (image->stack_bytes)
            spec.stack_bytes = (image->stack_bytes + SKEP_PAGE_SIZE - 1) & ~(SKEP_PAGE_SIZE - 1ull);
        memcpy(spec.name, g->name, sizeof(spec.name));
        fill_nets(&spec, g->spec);
        fill_strings(&spec, g->spec, strings);
        result = create_with_volumes(&spec, g->spec);
    }
    g->create_error = result < 0 ? result : 0;
    if (result < 0) {
        char why[160];
        guest_explain(g, why, sizeof(why));
        log_line("guest '%s' is not created: %s", g->name, why);
        return result;
    }
    guest_set_handle(g, (uint64_t)result);
    g->starts++;
    guest_drop_files(g, 0);
    g->view = (struct guest_view){.state = SKEP_GUEST_CREATED};
    g->just_changed = true;
    g->create_tries = 0;
    g->force_at = 0;
    commit_point(POINT_GUEST_CREATED);
    return 0;
}

/* At most one former image is in use: ring 0 has one guest of a name at a time. */
void guest_drop_files(struct guest *g, uint64_t image)
{
    if (!files_destroy(image))
        g->old_files = image;
    else if (g->old_files && files_destroy(g->old_files))
        g->old_files = 0;
}

/*
 * A look
 */

/* Whoever sees the state sees the record of the crash, so both change here. */
static void note_end(struct guest *g, const struct skep_guest_status *status)
{
    if (g->crash_handle == g->handle || g->view.killed ||
        (status->state != SKEP_GUEST_CRASHED && status->state != SKEP_GUEST_EXITED))
        return;
    g->crash_handle = g->handle;
    g->end = (struct guest_end){.reason = status->crash.reason, .exit_code = status->exit_code};
    if (status->state == SKEP_GUEST_CRASHED)
        g->crash = crashes_add(g->name, g->handle, g->log_base, status);
}

static struct skep_guest_status latest; /* guarded by the model's lock */

/* Whoever looked first found that it is gone: what follows from it must not wait for its notification. */
static void note_gone(struct guest *g)
{
    guest_set_handle(g, 0);
    memset(&g->view, 0, sizeof(g->view));
    guest_schedule(g, 1);
}

static void note_brief(struct guest *g)
{
    g->view.state = latest.state;
    g->view.exit_code = latest.exit_code;
    g->view.vcpus_on = latest.vcpus_on;
    g->view.started_ns = latest.started_ns;
    g->view.ended_ns = latest.ended_ns;
    g->view.memory_promised = latest.memory_promised;
    g->view.console_first = latest.console_first;
    g->view.console_end = latest.console_end;
}

const struct skep_guest_status *guest_refresh(struct guest *g)
{
    if (!g->handle)
        return NULL;
    if (core_guest_status(g->handle, &latest) != 0) {
        note_gone(g);
        return NULL;
    }
    note_brief(g);
    g->view.killed = latest.crash.reason == SKEP_CRASH_KILLED;
    g->view.memory_committed = latest.memory_committed;
    note_end(g, &latest);
    return &latest;
}

const struct skep_guest_status *guest_glance(struct guest *g)
{
    if (!g->handle)
        return NULL;
    if (core_guest_status_brief(g->handle, &latest) != 0) {
        note_gone(g);
        return NULL;
    }
    if (latest.state >= SKEP_GUEST_EXITED)
        return guest_refresh(g); /* which has to be the one that notes the end */
    note_brief(g);
    return &latest;
}

/*
 * Adoption
 */

static void load_record(unsigned record)
{
    struct guest_record r;
    struct problem p;
    struct guest *g;
    size_t bytes = store_read(record, STORE_GUEST, &r, sizeof(r));

    if (bytes < offsetof(struct guest_record, spec) ||
        !spec_is_whole(&r.spec, bytes - offsetof(struct guest_record, spec)))
        return;
    r.name[SKEP_NAME_MAX - 1] = '\0';
    if (!name_valid(r.name) || guest_find(r.name) || !(g = guest_add(r.name, &r.spec, record, &p)))
        return;
    g->deleting = r.deleting;
    g->replacing = r.replacing;
    g->failures = r.failures;
    g->log_base = r.log_base;
    g->files = r.files;
}

/* What a service that died has left: images of files that no guest's record names. */
static void drop_other_files(void)
{
    struct skep_image_info info;
    uint64_t last = 0;
    int64_t handle;

    while ((handle = core_image_next(last, &info)) > 0) {
        struct guest *g;
        info.spec.name[SKEP_NAME_MAX - 1] = '\0';
        g = guest_find(info.spec.name);
        last = (uint64_t)handle;
        if (!files_is_image(&info) || (g && g->files == last) || files_destroy(last))
            continue;
        if (g)
            g->old_files = last;
        else
            log_line("files of a guest '%s' that is not known are in use", info.spec.name);
    }
}

/* A spec for a guest of which only ring 0 knows. Its arguments and addresses are lost; they are
 * needed no more unless it is started anew. */
static void guess_spec(struct spec *spec, const struct skep_guest_status *status)
{
    cJSON *nothing = cJSON_CreateObject();
    struct problem p;

    cJSON_AddStringToObject(nothing, "image", image_name(status->image));
    if (spec_from_json(spec, nothing, status->name, &p) != 0)
        snprintf(spec->image, sizeof(spec->image), "%s", image_name(status->image));
    cJSON_Delete(nothing);
    spec->memory_bytes = status->memory_promised;
    spec->vcpus = status->vcpu_count;
    spec->max_vcpus = status->vcpu_max > status->vcpu_count ? status->vcpu_max : status->vcpu_count;
    spec->weight = status->weight ? status->weight : SPEC_WEIGHT_DEFAULT;
    spec->cpu_cap = status->cpu_cap;
    spec->cpu_affinity = status->cpu_affinity;
    spec->desired = status->state == SKEP_GUEST_RUNNING  ? SPEC_RUNNING
                    : status->state == SKEP_GUEST_PAUSED ? SPEC_PAUSED
                                                         : SPEC_STOPPED;
}

static void adopt(uint64_t handle)
{
    struct skep_guest_status status;
    struct guest *g;
    struct spec spec;
    struct problem p;

    if (core_guest_status(handle, &status) != 0)
        return;
    status.name[SKEP_NAME_MAX - 1] = '\0';
    g = guest_find(status.name);
    if (!g) {
        guess_spec(&spec, &status);
        g = name_valid(status.name) ? guest_add(status.name, &spec, 0, &p) : NULL;
        if (!g || !guest_retain(g))
            return;
        log_line("guest '%s' is adopted from ring 0; its full spec is not known", g->name);
    }
    guest_set_handle(g, handle);
    g->crash = crashes_find(handle);
    g->crash_handle = g->crash ? handle : 0;
    guest_refresh(g);
    guest_reconcile(g, &status);
}

static void read_records(unsigned record_count, bool erase)
{
    for (unsigned i = STORE_GUEST_FIRST; i < record_count; i++) {
        if (erase)
            core_retain_write(i, NULL);
        else
            load_record(i);
    }
}

void guest_adopt_all(bool safe_mode, bool first_start, unsigned record_count)
{
    char name[SKEP_NAME_MAX] = "";
    int64_t handle = 0;

    guest_table_init(record_count);
    if (!first_start)
        read_records(record_count, safe_mode);
    guest_load_kept();
    while ((handle = core_guest_next((uint64_t)handle)) > 0)
        adopt((uint64_t)handle);
    drop_other_files();
    if (!first_start && !safe_mode)
        guest_keep_all();
    while (guest_step_after(name, UINT32_MAX) || guest_step_due(UINT32_MAX))
        continue;
    log_line("%u guests known after the start%s", guest_count(), safe_mode ? ", in safe mode" : "");
}
