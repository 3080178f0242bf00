# Runs "$@" for as long as standard input stays open, and ends with its status.
#
# Standard input is a pipe that nobody writes to and whose other end only the owner holds: the kernel closes it however the owner
# ends, kill -9 included. The program's output goes to standard error.

# The owner decides when the program ends; whoever signals its process group does not.
trap '' INT TERM HUP
exec 3<&0 </dev/null

"$@" >&2 3<&- &
program=$!

# Every process that PostgreSQL has started has a group of its own, so that they are known by their parent alone.
children() {
    cat "/proc/$program/task/$program/children" 2>/dev/null || pgrep -P "$program" 2>/dev/null
}

(
    while read -r line <&3; do :; done
    # More than once: a program that has only just been started still ignores the signal, as the shell's background jobs do.
    #
    # A fast shutdown (INT) waits for sessions to end, which some functions of PostgreSQL prevent: they do not look for
    # interrupts. An immediate one (QUIT) ends them all the same, and the next start recovers. What hangs is killed at last.
    seconds=0
    while kill -0 "$program" 2>/dev/null; do
        if [ "$seconds" -lt 10 ]; then
            kill -INT "$program" 2>/dev/null
        elif [ "$seconds" -lt 20 ]; then
            kill -QUIT "$program" 2>/dev/null
        else
            # The parent last, so that it is known until then whose children they are.
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
