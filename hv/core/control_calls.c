/*
 * control_calls.c - the hypercalls of the control service. It is part of the hypervisor but not of its trusted core:
 * what it passes is checked as a guest's is.
 */
#include "core/control.h"
#include "core/cpu.h"
#include "core/frame.h"
#include "core/gmem.h"
#include "core/guest.h"
#include "core/image.h"
#include "core/log.h"
#include "core/notify.h"
#include "core/random.h"
#include "core/retain.h"
#include "core/sched.h"
#include "core/string.h"
#include "core/trace.h"
#include "core/wall.h"
#include "io/io.h"
#include "io/volume.h"

#define CHUNK       256u
#define READ_MAX    4096u
#define NOTIFY_MAX  16u
#define TRACE_CHUNK 16u

/* Large structures of control calls are built here, not on the small stack. Only the control service's calls use it,
 * one at a time. */
static struct spinlock scratch_lock = {.kind = LOCK_SCRATCH};
static union {
    struct skep_host_info host;
    struct skep_image_spec image_spec;
    struct skep_image_info image_info;
    struct skep_guest_spec guest_spec;
    struct skep_guest_status status;
    struct skep_guest_change change;
    struct skep_vcpu_status vcpu_status;
    struct skep_stat stats[SKEP_STATS_MAX];
} scratch;

static uint64_t to_bytes(uint64_t frames)
{
    return frames << SKEP_PAGE_SHIFT;
}

static void host_info_fill(struct skep_host_info *info)
{
    memset(info, 0, sizeof(*info));
    arch_host_info(info);
    uint64_t now = arch_clock_ns();
    string_copy(info->version, SKEP_VERSION, sizeof(info->version));
    info->clock_ns = now;
    info->wall_ns = wall_ns() ? wall_ns() + now : 0;
    frame_counts(info->frames);
    info->memory_total = to_bytes(frame_total());
    info->memory_free = to_bytes(info->frames[SKEP_FRAME_FREE]);
    info->memory_used = info->memory_total - info->memory_free;
    info->memory_promised = to_bytes(promise_taken());
    info->memory_promisable = to_bytes(promise_limit());
    info->cpu_count = cpu_count();
    info->guest_count = guest_count() - 1;
    info->image_count = image_count();
    info->control_restarts = control_restarts();
    info->safe_mode = control_safe_mode();
    info->retain_records = retain_capacity();
    info->entropy = random_is_real();
}

static int64_t host_info(struct guest *caller, gva_t to)
{
    host_info_fill(&scratch.host);
    return gmem_copy_out(caller, to, &scratch.host, sizeof(scratch.host));
}

static int64_t cpu_info(struct guest *caller, uint64_t index, gva_t to)
{
    if (index >= cpu_count()) {
        return -SKEP_EINVAL;
    }
    struct cpu *cpu = cpu_at((uint32_t)index);
    struct skep_cpu_info info = {
        .traps = cpu->traps,
        .hypercalls = cpu->hypercalls,
        .switches = cpu->switches,
        .ipis = cpu->ipis,
    };
    sched_cpu_times(cpu, &info.idle_ns, &info.guest_ns, &info.core_ns);
    return gmem_copy_out(caller, to, &info, sizeof(info));
}

static int64_t log_write(struct guest *caller, gva_t from, uint64_t bytes)
{
    char text[CHUNK];
    uint64_t length = bytes < sizeof(text) - 1 ? bytes : sizeof(text) - 1;
    int error = gmem_copy_in(caller, text, from, length);
    if (error) {
        return error;
    }
    text[length] = 0;
    log_line("control: %s", text);
    return 0;
}

static int64_t boot_read(struct guest *caller, uint64_t which, uint64_t offset, gva_t to,
                         uint64_t bytes)
{
    const char *source;
    uint64_t total = control_boot_bytes(which, &source);
    if (offset >= total) {
        return 0;
    }
    uint64_t part = total - offset < bytes ? total - offset : bytes;
    part = part < READ_MAX ? part : READ_MAX;
    int error = gmem_copy_out(caller, to, source + offset, part);
    return error ? error : (int64_t)part;
}

static int64_t notify_read(struct guest *caller, gva_t to, uint64_t count)
{
    struct skep_notification entries[NOTIFY_MAX];
    uint32_t capacity = count < NOTIFY_MAX ? (uint32_t)count : NOTIFY_MAX;
    uint32_t taken = notify_take(entries, capacity);
    int error = gmem_copy_out(caller, to, entries, taken * sizeof(entries[0]));
    return error ? error : (int64_t)taken;
}

static int64_t image_create_call(struct guest *caller, gva_t from)
{
    int error = gmem_copy_in(caller, &scratch.image_spec, from, sizeof(scratch.image_spec));
    return error ? error : image_create(&scratch.image_spec);
}

static int64_t image_next_call(struct guest *caller, uint64_t handle, gva_t to)
{
    uint64_t next = image_next(handle, &scratch.image_info);
    if (!next) {
        return 0;
    }
    int error = gmem_copy_out(caller, to, &scratch.image_info, sizeof(scratch.image_info));
    return error ? error : (int64_t)next;
}

static int64_t guest_create_call(struct guest *caller, gva_t from)
{
    int error = gmem_copy_in(caller, &scratch.guest_spec, from, sizeof(scratch.guest_spec));
    return error ? error : guest_create(caller, &scratch.guest_spec);
}

static int64_t guest_status_call(struct guest *caller, struct guest *guest, gva_t to,
                                 uint64_t bytes)
{
    if (bytes == SKEP_GUEST_BRIEF_BYTES) {
        guest_status_brief(guest, &scratch.status);
    } else if (bytes == sizeof(scratch.status)) {
        guest_status(guest, &scratch.status);
    } else {
        return -SKEP_EINVAL;
    }
    return gmem_copy_out(caller, to, &scratch.status, bytes);
}

static int64_t console_read_call(struct guest *caller, struct guest *guest, const uint64_t *a)
{
    char chunk[CHUNK];
    uint64_t done = 0;
    uint64_t bytes = a[3] < READ_MAX ? a[3] : READ_MAX;
    while (done < bytes) {
        uint32_t part = bytes - done < sizeof(chunk) ? (uint32_t)(bytes - done) : sizeof(chunk);
        int got = console_read(&guest->console, a[1] + done, chunk, part);
        if (got <= 0) {
            return done ? (int64_t)done : got;
        }
        int error = gmem_copy_out(caller, gva(a[2] + done), chunk, (size_t)got);
        if (error) {
            return error;
        }
        done += (uint32_t)got;
    }
    return (int64_t)done;
}

static int64_t console_write_call(struct guest *caller, struct guest *guest, gva_t from,
                                  uint64_t bytes)
{
    char chunk[CHUNK];
    uint32_t part = bytes < sizeof(chunk) ? (uint32_t)bytes : sizeof(chunk);
    int error = gmem_copy_in(caller, chunk, from, part);
    return error ? error : guest_input(guest, chunk, part);
}

static int64_t trace_read_call(struct guest *caller, const struct guest *guest, const uint64_t *a)
{
    struct skep_trace_record records[TRACE_CHUNK];
    uint64_t next = 0, done = 0;
    uint64_t count = a[3] < SKEP_TRACE_CPU_MAX ? a[3] : SKEP_TRACE_CPU_MAX;
    if (a[1] >= cpu_count()) {
        return -SKEP_EINVAL;
    }
    while (done < count) {
        uint32_t part = count - done < TRACE_CHUNK ? (uint32_t)(count - done) : TRACE_CHUNK;
        uint32_t got = trace_read(guest, (uint32_t)a[1], &next, records, part);
        int error = gmem_copy_out(caller, gva(a[2] + done * sizeof(records[0])), records,
                                  got * sizeof(records[0]));
        if (error) {
            return error;
        }
        done += got;
        if (!got) {
            break;
        }
    }
    return (int64_t)done;
}

static int64_t guest_stop_call(struct guest *guest, uint64_t now)
{
    if (!now) {
        return guest_shutdown(guest);
    }
    guest_kill(guest);
    return 0;
}

static int64_t guest_destroy_call(struct guest *guest)
{
    guest_destroy(guest);
    return 0;
}

static int64_t guest_set_call(struct guest *caller, struct guest *guest, gva_t from)
{
    int error = gmem_copy_in(caller, &scratch.change, from, sizeof(scratch.change));
    return error ? error : guest_change(guest, &scratch.change);
}

static int64_t stats_call(struct guest *caller, struct guest *guest, gva_t to)
{
    int error = guest_stats(guest, scratch.stats);
    return error ? error : gmem_copy_out(caller, to, scratch.stats, sizeof(scratch.stats));
}

static int64_t vcpu_status_call(struct guest *caller, struct guest *guest, uint64_t index, gva_t to)
{
    if (index == SKEP_VCPU_STATS) {
        return stats_call(caller, guest, to);
    }
    int error = guest_vcpu_status(guest, index, &scratch.vcpu_status);
    return error ? error
                 : gmem_copy_out(caller, to, &scratch.vcpu_status, sizeof(scratch.vcpu_status));
}

/* Calls about one guest, which is referenced meanwhile. */
static int64_t guest_call(struct guest *caller, uint64_t number, const uint64_t *a)
{
    struct guest *guest = guest_find(a[0]);
    int64_t result = -SKEP_ENOENT;
    if (!guest) {
        return result;
    }
    if (!guest->is_control) {
        switch (number) {
        case SKEP_CTL_GUEST_START:
            result = guest_start(guest);
            break;
        case SKEP_CTL_GUEST_PAUSE:
            result = guest_pause(guest);
            break;
        case SKEP_CTL_GUEST_STOP:
            result = guest_stop_call(guest, a[1]);
            break;
        case SKEP_CTL_GUEST_DESTROY:
            result = guest_destroy_call(guest);
            break;
        case SKEP_CTL_GUEST_STATUS:
            result = guest_status_call(caller, guest, gva(a[1]), a[2]);
            break;
        case SKEP_CTL_CONSOLE_READ:
            result = console_read_call(caller, guest, a);
            break;
        case SKEP_CTL_CONSOLE_WRITE:
            result = console_write_call(caller, guest, gva(a[1]), a[2]);
            break;
        case SKEP_CTL_TRACE_READ:
            result = trace_read_call(caller, guest, a);
            break;
        case SKEP_CTL_GUEST_SET:
            result = guest_set_call(caller, guest, gva(a[1]));
            break;
        case SKEP_CTL_VCPU_STATUS:
            result = vcpu_status_call(caller, guest, a[1], gva(a[2]));
            break;
        default:
            result = -SKEP_ENOSYS;
            break;
        }
    }
    guest_release(guest);
    return result;
}

static int64_t host_set(uint64_t what, uint64_t first, uint64_t second)
{
    switch (what) {
    case SKEP_HOST_NET:
        io_control_address_set((uint32_t)first, (uint32_t)second);
        return 0;
    case SKEP_HOST_WALL:
        wall_set(first);
        return 0;
    default:
        return -SKEP_EINVAL;
    }
}

static int64_t power(uint64_t how)
{
    if (how > 1) {
        return -SKEP_EINVAL;
    }
    log_line("%s", how ? "rebooting" : "powering off");
    log_buffer(false);
    if (how) {
        arch_reboot();
    }
    arch_power_off();
}

static int64_t dispatch(struct guest *caller, uint64_t number, const uint64_t *a)
{
    switch (number) {
    case SKEP_CTL_HOST_INFO:
        return host_info(caller, gva(a[0]));
    case SKEP_CTL_CPU_INFO:
        return cpu_info(caller, a[0], gva(a[1]));
    case SKEP_CTL_LOG_WRITE:
        return log_write(caller, gva(a[0]), a[1]);
    case SKEP_CTL_BOOT_READ:
        return boot_read(caller, a[0], a[1], gva(a[2]), a[3]);
    case SKEP_CTL_RETAIN_READ:
        return a[0] > UINT32_MAX ? -SKEP_EINVAL : retain_read(caller, (uint32_t)a[0], gva(a[1]));
    case SKEP_CTL_RETAIN_WRITE:
        return a[0] > UINT32_MAX ? -SKEP_EINVAL : retain_write(caller, (uint32_t)a[0], gva(a[1]));
    case SKEP_CTL_NOTIFY_READ:
        return notify_read(caller, gva(a[0]), a[1]);
    case SKEP_CTL_IMAGE_CREATE:
        return image_create_call(caller, gva(a[0]));
    case SKEP_CTL_IMAGE_WRITE:
        return a[1] > UINT32_MAX ? -SKEP_EINVAL
                                 : image_write(caller, a[0], (uint32_t)a[1], gva(a[2]), a[3]);
    case SKEP_CTL_IMAGE_READ:
        return a[1] > UINT32_MAX ? -SKEP_EINVAL
                                 : image_read(caller, a[0], (uint32_t)a[1], gva(a[2]), a[3]);
    case SKEP_CTL_IMAGE_SEAL:
        return image_seal(a[0]);
    case SKEP_CTL_IMAGE_DESTROY:
        return image_destroy(a[0]);
    case SKEP_CTL_IMAGE_NEXT:
        return image_next_call(caller, a[0], gva(a[1]));
    case SKEP_CTL_GUEST_CREATE:
        return guest_create_call(caller, gva(a[0]));
    case SKEP_CTL_GUEST_NEXT:
        return (int64_t)guest_next(a[0]);
    case SKEP_CTL_HOST_SET:
        return host_set(a[0], a[1], a[2]);
    case SKEP_CTL_POWER:
        return power(a[0]);
    case SKEP_CTL_VOLUME_OPEN:
        return volume_open_call(caller, gva(a[0]));
    case SKEP_CTL_VOLUME_SET:
        return volume_set_call(caller, a);
    case SKEP_CTL_VOLUME_READ:
        return volume_read_call(caller, a);
    default:
        return number < SKEP_CTL_END ? guest_call(caller, number, a) : -SKEP_ENOSYS;
    }
}

int64_t control_call(struct vcpu *vcpu, uint64_t number, const uint64_t arguments[5], bool *again)
{
    spin_lock(&scratch_lock);
    int64_t result = dispatch(vcpu->guest, number, arguments);
    spin_unlock(&scratch_lock);
    *again = result == -SKEP_EAGAIN; /* part is done, and the object knows how far it is */
    return result;
}
