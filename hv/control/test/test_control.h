/* test_control.h - the control service's unit tests, and what they share. */
#ifndef TEST_CONTROL_H
#define TEST_CONTROL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int run_elf_tests(void);
int run_json_tests(void);
int run_model_tests(void);
int run_volume_tests(void);
int run_files_tests(void);

/* A well-formed guest image: three segments, a note, two functions. Returns its bytes. */
#define TEST_ELF_MAX 16384
size_t test_elf(uint8_t *data);

#endif
