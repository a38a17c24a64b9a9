/*
 * control.h - the hypercalls that only the control service may make; any other caller gets -SKEP_EPERM.
 *
 * Handles are virtual: an index in the low 32 bits and a generation above, so that a stale one is -SKEP_ENOENT.
 * Structures marked IN are copied once; OUT structures are written whole. Calls that move much data are bounded
 * and say how far they came.
 */
#ifndef SKEP_CONTROL_H
#define SKEP_CONTROL_H

#include "skep/abi.h"

enum skep_control_hypercall {
    SKEP_CTL_HOST_INFO = SKEP_HC_CONTROL_FIRST, /* (va of OUT struct skep_host_info) -> 0 */
    SKEP_CTL_CPU_INFO,     /* (CPU index, va of OUT struct skep_cpu_info) -> 0 */
    SKEP_CTL_LOG_WRITE,    /* (va, bytes) a line for the machine's serial log -> 0 */
    SKEP_CTL_BOOT_READ,    /* (SKEP_BOOT_…, offset, va, bytes) -> bytes read, 0 at the end */
    SKEP_CTL_RETAIN_READ,  /* (record index, va of a page) -> 0, -ENOENT if never written */
    SKEP_CTL_RETAIN_WRITE, /* (record index, va of a page or 0 = erase) -> 0; atomic */
    SKEP_CTL_NOTIFY_READ,  /* (va of OUT struct skep_notification[], count) -> entries given */
    SKEP_CTL_IMAGE_CREATE, /* (va of IN struct skep_image_spec) -> handle */
    SKEP_CTL_IMAGE_WRITE, /* (handle, page index, va, bytes <= SKEP_IMAGE_IO_MAX) -> 0; before the seal */
    SKEP_CTL_IMAGE_READ,    /* (handle, page index, va, bytes <= SKEP_IMAGE_IO_MAX) -> 0 */
    SKEP_CTL_IMAGE_SEAL,    /* (handle) -> 0; from now on it can be started and not be written */
    SKEP_CTL_IMAGE_DESTROY, /* (handle) -> 0, -EBUSY while a guest uses it */
    SKEP_CTL_IMAGE_NEXT, /* (handle or 0, va of OUT struct skep_image_info) -> next handle, 0 = end */
    SKEP_CTL_GUEST_CREATE, /* (va of IN struct skep_guest_spec) -> handle; it does not run yet */
    SKEP_CTL_GUEST_START,  /* (handle) created or paused -> running */
    SKEP_CTL_GUEST_PAUSE,  /* (handle) running -> paused */
    SKEP_CTL_GUEST_STOP,   /* (handle, 0 = shutdown event, 1 = end it now) -> 0 */
    SKEP_CTL_GUEST_DESTROY, /* (handle) -> 0; goes through dying; a notification tells when it is gone */
    SKEP_CTL_GUEST_STATUS, /* (handle, va of OUT struct skep_guest_status, its bytes or SKEP_GUEST_BRIEF_BYTES) -> 0 */
    SKEP_CTL_GUEST_NEXT, /* (handle or 0) -> next handle, 0 = end; the caller itself is not listed */
    SKEP_CTL_CONSOLE_READ, /* (handle, 64-bit offset, va, bytes) -> bytes; -ERANGE = expired, see status */
    SKEP_CTL_CONSOLE_WRITE, /* (handle, va, bytes) input -> bytes taken */
    SKEP_CTL_HOST_SET,      /* (SKEP_HOST_…, value, value) -> 0 */
    SKEP_CTL_POWER,         /* (0 = off, 1 = reboot) */
    SKEP_CTL_GUEST_SET, /* (handle, va of IN struct skep_guest_change) -> 0; until it has ended */
    /* (handle, vCPU index, va of OUT struct skep_vcpu_status) -> 0; or (handle, SKEP_VCPU_STATS, va of OUT struct
       skep_stat[SKEP_STATS_MAX]) -> 0, -ENOENT when it has ended: as the guest wrote them, who may write meanwhile */
    SKEP_CTL_VCPU_STATUS,
    SKEP_CTL_TRACE_READ, /* (handle, CPU index, va of OUT struct skep_trace_record[], count) -> records of the guest that
                            this CPU wrote, oldest first; SKEP_TRACE_CPU_MAX are always all */
    SKEP_CTL_VOLUME_OPEN, /* (va of IN struct skep_volume_spec) -> handle; nothing is mapped yet */
    SKEP_CTL_VOLUME_SET,  /* (handle, SKEP_VOLUME_…, value, value, value) -> 0 or a count */
    SKEP_CTL_VOLUME_READ, /* (handle or disk, SKEP_VOLUME_…, value, value, value) -> 0, a count or a handle */
    SKEP_CTL_END
};

#define SKEP_NAME_MAX 64u

/* Frame types, as counted in struct skep_host_info. */
enum skep_frame_type {
    SKEP_FRAME_RESERVED, /* no RAM, or the firmware's */
    SKEP_FRAME_FREE,
    SKEP_FRAME_CORE,      /* text, data, stacks, the frame table */
    SKEP_FRAME_OBJECT,    /* ring 0's objects for guests and images */
    SKEP_FRAME_PAGETABLE, /* of guests */
    SKEP_FRAME_GUEST,     /* private writable pages */
    SKEP_FRAME_IMAGE,     /* sealed pages of images */
    SKEP_FRAME_CONSOLE,
    SKEP_FRAME_RETAINED,
    SKEP_FRAME_DEVICE, /* rings and buffers of drivers */
    SKEP_FRAME_TYPES = 16
};

enum skep_mitigation_state {
    SKEP_MITIGATION_UNKNOWN, /* "cannot be told here" */
    SKEP_MITIGATION_ACTIVE,
    SKEP_MITIGATION_NOT_NEEDED,
    SKEP_MITIGATION_OFF, /* switched off on the command line */
};

#define SKEP_MITIGATIONS_MAX 12

struct skep_mitigation {
    char name[28]; /* NUL-terminated */
    uint32_t state;
};

struct skep_host_info {
    char version[32];
    char cpu_model[64];
    char clock_source[16];
    uint64_t clock_ns;     /* since boot */
    uint64_t wall_ns;      /* UNIX time now, 0 = unknown */
    uint64_t memory_total; /* bytes of RAM in the frame table */
    uint64_t memory_promised;
    uint64_t memory_used;
    uint64_t memory_free;
    uint64_t memory_promisable; /* the most that could be promised in all */
    uint64_t frames[SKEP_FRAME_TYPES];
    uint32_t cpu_count;
    uint32_t guest_count;
    uint32_t image_count;
    uint32_t control_restarts; /* since boot */
    uint32_t safe_mode;        /* 1 = started empty after repeated crashes */
    uint32_t mitigation_count;
    uint32_t retain_records; /* how many there can be */
    uint32_t entropy;        /* 1 = there is a source that keys may be made from */
    struct skep_mitigation mitigations[SKEP_MITIGATIONS_MAX];
};

/* idle_ns + guest_ns + core_ns is the CPU's whole time. */
struct skep_cpu_info {
    uint64_t idle_ns;  /* halted */
    uint64_t guest_ns; /* charged to vCPUs, their hypercalls and faults included */
    uint64_t core_ns;  /* ring 0's own: between vCPUs, interrupts when idle, reclaiming memory */
    uint64_t traps;
    uint64_t hypercalls;
    uint64_t switches;
    uint64_t ipis;
};

#define SKEP_BOOT_CMDLINE 0
#define SKEP_BOOT_MODULE  1
#define SKEP_BOOT_PANIC   2 /* the log that a panic before the last warm reset left behind */

/* What SKEP_CTL_HOST_SET sets. */
#define SKEP_HOST_NET  0 /* address, netmask (big-endian): the service's own, for the switch */
#define SKEP_HOST_WALL 1 /* UNIX time in ns at clock 0; guests see it at once */

/* Why there is a notification. */
enum skep_notify_reason {
    SKEP_NOTIFY_STATE = 1,    /* the guest's state changed */
    SKEP_NOTIFY_GONE = 2,     /* it has been destroyed */
    SKEP_NOTIFY_OVERFLOW = 3, /* entries were lost: scan */
    SKEP_NOTIFY_VOLUME = 4,   /* handle is a volume's: look at its status */
    SKEP_NOTIFY_DISK = 5,     /* handle is a disk's index: its state changed */
};

struct skep_notification {
    uint64_t handle;
    uint32_t reason;
    uint32_t reserved;
};

#define SKEP_IMAGE_SEGMENTS_MAX 16
#define SKEP_IMAGE_IO_MAX       32768u /* bytes a call */

/* Pages [first_page, first_page + page_count) of the image at offset va_offset from its base, then zero_pages of
 * zeroes. Segments ascend and don't overlap. */
struct skep_image_segment {
    uint64_t va_offset; /* page-aligned */
    uint32_t first_page;
    uint32_t page_count;
    uint32_t zero_pages;
    uint32_t prot; /* SKEP_PROT_… */
};

/* Without an executable segment it is an image of files: one read-only segment at offset 0, without zero pages, and entry
 * offset 0. No guest is made of it; a guest gets it beside its own (files of struct skep_guest_spec). */
#define SKEP_FILES_PAGES_MAX 16u

/* IN. Pages that no segment names are the control service's own: names of functions, manifest. */
struct skep_image_spec {
    uint64_t entry_offset;
    uint32_t page_count; /* 1 to 65536 */
    uint32_t segment_count;
    struct skep_image_segment segments[SKEP_IMAGE_SEGMENTS_MAX];
    char name[SKEP_NAME_MAX]; /* for logs and adoption */
};

struct skep_image_info {
    struct skep_image_spec spec;
    uint64_t sealed;
    uint64_t users; /* guests */
};

/* Whether it is an image of files. */
static inline int skep_image_is_files(const struct skep_image_spec *spec)
{
    return spec->segment_count == 1 && spec->segments[0].prot == SKEP_PROT_READ;
}

/* A guest's block device. */
struct skep_block_spec {
    uint64_t volume; /* handle; one guest at a time may use a volume for writing */
    uint32_t flags;  /* SKEP_BLOCK_READ_ONLY */
    uint32_t reserved;
};

#define SKEP_GUEST_STACK_RESERVED (1u << 0) /* the first stack is as by SKEP_MAP_RESERVE */

/* IN. */
struct skep_guest_spec {
    uint64_t image;
    uint64_t memory_bytes; /* promise: writable pages, page tables and ring 0's objects together */
    uint64_t stack_bytes;  /* of vCPU 0's first stack */
    uint32_t vcpu_count;   /* 1 to 32 */
    uint32_t vcpu_max;
    uint32_t weight;        /* 1 to 10000 */
    uint32_t cpu_cap;       /* percent of one CPU, for all vCPUs together, 0 = none */
    uint64_t cpu_affinity;  /* bit n = may run on CPU n, 0 = on any */
    uint32_t console_bytes; /* a power of two, 4 to 64 KiB */
    uint32_t net_count;
    uint32_t argc, envc;
    uint32_t strings_bytes; /* <= SKEP_STRINGS_MAX */
    uint64_t strings;       /* address: argc + envc strings, each ended by a NUL */
    struct skep_net net[SKEP_NETS_MAX];
    uint32_t block_count;
    uint32_t flags; /* SKEP_GUEST_… */
    struct skep_block_spec block[SKEP_BLOCKS_MAX];
    uint64_t files; /* image of files, mapped read-only at files_base of its start-info; 0 = none */
    struct skep_net6 net6[SKEP_NETS_MAX]; /* dns and gateway are the guest's affair */
    char name[SKEP_NAME_MAX];
};

/* What changes; the fields of other bits are not looked at. All of it is applied, or nothing. */
#define SKEP_CHANGE_WEIGHT   (1u << 0)
#define SKEP_CHANGE_CAP      (1u << 1)
#define SKEP_CHANGE_AFFINITY (1u << 2)
#define SKEP_CHANGE_VCPUS    (1u << 3)
#define SKEP_CHANGE_MEMORY   (1u << 4)
#define SKEP_CHANGE_FORCE    (1u << 5) /* vCPUs beyond vcpu_count that still run are held */

/* IN. Fields as in struct skep_guest_spec. */
struct skep_guest_change {
    uint32_t changes; /* SKEP_CHANGE_… */
    uint32_t weight;
    uint32_t cpu_cap;
    uint32_t vcpu_count; /* 1 to vcpu_max; SKEP_EVENT_CHANGE asks to stop those above */
    uint64_t cpu_affinity;
    uint64_t memory_bytes; /* -EBUSY = less than memory_committed, -ENOMEM = can't be promised */
};

enum skep_vcpu_state {
    SKEP_VCPU_OFF,
    SKEP_VCPU_BLOCKED,
    SKEP_VCPU_READY,
    SKEP_VCPU_RUNNING,
    SKEP_VCPU_HELD, /* by a pause, a cap that is used up, or a lowered vcpu_count */
};

/* run_ns + ready_ns + idle_ns is the time since the vCPU was first started. */
struct skep_vcpu_status {
    uint32_t state; /* enum skep_vcpu_state */
    uint32_t cpu;   /* that it runs on, or ran on last */
    uint64_t run_ns;
    uint64_t ready_ns; /* runnable while others ran, or held by its cap */
    uint64_t idle_ns;  /* blocked, paused or off */
    uint64_t switches; /* times that it was put on a CPU */
    uint64_t events;   /* that were sent to it */
    uint64_t upcalls;
    uint64_t page_faults;
    uint64_t hypercalls[SKEP_HC_GUEST_COUNT + 1]; /* by number; the last entry counts all others */
};

#define SKEP_VCPU_STATS UINT32_MAX /* in the place of a vCPU's index */

enum skep_trace_kind {
    SKEP_TRACE_RUN = 1,   /* put on a CPU: a = ns that it was ready */
    SKEP_TRACE_LEAVE,     /* left it: a = enum skep_vcpu_state, b = ns that it ran */
    SKEP_TRACE_HYPERCALL, /* one that does more than a few instructions: a = number, b = result */
    SKEP_TRACE_FAULT,     /* a = address, b = error code */
    SKEP_TRACE_EVENT,     /* sent to it: a = event */
    SKEP_TRACE_STATE,     /* the guest's: a = enum skep_guest_state */
};

#define SKEP_TRACE_CPU_MAX 512u /* records of all guests that a CPU keeps */

struct skep_trace_record {
    uint64_t clock_ns;
    uint32_t guest; /* low half of the handle */
    uint16_t kind;  /* enum skep_trace_kind */
    uint8_t cpu;
    uint8_t vcpu;
    uint64_t a, b;
};
_Static_assert(sizeof(struct skep_trace_record) == 32, "ABI");

enum skep_guest_state {
    SKEP_GUEST_CREATED,
    SKEP_GUEST_RUNNING,
    SKEP_GUEST_PAUSED,
    SKEP_GUEST_STOPPING, /* shutdown event sent */
    SKEP_GUEST_EXITED,
    SKEP_GUEST_CRASHED,
    SKEP_GUEST_DYING,
};

#define SKEP_BACKTRACE_MAX 24

/* What a guest's address belongs to. */
enum skep_mapping_kind {
    SKEP_MAPPING_NONE, /* nothing; start and bytes are the hole around it */
    SKEP_MAPPING_IMAGE,
    SKEP_MAPPING_MEMORY, /* SKEP_HC_MEM_MAP's */
    SKEP_MAPPING_STACK,  /* vCPU 0's first, and SKEP_MAP_STACK's */
    SKEP_MAPPING_GUARD,
    SKEP_MAPPING_START_INFO,
    SKEP_MAPPING_VCPU_PAGE,
    SKEP_MAPPING_FILES,
};

struct skep_mapping {
    uint64_t start, bytes;
    uint32_t kind; /* enum skep_mapping_kind */
    uint32_t prot; /* SKEP_PROT_… */
};

#define SKEP_CRASH_TRACE_MAX 16

struct skep_crash {
    uint32_t reason; /* enum skep_crash_reason */
    uint32_t vcpu;
    uint64_t address; /* that faulted, or the offending argument */
    uint64_t error;   /* hardware error code, or hypercall number */
    struct skep_context context;
    uint32_t backtrace_count;
    uint32_t message_bytes;
    uint64_t backtrace[SKEP_BACKTRACE_MAX]; /* return addresses, innermost first, RIP included */
    uint64_t stack
        [2]; /* the words at RSP, 0 if unreadable: the caller, while a function has no frame yet */
    char message[128];
    struct skep_mapping mapping; /* of `address`, for faults */
    uint32_t trace_count;
    uint32_t reserved;
    struct skep_trace_record trace[SKEP_CRASH_TRACE_MAX]; /* the guest's latest, oldest first */
};

struct skep_net_counters {
    uint64_t rx_packets, rx_bytes, rx_dropped;
    uint64_t tx_packets, tx_bytes, tx_dropped;
    /* Bytes that ring 0 copied to send them, for each receiver; a card reads the others where they are. */
    uint64_t tx_copied;
};

/* Requests of a block device that were done well, and their bytes. */
struct skep_block_counters {
    uint64_t reads, writes, flushes, discards;
    uint64_t read_bytes, written_bytes;
};

/*
 * Disks and volumes. A disk is a device of the machine; the control service has block device n for disk n, whole. A volume
 * is what a guest gets: an array of chunks, each of which is somewhere on one disk or nowhere yet (it reads as zeroes).
 * Ring 0 knows the map of each open volume and a pool of free chunks that it may take for first writes and copies on
 * write. What it took is a change. The control service reads changes, makes them durable on the disk, and commits them;
 * until then ring 0 holds flushes that must cover them, and writes that would need more room than there is in the log of
 * changes. So a flush that has ended covers data and map.
 */
#define SKEP_DISKS_MAX SKEP_BLOCKS_MAX

enum skep_disk_state {
    SKEP_DISK_ONLINE = 1,
    SKEP_DISK_FAILED, /* the device broke its rules or stopped answering: nothing more is asked of it */
};

#define SKEP_DISK_READ_ONLY    (1u << 0)
#define SKEP_DISK_FLUSH        (1u << 1) /* it has a volatile cache */
#define SKEP_DISK_DISCARD      (1u << 2)
#define SKEP_DISK_WRITE_ZEROES (1u << 3)

struct skep_disk_info {
    uint64_t bytes;
    uint32_t block_bytes; /* 512 or 4096 */
    uint32_t state;       /* enum skep_disk_state */
    uint32_t flags;       /* SKEP_DISK_… */
    uint32_t
        silent_s; /* for how long it has left a request without an answer, in some 5 s; 0 = less than 30 */
    char serial[24]; /* what the device calls itself; may be empty; NUL-terminated */
    uint64_t reads, writes, flushes, errors;
    uint64_t read_bytes, written_bytes;
};

/* Entries of a volume's map: the number of a chunk of the disk, counted from first_byte, or SKEP_CHUNK_NONE; with
 * SKEP_CHUNK_SHARED it is copied before it is written. */
#define SKEP_CHUNK_NONE   0x7fffffffu
#define SKEP_CHUNK_SHARED 0x80000000u
#define SKEP_CHUNKS_MAX   (1u << 21) /* of a volume */

#define SKEP_VOLUME_READ_ONLY (1u << 0)
#define SKEP_VOLUME_OFFLINE   (1u << 1)

/* A token bucket each, 0 = no limit. Bursts are what may be used at once, at least one request. */
struct skep_volume_limits {
    uint64_t bytes_second, bytes_burst;
    uint32_t requests_second, requests_burst;
};

/* IN. */
struct skep_volume_spec {
    uint32_t disk;        /* index */
    uint32_t chunk_bytes; /* a power of two, 64 to 128 KiB */
    uint64_t first_byte;  /* of the disk's chunk 0; a multiple of 4096 */
    uint32_t disk_chunks; /* that the disk has: a map entry must be below */
    uint32_t flags;       /* SKEP_VOLUME_… */
    uint64_t bytes;       /* capacity as the guest sees it; a multiple of 4096 */
    uint64_t id;          /* the control service's own; comes back in the status */
    struct skep_volume_limits limits;
    char name[40];
};

/* What SKEP_CTL_VOLUME_SET does. */
enum skep_volume_set {
    SKEP_VOLUME_MAP =
        1, /* (first chunk, va of uint32_t[], count <= 512) the map's entries, for a volume that no guest uses */
    SKEP_VOLUME_GIVE, /* (va of uint32_t[], count <= 512) free chunks, which read as zeroes, for the pool -> count taken */
    SKEP_VOLUME_COMMIT, /* (sequence) changes before it are durable */
    SKEP_VOLUME_SHARE,  /* () all that is mapped becomes shared, when no write is underway */
    SKEP_VOLUME_RESIZE, /* (bytes) larger only; -ENOMEM = no memory for the map */
    SKEP_VOLUME_LIMITS, /* (va of IN struct skep_volume_limits) */
    SKEP_VOLUME_FLAGS,  /* (SKEP_VOLUME_…) */
    SKEP_VOLUME_FULL, /* (0 or 1) whether writes that find the pool empty fail with NOSPC instead of being held */
    SKEP_VOLUME_CLOSE, /* () -EBUSY while a guest uses it, or something is underway */
};

/* What SKEP_CTL_VOLUME_READ tells. */
enum skep_volume_read {
    SKEP_VOLUME_DISK =
        1, /* (va of OUT struct skep_disk_info) of the disk with this index; -ENOENT = there are no more */
    SKEP_VOLUME_NEXT,   /* () of the handle or 0 -> next handle, 0 = end */
    SKEP_VOLUME_STATUS, /* (va of OUT struct skep_volume_status) */
    SKEP_VOLUME_CHANGES, /* (va of OUT struct skep_volume_change[], count) those not committed, oldest first -> count */
    SKEP_VOLUME_MAPPED, /* (first chunk, va of OUT uint32_t[], count <= 512) -> count, 0 beyond the end */
    SKEP_VOLUME_POOL,  /* (va of OUT uint32_t[], count) -> count: chunks given and not taken */
    SKEP_VOLUME_TAKEN, /* (first, va of OUT uint32_t[], count <= 512) -> count: where all changes lead that are not committed,
                          those that CHANGES doesn't tell yet, too, from the first-th on */
};

#define SKEP_VOLUME_POOL_MAX 256u
#define SKEP_VOLUME_LIST_MAX \
    512u /* entries of POOL are fewer: it has what copies spoilt or write to, too */
#define SKEP_VOLUME_CHANGES_MAX 512u

/* The map's entry at `chunk` went from one disk chunk to another; the former one, if it was not shared, is free once the
 * change is durable. */
struct skep_volume_change {
    uint64_t sequence;
    uint32_t chunk;
    uint32_t from,
        to; /* SKEP_CHUNK_NONE = nowhere; `from` with SKEP_CHUNK_SHARED if it was shared */
    uint32_t reserved;
};

struct skep_volume_status {
    struct skep_volume_spec spec;
    uint32_t users; /* guests */
    uint32_t pool_count;
    uint64_t sequence;  /* of the next change */
    uint64_t committed; /* changes before it are committed */
    uint32_t mapped;    /* chunks */
    uint32_t held;      /* requests that wait: for the pool, for a commit, or for a limit */
    uint32_t
        wanting;   /* of those: flushes that wait for a commit, and writes that wait for the pool */
    uint32_t full; /* as set by SKEP_VOLUME_FULL */
    uint64_t reads, writes, flushes, discards, errors;
    uint64_t read_bytes, written_bytes;
};

struct skep_guest_status {
    char name[SKEP_NAME_MAX];
    uint64_t image;      /* handle */
    uint64_t image_base; /* where it was loaded */
    uint32_t state;      /* enum skep_guest_state */
    uint32_t exit_code;
    uint64_t created_ns, started_ns, ended_ns; /* host clock, 0 = not yet */
    uint64_t cpu_ns;
    uint64_t memory_promised;
    uint64_t memory_used;
    uint64_t memory_peak;                /* the most that it had at once */
    uint64_t console_first, console_end; /* offsets: oldest byte kept, next byte */
    uint64_t hypercalls, page_faults;
    uint32_t vcpu_count; /* that may run */
    uint32_t vcpu_max;
    uint32_t vcpus_on; /* that have been started and not stopped */
    uint32_t weight;
    uint32_t cpu_cap;
    uint32_t net_count;
    uint64_t cpu_affinity;
    uint64_t ready_ns;                   /* of all vCPUs: runnable while others ran */
    uint32_t net_address[SKEP_NETS_MAX]; /* big-endian, as the switch knows it */
    /* Up to here it is brief, and told in a fraction of the time. */
    uint64_t memory_committed; /* used, or mapped: memory_promised can't be set lower */
    struct skep_net_counters net[SKEP_NETS_MAX];
    struct skep_crash crash;
    struct skep_block_counters
        block[SKEP_BLOCKS_MAX]; /* all zeroes: there is none, or it did nothing */
};
#define SKEP_GUEST_BRIEF_BYTES __builtin_offsetof(struct skep_guest_status, memory_committed)

#endif
