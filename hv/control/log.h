/* log.h - lines for the machine's serial log. */
#ifndef CONTROL_LOG_H
#define CONTROL_LOG_H

__attribute__((format(printf, 1, 2))) void log_line(const char *format, ...);

#endif
