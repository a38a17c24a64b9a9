/* app.c - apps: ls, inspect, rm. They are made by documents (document.c). */
#include "api.h"
#include "commands.h"
#include "table.h"

static void print_apps(const cJSON *list)
{
    const cJSON *app;
    struct table t;

    table_begin(&t, "NAME\t*STATE\t>GUESTS\t>VOLUMES\tERROR");
    cJSON_ArrayForEach(app, value_at(list, "items"))
    {
        table_add(&t, "%s\t%s\t%d\t%d\t%s", value_text(app, "name", "?"),
                  value_text(app, "status.state", "?"),
                  cJSON_GetArraySize(value_at(app, "status.guests")),
                  cJSON_GetArraySize(value_at(app, "status.volumes")),
                  value_text(app, "status.error", "-"));
    }
    table_end(&t);
}

int app_list(const struct call *call)
{
    return api_show_labelled(call, "/v1/apps", print_apps);
}

int app_inspect(const struct call *call)
{
    return each_inspect(call, "apps");
}

int app_remove(const struct call *call)
{
    return each_delete(call, "apps");
}
