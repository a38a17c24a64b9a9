/*
 * httpd.c - a small web server, and an example of a program for Skep that is nothing but POSIX:
 *
 *     cc -O2 examples/httpd.c -o httpd && ./httpd 8080
 *
 * One thread waits in poll() for all connections. A connection reads a request, answers it, and
 * reads the next; what can't be sent at once waits until the socket takes more. Paths: / shows the
 * host's name, /healthz answers "ok", /bytes/N answers N bytes, for measuring throughput:
 * the values from 0 to 250 over and over.
 * The port is the first argument or $PORT; 80 if there is neither.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4(), which became POSIX in 2024 */
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef MSG_MORE
#define MSG_MORE 0 /* Linux' */
#endif

enum {
    CONNECTIONS_MAX = 4096,
    CONNECTION_PAGES = 4, /* of memory, for each place: what it takes here and in the kernel */
    OTHER_FILES = 8,
    REQUEST_BYTES = 2048, /* a longer request is refused */
    PAGE_BYTES = 512,
    ANSWER_BYTES = 1024, /* headers and a page */
    FILLER_PERIOD = 251,
    FILLER_BYTES = 1045 * FILLER_PERIOD, /* about 256 KiB, more than a socket takes */
    IDLE_SECONDS = 30,                   /* a client that is silent for longer is disconnected */
};

struct connection {
    int fd;
    time_t active; /* when the client last did something */
    bool closing;  /* after this answer */
    bool refused;  /* by this answer: the client may have sent more */
    char request[REQUEST_BYTES];
    size_t request_bytes; /* received */
    char answer[ANSWER_BYTES];
    size_t answer_bytes, sent_bytes;
    unsigned long long filler_left; /* bytes of /bytes/N that the answer had no room for */
    size_t filler_at;               /* the next one's value */
};

static struct connection **connections;
static struct pollfd *polls; /* the listening socket, then the connections */
static size_t connection_count, connections_max;

static char page[PAGE_BYTES];
static size_t page_bytes;
static char filler[FILLER_BYTES];
static volatile sig_atomic_t stopping;
static time_t now; /* seconds, when this turn began */

static void stop(int signal_number)
{
    (void)signal_number;
    stopping = 1;
}

static void look_at_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    now = time.tv_sec;
}

/*
 * Answers
 */

/* These put text at a place in an answer and return the place behind it. */
static char *append_bytes(char *at, const char *text, size_t bytes)
{
    memcpy(at, text, bytes);
    return at + bytes;
}

static char *append(char *at, const char *text)
{
    return append_bytes(at, text, strlen(text));
}

static char *append_number(char *at, unsigned long long number)
{
    char digits[24], *first = digits + sizeof(digits);
    *--first = '\0';
    do
        *--first = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    return append(at, first);
}

/* The answer begins with them; they take a fraction of ANSWER_BYTES. */
static void put_headers(struct connection *connection, const char *status, const char *type,
                        unsigned long long body_bytes)
{
    char *at = append(connection->answer, "HTTP/1.1 ");
    at = append(at, status);
    at = append(at, "\r\nContent-Type: ");
    at = append(at, type);
    at = append(at, "\r\nContent-Length: ");
    at = append_number(at, body_bytes);
    if (connection->closing)
        at = append(at, "\r\nConnection: close");
    at = append(at, "\r\n\r\n");
    connection->answer_bytes = (size_t)(at - connection->answer);
}

static void answer_bytes(struct connection *connection, const char *status, const char *body,
                         size_t bytes)
{
    put_headers(connection, status, "text/html; charset=utf-8", bytes);
    memcpy(connection->answer + connection->answer_bytes, body, bytes);
    connection->answer_bytes += bytes;
}

static void answer(struct connection *connection, const char *status, const char *body)
{
    answer_bytes(connection, status, body, strlen(body));
}

/* When it is first wanted: until then it costs no memory. */
static void write_filler(void)
{
    if (filler[1] != 0)
        return;
    for (size_t i = 0; i < FILLER_BYTES; i++)
        filler[i] = (char)(i % FILLER_PERIOD);
}

static void answer_filler(struct connection *connection, const char *number)
{
    char *end;
    unsigned long long bytes = strtoull(number, &end, 10);
    if (*number < '0' || *number > '9' || *end != '\0' || bytes > 1ull << 40) {
        answer(connection, "404 Not Found", "no such number of bytes\n");
        return;
    }
    put_headers(connection, "200 OK", "application/octet-stream", bytes);
    write_filler();
    size_t room = ANSWER_BYTES - connection->answer_bytes;
    size_t first = bytes < room ? (size_t)bytes : room; /* in one packet with the headers */
    memcpy(connection->answer + connection->answer_bytes, filler, first);
    connection->answer_bytes += first;
    connection->filler_left = bytes - first;
    connection->filler_at = first % FILLER_PERIOD;
}

static void answer_path(struct connection *connection, const char *path)
{
    if (strcmp(path, "/") == 0)
        answer_bytes(connection, "200 OK", page, page_bytes);
    else if (strcmp(path, "/healthz") == 0)
        answer(connection, "200 OK", "ok\n");
    else if (strncmp(path, "/bytes/", 7) == 0)
        answer_filler(connection, path + 7);
    else
        answer(connection, "404 Not Found", "no such page\n");
}

static void refuse(struct connection *connection, const char *status)
{
    connection->closing = connection->refused = true;
    answer(connection, status, "this server can't do that\n");
}

/*
 * Requests
 */

/* Whether a line begins with text, such as "Connection: close", in any case. Most begin with another letter. */
static bool begins(const char *line, const char *text)
{
    return (line[0] | 0x20) == (text[0] | 0x20) && strncasecmp(line, text, strlen(text)) == 0;
}

/* Answers the request at the start of text. keeping is its Connection header, "" if it has none. */
static void handle_request(struct connection *connection, char *text, const char *keeping)
{
    char *method = text;
    char *path = strchr(method, ' ');
    char *version = path == NULL ? NULL : strchr(path + 1, ' ');
    char *line_end = strchr(text, '\r');
    if (version == NULL || version > line_end || strncmp(version + 1, "HTTP/1.", 7) != 0) {
        refuse(connection, "400 Bad Request");
        return;
    }
    connection->closing = version[8] == '0' ? !begins(keeping, "Connection: keep-alive")
                                            : begins(keeping, "Connection: close");
    *path++ = '\0';
    *version = '\0';
    if (strcmp(method, "GET") != 0)
        refuse(connection, "405 Method Not Allowed"); /* and a body would be in the way */
    else
        answer_path(connection, path);
}

/* The end of the first request that was received, behind its empty line; NULL = not there yet. On
 * the way, its Connection header is found. */
static char *request_end(struct connection *connection, const char **keeping)
{
    char *at = connection->request;
    connection->request[connection->request_bytes] = '\0';
    while ((at = strchr(at, '\n')) != NULL) {
        at++;
        if (at[0] == '\r' && at[1] == '\n')
            return at + 2;
        if (begins(at, "Connection:"))
            *keeping = at;
    }
    return NULL;
}

/* Answers the next complete request that was received. False: there is none yet. */
static bool next_request(struct connection *connection)
{
    const char *keeping = "";
    if (connection->request_bytes == 0)
        return false;
    char *end = request_end(connection, &keeping);
    if (end == NULL) {
        if (connection->request_bytes == REQUEST_BYTES - 1)
            refuse(connection, "431 Request Header Fields Too Large");
        return connection->request_bytes == REQUEST_BYTES - 1;
    }
    char first = *end; /* of the request after this one */
    *end = '\0';
    handle_request(connection, connection->request, keeping);
    *end = first;
    connection->request_bytes -= (size_t)(end - connection->request);
    memmove(connection->request, end, connection->request_bytes);
    return true;
}

/*
 * Connections. These return false when the connection is to be closed.
 */

/* True with *done: all of it was taken. */
static bool send_some(struct connection *connection, const char *data, size_t bytes, size_t *sent)
{
    /* What close() sends goes along with an answer's end. But if something is unread, it sends that nothing is wanted,
     * and throws away what wasn't sent. */
    int more = connection->closing && !connection->refused ? MSG_MORE : 0;
    ssize_t result = send(connection->fd, data, bytes, MSG_NOSIGNAL | more);
    *sent = result < 0 ? 0 : (size_t)result;
    return result >= 0 || errno == EAGAIN || errno == EINTR;
}

/* Sends what there is to send, until the socket takes no more: less than it was given, or nothing. */
static bool send_answer(struct connection *connection)
{
    size_t sent;
    if (connection->sent_bytes < connection->answer_bytes) {
        size_t left = connection->answer_bytes - connection->sent_bytes;
        if (!send_some(connection, connection->answer + connection->sent_bytes, left, &sent))
            return false;
        connection->sent_bytes += sent;
        if (sent < left)
            return true;
    }
    while (connection->filler_left > 0) {
        size_t at = connection->filler_at, bytes = FILLER_BYTES - at;
        if (connection->filler_left < bytes)
            bytes = (size_t)connection->filler_left;
        if (!send_some(connection, filler + at, bytes, &sent))
            return false;
        connection->filler_left -= sent;
        connection->filler_at = (at + sent) % FILLER_PERIOD;
        if (sent < bytes)
            return true;
    }
    connection->answer_bytes = connection->sent_bytes = 0;
    return !connection->closing;
}

static bool receive(struct connection *connection)
{
    ssize_t result = recv(connection->fd, connection->request + connection->request_bytes,
                          REQUEST_BYTES - 1 - connection->request_bytes, 0);
    if (result > 0)
        connection->request_bytes += (size_t)result;
    return result > 0 || (result < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Does what a ready connection allows. An answer that waits for room keeps requests waiting. */
static bool serve(struct connection *connection, short ready)
{
    connection->active = now;
    if (connection->answer_bytes > 0) {
        if (!send_answer(connection))
            return false;
    } else if ((ready & (POLLIN | POLLERR | POLLHUP)) != 0 && !receive(connection)) {
        return false;
    }
    while (connection->answer_bytes == 0 && next_request(connection))
        if (!send_answer(connection))
            return false;
    return true;
}

static void connection_close(size_t index)
{
    close(connections[index]->fd);
    free(connections[index]);
    connection_count--;
    connections[index] = connections[connection_count];
    polls[1 + index] = polls[1 + connection_count];
}

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void connection_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct connection *connection = malloc(sizeof(*connection));
    if (connection == NULL) {
        close(fd);
        return;
    }
    connection->fd = fd;
    connection->active = now;
    connection->closing = connection->refused = false;
    connection->request_bytes = connection->answer_bytes = connection->sent_bytes = 0;
    connection->filler_left = 0;
    /* The request has often come already. */
    polls[1 + connection_count] = (struct pollfd){.fd = fd, .revents = POLLIN};
    connections[connection_count++] = connection;
}

/*
 * The server
 */

static void write_page(void)
{
    char host[64] = "localhost";
    gethostname(host, sizeof(host) - 1);
    page_bytes =
        (size_t)snprintf(page, sizeof(page),
                         "<!doctype html>\n<title>%s</title>\n<h1>Hello from %s</h1>\n"
                         "<p>One program, and no operating system below it but a library.\n",
                         host, host);
}

static size_t smaller(size_t one, long other)
{
    return other < 1 ? 1 : (size_t)other < one ? (size_t)other : one;
}

/* As many places as there are descriptors and memory for. */
static bool make_places(void)
{
    connections_max = smaller(CONNECTIONS_MAX, sysconf(_SC_OPEN_MAX) - OTHER_FILES);
    connections_max = smaller(connections_max, sysconf(_SC_PHYS_PAGES) / CONNECTION_PAGES);
    connections = calloc(connections_max, sizeof(struct connection *));
    polls = calloc(1 + connections_max, sizeof(*polls));
    return connections != NULL && polls != NULL;
}

/* One socket for IPv6 and IPv4, or for what the system has. Connections inherit TCP_NODELAY. */
static int listen_on(unsigned short port)
{
    struct sockaddr_in6 both = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in one = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has_both = fd >= 0;
    if (!has_both && (fd = socket(AF_INET, SOCK_STREAM, 0)) < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (has_both)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
    if (bind(fd, has_both ? (struct sockaddr *)&both : (struct sockaddr *)&one,
             has_both ? sizeof(both) : sizeof(one)) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        return -1;
    set_nonblocking(fd);
    return fd;
}

static void close_idle(void)
{
    static time_t checked;
    if (now == checked)
        return;
    checked = now;
    for (size_t i = connection_count; i-- > 0;)
        if (now - connections[i]->active > IDLE_SECONDS)
            connection_close(i);
}

/* Waits for something to do and does it. */
static void turn(int listener)
{
    /* When the table is full, new clients wait until a connection ends. */
    polls[0] =
        (struct pollfd){.fd = connection_count < connections_max ? listener : -1, .events = POLLIN};
    /* Without connections there is nothing to time out. */
    if (poll(polls, 1 + connection_count, connection_count > 0 ? 1000 * IDLE_SECONDS : -1) < 0)
        return;
    look_at_clock();
    if ((polls[0].revents & POLLIN) != 0)
        connection_accept(listener);
    for (size_t i = connection_count; i-- > 0;) {
        if (polls[1 + i].revents == 0)
            continue;
        if (serve(connections[i], polls[1 + i].revents))
            polls[1 + i].events = connections[i]->answer_bytes > 0 ? POLLOUT : POLLIN;
        else
            connection_close(i);
    }
    close_idle();
}

/* The port that text says, 0 if it says none. */
static unsigned short port_of(const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);
    return *end == '\0' && port > 0 && port <= 65535 ? (unsigned short)port : 0;
}

int main(int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : getenv("PORT");
    unsigned short port = port_of(text == NULL ? "80" : text);
    if (port == 0) {
        fprintf(stderr, "httpd: the port must be a number from 1 to 65535\n");
        return 2;
    }
    int listener = make_places() ? listen_on(port) : -1;
    if (listener < 0) {
        perror("httpd");
        return 1;
    }
    write_page();
    signal(SIGTERM, stop);
    signal(SIGINT, stop);

    printf("httpd: serving on port %u\n", port);
    fflush(stdout);
    while (!stopping)
        turn(listener);
    puts("httpd: stopping");
    return 0;
}
