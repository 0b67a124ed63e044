import { describe, expect, it } from "vitest";
import { GLIDE, JUMP, LAG_MS, Pacer } from "./pacing";

const STEP = 33;
const words = "word ".repeat(2_000);

describe("pacing", () => {
  it("shows the initial text at once", () => {
    const pacer = new Pacer("already here");
    expect(pacer.visible("already here")).toBe("already here");
    expect(pacer.pending).toBe(false);
  });

  it("spreads a burst evenly over its time", () => {
    const pacer = new Pacer("");
    pacer.receive(words.slice(0, 260), 0);
    const steps: number[] = [];
    for (let now = 26; now <= LAG_MS; now += 26) {
      const before = pacer.shown;
      pacer.advance(now);
      steps.push(pacer.shown - before);
    }
    expect(pacer.shown).toBe(260);
    expect(Math.max(...steps) - Math.min(...steps)).toBeLessThanOrEqual(2);
  });

  it("never delays a character beyond its deadline", () => {
    const pacer = new Pacer("");
    const arrived: { length: number; at: number }[] = [];
    let length = 0;
    for (let now = 0; now < 6_000; now += STEP) {
      if (now % 7 === 0) length += now % 5 === 0 ? 1_100 : 1;
      pacer.receive(words.slice(0, length), now);
      arrived.push({ length: Math.min(length, words.length), at: now });
      pacer.advance(now);
      const due = arrived.filter(({ at }) => at <= now - LAG_MS).at(-1);
      expect(pacer.shown).toBeGreaterThanOrEqual(due?.length ?? 0);
    }
  });

  it("skips most of a resumed text and glides to its end", () => {
    const pacer = new Pacer("start ");
    const text = `start ${words.slice(0, JUMP + 500)}`;
    pacer.receive(text, 0);
    expect(pacer.shown).toBeGreaterThanOrEqual(text.length - GLIDE - 2);
    expect(pacer.pending).toBe(true);
    pacer.advance(LAG_MS);
    expect(pacer.shown).toBe(text.length);
  });

  it("shows the rest at once when it is finished", () => {
    const pacer = new Pacer("");
    const text = words.slice(0, 500);
    pacer.receive(text, 0);
    pacer.advance(10);
    pacer.finish();
    expect(pacer.visible(text)).toBe(text);
    expect(pacer.pending).toBe(false);
  });

  it("follows at once when the text shrinks or is replaced", () => {
    const pacer = new Pacer("one two three");
    expect(pacer.visible("one")).toBe("one");
    pacer.receive("one", 0);
    expect(pacer.shown).toBe(3);
    pacer.receive("other and longer", 5);
    expect(pacer.visible("other and longer")).toBe("other and longer");
    expect(pacer.pending).toBe(false);
  });

  it("keeps its position when only text not yet shown changes", () => {
    const pacer = new Pacer("same ");
    pacer.receive("same beginning", 0);
    pacer.receive("same bed", 1);
    expect(pacer.shown).toBe(5);
    pacer.advance(LAG_MS + 1);
    expect(pacer.visible("same bed")).toBe("same bed");
  });

  it("never shows half a character", () => {
    const text = "a👩‍👩‍👧‍👦b🇵🇱c\u0065\u0301d जि🙂 ".repeat(12);
    const whole = new Set([0, text.length]);
    for (const { index } of new Intl.Segmenter().segment(text)) whole.add(index);
    const pacer = new Pacer("");
    pacer.receive(text, 0);
    for (let now = 0; now <= LAG_MS; now += 1) {
      pacer.advance(now);
      expect(whole.has(pacer.shown), `${pacer.shown}`).toBe(true);
    }
    expect(pacer.shown).toBe(text.length);
  });

  it("waits for the second half of a split surrogate pair", () => {
    const text = "ok 🙂";
    const pacer = new Pacer("");
    pacer.receive(text.slice(0, -1), 0);
    pacer.advance(LAG_MS);
    expect(pacer.visible(text.slice(0, -1))).toBe("ok ");
    pacer.receive(text, LAG_MS);
    pacer.advance(2 * LAG_MS);
    expect(pacer.visible(text)).toBe(text);
  });
});
