/**
 * The end of a growing text, made fit to be shown: nothing flashes as raw markup and then turns
 * into something else. Marks that mean nothing yet are held back; what is open is closed (by remend).
 *
 * Only the last block, or its last piece, is ever changed. A finished text is shown as it is.
 */
import remend, { isWithinCodeBlock, type RemendOptions } from "remend";
import { closeEmphasis } from "./emphasis";
import { aroundFormulas, withoutOpenFormula } from "./formulas";

const options: RemendOptions = {
  linkMode: "text-only",
  // Both would change finished text too, and so make it change shape at the end.
  comparisonOperators: false,
  singleTilde: false,
  // Formulas are held back until they are whole: half a formula is an error message.
  katex: false,
  // See emphasis.ts, which also knows what is nested.
  bold: false,
  boldItalic: false,
  italic: false,
  strikethrough: false,
};

const lead = /^[\s>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)*/.source;

/** A last line that only says what is to come. */
const marksOnly = new RegExp(
  [
    `${lead}(?:[-+*]|\\d{1,9}[.)]?)?[ \\t]*$`,
    `${lead}\\[[ xX]?\\]?[ \\t]*$`,
    `${lead}#{1,6}[ \\t]*$`,
    `${lead}(?:\`+|~+|\`{3,}[^\`]*|~{3,}.*)$`,
    "^[\\s>]*[-=*_|:+$<!][-=*_|:+$ \\t]*$",
  ].join("|"),
);

/** At the end of a line: what may open or close something with the characters that follow. */
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

/** A top-level code block: its last line may be the beginning of the fence that closes it. */
export function settleCode(text: string): string {
  const start = text.lastIndexOf("\n") + 1;
  if (start === 0) return "";
  return /^ {0,3}(?:`+|~+)$/.test(text.slice(start)) ? text.slice(0, start) : text;
}

/**
 * The head of a table is a line full of bars until the line under it has come. A row is shown when
 * it is complete: the widths of the columns change with each row, not with each word.
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
