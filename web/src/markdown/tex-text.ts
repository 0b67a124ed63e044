/** Formulas between words, character by character; see tex-syntax.ts for the rules. */
import { asciiDigit, markdownLineEnding, markdownSpace } from "micromark-util-character";
import type {
  Code,
  Construct,
  Effects,
  State,
  Token,
  TokenizeContext,
} from "micromark-util-types";

const DOLLAR = 36;
const OPEN_PAREN = 40;
const CLOSE_PAREN = 41;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;

/** The longest distance to a closing mark: it bounds the cost of the search. */
const LONGEST = 4_000;

const atEnd = (code: Code) => code === null || markdownLineEnding(code);
const isGap = (code: Code) => atEnd(code) || markdownSpace(code);

/** Reads up to the mark that ends a formula. `closes` receives the code before a mark. */
interface Between {
  effects: Effects;
  /** The codes that may begin the closing mark. */
  mark: Code;
  /** Called after that code was consumed, with the code before it. */
  closes: (before: Code) => State;
  nok: State;
}

function between({ effects, mark, closes, nok }: Between): { next: State; data: State } {
  let before: Code = null;
  let length = 0;
  return { next, data };

  function next(code: Code): State | undefined {
    if (code === null || (length += 1) > LONGEST) return nok(code);
    if (code === mark) {
      effects.enter("texMark");
      effects.consume(code);
      return closes(before);
    }
    if (markdownLineEnding(code)) {
      before = code;
      effects.enter("lineEnding");
      effects.consume(code);
      effects.exit("lineEnding");
      return next;
    }
    effects.enter("texData");
    return data(code);
  }

  function data(code: Code): State | undefined {
    if (code === mark || atEnd(code)) {
      effects.exit("texData");
      return next(code);
    }
    before = code;
    length += 1;
    effects.consume(code);
    return code === BACKSLASH ? escaped : data;
  }

  /** `\$` and `\\` are no marks. */
  function escaped(code: Code): State | undefined {
    if (atEnd(code)) return data(code);
    before = code;
    effects.consume(code);
    return data;
  }
}

/** `\( … \)` and `\[ … \]` in a paragraph. */
export const texBrackets: Construct = { name: "texBrackets", tokenize: tokenizeBrackets };

function tokenizeBrackets(this: TokenizeContext, effects: Effects, ok: State, nok: State): State {
  let formula: Token;
  let partner: Code = null;
  let empty = true;
  const closes = (before: Code) => {
    empty &&= before === null;
    return close;
  };
  const inside = between({ effects, mark: BACKSLASH, closes, nok });
  return (code) => {
    formula = effects.enter("texInline");
    effects.enter("texMark");
    effects.consume(code);
    return open;
  };

  function open(code: Code): State | undefined {
    if (code !== OPEN_PAREN && code !== OPEN_BRACKET) return nok(code);
    if (code === OPEN_BRACKET) formula.type = "texDisplay";
    partner = code === OPEN_PAREN ? CLOSE_PAREN : CLOSE_BRACKET;
    effects.consume(code);
    effects.exit("texMark");
    return inside.next;
  }

  function close(code: Code): State | undefined {
    if (code === partner && empty) return nok(code);
    if (code === partner) {
      effects.consume(code);
      effects.exit("texMark");
      effects.exit(formula.type);
      return ok;
    }
    if (code === OPEN_PAREN || code === OPEN_BRACKET) return nok(code);
    empty = false;
    effects.exit("texMark").type = "texData";
    if (atEnd(code)) return inside.next(code);
    // In TeX a backslash escapes the next character: another backslash is no mark.
    effects.enter("texData");
    effects.consume(code);
    return inside.data;
  }
}

/** `$ … $` */
export const texDollars: Construct = {
  name: "texDollars",
  tokenize: tokenizeDollars,
  previous(code) {
    return code !== DOLLAR || this.events.at(-1)?.[1].type === "characterEscape";
  },
};

function tokenizeDollars(this: TokenizeContext, effects: Effects, ok: State, nok: State): State {
  const closes = (before: Code) => (isGap(before) ? nok : close);
  const inside = between({ effects, mark: DOLLAR, closes, nok });
  return (code) => {
    effects.enter("texInline");
    effects.enter("texMark");
    effects.consume(code);
    effects.exit("texMark");
    return open;
  };

  function open(code: Code): State | undefined {
    return isGap(code) || code === DOLLAR ? nok(code) : inside.next(code);
  }

  function close(code: Code): State | undefined {
    if (asciiDigit(code) || code === DOLLAR) return nok(code);
    effects.exit("texMark");
    effects.exit("texInline");
    return ok(code);
  }
}
