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

void wire_put_long(void *packet, size_t bytes)
{
    struct skep_vring_used_elem chains[64];
    size_t room = backend_buffer_bytes(RECEIVE);
    unsigned count = (unsigned)((bytes + room - 1) / room);
    assert_true(count <= 64);
    uint16_t buffers = (uint16_t)count;
    memcpy((uint8_t *)packet + offsetof(struct skep_net_header, num_buffers), &buffers,
           sizeof(buffers));
    for (unsigned i = 0; i < count; i++) {
        int head = wait_for_chain(RECEIVE, 2000);
        assert_true(head >= 0);
        size_t left = bytes - i * room, part = left < room ? left : room;
        assert_int_equal(backend_scatter(RECEIVE, head, (const uint8_t *)packet + i * room, part),
                         part);
        chains[i] = (struct skep_vring_used_elem){.id = (uint32_t)head, .len = (uint32_t)part};
    }
    backend_use_all(RECEIVE, chains, count);
}

void wire_put_apart(void *packet, size_t headers, size_t bytes)
{
    struct skep_net_header *header = packet;
    int head = wait_for_chain(RECEIVE, 2000), payload = wait_for_chain(APART, 2000);
    assert_true(head >= 0 && payload >= 0);
    header->flags |= SKEP_NET_HDR_PAYLOAD;
    header->num_buffers = 1;
    assert_int_equal(backend_scatter(RECEIVE, head, packet, headers), headers);
    assert_int_equal(
        backend_scatter(APART, payload, (const uint8_t *)packet + headers, bytes - headers),
        bytes - headers);
    backend_use(APART, payload, (uint32_t)(bytes - headers));
    backend_use(RECEIVE, head, (uint32_t)headers);
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
