/** The dependencies of a conversation. */
import type { ResumableChatTransport, TransportError } from "@/transport/index";
import type { Api } from "./api";
import type { Exclusively } from "./delivery";
import type { Schedule } from "./frames";
import type { Pause } from "./loading";
import type { Message } from "./model";
import type { OutboxItem } from "./outbox";

export interface ConversationTools {
  api: Pick<Api, "getChat">;
  transport: ResumableChatTransport<Message>;
  schedule: Schedule;
  pause: Pause;
  /** Only one tab at a time delivers a message. */
  exclusively: Exclusively;
  /** Called when the server has accepted a message. */
  onAccepted: (chat: string, item: OutboxItem) => void;
  /** Called when the session has expired. */
  onUnauthorized: (error: TransportError) => void;
}
