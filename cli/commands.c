/* commands.c - the table of commands: what parses, explains and completes them. */
#include "commands.h"

#define END                 \
    {                       \
        NULL, 0, NULL, NULL \
    }
#define ANY (-1)

static const struct command_option login_options[] = {
    {"name", 'n', "NAME", "of the context; HOST[:PORT] if not given"},
    {"fingerprint", 'f', "SHA256", "trusts the certificate of this fingerprint, without asking"},
    {"token-stdin", 't', NULL, "reads the token from standard input"},
    {"certificate", 0, "FILE", "this client certificate, PEM, instead of a token"},
    {"key", 'k', "FILE", "its private key, PEM; in the certificate's file if not given"},
    {"yes", 'y', NULL, "trusts whatever certificate there is"},
    END,
};
static const struct command_option grace_options[] = {
    {"grace-ms", 'g', "N", "ends guests after so many milliseconds, if not sooner"},
    END,
};
static const struct command_option format_options[] = {
    {"yes", 'y', NULL, "doesn't ask"},
    {"force", 0, NULL, "also a disk that is Skep's already"},
    END,
};
static const struct command_option run_options[] = {
    {"name", 'n', "NAME", "of the guest; the image's if not given"},
    {"memory", 'm', "SIZE", "what it may use, 4M for instance; 16M if not given"},
    {"vcpus", 0, "N", "how many vCPUs"},
    {"max-vcpus", 0, "N", "how many it may be given while it runs; as --vcpus if not given"},
    {"weight", 'w', "N", "its share of CPU time against others, 1 to 10000"},
    {"cap", 0, "PERCENT", "the most CPU time, in percent of one CPU; 0 = no limit"},
    {"address", 'a', "A.B.C.D/LENGTH", "its address, or dhcp; without it there is no network"},
    {"gateway", 'g', "A.B.C.D", "where the other networks are"},
    {"address6", '6', "ADDRESS/64", "its IPv6 address, or auto; without it there is no IPv6"},
    {"gateway6", 0, "ADDRESS", "where the other networks of IPv6 are"},
    {"dns", 0, "ADDRESS", "the name server, A.B.C.D or of IPv6"},
    {"mac", 0, "MAC", "of its network device; made of its name if not given"},
    {"env", 'e', "NAME=VALUE", "of its environment; repeatable"},
    {"label", 'l', "NAME=VALUE", "a label of its; repeatable"},
    {"volume", 'v', "NAME[:/MOUNT][:ro][:format]", "a volume for it; repeatable"},
    {"file", 0, "/PATH=FILE", "a file for it, read here; repeatable"},
    {"secret", 0, "/PATH=FILE", "one whose content is shown to nobody; repeatable"},
    {"start-after", 0, "NAME", "a guest that must be up before; repeatable"},
    {"restart", 0, "POLICY", "never, on-failure or always"},
    {"follow", 'f', NULL, "shows what it prints until it ends"},
    {"replace", 0, NULL, "also a guest of this name that is there"},
    {"no-wait", 0, NULL, "doesn't wait until it is up"},
    END,
};
static const struct command_option list_options[] = {
    {"label", 'l', "NAME=VALUE", "only those that have this label; repeatable"},
    END,
};
static const struct command_option logs_options[] = {
    {"follow", 'f', NULL, "goes on until the guest ends, or Ctrl-C"},
    {"offset", 0, "N", "from this byte on"},
    END,
};
static const struct command_option console_options[] = {
    {"detach-keys", 0, "KEYS", "what leaves it on a terminal; ctrl-p,ctrl-q if not given"},
    {"line", 'l', NULL, "leaves the terminal as it is: lines, echo, and Ctrl-C to leave"},
    {"no-stdin", 0, NULL, "only looks on"},
    {"offset", 0, "N", "shows what was printed from this byte on"},
    END,
};
static const struct command_option label_options[] = {
    {"label", 'l', "NAME=VALUE", "a label to have, whatever its value was; repeatable"},
    {"unlabel", 0, "NAME", "a label to have no more; repeatable"},
    END,
};
static const struct command_option set_options[] = {
    {"memory", 'm', "SIZE", "what it may use"},
    {"vcpus", 0, "N", "how many vCPUs, up to its max_vcpus"},
    {"weight", 'w', "N", "its share of CPU time against others, 1 to 10000"},
    {"cap", 0, "PERCENT", "the most CPU time, in percent of one CPU; 0 = no limit"},
    {"label", 'l', "NAME=VALUE", "a label to have, whatever its value was; repeatable"},
    {"unlabel", 0, "NAME", "a label to have no more; repeatable"},
    END,
};
static const struct command_option top_options[] = {
    {"delay-ms", 'd', "N", "between two looks; 2000 if not given"},
    {"rounds", 'n', "N", "ends after so many; one if this is no terminal"},
    END,
};
static const struct command_option wait_options[] = {
    {"timeout", 't', "SECONDS", "waits so long; 60 if not given"},
    {"no-wait", 0, NULL, "doesn't wait"},
    END,
};
static const struct command_option create_options[] = {
    {"label", 'l', "NAME=VALUE", "a label of its; repeatable"},
    {"disk", 'd', "ID", "the disk; needed if there are several"},
    {"iops", 0, "N", "the most requests a second; 0 = no limit"},
    {"bytes-per-second", 0, "SIZE", "the most bytes a second; 0 = no limit"},
    {"overcommit", 0, NULL, "may be larger than what is not promised yet"},
    END,
};
static const struct command_option labelled_options[] = {
    {"label", 'l', "NAME=VALUE", "a label of its; repeatable"},
    END,
};
static const struct command_option copy_options[] = {
    {"label", 'l', "NAME=VALUE", "a label of its; repeatable"},
    {"disk", 'd', "ID", "the copy's disk; otherwise the source's"},
    {"iops", 0, "N", "the most requests a second; 0 = no limit"},
    {"bytes-per-second", 0, "SIZE", "the most bytes a second; 0 = no limit"},
    {"overcommit", 0, NULL, "may be larger than what is not promised yet"},
    END,
};
static const struct command_option resize_options[] = {
    {"overcommit", 0, NULL, "may be larger than what is not promised yet"},
    END,
};
static const struct command_option import_options[] = {
    {"create", 0, NULL, "makes the volume, as large as the file"},
    END,
};
static const struct command_option document_options[] = {
    {"file", 'f', "FILE", "the document; - is standard input"},
    END,
};
static const struct command_option audit_options[] = {
    {"after", 0, "ID", "begins behind this record"},
    {"limit", 0, "N", "at most so many; 200 if not given"},
    END,
};
static const struct command_option backup_options[] = {
    {"images", 0, NULL, "with the files of the images"},
    {"passphrase-file", 'p', "FILE", "its first line is the passphrase; - is standard input"},
    END,
};
static const struct command_option restore_options[] = {
    {"replace", 0, NULL, "where there are guests already: the machine reboots for it"},
    {"identity", 0, NULL, "also the key, certificate and token"},
    {"passphrase-file", 'p', "FILE", "its first line is the passphrase; - is standard input"},
    END,
};

static const struct command_option cert_options[] = {
    {"pem", 0, NULL, "prints the certificate itself"},
    END,
};
static const struct command_option install_options[] = {
    {"key", 'k', "FILE",
     "its private key, PEM; without it, the key in use or of the latest request"},
    END,
};
static const struct command_option request_options[] = {
    {"new-key", 0, NULL, "for a fresh key, which waits for its certificate"},
    END,
};
static const struct command_option events_options[] = {
    {"kind", 'k', "KIND",
     "guests, images, volumes, apps, disks, tokens, client-certificates or host"},
    {"name", 'n', "NAME", "of what has this name"},
    {"prefix", 0, "TEXT", "of what has a name that begins so"},
    {"after", 0, "ID", "behind this event"},
    {"count", 0, "N", "ends after so many"},
    END,
};

static const struct command_option access_options[] = {
    {"role", 'r', "ROLE", "admin, operator or viewer"},
    {"prefix", 'p', "TEXT", "sees only guests and volumes whose names begin so"},
    {"guests", 0, "N", "the most guests of the prefix"},
    {"vcpus", 0, "N", "the most vCPUs of these together"},
    {"memory", 'm', "SIZE", "the most memory of these together"},
    {"volumes", 0, "SIZE", "the most bytes of volumes of the prefix"},
    {"expires", 0, "MOMENT", "when it ends, as 2026-01-31T00:00:00Z"},
    END,
};

const struct command commands[] = {
    {"login", "https://HOST[:PORT]", 1, 1, OPERAND_NONE, true, login,
     "gets to know a Skep, and makes it the current context",
     "skepctl login https://10.0.2.15 --name lab", login_options},
    {"context ls", "", 0, 0, OPERAND_NONE, true, context_list, "lists the Skeps that are known",
     "skepctl context ls", NULL},
    {"context use", "NAME", 1, 1, OPERAND_CONTEXT, true, context_use, "makes another one current",
     "skepctl context use lab", NULL},
    {"context rm", "NAME", 1, 1, OPERAND_CONTEXT, true, context_remove,
     "forgets one, and its token", "skepctl context rm lab", NULL},

    {"host", "", 0, 0, OPERAND_NONE, false, host_show, "shows the machine", "skepctl host", NULL},
    {"host panic", "", 0, 0, OPERAND_NONE, false, host_panic, "shows the log of the last panic",
     "skepctl host panic", NULL},
    {"host reboot", "", 0, 0, OPERAND_NONE, false, host_reboot,
     "ends all guests, and boots the machine anew", "skepctl host reboot --grace-ms 5000",
     grace_options},
    {"host shutdown", "", 0, 0, OPERAND_NONE, false, host_shutdown,
     "ends all guests, and switches the machine off", "skepctl host shutdown", grace_options},

    {"image push", "FILE [NAME]", 1, 2, OPERAND_FILE, false, image_push,
     "uploads an image, unless it is there", "skepctl image push build/examples/httpd.elf",
     labelled_options},
    {"image ls", "", 0, 0, OPERAND_NONE, false, image_list, "lists images",
     "skepctl image ls --label team=edge", list_options},
    {"image set", "NAME…", 1, ANY, OPERAND_IMAGE, false, image_set, "changes labels of images",
     "skepctl image set httpd --label team=edge", label_options},
    {"image rm", "NAME…", 1, ANY, OPERAND_IMAGE, false, image_remove, "deletes images",
     "skepctl image rm httpd", NULL},

    {"run", "IMAGE|FILE.elf [-- ARGUMENT…]", 1, ANY, OPERAND_IMAGE, false, guest_run,
     "creates a guest, and waits until it is up",
     "skepctl run httpd.elf -n web -m 4M -a 10.0.2.20/24 -g 10.0.2.2", run_options},
    {"ps", "", 0, 0, OPERAND_NONE, false, guest_list, "lists guests",
     "skepctl ps --label team=edge", list_options},
    {"inspect", "NAME…", 1, ANY, OPERAND_GUEST, false, guest_inspect,
     "shows all that is known of guests", "skepctl inspect web", NULL},
    {"logs", "NAME", 1, 1, OPERAND_GUEST, false, guest_logs, "shows what a guest printed",
     "skepctl logs -f web", logs_options},
    {"console", "NAME", 1, 1, OPERAND_GUEST, false, guest_console,
     "shows what a guest prints, and passes on what is typed", "skepctl console web",
     console_options},
    {"set", "NAME…", 1, ANY, OPERAND_GUEST, false, guest_set,
     "changes what guests may use, and their labels, while they run",
     "skepctl set web --memory 8M --weight 200", set_options},
    {"vcpus", "NAME", 1, 1, OPERAND_GUEST, false, guest_vcpus,
     "shows what each vCPU of a guest did", "skepctl vcpus web", NULL},
    {"trace", "NAME", 1, 1, OPERAND_GUEST, false, guest_trace, "shows what a guest did lately",
     "skepctl trace web", NULL},
    {"top", "", 0, 0, OPERAND_NONE, false, guest_top, "shows what guests use",
     "skepctl top --delay-ms 1000", top_options},
    {"start", "NAME…", 1, ANY, OPERAND_GUEST, false, guest_start,
     "starts guests, those that ended anew", "skepctl start web", NULL},
    {"stop", "NAME…", 1, ANY, OPERAND_GUEST, false, guest_stop,
     "stops guests, each after its grace", "skepctl stop web db", wait_options},
    {"pause", "NAME…", 1, ANY, OPERAND_GUEST, false, guest_pause, "holds guests",
     "skepctl pause web", NULL},
    {"resume", "NAME…", 1, ANY, OPERAND_GUEST, false, guest_resume, "lets paused guests go on",
     "skepctl resume web", NULL},
    {"restart", "NAME…", 1, ANY, OPERAND_GUEST, false, guest_restart,
     "ends guests, each after its grace, and starts them anew", "skepctl restart web", NULL},
    {"rm", "NAME…", 1, ANY, OPERAND_GUEST, false, guest_remove, "ends and deletes guests",
     "skepctl rm web", wait_options},

    {"volume create", "NAME SIZE", 2, 2, OPERAND_NONE, false, volume_create, "makes a volume",
     "skepctl volume create db 64M", create_options},
    {"volume ls", "", 0, 0, OPERAND_NONE, false, volume_list, "lists volumes and snapshots",
     "skepctl volume ls --label team=edge", list_options},
    {"volume set", "NAME…", 1, ANY, OPERAND_VOLUME, false, volume_set, "changes labels of volumes",
     "skepctl volume set db --label team=edge --unlabel tier", label_options},
    {"volume rm", "NAME…", 1, ANY, OPERAND_VOLUME, false, volume_remove,
     "deletes volumes and their data", "skepctl volume rm db", NULL},
    {"volume resize", "NAME SIZE", 2, 2, OPERAND_VOLUME, false, volume_resize,
     "makes a volume larger", "skepctl volume resize db 128M", resize_options},
    {"volume snapshot", "NAME SNAPSHOT", 2, 2, OPERAND_VOLUME, false, volume_snapshot,
     "makes a copy that stays as it is", "skepctl volume snapshot db db-monday", labelled_options},
    {"volume clone", "NAME CLONE", 2, 2, OPERAND_VOLUME, false, volume_clone,
     "makes a copy that can be written", "skepctl volume clone db-monday db-test",
     labelled_options},
    {"volume copy", "NAME COPY", 2, 2, OPERAND_VOLUME, false, volume_copy,
     "makes a copy that shares nothing, also on another disk",
     "skepctl volume copy db db-copy --disk 1", copy_options},
    {"volume export", "NAME FILE", 2, 2, OPERAND_VOLUME, false, volume_export,
     "writes a volume's data to a file, - is standard output",
     "skepctl volume export db-monday db.img", NULL},
    {"volume import", "NAME FILE", 2, 2, OPERAND_VOLUME, false, volume_import,
     "writes a file to a volume, all of it", "skepctl volume import db db.img --create",
     import_options},

    {"disk ls", "", 0, 0, OPERAND_NONE, false, disk_list, "lists the machine's disks",
     "skepctl disk ls", NULL},
    {"disk format", "ID", 1, 1, OPERAND_DISK, false, disk_format,
     "formats a disk for volumes: all data on it are lost", "skepctl disk format 0",
     format_options},

    {"operation ls", "", 0, 0, OPERAND_NONE, false, operation_list, "lists the latest copies",
     "skepctl operation ls", NULL},
    {"operation wait", "ID", 1, 1, OPERAND_OPERATION, false, operation_wait,
     "waits for the end of a copy", "skepctl operation wait 5be2d1a80f4c7e93", NULL},
    {"operation cancel", "ID…", 1, ANY, OPERAND_OPERATION, false, operation_cancel,
     "cancels copies", "skepctl operation cancel 5be2d1a80f4c7e93", NULL},

    {"app ls", "", 0, 0, OPERAND_NONE, false, app_list, "lists apps", "skepctl app ls",
     list_options},
    {"app inspect", "NAME…", 1, ANY, OPERAND_APP, false, app_inspect,
     "shows all that is known of apps", "skepctl app inspect shop", NULL},
    {"app rm", "NAME…", 1, ANY, OPERAND_APP, false, app_remove,
     "deletes apps, their guests and the volumes that they don't keep", "skepctl app rm shop",
     NULL},

    {"apply", "", 0, 0, OPERAND_NONE, false, document_apply,
     "makes images, volumes, guests and apps as a document has them", "skepctl apply -f site.json",
     document_options},
    {"diff", "", 0, 0, OPERAND_NONE, false, document_diff,
     "shows what apply would change; exit code 1 if anything", "skepctl diff -f site.json",
     document_options},

    {"cert", "", 0, 0, OPERAND_NONE, false, cert_show, "shows the certificate that Skep has",
     "skepctl cert", cert_options},
    {"cert install", "CHAIN", 1, 1, OPERAND_FILE, false, cert_install,
     "installs another certificate, and pins its key",
     "skepctl cert install chain.pem --key key.pem", install_options},
    {"cert request", "NAME…", 1, ANY, OPERAND_NONE, false, cert_request,
     "prints a request that an authority can sign", "skepctl cert request skep.example --new-key",
     request_options},
    {"cert renew", "[NAME…]", 0, ANY, OPERAND_NONE, false, cert_renew,
     "makes a new key and a self-signed certificate, and pins that key", "skepctl cert renew",
     NULL},

    {"whoami", "", 0, 0, OPERAND_NONE, false, caller_show,
     "shows whose token it is, and what that one may do", "skepctl whoami", NULL},
    {"token ls", "", 0, 0, OPERAND_NONE, false, token_list, "lists tokens and what they may do",
     "skepctl token ls", NULL},
    {"token create", "NAME", 1, 1, OPERAND_NONE, false, token_create,
     "makes a token, and prints its secret, once",
     "skepctl token create ci-bot --role operator --prefix ci- --memory 256M", access_options},
    {"token set", "NAME", 1, 1, OPERAND_TOKEN, false, token_set,
     "changes what a token may do: what isn't said goes",
     "skepctl token set ci-bot --role viewer --prefix ci-", access_options},
    {"token rotate", "NAME", 1, 1, OPERAND_TOKEN, false, token_rotate,
     "gives a token a new secret, and prints that", "skepctl token rotate ci-bot", NULL},
    {"token rm", "NAME…", 1, ANY, OPERAND_TOKEN, false, token_remove, "revokes tokens",
     "skepctl token rm ci-bot", NULL},

    {"client ls", "", 0, 0, OPERAND_NONE, false, client_list,
     "lists client certificates and what they may do", "skepctl client ls", NULL},
    {"client add", "NAME CERTIFICATE", 2, 2, OPERAND_FILE, false, client_add,
     "lets whoever has this certificate's key in",
     "skepctl client add robot robot.pem --role viewer", access_options},
    {"client set", "NAME [CERTIFICATE]", 1, 2, OPERAND_CLIENT, false, client_set,
     "changes what a client certificate may do: what isn't said goes",
     "skepctl client set robot --role operator --prefix ci-", access_options},
    {"client rm", "NAME…", 1, ANY, OPERAND_CLIENT, false, client_remove,
     "revokes client certificates", "skepctl client rm robot", NULL},

    {"metrics", "", 0, 0, OPERAND_NONE, false, metrics_show,
     "prints counters and gauges for Prometheus", "skepctl metrics", NULL},
    {"events", "", 0, 0, OPERAND_NONE, false, events_show,
     "shows what changes, as it does, until Ctrl-C", "skepctl events --kind guests",
     events_options},
    {"audit", "[ID]", 0, 1, OPERAND_NONE, false, audit_show,
     "shows what was changed by whom, or of one change all values", "skepctl audit --after 41",
     audit_options},
    {"crashes", "[ID]", 0, 1, OPERAND_NONE, false, crash_show,
     "lists the latest crashes, or shows one", "skepctl crashes 7", NULL},
    {"backup", "FILE", 1, 1, OPERAND_FILE, false, backup_save,
     "saves the configuration, sealed by a passphrase", "skepctl backup skep.backup --images",
     backup_options},
    {"restore", "FILE", 1, 1, OPERAND_FILE, false, backup_restore, "restores what backup saved",
     "skepctl restore skep.backup", restore_options},

    {"complete", "WORD…", 0, ANY, OPERAND_NONE, true, complete,
     "prints what the last word may become, for shells", "skepctl complete -- image p", NULL},
    {NULL, NULL, 0, 0, OPERAND_NONE, false, NULL, NULL, NULL, NULL},
};
