/**
 * A long list or table in pieces, each parsed and rendered on its own, under one element. The
 * result is that of the whole: the numbers continue, and a list is loose in all its items or in none
 * (CommonMark 5.3).
 */
import type { Element, Root as Html, RootContent } from "hast";
import type { Root } from "mdast";
import { fromMarkdown } from "mdast-util-from-markdown";
import type { Block } from "./blocks";

export type Keep = "items" | "rows" | "head";

export function piecesOf({ text, cuts }: Block): string[] {
  const starts = [0, ...cuts];
  return starts.map((start, index) => text.slice(start, starts[index + 1]));
}

/** The head and delimiter row of a table, with line end: every piece is parsed with them. */
export function tableHead(text: string): string {
  const rule = text.indexOf("\n", text.indexOf("\n") + 1);
  return rule === -1 ? `${text}\n` : text.slice(0, rule + 1);
}

/** Whether blank lines are between a list's items, or between the parts of one. */
export function isLoose(pieces: string[]): boolean {
  return pieces.some((piece, index) => {
    if (index < pieces.length - 1 && /\n[ \t]*\n$/.test(piece)) return true;
    return /\n[ \t]*\n[ \t]*\S/.test(piece) && isLooseAlone(piece);
  });
}

const known = new Map<string, boolean>();

function isLooseAlone(piece: string): boolean {
  const before = known.get(piece);
  if (before !== undefined) return before;
  const [list] = fromMarkdown(piece).children;
  const loose = list?.type === "list" && (list.spread || list.children.some((item) => item.spread));
  if (known.size > 500) known.clear();
  known.set(piece, Boolean(loose));
  return Boolean(loose);
}

/** Makes the piece's list as loose as the whole, before the tree becomes elements. */
export function remarkLoose({ loose }: { loose: boolean }) {
  return ({ children }: Root) => {
    const list = children.find((node) => node.type === "list");
    if (!list) return;
    list.spread = loose;
    if (!loose) for (const item of list.children) item.spread = false;
  };
}

/** Keeps only the children of the element that all pieces share. */
export function rehypeKeep({ keep }: { keep: Keep }) {
  return (tree: Html) => {
    const whole = tree.children.find((node) => node.type === "element");
    tree.children = whole ? inside(whole, keep) : [];
  };
}

function inside(whole: Element, keep: Keep): RootContent[] {
  if (keep === "items") return whole.children;
  const name = keep === "head" ? "thead" : "tbody";
  const part = whole.children.find((node) => node.type === "element" && node.tagName === name);
  return part?.type === "element" ? part.children : [];
}
