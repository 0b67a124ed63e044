/**
 * What may be in the page after markdown was turned into elements. There is no way for HTML to get
 * this far (see raw-html.ts), so this is the second lock: an allow-list of what markdown can mean.
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

/** An id that only footnotes have, so that no text can take the name of something in the page. */
function footnote(name: string): [string, RegExp] {
  return [name, /^user-content-fn/];
}
