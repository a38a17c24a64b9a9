/* tls_client.c - what a client sends, for fuzz_tls.c. */
#include "tls_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <mbedtls/cipher.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl_ticket.h>

#include "script.h"
#include "steady.h"

#define FLIGHTS_MAX 16u
#define TICKET_MAX  4096u

static struct {
    unsigned can;
    const uint8_t *certificate;
    size_t certificate_bytes;
    uint8_t ticket[TICKET_MAX];
    size_t ticket_bytes;
    uint32_t ticket_veil;
    bool opens_ticket;
    uint64_t received;
    bool refused; /* the latest that was sent to it */
} client;

/* What is sent on the connection at hand. */
static struct {
    struct script script;
    size_t taken, arrived;
    size_t flights[FLIGHTS_MAX]; /* where each ends */
    unsigned flight_count, flight;
} sent;

void tls_client_begin(unsigned can, const uint8_t *certificate, size_t bytes)
{
    memset(&client, 0, sizeof(client));
    client.can = can;
    client.certificate = certificate;
    client.certificate_bytes = bytes;
}

uint64_t tls_client_received(void)
{
    return client.received;
}

/*
 * The script
 */

static void flight_end(void)
{
    if (sent.flight_count < FLIGHTS_MAX) {
        sent.flights[sent.flight_count++] = sent.script.count;
    }
}

/* Whether the connection goes on. */
static bool operation(uint8_t code)
{
    switch (code >> 4) {
    case 10:
        script_put(&sent.script, client.ticket, client.ticket_bytes);
        return true;
    case 11:
        script_put_number(&sent.script, client.ticket_veil, 4);
        return true;
    case 12:
        script_put(&sent.script, client.certificate, client.certificate_bytes);
        return true;
    case 13:
        flight_end();
        return true;
    default:
        return false;
    }
}

bool tls_client_connect(struct input *input)
{
    bool begun = input_left(input);

    sent.taken = sent.arrived = 0;
    sent.flight_count = sent.flight = 0;
    script_begin(&sent.script);
    while (operation(script_take(&sent.script, input))) {
    }
    script_end(&sent.script);
    flight_end();
    return begun;
}

/*
 * In the place of a socket
 */

ssize_t __wrap_recv(int fd, void *to, size_t bytes, int flags);
ssize_t __wrap_send(int fd, const void *from, size_t bytes, int flags);
int __wrap_poll(struct pollfd *list, nfds_t count, int milliseconds);

ssize_t __wrap_recv(int fd, void *to, size_t bytes, int flags)
{
    size_t left = sent.arrived - sent.taken;

    if (left == 0 && sent.flight < sent.flight_count) {
        errno = EAGAIN;
        return -1;
    }
    bytes = bytes < left ? bytes : left;
    memcpy(to, sent.script.bytes + sent.taken, bytes);
    sent.taken += bytes;
    return (ssize_t)bytes;
}

ssize_t __wrap_send(int fd, const void *from, size_t bytes, int flags)
{
    client.refused = (client.can & IS_SLOW) && !client.refused;
    if (client.refused) {
        errno = EAGAIN;
        return -1;
    }
    client.received += bytes;
    return (ssize_t)bytes;
}

/* Who waits for the client gets what it sends next, a moment later. */
int __wrap_poll(struct pollfd *list, nfds_t count, int milliseconds)
{
    FUZZ_CHECK(count == 1 && milliseconds > 0);
    if ((list->events & POLLIN) && sent.flight < sent.flight_count) {
        sent.arrived = sent.flights[sent.flight++];
    }
    list->revents = list->events;
    steady_pass(TLS_CLIENT_WAIT_NS);
    return 1;
}

/*
 * What it has keys for
 */

int __real_mbedtls_ssl_ticket_write(void *tickets, const mbedtls_ssl_session *session,
                                    uint8_t *start, const uint8_t *end, size_t *bytes,
                                    uint32_t *lifetime);
int __wrap_mbedtls_ssl_ticket_write(void *tickets, const mbedtls_ssl_session *session,
                                    uint8_t *start, const uint8_t *end, size_t *bytes,
                                    uint32_t *lifetime);
int __real_mbedtls_ssl_ticket_parse(void *tickets, mbedtls_ssl_session *session, uint8_t *text,
                                    size_t bytes);
int __wrap_mbedtls_ssl_ticket_parse(void *tickets, mbedtls_ssl_session *session, uint8_t *text,
                                    size_t bytes);
int __real_mbedtls_cipher_auth_decrypt_ext(mbedtls_cipher_context_t *context, const uint8_t *iv,
                                           size_t iv_bytes, const uint8_t *beside,
                                           size_t beside_bytes, const uint8_t *from,
                                           size_t from_bytes, uint8_t *to, size_t room,
                                           size_t *to_bytes, size_t tag_bytes);
int __wrap_mbedtls_cipher_auth_decrypt_ext(mbedtls_cipher_context_t *context, const uint8_t *iv,
                                           size_t iv_bytes, const uint8_t *beside,
                                           size_t beside_bytes, const uint8_t *from,
                                           size_t from_bytes, uint8_t *to, size_t room,
                                           size_t *to_bytes, size_t tag_bytes);
int __real_mbedtls_ct_memcmp(const void *one, const void *other, size_t bytes);
int __wrap_mbedtls_ct_memcmp(const void *one, const void *other, size_t bytes);
int __real_mbedtls_pk_verify(mbedtls_pk_context *key, mbedtls_md_type_t kind, const uint8_t *hash,
                             size_t hash_bytes, const uint8_t *signature, size_t bytes);
int __wrap_mbedtls_pk_verify(mbedtls_pk_context *key, mbedtls_md_type_t kind, const uint8_t *hash,
                             size_t hash_bytes, const uint8_t *signature, size_t bytes);
int __real_mbedtls_pk_verify_ext(mbedtls_pk_type_t type, const void *options,
                                 mbedtls_pk_context *key, mbedtls_md_type_t kind,
                                 const uint8_t *hash, size_t hash_bytes, const uint8_t *signature,
                                 size_t bytes);
int __wrap_mbedtls_pk_verify_ext(mbedtls_pk_type_t type, const void *options,
                                 mbedtls_pk_context *key, mbedtls_md_type_t kind,
                                 const uint8_t *hash, size_t hash_bytes, const uint8_t *signature,
                                 size_t bytes);

int __wrap_mbedtls_ssl_ticket_write(void *tickets, const mbedtls_ssl_session *session,
                                    uint8_t *start, const uint8_t *end, size_t *bytes,
                                    uint32_t *lifetime)
{
    int result = __real_mbedtls_ssl_ticket_write(tickets, session, start, end, bytes, lifetime);

    if (result == 0 && *bytes <= TICKET_MAX) {
        memcpy(client.ticket, start, *bytes);
        client.ticket_bytes = *bytes;
        client.ticket_veil = session->MBEDTLS_PRIVATE(ticket_age_add);
    }
    return result;
}

/* A ticket's seal is the server's own, which nobody else can make. */
int __wrap_mbedtls_ssl_ticket_parse(void *tickets, mbedtls_ssl_session *session, uint8_t *text,
                                    size_t bytes)
{
    bool given = bytes == client.ticket_bytes && memcmp(text, client.ticket, bytes) == 0;
    int result;

    client.opens_ticket = true;
    result = __real_mbedtls_ssl_ticket_parse(tickets, session, text, bytes);
    client.opens_ticket = false;
    FUZZ_CHECK(given || result != 0);
    return result;
}

static bool can_seal(void)
{
    return (client.can & CAN_SEAL) && !client.opens_ticket;
}

int __wrap_mbedtls_cipher_auth_decrypt_ext(mbedtls_cipher_context_t *context, const uint8_t *iv,
                                           size_t iv_bytes, const uint8_t *beside,
                                           size_t beside_bytes, const uint8_t *from,
                                           size_t from_bytes, uint8_t *to, size_t room,
                                           size_t *to_bytes, size_t tag_bytes)
{
    if (!can_seal()) {
        return __real_mbedtls_cipher_auth_decrypt_ext(context, iv, iv_bytes, beside, beside_bytes,
                                                      from, from_bytes, to, room, to_bytes,
                                                      tag_bytes);
    }
    FUZZ_CHECK(from_bytes >= tag_bytes && room >= from_bytes - tag_bytes);
    *to_bytes = from_bytes - tag_bytes;
    memmove(to, from, *to_bytes);
    return 0;
}

int __wrap_mbedtls_ct_memcmp(const void *one, const void *other, size_t bytes)
{
    return can_seal() ? 0 : __real_mbedtls_ct_memcmp(one, other, bytes);
}

int __wrap_mbedtls_pk_verify(mbedtls_pk_context *key, mbedtls_md_type_t kind, const uint8_t *hash,
                             size_t hash_bytes, const uint8_t *signature, size_t bytes)
{
    return client.can & CAN_SIGN
               ? 0
               : __real_mbedtls_pk_verify(key, kind, hash, hash_bytes, signature, bytes);
}

int __wrap_mbedtls_pk_verify_ext(mbedtls_pk_type_t type, const void *options,
                                 mbedtls_pk_context *key, mbedtls_md_type_t kind,
                                 const uint8_t *hash, size_t hash_bytes, const uint8_t *signature,
                                 size_t bytes)
{
    return client.can & CAN_SIGN ? 0
                                 : __real_mbedtls_pk_verify_ext(type, options, key, kind, hash,
                                                                hash_bytes, signature, bytes);
}
