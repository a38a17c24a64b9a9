/*
 * waits.c - threads that are cancelled where only a guest can have them wait: for a name server that doesn't answer and
 * for the console, or, as `waits bind`, for a router's advertisement. What they leave behind must go by itself: answers come late, to nobody.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { ASKERS = 3 };

static void *ask(void *unused)
{
    struct addrinfo *found;
    return getaddrinfo("nobody.example", "80", NULL, &found) == EAI_NONAME ? NULL : unused;
}

static void *ask_otherwise(void *unused)
{
    return gethostbyname("nobody.example") == NULL ? NULL : unused;
}

static void *read_line(void *unused)
{
    char line[80];
    return fgets(line, sizeof(line), stdin) == NULL ? NULL : unused;
}

static pthread_t start(void *(*function)(void *))
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, function, NULL) == 0);
    return thread;
}

/* After a while, which is mostly amid the wait; it would be right otherwise, too. */
static void end(pthread_t thread)
{
    void *result;
    usleep(20000);
    CHECK(pthread_cancel(thread) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
}

static _Atomic int handlers;

static void count(int signal)
{
    (void)signal;
    handlers++;
}

/* Handlers don't end it; it is over when all questions are. */
static void ask_to_the_end(void)
{
    void *result;
    struct sigaction action = {.sa_handler = count};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_t thread = start(ask);
    usleep(20000);
    CHECK(pthread_kill(thread, SIGUSR1) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == NULL && handlers > 0);
}

static size_t memory_in_use(void)
{
    return mallinfo().uordblks;
}

/* What the network keeps for the next time it has after a turn or two; what was lost would be more each time. */
static void test_names(void)
{
    size_t before;
    int turn = 0;
    do {
        pthread_t askers[ASKERS];
        before = memory_in_use();
        for (int i = 0; i < ASKERS; i++)
            askers[i] = start(i % 2 == 0 ? ask : ask_otherwise);
        for (int i = 0; i < ASKERS; i++)
            end(askers[i]);
        ask_to_the_end();
        for (int i = 0; memory_in_use() > before && i < 1000; i++)
            usleep(1000); /* the last thread is about to be gone */
    } while (memory_in_use() > before && ++turn < 4);
    printf("names: %s\n", turn < 4 ? "nothing is lost" : "more each time");
}

/* bind() ends no thread: it waits on for an address that may come. */
static void *bind_soon(void *unused)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(inet_pton(AF_INET6, "fd00:77::1", &address.sin6_addr) == 1);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == -1 && errno == EADDRNOTAVAIL);
    CHECK(close(fd) == 0);
    pthread_testcancel();
    return unused;
}

static void test_bind(void)
{
    time_t start_s = time(NULL);
    end(start(bind_soon));
    printf("bind: %s\n", time(NULL) - start_s >= 10 ? "waits on" : "gives up");
}

static void test_console(void)
{
    end(start(read_line));
    CHECK(ftrylockfile(stdin) == 0);
    funlockfile(stdin);
    puts("console: free");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "bind") == 0)
        test_bind();
    else {
        test_console();
        test_names();
    }
    puts("waits: ok");
    return 0;
}
