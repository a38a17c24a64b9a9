/* metrics_host.c - metrics of the machine and of the control service. */
#include "api.h"
#include "core.h"
#include "counters.h"
#include "events.h"
#include "host.h"
#include "metrics.h"
#include "persist.h"
#include "state.h"

#define CPUS_MAX 64u

static void write_one(struct exposition *x, enum metric_type type, const char *name,
                      const char *help, uint64_t value)
{
    exposition_family(x, type, name, help);
    exposition_number(x, value);
}

static void write_seconds(struct exposition *x, enum metric_type type, const char *name,
                          const char *help, uint64_t ns)
{
    exposition_family(x, type, name, help);
    exposition_seconds(x, ns);
}

/*
 * The machine
 */

static void write_memory(struct exposition *x, const struct skep_host_info *info)
{
    const struct {
        const char *type;
        uint64_t bytes;
    } parts[] = {{"total", info->memory_total},
                 {"promisable", info->memory_promisable},
                 {"promised", info->memory_promised},
                 {"used", info->memory_used},
                 {"free", info->memory_free}};

    exposition_family(x, METRIC_GAUGE, "skep_memory_bytes", "The machine's memory.");
    for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
        exposition_label(x, "type", parts[i].type);
        exposition_number(x, parts[i].bytes);
    }
    exposition_family(x, METRIC_GAUGE, "skep_frames", "4 KiB frames of it by what they hold.");
    for (unsigned i = 0; i < SKEP_FRAME_TYPES; i++) {
        if (!host_frame_name(i))
            continue;
        exposition_label(x, "type", host_frame_name(i));
        exposition_number(x, info->frames[i]);
    }
}

static void write_cpu_mode(struct exposition *x, uint32_t cpu, const char *mode, uint64_t ns)
{
    exposition_label_number(x, "cpu", cpu);
    exposition_label(x, "mode", mode);
    exposition_seconds(x, ns);
}

/* Those that there are. */
static uint32_t take_cpus(struct skep_cpu_info cpus[CPUS_MAX])
{
    uint32_t count = 0;

    while (count < host_cpu_count() && count < CPUS_MAX && core_cpu_info(count, &cpus[count]) == 0)
        count++;
    return count;
}

static void write_cpus(struct exposition *x)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } families[] = {
        {"skep_cpu_traps", "Traps.", offsetof(struct skep_cpu_info, traps)},
        {"skep_cpu_hypercalls", "Hypercalls.", offsetof(struct skep_cpu_info, hypercalls)},
        {"skep_cpu_switches", "Times that a vCPU was put on it.",
         offsetof(struct skep_cpu_info, switches)},
        {"skep_cpu_ipis", "Interrupts that it sent to others.",
         offsetof(struct skep_cpu_info, ipis)},
    };
    struct skep_cpu_info cpus[CPUS_MAX];
    uint32_t count = take_cpus(cpus);

    exposition_family(x, METRIC_COUNTER, "skep_cpu_seconds",
                      "Time that a CPU was idle, charged to guests, or ring 0's own.");
    for (uint32_t i = 0; i < count; i++) {
        write_cpu_mode(x, i, "idle", cpus[i].idle_ns);
        write_cpu_mode(x, i, "guest", cpus[i].guest_ns);
        write_cpu_mode(x, i, "core", cpus[i].core_ns);
    }
    for (unsigned f = 0; f < sizeof(families) / sizeof(*families); f++) {
        exposition_family(x, METRIC_COUNTER, families[f].name, families[f].help);
        for (uint32_t i = 0; i < count; i++) {
            exposition_label_number(x, "cpu", i);
            exposition_number(x, metrics_value(&cpus[i], families[f].offset));
        }
    }
}

static void write_storage(struct exposition *x)
{
    uint64_t bytes, used;

    state_usage(&bytes, &used);
    exposition_family(x, METRIC_GAUGE, "skep_storage_state",
                      "1 for the state of what keeps Skep's own changes.");
    exposition_label(x, "state", persist_state_name());
    exposition_number(x, 1);
    write_one(x, METRIC_GAUGE, "skep_storage_bytes", "Bytes that there are for it.", bytes);
    write_one(x, METRIC_GAUGE, "skep_storage_used_bytes", "Bytes of these in use.", used);
}

void metrics_write_host(struct exposition *x)
{
    struct skep_host_info info;

    if (core_host_info(&info) != 0)
        return;
    exposition_family(x, METRIC_INFO, "skep_build", "The version of Skep.");
    exposition_label(x, "version", info.version);
    exposition_number(x, 1);
    write_seconds(x, METRIC_GAUGE, "skep_uptime_seconds", "Time since boot.", info.clock_ns);
    if (info.wall_ns)
        write_seconds(x, METRIC_GAUGE, "skep_boot_time_seconds", "UNIX time of the boot.",
                      info.wall_ns - info.clock_ns);
    write_one(x, METRIC_GAUGE, "skep_images",
              "Images, and guests that have files: theirs are kept as images are.",
              info.image_count);
    write_memory(x, &info);
    write_cpus(x);
    write_storage(x);
    write_one(x, METRIC_COUNTER, "skep_control_restarts",
              "Times that the control service was started again since boot.",
              info.control_restarts);
    write_one(x, METRIC_GAUGE, "skep_control_safe_mode", "1 if it has started without the specs.",
              info.safe_mode != 0);
}

/*
 * The service
 */

static void write_handshakes(struct exposition *x)
{
    exposition_family(x, METRIC_COUNTER, "skep_tls_handshakes",
                      "TLS handshakes by how they ended.");
    exposition_label(x, "result", "full");
    exposition_number(x, counter_get(COUNTER_HANDSHAKES));
    exposition_label(x, "result", "resumed");
    exposition_number(x, counter_get(COUNTER_HANDSHAKES_RESUMED));
    exposition_label(x, "result", "failed");
    exposition_number(x, counter_get(COUNTER_HANDSHAKES_FAILED));
}

static void write_latencies(struct exposition *x)
{
    struct latencies l;

    latency_get(&l);
    exposition_family(x, METRIC_HISTOGRAM, "skep_http_request_duration_seconds",
                      "From a request's head to its answer's end, without streams.");
    exposition_suffix(x, "_bucket");
    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++) {
        exposition_label(x, "le", latency_bounds[i]);
        exposition_number(x, l.counts[i]);
    }
    exposition_suffix(x, "_sum");
    exposition_seconds(x, l.sum_ns);
    exposition_suffix(x, "_count");
    exposition_number(x, l.counts[LATENCY_BOUNDS]);
}

/* What was closed is asked first, so that the difference is never negative. */
static void write_connections(struct exposition *x)
{
    uint64_t closed = counter_get(COUNTER_CLOSED);

    write_one(x, METRIC_GAUGE, "skep_connections_open", "Connections to the API.",
              counter_get(COUNTER_ACCEPTED) - closed);
    write_one(x, METRIC_COUNTER, "skep_connections_accepted", "Connections that got a thread.",
              counter_get(COUNTER_ACCEPTED));
    write_one(x, METRIC_COUNTER, "skep_connections_evicted", "Closed for another one's sake.",
              counter_get(COUNTER_EVICTED));
    write_one(x, METRIC_COUNTER, "skep_connections_refused", "Closed at once: all were busy.",
              counter_get(COUNTER_REFUSED));
}

void metrics_write_service(struct exposition *x)
{
    write_seconds(x, METRIC_COUNTER, "skep_control_cpu_seconds",
                  "CPU time of the control service since its start.", core_own_cpu_ns());
    write_one(x, METRIC_GAUGE, "skep_control_heap_used_bytes",
              "What the control service has of its heap.", core_own_heap_bytes());
    write_connections(x);
    write_handshakes(x);
    exposition_family(x, METRIC_COUNTER, "skep_http_requests",
                      "Requests by method, route and class of the answer's status.");
    api_write_requests(x);
    write_latencies(x);
    write_one(x, METRIC_COUNTER, "skep_http_received_bytes", "Bytes of HTTP, within TLS.",
              counter_get(COUNTER_RECEIVED_BYTES));
    write_one(x, METRIC_COUNTER, "skep_http_sent_bytes", "Bytes of HTTP, within TLS.",
              counter_get(COUNTER_SENT_BYTES));
    write_one(x, METRIC_GAUGE, "skep_streams", "Streams of events, followed logs and consoles.",
              api_stream_count());
    write_one(x, METRIC_COUNTER, "skep_events", "Events since the control service's start.",
              events_last());
}
