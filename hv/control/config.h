/*
 * config.h - the boot configuration: words of the command line, which win, and the boot module, a JSON
 * object. What is wrong in either is logged and left out; the defaults are safe.
 */
#ifndef CONTROL_CONFIG_H
#define CONTROL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "core.h"

#define CONFIG_MODULE_MAX 16384u
#define CONFIG_TOKEN_MIN  16
#define CONFIG_TOKEN_MAX  128

struct config {
    char hostname[64];
    char token[CONFIG_TOKEN_MAX + 1]; /* "" = none given */
    struct core_net net;              /* address 0 = DHCP */
    struct {
        bool off; /* also when DHCP names one */
        uint32_t address;
        uint16_t port;
    } ntp;
    char *certificate, *key; /* PEM, NULL = none given */
};

void config_read(struct config *config);

/* What config_read does, on texts; for tests too. */
void config_defaults(struct config *config);
void config_apply_module(struct config *config, const char *json, size_t bytes);
void config_apply_cmdline(struct config *config, char *words);
void config_free(struct config *config);

#endif
