/* power.c - reboot and shutdown. */
#include "power.h"

#include <stdatomic.h>
#include <string.h>

#include "audit.h"
#include "core.h"
#include "events.h"
#include "guest.h"
#include "log.h"
#include "store.h"

#define MS         1000000ull
#define LOOK_NS    (50 * MS)  /* between looks at whether all have ended */
#define ANSWER_NS  (300 * MS) /* for the answers that are on their way */
#define STEP_COUNT 16u        /* guests looked at in one go */

enum { POWER_ON, POWER_OFF, POWER_REBOOT };

struct power_record {
    uint64_t action, grace_ns;
};

static _Atomic uint32_t action; /* one of the above */
static uint64_t begin_ns, look_at;
static bool running; /* of those seen in this round, one hasn't ended */
static char at[SKEP_NAME_MAX];

const char *power_name(void)
{
    static const char *const names[] = {"on", "shutting-down", "rebooting"};
    return names[atomic_load_explicit(&action, memory_order_relaxed)];
}

bool power_is_ending(void)
{
    return atomic_load_explicit(&action, memory_order_relaxed) != POWER_ON;
}

static void begin(uint32_t what, uint64_t longest_ns)
{
    log_line("%s: the guests are asked to stop", what == POWER_REBOOT ? "reboot" : "shutdown");
    begin_ns = look_at = core_clock_ns();
    guest_end_all(longest_ns);
    atomic_store_explicit(&action, what, memory_order_relaxed);
    events_add(EVENT_HOST, "power", NULL, audit_caller(), "\"power\":\"%s\"", power_name());
    core_notify_kick();
}

int power_begin(bool reboot, uint64_t longest_ns, struct problem *p)
{
    struct power_record record = {reboot ? POWER_REBOOT : POWER_OFF, longest_ns};

    if (power_is_ending())
        return problem_set(p, 503, "The machine is %s already.", power_name());
    if (!store_write(STORE_POWER_RECORD, STORE_POWER, &record, sizeof(record)))
        return problem_set(p, 503, "That can't be retained now, so it isn't begun; try again.");
    begin((uint32_t)record.action, longest_ns);
    return 0;
}

void power_resume(void)
{
    struct power_record record;

    if (store_read(STORE_POWER_RECORD, STORE_POWER, &record, sizeof(record)) == sizeof(record) &&
        (record.action == POWER_OFF || record.action == POWER_REBOOT))
        begin((uint32_t)record.action, record.grace_ns);
}

void power_forget(void)
{
    atomic_store_explicit(&action, POWER_ON, memory_order_relaxed);
    guest_end_none();
}

uint64_t power_deadline(void)
{
    return power_is_ending() ? look_at : UINT64_MAX;
}

static bool is_live(const struct guest *g)
{
    return g->handle && g->view.state != SKEP_GUEST_EXITED && g->view.state != SKEP_GUEST_CRASHED;
}

/* Doesn't return, unless the core can't. */
static void leave(void)
{
    bool reboot = atomic_load_explicit(&action, memory_order_relaxed) == POWER_REBOOT;
    int64_t result;

    log_line("all guests have ended");
    store_erase(STORE_POWER_RECORD);
    result = core_power(reboot);
    log_line("the core can't %s (error %d): the guests are started again",
             reboot ? "reboot" : "power off", (int)-result);
    atomic_store_explicit(&action, POWER_ON, memory_order_relaxed);
    events_add(EVENT_HOST, "power", NULL, NULL, "\"power\":\"%s\"", power_name());
    guest_end_none();
}

/* The first round asks each guest to stop (guest_step does what guest_end_all() has told); the following ones look
 * whether they have. */
bool power_step(void)
{
    struct guest *g;

    if (!power_is_ending() || core_clock_ns() < look_at)
        return false;
    for (unsigned i = 0; i < STEP_COUNT && (g = guest_after(at)) != NULL; i++) {
        char name[SKEP_NAME_MAX];
        memcpy(name, g->name, sizeof(name));
        memcpy(at, name, sizeof(name));
        guest_step(g);
        g = guest_find(name);
        running |= g && is_live(g);
    }
    if (guest_after(at))
        return true;
    if (!running && core_clock_ns() >= begin_ns + ANSWER_NS)
        leave();
    running = false;
    at[0] = '\0';
    look_at = core_clock_ns() + LOOK_NS;
    return false;
}
