/* spec.c - specs of guests, as options have them. */
#include "spec.h"

#include <stdlib.h>
#include <string.h>

#include <mbedtls/base64.h>

#include "api.h"
#include "label.h"
#include "stream.h"
#include "table.h"

static int add_network(const struct call *call, cJSON *spec)
{
    static const char *const names[] = {"address", "gateway", "address6", "gateway6", "dns", "mac"};
    cJSON *network = NULL;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *value = call_value(call, names[i]);
        if (!value)
            continue;
        if (!network)
            network = cJSON_CreateObject();
        cJSON_AddStringToObject(network, names[i], value);
    }
    if (!network)
        return EXIT_OK;
    cJSON_AddItemToArray(cJSON_AddArrayToObject(spec, "networks"), network);
    return call_value(call, "address")
               ? EXIT_OK
               : fail(EXIT_USAGE, "a network needs --address, A.B.C.D/length or dhcp");
}

/* "NAME", "NAME:/MOUNT", and ":ro" and ":format" behind it. */
static cJSON *read_volume(const char *text)
{
    char *copy = text_copy(text), *rest = copy, *word = strsep(&rest, ":");
    cJSON *volume = cJSON_CreateObject();
    bool good = *word != '\0';

    cJSON_AddStringToObject(volume, "name", word);
    for (bool first = true; good && (word = strsep(&rest, ":")); first = false) {
        if (first && *word == '/')
            cJSON_AddStringToObject(volume, "mount", word);
        else if (strcmp(word, "ro") == 0 && !cJSON_HasObjectItem(volume, "read_only"))
            cJSON_AddTrueToObject(volume, "read_only");
        else if (strcmp(word, "format") == 0 && !cJSON_HasObjectItem(volume, "format"))
            cJSON_AddTrueToObject(volume, "format");
        else
            good = false;
    }
    free(copy);
    if (good)
        return volume;
    cJSON_Delete(volume);
    fail(EXIT_USAGE, "--volume '%s': say NAME[:/MOUNT][:ro][:format]", text);
    return NULL;
}

static int add_volumes(const struct call *call, cJSON *spec)
{
    cJSON *all = cJSON_AddArrayToObject(spec, "volumes"), *volume;
    const char *one;

    for (int at = 0; (one = call_next(call, "volume", &at));) {
        volume = read_volume(one);
        if (!volume)
            return EXIT_USAGE;
        cJSON_AddItemToArray(all, volume);
    }
    return EXIT_OK;
}

/* Whether it can be a JSON string whatever reads it: ASCII, of what can be printed. */
static bool is_text(const char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if ((data[i] < ' ' && !strchr("\t\n\r", data[i])) || data[i] == '\0' || data[i] > '~')
            return false;
    return true;
}

/* As text, which can be read where it is shown, or as base64. */
static void add_content(cJSON *file, const char *data, size_t bytes)
{
    size_t room = 4 * (bytes / 3 + 1) + 1, length;
    char *base64 = memory_take(room);

    if (is_text(data, bytes))
        cJSON_AddStringToObject(file, "content", data);
    else if (mbedtls_base64_encode((uint8_t *)base64, room, &length, (const uint8_t *)data,
                                   bytes) == 0)
        cJSON_AddStringToObject(file, "content_base64", base64);
    free(base64);
}

/* /PATH=FILE */
static int add_file(const char *option, const char *text, bool secret, cJSON *all)
{
    size_t path_bytes = strcspn(text, "="), bytes = 0;
    char *data, *path;
    cJSON *file;

    if (*text != '/' || text[path_bytes] != '=')
        return fail(EXIT_USAGE, "--%s '%s': say /PATH=FILE", option, text);
    data = file_read(text + path_bytes + 1, &bytes);
    if (!data)
        return EXIT_LOCAL;
    file = cJSON_CreateObject();
    cJSON_AddItemToArray(all, file);
    path = text_format("%.*s", (int)path_bytes, text);
    cJSON_AddStringToObject(file, "path", path);
    cJSON_AddBoolToObject(file, "secret", secret);
    add_content(file, data, bytes);
    free(path);
    free(data);
    return EXIT_OK;
}

static int add_files(const struct call *call, const char *option, bool secret, cJSON *all)
{
    const char *one;
    int result = EXIT_OK;

    for (int at = 0; result == EXIT_OK && (one = call_next(call, option, &at));)
        result = add_file(option, one, secret, all);
    return result;
}

static void add_names(const struct call *call, const char *option, const char *field, cJSON *spec)
{
    cJSON *all = cJSON_AddArrayToObject(spec, field);
    const char *one;

    for (int at = 0; (one = call_next(call, option, &at));)
        cJSON_AddItemToArray(all, cJSON_CreateString(one));
}

static int add_number(const struct call *call, const char *option, const char *field,
                      unsigned long least, unsigned long most, cJSON *spec)
{
    unsigned long number = 0;
    int result = call_number(call, option, least, most, &number);

    if (result == EXIT_OK && call_value(call, option))
        cJSON_AddNumberToObject(spec, field, (double)number);
    return result;
}

int spec_add_numbers(const struct call *call, cJSON *spec)
{
    const char *memory = call_value(call, "memory");
    uint64_t bytes;

    if (memory && size_read(memory, &bytes) != EXIT_OK)
        return EXIT_USAGE;
    if (memory)
        cJSON_AddNumberToObject(spec, "memory_bytes", (double)bytes);
    if (add_number(call, "vcpus", "vcpus", 1, 4096, spec) != EXIT_OK ||
        add_number(call, "max-vcpus", "max_vcpus", 1, 4096, spec) != EXIT_OK ||
        add_number(call, "weight", "weight", 1, 10000, spec) != EXIT_OK ||
        add_number(call, "cap", "cpu_cap", 0, 409600, spec) != EXIT_OK)
        return EXIT_USAGE;
    return EXIT_OK;
}

int spec_make(const struct call *call, const char *image, cJSON *spec)
{
    cJSON *args, *files;
    int result;

    cJSON_AddStringToObject(spec, "image", image);
    args = cJSON_AddArrayToObject(spec, "args");
    for (int i = 1; i < call->operand_count; i++)
        cJSON_AddItemToArray(args, cJSON_CreateString(call->operands[i]));
    add_names(call, "start-after", "start_after", spec);
    files = cJSON_AddArrayToObject(spec, "files");
    if (call_value(call, "restart"))
        cJSON_AddStringToObject(spec, "restart", call_value(call, "restart"));
    result = add_network(call, spec);
    if (result == EXIT_OK)
        result = pairs_add(call, "env", "env", spec);
    if (result == EXIT_OK)
        result = pairs_add(call, "label", "labels", spec);
    if (result == EXIT_OK)
        result = add_volumes(call, spec);
    if (result == EXIT_OK)
        result = add_files(call, "file", false, files);
    if (result == EXIT_OK)
        result = add_files(call, "secret", true, files);
    return result == EXIT_OK ? spec_add_numbers(call, spec) : result;
}
