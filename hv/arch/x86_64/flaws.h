/*
 * flaws.h - which of the CPU's flaws concern ring 0, and what is done about each.
 *
 * A function of CPUID and MSR values and nothing else, so that the table is tested on the host for CPUs that no
 * emulator has. Bits: Intel SDM volume 4, IA32_ARCH_CAPABILITIES; volume 2, CPUID leaf 7; AMD APM volume 3, E.4.
 */
#ifndef FLAWS_H
#define FLAWS_H

#include <stdbool.h>
#include <stdint.h>

#include "skep/control.h"

/* What the CPU says of itself; 0 where it has no such leaf or register. */
struct cpu_facts {
    bool amd;                      /* or Hygon */
    bool emulated;                 /* by QEMU's TCG, which predicts nothing */
    uint32_t leaf7_ebx, leaf7_edx; /* CPUID 7 */
    uint32_t amd8_ebx;             /* CPUID 0x80000008 */
    uint32_t amd21_eax;            /* CPUID 0x80000021 */
    uint64_t capabilities;         /* IA32_ARCH_CAPABILITIES */
};

struct cpu_flaws {
    bool rdcl_no, ssb_no, mds_no, taa_no; /* the CPU doesn't have the flaw */
    bool verw;                            /* VERW overwrites buffers, and something needs it */
    bool ibpb, ssbd;                      /* can be had, and is used */
    bool ibrs_all;                        /* "enhanced" IBRS: set once */
    bool auto_ibrs;                       /* AMD's: a bit in EFER */
    bool retpoline;                       /* neither: indirect branches take a detour */
    bool x87_leak; /* FXRSTOR and XRSTOR keep the last instruction's addresses (CVE-2006-1056) */
};

void flaws_judge(const struct cpu_facts *facts, struct cpu_flaws *flaws);

#define SPEC_CTRL_IBRS (1ull << 0)
#define SPEC_CTRL_SSBD (1ull << 2)

/* What is written to IA32_SPEC_CTRL, 0 = nothing. */
uint64_t flaws_spec_ctrl(const struct cpu_flaws *flaws);

#define FLAWS_ROWS 8u

/* The rows of the API's table; `pti`: page-table isolation is on. */
void flaws_table(const struct cpu_flaws *flaws, bool pti, struct skep_mitigation rows[FLAWS_ROWS]);

#endif
