/*
 * people.h - those who call in tests of who may do what: tokens of each role, and what has their names.
 *
 * There are the images hello and ci-hello, the guests web and ci-web, which don't run, and the volumes db and ci-db.
 */
#ifndef CONTROL_PEOPLE_H
#define CONTROL_PEOPLE_H

#include "client.h"
#include "tokens.h"

#define SECOND       1000000000ull
#define HOUR         (3600 * SECOND)
#define VOLUME       "{\"size_bytes\":65536}"
#define GUEST(image) "{\"image\":\"" image "\",\"desired_state\":\"stopped\"}"

/* Secrets: of the tokens eye, hand, ci-bot (an operator with the prefix ci-), boss; of one that has expired, late; and of one
 * that is gone. */
extern char people_viewer[TOKEN_TEXT_MAX], people_operator[TOKEN_TEXT_MAX],
    people_scoped[TOKEN_TEXT_MAX], people_second_admin[TOKEN_TEXT_MAX],
    people_expired[TOKEN_TEXT_MAX], people_revoked[TOKEN_TEXT_MAX];

/* Around each test: a first start of a machine with two disks, one of them for volumes. */
int people_setup(void **state);
int people_teardown(void **state);

/* Brings back what a call may have deleted. */
void people_furnish(void);

/* A call by the boot's token; its status. */
int people_admin(const char *method, const char *path, const char *body);

/* Makes a token, and takes its secret. Or the secret that the latest answer tells. */
void people_make(const char *name, const char *body, char secret[TOKEN_TEXT_MAX]);
void people_take_secret(char secret[TOKEN_TEXT_MAX]);

#endif
