/* api_metrics.c - the handler for metrics. */
#include <pthread.h>
#include <string.h>

#include "api.h"
#include "metrics.h"
#include "skep_tls.h"
#include "thread.h"

#define SECOND    1000000000ull
#define TURN_NS   (10 * SECOND) /* to wait for another answer of metrics */
#define ANSWER_NS (10 * SECOND) /* for all of the answer to be taken */

/* What was seen of all guests is in memory until it is sent: once. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static int take_turn(struct request *r)
{
    struct timespec until = thread_until(TURN_NS);

    if (pthread_mutex_timedlock(&turn, &until) == 0)
        return 0;
    strcpy(r->problem.fields, "Retry-After: 5\r\n");
    return problem_set(&r->problem, 503, "Metrics are being sent to others; try again soon.");
}

static int send_text(void *context, const char *text, size_t bytes)
{
    return http_reply_chunk(context, text, bytes);
}

/* A whole answer, or none: one that was broken off must not look like a whole one. */
static int send_metrics(struct http_conn *c, struct exposition *x,
                        const struct metrics_guests *guests, const struct metrics_volumes *volumes)
{
    metrics_write_host(x);
    metrics_write_service(x);
    metrics_write_disks(x);
    metrics_write_volumes(x, volumes);
    metrics_write_guests(x, guests);
    metrics_write_stats(x);
    return exposition_end(x) ? http_reply_end(c) : HTTP_E_TRANSPORT;
}

static int answer(struct request *r, struct exposition *x)
{
    struct metrics_guests *guests = metrics_take_guests();
    struct metrics_volumes *volumes = metrics_take_volumes();
    int result = 0;

    r->http->write_deadline = tls_clock_ns() + ANSWER_NS;
    if (!guests || !volumes)
        result =
            problem_set(&r->problem, 503, "There is no memory for the request now; try again.");
    else if (http_reply_begin(r->http, 200,
                              x->open_metrics
                                  ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                  : "text/plain; version=0.0.4; charset=utf-8",
                              r->fields) != 0 ||
             (r->http->method != HTTP_HEAD && send_metrics(r->http, x, guests, volumes) != 0))
        r->http->keep_alive = false;
    metrics_free_volumes(volumes);
    metrics_free_guests(guests);
    return result;
}

int api_metrics(struct request *r)
{
    const char *accept = http_field(r->http, "accept");
    struct exposition x = {.send = send_text,
                           .context = r->http,
                           .open_metrics =
                               accept && strstr(accept, "application/openmetrics-text") != NULL};
    int result;

    if (take_turn(r) != 0)
        return -1;
    result = api_still_allowed(r) ? answer(r, &x) : -1;
    pthread_mutex_unlock(&turn);
    return result;
}
