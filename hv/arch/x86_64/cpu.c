/*
 * cpu.c - what the CPU can do, what is switched on, and which of its flaws are dealt with.
 *
 * Bits of CPUID and MSRs: Intel SDM volumes 2 (CPUID) and 4, AMD APM volume 3, appendix E.
 */
#include "core/cpu.h"
#include "core/log.h"
#include "core/string.h"
#include "core/vcpu.h"
#include "entry.h"
#include "internal.h"
#include "x86.h"

#define XCR0_X87_SSE (3ull << 0)
#define XCR0_AVX     (1ull << 2)
#define XCR0_AVX512  (7ull << 5)

#define SPEC_CTRL_IBRS (1ull << 0)
#define SPEC_CTRL_SSBD (1ull << 2)

#define PAT_VALUE 0x0407050100070406ull /* WB WT UC- UC WC WP UC- WT, from entry 0 on */

struct features features;

static bool bit(uint64_t value, uint32_t index)
{
    return value >> index & 1;
}

static void detect_vendor(void)
{
    struct cpuid r = cpuid(0, 0);
    uint32_t words[16] = {0};

    features.intel = r.ebx == 0x756e6547;                      /* "Genu" */
    features.amd = r.ebx == 0x68747541 || r.ebx == 0x6f677948; /* "Auth", "Hygo" */
    if (cpuid(0x80000000, 0).eax < 0x80000004) {
        return;
    }
    for (uint32_t i = 0; i < 3; i++) {
        r = cpuid(0x80000002 + i, 0);
        words[4 * i] = r.eax;
        words[4 * i + 1] = r.ebx;
        words[4 * i + 2] = r.ecx;
        words[4 * i + 3] = r.edx;
    }
    memcpy(features.model, words, sizeof(features.model) - 1);
}

static void detect_basic(void)
{
    struct cpuid leaf1 = cpuid(1, 0);
    uint32_t leaf_max = cpuid(0, 0).eax, extended_max = cpuid(0x80000000, 0).eax;
    struct cpuid leaf7 = leaf_max >= 7 ? cpuid(7, 0) : (struct cpuid){0};

    features.pge = bit(leaf1.edx, 13);
    features.x2apic = bit(leaf1.ecx, 21);
    features.tsc_deadline = bit(leaf1.ecx, 24);
    features.xsave = bit(leaf1.ecx, 26);
    features.rdrand = bit(leaf1.ecx, 30);
    features.hypervisor = bit(leaf1.ecx, 31);
    features.emulated = features.hypervisor && cpuid(0x40000000, 0).ebx == 0x54474354; /* "TCGT" */
    features.fsgsbase = bit(leaf7.ebx, 0);
    features.smep = bit(leaf7.ebx, 7);
    features.rdseed = bit(leaf7.ebx, 18);
    features.smap = bit(leaf7.ebx, 20);
    features.umip = bit(leaf7.ecx, 2);
    features.invariant_tsc = extended_max >= 0x80000007 && bit(cpuid(0x80000007, 0).edx, 8);
}

static void detect_flaws(void)
{
    uint32_t leaf_max = cpuid(0, 0).eax, extended_max = cpuid(0x80000000, 0).eax;
    uint32_t leaf7 = leaf_max >= 7 ? cpuid(7, 0).edx : 0;
    uint32_t amd8 = extended_max >= 0x80000008 ? cpuid(0x80000008, 0).ebx : 0;
    uint64_t capabilities = 0;

    if (bit(leaf7, 29) && !msr_read_safe(MSR_ARCH_CAPABILITIES, &capabilities)) {
        capabilities = 0;
    }
    features.rdcl_no = features.amd || bit(capabilities, 0);
    features.ibrs_all = bit(capabilities, 1);
    features.ssb_no = bit(capabilities, 4) || bit(amd8, 26);
    features.mds_no = features.amd || bit(capabilities, 5);
    features.md_clear = bit(leaf7, 10);
    features.ibpb = bit(leaf7, 26) || bit(amd8, 12);
    features.ssbd = bit(leaf7, 31) || bit(amd8, 24);
    features.x87_leak = features.amd && !bit(amd8, 2);
}

/* The size that XSAVE's standard format has for XCR0 as it will be: the end of the last component. */
static void detect_xsave(void)
{
    features.xsave_bytes = 512;
    if (!features.xsave) {
        return;
    }
    struct cpuid leaf = cpuid(0xd, 0);

    features.xcr0 = leaf.eax & (XCR0_X87_SSE | XCR0_AVX);
    if ((features.xcr0 & XCR0_AVX) && (leaf.eax & XCR0_AVX512) == XCR0_AVX512) {
        features.xcr0 |= XCR0_AVX512;
    }
    features.xsaveopt = bit(cpuid(0xd, 1).eax, 0);
    features.xsave_bytes = 576;
    for (uint32_t i = 2; i < 63; i++) {
        if (bit(features.xcr0, i)) {
            struct cpuid component = cpuid(0xd, i);
            uint32_t end = component.ebx + component.eax;

            features.xsave_bytes = end > features.xsave_bytes ? end : features.xsave_bytes;
        }
    }
    CHECK(features.xsave_bytes <= PAGE_SIZE - VCPU_XSAVE_OFFSET);
}

static bool pti_wanted(void)
{
    char value[8] = "auto";

    arch_option("pti", value, sizeof(value));
    if (strcmp(value, "on") == 0 || strcmp(value, "off") == 0) {
        return value[1] == 'n';
    }
    return !features.rdcl_no;
}

void cpu_detect(void)
{
    detect_vendor();
    detect_basic();
    detect_flaws();
    detect_xsave();
    machine.pti = pti_wanted();
    if (machine.pti) {
        entry_patch(PATCH_PTI);
    }
    if (features.smap) {
        entry_patch(PATCH_SMAP);
    }
    if (features.md_clear && !features.mds_no) {
        entry_patch(PATCH_VERW);
    }
}

static void setup_flaws(void)
{
    uint64_t control = 0;

    if (features.ibrs_all) {
        control |= SPEC_CTRL_IBRS;
    }
    if (features.ssbd && !features.ssb_no) {
        control |= SPEC_CTRL_SSBD;
    }
    if (control) {
        msr_write_safe(MSR_SPEC_CTRL, control);
    }
}

void cpu_setup(void)
{
    uint64_t cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

    cr4 |= features.pge && !machine.pti ? CR4_PGE : 0;
    cr4 |= features.umip ? CR4_UMIP : 0;
    cr4 |= features.fsgsbase ? CR4_FSGSBASE : 0;
    cr4 |= features.xsave ? CR4_OSXSAVE : 0;
    cr4 |= features.smep ? CR4_SMEP : 0;
    cr4 |= features.smap ? CR4_SMAP : 0;
    cr0_write(CR0_PG | CR0_AM | CR0_WP | CR0_NE | CR0_MP | CR0_PE);
    cr4_write(cr4);
    if (features.xsave) {
        xcr0_write(features.xcr0);
    }
    msr_write(MSR_PAT, PAT_VALUE);
    dr7_write(0);
    setup_flaws();
}

/* ---- what the API tells ---- */

static void mitigation_add(struct skep_host_info *info, const char *name,
                           enum skep_mitigation_state state)
{
    struct skep_mitigation *mitigation = &info->mitigations[info->mitigation_count++];

    format_text(mitigation->name, sizeof(mitigation->name), "%s", name);
    mitigation->state = state;
}

static enum skep_mitigation_state feature_state(bool present)
{
    return present ? SKEP_MITIGATION_ACTIVE : SKEP_MITIGATION_UNKNOWN;
}

static enum skep_mitigation_state flaw_state(bool immune, bool active,
                                             enum skep_mitigation_state otherwise)
{
    return active ? SKEP_MITIGATION_ACTIVE : immune ? SKEP_MITIGATION_NOT_NEEDED : otherwise;
}

/* Without the CPU's word for it, nobody can tell what an emulator or an old CPU does. Page-table
 * entries that aren't present hold no addresses, which is the remedy for L1TF. */
static void mitigations_fill(struct skep_host_info *info)
{
    info->mitigation_count = 0;
    mitigation_add(info, "meltdown (PTI)",
                   flaw_state(features.rdcl_no, machine.pti, SKEP_MITIGATION_OFF));
    mitigation_add(info, "spectre-v2 (IBPB)",
                   flaw_state(false, features.ibpb, SKEP_MITIGATION_UNKNOWN));
    mitigation_add(
        info, "spectre-v4 (SSBD)",
        flaw_state(features.ssb_no, features.ssbd && !features.ssb_no, SKEP_MITIGATION_UNKNOWN));
    mitigation_add(info, "l1tf (empty entries)",
                   flaw_state(features.rdcl_no, !features.rdcl_no, SKEP_MITIGATION_UNKNOWN));
    mitigation_add(info, "mds (VERW)",
                   flaw_state(features.mds_no, features.md_clear && !features.mds_no,
                              SKEP_MITIGATION_UNKNOWN));
    mitigation_add(info, "nx", SKEP_MITIGATION_ACTIVE);
    mitigation_add(info, "smep", feature_state(features.smep));
    mitigation_add(info, "smap", feature_state(features.smap));
    mitigation_add(info, "umip", feature_state(features.umip));
    mitigation_add(info, "x87 pointers (FILD)",
                   flaw_state(!features.x87_leak, features.x87_leak, SKEP_MITIGATION_UNKNOWN));
}

void arch_host_info(struct skep_host_info *info)
{
    uint64_t value;

    format_text(info->cpu_model, sizeof(info->cpu_model), "%s", features.model);
    format_text(info->clock_source, sizeof(info->clock_source), "%s", clock_name());
    mitigations_fill(info);
    info->entropy = arch_random(&value);
}

void arch_guest_features(uint64_t *mask, uint64_t *xcr0, uint32_t *xsave_bytes)
{
    *mask = 0;
    *mask |= clock_uses_tsc() ? SKEP_FEATURE_CLOCK_TSC : 0;
    *mask |= features.fsgsbase ? SKEP_FEATURE_FSGSBASE : 0;
    *mask |= features.xsave ? SKEP_FEATURE_XSAVE : 0;
    *mask |= features.rdrand ? SKEP_FEATURE_RDRAND : 0;
    *xcr0 = features.xcr0;
    *xsave_bytes = features.xsave_bytes;
}
