/*
 * message.h - where the file systems' messages go: the console.
 */
#ifndef LIBC_SHIM_FS_MESSAGE_H
#define LIBC_SHIM_FS_MESSAGE_H

void fs_message(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
