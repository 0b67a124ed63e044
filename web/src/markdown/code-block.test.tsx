// @vitest-environment jsdom
import { act } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Markdown } from ".";
import { Colouring, GROUP_LINES } from "./colouring";
import { grammarNames, grammarName } from "./languages";
import { palette } from "./palette";
import type { LineTokenizer } from "./shiki";
import { loadTokenizer } from "./shiki";
import { Tokenizers } from "./tokenizers";

const tellReact = (testing: boolean) =>
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: testing });
tellReact(true);

/** Waits for React's own updates, as in a page. */
async function untold(check: () => void) {
  tellReact(false);
  await vi.waitFor(check, 4_000);
  tellReact(true);
}

let container: HTMLElement;
let root: Root;

beforeEach(() => {
  container = document.createElement("div");
  document.body.append(container);
  root = createRoot(container);
});

afterEach(async () => {
  await act(async () => root.unmount());
  container.remove();
  vi.unstubAllGlobals();
});

const show = (text: string, live = false, copied?: { onCopied: () => void }) =>
  act(async () => root.render(<Markdown text={text} live={live} {...copied} />));

const code = () => container.querySelector("pre")?.textContent;
const button = () => container.querySelector<HTMLButtonElement>(".md-copy")!;
const python = (count: number) => {
  const one = (_: unknown, n: number) => `def f${n}(x):  # "${n}"\n    return '''\n${n}'''\n`;
  return Array.from({ length: count }, one).join("");
};

describe("a code block", () => {
  it("has its complete text before, while and after it gets its colours", async () => {
    const text = python(30).trimEnd();
    await show(`\`\`\`py\n${text}\n\`\`\``);
    expect(code()).toBe(text);
    const coloured = () => expect(container.querySelector(".c-keyword")).not.toBeNull();
    await untold(coloured);
    expect(code()).toBe(text);
  });

  it("of an unknown language is plain and complete", async () => {
    await show("```klingon\nQapla'\n```");
    expect(code()).toBe("Qapla'");
    expect(container.querySelector(".md-code-head span")?.textContent).toBe("klingon");
  });

  it("can be reached and scrolled by keyboard, and has a name", async () => {
    await show("```python\nx\n```\n\n| a |\n|---|\n| b |");
    for (const scroller of container.querySelectorAll("pre, .md-table")) {
      expect(scroller.getAttribute("tabindex")).toBe("0");
      expect(scroller.getAttribute("aria-label")).toBeTruthy();
      expect(scroller.getAttribute("role")).toBe("group");
    }
  });

  it("keeps its copy button, and the focus on it, while the text grows", async () => {
    await show("Text\n\n```python\nx = 1\n", true);
    const before = button();
    before.focus();
    await show("Text\n\n```python\nx = 1\ny = 2\n```\n\nAfter **that**", true);
    await show("Text\n\n```python\nx = 1\ny = 2\n```\n\nAfter **that** end.");
    expect(button()).toBe(before);
    expect(document.activeElement).toBe(before);
  });

  it("copies exactly its text", async () => {
    const writeText = vi.fn(async (_: string) => {});
    vi.stubGlobal("navigator", { clipboard: { writeText }, platform: "" });
    const onCopied = vi.fn();
    await show("1. a\n\n   ```\n     b\n\n   c\t\n   ```", false, { onCopied });
    await act(async () => button().click());
    expect(writeText).toHaveBeenCalledWith("  b\n\nc\t");
    expect(onCopied).toHaveBeenCalledOnce();
    expect(button().getAttribute("aria-label")).toBe("Copied");
  });

  it("selects the code and shows the copy shortcut, where copying fails", async () => {
    vi.stubGlobal("navigator", { platform: "Linux" });
    await show("```\nselect me\n```");
    await act(async () => button().click());
    expect(button().textContent).toBe("Press Ctrl+C to copy");
    expect(getSelection()?.toString()).toBe("select me");
  });
});

/** A tokenizer: words are tokens; the state counts lines. */
const counting = () => {
  const lines: string[] = [];
  const tokenizer: LineTokenizer = {
    tokenize(line, state) {
      lines.push(line);
      return { tokens: [{ text: line, colour: "name" }], state };
    },
  };
  return { lines, tokenizer };
};

describe("colouring", () => {
  it("reads a finished line once, however often the text grows", () => {
    const { lines, tokenizer } = counting();
    const colouring = new Colouring(tokenizer, () => 0);
    const text = Array.from({ length: 100 }, (_, n) => `line ${n + 100}\n`).join("");
    for (let end = 0; end <= text.length; end += 5) colouring.advance(text.slice(0, end), 1);
    for (let n = 0; n < 100; n++) {
      // Once as the unfinished last line, if the text ended there; once as a finished line.
      const read = lines.filter((line) => line === `line ${n + 100}`).length;
      expect(read).toBeLessThanOrEqual(2);
    }
  });

  it("keeps full groups as they are", () => {
    const colouring = new Colouring(counting().tokenizer, () => 0);
    const before = colouring.advance("x\n".repeat(GROUP_LINES + 1), 1).groups[0];
    expect(colouring.advance("x\n".repeat(GROUP_LINES + 9), 1).groups[0]).toBe(before);
  });

  it("stops after its time budget and continues from there", () => {
    let now = 0;
    const colouring = new Colouring(counting().tokenizer, () => now++);
    const text = "x\n".repeat(50);
    const first = colouring.advance(text, 10);
    expect(first.tail).toBeNull();
    expect(first.length).toBeGreaterThan(0);
    let last = first;
    while (last.tail === null) last = colouring.advance(text, 10);
    expect(last.groups.flatMap((group) => group.lines)).toHaveLength(50);
  });

  it("starts again when earlier text changes", () => {
    const colouring = new Colouring(counting().tokenizer, () => 0);
    colouring.advance("a\nb\n", 1);
    const { groups } = colouring.advance("c\nb\n", 1);
    expect(groups[0]?.lines[0]?.[0]?.text).toBe("c");
  });

  it("gives the same tokens for growing as for complete text", async () => {
    const tokenizer = await loadTokenizer("python");
    const text = python(20);
    const grown = new Colouring(tokenizer, () => 0);
    for (let end = 0; end < text.length; end += 7) grown.advance(text.slice(0, end), 1);
    const once = new Colouring(tokenizer, () => 0).advance(text, 1);
    expect(grown.advance(text, 1).groups).toEqual(once.groups);
  });
});

describe("grammars", () => {
  it("are complete, with all their aliases", { timeout: 60_000 }, async () => {
    for (const name of grammarNames) {
      const { tokens } = (await loadTokenizer(name)).tokenize("x = 1", null);
      expect(tokens.map(({ text }) => text).join("")).toBe("x = 1");
    }
    expect(grammarName(" PY ")).toBe("python");
    expect(grammarName("constructor")).toBeNull();
  });

  it("use only colours that have a name", async () => {
    const { default: theme } = await import("@shikijs/themes/github-dark-default");
    for (const { settings } of theme.tokenColors ?? []) {
      if (settings.foreground) expect(palette).toHaveProperty(settings.foreground.toLowerCase());
    }
  });

  it("that cannot be fetched are retried, and waiters are notified", async () => {
    vi.useFakeTimers();
    const { tokenizer } = counting();
    const load = vi.fn<() => Promise<LineTokenizer>>().mockRejectedValueOnce(new Error("cut"));
    load.mockRejectedValueOnce(new Error("cut")).mockResolvedValue(tokenizer);
    const tokenizers = new Tokenizers(load);
    const both = Promise.all([tokenizers.fetch("go"), tokenizers.fetch("go")]);
    expect(tokenizers.get("go")).toBeUndefined();
    await vi.advanceTimersByTimeAsync(2_000);
    dispatchEvent(new Event("online"));
    await both;
    expect(tokenizers.get("go")).toBe(tokenizer);
    expect(load).toHaveBeenCalledTimes(3);
    vi.useRealTimers();
  });
});
