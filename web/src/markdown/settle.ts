/**
 * Prepares the end of a growing text for display: nothing flashes as raw markup and then changes.
 * Marks without a meaning yet are held back; open constructs are closed (by remend).
 *
 * Only the last block, or its last piece, is ever changed. A finished text is shown as it is.
 */
import remend, { isWithinCodeBlock, type RemendOptions } from "remend";
import { closeEmphasis } from "./emphasis";
import { aroundFormulas, withoutOpenFormula } from "./formulas";

const options: RemendOptions = {
  linkMode: "text-only",
  // Both would change finished text, too, so the text would change shape at its end.
  comparisonOperators: false,
  singleTilde: false,
  // Formulas are held back until they are complete: half a formula is an error message.
  katex: false,
  // See emphasis.ts, which also handles nesting.
  bold: false,
  boldItalic: false,
  italic: false,
  strikethrough: false,
};

const lead = /^[\s>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)*/.source;

/** A last line that only introduces the next construct. */
const marksOnly = new RegExp(
  [
    `${lead}(?:[-+*]|\\d{1,9}[.)]?)?[ \\t]*$`,
    `${lead}\\[[ xX]?\\]?[ \\t]*$`,
    `${lead}#{1,6}[ \\t]*$`,
    `${lead}(?:\`+|~+|\`{3,}[^\`]*|~{3,}.*)$`,
    "^[\\s>]*[-=*_|:+$<!][-=*_|:+$ \\t]*$",
  ].join("|"),
);

/** Characters at the end of a line that may become a mark with the next ones. */
const openEnd =
  /(?:\\?[*_~`]+|\$+|\\|(?<!\\)(?:!?\[|\])|(?<!\S)!|<!?-?|<!--(?:(?!-->)[\s\S])*|&#?\w{0,12})$/;

export function settle(text: string): string {
  const start = text.lastIndexOf("\n") + 1;
  const last = text.slice(start);
  if (isWithinCodeBlock(text, text.length)) {
    return /^[\s>]*(?:`+|~+)$/.test(last) ? text.slice(0, start) : text;
  }
  const known = marksOnly.test(last) ? text.slice(0, start) : text;
  return aroundFormulas(withoutOpenFormula(withoutTableRow(known).replace(openEnd, "")), close);
}

const close = (text: string) => closeEmphasis(remend(text, options));

/** A top-level code block: its last line may be the start of its closing fence. */
export function settleCode(text: string): string {
  const start = text.lastIndexOf("\n") + 1;
  if (start === 0) return "";
  return /^ {0,3}(?:`+|~+)$/.test(text.slice(start)) ? text.slice(0, start) : text;
}

/**
 * The head of a table is a line of bars until its delimiter row has arrived. A row is shown when it
 * is complete: the column widths change with each row, not with each word.
 */
function withoutTableRow(text: string): string {
  const lines = text.trimEnd().split("\n");
  const [before = "", last = ""] = lines.slice(-2);
  const row = (line: string) => /^[ \t>]*\|/.test(line);
  if (lines.length === 1) return row(before) ? "" : text;
  const above = lines.at(-3) ?? "";
  const unfinished = row(above) && !text.endsWith("\n") && !wholeRow(before, last);
  if (row(last) && (!row(before) || unfinished)) return text.slice(0, text.lastIndexOf(last));
  const headOnly = row(before) && /^[ \t>]*\|[|:\- \t]*$/.test(last);
  if (headOnly && !row(above) && !wholeRule(before, last)) {
    return text.slice(0, text.lastIndexOf(before, text.lastIndexOf(last) - 1));
  }
  return text;
}

const cells = (line: string) => line.trim().replace(/^\||\|$/g, "").split("|").length;
const wholeRow = (before: string, last: string) =>
  /\|[ \t]*$/.test(last) && cells(last) >= cells(before);
const wholeRule = (head: string, rule: string) =>
  /-[ \t:|]*$/.test(rule) && cells(head) === cells(rule);
