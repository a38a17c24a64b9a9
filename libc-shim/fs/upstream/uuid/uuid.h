/*
 * uuid.h - what of libuuid the replay of journals asks for.
 */
#ifndef SKEP_EXT2FS_UUID_H
#define SKEP_EXT2FS_UUID_H

int uuid_is_null(const unsigned char *uuid);
void uuid_unparse(const unsigned char *uuid, char *out);

#endif
