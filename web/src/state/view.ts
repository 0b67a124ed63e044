/** What a conversation shows. */
import type { ChatStatus } from "ai";
import type { TransportError } from "@/transport/index";
import type { Message, RunNotice } from "./model";
import { Versions } from "./versions";

export interface ConversationView {
  /** How far the chat itself is loaded. `missing`: there is no such chat for this visitor. */
  loading: "loading" | "ready" | "missing";
  messages: readonly Message[];
  versions: Versions;
  status: ChatStatus;
  /** What went wrong and needs the reader; the answer's own failure is in its metadata. */
  problem: TransportError | null;
  /** Whether a stop was asked for that has not arrived yet. */
  stopping: boolean;
  /** The last thing that happened to the run that is being followed. */
  notice: RunNotice | null;
  /** When the next attempt begins (milliseconds since the epoch), where that is known. */
  retryAt: number | null;
  /** The answer as the attempt left it that was cut off, while it is written anew. */
  cut: Message | null;
  /** Whether the answer was already being written when this page found it. */
  found: boolean;
  /** The answer that is being written on another branch than the shown one. */
  elsewhere: string | null;
}

/** Of a chat that nothing is known about yet. */
export const UNKNOWN: ConversationView = {
  loading: "loading",
  messages: [],
  versions: new Versions(),
  status: "ready",
  problem: null,
  stopping: false,
  notice: null,
  retryAt: null,
  cut: null,
  found: false,
  elsewhere: null,
};
