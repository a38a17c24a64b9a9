/*
 * interrupts.c - calls that wait, and signals' handlers that run meanwhile. Prints what it finds; the same program does on
 * Linux, and prints the same. A timer raises SIGALRM again and again, so that none comes too early for good.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
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
    handle(SIGALRM, 0);

    pthread_t reader = start_deaf(read_byte, pipes);
    write_later(pipes);
    say("blocks it", result_of(reader));
    close(pipes[0]), close(pipes[1]);
}

static _Atomic int told = -1;

static void *read_until_told(void *pipes)
{
    errno = 0;
    intptr_t result = (intptr_t)read_byte(pipes);
    told = result == -1 && errno == EINTR;
    return NULL;
}

/* One thread's call ends, another's goes on. */
static void test_one_thread(void)
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

int main(void)
{
    handle(SIGALRM, 0);
    tick(20000);
    test_descriptors();
    test_sockets();
    test_semaphore();
    test_restarts();
    tick(0);
    test_one_thread();
    puts("interrupts: ok");
    return 0;
}
