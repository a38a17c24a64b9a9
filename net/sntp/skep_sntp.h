/*
 * skep_sntp.h - asks one server for the time, again and again (SNTP, RFC 4330), by lwIP's client.
 *
 * An answer is taken from the server that was asked only, and only if it repeats the question's time. Its way is
 * compensated for. The server is asked every quarter of an hour, and when it doesn't answer after 15 s, 30 s and so on
 * up to 150 s.
 */
#ifndef SKEP_SNTP_H
#define SKEP_SNTP_H

#include <stdint.h>

#define SKEP_SNTP_PORT 123

/* Called for each answer with the UNIX time now, from the network's thread, which mustn't be kept waiting. */
typedef void skep_sntp_answer(uint64_t unix_ns);

/* Server in network byte order. wall_clock tells the UNIX time as it is believed now, in ns. Once only; the network
 * runs. */
void skep_sntp_start(uint32_t server, uint16_t port, uint64_t (*wall_clock)(void),
                     skep_sntp_answer *answer);

#endif
