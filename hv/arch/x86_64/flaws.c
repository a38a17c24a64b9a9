/*
 * flaws.c - the table of the CPU's flaws and their remedies.
 */
#include "flaws.h"

static bool bit(uint64_t value, uint32_t index)
{
    return value >> index & 1;
}

void flaws_judge(const struct cpu_facts *facts, struct cpu_flaws *flaws)
{
    bool md_clear = bit(facts->leaf7_edx, 10), rtm = bit(facts->leaf7_ebx, 11);

    *flaws = (struct cpu_flaws){
        .rdcl_no = facts->amd || bit(facts->capabilities, 0),
        .ibrs_all = !facts->amd && bit(facts->capabilities, 1),
        .auto_ibrs = facts->amd && bit(facts->amd21_eax, 8),
        .ssb_no = bit(facts->capabilities, 4) || (facts->amd && bit(facts->amd8_ebx, 26)),
        .mds_no = facts->amd || bit(facts->capabilities, 5),
        .taa_no = facts->amd || bit(facts->capabilities, 8) || !rtm,
        .ibpb = bit(facts->leaf7_edx, 26) || (facts->amd && bit(facts->amd8_ebx, 12)),
        .x87_leak = facts->amd && !bit(facts->amd8_ebx, 2),
    };
    flaws->verw = md_clear && !(flaws->mds_no && flaws->taa_no);
    flaws->ssbd =
        !flaws->ssb_no && (bit(facts->leaf7_edx, 31) || (facts->amd && bit(facts->amd8_ebx, 24)));
    flaws->retpoline = !flaws->ibrs_all && !flaws->auto_ibrs && !facts->emulated;
}

uint64_t flaws_spec_ctrl(const struct cpu_flaws *flaws)
{
    return (flaws->ibrs_all ? SPEC_CTRL_IBRS : 0) | (flaws->ssbd ? SPEC_CTRL_SSBD : 0);
}

static void row_set(struct skep_mitigation *row, const char *name, bool immune, bool active,
                    enum skep_mitigation_state otherwise)
{
    __builtin_memset(row, 0, sizeof(*row));
    for (uint32_t i = 0; name[i] && i + 1 < sizeof(row->name); i++) {
        row->name[i] = name[i];
    }
    row->state = active ? SKEP_MITIGATION_ACTIVE : immune ? SKEP_MITIGATION_NOT_NEEDED : otherwise;
}

/* Without the CPU's word for it, nobody can tell what an emulator or an old CPU does. Page-table entries that aren't
 * present hold no addresses, which is the remedy for L1TF. */
void flaws_table(const struct cpu_flaws *f, bool pti, struct skep_mitigation rows[FLAWS_ROWS])
{
    const enum skep_mitigation_state unknown = SKEP_MITIGATION_UNKNOWN;

    row_set(&rows[0], "meltdown (PTI)", f->rdcl_no, pti, SKEP_MITIGATION_OFF);
    row_set(&rows[1], f->retpoline ? "spectre-v2 (retpoline)" : "spectre-v2 (IBRS)", false,
            f->retpoline || f->ibrs_all || f->auto_ibrs, unknown);
    row_set(&rows[2], "spectre-v2 (IBPB)", false, f->ibpb, unknown);
    row_set(&rows[3], "spectre-v4 (SSBD)", f->ssb_no, f->ssbd, unknown);
    row_set(&rows[4], "l1tf (empty entries)", f->rdcl_no, !f->rdcl_no, unknown);
    row_set(&rows[5], "mds (VERW)", f->mds_no, f->verw && !f->mds_no, unknown);
    row_set(&rows[6], "taa (VERW)", f->taa_no, f->verw && !f->taa_no, unknown);
    row_set(&rows[7], "x87 pointers (FILD)", !f->x87_leak, f->x87_leak, unknown);
}
