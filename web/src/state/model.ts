/** The words of the interface: what the server tells, in types. Sources: docs/http.md. */
import type { UIMessage } from "ai";

export type RunStatus = "queued" | "running" | "finished" | "failed" | "stopped";

/** What an answer's `metadata` holds; everything but `run` comes in the course of the run. */
export interface AnswerMetadata {
  run?: string;
  model?: string;
  createdAt?: string;
  status?: RunStatus;
  error?: string;
  attempts?: number;
  /** Why the model ended: `stop`, `length`, `content-filter`, `tool-calls`, `other`. */
  finishReason?: string;
  /** US dollars, of the last time that the model was asked. */
  cost?: number;
  /** US dollars, of all times together. */
  totalCost?: number;
  /** How the model was asked, once for each time; there when that was more than once. */
  ladder?: readonly Rung[];
  usage?: {
    inputTokens?: number;
    outputTokens?: number;
    totalTokens?: number;
    reasoningTokens?: number;
    cachedInputTokens?: number;
  };
  timing?: { firstTokenMs?: number; totalMs?: number };
}

/** One time that the model was asked. Numbers are characters. */
export interface Rung {
  rung: "first" | "reattach" | "prefill" | "continue" | "restart" | (string & {});
  /** `continue`: a model that was asked to go on began again. */
  asked?: string;
  /** Dropped, and asked for again. */
  repeated?: number;
  /** `continue`: held back until they could be judged. */
  held?: number;
  /** `continue`: not shown, because they repeated what stood there or led up to it. */
  dropped?: number;
}

/** A transient `data-run` chunk: what happens to a run. */
export interface RunNotice {
  event: "takeover" | "retry" | "rung" | "judged" | (string & {});
  attempt?: number;
  attempts?: number;
  /** Seconds until the next attempt. */
  delay?: number;
  reason?: string;
  /** How the next attempt goes on. */
  rung?: Rung["rung"];
  /** Characters that are dropped and asked for again. */
  repeated?: number;
}

export type Message = UIMessage<AnswerMetadata, { run: RunNotice }>;

/** A row of `GET /api/chats`. */
export interface ChatRow {
  id: string;
  title: string;
  created_at: string;
  updated_at: string;
  active: boolean;
}

export interface Version {
  id: string;
  parent: string | null;
  role: "user" | "assistant" | "system";
}

/** `GET /api/chats/{id}`: a chat as of one moment. */
export interface Snapshot extends ChatRow {
  messages: Message[];
  versions: Version[];
  active_run: {
    id: string;
    message_id: string;
    model: string;
    status: RunStatus;
    cursor: string;
  } | null;
}

export interface OfferedModel {
  id: string;
  name: string;
  demo: boolean;
}

/** What `GET /api/events` tells. */
export type FeedEvent =
  | { type: "open"; complete: boolean }
  | { type: "chat-created" | "chat-renamed"; chat: ChatRow }
  | { type: "chat-deleted"; id: string }
  | { type: "run-started"; chat: ChatRow; run: string; message: string }
  | { type: "run-ended"; chat: ChatRow; run: string; message: string; status: RunStatus };

/** The text of a message, without reasoning and other parts. */
export function textOf(message: Message): string {
  return message.parts.map((part) => (part.type === "text" ? part.text : "")).join("");
}

export function reasoningOf(message: Message): string {
  const parts = message.parts.filter((part) => part.type === "reasoning");
  return parts.map((part) => part.text).join("\n\n");
}

/** An id that sorts nowhere in particular and is taken by nobody. */
export function newId(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  // Only secure contexts have `randomUUID`; a chat served over plain http in a local network has not.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
