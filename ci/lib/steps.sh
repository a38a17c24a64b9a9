# Steps with a name, a clock and a log file: sourced by ci/demo and ci/test.
#
#   steps_begin NAME             the log becomes build-logs/NAME.log
#   step TITLE COMMAND…          runs quietly; shows the end of the log if it fails
#   step_shown TITLE COMMAND…    the same with the output on the terminal as well
# Both return the command's exit code.

steps_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

steps_begin() {
    steps_log=$steps_root/build-logs/$1.log
    mkdir -p "${steps_log%/*}"
    : >"$steps_log"
}

# Says how long a step has been running: each second on a terminal, else twice a minute.
steps_progress() {
    local title=$1 from=$2 seconds=0 last
    while sleep 1; do
        seconds=$((seconds + 1))
        if [ -t 1 ]; then
            last=$(tail -c +$((from + 1)) "$steps_log" | tail -n 1 | tr -d '\r' | cut -c 1-60)
            printf '\r\e[K%s … %d s  %s' "$title" "$seconds" "$last"
        elif [ $((seconds % 30)) = 0 ]; then
            printf '%s … %d s\n' "$title" "$seconds"
        fi
    done
}

steps_report() {
    local title=$1 code=$2 seconds=$3
    [ ! -t 1 ] || printf '\r\e[K'
    if [ "$code" = 0 ]; then
        printf '%-40s ok      %4d s\n' "$title" "$seconds"
    else
        printf '%-40s FAILED  %4d s\n' "$title" "$seconds"
    fi
}

step() {
    local title=$1 begin=$SECONDS from code=0 ticker
    shift
    from=$(stat -c %s "$steps_log")
    printf '== %s: %s\n' "$title" "$*" >>"$steps_log"
    steps_progress "$title" "$from" &
    ticker=$!
    "$@" </dev/null >>"$steps_log" 2>&1 || code=$?
    kill "$ticker"
    wait "$ticker" 2>/dev/null || true
    steps_report "$title" "$code" $((SECONDS - begin))
    if [ "$code" != 0 ]; then
        tail -c +$((from + 1)) "$steps_log" | tail -n 40 | sed 's/^/    /'
        echo "The whole log: $steps_log"
    fi
    return "$code"
}

step_shown() {
    local title=$1 begin=$SECONDS code=0
    shift
    printf '%s\n' "$title …"
    printf '== %s: %s\n' "$title" "$*" >>"$steps_log"
    "$@" </dev/null 2>&1 | tee -a "$steps_log"
    code=${PIPESTATUS[0]}
    steps_report "$title" "$code" $((SECONDS - begin))
    return "$code"
}

# Configures a preset once; cmake itself notices later changes.
configure() {
    local folder=$1 preset=$2
    [ -f "$steps_root/$folder/build.ninja" ] || cmake --preset "$preset"
}

# More arguments are cmake's: --target NAME.
build() {
    local folder=$1 preset=$2
    configure "$folder" "$preset" && cmake --build --preset "$preset" --parallel "$(nproc)" "${@:3}"
}
