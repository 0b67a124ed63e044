/** The types of the server's answers. Source: docs/http.md. */
import type { UIMessage } from "ai";

export type RunStatus = "queued" | "running" | "finished" | "failed" | "stopped";

/** An answer's `metadata`; everything but `run` arrives during the run. */
export interface AnswerMetadata {
  run?: string;
  model?: string;
  createdAt?: string;
  status?: RunStatus;
  error?: string;
  attempts?: number;
  /** Why the model ended: `stop`, `length`, `content-filter`, `tool-calls`, `other`. */
  finishReason?: string;
  /** What the model was sent of the chat: messages, and earlier messages that were left out. */
  context?: { turns: number; dropped: number; tokens: number };
  /** US dollars, of the last attempt. */
  cost?: number;
  /** US dollars, of all attempts. */
  totalCost?: number;
  /** The attempts; present when there was more than one. */
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

/** One attempt. Numbers are characters. */
export interface Rung {
  rung: "first" | "reattach" | "prefill" | "continue" | "restart" | (string & {});
  /** `continue`: the model began again instead of continuing. */
  asked?: string;
  /** Dropped, and requested again. */
  repeated?: number;
  /** `continue`: held back until they could be judged. */
  held?: number;
  /** `continue`: not shown: duplicates of the text before, or an introduction to the rest. */
  dropped?: number;
}

/** A transient `data-run` chunk: an event of a run. */
export interface RunNotice {
  event: "takeover" | "retry" | "rung" | "judged" | (string & {});
  attempt?: number;
  attempts?: number;
  /** Seconds until the next attempt. */
  delay?: number;
  reason?: string;
  /** The rung of the next attempt. */
  rung?: Rung["rung"];
  /** Characters that are dropped and requested again. */
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

/** An event of `GET /api/events`. */
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

/** A random, unique id. */
export function newId(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  // Only secure contexts have `randomUUID`; a chat served over plain http in a local network has not.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
