/*
 * tls_client.h - what a client sends, for fuzz_tls.c: made from the input, and received by skep_tls.c without a socket.
 *
 * The input is a script (script.h) with these operations of its own:
 *
 *   1010....   the ticket that the server gave last
 *   1011....   the age of it, as TLS 1.3 veils it
 *   1100....   the certificate that somebody has here
 *   1101....   what was made so far arrives now; the rest when the server waits for more
 *   111.....   the end of this connection; what follows is sent on another one
 *
 * What a real client does with the keys that it has, this one is given by enum tls_client_can.
 */
#ifndef FUZZ_TLS_CLIENT_H
#define FUZZ_TLS_CLIENT_H

#include "harness.h"

#define TLS_CLIENT_WAIT_NS 500000000ull /* each time that it is waited for */

enum tls_client_can {
    CAN_SEAL =
        1, /* records, Finished and binders are taken for right: whatever is in the tag's place */
    CAN_SIGN = 2, /* and it has the key of any certificate */
    IS_SLOW = 4,  /* each second time it takes nothing */
};

/* Forgets all; the certificate is in DER. */
void tls_client_begin(unsigned can, const uint8_t *certificate, size_t bytes);

/* Makes what is sent on the next connection; false at the input's end. */
bool tls_client_connect(struct input *input);

/* Bytes that the server has sent it so far. */
uint64_t tls_client_received(void);

#endif
