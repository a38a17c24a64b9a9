/*
 * test_fault.c - faults of which a guest is told, and how it ends if it can't be.
 */
#include "test.h"

#include "core/trap.h"

#define MIB     (1ull << 20)
#define NOTHING 0x40000000ull /* no range of the image's */
#define STACK   0x7000000ull

static struct baseline before;
static struct guest *guest;
static struct vcpu *vcpu;

static uint64_t entry(void)
{
    return guest->image_base + 64;
}

/* At an instruction that is about to fault, told of faults. */
static int begin(void **state)
{
    (void)state;
    guest = guest_running(MIB);
    vcpu = guest->vcpus[0];
    vcpu->page->fault_entry = entry();
    vcpu->page->upcall_stack = STACK;
    vcpu->arch.context.rip = guest->image_base + 8;
    vcpu->arch.context.rsp = 0x1000;
    vcpu->arch.context.rbx = 42;
    return 0;
}

static int end(void **state)
{
    (void)state;
    guest_gone(guest);
    baseline_check(&before);
    return 0;
}

static void check_told(enum skep_crash_reason reason, uint64_t address, uint64_t error)
{
    const struct skep_vcpu_page *page = vcpu->page;
    assert_int_equal(guest->state, SKEP_GUEST_RUNNING);
    assert_int_equal(page->fault_reason, reason);
    assert_int_equal(page->fault_address, address);
    assert_int_equal(page->fault_error, error);
    assert_int_equal(page->upcall_masked, 1);
    assert_int_equal(page->context.rip, guest->image_base + 8);
    assert_int_equal(page->context.rsp, 0x1000);
    assert_int_equal(page->context.rbx, 42);
    assert_int_equal(vcpu->arch.context.rip, entry());
    assert_int_equal(vcpu->arch.context.rsp, STACK);
    assert_int_equal(vcpu->arch.context.rbx, 42);
}

static void check_ended(enum skep_crash_reason reason, uint64_t address, uint64_t error)
{
    assert_int_not_equal(guest->state, SKEP_GUEST_RUNNING);
    assert_int_equal(guest->crash.reason, reason);
    assert_int_equal(guest->crash.address, address);
    assert_int_equal(guest->crash.error, error);
}

static void guest_is_told(void **state)
{
    (void)state;
    trap_fault(vcpu, SKEP_CRASH_DIVIDE, guest->image_base + 8, 0);
    check_told(SKEP_CRASH_DIVIDE, guest->image_base + 8, 0);
    assert_int_equal(vcpu->page->fault_mapped, 0);
}

static void page_faults_say_whether_something_is_there(void **state)
{
    (void)state;
    uint64_t text = guest->image_base;
    trap_page_fault(vcpu, gva(NOTHING), SKEP_FAULT_WRITE);
    check_told(SKEP_CRASH_PAGE_FAULT, NOTHING, SKEP_FAULT_WRITE);
    assert_int_equal(vcpu->page->fault_mapped, 0);
    vcpu->page->fault_reason = 0;
    vcpu->page->upcall_masked = 0;
    vcpu->arch.context = vcpu->page->context;
    trap_page_fault(vcpu, gva(text), SKEP_FAULT_WRITE | SKEP_FAULT_PRESENT);
    check_told(SKEP_CRASH_PAGE_FAULT, text, SKEP_FAULT_WRITE | SKEP_FAULT_PRESENT);
    assert_int_equal(vcpu->page->fault_mapped, 1);
}

static void nothing_is_said_of_ring_0(void **state)
{
    (void)state;
    trap_page_fault(vcpu, gva(0xffff800000000000ull), SKEP_FAULT_PRESENT);
    check_told(SKEP_CRASH_PAGE_FAULT, 0xffff800000000000ull, 0);
    assert_int_equal(vcpu->page->fault_mapped, 0);
}

static void who_has_asked_for_nothing_ends(void **state)
{
    (void)state;
    vcpu->page->fault_entry = 0;
    trap_fault(vcpu, SKEP_CRASH_DIVIDE, 5, 0);
    check_ended(SKEP_CRASH_DIVIDE, 5, 0);
    assert_int_equal(guest->crash.context.rip, guest->image_base + 8);
}

/* In its scheduler: nothing can be told there. The last fault was taken. */
static void fault_with_upcalls_masked_ends_the_guest(void **state)
{
    (void)state;
    vcpu->page->upcall_masked = 1;
    vcpu->page->context.rip = guest->image_base + 16;
    trap_fault(vcpu, SKEP_CRASH_INVALID_OPCODE, 5, 0);
    check_ended(SKEP_CRASH_INVALID_OPCODE, 5, 0);
    assert_int_equal(guest->crash.context.rip, guest->image_base + 8);
}

static void record_is_of_the_first_fault(void **state)
{
    (void)state;
    trap_page_fault(vcpu, gva(NOTHING), SKEP_FAULT_WRITE);
    vcpu->arch.context.rip += 4;
    vcpu->arch.context.rbx = 43;
    trap_fault(vcpu, SKEP_CRASH_INVALID_OPCODE, vcpu->arch.context.rip, 0);
    check_ended(SKEP_CRASH_PAGE_FAULT, NOTHING, SKEP_FAULT_WRITE);
    assert_int_equal(guest->crash.context.rip, guest->image_base + 8);
    assert_int_equal(guest->crash.context.rbx, 42);
    assert_int_equal(guest->crash.backtrace[0], guest->image_base + 8);
}

static void entry_that_is_no_address_ends_the_guest_for_the_fault(void **state)
{
    (void)state;
    vcpu->page->fault_entry = UINT64_MAX;
    trap_fault(vcpu, SKEP_CRASH_BREAKPOINT, 5, 0);
    check_ended(SKEP_CRASH_BREAKPOINT, 5, 0);
    assert_int_equal(guest->crash.context.rip, guest->image_base + 8);
}

/* A guest may write what it likes there. What can't be a fault's is not believed. */
static void nonsense_about_a_first_fault_is_no_record(void **state)
{
    (void)state;
    vcpu->page->upcall_masked = 1;
    vcpu->page->fault_reason = SKEP_CRASH_KILLED;
    trap_fault(vcpu, SKEP_CRASH_DIVIDE, 5, 0);
    check_ended(SKEP_CRASH_DIVIDE, 5, 0);
}

static void nonsense_about_first_registers_is_no_record(void **state)
{
    (void)state;
    vcpu->page->upcall_masked = 1;
    vcpu->page->fault_reason = SKEP_CRASH_SIMD;
    vcpu->page->context.gs_base = UINT64_MAX;
    trap_fault(vcpu, SKEP_CRASH_DIVIDE, 5, 0);
    check_ended(SKEP_CRASH_DIVIDE, 5, 0);
    assert_int_equal(guest->crash.context.rip, guest->image_base + 8);
}

static void others_than_the_guests_own_faults_end_it(void **state)
{
    (void)state;
    trap_fault(vcpu, SKEP_CRASH_MACHINE_CHECK, 5, 0);
    check_ended(SKEP_CRASH_MACHINE_CHECK, 5, 0);
}

/* Told of a fault, it runs out of memory: that is what it ends of. */
static void memory_that_is_used_up_is_told_as_such(void **state)
{
    (void)state;
    int64_t base = fake_hypercall(vcpu, SKEP_HC_MEM_MAP, 0, 2 * MIB,
                                  SKEP_PROT_READ | SKEP_PROT_WRITE | SKEP_MAP_RESERVE);
    assert_true(base > 0);
    trap_fault(vcpu, SKEP_CRASH_DIVIDE, guest->image_base + 8, 0);
    for (uint64_t at = 0; at < 2 * MIB && guest->state == SKEP_GUEST_RUNNING; at += PAGE_SIZE) {
        trap_page_fault(vcpu, gva((uint64_t)base + at), SKEP_FAULT_WRITE);
    }
    assert_int_equal(guest->crash.reason, SKEP_CRASH_OUT_OF_MEMORY);
}

int main(void)
{
    fake_boot(96 << 20, 1);
    baseline_take(&before);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(guest_is_told, begin, end),
        cmocka_unit_test_setup_teardown(page_faults_say_whether_something_is_there, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_said_of_ring_0, begin, end),
        cmocka_unit_test_setup_teardown(who_has_asked_for_nothing_ends, begin, end),
        cmocka_unit_test_setup_teardown(fault_with_upcalls_masked_ends_the_guest, begin, end),
        cmocka_unit_test_setup_teardown(record_is_of_the_first_fault, begin, end),
        cmocka_unit_test_setup_teardown(entry_that_is_no_address_ends_the_guest_for_the_fault,
                                        begin, end),
        cmocka_unit_test_setup_teardown(nonsense_about_a_first_fault_is_no_record, begin, end),
        cmocka_unit_test_setup_teardown(nonsense_about_first_registers_is_no_record, begin, end),
        cmocka_unit_test_setup_teardown(others_than_the_guests_own_faults_end_it, begin, end),
        cmocka_unit_test_setup_teardown(memory_that_is_used_up_is_told_as_such, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
