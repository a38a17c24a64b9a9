/*
 * core_fake.c - ring 0 as a model within an ordinary process, for tests of the control service.
 *
 * All state is in one shared mapping, so that a supervisor can fork the service anew after its death
 * and ring 0's side is still there. Guests are scripted by their arguments:
 *
 *   print=TEXT      a line on the console at the start (there is always "NAME starts")
 *   after=MS        when the next two happen, by default at once
 *   exit=CODE       ends
 *   crash=REASON    ends with that enum skep_crash_reason
 *   tick=MS         prints a line again and again
 *   echo            prints what it is given; else it takes one buffer of input and leaves it there
 *   stubborn        doesn't heed the shutdown event
 *   vcpus=N         has so many vCPUs on, as far as it may
 *   keep-vcpus      doesn't stop any when it may have fewer
 *   used=BYTES      of memory
 *   stat=NAME       says this of itself, with its place as the value
 *   dying=MS        how long its end takes
 */
#include "core.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "test/fake.h"
#include "thread.h"

#define RECORDS       FAKE_RECORDS
#define IMAGES        16u
#define IMAGE_PAGES   8192u
#define POOL_PAGES    16384u
#define GUESTS        64u
#define NOTES         64u
#define CONSOLE_BYTES 65536u
#define INPUT_BYTES   256u
#define MEMORY_BYTES  (512ull << 20)
#define OWN_MEMORY    (48ull << 20)
#define MS            1000000ull
#define REAP_NS       (3 * MS) /* how long a guest is dying, unless it says otherwise */

struct fake_image {
    bool used, sealed;
    uint32_t generation;
    struct skep_image_spec spec;
    uint32_t pages[IMAGE_PAGES]; /* index into the pool + 1; 0 = of zeroes */
};

struct fake_guest {
    bool used, stubborn, destroyed, keeps_vcpus, ends_when_changed, echoes;
    uint32_t vcpus_on;
    uint32_t final_state; /* after dying, at reap_ns */
    uint64_t reap_ns, dying_ns;
    uint32_t generation;
    struct skep_guest_spec spec;
    struct skep_guest_status status;
    uint64_t end_ns, end_code, tick_ns, next_tick_ns;
    uint32_t end_reason; /* 0 = exits */
    uint32_t input_bytes;
    struct skep_stat stats[SKEP_STATS_MAX];
    uint32_t stat_count;
    char console[CONSOLE_BYTES];
};

static struct machine {
    char cmdline[4096], module[16384], panic[4096];
    uint64_t boot_ns;
    uint32_t restarts;
    bool safe_mode, no_entropy, fail_retain, no_live_changes;
    uint64_t clock_skip_ns;
    uint64_t wall_ns; /* at clock 0 */
    bool retained[RECORDS];
    uint8_t records[RECORDS][SKEP_PAGE_SIZE];
    struct fake_image images[IMAGES];
    struct fake_guest guests[GUESTS];
    struct skep_notification notes[NOTES];
    uint32_t note_first, note_count;
    bool note_overflow;
    bool pool_used[POOL_PAGES];
    uint8_t pool[POOL_PAGES][SKEP_PAGE_SIZE];
} * m;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool kicked;

static uint64_t now_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t core_clock_ns(void)
{
    return now_ns(CLOCK_MONOTONIC) - m->boot_ns + m->clock_skip_ns;
}

uint64_t core_wall_base_ns(void)
{
    return m->wall_ns;
}

int64_t core_wall_set(uint64_t wall_base_ns)
{
    m->wall_ns = wall_base_ns;
    return 0;
}

uint64_t core_own_cpu_ns(void)
{
    return now_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t core_own_heap_bytes(void)
{
    struct mallinfo2 heap = mallinfo2();

    return heap.uordblks + heap.hblkhd;
}

int64_t core_cpu_info(uint32_t cpu, struct skep_cpu_info *out)
{
    memset(out, 0, sizeof(*out));
    out->idle_ns = core_clock_ns();
    return cpu < FAKE_CPUS ? 0 : -SKEP_EINVAL;
}

int64_t core_power(bool reboot)
{
    fprintf(stderr, "fake: the machine %s\n", reboot ? "reboots" : "powers off");
    _exit(reboot ? FAKE_REBOOT_CODE : FAKE_OFF_CODE);
}

void fake_start(const char *cmdline, const char *module)
{
    if (m)
        munmap(m, sizeof(*m));
    m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
             -1, 0);
    if (m == MAP_FAILED)
        abort();
    m->boot_ns = now_ns(CLOCK_MONOTONIC) - 1000 * MS;
    m->wall_ns = now_ns(CLOCK_REALTIME) - 1000 * MS;
    snprintf(m->cmdline, sizeof(m->cmdline), "%s", cmdline);
    snprintf(m->module, sizeof(m->module), "%s", module);
    fake_storage_start();
}

void fake_count_restart(bool safe_mode)
{
    m->restarts++;
    m->safe_mode = safe_mode;
}

void fake_fail_retain(bool fail)
{
    m->fail_retain = fail;
}

void fake_skip(uint64_t ns)
{
    m->clock_skip_ns += ns;
}

void fake_fail_live_changes(bool fail)
{
    m->no_live_changes = fail;
}

void fake_set_panic(const char *text)
{
    snprintf(m->panic, sizeof(m->panic), "%s", text);
}

void fake_set_entropy(bool entropy)
{
    m->no_entropy = !entropy;
}

uint8_t *fake_record(unsigned record)
{
    return m->records[record];
}

void core_log(const char *line, size_t bytes)
{
    uint64_t ms = core_clock_ns() / MS;
    fprintf(stderr, "[%6u.%03u] control: %.*s\n", (unsigned)(ms / 1000), (unsigned)(ms % 1000),
            (int)bytes, line);
}

void core_crash(const char *why)
{
    fprintf(stderr, "fake: the service crashes: %s\n", why);
    _exit(FAKE_CRASH_CODE);
}

int64_t core_boot_read(unsigned what, uint64_t offset, void *data, size_t bytes)
{
    const char *text = what == SKEP_BOOT_CMDLINE ? m->cmdline
                       : what == SKEP_BOOT_PANIC ? m->panic
                                                 : m->module;
    size_t all = strlen(text);

    if (offset >= all)
        return 0;
    if (bytes > all - offset)
        bytes = all - offset;
    memcpy(data, text + offset, bytes);
    return (int64_t)bytes;
}

int64_t core_retain_read(unsigned record, void *page)
{
    if (record >= RECORDS)
        return -SKEP_EINVAL;
    if (!m->retained[record])
        return -SKEP_ENOENT;
    memcpy(page, m->records[record], SKEP_PAGE_SIZE);
    return 0;
}

int64_t core_retain_write(unsigned record, const void *page)
{
    if (record >= RECORDS)
        return -SKEP_EINVAL;
    if (m->fail_retain)
        return -SKEP_EIO;
    m->retained[record] = page != NULL;
    if (page)
        memcpy(m->records[record], page, SKEP_PAGE_SIZE);
    return 0;
}

/* Tests tell the answers. */
void core_sntp_start(uint32_t server, uint16_t port)
{
    (void)server;
    (void)port;
}

bool core_net_start(struct core_net *net, const char *hostname, uint64_t deadline_ns)
{
    (void)hostname;
    (void)deadline_ns;
    if (!net->address) {
        net->address = __builtin_bswap32(0x0a00020f); /* 10.0.2.15/24, as by DHCP */
        net->netmask = __builtin_bswap32(0xffffff00);
    }
    return true;
}

/*
 * Images
 */

static uint64_t handle_of(uint32_t index, uint32_t generation)
{
    return (uint64_t)generation << 32 | (index + 1);
}

static struct fake_image *image_of(uint64_t handle)
{
    uint32_t index = (uint32_t)handle - 1;

    if (index >= IMAGES || !m->images[index].used ||
        m->images[index].generation != (uint32_t)(handle >> 32))
        return NULL;
    return &m->images[index];
}

int64_t core_image_create(const struct skep_image_spec *spec)
{
    int64_t result = -SKEP_ENOSPC;

    if (spec->page_count == 0 || spec->page_count > IMAGE_PAGES ||
        spec->segment_count > SKEP_IMAGE_SEGMENTS_MAX)
        return -SKEP_EINVAL;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < IMAGES; i++) {
        struct fake_image *image = &m->images[i];
        if (image->used)
            continue;
        uint32_t generation = image->generation + 1;
        memset(image, 0, sizeof(*image));
        image->used = true;
        image->generation = generation;
        image->spec = *spec;
        result = (int64_t)handle_of(i, generation);
        break;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static uint8_t *image_page(struct fake_image *image, uint32_t page)
{
    for (uint32_t i = 0; image->pages[page] == 0 && i < POOL_PAGES; i++) {
        if (m->pool_used[i])
            continue;
        m->pool_used[i] = true;
        image->pages[page] = i + 1;
    }
    return image->pages[page] ? m->pool[image->pages[page] - 1] : NULL;
}

static int64_t image_io(uint64_t handle, uint32_t page, void *read, const void *write, size_t bytes)
{
    struct fake_image *image;
    int64_t result = 0;

    pthread_mutex_lock(&lock);
    image = image_of(handle);
    if (!image)
        result = -SKEP_ENOENT;
    else if (bytes > SKEP_IMAGE_IO_MAX || bytes % SKEP_PAGE_SIZE ||
             page + bytes / SKEP_PAGE_SIZE > image->spec.page_count || (write && image->sealed))
        result = -SKEP_EINVAL;
    for (size_t at = 0; result == 0 && at < bytes; at += SKEP_PAGE_SIZE, page++) {
        uint8_t *frame = image_page(image, page);
        if (!frame)
            result = -SKEP_ENOMEM;
        else if (write)
            memcpy(frame, (const uint8_t *)write + at, SKEP_PAGE_SIZE);
        else
            memcpy((uint8_t *)read + at, frame, SKEP_PAGE_SIZE);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int64_t core_image_write(uint64_t handle, uint32_t page, const void *data, size_t bytes)
{
    return image_io(handle, page, NULL, data, bytes);
}

int64_t core_image_read(uint64_t handle, uint32_t page, void *data, size_t bytes)
{
    return image_io(handle, page, data, NULL, bytes);
}

int64_t core_image_seal(uint64_t handle)
{
    struct fake_image *image = image_of(handle);

    if (image)
        image->sealed = true;
    return image ? 0 : -SKEP_ENOENT;
}

static bool image_in_use(uint64_t handle)
{
    for (uint32_t i = 0; i < GUESTS; i++)
        if (m->guests[i].used &&
            (m->guests[i].spec.image == handle || m->guests[i].spec.files == handle))
            return true;
    return false;
}

int64_t core_image_destroy(uint64_t handle)
{
    struct fake_image *image = image_of(handle);

    if (!image)
        return -SKEP_ENOENT;
    if (image_in_use(handle))
        return -SKEP_EBUSY;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < IMAGE_PAGES; i++)
        if (image->pages[i])
            m->pool_used[image->pages[i] - 1] = false;
    image->used = false;
    pthread_mutex_unlock(&lock);
    return 0;
}

int64_t core_image_next(uint64_t handle, struct skep_image_info *out)
{
    for (uint32_t i = (uint32_t)handle; i < IMAGES; i++) {
        if (!m->images[i].used)
            continue;
        out->spec = m->images[i].spec;
        out->sealed = m->images[i].sealed;
        out->users = image_in_use(handle_of(i, m->images[i].generation));
        return (int64_t)handle_of(i, m->images[i].generation);
    }
    return 0;
}

/*
 * Guests. With the lock, except for the core_ functions.
 */

static struct fake_guest *guest_of(uint64_t handle)
{
    uint32_t index = (uint32_t)handle - 1;

    if (index >= GUESTS || !m->guests[index].used ||
        m->guests[index].generation != (uint32_t)(handle >> 32))
        return NULL;
    return &m->guests[index];
}

static void add_note(uint64_t handle, uint32_t reason)
{
    if (m->note_count == NOTES) {
        m->note_overflow = true;
    } else {
        m->notes[(m->note_first + m->note_count++) % NOTES] =
            (struct skep_notification){.handle = handle, .reason = reason};
    }
    pthread_cond_broadcast(&changed);
}

static void notify(const struct fake_guest *g, uint32_t reason)
{
    add_note(handle_of((uint32_t)(g - m->guests), g->generation), reason);
}

void fake_notify(uint64_t handle, uint32_t reason)
{
    pthread_mutex_lock(&lock);
    add_note(handle, reason);
    pthread_mutex_unlock(&lock);
}

static void print_bytes(struct fake_guest *g, const char *data, size_t bytes)
{
    struct skep_guest_status *s = &g->status;

    for (size_t i = 0; i < bytes; i++)
        g->console[s->console_end++ % CONSOLE_BYTES] = data[i];
    if (s->console_end - s->console_first > CONSOLE_BYTES)
        s->console_first = s->console_end - CONSOLE_BYTES;
}

static void print(struct fake_guest *g, const char *text)
{
    print_bytes(g, text, strlen(text));
}

static void end(struct fake_guest *g, uint32_t state, uint32_t code, uint32_t reason)
{
    struct skep_crash *crash = &g->status.crash;

    g->status.state = SKEP_GUEST_DYING;
    g->final_state = state;
    g->reap_ns = core_clock_ns() + (g->dying_ns ? g->dying_ns : REAP_NS);
    g->status.exit_code = code;
    g->status.ended_ns = core_clock_ns();
    crash->reason = reason;
    if (state == SKEP_GUEST_CRASHED) {
        crash->address = 0x1234;
        crash->context.rip =
            g->status.image_base + m->images[(uint32_t)g->spec.image - 1].spec.entry_offset;
        crash->backtrace[0] = crash->context.rip;
        crash->backtrace[1] = crash->context.rip + 5;
        crash->backtrace_count = 2;
        crash->mapping = (struct skep_mapping){.bytes = 0x1000, .kind = SKEP_MAPPING_GUARD};
        crash->trace[0] = (struct skep_trace_record){.kind = SKEP_TRACE_FAULT, .a = 0x1234};
        crash->trace_count = 1;
    }
    notify(g, SKEP_NOTIFY_STATE);
}

/* Names may be as long as their place, or longer. */
static void add_stat(struct fake_guest *g, const char *name)
{
    struct skep_stat *stat = &g->stats[g->stat_count % SKEP_STATS_MAX];

    memcpy(stat->name, name, strnlen(name, sizeof(stat->name)));
    stat->value = g->stat_count++;
}

static void read_script(struct fake_guest *g, const char *strings)
{
    uint64_t after = 0;
    bool ends = false;
    char line[256];

    snprintf(line, sizeof(line), "%s starts\n", g->spec.name);
    print(g, line);
    for (uint32_t i = 0; i < g->spec.argc; i++, strings += strlen(strings) + 1) {
        const char *value = strchr(strings, '=');
        unsigned long number = value ? strtoul(value + 1, NULL, 0) : 0;
        if (strncmp(strings, "print=", 6) == 0) {
            snprintf(line, sizeof(line), "%s\n", strings + 6);
            print(g, line);
        } else if (strncmp(strings, "after=", 6) == 0) {
            after = number * MS;
        } else if (strncmp(strings, "exit=", 5) == 0) {
            g->end_code = number;
            ends = true;
        } else if (strncmp(strings, "crash=", 6) == 0) {
            g->end_reason = (uint32_t)number;
            ends = true;
        } else if (strncmp(strings, "dying=", 6) == 0) {
            g->dying_ns = number * MS;
        } else if (strncmp(strings, "tick=", 5) == 0) {
            g->tick_ns = number * MS;
        } else if (strncmp(strings, "vcpus=", 6) == 0) {
            g->vcpus_on = (uint32_t)number;
        } else if (strncmp(strings, "used=", 5) == 0) {
            g->status.memory_used = g->status.memory_committed = number;
        } else if (strncmp(strings, "stat=", 5) == 0) {
            add_stat(g, strings + 5);
        } else if (strcmp(strings, "stubborn") == 0) {
            g->stubborn = true;
        } else if (strcmp(strings, "echo") == 0) {
            g->echoes = true;
        } else if (strcmp(strings, "keep-vcpus") == 0) {
            g->keeps_vcpus = true;
        } else if (strcmp(strings, "ends-when-changed") == 0) {
            g->ends_when_changed = true;
        }
    }
    g->end_ns = ends ? after : UINT64_MAX;
}

static uint64_t promised(void)
{
    uint64_t sum = OWN_MEMORY;

    for (uint32_t i = 0; i < GUESTS; i++)
        if (m->guests[i].used)
            sum += m->guests[i].status.memory_promised;
    return sum;
}

static struct fake_guest *make_guest(const struct skep_guest_spec *spec)
{
    struct fake_guest *g = m->guests;
    uint32_t generation;

    while (g < m->guests + GUESTS && g->used)
        g++;
    if (g == m->guests + GUESTS)
        return NULL;
    generation = g->generation + 1;
    memset(g, 0, sizeof(*g));
    g->used = true;
    g->generation = generation;
    g->spec = *spec;
    g->status = (struct skep_guest_status){.image = spec->image,
                                           .image_base = 0x400000,
                                           .state = SKEP_GUEST_CREATED,
                                           .created_ns = core_clock_ns(),
                                           .memory_promised = spec->memory_bytes,
                                           .memory_used = 65536,
                                           .memory_peak = 65536,
                                           .vcpu_count = spec->vcpu_count,
                                           .vcpu_max = spec->vcpu_max,
                                           .weight = spec->weight,
                                           .cpu_cap = spec->cpu_cap,
                                           .cpu_affinity = spec->cpu_affinity,
                                           .net_count = spec->net_count};
    memcpy(g->status.name, spec->name, sizeof(spec->name));
    for (uint32_t i = 0; i < spec->net_count; i++)
        g->status.net_address[i] = spec->net[i].flags & SKEP_NET_DHCP
                                       ? __builtin_bswap32(0x0a000232 + (uint32_t)(g - m->guests))
                                       : spec->net[i].address;
    /* As if each device had done something else so far. */
    for (uint32_t i = 0; i < spec->block_count; i++)
        g->status.block[i] =
            (struct skep_block_counters){10 + i, 20 + i, 30 + i, 40 + i, 50 + i, 60 + i};
    read_script(g, (const char *)(uintptr_t)spec->strings);
    return g;
}

static bool is_files(const struct fake_image *image)
{
    return image && image->sealed && skep_image_is_files(&image->spec);
}

int64_t core_guest_create(const struct skep_guest_spec *spec)
{
    struct fake_image *image = image_of(spec->image);
    struct fake_guest *g;
    int64_t result = -SKEP_ENOSPC;

    if (!image || !image->sealed || skep_image_is_files(&image->spec) ||
        (spec->files && !is_files(image_of(spec->files))))
        return -SKEP_ENOENT;
    pthread_mutex_lock(&lock);
    if (promised() + spec->memory_bytes > MEMORY_BYTES)
        result = -SKEP_ENOMEM;
    else if ((result = fake_blocks_take(spec)) == 0) {
        g = make_guest(spec);
        result = g ? (int64_t)handle_of((uint32_t)(g - m->guests), g->generation) : -SKEP_ENOSPC;
        if (!g)
            fake_blocks_release(spec);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

static void forget(struct fake_guest *g)
{
    g->used = false;
    fake_blocks_release(&g->spec);
    notify(g, SKEP_NOTIFY_GONE);
}

static void reap(struct fake_guest *g)
{
    if (core_clock_ns() < g->reap_ns)
        return;
    if (g->destroyed) {
        forget(g);
        return;
    }
    g->status.state = g->final_state;
    notify(g, SKEP_NOTIFY_STATE);
}

enum change { START, PAUSE, SHUT_DOWN, KILL, DESTROY };

static int64_t change_locked(struct fake_guest *g, enum change change)
{
    uint32_t state = g->status.state;
    bool live = state <= SKEP_GUEST_STOPPING;

    if (change == START && (state == SKEP_GUEST_CREATED || state == SKEP_GUEST_PAUSED)) {
        if (state == SKEP_GUEST_CREATED) {
            g->status.started_ns = core_clock_ns();
            if (g->end_ns != UINT64_MAX)
                g->end_ns += g->status.started_ns;
        }
        g->status.state = SKEP_GUEST_RUNNING;
        g->status.vcpus_on =
            g->vcpus_on < g->status.vcpu_count ? g->vcpus_on : g->status.vcpu_count;
        g->status.vcpus_on += g->status.vcpus_on == 0;
    } else if (change == PAUSE && state == SKEP_GUEST_RUNNING) {
        g->status.state = SKEP_GUEST_PAUSED;
    } else if (change == SHUT_DOWN && live) {
        g->status.state = SKEP_GUEST_STOPPING;
        if (!g->stubborn)
            end(g, SKEP_GUEST_EXITED, 0, 0);
    } else if (change == KILL && live) {
        end(g, SKEP_GUEST_CRASHED, 0, SKEP_CRASH_KILLED);
    } else if (change == DESTROY) {
        if (live)
            end(g, SKEP_GUEST_EXITED, 0, 0);
        else if (state != SKEP_GUEST_DYING)
            forget(g);
        g->destroyed = true;
    } else {
        return -SKEP_EINVAL;
    }
    return 0;
}

static int64_t change_guest(uint64_t handle, enum change change)
{
    struct fake_guest *g;
    int64_t result = -SKEP_ENOENT;

    pthread_mutex_lock(&lock);
    g = guest_of(handle);
    if (g)
        result = change_locked(g, change);
    pthread_mutex_unlock(&lock);
    return result;
}

int64_t core_guest_start(uint64_t handle)
{
    return change_guest(handle, START);
}

int64_t core_guest_pause(uint64_t handle)
{
    return change_guest(handle, PAUSE);
}

int64_t core_guest_stop(uint64_t handle, bool now)
{
    return change_guest(handle, now ? KILL : SHUT_DOWN);
}

int64_t core_guest_destroy(uint64_t handle)
{
    return change_guest(handle, DESTROY);
}

/* Lets guests do what their scripts have for this moment. */
static void run_guests(void)
{
    uint64_t now = core_clock_ns();

    for (struct fake_guest *g = m->guests; g < m->guests + GUESTS; g++) {
        if (g->used && g->status.state == SKEP_GUEST_DYING)
            reap(g);
        if (!g->used || g->status.state != SKEP_GUEST_RUNNING)
            continue;
        g->status.cpu_ns = now - g->status.started_ns;
        if (g->tick_ns && now >= g->next_tick_ns) {
            print(g, "tick\n");
            g->next_tick_ns = now + g->tick_ns;
        }
        if (now >= g->end_ns)
            end(g, g->end_reason ? SKEP_GUEST_CRASHED : SKEP_GUEST_EXITED, (uint32_t)g->end_code,
                g->end_reason);
    }
}

static int64_t copy_status(uint64_t handle, struct skep_guest_status *out, size_t bytes)
{
    struct fake_guest *g;

    pthread_mutex_lock(&lock);
    run_guests();
    g = guest_of(handle);
    if (g)
        memcpy(out, &g->status, bytes);
    pthread_mutex_unlock(&lock);
    return g ? 0 : -SKEP_ENOENT;
}

int64_t core_guest_status(uint64_t handle, struct skep_guest_status *out)
{
    return copy_status(handle, out, sizeof(*out));
}

int64_t core_guest_status_brief(uint64_t handle, struct skep_guest_status *out)
{
    return copy_status(handle, out, SKEP_GUEST_BRIEF_BYTES);
}

int64_t core_guest_next(uint64_t handle)
{
    for (uint32_t i = (uint32_t)handle; i < GUESTS; i++)
        if (m->guests[i].used)
            return (int64_t)handle_of(i, m->guests[i].generation);
    return 0;
}

static int64_t set_locked(struct fake_guest *g, const struct skep_guest_change *c)
{
    struct skep_guest_status *s = &g->status;

    if (m->no_live_changes)
        return -SKEP_ENOSYS;
    if (g->ends_when_changed && s->state < SKEP_GUEST_EXITED)
        end(g, SKEP_GUEST_EXITED, 0, 0);
    if (s->state >= SKEP_GUEST_EXITED)
        return -SKEP_EBUSY;
    if (c->changes & SKEP_CHANGE_VCPUS && (c->vcpu_count == 0 || c->vcpu_count > s->vcpu_max))
        return -SKEP_EINVAL;
    if (c->changes & SKEP_CHANGE_MEMORY && c->memory_bytes < s->memory_committed)
        return -SKEP_EBUSY;
    if (c->changes & SKEP_CHANGE_MEMORY &&
        promised() - s->memory_promised + c->memory_bytes > MEMORY_BYTES)
        return -SKEP_ENOMEM;
    if (c->changes & SKEP_CHANGE_WEIGHT)
        s->weight = c->weight;
    if (c->changes & SKEP_CHANGE_CAP)
        s->cpu_cap = c->cpu_cap;
    if (c->changes & SKEP_CHANGE_AFFINITY)
        s->cpu_affinity = c->cpu_affinity;
    if (c->changes & SKEP_CHANGE_MEMORY)
        s->memory_promised = c->memory_bytes;
    if (c->changes & SKEP_CHANGE_VCPUS) {
        s->vcpu_count = c->vcpu_count;
        if (s->vcpus_on > s->vcpu_count && (!g->keeps_vcpus || c->changes & SKEP_CHANGE_FORCE))
            s->vcpus_on = s->vcpu_count;
    }
    return 0;
}

int64_t core_guest_set(uint64_t handle, const struct skep_guest_change *change)
{
    struct fake_guest *g;
    int64_t result = -SKEP_ENOENT;

    pthread_mutex_lock(&lock);
    g = guest_of(handle);
    if (g)
        result = set_locked(g, change);
    pthread_mutex_unlock(&lock);
    return result;
}

int64_t core_guest_stats(uint64_t handle, struct skep_stat out[SKEP_STATS_MAX])
{
    struct fake_guest *g;

    pthread_mutex_lock(&lock);
    g = guest_of(handle);
    if (g)
        memcpy(out, g->stats, sizeof(g->stats));
    pthread_mutex_unlock(&lock);
    return g ? 0 : -SKEP_ENOENT;
}

int64_t core_vcpu_status(uint64_t handle, uint32_t index, struct skep_vcpu_status *out)
{
    struct fake_guest *g;
    int64_t result = -SKEP_ENOENT;

    memset(out, 0, sizeof(*out));
    pthread_mutex_lock(&lock);
    g = guest_of(handle);
    if (g && index >= g->status.vcpu_max)
        result = -SKEP_EINVAL;
    else if (g)
        result = 0;
    if (result == 0 && index < g->status.vcpus_on) {
        out->state = SKEP_VCPU_BLOCKED;
        out->run_ns = g->status.cpu_ns;
        out->hypercalls[SKEP_HC_WAIT] = 3;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

/* CPU 1 has seen the guest start, CPU 0 what came before and after that. */
int64_t core_trace_read(uint64_t handle, uint32_t cpu, struct skep_trace_record *out,
                        uint32_t count)
{
    struct fake_guest *g;
    int64_t result = -SKEP_ENOENT;

    if (cpu >= FAKE_CPUS || count < 2)
        return -SKEP_EINVAL;
    pthread_mutex_lock(&lock);
    g = guest_of(handle);
    for (result = g ? 0 : result; g && result < (cpu ? 1 : 2); result++)
        out[result] = (struct skep_trace_record){.clock_ns = g->status.started_ns +
                                                             2 * (uint64_t)result + cpu,
                                                 .kind = SKEP_TRACE_STATE,
                                                 .cpu = (uint8_t)cpu,
                                                 .a = SKEP_GUEST_RUNNING};
    pthread_mutex_unlock(&lock);
    return result;
}

int64_t core_console_read(uint64_t handle, uint64_t offset, void *data, size_t bytes)
{
    struct fake_guest *g;
    int64_t n = -SKEP_ENOENT;

    pthread_mutex_lock(&lock);
    run_guests();
    g = guest_of(handle);
    if (g && (offset < g->status.console_first || offset > g->status.console_end)) {
        n = -SKEP_ERANGE;
    } else if (g) {
        for (n = 0; (size_t)n < bytes && offset < g->status.console_end; n++, offset++)
            ((char *)data)[n] = g->console[offset % CONSOLE_BYTES];
    }
    pthread_mutex_unlock(&lock);
    return n;
}

int64_t core_console_write(uint64_t handle, const void *data, size_t bytes)
{
    struct fake_guest *g;
    int64_t n = -SKEP_ENOENT;

    pthread_mutex_lock(&lock);
    g = guest_of(handle);
    if (g) {
        n = bytes < INPUT_BYTES - g->input_bytes ? (int64_t)bytes : INPUT_BYTES - g->input_bytes;
        if (g->echoes)
            print_bytes(g, data, (size_t)n);
        else
            g->input_bytes += (uint32_t)n;
    }
    pthread_mutex_unlock(&lock);
    return n;
}

/*
 * Notifications
 */

static int take_notes(struct skep_notification *list, unsigned count)
{
    unsigned n = 0;

    if (m->note_overflow) {
        m->note_overflow = false;
        list[n++] = (struct skep_notification){.reason = SKEP_NOTIFY_OVERFLOW};
    }
    for (; n < count && m->note_count; n++, m->note_count--)
        list[n] = m->notes[m->note_first++ % NOTES];
    return (int)n;
}

int core_notify_wait(struct skep_notification *list, unsigned count, uint64_t deadline_ns)
{
    int n;

    pthread_mutex_lock(&lock);
    for (;;) {
        struct timespec until;
        run_guests();
        n = take_notes(list, count);
        if (n > 0 || kicked || core_clock_ns() >= deadline_ns)
            break;
        until = thread_until(10 * MS);
        pthread_cond_timedwait(&changed, &lock, &until);
    }
    kicked = false;
    pthread_mutex_unlock(&lock);
    return n;
}

void core_notify_kick(void)
{
    pthread_mutex_lock(&lock);
    kicked = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static uint32_t count_used(void)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < GUESTS; i++)
        count += m->guests[i].used;
    return count;
}

int64_t core_host_info(struct skep_host_info *out)
{
    struct skep_image_info image;

    memset(out, 0, sizeof(*out));
    pthread_mutex_lock(&lock);
    strcpy(out->version, SKEP_VERSION);
    strcpy(out->cpu_model, "Fake CPU");
    strcpy(out->clock_source, "host");
    out->clock_ns = core_clock_ns();
    out->wall_ns = core_wall_ns();
    out->memory_total = out->memory_promisable = MEMORY_BYTES;
    out->memory_promised = promised();
    out->memory_used = 32ull << 20;
    for (uint32_t i = 0; i < POOL_PAGES; i++)
        out->frames[SKEP_FRAME_IMAGE] += m->pool_used[i];
    out->memory_used += out->frames[SKEP_FRAME_IMAGE] * SKEP_PAGE_SIZE;
    out->memory_free = MEMORY_BYTES - out->memory_used;
    out->frames[SKEP_FRAME_CORE] = (32ull << 20) / SKEP_PAGE_SIZE;
    out->frames[SKEP_FRAME_FREE] = out->memory_free / SKEP_PAGE_SIZE;
    out->cpu_count = FAKE_CPUS;
    out->guest_count = count_used();
    for (int64_t h = 0; (h = core_image_next((uint64_t)h, &image)) > 0;)
        out->image_count++;
    out->control_restarts = m->restarts;
    out->safe_mode = m->safe_mode;
    out->retain_records = RECORDS;
    out->entropy = !m->no_entropy;
    out->mitigation_count = 1;
    strcpy(out->mitigations[0].name, "meltdown");
    out->mitigations[0].state = SKEP_MITIGATION_NOT_NEEDED;
    pthread_mutex_unlock(&lock);
    return 0;
}
