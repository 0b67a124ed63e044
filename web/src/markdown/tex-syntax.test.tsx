import { renderToStaticMarkup } from "react-dom/server";
import { beforeAll, describe, expect, it } from "vitest";
import { Blocks } from "./block-view";
import { currentMath, loadMath, type MathPlugins, needsMath } from "./math";

let math: MathPlugins | null = null;
beforeAll(async () => {
  await loadMath();
  math = currentMath();
});

const html = (text: string, growing = false) =>
  renderToStaticMarkup(<Blocks text={text} growing={growing} math={math} />);

const annotation = /<annotation encoding="application\/x-tex">([\s\S]*?)<\/annotation>/g;
const unescaped = (text: string) =>
  text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&#x27;/g, "'").replace(/&amp;/g, "&");

/** The TeX of every formula; display formulas are in brackets. */
function formulas(text: string, growing = false): string[] {
  const found = html(text, growing).split(/(?=<span class="katex-display">|<span class="katex">)/);
  let displayed = false;
  return found.flatMap((part) => {
    if (part.startsWith('<span class="katex-display">')) displayed = true;
    return [...part.matchAll(annotation)].map(([, tex = ""]) => {
      const name = unescaped(tex).trim();
      const shown = displayed ? `[${name}]` : name;
      displayed = false;
      return shown;
    });
  });
}

const words = (text: string, growing = false) =>
  unescaped(html(text, growing).replace(/<\/(?:p|li)>/g, "\n").replace(/<[^>]*>/g, ""))
    .replace(/\n+/g, "\n")
    .trim();

describe("formulas", () => {
  it.each([
    [String.raw`Let \(x^2\) be and \(\alpha\).`, ["x^2", "\\alpha"]],
    [String.raw`So \[ a = b \] holds`, ["[a = b]"]],
    [String.raw`\[ a = b \]`, ["[a = b]"]],
    ["\\[\na\n= b\n\n- c\n> d\n\\]", ["[a\n= b\n\n- c\n> d]"]],
    ["We have\n\\[\na\n\\]\nand \\(b\\).", ["[a]", "b"]],
    ["\\[ \\begin{cases} 1 & a \\\\[2pt]\n+ 2 & b \\end{cases} \\]", [
      "[\\begin{cases} 1 & a \\\\[2pt]\n+ 2 & b \\end{cases}]",
    ]],
    ["\\[ a\n= b \\]", ["[a\n= b]"]],
    ["1. One\n   \\[\n   x\n   \\]\n2. Two \\(y\\)\n   - \\[ z \\]", ["[x]", "y", "[z]"]],
    ["> \\[\n> x\n> \\]\n>\n> and \\(y\\)", ["[x]", "y"]],
    ["| a | b |\n|---|---|\n| \\(x\\) | $y$ |", ["x", "y"]],
    ["**Bold \\(a*b*c\\)** and # $d_1 * e_2$", ["a*b*c", "d_1 * e_2"]],
    ["[the \\(n\\) pages](https://a.example)", ["n"]],
    ["With $L$ seconds, $p \\approx 0.61$, $m_n = f(m_{n-1}, r_n)$", [
      "L", "p \\approx 0.61", "m_n = f(m_{n-1}, r_n)",
    ]],
    ["the $n$th, $k$-means, $\\$5 + x$ and $a\n= b$", ["n", "k", "\\$5 + x", "a\n= b"]],
    ["$$x$$ and\n\n$$\ny\n$$\n\nor $$z$$", ["x", "[y]", "z"]],
    ["$$z$$", ["[z]"]],
    ["\\(z\\)\n\n$y$", ["z", "y"]],
    ["\\[\nx\n\\] where \\(x\\) is *big*", ["[x]", "x"]],
  ])("%j are read", (text, expected) => {
    expect(formulas(text)).toEqual(expected);
    expect(html(text)).not.toContain("katex-error");
  });

  it.each([
    ["it costs $5 and $10", "it costs $5 and $10"],
    ["$5-$10, US$3 and US$4, $ 5 $ and a$ b$", "$5-$10, US$3 and US$4, $ 5 $ and a$ b$"],
    ["\\$x$ and $y\\$", "$x$ and $y$"],
    ["from $x\n\nto y$", "from $x\nto y$"],
    ["`$x$` and `\\(y\\)`", "$x$ and \\(y\\)"],
    ["\\\\(x\\\\) and f\\(\\)", "\\(x\\) and f()"],
    ["\\(open and ( more", "(open and ( more"],
    ["\\[not a link](/x)\n- a", "[not a link](/x)\na"],
  ])("%j holds none", (text, expected) => {
    expect(formulas(text)).toEqual([]);
    expect(words(text)).toBe(expected);
  });

  it("in code stay code", () => {
    expect(formulas("    \\[\n    x\n    \\]")).toEqual([]);
    expect(formulas("```\n\\[\nx\n\\]\n```\n\n- a\n  ```\n  $x$\n  ```")).toEqual([]);
  });

  it("load KaTeX only for text that may be one", () => {
    for (const text of ["a $$", "\\(", "\\[", "$x", "$2x + 1$", "$\\alpha"]) {
      expect(needsMath(text), text).toBe(true);
    }
    for (const text of ["it costs $5 and $10", "$ 5 $", "a (b) [c]", "100$ "]) {
      expect(needsMath(text), text).toBe(false);
    }
  });

  it("cost time in proportion to the text, however many marks are open", () => {
    const started = performance.now();
    for (const mark of ["$a ", "\\(a ", "\\[a ", "$a\\(", "\\[ \\a\n", "\\[\n"]) {
      html(mark.repeat(3_000));
    }
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

const prefixes = (text: string) => Array.from(text, (_, end) => text.slice(0, end + 1));

describe("a growing formula", () => {
  it.each([
    String.raw`so \(m_n = f(m_{n-1}, r_n)\) holds`,
    String.raw`so \[ m_n = f(m_{n-1}, r_n) \] holds`,
    "so\n\\[\nm_n\n= \\frac{1}{2}\n\n+ [0, 1)\n\\]\nholds",
    "so\n- so\n  \\[\n  m_n\n  = \\frac{1}{2}\n  \\]\n- holds",
    "so $m_n = f(m_{n-1}, r_n)$ and $L$ and $p \\approx 0.61$ holds",
    "so **it \\(a * b_i * c\\) is** holds",
    "so\n\n$$\nm_n\n$$\n\nholds",
  ])("%j never shows TeX", (text) => {
    for (const prefix of prefixes(text)) {
      const shown = html(prefix, true).replace(/<span class="katex.*?(?=<\/p>|<\/li>|$)/gs, "");
      expect(shown.replace(/<[^>]*>/g, ""), prefix).toMatch(/^[a-z\s]*$/);
    }
  });

  it("whose end has arrived is shown at once", () => {
    expect(formulas("so \\(a\\)", true)).toEqual(["a"]);
    expect(formulas("so\n\\[\na\n\\]", true)).toEqual(["[a]"]);
  });

  it("is not changed by open constructs around it", () => {
    expect(formulas("**for \\([0, a_1 * b)\\) and *more", true)).toEqual(["[0, a_1 * b)"]);
  });
});

describe("growing words after a dollar", () => {
  it.each([
    ["it costs $5 and", "it costs $5 and"],
    ["it costs $5,000.50 and", "it costs $5,000.50 and"],
    ["\\[not a link](/x) and", "[not a link](/x) and"],
    ["$a line\nand another", "$a line\nand another"],
    [`\\[ ${"many words ".repeat(5)}more`, `[ ${"many words ".repeat(5)}more`],
    [`\\( ${"many words ".repeat(5)}more`, `( ${"many words ".repeat(5)}more`],
    [`to $HOME ${"many words ".repeat(5)}more`, `to $HOME ${"many words ".repeat(5)}more`],
  ])("%j are shown", (text, expected) => {
    expect(words(text, true)).toBe(expected);
  });

  it("are held back for at most forty characters", () => {
    const text = "pay $ then $many words \\(that are no formula at all, \\[as they go on and on";
    for (const prefix of prefixes(text)) {
      const plain = prefix.replace(/\\(?=[([])/g, "");
      expect(plain.length - words(prefix, true).length, prefix).toBeLessThanOrEqual(41);
    }
  });
});
