/*
 * machine.c - the fake machine of the harnesses that run ring 0.
 */
#include "machine.h"

#include <string.h>

#include "card.h"
#include "core/frame.h"
#include "core/image.h"
#include "core/retain.h"
#include "fake.h"
#include "harness.h"
#include "io/io.h"
#include "io/switch.h"
#include "state.h"

#define RAM_BYTES  (64ull << 20)
#define ROUNDS_MAX 4000u

#define INDEXES_TRIED     24u
#define GENERATIONS_TRIED 700u

struct account {
    uint64_t frames[SKEP_FRAME_TYPES];
    uint64_t promised;
    uint32_t guests, images;
};

static struct account empty;

static void account_take(struct account *account)
{
    memset(account, 0, sizeof(*account));
    frame_counts(account->frames);
    account->promised = promise_taken();
    account->guests = guest_count();
    account->images = image_count();
}

static bool is_empty(void)
{
    struct account now;
    account_take(&now);
    return memcmp(&now, &empty, sizeof(now)) == 0;
}

/* Each CPU goes round, until `done` or for long enough. */
static void go_round(bool (*done)(void))
{
    for (uint32_t round = 0; round < ROUNDS_MAX && !done(); round++) {
        for (uint32_t i = 0; i < MACHINE_CPUS; i++) {
            fake_cpu_set(i);
            fake_interrupts();
        }
        fake_clock_advance(100000);
    }
    fake_cpu_set(0);
}

/* It isn't listed, and its handle may be any that can have been given out: it starts again when it ends. */
static struct guest *control_search(void)
{
    for (uint64_t index = 1; index <= INDEXES_TRIED; index++) {
        for (uint64_t generation = 1; generation <= GENERATIONS_TRIED; generation++) {
            struct guest *guest = fake_find(generation << 32 | index);
            if (guest && guest->is_control) {
                return guest;
            }
        }
    }
    return NULL;
}

struct guest *machine_control(void)
{
    for (uint32_t i = 0; i < MACHINE_CPUS; i++) {
        struct vcpu *vcpu = cpu_at(i)->current;
        if (vcpu && vcpu->guest->is_control) {
            return vcpu->guest;
        }
    }
    return control_search();
}

static uint64_t ending; /* handle of the control service's guest that goes */

static bool control_is_new(void)
{
    for (uint32_t i = 0; i < MACHINE_CPUS; i++) {
        struct vcpu *vcpu = cpu_at(i)->current;
        if (vcpu && vcpu->guest->is_control && vcpu->guest->handle != ending) {
            return true;
        }
    }
    return false;
}

/* The control service starts again, with nothing mapped but what it starts with. */
static void control_renew(void)
{
    struct guest *control = machine_control();
    ending = control ? control->handle : 0;
    if (control) {
        guest_end(control, 0);
    }
    go_round(control_is_new);
    FUZZ_CHECK(control_is_new());
}

void machine_start(void)
{
    state_memory(RAM_BYTES);
    card_plug();
    fake_boot(RAM_BYTES, MACHINE_CPUS);
    state_keep();
    control_renew();
    account_take(&empty);
}

void machine_begin(void)
{
    state_restore();
    card_reset();
    fake_cpu_set(0);
}

static void guests_destroy(void)
{
    for (uint64_t handle = guest_next(0); handle; handle = guest_next(handle)) {
        struct guest *guest = guest_find(handle);
        if (guest) {
            guest_destroy(guest);
            guest_release(guest);
        }
    }
}

static void images_destroy(void)
{
    struct skep_image_info info;
    uint64_t handle;
    while ((handle = image_next(0, &info)) != 0) {
        int error = image_destroy(handle);
        FUZZ_CHECK(!error || error == -SKEP_EAGAIN);
    }
}

/* The card gives back what it has, which may go on growing: a port sends until the reaper closes it. */
static bool guests_gone(void)
{
    while (card_count()) {
        card_give_back(0);
    }
    return guest_count() == empty.guests;
}

static void nothing_held(void)
{
    for (uint32_t i = 0; i < MACHINE_CPUS; i++) {
        FUZZ_CHECK(cpu_at(i)->arch.locks == 0);
    }
    for (pfn_t pfn = 1; pfn < RAM_BYTES / PAGE_SIZE; pfn++) {
        FUZZ_CHECK(!frame_valid(pfn) || frame_pins(pfn) == 0);
    }
    FUZZ_CHECK(!switch_work_any());
}

void machine_end(void)
{
    fake_between = NULL;
    fake_meanwhile = NULL;
    guests_destroy();
    go_round(guests_gone);
    FUZZ_CHECK(guests_gone());
    images_destroy();
    struct guest *control = machine_control();
    for (uint32_t i = 0; control && i < retain_capacity(); i++) {
        FUZZ_CHECK(!retain_write(control, i, gva(0)));
    }
    control_renew();
    go_round(is_empty);
    FUZZ_CHECK(is_empty());
    nothing_held();
}
