/* api_audit.c - the handler for the audit trail. */
#include "api.h"
#include "audit.h"

int api_audit(struct request *r)
{
    uint64_t after = 0, limit = AUDIT_PAGE_MAX;

    if (api_query_number(r, "after", 0, UINT64_MAX, &after) != 0 ||
        api_query_number(r, "limit", 1, UINT64_MAX, &limit) != 0)
        return -1;
    r->json = audit_to_json(after, limit < AUDIT_PAGE_MAX ? (uint32_t)limit : AUDIT_PAGE_MAX);
    return 200;
}
