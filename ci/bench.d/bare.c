/*
 * bare.c - what QEMU's disk can do at most: a program without any system that keeps requests in flight.
 *
 * Booted by PVH, it stays in 32-bit mode without paging. Its command line says what to do:
 *
 *   read|write random|sequential BYTES IN_FLIGHT MILLISECONDS spin|halt
 *
 * BYTES is a power of two. It works in the disk's first 64 MiB, each sector of which begins with its own number; reads
 * look at the first and the last sector. While nothing has come back it looks at the ring without end (spin), or halts
 * until the disk's interrupt (halt). It says "done REQUESTS NANOSECONDS" on the serial port, or "failed: " and why.
 */
#include <stdbool.h>
#include <stdint.h>

#define AREA          (64u << 20)
#define SECTOR        512u
#define QUEUE_SIZE    128u
#define IN_FLIGHT_MAX 32u
#define BYTES_MAX     (1u << 20)
#define CLOCK_EVERY   16u /* requests */

/* ---- the machine: ports, serial line, PM timer (ACPI 6.4, section 4.8.3.3), where QEMU's q35 and firmware have them */

#define SERIAL       0x3f8
#define SERIAL_LINE  (SERIAL + 5)
#define SERIAL_EMPTY 0x20
#define PM_TIMER     0x608
#define PM_MASK      0xffffffu
#define DEBUG_EXIT   0xf4
#define PCI_ADDRESS  0xcf8
#define PCI_DATA     0xcfc

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static uint32_t in32(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void say(const char *text)
{
    for (; *text != 0; text++) {
        while (!(in8(SERIAL_LINE) & SERIAL_EMPTY))
            ;
        out8(SERIAL, (uint8_t)*text);
    }
}

/* By subtraction: there is no library with a 64-bit division. */
static void say_number(uint64_t number)
{
    static const uint64_t units[] = {
        1000000000000ull, 100000000000ull, 10000000000ull, 1000000000, 100000000, 10000000, 1000000,
        100000,           10000,           1000,           100,        10,        1,
    };
    bool begun = false;
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        char digit[2] = "0";
        for (; number >= units[i]; number -= units[i])
            digit[0]++;
        begun |= digit[0] != '0' || units[i] == 1;
        if (begun)
            say(digit);
    }
}

/* Ends QEMU by its isa-debug-exit. */
static _Noreturn void end(void)
{
    out8(DEBUG_EXIT, 0);
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void check(bool good, const char *what)
{
    if (good)
        return;
    say("failed: ");
    say(what);
    say("\n");
    end();
}

/* Ticks of 3.579545 MHz; asked at least every four seconds. */
static uint64_t clock_ticks(void)
{
    static uint32_t last;
    static uint64_t ticks;
    uint32_t now = in32(PM_TIMER) & PM_MASK;
    ticks += (now - last) & PM_MASK;
    last = now;
    return ticks;
}

#define TICKS_TO_NS(ticks) ((ticks)*279 + ((ticks) >> 8) * 93) /* 279.3651 */
#define TICKS_PER_MS       3580u

/* ---- PCI and virtio (Virtio 1.2, sections 4.1 and 2.7) ---- */

static uint32_t config_read(uint32_t device, uint32_t offset)
{
    out32(PCI_ADDRESS, 0x80000000u | device << 11 | (offset & 0xfc));
    return in32(PCI_DATA);
}

static void config_write(uint32_t device, uint32_t offset, uint32_t value)
{
    out32(PCI_ADDRESS, 0x80000000u | device << 11 | (offset & 0xfc));
    out32(PCI_DATA, value);
}

struct common {
    uint32_t device_feature_select, device_feature, driver_feature_select, driver_feature;
    uint16_t config_vector, num_queues;
    uint8_t status, generation;
    uint16_t queue_select, queue_size, queue_vector, queue_enable, queue_notify_off;
    uint64_t desc, avail, used;
};

struct desc {
    uint64_t address;
    uint32_t bytes;
    uint16_t flags, next;
};

struct packet {
    uint32_t type, reserved;
    uint64_t sector;
    uint8_t status;
};

#define DESC_NEXT  1u
#define DESC_WRITE 2u

static struct desc descs[QUEUE_SIZE] __attribute__((aligned(4096)));
static struct {
    uint16_t flags;
    _Atomic uint16_t index;
    uint16_t ring[QUEUE_SIZE];
    _Atomic uint16_t used_event;
} avail __attribute__((aligned(4096)));
static struct {
    uint16_t flags;
    _Atomic uint16_t index;
    struct {
        uint32_t id, bytes;
    } ring[QUEUE_SIZE];
    _Atomic uint16_t avail_event;
} used __attribute__((aligned(4096)));

static struct packet packets[IN_FLIGHT_MAX];
static uint8_t memory[IN_FLIGHT_MAX][BYTES_MAX] __attribute__((aligned(4096)));

static uint32_t disk; /* its number on the bus */
static volatile struct common *common;
static volatile uint16_t *doorbell;
static volatile uint32_t *vectors;

static void *bar(uint32_t number, uint32_t offset)
{
    uint32_t at = 0x10 + 4 * number, low = config_read(disk, at);
    if ((low & 6) == 4)
        check(config_read(disk, at + 4) == 0, "the disk's registers are above 4 GiB");
    return (void *)((low & ~15u) + offset);
}

static void capability(uint32_t at)
{
    uint32_t head = config_read(disk, at), offset = config_read(disk, at + 8);
    uint32_t number = config_read(disk, at + 4) & 0xff;
    if ((head & 0xff) == 0x11) {
        uint32_t table = config_read(disk, at + 4);
        vectors = bar(table & 7, table & ~7u);
        config_write(disk, at, head | 0x80000000u);
    }
    if ((head & 0xff) == 9 && head >> 24 == 1)
        common = bar(number, offset);
    if ((head & 0xff) == 9 && head >> 24 == 2) /* the queue's notify_off is 0 */
        doorbell = bar(number, offset);
}

static void disk_find(void)
{
    while (disk < 32 && config_read(disk, 0) != 0x10421af4)
        disk++;
    check(disk < 32, "no virtio disk");
    config_write(disk, 4, config_read(disk, 4) | 6);
    for (uint32_t at = config_read(disk, 0x34) & 0xff; at != 0;
         at = config_read(disk, at) >> 8 & 0xff)
        capability(at);
    check(common && doorbell && vectors, "no modern virtio disk with MSI-X");
}

#define VECTOR         0x40
#define APIC(register) (*(volatile uint32_t *)(0xfee00000 + (register)))

__attribute__((interrupt)) static void on_interrupt(void *frame)
{
    (void)frame;
    APIC(0xb0) = 0;
}

static void interrupts_set_up(void)
{
    static uint64_t idt[VECTOR + 1];
    static struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) idtr;
    uint32_t handler = (uint32_t)on_interrupt;
    uint16_t cs;
    __asm__("movw %%cs, %0" : "=r"(cs));
    idt[VECTOR] =
        (uint64_t)(handler >> 16) << 48 | 0x8e00ull << 32 | (uint32_t)cs << 16 | (handler & 0xffff);
    idtr.limit = sizeof(idt) - 1;
    idtr.base = (uint32_t)idt;
    __asm__ volatile("lidt %0" : : "m"(idtr));
    out8(0x21, 0xff); /* the old interrupt controllers are silent */
    out8(0xa1, 0xff);
    APIC(0xf0) = 0x1ff;
    vectors[0] = 0xfee00000;
    vectors[1] = 0;
    vectors[2] = VECTOR;
    vectors[3] = 0;
}

/* VERSION_1, EVENT_IDX, and the cache that writes may stay in: FLUSH. */
static void disk_start(void)
{
    common->status = 0;
    while (common->status != 0)
        ;
    common->status = 3;
    common->driver_feature_select = 0;
    common->driver_feature = 1u << 29 | 1u << 9;
    common->driver_feature_select = 1;
    common->driver_feature = 1;
    common->status = 11;
    check(common->status & 8, "the disk refuses the features");
    common->queue_select = 0;
    check(common->queue_size >= QUEUE_SIZE, "a short queue");
    common->queue_size = QUEUE_SIZE;
    common->queue_vector = 0;
    common->desc = (uint32_t)descs;
    common->avail = (uint32_t)&avail;
    common->used = (uint32_t)&used;
    common->queue_enable = 1;
    common->status = 15;
}

/* ---- requests ---- */

static struct {
    bool writes, random, spins;
    uint32_t bytes, in_flight, milliseconds;
} what;

static uint32_t next_at;

static uint32_t place(void)
{
    static uint32_t state = 1;
    if (what.random) {
        state = state * 1664525u + 1013904223u;
        return (state >> 4) * SECTOR & (AREA - 1) & ~(what.bytes - 1);
    }
    next_at = (next_at + what.bytes) & (AREA - 1);
    return next_at;
}

static uint16_t added;

static void prepare(uint32_t slot)
{
    struct desc *chain = &descs[3 * slot];
    uint16_t way = what.writes ? 0 : DESC_WRITE;
    uint16_t first = (uint16_t)(3 * slot);
    chain[0] = (struct desc){(uint32_t)&packets[slot], 16, DESC_NEXT, (uint16_t)(first + 1)};
    chain[1] = (struct desc){(uint32_t)memory[slot], what.bytes, (uint16_t)(DESC_NEXT | way),
                             (uint16_t)(first + 2)};
    chain[2] = (struct desc){(uint32_t)&packets[slot].status, 1, DESC_WRITE, 0};
}

static void add(uint32_t slot)
{
    struct packet *packet = &packets[slot];
    uint32_t sector = place() / SECTOR;
    *packet = (struct packet){.type = what.writes, .sector = sector, .status = 0xff};
    for (uint32_t i = 0; what.writes && i < what.bytes; i += SECTOR)
        *(uint32_t *)(memory[slot] + i) = sector + i / SECTOR;
    avail.ring[added++ % QUEUE_SIZE] = (uint16_t)(3 * slot);
}

static void kick(void)
{
    uint16_t old = avail.index;
    avail.index = added;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if ((uint16_t)(added - used.avail_event - 1) < (uint16_t)(added - old))
        *doorbell = 0;
}

static void done(uint32_t slot)
{
    const struct packet *packet = &packets[slot];
    uint32_t first = *(uint32_t *)memory[slot];
    uint32_t last = *(uint32_t *)(memory[slot] + what.bytes - SECTOR);
    uint32_t sector = (uint32_t)packet->sector;
    check(packet->status == 0, "a request's status");
    check(first == sector && last == sector + what.bytes / SECTOR - 1,
          "other data than was written");
}

/* All that are there. */
static uint32_t take(void)
{
    static uint16_t taken;
    uint32_t count = 0;
    for (; used.index != taken; count++) {
        uint32_t slot = used.ring[taken++ % QUEUE_SIZE].id / 3;
        done(slot);
        add(slot);
    }
    avail.used_event = what.spins ? (uint16_t)(taken - 1) : taken;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return count;
}

static void wait(void)
{
    if (what.spins)
        return;
    __asm__ volatile("cli");
    if (used.index == avail.used_event)
        __asm__ volatile("sti; hlt");
    else
        __asm__ volatile("sti");
}

static void run(void)
{
    uint64_t requests = 0, begin, now = begin = clock_ticks(), asked = 0;
    uint64_t ticks = (uint64_t)what.milliseconds * TICKS_PER_MS;
    for (uint32_t slot = 0; slot < what.in_flight; slot++) {
        prepare(slot);
        add(slot);
    }
    kick();
    while (now - begin < ticks) {
        uint32_t count = take();
        requests += count;
        if (count == 0)
            wait();
        else
            kick();
        if (requests - asked >= CLOCK_EVERY) {
            now = clock_ticks();
            asked = requests;
        }
    }
    say("done ");
    say_number(requests);
    say(" ");
    say_number(TICKS_TO_NS(now - begin));
    say("\n");
}

/* ---- start ---- */

static bool word(const char **at, const char *expected)
{
    const char *from = *at;
    while (*expected != 0 && *from == *expected)
        from++, expected++;
    if (*expected != 0 || (*from != ' ' && *from != 0))
        return false;
    *at = *from == 0 ? from : from + 1;
    return true;
}

static uint32_t number(const char **at)
{
    uint32_t value = 0;
    for (; **at >= '0' && **at <= '9'; ++*at)
        value = value * 10 + (uint32_t)(**at - '0');
    *at += **at == ' ';
    return value;
}

static void arguments(const char *at)
{
    what.writes = word(&at, "write");
    check(what.writes || word(&at, "read"), "read or write?");
    what.random = word(&at, "random");
    check(what.random || word(&at, "sequential"), "random or sequential?");
    what.bytes = number(&at);
    what.in_flight = number(&at);
    what.milliseconds = number(&at);
    what.spins = word(&at, "spin");
    check(what.spins || word(&at, "halt"), "spin or halt?");
    check(what.bytes >= SECTOR && what.bytes <= BYTES_MAX && (what.bytes & (what.bytes - 1)) == 0,
          "how many bytes?");
    check(what.in_flight >= 1 && what.in_flight <= IN_FLIGHT_MAX, "how many in flight?");
}

/* The start info's cmdline_paddr is at byte 24. */
__attribute__((used)) static _Noreturn void start(const uint8_t *info)
{
    arguments(*(const char *const *)(info + 24));
    disk_find();
    interrupts_set_up();
    disk_start();
    run();
    end();
}

static uint8_t stack[16384] __attribute__((aligned(16), used));

__asm__(".section .note.pvh, \"a\", @note\n"
        ".long 4, 4, 18\n"
        ".ascii \"Xen\\0\"\n"
        ".long bare_entry\n"
        ".text\n"
        ".globl bare_entry\n"
        "bare_entry:\n"
        "    cli\n"
        "    movl $stack + 16384, %esp\n"
        "    pushl $0\n"
        "    pushl $0\n"
        "    pushl %ebx\n"
        "    call start\n");
