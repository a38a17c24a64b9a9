/*
 * fuzz_tls.c - the server's side of TLS as the service sets it up: handshakes, resumption, clients' certificates, records.
 *
 * The first byte says what the client can do, the rest what it sends: tls_client.h. Connections of one input come one
 * after the other to one server, so that a ticket of the first is good for the next.
 */
#include <string.h>

#include "guest.h"
#include "harness.h"
#include "skep_tls.h"
#include "steady.h"
#include "test/fake.h"
#include "tls_client.h"
#include "tokens.h"

#define CONNECTIONS_MAX 4u
#define READS_MAX       64u
#define CALL_NS         15000000000ull /* as long as a handshake may take */

static struct tls_identity own, somebody;

struct turns {
    bool taken;
};

static void turn_begin(void *context)
{
    struct turns *turns = context;
    FUZZ_CHECK(!turns->taken);
    turns->taken = true;
}

static void turn_end(void *context)
{
    struct turns *turns = context;
    FUZZ_CHECK(turns->taken);
    turns->taken = false;
}

/* What goes on beyond its deadline, goes on for ever. */
static void end_check(uint64_t deadline)
{
    FUZZ_CHECK(tls_clock_ns() < deadline + 2 * TLS_CLIENT_WAIT_NS);
}

/* Who is known by a certificate has the key of it, and showed it on this connection. */
static uint64_t peer_check(const struct tls_session *s, unsigned can)
{
    struct principal who;
    uint8_t digest[32];
    enum token_state state;

    if (!tls_session_peer(s, digest)) {
        return 0;
    }
    FUZZ_CHECK(!s->is_resumed);
    state = tokens_identify_certificate(digest, &who);
    FUZZ_CHECK(state != TOKEN_GOOD || (can & CAN_SIGN));
    FUZZ_CHECK(state != TOKEN_GOOD || who.role == ACCESS_OPERATOR);
    return 1 + (uint64_t)state;
}

/* Sends back what comes. */
static uint64_t echo(struct tls_session *s)
{
    uint64_t way = 0;
    uint8_t data[512];
    int count = 1;

    for (unsigned i = 0; i < READS_MAX && count > 0; i++) {
        uint64_t deadline = tls_clock_ns() + CALL_NS;
        count = tls_session_read(s, data, sizeof(data), deadline);
        FUZZ_CHECK(count != 0 && count <= (int)sizeof(data));
        if (count > 0) {
            count = tls_session_write(s, data, (size_t)count, deadline);
        }
        way = way_add(way, (uint64_t)(int64_t)count);
        end_check(deadline);
    }
    return way;
}

static uint64_t connection_run(struct tls_server *server, unsigned can)
{
    struct turns turns = {false};
    const struct tls_turns hooks = {turn_begin, turn_end, &turns};
    uint64_t deadline = tls_clock_ns() + CALL_NS;
    struct tls_session s;
    int result = tls_session_open(&s, tls_server_hold(server), -1, deadline, &hooks);
    uint64_t way = way_add((uint64_t)(int64_t)result, s.is_resumed);

    FUZZ_CHECK(!turns.taken);
    FUZZ_CHECK(result <= 0 && result >= TLS_PLAIN_HTTP);
    end_check(deadline);
    FUZZ_CHECK(s.plain_http == (result == TLS_PLAIN_HTTP));
    if (result == 0) {
        way = way_add(way, peer_check(&s, can));
        way = way_add(way, echo(&s));
    }
    tls_session_close(&s);
    return way_add(way, tls_client_received());
}

static void identity_make(struct tls_identity *id, const char *name)
{
    FUZZ_CHECK(tls_identity_generate(id, &name, 1) == 0);
}

void fuzz_start(void)
{
    struct token wish = {.name = "bot", .role = ACCESS_OPERATOR, .kind = TOKEN_CERTIFICATE};
    char text[TOKEN_TEXT_MAX];
    struct problem problem;

    steady_begin();
    fake_start("", "");
    tokens_start();
    identity_make(&own, "skep.example");
    identity_make(&somebody, "bot.example");
    tls_sha256(somebody.chain, somebody.chain_bytes, wish.digest);
    model_lock();
    FUZZ_CHECK(tokens_put(&wish, false, text, &problem) == 201);
    model_unlock();
}

uint64_t fuzz_run(const uint8_t *data, size_t bytes)
{
    struct input input = {data, data + bytes};
    unsigned can = input_byte(&input);
    struct tls_server *server;
    uint64_t way = 0;

    steady_begin();
    tls_client_begin(can, somebody.chain, somebody.chain_bytes);
    server = tls_server_new(&own);
    FUZZ_CHECK(server);
    for (unsigned i = 0; i < CONNECTIONS_MAX && tls_client_connect(&input); i++) {
        way = way_add(way, connection_run(server, can));
    }
    tls_server_release(server);
    return way;
}
