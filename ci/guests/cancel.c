/*
 * cancel.c - threads that are cancelled. Prints what it finds; the same program does on Linux, and prints the same.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "say.h"

static int pipes[2], pair[2], datagrams, counter, set;
static int listener, client, server, unconnected;
static struct sockaddr_in address = {.sin_family = AF_INET};
static FILE *input, *output;
static char much[1 << 20];
static pthread_mutex_t mutex;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t semaphore;
static pthread_key_t key;
static pthread_t endless;
static _Atomic int cleaned, destroyed;
static _Atomic bool ready;

static void clean(void *count)
{
    char byte;
    CHECK(read(pipes[0], &byte, 0) == 0); /* no end within the end */
    cleaned += *(int *)count;
}

static void destroy(void *value)
{
    (void)value;
    destroyed++;
}

static void in_read(void)
{
    char byte;
    CHECK(read(pipes[0], &byte, 1) < 0);
}

static void in_receive(void)
{
    char byte;
    CHECK(recv(pair[0], &byte, 1, 0) < 0);
}

static void in_datagram(void)
{
    char byte;
    CHECK(recv(datagrams, &byte, 1, 0) < 0);
}

static void in_accept(void)
{
    CHECK(accept(listener, NULL, NULL) < 0);
}

static void in_connect(void)
{
    CHECK(connect(unconnected, (struct sockaddr *)&address, sizeof(address)) < 0);
}

static void in_send(void)
{
    while (send(client, much, sizeof(much), 0) > 0)
        ;
}

static void in_write(void)
{
    while (write(client, much, sizeof(much)) > 0)
        ;
}

static void in_send_message(void)
{
    struct iovec all = {much, sizeof(much)};
    struct msghdr message = {.msg_iov = &all, .msg_iovlen = 1};
    while (sendmsg(client, &message, 0) > 0)
        ;
}

static void in_write_parts(void)
{
    struct iovec all = {much, sizeof(much)};
    while (writev(client, &all, 1) > 0)
        ;
}

static void in_getline(void)
{
    char *line = NULL;
    size_t bytes = 0;
    pthread_cleanup_push(free, line);
    CHECK(getline(&line, &bytes, input) < 0);
    pthread_cleanup_pop(1);
}

static void in_fgets(void)
{
    char line[80];
    CHECK(fgets(line, sizeof(line), input) == NULL);
}

static void in_fread(void)
{
    char data[80];
    CHECK(fread(data, 1, sizeof(data), input) == 0);
}

static void in_getc(void)
{
    CHECK(getc(input) == EOF);
}

static void in_fwrite(void)
{
    while (fwrite(much, 1, sizeof(much), output) > 0)
        ;
}

static void in_counter(void)
{
    eventfd_t value;
    CHECK(eventfd_read(counter, &value) < 0);
}

static void in_poll(void)
{
    CHECK(poll(NULL, 0, -1) < 0);
}

static void in_select(void)
{
    CHECK(select(0, NULL, NULL, NULL, NULL) < 0);
}

static void in_epoll(void)
{
    struct epoll_event event;
    CHECK(epoll_wait(set, &event, 1, -1) < 0);
}

static void in_sleep(void)
{
    sleep(1000000);
}

static void in_pause(void)
{
    pause();
}

static void in_signal(void)
{
    int signal;
    sigset_t nothing;
    sigemptyset(&nothing);
    sigaddset(&nothing, SIGUSR2);
    CHECK(pthread_sigmask(SIG_BLOCK, &nothing, NULL) == 0);
    sigwait(&nothing, &signal);
}

static void in_semaphore(void)
{
    sem_wait(&semaphore);
}

static void in_join(void)
{
    pthread_join(endless, NULL);
}

static void unlock(void *unused)
{
    (void)unused;
    cleaned += pthread_mutex_unlock(&mutex) == 0 ? 10 : 100; /* it checks who has it */
}

static void in_condition(void)
{
    CHECK(pthread_mutex_lock(&mutex) == 0);
    pthread_cleanup_push(unlock, NULL);
    for (;;)
        pthread_cond_wait(&cond, &mutex);
    pthread_cleanup_pop(1);
}

static void in_timed_condition(void)
{
    struct timespec far = {.tv_sec = 4000000000};
    CHECK(pthread_mutex_lock(&mutex) == 0);
    pthread_cleanup_push(unlock, NULL);
    for (;;)
        pthread_cond_timedwait(&cond, &mutex, &far);
    pthread_cleanup_pop(1);
}

static void in_a_loop(void)
{
    for (;;)
        pthread_testcancel();
}

/*
 * Asynchronously: where the thread computes
 */

static _Atomic unsigned long computed;

static void in_computation(void)
{
    int old;
    CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old) == 0);
    CHECK(old == PTHREAD_CANCEL_DEFERRED);
    for (;;)
        computed++;
}

static void in_fraction(void)
{
    volatile double sum = 0;
    CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL) == 0);
    for (;;)
        sum = (sum + 1) / 3;
}

/* The library does hardly anything but to keep events away, from time to time. */
static void in_yielding(void)
{
    CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL) == 0);
    for (;;) {
        sched_yield();
        computed++;
    }
}

/* Nor here but to lock and unlock the stream. */
static void in_stream(void)
{
    CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL) == 0);
    for (;;) {
        CHECK(!(feof)(input)); /* no macro, which locks nothing */
        computed++;
    }
}

/* A library's call that waits, as a thread may make that is careless. */
static void in_careless_sleep(void)
{
    CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL) == 0);
    for (;;)
        usleep(100);
}

/* It computes until it is told to, and is cancelled meanwhile. */
static void until_enabled(void)
{
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL) == 0);
    CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL) == 0);
    while (!ready)
        computed++;
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL) == 0);
    puts("not reached");
}

static void until_asynchronous(void)
{
    while (!ready)
        computed++;
    CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL) == 0);
    puts("not reached");
}

static void itself(void)
{
    CHECK(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL) == 0);
    pthread_cancel(pthread_self());
    puts("not reached");
}

static void while_disabled(void)
{
    int old;
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old) == 0);
    say("enabled", old == PTHREAD_CANCEL_ENABLE);
    while (!ready)
        usleep(1000);
    pthread_testcancel();
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old) == 0);
    say("disabled", old == PTHREAD_CANCEL_DISABLE);
    pthread_testcancel();
}

static void *run(void *function)
{
    static int one = 1, two = 2;
    CHECK(pthread_setspecific(key, &one) == 0);
    pthread_cleanup_push(clean, &one);
    pthread_cleanup_push(clean, &two);
    ((void (*)(void))function)();
    pthread_cleanup_pop(0);
    pthread_cleanup_pop(0);
    return NULL;
}

static pthread_t start(void (*function)(void))
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, (void *)function) == 0);
    return thread;
}

static void end(const char *what, pthread_t thread)
{
    void *result;
    int cleaned_before = cleaned, destroyed_before = destroyed;
    CHECK(pthread_cancel(thread) == 0);
    ready = true;
    CHECK(pthread_join(thread, &result) == 0);
    printf("%s: cancelled %d, cleaned %d, destroyed %d\n", what, result == PTHREAD_CANCELED,
           cleaned - cleaned_before, destroyed - destroyed_before);
}

/* Both before it waits, if the machine is quick, and amid the wait. */
static void test(const char *what, void (*function)(void))
{
    end(what, start(function));
    pthread_t thread = start(function);
    usleep(20000);
    end(what, thread);
}

/* It does compute when it is cancelled. */
static void cancel_amid(void (*function)(void), int moment)
{
    void *result;
    pthread_t thread = start(function);
    for (unsigned long seen = computed; computed == seen;)
        usleep(100);
    for (unsigned long seen = computed; moment > 0 && computed - seen < (unsigned)moment;)
        ;
    CHECK(pthread_cancel(thread) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
}

static void test_amid_computation(void)
{
    for (int i = 0; i < 20; i++)
        cancel_amid(in_computation, 0);
    printf("computation: cleaned %d\n", cleaned);
    for (int i = 0; i < 100; i++)
        cancel_amid(in_yielding, i % 7);
    printf("yielding: cleaned %d\n", cleaned);
}

/* None of them leaves the stream locked; in Linux' C library one may. */
static void test_amid_stream(void)
{
    int fds[2];
    CHECK(pipe(fds) == 0 && (input = fdopen(fds[0], "r")) != NULL);
#ifdef __skep__
    for (int i = 0; i < 200; i++) {
        cancel_amid(in_stream, i % 7);
        CHECK(ftrylockfile(input) == 0);
        funlockfile(input);
    }
#else
    (void)in_stream;
#endif
    say("stream", feof(input));
    fclose(input), close(fds[1]);
}

static void test_itself(void)
{
    void *result;
    cleaned = 0;
    CHECK(pthread_join(start(itself), &result) == 0);
    printf("itself: cancelled %d, cleaned %d\n", result == PTHREAD_CANCELED, cleaned);
}

static void test_asynchronous(void)
{
    cleaned = 0;
    test_amid_computation();
    test_amid_stream();
    cleaned = 0;
    test("computation", in_computation);
    test("fraction", in_fraction);
    test("careless sleep", in_careless_sleep);
    ready = false;
    end("enabled", start(until_enabled));
    ready = false;
    end("asynchronous", start(until_asynchronous));
    test_itself();
}

static void connect_pair(int places)
{
    socklen_t bytes = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK((listener = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    CHECK(bind(listener, (struct sockaddr *)&address, bytes) == 0);
    CHECK(listen(listener, places) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &bytes) == 0);
    CHECK((client = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    CHECK(connect(client, (struct sockaddr *)&address, bytes) == 0);
}

static void test_connections(void)
{
    int room = 65536;
#ifdef __skep__
    connect_pair(1);
#else
    connect_pair(0); /* Linux has a place more */
#endif
    CHECK((unconnected = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
    test("connect", in_connect);
    close(unconnected);
    CHECK((server = accept(listener, NULL, NULL)) >= 0);
    test("accept", in_accept);
    CHECK(setsockopt(client, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) == 0);
    test("send", in_send);
    test("write", in_write);
    test("send message", in_send_message);
    test("write parts", in_write_parts);
    CHECK(shutdown(client, SHUT_WR) == 0);
    while (read(server, much, sizeof(much)) > 0)
        ;
    say("still there", send(server, "x", 1, 0) == 1 && recv(client, much, 1, 0) == 1);
    close(listener), close(client), close(server);
}

/* A stream of which a thread that was cancelled has nothing locked. */
static void say_free(FILE *stream)
{
    bool is_free = ftrylockfile(stream) == 0;
    say("free", is_free);
    if (is_free)
        funlockfile(stream);
}

static void test_streams_of(int fds[2], int own)
{
    char line[80] = "";
    CHECK((input = fdopen(fds[0], "r")) != NULL);
    test("getline", in_getline);
    test("fgets", in_fgets);
    test("fread", in_fread);
    test("getc", in_getc);
    say_free(input);
    clearerr(input);
    CHECK(write(fds[1], "a line\n", 7) == 7);
    say("reads", fgets(line, sizeof(line), input) != NULL);
    fputs(line, stdout);
    CHECK((output = fdopen(own, "w")) != NULL);
    test("fwrite", in_fwrite);
    say_free(output);
    fclose(input);
    say("broken", fwrite(much, 1, sizeof(much), output) < sizeof(much));
    fclose(output);
}

static void test_streams(void)
{
    int fds[2], both[2];
    CHECK(pipe(fds) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, both) == 0);
    test_streams_of(fds, dup(fds[1]));
    close(fds[1]);
    test_streams_of(both, dup(both[1]));
    close(both[1]);
}

/* The byte is still there afterwards, and the file isn't in use any more. */
static void test_before_reading(void)
{
    int own[2];
    char byte;
    CHECK(pipe(own) == 0 && write(own[1], "x", 1) == 1);
    dup2(own[0], pipes[0]);
    ready = false;
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, run, (void *)while_disabled) == 0);
    CHECK(pthread_cancel(thread) == 0);
    ready = true;
    CHECK(pthread_join(thread, &result) == 0);
    say("later", result == PTHREAD_CANCELED);
    say("byte", read(own[0], &byte, 1));
    thread = start(in_read);
    usleep(20000);
    end("reader", thread);
    close(own[0]), close(pipes[0]);
    say("nobody reads", write(own[1], "x", 1) == -1 && errno == EPIPE);
}

static _Atomic int woken;

static void *wait_once(void *unused)
{
    (void)unused;
    CHECK(pthread_mutex_lock(&mutex) == 0);
    pthread_cleanup_push(unlock, NULL);
    ready = true;
    pthread_cond_wait(&cond, &mutex);
    woken++;
    pthread_cleanup_pop(1);
    return NULL;
}

static pthread_t start_waiter(void)
{
    pthread_t thread;
    ready = false;
    CHECK(pthread_create(&thread, NULL, wait_once, NULL) == 0);
    while (!ready)
        usleep(100);
    CHECK(pthread_mutex_lock(&mutex) == 0); /* it waits now */
    CHECK(pthread_mutex_unlock(&mutex) == 0);
    return thread;
}

/* Of two that wait one is told and one is cancelled: whichever it is, the other one's wait ends. */
static void test_signal_goes_on(void)
{
    for (int i = 0; i < 30; i++) {
        void *result;
        pthread_t cancelled = start_waiter(), other = start_waiter();
        CHECK(pthread_mutex_lock(&mutex) == 0);
        CHECK(pthread_cond_signal(&cond) == 0);
        CHECK(pthread_cancel(cancelled) == 0);
        CHECK(pthread_mutex_unlock(&mutex) == 0);
        CHECK(pthread_join(cancelled, &result) == 0);
        if (result != PTHREAD_CANCELED) /* it had been told */
            CHECK(pthread_cond_signal(&cond) == 0);
        CHECK(pthread_join(other, NULL) == 0);
    }
    say("goes on", woken >= 30);
}

int main(void)
{
    pthread_mutexattr_t checks;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(pthread_mutexattr_init(&checks) == 0);
    CHECK(pthread_mutexattr_settype(&checks, PTHREAD_MUTEX_ERRORCHECK) == 0);
    CHECK(pthread_mutex_init(&mutex, &checks) == 0);
    CHECK(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    CHECK((datagrams = socket(AF_INET, SOCK_DGRAM, 0)) >= 0 && (counter = eventfd(0, 0)) >= 0);
    CHECK(bind(datagrams, (struct sockaddr *)&here, sizeof(here)) == 0);
    CHECK((set = epoll_create1(0)) >= 0);
    CHECK(sem_init(&semaphore, 0, 0) == 0 && pthread_key_create(&key, destroy) == 0);
    signal(SIGPIPE, SIG_IGN);
    endless = start(in_pause);

    test("read", in_read);
    test("receive", in_receive);
    test("datagram", in_datagram);
    test("counter", in_counter);
    test("poll", in_poll);
    test("select", in_select);
    test("epoll", in_epoll);
    test("sleep", in_sleep);
    test("pause", in_pause);
    test("signal", in_signal);
    test("semaphore", in_semaphore);
    test("join", in_join);
    test_connections();
    test("loop", in_a_loop);
    test_asynchronous();
    end("joined", endless);
    usleep(1000);
    test("condition", in_condition);
    test("timed condition", in_timed_condition);
    test_streams();
    test_before_reading();
    test_signal_goes_on();
    say("state", pthread_setcancelstate(99, NULL) == EINVAL);
    say("type", pthread_setcanceltype(99, NULL) == EINVAL);
    puts("cancel: ok");
    return 0;
}
