// What a page shows before the first record has come.

import { h } from "./dom.js";

const example = (topic, server) => `kcat -P -b ${server} -t ${topic} <<END
{"event_simpleName":"SensorHeartbeat","aid":"0123456789abcdef0123456789abcdef","cid":"fedcba9876543210fedcba9876543210","ComputerName":"PC-1","event_platform":"Win","timestamp":"$(date +%s000)"}
END`;

export function waiting(status) {
  const gateway = status?.gateway;
  return h("section", { class: "card waiting" },
    h("h2", null, "Waiting for records"),
    h("p", { class: "soft" }, gateway?.input ? `edrwatch reads ${gateway.input}. Nothing has arrived yet.` : "Nothing has arrived yet."),
    h("p", null, "Any Kafka client can send one. With kcat, a CrowdStrike heartbeat is:"),
    h("pre", { class: "code" }, gateway?.example || example("edr.crowdstrike.fdr", "127.0.0.1:19092")),
    h("p", { class: "soft" }, "This page fills by itself as soon as a record is stored. To see edrwatch at work at once, stop it and run:"),
    h("pre", { class: "code" }, "edrwatch demo"));
}

export const isEmpty = (status) => Object.values(status.store.documents).every((n) => n === 0);
