/*
 * service.c - the control service: makes what clients wish come true by hypercalls.
 *
 * Threads: this one accepts connections; each connection has one (server.c); one more follows ring
 * 0's notifications and the deadlines of guests, and one serves volumes (storage.c). The model of guests and images has one lock, which
 * is never held while a client is waited for.
 *
 * Memory is bounded: by the number of connections, by the limits on heads and bodies, by one upload
 * at a time, and by the number of retained records.
 */
#include "service.h"

#include <inttypes.h>
#include <pthread.h>

#include "address.h"
#include "app.h"
#include "certificate.h"
#include "config.h"
#include "core.h"
#include "crashes.h"
#include "events.h"
#include "guest.h"
#include "host.h"
#include "identity.h"
#include "image.h"
#include "log.h"
#include "persist.h"
#include "power.h"
#include "restore.h"
#include "server.h"
#include "storage.h"
#include "tokens.h"
#include "wall.h"

#define NOTIFICATIONS 32
#define GUESTS_A_TURN 16 /* with the model held */
#define NET_WAIT_NS   30000000000ull

/* All guests, when notifications were lost: others get their turn with the model in between. */
static void scan(void)
{
    char name[SKEP_NAME_MAX] = "";
    bool more = true;

    while (more) {
        model_lock();
        more = guest_step_after(name, GUESTS_A_TURN);
        model_unlock();
    }
}

static void apply(const struct skep_notification *list, int count)
{
    bool lost = false, more = true;

    model_lock();
    for (int i = 0; i < count; i++) {
        lost |= list[i].reason == SKEP_NOTIFY_OVERFLOW;
        storage_notify(&list[i]);
        if (list[i].reason != SKEP_NOTIFY_VOLUME && list[i].reason != SKEP_NOTIFY_DISK)
            guest_step_handle(list[i].handle);
    }
    model_unlock();
    wall_step();
    if (lost)
        scan();
    while (more) {
        model_lock();
        more = guest_step_due(GUESTS_A_TURN);
        more |= power_step();
        more |= app_step_due();
        model_unlock();
    }
}

static uint64_t next_deadline(void)
{
    uint64_t guests, power, apps, wall;

    model_lock();
    guests = guest_next_deadline();
    power = power_deadline();
    apps = app_next_deadline();
    model_unlock();
    wall = wall_deadline();
    guests = guests < power ? guests : power;
    guests = guests < apps ? guests : apps;
    return guests < wall ? guests : wall;
}

static void *follow_notifications(void *argument)
{
    struct skep_notification list[NOTIFICATIONS];

    for (;;)
        apply(list, core_notify_wait(list, NOTIFICATIONS, next_deadline()));
    return argument;
}

static bool start_network(struct config *config)
{
    char text[ADDRESS_TEXT_MAX];

    while (!core_net_start(&config->net, config->hostname, core_clock_ns() + NET_WAIT_NS))
        log_line("no address yet: is there a DHCP server? Else give address=A.B.C.D/len");
    address_format_host(text, config->net.address, config->net.netmask);
    log_line("address %s, host name %s", text, config->hostname);
    host_set(config->hostname, &config->net);
    return true;
}

/* What a former service has left. */
static void adopt_guests(const struct skep_host_info *info)
{
    bool safe_mode = info->safe_mode != 0;

    model_lock();
    if (!safe_mode)
        crashes_load();
    guest_adopt_all(safe_mode, info->control_restarts == 0, info->retain_records);
    if (!safe_mode) {
        app_load_all();
        power_resume();
    }
    model_unlock();
}

void service_keep(void)
{
    model_lock();
    if (persist_begin()) {
        identity_keep();
        tokens_keep();
        guest_keep_all();
        app_keep_all();
    }
    model_unlock();
}

int service_run(uint16_t port)
{
    static struct config config;
    static struct tls_identity identity;
    struct tls_server *tls;
    struct skep_host_info info;
    pthread_t follower;
    int listener;

    if (core_host_info(&info) != 0)
        return 1;
    config_read(&config);
    storage_start();
    persist_start(info.safe_mode != 0, info.control_restarts == 0);
    restore_resume(info.control_restarts == 0);
    if (!certificate_get(&identity, &config, info.entropy) || !token_get(&config, info.entropy))
        return 1;
    model_lock();
    tokens_start();
    model_unlock();
    if ((tls = tls_server_new(&identity)) == NULL) {
        log_line("the key and certificate can't be used");
        return 1;
    }
    server_use(tls);
    host_set_cpus(info.cpu_count);
    image_adopt_all();
    image_load_kept();
    adopt_guests(&info);
    events_start();
    events_add(EVENT_HOST, info.control_restarts ? "restarted" : "booted", NULL, NULL,
               "\"restarts\":%" PRIu32 ",\"safe_mode\":%s", info.control_restarts,
               info.safe_mode ? "true" : "false");
    /* Before the network, so that guests which wait for others don't wait for our address. */
    if (pthread_create(&follower, NULL, follow_notifications, NULL) != 0)
        return 1;
    start_network(&config);
    wall_start(&config);
    if (!storage_serve() || (listener = server_listen(port)) < 0)
        return 1;
    log_line("the API is served on port %u", port);
    server_run(listener);
}
