/*
 * user_timeout.c - ends connections whose data waits for its acknowledgement longer than the program wants
 * (TCP_USER_TIMEOUT, RFC 5482), and sees to it that keep-alive asks before it ends any.
 *
 * TCP's timer looks at each connection that is open, but only once somebody has set such a limit. Whether anything was
 * acknowledged is seen at a tick, 250 ms, so data waits up to two of them longer than its limit; and since RFC 5482 has
 * no limit below the time for a retransmission (3.1), it waits until what was lost is repeated once, or until the time for
 * that runs while the other side has no room. Without data a connection ends at the earliest one of keep-alive's intervals
 * after the first question that got no answer.
 */
#include <stdbool.h>
#include <stdint.h>

#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"

#include "network.h"

static bool is_used;

void network_user_timeout_set(struct tcp_pcb *pcb, uint32_t milliseconds)
{
    pcb->user_timeout = milliseconds;
    is_used |= milliseconds != 0;
}

/* Whether keep-alive asks the other side of it. */
static bool is_asked(const struct tcp_pcb *pcb)
{
    return ip_get_option(pcb, SOF_KEEPALIVE) &&
           (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT);
}

static uint64_t silent_ms(const struct tcp_pcb *pcb)
{
    return (uint64_t)(tcp_ticks - pcb->tmr) * TCP_SLOW_INTERVAL;
}

bool network_keepalive_is_near(const struct tcp_pcb *pcb, uint32_t milliseconds)
{
    return is_asked(pcb) &&
           (pcb->keep_cnt_sent > 0 || silent_ms(pcb) + milliseconds >= pcb->keep_idle);
}

/* lwIP goes by the time of silence alone, and resets a connection without a question if much of that passes at once, as it
 * does when keep-alive begins late. No silence is longer than it takes for the next question, or after the last one for the
 * end: the next ticks ask one after the other, each after its interval. */
void network_keepalive_catch_up(void)
{
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        uint64_t next_ms = pcb->keep_idle + (uint64_t)pcb->keep_cnt_sent * pcb->keep_intvl;
        if (is_asked(pcb) && silent_ms(pcb) > next_ms)
            pcb->tmr = tcp_ticks - (uint32_t)(next_ms / TCP_SLOW_INTERVAL);
    }
}

/* Whether the other side was silent for so long, and for an interval since it was asked: silence is no longer than
 * keep_idle then. */
static bool is_silent(const struct tcp_pcb *pcb)
{
    return is_asked(pcb) && pcb->keep_cnt_sent > 0 && silent_ms(pcb) >= pcb->user_timeout &&
           silent_ms(pcb) > (uint64_t)pcb->keep_idle + pcb->keep_intvl;
}

/* Whether data waits for too long; and as long as it may wait, it is repeated. */
static bool is_stalled(struct tcp_pcb *pcb, uint32_t now_ms)
{
    if (pcb->stalled_since == 0 || pcb->stalled_ack != pcb->lastack) {
        pcb->stalled_since = now_ms;
        pcb->stalled_ack = pcb->lastack;
        return false;
    }
    bool was_repeated = pcb->nrtx > 0 || pcb->persist_backoff > 0;
    bool is_over = was_repeated && now_ms - pcb->stalled_since >= pcb->user_timeout;
    if (!is_over && pcb->state != SYN_SENT) {
        pcb->nrtx = LWIP_MIN(pcb->nrtx, TCP_MAXRTX - 1);
        pcb->persist_probe = LWIP_MIN(pcb->persist_probe, TCP_MAXRTX - 1);
    }
    return is_over;
}

static bool is_over(struct tcp_pcb *pcb, uint32_t now_ms)
{
    if (pcb->unsent != NULL || pcb->unacked != NULL)
        return is_stalled(pcb, now_ms);
    pcb->stalled_since = 0;
    return is_silent(pcb);
}

void network_user_timeouts_tick(void)
{
    uint32_t now_ms = sys_now() | 1; /* never 0 */
    struct tcp_pcb *next;
    for (struct tcp_pcb *pcb = is_used ? tcp_active_pcbs : NULL; pcb != NULL; pcb = next) {
        next = pcb->next;
        if (pcb->user_timeout != 0 && is_over(pcb, now_ms))
            tcp_abandon(pcb, 0); /* the other side hears nothing, as RFC 9293 (3.10.8) has it */
    }
}
