/* test_control.c - runs the control service's unit tests. */
#include "test_control.h"

int main(void)
{
    return run_elf_tests() + run_json_tests() + run_model_tests() + run_volume_tests() +
           run_files_tests();
}
