import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { Blocks } from "./block-view";
import { settle } from "./settle";

const html = (text: string) =>
  renderToStaticMarkup(<Blocks text={text} growing={true} math={null} />);
const shown = (text: string) =>
  html(text)
    .replace(/<[^>]*>/g, "")
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&amp;/g, "&");
const prefixes = (text: string) => Array.from(text, (_, end) => text.slice(0, end + 1));

describe("an unfinished end", () => {
  it.each([
    ["emphasis", "some **bold *and* more** text, __so__ _it_ is ~~gone~~", /[*_~]/],
    ["a link", "see [the page](https://a.example/b?c=d) for more", /[[\]()]|https/],
    ["an image", "see ![the picture](https://a.example/b.png) here", /[[\]()!]|https:/],
    ["inline code", "run `make test` now and ``a`b`` too", /`(?!b)/],
    ["a heading", "text\n\n## Heading\n\nmore", /#/],
    ["a list", "text\n\n- one\n- two\n\n1. three\n2. four", /[-.]|\d/],
    ["tasks", "- [ ] one\n- [x] two", /[[\]]/],
    ["a quote", "> quoted\n> more", />/],
    ["a rule", "text\n\n---\n\nmore", /-/],
    ["a table", "text\n\n| a | b |\n|:---|---:|\n| 1 | 2 |\n", /[|:]|--/],
    ["a fence", "text\n\n```python\nx = 1\n```\n\nmore", /`|p$|py$|pyt/],
    ["tags", "water H<sub>2</sub>O<br>next <kbd>A</kbd>", /</],
    ["a comment", "one <!-- not shown --> two", /<|!|not/],
    ["a formula", "one $$x^2 + y$$ two", /\$$(?<!y\$\$)|[x^](?!.*y\$\$)/],
    ["an entity", "a &amp; b", /amp/],
    ["an escape", "a \\* b", /\\/],
  ])("%s never flashes as marks", (_, text, marks) => {
    for (const prefix of prefixes(text)) {
      const visible = shown(prefix).replace(/textCopy code|pythonCopy code|python/g, "");
      expect(visible, JSON.stringify(prefix)).not.toMatch(marks);
    }
  });

  it("is not held back where it is code", () => {
    expect(settle("- a\n  ```\n  if (a[")).toContain("if (a[");
    expect(shown("```\n| a | **b")).toContain("| a | **b");
  });

  it("grows: plain text that was shown is never removed", () => {
    let before = "";
    for (const prefix of prefixes("Plain words, and more of them.\nA second line; a third.")) {
      expect(shown(prefix).startsWith(before.trimEnd())).toBe(true);
      before = shown(prefix);
    }
  });

  it("is shown as it is once the text has ended", () => {
    const ended = <Blocks text={"odd **mark\n- "} growing={false} math={null} />;
    expect(renderToStaticMarkup(ended)).toContain("**mark");
  });

  it("of a table is a complete row, never a part of one", () => {
    const text = "| a | b |\n|---|---|\n| one | two |\n| three | four |\n| five | six";
    for (const prefix of prefixes(text)) {
      const body = /<tbody>(.*?)<\/tbody>/s.exec(html(prefix))?.[1] ?? "";
      const rows = body.split("</tr>").map((row) => row.replace(/<[^>]*>/g, "").trim());
      for (const row of rows) expect(["", "onetwo", "threefour"], prefix).toContain(row);
    }
  });
});
