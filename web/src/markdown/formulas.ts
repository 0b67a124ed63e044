/**
 * Where the formulas of a growing text are: a light version of what the parser reads (see
 * tex-syntax.ts), for the last block only.
 */
import { openFence } from "./lines";

type Mark = "$" | "$$" | "\\(" | "\\[";

const partner = { $: "$", $$: "$$", "\\(": "\\)", "\\[": "\\]" };

interface Open {
  mark: Mark;
  index: number;
}

interface Found {
  /** Whole formulas, and brackets that are none's: after a backslash they begin no link. */
  whole: { from: number; to: number }[];
  open: Open | null;
}

/** Code, runs of dollars, what a backslash makes of the next character, blank lines. */
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

/** Whether neither a blank line nor anything else than its mark ends it. */
function isFence(text: string, { mark, index }: Open): boolean {
  if (mark === "$$") return true;
  if (mark !== "\\[") return false;
  const end = text.indexOf("\n", index);
  return end !== -1 && openFence(text.slice(index, end))?.char === "[";
}

/** A formula that is longer than this and still open is not taken for one. */
const LONGEST = 800;
const LONGEST_BETWEEN_WORDS = 240;
/** The same for what has no mark of TeX: it may be words. */
const LONGEST_PLAIN = 40;

const texMarks = /[\\^]|_(?:\{|\w\b)/;
const price = /^\$\d[\d.,]*\s?(?:[kmbt]|bn|million|billion)?[\s)\]:;!?"'*–—/-]/i;

/**
 * The text without a formula that is still open at its end: half a formula is an error message. A
 * dollar that is a price's is shown at once, and words behind one after at most 40 characters.
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
