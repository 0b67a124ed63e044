/** The server's addresses, and the headers and options of every request. */

import { TransportError } from "./errors.js";

/** A value, or a function that is called for each request. */
export type Resolvable<T> = T | (() => T | PromiseLike<T>);

export interface EndpointOptions {
  /** Where messages are sent; `/api/chat` by default. Its query is kept. */
  readonly api?: string;
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch;
  /** For every request. A function is called before each one, so it may renew a token. */
  readonly headers?: Resolvable<HeadersInit | undefined>;
  /** As for `fetch`: cookies of another origin need `include`. */
  readonly credentials?: Resolvable<RequestCredentials | undefined>;
}

export interface Call {
  readonly method: "GET" | "POST";
  /** The rest of the address, behind that of the API, with its query. */
  readonly path?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Headers of this call; they override those of the endpoint. */
  readonly headers: Headers;
}

export class Endpoint {
  readonly #api: string;
  readonly #fetch: typeof globalThis.fetch;
  readonly #headers: EndpointOptions["headers"];
  readonly #credentials: EndpointOptions["credentials"];

  constructor(options: EndpointOptions) {
    this.#api = options.api ?? "/api/chat";
    // Read at each call, and called as a plain function: browsers reject another `this`.
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#headers = options.headers;
    this.#credentials = options.credentials;
  }

  /**
   * Makes a request.
   *
   * @throws {TransportError} of kind `network` when there is no answer. Errors of the functions for
   *   headers and credentials pass through, unless they are network failures, too.
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

/** Resolves an option to its value. */
export async function resolved<T>(option: Resolvable<T>): Promise<T> {
  return typeof option === "function" ? (option as () => T | PromiseLike<T>)() : option;
}

/** Called for each request: the function may fetch a token, and then fails as `fetch` does. */
async function fresh<T>(option: Resolvable<T>): Promise<T> {
  try {
    return await resolved(option);
  } catch (error) {
    throw error instanceof TypeError ? new TransportError("network", { cause: error }) : error;
  }
}

/** Outside of browsers a relative address such as `/api/chat` is invalid: no retry helps. */
function isBadAddress(error: unknown): boolean {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause && cause.code === "ERR_INVALID_URL";
}
