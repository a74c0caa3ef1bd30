// The JSON API. Every answer that is not a success becomes an ApiError.

export class ApiError extends Error {
  constructor(message, parameter, position) {
    super(message);
    this.parameter = parameter;
    this.position = position;
  }
}

/** get asks /api/v1/<path>; parameters without a value are left out. */
export async function get(path, parameters, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters ?? {})) {
    if (value !== undefined && value !== null && value !== "" && value !== false) query.set(name, value);
  }
  const text = query.toString();
  let response;
  try {
    response = await fetch(`api/v1/${path}${text ? `?${text}` : ""}`, { signal, headers: { Accept: "application/json" } });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new ApiError("edrwatch does not answer; the console tries again");
  }
  let body;
  try {
    body = await response.json();
  } catch {
    throw new ApiError(`unexpected answer (${response.status})`);
  }
  if (!response.ok) {
    const p = body.error ?? {};
    throw new ApiError(p.message ?? `status ${response.status}`, p.parameter, p.position);
  }
  return body;
}

/** Live follows new alerts and tells whether it is connected. */
export class Live extends EventTarget {
  start() {
    const source = new EventSource("api/v1/stream");
    source.addEventListener("ready", () => this.#tell("state", true));
    source.addEventListener("alert", (e) => this.#tell("alert", JSON.parse(e.data)));
    source.addEventListener("missed", () => this.#tell("missed"));
    source.addEventListener("error", () => {
      this.#tell("state", false);
      // After an answer that is no stream the browser gives up: start again.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => this.start(), 5000);
    });
    addEventListener("pagehide", () => source.close(), { once: true });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
