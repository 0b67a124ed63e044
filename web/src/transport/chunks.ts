/** Chunks of the AI SDK's UI message stream: their types, and which can be joined. */

import type { UIMessageChunk } from "ai";

/**
 * The chunk types of AI SDK 7 with the fields that must be strings, besides `data-*`.
 * Source: `ui-message-stream/ui-message-chunks.ts` of `ai` 7.0.173.
 */
const REQUIRED: ReadonlyMap<string, readonly string[]> = new Map([
  ["start", []],
  ["start-step", []],
  ["finish-step", []],
  ["reset-step", []],
  ["text-start", ["id"]],
  ["text-delta", ["id", "delta"]],
  ["text-end", ["id"]],
  ["reasoning-start", ["id"]],
  ["reasoning-delta", ["id", "delta"]],
  ["reasoning-end", ["id"]],
  ["reasoning-file", ["url", "mediaType"]],
  ["file", ["url", "mediaType"]],
  ["source-url", ["sourceId", "url"]],
  ["source-document", ["sourceId", "mediaType", "title"]],
  ["custom", ["kind"]],
  ["tool-input-start", ["toolCallId", "toolName"]],
  ["tool-input-delta", ["toolCallId", "inputTextDelta"]],
  ["tool-input-available", ["toolCallId", "toolName"]],
  ["tool-input-error", ["toolCallId", "toolName", "errorText"]],
  ["tool-approval-request", ["approvalId", "toolCallId"]],
  ["tool-approval-response", ["approvalId"]],
  ["tool-output-available", ["toolCallId"]],
  ["tool-output-error", ["toolCallId", "errorText"]],
  ["tool-output-denied", ["toolCallId"]],
  ["steering-message", ["id"]],
  ["message-metadata", []],
  ["finish", []],
  ["abort", []],
  ["error", ["errorText"]],
]);

const TERMINAL: ReadonlySet<string> = new Set(["finish", "error", "abort"]);

/** The data is not a chunk: invalid JSON, not an object, or a field is missing. */
export class InvalidChunk extends Error {
  override readonly name = "InvalidChunk";
}

/**
 * Reads the data of one event.
 *
 * @returns the chunk, or undefined for a type that AI SDK 7 does not have.
 * @throws {InvalidChunk}
 */
export function parseChunk(data: string): UIMessageChunk | undefined {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw new InvalidChunk("The data of an event is not JSON.", { cause });
  }
  const type = field(value, "type");
  if (typeof type !== "string") throw new InvalidChunk("The data of an event is not a chunk.");
  if (type.startsWith("data-")) return value as UIMessageChunk;
  const required = REQUIRED.get(type);
  const missing = required?.find((name) => typeof field(value, name) !== "string");
  if (missing) throw new InvalidChunk(`A chunk of type ${type} has no ${missing}.`);
  return required && (value as UIMessageChunk);
}

function field(value: unknown, name: string): unknown {
  return (Object(value) as Record<string, unknown>)[name];
}

/** Whether a stream ends with this chunk. */
export function isTerminal(chunk: UIMessageChunk): boolean {
  return TERMINAL.has(chunk.type);
}

/** Joins two neighbouring deltas of the same part; undefined for other chunks. */
export function joined(first: UIMessageChunk, next: UIMessageChunk): UIMessageChunk | undefined {
  if (!isPlainDelta(first) || !isPlainDelta(next)) return undefined;
  if (first.type === "tool-input-delta" && next.type === "tool-input-delta") {
    if (first.toolCallId !== next.toolCallId) return undefined;
    return { ...first, inputTextDelta: first.inputTextDelta + next.inputTextDelta };
  }
  if (first.type === "text-delta" && next.type === "text-delta" && first.id === next.id) {
    return { ...first, delta: first.delta + next.delta };
  }
  if (first.type === "reasoning-delta" && next.type === "reasoning-delta" && first.id === next.id) {
    return { ...first, delta: first.delta + next.delta };
  }
  return undefined;
}

/** Whether a delta has only text: metadata must stay with its own chunk. */
function isPlainDelta(chunk: UIMessageChunk): boolean {
  return Object.keys(chunk).length === 3;
}
