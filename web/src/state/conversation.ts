/**
 * One open chat: its messages, the answer that is being written, the messages that wait.
 *
 * Theory of operation
 * ===================
 * 1. It starts with a snapshot of the server. If an answer is being written, its stream is replayed
 *    from the start. The replay is hidden until it has reached the snapshot's cursor, so the text
 *    on the screen never shrinks.
 * 2. The transport turns any number of connections into one stream. It reports a failure only when
 *    it gives up.
 * 3. A new message goes into the outbox. While the chat is idle, one message at a time is sent from
 *    there. It leaves the outbox when the server has named its run.
 * 4. The feed publishes runs that start or end elsewhere: another tab, another device, a takeover. A
 *    run that is not followed here makes the chat load its snapshot again.
 * 5. A newer load or a send replaces a load; a new stream replaces a stream. Numbers identify them.
 * 6. A chat that is not shown follows no run: connections are few, and the run continues anyway.
 */
import { AbstractChat, type ChatStatus } from "ai";
import { createStore, type StoreApi } from "zustand/vanilla";
import { TransportError } from "@/transport/index";
import { cutAttempt } from "./cut";
import { Delivery, type Recipient } from "./delivery";
import { FrameState } from "./frames";
import { asProblem, Loading } from "./loading";
import type { FeedEvent, Message, Snapshot } from "./model";
import { News } from "./news";
import { type OutboxItem, outboxOf, removeFromOutbox, setRefused } from "./outbox";
import { whyRefused } from "./refusal";
import { Replay } from "./replay";
import { onNewRun } from "./runs";
import { hasRun, isNews, isOnBranch, reuse, saidBy } from "./snapshots";
import type { ConversationTools } from "./tools";
import { lineage, Versions } from "./versions";
import { type ConversationView, UNKNOWN } from "./view";

class Exchange extends AbstractChat<Message> {}

export class Conversation {
  readonly store: StoreApi<ConversationView>;
  readonly #state: FrameState;
  readonly #exchange: Exchange;
  readonly #delivery: Delivery;
  readonly #loading: Loading;
  /** The number of the current stream: older streams are ignored. */
  #stream = 0;
  #leaf: string | null = null;
  /** A replay that is hidden until it has caught up. */
  #replay: Replay | null = null;
  /** The last run that the feed reported as started, to be loaded when the chat is idle. */
  #startedElsewhere: string | null = null;
  readonly #news = new News();
  #resuming = false;
  #shown = false;
  /** Whether a change was ignored because the chat was not shown. */
  #stale = false;
  #closed = false;
  #exists = true;

  constructor(
    readonly id: string,
    private readonly tools: ConversationTools,
  ) {
    this.store = createStore(() => UNKNOWN);
    this.#state = new FrameState(() => this.#publish(), tools.schedule);
    this.#exchange = new Exchange({
      id,
      transport: tools.transport,
      state: this.#state,
      onData: (part) => {
        if (part.type !== "data-run") return;
        const { notice } = this.store.getState();
        const now = this.#replay === null ? Date.now() : null;
        this.store.setState(this.#news.add(notice, part.data, this.#answerText, now));
      },
    });
    const recipient: Recipient = {
      isReady: () => !this.busy && !this.#closed && this.store.getState().loading === "ready",
      hasArrived: (message) => this.store.getState().versions.has(message),
      deliver: (item) => this.#deliver(item),
    };
    this.#loading = new Loading((leaf) => tools.api.getChat(id, leaf), tools.pause);
    this.#delivery = new Delivery(id, recipient, tools.exclusively);
  }

  /** Whether an answer is awaited or being written here. */
  get busy(): boolean {
    return this.#status !== "ready" && this.#status !== "error";
  }

  get #answerText(): string {
    return saidBy(this.#state.messages.at(-1));
  }

  /** In the SDK's status a chat is ready until its resumed stream is open. */
  get #status(): ChatStatus {
    const { status } = this.#state;
    return this.#resuming && status === "ready" ? "submitted" : status;
  }

  /** Start as a chat that is not on the server yet. */
  begin(): void {
    this.#exists = false;
    this.store.setState({ loading: "ready" });
    void this.deliver();
  }

  /** Load the chat; follow its answer if one is being written. */
  async load(leaf: string | null = this.#leaf): Promise<void> {
    this.#leaf = leaf;
    const snapshot = await this.#loading.load(leaf, (problem) => this.#notLoaded(problem));
    if (snapshot !== null) this.#take(snapshot);
  }

  /** Send the waiting messages of the outbox that can be sent now. */
  async deliver(): Promise<void> {
    await this.#delivery.run();
  }

  /** Regenerate this answer (or answer this question again). */
  async regenerate(messageId: string, model?: string): Promise<void> {
    if (this.busy) return;
    const stream = this.#begins();
    const body = model ? { model } : {};
    await this.#settle(stream, this.#exchange.regenerate({ messageId, body }));
  }

  /**
   * Stop the answer on the server, for all its readers.
   *
   * @returns the text of a message that the server had not accepted: it is cancelled instead.
   */
  async stop(): Promise<string | null> {
    if (!this.busy || this.store.getState().stopping) return null;
    const waiting = this.#undelivered();
    if (waiting) {
      removeFromOutbox(waiting.id);
      await this.#letGo();
      this.#state.messages = this.#state.messages.filter((message) => message.id !== waiting.id);
      return waiting.text;
    }
    this.store.setState({ stopping: true });
    try {
      await this.tools.transport.stop(this.id);
    } catch (error) {
      this.store.setState({ stopping: false, problem: asProblem(error) });
    }
    return null;
  }

  /** The chat is shown: it follows its answer. */
  enter(): void {
    this.#shown = true;
    if (!this.#stale) return;
    this.#stale = false;
    void this.load();
  }

  /** The chat is no longer shown. It disconnects until it is: connections are few. */
  leave(): void {
    this.#shown = false;
    if (!this.busy || this.tools.transport.getState(this.id).runId === undefined) return;
    this.#stale = true;
    this.#loading.overtake();
    void this.#letGo();
  }

  /** Handle an event of the feed about this chat. */
  onFeedEvent(event: FeedEvent): void {
    if (event.type === "run-started" && this.busy) this.#startedElsewhere = event.run;
    else if (isNews(event, this.#state.messages, this.busy, this.#exists)) this.#look();
  }

  #look(): void {
    if (this.#shown || outboxOf(this.id).length > 0) void this.load();
    else this.#stale = true;
  }

  dismissProblem(): void {
    this.store.setState({ problem: null });
    this.#exchange.clearError();
  }

  /** Disconnect; the run continues on the server. */
  close(): void {
    this.#closed = true;
    this.#loading.overtake();
    void this.#letGo();
    this.tools.transport.forget(this.id);
  }

  /** Detach from the stream that is followed. */
  async #letGo(): Promise<number> {
    const stream = ++this.#stream;
    this.#resuming = false;
    await this.#exchange.stop();
    return stream;
  }

  // --- loading ------------------------------------------------------------------------------

  #take(snapshot: Snapshot): void {
    const active = snapshot.active_run;
    const onBranch = active !== null && isOnBranch(snapshot, active.message_id);
    this.store.setState({
      loading: "ready",
      problem: null,
      versions: new Versions(snapshot.versions),
      elsewhere: active !== null && !onBranch ? active.message_id : null,
    });
    if (this.busy && onBranch && this.tools.transport.getState(this.id).runId === active.id) return;
    void this.#replace(snapshot, onBranch ? active.cursor : null);
  }

  async #replace(snapshot: Snapshot, cursor: string | null): Promise<void> {
    const stream = this.busy ? await this.#letGo() : this.#stream;
    if (stream !== this.#stream) return;
    this.#state.messages = reuse(this.#state.messages, snapshot.messages);
    if (cursor === null) {
      void this.deliver();
      return;
    }
    await this.#resume(cursor, saidBy(snapshot.messages.at(-1)));
  }

  async #resume(cursor: string, shown: string): Promise<void> {
    const stream = this.#begins();
    this.#replay = new Replay(cursor, shown);
    this.#resuming = true;
    this.store.setState({ found: true, status: "submitted" });
    const resumed = this.#exchange.resumeStream().finally(() => {
      if (stream !== this.#stream) return;
      this.#resuming = false;
      this.#publish();
    });
    await this.#settle(stream, resumed);
    const { phase, runId } = this.tools.transport.getState(this.id);
    const nothing = phase === "idle" && runId === undefined;
    // It ended between the snapshot and the stream: the shown text is not complete.
    if (nothing && stream === this.#stream && !this.busy) await this.load();
  }

  #notLoaded(problem: TransportError): void {
    const isMissing = problem.kind === "not-found" || problem.kind === "invalid";
    if (isMissing && this.#leaf !== null) {
      void this.load(null); // the version in the address is missing; the chat may exist
      return;
    }
    if (isMissing) {
      if (outboxOf(this.id).length > 0) this.begin();
      else this.store.setState({ loading: "missing", problem: null });
      return;
    }
    if (problem.kind === "unauthorized") this.tools.onUnauthorized(problem);
    // The shown content stays, and is loaded again automatically.
    const isShown = this.store.getState().loading === "ready";
    if (!isShown || !problem.retryable) this.store.setState({ problem });
  }

  #publish(): void {
    const { messages } = this.#state;
    const status = this.#status;
    const text = this.#answerText;
    const { cursor } = this.tools.transport.getState(this.id);
    if (this.busy && this.#replay?.hasCaughtUp(cursor, text, Date.now()) === false) {
      this.store.setState({ status });
      return;
    }
    this.#replay = null;
    const { notice, cut: kept, messages: before } = this.store.getState();
    const cut = this.busy ? cutAttempt(before.at(-1), messages.at(-1), kept) : null;
    this.store.setState({ status, messages, cut, notice: this.#news.after(notice, text) });
  }

  /** Drop the text of the cut attempt: the new text is as long. */
  dropCut(): void {
    this.store.setState({ cut: null });
  }

  // --- sending ------------------------------------------------------------------------------

  /** The message that is being sent and that the server has not accepted yet. */
  #undelivered(): OutboxItem | undefined {
    if (this.tools.transport.getState(this.id).runId !== undefined) return undefined;
    const last = this.#state.messages.at(-1);
    return outboxOf(this.id).find((item) => item.id === last?.id);
  }

  async #deliver(item: OutboxItem): Promise<void> {
    const stream = this.#begins();
    const body = item.model ? { model: item.model } : {};
    const replaces = this.#state.messages.some((message) => message.id === item.replaces)
      ? item.replaces
      : undefined;
    let accepted = false;
    const acceptance = new Promise<void>((resolve) => {
      const stop = onNewRun(this.tools.transport, this.id, () => {
        accepted = true;
        this.#accepted(item);
        resolve();
      });
      const sending = this.#exchange.sendMessage(
        {
          id: item.id,
          role: "user",
          parts: [{ type: "text", text: item.text }],
          ...(replaces ? { messageId: replaces } : {}),
        },
        // The message's id makes a retry from any page a duplicate of the same request.
        { body, headers: { "idempotency-key": item.id } },
      );
      void this.#settle(stream, sending, () => (accepted ? undefined : item)).then(() => {
        stop();
        resolve();
      });
    });
    await acceptance;
  }

  #accepted(item: OutboxItem): void {
    this.#exists = true;
    removeFromOutbox(item.id);
    this.tools.onAccepted(this.id, item);
    if (!this.#shown) this.leave();
  }

  /** A stream starts. It is newer than any pending load. */
  #begins(): number {
    this.#loading.overtake();
    this.#replay = null;
    this.#resuming = false;
    this.#leaf = null;
    this.store.setState({ problem: null, notice: null, cut: null, found: false, stopping: false });
    return ++this.#stream;
  }

  /** Wait for the end of a stream, then handle it. */
  async #settle(
    stream: number,
    end: Promise<void>,
    undelivered?: () => OutboxItem | undefined,
  ): Promise<void> {
    await end;
    if (stream !== this.#stream) return;
    this.store.setState({ stopping: false });
    const error = this.#exchange.error;
    this.#exchange.clearError();
    if (error instanceof TransportError) {
      await this.#failed(error, undelivered?.());
      return;
    }
    const waiting = this.#startedElsewhere;
    this.#startedElsewhere = null;
    if (waiting !== null && !hasRun(this.#state.messages, waiting)) await this.load();
    else this.#learnVersions();
    void this.deliver();
  }

  async #failed(error: TransportError, item: OutboxItem | undefined): Promise<void> {
    switch (error.kind) {
      case "unauthorized":
      case "forbidden":
        this.tools.onUnauthorized(error);
        this.store.setState({ problem: error });
        return;
      case "busy": // another tab was first: its answer, then this message
      case "cursor-lost":
        await this.load();
        return;
      case "not-found":
        if (item === undefined) {
          await this.load();
          return;
        }
    }
    if (item === undefined) {
      this.store.setState({ problem: error });
      return;
    }
    setRefused(item.id, whyRefused(error));
    this.#state.messages = this.#state.messages.filter((message) => message.id !== item.id);
    if (item.replaces !== undefined) await this.load();
  }

  // --- versions -----------------------------------------------------------------------------

  /** Add the messages and answers of this page to the versions, without a request. */
  #learnVersions(): void {
    const fresh = lineage(this.#state.messages);
    this.store.setState((view) => ({ versions: view.versions.with(...fresh) }));
  }
}
