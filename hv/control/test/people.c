/* people.c - those who call in tests, and what they find. */
#include "people.h"

#include <stdio.h>
#include <string.h>

#include "certificate.h"
#include "config.h"
#include "core.h"
#include "json.h"
#include "storage.h"
#include "test/boots.h"
#include "test/client.h"
#include "test/fake.h"
#include "test_control.h"

char people_viewer[TOKEN_TEXT_MAX], people_operator[TOKEN_TEXT_MAX], people_scoped[TOKEN_TEXT_MAX],
    people_second_admin[TOKEN_TEXT_MAX], people_expired[TOKEN_TEXT_MAX],
    people_revoked[TOKEN_TEXT_MAX];

/* What a client does by the boot's token. */
int people_admin(const char *method, const char *path, const char *body)
{
    return client_call(BOOT, method, path, body);
}

/* The secret that the latest answer tells. */
void people_take_secret(char secret[TOKEN_TEXT_MAX])
{
    cJSON *json = cJSON_Parse(client_body());
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(json, "token"));

    assert_non_null(text);
    assert_int_equal(strlen(text), TOKEN_TEXT_MAX - 1);
    memcpy(secret, text, TOKEN_TEXT_MAX);
    cJSON_Delete(json);
}

void people_make(const char *name, const char *body, char secret[TOKEN_TEXT_MAX])
{
    char path[80];

    snprintf(path, sizeof(path), "/v1/tokens/%s", name);
    assert_int_equal(people_admin("PUT", path, body), 201);
    people_take_secret(secret);
}

static void upload(const char *name)
{
    struct problem p;
    assert_true(boots_upload(name, 0, &p) > 0);
}

/* Brings back what a call may have deleted. */
void people_furnish(void)
{
    assert_true(people_admin("PUT", "/v1/volumes/db", VOLUME) < 300);
    assert_true(people_admin("PUT", "/v1/volumes/ci-db", VOLUME) < 300);
    assert_true(people_admin("PUT", "/v1/guests/web", GUEST("hello")) < 300);
    assert_true(people_admin("PUT", "/v1/guests/ci-web", GUEST("ci-hello")) < 300);
}

int people_setup(void **state)
{
    static struct tls_identity identity;
    struct config config;
    struct problem p;
    char time[JSON_TIME_MAX], body[120];

    boots_setup(state);
    config_defaults(&config);
    assert_true(certificate_get(&identity, &config, true));
    client_setup();
    fake_disk_add(NULL, 64u << 20);
    storage_start();
    if (storage_format(storage_disk(0), false, &p) != 200)
        return -1;
    upload("hello");
    upload("ci-hello");
    fake_set_panic("the end");
    people_furnish();
    people_make("eye", "{\"role\":\"viewer\"}", people_viewer);
    people_make("hand", "{\"role\":\"operator\"}", people_operator);
    people_make("ci-bot", "{\"role\":\"operator\",\"scope\":{\"prefix\":\"ci-\"}}", people_scoped);
    people_make("boss", "{\"role\":\"admin\"}", people_second_admin);
    people_make("gone", "{\"role\":\"admin\"}", people_revoked);
    assert_int_equal(people_admin("DELETE", "/v1/tokens/gone", NULL), 204);
    json_time_text(core_wall_ns() + HOUR, time);
    snprintf(body, sizeof(body), "{\"role\":\"admin\",\"expires_at\":\"%s\"}", time);
    people_make("late", body, people_expired);
    assert_int_equal(client_call(people_expired, "GET", "/v1/tokens", NULL), 200);
    fake_skip(2 * HOUR);
    return 0;
}

int people_teardown(void **state)
{
    storage_forget();
    return boots_teardown(state);
}
