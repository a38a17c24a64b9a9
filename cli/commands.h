/* commands.h - what the commands of the table do; each returns an exit code. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "call.h"

int login(const struct call *call);
int context_list(const struct call *call);
int context_use(const struct call *call);
int context_remove(const struct call *call);

int host_show(const struct call *call);
int host_panic(const struct call *call);
int host_reboot(const struct call *call);
int host_shutdown(const struct call *call);
int disk_list(const struct call *call);
int disk_format(const struct call *call);

int image_push(const struct call *call);
int image_set(const struct call *call);
int image_list(const struct call *call);
int image_remove(const struct call *call);

int guest_run(const struct call *call);
int guest_list(const struct call *call);
int guest_inspect(const struct call *call);
int guest_logs(const struct call *call);
int guest_console(const struct call *call);
int guest_set(const struct call *call);
int guest_vcpus(const struct call *call);
int guest_trace(const struct call *call);
int guest_top(const struct call *call);
int guest_start(const struct call *call);
int guest_stop(const struct call *call);
int guest_pause(const struct call *call);
int guest_resume(const struct call *call);
int guest_restart(const struct call *call);
int guest_remove(const struct call *call);

int volume_create(const struct call *call);
int volume_set(const struct call *call);
int volume_list(const struct call *call);
int volume_remove(const struct call *call);
int volume_resize(const struct call *call);
int volume_snapshot(const struct call *call);
int volume_clone(const struct call *call);
int volume_copy(const struct call *call);
int volume_export(const struct call *call);
int volume_import(const struct call *call);

int operation_list(const struct call *call);
int operation_wait(const struct call *call);
int operation_cancel(const struct call *call);

int app_list(const struct call *call);
int app_inspect(const struct call *call);
int app_remove(const struct call *call);

int document_apply(const struct call *call);
int document_diff(const struct call *call);

int cert_show(const struct call *call);
int cert_install(const struct call *call);
int cert_request(const struct call *call);
int cert_renew(const struct call *call);

int caller_show(const struct call *call);
int token_list(const struct call *call);
int token_create(const struct call *call);
int token_set(const struct call *call);
int token_rotate(const struct call *call);
int token_remove(const struct call *call);

int client_list(const struct call *call);
int client_add(const struct call *call);
int client_set(const struct call *call);
int client_remove(const struct call *call);

int metrics_show(const struct call *call);
int events_show(const struct call *call);
int audit_show(const struct call *call);
int crash_show(const struct call *call);
int backup_save(const struct call *call);
int backup_restore(const struct call *call);
int complete(const struct call *call);

/* For each operand; the first bad code of them. */
int each_operand(const struct call *call, int (*act)(const struct call *call, const char *name));
int each_delete(const struct call *call, const char *kind);
int each_inspect(const struct call *call, const char *kind); /* shows all that is known */

#endif
