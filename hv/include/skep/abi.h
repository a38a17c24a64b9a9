/*
 * abi.h - the hypercall ABI between ring 0 and every guest.
 *
 * This folder is the one set of headers that ring 0 and guests share. Everything here is fixed-width, and each
 * structure's size and offsets are asserted, so that a change to the ABI is a change to this file.
 *
 * Calling convention (x86-64): `syscall` with the number in RAX and up to five scalar arguments in RDI, RSI, RDX,
 * R10 and R8. The result is in RAX: a value >= 0, or a negative SKEP_E… code. RCX and R11 are clobbered; every
 * other register is preserved. docs/abi.md is the reference for each call, its errors and its cost.
 *
 * Compatibility: the major number must match; new fields are appended behind feature bits.
 */
#ifndef SKEP_ABI_H
#define SKEP_ABI_H

#include <stdint.h>

#define SKEP_ABI_MAJOR 1
#define SKEP_ABI_MINOR 8

/* What a hypervisor has at least that fills in files_base, and net6, and that knows SKEP_MAP_RESERVE, and
 * SKEP_HC_NET_GROUP, and SKEP_UNMAP_…. */
#define SKEP_FILES_ABI_MINOR   2
#define SKEP_NET6_ABI_MINOR    4
#define SKEP_RESERVE_ABI_MINOR 5
#define SKEP_GROUP_ABI_MINOR   7
#define SKEP_UNMAP_ABI_MINOR   8

#define SKEP_PAGE_SIZE  4096u
#define SKEP_PAGE_SHIFT 12

/* A guest's usable addresses: an unmapped first megabyte, and the last page below 2^47 never mapped. */
#define SKEP_GUEST_VA_MIN 0x0000000000100000ull
#define SKEP_GUEST_VA_MAX 0x00007ffffffff000ull

/* Error codes, the values of Linux and newlib where they agree. */
#define SKEP_EPERM     1   /* the caller may not do this */
#define SKEP_ENOENT    2   /* no such object */
#define SKEP_EIO       5   /* the device failed */
#define SKEP_E2BIG     7   /* more than the fixed limit */
#define SKEP_EAGAIN    11  /* part was done; call again */
#define SKEP_ENOMEM    12  /* beyond the guest's promise, or beyond what the machine has left */
#define SKEP_EFAULT    14  /* an address is not mapped with the needed rights */
#define SKEP_EBUSY     16  /* the object is in use */
#define SKEP_EEXIST    17  /* exists already */
#define SKEP_ENODEV    19  /* no such device */
#define SKEP_EINVAL    22  /* a malformed argument */
#define SKEP_ENOSPC    28  /* a table is full */
#define SKEP_ERANGE    34  /* an offset has expired */
#define SKEP_ENOSYS    88  /* unknown hypercall */
#define SKEP_ETIMEDOUT 116 /* the deadline passed */

/* Hypercalls that every guest may make. The numbers are dense and never reused. */
enum skep_hypercall {
    SKEP_HC_CONSOLE_WRITE = 0, /* (va, bytes) -> bytes taken */
    SKEP_HC_CONSOLE_READ = 1,  /* (va, bytes) -> bytes given, 0 = none now */
    SKEP_HC_EXIT = 2,          /* (code) never returns */
    SKEP_HC_ABORT = 3,         /* (va, bytes) message for the crash record; never returns */
    SKEP_HC_WAIT = 4,          /* (deadline_ns) -> 0 event pending, -ETIMEDOUT */
    SKEP_HC_YIELD = 5,         /* () -> 0 */
    SKEP_HC_TIMER_SET = 6,     /* (deadline_ns) -> 0; SKEP_EVENT_TIMER then; ~0 = off */
    SKEP_HC_CLOCK_READ = 7,    /* () -> ns since boot */
    SKEP_HC_RESUME = 8,        /* (va of struct skep_context); does not return to its caller */
    SKEP_HC_MEM_MAP = 9,       /* (va or 0, bytes, prot | SKEP_MAP_…) -> va */
    SKEP_HC_MEM_PROTECT = 10,  /* (va, bytes, prot) -> 0 */
    SKEP_HC_MEM_UNMAP = 11,    /* (va, bytes | SKEP_UNMAP_…) -> 0 */
    SKEP_HC_VCPU_START = 12,   /* (index, va of struct skep_context) -> 0 */
    SKEP_HC_VCPU_STOP = 13,    /* () the calling vCPU stops; never returns */
    SKEP_HC_EVENT_SEND = 14,   /* (vCPU index, event) -> 0; to the guest's own vCPUs */
    SKEP_HC_QUEUE_SETUP = 15,  /* (va of struct skep_queue_setup) -> 0 */
    SKEP_HC_QUEUE_KICK = 16,   /* (queue number) -> 0 */
    SKEP_HC_BASE_SET = 17,     /* (0 = FS, 1 = GS; value) -> 0; for CPUs without FSGSBASE */
    SKEP_HC_NET_GROUP =
        18, /* (net device, MAC with its first byte lowest, 1 = join, 0 = leave) -> 0 */
    SKEP_HC_GUEST_COUNT = 19,

    SKEP_HC_CONTROL_FIRST = 64, /* control.h */
};

/* Protection bits of SKEP_HC_MEM_MAP and _PROTECT. Write and execute together are refused, and memory that was
 * ever writable never becomes executable. */
#define SKEP_PROT_NONE  0u
#define SKEP_PROT_READ  1u
#define SKEP_PROT_WRITE 2u /* implies read */
#define SKEP_PROT_EXEC  4u /* only image segments have it */

/* What else SKEP_HC_MEM_MAP takes with the protection, from SKEP_RESERVE_ABI_MINOR on. */
#define SKEP_MAP_RESERVE \
    0x100u /* a page counts when it is first touched; one beyond the promise ends the guest */
#define SKEP_MAP_STACK \
    0x200u /* with RESERVE, writable: the last SKEP_STACK_READY pages are there */

#define SKEP_STACK_READY 3u

/* What SKEP_HC_MEM_UNMAP takes with the bytes, from SKEP_UNMAP_ABI_MINOR on. */
#define SKEP_UNMAP_GAPS 1u /* where nothing is mapped is no error */
#define SKEP_UNMAP_KEEP 2u /* only pages go: when they are touched next, they are as at first */

/* Events: bits of a vCPU's pending and mask words. */
enum skep_event {
    SKEP_EVENT_TIMER = 0,
    SKEP_EVENT_IPI = 1,      /* sent by a sibling vCPU */
    SKEP_EVENT_SHUTDOWN = 2, /* stop in good order, please */
    SKEP_EVENT_CONSOLE = 3,  /* console input */
    SKEP_EVENT_NOTIFY = 4,   /* control service: the notification ring has entries */
    SKEP_EVENT_CHANGE = 5,   /* vcpu_count, memory_bytes or a block device changed; to vCPU 0 */
    SKEP_EVENT_QUEUE_0 = 8,  /* queue n is SKEP_EVENT_QUEUE_0 + n */
    SKEP_EVENT_COUNT = 64,
};

/* Why a guest ended. DIVIDE to SIMD are faults of its own, of which it may be told instead. */
enum skep_crash_reason {
    SKEP_CRASH_NONE,
    SKEP_CRASH_DIVIDE,
    SKEP_CRASH_DEBUG,
    SKEP_CRASH_BREAKPOINT,
    SKEP_CRASH_OVERFLOW,
    SKEP_CRASH_BOUND,
    SKEP_CRASH_INVALID_OPCODE,
    SKEP_CRASH_PROTECTION, /* #GP: privileged instruction, non-canonical address */
    SKEP_CRASH_PAGE_FAULT,
    SKEP_CRASH_GUARD_PAGE, /* a page fault in the guard range of a stack */
    SKEP_CRASH_STACK_FAULT,
    SKEP_CRASH_ALIGNMENT,
    SKEP_CRASH_FPU,
    SKEP_CRASH_SIMD,
    SKEP_CRASH_HYPERCALL, /* an argument that no correct guest passes; see address and detail */
    SKEP_CRASH_RING,      /* a virtqueue that breaks its rules */
    SKEP_CRASH_OUT_OF_MEMORY,
    SKEP_CRASH_ABORT, /* SKEP_HC_ABORT; message is set */
    SKEP_CRASH_MACHINE_CHECK,
    SKEP_CRASH_KILLED, /* ended by SKEP_CTL_GUEST_STOP; its state is exited all the same */
    SKEP_CRASH_REASONS
};

/* Bits of a page fault's error, as on x86. */
#define SKEP_FAULT_PRESENT 1u
#define SKEP_FAULT_WRITE   2u
#define SKEP_FAULT_EXEC    16u

/* A complete integer context of ring 3: what an upcall saves and what SKEP_HC_RESUME restores. */
struct skep_context {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, rflags;
    uint64_t fs_base, gs_base;
};
_Static_assert(sizeof(struct skep_context) == 160, "ABI");

/*
 * The page that ring 0 and one vCPU share. Ring 0 trusts nothing that it reads here.
 *
 * Upcalls: when the vCPU is about to run in ring 3, upcall_entry is not 0, upcall_masked is 0 and
 * `pending & ~mask` is not 0, ring 0 stores the interrupted context in `context`, sets upcall_masked to 1, and
 * continues at upcall_entry with RSP = upcall_stack, RFLAGS clean, and all else as it was. Nothing is pushed. The
 * guest returns by SKEP_HC_RESUME, which clears upcall_masked and looks at `pending` again, or does the same itself.
 *
 * Faults, from minor version 7 on: when the vCPU faults in ring 3, fault_entry is not 0 and upcall_masked is 0, ring 0 says
 * in the fault_… words what happened and then makes an upcall, to fault_entry. A fault while upcalls are masked ends the
 * guest; as long as fault_reason is not 0, with the record of that fault, which is in `context`.
 */
struct skep_vcpu_page {
    /* Written by ring 0 (sets bits) and the guest (clears bits), with atomic operations. */
    _Atomic uint64_t pending;
    uint64_t reserved0[7];
    /* Written by the guest; ring 0 writes upcall_masked and context when it delivers an upcall. */
    _Atomic uint64_t mask;          /* 1 = neither upcall nor wake-up for this event */
    _Atomic uint32_t upcall_masked; /* 1 = no upcalls now */
    uint32_t reserved1;
    uint64_t upcall_entry;     /* address, 0 = none */
    uint64_t upcall_stack;     /* RSP at the entry */
    uint64_t guest_private[4]; /* the guest's own; ring 0 never looks */
    struct skep_context context;
    /* Written by ring 0 when the vCPU is switched in. */
    _Alignas(64) uint64_t run_ns; /* CPU time received */
    uint64_t ready_ns;            /* time spent runnable while others ran: "steal" */
    /* fault_entry is written by the guest, which also clears fault_reason; the rest by ring 0, at a fault. */
    _Alignas(64) uint64_t fault_entry; /* address, 0 = none */
    uint64_t fault_address; /* that a page fault is about; of other faults, of the instruction */
    uint64_t fault_error;   /* SKEP_FAULT_…, or what the CPU says of it */
    _Atomic uint32_t fault_reason; /* enum skep_crash_reason, DIVIDE to SIMD */
    uint32_t fault_mapped;         /* of a page fault: 1 = it is the right that is missing there */
};
_Static_assert(__builtin_offsetof(struct skep_vcpu_page, mask) == 64, "ABI");
_Static_assert(__builtin_offsetof(struct skep_vcpu_page, context) == 128, "ABI");
_Static_assert(__builtin_offsetof(struct skep_vcpu_page, run_ns) == 320, "ABI");
_Static_assert(__builtin_offsetof(struct skep_vcpu_page, fault_entry) == 384, "ABI");

/*
 * What a guest tells of itself to whoever reads metrics: numbers with names, in vCPU 0's page from SKEP_STATS_OFFSET on.
 * Ring 0 only copies them. A name is [a-z][a-z0-9_]*, ended by a NUL, each once; "" = nothing here.
 */
#define SKEP_STATS_MAX    32u
#define SKEP_STATS_OFFSET 3072u

struct skep_stat {
    char name[24];
    _Atomic uint64_t value;
};
_Static_assert(sizeof(struct skep_stat) == 32, "ABI");
_Static_assert(SKEP_STATS_OFFSET + SKEP_STATS_MAX * sizeof(struct skep_stat) == SKEP_PAGE_SIZE,
               "ABI");

/* Feature bits of struct skep_start_info. */
#define SKEP_FEATURE_CLOCK_TSC \
    (1ull << 0) /* RDTSC with the clock's parameters; else SKEP_HC_CLOCK_READ */
#define SKEP_FEATURE_FSGSBASE (1ull << 1) /* WRFSBASE and friends may be used */
#define SKEP_FEATURE_XSAVE    (1ull << 2) /* XSAVE area of xsave_bytes for the features in xcr0 */
#define SKEP_FEATURE_RDRAND   (1ull << 3)
#define SKEP_FEATURE_CONTROL  (1ull << 4) /* this guest may make control hypercalls */

/* ns = base_ns + (((unsigned __int128)(rdtsc - base_ticks) * mult) >> 32) */
struct skep_clock {
    uint64_t base_ticks;
    uint64_t base_ns;
    uint64_t mult; /* 32.32 fixed point */
    uint64_t hz;   /* ticks a second, 0 = the TSC is no clock here */
};
_Static_assert(sizeof(struct skep_clock) == 32, "ABI");

#define SKEP_NETS_MAX 4

#define SKEP_NET_DHCP       (1u << 0) /* ask the network for an address */
#define SKEP_NET_TX_CSUM    (1u << 1) /* the back-end completes checksums (NEEDS_CSUM) */
#define SKEP_NET_RX_CSUM    (1u << 2) /* the back-end may say DATA_VALID or NEEDS_CSUM */
#define SKEP_NET_CONTROL_OK (1u << 3) /* spec only: may talk to the control service */
#define SKEP_NET_TX_TSO4    (1u << 4) /* the back-end cuts TCP segments (SKEP_NET_GSO_TCP4) */
#define SKEP_NET_RX_MERGE   (1u << 5) /* the receive queue may have SKEP_QUEUE_MERGE */
#define SKEP_NET_RX_PAYLOAD (1u << 6) /* it has a payload queue, and may have SKEP_QUEUE_MERGE6 */
#define SKEP_NET_TX_TSO6    (1u << 7) /* the back-end cuts those over IPv6, too (SKEP_NET_GSO_TCP6) */

/* One PV network device. Addresses are in network byte order, 0 = none. */
struct skep_net {
    uint8_t mac[6];
    uint16_t mtu;
    uint32_t flags;
    uint32_t address;
    uint32_t netmask;
    uint32_t gateway;
    uint32_t dns;
    uint32_t reserved;
};
_Static_assert(sizeof(struct skep_net) == 32, "ABI");

#define SKEP_NET6_ON   (1u << 0) /* the switch lets IPv6 through */
#define SKEP_NET6_AUTO (1u << 1) /* take addresses from router advertisements */

/* IPv6 of a PV network device; addresses are all zero for none. Beside `address` it has those whose interface identifier
 * is made of its MAC (RFC 4291, appendix A): fe80::/64, and with AUTO any prefix. */
struct skep_net6 {
    uint32_t flags;       /* SKEP_NET6_… */
    uint32_t prefix_bits; /* of address: 64 */
    uint8_t address[16];
    uint8_t gateway[16];
    uint8_t dns[16];
};
_Static_assert(sizeof(struct skep_net6) == 56, "ABI");

#define SKEP_BLOCKS_MAX 8

#define SKEP_BLOCK_READ_ONLY (1u << 0) /* writes end with SKEP_BLOCK_S_IOERR */
#define SKEP_BLOCK_DISCARD   (1u << 1) /* SKEP_BLOCK_T_DISCARD gives space back */
#define SKEP_BLOCK_OFFLINE \
    (1u << 2) /* its disk is gone or failed: each request ends with an error */

/* One PV block device. `bytes` and `flags` may change while the guest runs (SKEP_EVENT_CHANGE). */
struct skep_block {
    _Atomic uint64_t bytes; /* capacity, a multiple of block_bytes */
    _Atomic uint32_t flags; /* SKEP_BLOCK_… */
    uint32_t block_bytes;   /* 512 or 4096: what offsets and lengths of requests are multiples of */
    uint32_t
        discard_bytes; /* what is discarded in whole aligned pieces of this size gives space back */
    uint32_t reserved;
    char name[40]; /* of the volume; NUL-terminated */
};
_Static_assert(sizeof(struct skep_block) == 64, "ABI");

#define SKEP_START_INFO_MAGIC 0x31544150454b53ull /* "SKEPAT1" */
#define SKEP_START_INFO_PAGES 4
#define SKEP_STRINGS_MAX      12288u /* bytes of arguments and environment together */

/* Read-only to the guest, filled by ring 0 before its first instruction; its address is in RDI at the entry. */
struct skep_start_info {
    uint64_t magic;
    uint16_t abi_major, abi_minor;
    uint32_t bytes; /* of the whole area, strings included */
    uint64_t features;
    uint64_t generation; /* changes with each start, clone and restore: reseed */
    uint64_t image_base, image_bytes;
    uint64_t heap_base, heap_bytes;   /* reserved address space, nothing mapped */
    uint64_t stack_base, stack_bytes; /* vCPU 0's first stack, mapped, with a guard range below */
    uint64_t vcpu_pages;              /* address of vCPU 0's page; vCPU n's is n pages on */
    _Atomic uint32_t vcpu_count;      /* that may run now; changes while the guest runs */
    uint32_t vcpu_max; /* the most; a vCPU has its page once vcpu_count has included it */
    _Atomic uint64_t memory_bytes; /* the promise; changes while the guest runs */
    uint64_t xcr0;
    uint32_t xsave_bytes;
    uint32_t net_count;
    struct skep_clock clock;
    _Atomic uint64_t wall_ns; /* UNIX time in ns at clock 0, 0 = unknown; follows the host's */
    uint8_t seed[32];
    struct skep_net net[SKEP_NETS_MAX];
    uint32_t argc, envc;
    uint32_t strings_offset; /* from this structure: argc + envc strings, each ended by a NUL */
    uint32_t strings_bytes;
    uint32_t block_count;
    uint32_t reserved;
    struct skep_block block[SKEP_BLOCKS_MAX];
    /* From SKEP_FILES_ABI_MINOR on: the files of its spec, a struct skep_files (files.h), read-only; 0 = none. */
    uint64_t files_base, files_bytes;
    struct skep_net6 net6[SKEP_NETS_MAX]; /* from SKEP_NET6_ABI_MINOR on */
};

/*
 * PV devices speak virtio's split virtqueues (Virtual I/O Device 1.2, section 2.7) with EVENT_IDX always on and
 * without indirect descriptors. Differences: a descriptor's address is a guest virtual address, there is no PCI:
 * SKEP_HC_QUEUE_KICK notifies the back-end and an event the guest. Each of the three parts must lie within
 * one page. Net device n has receive queue 2n and transmit queue 2n + 1; a packet starts with the 12-byte
 * virtio_net_hdr of section 5.1.6 (num_buffers included). Beside a receive queue with SKEP_QUEUE_MERGE it may have a payload
 * queue: longer buffers for what follows the headers of such segments.
 */
#define SKEP_QUEUE_SIZE_MAX 256u
#define SKEP_QUEUE_BLOCK_0 \
    (2u * SKEP_NETS_MAX) /* block device n has queue SKEP_QUEUE_BLOCK_0 + n */
#define SKEP_QUEUE_PAYLOAD_0 \
    (SKEP_QUEUE_BLOCK_0 + SKEP_BLOCKS_MAX) /* net device n's payload queue is that + n */
#define SKEP_QUEUE_COUNT (SKEP_QUEUE_PAYLOAD_0 + SKEP_NETS_MAX)

struct skep_vring_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};
_Static_assert(sizeof(struct skep_vring_desc) == 16, "ABI");

#define SKEP_VRING_DESC_NEXT  1u
#define SKEP_VRING_DESC_WRITE 2u

/* Followed by the used_event word. The guest writes it. */
struct skep_vring_avail {
    uint16_t flags;
    _Atomic uint16_t index;
    uint16_t ring[];
};

struct skep_vring_used_elem {
    uint32_t id;
    uint32_t len;
};

/* Followed by the avail_event word. Ring 0 writes it. */
struct skep_vring_used {
    uint16_t flags;
    _Atomic uint16_t index;
    struct skep_vring_used_elem ring[];
};

/* Of a net device's receive queue: the front-end takes TCP segments that are longer than a frame (SKEP_NET_GSO_TCP4), in
 * as many chains as num_buffers says; MERGE6: those over IPv6 (SKEP_NET_GSO_TCP6). */
#define SKEP_QUEUE_MERGE  1u
#define SKEP_QUEUE_MERGE6 2u

struct skep_queue_setup {
    uint32_t queue; /* number */
    uint32_t size;  /* a power of two, 2 to SKEP_QUEUE_SIZE_MAX */
    uint64_t desc;  /* IN: addresses of the three parts, 16-, 2- and 4-byte aligned */
    uint64_t avail;
    uint64_t used;
    uint32_t vcpu;  /* that gets the queue's event */
    uint32_t flags; /* SKEP_QUEUE_… */
};
_Static_assert(sizeof(struct skep_queue_setup) == 40, "ABI");

struct skep_net_header {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t num_buffers;
};
_Static_assert(sizeof(struct skep_net_header) == 12, "ABI");

#define SKEP_NET_HDR_NEEDS_CSUM 1u
#define SKEP_NET_HDR_DATA_VALID 2u
#define SKEP_NET_HDR_PAYLOAD \
    128u /* what is behind hdr_len is in num_buffers chains of the payload queue */

#define SKEP_NET_GSO_NONE 0u /* gso_type */
#define SKEP_NET_GSO_TCP4 1u
#define SKEP_NET_GSO_TCP6 4u

#define SKEP_NET_GSO_SIZE_MIN 536u /* the smallest gso_size, RFC 9293's MSS for who names none */

/*
 * A block request is a chain as in section 5.2.6 of the same document: one descriptor with this header, which ring 0
 * reads, then the data, at most SKEP_BLOCK_BYTES_MAX (written by ring 0 for reads, else read by it), then one descriptor
 * of one byte for the status: at most SKEP_BLOCK_PARTS_MAX descriptors in all. Sectors are of 512 bytes, whatever block_bytes
 * is. Requests that are underway together may be done in any order. A write has reached the medium when a flush that was
 * added after the write's end has ended. The data of DISCARD and WRITE_ZEROES is one descriptor with a struct skep_block_range.
 */
#define SKEP_BLOCK_BYTES_MAX 1048576u
#define SKEP_BLOCK_PARTS_MAX 34u

struct skep_block_header {
    uint32_t type; /* SKEP_BLOCK_T_… */
    uint32_t reserved;
    uint64_t sector; /* 0 for FLUSH, DISCARD and WRITE_ZEROES */
};
_Static_assert(sizeof(struct skep_block_header) == 16, "ABI");

#define SKEP_BLOCK_T_IN           0u
#define SKEP_BLOCK_T_OUT          1u
#define SKEP_BLOCK_T_FLUSH        4u
#define SKEP_BLOCK_T_DISCARD      11u
#define SKEP_BLOCK_T_WRITE_ZEROES 13u

struct skep_block_range {
    uint64_t sector;
    uint32_t sectors;
    uint32_t flags; /* 0 */
};
_Static_assert(sizeof(struct skep_block_range) == 16, "ABI");

#define SKEP_BLOCK_S_OK 0u
#define SKEP_BLOCK_S_IOERR \
    1u /* the device failed, or the request leaves it, or is misaligned, or it is read-only */
#define SKEP_BLOCK_S_UNSUPP 2u /* unknown type */
#define SKEP_BLOCK_S_NOSPC \
    3u /* a write that needs space found none: neither the volume nor its disk has any left */

/*
 * ELF notes by the name "Skep". Every image carries one of type SKEP_NOTE_ABI, contents struct skep_note. One of type
 * SKEP_NOTE_FUNCTIONS, in a section that isn't loaded, has function names for backtraces (docs/abi.md).
 */
#define SKEP_NOTE_NAME      "Skep"
#define SKEP_NOTE_ABI       1u
#define SKEP_NOTE_FUNCTIONS 2u

#define SKEP_NOTE_STACK_RESERVED (1u << 0) /* its first stack is to be as by SKEP_MAP_RESERVE */

struct skep_note {
    uint16_t abi_major, abi_minor;
    uint32_t flags; /* SKEP_NOTE_…, from SKEP_RESERVE_ABI_MINOR on; those unknown say nothing */
    uint64_t features; /* required, of SKEP_FEATURE_… */
};
_Static_assert(sizeof(struct skep_note) == 16, "ABI");

#endif
