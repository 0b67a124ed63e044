/** The visible state of a conversation. */
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
  /** A problem that needs the reader; the answer's own failure is in its metadata. */
  problem: TransportError | null;
  /** Whether a stop was requested and is not confirmed yet. */
  stopping: boolean;
  /** The last event of the followed run. */
  notice: RunNotice | null;
  /** When the next attempt begins (milliseconds since the epoch), if available. */
  retryAt: number | null;
  /** The answer of the attempt that was cut off, during the restart. */
  cut: Message | null;
  /** Whether the answer was already being written when the page loaded it. */
  found: boolean;
  /** The answer that is being written on a branch that is not shown. */
  elsewhere: string | null;
}

/** The state of a chat that is not loaded yet. */
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
