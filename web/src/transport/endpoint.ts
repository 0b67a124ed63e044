/** The server's addresses, and what every request to it carries. */

import { TransportError } from "./errors.js";

/** A value, or a function that makes it, for each request anew. */
export type Resolvable<T> = T | (() => T | PromiseLike<T>);

export interface EndpointOptions {
  /** Where messages are sent; `/api/chat` by default. Its query is kept. */
  readonly api?: string;
  /** In place of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch;
  /** For every request. A function is asked before each one, so a token may be renewed. */
  readonly headers?: Resolvable<HeadersInit | undefined>;
  /** As for `fetch`: cookies of another origin need `include`. */
  readonly credentials?: Resolvable<RequestCredentials | undefined>;
}

export interface Call {
  readonly method: "GET" | "POST";
  /** What follows the address of the API, with its query. */
  readonly path?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Those of this call; they win over those of the endpoint. */
  readonly headers: Headers;
}

export class Endpoint {
  readonly #api: string;
  readonly #fetch: typeof globalThis.fetch;
  readonly #headers: EndpointOptions["headers"];
  readonly #credentials: EndpointOptions["credentials"];

  constructor(options: EndpointOptions) {
    this.#api = options.api ?? "/api/chat";
    // Looked up at each call and called as a plain function: browsers refuse another `this`.
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#headers = options.headers;
    this.#credentials = options.credentials;
  }

  /**
   * Makes a request.
   *
   * @throws {TransportError} of kind `network` when there is no answer; and what the functions for
   *   headers and credentials throw, unless that was a failure of the network too.
   */
  async call(call: Call, signal: AbortSignal): Promise<Response> {
    const headers = new Headers(await fresh(this.#headers));
    call.headers.forEach((value, name) => headers.set(name, value));
    const credentials = await fresh(this.#credentials);
    const { method, body } = call;
    const init = { method, headers, signal, cache: "no-store", credentials, body } as const;
    const url = this.#url(call);
    try {
      return await (0, this.#fetch)(url, init);
    } catch (cause) {
      throw new TransportError("network", {
        message: "The server could not be reached.",
        retryable: !isBadAddress(cause),
        cause,
      });
    }
  }

  #url({ path = "", query = {} }: Call): string {
    const end = this.#api.search(/[?#]/);
    const base = end < 0 ? this.#api : this.#api.slice(0, end);
    const parameters = new URLSearchParams(end < 0 ? "" : this.#api.slice(end).split("#")[0]);
    for (const [name, value] of Object.entries(query)) parameters.set(name, value);
    const text = parameters.toString();
    return (path ? base.replace(/\/$/, "") + path : base) + (text && `?${text}`);
  }
}

/** The value of an option. */
export async function resolved<T>(option: Resolvable<T>): Promise<T> {
  return typeof option === "function" ? (option as () => T | PromiseLike<T>)() : option;
}

/** For each request: the function may ask the network, for a token. It fails as `fetch` does. */
async function fresh<T>(option: Resolvable<T>): Promise<T> {
  try {
    return await resolved(option);
  } catch (error) {
    throw error instanceof TypeError ? new TransportError("network", { cause: error }) : error;
  }
}

/** Outside of browsers an address like `/api/chat` is none, and never will be. */
function isBadAddress(error: unknown): boolean {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause && cause.code === "ERR_INVALID_URL";
}
