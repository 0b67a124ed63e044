import { expect, it } from "vitest";
import { plainText } from "./plain";

it.each([
  ["# A **bold** _title_ with `code`", "A bold title with code"],
  ["[text](https://a.example) and ![alt](https://b.example/x.png)", "text and alt"],
  ["- one\n- [x] two\n1. three", "one two three"],
  ["> quoted\n\n---\n\nrest", "quoted rest"],
  ["before\n\n```js\nconst a = 1;\n```\n\nafter", "before (code) after"],
  ["before\n```js\nnot closed", "before (code)"],
  ["| a | b |\n|---|---|\n| 1 | 2 |", "a, b 1, 2"],
  ["snake_case_name and 2 * 3 * 4 and \\*kept\\*", "snake_case_name and 2 * 3 * 4 and *kept*"],
  ["<b>bold</b> <!-- hidden --> a < b", "bold a < b"],
  ["of $L$ seconds and \\(x\\), for $5 or $10", "of L seconds and (x), for $5 or $10"],
  ["<https://a.example/b>", "https://a.example/b"],
  ["", ""],
])("turns %j into %j", (markdown, text) => {
  expect(plainText(markdown)).toBe(text);
});

// A pattern that backtracks would take hours; the limit only has to end the test on any machine.
it("is fast on a long text of marks", { timeout: 120_000 }, () => {
  const started = performance.now();
  for (const mark of ["*", "_", "`", "[", "<", "|", "~", "#", ">", "$", "```\n"]) {
    plainText(mark.repeat(20_000));
  }
  expect(performance.now() - started).toBeLessThan(60_000);
});
