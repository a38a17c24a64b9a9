/*
 * cpus.c - threads' numbers, the CPUs that they may run on, and joins that don't wait for ever. Prints what it finds; the same
 * program does on Linux, and prints the same.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

static void test_sets(void)
{
    cpu_set_t one, two, out;
    CPU_ZERO(&one);
    CPU_ZERO(&two);
    CPU_SET(0, &one);
    CPU_SET(70, &one);
    CPU_SET(1023, &one);
    CPU_SET(70, &two);
    CPU_SET(5, &two);
    CPU_SET(5000, &two); /* beyond the set: nothing */
    say("count", CPU_COUNT(&one));
    say("has", CPU_ISSET(1023, &one));
    say("has not", CPU_ISSET(1, &one));
    say("beyond", CPU_ISSET(5000, &two));
    CPU_AND(&out, &one, &two);
    say("and", CPU_COUNT(&out));
    CPU_OR(&out, &one, &two);
    say("or", CPU_COUNT(&out));
    CPU_XOR(&out, &one, &two);
    say("xor", CPU_COUNT(&out));
    CPU_CLR(70, &out);
    say("clear", CPU_COUNT(&out));
    CPU_CLR(0, &one);
    say("equal", CPU_EQUAL(&one, &two));
    size_t bytes = CPU_ALLOC_SIZE(130);
    cpu_set_t *large = CPU_ALLOC(130);
    CHECK(large != NULL);
    CPU_ZERO_S(bytes, large);
    CPU_SET_S(129, bytes, large);
    CPU_SET_S(500, bytes, large);
    say("bytes", (long)bytes);
    say("in large", CPU_COUNT_S(bytes, large));
    CPU_FREE(large);
}

static void *tell_chosen(void *out)
{
    CHECK(pthread_getaffinity_np(pthread_self(), sizeof(cpu_set_t), out) == 0);
    return NULL;
}

static int first_of(const cpu_set_t *set)
{
    int cpu = 0;
    while (!CPU_ISSET(cpu, set))
        cpu++;
    return cpu;
}

static void test_affinity(void)
{
    cpu_set_t all, one, out;
    pthread_t thread;
    say("all", sched_getaffinity(0, sizeof(all), &all));
    say("some", CPU_COUNT(&all) > 0);
    say("online", CPU_COUNT(&all) <= get_nprocs());
    say("short", sched_getaffinity(0, 4, &out));
    CPU_ZERO(&one);
    say("none", sched_setaffinity(0, sizeof(one), &one));
    CPU_SET(1000, &one);
    say("no such", sched_setaffinity(0, sizeof(one), &one));
    CPU_SET(first_of(&all), &one);
    say("one", sched_setaffinity(0, sizeof(one), &one));
    say("told", sched_getaffinity(gettid(), sizeof(out), &out));
    say("is one", CPU_COUNT(&out));
    say("the one", CPU_ISSET(first_of(&all), &out));
    say("nobody's", sched_getaffinity(0x7ffffff0, sizeof(out), &out));
    CPU_ZERO(&out);
    CHECK(pthread_create(&thread, NULL, tell_chosen, &out) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    say("inherited", CPU_COUNT(&out));
    say("again all", pthread_setaffinity_np(pthread_self(), sizeof(all), &all));
    say("of the process", sched_getaffinity(getpid(), sizeof(out), &out));
    say("the same", CPU_EQUAL(&all, &out));
    say("wrong", pthread_setaffinity_np(pthread_self(), 0, &all) == EINVAL);
}

static sem_t ready, go;

static void *wait_for_go(void *unused)
{
    sem_post(&ready);
    sem_wait(&go);
    return unused;
}

static void *tell_id(void *unused)
{
    (void)unused;
    say("its policy", sched_getscheduler(gettid()));
    say("set", sched_setscheduler(gettid(), SCHED_OTHER, &(struct sched_param){0}));
    say("its slice", sched_rr_get_interval(gettid(), &(struct timespec){0}));
    int niceness = getpriority(PRIO_PROCESS, 0);
    say("its priority", getpriority(PRIO_PROCESS, (id_t)gettid()) == niceness);
    say("as it was", setpriority(PRIO_PROCESS, (id_t)gettid(), niceness));
    return (void *)(intptr_t)gettid();
}

static void test_ids(void)
{
    pthread_t thread[2];
    void *id[2];
    say("the first's", gettid() == getpid());
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&thread[i], NULL, tell_id, NULL) == 0);
        CHECK(pthread_join(thread[i], &id[i]) == 0);
    }
    say("others'", (intptr_t)id[0] != getpid() && id[0] != id[1]);
    say("stays", gettid() == getpid());
}

static void test_joins(void)
{
    pthread_t thread;
    void *result = NULL;
    struct timespec at;
    CHECK(sem_init(&ready, 0, 0) == 0 && sem_init(&go, 0, 0) == 0);
    CHECK(pthread_create(&thread, NULL, wait_for_go, &go) == 0);
    sem_wait(&ready);
    say("busy", pthread_tryjoin_np(thread, NULL) == EBUSY);
    clock_gettime(CLOCK_REALTIME, &at);
    say("now", pthread_timedjoin_np(thread, NULL, &at) == ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += 20000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    say("soon", pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &at) == ETIMEDOUT);
#ifdef __skep__ /* Linux' C library asks its kernel for ever */
    CHECK(pthread_clockjoin_np(thread, NULL, CLOCK_REALTIME,
                               &(struct timespec){.tv_nsec = 1000000000}) == EINVAL);
#endif
    sem_post(&go);
    say("joined", pthread_timedjoin_np(thread, &result, NULL));
    say("its result", result == &go);
    CHECK(pthread_create(&thread, NULL, wait_for_go, &ready) == 0);
    sem_wait(&ready);
    sem_post(&go);
    int tried;
    while ((tried = pthread_tryjoin_np(thread, &result)) == EBUSY)
        sched_yield();
    say("tried", tried);
    say("that one's", result == &ready);
    say("itself", pthread_tryjoin_np(pthread_self(), NULL) == EBUSY);
}

static void test_machine(void)
{
    struct sysinfo info;
    struct timespec slice = {.tv_nsec = -1};
    say("sysinfo", sysinfo(&info));
    say("pages", get_phys_pages() == sysconf(_SC_PHYS_PAGES));
    say("available", get_avphys_pages() > 0 && get_avphys_pages() <= get_phys_pages());
    say("memory", info.totalram * info.mem_unit / 4096 >= (unsigned long)get_avphys_pages());
    say("free", info.freeram <= info.totalram && info.freeram > 0);
    say("runs", info.uptime > 0 && info.procs > 0);
    say("CPUs", get_nprocs() == sysconf(_SC_NPROCESSORS_ONLN));
    say("at most", get_nprocs_conf() >= get_nprocs());
    say("slice", sched_rr_get_interval(0, &slice));
    say("a time", slice.tv_sec == 0 && slice.tv_nsec >= 0); /* Linux may say 0 */
    say("no process", sched_rr_get_interval(0x7ffffff0, &slice));
    say("wrong", sched_rr_get_interval(-1, &slice));
#ifdef __skep__
    clockid_t clock;
    CHECK(pthread_getcpuclockid(pthread_self(), &clock) == ENOENT);
#endif
}

int main(void)
{
    test_sets();
    test_affinity();
    test_ids();
    test_joins();
    test_machine();
    printf("cpus: ok\n");
    return 0;
}
