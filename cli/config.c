/* config.c - contexts and the environment. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"
#include "fail.h"

#define CONFIG_MAX (1u << 20)

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* The folder; the file if with_file. NULL, with the reason told, if there is no home. */
static char *config_path(bool with_file)
{
    const char *base = environment("XDG_CONFIG_HOME"), *home = environment("HOME");
    const char *file = with_file ? "/config.json" : "";

    if (base && *base == '/')
        return text_format("%s/skepctl%s", base, file);
    if (home)
        return text_format("%s/.config/skepctl%s", home, file);
    fail(EXIT_LOCAL, "neither XDG_CONFIG_HOME nor HOME tells where contexts are");
    return NULL;
}

static cJSON *parse(FILE *file, const char *path)
{
    char *text = memory_take(CONFIG_MAX);
    size_t bytes = fread(text, 1, CONFIG_MAX - 1, file);
    cJSON *config = cJSON_ParseWithLength(text, bytes);

    free(text);
    if (cJSON_IsObject(config))
        return config;
    cJSON_Delete(config);
    fail(EXIT_USAGE, "%s: is no JSON object: mend or delete it", path);
    return NULL;
}

static cJSON *read_file(FILE *file, const char *path)
{
    struct stat status;

    if (fstat(fileno(file), &status) == 0 && (status.st_mode & 077) == 0)
        return parse(file, path);
    fail(EXIT_USAGE, "%s: has tokens, and others can read it: chmod 600 it", path);
    return NULL;
}

cJSON *config_load(void)
{
    char *path = config_path(true);
    FILE *file = path ? fopen(path, "re") : NULL;
    cJSON *config = NULL;

    if (file) {
        config = read_file(file, path);
        fclose(file);
    } else if (path && errno == ENOENT) {
        config = cJSON_CreateObject();
    } else if (path) {
        fail(EXIT_LOCAL, "%s: %s", path, strerror(errno));
    }
    free(path);
    return config;
}

/* Makes the folder and those above it. */
static bool make_folder(char *path)
{
    for (char *at = strchr(path + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0700); /* there already, or the last one fails */
        *at = '/';
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t bytes = strlen(text);
    bool written = fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, text, bytes) == (ssize_t)bytes &&
                   fsync(fd) == 0;

    if (fd >= 0 && close(fd) != 0)
        written = false;
    return written;
}

int config_save(const cJSON *config)
{
    char *folder = config_path(false), *path, *fresh, *text;
    int result = EXIT_OK;

    if (!folder)
        return EXIT_LOCAL;
    path = text_format("%s/config.json", folder);
    fresh = text_format("%s.%ld", path, (long)getpid());
    text = cJSON_Print(config);
    if (!text || !make_folder(folder) || !write_file(fresh, text) || rename(fresh, path) != 0) {
        result = fail(EXIT_LOCAL, "%s: %s", path, strerror(errno));
        unlink(fresh);
    }
    free(text);
    free(fresh);
    free(path);
    free(folder);
    return result;
}

cJSON *config_find(const cJSON *config, const char *name)
{
    cJSON *context;

    name = name ? name : value_text(config, "current", NULL);
    context = name ? cJSON_GetObjectItemCaseSensitive(value_at(config, "contexts"), name) : NULL;
    if (!name)
        fail(EXIT_USAGE,
             "no Skep is chosen: skepctl login https://HOST, or skepctl context use NAME");
    else if (!context)
        fail(EXIT_USAGE, "there is no context '%s': skepctl context ls has all", name);
    return context;
}

int config_repin(const char *name, const char *pin, const char *fingerprint)
{
    cJSON *config, *context;
    int result = EXIT_USAGE;

    if ((!name && environment("SKEP_URL")) || environment("SKEP_PIN")) {
        note("set SKEP_PIN to %s", pin);
        return EXIT_OK;
    }
    config = config_load();
    context = config ? config_find(config, name) : NULL;
    if (context) {
        cJSON_DeleteItemFromObjectCaseSensitive(context, "pin");
        cJSON_AddStringToObject(context, "pin", pin);
        cJSON_DeleteItemFromObjectCaseSensitive(context, "fingerprint");
        cJSON_AddStringToObject(context, "fingerprint", fingerprint);
        result = config_save(config);
    }
    cJSON_Delete(config);
    return result;
}

int config_check_key(const struct target *target)
{
    struct stat status;

    if (access(target->certificate, R_OK) != 0)
        return fail(EXIT_LOCAL, "%s: %s", target->certificate, strerror(errno));
    if (access(target->key, R_OK) != 0 || stat(target->key, &status) != 0)
        return fail(EXIT_LOCAL, "%s: %s", target->key, strerror(errno));
    return status.st_mode & 077
               ? fail(EXIT_USAGE, "%s: has a private key, and others can read it: chmod 600 it",
                      target->key)
               : EXIT_OK;
}

/* A token or a client certificate: of the environment, else of the context. */
static void choose_right(const cJSON *context, struct target *target)
{
    target->token = environment("SKEP_TOKEN");
    target->certificate = target->token ? NULL : environment("SKEP_CERTIFICATE");
    target->key = environment("SKEP_KEY");
    if (target->certificate && !target->key)
        target->key = target->certificate;
    if (target->token || target->certificate)
        return;
    target->token = value_text(context, "token", NULL);
    target->certificate = value_text(context, "certificate", NULL);
    target->key = value_text(context, "key", target->certificate);
}

int config_target(const cJSON *config, const char *name, struct target *target)
{
    const cJSON *context = NULL;

    target->url = name ? NULL : environment("SKEP_URL");
    if (!target->url) {
        context = config_find(config, name);
        if (!context)
            return EXIT_USAGE;
        target->url = value_text(context, "url", "");
    }
    target->pin = environment("SKEP_PIN");
    if (!target->pin)
        target->pin = value_text(context, "pin", "");
    choose_right(context, target);
    if (strncmp(target->url, "https://", 8) != 0)
        return fail(EXIT_USAGE, "the address must begin with https://");
    if (strncmp(target->pin, "sha256//", 8) != 0)
        return fail(EXIT_USAGE, "there is no pin for %s: log in, or set SKEP_PIN to sha256//…",
                    target->url);
    if (target->certificate)
        return config_check_key(target);
    return target->token && *target->token
               ? EXIT_OK
               : fail(EXIT_USAGE, "there is no token for %s: log in, or set SKEP_TOKEN",
                      target->url);
}
