/**
 * Closes the open constructs at the end of a growing paragraph: nested emphasis, and the tags that
 * are read between words. A light version of CommonMark 6.2: it looks at one paragraph.
 */
import { wordTags } from "./word-tags";

/** A new line of one of these is a new paragraph, or a cell's row. */
const fresh = /^[\s>]*(?:[-+*]|\d{1,9}[.)]|#{1,6})[ \t]|^[\s>]*\|/;

const parts =
  /\\.|(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)|\]\([^)\n]*\)|<(\/?)([a-z]+)(?:\s[^<>]*)?>|\*+|_+|~~|\|/gi;

export function closeEmphasis(text: string): string {
  const start = paragraphStart(text);
  const paragraph = text.slice(start);
  const open: string[] = [];
  for (const found of paragraph.matchAll(parts)) readPart(found, paragraph, open);
  const closers = open.reverse().map((mark) => (wordTags.has(mark) ? `</${mark}>` : mark));
  return closers.length === 0 ? text : text.trimEnd() + closers.join("");
}

function paragraphStart(text: string): number {
  let start = text.lastIndexOf("\n\n") + 1;
  for (let line = start; line !== 0 || start === 0; line = text.indexOf("\n", line) + 1) {
    const end = text.indexOf("\n", line);
    if (fresh.test(text.slice(line, end === -1 ? undefined : end))) start = line;
    if (end === -1) break;
  }
  return start;
}

function readPart(found: RegExpExecArray, text: string, open: string[]): void {
  const [part, , slash, name] = found;
  if (name !== undefined) {
    readTag(name.toLowerCase(), slash === "/", open);
    return;
  }
  const before = text[found.index - 1] ?? " ";
  const after = text[found.index + part.length] ?? " ";
  if (part === "|" && fresh.test(text) && /^[\s>]*\|/.test(text)) open.length = 0;
  if (!/^(?:\*+|_+|~~)$/.test(part)) return;
  const inWord = part[0] === "_" && /\w/.test(before) && /\w/.test(after);
  if (inWord) return;
  const left = /\s/.test(before) ? part : closeRun(part, open);
  if (left !== "" && !/\s/.test(after)) open.push(...splitRun(left));
}

function readTag(name: string, closes: boolean, open: string[]): void {
  if (!wordTags.has(name)) return;
  if (!closes) open.push(name);
  else if (open.includes(name)) open.length = open.lastIndexOf(name);
}

/** The rest of a run of marks, after it has closed open emphasis. */
function closeRun(run: string, open: string[]): string {
  let left = run;
  for (let last = open.at(-1); last && left.startsWith(last); last = open.at(-1)) {
    left = left.slice(last.length);
    open.pop();
  }
  return left;
}

/** `***` opens both kinds. */
function splitRun(run: string): string[] {
  if (run === "~~" || run.length <= 2) return [run];
  return run.length === 3 ? [run.slice(1), run.slice(2)] : [];
}
