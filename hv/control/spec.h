/*
 * spec.h - a guest's specification: what a client wants, checked, with every default filled in.
 *
 * The structure has no padding that differs between equal specs (it is zeroed first), so that memcmp
 * compares, and it is what the retained record of a guest holds. Its strings come last: what is kept of a spec ends
 * with the last of them (spec_bytes, spec_keep).
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
#define SPEC_CAP_MAX        (100u * SPEC_VCPUS_MAX)
#define SPEC_CPUS_MAX       64u      /* that cpu_affinity can name */
#define SPEC_MS_MAX         3600000u /* of each duration, an hour */
#define SPEC_RESTARTS_MAX   1000000u
#define SPEC_AFTER_MAX      16u
#define SPEC_STRINGS_MAX \
    3072u /* of args, env, mounts, start_after and labels, NULs included: a record is one page */

enum spec_desired { SPEC_RUNNING, SPEC_PAUSED, SPEC_STOPPED };
const char *spec_desired_name(enum spec_desired desired);
enum spec_restart { SPEC_NEVER, SPEC_ON_FAILURE, SPEC_ALWAYS };

/* IPv6 of a network (spec6.h); addresses are all 0 for none. Without any it is off. */
struct spec_net6 {
    uint32_t automatic; /* 1 = yes */
    uint8_t address[16], gateway[16], dns[16];
};

struct spec_net {
    uint32_t dhcp; /* 1 = yes */
    uint32_t address, netmask, gateway, dns;
    uint8_t mac[6];
    uint8_t reserved[2];
    struct spec_net6 ipv6;
};

#define SPEC_VOLUME_NAME 40u
#define SPEC_MOUNT_MAX   95u

struct spec_volume {
    char name[SPEC_VOLUME_NAME];
    uint32_t read_only, format; /* 1 = yes */
};

struct spec {
    char image[SKEP_NAME_MAX];
    uint64_t memory_bytes;
    uint64_t cpu_affinity; /* bit n = may run on CPU n, 0 = on any */
    uint32_t vcpus, max_vcpus;
    uint32_t weight;
    uint32_t cpu_cap;       /* percent of one CPU, 0 = none */
    uint32_t desired;       /* enum spec_desired */
    uint32_t stop_grace_ms; /* between being asked to stop and being ended */

    /* When it ends by itself. */
    uint32_t restart;       /* enum spec_restart */
    uint32_t restart_limit; /* in a row, 0 = none */
    uint32_t restart_delay_ms,
        restart_delay_max_ms;  /* before the first, doubling up to the latter */
    uint32_t restart_reset_ms; /* having run so long forgets what was before */

    uint32_t net_count;
    uint32_t argc, envc;
    uint32_t after_count; /* of start_after */
    uint32_t label_count; /* label.h */
    uint32_t strings_bytes;
    uint32_t program_bytes; /* of these args, env and mounts */
    uint32_t volume_count;
    uint32_t file_count; /* files.h, which also fills in the digest */
    uint8_t files_digest[32];
    struct spec_net net[SKEP_NETS_MAX];
    struct spec_volume volume[SKEP_BLOCKS_MAX];
    /* argc, then envc "NAME=value", then volume_count mount points (may be empty), then after_count names of guests,
     * then label_count labels, each ended by a NUL. */
    char strings[SPEC_STRINGS_MAX];
};

/* Names of guests and images: [a-z0-9][a-z0-9-]{0,62}. */
bool name_valid(const char *name);

/* Fills the spec of the guest called name (its MAC addresses derive from it), but for its files; 0, or -1 and the
 * problem. */
int spec_from_json(struct spec *spec, const cJSON *json, const char *name, struct problem *p);

/* Applies a merge patch (RFC 7396) to a spec's JSON, which it takes over. The caller deletes what comes of it; NULL and the
 * problem. */
cJSON *spec_patch(cJSON *json, const cJSON *patch, struct problem *p);

/* Without its files. */
cJSON *spec_to_json(const struct spec *spec);

/* The first of the after_count names of guests that must be up before it starts. */
const char *spec_start_after(const struct spec *spec);

/* Bytes of a spec up to the end of its strings. */
size_t spec_bytes(const struct spec *spec);

/* A copy of just these bytes, for keeping; NULL without memory. The caller frees it. */
struct spec *spec_keep(const struct spec *spec);

/* A whole spec of what was kept. */
void spec_expand(struct spec *to, const struct spec *kept);

/* Adds "name=value" or just the value to its strings. */
int spec_add_string(struct spec *spec, const char *name, const char *value, struct problem *p);

/* Whether one of them may be a kept one: what it claims of itself is checked, not what it wishes. */
bool spec_is_whole(const struct spec *spec, size_t bytes);

/* What makes one spec another. Both may be kept ones. */
enum spec_difference {
    SPEC_SAME,
    SPEC_WISHES, /* desired state, grace, restart policy: followed in place */
    SPEC_LIVE, /* and what ring 0 changes while the guest runs: weight, cap, affinity, vCPUs, memory */
    SPEC_ANOTHER, /* and what only a new guest can have */
};
enum spec_difference spec_compare(const struct spec *a, const struct spec *b);

#endif
