#!/bin/sh
# Records the demo: the build of a small program in C, and its test, which crashes.
#
#     demo/record.sh target/release/proc-connector
#
# Needs root, make, cc, tshark and editcap. The recorder lists all processes of this machine, with their
# arguments, in packets without events (32 bytes), which tshark leaves out.
set -eu
program=$(realpath "$1")
source=$(realpath "$(dirname "$0")")
work=/tmp/hello
mkdir "$work"
cp "$source"/src/* "$work"
cd "$work"
mkfifo start
sh -c 'read go <start; exec make -j2 test' &
build=$!
"$program" record /tmp/hello.pcapng --transport ring --tree $build 2>record.log &
recorder=$!
until [ -s /tmp/hello.pcapng ]; do sleep 0.1; done
sleep 1
echo go >start
wait $build
sleep 1
kill -TERM $recorder
wait $recorder
cat record.log
tshark -r /tmp/hello.pcapng -Y 'frame.len != 32' -w events.pcapng
editcap --discard-capture-comment events.pcapng "$source/build.pcapng"
rm -r "$work" /tmp/hello.pcapng
