/*
 * interrupts.c - calls that wait, and signals' handlers that run meanwhile. Prints what it finds; the same program does on
 * Linux, and prints the same. A timer raises SIGALRM again and again, so that none comes too early for good.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

static _Atomic unsigned handlers;

static void count(int signal)
{
    (void)signal;
    atomic_fetch_add(&handlers, 1);
}

static void handle(int signal, int flags)
{
    struct sigaction action = {.sa_handler = count, .sa_flags = flags};
    CHECK(sigaction(signal, &action, NULL) == 0);
}

static void tick(long microseconds)
{
    struct itimerval time = {{0, microseconds}, {0, microseconds}};
    CHECK(setitimer(ITIMER_REAL, &time, NULL) == 0);
}

/* A few more handlers have run. */
static void wait_for_handlers(void)
{
    unsigned seen = handlers;
    while (handlers - seen < 3)
        usleep(1000);
}

static void say_interrupted(const char *what, long result)
{
    say(what, result == -1 && errno == EINTR);
}

static void test_descriptors(void)
{
    char bytes[65536] = {0};
    int pipes[2], pair[2];
    CHECK(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    say_interrupted("pipe", read(pipes[0], bytes, 1));
    say_interrupted("socket", recv(pair[0], bytes, 1, 0));
    ssize_t written, rest = 0;
    while ((written = write(pipes[1], bytes, sizeof(bytes))) > 0)
        rest = written;
    say_interrupted("full pipe", written);
    say("had some", rest > 0);
    while ((written = send(pair[1], bytes, sizeof(bytes), 0)) > 0)
        ;
    say_interrupted("full socket", written);

    int letters[2];
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, letters) == 0);
    say_interrupted("datagram", recv(letters[0], bytes, 1, 0));
    while ((written = send(letters[1], bytes, 1000, 0)) > 0)
        ;
    say_interrupted("no room for one", written);
    close(letters[0]), close(letters[1]);

    int counter = eventfd(0, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    say_interrupted("eventfd", read(counter, bytes, 8));
    say_interrupted("timerfd", read(timer, bytes, 8));
    CHECK(write(pipes[1], bytes, 0) == 0);
    close(counter), close(timer), close(pipes[0]), close(pipes[1]), close(pair[0]), close(pair[1]);
}

static int listener(struct sockaddr *address, socklen_t bytes)
{
    int fd = socket(address->sa_family, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind(fd, address, bytes) == 0 && listen(fd, 1) == 0);
    return fd;
}

static void test_sockets(void)
{
    char bytes[16];
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "\0interrupts"};
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int named = listener((struct sockaddr *)&local, sizeof(local));
    int numbered = listener((struct sockaddr *)&here, sizeof(here));
    int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(datagrams, (struct sockaddr *)&here, sizeof(here)) == 0);
    say_interrupted("UNIX accept", accept(named, NULL, NULL));
    say_interrupted("TCP accept", accept(numbered, NULL, NULL));
    say_interrupted("UDP", recv(datagrams, bytes, sizeof(bytes), 0));
    say("nothing there", recv(datagrams, bytes, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);

    socklen_t length = sizeof(here);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(getsockname(numbered, (struct sockaddr *)&here, &length) == 0);
    int connected;
    while ((connected = connect(client, (struct sockaddr *)&here, length)) < 0 && errno == EINTR)
        ;
    CHECK(connected == 0 || errno == EISCONN);
    int server;
    while ((server = accept(numbered, NULL, NULL)) < 0 && errno == EINTR)
        ;
    say_interrupted("TCP", recv(server, bytes, sizeof(bytes), 0));
    say_interrupted("all of it", recv(server, bytes, sizeof(bytes), MSG_WAITALL));
    close(named), close(numbered), close(datagrams), close(client), close(server);
}

/* A connection over the loopback, and its listener. */
struct link {
    int listener, client, server;
    struct sockaddr_in address;
};

/* Its listener has no place for another connection: Linux has one more than it is asked for. */
static struct link linked(void)
{
    struct link link = {.address.sin_family = AF_INET};
    socklen_t bytes = sizeof(link.address);
#ifdef __skep__
    int places = 1;
#else
    int places = 0;
#endif
    link.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    link.listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(link.listener, (struct sockaddr *)&link.address, bytes) == 0);
    CHECK(listen(link.listener, places) == 0);
    CHECK(getsockname(link.listener, (struct sockaddr *)&link.address, &bytes) == 0);
    link.client = socket(AF_INET, SOCK_STREAM, 0);
    int connected;
    while ((connected = connect(link.client, (struct sockaddr *)&link.address, bytes)) < 0 &&
           errno == EINTR)
        ;
    CHECK(connected == 0 || errno == EISCONN);
    return link;
}

static void take(struct link *link)
{
    while ((link->server = accept(link->listener, NULL, NULL)) < 0)
        CHECK(errno == EINTR);
}

static void drop(struct link *link)
{
    close(link->listener), close(link->client), close(link->server);
}

static int connect_to(int fd, const struct link *link)
{
    return connect(fd, (const struct sockaddr *)&link->address, sizeof(link->address));
}

/* poll() until there is an event. */
static short event_of(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    while (poll(&one, 1, 60000) != 1)
        CHECK(errno == EINTR);
    return one.revents;
}

static void test_connecting(void)
{
    struct link link = linked();
    int waits = socket(AF_INET, SOCK_STREAM, 0), error = -1;
    socklen_t bytes = sizeof(error);
    say_interrupted("connect", connect_to(waits, &link));
    say_interrupted("once more", connect_to(waits, &link));
    CHECK(fcntl(waits, F_SETFL, O_NONBLOCK) == 0);
    say("goes on", connect_to(waits, &link) == -1 && errno == EALREADY);
    take(&link);
    say("connected", event_of(waits, POLLOUT) == POLLOUT);
    CHECK(getsockopt(waits, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0);
    say("no error", error);
    say("succeeded", connect_to(waits, &link));
    say("is connected", connect_to(waits, &link) == -1 && errno == EISCONN);
    close(link.server);
    take(&link);
    say("sends", send(waits, "x", 1, 0));
    say("arrives", event_of(link.server, POLLIN) == POLLIN);
    close(waits);
    drop(&link);
}

static char much[1 << 20];

static ssize_t send_all(int fd)
{
    return send(fd, much, sizeof(much), 0);
}

static ssize_t write_all(int fd)
{
    return write(fd, much, sizeof(much));
}

static ssize_t write_parts(int fd)
{
    struct iovec parts[2] = {{much, 1000}, {much, sizeof(much) - 1000}};
    return writev(fd, parts, 2);
}

static ssize_t send_message(int fd)
{
    struct iovec parts[2] = {{much, 1000}, {much, sizeof(much) - 1000}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    return sendmsg(fd, &message, 0);
}

/* Until a handler interrupts it with nothing sent. Returns the sum. */
static long fill(const char *what, int fd, ssize_t (*function)(int))
{
    ssize_t some;
    long sum = 0;
    while ((some = function(fd)) > 0) {
        CHECK((size_t)some < sizeof(much));
        sum += some;
    }
    say_interrupted(what, some);
    return sum;
}

static long drain(int fd)
{
    long sum = 0;
    ssize_t some;
    while ((some = read(fd, much, sizeof(much))) != 0) {
        CHECK(some > 0 || errno == EINTR);
        sum += some > 0 ? some : 0;
    }
    return sum;
}

static void test_sending(void)
{
    struct link link = linked();
    int room = 65536;
    take(&link);
    CHECK(setsockopt(link.client, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0);
    long sum = fill("send", link.client, send_all);
    say("had some", sum > 0);
    sum += fill("write", link.client, write_all);
    sum += fill("writev", link.client, write_parts);
    sum += fill("sendmsg", link.client, send_message);
    CHECK(shutdown(link.client, SHUT_WR) == 0);
    say("nothing lost", drain(link.server) == sum);
    drop(&link);
}

static void test_semaphore(void)
{
    sem_t semaphore;
    struct timespec far = {.tv_sec = 4000000000};
    CHECK(sem_init(&semaphore, 0, 0) == 0);
    say_interrupted("semaphore", sem_wait(&semaphore));
    say_interrupted("with a deadline", sem_timedwait(&semaphore, &far));
    CHECK(sem_post(&semaphore) == 0);
    say("afterwards", sem_wait(&semaphore));
}

static void *read_byte(void *pipes)
{
    char byte;
    return (void *)(intptr_t)read(((int *)pipes)[0], &byte, 1);
}

static void *write_later(void *pipes)
{
    wait_for_handlers();
    CHECK(write(((int *)pipes)[1], "x", 1) == 1);
    return NULL;
}

static pthread_t start_deaf(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    sigset_t alarms, old;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    CHECK(pthread_sigmask(SIG_BLOCK, &alarms, &old) == 0);
    CHECK(pthread_create(&thread, NULL, function, argument) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    return thread;
}

static long result_of(pthread_t thread)
{
    void *result;
    CHECK(pthread_join(thread, &result) == 0);
    return (intptr_t)result;
}

static void *drain_later(void *fd)
{
    wait_for_handlers();
    return (void *)(intptr_t)drain((int)(intptr_t)fd);
}

static void *take_later(void *link)
{
    wait_for_handlers();
    take(link);
    return NULL;
}

static void test_sockets_restart(void)
{
    struct link link = linked();
    struct timeval long_time = {.tv_sec = 1000};
    int waits = socket(AF_INET, SOCK_STREAM, 0);
    char byte;
    pthread_t thread = start_deaf(take_later, &link);
    say("connect", connect_to(waits, &link));
    result_of(thread);
    close(waits);
    thread = start_deaf(drain_later, (void *)(intptr_t)link.server);
    say("all", send(link.client, much, sizeof(much), 0) == sizeof(much));
    CHECK(setsockopt(link.client, SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof(long_time)) == 0);
    say_interrupted("with a time", recv(link.client, &byte, 1, 0));
    CHECK(shutdown(link.client, SHUT_WR) == 0);
    say("received", result_of(thread) == sizeof(much));
    drop(&link);
}

static void test_restarts(void)
{
    int pipes[2];
    char byte;
    CHECK(pipe(pipes) == 0);
    handle(SIGALRM, SA_RESTART);
    pthread_t writer = start_deaf(write_later, pipes);
    say("goes on", read(pipes[0], &byte, 1));
    result_of(writer);
    say_interrupted("pause", pause());
    test_sockets_restart();
    handle(SIGALRM, 0);

    pthread_t reader = start_deaf(read_byte, pipes);
    write_later(pipes);
    say("blocks it", result_of(reader));
    close(pipes[0]), close(pipes[1]);
}

/*
 * One thread's call ends, others' go on.
 */

static _Atomic int told = -1;

static void *read_until_told(void *pipes)
{
    errno = 0;
    intptr_t result = (intptr_t)read_byte(pipes);
    told = result == -1 && errno == EINTR;
    return NULL;
}

static void test_named_thread(void)
{
    int meant[2], other[2];
    pthread_t thread, bystander;
    handle(SIGUSR1, 0);
    CHECK(pipe(meant) == 0 && pipe(other) == 0);
    CHECK(pthread_create(&bystander, NULL, read_byte, other) == 0);
    CHECK(pthread_create(&thread, NULL, read_until_told, meant) == 0);
    while (told < 0) {
        CHECK(pthread_kill(thread, SIGUSR1) == 0);
        usleep(1000);
    }
    say("told", told);
    result_of(thread);
    CHECK(write(other[1], "x", 1) == 1);
    say("bystander", result_of(bystander));
    say("ran", handlers > 0);
}

static _Atomic unsigned asked;

static void *send_when_asked(void *unused)
{
    for (unsigned i = 0; i < 50; i++) {
        while (asked == i)
            usleep(100);
        CHECK(kill(getpid(), SIGUSR1) == 0);
    }
    return unused;
}

/* A signal to the process: the first thread's, unless that blocks it. */
static void test_first_thread(void)
{
    int pipes[2][2];
    pthread_t threads[2], sender;
    for (int i = 0; i < 2; i++) {
        CHECK(pipe(pipes[i]) == 0);
        CHECK(pthread_create(&threads[i], NULL, read_byte, pipes[i]) == 0);
    }
    CHECK(pthread_create(&sender, NULL, send_when_asked, NULL) == 0);
    for (int i = 0; i < 50; i++) {
        unsigned seen = handlers;
        for (asked++; handlers == seen;)
            usleep(1000);
    }
    result_of(sender);
    for (int i = 0; i < 2; i++) {
        CHECK(write(pipes[i][1], "x", 1) == 1);
        say("not interrupted", result_of(threads[i]));
    }
}

static _Atomic int interruptions;
static _Atomic bool enough;

/* Takes it in ppoll() only. */
static void *take_signals(void *unused)
{
    sigset_t none;
    sigemptyset(&none);
    while (!enough)
        if (ppoll(NULL, 0, NULL, &none) == -1 && errno == EINTR)
            interruptions++;
    return unused;
}

static void *send_signals(void *unused)
{
    for (int i = 0; i < 50; i++) {
        int seen = interruptions;
        CHECK(kill(getpid(), SIGUSR1) == 0);
        while (interruptions == seen)
            usleep(1000);
    }
    say("one for each", interruptions);
    return unused;
}

/* One that the first thread blocks: some other's, but one's alone. */
static void test_any_thread(void)
{
    pthread_t threads[3], sender;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, take_signals, NULL) == 0);
    CHECK(pthread_create(&sender, NULL, send_signals, NULL) == 0);
    result_of(sender);
    enough = true;
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_kill(threads[i], SIGUSR1) == 0);
        result_of(threads[i]);
    }
    CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
}

/*
 * A signal to the process has one thread's call end: the one that runs the handler. Another one may take it from the thread
 * that it was to be, whose call knows nothing of it.
 */

static _Thread_local unsigned taken_here;
static _Atomic bool stops, has_stopped;
static sem_t never;
static int silent[2];

static void count_here(int signal)
{
    (void)signal;
    taken_here++;
}

/* It is the first thread's when it is sent, and then anyone's. */
static void *take_away(void *first)
{
    pthread_t *waits = first;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    for (int i = 0; i < 200; i++) {
        CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
        CHECK(kill(getpid(), SIGUSR2) == 0);
        CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
        if (i % 10 == 0)
            usleep(100); /* the first thread waits again */
    }
    stops = true;
    while (!has_stopped) {
        CHECK(pthread_kill(*waits, SIGUSR1) == 0);
        usleep(1000);
    }
    return NULL;
}

static int wait_in_poll(void)
{
    return poll(NULL, 0, -1);
}

static int wait_in_sleep(void)
{
    return nanosleep(&(struct timespec){1000, 0}, NULL);
}

static int wait_in_read(void)
{
    char byte;
    return (int)read(silent[0], &byte, 1);
}

static int wait_in_semaphore(void)
{
    return sem_wait(&never);
}

static int wait_in_sigsuspend(void)
{
    sigset_t none;
    sigemptyset(&none);
    return sigsuspend(&none);
}

static void test_taken_away(const char *what, int (*wait)(void))
{
    pthread_t thread, self = pthread_self();
    unsigned for_nothing = 0;
    stops = has_stopped = false;
    CHECK(pthread_create(&thread, NULL, take_away, &self) == 0);
    while (!stops) {
        unsigned before = taken_here;
        CHECK(wait() == -1 && errno == EINTR);
        for_nothing += taken_here == before;
    }
    has_stopped = true;
    result_of(thread);
    say(what, for_nothing);
}

/* The handler was taken away, too, and the call that the signal was to end goes on. */
static void *ignore_soon(void *unused)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK(kill(getpid(), SIGUSR2) == 0);
    CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
    CHECK(write(silent[1], "", 1) == 1);
    return unused;
}

static void test_ignored_meanwhile(void)
{
    int for_nothing = 0;
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        char byte;
        unsigned before = taken_here;
        struct sigaction action = {.sa_handler = count_here};
        CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
        CHECK(pthread_create(&thread, NULL, ignore_soon, NULL) == 0);
        while (read(silent[0], &byte, 1) != 1)
            for_nothing += taken_here == before;
        result_of(thread);
    }
    say("for what is ignored", for_nothing);
}

static void test_others_signals(void)
{
    struct sigaction action = {.sa_handler = count_here};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGUSR2, &action, NULL) == 0);
    CHECK(sem_init(&never, 0, 0) == 0 && pipe(silent) == 0);
    test_taken_away("poll() for nothing", wait_in_poll);
    test_taken_away("nanosleep() for nothing", wait_in_sleep);
    test_taken_away("read() for nothing", wait_in_read);
    test_taken_away("sem_wait() for nothing", wait_in_semaphore);
    test_taken_away("pause() for nothing", pause);
    test_taken_away("sigsuspend() for nothing", wait_in_sigsuspend);
    test_ignored_meanwhile();
}

int main(void)
{
    handle(SIGALRM, 0);
    tick(20000);
    test_descriptors();
    test_sockets();
    test_connecting();
    test_sending();
    test_semaphore();
    test_restarts();
    tick(0);
    test_named_thread();
    test_first_thread();
    test_any_thread();
    test_others_signals();
    puts("interrupts: ok");
    return 0;
}
