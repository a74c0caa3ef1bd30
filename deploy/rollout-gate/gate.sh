#!/bin/sh
# Waits for edrwatch's verdict on a version before a deployment goes on to the
# next ring: ends with 0 for continue, 10 for hold (also when the time is over)
# and 11 for rollback; 2 when the gateway cannot be asked.
#
#   gate.sh PRODUCT VERSION [further options of edrwatch rollout verdict]
#
# EDRWATCH_SERVER names the gateway, EDRWATCH_TOKEN is sent as bearer token to a
# proxy in front of it, GATE_TIMEOUT (default 4h) is how long to wait.
set -eu
[ $# -ge 2 ] || { echo "usage: gate.sh PRODUCT VERSION [--kind sensor|content] [--channel CHANNEL]" >&2; exit 2; }
product=$1 version=$2
shift 2
code=0
"${EDRWATCH:-edrwatch}" rollout verdict "$product" "$version" --wait --timeout "${GATE_TIMEOUT:-4h}" "$@" || code=$?
if [ "$code" -eq 11 ]; then
    # The report goes into the job's log: why, who is harmed, since when.
    "${EDRWATCH:-edrwatch}" rollout show "$product" "$version" "$@" || true
fi
exit "$code"
