/* trace.c - what goes over the wire, in a file. */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fail.h"

/* Opened when something is to be written first: NULL = nothing is. Answers may have secrets. */
static FILE *trace_file(void)
{
    static FILE *file;
    const char *path = getenv("SKEP_TRACE");
    int fd;

    if (file || !path || !*path)
        return file;
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    file = fd < 0 ? NULL : fdopen(fd, "a");
    if (!file)
        exit(fail(EXIT_LOCAL, "%s: %s", path, strerror(errno)));
    setbuf(file, NULL);
    return file;
}

void trace_answer(const char *data, size_t bytes)
{
    FILE *file = trace_file();

    if (file)
        fwrite(data, 1, bytes, file);
}

void trace_request(const char *head, size_t bytes)
{
    static const char name[] = "\r\nAuthorization: ";
    const char *field = memmem(head, bytes, name, strlen(name)), *end = NULL;

    if (field)
        end = memmem(field + 2, bytes - (size_t)(field + 2 - head), "\r\n", 2);
    if (!end) {
        trace_answer(head, field ? (size_t)(field - head) : bytes);
        return;
    }
    trace_answer(head, (size_t)(field - head));
    trace_answer(end, bytes - (size_t)(end - head));
}

static int take(CURL *curl, curl_infotype type, char *data, size_t bytes, void *arg)
{
    if (type == CURLINFO_HEADER_OUT)
        trace_request(data, bytes);
    else if (type == CURLINFO_HEADER_IN || type == CURLINFO_DATA_IN)
        trace_answer(data, bytes);
    return 0;
}

void trace_begin(CURL *curl)
{
    if (!trace_file())
        return;
    curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, take);
}
