/** Failures: their kinds, whether a retry may help, and a readable message. */

import { retryAfterMs } from "./backoff.js";

/**
 * - `unauthorized` (401), `forbidden` (403), `not-found` (404)
 * - `busy`: an answer is being written already; `conflict`: another 409
 * - `cursor-lost` (410): the stream cannot be continued from here; load the chat again
 * - `invalid`: any other 4xx
 * - `limited` (429): the sender has used what is allowed; `retryAfterMs` says when there is more
 * - `unavailable`: 408, 425, other 429, 502, 503, 504; retried without limit
 * - `server`: any other 5xx; retried a few times
 * - `not-a-stream`: another host answered (a captive portal), or the stream is invalid
 * - `network`: there was no answer, or the connection was cut
 */
export type ErrorKind =
  | "unauthorized"
  | "forbidden"
  | "not-found"
  | "busy"
  | "conflict"
  | "cursor-lost"
  | "invalid"
  | "limited"
  | "unavailable"
  | "server"
  | "not-a-stream"
  | "network";

/** Problem details (RFC 9457); servers may add members. */
export interface Problem {
  readonly type?: string;
  readonly title?: string;
  readonly status?: number;
  readonly detail?: string;
  readonly [member: string]: unknown;
}

interface Details {
  readonly message?: string | undefined;
  readonly retryable?: boolean;
  readonly status?: number;
  readonly problem?: Problem | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

const RETRYABLE: ReadonlySet<ErrorKind> = new Set([
  "unavailable",
  "server",
  "not-a-stream",
  "network",
]);

const SENTENCES: Readonly<Record<ErrorKind, string>> = {
  unauthorized: "You are signed out. Sign in and try again.",
  forbidden: "You may not use this chat.",
  "not-found": "There is no such chat, or it is not yours.",
  busy: "An answer is being written in this chat. Wait for its end, or stop it.",
  conflict: "The chat has changed meanwhile. Load it again.",
  "cursor-lost": "The answer cannot be followed from here. Load the chat again.",
  invalid: "The server did not accept the request.",
  limited: "That is as much as is allowed for now. Try again later.",
  unavailable: "The server is not available at the moment.",
  server: "The server failed. Try again in a moment.",
  "not-a-stream": "Something else than the chat's server answered. Check your network.",
  network: "The connection to the server was lost.",
};

/** Why a request or a stream failed. Its message is written for people. */
export class TransportError extends Error {
  override readonly name = "TransportError";
  readonly kind: ErrorKind;
  /** Whether a retry may succeed. */
  readonly retryable: boolean;
  /** The HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** The server's problem document. */
  readonly problem: Problem | undefined;
  /** The delay that the server asks for, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(kind: ErrorKind, details: Details = {}) {
    super(details.message ?? SENTENCES[kind], { cause: details.cause });
    this.kind = kind;
    this.retryable = details.retryable ?? RETRYABLE.has(kind);
    this.status = details.status;
    this.problem = details.problem;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/**
 * The error for an unexpected response.
 *
 * @param body the beginning of its body, parsed as a problem document and never shown verbatim.
 * @param nowMs the time, for a `Retry-After` that is a date.
 */
export function refusal(response: Response, body: string, nowMs: number): TransportError {
  const problem = readProblem(response.headers.get("content-type"), body);
  return new TransportError(kindOf(response.status, problem), {
    message: problem?.detail || undefined,
    status: response.status,
    problem,
    retryAfterMs: retryAfterMs(response.headers.get("retry-after"), nowMs),
  });
}

function kindOf(status: number, problem: Problem | undefined): ErrorKind {
  const name = typeof problem?.type === "string" ? problem.type : "";
  if (name.endsWith(":invalid-cursor")) return "cursor-lost";
  if (/:(rate-limited|budget-spent)$/.test(name)) return "limited";
  const known = KINDS.get(status);
  if (status === 409) return name.endsWith(":chat-busy") ? "busy" : "conflict";
  if (known) return known;
  if (status >= 500) return "server";
  return status >= 400 ? "invalid" : "not-a-stream";
}

const KINDS: ReadonlyMap<number, ErrorKind> = new Map([
  [401, "unauthorized"],
  [403, "forbidden"],
  [404, "not-found"],
  [408, "unavailable"],
  [410, "cursor-lost"],
  [425, "unavailable"],
  [429, "unavailable"],
  [502, "unavailable"],
  [503, "unavailable"],
  [504, "unavailable"],
]);

function readProblem(contentType: string | null, body: string): Problem | undefined {
  if (!/^application\/([\w.+-]*\+)?json\b/i.test(contentType ?? "")) return undefined;
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const { detail, ...rest } = value as Record<string, unknown>;
    return typeof detail === "string" ? { ...rest, detail } : rest;
  } catch {
    return undefined;
  }
}
