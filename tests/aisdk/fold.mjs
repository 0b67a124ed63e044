// Folds logs with the unmodified AI SDK client.
//
// Each input line is {records, lost}: the records of a log (strings, each the JSON of one chunk)
// and, if not null, after how many of them the first connection breaks, so that the chat resumes
// and gets the whole log as a replay. Each output line is what the chat has in the end:
// {message, answers, error, finishReason}, `answers` being how many assistant messages it shows.
//
// The records travel through DefaultChatTransport as server-sent events: they are parsed and
// validated like those of a server.

import { createInterface } from 'node:readline';
import { AbstractChat, DefaultChatTransport } from 'ai';
import { MemoryChatState } from './state.mjs';

class Chat extends AbstractChat {}

const asEvents = records => records.map(record => `data: ${record}\n\n`).join('');

function brokenStream(text) {
  const pieces = [new TextEncoder().encode(text)];
  return new ReadableStream({
    pull(controller) {
      if (pieces.length > 0) controller.enqueue(pieces.pop());
      else controller.error(new TypeError('network error'));
    },
  });
}

async function fold({ records, lost }) {
  let outcome;
  const whole = asEvents(records) + 'data: [DONE]\n\n';
  const chat = new Chat({
    id: 'chat',
    state: new MemoryChatState(),
    transport: new DefaultChatTransport({
      api: 'http://fold.invalid/api/chat',
      fetch: async (_, { method }) =>
        new Response(
          method === 'POST' && lost !== null ? brokenStream(asEvents(records.slice(0, lost))) : whole,
        ),
    }),
    onFinish: end => {
      outcome = end;
    },
  });
  await chat.sendMessage({ text: 'question' });
  if (lost !== null) await chat.resumeStream();
  return {
    message: outcome.message,
    answers: chat.messages.filter(message => message.role === 'assistant').length,
    error: chat.error?.message ?? null,
    finishReason: outcome.finishReason ?? null,
  };
}

// Outside of ASCII, JSON is escaped: nothing but the line feed may look like a line's end.
function toLine(value) {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    unit => '\\u' + unit.charCodeAt(0).toString(16).padStart(4, '0'),
  );
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(toLine(await fold(JSON.parse(line))) + '\n');
}
