/*
 * lanes.c - the load of ci/bench memcached and mosquitto: lanes ROUNDS SEND:RECEIVE…
 *
 * A lane is two open sockets by their descriptors, or one twice. Standard input has for each lane, in order, two lengths
 * (32 bits, little-endian), a block of requests and a block of answers. ROUNDS times it sends a lane's requests at once and
 * waits for exactly these answers, all lanes at the same time; then it prints the seconds that this took. An answer of
 * other bytes, and a minute without any, end it with 1.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { LANE_COUNT_MAX = 64, WAIT_MS = 60000 };

struct block {
    uint32_t bytes;
    char *data;
};

struct lane {
    int send_fd;
    struct block requests, answers;
    uint32_t received; /* of the answers */
    unsigned long rounds_left;
};

static struct lane lanes[LANE_COUNT_MAX];
static struct pollfd ready[LANE_COUNT_MAX]; /* where the lanes receive */

static void fail(size_t lane, const char *why)
{
    fprintf(stderr, "lane %zu: %s\n", lane, why);
    exit(1);
}

static void read_all(void *data, size_t bytes)
{
    if (fread(data, 1, bytes, stdin) != bytes) {
        fputs("standard input ends too early\n", stderr);
        exit(2);
    }
}

static void read_data(struct block *block)
{
    block->data = malloc(block->bytes);
    if (block->data == NULL)
        exit(2);
    read_all(block->data, block->bytes);
}

static void send_requests(size_t index)
{
    const struct lane *lane = &lanes[index];
    size_t sent = 0;
    while (sent < lane->requests.bytes) {
        ssize_t count = send(lane->send_fd, lane->requests.data + sent, lane->requests.bytes - sent,
                             MSG_NOSIGNAL);
        if (count < 0)
            fail(index, "its connection failed");
        sent += (size_t)count;
    }
}

/* Takes what is there. Returns whether this was its last round's end. */
static bool receive_answers(size_t index)
{
    static char buffer[1 << 16];
    struct lane *lane = &lanes[index];
    size_t wanted = lane->answers.bytes - lane->received;
    ssize_t count =
        recv(ready[index].fd, buffer, wanted < sizeof buffer ? wanted : sizeof buffer, 0);
    if (count <= 0)
        fail(index, "its connection ended");
    if (memcmp(buffer, lane->answers.data + lane->received, (size_t)count) != 0)
        fail(index, "another answer than it should be");
    lane->received += (uint32_t)count;
    if (lane->received < lane->answers.bytes)
        return false;
    lane->received = 0;
    lane->rounds_left--;
    if (lane->rounds_left != 0)
        send_requests(index);
    return lane->rounds_left == 0;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    size_t count = (size_t)argc - 2;
    if (argc < 3 || count > LANE_COUNT_MAX)
        return 2;
    for (size_t i = 0; i < count; i++) {
        struct lane *lane = &lanes[i];
        char *rest;
        lane->send_fd = (int)strtol(argv[2 + i], &rest, 10);
        if (*rest != ':')
            return 2;
        ready[i] = (struct pollfd){.fd = (int)strtol(rest + 1, NULL, 10), .events = POLLIN};
        lane->rounds_left = strtoul(argv[1], NULL, 10);
        read_all(&lane->requests.bytes, sizeof lane->requests.bytes);
        read_all(&lane->answers.bytes, sizeof lane->answers.bytes);
        read_data(&lane->requests);
        read_data(&lane->answers);
    }
    double begin = seconds();
    for (size_t i = 0; i < count; i++)
        send_requests(i);
    for (size_t busy = count; busy > 0;) {
        if (poll(ready, count, WAIT_MS) <= 0) {
            fputs("no answers for a minute\n", stderr);
            return 1;
        }
        for (size_t i = 0; i < count; i++) {
            if (ready[i].revents != 0 && receive_answers(i)) {
                ready[i].fd = -1; /* poll() passes over it */
                busy--;
            }
        }
    }
    printf("%.6f\n", seconds() - begin);
    return 0;
}
