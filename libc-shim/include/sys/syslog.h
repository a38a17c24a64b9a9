/*
 * sys/syslog.h - where some programs look for syslog.h.
 */
#include <syslog.h>
