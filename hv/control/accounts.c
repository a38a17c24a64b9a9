/* accounts.c - counters of guests, vCPUs and CPUs, and trace records, as JSON. */
#include "accounts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core.h"
#include "json.h"
#include "log.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const char *const call_names[SKEP_HC_GUEST_COUNT] = {
    [SKEP_HC_CONSOLE_WRITE] = "console_write",
    [SKEP_HC_CONSOLE_READ] = "console_read",
    [SKEP_HC_EXIT] = "exit",
    [SKEP_HC_ABORT] = "abort",
    [SKEP_HC_WAIT] = "wait",
    [SKEP_HC_YIELD] = "yield",
    [SKEP_HC_TIMER_SET] = "timer_set",
    [SKEP_HC_CLOCK_READ] = "clock_read",
    [SKEP_HC_RESUME] = "resume",
    [SKEP_HC_MEM_MAP] = "mem_map",
    [SKEP_HC_MEM_PROTECT] = "mem_protect",
    [SKEP_HC_MEM_UNMAP] = "mem_unmap",
    [SKEP_HC_VCPU_START] = "vcpu_start",
    [SKEP_HC_VCPU_STOP] = "vcpu_stop",
    [SKEP_HC_EVENT_SEND] = "event_send",
    [SKEP_HC_QUEUE_SETUP] = "queue_setup",
    [SKEP_HC_QUEUE_KICK] = "queue_kick",
    [SKEP_HC_BASE_SET] = "base_set",
    [SKEP_HC_NET_GROUP] = "net_group",
};

static const char *const vcpu_states[] = {"off", "blocked", "ready", "running", "held"};

static const char *const guest_states[] = {"created", "running", "paused", "stopping",
                                           "exited",  "crashed", "dying"};

static const char *name_in(const char *const *names, size_t count, uint64_t index)
{
    return index < count && names[index] ? names[index] : "unknown";
}

const char *guest_state_name(uint32_t state)
{
    return name_in(guest_states, COUNT(guest_states), state);
}

/*
 * Traces
 */

static void add_event(cJSON *item, uint64_t event)
{
    static const char *const names[] = {"timer", "ipi", "shutdown", "console", "notify", "change"};
    char text[32];

    if (event >= SKEP_EVENT_QUEUE_0)
        snprintf(text, sizeof(text), "queue %u", (unsigned)(event - SKEP_EVENT_QUEUE_0));
    else
        snprintf(text, sizeof(text), "%s", name_in(names, COUNT(names), event));
    json_add_string(item, "event", text);
}

static void add_signed(cJSON *item, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    cJSON_AddRawToObject(item, name, text);
}

static const char *add_details(cJSON *item, const struct skep_trace_record *r)
{
    switch (r->kind) {
    case SKEP_TRACE_RUN:
        json_add_integer(item, "ready_ns", r->a);
        return "run";
    case SKEP_TRACE_LEAVE:
        json_add_string(item, "state", name_in(vcpu_states, COUNT(vcpu_states), r->a));
        json_add_integer(item, "run_ns", r->b);
        return "leave";
    case SKEP_TRACE_HYPERCALL:
        json_add_string(item, "call", name_in(call_names, COUNT(call_names), r->a));
        add_signed(item, "result", (int64_t)r->b);
        return "hypercall";
    case SKEP_TRACE_FAULT:
        json_add_hex(item, "address", r->a);
        json_add_hex(item, "error", r->b);
        return "fault";
    case SKEP_TRACE_EVENT:
        add_event(item, r->a);
        return "event";
    case SKEP_TRACE_STATE:
        json_add_string(item, "state", guest_state_name((uint32_t)r->a));
        return "state";
    default:
        json_add_hex(item, "a", r->a);
        json_add_hex(item, "b", r->b);
        return "unknown";
    }
}

cJSON *trace_to_json(const struct skep_trace_record *records, uint32_t count)
{
    cJSON *list = cJSON_CreateArray();

    for (uint32_t i = 0; i < count; i++) {
        cJSON *item = cJSON_CreateObject();
        json_add_integer(item, "clock_ns", records[i].clock_ns);
        cJSON_AddNumberToObject(item, "cpu", records[i].cpu);
        cJSON_AddNumberToObject(item, "vcpu", records[i].vcpu);
        json_add_string(item, "kind", add_details(item, &records[i]));
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

static cJSON *not_known(int64_t result, const char *what, struct problem *p)
{
    if (result == -SKEP_ENOSYS) {
        log_line("the core has no %s yet", what);
        problem_set(p, 501, "This core has no %s.", what);
    } else if (result == -SKEP_ENOENT) {
        problem_set(p, 409, "The guest doesn't run, so it has no %s.", what);
    } else {
        problem_set(p, 503, "The %s can't be read now (error %d); try again.", what, (int)-result);
    }
    return NULL;
}

static int by_clock(const void *a, const void *b)
{
    const struct skep_trace_record *one = a, *two = b;
    return (one->clock_ns > two->clock_ns) - (one->clock_ns < two->clock_ns);
}

/* All CPUs' records, one after the other; their number, or a negative error. */
static int64_t read_all(uint64_t handle, uint32_t cpus, struct skep_trace_record *records)
{
    int64_t count = 0;

    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        int64_t n = core_trace_read(handle, cpu, records + count, SKEP_TRACE_CPU_MAX);
        if (n < 0)
            return n;
        count += n;
    }
    return count;
}

cJSON *trace_of_guest(uint64_t handle, uint32_t cpus, struct problem *p)
{
    struct skep_trace_record *records = malloc(cpus * SKEP_TRACE_CPU_MAX * sizeof(*records));
    int64_t count = records ? read_all(handle, cpus, records) : -SKEP_ENOMEM;
    int64_t skip = count > TRACE_READ_MAX ? count - TRACE_READ_MAX : 0;
    cJSON *json = NULL;

    if (count >= 0) {
        qsort(records, (size_t)count, sizeof(*records), by_clock);
        json = cJSON_CreateObject();
        json_add(json, "items", trace_to_json(records + skip, (uint32_t)(count - skip)));
    }
    free(records);
    return json ? json : not_known(count, "trace", p);
}

/*
 * Counters
 */

void networks_to_json(cJSON *list, const struct skep_guest_status *status)
{
    for (uint32_t i = 0; i < status->net_count && i < SKEP_NETS_MAX; i++) {
        const struct skep_net_counters *net = &status->net[i];
        cJSON *item = cJSON_CreateObject();

        json_add_integer(item, "rx_packets", net->rx_packets);
        json_add_integer(item, "rx_bytes", net->rx_bytes);
        json_add_integer(item, "rx_dropped", net->rx_dropped);
        json_add_integer(item, "tx_packets", net->tx_packets);
        json_add_integer(item, "tx_bytes", net->tx_bytes);
        json_add_integer(item, "tx_dropped", net->tx_dropped);
        json_add_integer(item, "tx_copied_bytes", net->tx_copied);
        cJSON_AddItemToArray(list, item);
    }
}

cJSON *counters_to_json(const struct skep_guest_status *s)
{
    cJSON *json = cJSON_CreateObject();

    json_add_integer(json, "cpu_time_ns", s->cpu_ns);
    json_add_integer(json, "ready_time_ns", s->ready_ns);
    json_add_integer(json, "memory_used_bytes", s->memory_used);
    json_add_integer(json, "memory_peak_bytes", s->memory_peak);
    json_add_integer(json, "hypercalls", s->hypercalls);
    json_add_integer(json, "page_faults", s->page_faults);
    networks_to_json(json_add_array(json, "networks"), s);
    return json;
}

static void add_calls(cJSON *json, const struct skep_vcpu_status *s)
{
    cJSON *calls = json_add_object(json, "hypercalls");

    for (unsigned i = 0; i < SKEP_HC_GUEST_COUNT; i++)
        if (s->hypercalls[i])
            json_add_item(calls, call_names[i], json_create_integer(s->hypercalls[i]));
    if (s->hypercalls[SKEP_HC_GUEST_COUNT])
        json_add_integer(calls, "unknown", s->hypercalls[SKEP_HC_GUEST_COUNT]);
}

static cJSON *vcpu_to_json(uint32_t index, const struct skep_vcpu_status *s)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddNumberToObject(json, "vcpu", index);
    json_add_string(json, "state", name_in(vcpu_states, COUNT(vcpu_states), s->state));
    cJSON_AddNumberToObject(json, "cpu", s->cpu);
    json_add_integer(json, "run_ns", s->run_ns);
    json_add_integer(json, "ready_ns", s->ready_ns);
    json_add_integer(json, "idle_ns", s->idle_ns);
    json_add_integer(json, "switches", s->switches);
    json_add_integer(json, "events", s->events);
    json_add_integer(json, "upcalls", s->upcalls);
    json_add_integer(json, "page_faults", s->page_faults);
    add_calls(json, s);
    return json;
}

cJSON *vcpus_of_guest(uint64_t handle, uint32_t count, struct problem *p)
{
    cJSON *json = cJSON_CreateObject(), *items = json_add_array(json, "items");
    struct skep_vcpu_status status;
    int64_t result;

    for (uint32_t i = 0; i < count; i++) {
        if ((result = core_vcpu_status(handle, i, &status)) != 0) {
            cJSON_Delete(json);
            return not_known(result, "vCPU status", p);
        }
        cJSON_AddItemToArray(items, vcpu_to_json(i, &status));
    }
    return json;
}

cJSON *cpus_to_json(uint32_t count)
{
    cJSON *list = cJSON_CreateArray();
    struct skep_cpu_info info;

    for (uint32_t i = 0; i < count && core_cpu_info(i, &info) == 0; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "cpu", i);
        json_add_integer(item, "idle_ns", info.idle_ns);
        json_add_integer(item, "guest_ns", info.guest_ns);
        json_add_integer(item, "core_ns", info.core_ns);
        json_add_integer(item, "traps", info.traps);
        json_add_integer(item, "hypercalls", info.hypercalls);
        json_add_integer(item, "switches", info.switches);
        json_add_integer(item, "ipis", info.ipis);
        cJSON_AddItemToArray(list, item);
    }
    return list;
}
