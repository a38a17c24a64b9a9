/* config.c - reads the boot configuration. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

#include "address.h"
#include "json.h"
#include "log.h"
#include "spec.h"

void config_defaults(struct config *config)
{
    memset(config, 0, sizeof(*config));
    strcpy(config->hostname, "skep");
    config->ntp.port = 123;
}

static void set_hostname(struct config *config, const char *value)
{
    if (!name_valid(value)) {
        log_line("hostname '%.64s' is not [a-z0-9][a-z0-9-]{0,62}; it stays '%s'", value,
                 config->hostname);
        return;
    }
    memcpy(config->hostname, value, strlen(value) + 1);
}

/* What a header field can carry: visible ASCII. The value is never logged. */
static void set_token(struct config *config, const char *value)
{
    size_t bytes = strlen(value);

    for (const char *c = value; *c; c++)
        if (*c <= ' ' || *c > '~')
            bytes = 0;
    if (bytes < CONFIG_TOKEN_MIN || bytes > CONFIG_TOKEN_MAX) {
        log_line("the token is not used: it must have %d to %d visible ASCII characters",
                 CONFIG_TOKEN_MIN, CONFIG_TOKEN_MAX);
        return;
    }
    memcpy(config->token, value, bytes + 1);
}

static void set_address(struct config *config, const char *value)
{
    const char *why;
    uint32_t address, netmask;

    if (strcmp(value, "dhcp") == 0) {
        config->net.address = config->net.netmask = 0;
    } else if (address_parse_host(value, &address, &netmask, &why)) {
        config->net.address = address;
        config->net.netmask = netmask;
    } else {
        log_line("address '%.40s' %s; it is not used", value, why);
    }
}

static void set_quad(uint32_t *to, const char *name, const char *value)
{
    if (!address_parse(value, to))
        log_line("%s '%.40s' is no address \"A.B.C.D\"; it is not used", name, value);
}

/* "off" or "A.B.C.D[:port]". */
static void set_ntp(struct config *config, const char *value)
{
    char text[ADDRESS_TEXT_MAX + 8], *colon, *end = text;
    unsigned long port = 123;
    uint32_t address = 0;

    snprintf(text, sizeof(text), "%s", value);
    colon = strchr(text, ':');
    if (colon) {
        *colon = '\0';
        port = strtoul(colon + 1, &end, 10);
    }
    config->ntp.off = strcmp(value, "off") == 0;
    if (config->ntp.off)
        return;
    if (strlen(value) >= sizeof(text) || !address_parse(text, &address) ||
        (colon && (end == colon + 1 || *end || port == 0 || port > 65535))) {
        log_line(
            "ntp '%.40s' is neither \"off\" nor \"A.B.C.D\" nor \"A.B.C.D:port\"; it is not used",
            value);
        return;
    }
    config->ntp.address = address;
    config->ntp.port = (uint16_t)port;
}

/* Whether the name is one of ours. */
static bool set_value(struct config *config, const char *name, const char *value)
{
    if (strcmp(name, "hostname") == 0)
        set_hostname(config, value);
    else if (strcmp(name, "token") == 0)
        set_token(config, value);
    else if (strcmp(name, "address") == 0)
        set_address(config, value);
    else if (strcmp(name, "ntp") == 0)
        set_ntp(config, value);
    else if (strcmp(name, "gateway") == 0)
        set_quad(&config->net.gateway, name, value);
    else if (strcmp(name, "dns") == 0)
        set_quad(&config->net.dns, name, value);
    else
        return false;
    return true;
}

static void set_pem(char **to, const char *name, const char *value)
{
    free(*to);
    *to = strdup(value);
    if (!*to)
        log_line("no memory for %s", name);
}

/* Sections are objects whose members' names are unique over all of them. */
static void apply_object(struct config *config, const cJSON *object, const char *section)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, object)
    {
        bool tls = strcmp(section, "tls") == 0, network = strcmp(section, "network") == 0;
        bool top = !tls && !network;

        if (top && (strcmp(item->string, "network") == 0 || strcmp(item->string, "tls") == 0)) {
            if (cJSON_IsObject(item))
                apply_object(config, item, item->string);
            else
                log_line("boot module: %s must be an object; it is not used", item->string);
        } else if (!cJSON_IsString(item)) {
            log_line("boot module: %s%s%.40s must be a string; it is not used", section,
                     top ? "" : ".", item->string);
        } else if (tls && strcmp(item->string, "certificate") == 0) {
            set_pem(&config->certificate, item->string, item->valuestring);
        } else if (tls && strcmp(item->string, "key") == 0) {
            set_pem(&config->key, item->string, item->valuestring);
        } else {
            bool of_host =
                strcmp(item->string, "hostname") == 0 || strcmp(item->string, "token") == 0;
            if (tls || of_host != top || !set_value(config, item->string, item->valuestring))
                log_line("boot module: %s%s%.40s is no known key", section, top ? "" : ".",
                         item->string);
        }
    }
}

void config_apply_module(struct config *config, const char *json, size_t bytes)
{
    struct problem problem;
    cJSON *object = json_parse(json, bytes, &problem);

    if (!cJSON_IsObject(object))
        log_line("boot module left aside: %s", object ? "it is no JSON object" : problem.detail);
    else
        apply_object(config, object, "");
    cJSON_Delete(object);
    if (!config->certificate != !config->key)
        log_line("boot module: tls.certificate and tls.key are used together only");
}

/* The command line is shared with ring 0, so words that aren't ours pass in silence. */
void config_apply_cmdline(struct config *config, char *words)
{
    char *rest = words;

    for (char *word; (word = strtok_r(rest, " \t\r\n", &rest)) != NULL;) {
        char *equals = strchr(word, '=');
        if (equals) {
            *equals = '\0';
            set_value(config, word, equals + 1);
        }
    }
}

/* The whole of a boot text, NUL-terminated, or NULL if there is none. */
static char *read_boot(unsigned what, size_t max, size_t *bytes)
{
    char *text = malloc(max + 1);
    int64_t n = 0;

    *bytes = 0;
    while (text && *bytes < max &&
           (n = core_boot_read(what, *bytes, text + *bytes, max - *bytes)) > 0)
        *bytes += (size_t)n;
    if (!text || *bytes == 0) {
        free(text);
        return NULL;
    }
    text[*bytes] = '\0';
    return text;
}

void config_read(struct config *config)
{
    size_t bytes;
    char *text;

    config_defaults(config);
    if ((text = read_boot(SKEP_BOOT_MODULE, CONFIG_MODULE_MAX, &bytes)) != NULL) {
        /* A loader may pad it. */
        while (bytes > 0 && text[bytes - 1] == '\0')
            bytes--;
        config_apply_module(config, text, bytes);
        free(text);
    }
    if ((text = read_boot(SKEP_BOOT_CMDLINE, 4096, &bytes)) != NULL) {
        config_apply_cmdline(config, text);
        free(text);
    }
    if (config->net.gateway && config->net.address &&
        (config->net.gateway & config->net.netmask) !=
            (config->net.address & config->net.netmask)) {
        log_line("the gateway is not in the network of the address; it is not used");
        config->net.gateway = 0;
    }
}

void config_free(struct config *config)
{
    free(config->certificate);
    free(config->key);
    memset(config, 0, sizeof(*config));
}
