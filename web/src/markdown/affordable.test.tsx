// @vitest-environment jsdom
import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Markdown } from ".";
import { useAffordable } from "./affordable";

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

let container: HTMLElement;
let root: Root;
let now = 0;

/** The clock of the test, which also advances during a render. */
beforeEach(() => {
  now = 0;
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  vi.spyOn(performance, "now").mockImplementation(() => now);
  container = document.createElement("div");
  document.body.append(container);
  root = createRoot(container);
});

afterEach(async () => {
  await act(async () => root.unmount());
  container.remove();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const pass = (ms: number) =>
  act(async () => {
    now += ms;
    vi.advanceTimersByTime(ms);
  });

let spent = 0;
let before = "";

function Costly({ text, ms }: { text: string; ms: number }) {
  if (text !== before) {
    spent += ms;
    now += ms;
    before = text;
  }
  return text;
}

function Growing({ text, ms, bounded }: { text: string; ms: number; bounded: boolean }) {
  return <Costly text={useAffordable(text, bounded)} ms={ms} />;
}

async function grow(ms: number, steps: number): Promise<number> {
  spent = 0;
  const began = now;
  for (let step = 1; step <= steps; step++) {
    await act(async () => root.render(<Growing text={`text ${step}`} ms={ms} bounded />));
    await pass(31);
  }
  // The delay after the last render may not be over.
  return (spent - ms) / (now - began);
}

it("takes at most a fifth of the time, whatever one render costs", async () => {
  for (const ms of [1, 20, 90, 700]) expect(await grow(ms, 200)).toBeLessThanOrEqual(0.2);
});

it("still shows new text while it grows, and the last text soon", async () => {
  await grow(90, 40);
  expect(container.textContent).not.toBe("text 1");
  await pass(4 * 90);
  expect(container.textContent).toBe("text 40");
});

it("shows all of it in the commit in which it is no longer bounded", async () => {
  await grow(700, 3);
  expect(container.textContent).not.toBe("text 3");
  await act(async () => root.render(<Growing text="text 3" ms={700} bounded={false} />));
  expect(container.textContent).toBe("text 3");
});

it.each([
  ["a paragraph", "", "word "],
  ["a quote", "> ", "word "],
  ["a footnote's text", "Text[^1]\n\n[^1]: ", "word "],
  ["an item of a list", "- ", "word "],
])("%s of eighty thousand characters is complete at its end", async (_, head, word) => {
  vi.stubGlobal("matchMedia", () => ({ matches: true }));
  const text = head + word.repeat(16_000);
  for (const end of [20_000, 40_000, 60_000]) {
    await act(async () => root.render(<Markdown text={text.slice(0, end)} live />));
    await pass(31);
  }
  await act(async () => root.render(<Markdown text={`${text}end`} live={false} />));
  expect(container.textContent?.match(/word|end/g)).toHaveLength(16_001);
  vi.unstubAllGlobals();
});
