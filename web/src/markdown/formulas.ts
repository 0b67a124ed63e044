/**
 * Finds the formulas of a growing text: a light version of the parser's syntax (see tex-syntax.ts),
 * for the last block only.
 */
import { openFence } from "./lines";

type Mark = "$" | "$$" | "\\(" | "\\[";

const partner = { $: "$", $$: "$$", "\\(": "\\)", "\\[": "\\]" };

interface Open {
  mark: Mark;
  index: number;
}

interface Found {
  /** Complete formulas, and other escaped brackets: after a backslash they begin no link. */
  whole: { from: number; to: number }[];
  open: Open | null;
}

/** Code, runs of dollars, backslash escapes, blank lines. */
const parts = /(?<!`)(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)|\$+|\\[\s\S]|\n[ \t>]*(?=\n)/g;

function findFormulas(text: string): Found {
  const whole: Found["whole"] = [];
  let open: Open | null = null;
  for (const { 0: part, index } of text.matchAll(parts)) {
    const to = index + part.length;
    if (open && closes(text, open, part, index)) {
      const from = open.index;
      while ((whole.at(-1)?.from ?? -1) >= from) whole.pop();
      whole.push({ from, to });
      open = null;
      continue;
    }
    if (part === "\\[" || part === "\\]") whole.push({ from: index, to });
    if (part === "\\(" || part === "\\[") {
      if (!open || !isFence(text, open)) open = { mark: part, index };
    } else if (part.startsWith("\n")) {
      if (open && !isFence(text, open)) open = null;
    } else if (part === "$$" && (!open || open.mark === "$")) {
      open = { mark: part, index };
    } else if (part === "$" && (!open || open.mark === "$")) {
      open = /\S/.test(text[to] ?? " ") ? { mark: part, index } : null;
    }
  }
  return { whole, open };
}

function closes(text: string, { mark }: Open, part: string, index: number): boolean {
  if (part !== partner[mark]) return false;
  return part !== "$" || (/\S/.test(text[index - 1] ?? " ") && !/\d/.test(text[index + 1] ?? ""));
}

/** Whether only its closing mark ends it, and not a blank line. */
function isFence(text: string, { mark, index }: Open): boolean {
  if (mark === "$$") return true;
  if (mark !== "\\[") return false;
  const end = text.indexOf("\n", index);
  return end !== -1 && openFence(text.slice(index, end))?.char === "[";
}

/** An open text that is longer than this is not treated as a formula. */
const LONGEST = 800;
const LONGEST_BETWEEN_WORDS = 240;
/** The same for a text without TeX marks: it may be words. */
const LONGEST_PLAIN = 40;

const texMarks = /[\\^]|_(?:\{|\w\b)/;
const price = /^\$\d[\d.,]*\s?(?:[kmbt]|bn|million|billion)?[\s)\]:;!?"'*–—/-]/i;

/**
 * The text without a formula that is still open at its end: half a formula is an error message. The
 * dollar of a price is shown at once, and words behind a dollar after at most 40 characters.
 */
export function withoutOpenFormula(text: string): string {
  const { open } = findFormulas(text);
  return open && mayBecomeFormula(text, open) ? text.slice(0, open.index) : text;
}

function mayBecomeFormula(text: string, open: Open): boolean {
  const formula = text.slice(open.index);
  if (isFence(text, open)) return formula.length <= LONGEST;
  if (open.mark === "$" && (formula.includes("\n") || price.test(formula))) return false;
  if (open.mark === "\\[" && formula.includes("](")) return false;
  const isTex = texMarks.test(formula.slice(2));
  return formula.length <= (isTex ? LONGEST_BETWEEN_WORDS : LONGEST_PLAIN);
}

/** Changes the text around its formulas: to `change`, each is one word without marks. */
export function aroundFormulas(text: string, change: (text: string) => string): string {
  if (!/[$\\]/.test(text) || /[\ue000\ue001]/.test(text)) return change(text);
  const { whole } = findFormulas(text);
  let hidden = "";
  let at = 0;
  whole.forEach(({ from, to }, index) => {
    hidden += `${text.slice(at, from)}\ue000${index}\ue001`;
    at = to;
  });
  return change(hidden + text.slice(at)).replace(/\ue000(\d+)\ue001/g, (_, index) => {
    const { from, to } = whole[Number(index)] ?? { from: 0, to: 0 };
    return text.slice(from, to);
  });
}
