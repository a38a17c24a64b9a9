# Completes skepctl's command lines: it knows them itself, and asks Skep for names.
_skepctl() {
    local IFS=$'\n'
    COMPREPLY=($(skepctl complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _skepctl skepctl
