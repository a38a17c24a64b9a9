/*
 * json.h - JSON from and to clients: a strict check in front of cJSON, which takes more than RFC 8259
 * does, and the few conversions that the API needs.
 */
#ifndef CONTROL_JSON_H
#define CONTROL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cJSON.h>

#include "problem.h"

#define JSON_DEPTH_MAX   32
#define JSON_MEMBERS_MAX 1024 /* of one object: looking for duplicates is quadratic */

/* Parses exactly one value. NULL, with the problem set, unless text is well-formed UTF-8 JSON without
 * duplicate names, NULs in strings, or more depth than JSON_DEPTH_MAX. The caller deletes it. */
cJSON *json_parse(const char *text, size_t bytes, struct problem *p);

/* Whether the item, which may be NULL, is an integer from min to max; no doubles' rounding within ±2^53. */
bool json_integer(const cJSON *item, uint64_t min, uint64_t max, uint64_t *value);

/* What is asked for most often is made with the fewest allocations: these refer to a member's name, a literal, where
 * cJSON's own functions copy it. They return the item, NULL = there is no memory. */
#define json_add(object, name, item)        json_add_item(object, "" name, item)
#define json_add_string(object, name, text) json_add(object, name, cJSON_CreateString(text))
#define json_add_null(object, name)         json_add(object, name, cJSON_CreateNull())
#define json_add_object(object, name)       json_add(object, name, cJSON_CreateObject())
#define json_add_array(object, name)        json_add(object, name, cJSON_CreateArray())
cJSON *json_add_item(cJSON *object, const char *name, cJSON *item);

/* Only to be printed: in full, where cJSON would round numbers above 2^53, and in a fraction of its time. */
#define json_add_integer(object, name, value) json_add(object, name, json_create_integer(value))
#define json_add_hex(object, name, value)     json_add(object, name, json_create_hex(value))
#define json_add_time(object, name, wall_ns)  json_add(object, name, json_create_time(wall_ns))
cJSON *json_create_integer(uint64_t value);
cJSON *json_create_hex(uint64_t value);
cJSON *json_create_time(uint64_t wall_ns); /* RFC 3339, null for 0 */

#define JSON_TIME_MAX 25                                         /* until 9999, and a NUL */
void json_time_text(uint64_t wall_ns, char text[JSON_TIME_MAX]); /* RFC 3339, "" for 0 */

/* The number and a NUL at the place given, 21 bytes at most; returns where the NUL is, as stpcpy() does. */
char *json_put_integer(char *at, uint64_t value);

/* Such a text, in UTC and from 1970 to 2499, to the millisecond; false if it is none. */
bool json_time_read(const char *text, uint64_t *wall_ns);

/* Makes a text printable UTF-8: cuts a broken last character, replaces what is no character. */
void json_clean_text(char *text);
void json_clean_line(char *text, const char *end); /* the same up to end; nothing is cut */

#endif
