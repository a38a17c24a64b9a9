/*
 * config.h - contexts: the Skeps that somebody has logged in to, with their pins and tokens.
 *
 * They are in $XDG_CONFIG_HOME/skepctl/config.json (~/.config without it), which its owner alone can read. SKEP_URL,
 * SKEP_TOKEN and SKEP_PIN win over it; with SKEP_URL no context is used, so that no token goes elsewhere.
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include <cJSON.h>

/* Where calls go. The texts are of the configuration or the environment, and live as long. */
struct target {
    const char *url, *pin, *token;
};

/* {"current": NAME, "contexts": {NAME: {"url", "pin", "fingerprint", "token"}}}, empty if there is no file. The caller
 * deletes it. NULL, with the reason told, if it can't be read. */
cJSON *config_load(void);
int config_save(const cJSON *config);

/* The context of this name, or the current one for NULL; NULL, with the reason told, if there is none. */
cJSON *config_find(const cJSON *config, const char *name);

/* Pins another key from now on: Skep has told it by a connection that the former pin stands for. */
int config_repin(const char *name, const char *pin, const char *fingerprint);

int config_target(const cJSON *config, const char *name, struct target *target);

#endif
