/*
 * certificate.c - the server's key and certificates.
 *
 * Key, certificates, and the key of a request that is under way are kept as one value: on the disk, if there is one, and
 * in retained records for the service's next start. A value takes several records, so there are two copies, which are
 * written in turn: a service that dies amid the one has the other.
 */
#include "certificate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "audit.h"
#include "events.h"
#include "hex.h"
#include "log.h"
#include "persist.h"
#include "server.h"
#include "store.h"

#define VALUE      "identity"
#define KEPT_MAGIC 0x54524353u /* "SCRT" */
#define LABEL_MAX  63u

enum origin { SELF_SIGNED, INSTALLED, BOOT_MODULE };
static const char *const origin_names[] = {"self-signed", "installed", "boot module"};

struct certificate {
    enum origin origin;
    struct tls_identity tls;
    size_t request_bytes; /* 0 = no key waits for its certificate */
    uint8_t request_key[TLS_EC_KEY_MAX];
};

/* What is kept: this, then key, certificates, and the request's key. */
struct kept {
    uint32_t magic, origin, key_bytes, chain_bytes, request_bytes, reserved;
    uint8_t data[TLS_KEY_MAX + TLS_CHAIN_MAX + TLS_EC_KEY_MAX];
};

/* What was kept before certificates could be installed. */
struct kept_before {
    uint64_t key_bytes, chain_bytes;
    uint8_t key[384], chain[1536];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Under the lock: */
static struct certificate own;
static struct kept buffer;
static uint32_t copy_id; /* of the latest copy in records */
static struct {
    char hostname[64];
    uint32_t address;
} names_at_start;

/*
 * Keeping. All with the lock.
 */

static size_t pack(const struct certificate *c)
{
    const size_t key = c->tls.key_bytes, chain = c->tls.chain_bytes;

    buffer = (struct kept){.magic = KEPT_MAGIC,
                           .origin = c->origin,
                           .key_bytes = (uint32_t)key,
                           .chain_bytes = (uint32_t)chain,
                           .request_bytes = (uint32_t)c->request_bytes};
    memcpy(buffer.data, c->tls.key, key);
    memcpy(buffer.data + key, c->tls.chain, chain);
    memcpy(buffer.data + key + chain, c->request_key, c->request_bytes);
    return offsetof(struct kept, data) + key + chain + c->request_bytes;
}

static bool unpack_before(struct certificate *c)
{
    static struct kept_before before;

    memcpy(&before, &buffer, sizeof(before));
    if (before.key_bytes > sizeof(before.key) || before.chain_bytes > sizeof(before.chain))
        return false;
    c->tls.key_bytes = before.key_bytes;
    c->tls.chain_bytes = before.chain_bytes;
    memcpy(c->tls.key, before.key, before.key_bytes);
    memcpy(c->tls.chain, before.chain, before.chain_bytes);
    return true;
}

static bool unpack(struct certificate *c, size_t bytes)
{
    const uint8_t *data = buffer.data;

    memset(c, 0, sizeof(*c));
    if (bytes == sizeof(struct kept_before) && buffer.magic != KEPT_MAGIC)
        return unpack_before(c);
    if (bytes < offsetof(struct kept, data) || buffer.magic != KEPT_MAGIC ||
        buffer.key_bytes > TLS_KEY_MAX || buffer.chain_bytes > TLS_CHAIN_MAX ||
        buffer.request_bytes > TLS_EC_KEY_MAX ||
        bytes != offsetof(struct kept, data) + buffer.key_bytes + buffer.chain_bytes +
                     buffer.request_bytes)
        return false;
    c->origin = buffer.origin == INSTALLED ? INSTALLED : SELF_SIGNED;
    c->tls.key_bytes = buffer.key_bytes;
    c->tls.chain_bytes = buffer.chain_bytes;
    c->request_bytes = buffer.request_bytes;
    memcpy(c->tls.key, data, buffer.key_bytes);
    memcpy(c->tls.chain, data + buffer.key_bytes, buffer.chain_bytes);
    memcpy(c->request_key, data + buffer.key_bytes + buffer.chain_bytes, buffer.request_bytes);
    return true;
}

static unsigned first_record(uint32_t id)
{
    return STORE_IDENTITY_FIRST + id % STORE_IDENTITY_COPIES * STORE_IDENTITY_PARTS;
}

/* For the next start of the service. */
static bool retain(size_t bytes)
{
    if (!store_write_parts(first_record(copy_id + 1), STORE_IDENTITY_PARTS, STORE_IDENTITY,
                           copy_id + 1, &buffer, bytes))
        return false;
    copy_id++;
    return true;
}

/* The bytes of the later copy, 0 if there is none. */
static size_t recall_retained(void)
{
    size_t bytes = 0;

    copy_id = 0;
    for (uint32_t i = 0; i < STORE_IDENTITY_COPIES; i++) {
        uint32_t id;
        size_t n;
        void *data =
            store_read_parts(first_record(i), STORE_IDENTITY_PARTS, STORE_IDENTITY, &id, &n);
        if (data && n <= sizeof(buffer) && (bytes == 0 || id > copy_id)) {
            copy_id = id;
            bytes = n;
            memcpy(&buffer, data, n);
        }
        free(data);
    }
    return bytes;
}

/* A disk that refuses it is no reason not to serve. */
static void keep_on_disk(size_t bytes)
{
    struct problem p;

    if (persist_update(VALUE, &buffer, bytes, &p) != 0)
        log_line("the certificate is not kept over a reboot: %s", p.detail);
}

/* As a former service left it, or else a former boot. */
static bool recall(struct certificate *c)
{
    size_t bytes = recall_retained();
    bool retained = bytes != 0;

    if (!retained) {
        int64_t n = persist_get(VALUE, &buffer, sizeof(buffer));
        bytes = n > 0 && (size_t)n <= sizeof(buffer) ? (size_t)n : 0;
    }
    if (!unpack(c, bytes) || tls_identity_check(&c->tls) != 0)
        return false;
    bytes = pack(c);
    keep_on_disk(bytes);
    return retained || retain(bytes);
}

static cJSON *describe(const struct certificate *c);

/* What fails changes nothing. */
static int commit(const struct certificate *c, struct problem *p)
{
    size_t bytes = pack(c);

    audit_expect(200);
    audit_before(describe(&own));
    audit_after(describe(c));
    if (persist_update(VALUE, &buffer, bytes, p) != 0)
        return -1;
    if (!retain(bytes)) {
        bytes = pack(&own);
        (void)persist_update(VALUE, &buffer, bytes, p);
        return problem_set(p, 503, "There is no memory to retain the key and certificate now.");
    }
    own = *c;
    return 0;
}

/*
 * At the start
 */

static bool tell(const char *origin)
{
    char text[TLS_FINGERPRINT_MAX];

    tls_identity_fingerprint(&own.tls, text);
    log_line("certificate %s, SHA-256 fingerprint %s", origin, text);
    return true;
}

static bool take_module(const struct config *config)
{
    int error;

    if (!config->certificate || !config->key)
        return false;
    own.origin = BOOT_MODULE;
    own.request_bytes = 0;
    error = tls_identity_from_pem(&own.tls, config->certificate, config->key);
    if (error != 0)
        log_line("the boot module's certificate and key are not used: %s", tls_why(error));
    return error == 0;
}

/* The names under which the service is reached: its own, and through a forwarded port. */
static int generate(struct certificate *c)
{
    char address[ADDRESS_TEXT_MAX];
    const char *names[] = {names_at_start.hostname, "localhost", "127.0.0.1", address};

    address_format(address, names_at_start.address);
    c->origin = SELF_SIGNED;
    return tls_identity_generate(&c->tls, names, names_at_start.address ? 4 : 3);
}

static bool make(bool entropy)
{
    size_t bytes;

    memset(&own, 0, sizeof(own));
    if (!entropy) {
        log_line("no key is made: this machine has no source of entropy. Give it RDRAND or "
                 "RDSEED, or a certificate and key in the boot module");
        return false;
    }
    if (generate(&own) != 0) {
        log_line("a key and certificate could not be made");
        return false;
    }
    bytes = pack(&own);
    keep_on_disk(bytes);
    return retain(bytes);
}

static bool find(const struct config *config, bool entropy)
{
    memcpy(names_at_start.hostname, config->hostname, sizeof(names_at_start.hostname));
    names_at_start.address = config->net.address;
    if (take_module(config))
        return tell("from the boot module");
    if (recall(&own))
        return tell("as before");
    return make(entropy) && tell("made now");
}

bool certificate_get(struct tls_identity *id, const struct config *config, bool entropy)
{
    bool found;

    pthread_mutex_lock(&lock);
    found = find(config, entropy);
    *id = own.tls;
    pthread_mutex_unlock(&lock);
    return found;
}

void certificate_keep(void)
{
    pthread_mutex_lock(&lock);
    if (own.origin != BOOT_MODULE && own.tls.key_bytes)
        keep_on_disk(pack(&own));
    pthread_mutex_unlock(&lock);
}

/*
 * Changes
 */

static int check_origin(struct problem *p)
{
    if (own.origin != BOOT_MODULE)
        return 0;
    return problem_set(p, 409,
                       "The certificate is the boot module's, which wins at each start: change it "
                       "there, or take tls out of it.");
}

static void add_event(void)
{
    char fingerprint[TLS_FINGERPRINT_MAX];

    tls_identity_fingerprint(&own.tls, fingerprint);
    events_add(EVENT_HOST, "certificate", NULL, audit_caller(),
               "\"origin\":\"%s\",\"fingerprint\":\"%s\"", origin_names[own.origin], fingerprint);
}

/* The context for new connections is made before anything is kept, so that what was kept can't fail to serve. */
static int replace(const struct certificate *c, struct problem *p)
{
    struct tls_server *server = tls_server_new(&c->tls);

    if (!server)
        return problem_set(p, 503, "There is no memory for another certificate now; try again.");
    if (commit(c, p) != 0) {
        tls_server_release(server);
        return -1;
    }
    server_use(server);
    tell(own.origin == INSTALLED ? "installed" : "made anew");
    add_event();
    return 0;
}

/* Without a key: the one in use, or else the request's. */
static int read_pem(struct certificate *next, const char *chain, const char *key)
{
    int error;

    if (key)
        return tls_identity_from_pem(&next->tls, chain, key);
    error = tls_identity_from_chain(&next->tls, chain, own.tls.key, own.tls.key_bytes);
    if (error != TLS_KEY_OTHER || own.request_bytes == 0)
        return error;
    error = tls_identity_from_chain(&next->tls, chain, own.request_key, own.request_bytes);
    if (error == 0)
        next->request_bytes = 0; /* it is no request's any more */
    return error;
}

/* What is there once these are installed. */
static int prepare(struct certificate *next, const char *chain, const char *key, struct problem *p)
{
    int error;

    if (check_origin(p) != 0)
        return -1;
    *next = own;
    next->origin = INSTALLED;
    error = read_pem(next, chain, key);
    if (error == TLS_KEY_OTHER && !key)
        return problem_set(p, 422,
                           "The first certificate is neither for the key in use nor for that of "
                           "the latest request: send its key along, or request it again.");
    if (error == TLS_FAILED)
        return problem_set(p, 503, "%s.", tls_why(error));
    if (error != 0)
        return problem_set(p, 422, "The certificate can't be used: %s.", tls_why(error));
    return 0;
}

/* Runs a change on a copy, with the lock. */
static struct certificate *begin(struct problem *p)
{
    struct certificate *next = malloc(sizeof(*next));

    if (!next)
        problem_set(p, 503, "There is no memory for the request now; try again.");
    else
        pthread_mutex_lock(&lock);
    return next;
}

static void end(struct certificate *next)
{
    pthread_mutex_unlock(&lock);
    free(next);
}

int certificate_install(const char *chain, const char *key, struct problem *p)
{
    struct certificate *next = begin(p);
    int result;

    if (!next)
        return -1;
    result = prepare(next, chain, key, p);
    if (result == 0)
        result = replace(next, p);
    end(next);
    return result;
}

static int renew(struct certificate *next, const char *const *names, unsigned count,
                 struct problem *p)
{
    int error;

    if (check_origin(p) != 0)
        return -1;
    *next = own;
    next->origin = SELF_SIGNED;
    error = count ? tls_identity_generate(&next->tls, names, count) : generate(next);
    if (error != 0)
        return problem_set(p, 503, "No key can be made: %s.", tls_why(error));
    return replace(next, p);
}

int certificate_renew(const char *const *names, unsigned count, struct problem *p)
{
    struct certificate *next = begin(p);
    int result;

    if (!next)
        return -1;
    result = renew(next, names, count, p);
    end(next);
    return result;
}

static char *request(struct certificate *next, const char *const *names, unsigned count, bool fresh,
                     struct problem *p)
{
    char *text;

    if (check_origin(p) != 0)
        return NULL;
    *next = own;
    if (fresh && tls_key_generate(next->request_key, &next->request_bytes) != 0) {
        problem_set(p, 503, "No key can be made: there is no memory, or no entropy, for it now.");
        return NULL;
    }
    text = fresh ? tls_request_pem(next->request_key, next->request_bytes, names, count)
                 : tls_request_pem(own.tls.key, own.tls.key_bytes, names, count);
    if (!text)
        problem_set(p, 503, "There is no memory for the request now; try again.");
    else if (fresh && commit(next, p) != 0) {
        free(text);
        text = NULL;
    }
    return text;
}

char *certificate_request(const char *const *names, unsigned count, bool fresh, struct problem *p)
{
    struct certificate *next = begin(p);
    char *text;

    if (!next)
        return NULL;
    text = request(next, names, count, fresh, p);
    end(next);
    return text;
}

static bool label_valid(const char *label, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        char c = label[i];
        bool inside = i > 0 && i + 1 < bytes;
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            !(c == '-' && inside))
            return false;
    }
    return bytes > 0 && bytes <= LABEL_MAX;
}

bool certificate_name_valid(const char *name)
{
    uint32_t address;
    bool digits = true;

    if (address_parse(name, &address))
        return true;
    if (strlen(name) >= TLS_NAME_MAX)
        return false;
    if (strncmp(name, "*.", 2) == 0)
        name += 2;
    for (;; name++) {
        size_t bytes = strcspn(name, ".");
        if (!label_valid(name, bytes))
            return false;
        digits = strspn(name, "0123456789") == bytes;
        name += bytes;
        if (*name == '\0')
            return !digits; /* 10.0.0.300 is a mistake */
    }
}

/*
 * As clients see it
 */

static void add_name(void *context, const char *name)
{
    cJSON_AddItemToArray(context, cJSON_CreateString(name));
}

static cJSON *describe(const struct certificate *c)
{
    cJSON *json = cJSON_CreateObject(), *names = cJSON_CreateArray();
    struct tls_description d = {.name = add_name, .context = names};
    char fingerprint[TLS_FINGERPRINT_MAX], *pem = tls_chain_pem(&c->tls);

    if (!pem || tls_describe(&c->tls, &d) != 0) {
        cJSON_Delete(json);
        cJSON_Delete(names);
        free(pem);
        return NULL;
    }
    tls_identity_fingerprint(&c->tls, fingerprint);
    cJSON_AddStringToObject(json, "origin", origin_names[c->origin]);
    cJSON_AddStringToObject(json, "fingerprint", fingerprint);
    cJSON_AddStringToObject(json, "public_key_pin", d.pin);
    cJSON_AddStringToObject(json, "key", d.key);
    cJSON_AddStringToObject(json, "subject", d.subject);
    cJSON_AddStringToObject(json, "issuer", d.issuer);
    cJSON_AddItemToObject(json, "names", names);
    cJSON_AddStringToObject(json, "not_before", d.not_before);
    cJSON_AddStringToObject(json, "not_after", d.not_after);
    cJSON_AddBoolToObject(json, "requested", c->request_bytes != 0);
    cJSON_AddStringToObject(json, "certificate", pem);
    free(pem);
    return json;
}

cJSON *certificate_foresee(const char *chain, const char *key, struct problem *p)
{
    struct certificate *next = begin(p);
    cJSON *json = NULL;

    if (!next)
        return NULL;
    if (prepare(next, chain, key, p) == 0 && !(json = describe(next)))
        problem_set(p, 503, "There is no memory for the request now; try again.");
    end(next);
    return json;
}

cJSON *certificate_to_json(void)
{
    cJSON *json;

    pthread_mutex_lock(&lock);
    json = describe(&own);
    pthread_mutex_unlock(&lock);
    return json;
}

/*
 * In backups
 */

static void add_hex(cJSON *json, const char *name, const void *data, size_t bytes)
{
    char *text = malloc(2 * bytes + 1);

    if (!text)
        return;
    hex_format(text, data, bytes);
    cJSON_AddStringToObject(json, name, text);
    free(text);
}

void certificate_to_backup(cJSON *json)
{
    pthread_mutex_lock(&lock);
    if (own.origin != BOOT_MODULE && own.tls.key_bytes) {
        add_hex(json, "key", own.tls.key, own.tls.key_bytes);
        add_hex(json, "certificate", own.tls.chain, own.tls.chain_bytes);
        cJSON_AddBoolToObject(json, "installed", own.origin == INSTALLED);
    }
    pthread_mutex_unlock(&lock);
}

/* Bytes of the value, 0 if it isn't there or is no hexadecimal text that fits. */
static size_t take_hex(const cJSON *json, const char *name, void *data, size_t room)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    size_t bytes = text ? strlen(text) / 2 : 0;

    return bytes && bytes <= room && hex_parse(text, data, bytes) ? bytes : 0;
}

static bool take_backup(const cJSON *json, struct certificate *c)
{
    memset(c, 0, sizeof(*c));
    c->tls.key_bytes = take_hex(json, "key", c->tls.key, sizeof(c->tls.key));
    c->tls.chain_bytes = take_hex(json, "certificate", c->tls.chain, sizeof(c->tls.chain));
    c->origin =
        cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "installed")) ? INSTALLED : SELF_SIGNED;
    return c->tls.key_bytes && c->tls.chain_bytes;
}

int certificate_check_backup(const cJSON *json, struct problem *p)
{
    struct certificate *c;
    bool right;

    if (!cJSON_HasObjectItem(json, "key"))
        return 0;
    if (!(c = begin(p)))
        return -1;
    right = take_backup(json, c) && tls_identity_check(&c->tls) == 0;
    end(c);
    if (!right)
        return problem_set(p, 422, "The backup has a key and certificate that can't be used.");
    return 0;
}

/* What is in force stays so until the next start. */
int certificate_restore(const cJSON *json, struct problem *p)
{
    struct certificate *c;
    int result = 0;

    if (!cJSON_HasObjectItem(json, "key"))
        return 0;
    if (!(c = begin(p)))
        return -1;
    if (take_backup(json, c)) {
        size_t bytes = pack(c);
        if (persist_update(VALUE, &buffer, bytes, p) != 0 || !retain(bytes))
            result = problem_set(p, 503, "The key and certificate can't be kept.");
    }
    end(c);
    return result;
}
