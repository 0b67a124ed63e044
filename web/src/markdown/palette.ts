/**
 * Maps a theme's colours to colour names. Code is tokenised once, with one theme. The style sheet
 * defines the names for light and dark (`--code-*` in markdown.css).
 */

/** The theme for tokenising: the relevant scopes, and a colour for each name. */
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
