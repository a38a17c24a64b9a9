/*
 * machine.c - the rest of the PC: serial port, PCI configuration ports, real-time clock, the CPU's
 * random numbers, power.
 */
#include "core/lock.h"
#include "internal.h"
#include "x86.h"

/* ---- serial port: a 16550 at COM1 ---- */

#define SERIAL             0x3f8
#define SERIAL_LINE_STATUS (SERIAL + 5)
#define SERIAL_IDLE        0x20
#define SERIAL_TRIES       100000u
#define SERIAL_FIFO        16u /* of a 16550A; all empty when it is idle */

static bool serial_there;
static bool serial_stuck; /* the last character was not taken in time: the next ones don't wait */

void serial_init(void)
{
    port_write8(SERIAL + 1, 0);    /* no interrupts */
    port_write8(SERIAL + 3, 0x80); /* divisor */
    port_write8(SERIAL, 1);        /* 115200 baud */
    port_write8(SERIAL + 1, 0);
    port_write8(SERIAL + 3, 3); /* 8 bits, no parity */
    port_write8(SERIAL + 2, 7); /* FIFO on and empty */
    port_write8(SERIAL + 4, 3);
    serial_there = port_read8(SERIAL_LINE_STATUS) != 0xff;
}

static void serial_put(char c)
{
    uint32_t tries = serial_stuck ? 1 : SERIAL_TRIES;

    serial_stuck = true;
    for (uint32_t i = 0; i < tries && serial_stuck; i++) {
        serial_stuck = !(port_read8(SERIAL_LINE_STATUS) & SERIAL_IDLE);
        arch_spin_hint();
    }
    if (!serial_stuck) {
        port_write8(SERIAL, (uint8_t)c);
    }
}

void arch_serial_write(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && serial_there; i++) {
        if (text[i] == '\n') {
            serial_put('\r');
        }
        serial_put(text[i]);
    }
}

size_t arch_serial_offer(const char *text, size_t bytes)
{
    size_t done = serial_there ? 0 : bytes;

    while (done < bytes && (port_read8(SERIAL_LINE_STATUS) & SERIAL_IDLE)) {
        for (uint32_t room = SERIAL_FIFO; done < bytes && room > (text[done] == '\n'); room--) {
            if (text[done] == '\n') {
                port_write8(SERIAL, '\r');
                room--;
            }
            port_write8(SERIAL, (uint8_t)text[done++]);
        }
    }
    return done;
}

bool arch_option(const char *name, char *value, size_t capacity)
{
    return cmdline_option(machine.boot.cmdline, name, value, capacity);
}

/* ---- PCI configuration mechanism #1 (PCI Local Bus 3.0, 3.2.2.3.2): the first 256 bytes ---- */

#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc
#define PCI_BYTES   256u

static struct spinlock pci_lock = {.kind = LOCK_PCI};

static uint16_t pci_select(uint32_t address, uint32_t offset)
{
    port_write32(PCI_ADDRESS, 1u << 31 | address << 8 | (offset & 0xfc));
    return (uint16_t)(PCI_DATA + (offset & 3));
}

uint32_t arch_pci_read(uint32_t address, uint32_t offset, uint32_t bytes)
{
    uint32_t value = UINT32_MAX;

    if (offset + bytes > PCI_BYTES || address > 0xffff) {
        return value >> (32 - 8 * bytes);
    }
    spin_lock(&pci_lock);
    uint16_t port = pci_select(address, offset);

    value = bytes == 1 ? port_read8(port) : bytes == 2 ? port_read16(port) : port_read32(port);
    spin_unlock(&pci_lock);
    return value;
}

void arch_pci_write(uint32_t address, uint32_t offset, uint32_t bytes, uint32_t value)
{
    if (offset + bytes > PCI_BYTES || address > 0xffff) {
        return;
    }
    spin_lock(&pci_lock);
    uint16_t port = pci_select(address, offset);

    if (bytes == 1) {
        port_write8(port, (uint8_t)value);
    } else if (bytes == 2) {
        port_write16(port, (uint16_t)value);
    } else {
        port_write32(port, value);
    }
    spin_unlock(&pci_lock);
}

/* ---- devices beside the CPUs ---- */

#define POST_CODE 0x80 /* a port that means nothing once the firmware is done */

/* QEMU before version 8.1 leaves fences out when it emulates all CPUs in one thread, as it does with a single one. A device,
 * in another thread, may then see a store after the load that follows the fence: interrupts and kicks got lost so, and
 * cards and disks hung for ever. Access to a port takes QEMU's lock, which is a fence. */
void arch_device_fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (features.emulated && machine.boot.cpu_count == 1) {
        port_read8(POST_CODE);
    }
}

/* ---- real-time clock (Motorola MC146818A) ---- */

#define RTC_UPDATING 0x80
#define RTC_BINARY   0x04
#define RTC_24_HOURS 0x02
#define RTC_TRIES    100000u
#define RTC_READINGS 10u /* two in a row must agree: a second ends between them once at most */

struct rtc_time {
    uint8_t second, minute, hour, day, month, year;
};

static uint8_t rtc_read(uint8_t index)
{
    port_write8(0x70, index);
    return port_read8(0x71);
}

static struct rtc_time rtc_read_once(void)
{
    for (uint32_t i = 0; i < RTC_TRIES && (rtc_read(10) & RTC_UPDATING); i++) {
        arch_spin_hint();
    }
    return (struct rtc_time){rtc_read(0), rtc_read(2), rtc_read(4),
                             rtc_read(7), rtc_read(8), rtc_read(9)};
}

static uint8_t from_bcd(uint8_t value)
{
    return (uint8_t)((value >> 4) * 10 + (value & 15));
}

static struct rtc_time rtc_decode(struct rtc_time time)
{
    uint8_t format = rtc_read(11);
    bool afternoon = !(format & RTC_24_HOURS) && (time.hour & 0x80);

    time.hour &= 0x7f;
    if (!(format & RTC_BINARY)) {
        time = (struct rtc_time){from_bcd(time.second), from_bcd(time.minute), from_bcd(time.hour),
                                 from_bcd(time.day),    from_bcd(time.month),  from_bcd(time.year)};
    }
    if (!(format & RTC_24_HOURS)) {
        time.hour = (uint8_t)(time.hour % 12 + (afternoon ? 12 : 0));
    }
    return time;
}

/* Days from 1970-01-01 to a date of this century: years from March on, so that the leap day is last. */
static uint64_t days_since_1970(uint32_t year, uint32_t month, uint32_t day)
{
    uint32_t y = month > 2 ? year : year - 1;
    uint32_t m = month > 2 ? month - 3 : month + 9;

    return 365ull * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

uint64_t rtc_read_ns(void)
{
    struct rtc_time time = {0}, again = rtc_read_once();
    uint32_t readings = 1;

    do {
        time = again;
        again = rtc_read_once();
    } while (__builtin_memcmp(&time, &again, sizeof(time)) != 0 && ++readings < RTC_READINGS);
    time = rtc_decode(time);
    if (readings == RTC_READINGS || time.month < 1 || time.month > 12 || time.day < 1 ||
        time.day > 31 || time.hour > 23 || time.minute > 59 || time.second > 59 || time.year > 99) {
        return 0;
    }
    uint64_t days = days_since_1970(2000u + time.year, time.month, time.day);

    return (((days * 24 + time.hour) * 60 + time.minute) * 60 + time.second) * 1000000000ull;
}

/* ---- random numbers ---- */

#define RANDOM_TRIES 16u

static enum { RANDOM_NONE, RANDOM_RDRAND, RANDOM_RDSEED } random_source;

static bool random_step_from(uint32_t source, uint64_t *value)
{
    uint8_t good = 0;

    for (uint32_t i = 0; i < RANDOM_TRIES && !good; i++) {
        if (source == RANDOM_RDSEED) {
            __asm__ volatile("rdseed %0; setc %1" : "=r"(*value), "=qm"(good) : : "cc");
        } else {
            __asm__ volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(good) : : "cc");
        }
        arch_spin_hint();
    }
    return good;
}

/* RDSEED is one source for all CPUs, and guests may use it up; RDRAND gives more than they can take. */
static bool random_step(uint64_t *value)
{
    return random_step_from(random_source, value) ||
           (random_source == RANDOM_RDSEED && features.rdrand &&
            random_step_from(RANDOM_RDRAND, value));
}

/* Some CPUs claim success and give a constant. */
static bool random_alive(void)
{
    uint64_t values[4];

    for (uint32_t i = 0; i < ARRAY_COUNT(values); i++) {
        if (!random_step(&values[i]) || values[i] == 0 || values[i] == UINT64_MAX ||
            (i > 0 && values[i] == values[i - 1])) {
            return false;
        }
    }
    return true;
}

void random_init(void)
{
    random_source = features.rdseed ? RANDOM_RDSEED : RANDOM_NONE;
    if (random_source == RANDOM_RDSEED && random_alive()) {
        return;
    }
    random_source = features.rdrand ? RANDOM_RDRAND : RANDOM_NONE;
    if (random_source == RANDOM_RDRAND && !random_alive()) {
        random_source = RANDOM_NONE;
    }
}

bool arch_random(uint64_t *value)
{
    return random_source != RANDOM_NONE && random_step(value);
}

/* ---- power ---- */

#define PM_SLEEP_ENABLE (1u << 13)
#define DEBUG_EXIT_PORT 0xf4

/* S5 by the FADT's control registers (ACPI 16.1.6). Where that does nothing, QEMU's isa-debug-exit
 * ends the emulator (with status 1), and anything else halts. */
_Noreturn void arch_power_off(void)
{
    const struct acpi_info *acpi = &machine.acpi;

    if (acpi->pm1a_control) {
        port_write16(acpi->pm1a_control, (uint16_t)(acpi->sleep_a << 10 | PM_SLEEP_ENABLE));
    }
    if (acpi->pm1b_control) {
        port_write16(acpi->pm1b_control, (uint16_t)(acpi->sleep_b << 10 | PM_SLEEP_ENABLE));
    }
    port_write8(DEBUG_EXIT_PORT, 0);
    cpu_halt();
}

/* The FADT's reset register, the chipset's, the keyboard controller's, at last a triple fault. */
_Noreturn void arch_reboot(void)
{
    static const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) no_idt = {0, 0};

    if (machine.acpi.reset_supported && machine.acpi.reset_port) {
        port_write8(machine.acpi.reset_port, machine.acpi.reset_value);
    }
    port_write8(0xcf9, 2);
    port_write8(0xcf9, 6);
    port_write8(0x64, 0xfe);
    __asm__ volatile("lidt %0; ud2" : : "m"(no_idt));
    cpu_halt();
}
