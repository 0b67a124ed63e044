// The state of a chat, in memory: what `Chat` of @ai-sdk/react keeps, without React.
// `changed` is called after every change.

export class MemoryChatState {
  #status = 'ready';
  #error = undefined;
  #messages;
  #changed;

  constructor(messages = [], changed = () => {}) {
    this.#messages = messages;
    this.#changed = changed;
  }

  get status() {
    return this.#status;
  }

  set status(status) {
    this.#status = status;
    this.#changed();
  }

  get error() {
    return this.#error;
  }

  set error(error) {
    this.#error = error;
    this.#changed();
  }

  get messages() {
    return this.#messages;
  }

  set messages(messages) {
    this.#messages = [...messages];
    this.#changed();
  }

  pushMessage = message => {
    this.messages = this.#messages.concat(message);
  };

  popMessage = () => {
    this.messages = this.#messages.slice(0, -1);
  };

  replaceMessage = (index, message) => {
    // The message that is being written is changed in place: without a copy, React would see no
    // change, and this state would show what was never announced.
    this.messages = [
      ...this.#messages.slice(0, index),
      this.snapshot(message),
      ...this.#messages.slice(index + 1),
    ];
  };

  snapshot = value => structuredClone(value);
}
