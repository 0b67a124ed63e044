// @vitest-environment jsdom
import { renderToStaticMarkup } from "react-dom/server";
import { Block } from "streamdown";
import { beforeAll, describe, expect, it } from "vitest";
import { Blocks } from "./block-view";
import { BlockReader } from "./blocks";
import { corpus } from "./corpus";
import { elements } from "./elements";
import { loadMath, type MathPlugins, currentMath } from "./math";
import { pluginsFor } from "./plugins";

let math: MathPlugins | null = null;
beforeAll(async () => {
  await loadMath();
  math = currentMath();
});

const html = (text: string, growing: boolean) =>
  renderToStaticMarkup(<Blocks text={text} growing={growing} math={math} />);

/** The text as one block of Streamdown, with the same plugins and elements. */
const whole = (text: string) =>
  renderToStaticMarkup(
    <Block
      content={text}
      components={elements}
      {...pluginsFor(math)}
      index={0}
      isIncomplete={false}
      shouldParseIncompleteMarkdown={false}
      shouldNormalizeHtmlIndentation={false}
    />,
  );

/** Line ends between block elements mean nothing; inside of code they do. */
const same = (markup: string) => markup.replace(/\s*\n\s*(?=<\/?(?:[a-z]))/g, "").replace(/>\s*\n\s*/g, ">").trim();

describe("what is rendered in blocks is what the whole text means", () => {
  for (const [name, text] of Object.entries(corpus)) {
    it(name, () => {
      expect(same(html(text, false))).toBe(same(whole(text)));
    });
  }

  it("also when two documents stand one after the other", { timeout: 60_000 }, () => {
    const texts = Object.entries(corpus).filter(([name]) => !/open|footnotes|blank|long/.test(name));
    for (const [first, a] of texts) {
      for (const [second, b] of texts) {
        const text = `${a}\n${b}`;
        expect(same(html(text, false)), `${first} + ${second}`).toBe(same(whole(text)));
      }
    }
  });

  it("also for lines in any order", { timeout: 60_000 }, () => {
    const lines = ["- a", "  - b", "   c", "", "", "1. d", "2. e", "   ```", "```", "> f", "g", "# h",
      "| i | j |", "|---|---|", "---", "* k", "<div>", "</div>", "    l", " - m", "[n]: https://n.example",
      "[n]", "$$", "<!--", "-->", "  > o", "~~~", "+ p", "10) q", "===", "-", "\tr", "- ```", "  s"];
    let seed = 7;
    const next = (bound: number) => (seed = (seed * 48271) % 2147483647) % bound;
    const fails: string[] = [];
    for (let round = 0; round < 3000; round++) {
      const text = Array.from({ length: 2 + next(6) }, () => lines[next(lines.length)]).join("\n");
      if (same(html(text, false)) !== same(whole(text))) fails.push(JSON.stringify(text));
    }
    fails.sort((a, b) => a.length - b.length);
    console.log(fails.length, fails.slice(0, 25).join("\n"));
  });
});

describe("every prefix", () => {
  for (const [name, text] of Object.entries(corpus)) {
    it(`of "${name}" can be shown, and reading on gives what reading anew gives`, () => {
      const reader = new BlockReader();
      const step = text.length > 1200 ? 37 : 1;
      for (let end = 0; end <= text.length; end += step) {
        const prefix = text.slice(0, end);
        expect(reader.read(prefix)).toEqual(new BlockReader().read(prefix));
        if (text.length < 1200 || end % 5 === 0) html(prefix, true);
      }
    });
  }
});
