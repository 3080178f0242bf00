# Removes the folder "$1" when standard input is closed, which is when every process with the other end of the pipe has
# ended.
trap '' INT TERM HUP
while read -r line; do :; done
rm -rf -- "$1"
