const names = "b del em i ins kbd mark s strong sub sup u";

/** The HTML tags between words that become elements. */
export const wordTags: ReadonlySet<string> = new Set(names.split(" "));
