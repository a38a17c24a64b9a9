/* core_hypercall.c - the core as hypercalls, for the service that runs under ring 0. */
#include "core.h"

#include <malloc.h>
#include <stdatomic.h>

#include "skep/control_calls.h"
#include "skep/guest.h"
#include "skep/net.h"
#include "skep/thread.h"
#include "skep_sntp.h"
#include "wall.h"

int64_t core_host_info(struct skep_host_info *out)
{
    return skep_ctl_host_info(out);
}

uint64_t core_own_cpu_ns(void)
{
    const struct skep_start_info *info = skep_start_info();
    uint64_t sum = 0;

    for (uint32_t i = 0; i < info->vcpu_max; i++)
        sum += ((const struct skep_vcpu_page *)(info->vcpu_pages + i * SKEP_PAGE_SIZE))->run_ns;
    return sum;
}

uint64_t core_own_heap_bytes(void)
{
    struct mallinfo heap = mallinfo();

    return (uint64_t)heap.uordblks + (uint64_t)heap.hblkhd;
}

int64_t core_cpu_info(uint32_t cpu, struct skep_cpu_info *out)
{
    return skep_ctl_cpu_info(cpu, out);
}

int64_t core_power(bool reboot)
{
    return skep_ctl_power(reboot);
}

int64_t core_wall_set(uint64_t wall_base_ns)
{
    return skep_ctl_wall_set(wall_base_ns);
}

uint64_t core_clock_ns(void)
{
    return skep_clock_ns();
}

uint64_t core_wall_base_ns(void)
{
    return atomic_load_explicit(&skep_start_info()->wall_ns, memory_order_relaxed);
}

void core_log(const char *line, size_t bytes)
{
    skep_ctl_log_write(line, bytes);
}

int64_t core_boot_read(unsigned what, uint64_t offset, void *data, size_t bytes)
{
    return skep_ctl_boot_read(what, offset, data, bytes);
}

int64_t core_retain_read(unsigned record, void *page)
{
    return skep_ctl_retain_read(record, page);
}

int64_t core_retain_write(unsigned record, const void *page)
{
    return skep_ctl_retain_write(record, page);
}

/* Counts events and kicks; the waiter sleeps while it is what it was before it looked. */
static _Atomic uint32_t notify_count;

static void on_notify(unsigned event, void *argument)
{
    (void)event;
    (void)argument;
    core_notify_kick();
}

void core_notify_kick(void)
{
    atomic_fetch_add_explicit(&notify_count, 1, memory_order_release);
    skep_wake(&notify_count, SKEP_WAKE_ALL);
}

int core_notify_wait(struct skep_notification *list, unsigned count, uint64_t deadline_ns)
{
    static uint32_t handled;
    static bool registered;
    int64_t n;

    if (!registered)
        registered = skep_event_handler(SKEP_EVENT_NOTIFY, on_notify, NULL) == 0;
    n = skep_ctl_notify_read(list, count);
    if (n > 0)
        return (int)n;
    /* Pairs with the release above: an event that came after the read changed the count. */
    if (atomic_load_explicit(&notify_count, memory_order_acquire) == handled)
        skep_wait(&notify_count, handled, deadline_ns);
    handled = atomic_load_explicit(&notify_count, memory_order_acquire);
    n = skep_ctl_notify_read(list, count);
    return n > 0 ? (int)n : 0;
}

int64_t core_image_create(const struct skep_image_spec *spec)
{
    return skep_ctl_image_create(spec);
}

int64_t core_image_write(uint64_t image, uint32_t page, const void *data, size_t bytes)
{
    return skep_ctl_image_write(image, page, data, bytes);
}

int64_t core_image_read(uint64_t image, uint32_t page, void *data, size_t bytes)
{
    return skep_ctl_image_read(image, page, data, bytes);
}

/* Calls that move or free much may come back half done. */
static int64_t again(int64_t (*call)(uint64_t), uint64_t handle)
{
    int64_t result;

    while ((result = call(handle)) == -SKEP_EAGAIN)
        skep_thread_yield();
    return result;
}

int64_t core_image_seal(uint64_t image)
{
    return again(skep_ctl_image_seal, image);
}

int64_t core_image_destroy(uint64_t image)
{
    return again(skep_ctl_image_destroy, image);
}

int64_t core_image_next(uint64_t image, struct skep_image_info *out)
{
    return skep_ctl_image_next(image, out);
}

int64_t core_guest_create(const struct skep_guest_spec *spec)
{
    int64_t result;

    while ((result = skep_ctl_guest_create(spec)) == -SKEP_EAGAIN)
        skep_thread_yield();
    return result;
}

int64_t core_guest_start(uint64_t guest)
{
    return skep_ctl_guest_start(guest);
}

int64_t core_guest_pause(uint64_t guest)
{
    return skep_ctl_guest_pause(guest);
}

int64_t core_guest_stop(uint64_t guest, bool now)
{
    return skep_ctl_guest_stop(guest, now);
}

int64_t core_guest_destroy(uint64_t guest)
{
    return again(skep_ctl_guest_destroy, guest);
}

int64_t core_guest_status(uint64_t guest, struct skep_guest_status *out)
{
    return skep_ctl_guest_status(guest, out, sizeof(*out));
}

int64_t core_guest_status_brief(uint64_t guest, struct skep_guest_status *out)
{
    return skep_ctl_guest_status(guest, out, SKEP_GUEST_BRIEF_BYTES);
}

int64_t core_guest_next(uint64_t guest)
{
    return skep_ctl_guest_next(guest);
}

int64_t core_guest_set(uint64_t guest, const struct skep_guest_change *change)
{
    return skep_ctl_guest_set(guest, change);
}

int64_t core_guest_stats(uint64_t guest, struct skep_stat out[SKEP_STATS_MAX])
{
    return skep_ctl_guest_stats(guest, out);
}

int64_t core_vcpu_status(uint64_t guest, uint32_t index, struct skep_vcpu_status *out)
{
    return skep_ctl_vcpu_status(guest, index, out);
}

int64_t core_trace_read(uint64_t guest, uint32_t cpu, struct skep_trace_record *out, uint32_t count)
{
    return skep_ctl_trace_read(guest, cpu, out, count);
}

int64_t core_console_read(uint64_t guest, uint64_t offset, void *data, size_t bytes)
{
    return skep_ctl_console_read(guest, offset, data, bytes);
}

int64_t core_console_write(uint64_t guest, const void *data, size_t bytes)
{
    return skep_ctl_console_write(guest, data, bytes);
}

int64_t core_disk_info(uint32_t disk, struct skep_disk_info *out)
{
    return skep_hypercall(SKEP_CTL_VOLUME_READ, disk, SKEP_VOLUME_DISK, (uintptr_t)out, 0, 0);
}

int64_t core_volume_open(const struct skep_volume_spec *spec)
{
    return skep_hypercall1(SKEP_CTL_VOLUME_OPEN, (uintptr_t)spec);
}

int64_t core_volume_set(uint64_t volume, enum skep_volume_set what, uint64_t a, uint64_t b,
                        uint64_t c)
{
    return skep_hypercall(SKEP_CTL_VOLUME_SET, volume, what, a, b, c);
}

int64_t core_volume_read(uint64_t volume, enum skep_volume_read what, uint64_t a, uint64_t b,
                         uint64_t c)
{
    return skep_hypercall(SKEP_CTL_VOLUME_READ, volume, what, a, b, c);
}

_Noreturn void core_crash(const char *why)
{
    skep_abort(why);
}

bool core_net_start(struct core_net *net, const char *hostname, uint64_t deadline_ns)
{
    struct skep_net_config config = {.dhcp = net->address == 0,
                                     .address = net->address,
                                     .netmask = net->netmask,
                                     .gateway = net->gateway,
                                     .dns = net->dns,
                                     .hostname = hostname};

    if (skep_net_configure(0, &config) != 0 || skep_net_wait_ready(deadline_ns) != 0 ||
        skep_net_status(0, &config) != 0)
        return false;
    net->address = config.address;
    net->netmask = config.netmask;
    net->gateway = config.gateway;
    net->dns = config.dns;
    net->ntp = config.ntp;
    return skep_ctl_net_set(net->address, net->netmask) == 0;
}

void core_sntp_start(uint32_t server, uint16_t port)
{
    skep_sntp_start(server, port, core_wall_ns, wall_measured);
}
