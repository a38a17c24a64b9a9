/*
 * test_shares.c - what each guest gets against what it is due, under seeded loads on 1 to 32 CPUs.
 *
 * An event-driven simulation on the virtual clock: guests spin or sleep and wake, with weights, caps, affinities and
 * several vCPUs, and all of that changes. What is due is computed by progressive filling: all guests' shares rise in
 * step with their weights until a guest has all that it can use or a set of CPUs is full; the others go on. A
 * failure prints its seed: `test_shares CPUS SEED` repeats it alone.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/sched.h"

#define MS         1000000ull
#define GUESTS_MAX 400
#define MASKS_MAX  6
#define VCPUS_HERE 8

struct load {
    struct guest *guest;
    uint32_t vcpus;  /* that run */
    uint64_t run_ns; /* 0 = spins, else it runs so long and then sleeps */
    uint64_t sleep_ns;
    uint64_t left_ns[VCPUS_HERE];
    bool paused;
    uint64_t start_ns; /* run time at the window's start */
    double got, due;   /* CPUs */
    bool frozen;
};

static struct load loads[GUESTS_MAX];
static uint32_t load_count;
static uint64_t image;
static uint64_t seed_now;
static uint64_t random_state;

#define EXPECT(condition, ...)                                                              \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            fprintf(stderr, "cpus %u seed %lu: %s: ", cpu_count(), (unsigned long)seed_now, \
                    #condition);                                                            \
            fprintf(stderr, __VA_ARGS__);                                                   \
            fprintf(stderr, "\n");                                                          \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

static uint64_t pick(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

/* ---- the simulation ---- */

static struct load *load_of(const struct vcpu *vcpu)
{
    uint64_t index = vcpu->page->guest_private[0];
    return index ? &loads[index - 1] : NULL;
}

static uint32_t mask_of(const struct guest *guest)
{
    return share_cpus(&guest->share);
}

/* No CPU sleeps while a vCPU waits that may run there. */
static void check_work_is_conserved(void)
{
    uint32_t idle = 0;
    for (uint32_t i = 0; i < cpu_count(); i++) {
        idle |= cpu_at(i)->current ? 0 : 1u << i;
    }
    for (uint32_t i = 0; idle && i < load_count; i++) {
        const struct share *share = &loads[i].guest->share;
        EXPECT(!share->queued || share_capped(share) || !(share_cpus(share) & idle),
               "guest %u waits, idle CPUs %x", i, idle);
    }
}

/* Lets every CPU handle what it has been told, until none has anything left to do now. */
static void settle(void)
{
    bool any = true;
    for (int round = 0; any; round++) {
        EXPECT(round < 1000, "CPUs keep telling each other");
        any = false;
        for (uint32_t i = 0; i < cpu_count(); i++) {
            struct cpu *cpu = cpu_at(i);
            if (cpu->resched || cpu->arch.ipis || cpu->arch.timer_ns <= arch_clock_ns()) {
                fake_cpu_set(i);
                fake_interrupts();
                any = true;
            }
        }
    }
    check_work_is_conserved();
}

static uint64_t *left_of(const struct vcpu *vcpu)
{
    struct load *load = vcpu ? load_of(vcpu) : NULL;
    return load && load->run_ns ? &load->left_ns[vcpu->index] : NULL;
}

static uint64_t next_event(uint64_t end)
{
    uint64_t next = end;
    for (uint32_t i = 0; i < cpu_count(); i++) {
        const struct cpu *cpu = cpu_at(i);
        const uint64_t *left = left_of(cpu->current);
        next = cpu->arch.timer_ns < next ? cpu->arch.timer_ns : next;
        if (left && arch_clock_ns() + *left < next) {
            next = arch_clock_ns() + *left;
        }
    }
    return next;
}

/* What runs and has run as long as it wanted to goes to sleep. */
static void sleepers(uint64_t passed)
{
    for (uint32_t i = 0; i < cpu_count(); i++) {
        struct vcpu *vcpu = cpu_at(i)->current;
        uint64_t *left = left_of(vcpu);
        if (!left) {
            continue;
        }
        *left -= passed < *left ? passed : *left;
        if (!*left) {
            struct load *load = load_of(vcpu);
            *left = 1 + load->run_ns / 2 + pick(load->run_ns);
            uint64_t until = arch_clock_ns() + load->sleep_ns / 2 + pick(load->sleep_ns) + 1;
            fake_cpu_set(i);
            fake_hypercall(vcpu, SKEP_HC_WAIT, until, 0, 0);
            fake_resume();
        }
    }
}

static void run(uint64_t ns)
{
    uint64_t end = arch_clock_ns() + ns;
    settle();
    while (arch_clock_ns() < end) {
        uint64_t now = arch_clock_ns();
        uint64_t next = next_event(end);
        fake_clock_advance(next > now ? next - now : 1);
        sleepers(arch_clock_ns() - now);
        settle();
    }
}

/* ---- what is due ---- */

static double limit_of(const struct load *load)
{
    uint32_t cpus = (uint32_t)__builtin_popcount(mask_of(load->guest));
    double limit = load->vcpus < cpus ? load->vcpus : cpus;
    double cap = load->guest->share.params.cap / 100.0;
    limit = cap > 0 && cap < limit ? cap : limit;
    return load->paused ? 0 : limit;
}

static double share_at(const struct load *load, double level)
{
    double share = level * load->guest->share.params.weight;
    double limit = limit_of(load);
    return load->frozen ? load->due : share < limit ? share : limit;
}

/* The most crowded set of CPUs that some guests can't leave: what they want there against what there is. */
static double crowd_at(double level, const uint32_t *sets, uint32_t set_count, uint32_t *fullest)
{
    double most = -1e9;
    for (uint32_t s = 0; s < set_count; s++) {
        double wanted = 0;
        bool open = false;
        for (uint32_t i = 0; i < load_count; i++) {
            if (!(mask_of(loads[i].guest) & ~sets[s])) {
                wanted += share_at(&loads[i], level);
                open |= !loads[i].frozen;
            }
        }
        if (open && wanted - __builtin_popcount(sets[s]) > most) {
            most = wanted - __builtin_popcount(sets[s]);
            *fullest = sets[s];
        }
    }
    return most;
}

/* All unions of the masks in use. */
static uint32_t sets_of_cpus(uint32_t *sets)
{
    uint32_t masks[MASKS_MAX + 2];
    uint32_t mask_count = 0;
    for (uint32_t i = 0; i < load_count; i++) {
        uint32_t known = 0;
        while (known < mask_count && masks[known] != mask_of(loads[i].guest)) {
            known++;
        }
        if (known == mask_count) {
            EXPECT(mask_count < MASKS_MAX + 2, "too many masks for the model");
            masks[mask_count++] = mask_of(loads[i].guest);
        }
    }
    for (uint32_t s = 1; s < 1u << mask_count; s++) {
        sets[s - 1] = 0;
        for (uint32_t m = 0; m < mask_count; m++) {
            sets[s - 1] |= s & 1u << m ? masks[m] : 0;
        }
    }
    return (1u << mask_count) - 1;
}

/* Sleepers want what they got. */
static void compute_due(void)
{
    static uint32_t sets[1u << (MASKS_MAX + 2)];
    uint32_t set_count = sets_of_cpus(sets);
    uint32_t open = 0;
    for (uint32_t i = 0; i < load_count; i++) {
        loads[i].frozen = loads[i].run_ns > 0;
        loads[i].due = loads[i].run_ns ? loads[i].got : 0;
        open += !loads[i].frozen;
    }
    while (open) {
        double low = 0;
        double high = 1e3;
        uint32_t full = 0;
        for (int step = 0; step < 100; step++) {
            double middle = (low + high) / 2;
            uint32_t unused;
            *(crowd_at(middle, sets, set_count, &unused) > 0 ? &high : &low) = middle;
        }
        bool crowded = crowd_at(high, sets, set_count, &full) >= 0;
        for (uint32_t i = 0; i < load_count; i++) {
            struct load *load = &loads[i];
            bool stuck = crowded && !(mask_of(load->guest) & ~full);
            if (!load->frozen && (stuck || share_at(load, low) >= limit_of(load) * 0.9999999)) {
                load->due = share_at(load, low);
                load->frozen = true;
                open--;
            }
        }
    }
}

/* ---- loads ---- */

static uint64_t guest_ran(const struct guest *guest)
{
    uint64_t ns = 0;
    for (uint32_t i = 0; i < guest->vcpu_max; i++) {
        ns += guest->vcpus[i] ? sched_run_ns(guest->vcpus[i]) : 0;
    }
    return ns;
}

/* Runs for a window and compares. */
static void check_shares(uint64_t window, const char *what)
{
    for (uint32_t i = 0; i < load_count; i++) {
        loads[i].start_ns = guest_ran(loads[i].guest);
    }
    run(window);
    for (uint32_t i = 0; i < load_count; i++) {
        loads[i].got = (double)(guest_ran(loads[i].guest) - loads[i].start_ns) / (double)window;
    }
    compute_due();
    for (uint32_t i = 0; i < load_count; i++) {
        const struct load *load = &loads[i];
        /* A turn or two of each vCPU more or less is a matter of when one looks. */
        double slack = load->due * 0.01 + 10e6 * load->vcpus / (double)window;
        double cap = load->guest->share.params.cap / 100.0;
        EXPECT(load->got <= load->due + slack && load->got >= load->due - slack,
               "%s: guest %u (weight %u cap %u vcpus %u mask %x sleeps %d) got %.5f of %.5f", what,
               i, load->guest->share.params.weight, load->guest->share.params.cap, load->vcpus,
               mask_of(load->guest), load->run_ns > 0, load->got, load->due);
        EXPECT(!load->guest->share.params.cap || load->got <= cap * 1.01 + 1e6 / (double)window,
               "%s: guest %u cap %.2f got %.4f", what, i, cap, load->got);
    }
}

static struct load *add(uint32_t weight, uint32_t cap, uint64_t affinity, uint32_t vcpus)
{
    struct load *load = &loads[load_count];
    struct sched_params params = {weight, cap, affinity};
    memset(load, 0, sizeof(*load));
    load->guest = fake_find(fake_guest(image, (256 << 10) + vcpus * 16384, vcpus));
    EXPECT(load->guest, "no guest %u", load_count);
    load->vcpus = vcpus;
    EXPECT(!sched_params_set(load->guest, &params), "no room for affinity %lx",
           (unsigned long)affinity);
    load_count++;
    return load;
}

static void start(struct load *load)
{
    int error;
    do {
        error = guest_start(load->guest); /* makes its vCPUs, some at a time */
    } while (error == -SKEP_EAGAIN);
    EXPECT(!error, "it doesn't start: %d", error);
    for (uint32_t i = 0; i < load->vcpus; i++) {
        load->guest->vcpus[i]->page->guest_private[0] = (uint64_t)(load - loads) + 1;
        load->left_ns[i] = 1;
        EXPECT(!i || sched_start(load->guest->vcpus[i]), "vCPU %u doesn't start", i);
    }
}

static void remove_all(void)
{
    for (uint32_t i = 0; i < load_count; i++) {
        guest_destroy(loads[i].guest);
    }
    for (int round = 0; round < 50 && guest_count() > 1; round++) {
        fake_settle();
    }
    EXPECT(guest_count() == 1, "%u guests are left", guest_count() - 1);
    load_count = 0;
}

static uint32_t any_weight(void)
{
    static const uint32_t usual[] = {100, 100, 100, 200, 50, 10, 1000};
    return pick(4) ? usual[pick(ARRAY_COUNT(usual))] : 1 + (uint32_t)pick(10000);
}

static uint32_t any_cap(void)
{
    return pick(4) ? 0 : 1 + (uint32_t)pick(150);
}

/* A few affinities only, as the model tries all their unions. */
static uint64_t any_affinity(const uint32_t *masks)
{
    return pick(3) ? 0 : masks[pick(MASKS_MAX)];
}

static void masks_choose(uint32_t *masks)
{
    for (uint32_t i = 0; i < MASKS_MAX; i++) {
        do {
            masks[i] = (uint32_t)(pick(2) ? 1ull << pick(cpu_count()) : pick(1ull << cpu_count()));
        } while (!masks[i]);
    }
}

static void mixed_load(uint32_t guests, const uint32_t *masks)
{
    for (uint32_t i = 0; i < guests; i++) {
        uint32_t vcpus = pick(5) ? 1 : 1 + (uint32_t)pick(VCPUS_HERE);
        struct load *load = add(any_weight(), any_cap(), any_affinity(masks), vcpus);
        if (!pick(4)) {
            load->run_ns = 20000 + pick(3 * MS);
            load->sleep_ns = 200000 + pick(100 * MS);
        }
        start(load);
    }
}

/* Something about a guest changes while it runs. */
static void change_one(const uint32_t *masks)
{
    struct load *load = &loads[pick(load_count)];
    struct skep_guest_change change = {
        .changes = 1u << pick(3),
        .weight = any_weight(),
        .cpu_cap = any_cap(),
        .cpu_affinity = any_affinity(masks),
    };
    if (pick(4)) {
        EXPECT(!guest_change(load->guest, &change), "it can't be changed");
    } else {
        int error = load->paused ? guest_start(load->guest) : guest_pause(load->guest);
        EXPECT(!error, "it can't be paused or go on");
        load->paused = !load->paused;
    }
}

/* Nobody who wants to run waits for much longer than his share explains. */
static void check_nobody_starves(void)
{
    for (uint32_t i = 0; i < load_count; i++) {
        const struct load *load = &loads[i];
        if (load->run_ns || load->paused) {
            continue;
        }
        for (uint32_t v = 0; v < load->vcpus; v++) {
            const struct vcpu *vcpu = load->guest->vcpus[v];
            uint64_t waited = vcpu->queued ? arch_clock_ns() - vcpu->ready_since_ns : 0;
            uint64_t turn = share_turn_ns(&load->guest->share);
            double bound = (double)turn * load->vcpus / load->due * 4 + 200e6;
            EXPECT((double)waited < bound, "guest %u waits for %lu ns, due %.5f", i,
                   (unsigned long)waited, load->due);
        }
    }
}

static void control_sleeps(void)
{
    struct vcpu *vcpu = fake_find(1ull << 32 | 1)->vcpus[0];
    vcpu->page->mask = UINT64_MAX;
    for (uint32_t i = 0; vcpu->state != VCPU_BLOCKED; i++) {
        fake_cpu_set(vcpu->state == VCPU_RUNNING ? vcpu->cpu : i % cpu_count());
        if (fake_interrupts() == vcpu) {
            fake_hypercall(vcpu, SKEP_HC_WAIT, TIME_NEVER, 0, 0);
            fake_resume();
        }
        fake_clock_advance(MS);
    }
}

/* ---- scenarios ---- */

static void weights_alone(void)
{
    uint32_t guests = 2 + (uint32_t)pick(100);
    for (uint32_t i = 0; i < guests; i++) {
        start(add(any_weight(), 0, 0, 1));
    }
    run(2000 * MS);
    check_shares(20000 * MS, "weights");
    check_nobody_starves();
    remove_all();
}

static void everything_at_once(void)
{
    uint32_t masks[MASKS_MAX];
    masks_choose(masks);
    mixed_load(2 + (uint32_t)pick(150), masks);
    run(4000 * MS);
    check_shares(20000 * MS, "mixed");
    check_nobody_starves();
    for (uint32_t i = 0; i < 200; i++) {
        change_one(masks);
        run(1 + pick(20 * MS));
    }
    run(4000 * MS);
    check_shares(20000 * MS, "changed");
    check_nobody_starves();
    remove_all();
}

/* The control service as one of the loads, until control_sleeps(). */
static struct load *control_joins(uint64_t run_ns, uint64_t sleep_ns)
{
    struct load *load = &loads[load_count++];
    *load = (struct load){.guest = fake_find(1ull << 32 | 1),
                          .vcpus = 1,
                          .run_ns = run_ns,
                          .sleep_ns = sleep_ns,
                          .left_ns = {run_ns}};
    load->guest->vcpus[0]->page->guest_private[0] = load_count;
    fake_cpu_set(0);
    sched_wake(load->guest->vcpus[0], 0, arch_clock_ns());
    return load;
}

static void control_leaves(void)
{
    fake_find(1ull << 32 | 1)->vcpus[0]->page->guest_private[0] = 0;
    load_count--;
    control_sleeps();
}

static void spinners(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        start(add(100, 0, 0, 1));
    }
    run(500 * MS);
}

/* Within its reservation it never waits, however many guests want the CPUs; the guests' shares of the rest hold. */
static void control_goes_first(void)
{
    spinners(300);
    struct load *load = control_joins(1 * MS, 20 * MS);
    const struct vcpu *vcpu = load->guest->vcpus[0];
    uint64_t ready = vcpu->ready_ns;
    uint64_t switches = vcpu->switches;
    check_shares(5000 * MS, "beside the control service");
    EXPECT(vcpu->switches - switches > 100, "it hardly ran");
    EXPECT(vcpu->ready_ns == ready, "it waited for %lu ns",
           (unsigned long)(vcpu->ready_ns - ready));
    control_leaves();
    remove_all();
}

/* One that never stops has its reservation or its share by weight, whichever is more, and no more. */
static void flooded_control_starves_nobody(void)
{
    spinners(300);
    struct load *load = control_joins(0, 0);
    uint64_t start_ns = guest_ran(load->guest);
    uint64_t window = 20000 * MS;
    run(window);
    double got = (double)(guest_ran(load->guest) - start_ns) / (double)window;
    double due = cpu_count() * 1000.0 / (1000 + 300 * 100);
    due = due < 0.3 ? 0.3 : due > 1 ? 1 : due;
    EXPECT(got > due * 0.99 && got < due * 1.01 + 0.005, "it got %.4f of %.4f", got, due);
    control_leaves();
    remove_all();
}

/* Who sleeps most of the time gets a CPU at once when he wakes. */
static void wakers_get_in_at_once(void)
{
    spinners(4 * cpu_count());
    struct load *load = add(100, 0, 0, 1);
    load->run_ns = MS / 5;
    load->sleep_ns = 20 * MS;
    start(load);
    run(100 * MS);
    const struct vcpu *vcpu = load->guest->vcpus[0];
    uint64_t ready = vcpu->ready_ns;
    uint64_t switches = vcpu->switches;
    run(5000 * MS);
    uint64_t wakes = vcpu->switches - switches;
    EXPECT(wakes > 200, "it woke %lu times", (unsigned long)wakes);
    EXPECT((vcpu->ready_ns - ready) / wakes < MS / 10, "it waited for %lu ns a time",
           (unsigned long)((vcpu->ready_ns - ready) / wakes));
    remove_all();
}

/* Each ns of a CPU and of a vCPU is in one account. */
static void accounts_add_up(void)
{
    uint32_t masks[MASKS_MAX];
    masks_choose(masks);
    mixed_load(20, masks);
    run(1000 * MS);
    for (int i = 0; i < 5; i++) {
        guest_destroy(loads[--load_count].guest);
        run(100 * MS);
    }
    uint64_t by_cpus = 0;
    for (uint32_t i = 0; i < cpu_count(); i++) {
        uint64_t idle, guests, core;
        sched_cpu_times(cpu_at(i), &idle, &guests, &core);
        EXPECT(idle + guests + core == arch_clock_ns() - cpu_at(i)->online_ns, "CPU %u", i);
        by_cpus += guests;
    }
    uint64_t by_guests = sched_gone_ns() + guest_ran(fake_find(1ull << 32 | 1));
    for (uint32_t i = 0; i < load_count; i++) {
        struct skep_guest_status status;
        guest_status(loads[i].guest, &status);
        by_guests += status.cpu_ns;
        for (uint32_t v = 0; v < loads[i].vcpus; v++) {
            struct skep_vcpu_status vcpu;
            EXPECT(!guest_vcpu_status(loads[i].guest, v, &vcpu), "no vCPU");
            uint64_t since = loads[i].guest->vcpus[v]->started_ns;
            EXPECT(vcpu.run_ns + vcpu.ready_ns + vcpu.idle_ns == arch_clock_ns() - since, "vCPU %u",
                   v);
        }
    }
    EXPECT(by_cpus == by_guests, "%lu by CPUs, %lu by guests", (unsigned long)by_cpus,
           (unsigned long)by_guests);
    remove_all();
}

static int simulate(uint32_t cpus, uint64_t first_seed, uint64_t seeds)
{
    struct baseline before;
    fake_boot(256 << 20, cpus);
    control_sleeps();
    image = fake_image();
    baseline_take(&before);
    for (seed_now = first_seed; seed_now < first_seed + seeds; seed_now++) {
        random_state = seed_now * 0x9e3779b97f4a7c15ull;
        weights_alone();
        everything_at_once();
        accounts_add_up();
    }
    control_goes_first();
    flooded_control_starves_nobody();
    wakers_get_in_at_once();
    baseline_check(&before);
    return 0;
}

/* ---- in processes of their own, as a machine boots once ---- */

static void on_cpus(uint32_t cpus, uint64_t seeds)
{
    pid_t child = fork();
    if (!child) {
        _exit(simulate(cpus, 1, seeds));
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void shares_are_as_due(void **state)
{
    (void)state;
    on_cpus(1, 1);
    on_cpus(2, 2);
    on_cpus(4, 1);
    on_cpus(8, 1);
    on_cpus(32, 1);
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        uint64_t seeds = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
        return simulate((uint32_t)strtoul(argv[1], NULL, 0), strtoull(argv[2], NULL, 0), seeds);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_as_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
