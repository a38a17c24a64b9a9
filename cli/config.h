/*
 * config.h - contexts: the Skeps that somebody has logged in to, with their pins, and tokens or client certificates.
 *
 * They are in $XDG_CONFIG_HOME/skepctl/config.json (~/.config without it), which its owner alone can read. SKEP_URL,
 * SKEP_PIN, SKEP_TOKEN, and SKEP_CERTIFICATE with SKEP_KEY win over it; with SKEP_URL no context is used, so that no token
 * goes elsewhere.
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include <cJSON.h>

#include "http.h"

/* {"current": NAME, "contexts": {NAME: {"url", "pin", "fingerprint", and "token" or "certificate", "key"}}}, empty if there
 * is no file. The caller deletes it. NULL, with the reason told, if it can't be read. */
cJSON *config_load(void);
int config_save(const cJSON *config);

/* The context of this name, or the current one for NULL; NULL, with the reason told, if there is none. */
cJSON *config_find(const cJSON *config, const char *name);

/* Pins another key from now on: Skep has told it by a connection that the former pin stands for. */
int config_repin(const char *name, const char *pin, const char *fingerprint);

/* The texts are of the configuration or the environment, and live as long. */
int config_target(const cJSON *config, const char *name, struct target *target);

/* Whether the files of a client certificate can be read, and its key by nobody else. */
int config_check_key(const struct target *target);

#endif
