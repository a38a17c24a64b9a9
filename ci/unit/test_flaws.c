/*
 * test_flaws.c - the table of CPU flaws for CPUs that no emulator has: CPUID and MSR values as they report them.
 */
#include "test.h"

#include "arch/x86_64/flaws.h"

enum { OFF = SKEP_MITIGATION_OFF, ACTIVE = SKEP_MITIGATION_ACTIVE };
enum { NOT_NEEDED = SKEP_MITIGATION_NOT_NEEDED, UNKNOWN = SKEP_MITIGATION_UNKNOWN };

/* Bits of CPUID 7 EDX */
#define MD_CLEAR          (1u << 10)
#define IBRS_IBPB         (1u << 26)
#define ARCH_CAPABILITIES (1u << 29)
#define SSBD              (1u << 31)
#define RTM               (1u << 11) /* of EBX */

static const struct {
    const char *name;
    struct cpu_facts facts;
    bool pti; /* as pti=auto decides */
    uint64_t spec_ctrl;
    bool retpoline, verw;
    uint32_t states[FLAWS_ROWS]; /* meltdown, v2 ring 0, v2 guests, v4, l1tf, mds, taa, x87 */
} cpus[] = {
    {"Haswell, old microcode",
     {.leaf7_ebx = RTM},
     true,
     0,
     true,
     false,
     {ACTIVE, ACTIVE, UNKNOWN, UNKNOWN, ACTIVE, UNKNOWN, UNKNOWN, NOT_NEEDED}},
    {"Skylake, new microcode",
     {.leaf7_ebx = RTM, .leaf7_edx = MD_CLEAR | IBRS_IBPB | SSBD},
     true,
     SPEC_CTRL_SSBD,
     true,
     true,
     {ACTIVE, ACTIVE, ACTIVE, ACTIVE, ACTIVE, ACTIVE, ACTIVE, NOT_NEEDED}},
    {"Cascade Lake: RDCL_NO, IBRS_ALL, MDS_NO, but TSX",
     {.leaf7_ebx = RTM,
      .leaf7_edx = MD_CLEAR | IBRS_IBPB | SSBD | ARCH_CAPABILITIES,
      .capabilities = 0x2b},
     false,
     SPEC_CTRL_IBRS | SPEC_CTRL_SSBD,
     false,
     true,
     {NOT_NEEDED, ACTIVE, ACTIVE, ACTIVE, NOT_NEEDED, NOT_NEEDED, ACTIVE, NOT_NEEDED}},
    {"Ice Lake server: TAA_NO, too",
     {.leaf7_ebx = RTM,
      .leaf7_edx = MD_CLEAR | IBRS_IBPB | SSBD | ARCH_CAPABILITIES,
      .capabilities = 0x16b},
     false,
     SPEC_CTRL_IBRS | SPEC_CTRL_SSBD,
     false,
     false,
     {NOT_NEEDED, ACTIVE, ACTIVE, ACTIVE, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED}},
    {"Intel with SSB_NO",
     {.leaf7_edx = MD_CLEAR | IBRS_IBPB | SSBD | ARCH_CAPABILITIES, .capabilities = 0x13b},
     false,
     SPEC_CTRL_IBRS,
     false,
     false,
     {NOT_NEEDED, ACTIVE, ACTIVE, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED}},
    {"Zen: no SSBD in SPEC_CTRL, pointers kept",
     {.amd = true, .amd8_ebx = 1u << 12},
     false,
     0,
     true,
     false,
     {NOT_NEEDED, ACTIVE, ACTIVE, UNKNOWN, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, ACTIVE}},
    {"Zen 2: IBPB, SSBD, pointers cleared",
     {.amd = true, .amd8_ebx = 1u << 24 | 1u << 12 | 1u << 2},
     false,
     SPEC_CTRL_SSBD,
     true,
     false,
     {NOT_NEEDED, ACTIVE, ACTIVE, ACTIVE, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED}},
    {"Zen 4: automatic IBRS",
     {.amd = true, .amd8_ebx = 1u << 24 | 1u << 12 | 1u << 2, .amd21_eax = 1u << 8},
     false,
     SPEC_CTRL_SSBD,
     false,
     false,
     {NOT_NEEDED, ACTIVE, ACTIVE, ACTIVE, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED}},
    {"AMD that says SSB_NO",
     {.amd = true, .amd8_ebx = 1u << 26 | 1u << 24 | 1u << 12 | 1u << 2},
     false,
     0,
     true,
     false,
     {NOT_NEEDED, ACTIVE, ACTIVE, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED}},
    {"TCG posing as Intel",
     {.emulated = true},
     true,
     0,
     false,
     false,
     {ACTIVE, UNKNOWN, UNKNOWN, UNKNOWN, ACTIVE, UNKNOWN, NOT_NEEDED, NOT_NEEDED}},
};

static void each_cpu_gets_its_remedies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(cpus); i++) {
        struct cpu_flaws flaws;
        struct skep_mitigation rows[FLAWS_ROWS];
        flaws_judge(&cpus[i].facts, &flaws);
        print_message("%s\n", cpus[i].name);
        assert_int_equal(!flaws.rdcl_no, cpus[i].pti);
        assert_int_equal(flaws_spec_ctrl(&flaws), cpus[i].spec_ctrl);
        assert_int_equal(flaws.retpoline, cpus[i].retpoline);
        assert_int_equal(flaws.verw, cpus[i].verw);
        flaws_table(&flaws, cpus[i].pti, rows);
        for (unsigned row = 0; row < FLAWS_ROWS; row++) {
            print_message("  %s\n", rows[row].name);
            assert_int_equal(rows[row].state, cpus[i].states[row]);
            assert_non_null(memchr(rows[row].name, 0, sizeof(rows[row].name)));
        }
    }
}

/* pti=off on a CPU that needs it, pti=on where it doesn't. */
static void isolation_is_told_as_it_is(void **state)
{
    (void)state;
    const struct cpu_facts needs = {0}, immune = {.amd = true};
    struct cpu_flaws flaws;
    struct skep_mitigation rows[FLAWS_ROWS];
    flaws_judge(&needs, &flaws);
    flaws_table(&flaws, false, rows);
    assert_int_equal(rows[0].state, OFF);
    flaws_judge(&immune, &flaws);
    flaws_table(&flaws, true, rows);
    assert_int_equal(rows[0].state, ACTIVE);
}

/* A bit of the other maker's leaf means nothing. */
static void makers_are_kept_apart(void **state)
{
    (void)state;
    const struct cpu_facts intel = {.amd8_ebx = UINT32_MAX, .amd21_eax = UINT32_MAX};
    struct cpu_flaws flaws;
    flaws_judge(&intel, &flaws);
    assert_false(flaws.ssb_no || flaws.ibpb || flaws.ssbd || flaws.auto_ibrs || flaws.x87_leak);
    assert_true(flaws.retpoline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cpu_gets_its_remedies),
        cmocka_unit_test(isolation_is_told_as_it_is),
        cmocka_unit_test(makers_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
