/*
 * stop.c - a guest that is asked to stop while its main thread is where the first argument says, with what the
 * second says in place for SIGTERM: "default", "handler" (which lets the call return, or sets a flag that main
 * looks for), "exit" (a handler that calls _exit(7)) or "sigwait" (a thread that waits for it, then exit(8)).
 * It prints "ready" before.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static _Atomic bool asked;

static void note(int signal)
{
    asked = signal == SIGTERM;
}

static void leave(int signal)
{
    _exit(7);
}

static void *wait_for_it(void *set)
{
    int signal;
    CHECK(sigwait(set, &signal) == 0 && signal == SIGTERM);
    exit(8);
}

static void in_accept(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(80)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(listener, 1) == 0);
    printf("ready\n");
    accept(listener, NULL, NULL);
}

static void in_poll(void)
{
    struct pollfd fds = {.fd = 0, .events = POLLIN};
    printf("ready\n");
    CHECK(poll(&fds, 1, -1) == -1 && errno == EINTR);
}

static void in_sleep(void)
{
    printf("ready\n");
    CHECK(sleep(100000) > 0);
}

static void in_cond(void)
{
    pthread_mutex_lock(&mutex);
    printf("ready\n");
    for (;;)
        pthread_cond_wait(&never, &mutex);
}

static void in_loop(void)
{
    printf("ready\n");
    while (!asked)
        ;
}

static const struct {
    const char *name;
    void (*function)(void);
} places[] = {
    {"accept", in_accept}, {"poll", in_poll}, {"sleep", in_sleep},
    {"cond", in_cond},     {"loop", in_loop},
};

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    CHECK(argc == 3);
    if (strcmp(argv[2], "handler") == 0) {
        signal(SIGTERM, note);
    } else if (strcmp(argv[2], "exit") == 0) {
        signal(SIGTERM, leave);
    } else if (strcmp(argv[2], "sigwait") == 0) {
        static sigset_t set;
        pthread_t thread;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        CHECK(pthread_create(&thread, NULL, wait_for_it, &set) == 0);
    }
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
        if (strcmp(argv[1], places[i].name) == 0)
            places[i].function();
    CHECK(asked);
    return 9;
}
