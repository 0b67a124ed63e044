/** The requests to the server, except the streams. Every failure is a `TransportError`. */
import { refusal, TransportError } from "@/transport/index";
import { at } from "./base";
import type { ChatRow, OfferedModel, Snapshot } from "./model";

export interface ChatPage {
  chats: ChatRow[];
  next: string | null;
}

export interface OneTimeLink {
  token: string;
  /** How long it can be used. */
  seconds: number;
}

export class Api {
  constructor(private readonly fetch: typeof globalThis.fetch = (...args) => globalThis.fetch(...args)) {}

  listChats(query: { q?: string; limit?: number; before?: string } = {}): Promise<ChatPage> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) search.set(name, String(value));
    return this.#json<ChatPage>(at(`api/chats?${search}`));
  }

  getChat(id: string, leaf: string | null = null): Promise<Snapshot> {
    const query = leaf === null ? "" : `?leaf=${encodeURIComponent(leaf)}`;
    return this.#json<Snapshot>(chatPath(id) + query);
  }

  rename(id: string, title: string): Promise<ChatRow> {
    return this.#json<ChatRow>(chatPath(id), {
      method: "PATCH",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ title }),
    });
  }

  /** @param options - `keepalive` lets the request outlive the page. */
  async delete(id: string, options: { keepalive?: boolean } = {}): Promise<void> {
    await this.#request(chatPath(id), { method: "DELETE", ...options });
  }

  async models(): Promise<OfferedModel[]> {
    return (await this.#json<{ models: OfferedModel[] }>(at("api/models"))).models;
  }

  /** Whether the server recognises this browser: whether its cookie came back. */
  async isKnown(): Promise<boolean> {
    return (await this.#json<{ known?: boolean }>(at("api/visitor"))).known !== false;
  }

  /** A token for the address that hands this visitor on, and how many seconds it can be used. */
  async makeLink(): Promise<OneTimeLink> {
    const made = await this.#json<{ token: string; expires_in: number }>(at("api/visitor/links"), { method: "POST" });
    return { token: made.token, seconds: made.expires_in };
  }

  /** Become the visitor who made a link. */
  async useLink(token: string): Promise<void> {
    await this.#request(at("api/visitor/links/use"), posted({ token }));
  }

  /** @param everywhere - in all browsers of this visitor. */
  async signOut(everywhere: boolean): Promise<void> {
    await this.#request(at("api/visitor/sign-out"), posted({ everywhere }));
  }

  async #json<T>(path: string, init?: RequestInit): Promise<T> {
    const response = await this.#request(path, init);
    try {
      return (await response.json()) as T;
    } catch (cause) {
      throw new TransportError("not-a-stream", { cause }); // a captive portal, or a lost connection
    }
  }

  async #request(path: string, init: RequestInit = {}): Promise<Response> {
    let response: Response;
    let body = "";
    try {
      response = await this.fetch(path, { credentials: "same-origin", ...init });
      if (!response.ok) body = await response.text();
    } catch (cause) {
      throw new TransportError("network", { cause });
    }
    if (!response.ok) throw refusal(response, body, Date.now());
    return response;
  }
}

function posted(body: unknown): RequestInit {
  return { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

function chatPath(id: string): string {
  return at(`api/chats/${encodeURIComponent(id)}`);
}
