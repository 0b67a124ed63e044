/** A display formula over several lines; see tex-syntax.ts for the rules. */
import { asciiAlpha, markdownLineEnding, markdownSpace } from "micromark-util-character";
import type { Code, Construct, Effects, State, TokenizeContext } from "micromark-util-types";

const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;

const atEnd = (code: Code) => code === null || markdownLineEnding(code);

/** `\[` that begins a line, to the `\]` of any later one. */
export const texDisplay: Construct = {
  name: "texDisplay",
  tokenize: tokenizeDisplay,
  concrete: true,
};

/** The tokens are those of remark-math's `$$`, and so are the nodes. */
function tokenizeDisplay(this: TokenizeContext, effects: Effects, ok: State, nok: State): State {
  const interrupts = () => this.interrupt;
  let blank = true;
  let command = false;
  return (code) => {
    effects.enter("mathFlow");
    effects.enter("mathFlowFence");
    effects.consume(code);
    return bracket;
  };

  function bracket(code: Code): State | undefined {
    if (code !== OPEN_BRACKET) return nok(code);
    effects.consume(code);
    effects.exit("mathFlowFence");
    return head;
  }

  function head(code: Code): State | undefined {
    if (atEnd(code)) return headEnd(code);
    effects.enter("mathFlowValue");
    return headValue(code);
  }

  function headValue(code: Code): State | undefined {
    if (atEnd(code)) {
      effects.exit("mathFlowValue");
      return headEnd(code);
    }
    blank &&= markdownSpace(code);
    effects.consume(code);
    return code === BACKSLASH ? headEscaped : headValue;
  }

  function headEscaped(code: Code): State | undefined {
    if (code === CLOSE_BRACKET) return nok(code);
    if (atEnd(code)) return headValue(code);
    command ||= asciiAlpha(code);
    effects.consume(code);
    return headValue;
  }

  function headEnd(code: Code): State | undefined {
    if (!blank && !command) return nok(code);
    return interrupts() ? ok(code) : lineEnd(code);
  }

  function lineEnd(code: Code): State | undefined {
    return code === null ? unclosed(code) : effects.attempt(ownLine, line, unclosed)(code);
  }

  function line(code: Code): State | undefined {
    if (atEnd(code)) return lineEnd(code);
    if (code === BACKSLASH) return effects.attempt(displayEnd, after, tex)(code);
    effects.enter("mathFlowValue");
    return value(code);
  }

  function tex(code: Code): State | undefined {
    effects.enter("mathFlowValue");
    effects.consume(code);
    return escaped;
  }

  function escaped(code: Code): State | undefined {
    if (!atEnd(code)) {
      effects.consume(code);
      return value;
    }
    return value(code);
  }

  function value(code: Code): State | undefined {
    if (atEnd(code) || code === BACKSLASH) {
      effects.exit("mathFlowValue");
      return line(code);
    }
    effects.consume(code);
    return value;
  }

  function unclosed(code: Code): State | undefined {
    effects.exit("mathFlow");
    return ok(code);
  }

  /** Words behind the formula, on its last line, are a separate paragraph. */
  function after(code: Code): State | undefined {
    effects.exit("mathFlow");
    return gap(code);
  }

  function gap(code: Code): State | undefined {
    if (atEnd(code)) return ok(code);
    if (markdownSpace(code)) {
      effects.enter("whitespace");
      effects.consume(code);
      effects.exit("whitespace");
      return gap;
    }
    effects.enter("content");
    effects.enter("chunkContent", { contentType: "content" });
    return words(code);
  }

  function words(code: Code): State | undefined {
    if (!atEnd(code)) {
      effects.consume(code);
      return words;
    }
    effects.exit("chunkContent");
    effects.exit("content");
    return ok(code);
  }
}

/** A line in the same container, not a lazy continuation of its paragraph. */
const ownLine: Construct = {
  partial: true,
  tokenize(effects, ok, nok) {
    return (code) => {
      effects.enter("lineEnding");
      effects.consume(code);
      effects.exit("lineEnding");
      return (next) => (this.parser.lazy[this.now().line] ? nok(next) : ok(next));
    };
  },
};

const displayEnd: Construct = {
  partial: true,
  tokenize(effects, ok, nok) {
    return (code) => {
      effects.enter("mathFlowFence");
      effects.consume(code);
      return (bracket) => {
        if (bracket !== CLOSE_BRACKET) return nok(bracket);
        effects.consume(bracket);
        effects.exit("mathFlowFence");
        return ok;
      };
    };
  },
};
