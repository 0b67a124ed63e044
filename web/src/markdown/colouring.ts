/**
 * Colours for a growing code block.
 *
 * 1. A finished line is tokenised once, with the state that the line before it left.
 * 2. Lines are in groups. A full group never changes again, so it is rendered once.
 * 3. The work of one call is bounded in time; the caller shows the rest of the text plain.
 */
import type { LineState, LineTokenizer, Token } from "./shiki";

export const GROUP_LINES = 40;

export interface LineGroup {
  /** One list of tokens for each line, without its line end. */
  lines: Token[][];
  /** Characters of the longest line. */
  columns: number;
}

export interface Coloured {
  groups: LineGroup[];
  /** How many characters of the code the groups hold: always up to a line's end. */
  length: number;
  /** Tokens of the unfinished last line, or null where the groups end before it. */
  tail: Token[] | null;
}

export class Colouring {
  private code = "";
  private state: LineState = null;
  private coloured: Coloured = { groups: [], length: 0, tail: null };

  constructor(
    private readonly tokenizer: LineTokenizer,
    private readonly clock: () => number,
  ) {}

  /** Continue with `code` for about `budget` milliseconds. The same object if nothing changed. */
  advance(code: string, budget: number): Coloured {
    if (code === this.code && this.coloured.tail) return this.coloured;
    if (!code.startsWith(this.code.slice(0, this.coloured.length))) this.restart();
    this.code = code;
    const until = this.clock() + budget;
    const groups = [...this.coloured.groups];
    let at = this.coloured.length;
    let end = code.indexOf("\n", at);
    while (end !== -1 && this.clock() < until) {
      append(groups, this.tokenizeLine(code.slice(at, end)), end - at);
      at = end + 1;
      end = code.indexOf("\n", at);
    }
    const tail = end === -1 ? this.tokenizer.tokenize(code.slice(at), this.state).tokens : null;
    this.coloured = { groups, length: at, tail };
    return this.coloured;
  }

  private tokenizeLine(line: string): Token[] {
    const { tokens, state } = this.tokenizer.tokenize(line, this.state);
    this.state = state;
    return tokens;
  }

  private restart(): void {
    this.state = null;
    this.coloured = { groups: [], length: 0, tail: null };
  }
}

/** Full groups are kept as they are; the last one is replaced, never changed. */
function append(groups: LineGroup[], line: Token[], columns: number): void {
  const last = groups.at(-1);
  if (!last || last.lines.length >= GROUP_LINES) groups.push({ lines: [line], columns });
  else {
    const lines = [...last.lines, line];
    groups[groups.length - 1] = { lines, columns: Math.max(last.columns, columns) };
  }
}
