// @vitest-environment jsdom
import { afterAll, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { followAnchors } from "./anchors";

const scrolled = vi.fn();

beforeAll(() => {
  Element.prototype.scrollIntoView = scrolled;
  document.addEventListener("click", followAnchors);
});
afterAll(() => document.removeEventListener("click", followAnchors));
beforeEach(() => {
  scrolled.mockClear();
  document.body.innerHTML = `
    <a id="skip" href="#box"><b>Skip</b></a> <a id="note" href="#note-1">1</a> <a id="lost" href="#none">?</a>
    <textarea id="box"></textarea> <p id="note-1">A note</p>`;
});

/** Click; returns whether the browser's default action would follow the link. */
function click(selector: string, how: MouseEventInit = {}): boolean {
  const event = new MouseEvent("click", { bubbles: true, cancelable: true, ...how });
  return document.querySelector(selector)!.dispatchEvent(event);
}

it("leads to a place in the page, even if it is not focusable", () => {
  expect(click("#skip b")).toBe(false);
  expect(document.activeElement?.id).toBe("box");
  expect(click("#note")).toBe(false);
  expect(document.activeElement?.id).toBe("note-1");
  expect(scrolled).toHaveBeenCalledTimes(2);
});

it("ignores a missing target, and leaves new tabs to the browser", () => {
  expect(click("#lost")).toBe(false);
  expect(click("#skip", { ctrlKey: true })).toBe(true);
  expect(scrolled).not.toHaveBeenCalled();
});
