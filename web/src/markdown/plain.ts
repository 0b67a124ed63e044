/**
 * The plain text of a markdown text, for announcements and titles. Not a parser: it drops marks,
 * fences and addresses, and keeps what a person would read aloud.
 */
export function plainText(markdown: string): string {
  return markdown
    .replace(/^[ \t]*(`{3,}|~{3,})[^\n]*\n[\s\S]*?(?:^[ \t]*\1[ \t]*$|$(?![\s\S]))/gm, " (code) ")
    .replace(/<!--[\s\S]*?(?:-->|$)/g, " ")
    .replace(/!\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/\[([^\]]+)\]\([^)]*\)/g, "$1")
    .replace(/<((?:https?|mailto):[^>\s]+)>/g, "$1")
    .replace(/<\/?[a-z][^>\n]*>/gi, " ")
    .replace(/^[ \t]*(?:[-*_][ \t]*){3,}$/gm, " ")
    .replace(/^[ \t]*(?:>[ \t]?)+/gm, "")
    .replace(/^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/gm, " ")
    .replace(/^[ \t]*#{1,6}[ \t]+|[ \t]+#+[ \t]*$/gm, "")
    .replace(/^[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?/gm, "")
    .replace(/(?<!\\)(`+)([^`]+)\1/g, "$2")
    .replace(/(?<![\\\w])(\*\*\*|\*\*|\*|___|__|_|~~)(?=\S)([\s\S]*?\S)\1(?!\w)/g, "$2")
    .replace(/^[ \t]*\||\|[ \t]*$/gm, "")
    .replace(/[ \t]*(?<!\\)\|[ \t]*/g, ", ")
    .replace(/\$\$/g, "")
    .replace(/(?<![\\$])\$(?=\S)([^$\n]+)(?<=\S)\$(?!\d)/g, "$1")
    .replace(/\\([!-/:-@[-`{-~])/g, "$1")
    .replace(/\s+/g, " ")
    .trim();
}
