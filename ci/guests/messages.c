/*
 * messages.c - syslog(). Linux writes the same to the standard error, which is the standard output here.
 */
#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "check.h"

int main(void)
{
    char longer[1500];
    CHECK(dup2(STDOUT_FILENO, STDERR_FILENO) == STDERR_FILENO);
    openlog(NULL, LOG_PERROR, LOG_DAEMON);
    syslog(LOG_INFO, "by the program's name");
    openlog("a name", LOG_PERROR, LOG_DAEMON);
    syslog(LOG_INFO, "plain");
    syslog(LOG_ERR | LOG_LOCAL3, "%d and %s, 100%%", 17, "text");
    syslog(LOG_WARNING, "its own end\n");
    errno = ENOENT;
    syslog(LOG_ERR, "%s: %m (%%m), then %m", "file");
    CHECK(errno == ENOENT);
    setlogmask(LOG_UPTO(LOG_WARNING));
    syslog(LOG_NOTICE, "not this one");
    syslog(LOG_WARNING, "this one");
    CHECK(setlogmask(0) == LOG_UPTO(LOG_WARNING));
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    syslog(LOG_ERR, "%.900s", longer);
    closelog();
    printf("messages: ok\n");
    return 0;
}
