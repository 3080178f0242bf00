# Runs "$@" for as long as standard input stays open, and exits with its status.
#
# Standard input is a pipe to which nothing is written. Only the owner holds its other end, so the kernel closes it when
# the owner ends, kill -9 included. The program's output goes to standard error.

# The owner decides when the program ends. Signals to its process group are ignored.
trap '' INT TERM HUP
exec 3<&0 </dev/null

"$@" >&2 3<&- &
program=$!

# Every process that PostgreSQL starts has its own process group, so the parent is the only way to find them.
children() {
    cat "/proc/$program/task/$program/children" 2>/dev/null || pgrep -P "$program" 2>/dev/null
}

(
    while read -r line <&3; do :; done
    # The signal is sent repeatedly: a program that has only just been started still ignores it, as background jobs of
    # the shell do.
    #
    # A fast shutdown (INT) waits for sessions to end. Some functions of PostgreSQL prevent that, since they do not
    # check for interrupts. An immediate shutdown (QUIT) ends them nevertheless, and the next start recovers. A server
    # that still hangs is killed in the end.
    seconds=0
    while kill -0 "$program" 2>/dev/null; do
        if [ "$seconds" -lt 10 ]; then
            kill -INT "$program" 2>/dev/null
        elif [ "$seconds" -lt 20 ]; then
            kill -QUIT "$program" 2>/dev/null
        else
            # The parent comes last: until then it identifies its children.
            # shellcheck disable=SC2046 # one argument for each
            kill -KILL $(children) "$program" 2>/dev/null
        fi
        sleep 1 >/dev/null 2>&1 3<&-
        seconds=$((seconds + 1))
    done
) &
watcher=$!
exec 3<&-

wait "$program"
status=$?
kill -KILL "$watcher" 2>/dev/null
exit "$status"
