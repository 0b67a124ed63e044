/** The highlighter, and all of Shiki that is shipped. Imported when there is code to highlight. */
import dark from "@shikijs/themes/github-dark-default";
import { createHighlighterCoreSync, type Grammar } from "shiki/core";
import { createJavaScriptRegexEngine } from "shiki/engine/javascript";
import { loadGrammar } from "./languages";
import { type Colour, palette, paletteTheme } from "./palette";

export interface Token {
  text: string;
  colour: Colour;
}

/** The state of a grammar between two lines. */
export type LineState = Parameters<Grammar["tokenizeLine2"]>[1];

export interface LineTokenizer {
  tokenize(line: string, state: LineState): { tokens: Token[]; state: LineState };
}

/** A longer line is not code that anyone reads; it stays one token. */
const LONGEST_LINE = 2000;
/** Generous: the first line also compiles the grammar. */
const LINE_LIMIT_MS = 500;

const shiki = createHighlighterCoreSync({
  themes: [dark],
  langs: [],
  engine: createJavaScriptRegexEngine({ forgiving: true }),
});
const { colorMap } = shiki.setTheme(paletteTheme);
const colours = colorMap.map((hex) => palette[hex?.toLowerCase() ?? ""] ?? "");

/** Rejects where the grammar's file cannot be fetched; may be retried. */
export async function loadTokenizer(name: string): Promise<LineTokenizer> {
  if (!shiki.getLoadedLanguages().includes(name)) {
    shiki.loadLanguageSync(await loadGrammar(name));
  }
  return lineTokenizer(shiki.getLanguage(name));
}

function lineTokenizer(grammar: Grammar): LineTokenizer {
  return {
    tokenize(line, state) {
      if (line.length > LONGEST_LINE) return { tokens: [{ text: line, colour: "" }], state };
      const result = grammar.tokenizeLine2(line, state, LINE_LIMIT_MS);
      return { tokens: readTokens(line, result.tokens), state: result.ruleStack };
    },
  };
}

/** Pairs of (start, metadata); bits 15 to 23 of the metadata are the foreground colour. */
function readTokens(line: string, encoded: Uint32Array): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < encoded.length; i += 2) {
    const text = line.slice(encoded[i], encoded[i + 2] ?? line.length);
    const colour = colours[((encoded[i + 1] ?? 0) >>> 15) & 0x1ff] ?? "";
    const last = tokens.at(-1);
    if (last && (last.colour === colour || text.trim() === "")) last.text += text;
    else if (text !== "") tokens.push({ text, colour });
  }
  return tokens;
}
