/** An in-memory server as in `docs/http.md`; a test injects the network faults. */

import type { UIMessageChunk } from "ai";

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: string | undefined;
}

/** A network fault; it may replace the response. */
export type Fault = (answer: Answer) => Response | Promise<Response>;

/** A response that is about to be sent. */
export interface Answer {
  readonly headers: Record<string, string>;
  /** The events after so many records; by default after the request's cursor. */
  frames(after?: number): Uint8Array;
  readonly after: number;
  readonly signal: AbortSignal | undefined;
}

export const RUN = "01run";
const STREAM = { "content-type": "text/event-stream", "x-run-id": RUN };
const encoder = new TextEncoder();

export function encode(text: string): Uint8Array {
  return encoder.encode(text);
}

export function cursorOf(seq: number, run = RUN): string {
  return `${run}.${seq.toString(16).padStart(8, "0")}.4f35`;
}

export class FakeServer {
  /** The records of the run. */
  log: UIMessageChunk[] = answer("Hello, dear world!");
  /** Whether the run is still being written. */
  active = true;
  /** How many runs were started: one for each key. */
  readonly keys = new Set<string | null>();
  readonly received: Received[] = [];
  /** One for each stream request, in order; later requests succeed. */
  faults: Fault[] = [];
  /** The same for stops. */
  stopFaults: Fault[] = [];
  /** The reconnection delay that the stream asks for (`retry:`). */
  retryMs: number | undefined;

  readonly fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const url = String(input);
    const headers = new Headers(init.headers);
    const body = typeof init.body === "string" ? init.body : undefined;
    this.received.push({ method: init.method ?? "GET", url, headers, body });
    const signal = init.signal ?? undefined;
    if (signal?.aborted) throw signal.reason;
    if (new URL(url, "http://server").pathname.endsWith("/stop")) return this.#stop(url, signal);
    const after = this.#seqOf(headers.get("last-event-id"));
    if (init.method === "POST") this.keys.add(headers.get("idempotency-key"));
    const fault = this.faults.shift();
    if (!fault && init.method !== "POST") {
      if (after === 0 ? !this.active : after === this.log.length) return empty();
    }
    return (fault ?? whole)(this.#answer(after, signal));
  };

  get requests(): string[] {
    return this.received.map(({ method, url }) => `${method} ${url}`);
  }

  get cursors(): (string | null)[] {
    return this.received.map(({ headers }) => headers.get("last-event-id"));
  }

  #answer(after: number, signal: AbortSignal | undefined): Answer {
    const opening = ": stream-open\n" + (this.retryMs ? `retry: ${this.retryMs}\n\n` : "\n");
    const frames = (from = after) => {
      const events = this.log.slice(from).map((chunk, i) => frame(from + i + 1, chunk));
      return encode(`${opening}${events.join("")}data: [DONE]\n\n`);
    };
    return { headers: STREAM, frames, after, signal };
  }

  #seqOf(cursor: string | null): number {
    if (cursor === null) return 0;
    return Number.parseInt(cursor.split(".")[1] ?? "", 16);
  }

  async #stop(url: string, signal: AbortSignal | undefined): Promise<Response> {
    const fault = this.stopFaults.shift();
    if (fault) return fault(this.#answer(0, signal));
    const stopped = this.active ? RUN : null;
    this.active = false;
    return Response.json({ stopped, url });
  }
}

export function frame(seq: number, chunk: UIMessageChunk): string {
  return `id: ${cursorOf(seq)}\ndata: ${JSON.stringify(chunk)}\n\n`;
}

/** The chunks of an answer, one delta for each word. */
export function answer(text: string, messageId = "m1"): UIMessageChunk[] {
  const words = text.match(/\S+\s*/g) ?? [];
  return [
    { type: "start", messageId, messageMetadata: { run: RUN } },
    { type: "start-step" },
    { type: "text-start", id: "p1" },
    ...words.map((delta) => ({ type: "text-delta" as const, id: "p1", delta })),
    { type: "text-end", id: "p1" },
    { type: "finish-step" },
    { type: "finish", finishReason: "stop" },
  ];
}

const whole: Fault = (answer) => body(answer, [answer.frames()], "end");

/** How the bytes of a response end. */
export type Ending = "end" | "error" | "hang";

/** A response of these pieces, one for each read. */
export function body(
  { headers, signal }: Pick<Answer, "headers" | "signal">,
  pieces: readonly Uint8Array[],
  ending: Ending,
): Response {
  let next = 0;
  const stream = new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        signal?.addEventListener("abort", () => controller.error(signal.reason), { once: true });
      },
      pull: (controller) => {
        const piece = pieces[next];
        next += 1;
        if (piece) controller.enqueue(piece);
        else if (ending === "end") controller.close();
        else if (ending === "error") controller.error(new TypeError("network error"));
        else return new Promise<void>(() => {});
        return undefined;
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(stream, { headers });
}

/** Sends so many complete records, and then ends in this way. */
export function records(count: number, ending: Ending): Fault {
  return (answer) => {
    const text = new TextDecoder().decode(answer.frames());
    const events = text.split(/(?<=\n\n)/);
    return body(answer, [encode(events.slice(0, count + 1).join(""))], ending);
  };
}

export function refuse(
  status: number,
  problem: object | string = {},
  headers: Record<string, string> = {},
): Fault {
  const isText = typeof problem === "string";
  const type = isText ? "text/html" : "application/problem+json";
  const text = isText ? problem : JSON.stringify(problem);
  return () => new Response(text, { status, headers: { "content-type": type, ...headers } });
}

export const unreachable: Fault = () => Promise.reject(new TypeError("Failed to fetch"));

/** Never answers. */
export const silent: Fault = ({ signal }) =>
  new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

export const portal = refuse(200, "<html>Please sign in to this network</html>");

function empty(): Response {
  return new Response(null, { status: 204 });
}
