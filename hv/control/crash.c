/* crash.c - a guest's crash record as JSON: reason, registers, a backtrace with names, what was mapped at the address,
 * the latest trace records and output. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "accounts.h"
#include "crashes.h"
#include "host.h"
#include "image.h"
#include "json.h"
#include "skep/crash_name.h"
#include "symbols.h"

#define CONSOLE_TAIL 4096u

static void add_registers(cJSON *crash, const struct skep_context *c)
{
    const struct {
        const char *name;
        uint64_t value;
    } list[] = {{"rip", c->rip}, {"rsp", c->rsp},       {"rbp", c->rbp},    {"rax", c->rax},
                {"rbx", c->rbx}, {"rcx", c->rcx},       {"rdx", c->rdx},    {"rsi", c->rsi},
                {"rdi", c->rdi}, {"r8", c->r8},         {"r9", c->r9},      {"r10", c->r10},
                {"r11", c->r11}, {"r12", c->r12},       {"r13", c->r13},    {"r14", c->r14},
                {"r15", c->r15}, {"rflags", c->rflags}, {"fs", c->fs_base}, {"gs", c->gs_base}};
    cJSON *registers = cJSON_AddObjectToObject(crash, "registers");

    for (unsigned i = 0; i < sizeof(list) / sizeof(*list); i++)
        json_add_item(registers, list[i].name, json_create_hex(list[i].value));
}

/* The function that an address of the guest belongs to. A return address belongs to the call before
 * it: a call at a function's very end returns to what is already the next one. */
static bool function_at(const struct skep_guest_status *status, const struct image *image,
                        uint64_t address, bool is_return, struct symbol *symbol, uint64_t *into)
{
    uint64_t offset = address - status->image_base - is_return;

    if (!image || address < status->image_base || offset >= ELF_SPAN_MAX ||
        !symbols_find(image->handle, image->symbol_page, image->symbol_count, offset, symbol))
        return false;
    *into = offset - symbol->offset + is_return;
    return true;
}

static void add_line(cJSON *list, const struct skep_guest_status *status, const struct image *image,
                     uint64_t address, bool is_return)
{
    struct symbol symbol;
    uint64_t into;
    char text[200];

    if (function_at(status, image, address, is_return, &symbol, &into))
        snprintf(text, sizeof(text), "0x%" PRIx64 " %.*s+0x%" PRIx64, address, SYMBOL_NAME_MAX - 1,
                 symbol.name, into);
    else
        snprintf(text, sizeof(text), "0x%" PRIx64, address);
    cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

/* Frame pointers don't lead to the caller of a function that has no frame yet, or that is none: a
 * call through a wild pointer. Its return address is on the top of the stack then, or above the
 * caller's frame pointer that it has just pushed. 0 where the frames know better. */
static uint64_t frameless_caller(const struct skep_guest_status *status, const struct image *image)
{
    const struct skep_crash *crash = &status->crash;
    struct symbol symbol;
    uint64_t into = 0, caller = 0;

    function_at(status, image, crash->context.rip, false, &symbol, &into);
    if (into == 0)
        caller = crash->stack[0];
    else if (crash->stack[0] == crash->context.rbp)
        caller = crash->stack[1];
    return function_at(status, image, caller, true, &symbol, &into) ? caller : 0;
}

static void add_backtrace(cJSON *crash, const struct skep_guest_status *status)
{
    const struct image *image = image_by_handle(status->image);
    cJSON *list = cJSON_AddArrayToObject(crash, "backtrace");
    uint64_t caller = frameless_caller(status, image);

    for (uint32_t i = 0; i < status->crash.backtrace_count && i < SKEP_BACKTRACE_MAX; i++) {
        add_line(list, status, image, status->crash.backtrace[i], i > 0);
        if (i == 0 && caller)
            add_line(list, status, image, caller, true);
    }
}

static void add_mapping(cJSON *json, const struct skep_mapping *m)
{
    static const char *const kinds[] = {"nothing", "image",      "memory",    "stack",
                                        "guard",   "start-info", "vcpu-page", "files"};
    cJSON *mapping;
    char rights[4];

    if (m->bytes == 0) /* the core didn't look */
        return;
    mapping = cJSON_AddObjectToObject(json, "mapping");
    cJSON_AddStringToObject(mapping, "kind",
                            m->kind < sizeof(kinds) / sizeof(*kinds) ? kinds[m->kind] : "unknown");
    json_add_hex(mapping, "start", m->start);
    json_add_integer(mapping, "bytes", m->bytes);
    snprintf(rights, sizeof(rights), "%c%c%c", m->prot & SKEP_PROT_READ ? 'r' : '-',
             m->prot & SKEP_PROT_WRITE ? 'w' : '-', m->prot & SKEP_PROT_EXEC ? 'x' : '-');
    cJSON_AddStringToObject(mapping, "rights", rights);
}

static void add_fault(cJSON *json, const struct skep_crash *c)
{
    if (c->reason == SKEP_CRASH_PAGE_FAULT || c->reason == SKEP_CRASH_GUARD_PAGE) {
        cJSON_AddStringToObject(json, "access",
                                c->error & SKEP_FAULT_EXEC    ? "execute"
                                : c->error & SKEP_FAULT_WRITE ? "write"
                                                              : "read");
        cJSON_AddBoolToObject(json, "mapped", (c->error & SKEP_FAULT_PRESENT) != 0);
    }
    add_mapping(json, &c->mapping);
}

static void add_message(cJSON *json, const struct skep_crash *c)
{
    char text[sizeof(c->message) + 1];
    size_t bytes = c->message_bytes < sizeof(c->message) ? c->message_bytes : sizeof(c->message);

    if (bytes == 0)
        return;
    memcpy(text, c->message, bytes);
    text[bytes] = '\0';
    json_clean_text(text);
    cJSON_AddStringToObject(json, "message", text);
}

/* A guest may have printed anything: lines stay lines, all else that is no character becomes a question mark. */
static void clean_lines(char *text, size_t bytes)
{
    char *line = text;

    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\0')
            text[i] = '?';
        if (text[i] != '\n' && text[i] != '\t')
            continue;
        char kept = text[i];
        text[i] = '\0';
        json_clean_line(line, &text[i]);
        text[i] = kept;
        line = &text[i + 1];
    }
    json_clean_line(line, text + bytes);
}

static void add_console(cJSON *json, uint64_t handle, uint64_t log_base,
                        const struct skep_guest_status *status)
{
    char text[CONSOLE_TAIL + 1];
    uint64_t first = status->console_first, end = status->console_end;
    size_t bytes = 0;

    if (end - first > CONSOLE_TAIL)
        first = end - CONSOLE_TAIL;
    while (first + bytes < end) {
        int64_t n = core_console_read(handle, first + bytes, text + bytes, end - first - bytes);
        if (n <= 0)
            break;
        bytes += (size_t)n;
    }
    text[bytes] = '\0';
    clean_lines(text, bytes);
    json_add_integer(json, "console_offset", log_base + first);
    cJSON_AddStringToObject(json, "console", text);
}

cJSON *crash_to_json(const char *name, uint64_t handle, uint64_t log_base,
                     const struct skep_guest_status *status)
{
    const struct skep_crash *c = &status->crash;
    uint32_t traced = c->trace_count < SKEP_CRASH_TRACE_MAX ? c->trace_count : SKEP_CRASH_TRACE_MAX;
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "guest", name);
    cJSON_AddStringToObject(json, "image", image_name(status->image));
    json_add_time(json, "at", host_wall_ns(status->ended_ns));
    cJSON_AddStringToObject(json, "reason", skep_crash_name(c->reason));
    cJSON_AddNumberToObject(json, "vcpu", c->vcpu);
    json_add_hex(json, "address", c->address);
    json_add_hex(json, "error", c->error);
    add_fault(json, c);
    add_message(json, c);
    add_registers(json, &c->context);
    json_add_hex(json, "image_base", status->image_base);
    add_backtrace(json, status);
    add_console(json, handle, log_base, status);
    cJSON_AddItemToObject(json, "trace", trace_to_json(c->trace, traced));
    cJSON_AddItemToObject(json, "counters", counters_to_json(status));
    return json;
}
