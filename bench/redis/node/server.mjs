// What the Redis store is compared with: a plain Node.js server around `resumable-stream`, used as
// its README shows it. Settings: PORT, REDIS_URL, BENCH_RATE.
//
//   POST /api/chat                          begins a stream and sends it
//   GET  /api/chat/ID/stream?resumeAt=N     sends what comes after the first N characters
//
// Everything that is not the package's is as cheap as it can be made: one timer for all streams, one
// `write` per chunk, no framework. The tokens are those of bench/tokens.py.
import { once } from "node:events";
import { createServer } from "node:http";
import { createResumableStreamContext } from "resumable-stream";

const WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog,", "and"];
const SLOTS = 40;
const LATE = 2000;
const HEADERS = { "content-type": "text/event-stream", "cache-control": "no-cache, no-transform" };

const context = createResumableStreamContext({ waitUntil: null });

// --- tokens: see bench/tokens.py -----------------------------------------------------------------

const micros = () => Number(process.hrtime.bigint() / 1000n); // of the machine's monotonic clock

class Wheel {
  #step;
  #slots = Array.from({ length: SLOTS }, () => new Set());
  #joined = 0;
  #slot = 0;
  #due = 0;

  constructor(rate) {
    this.#step = 1e6 / rate / SLOTS;
  }

  join(tick) {
    const slot = this.#slots[this.#joined++ % SLOTS];
    slot.add(tick);
    if (this.#due === 0) {
      this.#due = micros() + this.#step;
      this.#turn();
    }
    return () => slot.delete(tick);
  }

  #turn() {
    const now = micros();
    while (this.#due <= now) {
      const made = now - this.#due < LATE ? now : Math.round(this.#due);
      for (const tick of this.#slots[this.#slot]) tick(made);
      this.#slot = (this.#slot + 1) % SLOTS;
      this.#due += this.#step;
    }
    setTimeout(() => this.#turn(), Math.max(1, (this.#due - now) / 1000));
  }
}

const wheel = new Wheel(Number(process.env.BENCH_RATE ?? "50"));

function answer(timed) {
  let leave;
  return new ReadableStream({
    start(controller) {
      let number = 0;
      leave = wheel.join((made) => {
        number += 1;
        const delta = `~${number}${timed ? `@${made}` : ""} ${WORDS[number % 10]}`;
        const chunk = JSON.stringify({ type: "text-delta", id: "p1", delta });
        controller.enqueue(`data: ${chunk}\n\n`);
      });
    },
    cancel() {
      leave();
    },
  });
}

// --- HTTP ----------------------------------------------------------------------------------------

async function begin(request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const { id, model } = JSON.parse(Buffer.concat(parts).toString());
  const stream = await context.resumableStream(id, () => answer(model === "timed"));
  await send(stream, response);
}

async function resume(path, response) {
  const [, , , id] = path.pathname.split("/");
  const stream = await context.resumeExistingStream(id, Number(path.searchParams.get("resumeAt")));
  await send(stream, response);
}

// A reader that has gone is no longer read for. The stream is not cancelled: a cancelled one would
// throw an error for every chunk that follows, inside the package, and cost more.
async function send(stream, response) {
  if (!stream) {
    response.writeHead(422).end();
    return;
  }
  response.writeHead(200, HEADERS);
  const reader = stream.getReader();
  while (!response.destroyed) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!response.write(value) && !response.destroyed) await once(response, "drain");
  }
  response.end();
}

const server = createServer((request, response) => {
  const path = new URL(request.url, "http://bench");
  const done = request.method === "POST" ? begin(request, response) : resume(path, response);
  done.catch((error) => {
    if (!response.headersSent) response.writeHead(503).end(String(error));
    response.destroy();
  });
});

server.listen({ port: Number(process.env.PORT), host: "127.0.0.1", backlog: 4096 });
