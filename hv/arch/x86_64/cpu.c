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
    struct cpu_facts facts = {.amd = features.amd, .emulated = features.emulated};

    if (leaf_max >= 7) {
        facts.leaf7_ebx = cpuid(7, 0).ebx;
        facts.leaf7_edx = cpuid(7, 0).edx;
    }
    facts.amd8_ebx = extended_max >= 0x80000008 ? cpuid(0x80000008, 0).ebx : 0;
    facts.amd21_eax = extended_max >= 0x80000021 ? cpuid(0x80000021, 0).eax : 0;
    if (!bit(facts.leaf7_edx, 29) || !msr_read_safe(MSR_ARCH_CAPABILITIES, &facts.capabilities)) {
        facts.capabilities = 0;
    }
    flaws_judge(&facts, &features.flaws);
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
    return !features.flaws.rdcl_no;
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
    if (features.flaws.verw) {
        entry_patch(PATCH_VERW);
    }
    if (features.flaws.retpoline) {
        entry_patch(PATCH_RETPOLINE);
    }
}

static void setup_flaws(void)
{
    uint64_t control = flaws_spec_ctrl(&features.flaws);

    if (control) {
        msr_write_safe(MSR_SPEC_CTRL, control);
    }
    if (features.flaws.auto_ibrs) {
        msr_write_safe(MSR_EFER, msr_read(MSR_EFER) | EFER_AUTO_IBRS);
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

static void mitigations_fill(struct skep_host_info *info)
{
    _Static_assert(FLAWS_ROWS + 4 <= SKEP_MITIGATIONS_MAX, "the table");
    flaws_table(&features.flaws, machine.pti, info->mitigations);
    info->mitigation_count = FLAWS_ROWS;
    mitigation_add(info, "nx", SKEP_MITIGATION_ACTIVE);
    mitigation_add(info, "smep", feature_state(features.smep));
    mitigation_add(info, "smap", feature_state(features.smap));
    mitigation_add(info, "umip", feature_state(features.umip));
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
