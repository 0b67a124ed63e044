/** The constructs that a line of markdown may begin (CommonMark 0.31, GFM 0.29). */

export interface Marker {
  /** `-`, `*`, `+`, `.` or `)`: items with the same one belong to the same list. */
  type: string;
  number: number | null;
  empty: boolean;
  task: boolean;
  /** Columns before the mark, at most 3. */
  margin: number;
  /** Columns before the item's own text. */
  indent: number;
}

export interface Fence {
  char: string;
  length: number;
  indent: number;
  info: string;
}

export const isBlank = (line: string) => /^[ \t]*$/.test(line);

export const indentOf = (line: string) => /^ */.exec(line)?.[0].length ?? 0;

export function readMarker(line: string): Marker | null {
  const found = /^( {0,3})([-*+]|(\d{1,9})([.)]))(?:([ \t]+)(.*))?$/.exec(line);
  if (!found || isThematicBreak(line)) return null;
  const [, margin = "", mark = "", number, delimiter, gap = "", text = ""] = found;
  const wide = gap.length > 4 || text === "";
  return {
    type: delimiter ?? mark,
    number: number === undefined ? null : Number(number),
    empty: text === "",
    task: /^\[[ xX]\][ \t]/.test(text),
    margin: margin.length,
    indent: margin.length + mark.length + (wide ? 1 : gap.length),
  };
}

/** A list may begin in the middle of a paragraph only with text, and only at 1. */
export const interrupts = (marker: Marker) =>
  !marker.empty && (marker.number === null || marker.number === 1);

export const isThematicBreak = (line: string) =>
  /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/.test(line);

export const isHeading = (line: string) => /^#{1,6}(?:[ \t]|$)/.test(line);

/** A construct without markdown inside, until it is closed: code, or a display formula. */
export function openFence(line: string): Fence | null {
  const formula = /^( {0,3})\\\[(.*)$/.exec(line);
  if (formula) {
    const [, { length: indent } = "", head = ""] = formula;
    return opensDisplay(head) ? { char: "[", length: 2, indent, info: "" } : null;
  }
  const found = /^( {0,3})(`{3,}|~{3,}|\${2,})(.*)$/.exec(line);
  if (!found) return null;
  const [, spaces = "", run = "", info = ""] = found;
  const char = run[0] ?? "";
  if (char !== "~" && info.includes(char)) return null;
  return { char, length: run.length, indent: spaces.length, info: info.trim() };
}

/** Whether a formula continues in the next lines, whatever they are (see tex-syntax.ts). */
const opensDisplay = (head: string) =>
  isBlank(head) || (/^(?:[^\\]|\\[^a-zA-Z])*\\[a-zA-Z]/.test(head) && !closesDisplay(head));

const closesDisplay = (line: string) => /^(?:[^\\]|\\[^\]])*\\\]/.test(line);

export function closesFence(line: string, fence: Fence): boolean {
  if (fence.char === "[") return closesDisplay(line);
  const run = line.trim();
  if (run.length < fence.length || indentOf(line) > 3) return false;
  return [...run].every((char) => char === fence.char);
}

/** The end marker of HTML that blank lines do not end (kinds 1 to 5). */
export function htmlEnd(line: string): RegExp | null {
  const text = /^ {0,3}(<.*)$/.exec(line)?.[1];
  if (text === undefined) return null;
  if (/^<(?:script|pre|style|textarea)(?:[\s>]|$)/i.test(text)) {
    return /<\/(?:script|pre|style|textarea)>/i;
  }
  if (text.startsWith("<!--")) return /-->/;
  if (text.startsWith("<?")) return /\?>/;
  if (text.startsWith("<![CDATA[")) return /\]\]>/;
  return /^<![a-z]/i.test(text) ? />/ : null;
}

/** The line under a table's head. */
export const isTableRule = (line: string) =>
  line.includes("-") &&
  /^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/.test(line);

export function countCells(line: string): number {
  const row = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return row.split(/(?<!\\)\|/).length;
}

/** The label of a footnote's definition, with its `^`, or of a link's that one line holds. */
export function definitionLabel(line: string): string | null {
  const found = /^ {0,3}\[((?:[^[\]\\]|\\.)+)\]:[ \t]*(.*)$/.exec(line);
  const [, label = "", rest = ""] = found ?? [];
  return label.startsWith("^") || linkTarget.test(rest) ? label.trim() : null;
}

const linkTarget = /^(?:<[^<>]*>|[^\s<]\S*)(?:[ \t]+(?:"[^"]*"|'[^']*'|\([^()]*\)))?[ \t]*$/;
