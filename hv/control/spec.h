/*
 * spec.h - a guest's specification: what a client wants, checked, with every default filled in.
 *
 * The structure has no padding that differs between equal specs (it is zeroed first), so that memcmp
 * compares, and it is what the retained record of a guest holds.
 */
#ifndef CONTROL_SPEC_H
#define CONTROL_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include <cJSON.h>

#include "problem.h"
#include "skep/control.h"

#define SPEC_MEMORY_DEFAULT (16ull << 20)
#define SPEC_MEMORY_MIN     (256ull << 10)
#define SPEC_MEMORY_MAX     (1ull << 40)
#define SPEC_VCPUS_MAX      32u
#define SPEC_WEIGHT_DEFAULT 100u
#define SPEC_WEIGHT_MAX     10000u
#define SPEC_STRINGS_MAX    3072u /* bytes of args and env, NULs included: a record is one page */

enum spec_desired { SPEC_RUNNING, SPEC_PAUSED, SPEC_STOPPED };
enum spec_restart { SPEC_NEVER, SPEC_ON_FAILURE, SPEC_ALWAYS };

struct spec_net {
    uint32_t dhcp; /* 1 = yes */
    uint32_t address, netmask, gateway, dns;
    uint8_t mac[6];
    uint8_t reserved[2];
};

struct spec {
    char image[SKEP_NAME_MAX];
    uint64_t memory_bytes;
    uint32_t vcpus;
    uint32_t weight;
    uint32_t desired; /* enum spec_desired */
    uint32_t restart; /* enum spec_restart */
    uint32_t net_count;
    uint32_t argc, envc;
    uint32_t strings_bytes;
    struct spec_net net[SKEP_NETS_MAX];
    char strings[SPEC_STRINGS_MAX]; /* argc, then envc "NAME=value", each ended by a NUL */
};

/* Names of guests and images: [a-z0-9][a-z0-9-]{0,62}. */
bool name_valid(const char *name);

/* Fills the spec of the guest called name (its MAC addresses derive from it); 0, or -1 and the
 * problem. */
int spec_from_json(struct spec *spec, const cJSON *json, const char *name, struct problem *p);

/* Applies a merge patch (RFC 7396) to a spec. */
int spec_patch(struct spec *spec, const cJSON *patch, const char *name, struct problem *p);

cJSON *spec_to_json(const struct spec *spec);

/* Whether a guest made from one can go on under the other: all that is equal but desired state and
 * restart policy. */
bool spec_same_guest(const struct spec *a, const struct spec *b);
bool spec_equal(const struct spec *a, const struct spec *b);

#endif
