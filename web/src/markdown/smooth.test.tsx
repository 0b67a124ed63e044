// @vitest-environment jsdom
import { act } from "react";
import { createRoot } from "react-dom/client";
import { afterEach, expect, it, vi } from "vitest";
import { useSmoothText } from "./smooth";

const tellReact = (testing: boolean) =>
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: testing });
tellReact(true);

/** Waits for React's own updates, as in a page. */
async function untold(check: () => void) {
  tellReact(false);
  await vi.waitFor(check, 4_000);
  tellReact(true);
}

const container = document.createElement("div");
let root = createRoot(container);
let renders = 0;

function Text({ text, live }: { text: string; live: boolean }) {
  renders += 1;
  return useSmoothText(text, live);
}

const show = (text: string, live: boolean) =>
  act(async () => root.render(<Text text={text} live={live} />));

afterEach(async () => {
  vi.unstubAllGlobals();
  await act(async () => root.unmount());
  root = createRoot(container);
});

it("shows the text at mount, smooths a burst, and reaches its end", async () => {
  await show("Here. ", true);
  expect(container.textContent).toBe("Here. ");
  const text = `Here. ${"More words. ".repeat(20)}`;
  await show(text, true);
  expect(container.textContent!.length).toBeLessThan(text.length);
  renders = 0;
  await untold(() => expect(container.textContent).toBe(text));
  expect(renders).toBeLessThanOrEqual(14);
});

it("has no delay with reduced motion", async () => {
  vi.stubGlobal("matchMedia", () => ({ matches: true }));
  await show("", true);
  await show("All of it at once.", true);
  expect(container.textContent).toBe("All of it at once.");
});

it("follows a restarted text at once", async () => {
  await show("The first attempt", true);
  await show("Second", true);
  expect(container.textContent).toBe("Second");
});

it("shows everything in the commit in which the text ends", async () => {
  await show("Here. ", true);
  const text = `Here. ${"More words. ".repeat(20)}`;
  await show(text, true);
  expect(container.textContent!.length).toBeLessThan(text.length);
  const commits: (string | null)[] = [];
  const observer = new MutationObserver(() => commits.push(container.textContent));
  observer.observe(container, { characterData: true, childList: true, subtree: true });
  await show(`${text}The end.`, false);
  observer.disconnect();
  expect(commits).toEqual([`${text}The end.`]);
});
