# Runs "$@" for as long as standard input stays open, and ends with its status.
#
# Standard input is a pipe that nobody writes to and whose other end only the owner holds: the kernel closes it however the owner
# ends, kill -9 included. The program's output goes to standard error.

# The owner decides when the program ends; whoever signals its process group does not.
trap '' INT TERM HUP
exec 3<&0 </dev/null

"$@" >&2 3<&- &
program=$!

(
    while read -r line <&3; do :; done
    # More than once: a program that has only just been started still ignores the signal, as the shell's background jobs do.
    while kill -INT "$program" 2>/dev/null; do
        sleep 1 >/dev/null 2>&1 3<&-
    done
) &
watcher=$!
exec 3<&-

wait "$program"
status=$?
kill -KILL "$watcher" 2>/dev/null
exit "$status"
