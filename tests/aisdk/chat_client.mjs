// A browser with the unmodified AI SDK chat client, steered over stdin and stdout.
//
// Each input line is a command, {n, do, ...}; each output line answers one, {n, value} or
// {n, error}. Commands that wait (`settled`, `shows`) do not hold up others. A page is one `Chat` as
// `useChat` makes it; opening a page again under the same name is a reload. All pages share the
// browser's cookies.
//
//   open        page, api, chat, messages   make the page's chat, with the messages it begins with
//   send        page, text, messageId       sendMessage; with messageId it edits that message, and
//                                           without text it sends the last message again
//   regenerate  page, messageId
//   resume      page                        resumeStream
//   stop        page                        stop, done when the request has ended
//   state       page                        {status, error, messages, statuses, ends, requests}
//   settled     page                        the state, as soon as nothing begun goes on any more
//   shows       page, length                the state, as soon as the answer's text is so long
//   fetch       method, url, body           {status, body} of any request with the same cookies

import { createInterface } from 'node:readline';
import { AbstractChat, DefaultChatTransport } from 'ai';
import { MemoryChatState } from './state.mjs';

class Chat extends AbstractChat {
  constructor({ messages, changed, ...init }) {
    super({ ...init, state: new MemoryChatState(messages, changed) });
  }
}

const cookies = new Map();

async function fetchWithCookies(url, init = {}) {
  const headers = new Headers(init.headers);
  if (cookies.size > 0) {
    headers.set('cookie', [...cookies].map(([name, value]) => `${name}=${value}`).join('; '));
  }
  const response = await fetch(url, { ...init, headers });
  for (const line of response.headers.getSetCookie()) {
    const [pair] = line.split(';');
    const end = pair.indexOf('=');
    cookies.set(pair.slice(0, end).trim(), pair.slice(end + 1).trim());
  }
  return response;
}

const textOf = message =>
  message?.role === 'assistant'
    ? message.parts.map(part => (part.type === 'text' ? part.text : '')).join('')
    : '';

class Page {
  #going = new Set();
  #watchers = new Set();
  #requests = [];
  #statuses = [];
  #ends = [];
  #failures = [];

  constructor({ api, chat, messages = [] }) {
    this.chat = new Chat({
      id: chat,
      messages,
      changed: () => this.#changed(),
      transport: new DefaultChatTransport({ api, fetch: (url, init) => this.#fetch(url, init) }),
      onFinish: ({ isAbort, isDisconnect, isError, finishReason }) =>
        this.#ends.push({ isAbort, isDisconnect, isError, finishReason: finishReason ?? null }),
    });
  }

  begin(action) {
    const going = action()
      .catch(error => this.#failures.push(String(error)))
      .finally(() => {
        this.#going.delete(going);
        this.#changed();
      });
    this.#going.add(going);
  }

  until(condition) {
    return new Promise(resolve => {
      const watcher = () => {
        if (!condition()) return;
        this.#watchers.delete(watcher);
        resolve(this.state());
      };
      this.#watchers.add(watcher);
      watcher();
    });
  }

  settled() {
    return this.until(() => this.#going.size === 0);
  }

  shows(length) {
    return this.until(() => textOf(this.chat.lastMessage).length >= length);
  }

  state() {
    return {
      status: this.chat.status,
      error: this.chat.error?.message ?? null,
      messages: this.chat.messages,
      statuses: this.#statuses,
      ends: this.#ends,
      requests: this.#requests,
      failures: this.#failures,
    };
  }

  async #fetch(url, init) {
    const request = { method: init.method, path: new URL(url).pathname, status: null };
    this.#requests.push(request);
    const response = await fetchWithCookies(url, init);
    request.status = response.status;
    return response;
  }

  #changed() {
    const { status } = this.chat;
    if (status !== (this.#statuses.at(-1) ?? 'ready')) this.#statuses.push(status);
    for (const watcher of [...this.#watchers]) watcher();
  }
}

const pages = new Map();

const commands = {
  open: ({ page, ...init }) => void pages.set(page, new Page(init)),
  send({ page, text, messageId }) {
    const { chat } = pages.get(page);
    pages.get(page).begin(() => chat.sendMessage(text && { text, messageId }));
  },
  regenerate({ page, messageId }) {
    const { chat } = pages.get(page);
    pages.get(page).begin(() => chat.regenerate({ messageId }));
  },
  resume({ page }) {
    pages.get(page).begin(() => pages.get(page).chat.resumeStream());
  },
  stop: ({ page }) => pages.get(page).chat.stop(),
  state: ({ page }) => pages.get(page).state(),
  settled: ({ page }) => pages.get(page).settled(),
  shows: ({ page, length }) => pages.get(page).shows(length),
  async fetch({ method = 'GET', url, body }) {
    const response = await fetchWithCookies(url, {
      method,
      ...(body !== undefined && {
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      }),
    });
    const text = await response.text();
    const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, body: isJson ? JSON.parse(text) : text };
  },
};

async function obey({ n, do: name, ...options }) {
  try {
    return { n, value: (await commands[name](options)) ?? null };
  } catch (error) {
    return { n, error: String(error.cause ?? error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  obey(JSON.parse(line)).then(answer => process.stdout.write(JSON.stringify(answer) + '\n'));
}
process.exit(); // the browser is closed, whatever its pages do
