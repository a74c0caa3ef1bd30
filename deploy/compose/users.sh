#!/usr/bin/env bash
# Makes the users of Kibana and edrwatch in Elasticsearch. Safe to run again.
set -euo pipefail

# The password goes through standard input: arguments can be seen by others.
call() { # method, path, body
	curl --silent --show-error --fail-with-body --config - --request "$1" "http://elasticsearch:9200$2" \
		--header 'Content-Type: application/json' --data "$3" <<<"user = \"elastic:$ELASTIC_PASSWORD\""
	echo
}

call POST /_security/user/kibana_system/_password "{\"password\": \"$KIBANA_PASSWORD\"}"
call PUT /_security/role/edrwatch '{
  "cluster": ["monitor"],
  "indices": [
    {"names": ["logs-edr.*", "metrics-edr.*"], "privileges": ["auto_configure", "create_doc"]},
    {"names": ["edr-agents-latest-*", "edr-alerts-latest-*"], "privileges": ["index"]}
  ]
}'
call PUT /_security/user/edrwatch "{\"password\": \"$EDRWATCH_PASSWORD\", \"roles\": [\"edrwatch\"]}"
