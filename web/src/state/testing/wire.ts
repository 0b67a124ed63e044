/** An in-memory server with one chat, whose answers the test writes chunk by chunk. */
import type { UIMessageChunk } from "ai";
import type { Message, Snapshot, Version } from "../model";

interface Run {
  id: string;
  answer: string;
  prompt: string;
  log: UIMessageChunk[];
  ended: boolean;
}

export interface Posted {
  path: string;
  body: Record<string, unknown>;
  key: string | null;
}

const TERMINAL = new Set(["finish", "error", "abort"]);
const encoder = new TextEncoder();

export class Wire {
  readonly posted: Posted[] = [];
  readonly messages: Message[] = [];
  readonly versions: Version[] = [];
  /** Answers a send in place of the server, once each. */
  readonly refusals: (() => Response | Promise<Response>)[] = [];
  run: Run | null = null;
  exists = true;
  loads = 0;
  #runs = 0;
  #listeners = new Set<() => void>();

  readonly fetch: typeof globalThis.fetch = async (input, init = {}) => {
    const path = new URL(String(input), "http://server").pathname;
    const headers = new Headers(init.headers);
    if (init.method === "POST") {
      const body = typeof init.body === "string" ? init.body : "{}";
      this.posted.push({ path, body: JSON.parse(body), key: headers.get("idempotency-key") });
      if (path.endsWith("/stop")) {
        this.write({ type: "abort" });
        return Response.json({ stopped: this.run?.id });
      }
      const refusal = this.refusals.shift();
      if (refusal) return refusal();
      this.#accept(this.posted.at(-1)!.body);
    }
    if (this.run === null) return new Response(null, { status: 204 });
    const cursor = headers.get("last-event-id");
    return this.#stream(this.run, cursor === null ? 0 : Number(cursor.split(".")[1]), init.signal);
  };

  /** The answer of `GET /api/chats/{id}`. */
  snapshot(): Snapshot {
    const active = this.run !== null && !this.run.ended ? this.run : null;
    return {
      id: "c1",
      title: "Chat",
      created_at: "2026-01-01T00:00:00Z",
      updated_at: "2026-01-01T00:00:00Z",
      active: active !== null,
      messages: structuredClone(this.messages),
      versions: [...this.versions],
      active_run: active && {
        id: active.id,
        message_id: active.answer,
        model: "m",
        status: "running",
        cursor: cursorOf(active, active.log.length),
      },
    };
  }

  /** A send arrives, from this page or another one. */
  ask(id: string, text: string): void {
    const parent = this.messages.at(-1)?.id ?? null;
    this.messages.push({ id, role: "user", parts: [{ type: "text", text }] });
    this.versions.push({ id, parent, role: "user" });
    this.#start(id);
  }

  /** The run continues. */
  write(...chunks: UIMessageChunk[]): void {
    const { run } = this;
    if (run === null || run.ended) throw new Error("No run is active.");
    for (const chunk of chunks) {
      run.log.push(chunk);
      if (TERMINAL.has(chunk.type)) run.ended = true;
      if (chunk.type === "text-delta") this.#writeDelta(run, chunk.delta);
    }
    for (const listener of this.#listeners) listener();
  }

  writeText(delta: string, id = "p1"): void {
    this.write({ type: "text-delta", id, delta });
  }

  finish(): void {
    this.write({ type: "text-end", id: "p1" }, { type: "finish", finishReason: "stop" });
  }

  #accept(body: Record<string, unknown>): void {
    const message = body.message as Message;
    if (this.versions.some(({ id }) => id === message.id)) {
      if (body.trigger === "regenerate-message") this.#start(message.id);
      return;
    }
    const at = this.messages.findIndex(({ id }) => id === body.parentId);
    this.messages.splice(at + 1);
    this.messages.push(message);
    this.versions.push({ id: message.id, parent: (body.parentId as string) ?? null, role: "user" });
    this.#start(message.id);
  }

  #start(prompt: string): void {
    const number = ++this.#runs;
    const answer = `a${number}`;
    this.run = { id: `01run${number}`, answer, prompt, log: [], ended: false };
    this.versions.push({ id: answer, parent: prompt, role: "assistant" });
    const at = this.messages.findIndex(({ id }) => id === prompt);
    const metadata = { run: this.run.id };
    this.messages.splice(at + 1, Infinity, { id: answer, role: "assistant", parts: [], metadata });
    this.write(
      { type: "start", messageId: answer, messageMetadata: metadata },
      { type: "text-start", id: "p1" },
    );
  }

  #writeDelta(run: Run, delta: string): void {
    const message = this.messages.find(({ id }) => id === run.answer);
    const part = message?.parts[0];
    if (part?.type === "text") part.text += delta;
    else message?.parts.push({ type: "text", text: delta, state: "streaming" });
  }

  #stream(run: Run, after: number, signal: AbortSignal | null | undefined): Response {
    let sent = after;
    let listener = (): void => undefined;
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        listener = () => {
          for (; sent < run.log.length; sent++) {
            const frame = `id: ${cursorOf(run, sent + 1)}\ndata: ${JSON.stringify(run.log[sent])}\n\n`;
            controller.enqueue(encoder.encode(frame));
          }
          if (run.ended) {
            this.#listeners.delete(listener);
            controller.close();
          }
        };
        this.#listeners.add(listener);
        signal?.addEventListener("abort", () => this.#listeners.delete(listener));
        listener();
      },
      cancel: () => void this.#listeners.delete(listener),
    });
    const headers = { "content-type": "text/event-stream", "x-run-id": run.id };
    return new Response(stream, { headers });
  }
}

function cursorOf(run: Run, seq: number): string {
  return `${run.id}.${String(seq).padStart(8, "0")}.t`;
}

export function problem(status: number, name: string, detail: string): Response {
  const type = `urn:durable-llm-streams:${name}`;
  const headers = { "content-type": "application/problem+json" };
  return new Response(JSON.stringify({ type, status, detail }), { status, headers });
}
