/*
 * server.c - the HTTPS server.
 *
 * There is a fixed number of slots. Each has a connection, or none, and a thread, made at its first
 * use, which does the handshake and then serves request after request. When all slots are taken, a
 * new connection takes the place of one that waits for its client: see claim_of(). So clients that
 * are silent or slow can't keep others out, and what all of them can cost is bounded. throttle.c bounds
 * how many threads do the arithmetic of handshakes at a time.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "api.h"
#include "counters.h"
#include "log.h"
#include "thread.h"
#include "throttle.h"

#define SECOND        1000000000ull
#define HANDSHAKE_NS  (15 * SECOND)
#define FIRST_IDLE_NS (15 * SECOND) /* without a token yet */
#define IDLE_NS       (60 * SECOND)
#define HEAD_NS       (10 * SECOND)
#define EVICT_NS      (3 * SECOND) /* to wait for a slot that can be cleared, and is */
#define STALLED_NS    (2 * SECOND) /* that a client takes or sends nothing, amid a request */
#define FRESH_NS      (1 * SECOND)
#define LOOK_NS       (SECOND / 50) /* again, when no slot can be cleared */
#define LINGER_NS     (1 * SECOND)
#define BACKLOG       64

struct slot {
    /* Under `lock`. */
    bool taken, has_thread, evicted, serving;
    int fd;
    uint64_t accepted; /* when it came */
    uint64_t since;    /* when it began to be served, or to be idle */
    pthread_cond_t work;

    /* The thread's own. */
    struct tls_session session;
    struct api_client client;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t slot_free = PTHREAD_COND_INITIALIZER;
static struct slot slots[SERVER_CONNECTIONS_MAX];
static struct tls_server *server_tls; /* under `lock` */

/*
 * One connection
 */

static int to_http(int result)
{
    if (result > 0)
        return result;
    return result == TLS_TIMEOUT                 ? HTTP_E_TIMEOUT
           : result == TLS_CLOSED || result == 0 ? HTTP_E_CLOSED
                                                 : HTTP_E_TRANSPORT;
}

static int count_bytes(enum counter counter, int result)
{
    if (result > 0)
        counter_add(counter, (uint64_t)result);
    return result;
}

static int read_tls(void *context, void *buf, size_t bytes, uint64_t deadline)
{
    return count_bytes(COUNTER_RECEIVED_BYTES,
                       to_http(tls_session_read(context, buf, bytes, deadline)));
}

static int write_tls(void *context, const void *buf, size_t bytes, uint64_t deadline)
{
    return count_bytes(COUNTER_SENT_BYTES,
                       to_http(tls_session_write(context, buf, bytes, deadline)));
}

static bool is_known(struct slot *s)
{
    return atomic_load_explicit(&s->client.authenticated, memory_order_relaxed);
}

static void set_serving(struct slot *s, bool serving)
{
    pthread_mutex_lock(&lock);
    s->serving = serving;
    s->since = tls_clock_ns();
    pthread_mutex_unlock(&lock);
    if (!serving && is_known(s))
        throttle_know(s->client.address);
}

static void serve_requests(struct slot *s)
{
    const struct http_transport transport = {&s->session, read_tls, write_tls};
    struct api_client *client = &s->client;
    bool go_on = true;

    http_conn_init(&client->http, &transport);
    while (go_on) {
        uint64_t idle = tls_clock_ns() + (is_known(s) ? IDLE_NS : FIRST_IDLE_NS);
        int error = http_read_head(&client->http, idle, HEAD_NS, tls_clock_ns);
        /* Silence between requests needs no answer. */
        if (error == HTTP_E_TIMEOUT && client->http.head_bytes == 0)
            return;
        if (error != 0) {
            api_answer_error(client, error);
            return;
        }
        set_serving(s, true);
        go_on = api_serve(client);
        set_serving(s, false);
    }
}

static void refuse_plain_http(int fd)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"
                               "Content-Length: 38\r\nConnection: close\r\n\r\n"
                               "This port speaks HTTPS: use https://.\n";
    (void)send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
}

/* Closing with unread bytes would reset the connection, and the answer might be lost with it. */
static void linger(struct slot *s, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t now, deadline = tls_clock_ns() + LINGER_NS;
    size_t dropped = 0;
    char scratch[1024];

    shutdown(fd, SHUT_WR);
    atomic_store_explicit(&s->session.waits, tls_clock_ns(), memory_order_relaxed);
    while ((now = tls_clock_ns()) < deadline && dropped < (1u << 20)) {
        ssize_t n;
        if (poll(&p, 1, (int)((deadline - now) / 1000000) + 1) <= 0)
            break;
        n = recv(fd, scratch, sizeof(scratch), 0);
        if (n <= 0)
            break;
        dropped += (size_t)n;
    }
    atomic_store_explicit(&s->session.waits, 0, memory_order_relaxed);
}

static struct tls_server *hold_tls(void)
{
    struct tls_server *tls;

    pthread_mutex_lock(&lock);
    tls = tls_server_hold(server_tls);
    pthread_mutex_unlock(&lock);
    return tls;
}

static void begin_turn(void *context)
{
    const struct slot *s = context;
    throttle_handshake_begin(throttle_knows(s->client.address));
}

static void end_turn(void *context)
{
    (void)context;
    throttle_handshake_end();
}

static void serve_connection(struct slot *s, int fd)
{
    const struct tls_turns turns = {begin_turn, end_turn, s};
    int result;

    s->client.fd = fd;
    result = tls_session_open(&s->session, hold_tls(), fd, tls_clock_ns() + HANDSHAKE_NS, &turns);
    s->client.shown = (struct token_shown){0};
    s->client.has_certificate = result == 0 && tls_session_peer(&s->session, s->client.certificate);
    counter_add(result != 0             ? COUNTER_HANDSHAKES_FAILED
                : s->session.is_resumed ? COUNTER_HANDSHAKES_RESUMED
                                        : COUNTER_HANDSHAKES,
                1);
    if (result == 0)
        serve_requests(s);
    else if (result == TLS_PLAIN_HTTP)
        refuse_plain_http(fd);
    tls_session_close(&s->session);
    if (result == 0 || result == TLS_PLAIN_HTTP)
        linger(s, fd);
}

/* The last to know the descriptor closes it: the acceptor may still shut it down before. */
static void release(struct slot *s)
{
    pthread_mutex_lock(&lock);
    close(s->fd);
    s->fd = -1;
    s->taken = s->evicted = false;
    counter_add(COUNTER_CLOSED, 1);
    pthread_cond_signal(&slot_free);
    pthread_mutex_unlock(&lock);
}

static void *slot_main(void *argument)
{
    struct slot *s = argument;

    for (;;) {
        pthread_mutex_lock(&lock);
        while (!s->taken)
            pthread_cond_wait(&s->work, &lock);
        pthread_mutex_unlock(&lock);
        serve_connection(s, s->fd);
        release(s);
    }
    return NULL;
}

/*
 * The acceptor
 */

static bool start_thread(struct slot *s)
{
    int error;

    pthread_cond_init(&s->work, NULL);
    error = thread_start(slot_main, s);
    if (error != 0)
        log_line("no thread for a connection (error %d)", error);
    return error == 0;
}

/* Prefers slots that have a thread. With the lock. */
static struct slot *find_free(void)
{
    struct slot *found = NULL;

    for (struct slot *s = slots; s < slots + SERVER_CONNECTIONS_MAX; s++) {
        if (!s->taken && s->has_thread)
            return s;
        if (!s->taken && !found)
            found = s;
    }
    return found;
}

/*
 * What a connection has to its slot, the least first. None that does not wait for its client loses it, nor one whose
 * request goes on.
 */
enum claim {
    NO_TOKEN,      /* none shown yet, and none from this address lately */
    KNOWN_ADDRESS, /* none shown yet */
    STALLED,       /* amid a request */
    FRESH,         /* from a known address, and none shown for it has only just come */
    IDLE,          /* between requests */
    KEEPS,
};

static enum claim claim_of(struct slot *s, uint64_t now)
{
    uint64_t waits = atomic_load_explicit(&s->session.waits, memory_order_relaxed);

    /* Who never lets us wait has its time, too. */
    if (waits == 0 && (is_known(s) || now < s->accepted + HANDSHAKE_NS))
        return KEEPS;
    if (!is_known(s))
        return !throttle_knows(s->client.address) ? NO_TOKEN
               : now < s->accepted + FRESH_NS     ? FRESH
                                                  : KNOWN_ADDRESS;
    if (!s->serving)
        return IDLE;
    return now > waits + STALLED_NS ? STALLED : KEEPS;
}

/* Who has shown no token goes by when it came, else by when it began to be idle or served. */
static uint64_t rank_of(struct slot *s)
{
    return is_known(s) ? s->since : s->accepted;
}

/* Ends the connection that has the least claim to its slot, unless one is on its way. With the lock. */
static void evict_one(void)
{
    uint64_t now = tls_clock_ns();
    struct slot *victim = NULL;
    enum claim least = KEEPS;

    for (struct slot *s = slots; s < slots + SERVER_CONNECTIONS_MAX; s++) {
        enum claim claim = claim_of(s, now);
        if (s->evicted)
            return;
        if (claim < least || (victim && claim == least && rank_of(s) < rank_of(victim))) {
            victim = s;
            least = claim;
        }
    }
    if (victim) {
        victim->evicted = true;
        counter_add(COUNTER_EVICTED, 1);
        shutdown(victim->fd, SHUT_RDWR);
    }
}

/* A free slot, or NULL if none can be cleared in time. With the lock. */
static struct slot *wait_for_slot(void)
{
    uint64_t end = tls_clock_ns() + EVICT_NS;
    struct timespec until;
    struct slot *s;

    while ((s = find_free()) == NULL && tls_clock_ns() < end) {
        evict_one();
        until = thread_until(LOOK_NS);
        pthread_cond_timedwait(&slot_free, &lock, &until);
    }
    return s;
}

/* Gives a new connection to a slot's thread. False if there is none for it. */
static bool place(int fd, uint32_t address)
{
    struct slot *s;
    bool placed = false;

    pthread_mutex_lock(&lock);
    s = wait_for_slot();
    if (s && (s->has_thread || (s->has_thread = start_thread(s)))) {
        s->fd = fd;
        s->client.address = address;
        s->serving = false;
        s->accepted = s->since = tls_clock_ns();
        atomic_store_explicit(&s->client.authenticated, false, memory_order_relaxed);
        s->taken = true;
        counter_add(COUNTER_ACCEPTED, 1);
        pthread_cond_signal(&s->work);
        placed = true;
    }
    pthread_mutex_unlock(&lock);
    return placed;
}

void server_use(struct tls_server *tls)
{
    struct tls_server *former;

    pthread_mutex_lock(&lock);
    former = server_tls;
    server_tls = tls;
    pthread_mutex_unlock(&lock);
    if (former)
        tls_server_release(former);
}

int server_listen(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, BACKLOG) == 0)
            return fd;
    }
    log_line("can't listen on port %u: %s", port, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

void server_run(int listener)
{
    const struct timespec pause = {.tv_nsec = 50000000};

    for (;;) {
        struct sockaddr_in peer = {0};
        socklen_t bytes = sizeof(peer);
        int fd = accept(listener, (struct sockaddr *)&peer, &bytes);
        if (fd < 0) {
            /* Out of descriptors or memory: it passes when others close. */
            nanosleep(&pause, NULL);
            continue;
        }
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        if (!place(fd, peer.sin_addr.s_addr)) {
            counter_add(COUNTER_REFUSED, 1);
            close(fd);
        }
    }
}
