/* metrics_guest.c - metrics of guests. */
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "guest.h"
#include "host.h"
#include "metrics.h"

#define STEP  8u  /* guests that are looked at in one go */
#define SPARE 16u /* for guests that come meanwhile */

#define STAT_NAME sizeof(((struct skep_stat *)0)->name)

/* Counters are those of ring 0's guest: they begin anew when one takes another's place, and so does the start time. */
static const struct {
    const char *name, *help;
    enum metric_type type;
    bool is_ns;
    size_t offset; /* in struct skep_guest_status */
} families[] = {
    {"skep_guest_cpu_run_seconds", "CPU time that the guest had.", METRIC_COUNTER, true,
     offsetof(struct skep_guest_status, cpu_ns)},
    {"skep_guest_cpu_ready_seconds", "Time that its vCPUs were ready while others ran.",
     METRIC_COUNTER, true, offsetof(struct skep_guest_status, ready_ns)},
    {"skep_guest_memory_promised_bytes", "Memory that it may use.", METRIC_GAUGE, false,
     offsetof(struct skep_guest_status, memory_promised)},
    {"skep_guest_memory_used_bytes", "Memory that it uses.", METRIC_GAUGE, false,
     offsetof(struct skep_guest_status, memory_used)},
    {"skep_guest_memory_peak_bytes", "The most memory that it used at once.", METRIC_GAUGE, false,
     offsetof(struct skep_guest_status, memory_peak)},
    {"skep_guest_page_faults", "Page faults.", METRIC_COUNTER, false,
     offsetof(struct skep_guest_status, page_faults)},
    {"skep_guest_hypercalls", "Hypercalls.", METRIC_COUNTER, false,
     offsetof(struct skep_guest_status, hypercalls)},
};
#define FAMILIES (sizeof(families) / sizeof(*families))

static const struct {
    const char *name, *help;
    size_t offset; /* in struct skep_net_counters */
} net_families[] = {
    {"skep_guest_network_receive_packets", "Packets that a network device received.",
     offsetof(struct skep_net_counters, rx_packets)},
    {"skep_guest_network_receive_bytes", "Bytes that it received.",
     offsetof(struct skep_net_counters, rx_bytes)},
    {"skep_guest_network_receive_drop", "Packets for it that were dropped.",
     offsetof(struct skep_net_counters, rx_dropped)},
    {"skep_guest_network_transmit_packets", "Packets that it sent.",
     offsetof(struct skep_net_counters, tx_packets)},
    {"skep_guest_network_transmit_bytes", "Bytes that it sent.",
     offsetof(struct skep_net_counters, tx_bytes)},
    {"skep_guest_network_transmit_drop", "Packets of it that were dropped.",
     offsetof(struct skep_net_counters, tx_dropped)},
    {"skep_guest_network_transmit_copied_bytes",
     "Bytes that it sent and that were copied on the way to the network.",
     offsetof(struct skep_net_counters, tx_copied)},
};

static const struct {
    const char *name, *help;
    size_t offset; /* in struct skep_block_counters */
} block_families[] = {
    {"skep_guest_block_reads", "Reads that a block device did.",
     offsetof(struct skep_block_counters, reads)},
    {"skep_guest_block_writes", "Writes that it did.",
     offsetof(struct skep_block_counters, writes)},
    {"skep_guest_block_flushes", "Flushes that it did.",
     offsetof(struct skep_block_counters, flushes)},
    {"skep_guest_block_discards", "Discards that it did.",
     offsetof(struct skep_block_counters, discards)},
    {"skep_guest_block_read_bytes", "Bytes that it read.",
     offsetof(struct skep_block_counters, read_bytes)},
    {"skep_guest_block_written_bytes", "Bytes that it wrote.",
     offsetof(struct skep_block_counters, written_bytes)},
};

/* All that guest_state_text() says. */
static const char *const states[] = {"created", "running", "paused",  "stopping",
                                     "exited",  "killed",  "crashed", "crash-looping",
                                     "dying",   "stopped", "waiting"};
#define STATES (sizeof(states) / sizeof(*states))

struct row {
    char name[SKEP_NAME_MAX];
    const char *state;
    bool is_there; /* in ring 0; the rest is 0 otherwise */
    uint32_t starts, vcpus_on, net_first, net_count, block_first, block_count;
    uint64_t started_wall_ns, log_bytes;
    uint64_t values[FAMILIES];
};

struct metrics_guests {
    struct row *rows;
    struct skep_net_counters *nets;
    struct skep_block_counters *blocks;
    unsigned count, room, net_count, net_room, block_count, block_room;
};

/*
 * Taking
 */

static void take_nets(struct metrics_guests *all, struct row *row,
                      const struct skep_guest_status *s)
{
    uint32_t count = s->net_count < SKEP_NETS_MAX ? s->net_count : SKEP_NETS_MAX;

    if (count > all->net_room - all->net_count)
        count = all->net_room - all->net_count;
    row->net_first = all->net_count;
    row->net_count = count;
    memcpy(all->nets + all->net_count, s->net, count * sizeof(*s->net));
    all->net_count += count;
}

/* A spec that was changed lately may have another number of them than the guest that is there. */
static void take_blocks(struct metrics_guests *all, struct row *row, uint32_t count,
                        const struct skep_guest_status *s)
{
    if (count > all->block_room - all->block_count)
        count = all->block_room - all->block_count;
    row->block_first = all->block_count;
    row->block_count = count;
    memcpy(all->blocks + all->block_count, s->block, count * sizeof(*s->block));
    all->block_count += count;
}

static void take_guest(struct metrics_guests *all, struct guest *g)
{
    const struct skep_guest_status *s = guest_refresh(g);
    struct row *row = &all->rows[all->count++];

    memcpy(row->name, g->name, sizeof(row->name));
    row->state = guest_state_text(g);
    row->starts = g->starts;
    row->is_there = s != NULL;
    row->log_bytes = g->log_base + g->view.console_end;
    if (!s)
        return;
    row->vcpus_on = s->vcpus_on;
    row->started_wall_ns = host_wall_ns(s->started_ns);
    for (unsigned i = 0; i < FAMILIES; i++)
        row->values[i] = metrics_value(s, families[i].offset);
    take_nets(all, row, s);
    take_blocks(all, row, g->spec->volume_count, s);
}

static bool take_room(struct metrics_guests *all)
{
    model_lock();
    all->room = guest_count() + SPARE;
    all->net_room = guest_device_count() + SPARE;
    all->block_room = guest_volume_count() + SPARE;
    model_unlock();
    all->rows = calloc(all->room, sizeof(*all->rows));
    all->nets = calloc(all->net_room, sizeof(*all->nets));
    all->blocks = calloc(all->block_room, sizeof(*all->blocks));
    return all->rows && all->nets && all->blocks;
}

/* Others get their turn with the model in between. */
struct metrics_guests *metrics_take_guests(void)
{
    struct metrics_guests *all = calloc(1, sizeof(*all));
    char last[SKEP_NAME_MAX] = "";
    bool more = true;

    if (!all || !take_room(all)) {
        metrics_free_guests(all);
        return NULL;
    }
    while (more) {
        struct guest *g = NULL;
        model_lock();
        for (unsigned i = 0; i < STEP && all->count < all->room && (g = guest_after(last)); i++) {
            memcpy(last, g->name, sizeof(last));
            if (access_sees(g->name))
                take_guest(all, g);
        }
        more = g != NULL;
        model_unlock();
    }
    return all;
}

void metrics_free_guests(struct metrics_guests *all)
{
    if (!all)
        return;
    free(all->rows);
    free(all->nets);
    free(all->blocks);
    free(all);
}

/*
 * Writing
 */

static void write_states(struct exposition *x, const struct metrics_guests *all)
{
    unsigned counts[STATES] = {0};

    exposition_family(x, METRIC_GAUGE, "skep_guest_state", "1 for the state that the guest is in.");
    for (const struct row *row = all->rows; row < all->rows + all->count; row++) {
        exposition_label(x, "guest", row->name);
        exposition_label(x, "state", row->state);
        exposition_number(x, 1);
        for (unsigned i = 0; i < STATES; i++)
            counts[i] += strcmp(row->state, states[i]) == 0;
    }
    exposition_family(x, METRIC_GAUGE, "skep_guests", "Guests by state.");
    for (unsigned i = 0; i < STATES; i++) {
        exposition_label(x, "state", states[i]);
        exposition_number(x, counts[i]);
    }
}

static void write_own(struct exposition *x, const struct metrics_guests *all)
{
    const struct row *end = all->rows + all->count;

    exposition_family(x, METRIC_COUNTER, "skep_guest_starts",
                      "Times that the guest was created since the control service's start.");
    for (const struct row *row = all->rows; row < end; row++) {
        exposition_label(x, "guest", row->name);
        exposition_number(x, row->starts);
    }
    exposition_family(x, METRIC_COUNTER, "skep_guest_log_bytes", "Bytes that it printed.");
    for (const struct row *row = all->rows; row < end; row++) {
        exposition_label(x, "guest", row->name);
        exposition_number(x, row->log_bytes);
    }
    exposition_family(x, METRIC_GAUGE, "skep_guest_start_time_seconds",
                      "UNIX time of its start; its counters begin then.");
    for (const struct row *row = all->rows; row < end; row++) {
        if (!row->started_wall_ns)
            continue;
        exposition_label(x, "guest", row->name);
        exposition_seconds(x, row->started_wall_ns);
    }
    exposition_family(x, METRIC_GAUGE, "skep_guest_vcpus", "vCPUs that are on.");
    for (const struct row *row = all->rows; row < end; row++) {
        if (!row->is_there)
            continue;
        exposition_label(x, "guest", row->name);
        exposition_number(x, row->vcpus_on);
    }
}

static void write_family(struct exposition *x, const struct metrics_guests *all, unsigned family)
{
    exposition_family(x, families[family].type, families[family].name, families[family].help);
    for (const struct row *row = all->rows; row < all->rows + all->count; row++) {
        if (!row->is_there)
            continue;
        exposition_label(x, "guest", row->name);
        if (families[family].is_ns)
            exposition_seconds(x, row->values[family]);
        else
            exposition_number(x, row->values[family]);
    }
}

static void write_net_family(struct exposition *x, const struct metrics_guests *all,
                             unsigned family)
{
    exposition_family(x, METRIC_COUNTER, net_families[family].name, net_families[family].help);
    for (const struct row *row = all->rows; row < all->rows + all->count; row++)
        for (uint32_t i = 0; i < row->net_count; i++) {
            exposition_label(x, "guest", row->name);
            exposition_label_number(x, "device", i);
            exposition_number(
                x, metrics_value(&all->nets[row->net_first + i], net_families[family].offset));
        }
}

static void write_block_family(struct exposition *x, const struct metrics_guests *all,
                               unsigned family)
{
    exposition_family(x, METRIC_COUNTER, block_families[family].name, block_families[family].help);
    for (const struct row *row = all->rows; row < all->rows + all->count; row++)
        for (uint32_t i = 0; i < row->block_count; i++) {
            exposition_label(x, "guest", row->name);
            exposition_label_number(x, "device", i);
            exposition_number(x, metrics_value(&all->blocks[row->block_first + i],
                                               block_families[family].offset));
        }
}

void metrics_write_guests(struct exposition *x, const struct metrics_guests *all)
{
    write_states(x, all);
    write_own(x, all);
    for (unsigned i = 0; i < FAMILIES && !x->failed; i++)
        write_family(x, all, i);
    for (unsigned i = 0; i < sizeof(net_families) / sizeof(*net_families) && !x->failed; i++)
        write_net_family(x, all, i);
    for (unsigned i = 0; i < sizeof(block_families) / sizeof(*block_families) && !x->failed; i++)
        write_block_family(x, all, i);
}

/*
 * What guests say of themselves. It is one family, so it is written as it is read: nothing of it is kept, and a guest
 * can't make anything grow. Nothing is believed but that a number is a number.
 */

static bool stat_name_valid(const char name[STAT_NAME])
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz",
                      rest[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    size_t bytes = strnlen(name, STAT_NAME);

    return bytes < STAT_NAME && strspn(name, first) > 0 && strspn(name, rest) == bytes;
}

/* Two of one name would spoil the whole answer. */
static bool is_first(const struct skep_stat *stats, unsigned index)
{
    for (unsigned i = 0; i < index; i++)
        if (strncmp(stats[i].name, stats[index].name, sizeof(stats->name)) == 0)
            return false;
    return true;
}

static void write_stats_of(struct exposition *x, const char *guest, const struct skep_stat *stats)
{
    for (unsigned i = 0; i < SKEP_STATS_MAX; i++) {
        if (!stat_name_valid(stats[i].name) || !is_first(stats, i))
            continue;
        exposition_label(x, "guest", guest);
        exposition_label(x, "name", stats[i].name);
        exposition_number(x, stats[i].value);
    }
}

void metrics_write_stats(struct exposition *x)
{
    struct skep_stat stats[SKEP_STATS_MAX];
    char name[SKEP_NAME_MAX] = "";
    struct guest *g;

    exposition_family(x, METRIC_UNKNOWN, "skep_guest_stat", "What a guest says of itself.");
    do {
        bool known;
        model_lock();
        g = guest_after(name);
        if (g)
            memcpy(name, g->name, sizeof(name));
        known = g && g->handle && access_sees(g->name) && core_guest_stats(g->handle, stats) == 0;
        model_unlock();
        if (known)
            write_stats_of(x, name, stats);
    } while (g && !x->failed);
}
