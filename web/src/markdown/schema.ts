/**
 * The elements that are allowed after markdown was rendered. HTML cannot get this far (see
 * raw-html.ts), so this allow-list is a second barrier.
 */
export const schema = {
  strip: ["script", "style"],
  clobber: [],
  clobberPrefix: "",
  ancestors: {},
  protocols: { href: ["http", "https", "mailto"], src: ["http", "https", "data"] },
  tagNames: [
    ...["a", "b", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6"],
    ...["hr", "i", "img", "input", "ins", "kbd", "li", "mark", "ol", "p", "pre", "s", "section"],
    ...["strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul"],
  ],
  required: { input: { type: "checkbox", disabled: true } },
  attributes: {
    a: ["href", footnote("id"), "dataFootnoteRef", "dataFootnoteBackref", "ariaLabel"],
    code: [["className", /^language-./, "math-inline", "math-display"]],
    h2: [["className", "sr-only"]],
    img: ["src", "alt"],
    input: ["checked", ["disabled", true], ["type", "checkbox"]],
    li: [footnote("id"), ["className", "task-list-item"]],
    ol: ["start"],
    section: ["dataFootnotes", ["className", "footnotes"]],
    td: ["align"],
    th: ["align"],
    ul: [["className", "contains-task-list"]],
    "*": [],
  },
};

/** An id for footnotes only, so that no text can take the id of another element. */
function footnote(name: string): [string, RegExp] {
  return [name, /^user-content-fn/];
}
