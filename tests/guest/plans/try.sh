# What plans share: `try COMMAND...` runs a command, says how long it took, and remembers a failure;
# the plan ends with `exit $failed`.
failed=0
try() {
    echo "== $*"
    started=$(date +%s)
    "$@" || {
        echo "== FAILED with status $?"
        failed=1
    }
    echo "== took $(($(date +%s) - started)) s"
}
refused() {
    if "$@"; then return 1; fi
}
# An emulated processor is some twenty times slower than a real one.
tests() {
    try pytest -q -p no:cacheprovider --color no --timeout 1800 "$@"
}
no_group_left() {
    left=$(find /sys/fs/cgroup -name 'plum-[0-9]*')
    echo "control groups left: ${left:-none}"
    test -z "$left"
}
uname -sr
echo "controllers of cgroup v2: $(cat /sys/fs/cgroup/cgroup.controllers)"
id
