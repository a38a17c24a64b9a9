/*
 * wire.c - the wire at the guest's first device.
 */
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend.h"
#include "guestlib.h"
#include "skep/abi.h"

void on_event(unsigned queue)
{
    host_event(SKEP_EVENT_QUEUE_0 + queue);
}

int wait_for_chain(unsigned queue, unsigned milliseconds)
{
    for (unsigned i = 0; i <= milliseconds * 10; i++) {
        int head = backend_next(queue);
        if (head >= 0)
            return head;
        usleep(100);
    }
    return -1;
}

void wire_put(const void *frame, size_t bytes)
{
    int head = wait_for_chain(RECEIVE, 2000);
    assert_true(head >= 0);
    assert_int_equal(backend_scatter(RECEIVE, head, frame, bytes), bytes);
    backend_use(RECEIVE, head, (uint32_t)bytes);
}

size_t wire_get(void *frame, size_t room, unsigned milliseconds)
{
    memset(frame, 0, room);
    int head = wait_for_chain(SEND, milliseconds);
    if (head < 0)
        return 0;
    size_t bytes = backend_gather(SEND, head, frame, room);
    backend_use(SEND, head, 0);
    return bytes;
}

uint16_t sum_of(const void *data, size_t bytes, uint32_t sum)
{
    const uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++)
        sum += i % 2 == 0 ? at[i] : (uint32_t)at[i] << 8;
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}
