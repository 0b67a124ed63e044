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
  renderToStaticMarkup(<Blocks text={text} growing={growing} math={math} />).replace(suffix, "$1");

/** The suffix that makes a footnote's id unique in the page. */
const suffix = /(user-content-[\w-]+?)_R_\w*_/g;

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
const same = (markup: string) =>
  markup
    .replace(/\s*\n\s*(?=<\/?[a-z])/g, "")
    .replace(/>\s*\n\s*/g, ">")
    .trim();

describe("rendering in blocks equals rendering the whole text", () => {
  for (const [name, text] of Object.entries(corpus)) {
    it(name, () => {
      expect(same(html(text, false))).toBe(same(whole(text)));
    });
  }

  it("also for one document after another", { timeout: 60_000 }, () => {
    const texts = Object.entries(corpus).filter(([, text]) => text.length < 300);
    texts.forEach(([first, a], index) => {
      for (const [second, b] of [...texts, ...texts].slice(index + 1, index + 7)) {
        if (/open|footnotes/.test(first + second)) continue;
        const text = `${a}\n${b}`;
        expect(same(html(text, false)), `${first} + ${second}`).toBe(same(whole(text)));
      }
    });
  });

  it("also for lines in any order", { timeout: 60_000 }, () => {
    const long = "long ".repeat(170).trim();
    const lines = [
      ...["- a", "  - b", "   c", "", "", "1. d", "2. e", "   ```", "```", "> f", "g", "# h", "-"],
      ...["| i | j |", "|---|---|", "---", "* k", "<div>", "</div>", " - m", "[n]", "$$"],
      ...["\n[n]: https://n.example", "<!--", "-->", "  > o", "~~~", "+ p", "10) q", "==="],
      ...["- ```", "  s", "\\[", "x \\]", "\\[ \\a", "$y$", `- ${long}`, `3. ${long}`],
    ];
    const pick = random(11);
    for (let round = 0; round < 500; round++) {
      const count = 2 + pick(8);
      const text = Array.from({ length: count }, () => lines[pick(lines.length)]).join("\n");
      expect(same(html(text, false)), JSON.stringify(text)).toBe(same(whole(text)));
    }
  });
});

/** The same numbers every time (Lehmer's generator). */
function random(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => (state = (state * 48271) % 2147483647) % bound;
}

describe("every prefix", () => {
  for (const [name, text] of Object.entries(corpus)) {
    it(`of "${name}" can be shown, and reading on equals a new read`, () => {
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
