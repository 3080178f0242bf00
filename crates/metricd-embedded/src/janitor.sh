# Removes the folder "$1" once standard input is closed, that is once everybody who holds the other end of the pipe has ended.
trap '' INT TERM HUP
while read -r line; do :; done
rm -rf -- "$1"
