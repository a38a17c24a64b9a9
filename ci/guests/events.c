/*
 * events.c - pipes, eventfd, epoll and timerfd. Prints what it finds; the same program does on Linux, and
 * prints the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4 /* glibc leaves it to the kernel's header */
#endif

static short poll_now(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    CHECK(poll(&one, 1, 0) >= 0);
    return one.revents;
}

/*
 * Pipes
 */

static void test_pipe_states(void)
{
    int fds[2], bytes = -1;
    char data[8] = "";
    struct stat status;
    say("pipe2", pipe2(fds, O_NONBLOCK | O_CLOEXEC));
    say("flags", (fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
    say("kind", fstat(fds[0], &status) == 0 && S_ISFIFO(status.st_mode));
    say("seek", lseek(fds[0], 0, SEEK_CUR));
    say("wrong way", write(fds[0], "x", 1));
    say("wrong way", read(fds[1], data, 1));
    say("empty", read(fds[0], data, sizeof(data)));
    say("poll empty", poll_now(fds[0], POLLIN));
    say("poll room", poll_now(fds[1], POLLOUT));
    say("write", write(fds[1], "abcdef", 6));
    say("FIONREAD", ioctl(fds[0], FIONREAD, &bytes) == 0 ? bytes : -1);
    say("poll", poll_now(fds[0], POLLIN));
    say("part", read(fds[0], data, 4));
    say("rest", read(fds[0], data, sizeof(data)));
    printf("%.2s\n", data);
    close(fds[1]);
    say("poll ended", poll_now(fds[0], POLLIN));
    say("end", read(fds[0], data, sizeof(data)));
    close(fds[0]);
}

/* How much fits, and that short writes go in whole or not at all. */
static void test_pipe_full(void)
{
    static char data[70000];
    int fds[2];
    CHECK(pipe2(fds, O_NONBLOCK) == 0);
    say("much", write(fds[1], data, sizeof(data)));
    say("full", write(fds[1], data, 1));
    say("poll full", poll_now(fds[1], POLLOUT));
    say("a little", read(fds[0], data, 4095));
    say("a piece", write(fds[1], data, 4096));
    say("a little", read(fds[0], data, 1));
    say("a piece", write(fds[1], data, 4096));
    close(fds[0]);
    say("poll broken", poll_now(fds[1], POLLOUT) & POLLERR);
    say("broken", write(fds[1], data, 1));
    close(fds[1]);
}

static int numbers[2];

/* Far more than a pipe holds, in pieces of all sizes. */
static void *write_much(void *unused)
{
    static unsigned char data[9001];
    unsigned char next = 0;
    for (unsigned round = 0; round < 200; round++) {
        size_t bytes = 1 + round * 45;
        for (size_t i = 0; i < bytes; i++)
            data[i] = next++;
        CHECK(write(numbers[1], data, bytes) == (ssize_t)bytes);
    }
    close(numbers[1]);
    return unused;
}

static void test_pipe_threads(void)
{
    unsigned char data[5000], next = 0;
    pthread_t thread;
    long total = 0;
    ssize_t bytes;
    CHECK(pipe(numbers) == 0);
    CHECK(pthread_create(&thread, NULL, write_much, NULL) == 0);
    while ((bytes = read(numbers[0], data, 1 + (size_t)(total % 4999))) > 0) {
        for (ssize_t i = 0; i < bytes; i++)
            CHECK(data[i] == next++);
        total += bytes;
    }
    say("last", bytes);
    say("through a pipe", total);
    pthread_join(thread, NULL);
    close(numbers[0]);
}

/*
 * eventfd
 */

static void test_eventfd(void)
{
    eventfd_t value = 0;
    int fd = eventfd(3, EFD_NONBLOCK);
    say("poll", poll_now(fd, POLLIN | POLLOUT));
    say("short", read(fd, &value, 4));
    say("add", eventfd_write(fd, 4));
    say("read", eventfd_read(fd, &value));
    say("value", (long)value);
    say("empty", eventfd_read(fd, &value));
    say("most", eventfd_write(fd, UINT64_MAX - 1));
    say("poll", poll_now(fd, POLLIN | POLLOUT));
    say("more", eventfd_write(fd, 1));
    say("too much", eventfd_write(fd, UINT64_MAX));
    close(fd);
    fd = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
    for (int i = 0; i < 3; i++)
        say("semaphore", eventfd_read(fd, &value) == 0 ? (long)value : -1);
    close(fd);
    say("flags", eventfd(0, 0x10000000));
}

static void *add_one(void *fd)
{
    usleep(1000); /* so that the reader mostly waits; it would be right otherwise, too */
    CHECK(eventfd_write((int)(intptr_t)fd, 1) == 0);
    return NULL;
}

static void test_eventfd_wait(void)
{
    pthread_t thread;
    eventfd_t value;
    int fd = eventfd(0, 0);
    CHECK(pthread_create(&thread, NULL, add_one, (void *)(intptr_t)fd) == 0);
    say("awaited", eventfd_read(fd, &value) == 0 ? (long)value : -1);
    pthread_join(thread, NULL);
    close(fd);
}

/*
 * epoll
 */

static int set;

static int watch(int operation, int fd, uint32_t events, uint32_t name)
{
    struct epoll_event event = {.events = events, .data.u32 = name};
    return epoll_ctl(set, operation, fd, &event);
}

static void show(const char *what, int timeout_ms)
{
    struct epoll_event events[4];
    int count = epoll_wait(set, events, 4, timeout_ms);
    say(what, count);
    for (int i = 0; i < count; i++)
        printf("  %u: %x\n", events[i].data.u32, events[i].events);
}

static void test_epoll_errors(void)
{
    int fds[2], file = open("/dev/null", O_RDONLY);
    CHECK(pipe(fds) == 0);
    say("flags", epoll_create1(1));
    say("size", epoll_create(0));
    set = epoll_create1(EPOLL_CLOEXEC);
    say("add", watch(EPOLL_CTL_ADD, fds[0], EPOLLIN, 1));
    say("again", watch(EPOLL_CTL_ADD, fds[0], EPOLLIN, 1));
    say("absent", watch(EPOLL_CTL_MOD, fds[1], EPOLLOUT, 1));
    say("absent", watch(EPOLL_CTL_DEL, fds[1], 0, 1));
    say("closed", watch(EPOLL_CTL_ADD, 900, EPOLLIN, 1));
    say("device", watch(EPOLL_CTL_ADD, file, EPOLLIN, 1));
    say("itself", watch(EPOLL_CTL_ADD, set, EPOLLIN, 1));
    say("operation", watch(9, fds[0], EPOLLIN, 1));
    say("no instance", epoll_ctl(fds[0], EPOLL_CTL_ADD, fds[1], &(struct epoll_event){0}));
    say("no events", epoll_wait(set, &(struct epoll_event){0}, 0, 0));
    say("removed", watch(EPOLL_CTL_DEL, fds[0], 0, 1));
    close(file), close(fds[0]), close(fds[1]), close(set);
}

static void test_epoll_level(void)
{
    int fds[2];
    char data[4];
    CHECK(pipe(fds) == 0);
    set = epoll_create1(0);
    CHECK(watch(EPOLL_CTL_ADD, fds[0], EPOLLIN, 1) == 0);
    show("nothing", 0);
    show("in time", 5);
    CHECK(write(fds[1], "ab", 2) == 2);
    say("the set itself", poll_now(set, POLLIN));
    show("level", -1);
    CHECK(read(fds[0], data, 1) == 1);
    show("still", -1);
    CHECK(read(fds[0], data, 1) == 1);
    show("no more", 0);
    say("the set itself", poll_now(set, POLLIN));
    CHECK(watch(EPOLL_CTL_ADD, fds[1], EPOLLOUT, 2) == 0);
    show("room", -1);
    CHECK(watch(EPOLL_CTL_MOD, fds[1], 0, 2) == 0);
    show("not asked", 0);
    close(fds[0]);
    show("closed and broken", -1);
    close(fds[1]);
    show("all closed", 0);
    close(set);
}

static void test_epoll_edge(void)
{
    int fds[2];
    char data[8];
    CHECK(pipe(fds) == 0);
    set = epoll_create1(0);
    CHECK(watch(EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLET, 1) == 0);
    CHECK(watch(EPOLL_CTL_ADD, fds[1], EPOLLOUT | EPOLLET, 2) == 0);
    show("room", -1);
    show("told", 0);
    CHECK(write(fds[1], "abc", 3) == 3);
    show("edge", -1);
    show("told", 0);
    CHECK(write(fds[1], "d", 1) == 1);
    show("another edge", -1);
    CHECK(read(fds[0], data, 2) == 2);
    show("no edge", 0);
    CHECK(watch(EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLONESHOT, 3) == 0);
    show("one shot", -1);
    CHECK(write(fds[1], "e", 1) == 1);
    show("spent", 0);
    CHECK(watch(EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLONESHOT, 4) == 0);
    show("armed again", -1);
    close(fds[0]), close(fds[1]), close(set);
}

/* The set's own descriptor is polled while what is in the set is asked for what it has long been. */
static void *ask_for_input(void *fd)
{
    usleep(1000); /* so that the other thread mostly waits; it would be right otherwise, too */
    CHECK(watch(EPOLL_CTL_MOD, (int)(intptr_t)fd, EPOLLIN, 1) == 0);
    return NULL;
}

static void test_epoll_polled(void)
{
    pthread_t thread;
    int fd = eventfd(1, 0);
    set = epoll_create1(0);
    struct pollfd one = {.fd = set, .events = POLLIN};
    CHECK(watch(EPOLL_CTL_ADD, fd, 0, 1) == 0);
    CHECK(pthread_create(&thread, NULL, ask_for_input, (void *)(intptr_t)fd) == 0);
    say("polled", poll(&one, 1, -1));
    pthread_join(thread, NULL);
    one.events = 0;
    clock_t before = clock();
    say("for nothing", poll(&one, 1, 300));
    volatile nfds_t too_many = 100000000;
    say("more than there can be", poll(&one, too_many, 0));
    say("at rest", clock() - before < CLOCKS_PER_SEC / 10);
    close(fd), close(set);
}

static int watch_in(int outer, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = 7};
    return epoll_ctl(outer, operation, fd, &event);
}

/* Whether it may; libraries word the error in two ways. */
static const char *chain(int outer, int fd)
{
    if (watch_in(outer, EPOLL_CTL_ADD, fd, EPOLLIN) == 0)
        return "may";
    return errno == ELOOP ? "loop" : "other error";
}

static void *write_soon(void *fd)
{
    usleep(1000); /* so that the other thread mostly waits; it would be right otherwise, too */
    CHECK(write((int)(intptr_t)fd, "x", 1) == 1);
    return NULL;
}

/* One that watches another one, which watches a third, by level and by edge. */
static void test_epoll_nested(void)
{
    int fds[2], inner = epoll_create1(0), middle = epoll_create1(0);
    char byte;
    pthread_t thread;
    CHECK(pipe2(fds, O_NONBLOCK) == 0);
    set = epoll_create1(0);
    say("inner", watch_in(middle, EPOLL_CTL_ADD, inner, EPOLLIN));
    say("middle", watch(EPOLL_CTL_ADD, middle, EPOLLIN, 3));
    show("nothing", 0);
    say("pipe", watch_in(inner, EPOLL_CTL_ADD, fds[0], EPOLLIN));
    show("empty", 0);
    CHECK(write(fds[1], "x", 1) == 1);
    show("byte", 0);
    show("still", 0);
    say("poll", poll_now(set, POLLIN));
    CHECK(read(fds[0], &byte, 1) == 1);
    show("read", 0);
    say("poll", poll_now(set, POLLIN));
    CHECK(pthread_create(&thread, NULL, write_soon, (void *)(intptr_t)fds[1]) == 0);
    show("waits", 5000);
    pthread_join(thread, NULL);
    say("edge", watch(EPOLL_CTL_MOD, middle, EPOLLIN | EPOLLET, 3));
    show("edge", 0);
    show("told", 0);
    CHECK(read(fds[0], &byte, 1) == 1 && write(fds[1], "x", 1) == 1);
    show("next edge", 0);
    show("told", 0);
    close(middle);
    show("gone", 0);
    say("inner", watch(EPOLL_CTL_ADD, inner, EPOLLIN, 4));
    show("inner", 0);
    say("pipe", watch_in(inner, EPOLL_CTL_DEL, fds[0], 0));
    show("not any more", 0);
    close(fds[0]), close(fds[1]), close(inner), close(set);
}

static void test_epoll_chains(void)
{
    enum { CHAIN = 8 };
    int down[CHAIN], up[CHAIN], fds[2];
    CHECK(pipe(fds) == 0);
    for (int i = 0; i < CHAIN; i++)
        down[i] = epoll_create1(0), up[i] = epoll_create1(0);
    for (int i = 0; i + 1 < CHAIN; i++) {
        printf("down %s, ", chain(down[i], down[i + 1]));
        printf("up %s\n", chain(up[i + 1], up[i]));
    }
    printf("circle: %s\n", chain(down[2], down[0]));
    say("itself", watch_in(down[0], EPOLL_CTL_ADD, down[0], EPOLLIN));
    say("exclusive", watch_in(up[0], EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLEXCLUSIVE));
    say("changed", watch_in(up[0], EPOLL_CTL_MOD, fds[0], EPOLLIN));
    say("to it", watch_in(up[0], EPOLL_CTL_MOD, fds[0], EPOLLIN | EPOLLEXCLUSIVE));
    say("once", watch_in(up[1], EPOLL_CTL_ADD, fds[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT));
    say("instance", watch_in(up[7], EPOLL_CTL_ADD, down[7], EPOLLIN | EPOLLEXCLUSIVE));
    for (int i = 0; i < CHAIN; i++)
        close(down[i]), close(up[i]);
    close(fds[0]), close(fds[1]);
}

/* Each of several threads that wait at one set takes its part, and none is woken for ever. */
enum { WORKERS = 4, TASKS = 2000 };
static int tasks;
static _Atomic long taken;

static void *take_tasks(void *unused)
{
    struct epoll_event event;
    eventfd_t value;
    for (;;) {
        CHECK(epoll_wait(set, &event, 1, -1) == 1);
        if (event.data.u32 == 2)
            return unused;
        if (eventfd_read(tasks, &value) == 0)
            taken += (long)value;
    }
}

static void test_epoll_threads(void)
{
    pthread_t threads[WORKERS];
    int stop = eventfd(0, 0);
    tasks = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
    set = epoll_create1(0);
    CHECK(watch(EPOLL_CTL_ADD, tasks, EPOLLIN, 1) == 0);
    for (int i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&threads[i], NULL, take_tasks, NULL) == 0);
    for (int i = 0; i < TASKS; i++)
        CHECK(eventfd_write(tasks, 1) == 0);
    while (taken < TASKS)
        usleep(1000);
    CHECK(watch(EPOLL_CTL_ADD, stop, EPOLLIN, 2) == 0);
    CHECK(eventfd_write(stop, 1) == 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    say("tasks", taken);
    close(tasks), close(stop), close(set);
}

/* Descriptors come and go while others wait. */
static void *open_and_close(void *unused)
{
    for (int i = 0; i < 2000; i++) {
        int fd = eventfd(i % 2 ? 1 : 0, 0);
        CHECK(watch(EPOLL_CTL_ADD, fd, EPOLLIN, 1) == 0);
        if (i % 4 == 0)
            CHECK(watch(EPOLL_CTL_DEL, fd, 0, 1) == 0);
        close(fd);
    }
    return unused;
}

static void test_epoll_comings(void)
{
    pthread_t threads[2];
    struct epoll_event events[4];
    int stop = eventfd(0, 0), last = 0;
    set = epoll_create1(0);
    CHECK(watch(EPOLL_CTL_ADD, stop, EPOLLIN, 2) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, open_and_close, NULL) == 0);
    for (int i = 0; i < 1000; i++)
        CHECK(epoll_wait(set, events, 4, 0) >= 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK(eventfd_write(stop, 1) == 0);
    last = epoll_wait(set, events, 4, -1);
    say("left", last == 1 ? (long)events[0].data.u32 : -1);
    close(stop), close(set);
}

/*
 * timerfd
 */

static void test_timerfd(void)
{
    struct itimerspec value = {.it_value.tv_nsec = 2000000, .it_interval.tv_nsec = 3000000}, now;
    uint64_t times = 0, total = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    say("clock", timerfd_create(77, 0));
    say("not set", timerfd_gettime(fd, &now) == 0 ? now.it_value.tv_nsec : -1);
    say("not due", read(fd, &times, sizeof(times)));
    say("wrong", timerfd_settime(fd, 0, &(struct itimerspec){.it_value.tv_nsec = -1}, NULL));
    say("set", timerfd_settime(fd, 0, &value, NULL));
    say("left", timerfd_gettime(fd, &now) == 0 && now.it_value.tv_nsec > 0);
    say("interval", now.it_interval.tv_nsec);
    set = epoll_create1(0);
    CHECK(watch(EPOLL_CTL_ADD, fd, EPOLLIN, 1) == 0);
    while (total < 5) {
        struct epoll_event event;
        CHECK(epoll_wait(set, &event, 1, -1) == 1 && event.events == EPOLLIN);
        CHECK(read(fd, &times, sizeof(times)) == sizeof(times) && times > 0);
        total += times; /* more than one, where the machine is busy */
    }
    say("taken back", timerfd_settime(fd, 0, &(struct itimerspec){0}, NULL));
    say("not due", read(fd, &times, sizeof(times)));
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    close(fd);
    fd = timerfd_create(CLOCK_REALTIME, 0);
    value = (struct itimerspec){.it_value = at}; /* that is over */
    value.it_interval.tv_sec = INT64_MAX / 2;
    say("absolute", timerfd_settime(fd, TFD_TIMER_ABSTIME, &value, NULL));
    say("at once", read(fd, &times, sizeof(times)) == sizeof(times) ? (long)times : -1);
    say("not soon again", poll_now(fd, POLLIN));
    close(fd), close(set);
}

/*
 * FD_CLOEXEC, which belongs to the descriptor
 */

static void say_closes(const char *what, int fd)
{
    int flags = fcntl(fd, F_GETFD);
    printf("%s: %d, %d\n", what, flags, (fcntl(fd, F_GETFL) & O_CLOEXEC) != 0);
    CHECK(close(fd) == 0 && fcntl(fd, F_GETFD) == -1 && errno == EBADF);
}

/* Of a file: what copies have is their own. */
static void test_closes(int fd)
{
    say("is set", fcntl(fd, F_SETFD, FD_CLOEXEC | 0x10));
    int copy = dup(fd), on = fcntl(fd, F_DUPFD_CLOEXEC, 40), off = fcntl(fd, F_DUPFD, 50);
    say("told", fcntl(fd, F_GETFD));
    say("copied to", on);
    say_closes("dup", copy);
    say_closes("F_DUPFD_CLOEXEC", on);
    say_closes("F_DUPFD", off);
    say("dup3", dup3(fd, 60, O_CLOEXEC) == 60 ? fcntl(60, F_GETFD) : -1);
    say("dup2", dup2(fd, 60) == 60 ? fcntl(60, F_GETFD) : -1);
    say("dup2 of itself", dup2(fd, fd) == fd ? fcntl(fd, F_GETFD) : -1);
    say_closes("the last", 60);
    say("is taken away", fcntl(fd, F_SETFD, 0));
    say("FIOCLEX", ioctl(fd, FIOCLEX) == 0 ? fcntl(fd, F_GETFD) : -1);
    say("FIONCLEX", ioctl(fd, FIONCLEX) == 0 ? fcntl(fd, F_GETFD) : -1);
    say("close_range", close_range((unsigned)fd, (unsigned)fd, CLOSE_RANGE_CLOEXEC) == 0
                           ? fcntl(fd, F_GETFD)
                           : -1);
    CHECK(fcntl(fd, F_SETFD, 0) == 0);
    say_closes("its file", fd);
}

static void test_close_on_exec(void)
{
    int fds[2];
    say("standard output", fcntl(1, F_GETFD));
    test_closes(eventfd(0, 0));
    say_closes("eventfd", eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    say_closes("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
    say_closes("epoll_create", epoll_create(1));
    say_closes("timerfd", timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    say_closes("pipe", fds[0]);
    say_closes("pipe", fds[1]);
    say_closes("open", open("/dev/null", O_RDWR | O_CLOEXEC));
    say_closes("open without", open("/dev/null", O_RDWR));
    FILE *stream = fopen("/dev/null", "re");
    say("fopen", fcntl(fileno(stream), F_GETFD));
    CHECK(fclose(stream) == 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    test_pipe_states();
    test_pipe_full();
    test_pipe_threads();
    test_eventfd();
    test_eventfd_wait();
    test_epoll_errors();
    test_epoll_level();
    test_epoll_edge();
    test_epoll_polled();
    test_epoll_nested();
    test_epoll_chains();
    test_epoll_threads();
    test_epoll_comings();
    test_timerfd();
    test_close_on_exec();
    printf("events: ok\n");
    return 0;
}
