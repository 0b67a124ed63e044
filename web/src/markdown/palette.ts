/**
 * From a theme's colours to names of colours. Code is tokenised once, with one theme; what its
 * names look like in light and dark is for the style sheet to say (`--code-*` in markdown.css).
 */

/** What to tokenise with: the scopes that matter, and a colour for each name. */
export const paletteTheme = "github-dark-default";

export const palette: Record<string, Colour> = {
  "#8b949e": "comment",
  "#ff7b72": "keyword",
  "#79c0ff": "constant",
  "#ffa657": "name",
  "#d2a8ff": "function",
  "#7ee787": "tag",
  "#a5d6ff": "string",
  "#ffa198": "invalid",
  "#e6edf3": "",
  "#f0f6fc": "",
  "#161b22": "",
};

/** Empty: the colour of text. */
export type Colour =
  | "comment"
  | "keyword"
  | "constant"
  | "name"
  | "function"
  | "tag"
  | "string"
  | "invalid"
  | "";
