/*
 * trace.h - what goes over the wire, appended to the file that SKEP_TRACE names: heads of requests without what authorizes
 * them, and answers as they come.
 */
#ifndef CLI_TRACE_H
#define CLI_TRACE_H

#include <curl/curl.h>

/* Has libcurl tell what it does with this handle. */
void trace_begin(CURL *curl);

/* What doesn't go through libcurl's own HTTP. */
void trace_request(const char *head, size_t bytes);
void trace_answer(const char *data, size_t bytes);

#endif
