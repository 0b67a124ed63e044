/**
 * Splits a text into blocks that are parsed and rendered separately.
 *
 * 1. Blocks are split only where every open construct before has certainly ended. In doubt they are
 *    not split: a large block costs time, a wrong split changes the answer.
 * 2. A line is read once. The blocks before the open one never change again.
 * 3. The unfinished last line is read as if it ended there, without being remembered.
 * 4. Long lists and tables contain the offsets where they may be rendered in pieces.
 * 5. A link's definition applies to every block. With footnotes, whose numbers run through the whole
 *    text, the text is one block.
 */
import {
  closesFence,
  countCells,
  definitionLabel,
  type Fence,
  htmlEnd,
  indentOf,
  interrupts,
  isBlank,
  isHeading,
  isTableRule,
  isThematicBreak,
  type Marker,
  openFence,
  readMarker,
} from "./lines";

export const PIECE_LENGTH = 500;

export interface Block {
  kind: "text" | "code" | "list" | "table" | "quote";
  text: string;
  /** Offsets in `text` where a piece begins, after the first. */
  cuts: readonly number[];
  list?: { ordered: boolean; start: number; tasks: boolean };
  fence?: Fence;
  footnotes?: true;
}

interface Open {
  kind: Block["kind"];
  start: number;
  cuts: number[];
  lines: number;
  first: string;
  blank: boolean;
  /** A construct that only a certain line can end. */
  fence: Fence | null;
  html: RegExp | null;
  /** A line since the last blank one began with `<`: what follows may be raw HTML. */
  raw: boolean;
  /** Certainly ended: the next line begins another block. */
  ended: boolean;
  /** A line since the last blank one began with `>`: what follows may belong to the quote. */
  quoted: boolean;
  /** The open item. */
  marker: Marker | null;
  /** The kinds of items so far: one more of them may belong to a list that began in this block. */
  marks: string;
  /** A line may have begun or ended an item: lines alone do not decide it. */
  unsure: boolean;
  /** Whether a fence is open depends on such a line, or on HTML: the text is no longer split. */
  sealed: boolean;
  tasks: boolean;
  /** Not to be split into pieces. */
  whole: boolean;
  definitions: boolean;
}

export class BlockReader {
  private text = "";
  /** Where the unfinished line begins. */
  private at = 0;
  private finished: Block[] = [];
  private open: Open | null = null;
  private links = new Map<string, string>();
  private known = new WeakMap<Block, string>();
  private footnotes = false;

  read(markdown: string): Block[] {
    const text = markdown.includes("\r") ? markdown.replace(/\r\n?/g, "\n") : markdown;
    if (!text.startsWith(this.text.slice(0, this.at))) this.restart();
    this.text = text;
    for (let end = text.indexOf("\n", this.at); end !== -1; end = text.indexOf("\n", this.at)) {
      this.readLine(text.slice(this.at, end), this.at, end + 1);
      this.at = end + 1;
    }
    if (this.footnotes) return [{ kind: "text", text, cuts: [], footnotes: true }];
    return this.withLastLine();
  }

  /** The definitions of links that the block may refer to, to be parsed with it. */
  definitionsFor(block: Block): string {
    if (this.links.size === 0 || block.kind === "code") return "";
    const known = this.known.get(block);
    if (known !== undefined) return known;
    const text = normal(block.text);
    const wanted = [...this.links].filter(([label]) => text.includes(`[${label}]`));
    const lines = wanted.map(([, line]) => `${line}\n\n`).join("");
    this.known.set(block, lines);
    return lines;
  }

  private restart(): void {
    this.at = 0;
    this.finished = [];
    this.open = null;
    this.links.clear();
    this.footnotes = false;
  }

  private withLastLine(): Block[] {
    const blocks = [...this.finished];
    const last = this.text.slice(this.at);
    const open = this.open && { ...this.open, cuts: [...this.open.cuts] };
    if (last === "") {
      if (open) blocks.push(this.block(open, this.text.length));
      return blocks;
    }
    const next = open && !this.begins(open, last) ? open : begin(this.at);
    if (open && next !== open) blocks.push(this.block(open, this.at));
    extend(next, last, this.at);
    if (!isBlank(last) || next === open) blocks.push(this.block(next, this.text.length));
    return blocks;
  }

  private readLine(line: string, from: number, to: number): void {
    if (!this.open || this.begins(this.open, line)) {
      if (this.open) this.finished.push(this.block(this.open, from));
      this.open = null;
      if (isBlank(line)) return;
      this.open = begin(from);
    }
    this.define(this.open, line);
    extend(this.open, line, from, to);
  }

  private block(open: Open, to: number): Block {
    const text = this.text.slice(open.start, to);
    const block: Block = { kind: open.kind, text, cuts: open.cuts };
    if (open.kind === "list" && open.marker) {
      const { number } = readMarker(open.first) ?? { number: null };
      block.list = { ordered: number !== null, start: number ?? 1, tasks: open.tasks };
    }
    const fence = open.kind === "code" ? openFence(open.first) : null;
    if (fence) block.fence = fence;
    return block;
  }

  /** Whether `line` begins another block than the open one. */
  private begins(open: Open, line: string): boolean {
    if (open.ended) return true;
    if (open.sealed || open.fence || open.html) return false;
    if (isBlank(line) || /^[ \t]/.test(line)) return false;
    if (open.raw && !open.blank) return false;
    if (isHeading(line)) return true;
    const fence = openFence(line);
    if (fence && (isCode(fence) || open.blank)) return true;
    const marker = readMarker(line);
    if (marker && open.marks.includes(marker.type)) return false;
    if (open.blank) return true;
    if (open.kind === "list" && !open.whole && isThematicBreak(line)) return true;
    if (marker) return interrupts(marker);
    return line.startsWith(">") && !open.quoted;
  }

  private define(open: Open, line: string): void {
    const label = open.fence || open.html ? null : definitionLabel(line);
    const first = open.lines === 0 || open.blank || open.definitions;
    open.definitions = label !== null && first;
    if (label?.startsWith("^")) this.footnotes = true;
    else if (label !== null && first && !this.links.has(normal(label))) {
      this.links.set(normal(label), line.trim());
      this.known = new WeakMap();
    }
  }
}

const isCode = (fence: Fence) => fence.char === "`" || fence.char === "~";

const normal = (label: string) => label.replace(/\s+/g, " ").toLowerCase();

function begin(start: number): Open {
  return {
    kind: "text",
    start,
    cuts: [],
    lines: 0,
    first: "",
    blank: false,
    fence: null,
    html: null,
    raw: false,
    ended: false,
    quoted: false,
    marker: null,
    marks: "",
    unsure: false,
    sealed: false,
    tasks: false,
    whole: false,
    definitions: false,
  };
}

/** The line that goes from `from` to `to` belongs to the open block. */
function extend(open: Open, line: string, from: number, to = from + line.length): void {
  if (open.fence) {
    if (closesFence(line, open.fence)) {
      open.ended = open.kind === "code";
      open.fence = null;
    }
  } else if (open.html) {
    if (open.html.test(line)) open.html = null;
  } else if (isBlank(line)) {
    open.blank = true;
    open.unsure ||= open.marker?.empty ?? false;
    open.raw = false;
    open.quoted = false;
    if (open.kind === "table" || open.kind === "quote") open.ended = true;
  } else {
    extendOutside(open, line, from);
  }
  open.lines += 1;
  const cut = open.start + (open.cuts.at(-1) ?? 0);
  if (open.kind === "table" && open.lines > 2 && to - cut >= PIECE_LENGTH) {
    open.cuts.push(to - open.start);
  }
}

/** A line with text, outside of code, HTML and formulas. */
function extendOutside(open: Open, line: string, from: number): void {
  const marker = readMarker(line);
  const inItem = open.marker !== null && indentOf(line) >= open.marker.indent;
  if (open.lines === 0) beginWith(open, line, marker);
  else if (open.kind === "list" && !inItem) extendList(open, marker, from);
  else if (open.lines === 1 && open.kind === "text" && isTableHead(open.first, line)) {
    open.kind = "table";
  } else if (open.kind === "quote" ? !line.startsWith(">") : open.kind === "table" && marker) {
    open.kind = "text";
    open.cuts = [];
  }
  if (!inItem && marker) {
    const free = open.lines === 0 || open.blank || open.marker?.empty;
    if (free || interrupts(marker)) open.marker = marker;
    else if (open.quoted || (open.marker && marker.type !== open.marker.type)) open.unsure = true;
  }
  if (marker && (!inItem || open.unsure)) open.marks += marker.type;
  if (/^ {0,3}>/.test(line)) open.quoted = true;
  if ((open.unsure || open.raw) && (openFence(line) || htmlEnd(line))) open.sealed = true;
  if (!inItem) readHidden(open, line);
  open.blank = false;
}

function beginWith(open: Open, line: string, marker: Marker | null): void {
  open.first = line;
  const fence = openFence(line);
  if (marker) {
    open.kind = "list";
    open.tasks = marker.task;
  } else if (fence && isCode(fence) && fence.indent === 0) open.kind = "code";
  else if (/^>(?: ?[^ \t]|$)/.test(line)) open.kind = "quote";
  else if (isHeading(line) || isThematicBreak(line)) open.ended = true;
}

/** A piece may begin at an item; a line outside of items makes the list indivisible. */
function extendList(open: Open, marker: Marker | null, from: number): void {
  const offset = from - open.start;
  if (!marker || marker.type !== open.marker?.type) {
    open.whole = true;
    open.unsure = true;
    open.cuts = [];
    return;
  }
  open.tasks ||= marker.task;
  if (!open.whole && offset - (open.cuts.at(-1) ?? 0) >= PIECE_LENGTH) open.cuts.push(offset);
}

/** Fences and HTML outside of items: only their own end marker ends them. */
function readHidden(open: Open, line: string): void {
  open.fence = openFence(line);
  open.html = htmlEnd(line);
  if (open.html?.test(line.trimStart().slice(2))) open.html = null;
  if (/^ {0,3}</.test(line)) open.raw = true;
  if (open.kind === "list" && (open.fence || open.raw)) {
    open.whole = true;
    open.cuts = [];
  }
}

const isTableHead = (head: string, rule: string) =>
  head.includes("|") && isTableRule(rule) && countCells(head) === countCells(rule);
