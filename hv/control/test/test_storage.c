/* test_storage.c - runs the unit tests of what the control service keeps on a disk. */
#include "test_control.h"

int main(void)
{
    return run_state_tests() + run_disk_tests();
}
